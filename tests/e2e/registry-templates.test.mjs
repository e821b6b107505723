// Registered connections that share a template: many tenants under one caller, changed by merge patches, listed by
// label, and changed together by a deployment. With `TENANTS=10000` there are that many.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import { makeKey, startIssuer } from "./support/issuer.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker, Vars } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Issuer } from "./support/issuer.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

/** @typedef {{ field: string, message: string }} Fault */

const OPERATOR = "operator-key-0123456789abcdef";
const TENANTS = Number(process.env.TENANTS ?? 60);
const AT_ONCE = 16;

/** @type {Upstream} */
let upstream;
/** @type {Issuer} */
let issuer;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let account;
const agent = keepAlive();

/**
 * @param {string} path below `/admin/connections`
 * @param {CallOptions} [options]
 */
const operate = (path, options = {}) =>
  broker.call(`/admin/connections${path}`, { key: OPERATOR, agent, timeout: 60_000, ...options });
/**
 * @param {string} id
 * @param {unknown} json
 */
const put = (id, json) => operate(`/${id}`, { method: "PUT", json });
/**
 * @param {string} id
 * @param {unknown} patch
 * @param {string} [type]
 */
const patch = (id, patch, type = "application/merge-patch+json") =>
  operate(`/${id}`, { method: "PATCH", body: JSON.stringify(patch), headers: { "Content-Type": type } });
/** @param {string} id */
const shown = async (id) => assertStatus(await operate(`/${id}`)).json();
/** @param {string} query */
const listed = async (query) => {
  /** @type {{ connections: { id: string }[], next: string | null }} */
  const { connections, next } = assertStatus(await operate(`?${query}`)).json();
  return { ids: connections.map(({ id }) => id), next };
};

/**
 * A call with the token of `tenant` to the connection called `id`.
 *
 * @param {string} tenant
 * @param {string} id
 * @param {string} [path]
 */
const call = (tenant, id, path = "/echo") =>
  broker.call(`/api/${id}${path}`, { key: issuer.token({ claims: { tenant } }), agent });

/** @param {Vars} [changes] */
const registration = (changes = {}) => ({
  template: "shop",
  labels: { plan: "basic" },
  secrets: JSON.parse(JSON.stringify(account.credentials)),
  ...changes,
});

/** @param {string[]} paths */
const template = (paths) => ({
  ...account.vars,
  rules: [{ callers: ["tenants"], methods: ["GET"], paths, claims: { tenant: "{connection}" } }],
});

/**
 * @param {import("./support/client.mjs").Answer} answer
 * @param {string[]} fields
 */
function assertFaults(answer, fields) {
  /** @type {{ problems: Fault[] }} */
  const { problems } = assertProblem(answer, 400, "bad_request");
  assert.deepEqual(problems.map(({ field }) => field).sort(), fields);
  assert.ok(problems.every(({ message }) => message.length > 5) && !answer.text.includes("canary"));
}

/**
 * Does `act` for each id, some at once.
 *
 * @param {string[]} list
 * @param {(id: string, at: number) => Promise<unknown>} act
 */
async function each(list, act) {
  const left = list.map((id, at) => ({ id, at }));
  const hand = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await act(next.id, next.at);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, hand));
}

before(async () => {
  upstream = await startUpstream();
  account = upstream.connection("account", { grant: "password" });
  issuer = await startIssuer({ keys: [makeKey("ES256")], audience: "broker" });
  broker = await startBroker({
    vars: {
      CALLERS: { backend: { kind: "key" }, tenants: { kind: "jwt", issuer: issuer.issuer, audience: "broker" } },
      TEMPLATES: { shop: template(["/echo", "/of/{labels.plan}/**"]), wrong: { provider: "none" } },
    },
    secrets: { ADMIN_KEY: OPERATOR },
  });
});

after(async () => {
  agent.destroy();
  await broker?.stop();
  await issuer?.close();
  upstream?.verify();
  await upstream?.close();
});

describe("a connection with a template", () => {
  test("has the template's fields, and shows its own", async () => {
    assertStatus(await put("own", registration()), 201);
    const { template: name, labels, connection, secrets, state } = await shown("own");
    assert.deepEqual([name, labels, state], ["shop", { plan: "basic" }, "cold"]);
    assert.deepEqual(connection, { template: "shop", labels: { plan: "basic" } });
    assert.deepEqual(secrets, ["client_id", "client_secret", "password", "username"]);
    assertStatus(await call("own", "own"));
    assertProblem(await call("other", "own"), 403, "operation_not_allowed");
    assertProblem(await call("own", "own", "/of/gold/x"), 403, "operation_not_allowed");
  });

  test("is refused where the template is unknown or wrong", async () => {
    for (const unknown of ["none", "wrong", 7, null]) {
      assertFaults(await put("lost", registration({ template: unknown })), ["template"]);
      assertFaults(await patch("own", { template: unknown === null ? "canary" : unknown }), ["template"]);
    }
    assertProblem(await operate("/lost"), 404, "unknown_connection");
  });
});

describe("a merge patch", () => {
  test("changes what it names alone", async () => {
    assertStatus(await put("patched", registration({ timeout_ms: 9000 })), 201);
    assertStatus(await call("patched", "patched"));
    const requests = account.tokenRequests.length;
    const answer = assertStatus(await patch("patched", { labels: { plan: "gold", place: "north" }, timeout_ms: null }));
    assert.deepEqual(answer.json().labels, { plan: "gold", place: "north" });
    assertStatus(await patch("patched", { secrets: { password: account.credentials.password } }));
    assert.deepEqual((await shown("patched")).connection, {
      template: "shop",
      labels: { plan: "gold", place: "north" },
    });
    assertStatus(await call("patched", "patched"));
    assert.equal(account.tokenRequests.length, requests, "the token set is the same");
  });

  test("gives the template's rules back by null", async () => {
    assertStatus(await patch("patched", { rules: [{ ...EVERYTHING, callers: ["backend"] }] }));
    assertStatus(await broker.call("/api/patched/echo"));
    assertProblem(await call("patched", "patched"), 403, "operation_not_allowed");
    assertStatus(await patch("patched", { rules: null }));
    assertProblem(await broker.call("/api/patched/echo"), 403, "operation_not_allowed");
    assertStatus(await call("patched", "patched"));
  });

  test("that is wrong changes nothing", async () => {
    const was = await shown("patched");
    assertFaults(await patch("patched", { timeout_ms: "canary", colour: 1, labels: { plan: "x" } }), [
      "colour",
      "timeout_ms",
    ]);
    assertFaults(await patch("patched", { secrets: { password: null } }), ["secrets.password"]);
    assertFaults(await patch("patched", { secrets: "canary" }), ["secrets"]);
    for (const wrong of [[], 7, null, "text"]) assertFaults(await patch("patched", wrong), ["body"]);
    for (const body of ["", "{", '{"labels":{"plan":"x"},"labels":{}}', `{"a":${"[".repeat(200)}${"]".repeat(200)}}`]) {
      const headers = { "Content-Type": "application/merge-patch+json" };
      assertFaults(await operate("/patched", { method: "PATCH", body, headers }), ["body"]);
      assertFaults(await operate("/patched", { method: "PUT", body }), ["body"]);
    }
    assertFaults(await patch("patched", { labels: { plan: "x" } }, "application/json"), ["content-type"]);
    for (const value of ["", "canary", 7, {}])
      assertFaults(await patch("patched", { secrets: { pasword: value } }), ["secrets.pasword"]);
    assertFaults(await put("patched", registration({ secrets: { ...account.credentials, pasword: "" } })), [
      "secrets.pasword",
    ]);
    const told = await patch("patched", []);
    assert.match(told.json().detail, /not registered or changed/);
    const headers = { "Content-Type": "application/merge-patch+json", "Accept-Language": "pt-BR" };
    const portuguese = await operate("/patched", { method: "PATCH", body: "[]", headers });
    assert.match(portuguese.json().detail, /não foi registrada nem alterada/);
    assert.deepEqual(await shown("patched"), was);
    assertProblem(await patch("none", { labels: {} }), 404, "unknown_connection");
  });

  test("has no secret sent elsewhere", async () => {
    const elsewhere = upstream.connection("elsewhere", { grant: "password" });
    assertFaults(await patch("patched", { token_url: elsewhere.tokenUrl, secrets: { username: "canary" } }), [
      "secrets.client_id",
      "secrets.client_secret",
      "secrets.password",
    ]);
    assert.equal(elsewhere.tokenRequests.length, 0);
  });

  test("loses none of others at the same time", async () => {
    const names = Array.from({ length: 12 }, (_, number) => `l${number}`);
    await each(names, async (name) => assertStatus(await patch("patched", { labels: { [name]: "x" } })));
    assert.equal(Object.keys((await shown("patched")).labels).length, 14);
    await broker.restart();
    assert.equal(Object.keys((await shown("patched")).labels).length, 14);
  });
});

describe(`${TENANTS} tenants under one caller and one template`, () => {
  const ids = Array.from({ length: TENANTS }, (_, number) => `t-${String(number).padStart(5, "0")}`);

  test("each open their own connection and no other", async () => {
    await each(ids, async (id, at) => {
      const made = registration({ labels: { plan: at % 3 ? "basic" : "gold" } });
      assertStatus(await put(id, made), 201);
    });
    await each(ids, async (id, at) => {
      assertStatus(await call(id, id));
      for (const other of [at + 1, at + 7].map((number) => ids[number % TENANTS]))
        assertProblem(await call(id, other), 403, "operation_not_allowed");
    });
  });

  test("are listed by label", async () => {
    const gold = ids.filter((_, at) => at % 3 === 0);
    /** @type {string[]} */
    const found = [];
    /** @type {string | null} */
    let after = "t-";
    do {
      const page = await listed(`label=plan:gold&limit=9&after=${after}`);
      found.push(...page.ids);
      after = page.next;
    } while (after !== null);
    assert.deepEqual(found, gold);
    assertStatus(await patch(gold[0], { labels: { plan: "basic" } }));
    assert.ok(!(await listed("label=plan:gold&after=t-")).ids.includes(gold[0]));
    assert.deepEqual((await listed("label=plan:gold&q=patched")).ids, ["patched"]);
    assert.deepEqual((await listed("label=plan:none")).ids, []);
    assertProblem(await operate("?label=plan"), 400, "bad_request");
    assertProblem(await operate("?label=plan:gold&label=place:north"), 400, "bad_request");
    const all = await listed("q=t-&limit=100");
    assert.deepEqual(all.ids, ids.slice(0, 100));
  });

  test("get a new path with one deployment", async () => {
    assertProblem(await call(ids[1], ids[1], "/status/200"), 403, "operation_not_allowed");
    await broker.restart({ vars: { TEMPLATES: { shop: template(["/status/*", "/of/{labels.plan}"]) } } });
    for (const id of ids.slice(1, 4)) {
      assertStatus(await call(id, id, "/status/200"));
      assertProblem(await call(id, id), 403, "operation_not_allowed");
    }
    await broker.restart({ vars: { TEMPLATES: {} } });
    assertProblem(await call(ids[1], ids[1], "/status/200"), 503, "misconfigured");
    const { state, template: name, labels } = await shown(ids[1]);
    assert.deepEqual([state, name, labels], ["misconfigured", "shop", { plan: "basic" }]);
    /** @type {{ connections: { labels: { plan?: string } }[] }} */
    const { connections } = assertStatus(await operate("?label=plan:basic&after=t-")).json();
    assert.ok(connections.length > 9 && connections.every((entry) => entry.labels.plan === "basic"));
  });
});
