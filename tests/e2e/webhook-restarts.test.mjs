// A broker that is configured anew while events wait: with other sealing keys, or without
// what a delivery needs.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { sealingKey, startBroker } from "./support/broker.mjs";
import {
  accept,
  ADMIN_KEY,
  assertEachOnce,
  delivered,
  listed,
  newEvents,
  sendAll,
  sendEvent,
  settled,
} from "./support/events.mjs";
import { newSecret, startReceiver } from "./support/receiver.mjs";

// How long what has to come may take on a slow machine: a misconfigured webhook is looked at every minute.
const PATIENCE = 180_000;

const FIRST_KEY = sealingKey("k1");

let receiver, closed, broker;
const c = {};

before(async () => {
  [receiver, closed] = await Promise.all([startReceiver(), startReceiver()]);
  c.rotated = receiver.inbox("rotated");
  for (const id of ["sealed-before", "without-secret", "unopened"]) c[id] = closed.inbox(id);
  broker = await startBroker({
    vars: { CONNECTIONS: { ...receiver.vars, ...closed.vars } },
    secrets: { ADMIN_KEY, SEALING_KEYS: FIRST_KEY, ...receiver.secrets, ...closed.secrets },
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

describe("a broker that is configured anew while events wait", () => {
  test("delivers what another sealing key sealed as long as it has that, and knows the same events", async () => {
    await closed.shut();
    const [done, waiting] = [newEvents(c.rotated, 5), newEvents(c["sealed-before"], 5)];
    await sendAll(broker, c.rotated, done);
    await settled(broker, c.rotated);
    await sendAll(broker, c["sealed-before"], waiting);
    await broker.kill();
    await closed.open();
    await broker.restart({ secrets: { SEALING_KEYS: `${sealingKey("k2")},${FIRST_KEY}` } });
    await delivered(c["sealed-before"], 5);
    for (const [inbox, events] of [
      [c.rotated, done],
      [c["sealed-before"], waiting],
    ]) {
      await sendAll(broker, inbox, events);
      await settled(broker, inbox);
      assertEachOnce(inbox, events);
    }
  });

  test("lets them wait while the webhook is misconfigured, and then signs by the new secret", async () => {
    const inbox = c["without-secret"];
    await closed.shut();
    const events = newEvents(inbox, 2);
    await sendAll(broker, inbox, events);
    await broker.restart({ secrets: { WITHOUT_SECRET_WEBHOOK_SECRET: undefined } });
    assertProblem(await sendEvent(broker, inbox), 503, "misconfigured");
    await closed.open();
    inbox.signers = [newSecret()];
    await broker.restart({ secrets: { WITHOUT_SECRET_WEBHOOK_SECRET: inbox.signers[0] } });
    await delivered(inbox, 2, PATIENCE);
    await settled(broker, inbox);
    assertEachOnce(inbox, events);
  });

  test("says so where an event cannot be opened any more, and delivers nothing of it", async () => {
    const inbox = c.unopened;
    await closed.shut();
    await accept(broker, inbox);
    await broker.kill();
    await closed.open();
    const since = broker.output.length;
    await broker.restart({ secrets: { SEALING_KEYS: sealingKey("k3") } });
    const line = await broker.logged(
      (log) => log.event === "webhook" && log.connection === inbox.id && log.outcome === "unopened",
      {
        since,
        limit: PATIENCE,
        what: "the line of an event that does not open",
      },
    );
    assert.equal(line.status, undefined);
    assert.equal(inbox.deliveries.length, 0);
    // The connection goes on with new events.
    await accept(broker, inbox);
    await delivered(inbox, 1);
    assert.ok(Array.isArray(await listed(broker, inbox.id, "failed")));
    assertStatus(await broker.call("/healthz", { key: null }));
  });
});
