// How the broker treats a receiver that is slow, or asks for a pause: by the clock.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { startBroker } from "../e2e/support/broker.mjs";
import { accept, ADMIN_KEY, delivered, listed, settled } from "../e2e/support/events.mjs";
import { until } from "../e2e/support/until.mjs";
import { startReceiver } from "../e2e/support/receiver.mjs";

/** @import { Broker } from "../e2e/support/broker.mjs" */
/** @import { DeliveryReply, Inbox, Receiver } from "../e2e/support/receiver.mjs" */

// A wait is shorter by a tenth at most, and the clocks of the two ends round.
const SECOND_ATTEMPT_MS = 4_400;

/** @type {Receiver} */
let receiver;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Inbox }} */
const c = {};

before(async () => {
  receiver = await startReceiver();
  for (const id of ["hang", "slow", "gone-later", "retry-after", "retry-after-date"]) c[id] = receiver.inbox(id);
  broker = await startBroker({ vars: { CONNECTIONS: receiver.vars }, secrets: { ADMIN_KEY, ...receiver.secrets } });
});

afterEach(() => receiver.verify());

after(async () => {
  await broker?.stop();
  await receiver?.close();
});

/**
 * The log lines of the attempts of `inbox`, without the times that they took, once there are `count`.
 *
 * @param {Inbox} inbox
 * @param {number} count
 */
async function attempts(inbox, count) {
  const lines = () => broker.logs.filter(({ event, connection }) => event === "webhook" && connection === inbox.id);
  await until(() => lines().length >= count, `line ${count} of ${inbox.id}`);
  return lines().map(({ event, connection, ms, ...rest }) => {
    assert.ok(Number.isInteger(ms) && ms >= 0, `${inbox.id}: ${ms} ms`);
    return rest;
  });
}

/**
 * Sends one event, whose first attempt is answered by `answer` and the second by a success.
 *
 * @param {Inbox} inbox
 * @param {DeliveryReply} answer
 * @param {{ outcome?: string, atLeast?: number }} [expected]
 */
async function retried(inbox, answer, { outcome = "refused", atLeast = SECOND_ATTEMPT_MS } = {}) {
  inbox.answer(answer);
  await accept(broker, inbox);
  await delivered(inbox, 2);
  await settled(broker, inbox);
  const [first, second, ...more] = inbox.deliveries;
  assert.deepEqual(more, []);
  assert.equal(second.id, first.id);
  assert.ok(second.body.equals(first.body), `${first.text}\n${second.text}`);
  assert.ok(second.at - first.at >= atLeast, `the second attempt came ${second.at - first.at} ms after the first`);
  // Each attempt is signed for its own time.
  const [one, other] = [first, second].map(({ headers }) => Number(headers["webhook-timestamp"]));
  assert.ok(other - one >= Math.floor(atLeast / 1_000) - 1, `signed for ${one} and ${other}`);
  const status = answer.status ? { status: answer.status } : {};
  assert.deepEqual(await attempts(inbox, 2), [
    { webhook_id: first.id, attempt: 1, outcome, ...status },
    { webhook_id: first.id, attempt: 2, outcome: "delivered", status: 204 },
  ]);
}

describe("a receiver", { concurrency: true }, () => {
  test("that does not answer gets the event once more", () =>
    retried(c.hang, { hang: true }, { outcome: "timeout", atLeast: 15_000 }));

  test("that takes ten seconds to answer gets the event once", async () => {
    c.slow.answer({ delay: 10_000, status: 200 });
    await accept(broker, c.slow);
    await settled(broker, c.slow);
    assert.equal(c.slow.deliveries.length, 1);
  });

  test("whose Retry-After makes a wait longer is waited for, and one attempt comes after it", () =>
    retried(c["retry-after"], { status: 503, headers: { "Retry-After": "9" } }, { atLeast: 8_500 }));

  test("may give a date in Retry-After", () => {
    const date = new Date(Date.now() + 12_000);
    date.setMilliseconds(0);
    const answer = { status: 429, headers: { "Retry-After": date.toUTCString() } };
    return retried(c["retry-after-date"], answer).then(() => {
      const { at } = c["retry-after-date"].deliveries[1];
      assert.ok(at >= date.getTime() - 500, `${date.getTime() - at} ms too early`);
    });
  });

  /**
   * Waits until `inbox` has one failed event and nothing else, and gives its entry.
   *
   * @param {Inbox} inbox
   */
  async function failed(inbox) {
    const [entry, ...more] = await until(async () => {
      const all = await listed(broker, inbox.id, "failed");
      return all.length && all;
    }, `the failure of ${inbox.id}`);
    assert.deepEqual(more, []);
    await settled(broker, inbox);
    return entry;
  }

  test("that answers 410 at the second attempt gets no third", async () => {
    const inbox = c["gone-later"];
    inbox.answer({ status: 500 }, { status: 410 });
    await accept(broker, inbox);
    const { attempts: count, outcome, status } = await failed(inbox);
    assert.deepEqual([count, outcome, status], [2, "gone", 410]);
    assert.equal(inbox.deliveries.length, 2);
  });
});
