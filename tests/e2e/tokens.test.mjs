// The life of a token: obtained once, used, renewed, and the errors if it cannot be renewed.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { ORIGIN, sealingKey, startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import { closeServer, listening } from "./support/servers.mjs";
import { until } from "./support/until.mjs";
import { send, startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { Connection, ConnectionSettings, TokenReply, Upstream } from "./support/upstream.mjs" */

const FIRST_KEY = sealingKey("k1");

/** @type {Upstream} */
let upstream;
/** @type {{ hits: number, url: string, close: () => Promise<void> }} */
let elsewhere;
/** @type {Broker} */
let broker;

// Every connection of this file, by id. Each test has one of its own, so that
// no test finds what another left.
/** @type {{ [id: string]: Connection }} */
const c = {};

before(async () => {
  upstream = await startUpstream();
  const server = createServer((_request, response) => {
    elsewhere.hits += 1;
    response.end("{}");
  });
  elsewhere = { hits: 0, url: await listening(server), close: () => closeServer(server) };
  for (const [id, settings] of Object.entries({ ...CONNECTIONS, ...failing() }))
    c[id] = upstream.connection(id, settings);
  broker = await startBroker({
    vars: { CONNECTIONS: upstream.vars },
    secrets: { ...upstream.secrets, SEALING_KEYS: FIRST_KEY },
  });
});

after(async () => {
  await broker?.stop();
  await upstream?.close();
  await elsewhere?.close();
});

/** @type {{ [id: string]: ConnectionSettings }} */
const CONNECTIONS = {
  cold: { grant: "password" },
  left: {},
  interrupted: { grant: "password" },
  basic: {
    grant: "client_credentials",
    credentials: { client_id: "id:1 é", client_secret: "a:b%+ü &=" },
    fields: {
      client_auth: "basic",
      scope: "read write",
      resource: "https://api.example.com/",
      audience: "aud",
      params: { tenant: "a&b=c" },
    },
  },
  "basic-bare": {
    grant: "client_credentials",
    credentials: { client_id: "id 1 é", client_secret: "a:b%+ü &=/" },
    fields: { client_auth: "basic", basic_encoding: "none" },
  },
  "type-other": { fields: { scheme: "Bearer" } },
  "latin-1": {},
  "about-the-call": { grant: "password" },
  "plain-words": { grant: "password" },
  flaky: { grant: "password" },
  public: {
    grant: "password",
    credentials: { client_id: "public-client", client_secret: undefined, password: '+&%é€ "\\' },
    fields: { client_auth: "none" },
  },
  anonymous: {
    grant: "password",
    credentials: { client_id: undefined, client_secret: undefined },
    fields: { client_auth: "none" },
  },
  json: { grant: "client_credentials", fields: { body: "json", params: { tenant: 'a"b' } } },
  "refresh-only": { grant: "refresh_token" },
  "expires-absent": {},
  "expires-text": {},
  "expires-zero": {},
  "expires-negative": {},
  "expires-huge": {},
  "expires-nonsense": {},
  "expires-fraction": {},
  "type-mixed": {},
  "type-absent": {},
  "type-mac": {},
  "type-dpop": {},
  "header-raw": { fields: { header: "X-Api-Key", scheme: "" } },
  "header-scheme": { fields: { scheme: "Token" } },
  "long-token": {},
  rotating: { grant: "password" },
  constant: { grant: "password", rotation: false },
  "refresh-refused": { grant: "password" },
  revoked: { grant: "password" },
  "revoked-again": { grant: "password" },
  replayed: {},
  "replayed-stream": {},
  stampede: { grant: "password" },
  late: { grant: "password" },
  refused: {},
  large: { fields: { replay_bytes: 1000 } },
  "large-stream": { fields: { replay_bytes: 1000 } },
  static: { grant: "static" },
  early: { fields: { replay_bytes: 1000 } },
  "cut-off": { grant: "password" },
  recovering: {},
};

const NOT_JSON = "<!doctype html><p>secret text of the token endpoint</p>";

/**
 * What the token endpoint does, and what the call that meets it is answered.
 *
 * @type {{ [id: string]: [reply: TokenReply, status: number, code: string] }}
 */
const FAILURES = {
  "bad-client": [
    { status: 401, body: { error: "invalid_client", error_description: "secret text" } },
    502,
    "credentials_rejected",
  ],
  "bad-password": [
    { status: 400, body: { error: "invalid_grant", error_description: "secret text" } },
    502,
    "credentials_rejected",
  ],
  "bad-rights": [{ status: 400, body: { error: "unauthorized_client" } }, 502, "credentials_rejected"],
  "bare-401": [{ status: 401, body: NOT_JSON }, 502, "credentials_rejected"],
  "bare-403": [{ status: 403, body: NOT_JSON }, 502, "credentials_rejected"],
  "status-500": [{ status: 500, body: NOT_JSON }, 502, "token_endpoint_unreachable"],
  "status-503": [{ status: 503, body: "" }, 502, "token_endpoint_unreachable"],
  "status-429": [{ status: 429, headers: { "Retry-After": "120" }, body: "" }, 502, "token_endpoint_unreachable"],
  "retry-after-twice": [
    { status: 503, headers: { "Retry-After": ["3", "120"] }, body: "" },
    502,
    "token_endpoint_unreachable",
  ],
  "retry-after": [{ status: 503, headers: { "Retry-After": "120" }, body: "" }, 502, "token_endpoint_unreachable"],
  reset: [{ reset: true }, 502, "token_endpoint_unreachable"],
  hanging: [{ hang: true }, 504, "token_endpoint_timeout"],
  "not-json": [{ body: NOT_JSON }, 502, "token_response_invalid"],
  empty: [{ body: "" }, 502, "token_response_invalid"],
  list: [{ body: [] }, 502, "token_response_invalid"],
  "cut-json": [{ body: '{"access_token":"a","token_type":"Bea' }, 502, "token_response_invalid"],
  "no-token": [{ remove: ["access_token"] }, 502, "token_response_invalid"],
  "empty-token": [{ set: { access_token: "" } }, 502, "token_response_invalid"],
  "number-token": [{ set: { access_token: 12345 } }, 502, "token_response_invalid"],
  "split-token": [{ set: { access_token: "a\r\nX-Injected: 1" } }, 502, "token_response_invalid"],
  "ok-error": [{ body: { error: "invalid_grant" } }, 502, "credentials_rejected"],
  "too-large": [{ set: { padding: "x".repeat(65 * 1024) } }, 502, "token_response_invalid"],
};

/**
 * Refusals as servers word them, byte for byte.
 *
 * @type {{ status: number, content_type: string | null, body_base64: string }[]}
 */
const REFUSALS = JSON.parse(readFileSync(new URL("../data/refusals.json", import.meta.url), "utf8"));

REFUSALS.forEach(({ status, content_type: type, body_base64: body }, i) => {
  /** @type {{ [name: string]: string }} */
  const headers = type === null ? {} : { "Content-Type": type };
  FAILURES[`worded-${i}`] = [{ status, headers, body: Buffer.from(body, "base64") }, 502, "credentials_rejected"];
});

const failing = () =>
  Object.fromEntries(
    Object.keys(FAILURES)
      .concat(["redirect-302", "redirect-307"])
      .map((id) => [
        id,
        {
          grant: id === "bad-password" ? "password" : "client_credentials",
          fields: id === "hanging" ? { token_timeout_ms: 400 } : {},
        },
      ]),
  );

/**
 * @param {Connection} connection
 * @param {CallOptions} [options]
 */
const get = (connection, options) => broker.call(connection.api(), options);

/**
 * @param {Connection} connection
 * @param {CallOptions} [options]
 */
async function ok(connection, options) {
  return assertStatus(await get(connection, options));
}

/**
 * What the API saw as the token, call by call.
 *
 * @param {Connection} connection
 */
const tokens = (connection) => connection.requests.map(({ token }) => token);

/** @param {Connection} connection */
const types = (connection) => connection.tokenRequests.map(({ parameters }) => parameters.grant_type);

describe("a cold connection", () => {
  test("makes one grant for fifty calls at once", async () => {
    c.cold.answerTokenRequest({ delay: 300 });
    const agent = keepAlive();
    const answers = await Promise.all(Array.from({ length: 50 }, () => get(c.cold, { agent })));
    agent.destroy();
    assert.deepEqual(
      answers.map(({ status }) => status),
      Array(50).fill(200),
    );
    assert.equal(c.cold.tokenRequests.length, 1);
    assert.equal(new Set(tokens(c.cold)).size, 1);
    assert.ok(answers.some(({ tokenSource }) => tokenSource === "grant"));
  });

  test("gets its token even if the caller that asked for it leaves", async () => {
    /** @type {PromiseWithResolvers<void>} */
    const { promise: hold, resolve: release } = Promise.withResolvers();
    c.left.answerTokenRequest({ hold });
    const leaving = new AbortController();
    const left = get(c.left, { signal: leaving.signal }).then(
      () => "stayed",
      () => "left",
    );
    await c.left.until(({ tokenRequests }) => tokenRequests.length === 1);
    const other = get(c.left);
    leaving.abort();
    assert.equal(await left, "left");
    release();
    assertStatus(await other);
    await ok(c.left);
    assert.equal(c.left.tokenRequests.length, 1);
  });

  test("is warm afterwards and uses what it has in memory", async () => {
    assert.equal((await ok(c.cold)).tokenSource, "memory");
    assert.equal(c.cold.tokenRequests.length, 1);
  });
});

describe("a token request", () => {
  test("proves the client by Basic with the form-encoded id and secret, and by nothing else", async () => {
    await ok(c.basic);
    const [{ method, headers, body, target }] = c.basic.tokenRequests;
    assert.equal(method, "POST");
    assert.ok(!target.includes("?"));
    assert.match(headers["content-type"], /^application\/x-www-form-urlencoded(?:\s*;\s*charset=utf-8)?$/i);
    /** @param {string} text */
    const encoded = (text) => new URLSearchParams({ x: text }).toString().slice(2);
    const { client_id, client_secret } = c.basic.credentials;
    const credentials = Buffer.from(headers.authorization.replace(/^Basic /, ""), "base64").toString();
    assert.deepEqual(
      credentials.split(":").map((part) => new URLSearchParams(`x=${part}`).get("x")),
      [client_id, client_secret],
    );
    assert.equal(credentials.split(":")[1].replaceAll("%20", "+"), encoded(client_secret));
    assert.deepEqual([...new URLSearchParams(body)].sort(), [
      ["audience", "aud"],
      ["grant_type", "client_credentials"],
      ["resource", "https://api.example.com/"],
      ["scope", "read write"],
      ["tenant", "a&b=c"],
    ]);
  });

  test("proves the client by Basic with id and secret as they are, where the connection says so", async () => {
    await ok(c["basic-bare"]);
    const [{ headers }] = c["basic-bare"].tokenRequests;
    const { client_id, client_secret } = c["basic-bare"].credentials;
    const sent = Buffer.from(headers.authorization.replace(/^Basic /, ""), "base64").toString();
    assert.equal(sent, `${client_id}:${client_secret}`);
  });

  test("of a public client carries its id and no secret, and special characters arrive intact", async () => {
    await ok(c.public);
    const [{ parameters, headers, body }] = c.public.tokenRequests;
    assert.equal(headers.authorization, undefined);
    const { client_id, username, password } = c.public.credentials;
    assert.deepEqual(parameters, { grant_type: "password", client_id, username, password });
    assert.equal([...new URLSearchParams(body)].length, 4);
  });

  test("of a client without a name carries none", async () => {
    await ok(c.anonymous);
    const { username, password } = c.anonymous.credentials;
    assert.deepEqual(c.anonymous.tokenRequests[0].parameters, { grant_type: "password", username, password });
  });

  test("is a JSON object where the connection says so", async () => {
    await ok(c.json);
    const [{ headers, body }] = c.json.tokenRequests;
    assert.match(headers["content-type"], /^application\/json\b/);
    assert.deepEqual(JSON.parse(body), { grant_type: "client_credentials", ...c.json.credentials, tenant: 'a"b' });
  });

  test("starts from the configured refresh token and goes on with the rotated ones", async () => {
    const connection = c["refresh-only"];
    await ok(connection);
    connection.revoke();
    await ok(connection);
    const presented = connection.tokenRequests.map(({ parameters }) => parameters.refresh_token);
    assert.deepEqual(presented, [
      connection.credentials.refresh_token,
      connection.issued.find((one) => one.includes("-rt-")),
    ]);
    assert.deepEqual(connection.tokenRequests[0].parameters, {
      grant_type: "refresh_token",
      ...connection.credentials,
    });
  });

  test("carries nothing of the caller's", async () => {
    c.revoked.revoke();
    await ok(c.revoked, {
      origin: ORIGIN,
      headers: {
        Cookie: "of=caller",
        "User-Agent": "front-end/1",
        "Accept-Language": "pt",
        "X-Forwarded-For": "192.0.2.1",
      },
    });
    for (const { headers } of c.revoked.tokenRequests) {
      for (const name of [
        "cookie",
        "origin",
        "referer",
        "accept-language",
        "x-forwarded-for",
        "cf-connecting-ip",
        "authorization",
      ]) {
        assert.equal(headers[name], undefined, name);
      }
      assert.ok(!(headers["user-agent"] ?? "").includes("front-end"));
    }
  });
});

describe("a token response", () => {
  for (const [id, change] of /** @type {[id: string, change: TokenReply][]} */ ([
    ["expires-absent", { remove: ["expires_in"] }],
    ["expires-text", { set: { expires_in: "3600" } }],
    ["expires-zero", { set: { expires_in: 0 } }],
    ["expires-negative", { set: { expires_in: -1 } }],
    ["expires-huge", { set: { expires_in: 1e12 } }],
    ["expires-nonsense", { set: { expires_in: "soon" } }],
    ["expires-fraction", { set: { expires_in: 3600.5 } }],
  ])) {
    test(`(${id}) is used again without another grant`, async () => {
      c[id].answerTokenRequest(change);
      for (let i = 0; i < 3; i += 1) await ok(c[id]);
      assert.equal(c[id].tokenRequests.length, 1);
    });
  }

  test("may write its type in any case, or leave it out", async () => {
    c["type-mixed"].answerTokenRequest({ set: { token_type: "bEaReR" } });
    c["type-absent"].answerTokenRequest({ remove: ["token_type"] });
    for (const id of ["type-mixed", "type-absent"]) {
      await ok(c[id]);
      assert.match(c[id].requests[0].headers.authorization, /^bearer \S+$/i);
    }
    assert.match(c["type-absent"].requests[0].headers.authorization, /^Bearer /);
  });

  test("of a type that the broker cannot use is invalid", async () => {
    for (const [id, token_type] of [
      ["type-mac", "mac"],
      ["type-dpop", "DPoP"],
    ]) {
      c[id].answerTokenRequest({ set: { token_type } });
      assertProblem(await get(c[id]), 502, "token_response_invalid");
      assert.equal(c[id].requests.length, 0);
    }
  });

  test("may call its type anything where the connection says its scheme", async () => {
    c["type-other"].answerTokenRequest({ set: { token_type: "BearerToken" } });
    await ok(c["type-other"]);
    assert.match(c["type-other"].requests[0].headers.authorization, /^Bearer \S+$/);
  });

  test("may have a byte that is not UTF-8 in a member that nobody needs", async () => {
    const connection = c["latin-1"];
    const token = "latin-1-token";
    connection.live.add(token);
    const body = `{"access_token":"${token}","token_type":"Bearer","expires_in":3600,"name":"Jo\u00e3o"}`;
    connection.answerTokenRequest({
      headers: { "Content-Type": "application/json" },
      body: Buffer.from(body, "latin1"),
    });
    await ok(connection);
    assert.deepEqual(tokens(connection), [token]);
  });

  test("may carry a long token and members that nobody knows", async () => {
    const access_token = randomBytes(6 * 1024).toString("base64url");
    c["long-token"].answerTokenRequest({ set: { access_token, unknown: { deep: [1, 2] }, scope: "other" } });
    await ok(c["long-token"]);
    assert.deepEqual(tokens(c["long-token"]), [access_token]);
  });
});

describe("a token", () => {
  test("goes into the header that the connection names, bare where the scheme is empty", async () => {
    await ok(c["header-raw"]);
    const [{ headers }] = c["header-raw"].requests;
    assert.deepEqual([headers["x-api-key"], headers.authorization], [c["header-raw"].issued[0], undefined]);
  });

  test("has the scheme that the connection names", async () => {
    await ok(c["header-scheme"]);
    assert.equal(c["header-scheme"].requests[0].headers.authorization, `Token ${c["header-scheme"].issued[0]}`);
  });
});

describe("a refresh", () => {
  test("carries the newest refresh token, each used once", async () => {
    const connection = c.rotating;
    await ok(connection);
    for (let i = 0; i < 3; i += 1) {
      connection.revoke();
      await ok(connection);
    }
    assert.deepEqual(types(connection), ["password", "refresh_token", "refresh_token", "refresh_token"]);
    const issued = connection.issued.filter((one) => one.includes("-rt-"));
    assert.deepEqual(
      connection.tokenRequests.slice(1).map(({ parameters }) => parameters.refresh_token),
      issued.slice(0, 3),
    );
  });

  test("carries the same refresh token where no response has another", async () => {
    const connection = c.constant;
    await ok(connection);
    for (let i = 0; i < 2; i += 1) {
      connection.revoke();
      await ok(connection);
    }
    assert.deepEqual(types(connection), ["password", "refresh_token", "refresh_token"]);
    const [refreshToken] = connection.issued.filter((one) => one.includes("-rt-"));
    assert.deepEqual(
      connection.tokenRequests.slice(1).map(({ parameters }) => parameters.refresh_token),
      [refreshToken, refreshToken],
    );
  });

  test("that is refused is followed by a new grant", async () => {
    const connection = c["refresh-refused"];
    await ok(connection);
    connection.revoke();
    connection.forgetRefreshTokens();
    await ok(connection);
    assert.deepEqual(types(connection), ["password", "refresh_token", "password"]);
  });

  test("that was cut off after it took effect does not lock the connection", async () => {
    const connection = c["cut-off"];
    await ok(connection);
    connection.revoke();
    connection.forgetRefreshTokens();
    connection.answerTokenRequest({ reset: true });
    const started = connection.tokenRequests.length;
    await until(async () => {
      const answer = await get(connection);
      assert.ok([200, 502, 503].includes(answer.status), answer.text);
      return answer.status === 200;
    }, "a call that succeeds");
    const requests = types(connection).slice(started);
    assert.equal(requests.at(-1), "password");
    assert.ok(requests.length <= 3, requests.join());
  });
});

describe("a 401 of the upstream", () => {
  test("is answered by a new token and the same call once more, its body intact", async () => {
    await ok(c.replayed);
    c.replayed.revoke();
    const body = randomBytes(100_000);
    const seen = c.replayed.requests.length;
    const headers = { "Content-Type": "application/octet-stream", "Idempotency-Key": "k" };
    const answer = assertStatus(
      await broker.call(c.replayed.api("/echo/a%20b?x=1"), { method: "POST", body, headers }),
    );
    assert.equal(answer.json().bytes, body.length);
    const [first, second, ...more] = c.replayed.requests.slice(seen);
    assert.deepEqual(more, []);
    for (const request of [first, second]) {
      assert.ok(request.body.equals(body));
      assert.deepEqual(
        [request.method, request.below, request.headers["content-type"], request.headers["idempotency-key"]],
        ["POST", "/echo/a%20b?x=1", "application/octet-stream", "k"],
      );
    }
    assert.notEqual(first.token, second.token);
    assert.equal(c.replayed.tokenRequests.length, 2);
  });

  test("of a body without a length is replayed too", async () => {
    const connection = c["replayed-stream"];
    await ok(connection);
    connection.revoke();
    const body = Readable.from([Buffer.from("first,"), Buffer.from("second")]);
    assert.equal(assertStatus(await broker.call(connection.api(), { method: "POST", body })).json().bytes, 12);
    assert.deepEqual(
      connection.requests.slice(1).map((request) => request.body.toString()),
      ["first,second", "first,second"],
    );
    assert.equal(connection.tokenRequests.length, 2);
  });

  test("makes one renewal for twenty calls at once", async () => {
    await ok(c.stampede);
    c.stampede.revoke();
    c.stampede.answerTokenRequest({ delay: 300 });
    const agent = keepAlive();
    const answers = await Promise.all(Array.from({ length: 20 }, () => get(c.stampede, { agent })));
    agent.destroy();
    assert.deepEqual(
      answers.map(({ status }) => status),
      Array(20).fill(200),
    );
    assert.deepEqual(types(c.stampede), ["password", "refresh_token"]);
    assert.equal(c.stampede.maxConcurrentTokenRequests, 1);
  });

  test("that comes late, for a token replaced meanwhile, makes no renewal of its own", async () => {
    const connection = c.late;
    await ok(connection);
    /** @type {PromiseWithResolvers<void>} */
    const { promise: held, resolve: release } = Promise.withResolvers();
    connection.on("401 /echo/late", async (_request, response, record) => {
      await Promise.all([record.done, held]);
      send(response, { status: 401, body: "late" });
    });
    connection.revoke();
    const late = broker.call(connection.api("/echo/late"));
    await connection.until(({ requests }) => requests.at(-1)?.path === "/echo/late");
    await ok(connection);
    const renewals = connection.tokenRequests.length;
    release();
    assertStatus(await late);
    assert.equal(connection.tokenRequests.length, renewals);
  });

  test("of the new token too is a problem, and then makes no storm of grants", async () => {
    await ok(c.refused);
    c.refused.refuseNext(2);
    assertProblem(await get(c.refused), 502, "upstream_unauthorized");
    assert.equal(c.refused.tokenRequests.length, 2);
    c.refused.refuseNext(4);
    for (let i = 0; i < 4; i += 1) assertProblem(await get(c.refused), 502, "upstream_unauthorized");
    assert.equal(c.refused.tokenRequests.length, 2);
    await ok(c.refused);
  });

  test("of a call whose body is too large to replay is a problem, and the next call has the new token", async () => {
    const stream = Readable.from([randomBytes(3_000), randomBytes(2_000)]);
    for (const [connection, body] of /** @type {const} */ ([
      [c.large, randomBytes(5_000)],
      [c["large-stream"], stream],
    ])) {
      await ok(connection);
      connection.revoke();
      assertProblem(await broker.call(connection.api(), { method: "POST", body }), 502, "upstream_unauthorized");
      assert.deepEqual([connection.requests.length, connection.tokenRequests.length], [2, 2]);
      await ok(connection);
      assert.deepEqual([connection.requests.length, connection.tokenRequests.length], [3, 2]);
    }
  });

  test("of a token that was accepted before is renewed, however short ago the last renewal was", async () => {
    const connection = c["revoked-again"];
    for (let i = 0; i < 3; i += 1) {
      await ok(connection);
      await ok(connection);
      connection.revoke();
    }
    await ok(connection);
    assert.deepEqual(types(connection), ["password", "refresh_token", "refresh_token", "refresh_token"]);
  });

  test("that comes before the body was read is handled all the same", async () => {
    await ok(c.early);
    c.early.on("401 /echo", (_request, response) => send(response, { status: 401, body: "early" }));
    c.early.revoke();
    const answer = await broker.call(c.early.api(), { method: "POST", body: randomBytes(300_000) });
    assertProblem(answer, 502, "upstream_unauthorized");
    await ok(c.early);
    assert.equal(c.early.tokenRequests.length, 2);
  });

  test("about one call fails that call alone while no other token can be had", async () => {
    const connection = c["about-the-call"];
    await ok(connection);
    connection.on("/echo/reports", (_request, response) => send(response, { status: 401, body: "not you" }));
    connection.answerTokenRequest({ status: 503, headers: { "Retry-After": "60" }, body: "" });
    for (let i = 0; i < 5; i += 1) {
      assertProblem(await broker.call(connection.api("/echo/reports")), 502, "upstream_unauthorized");
      await ok(connection);
    }
    assert.equal(connection.tokenRequests.length, 2);
    assert.equal(new Set(tokens(connection)).size, 1);
  });

  test("may be a 403 that says in plain words that the token is invalid", async () => {
    const connection = c["plain-words"];
    await ok(connection);
    const [first] = connection.issued;
    connection.on("/echo/plain", (_request, response, { token }) =>
      token === first
        ? send(response, { status: 403, headers: { "WWW-Authenticate": 'Bearer error="invalid_token"' }, body: "" })
        : send(response, { body: "served" }),
    );
    assert.equal(assertStatus(await broker.call(connection.api("/echo/plain"))).text, "served");
    assert.deepEqual(types(connection), ["password", "refresh_token"]);
    connection.on("/echo/scope", (_request, response) =>
      send(response, { status: 403, headers: { "WWW-Authenticate": 'Bearer error="insufficient_scope"' }, body: "" }),
    );
    assert.equal((await broker.call(connection.api("/echo/scope"))).status, 403);
    assert.equal(connection.tokenRequests.length, 2);
  });

  test("of one call in two causes few token requests, and one send more cures most", async (t) => {
    const connection = c.flaky;
    await ok(connection);
    let number = 0;
    connection.on("/echo/flaky", (_request, response) => {
      number += 1;
      return send(response, number % 2 === 0 ? { body: "served" } : { status: 401, body: "a bad node" });
    });
    for (let i = 0; i < 100; i += 1) assertStatus(await broker.call(connection.api("/echo/flaky")));
    assert.ok(connection.tokenRequests.length <= 5, `${connection.tokenRequests.length} token requests`);
    t.diagnostic(`${connection.tokenRequests.length - 1} token requests for 100 refusals`);
  });

  test("of a static token is a problem at once", async () => {
    c.static.revoke();
    assertProblem(await get(c.static), 502, "upstream_unauthorized");
    assert.equal(c.static.requests.length, 1);
    assert.equal(c.static.tokenRequests.length, 0);
  });

  test("keeps its challenge to itself", async () => {
    const answer = await get(c.static);
    assertProblem(answer, 502, "upstream_unauthorized");
    assert.equal(answer.headers["www-authenticate"], undefined);
    assert.ok(!answer.text.includes("not accepted"));
  });
});

describe("a token endpoint that fails", () => {
  /**
   * Only a failure that is known to need patience has a wait of a known length.
   *
   * @param {string} id
   * @param {string} code
   */
  const waits = (id, code) =>
    code === "credentials_rejected"
      ? [45, 90]
      : ["status-429", "retry-after", "retry-after-twice"].includes(id)
        ? [110, 130]
        : [1, 5];

  for (const [id, [answer, status, code]] of Object.entries(FAILURES)) {
    test(`(${id}) is ${status} ${code}, then left alone`, async () => {
      c[id].answerTokenRequest(answer);
      const met = await get(c[id], { origin: ORIGIN });
      assertProblem(met, status, code);
      assert.ok(!/secret text|doctype|invalid_/.test(met.text));
      const waiting = await get(c[id], { origin: ORIGIN });
      assertProblem(waiting, 503, "connection_unavailable", { cause: code });
      const [least, most] = waits(id, code);
      const seconds = Number(waiting.headers["retry-after"]);
      assert.ok(seconds >= least && seconds <= most, `Retry-After: ${waiting.headers["retry-after"]}`);
      assert.equal(c[id].tokenRequests.length, 1);
      assert.equal(c[id].requests.length, 0);
    });
  }

  for (const status of [302, 307]) {
    test(`(redirect-${status}) by pointing elsewhere is not followed`, async () => {
      const connection = c[`redirect-${status}`];
      connection.answerTokenRequest({ status, headers: { Location: `${elsewhere.url}/token` }, body: "" });
      const answer = await get(connection);
      const { code } = answer.json();
      assert.ok(["token_endpoint_unreachable", "token_response_invalid"].includes(code), answer.text);
      assertProblem(answer, 502, code);
      assert.equal(elsewhere.hits, 0);
      assertProblem(await get(connection), 503, "connection_unavailable", { cause: code });
      assert.equal(connection.tokenRequests.length, 1);
    });
  }

  test("is asked again after the wait, and then all is well", async () => {
    c.recovering.answerTokenRequest({ status: 500, body: "" });
    assertProblem(await get(c.recovering), 502, "token_endpoint_unreachable");
    const waiting = await get(c.recovering);
    assertProblem(waiting, 503, "connection_unavailable");
    assert.ok(Number(waiting.headers["retry-after"]) >= 1);
    await until(async () => {
      const answer = await get(c.recovering);
      if (answer.status !== 200) assertProblem(answer, 503, "connection_unavailable");
      return answer.status === 200;
    }, "the end of the wait");
    assert.equal(c.recovering.tokenRequests.length, 2);
  });
});

describe("a restart", () => {
  const SECOND_KEY = sealingKey("k2");
  const stored = (/** @type {Answer} */ { tokenSource }) =>
    assert.ok(["kv", "keeper"].includes(tokenSource), `token from ${tokenSource}`);

  test("forgets no token and no wait", async () => {
    await ok(c.cold);
    const grants = c.cold.tokenRequests.length;
    // A refresh is on its way when the broker dies, and takes effect.
    const { interrupted } = c;
    /** @type {PromiseWithResolvers<void>} */
    const { promise: hold, resolve: release } = Promise.withResolvers();
    await ok(interrupted);
    interrupted.revoke();
    interrupted.answerTokenRequest({ hold });
    const lost = get(interrupted).then(
      () => "answered",
      () => "lost",
    );
    await interrupted.until(({ tokenRequests }) => tokenRequests.length === 2);
    await broker.kill();
    release();
    assert.equal(await lost, "lost");
    await broker.restart();
    stored(await ok(c.cold));
    assert.equal((await ok(c.cold)).tokenSource, "memory");
    assert.equal(c.cold.tokenRequests.length, grants);
    assertProblem(await get(c["bad-client"]), 503, "connection_unavailable", { cause: "credentials_rejected" });
    assert.equal(c["bad-client"].tokenRequests.length, 1);
  });

  test("in the middle of a refresh costs one try with the stored token, then a new grant", async () => {
    await ok(c.interrupted);
    assert.deepEqual(types(c.interrupted), ["password", "refresh_token", "refresh_token", "password"]);
    const [, cutOff, again] = c.interrupted.tokenRequests.map(({ parameters }) => parameters.refresh_token);
    assert.equal(again, cutOff);
  });

  test("with changed credentials ends the wait, and with a further sealing key opens what the old one sealed", async () => {
    const { id } = c["bad-client"];
    await broker.restart({
      secrets: {
        SEALING_KEYS: `${SECOND_KEY},${FIRST_KEY}`,
        [`${id.toUpperCase().replaceAll("-", "_")}_CLIENT_SECRET`]: "corrected",
      },
    });
    await ok(c["bad-client"]);
    assert.equal(c["bad-client"].tokenRequests.at(-1)?.parameters.client_secret, "corrected");
    const grants = c.cold.tokenRequests.length;
    stored(await ok(c.cold));
    assert.equal(c.cold.tokenRequests.length, grants);
  });

  test("with a foreign sealing key makes a new grant and says so in the log", async () => {
    const grants = c.cold.tokenRequests.length;
    const since = broker.output.length;
    await broker.restart({ secrets: { SEALING_KEYS: sealingKey("k9") } });
    await ok(c.cold);
    assert.deepEqual(types(c.cold).slice(grants), ["password"]);
    await broker.logged((log) => log.status === undefined && /seal|record|open/i.test(JSON.stringify(log)), {
      since,
      what: "a line about the record that does not open",
    });
  });
});

test("nothing was asked for that nobody expected", () => {
  upstream.verify();
  assert.equal(elsewhere.hits, 0);
});
