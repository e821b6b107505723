// The operator's configuration, and how its problems are reported.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, KEY, ORIGIN, sealingKey, startBroker } from "./support/broker.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

// Stands in every broken value, and may be in no log line.
const CANARY = "canary-value";

const SOUND = {
  provider: "custom",
  base_url: "http://127.0.0.1:1/x",
  token_url: "http://127.0.0.1:1/token",
  grant: "client_credentials",
  client_id: "id",
  rules: [EVERYTHING],
};

/**
 * Each is sound but for `fields`; `named` is what the log has to name.
 *
 * @type {{ [id: string]: { fields: { [field: string]: unknown }, secret?: null, named: string[] } }}
 */
const BROKEN = {
  "unknown-field": { fields: { colour: CANARY }, named: ["colour"] },
  "wrong-number": { fields: { timeout_ms: CANARY }, named: ["timeout_ms"] },
  "negative-number": { fields: { timeout_ms: -5 }, named: ["timeout_ms"] },
  "wrong-text": { fields: { scope: { [CANARY]: 1 } }, named: ["scope"] },
  "wrong-list": { fields: { request_headers: CANARY }, named: ["request_headers"] },
  "wrong-table": { fields: { params: [CANARY] }, named: ["params"] },
  "unknown-provider": { fields: { provider: CANARY }, named: ["provider"] },
  "no-provider": { fields: { provider: undefined }, named: ["provider"] },
  "unknown-grant": { fields: { grant: CANARY }, named: ["grant"] },
  "unknown-body": { fields: { body: CANARY }, named: ["body"] },
  "unknown-auth": { fields: { client_auth: CANARY }, named: ["client_auth"] },
  "no-address": { fields: { base_url: undefined }, named: ["base_url"] },
  "insecure-address": { fields: { base_url: `http://${CANARY}.example` }, named: ["base_url"] },
  "look-alike-address": { fields: { base_url: `http://localhost.${CANARY}.example` }, named: ["base_url"] },
  "address-with-query": { fields: { base_url: `https://example.com/?${CANARY}=1` }, named: ["base_url"] },
  "address-with-password": { fields: { base_url: `https://u:${CANARY}@example.com` }, named: ["base_url"] },
  "insecure-token-url": { fields: { token_url: `http://${CANARY}.example/token` }, named: ["token_url"] },
  "no-token-url": { fields: { token_url: undefined }, named: ["token_url"] },
  "no-rules": { fields: { rules: undefined }, named: ["rules"] },
  "empty-rules": { fields: { rules: [] }, named: ["rules"] },
  "unknown-caller": { fields: { rules: [{ ...EVERYTHING, callers: [CANARY] }] }, named: ["callers"] },
  "bad-pattern": { fields: { rules: [{ ...EVERYTHING, paths: [`${CANARY}/**/x`] }] }, named: ["paths"] },
  "no-methods": { fields: { rules: [{ callers: ["backend"], paths: ["/**"] }] }, named: ["methods"] },
  "unknown-rule-field": { fields: { rules: [{ ...EVERYTHING, path: CANARY }] }, named: ["path"] },
  "bad-header": { fields: { header: `X ${CANARY}` }, named: ["header"] },
  "no-secret": { fields: {}, secret: null, named: ["NO_SECRET_CLIENT_SECRET"] },
  "three-problems": {
    fields: { colour: CANARY, timeout_ms: CANARY, grant: "static" },
    secret: null,
    named: ["colour", "timeout_ms", "THREE_PROBLEMS_TOKEN"],
  },
};

/** @param {string} id */
const secretName = (id) => `${id.toUpperCase().replaceAll("-", "_")}_CLIENT_SECRET`;

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let good;
/** @type {Connection} */
let fromVars;

before(async () => {
  upstream = await startUpstream();
  good = upstream.connection("good", { fields: { rules: [{ ...EVERYTHING, callers: ["staff", "backend"] }] } });
  fromVars = upstream.connection("from-vars", {
    fields: { client_id: "of the variable", audience: "aud of the variable" },
    credentials: { client_id: undefined, audience: "aud of the secret", client_secret: undefined },
  });
  const broken = Object.fromEntries(Object.entries(BROKEN).map(([id, { fields }]) => [id, { ...SOUND, ...fields }]));
  const secrets = Object.fromEntries(
    Object.entries(BROKEN)
      .filter(([, { secret }]) => secret !== null)
      .map(([id]) => [secretName(id), `${CANARY}-secret`]),
  );
  broker = await startBroker({
    vars: {
      ALLOWED_ORIGINS: [ORIGIN, `https://${CANARY}.example/`],
      CALLERS: {
        backend: { kind: "key" },
        staff: { kind: "jwt", issuer: `http://${CANARY}.example/`, audience: "x" },
        gate: { kind: "cloudflare-access", team_domain: `${CANARY}.cloudflareaccess.com` },
        person: { kind: "session", audience: CANARY },
        short: { kind: "key" },
        keyless: { kind: "key" },
        strange: { kind: CANARY },
      },
      FROM_VARS_CLIENT_SECRET: "a secret as a variable",
      CONNECTIONS: { ...upstream.vars, ...broken },
    },
    secrets: { ...secrets, SHORT_KEY: `${CANARY}-short`, ...upstream.secrets },
  });
  await broker.call(good.api());
});

afterEach(() => upstream.verify());

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

const fields = () => broker.logs.filter(({ field }) => field !== undefined).map(({ field }) => String(field));

/**
 * @param {string} name
 * @param {string} [part]
 */
const reported = (name, part) =>
  broker.logged(
    ({ field }) => field !== undefined && String(field).includes(name) && (!part || String(field).includes(part)),
    {
      what: `a problem of ${part ?? ""} ${name} (logged: ${fields().join(", ")})`,
    },
  );

describe("a broken connection", () => {
  for (const [id, { named }] of Object.entries(BROKEN)) {
    test(`(${id}) is misconfigured and named in the log`, async () => {
      const answer = await broker.call(`/api/${id}/x`);
      const { detail } = assertProblem(answer, 503, "misconfigured");
      for (const name of named) {
        const isSecret = name === name.toUpperCase();
        await reported(name, isSecret ? undefined : id);
        assert.ok(!detail.includes(name), "the caller is not told");
      }
    });
  }

  test("leaves the others working", async () => {
    assertStatus(await broker.call(good.api()));
  });

  test("is never described by its values", () => {
    const telling = broker.logs.filter((log) => JSON.stringify(log).toLowerCase().includes(CANARY));
    assert.deepEqual(telling, []);
  });

  test("is reported once for each problem", async () => {
    for (const id of Object.keys(BROKEN)) await broker.call(`/api/${id}/x`);
    const all = fields();
    assert.deepEqual(
      all.filter((field, i) => all.indexOf(field) !== i),
      [],
    );
    assert.equal(all.filter((field) => /good|from-vars|GOOD|FROM_VARS/.test(field)).join(), "");
  });
});

describe("a caller", () => {
  test("with a wrong field is reported", async () => {
    for (const name of ["staff.issuer", "gate.audience", "person.audience"]) await reported(name);
  });

  test("of an unknown kind is reported", async () => {
    await reported("strange");
  });

  test("without a long enough key is reported and never let in", async () => {
    await reported("SHORT_KEY");
    await reported("KEYLESS_KEY");
    assertProblem(await broker.call(good.api(), { key: `${CANARY}-short` }), 401, "caller_unauthenticated");
    assertProblem(await broker.call(good.api(), { key: "" }), 401, "caller_unauthenticated");
    assertProblem(await broker.call(good.api(), { key: "undefined" }), 401, "caller_unauthenticated");
  });

  test("that cannot be proven takes nothing from the others of its rule", async () => {
    assertStatus(await broker.call(good.api()));
  });
});

describe("an origin that no browser sends", () => {
  test("is reported and never matches", async () => {
    await reported("ALLOWED_ORIGINS");
    for (const origin of [`https://${CANARY}.example/`, `https://${CANARY}.example`]) {
      assertProblem(await broker.call(good.api(), { origin }), 403, "origin_not_allowed");
    }
    assertStatus(await broker.call(good.api(), { origin: ORIGIN }));
  });
});

describe("a credential", () => {
  test("may stand in a variable, and the secret wins", async () => {
    assertStatus(await broker.call(fromVars.api()));
    const [{ parameters }] = fromVars.tokenRequests;
    assert.deepEqual(parameters, {
      grant_type: "client_credentials",
      client_id: "of the variable",
      client_secret: "a secret as a variable",
      audience: "aud of the secret",
    });
  });
});

describe("without a usable SEALING_KEYS", () => {
  for (const [what, SEALING_KEYS] of [
    ["no value", undefined],
    ["a key of another length", `k1:${Buffer.from("short").toString("base64")}`],
  ]) {
    test(`(${what}) every call but healthz is misconfigured`, async () => {
      const since = broker.output.length;
      await broker.restart({ secrets: { SEALING_KEYS } });
      const requests = good.requests.length;
      const grants = good.tokenRequests.length;
      assertProblem(await broker.call(good.api()), 503, "misconfigured");
      assertProblem(await broker.call("/api/unknown-field/x"), 503, "misconfigured");
      assert.equal(assertStatus(await broker.call("/healthz", { key: null })).json().status, "ok");
      assert.deepEqual([good.requests.length, good.tokenRequests.length], [requests, grants]);
      await broker.logged(({ field }) => String(field).includes("SEALING_KEYS"), { since, what: "SEALING_KEYS" });
      if (SEALING_KEYS)
        assert.deepEqual(
          broker.output.filter((line) => line.includes(SEALING_KEYS)),
          [],
        );
    });
  }
});

describe("a BASE_PATH", () => {
  test("is where everything is, and nothing is elsewhere", async () => {
    good.on("/moved", (_request, response) => response.writeHead(302, { Location: "/rs/good/next" }).end());
    await broker.restart({ vars: { BASE_PATH: "/broker" }, secrets: { SEALING_KEYS: sealingKey("k1") } });
    assertStatus(await broker.call("/broker/healthz", { key: null }));
    assertStatus(await broker.call(`/broker${good.api()}`));
    assert.equal(good.lastRequest.below, "/echo");
    const { headers } = assertStatus(await broker.call(`/broker${good.api("/moved")}`), 302);
    assert.equal(new URL(headers.location, broker.url).href, `${broker.url}/broker${good.api("/next")}`);
    const { type } = assertProblem(await broker.call("/broker/api/none/x"), 404, "unknown_connection");
    assert.equal(type, `${broker.url}/broker/problems/unknown_connection`);
    for (const target of [good.api(), "/healthz", "/", "/brokerage/healthz", `/broker/broker${good.api()}`]) {
      assertProblem(await broker.call(target), 404, "not_found");
    }
  });
});

test("the key of the caller is no part of any log line", () => {
  assert.deepEqual(
    broker.output.filter((line) => line.includes(KEY)),
    [],
  );
});
