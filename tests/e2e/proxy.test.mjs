// The requests that reach the upstream, and the answers that reach the caller.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { once } from "node:events";
import { connect } from "node:net";
import { PassThrough, Readable } from "node:stream";
import { after, afterEach, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { assertProblem, assertStatus, list } from "./support/assertions.mjs";
import { EVERYTHING, KEY, ORIGIN, startBroker } from "./support/broker.mjs";
import { rawRequest } from "./support/raw.mjs";
import { closeServer, listening } from "./support/servers.mjs";
import { send, startUpstream } from "./support/upstream.mjs";
import { until } from "./support/until.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { RawRequest } from "./support/raw.mjs" */
/** @import { ApiRequest, Connection, Handler, Upstream } from "./support/upstream.mjs" */

const MIB = 1024 * 1024;

/** @type {Upstream} */
let upstream;
/** @type {{ hits: number, url: string, close: () => Promise<void> }} */
let elsewhere;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let plain;
/** @type {Connection} */
let granted;
/** @type {Connection} */
let renewed;
/** @type {Connection} */
let open;
/** @type {Connection} */
let other;
/** @type {Connection} */
let slow;
/** @type {Connection} */
let extra;
/** @type {Connection} */
let apiKey;

before(async () => {
  upstream = await startUpstream();
  elsewhere = await startElsewhere();
  const fixed = { grant: "static" };
  plain = upstream.connection("plain", fixed);
  // With a token that can be renewed, and so with bodies that can be replayed.
  granted = upstream.connection("granted", {});
  renewed = upstream.connection("renewed", {});
  open = upstream.connection("open", {
    ...fixed,
    fields: { rules: [{ ...EVERYTHING, callers: ["backend", "page"] }] },
  });
  other = upstream.connection("other", fixed);
  slow = upstream.connection("slow", { ...fixed, fields: { timeout_ms: 500 } });
  extra = upstream.connection("extra", {
    ...fixed,
    fields: { request_headers: ["X-Tenant"], response_headers: ["X-Total-Count"] },
  });
  apiKey = upstream.connection("api-key", { ...fixed, fields: { header: "X-Api-Key", scheme: "" } });
  const nobody = upstream.connection("nobody", { ...fixed, fields: { base_url: await closedAddress() } });
  const callers = { backend: { kind: "key" }, page: { kind: "anyone" } };
  broker = await startBroker({ vars: { CALLERS: callers, CONNECTIONS: upstream.vars }, secrets: upstream.secrets });
  assert.equal(nobody.id, "nobody");
});

afterEach(() => {
  upstream.verify();
  assert.equal(elsewhere.hits, 0, "something was sent to another server");
});

after(async () => {
  await broker?.stop();
  await upstream?.close();
  await elsewhere?.close();
});

// A server that nothing may ever reach.
async function startElsewhere() {
  const server = createServer((_request, response) => {
    elsewhere.hits += 1;
    response.end();
  });
  return { hits: 0, url: await listening(server), close: () => closeServer(server) };
}

async function closedAddress() {
  const server = createServer();
  const url = await listening(server);
  await closeServer(server);
  return url;
}

/** @type {[name: string, value: string][]} */
const authorized = [["Authorization", `Bearer ${KEY}`]];

/**
 * @param {string} target
 * @param {Omit<RawRequest, "target">} [request]
 */
async function raw(target, { headers = [], ...rest } = {}) {
  const own = headers.some(([name]) => name.toLowerCase() === "authorization") ? [] : authorized;
  const answer = await rawRequest(broker.url, { target, headers: [...own, ...headers], ...rest });
  const fields = Object.fromEntries(answer.headers.map(([name, value]) => [name.toLowerCase(), value]));
  const text = answer.body.toString("utf8");
  return { ...answer, headers: fields, text, json: () => JSON.parse(text) };
}

describe("a path", () => {
  test("that a server could read as another path is refused and goes nowhere", async () => {
    const segments = [
      "/a//b",
      "//a",
      "//",
      "/a//",
      "//evil.example/x",
      "/a%2fb",
      "/a%2Fb",
      "/..%2f..%2fx",
      "/%2e%2e%2fx",
      "/%2F%2Fevil.example",
      "/a%5cb",
      "/a%5Cb",
      "/..%5cx",
      "/a%00",
      "/a%0d%0aX-Injected:%201",
      "/a%0Ab",
      "/a%7f",
      "/a%1fb",
      "/%09",
    ];
    const before = plain.requests.length;
    for (const segment of segments) {
      assertProblem(await raw(plain.api(segment)), 400, "bad_path");
    }
    assert.equal(plain.requests.length, before);
  });

  test("with steps upwards never leaves its connection", async () => {
    const targets = [
      "/api/plain/..",
      "/api/plain/../",
      "/api/plain/../../rs/other/echo",
      "/api/plain/%2e%2e/%2E%2E/x",
      "/api/plain/.%2e/x",
      "/api/plain/a/..\\..\\..\\x",
      "/api/plain\\..\\..\\x",
      "/api/plain/./..",
      "/api/plain/%2e%2e",
      "/api/plain/a/../../../x",
      "/api/plain/..;/..;/x",
      "/api/plain/%2e%2e;/x",
    ];
    const before = [plain, other].map(({ requests }) => requests.length);
    for (const target of targets) {
      const { status } = await raw(target);
      assert.ok(status === 400 || status === 404, `${target} was answered ${status}`);
    }
    assert.deepEqual(
      [plain, other].map(({ requests }) => requests.length),
      before,
    );
  });

  test("with steps inside it is refused, or resolved before the broker sees it", async () => {
    for (const target of ["/api/plain/a/../echo", "/api/plain/./echo", "/api/plain/a/%2e%2e/echo"]) {
      const before = plain.requests.length;
      const { status } = await raw(target);
      const seen = plain.requests.slice(before).map(({ below }) => below);
      assert.deepEqual([status, seen], status === 400 ? [400, []] : [200, ["/echo"]]);
    }
  });

  test("cannot name another server", async () => {
    const { host } = new URL(elsewhere.url);
    for (const target of [
      `/api/plain@${host}/echo`,
      `/api/${host}/echo`,
      `/api/plain:80@${host}/echo`,
      `/api/http:%2f%2f${host}/echo`,
    ]) {
      const answer = await raw(target);
      assert.ok(answer.status === 404 || answer.status === 400, `${target} was answered ${answer.status}`);
    }
    const before = plain.requests.length;
    assertStatus(await raw(plain.api(`/echo/@${host}/:80@${host}?url=${elsewhere.url}`)));
    await raw(`${elsewhere.url}${plain.api("/echo")}`);
    await raw(plain.api("/echo"), { headers: [["Host", host]] });
    for (const { headers } of plain.requests.slice(before)) {
      assert.equal(headers.host, new URL(upstream.url).host);
    }
  });

  test("and its query are kept byte for byte", async () => {
    const kept = [
      "",
      "/",
      "/a%20b",
      "/it's|x",
      "/c%2Ed;a=1",
      "/[z]",
      "/%E9",
      "/%C3%A9",
      "/%zz",
      "/100%",
      "/!$&'()*+,=",
      "/~:@",
      "/x/",
      "/...",
      "/%2525",
      "/AbC%aB",
      "?",
      "?x=1&x=2",
      "?q=a+b%20c",
      "?e=%27&p=|",
      "?u=%C3%A9&s=a/b?c",
      "?d=%zz&&k",
      "?a={}^`\\[]",
      "?%61=%2e%2E%2f..",
      "?a=%00%0d%0a",
      "?redirect=https://a.example/../b",
    ];
    for (const rest of kept) {
      const answer = assertStatus(await raw(plain.api(`/echo${rest}`)));
      assert.equal(answer.json().below, `/echo${rest}`);
    }
  });

  test("is appended to a base address with its prefix, and an empty path is the base itself", async () => {
    plain.on("/", (_request, response) => send(response, { body: "root" }));
    assertStatus(await raw(plain.api("/")));
    assert.equal(plain.lastRequest.target, "/rs/plain/");
  });
});

describe("a query", () => {
  test("with an access token is refused", async () => {
    for (const query of [
      "?access_token=x",
      "?a=1&access_token=x",
      "?access_token",
      "?access%5Ftoken=x",
      "?%61ccess_token=x",
      "?a=1&&access_token=",
    ]) {
      const before = plain.requests.length;
      assertProblem(await raw(plain.api(`/echo${query}`)), 400, "bad_request");
      assert.equal(plain.requests.length, before, query);
    }
  });

  test("that only resembles one is not", async () => {
    const query = "?my_access_token=1&access_tokens=2&q=access_token";
    assert.equal(assertStatus(await raw(plain.api(`/echo${query}`))).json().below, `/echo${query}`);
  });
});

describe("request headers", () => {
  const ALLOWED = {
    accept: "application/json;q=0.9, */*",
    "accept-language": "pt-BR, en;q=0.5",
    "content-type": "application/vnd.api+json; charset=utf-8",
    "content-language": "pt",
    "if-match": '"a"',
    "if-none-match": 'W/"b", "c"',
    "if-modified-since": "Sat, 01 Nov 2025 00:00:00 GMT",
    "if-unmodified-since": "Sun, 02 Nov 2025 00:00:00 GMT",
    "if-range": '"d"',
    range: "bytes=0-10",
    prefer: "return=minimal",
    "idempotency-key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
  };
  const DROPPED = {
    cookie: "session=1",
    origin: ORIGIN,
    referer: `${ORIGIN}/secret-page`,
    forwarded: "for=192.0.2.1",
    "x-forwarded-for": "192.0.2.1",
    "x-forwarded-host": "evil.example",
    "x-forwarded-proto": "https",
    "x-real-ip": "192.0.2.1",
    "cf-connecting-ip": "192.0.2.1",
    "cf-ray": "1",
    "cf-access-jwt-assertion": "x.y.z",
    "sec-fetch-site": "cross-site",
    "sec-ch-ua": "x",
    "proxy-authorization": "Basic eDp5",
    "x-api-key": "of the caller",
    "x-tenant": "t1",
    "x-anything": "1",
    "x-http-method-override": "DELETE",
    dnt: "1",
    te: "trailers",
    baggage: "a=b",
    tracestate: "a=b",
    "upgrade-insecure-requests": "1",
    "user-agent": "front-end/1",
    authorization: `Bearer ${KEY}`,
  };
  // Set by HTTP itself, by the broker, or by the runtime for every subrequest.
  const SET = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "accept-encoding",
    "authorization",
    "via",
    "user-agent",
    "cf-worker",
    "traceparent",
  ];

  test("go up by an allow-list and nothing else does", async () => {
    const sent = Object.entries({ ...ALLOWED, ...DROPPED });
    assertStatus(await raw(plain.api(), { method: "POST", headers: sent, body: "{}" }));
    const { headers } = plain.lastRequest;
    for (const [name, value] of Object.entries(ALLOWED)) assert.equal(headers[name], value, name);
    // The runtime says so where nothing is to come from a cache.
    assert.deepEqual([headers["cache-control"], headers.pragma], ["no-cache", "no-cache"]);
    const expected = new Set([...Object.keys(ALLOWED), ...SET, "cache-control", "pragma"]);
    assert.deepEqual(
      Object.keys(headers).filter((name) => !expected.has(name)),
      [],
    );
  });

  test("carry the token, Via and a User-Agent of the broker's own", async () => {
    assertStatus(await broker.call(plain.api(), { headers: { "User-Agent": "front-end/1" } }));
    const { rawHeaders, headers } = plain.lastRequest;
    assert.deepEqual(
      rawHeaders.filter(([name]) => name.toLowerCase() === "authorization").map(([, value]) => value),
      [`Bearer ${plain.credentials.token}`],
    );
    assert.equal(headers.via, "1.1 porteiro");
    assert.ok(headers["user-agent"]);
    assert.ok(!headers["user-agent"].includes("front-end"), headers["user-agent"]);
  });

  const TRACE = "0af7651916cd43dd8448eb211c80319c";
  const SOUND = `00-${TRACE}-b7ad6b7169203331-01`;

  test("keep a trace's id, and whether it is recorded where a server says so", async () => {
    for (const [who, options, flags] of /** @type {[who: string, options: CallOptions, flags: string][]} */ ([
      ["a server", {}, "01"],
      ["a page", { key: null, origin: ORIGIN }, "00"],
    ])) {
      const answer = assertStatus(await broker.call(open.api(), { ...options, headers: { traceparent: SOUND } }));
      const id = answer.headers["x-request-id"];
      assert.equal(open.lastRequest.headers.traceparent, `00-${TRACE}-${id.slice(0, 16)}-${flags}`, who);
      await broker.logged(({ request_id, trace_id }) => request_id === id && trace_id === TRACE, {
        what: `the line of ${who}'s trace`,
      });
    }
  });

  test("begin a trace where there is none that is sound", async () => {
    for (const headers of /** @type {[name: string, value: string][][]} */ ([
      [],
      [["traceparent", `${SOUND}-x`]],
      [["traceparent", SOUND.toUpperCase()]],
      [
        ["traceparent", SOUND],
        ["traceparent", SOUND],
      ],
    ])) {
      const { status, headers: fields } = await raw(plain.api(), {
        headers: [...headers, ["tracestate", "vendor=x"], ["baggage", "a=b"]],
      });
      assert.equal(status, 200);
      const id = fields["x-request-id"];
      const sent = plain.lastRequest.headers;
      assert.deepEqual(
        [sent.traceparent, sent.tracestate, sent.baggage],
        [`00-${id}-${id.slice(0, 16)}-00`, undefined, undefined],
      );
    }
  });

  test("tell the two requests of a call that is sent again apart", async () => {
    assertStatus(await broker.call(renewed.api()));
    renewed.revoke();
    const answer = assertStatus(
      await broker.call(renewed.api(), { method: "POST", body: "x", headers: { traceparent: SOUND } }),
    );
    const id = answer.headers["x-request-id"];
    const parents = renewed.requests.slice(-2).map(({ headers }) => headers.traceparent);
    assert.deepEqual(parents, [`00-${TRACE}-${id.slice(0, 16)}-01`, `00-${TRACE}-${id.slice(16)}-01`]);
  });

  test("of a connection's own are let through besides", async () => {
    assertStatus(await broker.call(extra.api(), { headers: { "X-Tenant": "t1", "X-Anything": "1" } }));
    const { headers } = extra.lastRequest;
    assert.equal(headers["x-tenant"], "t1");
    assert.equal(headers["x-anything"], undefined);
  });

  test("that Connection names stay behind, and so does Connection", async () => {
    assertStatus(
      await raw(plain.api(), {
        headers: [
          ["Connection", "close, X-Hop"],
          ["X-Hop", "1"],
          ["Keep-Alive", "timeout=5"],
        ],
      }),
    );
    const { headers } = plain.lastRequest;
    assert.equal(headers["x-hop"], undefined);
    assert.equal(headers["keep-alive"], undefined);
    assert.ok(!/x-hop/i.test(headers.connection ?? ""));
  });

  test("never carry the caller's key, even where the token has a header of its own", async () => {
    assertStatus(await broker.call(apiKey.api(), { headers: { "X-Api-Key": "of the caller" } }));
    const { headers, rawHeaders } = apiKey.lastRequest;
    assert.equal(headers["x-api-key"], apiKey.credentials.token);
    assert.equal(headers.authorization, undefined);
    assert.ok(!JSON.stringify(rawHeaders).includes(KEY));
  });
});

describe("response headers", () => {
  const PASSED = {
    "content-type": "application/json; charset=utf-8",
    "content-language": "pt-BR",
    "content-disposition": 'attachment; filename="a.json"',
    "content-location": "/rs/plain/things/1",
    etag: '"v1"',
    "last-modified": "Sat, 01 Nov 2025 00:00:00 GMT",
    "retry-after": "7",
    ratelimit: '"default";r=50;t=30',
    "ratelimit-policy": '"default";q=100;w=60',
    "x-ratelimit-limit": "100",
    "x-ratelimit-remaining": "99",
    link: '</rs/plain/things?page=2>; rel="next"',
    "accept-ranges": "bytes",
  };
  const STOPPED = {
    "set-cookie": ["a=1; Path=/", "b=2"],
    "www-authenticate": "Bearer",
    "access-control-allow-origin": "*",
    "access-control-allow-credentials": "true",
    "access-control-expose-headers": "*",
    "strict-transport-security": "max-age=1",
    "content-security-policy": "default-src *",
    "content-security-policy-report-only": "default-src *",
    "clear-site-data": '"*"',
    "alt-svc": 'h3=":443"',
    nel: '{"report_to":"x"}',
    "report-to": "{}",
    "reporting-endpoints": 'x="https://evil.example"',
    "service-worker-allowed": "/",
    sourcemap: "/x.map",
    refresh: "0; url=https://evil.example",
    "x-frame-options": "ALLOWALL",
    "permissions-policy": "camera=*",
    "cross-origin-opener-policy": "unsafe-none",
    "referrer-policy": "unsafe-url",
    "proxy-authenticate": "Basic",
    server: "nginx/1.0",
    "x-powered-by": "PHP/5",
    "x-total-count": "12",
    "x-anything": "1",
    "x-request-id": "of the upstream",
    "server-timing": "db;dur=1",
    "cache-control": "public, max-age=3600",
    expires: "Sat, 01 Nov 2099 00:00:00 GMT",
    pragma: "cache",
    "timing-allow-origin": "*",
    vary: "Accept-Language",
  };

  // Set by HTTP itself or by the broker.
  const SET = [
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "date",
    "vary",
    "cache-control",
    "x-request-id",
    "server-timing",
    "x-content-type-options",
    "content-security-policy",
    "cross-origin-resource-policy",
    "referrer-policy",
    "strict-transport-security",
  ];

  /** @type {Handler} */
  const answerAll = (_request, response) => send(response, { headers: { ...PASSED, ...STOPPED }, body: "{}" });

  test("come back by an allow-list and nothing else does", async () => {
    plain.on("/headers", answerAll);
    const { headers, rawHeaders } = assertStatus(await broker.call(plain.api("/headers")));
    for (const [name, value] of Object.entries(PASSED)) assert.equal(headers[name], value, name);
    for (const [name, value] of Object.entries(STOPPED)) assert.notEqual(String(headers[name]), String(value), name);
    const expected = new Set([...Object.keys(PASSED), ...SET]);
    assert.deepEqual(
      Object.keys(headers).filter((name) => !expected.has(name)),
      [],
    );
    assert.equal(rawHeaders.filter(([name]) => name.toLowerCase() === "cache-control").length, 1);
  });

  test("of the broker's own replace the upstream's", async () => {
    plain.on("/headers", answerAll);
    const { headers, serverTiming } = assertStatus(await broker.call(plain.api("/headers"), { origin: ORIGIN }));
    assert.equal(headers["cache-control"], "no-store");
    assert.notEqual(headers["x-request-id"], "of the upstream");
    assert.equal(serverTiming.db, undefined);
    assert.equal(headers["access-control-allow-origin"], ORIGIN);
    assert.ok(!list(headers["access-control-expose-headers"]).includes("*"));
    assert.ok(list(headers.vary).includes("origin"));
    assert.ok(list(headers.vary).includes("accept-language"), "the upstream's own Vary stays");
  });

  test("of a connection's own are let through besides", async () => {
    extra.on("/headers", answerAll);
    const { headers } = assertStatus(await broker.call(extra.api("/headers")));
    assert.equal(headers["x-total-count"], "12");
    assert.equal(headers["x-anything"], undefined);
  });
});

describe("a redirect", () => {
  test("within the base address comes back with its Location at the broker", async () => {
    const cases = {
      [`${"{base}"}/things/2?a=1#top`]: "/things/2?a=1#top",
      "/rs/plain/things/3": "/things/3",
      "next?page=2": "/next?page=2",
      "?page=2": "/moved?page=2",
    };
    for (const status of [301, 302, 303, 307, 308]) {
      for (const [location, expected] of Object.entries(cases)) {
        plain.on("/moved", (_request, response) =>
          send(response, { status, headers: { Location: location.replace("{base}", plain.baseUrl) } }),
        );
        const { headers } = assertStatus(await broker.call(plain.api("/moved")), status);
        assert.equal(
          new URL(headers.location, broker.url + plain.api("/moved")).href,
          broker.url + plain.api(expected),
        );
      }
    }
  });

  test("that leads away is a problem, and nobody follows it", async () => {
    const { host } = new URL(upstream.url);
    const away = [
      `${elsewhere.url}/rs/plain/x`,
      `//${new URL(elsewhere.url).host}/rs/plain/x`,
      `http://${host}/rs/other/echo`,
      "/rs/other/echo",
      "/rs/plainly/x",
      "/rs/plain/../other/echo",
      `https://${host}/rs/plain/x`,
      `http://x@${host}/rs/plain/x`,
      `http://${host}.evil.example/rs/plain/x`,
      "javascript:alert(1)",
      "\\\\evil.example\\rs\\plain",
      "/rs/plain/%2e%2e/other/echo",
    ];
    for (const location of away) {
      plain.on("/moved", (_request, response) => send(response, { status: 302, headers: { Location: location } }));
      const answer = await broker.call(plain.api("/moved"), { origin: ORIGIN });
      assertProblem(answer, 502, "upstream_redirect");
      assert.equal(answer.headers.location, undefined);
    }
    assert.equal(other.requests.length, 0);
  });

  test("of a POST is not followed either", async () => {
    plain.on("/moved", (_request, response) =>
      send(response, { status: 307, headers: { Location: "/rs/plain/echo" } }),
    );
    const before = plain.requests.length;
    assertStatus(await broker.call(plain.api("/moved"), { method: "POST", body: "x" }), 307);
    assert.equal(plain.requests.length, before + 1);
  });

  test("is not what a Location on 201 is, which is rewritten too", async () => {
    plain.on("/things", (_request, response) =>
      send(response, { status: 201, headers: { Location: "/rs/plain/things/9" }, body: "{}" }),
    );
    const { headers } = assertStatus(await broker.call(plain.api("/things"), { method: "POST", body: "{}" }), 201);
    assert.equal(new URL(headers.location, broker.url).href, broker.url + plain.api("/things/9"));
  });

  test("is not what a Location on 201 that leads away is, which is kept from the caller", async () => {
    plain.on("/things", (_request, response) =>
      send(response, { status: 201, headers: { Location: `${elsewhere.url}/x` }, body: "{}" }),
    );
    const { headers } = assertStatus(await broker.call(plain.api("/things"), { method: "POST", body: "{}" }), 201);
    assert.equal(headers.location, undefined);
  });
});

describe("a body", () => {
  /** @param {string} what */
  const patience = (what) => once(AbortSignal.timeout(5_000), "abort").then(() => Promise.reject(new Error(what)));

  test("goes up while it is still being sent", async () => {
    for (const connection of [plain, granted]) {
      const body = new PassThrough();
      body.write("first,");
      /** @type {PromiseWithResolvers<ApiRequest>} */
      const { promise: arrived, resolve } = Promise.withResolvers();
      connection.on("/up", async (_request, response, seen) => {
        seen.onChunk = () => resolve(seen);
        await seen.done;
        send(response, { body: "done" });
      });
      const answered = broker.call(connection.api("/up"), { method: "POST", body });
      const record = await Promise.race([arrived, patience("the first chunk was held back")]);
      body.end("last");
      assertStatus(await answered);
      assert.equal(record.body.toString(), "first,last");
    }
  });

  test("comes down while it is still being sent", async () => {
    /** @type {PromiseWithResolvers<void>} */
    const { promise: held, resolve: release } = Promise.withResolvers();
    plain.on("/down", async (_request, response) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      response.write("first,");
      await held;
      response.end("last");
    });
    /** @type {PromiseWithResolvers<string>} */
    const { promise: seen, resolve: first } = Promise.withResolvers();
    const answered = broker.call(plain.api("/down"), {
      onResponse: (response) => response.once("data", (chunk) => first(chunk.toString())),
    });
    try {
      assert.equal(await Promise.race([seen, patience("the first chunk was held back")]), "first,");
    } finally {
      release();
    }
    assert.equal(assertStatus(await answered).text, "first,last");
  });

  test("of 20 MiB goes up whole, with and without a length", async () => {
    const chunk = randomBytes(MIB);
    const chunks = Array.from({ length: 20 }, () => chunk);
    const whole = Buffer.concat(chunks);
    const expected = [20 * MIB, createHash("sha256").update(whole).digest("hex")];
    for (const connection of [plain, granted]) {
      for (const body of [whole, Readable.from(chunks)]) {
        const { bytes, sha256 } = assertStatus(await broker.call(connection.api(), { method: "PUT", body })).json();
        assert.deepEqual([bytes, sha256], expected);
      }
    }
  });

  test("of 20 MiB comes down whole", async () => {
    const body = randomBytes(20 * MIB);
    plain.on("/large", (_request, response) => send(response, { body }));
    const answer = assertStatus(await broker.call(plain.api("/large")));
    assert.deepEqual([answer.bytes, answer.sha256], [body.length, createHash("sha256").update(body).digest("hex")]);
  });

  test("that is compressed arrives as what it says it is", async () => {
    const text = JSON.stringify({ text: "compressed ".repeat(500) });
    plain.on("/gzip", (_request, response) =>
      send(response, {
        headers: { "Content-Type": "application/json", "Content-Encoding": "gzip" },
        body: gzipSync(text),
      }),
    );
    for (const encoding of ["gzip", "identity"]) {
      const answer = assertStatus(await broker.call(plain.api("/gzip"), { headers: { "Accept-Encoding": encoding } }));
      assert.equal(answer.text, text);
      if (answer.headers["content-length"]) assert.equal(Number(answer.headers["content-length"]), answer.bytes);
    }
  });

  test("is absent from the answer to HEAD, whose headers are the upstream's", async () => {
    plain.on("/headed", (_request, response) =>
      send(response, { headers: { ETag: '"h"', "Content-Type": "text/csv" }, body: "0123456789" }),
    );
    const answer = assertStatus(await broker.call(plain.api("/headed"), { method: "HEAD" }));
    assert.equal(plain.lastRequest.method, "HEAD");
    assert.deepEqual([answer.bytes, answer.headers.etag, answer.headers["content-type"]], [0, '"h"', "text/csv"]);
  });

  test("is absent from 204 and 304", async () => {
    assert.equal(assertStatus(await broker.call(plain.api("/status/204"), { method: "DELETE" }), 204).bytes, 0);
    plain.on("/cached", (request, response) =>
      send(response, { status: request.headers["if-none-match"] === '"v1"' ? 304 : 200, headers: { ETag: '"v1"' } }),
    );
    const answer = assertStatus(await broker.call(plain.api("/cached"), { headers: { "If-None-Match": '"v1"' } }), 304);
    assert.deepEqual([answer.bytes, answer.headers.etag], [0, '"v1"']);
  });

  test("can be asked for in part", async () => {
    plain.on("/range", (request, response) => {
      assert.equal(request.headers.range, "bytes=2-4");
      send(response, {
        status: 206,
        headers: { "Content-Range": "bytes 2-4/10", "Accept-Ranges": "bytes" },
        body: "234",
      });
    });
    const answer = assertStatus(await broker.call(plain.api("/range"), { headers: { Range: "bytes=2-4" } }), 206);
    assert.deepEqual([answer.text, answer.headers["content-range"]], ["234", "bytes 2-4/10"]);
  });

  test("that is cut off is not passed off as whole", async () => {
    plain.on("/cut", (request, response) => {
      response.writeHead(200, { "Content-Length": "1000" });
      response.write("only this", () => setImmediate(() => request.socket.resetAndDestroy()));
    });
    const outcome = await broker.call(plain.api("/cut")).then(
      (answer) => answer.status,
      () => "cut off",
    );
    assert.ok(outcome === "cut off" || outcome === 502, `answered ${outcome}`);
  });
});

describe("a method", () => {
  test("is the upstream's own business where a rule allows it", async () => {
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
      const body = method === "GET" ? undefined : `body of ${method}`;
      const seen = assertStatus(await broker.call(plain.api(), { method, body })).json();
      assert.deepEqual([seen.method, seen.bytes], [method, body?.length ?? 0]);
    }
  });

  test("GET with a body is no failure of the upstream", async () => {
    for (const connection of [plain, granted]) {
      const answer = await raw(connection.api(), { body: "unusual" });
      if (answer.status !== 200) assertProblem(answer, 400, "bad_request");
    }
  });

  test("TRACE never reaches the upstream", async () => {
    const before = plain.requests.length;
    assertProblem(await raw(plain.api(), { method: "TRACE" }), 403, "operation_not_allowed");
    assert.equal(plain.requests.length, before);
  });
});

describe("an upload that its caller breaks off", () => {
  for (const [kind, connection, framing, bytes] of /** @type {const} */ ([
    ["chunked, kept for a replay", () => granted, "Transfer-Encoding: chunked", 100_000],
    ["chunked, too large for a replay", () => granted, "Transfer-Encoding: chunked", 1_500_000],
    ["of a known length", () => granted, "Content-Length: 200000", 100_000],
    ["chunked, with a static token", () => plain, "Transfer-Encoding: chunked", 100_000],
  ])) {
    test(`(${kind}) never arrives as a whole one`, async () => {
      const target = connection();
      assertStatus(await broker.call(target.api()));
      const { hostname, port } = new URL(broker.url);
      const socket = connect({ host: hostname, port: Number(port) }).on("error", () => {});
      const before = target.requests.length;
      const body = Buffer.alloc(bytes, "x");
      const chunk = framing.startsWith("Transfer") ? [`${bytes.toString(16)}\r\n`, body, "\r\n"] : [body];
      const head = `POST ${target.api()} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${KEY}\r\n${framing}\r\n\r\n`;
      for (const part of [head, ...chunk]) socket.write(part);
      await until(() => target.requests[before]?.firstChunkAt, "the upload");
      socket.destroy();
      await assert.rejects(target.requests[before].done, "the upstream took the upload for a whole one");
    });
  }
});

describe("an upstream", () => {
  test("that sends no headers in time is a timeout, and a POST to it is sent once", async () => {
    slow.on("/never", () => {});
    for (const method of ["GET", "POST"]) {
      const before = slow.requests.length;
      const answer = await broker.call(slow.api("/never"), { method, body: method === "POST" ? "x" : undefined });
      assertProblem(answer, 504, "upstream_timeout");
      assert.equal(slow.requests.length, before + 1);
    }
  });

  test("may take longer for the body than for the headers", async () => {
    slow.on("/slow-body", (_request, response) => {
      response.writeHead(200);
      response.write("a");
      setTimeout(() => response.end("b"), 900);
    });
    assert.equal(assertStatus(await broker.call(slow.api("/slow-body"))).text, "ab");
  });

  test("that breaks the connection is unreachable, and a POST to it is sent once", async () => {
    plain.on("/reset", async (request, _response, record) => {
      await record.done;
      request.socket.resetAndDestroy();
    });
    assertProblem(await broker.call(plain.api("/reset")), 502, "upstream_unreachable");
    const before = plain.requests.length;
    assertProblem(await broker.call(plain.api("/reset"), { method: "POST", body: "x" }), 502, "upstream_unreachable");
    assert.equal(plain.requests.length, before + 1);
  });

  test("that nobody listens at is unreachable", async () => {
    assertProblem(await broker.call("/api/nobody/echo"), 502, "upstream_unreachable");
  });

  test("that answers with what is no HTTP status is a problem", async () => {
    for (const status of [600, 999]) {
      plain.on("/odd", (request) =>
        request.socket.end(`HTTP/1.1 ${status} Odd\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok`),
      );
      const answer = await broker.call(plain.api("/odd"), { origin: ORIGIN });
      assert.equal(answer.status, 502);
      assertProblem(answer, 502, answer.json().code);
    }
  });

  test("has its own statuses, which pass through with their bodies", async () => {
    for (const status of [
      201, 202, 203, 207, 299, 400, 402, 403, 404, 405, 409, 410, 418, 422, 429, 451, 499, 500, 501, 502, 503, 504, 520,
      599,
    ]) {
      const answer = assertStatus(await broker.call(plain.api(`/status/${status}`)), status);
      assert.equal(answer.text, `status ${status}`);
      assert.match(answer.headers["content-type"], /^text\/plain/);
    }
  });
});
