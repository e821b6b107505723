// The answers to preflights, and the header fields of answers to pages.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertProblem, assertStatus, list, varies } from "./support/assertions.mjs";
import { startBroker } from "./support/broker.mjs";
import { send, startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer } from "./support/client.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const ALLOWED = ["https://app.example.com", "https://app.example.com:8443", "http://localhost:5173"];
const REFUSED = [
  "null",
  "*",
  "https://app.example.com.evil.example",
  "https://evil-app.example.com",
  "https://evil.example/https://app.example.com",
  "https://sub.app.example.com",
  "http://app.example.com",
  "https://app.example.com:444",
  "https://app.example.com:443",
  "https://app.example.com/",
  "https://APP.example.com",
  "https://app.example.comx",
  "https://app.example.co",
  "https://app-example.com",
  "http://localhost",
  "http://localhost:5174",
  "https://localhost:5173",
  "http://127.0.0.1:5173",
  "file://",
  "app.example.com",
  "https://app.example.com, https://evil.example",
  "https://user@app.example.com",
  "https://app.example.com\tx",
];

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let plain;
/** @type {Connection} */
let refused;

before(async () => {
  upstream = await startUpstream();
  plain = upstream.connection("plain", { grant: "static", fields: { response_headers: ["X-Total-Count"] } });
  refused = upstream.connection("refused", {});
  refused.answerTokenRequest({ status: 401, body: { error: "invalid_client" } });
  upstream.connection("broken", { fields: { timeout_ms: "soon" } });
  broker = await startBroker({
    vars: { ALLOWED_ORIGINS: ALLOWED, CONNECTIONS: upstream.vars },
    secrets: upstream.secrets,
  });
  // The scripted refusal is spent here, so that each test finds the same state.
  assertProblem(await broker.call(refused.api()), 502, "credentials_rejected");
});

afterEach(() => upstream.verify());

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/**
 * @param {string} target
 * @param {string} origin
 * @param {{ method?: string, headers?: string }} [options]
 */
const preflight = (target, origin, { method = "POST", headers = "authorization,content-type,idempotency-key" } = {}) =>
  broker.call(target, {
    method: "OPTIONS",
    key: null,
    origin,
    headers: { "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers },
  });

/** @param {Answer} answer */
const withoutCors = (answer) => Object.keys(answer.headers).filter((name) => name.startsWith("access-control-allow"));

describe("an origin", () => {
  test("that is allowed may read the answer", async () => {
    for (const origin of ALLOWED) {
      const { headers } = assertStatus(await broker.call(plain.api(), { origin }));
      assert.equal(headers["access-control-allow-origin"], origin);
    }
  });

  test("of the broker itself is allowed", async () => {
    assertStatus(await broker.call(plain.api(), { origin: broker.url }));
  });

  test("that is not exactly an allowed one is refused, and nothing is sent upstream", async () => {
    const before = plain.requests.length;
    for (const origin of REFUSED) {
      const answer = await broker.call(plain.api(), { origin });
      assertProblem(answer, 403, "origin_not_allowed");
      assert.deepEqual(withoutCors(answer), [], origin);
      assert.ok(varies(answer), origin);
    }
    assert.equal(plain.requests.length, before);
  });

  test("is refused before the caller is looked at", async () => {
    assertProblem(
      await broker.call(plain.api(), { origin: "https://evil.example", key: null }),
      403,
      "origin_not_allowed",
    );
  });

  test("need not be there for a caller with a key", async () => {
    const answer = assertStatus(await broker.call(plain.api()));
    assert.deepEqual(withoutCors(answer), []);
  });
});

describe("a preflight", () => {
  test("is answered by the broker alone, without a caller", async () => {
    const before = plain.requests.length;
    for (const origin of ALLOWED) {
      const { headers, bytes } = assertStatus(await preflight(plain.api(), origin), 204);
      assert.equal(bytes, 0);
      assert.equal(headers["access-control-allow-origin"], origin);
      assert.equal(headers["access-control-max-age"], "7200");
    }
    assert.equal(plain.requests.length, before);
  });

  test("names what is asked for and never everything", async () => {
    for (const method of ["GET", "PUT", "PATCH", "DELETE"]) {
      const { headers } = assertStatus(await preflight(plain.api(), ALLOWED[0], { method }), 204);
      assert.ok(
        list(headers["access-control-allow-methods"]).includes(method.toLowerCase()),
        headers["access-control-allow-methods"],
      );
      const allowed = list(headers["access-control-allow-headers"]);
      for (const name of ["authorization", "content-type", "idempotency-key"]) assert.ok(allowed.includes(name), name);
      for (const name of [
        "access-control-allow-origin",
        "access-control-allow-methods",
        "access-control-allow-headers",
      ]) {
        assert.ok(!headers[name].includes("*"), name);
      }
      assert.equal(headers["access-control-allow-private-network"], undefined);
    }
  });

  test("of a refused origin allows nothing", async () => {
    for (const origin of REFUSED) {
      const answer = await preflight(plain.api(), origin);
      assertProblem(answer, 403, "origin_not_allowed");
      assert.deepEqual(withoutCors(answer), [], origin);
      assert.ok(varies(answer), origin);
    }
  });

  test("is answered even where the connection cannot work", async () => {
    for (const target of ["/api/broken/x", refused.api()]) {
      assertStatus(await preflight(target, ALLOWED[0]), 204);
    }
  });
});

describe("an answer", () => {
  /** @type {() => [what: string, status: number, ask: () => Promise<Answer>][]} */
  const expectations = () => [
    ["a success", 200, () => broker.call(plain.api(), { origin: ALLOWED[0] })],
    ["no caller", 401, () => broker.call(plain.api(), { origin: ALLOWED[0], key: null })],
    ["a wrong key", 401, () => broker.call(plain.api(), { origin: ALLOWED[0], key: "wrong" })],
    ["no rule", 403, () => broker.call(plain.api(), { origin: ALLOWED[0], method: "PURGE" })],
    ["a bad path", 400, () => broker.call(plain.api("/a%2fb"), { origin: ALLOWED[0] })],
    ["an access token in the query", 400, () => broker.call(plain.api("/echo?access_token=x"), { origin: ALLOWED[0] })],
    ["no such page", 404, () => broker.call("/nowhere", { origin: ALLOWED[0] })],
    ["no such connection", 404, () => broker.call("/api/none/x", { origin: ALLOWED[0] })],
    ["an upstream's own error", 404, () => broker.call(plain.api("/status/404"), { origin: ALLOWED[0] })],
    ["a redirect away", 502, () => broker.call(plain.api("/away"), { origin: ALLOWED[0] })],
    ["a connection that waits", 503, () => broker.call(refused.api(), { origin: ALLOWED[0] })],
    ["a broken connection", 503, () => broker.call("/api/broken/x", { origin: ALLOWED[0] })],
  ];

  test("can be read by an allowed origin whatever it says", async () => {
    plain.on("/away", (_request, response) =>
      send(response, { status: 302, headers: { Location: "https://evil.example/" } }),
    );
    for (const [what, status, ask] of expectations()) {
      const answer = await ask();
      assert.equal(answer.status, status, `${what}: ${answer.text}`);
      assert.equal(answer.headers["access-control-allow-origin"], ALLOWED[0], what);
      assert.ok(varies(answer), what);
      const exposed = list(answer.headers["access-control-expose-headers"]);
      for (const name of ["x-request-id", "server-timing", "retry-after"]) {
        assert.ok(exposed.includes(name) || !answer.headers[name], `${what}: ${name} is there and not exposed`);
      }
      assert.ok(exposed.includes("x-request-id"), what);
      assert.ok(!exposed.includes("*"), what);
    }
  });

  test("exposes what the upstream is allowed to send", async () => {
    plain.on("/headers", (_request, response) =>
      send(response, {
        headers: {
          ETag: '"1"',
          Link: "<x>; rel=next",
          "X-RateLimit-Remaining": "3",
          "Content-Disposition": "inline",
          "X-Total-Count": "12",
        },
      }),
    );
    const { headers } = assertStatus(await broker.call(plain.api("/headers"), { origin: ALLOWED[0] }));
    const exposed = list(headers["access-control-expose-headers"]);
    for (const name of ["etag", "link", "x-ratelimit-remaining", "content-disposition", "x-total-count"])
      assert.ok(exposed.includes(name), name);
  });

  test("says that it depends on Origin even where there was none", async () => {
    const asks = [
      () => broker.call(plain.api()),
      () => broker.call(plain.api(), { key: null }),
      () => broker.call("/healthz", { key: null }),
      () => broker.call("/nowhere"),
      () => broker.call("/problems/bad_path", { key: null }),
      () => broker.call(plain.api("/a//b")),
      () => broker.call(refused.api()),
    ];
    for (const ask of asks) assert.ok(varies(await ask()));
  });
});
