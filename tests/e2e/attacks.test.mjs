// Findings of an attack on the built broker, and similar cases: eavesdroppers on plain http, servers that parse a
// request differently, an upstream that returns the token, pages whose monitoring adds header fields to their calls.
// The tests use bare workerd, where a request arrives exactly as sent.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { after, before, beforeEach, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { isOpen } from "../../scripts/health.mjs";
import { KEY, ORIGIN, startBroker } from "./support/broker.mjs";
import { makeKey, startIssuer } from "./support/issuer.mjs";
import { rawRequest } from "./support/raw.mjs";
import { closeServer, listening, portOf } from "./support/servers.mjs";

/** @import { OutgoingHttpHeaders, Server } from "node:http" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { Issuer } from "./support/issuer.mjs" */

/** @param {string} name */
const data = async (name) => JSON.parse(await readFile(new URL(`../data/${name}`, import.meta.url), "utf8"));

// A token with characters that are escaped, as Laravel has them.
const TOKEN = "12|aBc+dEf/0123456789=.-_~xyz";
const OPERATOR = "operators-key-0123456789";

/** @type {Server} */
let upstream;
/** @type {Issuer} */
let issuer;
/** @type {Broker} */
let broker;
/**
 * What arrived at the upstream.
 *
 * @type {{ method?: string, url?: string, headers: import("node:http").IncomingHttpHeaders }[]}
 */
let arrived = [];
/**
 * What it answers next.
 *
 * @type {{ status?: number, headers?: OutgoingHttpHeaders, body?: string | Buffer | (string | Buffer)[] } | undefined}
 */
let next;

before(async () => {
  upstream = createServer((request, response) => {
    arrived.push({ method: request.method, url: request.url, headers: request.headers });
    const { status = 200, headers = {}, body = "{}" } = next ?? {};
    response.writeHead(status, headers);
    for (const part of [body].flat()) response.write(part);
    response.end();
  }).listen(0, "127.0.0.1");
  await once(upstream, "listening");
  issuer = await startIssuer({ keys: [makeKey("RS256")], audience: "aud" });
  const rules = [{ callers: ["backend", "staff", "anyone"], methods: ["GET", "POST"], paths: ["/**"] }];
  const base_url = `http://127.0.0.1:${portOf(upstream)}`;
  const webhook = { token_field: "token", forward_to: base_url };
  broker = await startBroker({
    vars: {
      CALLERS: { backend: { kind: "key" }, staff: { kind: "jwt", issuer: issuer.issuer, audience: "aud" } },
      CONNECTIONS: { api: { provider: "custom", grant: "static", base_url, rules, webhook } },
    },
    secrets: {
      API_TOKEN: TOKEN,
      API_ACCOUNT_TOKEN: "an-account-token",
      API_WEBHOOK_SECRET: `whsec_${Buffer.alloc(24).toString("base64")}`,
      ADMIN_KEY: OPERATOR,
    },
  });
});

const lastArrived = () => {
  const [last] = arrived.slice(-1);
  assert.ok(last, "something arrived");
  return last;
};

after(async () => {
  await broker?.stop();
  await issuer?.close();
  upstream?.close();
});

beforeEach(() => {
  arrived = [];
  next = undefined;
});

/**
 * What is sent; `key` is the caller's.
 *
 * @typedef {object} Sent
 * @property {string} [method]
 * @property {[name: string, value: string][]} [headers]
 * @property {string | null} [key]
 * @property {string} [host]
 * @property {string} [body]
 */

/**
 * Sends a request as it is.
 *
 * @param {string} target
 * @param {Sent} [sent]
 */
async function send(target, { method, headers = [], key = KEY, host, body } = {}) {
  const all = [...headers];
  if (key !== null) all.push(["Authorization", `Bearer ${key}`]);
  if (host) all.push(["Host", host]);
  const answer = await rawRequest(broker.url, { method, target, headers: all, body });
  /** @param {string} name */
  const field = (name) =>
    answer.headers
      .filter(([found]) => found.toLowerCase() === name)
      .map(([, value]) => value)
      .join(", ");
  const code = field("content-type") === "application/problem+json" ? JSON.parse(String(answer.body)).code : undefined;
  return { status: answer.status, field, code, bytes: answer.body, text: answer.body.toString("latin1") };
}

describe("over plain http", () => {
  for (const host of ["broker.example.com", "192.168.0.7:8787", "localhost.example.com"]) {
    test(`no credential is read on a host that is not this machine: ${host}`, async () => {
      const event = JSON.stringify({ token: "an-account-token", id: 1 });
      /** @type {[target: string, options: Sent][]} */
      const readings = [
        ["/api/api/a", {}],
        ["/api/api/a", { key: "wrong" }],
        ["/api/api/a", { key: issuer.token() }],
        ["/webhooks/api", { method: "POST", key: null, body: event }],
        ["/admin/connections", { key: OPERATOR }],
        ["/admin/", { key: null }],
        ["/admin/", { key: null, headers: [["Authorization", `Basic ${btoa(`:${OPERATOR}`)}`]] }],
      ];
      for (const [target, options] of readings) {
        const answer = await send(target, { ...options, host });
        assert.deepEqual([answer.status, answer.code], [403, "insecure_transport"], target);
        assert.equal(answer.field("www-authenticate"), "", "a browser would ask for the password");
      }
      assert.deepEqual(arrived, []);
      assert.equal((await send("/healthz", { key: null, host })).status, 200);
      assert.equal((await send("/api/api/a", { key: null, headers: [["Origin", ORIGIN]], host })).status, 200);
    });
  }

  test("all is read on this machine, by any of its names", async () => {
    for (const host of ["localhost:8787", "broker.localhost", "127.0.0.1", "127.1.2.3:1", "[::1]:8787"]) {
      assert.equal((await send("/api/api/a", { host })).status, 200, host);
      assert.equal((await send("/admin/connections", { key: OPERATOR, host })).status, 200, host);
    }
  });

  test("a deployment that is answered is told of", async () => {
    /** @type {{ [path: string]: [status: number, headers: OutgoingHttpHeaders] }} */
    const answers = {
      "/open": [200, {}],
      "/forced": [301, { Location: "https://a.example/" }],
      "/other": [302, { Location: "http://a.example/" }],
    };
    const server = createServer(({ url = "" }, response) => response.writeHead(...answers[url]).end());
    const address = (await listening(server)).replace("http:", "https:");
    /** @param {string} path */
    const at = (path) => isOpen(`${address}${path}`);
    assert.deepEqual(await Promise.all(["/open", "/forced", "/other"].map(at)), [true, false, true]);
    await closeServer(server);
    assert.equal(await at("/open"), false);
  });
});

describe("a call", () => {
  test("whose path another server reads otherwise goes nowhere", async () => {
    const { refused, passes } = await data("addresses.json");
    for (const path of refused) {
      const answer = await send(`/api/api${path}`);
      assert.deepEqual([answer.status, answer.code], [400, "bad_path"], path);
    }
    assert.deepEqual(arrived, []);
    for (const path of passes) assert.equal((await send(`/api/api${path}`)).status, 200, path);
    assert.deepEqual(
      arrived.map(({ url }) => url),
      passes,
    );
  });

  test("that names another method in its query goes nowhere", async () => {
    const { method_override, access_token } = await data("addresses.json");
    for (const query of [...method_override, ...access_token, "?X-HTTP-Method-Override=PUT", "?a;_method=PUT"]) {
      const answer = await send(`/api/api/a${query}`, { method: "POST", body: "x" });
      assert.deepEqual([answer.status, answer.code], [400, "bad_request"], query);
    }
    assert.deepEqual(arrived, []);
    await send("/api/api/a", { method: "POST", body: "x", headers: [["X-HTTP-Method-Override", "DELETE"]] });
    assert.equal(lastArrived().headers["x-http-method-override"], undefined);
  });

  test("with a control character in a field that passes goes nowhere", async () => {
    const answer = await send("/api/api/a", { headers: [["Accept", "a\x7fb"]] });
    assert.equal(answer.status, 400);
    assert.deepEqual(arrived, []);
  });
});

describe("an upstream", () => {
  const json = { "Content-Type": "application/json" };
  const html = { "Content-Type": "text/html; charset=utf-8" };
  const escaped = JSON.stringify({ token: TOKEN }).replaceAll("/", "\\/").replaceAll("+", "\\u002b");

  /** @type {[how: string, headers: OutgoingHttpHeaders, body: string | string[]][]} */
  const echoes = [
    ["as it is", json, `{"authorization":"Bearer ${TOKEN}"}`],
    ["escaped for JSON", json, escaped],
    [
      "escaped for HTML",
      html,
      `<td>${TOKEN.replaceAll("/", "&#x2F;").replaceAll("+", "&plus;").replaceAll("|", "&#124;")}</td>`,
    ],
    ["escaped for an address", html, `<a href="/?t=${encodeURIComponent(TOKEN)}">`],
    ["twice, in parts", html, [`<p>${TOKEN.slice(0, 9)}`, `${TOKEN.slice(9)}<p>${TOKEN}`]],
    ["without a type", {}, TOKEN],
  ];
  for (const [how, headers, body] of echoes) {
    test(`that hands the token back in an error has it struck out, however it is written: ${how}`, async () => {
      for (const status of [400, 404, 422, 500, 503]) {
        next = { status, headers, body };
        const { status: given, text } = await send("/api/api/a");
        const whole = [body].flat().join("");
        assert.equal(given, status);
        assert.equal(text.length, whole.length);
        assert.match(text, /\*{20}/);
        for (const part of [TOKEN.slice(0, 12), encodeURIComponent(TOKEN).slice(0, 12), TOKEN.slice(-8)]) {
          assert.ok(!text.includes(part), text);
        }
        assert.equal(text.replaceAll("*", "").length, [...whole].filter((_, at) => text[at] !== "*").length);
      }
    });
  }

  test("that compresses such an error has it struck out, too", async () => {
    const body = gzipSync(`<p>${TOKEN}</p>`.repeat(3));
    next = { status: 500, headers: { ...html, "Content-Encoding": "gzip", "Content-Length": body.length }, body };
    const { status, field, bytes } = await send("/api/api/a", { headers: [["Accept-Encoding", "identity"]] });
    const text =
      field("content-encoding") === "gzip"
        ? (await import("node:zlib")).gunzipSync(bytes).toString()
        : bytes.toString();
    assert.equal(status, 500);
    assert.equal(text, `<p>${"*".repeat(TOKEN.length)}</p>`.repeat(3));
  });

  test("whose error tells nothing has it passed on as it is, of whatever length", async () => {
    for (const size of [0, 1, 65_535, 65_536, 65_537, 1_000_000]) {
      const body = Buffer.alloc(size, "é%&\\<");
      next = { status: 500, headers: { ...html, "Content-Length": size }, body: size ? body : [] };
      const { field, bytes } = await send("/api/api/a");
      assert.ok(bytes.equals(body), `${size} bytes`);
      assert.equal(field("content-length"), String(size));
    }
  });

  test("has bodies of success and of no text passed on without a look", async () => {
    for (const { status, type } of [
      { status: 200, type: "text/html" },
      { status: 500, type: "image/png" },
    ]) {
      next = { status, headers: { "Content-Type": type }, body: TOKEN };
      assert.equal((await send("/api/api/a")).text, TOKEN);
    }
  });

  test("that hands the token back in a field has that left out, and no redirect to it passes", async () => {
    next = {
      headers: { ETag: `"${TOKEN}"`, Link: `</?${encodeURIComponent(TOKEN)}>; rel=next`, "Content-Language": "pt" },
    };
    const { field } = await send("/api/api/a");
    assert.deepEqual([field("etag"), field("link"), field("content-language")], ["", "", "pt"]);
    next = { status: 302, headers: { Location: `/a?token=${encodeURIComponent(TOKEN)}` } };
    const redirected = await send("/api/api/a");
    assert.deepEqual(
      [redirected.status, redirected.code, redirected.field("location")],
      [502, "upstream_redirect", ""],
    );
  });

  test("that redirects to an address with bytes that are no UTF-8 redirects nowhere", async () => {
    next = { status: 302, headers: { Location: Buffer.from("/relat\u00f3rio", "latin1").toString("latin1") } };
    const { status, code } = await send("/api/api/a");
    assert.deepEqual([status, code], [502, "upstream_redirect"]);
    next = { status: 302, headers: { Location: Buffer.from("/relat\u00f3rio").toString("latin1") } };
    assert.match((await send("/api/api/a")).field("location"), /\/api\/api\/relat%C3%B3rio$/);
  });

  test("that says what it did of what was asked for is heard", async () => {
    next = { headers: { "Preference-Applied": "return=minimal", Allow: "GET, POST" } };
    const { field } = await send("/api/api/a", { headers: [["Prefer", "return=minimal"]] });
    assert.deepEqual([field("preference-applied"), field("allow")], ["return=minimal", "GET, POST"]);
  });
});

test("a page whose monitoring adds header fields can call, and they stop at the broker", async () => {
  const names = "baggage, sentry-trace, tracestate, x-requested-with";
  const preflight = await send("/api/api/a", {
    method: "OPTIONS",
    key: null,
    headers: [
      ["Origin", ORIGIN],
      ["Access-Control-Request-Method", "GET"],
      ["Access-Control-Request-Headers", names],
    ],
  });
  assert.deepEqual([preflight.status, preflight.field("access-control-allow-headers")], [204, names]);
  /** @type {[name: string, value: string][]} */
  const headers = [
    ["Origin", ORIGIN],
    ...names.split(", ").map((name) => /** @type {[string, string]} */ ([name, "a=b"])),
  ];
  assert.equal((await send("/api/api/a", { key: null, headers })).status, 200);
  for (const name of names.split(", ")) assert.equal(lastArrived().headers[name], undefined, name);
});

test("a caller's token is taken whatever its header says that means nothing", async () => {
  for (const { case: what, header, right } of await data("jwt-headers.json")) {
    const { status } = await send("/api/api/a", { key: issuer.token({ header }) });
    assert.equal(status, right === "taken" ? 200 : 401, what);
  }
});
