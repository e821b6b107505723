// The platform's cache is in front of every address that the broker fetches. A worker that follows the cache's
// documented rules gets all of the broker's requests: whatever it stored for one caller it would serve to the next.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { assertStatus } from "./support/assertions.mjs";
import { ORIGIN, startBroker } from "./support/broker.mjs";
import { call } from "./support/client.mjs";
import { makeKey, startIssuer } from "./support/issuer.mjs";
import { COOKIE, sessionIdOf } from "./support/person.mjs";
import { newSecret } from "./support/receiver.mjs";
import { closeServer, listening } from "./support/servers.mjs";
import { until } from "./support/until.mjs";

/** @import { OutgoingHttpHeaders, Server } from "node:http" */
/** @import { Modules } from "../../scripts/workerd.mjs" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { Issuer } from "./support/issuer.mjs" */
/** @import { Request } from "./support/servers.mjs" */

const AUDIENCE = "https://broker.example.com";

// The cache is keyed by the address alone. It stores a response whose address has a static file's extension, whatever
// its Vary, unless a field of the response forbids it; for a request with Authorization, only if a field allows it.
const CACHE = `
const FILES = /\\.(7z|avif|bin|bmp|csv|css|doc|docx|gif|ico|jpg|jpeg|js|mp3|mp4|pdf|png|ppt|pptx|svg|txt|webp|xls|xlsx|zip)$/i;
const kept = new Map();
const seen = [];
export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  if (pathname === "/what-came") return Response.json(seen);
  const { cacheTtl, cacheLevel } = request.cf ?? {};
  const passes = cacheTtl < 0 || cacheLevel === "bypass";
  seen.push({ method: request.method, pathname, passes });
  const isFile = request.method === "GET" && FILES.test(pathname);
  if (passes || !isFile) return fetch(request);
  const known = kept.get(request.url);
  if (known) return new Response(...known);
  const response = await fetch(request);
  const control = response.headers.get("cache-control") ?? "";
  const forbids = /private|no-store|no-cache|max-age=0/.test(control) || response.headers.has("set-cookie");
  const allows = !request.headers.has("authorization") || /public|s-maxage|must-revalidate/.test(control);
  const copy = [await response.arrayBuffer(), { status: response.status, headers: response.headers }];
  if (response.status === 200 && !forbids && allows) kept.set(request.url, copy);
  return new Response(...copy);
} };`;

/**
 * Put around the broker, it takes the mode away from whatever is fetched.
 *
 * @type {Modules}
 */
const WITHOUT_A_MODE = {
  "main.js": `import "./mode.js"; export { default, Keeper } from "./index.js";`,
  "mode.js": `const send = globalThis.fetch;
globalThis.fetch = (address, { cache, ...init } = {}) => send(address, init);`,
};

/**
 * Each has a file of its own for whoever asks, and fields by the first segment of the path.
 *
 * @type {{ [kind: string]: OutgoingHttpHeaders }}
 */
const FIELDS = {
  plain: {},
  public: { "cache-control": "public, max-age=600" },
  shared: { "cache-control": "s-maxage=600" },
  checked: { "cache-control": "max-age=600, must-revalidate" },
  varied: { vary: "X-Api-Key" },
  private: { "cache-control": "private, max-age=600" },
};

const PEOPLES = [{ callers: ["session"], methods: ["GET"], paths: ["/**"] }];
const rules = [{ callers: ["backend", "staff"], methods: ["GET", "POST"], paths: ["/**"] }];

/** @type {Server} */
let api;
/** @type {Issuer} */
let issuer;
/** @type {string} */
let base;

before(async () => {
  issuer = await startIssuer({ keys: [makeKey("RS256")], audience: AUDIENCE });
  api = createServer(async (incoming, response) => {
    const request = /** @type {Request} */ (incoming);
    let body = "";
    for await (const chunk of request) body += chunk;
    if (request.url === "/token") {
      const name = new URLSearchParams(body).get("username");
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ access_token: `token-of-${name}`, token_type: "Bearer", expires_in: 3600 }));
      return;
    }
    const [, kind] = request.url.split("/");
    response.writeHead(200, { "content-type": "application/pdf", ...FIELDS[kind] });
    response.end(`file for ${request.headers["x-api-key"] ?? request.headers.authorization}`);
  });
  base = await listening(api);
});

after(async () => {
  await issuer?.close();
  if (api) await closeServer(api);
});

/**
 * Two tenants at one API, by a field of their own and by Authorization, and people.
 *
 * @param {Modules} around
 */
async function start(around) {
  const tenant = { provider: "custom", grant: "static", base_url: base, rules };
  const webhook = { token_field: "token", forward_to: `${base}/hook` };
  return startBroker({
    vars: {
      ALLOWED_ORIGINS: [ORIGIN],
      CALLERS: {
        backend: { kind: "key" },
        staff: { kind: "jwt", issuer: issuer.issuer, audience: AUDIENCE, jwks_url: issuer.jwksUrl },
      },
      CONNECTIONS: {
        "one-by-field": { ...tenant, header: "X-Api-Key", scheme: "" },
        "two-by-field": { ...tenant, header: "X-Api-Key", scheme: "" },
        one: tenant,
        two: { ...tenant, webhook },
        service: { ...tenant, grant: "password", token_url: `${base}/token` },
        people: { ...tenant, grant: "password", token_url: `${base}/token`, subject: "user", rules: PEOPLES },
      },
    },
    secrets: {
      ONE_BY_FIELD_TOKEN: "one",
      TWO_BY_FIELD_TOKEN: "two",
      ONE_TOKEN: "one",
      TWO_TOKEN: "two",
      TWO_ACCOUNT_TOKEN: "account-token-of-two",
      TWO_WEBHOOK_SECRET: newSecret(),
      SERVICE_CLIENT_ID: "service",
      SERVICE_CLIENT_SECRET: "secret",
      SERVICE_USERNAME: "service",
      SERVICE_PASSWORD: "password",
      PEOPLE_CLIENT_ID: "people",
      PEOPLE_CLIENT_SECRET: "secret",
    },
    around,
    outbound: { "cache.js": CACHE },
  });
}

/** @typedef {(broker: Broker) => Promise<string[]>} Files */

/** @type {(kind: string) => Files} */
const byField = (kind) => (broker) => tenants(broker, ["one-by-field", "two-by-field"], `/${kind}/own-field.pdf`);
/** @type {(kind: string) => Files} */
const byAuthorization = (kind) => (broker) => tenants(broker, ["one", "two"], `/${kind}/authorization.pdf`);

/**
 * @param {Broker} broker
 * @param {string[]} ids
 * @param {string} path
 */
async function tenants(broker, ids, path) {
  const files = [];
  for (const id of ids) files.push(assertStatus(await call(broker.url, `/api/${id}${path}`)).text);
  return files;
}

/**
 * Two people, one after the other at one browser.
 *
 * @type {Files}
 */
async function people(broker) {
  const files = [];
  for (const username of ["ana", "bia"]) {
    const options = { key: null, origin: ORIGIN };
    const json = { username, password: "password" };
    const answer = await call(broker.url, "/auth/people/login", { ...options, method: "POST", json });
    const headers = { Cookie: `${COOKIE}=${sessionIdOf(assertStatus(answer))}` };
    files.push(assertStatus(await call(broker.url, "/api/people/public/people.pdf", { ...options, headers })).text);
    assertStatus(await call(broker.url, "/auth/logout", { ...options, headers, method: "POST" }), 204);
  }
  return files;
}

/**
 * By what it is about: what gives the files that two callers get, and whether the rules have one given to both.
 *
 * @type {{ [what: string]: [files: Files, isShared: boolean] }}
 */
const CASES = {
  "a token in a field of its own": [byField("plain"), true],
  "a token in a field that the response varies by": [byField("varied"), true],
  "a response that is public": [byAuthorization("public"), true],
  "a response with s-maxage": [byAuthorization("shared"), true],
  "a response with must-revalidate": [byAuthorization("checked"), true],
  "a person who signed out": [people, true],
  "a response that is private": [byField("private"), false],
};

describe("a file of one caller", () => {
  for (const [title, around] of /** @type {[title: string, around: Modules][]} */ ([
    ["is never another's", {}],
    ["would be another's if nothing asked for it fresh", WITHOUT_A_MODE],
  ])) {
    test(title, async (t) => {
      const broker = await start(around);
      try {
        const shared = [];
        for (const [what, [files]] of Object.entries(CASES)) {
          const [first, second] = await files(broker);
          if (first === second) shared.push(what);
        }
        t.diagnostic(`${shared.length} of ${Object.keys(CASES).length} files were given to another`);
        const expected = Object.entries(CASES).filter(([, [, isShared]]) => isShared && around === WITHOUT_A_MODE);
        assert.deepEqual(
          shared,
          expected.map(([what]) => what),
        );
      } finally {
        await broker.stop();
      }
    });
  }
});

describe("what the broker fetches", () => {
  test("passes the cache by: calls, token requests, key sets and deliveries", async () => {
    const broker = await start({});
    try {
      for (const method of ["GET", "POST"]) {
        assertStatus(
          await call(broker.url, "/api/service/plain/a.pdf", { method, ...(method === "POST" && { body: "x" }) }),
        );
      }
      assertStatus(await call(broker.url, "/api/one/plain/a.pdf", { key: issuer.token() }));
      const json = { token: "account-token-of-two", id: 1 };
      assertStatus(await call(broker.url, "/webhooks/two", { method: "POST", key: null, json }), 202);
      /** @type {() => Promise<{ method: string, pathname: string, passes: boolean }[]>} */
      const came = async () => (await fetch(`${broker.outboundUrl}/what-came`)).json();
      await until(async () => (await came()).some(({ pathname }) => pathname === "/hook"), "the delivery");
      const seen = await came();
      const { pathname: keys } = new URL(issuer.jwksUrl);
      const expected = ["GET /plain/a.pdf", "POST /plain/a.pdf", "POST /token", `GET ${keys}`, "POST /hook"];
      const all = new Set(seen.map(({ method, pathname }) => `${method} ${pathname}`));
      for (const one of expected) assert.ok(all.has(one), `${one} was not seen: ${[...all]}`);
      assert.deepEqual(
        seen.filter(({ passes }) => !passes),
        [],
      );
    } finally {
      await broker.stop();
    }
  });
});
