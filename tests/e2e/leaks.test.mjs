// No secret and no token appears in an answer, in a log line or readable at rest.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, test } from "node:test";
import { startGuru } from "../../sandbox/providers/guru.mjs";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { startV8 } from "../../sandbox/providers/v8.mjs";
import { EVERYTHING, ORIGIN, startBroker } from "./support/broker.mjs";
import { undocumented } from "./support/log-lines.mjs";
import { COOKIE, newAddress, sessionIdOf } from "./support/person.mjs";
import { files, search, shapes } from "./support/search.mjs";
import { send, startUpstream } from "./support/upstream.mjs";

/** @import { Broker, Secrets } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { PersonOptions } from "./support/person.mjs" */
/** @import { Connection, TokenReply, Upstream } from "./support/upstream.mjs" */

/**
 * @typedef {object} Providers
 * @property {Awaited<ReturnType<typeof startGuru>>} guru
 * @property {Awaited<ReturnType<typeof startHubsoft>>} hubsoft
 * @property {Awaited<ReturnType<typeof startV8>>} v8
 */

/** @param {string} name */
const canary = (name) => `canary ${name} +/&%é${randomBytes(12).toString("hex")}`;
/** @param {string} name */
const plainCanary = (name) => `canary-${name}-${randomBytes(16).toString("hex")}`;

const CREDENTIALS = {
  guru: { token: plainCanary("guru-token") },
  hubsoft: {
    client_id: plainCanary("hubsoft-id"),
    client_secret: canary("hubsoft-secret"),
    username: canary("hubsoft-user"),
    password: canary("hubsoft-password"),
  },
  v8: {
    client_id: plainCanary("v8-id"),
    username: canary("v8-user"),
    password: canary("v8-password"),
    audience: plainCanary("v8-audience"),
  },
};
const CALLER_KEY = plainCanary("caller-key");
const PEOPLE = Object.fromEntries(
  ["stays", "leaves", "is-renewed", "is-refused"].map((what) => [
    what,
    { username: canary(`${what}-name`), password: canary(`${what}-password`) },
  ]),
);
const WRONG_PASSWORD = canary("wrong-password");
const SEALING_KEY = randomBytes(32);

const FAILING = ["invalid-client", "not-json", "reset", "hanging", "redirecting", "down"];

const providers = /** @type {Providers} */ ({});
/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let custom;
/** @type {Connection} */
let again;
/** @type {Connection} */
let people;
/** @type {Connection} */
let club;
/** @type {{ [name: string]: string }} */
let secrets;
/** @type {{ [what: string]: string }} */
const answers = {};
/**
 * The id of every session that there was.
 *
 * @type {string[]}
 */
const cookies = [];

before(async () => {
  upstream = await startUpstream();
  /** @type {(id: string, grant?: string) => Secrets} */
  const credentials = (id, grant) => ({
    client_id: plainCanary(`${id}-id`),
    client_secret: canary(`${id}-secret`),
    ...(grant === "password" ? { username: canary(`${id}-user`), password: canary(`${id}-password`) } : {}),
  });
  custom = upstream.connection("custom", {
    grant: "password",
    credentials: credentials("custom", "password"),
    fields: { replay_bytes: 100, timeout_ms: 500 },
  });
  again = upstream.connection("again", { grant: "password", credentials: credentials("again", "password") });
  for (const id of FAILING) {
    upstream.connection(id, {
      grant: "password",
      credentials: credentials(id, "password"),
      fields: { token_timeout_ms: 300 },
    });
  }
  const users = Object.fromEntries(Object.values(PEOPLE).map(({ username, password }) => [username, password]));
  people = upstream.connection("people", { users, credentials: credentials("people") });
  club = upstream.connection("club", { users, credentials: credentials("club") });
  upstream.connection("basic", { credentials: credentials("basic"), fields: { client_auth: "basic" } });
  upstream.connection("broken", { credentials: credentials("broken"), fields: { timeout_ms: "soon" } });
  scriptFailures();
  scriptUpstream();

  providers.guru = await startGuru({ port: 0, credentials: CREDENTIALS.guru });
  providers.hubsoft = await startHubsoft({ port: 0, credentials: CREDENTIALS.hubsoft });
  providers.v8 = await startV8({ port: 0, credentials: CREDENTIALS.v8 });
  const { guru, hubsoft, v8 } = providers;
  const named = Object.entries(CREDENTIALS).flatMap(([id, fields]) =>
    Object.entries(fields).map(([field, value]) => [`${id}_${field}`.toUpperCase(), value]),
  );
  secrets = {
    ...Object.fromEntries(named),
    ...upstream.secrets,
    BACKEND_KEY: CALLER_KEY,
    SEALING_KEYS: `k1:${SEALING_KEY.toString("base64")}`,
  };
  broker = await startBroker({
    vars: {
      CONNECTIONS: {
        ...upstream.vars,
        guru: { provider: "guru", base_url: guru.baseUrl, rules: [EVERYTHING] },
        hubsoft: { provider: "hubsoft", base_url: hubsoft.baseUrl, rules: [EVERYTHING] },
        v8: { provider: "v8", base_url: v8.baseUrl, token_url: v8.tokenUrl, rules: [EVERYTHING] },
      },
    },
    secrets,
  });
});

after(async () => {
  await broker?.stop();
  await upstream?.close();
  await Promise.all(Object.values(providers).map((provider) => provider.close()));
});

// Each failure carries as much of the secrets as a careless server would say.
function scriptFailures() {
  /** @param {{ [field: string]: string }} credentials */
  const telling = ({ client_id, client_secret, username, password }) =>
    `${client_id} ${client_secret} ${username} ${password} is wrong`;
  /** @type {(id: string, make: (text: string) => TokenReply) => void} */
  const script = (id, make) => {
    const connection = upstream.get(id);
    connection.answerTokenRequest(make(telling(connection.credentials)));
  };
  /** @param {string} text */
  const uri = (text) => `http://127.0.0.1:1/?${encodeURIComponent(text)}`;
  script("invalid-client", (text) => ({
    status: 401,
    headers: { "WWW-Authenticate": "Basic" },
    body: { error: "invalid_client", error_description: text, error_uri: uri(text) },
  }));
  script("not-json", (text) => ({ body: `<p>${text}</p>` }));
  script("reset", () => ({ reset: true }));
  script("hanging", () => ({ hang: true }));
  script("redirecting", (text) => ({ status: 307, headers: { Location: uri(text) }, body: "" }));
  script("down", (text) => ({ status: 503, body: text }));
}

// The API repeats the token wherever the broker must not pass it on.
function scriptUpstream() {
  custom.on("/telling", (_request, response, { token }) =>
    send(response, {
      headers: {
        "Set-Cookie": `t=${token}`,
        "X-Token": token,
        "WWW-Authenticate": `Bearer token="${token}"`,
        "Server-Timing": `x;desc="${token}"`,
        "X-Request-Id": token,
      },
      body: "{}",
    }),
  );
  custom.on("/away", (_request, response, { token }) =>
    send(response, { status: 302, headers: { Location: `https://x.example/?t=${token}` }, body: token }),
  );
  custom.on("401 /echo", (_request, response, { token }) =>
    send(response, {
      status: 401,
      headers: { "WWW-Authenticate": `Bearer error_description="${token}"` },
      body: { error: `${token} is not accepted` },
    }),
  );
  custom.on("/reset", (request) => request.socket.resetAndDestroy());
  custom.on("/never", () => {});
}

/**
 * @param {string} what
 * @param {string} target
 * @param {CallOptions} [options]
 */
async function ask(what, target, options) {
  const answer = await broker.call(target, { key: CALLER_KEY, origin: ORIGIN, ...options });
  const fields = answer.rawHeaders.map(([name, value]) => [
    name,
    name.toLowerCase() === "set-cookie" ? withoutSession(value) : value,
  ]);
  answers[`${Object.keys(answers).length + 1}: ${what}`] =
    JSON.stringify([answer.status, fields, answer.body.toString("latin1")]) + answer.text;
  return answer;
}

// The one place where a session's id belongs.
/** @param {string} cookie */
const withoutSession = (cookie) => cookie.replace(new RegExp(`^${COOKIE}=[^;]*`), `${COOKIE}=`);

/**
 * @param {number} status
 * @param {Parameters<typeof ask>} call
 */
const expect = async (status, ...call) =>
  assert.equal((await ask(...call)).status, status, Object.values(answers).at(-1));

/**
 * What a person does at the broker, from an address of their own.
 *
 * @param {{ username: string, password: string }} credentials
 */
function browserOf({ username, password }) {
  const address = newAddress();
  /** @type {string | undefined} */
  let cookie;
  /**
   * @param {string} what
   * @param {string} target
   * @param {PersonOptions} [options]
   */
  const send = (what, target, { headers, ...options } = {}) => {
    /** @type {{ [name: string]: string }} */
    const field = cookie ? { Cookie: `${COOKIE}=${cookie}` } : {};
    return ask(what, target, { key: null, ...options, headers: { "CF-Connecting-IP": address, ...field, ...headers } });
  };
  return {
    /**
     * @param {number} status
     * @param {string} what
     * @param {string} target
     * @param {PersonOptions} [options]
     */
    async does(status, what, target, options) {
      assert.equal((await send(what, target, options)).status, status, Object.values(answers).at(-1));
    },
    /** @param {string} id */
    async signsIn(id) {
      const answer = await send(`a sign-in to ${id}`, `/auth/${id}/login`, {
        method: "POST",
        json: { username, password },
      });
      assert.equal(answer.status, 200, answer.text);
      cookie = sessionIdOf(answer);
      cookies.push(cookie);
    },
  };
}

const everySecret = () => {
  const issued = [...upstream.issued, ...Object.values(providers).flatMap((provider) => provider.issued)];
  const keys = { "the sealing key": SEALING_KEY, "the sealing key's text": SEALING_KEY.toString("base64") };
  const { SEALING_KEYS: _, ...others } = secrets;
  /** @type {{ [what: string]: string }} */
  const typedIn = { "the wrong password": WRONG_PASSWORD };
  for (const [who, { username, password }] of Object.entries(PEOPLE)) {
    typedIn[`the name of who ${who}`] = username;
    typedIn[`the password of who ${who}`] = password;
  }
  const sessions = Object.fromEntries(cookies.map((id, i) => [`session ${i + 1}`, id]));
  return {
    ...others,
    ...keys,
    ...typedIn,
    ...sessions,
    ...Object.fromEntries(issued.map((token, i) => [`issued token ${i + 1}`, token])),
  };
};

describe("every path through the broker", () => {
  test("is driven", async () => {
    await expect(200, "guru", "/api/guru/transactions?id=tr_100482");
    await expect(200, "hubsoft", "/api/hubsoft/api/v1/integracao/cliente");
    await expect(200, "v8", "/api/v8/private-consignment/simulation/configs");
    await expect(200, "basic", "/api/basic/echo");
    await expect(200, "custom", "/api/custom/echo", { method: "POST", body: "x" });
    await expect(200, "from memory", "/api/custom/telling");
    await expect(502, "a redirect away", "/api/custom/away");
    await expect(502, "a reset", "/api/custom/reset");
    await expect(504, "a timeout", "/api/custom/never");
    for (const provider of Object.values(providers)) provider.revokeAccessTokens();
    await expect(502, "guru refuses", "/api/guru/transactions?id=tr_100482");
    await expect(200, "hubsoft renews", "/api/hubsoft/api/v1/integracao/cliente");
    await expect(200, "v8 renews", "/api/v8/private-consignment/simulation/configs");
    custom.revoke();
    await expect(502, "a body too large to replay", "/api/custom/echo", { method: "POST", body: "x".repeat(200) });
    await expect(200, "with the new token", "/api/custom/echo");
    await expect(200, "again", "/api/again/echo");
    again.revoke();
    again.forgetRefreshTokens();
    await expect(200, "a refused refresh", "/api/again/echo");
    again.refuseNext(2);
    await expect(502, "refused again", "/api/again/echo");
    for (const id of FAILING) {
      const { status } = await ask(id, `/api/${id}/echo`);
      assert.ok(status === 502 || status === 504, `${id}: ${status}`);
      await expect(503, `${id} waits`, `/api/${id}/echo`);
    }
    await expect(503, "misconfigured", "/api/broken/echo");
    await expect(401, "no key", "/api/custom/echo", { key: null });
    await expect(401, "a wrong key", "/api/custom/echo", { key: `${CALLER_KEY}x`.slice(1) });
    await expect(400, "a token in the query", "/api/custom/echo?access_token=x");
    await expect(400, "a bad path", "/api/custom/a%2f..");
    await expect(403, "a method", "/api/custom/echo", { method: "PURGE" });
    await expect(403, "an origin", "/api/custom/echo", { origin: "https://evil.example" });
    await expect(404, "a connection", "/api/none/x");
    await expect(404, "an address", "/.dev.vars");
    await expect(204, "a preflight", "/api/custom/echo", {
      method: "OPTIONS",
      headers: { "Access-Control-Request-Method": "GET" },
    });
    await expect(200, "healthz", "/healthz");
    await expect(200, "a problem's page", "/problems/credentials_rejected");
    await broker.restart();
    await expect(200, "custom after a restart", "/api/custom/echo");
    const last = await ask("hubsoft after a restart", "/api/hubsoft/api/v1/integracao/cliente");
    await broker.logged(({ request_id }) => request_id === last.headers["x-request-id"], { what: "the last line" });
    assert.ok(Object.keys(everySecret()).length > 40);
    upstream.verify();
  });
});

describe("every path of a person through the broker", () => {
  /** @type {(credentials: { username: string, password: string }) => [target: string, options: PersonOptions]} */
  const login = (credentials) => ["/auth/people/login", { method: "POST", json: credentials }];

  test("is driven", async () => {
    const stays = browserOf(PEOPLE.stays);
    await stays.signsIn("people");
    await stays.signsIn("club");
    await stays.does(200, "a call", "/api/people/status/200");
    await stays.does(200, "a call with a body", "/api/club/status/200", { method: "POST", body: "x" });
    await stays.does(200, "the session", "/auth/session");

    const leaves = browserOf(PEOPLE.leaves);
    await leaves.signsIn("people");
    await leaves.does(200, "a call", "/api/people/status/200");
    await leaves.does(403, "a request from another site", "/api/people/status/200", {
      method: "POST",
      origin: undefined,
    });
    await leaves.does(204, "a sign-out", "/auth/logout", { method: "POST" });
    await leaves.does(401, "a call after it", "/api/people/status/200");
    await leaves.does(401, "the session after it", "/auth/session");
    await leaves.does(204, "a second sign-out", "/auth/logout", { method: "POST" });

    const renewed = browserOf(PEOPLE["is-renewed"]);
    await renewed.signsIn("people");
    people.revoke(PEOPLE["is-renewed"].username);
    await renewed.does(200, "a renewed token", "/api/people/status/200");
    people.revoke(PEOPLE["is-renewed"].username);
    people.forgetRefreshTokens(PEOPLE["is-renewed"].username);
    await renewed.does(401, "a refused refresh", "/api/people/status/200");

    const refused = browserOf(PEOPLE["is-refused"]);
    const wrong = { ...PEOPLE["is-refused"], password: WRONG_PASSWORD };
    for (let i = 0; i < 5; i += 1) await refused.does(401, "a wrong password", ...login(wrong));
    await refused.does(429, "too many wrong passwords", ...login(wrong));
    await refused.does(429, "the right one too late", ...login(PEOPLE["is-refused"]));

    const failing = browserOf(PEOPLE.leaves);
    const { username, password } = PEOPLE.leaves;
    const telling = `${username} ${password}`;
    club.answerTokenRequest({ status: 401, body: { error: "invalid_client", error_description: telling } });
    await failing.does(502, "a refused client", "/auth/club/login", { method: "POST", json: PEOPLE.leaves });
    await failing.does(400, "a bad body", "/auth/people/login", {
      method: "POST",
      json: { username, password: [password] },
    });
    const more = { username, password, [password]: username };
    await failing.does(404, "no such connection", "/auth/none/login", { method: "POST", json: more });
    await failing.does(405, "a wrong method", "/auth/people/login", { method: "PUT", json: more });
    await failing.does(401, "a cookie of nobody", "/auth/session", {
      headers: { Cookie: `${COOKIE}=${password.replace(/[^\w]/g, "")}` },
    });

    await broker.restart();
    await stays.does(200, "a call after a restart", "/api/people/status/200");
    upstream.verify();
    assert.equal(new Set(cookies).size, 4);
  });
});

test("every line of it is one that docs/reference/logs.md tells of", () => {
  assert.deepEqual(undocumented(broker.logs.filter(({ event: kind }) => kind !== undefined)), []);
});

describe("no secret and no token", () => {
  test("is in any answer", () => {
    assert.ok(Object.keys(answers).length > 40);
    assert.deepEqual(search(answers, everySecret()), []);
  });

  test("is in any line that was printed", () => {
    assert.ok(broker.logs.length > 40);
    const lines = Object.fromEntries(broker.output.map((line, i) => [`line ${i + 1}: ${line}`, line]));
    assert.deepEqual(search(lines, everySecret()), []);
  });

  test("is readable in KV or in a Durable Object, as a value or as a name", async () => {
    await broker.kill();
    const stored = await files(broker.persistTo);
    const places = Object.fromEntries(Object.entries(stored).filter(([path]) => /\/(?:kv|do)\//.test(path)));
    for (const kind of ["kv", "do"]) {
      const bytes = Object.entries(places)
        .filter(([path]) => path.includes(`/${kind}/`))
        .reduce((sum, [, { length }]) => sum + length, 0);
      assert.ok(bytes > 4096, `${kind} holds ${bytes} bytes`);
    }
    assert.deepEqual(search(places, everySecret()), []);
  });

  test("is in a KV key's name or metadata, though KV does hold records", async () => {
    const stored = Object.keys(await files(join(broker.persistTo, "kv"))).filter((path) => path.endsWith(".sqlite"));
    const rows = stored.flatMap((path) => {
      const database = new DatabaseSync(path, { readOnly: true });
      try {
        const known = database.prepare("SELECT name FROM sqlite_master WHERE name = 'records'").all();
        return known.length ? database.prepare("SELECT key, metadata FROM records").all() : [];
      } finally {
        database.close();
      }
    });
    assert.ok(rows.length >= 4, `KV holds ${rows.length} records`);
    const places = Object.fromEntries(rows.map(({ key, metadata }) => [`key ${key}`, `${key} ${metadata ?? ""}`]));
    assert.deepEqual(search(places, everySecret()), []);
  });
});

describe("the search", () => {
  const secret = canary("planted");

  test("finds a secret in every shape", () => {
    for (const { shape, bytes } of shapes(secret)) {
      const place = Buffer.concat([randomBytes(100), bytes, randomBytes(100)]);
      const hits = search({ here: place }, { planted: secret });
      assert.ok(
        hits.some((hit) => hit === `planted as ${shape} in here`),
        shape,
      );
    }
  });

  test("finds base64 of a text that contains the secret, wherever it begins", () => {
    for (const before of ["", "a", "ab", "abc", "Bearer "]) {
      for (const encoding of /** @type {const} */ (["base64", "base64url"])) {
        const place = Buffer.from(`${before}${secret} and more`).toString(encoding);
        assert.notDeepEqual(search({ place }, { secret }), [], `${before} ${encoding}`);
      }
    }
  });

  test("finds what is planted where the broker stores", async () => {
    const folder = join(broker.persistTo, "kv");
    const blob = join(folder, "planted");
    await writeFile(blob, `{"token":"${Buffer.from(secret).toString("base64url")}"}`);
    const database = new DatabaseSync(join(folder, "planted.sqlite"));
    database.exec("CREATE TABLE t (value TEXT)");
    database.prepare("INSERT INTO t VALUES (?)").run(secret);
    database.close();
    const hits = search(await files(folder), { secret });
    await rm(blob);
    await rm(join(folder, "planted.sqlite"));
    assert.ok(
      hits.some((hit) => hit.endsWith("/planted")) && hits.some((hit) => hit.endsWith("/planted.sqlite")),
      hits.join(),
    );
  });
});
