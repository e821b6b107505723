// The broker's answers when it does not fulfil a request.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus, list } from "./support/assertions.mjs";
import { ORIGIN, startBroker } from "./support/broker.mjs";
import { send, startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

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
  plain = upstream.connection("plain", { grant: "static" });
  refused = upstream.connection("refused", {});
  refused.answerTokenRequest({
    status: 401,
    body: { error: "invalid_client", error_description: "said by the token endpoint" },
  });
  upstream.connection("broken", { fields: { timeout_ms: "soon" } });
  upstream.connection("slow", { grant: "static", fields: { timeout_ms: 200 } }).on("/never", () => {});
  plain.on("/away", (_request, response) =>
    send(response, { status: 302, headers: { Location: "https://evil.example/" }, body: "said by the upstream" }),
  );
  plain.on("/reset", (request) => request.socket.resetAndDestroy());
  broker = await startBroker({ vars: { CONNECTIONS: upstream.vars }, secrets: upstream.secrets });
});

afterEach(() => upstream.verify());

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/**
 * In this order: the first call of `refused` meets the failure, the second the wait.
 *
 * @type {[status: number, code: string, target: string, options: CallOptions][]}
 */
const PROBLEMS = [
  [400, "bad_request", "/api/plain/echo?access_token=x", {}],
  [400, "bad_path", "/api/plain/a%2fb", {}],
  [401, "caller_unauthenticated", "/api/plain/echo", { key: null }],
  [403, "origin_not_allowed", "/api/plain/echo", { origin: "https://evil.example" }],
  [403, "operation_not_allowed", "/api/plain/echo", { method: "PURGE" }],
  [404, "not_found", "/nowhere", {}],
  [404, "unknown_connection", "/api/none/echo", {}],
  [405, "method_not_allowed", "/healthz", { method: "POST" }],
  [502, "upstream_redirect", "/api/plain/away", {}],
  [502, "upstream_unreachable", "/api/plain/reset", {}],
  [502, "credentials_rejected", "/api/refused/echo", {}],
  [503, "connection_unavailable", "/api/refused/echo", {}],
  [503, "misconfigured", "/api/broken/echo", {}],
  [504, "upstream_timeout", "/api/slow/never", {}],
];

describe("a problem", () => {
  /** @type {{ code: string, body: any, answer: Answer }[]} */
  const seen = [];
  /** @param {string} wanted */
  const problem = (wanted) => {
    const found = seen.find(({ code }) => code === wanted);
    assert.ok(found, `${wanted} was not met`);
    return found;
  };

  test("says what it is as RFC 9457 has it", async () => {
    for (const [status, code, target, options] of PROBLEMS) {
      const answer = await broker.call(target, options);
      const body = assertProblem(answer, status, code);
      assert.equal(body.type, `${broker.url}/problems/${code}`);
      assertEveryAnswer(answer, code);
      seen.push({ code, body, answer });
    }
  });

  test("says only what the broker itself has to say", async () => {
    assert.equal(seen.length, PROBLEMS.length);
    for (const { code, answer } of seen)
      assert.ok(!/said by|evil\.example|invalid_client|127\.0\.0\.1:\d+\/(rs|as)/.test(answer.text), code);
  });

  test("says when to come back where waiting helps", async () => {
    const { body, answer } = problem("connection_unavailable");
    assert.match(answer.headers["retry-after"], /^[1-9]\d*$/);
    assert.equal(body.cause, "credentials_rejected");
  });

  test("tells an unauthenticated caller how to authenticate", async () => {
    const { answer } = problem("caller_unauthenticated");
    assert.match(answer.headers["www-authenticate"], /^Bearer\b/);
  });

  test("has a type that answers with a short text", async () => {
    for (const { code, body } of seen) {
      const answer = assertStatus(await broker.call(new URL(body.type).pathname, { key: null }));
      assert.ok(answer.text.length > 10 && answer.text.length < 5_000, code);
      assertEveryAnswer(answer, body.type);
    }
  });

  test("of a name that does not exist is not found", async () => {
    for (const target of [
      "/problems/none",
      "/problems",
      "/problems/",
      "/problems/bad_path/x",
      "/problems/%3Cscript%3E",
    ]) {
      const answer = await broker.call(target, { key: null });
      assertProblem(answer, 404, "not_found");
      assert.ok(!answer.text.includes("<"), target);
    }
  });

  test("has an id of its own", () => {
    assert.equal(new Set(seen.map(({ body }) => body.request_id)).size, seen.length);
  });

  test("answers HEAD with the same status and no body", async () => {
    const answer = await broker.call("/nowhere", { method: "HEAD" });
    assert.deepEqual([answer.status, answer.bytes], [404, 0]);
  });
});

describe("every answer", () => {
  test("carries an id, is stored nowhere, is what it says it is and depends on Origin", async () => {
    const asks = {
      success: () => broker.call(plain.api()),
      post: () => broker.call(plain.api(), { method: "POST", body: "x" }),
      head: () => broker.call(plain.api(), { method: "HEAD" }),
      "with an origin": () => broker.call(plain.api(), { origin: ORIGIN }),
      204: () => broker.call(plain.api("/status/204")),
      404: () => broker.call(plain.api("/status/404")),
      500: () => broker.call(plain.api("/status/500")),
      healthz: () => broker.call("/healthz", { key: null }),
      preflight: () =>
        broker.call(plain.api(), {
          method: "OPTIONS",
          key: null,
          origin: ORIGIN,
          headers: { "Access-Control-Request-Method": "GET" },
        }),
    };
    const ids = new Set();
    for (const [what, ask] of Object.entries(asks)) {
      const answer = await ask();
      assertEveryAnswer(answer, what);
      ids.add(answer.headers["x-request-id"]);
    }
    assert.equal(ids.size, Object.keys(asks).length);
  });

  test("has an id that the caller cannot choose", async () => {
    const { headers } = assertStatus(
      await broker.call(plain.api(), { headers: { "X-Request-Id": "chosen", "CF-Ray": "chosen" } }),
    );
    assert.ok(!headers["x-request-id"].includes("chosen"));
  });
});

describe("healthz", () => {
  test("says that the broker is there, and which one", async () => {
    const body = assertStatus(await broker.call("/healthz", { key: null })).json();
    assert.equal(body.status, "ok");
    assert.match(String(body.version), /^\d+\.\d+\.\d+/);
  });

  test("answers HEAD, and no other method", async () => {
    assert.equal(assertStatus(await broker.call("/healthz", { method: "HEAD", key: null })).bytes, 0);
    for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
      const answer = await broker.call("/healthz", { method, key: null });
      assertProblem(answer, 405, "method_not_allowed");
      const allowed = list(answer.headers.allow);
      assert.ok(
        allowed.includes("get") && allowed.includes("head") && !allowed.includes(method.toLowerCase()),
        answer.headers.allow,
      );
    }
  });
});

describe("what is not there", () => {
  test("is not found, whoever asks", async () => {
    for (const target of [
      "/",
      "/api",
      "/api/",
      "/API/plain/echo",
      "/health",
      "/healthz/",
      "/healthz/x",
      "/favicon.ico",
      "/.well-known/x",
    ]) {
      const answer = await broker.call(target);
      assert.equal(answer.status, 404, `${target}: ${answer.status}`);
      assert.ok(["not_found", "unknown_connection"].includes(answer.json().code), target);
    }
  });

  test("is an unknown connection below /api", async () => {
    for (const target of [
      "/api/none",
      "/api/none/",
      "/api/none/x",
      "/api/PLAIN/echo",
      "/api/__proto__/echo",
      "/api/constructor/x",
    ]) {
      assertProblem(await broker.call(target), 404, "unknown_connection");
    }
  });
});
