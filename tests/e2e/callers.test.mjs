// The authentication of callers, and the rules that authorize their calls.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { KEY, ORIGIN, startBroker } from "./support/broker.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const REPORTS_KEY = "e2e-reports-key-0123456789abcdefghijklmno";

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let plain;
/** @type {Connection} */
let closed;

before(async () => {
  upstream = await startUpstream();
  plain = upstream.connection("plain", {
    grant: "static",
    fields: {
      rules: [
        { callers: ["backend"], methods: ["GET", "POST"], paths: ["/echo/orders", "/echo/orders/*"] },
        { callers: ["backend", "reports"], methods: ["GET"], paths: ["/echo/reports/**"] },
        { callers: ["backend"], methods: ["POST"], paths: ["/echo/inbox"] },
        { callers: ["browser"], methods: ["GET"], paths: ["/echo/public"] },
      ],
    },
  });
  closed = upstream.connection("closed", {
    grant: "static",
    fields: { rules: [{ callers: ["reports"], methods: ["GET"], paths: ["/**"] }] },
  });
  broker = await startBroker({
    vars: {
      CALLERS: { backend: { kind: "key" }, reports: { kind: "key" }, browser: { kind: "anyone" } },
      CONNECTIONS: upstream.vars,
    },
    secrets: { REPORTS_KEY, ...upstream.secrets },
  });
});

afterEach(() => upstream.verify());

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/**
 * @param {string} target
 * @param {CallOptions | undefined} options
 * @param {number} status
 * @param {string} code
 */
async function refused(target, options, status, code) {
  const before = plain.requests.length + closed.requests.length;
  const answer = await broker.call(target, options);
  assertProblem(answer, status, code);
  assert.equal(plain.requests.length + closed.requests.length, before, "the upstream was called");
  return answer;
}

/** @param {CallOptions} options */
const unauthenticated = async (options) => {
  const { headers } = await refused(plain.api("/echo/orders"), options, 401, "caller_unauthenticated");
  assert.match(headers["www-authenticate"] ?? "", /^Bearer\b/);
};

describe("a caller with a key", () => {
  test("is let in with it, and the scheme's case does not matter", async () => {
    for (const scheme of ["Bearer", "bearer", "BEARER"]) {
      assertStatus(
        await broker.call(plain.api("/echo/orders"), { key: null, headers: { Authorization: `${scheme} ${KEY}` } }),
      );
    }
  });

  test("is not let in without it", async () => {
    await unauthenticated({ key: null });
  });

  test("is not let in with anything but it", async () => {
    for (const key of ["wrong", KEY.slice(0, -1), `${KEY}x`, KEY.toUpperCase(), `${KEY} ${KEY}`, `"${KEY}"`, ""]) {
      await unauthenticated({ key });
    }
  });

  test("is not let in by another scheme or another way", async () => {
    const basic = Buffer.from(`backend:${KEY}`).toString("base64");
    for (const headers of /** @type {{ [name: string]: string }[]} */ ([
      { Authorization: `Basic ${basic}` },
      { Authorization: `Basic ${KEY}` },
      { Authorization: `Digest ${KEY}` },
      { Authorization: KEY },
      { Authorization: `Bearer${KEY}` },
      { "X-Api-Key": KEY },
      { Cookie: `Authorization=${KEY}; BACKEND_KEY=${KEY}` },
      { "Cf-Access-Jwt-Assertion": KEY },
    ])) {
      await unauthenticated({ key: null, headers });
    }
  });

  test("is not let in with two credentials at once", async () => {
    await unauthenticated({ key: null, headers: ["Authorization", `Bearer ${KEY}`, "Authorization", "Bearer wrong"] });
    await unauthenticated({ key: null, headers: ["Authorization", "Bearer wrong", "Authorization", `Bearer ${KEY}`] });
  });

  test("keeps its key from the upstream", async () => {
    assertStatus(await broker.call(plain.api("/echo/orders"), { method: "POST", json: { a: 1 } }));
    const { rawHeaders, body, target } = plain.lastRequest;
    assert.ok(!JSON.stringify([rawHeaders, target, body.toString()]).includes(KEY));
  });

  test("is told of a connection that is none whoever it is: names of connections are no secrets", async () => {
    await refused("/api/none/echo/orders", { key: null }, 404, "unknown_connection");
    await refused("/api/none/echo/orders", {}, 404, "unknown_connection");
  });
});

describe("a rule", () => {
  /**
   * @param {string} target
   * @param {CallOptions} [options]
   */
  const allowed = (target, options) => broker.call(plain.api(target), options).then((answer) => assertStatus(answer));
  /**
   * @param {string} target
   * @param {CallOptions} [options]
   */
  const forbidden = (target, options) => refused(plain.api(target), options, 403, "operation_not_allowed");

  test("is for its callers only", async () => {
    await allowed("/echo/reports/1", { key: REPORTS_KEY });
    await allowed("/echo/reports/1");
    await forbidden("/echo/orders", { key: REPORTS_KEY });
    assertStatus(await broker.call(closed.api(), { key: REPORTS_KEY }));
    await refused(closed.api(), {}, 403, "operation_not_allowed");
  });

  test("is for its methods only", async () => {
    await allowed("/echo/orders", { method: "POST", body: "x" });
    for (const method of ["PUT", "PATCH", "DELETE", "PURGE"]) await forbidden("/echo/orders", { method });
    await forbidden("/echo/reports/1", { method: "POST", body: "x" });
  });

  test("cannot be passed by naming another method in a header or the query", async () => {
    await refused(plain.api("/echo/reports/1?_method=DELETE"), {}, 400, "bad_request");
    for (const name of ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"]) {
      await allowed("/echo/reports/1", { headers: { [name]: "DELETE" } });
      const { method, headers } = plain.lastRequest;
      assert.deepEqual([method, headers[name.toLowerCase()]], ["GET", undefined]);
    }
  });

  test("is for its paths only", async () => {
    for (const path of [
      "/echo/orders",
      "/echo/orders/1",
      "/echo/orders/a%20b",
      "/echo/reports",
      "/echo/reports/",
      "/echo/reports/a/b/c",
    ]) {
      await allowed(path);
    }
    for (const path of [
      "/",
      "/echo",
      "/echo/orders/1/2",
      "/echo/Orders",
      "/echo/orders1",
      "/echo/order",
      "/echo/%6frders",
      "/echo/reportsx",
      "/orders",
      "/echo/orders;x=1",
    ]) {
      await forbidden(path);
    }
  });

  test("lets HEAD go where GET may, and nowhere else", async () => {
    assertStatus(await broker.call(plain.api("/echo/orders"), { method: "HEAD" }));
    assert.equal(plain.lastRequest.method, "HEAD");
    const before = plain.requests.length;
    assert.equal((await broker.call(plain.api("/echo/inbox"), { method: "HEAD" })).status, 403);
    assert.equal(plain.requests.length, before);
  });
});

describe("anyone", () => {
  test("may do what the rules say, from an allowed origin", async () => {
    const answer = assertStatus(await broker.call(plain.api("/echo/public"), { key: null, origin: ORIGIN }));
    assert.equal(answer.headers["access-control-allow-origin"], ORIGIN);
  });

  test("must say where it comes from", async () => {
    const { headers } = await refused(plain.api("/echo/public"), { key: null }, 401, "caller_unauthenticated");
    assert.match(headers["www-authenticate"] ?? "", /\S/);
  });

  test("must come from an allowed origin", async () => {
    for (const origin of ["https://evil.example", "null"]) {
      await refused(plain.api("/echo/public"), { key: null, origin }, 403, "origin_not_allowed");
    }
  });

  test("may do nothing else", async () => {
    for (const [path, method] of [
      ["/echo/public", "POST"],
      ["/echo/orders", "GET"],
      ["/echo/public/x", "GET"],
    ]) {
      const before = plain.requests.length;
      const { status } = await broker.call(plain.api(path), { key: null, origin: ORIGIN, method });
      assert.ok(status === 401 || status === 403, `${method} ${path}: ${status}`);
      assert.equal(plain.requests.length, before);
    }
  });

  test("is not a connection's caller unless a rule names it", async () => {
    const before = closed.requests.length;
    const { status } = await broker.call(closed.api(), { key: null, origin: ORIGIN });
    assert.ok(status === 401 || status === 403, String(status));
    assert.equal(closed.requests.length, before);
  });
});
