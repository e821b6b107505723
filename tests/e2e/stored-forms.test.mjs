// The stored records of each kind of object, their keys and their tables: other versions of the broker read them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { ADMIN_KEY, accept, settled } from "./support/events.mjs";
import { Person } from "./support/person.mjs";
import { startReceiver } from "./support/receiver.mjs";
import { formOf, storedObjects } from "./support/stored.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Receiver } from "./support/receiver.mjs" */
/** @import { Stored } from "./support/stored.mjs" */
/** @import { Upstream } from "./support/upstream.mjs" */

/** @type {Upstream} */
let upstream;
/** @type {Receiver} */
let receiver;
/** @type {Broker} */
let broker;
/** @type {Stored[]} */
let objects;

before(async () => {
  [upstream, receiver] = await Promise.all([startUpstream(), startReceiver()]);
  const service = upstream.connection("service", { fields: { rules: [EVERYTHING] } });
  const people = upstream.connection("people", { users: {} });
  const inbox = receiver.inbox("inbox");
  broker = await startBroker({
    vars: { CONNECTIONS: { ...upstream.vars, ...receiver.vars } },
    secrets: { ADMIN_KEY, ...upstream.secrets, ...receiver.secrets },
  });
  assertStatus(await broker.call(service.api("/echo")));
  await new Person(broker, people).signIn(people);
  await accept(broker, inbox);
  await settled(broker, inbox);
  const registered = upstream.connection("registered", { grant: "password" });
  const json = { ...registered.vars, secrets: JSON.parse(JSON.stringify(registered.credentials)) };
  assertStatus(await broker.call("/admin/connections/registered", { key: ADMIN_KEY, method: "PUT", json }), 201);
  await broker.kill();
  objects = Object.values(await storedObjects(broker.persistTo));
});

after(async () => {
  await broker?.stop();
  await upstream?.close();
  await receiver?.close();
});

test("objects store what they always did: texts by key, a role where there is an alarm, and no table but their own", () => {
  const events = "records (id,list,due,row,event)";
  assert.deepEqual(objects.map(formOf).sort(), [
    // Of the address, and of the name, that a person signed in by.
    '"Refusals", refusals',
    '"Refusals", refusals',
    "no role, connection",
    "no role, ids (id)",
    // Emptied for a connection that was registered.
    `no role, ${events}`,
    `{"Deliveries":"inbox"}, ${events}`,
    '{"Service":"service"}, state',
    '{"Session":"session/…"}, session, session/people',
  ]);
});

test("token sets, registrations and sessions are sealed as a whole", () => {
  const sealed = objects.flatMap(({ texts: { role, refusals, ...others } }) => Object.values(others));
  assert.equal(sealed.length, 4);
  for (const text of sealed) assert.match(text, /^1\.k1\.[\w-]+$/);
});
