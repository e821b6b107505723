// porteiro/client without a browser: what it sends again, what it throws, and what it says to people.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { PorteiroError, createPorteiro } from "../../client/porteiro.js";
import { sentence } from "../../client/sentences.js";
import { inRoot } from "../../scripts/lib.mjs";

/** @typedef {{ status?: number, headers?: Record<string, string>, body?: unknown }} Told */

/**
 * A client whose calls are answered as `told`, one after the other; what it sent is in `sent`.
 *
 * @param {Told[]} told
 * @param {object} [options]
 */
function clientOf(told, options) {
  /** @type {{ url: string, init: RequestInit }[]} */
  const sent = [];
  const answers = [...told];
  const fetch = async (/** @type {string} */ url, /** @type {RequestInit} */ init) => {
    sent.push({ url, init });
    const { status = 200, headers = {}, body = {} } = answers.shift() ?? assert.fail("one call too many");
    return new Response(status === 204 ? null : JSON.stringify(body), { status, headers });
  };
  const porteiro = createPorteiro({ broker: "https://broker.test/b/", fetch: /** @type {any} */ (fetch), ...options });
  return { porteiro, sent, left: answers };
}

/** A problem of the broker's own. @param {string} code @param {number} status @param {Record<string, string>} [headers] */
const problem = (code, status, headers) => ({
  status,
  headers: { "Content-Type": "application/problem+json; charset=utf-8", ...headers },
  body: { type: `https://broker.test/b/problems/${code}`, title: "Title", status, code, request_id: "id-1" },
});

const AGAIN = { "Retry-After": "0" };

describe("a call", () => {
  test("goes to the broker with cookies, and its answer is the caller's", async () => {
    const { porteiro, sent } = clientOf([{ body: { a: 1 } }]);
    const response = await porteiro.fetch("/api/x/y?z=1", { headers: { Accept: "text/plain" } });
    assert.deepEqual(await response.json(), { a: 1 });
    assert.equal(sent[0].url, "https://broker.test/b/api/x/y?z=1");
    assert.equal(sent[0].init.credentials, "include");
    assert.deepEqual(sent[0].init.headers, { Accept: "text/plain" });
  });

  const evil = ["//evil.test/x", "/\\evil.test/x", "/\t/evil.test/x", "/\n\\evil.test/x", "https://evil.test/"];
  for (const path of ["api/x", "", ...evil])
    test(`is never sent to ${JSON.stringify(path)}`, async () => {
      const { porteiro, sent } = clientOf([], { broker: "" });
      await assert.rejects(porteiro.fetch(path), TypeError);
      assert.equal(sent.length, 0);
    });

  test("throws the broker's problem", async () => {
    const { porteiro } = clientOf([problem("operation_not_allowed", 403)]);
    const error = await porteiro.fetch("/api/x").catch((error) => error);
    assert.ok(error instanceof PorteiroError && error instanceof Error);
    const { status, code, requestId, retryAfter, message } = error;
    assert.deepEqual(
      [status, code, requestId, retryAfter, message],
      [403, "operation_not_allowed", "id-1", undefined, "Title"],
    );
  });

  /** @type {{ [name: string]: Told }} */
  const foreign = {
    "an answer of the API's": { status: 404, body: { own: 1 }, headers: { "X-Request-Id": "id-2" } },
    "a problem that an API words as the broker does": {
      status: 404,
      body: { type: "https://api.test/problems/not_found", code: "not_found", request_id: "of the API", own: 1 },
      headers: { "Content-Type": "application/problem+json", "X-Request-Id": "id-2" },
    },
    "an API's own problem": {
      status: 404,
      body: { type: "https://api.test/problems", code: "rate_limited", own: 1 },
      headers: { "Content-Type": "application/problem+json", "X-Request-Id": "id-2" },
    },
  };
  for (const [name, answer] of Object.entries(foreign))
    test(`throws ${name}, unread and without a code`, async () => {
      const error = await clientOf([answer])
        .porteiro.fetch("/api/x")
        .catch((error) => error);
      assert.deepEqual([error.status, error.code, error.requestId], [404, undefined, "id-2"]);
      assert.equal((await error.response.json()).own, 1);
    });
});

describe("a call that the broker asks to repeat", () => {
  for (const [name, init, isRepeated] of /** @type {[string, RequestInit, boolean][]} */ ([
    ["a GET", {}, true],
    ["a head, in small letters", { method: "head" }, true],
    ["a POST", { method: "POST" }, false],
    ["a POST with an Idempotency-Key", { method: "POST", headers: { "idempotency-key": "k" } }, true],
    ["a POST of a stream", { method: "POST", headers: { "idempotency-key": "k" }, body: new ReadableStream() }, false],
  ]))
    test(`${isRepeated ? "is" : "is not"} sent again: ${name}`, async () => {
      const { porteiro, sent } = clientOf([problem("rate_limited", 429, AGAIN), {}]);
      const answered = porteiro.fetch("/api/x", init);
      if (isRepeated) assert.equal((await answered).status, 200);
      else await assert.rejects(answered, { code: "rate_limited", retryAfter: 0 });
      assert.equal(sent.length, isRepeated ? 2 : 1);
    });

  test("is sent three times at most", async () => {
    const { porteiro, left } = clientOf(Array(3).fill(problem("connection_unavailable", 503, AGAIN)));
    await assert.rejects(porteiro.fetch("/api/x"), { code: "connection_unavailable" });
    assert.equal(left.length, 0);
  });

  for (const value of ["60", new Date(Date.now() + 60_000).toUTCString()])
    test(`is not sent again where the wait is long: ${value.replace(/\d\d:.*/, "…")}`, async () => {
      const { porteiro } = clientOf([problem("rate_limited", 429, { "Retry-After": value })]);
      const error = await porteiro.fetch("/api/x").catch((error) => error);
      assert.ok(error.retryAfter > 55 && error.retryAfter <= 61, String(error.retryAfter));
    });

  test("is not sent again once its signal says so", async () => {
    const { porteiro, sent } = clientOf([problem("rate_limited", 429, { "Retry-After": "5" })]);
    const controller = new AbortController();
    const answered = porteiro.fetch("/api/x", { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await assert.rejects(answered, { name: "AbortError" });
    assert.equal(sent.length, 1);
  });

  test("is sent as often as the options say", async () => {
    const { porteiro, left } = clientOf(Array(5).fill(problem("rate_limited", 429, AGAIN)), { attempts: 5 });
    await assert.rejects(porteiro.fetch("/api/x"), { code: "rate_limited" });
    assert.equal(left.length, 0);
    const other = clientOf([problem("rate_limited", 429, { "Retry-After": "1" })], {
      attempts: undefined,
      longestWait: 0,
    });
    await assert.rejects(other.porteiro.fetch("/api/x"), { retryAfter: 1 });
  });

  test("is not sent again without a word of when", async () => {
    await assert.rejects(clientOf([problem("internal", 500)]).porteiro.fetch("/api/x"), { code: "internal" });
  });
});

describe("a session", () => {
  const session = { connections: [{ id: "x", expires_at: "2027-01-01T00:00:00Z" }] };

  test("that is not there is null, and its end no event", async () => {
    const { porteiro } = clientOf([problem("caller_unauthenticated", 401)]);
    porteiro.addEventListener("sessionend", () => assert.fail("it did not end"));
    assert.equal(await porteiro.session(), null);
  });

  test("ends once", async () => {
    const gone = problem("caller_unauthenticated", 401);
    const { porteiro } = clientOf([{ body: session }, gone, gone, { body: session }, { status: 204 }]);
    let ends = 0;
    porteiro.addEventListener("sessionend", () => ends++);
    assert.deepEqual(await porteiro.session(), session);
    await assert.rejects(porteiro.fetch("/api/x"));
    await assert.rejects(porteiro.fetch("/api/x"));
    assert.equal(ends, 1);
    await porteiro.session();
    await porteiro.signOut();
    assert.equal(ends, 2);
  });

  test("that nobody asked for ends, too", async () => {
    const { porteiro } = clientOf([problem("caller_unauthenticated", 401)]);
    let ends = 0;
    porteiro.addEventListener("sessionend", () => ends++);
    await assert.rejects(porteiro.fetch("/api/x"));
    assert.equal(ends, 1);
  });

  test("is not what a server of pages answers", async () => {
    const fetch = async () => new Response("<!doctype html>", { headers: { "Content-Type": "text/html" } });
    const { porteiro } = clientOf([], { fetch });
    await assert.rejects(porteiro.session(), { name: "PorteiroError", status: 200, code: undefined });
  });

  test("begins with a password where the grant is for that", async () => {
    const { porteiro, sent } = clientOf([{ body: { connection: "x" } }, { body: session }]);
    assert.deepEqual(await porteiro.signIn("x", { username: "ana", password: "secret" }), session);
    assert.equal(sent[0].url, "https://broker.test/b/auth/x/login");
    assert.deepEqual(JSON.parse(String(sent[0].init.body)), { username: "ana", password: "secret" });
  });
});

describe("a sentence for a person", () => {
  const errors = readFileSync(inRoot("docs", "reference", "errors.md"), "utf8");
  const flows = readFileSync(inRoot("docs", "guides", "connect.md"), "utf8");
  const codes = [
    ...[...errors.matchAll(/^\| \d{3} \| `(\w+)` \|/gm)].map(([, code]) => code),
    ...[...flows.matchAll(/^\| `(\w+)` \| [A-Z]/gm)].map(([, code]) => code),
  ];
  const languages = ["en-GB", "pt-BR"];
  /** Words of programs, and none of whoever reads a page. */
  const technical =
    /token|endpoint|upstream|broker|server|servidor|request|requisiç|\bhttp|\burl\b|\bapi\b|oauth|session|sessão|config|timeout|cookie|origin|\bcode\b|código|credencia|parameter|parâmetro|\bjson\b|\d/i;

  test("is there for each code, in both languages", () => {
    assert.ok(codes.length > 30, String(codes.length));
    for (const code of ["not_connected", "upstream_limited", "access_denied", "issuer_mismatch"])
      assert.ok(codes.includes(code), code);
    for (const code of codes) {
      for (const language of languages)
        assert.notEqual(sentence(code, language), sentence("of_a_newer_broker", language), `${code} in ${language}`);
      assert.notEqual(sentence(code, "en"), sentence(code, "pt"), code);
    }
  });

  test("is short and plain", () => {
    for (const code of [...codes, null])
      for (const language of languages) {
        const text = sentence(code, language);
        assert.match(text, /^[A-ZÁÉÍÓÚÂÊÔÃÕÇ].{8,90}\.$/, text);
        assert.doesNotMatch(text, technical);
      }
  });

  test("is in Portuguese where that is preferred, and else in English", () => {
    const [english, portuguese] = [sentence("login_rejected", "en"), sentence("login_rejected", "pt")];
    for (const language of ["pt", "pt-BR", "PT-pt"]) assert.equal(sentence("login_rejected", language), portuguese);
    for (const language of ["en-US", "de", "", "ptx"]) assert.equal(sentence("login_rejected", language), english);
    assert.equal(sentence(undefined, "de"), sentence("something_new", "en"));
    assert.equal(sentence("toString", "en"), sentence(null, "en"));
  });

  test("does not ask to repeat what may have been done", () => {
    for (const code of ["upstream_timeout", "upstream_unreachable"]) {
      assert.match(sentence(code, "en"), /before you try again/);
      assert.match(sentence(code, "pt"), /antes de tentar de novo/);
    }
  });
});
