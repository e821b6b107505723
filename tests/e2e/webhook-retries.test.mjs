// How the broker treats the receiver's answers: delivered, retried, or given up.
//
// The waits are the broker's own: 5 s, 30 s, 2 min, and so on. The tests of this file therefore wait concurrently, and
// check only the announced time of an attempt that is far away; tests/drills/ waits for some of those.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { startBroker } from "./support/broker.mjs";
import { accept, ADMIN_KEY, delivered, listed, sendEvent, settled } from "./support/events.mjs";
import { until } from "./support/until.mjs";
import { startReceiver } from "./support/receiver.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { DeliveryReply, Inbox, InboxSettings, Receiver } from "./support/receiver.mjs" */

// A wait is shorter by a tenth at most, and the clocks of the two ends round.
const SECOND_ATTEMPT_MS = 4_400;
const THIRD_ATTEMPT_MS = 26_000;
// Times are told in whole seconds: of two that are four and a half apart, four may be left.
const SECOND_ATTEMPT_TOLD_MS = 4_000;
const DAY_MS = 86_400_000;

const DELIVERED = [200, 201, 202, 203, 204, 206, 299];
const REFUSED = [400, 401, 403, 404, 409, 429, 500, 502, 503];
const REDIRECTS = [301, 302, 303, 307, 308];

/** @type {Receiver} */
let receiver;
/** @type {Receiver} */
let elsewhere;
/** @type {Receiver} */
let unreachable;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Inbox }} */
const c = {};

before(async () => {
  [receiver, elsewhere, unreachable] = await Promise.all([startReceiver(), startReceiver(), startReceiver()]);
  /**
   * @param {string} id
   * @param {InboxSettings} [settings]
   */
  const add = (id, settings) => (c[id] = receiver.inbox(id, settings));
  for (const status of [...DELIVERED, ...REFUSED, ...REDIRECTS, 304]) add(`s${status}`);
  for (const id of [
    "reset",
    "endless",
    "gone",
    "gone-again",
    "again",
    "duplicated",
    "third",
    "others",
    "stuck",
    "slowly",
    "retry-after-date",
    "retry-after-short",
    "retry-after-nonsense",
    "retry-after-hour",
    "retry-after-year",
  ])
    add(id);
  c.unreachable = unreachable.inbox("unreachable");
  broker = await startBroker({
    vars: { CONNECTIONS: { ...receiver.vars, ...unreachable.vars } },
    secrets: { ADMIN_KEY, ...receiver.secrets, ...unreachable.secrets },
  });
});

afterEach(() => {
  for (const one of [receiver, elsewhere, unreachable]) one.verify();
});

after(async () => {
  await broker?.stop();
  await Promise.all([receiver, elsewhere, unreachable].map((one) => one?.close()));
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

/**
 * Sends one event whose first attempts are answered by `answers`; gives its entry in the list, and the wait that follows.
 *
 * @param {Inbox} inbox
 * @param {DeliveryReply[]} answers
 */
async function waiting(inbox, ...answers) {
  inbox.answer(...answers);
  await accept(broker, inbox);
  const entry = await until(async () => {
    const [one] = await listed(broker, inbox.id, "pending");
    return one?.attempts === answers.length && one.status === answers.at(-1)?.status && one;
  }, `the end of attempt ${answers.length} of ${inbox.id}`);
  const [last] = inbox.deliveries.slice(-1);
  return { entry, wait: Date.parse(entry.next_at) - last.at };
}

describe("a receiver", { concurrency: true }, () => {
  for (const status of DELIVERED) {
    test(`that answers ${status} has the event, and gets it no second time`, async () => {
      const inbox = c[`s${status}`];
      inbox.always = { status, body: "the receiver's own text" };
      await accept(broker, inbox);
      await settled(broker, inbox);
      assert.equal(inbox.deliveries.length, 1);
      assert.deepEqual(await attempts(inbox, 1), [
        { webhook_id: inbox.ids[0], attempt: 1, outcome: "delivered", status },
      ]);
    });
  }

  for (const status of [...REFUSED, 304]) {
    test(`that answers ${status} gets the event once more, after a wait`, () =>
      retried(c[`s${status}`], { status, body: "the receiver's own text" }));
  }

  for (const status of REDIRECTS) {
    test(`that redirects by ${status} gets the event once more: nothing goes to another address`, () =>
      retried(c[`s${status}`], { status, headers: { Location: `${elsewhere.url}/elsewhere` } }));
  }

  test("that breaks off gets the event once more", () => retried(c.reset, { reset: true }, { outcome: "unreachable" }));

  test("whose answer never ends has the event all the same", async () => {
    c.endless.answer({ endless: true });
    await accept(broker, c.endless);
    await settled(broker, c.endless);
    assert.equal(c.endless.deliveries.length, 1);
  });

  test("that cannot be reached gets the event when it can be", async () => {
    await unreachable.shut();
    await accept(broker, c.unreachable);
    const [first] = await attempts(c.unreachable, 1);
    const { webhook_id, ...rest } = first;
    assert.deepEqual(rest, { attempt: 1, outcome: "unreachable" });
    await unreachable.open();
    await delivered(c.unreachable, 1);
    await settled(broker, c.unreachable);
    assert.deepEqual(c.unreachable.ids, [webhook_id]);
  });

  /**
   * Lets `inbox` answer nothing until the function that this gives is called.
   *
   * @param {Inbox} inbox
   */
  function held(inbox) {
    /** @type {PromiseWithResolvers<void>} */
    const { promise: hold, resolve: release } = Promise.withResolvers();
    inbox.always = { status: 204, hold };
    return () => {
      inbox.always = { status: 204 };
      release();
    };
  }

  test("that is slow gets more events meanwhile, five at once at most", async () => {
    const release = held(c.slowly);
    try {
      for (let i = 0; i < 8; i += 1) await accept(broker, c.slowly);
      // Shorter than an attempt may take: none of the five has ended.
      await delivered(c.slowly, 5, 12_000);
    } finally {
      release();
    }
    await settled(broker, c.slowly);
    assert.equal(new Set(c.slowly.ids).size, 8);
    assert.deepEqual([c.slowly.deliveries.length, c.slowly.maxConcurrent], [8, 5]);
  });

  test("that is slow holds up no other", async () => {
    const release = held(c.stuck);
    try {
      await accept(broker, c.stuck);
      await delivered(c.stuck, 1);
      await accept(broker, c.others);
      await delivered(c.others, 1);
      assert.equal(c.stuck.deliveries.length, 1);
    } finally {
      release();
    }
    await settled(broker, c.stuck);
  });

  test("gets the same event no sooner and no oftener because its sender repeats it", async () => {
    const inbox = c.duplicated;
    const event = inbox.event();
    inbox.answer({ status: 500 });
    await accept(broker, inbox, event);
    await delivered(inbox, 1);
    for (let i = 0; i < 20; i += 1) await accept(broker, inbox, event);
    await delivered(inbox, 2);
    await settled(broker, inbox);
    assert.equal(inbox.deliveries.length, 2);
    assert.ok(inbox.deliveries[1].at - inbox.deliveries[0].at >= SECOND_ATTEMPT_MS);
  });

  test("that refuses twice is given longer", async () => {
    const { wait, entry } = await waiting(c.third, { status: 500 }, { status: 502 });
    assert.deepEqual([entry.attempts, entry.outcome, entry.status], [2, "refused", 502]);
    assert.ok(wait >= THIRD_ATTEMPT_MS, `${wait} ms`);
  });
});

describe("Retry-After", { concurrency: true }, () => {
  /**
   * From the event's acceptance to its second attempt, as the broker tells both.
   *
   * @param {Inbox} inbox
   * @param {DeliveryReply} answer
   */
  async function waitOf(inbox, answer) {
    const { entry } = await waiting(inbox, answer);
    return Date.parse(entry.next_at) - Date.parse(entry.accepted_at);
  }

  test("may be a date", async () => {
    const date = new Date(Date.now() + 600_000);
    date.setMilliseconds(0);
    const { entry } = await waiting(c["retry-after-date"], {
      status: 429,
      headers: { "Retry-After": date.toUTCString() },
    });
    const late = Date.parse(entry.next_at) - date.getTime();
    assert.ok(late >= -500 && late < 60_000, `${late} ms after the date`);
  });

  test("makes no wait shorter", async () => {
    const wait = await waitOf(c["retry-after-short"], { status: 503, headers: { "Retry-After": "0" } });
    assert.ok(wait >= SECOND_ATTEMPT_TOLD_MS, `${wait} ms`);
  });

  test("that says nothing makes no difference", async () => {
    const answer = { status: 503, headers: { "Retry-After": "soon, or -5" } };
    const wait = await waitOf(c["retry-after-nonsense"], answer);
    assert.ok(wait >= SECOND_ATTEMPT_TOLD_MS && wait < THIRD_ATTEMPT_MS, `${wait} ms`);
  });

  test("of an hour is an hour", async () => {
    const { wait } = await waiting(c["retry-after-hour"], { status: 503, headers: { "Retry-After": "3600" } });
    assert.ok(wait >= 3_598_000, `${wait} ms`);
  });

  test("of a year ends with the day in which the event is tried", async () => {
    const { entry } = await waiting(c["retry-after-year"], { status: 503, headers: { "Retry-After": "31536000" } });
    const wait = Date.parse(entry.next_at) - Date.parse(entry.accepted_at);
    assert.ok(wait > 3_600_000 && wait <= DAY_MS + 1_000, `${wait} ms`);
  });
});

describe("a receiver that answers 410", { concurrency: true }, () => {
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

  test("gets the event no second time, and the operator sees it", async () => {
    c.gone.always = { status: 410 };
    await accept(broker, c.gone);
    const { id, attempts: count, outcome, status } = await failed(c.gone);
    assert.deepEqual([id, count, outcome, status], [c.gone.ids[0], 1, "gone", 410]);
    assert.equal(c.gone.deliveries.length, 1);
    assert.deepEqual(await attempts(c.gone, 1), [
      { webhook_id: id, attempt: 1, outcome: "gone", status: 410, level: "error", failed: true },
    ]);
  });

  test("has the event anew where its sender sends it again", async () => {
    const inbox = c["gone-again"];
    const event = inbox.event();
    inbox.answer({ status: 410 });
    await accept(broker, inbox, event);
    await failed(inbox);
    await accept(broker, inbox, event);
    await delivered(inbox, 2);
    await settled(broker, inbox);
    for (let i = 0; i < 3; i += 1) await accept(broker, inbox, event);
    await settled(broker, inbox);
    assert.equal(inbox.deliveries.length, 2);
    assert.equal(inbox.texts[1], inbox.texts[0]);
  });

  test("is sent other events all the same", async () => {
    const inbox = c.again;
    inbox.answer({ status: 410 });
    await accept(broker, inbox);
    await failed(inbox);
    assert.equal((await sendEvent(broker, inbox)).status, inbox.accepted);
    await settled(broker, inbox);
    assert.equal(new Set(inbox.ids).size, 2);
  });
});
