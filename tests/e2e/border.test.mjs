// How many times a warm call crosses the border between JavaScript and WebAssembly, counted in bare workerd: a count is
// exact, unlike time. Also the crossing texts, which must arrive unchanged.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { KEY, ORIGIN, sealingKey, startBroker } from "./support/broker.mjs";
import { call } from "./support/client.mjs";
import { makeKey, startIssuer } from "./support/issuer.mjs";
import { rawRequest } from "./support/raw.mjs";
import { portOf } from "./support/servers.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Server } from "node:http" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Issuer } from "./support/issuer.mjs" */
/** @import { RawRequest } from "./support/raw.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

// Counts every call of a function that the module exports or imports.
const COUNT = `
export const counts = {};
const counted = (direction, functions) => Object.fromEntries(Object.entries(functions).map(([name, value]) => {
  if (typeof value !== "function") return [name, value];
  const key = direction + name.replace(/^__wbg_|_[0-9a-f]{16}$/g, "");
  return [name, (...given) => {
    counts[key] = (counts[key] ?? 0) + 1;
    return value(...given);
  }];
}));
const { Instance } = WebAssembly;
WebAssembly.Instance = function (module, imports) {
  const wrapped = Object.fromEntries(Object.entries(imports).map(([from, functions]) => [from, counted("out ", functions)]));
  return { exports: counted("in ", new Instance(module, wrapped).exports) };
};`;

const ENTRY = `
import { counts } from "./count.js";
import broker from "./index.js";
export { Keeper } from "./index.js";
export default {
  fetch: (request, env, context) =>
    new URL(request.url).pathname === "/counts" ? Response.json(counts) : broker.fetch(request, env, context),
};`;

// A word in UTF-8, as Node.js has its bytes. The runtime itself takes field values for UTF-8.
const COFFEE = Buffer.from("caf\u00e9").toString("latin1");

// So many calls draw random bytes once.
const CALLS = 64;

/** @type {Upstream} */
let upstream;
/** @type {Connection} */
let plain;
/** @type {Connection} */
let service;
/** @type {Issuer} */
let issuer;
/** @type {Server} */
let echo;
/** @type {Broker} */
let broker;
/**
 * The token of the caller whose token is known.
 *
 * @type {string | undefined}
 */
let token;

before(async () => {
  upstream = await startUpstream();
  const rules = [{ callers: ["backend", "page", "staff"], methods: ["GET", "POST"], paths: ["/**"] }];
  plain = upstream.connection("plain", { grant: "static", fields: { rules } });
  service = upstream.connection("service", { fields: { rules } });
  issuer = await startIssuer({ keys: [makeKey("RS256")], audience: "aud" });
  echo = createServer((request, response) => {
    // The same name twice, a name that objects have, and bytes beyond ASCII.
    response.writeHead(207, [
      "Link",
      "<a>; rel=next",
      "Link",
      "<b>; rel=last",
      "Vary",
      "Accept",
      "__proto__",
      "kept",
      "X-Latin",
      COFFEE,
      "X-Empty",
      "",
      "Set-Cookie",
      "a=b",
      "Received",
      JSON.stringify([request.headers["x-twice"], request.headers["x-latin"]]),
    ]);
    response.end(request.method);
  }).listen(0, "127.0.0.1");
  await once(echo, "listening");
  const connection = {
    provider: "custom",
    grant: "static",
    base_url: `http://127.0.0.1:${portOf(echo)}`,
    rules,
    request_headers: ["x-twice", "x-latin"],
    response_headers: ["x-latin", "x-empty", "received", "__proto__"],
  };
  broker = await startBroker({
    vars: {
      ALLOWED_ORIGINS: [ORIGIN],
      CALLERS: {
        backend: { kind: "key" },
        page: { kind: "anyone" },
        staff: { kind: "jwt", issuer: issuer.issuer, audience: "aud" },
      },
      CONNECTIONS: { ...upstream.vars, echo: connection },
    },
    secrets: { BACKEND_KEY: KEY, SEALING_KEYS: sealingKey("k1"), ECHO_TOKEN: "echo-token", ...upstream.secrets },
    around: { "main.js": ENTRY, "count.js": COUNT },
  });
});

after(async () => {
  await broker?.stop();
  await issuer?.close();
  await upstream?.close();
  echo?.close();
});

/** @type {() => Promise<{ [name: string]: number }>} */
const counts = () => fetch(`${broker.url}/counts`).then((response) => response.json());

/**
 * How often each function of the border is called in 64 calls, all else being warm.
 *
 * @param {string} path
 * @param {CallOptions} options
 */
async function crossings(path, options) {
  const once = async () => assert.equal((await call(broker.url, path, options)).status, 200);
  for (let count = 0; count < CALLS; count++) await once();
  const before = await counts();
  for (let count = 0; count < CALLS; count++) await once();
  const after = await counts();
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, count]) => /** @type {const} */ ([name, count - (before[name] ?? 0)]))
      .filter(([, count]) => count > 0),
  );
}

describe("a warm call crosses the border", () => {
  for (const [who, path, options] of /** @type {[who: string, path: () => string, options: () => CallOptions][]} */ ([
    ["of a caller with a key", () => service.api("/echo"), () => ({})],
    ["of anyone from a page", () => service.api("/echo"), () => ({ key: null, origin: ORIGIN })],
    ["of a caller whose token is known", () => service.api("/echo"), () => ({ key: (token ??= issuer.token()) })],
    ["with a static token", () => plain.api("/echo"), () => ({})],
  ])) {
    test(who, async () => {
      // Once with the request's head and once with the response's, each a text that is allocated on
      // one side and freed on the other. Nothing is called out, but for random bytes.
      assert.deepEqual(await crossings(path(), options()), {
        "in begin": CALLS,
        "in resume": CALLS,
        "in __wbindgen_malloc": 2 * CALLS,
        "in __wbindgen_free": 2 * CALLS,
        "out getRandomValues": 1,
      });
    });
  }
});

describe("what crosses comes out as it went in:", () => {
  /** @param {RawRequest["headers"]} [headers] */
  const answer = async (headers = []) => {
    const {
      status,
      headers: fields,
      body,
    } = await rawRequest(broker.url, {
      target: "/api/echo/x",
      headers: [["Authorization", `Bearer ${KEY}`], ...headers],
    });
    /** @param {string} name */
    const all = (name) => fields.filter(([field]) => field.toLowerCase() === name).map(([, value]) => value);
    return { status, all, body: body.toString() };
  };

  test("a status, a body, and fields of one name", async () => {
    const { status, all, body } = await answer();
    assert.deepEqual([status, body], [207, "GET"]);
    assert.deepEqual(all("link").join(", "), "<a>; rel=next, <b>; rel=last");
  });

  test("fields that are empty, beyond ASCII, or called as what every object has", async () => {
    const { all } = await answer();
    assert.deepEqual([all("x-empty"), all("x-latin"), all("__proto__")], [[""], [COFFEE], ["kept"]]);
  });

  test("fields of a request", async () => {
    const { all } = await answer([
      ["X-Twice", "a"],
      ["X-Twice", "b:c"],
      ["X-Latin", COFFEE],
    ]);
    assert.deepEqual(all("received"), [JSON.stringify(["a, b:c", COFFEE])]);
  });

  test("the fields of every answer, once each", async () => {
    const { all } = await answer();
    for (const name of [
      "cache-control",
      "content-security-policy",
      "x-content-type-options",
      "referrer-policy",
      "x-request-id",
    ]) {
      assert.equal(all(name).length, 1, name);
    }
    assert.equal(all("vary").join(", "), "Origin, Accept");
    const refused = await rawRequest(broker.url, { target: "/api/echo/x" });
    const types = refused.headers.filter(([name]) => name.toLowerCase() === "content-type").map(([, type]) => type);
    assert.deepEqual(types, ["application/problem+json"]);
  });
});
