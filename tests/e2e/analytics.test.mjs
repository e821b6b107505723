// One data point for each proxied call, in bare workerd with a dataset that keeps its data points: wrangler's own, on a
// developer's machine, keeps none.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { EVERYTHING, ORIGIN, sealingKey, startBroker } from "./support/broker.mjs";
import { call } from "./support/client.mjs";
import { COOKIE, cookieOf } from "./support/person.mjs";
import { search } from "./support/search.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const ENTRY = `
import broker from "./index.js";
export { Keeper } from "./index.js";
const points = [];
let fails = false;
class Dataset {
  writeDataPoint(point) {
    points.push(structuredClone(point));
    if (fails) throw new Error("no more points");
  }
}
const dataset = new Dataset();
let bound;
export default {
  fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname === "/points") return Response.json(points.splice(0));
    if (pathname.startsWith("/failing/")) return Response.json(fails = pathname.endsWith("true"));
    bound ??= { ...env, ANALYTICS: dataset };
    return broker.fetch(request, bound, context);
  },
};`;

/**
 * A data point as the dataset is given it.
 *
 * @typedef {{ indexes: string[], blobs: string[], doubles: number[] }} DataPoint
 */

/**
 * The columns of a point by name, and the answer to its request.
 *
 * @typedef {{ point: { [column: string]: any }, answer: Answer }} Seen
 */

const CALLERS = { backend: { kind: "key" }, page: { kind: "anyone" } };
const CALLER_KEY = `canary-caller-key-${randomBytes(16).toString("hex")}`;
/** @param {string} name */
const canary = (name) => `canary-${name}-${randomBytes(12).toString("hex")}`;
const IN_PATH = canary("path");
const IN_QUERY = canary("query");
const IN_BODY = canary("body");
const IN_FIELD = canary("field");

/** The columns as docs/guides/observe.md tells them: what is in each. */
const documentation = await readFile(new URL("../../docs/guides/observe.md", import.meta.url), "utf8");
const COLUMNS = [...documentation.matchAll(/^\| `([a-z]+)(\d+)` \| `(\w+)` \|/gm)].map(([, kind, number, name]) => ({
  kind: /** @type {"index" | "blob" | "double"} */ (kind),
  number: Number(number),
  name,
}));

/** @type {Upstream} */
let upstream;
/** @type {Connection} */
let service;
/** @type {Broker} */
let broker;
/** @type {Broker} */
let mounted;
/** @type {DataPoint[]} */
const seen = [];

before(async () => {
  upstream = await startUpstream();
  const rules = [
    {
      ...EVERYTHING,
      callers: ["backend", "page"],
      methods: ["GET", "HEAD", "POST"],
      paths: ["/echo", "/echo/*", "/status/*", "/never"],
    },
    { callers: ["backend"], methods: ["GET"], paths: ["/once"], rate_limit: { requests: 1, seconds: 60 } },
  ];
  service = upstream.connection("service", {
    grant: "password",
    fields: { rules, replay_bytes: 100, timeout_ms: 500 },
  });
  service.on("/never", () => {}).on("/once", (_request, response) => response.end());
  upstream.connection("unwatched", { grant: "password", fields: { rules } });
  upstream.connection("plain", { grant: "static", fields: { rules } });
  upstream.connection("slow", { fields: { rules } });
  upstream.connection("refused", { grant: "password", fields: { rules } });
  upstream.connection("people", { users: { ana: "ana's password" } });
  const settings = {
    vars: {
      ALLOWED_ORIGINS: [ORIGIN],
      CALLERS,
      CONNECTIONS: upstream.vars,
    },
    secrets: { BACKEND_KEY: CALLER_KEY, SEALING_KEYS: sealingKey("k1"), ...upstream.secrets },
    around: { "main.js": ENTRY },
  };
  broker = await startBroker(settings);
  mounted = await startBroker({
    ...settings,
    vars: { ...settings.vars, BASE_PATH: "/broker/" },
  });
});

after(async () => {
  await broker?.stop();
  await mounted?.stop();
  await upstream?.close();
});

/** @type {(broker: Broker) => Promise<DataPoint[]>} */
const pointsOf = async ({ url }) => {
  const points = await fetch(`${url}/points`).then((response) => response.json());
  seen.push(...points);
  return points;
};

/**
 * The points of what `act` does.
 *
 * @param {() => unknown} act
 */
async function during(act, at = broker) {
  await pointsOf(at);
  await act();
  return pointsOf(at);
}

/**
 * @param {string} target
 * @param {CallOptions} [options]
 */
const ask = (target, options) => call(broker.url, target, { key: CALLER_KEY, ...options });

/**
 * The one point that a request makes, its columns by name, and the answer.
 *
 * @param {string} target
 * @param {CallOptions} [options]
 * @returns {Promise<Seen>}
 */
async function pointOf(target, options) {
  /** @type {Answer[]} */
  const answers = [];
  const points = await during(async () => answers.push(await ask(target, options)));
  assert.equal(points.length, 1, JSON.stringify(points));
  return { point: named(points[0]), answer: answers[0] };
}

/**
 * @param {DataPoint} point
 * @returns {{ [column: string]: any }}
 */
function named({ indexes, blobs, doubles }) {
  const all = { index: indexes, blob: blobs, double: doubles };
  assert.equal(COLUMNS.length, indexes.length + blobs.length + doubles.length, "every column is documented");
  assert.deepEqual(indexes, [blobs[0]]);
  return Object.fromEntries(COLUMNS.map(({ kind, number, name }) => [name, all[kind][number - 1]]));
}

/**
 * Holds a point to these columns; times may be any number.
 *
 * @param {Seen} seen
 * @param {{ [column: string]: unknown }} expected
 */
function assertPoint({ point, answer }, expected) {
  const { token_ms, upstream_ms, request_id, ...rest } = point;
  const empty = { caller: "", method: "GET", path: "", code: "", token: "", reason: "", sent: 0 };
  assert.deepEqual(rest, { ...empty, ...expected, status: answer.status });
  assert.ok(
    token_ms >= 0 && upstream_ms >= 0 && token_ms < 60_000 && upstream_ms < 60_000,
    `${token_ms} ${upstream_ms}`,
  );
  assert.equal(request_id, answer.headers["x-request-id"]);
}

const ECHO = { connection: "service", caller: "backend", path: "/echo" };

describe("a call makes one point", () => {
  test("that waits for a grant, and that has its token in memory", async () => {
    assertPoint(await pointOf("/api/service/echo"), { ...ECHO, token: "grant", sent: 1 });
    assertPoint(await pointOf("/api/service/echo"), { ...ECHO, token: "memory", sent: 1 });
    assertPoint(await pointOf("/api/plain/echo"), { ...ECHO, connection: "plain", token: "static", sent: 1 });
  });

  test("with its times", async () => {
    const { point } = await pointOf("/api/service/never");
    assert.ok(point.upstream_ms >= 490 && point.token_ms < point.upstream_ms, JSON.stringify(point));
    assert.deepEqual([point.status, point.code, point.sent], [504, "upstream_timeout", 1]);
    upstream.get("slow").answerTokenRequest({ delay: 500 });
    const waited = await pointOf("/api/slow/echo");
    assert.ok(
      waited.point.token_ms >= 490 && waited.point.upstream_ms < waited.point.token_ms,
      JSON.stringify(waited.point),
    );
  });

  test("of any method, with the pattern of its path", async () => {
    const target = `/api/service/echo/${IN_PATH}?q=${IN_QUERY}`;
    const headers = { "X-Canary": IN_FIELD, traceparent: `00-${"c".repeat(32)}-${"d".repeat(16)}-01` };
    assertPoint(await pointOf(target, { method: "POST", body: IN_BODY, headers }), {
      ...ECHO,
      path: "/echo/*",
      method: "POST",
      token: "memory",
      sent: 1,
    });
    assertPoint(await pointOf(target, { method: "HEAD" }), {
      ...ECHO,
      path: "/echo/*",
      method: "HEAD",
      token: "memory",
      sent: 1,
    });
  });

  test("of a page, and with the upstream's own errors", async () => {
    assertPoint(await pointOf("/api/service/status/429", { key: null, origin: ORIGIN }), {
      ...ECHO,
      caller: "page",
      path: "/status/*",
      token: "memory",
      sent: 1,
    });
  });

  test("that is sent again", async () => {
    service.revoke();
    assertPoint(await pointOf("/api/service/echo"), { ...ECHO, token: "grant", sent: 2 });
    service.revoke();
    assertPoint(await pointOf("/api/service/echo", { method: "POST", body: "x" }), {
      ...ECHO,
      method: "POST",
      token: "grant",
      sent: 2,
    });
    service.revoke();
    const tooLarge = await pointOf("/api/service/echo", { method: "POST", body: "x".repeat(200) });
    assertPoint(tooLarge, { ...ECHO, method: "POST", token: "grant", code: "upstream_unauthorized", sent: 1 });
  });

  test("that is refused", async () => {
    const connection = "service";
    assertPoint(await pointOf("/api/service/echo", { key: null }), { connection, code: "caller_unauthenticated" });
    assertPoint(await pointOf("/api/service/echo", { key: `${CALLER_KEY}x` }), {
      connection,
      code: "caller_unauthenticated",
    });
    assertPoint(await pointOf("/api/service/echo", { method: "DELETE" }), {
      ...ECHO,
      method: "DELETE",
      code: "operation_not_allowed",
    });
    assertPoint(await pointOf("/api/service/echo", { origin: "https://evil.example" }), {
      connection: "",
      code: "origin_not_allowed",
    });
    assertPoint(await pointOf(`/api/${IN_PATH}/echo`), { connection: "", code: "unknown_connection" });
    assertPoint(await pointOf("/api/service/a%2fb"), { connection: "", code: "bad_path" });
  });

  test("that is refused by a limit", async () => {
    let last = await pointOf("/api/service/once");
    for (let count = 1; count < 5 && last.answer.status !== 429; count++) last = await pointOf("/api/service/once");
    assertPoint(last, { ...ECHO, path: "/once", code: "rate_limited" });
  });

  test("that has no token, once and while that is waited out", async () => {
    upstream.get("refused").answerTokenRequest({ status: 401, body: { error: "invalid_client" } });
    const expected = { ...ECHO, connection: "refused" };
    assertPoint(await pointOf("/api/refused/echo"), { ...expected, code: "credentials_rejected" });
    assertPoint(await pointOf("/api/refused/echo"), { ...expected, code: "connection_unavailable" });
  });

  test("of a person", async () => {
    const headers = { "Content-Type": "application/json", Origin: ORIGIN };
    let cookie = "";
    const signingIn = await during(async () => {
      const answer = await ask("/auth/people/login", {
        key: null,
        method: "POST",
        headers,
        body: JSON.stringify({ username: "ana", password: "ana's password" }),
      });
      assert.equal(answer.status, 200);
      cookie = cookieOf(answer).value;
    });
    assert.deepEqual(signingIn, []);
    const session = { key: null, origin: ORIGIN, headers: { Cookie: `${COOKIE}=${cookie}` } };
    assertPoint(await pointOf("/api/people/echo", session), {
      connection: "people",
      caller: "session",
      path: "/**",
      token: "keeper",
      sent: 1,
    });
    assert.ok(!JSON.stringify(seen).includes(cookie));
  });

  test("however many come at once", async () => {
    const points = await during(() =>
      Promise.all(
        Array.from({ length: 50 }, (_, i) => ask("/api/service/echo", i % 2 ? {} : { method: "POST", body: "x" })),
      ),
    );
    assert.equal(new Set(points.map((point) => named(point).request_id)).size, 50);
  });

  test("below a path of the broker's own", async () => {
    const points = await during(async () => {
      assert.equal((await call(mounted.url, "/broker/api/plain/echo", { key: CALLER_KEY })).status, 200);
      assert.equal((await call(mounted.url, "/api/plain/echo", { key: CALLER_KEY })).status, 404);
      assert.equal((await call(mounted.url, "/broker/healthz")).status, 200);
    }, mounted);
    assert.deepEqual(
      points.map((point) => named(point).connection),
      ["plain"],
    );
  });
});

test("nothing else makes a point", async () => {
  const preflight = {
    key: null,
    origin: ORIGIN,
    method: "OPTIONS",
    headers: { "Access-Control-Request-Method": "GET" },
  };
  const points = await during(async () => {
    for (const [status, target, options] of /** @type {[status: number, target: string, options?: CallOptions][]} */ ([
      [200, "/healthz"],
      [200, "/problems/internal"],
      [404, "/nowhere"],
      [404, "/api"],
      [401, "/auth/session", { key: null }],
      [404, "/webhooks/service", { method: "POST", body: "{}" }],
      [401, "/admin/connections/service/webhooks"],
      [204, "/api/service/echo", preflight],
    ])) {
      assert.equal((await ask(target, options)).status, status, target);
    }
  });
  assert.deepEqual(points, []);
});

test("a dataset that fails harms no call", async () => {
  /** @param {boolean} fails */
  const fail = (fails) => fetch(`${broker.url}/failing/${fails}`);
  // One of its own: the third renewal for a refusal within a minute begins a wait, and others have had theirs.
  const target = "/api/unwatched/echo";
  await fail(true);
  try {
    for (const options of /** @type {CallOptions[]} */ ([{}, { method: "POST", body: "x" }, { key: null }])) {
      const { answer } = await pointOf(target, options);
      assert.equal(answer.status, options.key === null ? 401 : 200);
    }
    upstream.get("unwatched").revoke();
    assert.equal((await pointOf(target)).answer.status, 200);
  } finally {
    await fail(false);
  }
});

test("wrangler's own dataset takes the points, as wrangler.toml binds it", async () => {
  const written = await readFile(new URL("../../wrangler.toml", import.meta.url), "utf8");
  const [, binding, dataset] =
    /^# \[\[analytics_engine_datasets\]\]\n# binding = "(\w+)"\n# dataset = "(\w+)"$/m.exec(written) ?? [];
  assert.equal(binding, "ANALYTICS");
  const wrangler = { analytics_engine_datasets: [{ binding, dataset }] };
  const { vars, secrets } = upstream.get("plain");
  const bound = await startBroker({ vars: { CALLERS, CONNECTIONS: { plain: vars } }, secrets, wrangler });
  try {
    for (const options of [{}, { method: "POST", body: "x" }])
      assert.equal((await bound.call("/api/plain/echo", options)).status, 200);
    await bound.logged(({ event, status }) => event === "call" && status === 200);
  } finally {
    await bound.stop();
  }
});

test("every point is within the limits of a dataset", () => {
  assert.ok(seen.length > 70, `${seen.length} points`);
  for (const { indexes, blobs, doubles } of seen) {
    assert.ok(indexes.length === 1 && Buffer.byteLength(indexes[0]) <= 96);
    assert.ok(
      blobs.length <= 20 &&
        blobs.every((blob) => typeof blob === "string") &&
        Buffer.byteLength(blobs.join("")) <= 16_384,
    );
    assert.ok(doubles.length <= 20 && doubles.every(Number.isFinite));
  }
});

test("no secret, token, path, query, field or body is in any point", () => {
  const { BACKEND_KEY, ...secrets } = { BACKEND_KEY: CALLER_KEY, ...upstream.secrets };
  const issued = Object.fromEntries(upstream.issued.map((token, i) => [`issued token ${i + 1}`, token]));
  assert.ok(Object.keys(issued).length > 5);
  const canaries = {
    BACKEND_KEY,
    ...secrets,
    ...issued,
    IN_PATH,
    IN_QUERY,
    IN_BODY,
    IN_FIELD,
    password: "ana's password",
  };
  assert.deepEqual(search({ points: JSON.stringify(seen) }, canaries), []);
});
