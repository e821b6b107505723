// Many concurrent events, and a broker that is killed while events are pending.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { startBroker } from "./support/broker.mjs";
import { ADMIN_KEY, assertEachOnce, delivered, newEvents, sendAll, settled, triedInVain } from "./support/events.mjs";
import { startReceiver } from "./support/receiver.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Inbox, Receiver } from "./support/receiver.mjs" */

// A thousand are sent in tests/drills/.
const EVENTS = 200;

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
  for (const id of ["burst", "burst-repeated", "done"]) c[id] = receiver.inbox(id);
  c.killed = closed.inbox("killed");
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
  // Nobody asks for anything but the sender: an event is delivered without further calls.
  test("after it accepted events delivers them when it is there again, and knows what was delivered before", async () => {
    const [done, killed] = [newEvents(c.done, 3), newEvents(c.killed, 20)];
    await sendAll(broker, c.done, done);
    await settled(broker, c.done);
    await closed.shut();
    await sendAll(broker, c.killed, killed);
    await triedInVain(broker, c.killed, 20);
    await broker.kill();
    await closed.open();
    await broker.restart();
    await delivered(c.killed, 20);
    for (const [inbox, events] of /** @type {const} */ ([
      [c.done, done],
      [c.killed, killed],
    ])) {
      await sendAll(broker, inbox, events);
      await settled(broker, inbox);
      assertEachOnce(inbox, events);
    }
  });
});
