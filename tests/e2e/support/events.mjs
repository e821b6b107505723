// The sender of events, and the operator.

import assert from "node:assert/strict";
import { Agent } from "node:http";
import { assertStatus } from "./assertions.mjs";
import { PATIENCE, until } from "./until.mjs";

/** @import { Broker } from "./broker.mjs" */
/** @import { CallOptions } from "./client.mjs" */
/** @import { Inbox } from "./receiver.mjs" */

/** The operator's key. A password of Basic may contain a colon. */
export const ADMIN_KEY = "e2e-admin:key-0123456789abcdefghijklmnop";

/**
 * @param {Pick<Broker, "vars">} broker
 * @param {string} target
 */
const below = (broker, target) => `${broker.vars.BASE_PATH ?? ""}${target}`;

/**
 * Sends `body` as the sender of `inbox` would.
 *
 * @param {Pick<Broker, "vars" | "call">} broker
 * @param {Inbox} inbox
 * @param {CallOptions["body"]} [body]
 * @param {CallOptions} [options]
 */
export function sendEvent(broker, inbox, body = inbox.event(), options = {}) {
  const headers = { "Content-Type": "application/json" };
  return broker.call(below(broker, inbox.path), { method: "POST", key: null, body, headers, ...options });
}

/**
 * Sends `body` as the sender of `inbox` would; the broker must accept it.
 *
 * @param {Pick<Broker, "vars" | "call">} broker
 * @param {Inbox} inbox
 * @param {CallOptions["body"]} [body]
 * @param {CallOptions} [options]
 */
export async function accept(broker, inbox, body, options) {
  const answer = assertStatus(await sendEvent(broker, inbox, body, options), inbox.accepted);
  assert.equal(answer.bytes, 0, answer.text);
  return answer;
}

/**
 * Waits until `inbox` has `count` deliveries.
 *
 * @param {Inbox} inbox
 * @param {number} count
 * @param {number} [limit] in milliseconds
 */
export const delivered = (inbox, count, limit) =>
  until(() => inbox.deliveries.length >= count, `delivery ${count} of ${inbox.id}`, limit);

/**
 * Requests `target` below the events of the connection `id`, with the operator's key.
 *
 * @param {Pick<Broker, "vars" | "call">} broker
 * @param {string} id
 * @param {string} [target]
 * @param {CallOptions} [options]
 */
export const operate = (broker, id, target = "", options) =>
  broker.call(below(broker, `/admin/connections/${id}/webhooks${target}`), { key: ADMIN_KEY, ...options });

/**
 * All events of the connection `id` in `state`, read page by page as an operator.
 *
 * @param {Pick<Broker, "vars" | "call">} broker
 * @param {string} id
 * @param {string} state
 */
export async function listed(broker, id, state) {
  /** @type {{ id: string, [member: string]: any }[]} */
  const all = [];
  for (let after = ""; ; ) {
    const { webhooks, next } = assertStatus(await operate(broker, id, `?state=${state}${after}`)).json();
    all.push(...webhooks);
    if (next === null) return all;
    after = `&after=${encodeURIComponent(next)}`;
  }
}

/**
 * Waits until no event of `inbox` is pending: then no further delivery arrives.
 *
 * @param {Pick<Broker, "vars" | "call">} broker
 * @param {Pick<Inbox, "id">} inbox
 * @param {number} [limit] in milliseconds
 */
export const settled = (broker, inbox, limit) =>
  until(
    async () => !(await listed(broker, inbox.id, "pending")).length,
    `the end of what is pending for ${inbox.id}`,
    limit,
  );

/**
 * Waits until the first attempt at each of the `count` pending events of `inbox` has failed: the next one follows after
 * five seconds. If the broker is killed during an attempt, its outcome is unknown, and the next one follows after
 * thirty.
 *
 * @param {Pick<Broker, "vars" | "call">} broker
 * @param {Pick<Inbox, "id">} inbox
 * @param {number} count
 */
export const triedInVain = (broker, inbox, count) =>
  until(async () => {
    const waiting = await listed(broker, inbox.id, "pending");
    return waiting.length === count && waiting.every(({ outcome }) => outcome === "unreachable");
  }, `the first attempts of ${inbox.id}`);

/**
 * Sends failed events again: one, or all.
 *
 * @param {Pick<Broker, "vars" | "call">} broker
 * @param {Pick<Inbox, "id">} inbox
 * @param {string} [id]
 */
export const sendAgain = (broker, inbox, id) =>
  operate(broker, inbox.id, id ? `/${id}/send` : "/send", { method: "POST" });

/**
 * Makes this many new events of `inbox`.
 *
 * @param {Inbox} inbox
 * @param {number} count
 */
export const newEvents = (inbox, count) => Array.from({ length: count }, () => inbox.event());

/**
 * Sends all of `events` over `senders` concurrent connections; the broker must accept each.
 *
 * @param {Pick<Broker, "vars" | "call">} broker
 * @param {Inbox} inbox
 * @param {string[]} events
 * @param {number} [senders]
 */
export async function sendAll(broker, inbox, events, senders = 50) {
  const agent = new Agent({ keepAlive: true, maxSockets: senders });
  try {
    await Promise.all(events.map((event) => accept(broker, inbox, event, { agent, timeout: PATIENCE })));
  } finally {
    agent.destroy();
  }
}

/**
 * Checks that `inbox` got each of `events` once, without its token and under an id of its own.
 *
 * @param {Inbox} inbox
 * @param {string[]} events
 */
export function assertEachOnce(inbox, events) {
  const expected = events.map((event) => {
    const { api_token: _, ...rest } = JSON.parse(event);
    return JSON.stringify(rest);
  });
  assert.deepEqual([...inbox.texts].sort(), expected.sort());
  assert.equal(new Set(inbox.ids).size, events.length);
}
