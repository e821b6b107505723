// The stored records of each kind of object, their keys and their tables: other versions of the broker read them.
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { deserialize } from "node:v8";
import { assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { ADMIN_KEY, accept, settled } from "./support/events.mjs";
import { Person } from "./support/person.mjs";
import { startReceiver } from "./support/receiver.mjs";
import { files } from "./support/search.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Receiver } from "./support/receiver.mjs" */
/** @import { Upstream } from "./support/upstream.mjs" */

/** @typedef {{ texts: { [key: string]: string }, tables: { [name: string]: string[] } }} Stored */

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
  const stored = Object.keys(await files(join(broker.persistTo, "do")));
  objects = stored.filter((path) => /\/[0-9a-f]{64}\.sqlite$/.test(path)).map(read);
});

after(async () => {
  await broker?.stop();
  await upstream?.close();
  await receiver?.close();
});

/** What the object whose database is at `path` stores. @param {string} path @returns {Stored} */
function read(path) {
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    const names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    const own = names.map(({ name }) => String(name)).filter((name) => !name.startsWith("_cf_"));
    /** @param {string} table */
    const columns = (table) => database.prepare(`SELECT name FROM pragma_table_info('${table}')`).all();
    const texts = names.some(({ name }) => name === "_cf_KV")
      ? database.prepare("SELECT key, value FROM _cf_KV").all()
      : [];
    return {
      texts: Object.fromEntries(texts.map(({ key, value }) => [key, deserialize(/** @type {Uint8Array} */ (value))])),
      tables: Object.fromEntries(own.map((table) => [table, columns(table).map(({ name }) => String(name))])),
    };
  } finally {
    database.close();
  }
}

/**
 * What of what is stored is the same whenever the test runs, as one text.
 * @param {Stored} object
 */
const formOf = ({ texts: { role = "no role", ...others }, tables }) => {
  const columns = Object.entries(tables).map(([name, of]) => `${name} (${of})`);
  return [role.replace(/[0-9a-f]{64}/, "…"), ...Object.keys(others).sort(), ...columns].join(", ");
};

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
