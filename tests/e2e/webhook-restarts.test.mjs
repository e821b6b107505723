// A broker that is reconfigured while events are pending: with other sealing keys, or without a setting that a delivery
// needs.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
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
  triedInVain,
} from "./support/events.mjs";
import { newSecret, startReceiver } from "./support/receiver.mjs";

/** @import { TestContext } from "node:test" */

// How long what has to come may take on a slow machine: a misconfigured webhook is looked at every minute.
const PATIENCE = 180_000;

const FIRST_KEY = sealingKey("k1");

/**
 * A broker in front of a receiver that is there and one that is not, each with an inbox.
 *
 * @param {TestContext} t
 */
async function start(t) {
  const [receiver, closed] = await Promise.all([startReceiver(), startReceiver()]);
  const [there, away] = [receiver.inbox("there"), closed.inbox("away")];
  await closed.shut();
  const broker = await startBroker({
    vars: { CONNECTIONS: { ...receiver.vars, ...closed.vars } },
    secrets: { ADMIN_KEY, SEALING_KEYS: FIRST_KEY, ...receiver.secrets, ...closed.secrets },
  });
  t.after(async () => {
    await broker.stop();
    await Promise.all([receiver, closed].map((one) => one.close()));
  });
  const verify = () => [receiver, closed].forEach((one) => one.verify());
  return { broker, closed, there, away, verify };
}

// Each has a broker of its own, so that all wait for their next attempts at once.
describe("a broker that is configured anew while events wait", { concurrency: true }, () => {
  test("delivers what another sealing key sealed as long as it has that, and knows the same events", async (t) => {
    const { broker, closed, there, away, verify } = await start(t);
    const [done, waiting] = [newEvents(there, 5), newEvents(away, 5)];
    await sendAll(broker, there, done);
    await settled(broker, there);
    await sendAll(broker, away, waiting);
    await triedInVain(broker, away, 5);
    await broker.kill();
    await closed.open();
    await broker.restart({ secrets: { SEALING_KEYS: `${sealingKey("k2")},${FIRST_KEY}` } });
    await delivered(away, 5);
    for (const [inbox, events] of /** @type {const} */ ([
      [there, done],
      [away, waiting],
    ])) {
      await sendAll(broker, inbox, events);
      await settled(broker, inbox);
      assertEachOnce(inbox, events);
    }
    verify();
  });

  test("lets them wait while the webhook is misconfigured, and then signs by the new secret", async (t) => {
    const { broker, closed, away, verify } = await start(t);
    const events = newEvents(away, 2);
    await sendAll(broker, away, events);
    await triedInVain(broker, away, 2);
    await broker.restart({ secrets: { AWAY_WEBHOOK_SECRET: undefined } });
    assertProblem(await sendEvent(broker, away), 503, "misconfigured");
    await closed.open();
    away.signers = [newSecret()];
    await broker.restart({ secrets: { AWAY_WEBHOOK_SECRET: away.signers[0] } });
    await delivered(away, 2, PATIENCE);
    await settled(broker, away);
    assertEachOnce(away, events);
    verify();
  });

  test("says so where an event cannot be opened any more, and delivers nothing of it", async (t) => {
    const { broker, closed, away, verify } = await start(t);
    await accept(broker, away);
    await triedInVain(broker, away, 1);
    await broker.kill();
    await closed.open();
    const since = broker.output.length;
    await broker.restart({ secrets: { SEALING_KEYS: sealingKey("k3") } });
    const line = await broker.logged(
      (log) => log.event === "webhook" && log.connection === away.id && log.outcome === "unopened",
      {
        since,
        limit: PATIENCE,
        what: "the line of an event that does not open",
      },
    );
    assert.equal(line.status, undefined);
    assert.equal(away.deliveries.length, 0);
    // The connection goes on with new events.
    await accept(broker, away);
    await delivered(away, 1);
    assert.ok(Array.isArray(await listed(broker, away.id, "failed")));
    assertStatus(await broker.call("/healthz", { key: null }));
    verify();
  });
});
