// How many times a warm call crosses the border between JavaScript and WebAssembly, counted in bare workerd: a count is
// exact, unlike time. Also the crossing texts, which must arrive unchanged.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { COUNTING, crossings, WARM } from "./support/border.mjs";
import { KEY, ORIGIN, sealingKey, startBroker } from "./support/broker.mjs";
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

// A word in UTF-8, as Node.js has its bytes. The runtime itself takes field values for UTF-8.
const COFFEE = Buffer.from("caf\u00e9").toString("latin1");

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
    around: COUNTING,
  });
});

after(async () => {
  await broker?.stop();
  await issuer?.close();
  await upstream?.close();
  echo?.close();
});

describe("a warm call crosses the border", () => {
  for (const [who, path, options] of /** @type {[who: string, path: () => string, options: () => CallOptions][]} */ ([
    ["of a caller with a key", () => service.api("/echo"), () => ({})],
    ["of anyone from a page", () => service.api("/echo"), () => ({ key: null, origin: ORIGIN })],
    ["of a caller whose token is known", () => service.api("/echo"), () => ({ key: (token ??= issuer.token()) })],
    ["with a static token", () => plain.api("/echo"), () => ({})],
  ])) {
    test(who, async () => {
      assert.deepEqual(await crossings(broker.url, path(), options()), WARM);
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
