// Tables in an object's storage that throw: a call that needs them still gets an answer, and the next call finds the
// stored rows.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { startBroker } from "./support/broker.mjs";
import { ADMIN_KEY, accept, operate, sendEvent } from "./support/events.mjs";
import { startReceiver } from "./support/receiver.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Inbox, Receiver } from "./support/receiver.mjs" */

// Around the broker: /fail/{when} has the tables of all objects throw from now on, where `when` is a name below.
const ENTRY = `
import broker, { Keeper as Built } from "./index.js";
let when;
let isWrapped = false;
const fail = () => { throw new Error("disk I/O error"); };
export class Keeper extends Built {
  constructor(ctx, env) {
    super(ctx, env);
    if (isWrapped) return;
    isWrapped = true;
    const sql = Object.getPrototypeOf(ctx.storage.sql);
    const { exec } = sql;
    sql.exec = function (...given) {
      if (when === "asked") fail();
      const rows = exec.apply(this, given);
      const failing = { next: fail, toArray: fail, one: fail, raw: () => failing, [Symbol.iterator]: () => failing };
      return when === "read" ? failing : rows;
    };
  }
}
export default {
  fetch(request, env, context) {
    const [, first, second] = new URL(request.url).pathname.split("/");
    if (first !== "fail") return broker.fetch(request, env, context);
    when = second;
    return new Response();
  },
};`;

/** @type {Receiver} */
let receiver;
/** @type {Inbox} */
let inbox;
/** @type {Broker} */
let broker;

before(async () => {
  receiver = await startReceiver();
  inbox = receiver.inbox("inbox");
  broker = await startBroker({
    vars: { CONNECTIONS: receiver.vars },
    secrets: { ADMIN_KEY, ...receiver.secrets },
    around: { "main.js": ENTRY },
  });
});

after(async () => {
  await broker?.stop();
  await receiver?.close();
});

const connections = () => broker.call("/admin/connections", { key: ADMIN_KEY });

for (const [when, what] of [
  ["asked", "a query throws"],
  ["read", "the rows of a query throw"],
]) {
  describe(`where ${what}`, () => {
    before(async () => {
      // The object lives: it does not begin with the failure.
      await accept(broker, inbox);
      assertStatus(await broker.call(`/fail/${when}`));
    });

    after(async () => assertStatus(await broker.call("/fail/never")));

    test("an event is not acknowledged, and the log tells why", async () => {
      const since = broker.output.length;
      assertProblem(await sendEvent(broker, inbox), 503, "connection_unavailable");
      const line = await broker.logged(({ event }) => event === "storage_failed", { since });
      assert.equal(line.record, "webhooks");
    });

    test("the operators' list of events, and of connections, cannot be had", async () => {
      assertProblem(await operate(broker, inbox.id), 503, "connection_unavailable");
      assertProblem(await connections(), 503, "connection_unavailable");
    });

    test("all is as before once the storage is well", async () => {
      assertStatus(await broker.call("/fail/never"));
      await accept(broker, inbox);
      assertStatus(await operate(broker, inbox.id));
      assertStatus(await connections());
    });
  });
}
