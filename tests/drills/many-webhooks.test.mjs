// A thousand concurrent events, and a broker that is killed while events arrive and while they are delivered: the next
// attempt at an interrupted delivery follows half a minute later.

import assert from "node:assert/strict";
import { Agent } from "node:http";
import { after, afterEach, before, describe, test } from "node:test";
import { startBroker } from "../e2e/support/broker.mjs";
import {
  accept,
  ADMIN_KEY,
  assertEachOnce,
  delivered,
  newEvents,
  sendAll,
  sendEvent,
  settled,
} from "../e2e/support/events.mjs";
import { startReceiver } from "../e2e/support/receiver.mjs";

/** @import { Broker } from "../e2e/support/broker.mjs" */
/** @import { Inbox, Receiver } from "../e2e/support/receiver.mjs" */

const EVENTS = 1_000;

// How long what has to come may take on a slow machine.
const PATIENCE = 180_000;

/** @type {Receiver} */
let receiver;
/** @type {Receiver} */
let closed;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Inbox }} */
const c = {};

before(async () => {
  [receiver, closed] = await Promise.all([startReceiver(), startReceiver()]);
  for (const id of ["burst", "burst-repeated", "done", "unanswered"]) c[id] = receiver.inbox(id);
  for (const id of ["killed", "killed-again"]) c[id] = closed.inbox(id);
  broker = await startBroker({
    vars: { CONNECTIONS: { ...receiver.vars, ...closed.vars } },
    secrets: { ADMIN_KEY, ...receiver.secrets, ...closed.secrets },
  });
});

afterEach(() => {
  receiver.verify();
  closed.verify();
});

after(async () => {
  await broker?.stop();
  await Promise.all([receiver, closed].map((one) => one?.close()));
});

describe(`${EVENTS} events at once`, () => {
  test("are all accepted, and each is delivered once, signed, five at a time at most", async (t) => {
    const inbox = c.burst;
    const events = newEvents(inbox, EVENTS);
    const began = performance.now();
    await sendAll(broker, inbox, events);
    const accepted = performance.now();
    await delivered(inbox, EVENTS, PATIENCE);
    await settled(broker, inbox, PATIENCE);
    assertEachOnce(inbox, events);
    assert.ok(inbox.maxConcurrent <= 5, `${inbox.maxConcurrent} at once`);
    /** @param {number} ms */
    const seconds = (ms) => `${Math.round(ms / 100) / 10} s`;
    t.diagnostic(
      `${EVENTS} events accepted in ${seconds(accepted - began)} and delivered in ${seconds(performance.now() - began)}, ${inbox.maxConcurrent} at once`,
    );
  });

  test("of which most repeat others are all accepted, and each is delivered once", async () => {
    const inbox = c["burst-repeated"];
    const events = newEvents(inbox, EVENTS / 10);
    await sendAll(
      broker,
      inbox,
      Array.from({ length: EVENTS }, (_, i) => events[i % events.length]),
    );
    await settled(broker, inbox, PATIENCE);
    assertEachOnce(inbox, events);
  });
});

describe("a broker that is killed", () => {
  /** @type {{ [id: string]: string[] }} */
  const events = {};

  // Nobody asks for anything but the sender: an event is delivered without further calls.
  test("right after it accepted events delivers them when it is there again", async () => {
    await closed.shut();
    events.done = newEvents(c.done, 3);
    await sendAll(broker, c.done, events.done);
    await settled(broker, c.done);
    c.unanswered.answer({ hang: true });
    events.unanswered = newEvents(c.unanswered, 1);
    await accept(broker, c.unanswered, events.unanswered[0]);
    await delivered(c.unanswered, 1);
    events.killed = newEvents(c.killed, 20);
    await sendAll(broker, c.killed, events.killed);
    await broker.kill();
    await closed.open();
    await broker.restart();
    await delivered(c.killed, 20);
    await settled(broker, c.killed);
    assertEachOnce(c.killed, events.killed);
  });

  test("before the receiver answered delivers the event once more, under the same id", async () => {
    const inbox = c.unanswered;
    await delivered(inbox, 2);
    await settled(broker, inbox);
    assert.equal(inbox.deliveries.length, 2);
    assert.equal(inbox.ids[1], inbox.ids[0]);
    assert.equal(inbox.texts[1], inbox.texts[0]);
  });

  test("knows afterwards what was delivered: the same events go nowhere", async () => {
    for (const [id, count] of /** @type {[id: string, count: number][]} */ ([
      ["done", 3],
      ["killed", 20],
      ["unanswered", 2],
    ])) {
      await sendAll(broker, c[id], events[id]);
      await settled(broker, c[id]);
      assert.equal(c[id].deliveries.length, count, id);
    }
  });

  test("five times while events come in loses none, whichever were accepted", async () => {
    const inbox = c["killed-again"];
    /** @type {string[]} */
    const accepted = [];
    for (let round = 1; round <= 5; round += 1) {
      const sent = newEvents(inbox, 60);
      const agent = new Agent({ keepAlive: true, maxSockets: 10 });
      let answers = 0;
      const { promise: some, resolve: enough } = Promise.withResolvers();
      const all = sent.map(async (event) => {
        const answer = await sendEvent(broker, inbox, event, { agent }).catch(() => undefined);
        if (answer?.status === inbox.accepted) accepted.push(event);
        answers += 1;
        if (answers === 20) enough(undefined);
      });
      await some;
      await broker.kill();
      await Promise.all(all);
      agent.destroy();
      await broker.restart();
    }
    assert.ok(accepted.length >= 50, `only ${accepted.length} were accepted`);
    await settled(broker, inbox, PATIENCE);
    /** @param {string} text */
    const idOf = (text) => JSON.parse(text).id;
    const arrived = new Set(inbox.texts.map(idOf));
    assert.deepEqual(
      accepted.map(idOf).filter((id) => !arrived.has(id)),
      [],
    );
    // What was delivered when the broker was killed comes again, under its id.
    const ids = new Map(inbox.deliveries.map(({ id, text }) => [text, id]));
    assert.deepEqual(
      inbox.deliveries.filter(({ id, text }) => ids.get(text) !== id),
      [],
    );
    assert.equal(new Set(ids.values()).size, ids.size);
  });
});
