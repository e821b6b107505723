// Logins: token endpoints that are not OAuth, with requests and answers of their own.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { closeServer, listening } from "./support/servers.mjs";
import { send } from "./support/upstream.mjs";

/** @import { IncomingMessage, Server, ServerResponse } from "node:http" */
/** @import { Broker, Secrets, Vars } from "./support/broker.mjs" */
/** @import { Reply } from "./support/upstream.mjs" */

const ADMIN_KEY = "e2e-operators-key-0123456789abcdef";
const PASSWORD = ' +&%é€"\\{username} ';
const HOUR = 3600;

/**
 * An API and its login.
 *
 * @typedef {object} Api
 * @property {Vars} login the table of that name
 * @property {Vars} [fields] further fields of the connection
 * @property {(token: string) => Reply} [grants] the answer to a login
 */

/** @typedef {{ method: string, target: string, headers: IncomingMessage["headers"], body: string }} Sent */

/** How many seconds from now a token expires, by how an answer says so. @type {{ [id: string]: () => unknown }} */
const EXPIRIES = {
  "in-number": () => ({ in: 600 }),
  "in-text": () => ({ in: "600" }),
  "at-utc": () => ({ at: rfc3339(600, 0, "Z") }),
  "at-brazil": () => ({ at: rfc3339(600, -3, "-03:00") }),
  "at-india": () => ({ at: rfc3339(600, 5.5, "+05:30") }),
  "at-seconds": () => ({ at: unix(600) }),
  "at-seconds-text": () => ({ at: String(unix(600)) }),
  "at-millis": () => ({ at: unix(600) * 1000 }),
  "both-ways": () => ({ in: 600, at: rfc3339(9000, 0, "Z") }),
};

/** Answers that say no usable time of expiry. @type {typeof EXPIRIES} */
const NO_EXPIRIES = {
  "no-zone": () => ({ at: rfc3339(600, 0, "") }),
  past: () => ({ at: rfc3339(-600, 0, "Z") }),
  nonsense: () => ({ in: "soon", at: "tomorrow" }),
  "not-there": () => ({}),
};

const OTHERS = { token: "/token", fields: { user: "{username}", password: "{password}" } };
const REJECTED = { ...OTHERS, rejected: [{ status: 200, json: "/success", in: [false] }] };

/** @type {{ [id: string]: Api }} */
const APIS = {
  tableau: {
    login: {
      fields: { credentials: { name: "{username}", password: "{password}", site: { contentUrl: "" } } },
      token: "/credentials/token",
    },
    fields: { header: "X-Tableau-Auth", scheme: "" },
    grants: (token) => ({ body: { credentials: { site: { id: "1" }, token } } }),
  },
  query: {
    login: { method: "GET", fields: { usuario: "{username}", senha: "{password}", dias: 7 }, token: "" },
    grants: (token) => ({ headers: { "Content-Type": "application/json" }, body: JSON.stringify(token) }),
  },
  form: {
    login: {
      body: "form",
      headers: { "X-App-Key": "{app_key}", Accept: "text/plain" },
      fields: { login: "{username}", password: "{password}", remember: true },
      token: "header:X-Auth-Token",
    },
    grants: (token) => ({ status: 204, headers: { "X-Auth-Token": token } }),
  },
  bare: { login: { token: "/token" } },
  storm: { login: OTHERS },
  restarted: { login: OTHERS },
  "refused-401": { login: OTHERS, grants: () => ({ status: 401, body: "wrong user or password" }) },
  "refused-404": { login: OTHERS, grants: () => ({ status: 404, body: "<html>" }) },
  "refused-200": { login: REJECTED, grants: (token) => ({ body: { success: false, token } }) },
  missing: { login: OTHERS, grants: (token) => ({ body: { data: { token } } }) },
  "no-text": { login: OTHERS, grants: () => ({ body: { token: 12345 } }) },
  unfit: { login: OTHERS, grants: (token) => ({ body: { token: `${token}\n` } }) },
  page: { login: OTHERS, grants: () => ({ headers: { "Content-Type": "text/html" }, body: "<html>" }) },
  moved: { login: OTHERS, grants: () => ({ status: 307, headers: { Location: "/login/storm" } }) },
  busy: { login: OTHERS, grants: () => ({ status: 429, headers: { "Retry-After": "120" } }) },
};

for (const [id, expiry] of Object.entries({ ...EXPIRIES, ...NO_EXPIRIES })) {
  const login = { ...OTHERS, expires_in: "/expiry/in", expires_at: "/expiry/at" };
  APIS[id] = {
    login,
    fields: { default_expires_in: HOUR },
    grants: (token) => ({ body: { token, expiry: expiry() } }),
  };
}

/** @type {Server} */
let server;
/** @type {Broker} */
let broker;
/** The logins of each API. @type {Map<string, Sent[]>} */
const logins = new Map(Object.keys(APIS).map((id) => [id, []]));
/** The tokens that each API takes. @type {Map<string, Set<string>>} */
const live = new Map(Object.keys(APIS).map((id) => [id, new Set()]));
/** Every token that was given out. @type {string[]} */
const issued = [];

before(async () => {
  server = createServer((request, response) => {
    const [, kind, id] = /^\/(login|api)\/([a-z0-9-]+)/.exec(request.url ?? "") ?? [];
    if (kind === "login") void serveLogin(id, request, response);
    else serveApi(id, request, response);
  });
  const address = await listening(server);
  /** @type {Secrets} */
  const secrets = { ADMIN_KEY, FORM_APP_KEY: "app-key" };
  /** @type {Vars} */
  const connections = {};
  for (const [id, { login, fields }] of Object.entries(APIS)) {
    const name = id.toUpperCase().replaceAll("-", "_");
    Object.assign(secrets, { [`${name}_USERNAME`]: "ana@example.com", [`${name}_PASSWORD`]: PASSWORD });
    connections[id] = {
      provider: "custom",
      base_url: `${address}/api/${id}`,
      token_url: `${address}/login/${id}`,
      grant: "login",
      login,
      rules: [EVERYTHING],
      ...fields,
    };
  }
  broker = await startBroker({ vars: { CONNECTIONS: connections }, secrets });
});

after(async () => {
  await broker?.stop();
  if (server) await closeServer(server);
});

/** @param {string} id @param {IncomingMessage} request @param {ServerResponse} response */
async function serveLogin(id, request, response) {
  const { method = "", url: target = "", headers } = request;
  sentTo(id).push({ method, target, headers, body: await text(request) });
  const token = `${id}-token-${issued.length}`;
  issued.push(token);
  live.get(id)?.add(token);
  send(response, APIS[id].grants?.(token) ?? { body: { token } });
}

/** @param {string} id @param {IncomingMessage} request @param {ServerResponse} response */
function serveApi(id, request, response) {
  const { authorization, "x-tableau-auth": own } = request.headers;
  const token = String(own ?? authorization?.replace(/^Bearer /, ""));
  send(response, live.get(id)?.has(token) ? { body: { token } } : { status: 401 });
}

/** @param {string} id */
const sentTo = (id) => logins.get(id) ?? assert.fail(id);
/** @param {string} id */
const get = (id) => broker.call(`/api/${id}/things`);
const unix = (/** @type {number} */ seconds) => Math.floor(Date.now() / 1000) + seconds;

/** The time in so many seconds, on a clock that is so many hours ahead of UTC. */
function rfc3339(/** @type {number} */ seconds, /** @type {number} */ hours, /** @type {string} */ offset) {
  return new Date((unix(seconds) + hours * HOUR) * 1000).toISOString().replace(/\.\d+Z$/, offset);
}

/** The connection as the operator sees it. @param {string} id */
async function entry(id) {
  const answer = await broker.call(`/admin/connections/${id}`, { key: ADMIN_KEY });
  return assertStatus(answer).json();
}

/** The line about the last login. @param {string} id */
const logged = (id) =>
  broker.logs.filter(({ event, connection }) => event === "grant" && connection === id).at(-1) ?? assert.fail(id);

describe("a login", () => {
  test("sends nested JSON, and its token goes into a header of its own", async () => {
    const answer = assertStatus(await get("tableau"));
    assert.equal(answer.tokenSource, "grant");
    const [{ method, target, headers, body }] = sentTo("tableau");
    assert.deepEqual([method, target, headers["content-type"]], ["POST", "/login/tableau", "application/json"]);
    const site = { contentUrl: "" };
    assert.deepEqual(JSON.parse(body), { credentials: { name: "ana@example.com", password: PASSWORD, site } });
    assert.deepEqual([headers.accept, headers["user-agent"]], ["application/json", "porteiro"]);
    assert.equal(assertStatus(await get("tableau")).tokenSource, "memory");
    assert.equal(sentTo("tableau").length, 1);
  });

  test("is a GET whose fields are the query, and is answered by a text in JSON", async () => {
    assertStatus(await get("query"));
    const [{ method, target, headers, body }] = sentTo("query");
    const query = new URLSearchParams({ dias: "7", senha: PASSWORD, usuario: "ana@example.com" });
    assert.deepEqual([method, target, body], ["GET", `/login/query?${query}`, ""]);
    assert.deepEqual([headers["content-type"], headers["content-length"]], [undefined, undefined]);
  });

  test("sends a form with header fields of its own, and takes the token from a header field", async () => {
    assertStatus(await get("form"));
    const [{ method, headers, body }] = sentTo("form");
    assert.deepEqual([method, headers["content-type"]], ["POST", "application/x-www-form-urlencoded"]);
    assert.deepEqual([headers["x-app-key"], headers.accept], ["app-key", "text/plain"]);
    const form = { login: "ana@example.com", password: PASSWORD, remember: "true" };
    assert.deepEqual(Object.fromEntries(new URLSearchParams(body)), form);
  });

  test("without fields has no body", async () => {
    assertStatus(await get("bare"));
    const [{ method, headers, body }] = sentTo("bare");
    assert.deepEqual([method, headers["content-type"], body], ["POST", undefined, ""]);
  });

  test("is made once for all calls that need it, and once for all that find their token dead", async () => {
    const storm = await Promise.all(Array.from({ length: 40 }, () => get("storm")));
    for (const answer of storm) assertStatus(answer);
    assert.equal(sentTo("storm").length, 1);
    live.get("storm")?.clear();
    for (const answer of await Promise.all(Array.from({ length: 40 }, () => get("storm")))) assertStatus(answer);
    assert.equal(sentTo("storm").length, 2);
  });

  test("outlives a restart", async () => {
    assertStatus(await get("restarted"));
    await broker.restart();
    assertStatus(await get("restarted"));
    assert.equal(sentTo("restarted").length, 1);
    assert.equal((await entry("restarted")).grant, "login");
  });
});

describe("an expiry", () => {
  for (const id of [...Object.keys(EXPIRIES), ...Object.keys(NO_EXPIRIES)]) {
    const life = id in EXPIRIES ? 600 : HOUR;
    test(`by ${id} leaves ${life} seconds`, async () => {
      const before = Date.now();
      assertStatus(await get(id));
      const { expires_at } = await entry(id);
      const least = before / 1000 + life - 2;
      const told = Date.parse(expires_at) / 1000;
      assert.ok(least <= told && told <= Date.now() / 1000 + life, `${expires_at}`);
    });
  }
});

describe("a failed login", () => {
  for (const [id, status] of Object.entries({ "refused-401": 401, "refused-404": 404, "refused-200": 200 })) {
    test(`that is refused by ${status} is not tried again within the wait`, async () => {
      const first = await get(id);
      assertProblem(first, 502, "credentials_rejected");
      assert.ok(Number(first.headers["retry-after"]) >= 60, first.headers["retry-after"]);
      for (let call = 0; call < 5; call++)
        assertProblem(await get(id), 503, "connection_unavailable", { cause: "credentials_rejected" });
      assert.equal(sentTo(id).length, 1);
      const { outcome, reason, status: told } = logged(id);
      assert.deepEqual([outcome, reason, told], ["credentials_rejected", "other", status]);
      assert.equal((await entry(id)).state, "rejected");
    });
  }

  test("is tried again when the password changes", async () => {
    await broker.restart({ secrets: { REFUSED_401_PASSWORD: "another" } });
    assertProblem(await get("refused-401"), 502, "credentials_rejected");
    assert.equal(sentTo("refused-401").length, 2);
    assert.equal(JSON.parse(sentTo("refused-401")[1].body).password, "another");
  });

  for (const [id, reason] of Object.entries({
    missing: "no_access_token",
    "no-text": "unusable_access_token",
    unfit: "unusable_access_token",
    page: "not_json",
    moved: "redirect",
  })) {
    test(`whose answer is ${reason} (${id}) is a token response that is invalid`, async () => {
      assertProblem(await get(id), 502, "token_response_invalid");
      assertProblem(await get(id), 503, "connection_unavailable", { cause: "token_response_invalid" });
      assert.equal(sentTo(id).length, 1);
      assert.equal(logged(id).reason, reason);
    });
  }

  test("waits as long as the token endpoint asks for", async () => {
    const answer = await get("busy");
    assertProblem(answer, 502, "token_endpoint_unreachable");
    assert.ok(Number(answer.headers["retry-after"]) >= 119, answer.headers["retry-after"]);
  });
});

test("no line has a password, a token or the address of a login", () => {
  assert.ok(issued.length > 20 && broker.output.length > 20);
  const output = broker.output.join("\n");
  for (const secret of [PASSWORD.trim(), encodeURIComponent("é€"), "ana@example", "app-key", "/login/", ...issued])
    assert.ok(!output.includes(secret), secret);
});
