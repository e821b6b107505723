// Signing in at the broker: the requests to the token endpoint, the answers to the person, and the errors if the
// sign-in fails.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { after, before, describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus, list } from "./support/assertions.mjs";
import { EVERYTHING, ORIGIN, startBroker } from "./support/broker.mjs";
import { COOKIE, DEVICE_COOKIE, login, Person, sessionIdOf, setCookies } from "./support/person.mjs";
import { codeOf } from "./support/servers.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer } from "./support/client.mjs" */
/** @import { Connection, ConnectionSettings, TokenReply, Upstream } from "./support/upstream.mjs" */

const MAX_SECONDS = 604_800;

const SECRET_TEXT = "secret text of the token endpoint";
const HTML = `<!doctype html><p>${SECRET_TEXT}</p>`;

/**
 * @param {number} status
 * @param {string} code
 */
const error = (status, code) => ({ status, body: { error: code, error_description: SECRET_TEXT } });

/**
 * What the token endpoint does with a sign-in, and what the person is told.
 *
 * @type {{ [id: string]: [reply: TokenReply, status: number, code: string] }}
 */
const REFUSALS = {
  "wrong-password": [error(400, "invalid_grant"), 401, "login_rejected"],
  "wrong-password-401": [error(401, "invalid_credentials"), 401, "login_rejected"],
  "no-access": [error(403, "access_denied"), 401, "login_rejected"],
  "bare-401": [
    { status: 401, headers: { "WWW-Authenticate": `Basic realm="${SECRET_TEXT}"` }, body: HTML },
    401,
    "login_rejected",
  ],
  "bare-403": [{ status: 403, body: HTML }, 401, "login_rejected"],
};
/** @type {{ [id: string]: [reply: TokenReply, status: number, code: string] }} */
const FAILURES = {
  "bad-client": [error(401, "invalid_client"), 502, "credentials_rejected"],
  "bad-client-400": [error(400, "invalid_client"), 502, "credentials_rejected"],
  "bad-rights": [error(400, "unauthorized_client"), 502, "credentials_rejected"],
  "status-500": [{ status: 500, body: HTML }, 502, "token_endpoint_unreachable"],
  "status-503": [{ status: 503, body: HTML }, 502, "token_endpoint_unreachable"],
  "status-429": [{ status: 429, headers: { "Retry-After": "120" }, body: HTML }, 502, "token_endpoint_unreachable"],
  reset: [{ reset: true }, 502, "token_endpoint_unreachable"],
  hanging: [{ hang: true }, 504, "token_endpoint_timeout"],
  "not-json": [{ body: HTML }, 502, "token_response_invalid"],
  "no-token": [{ remove: ["access_token"] }, 502, "token_response_invalid"],
  "strange-type": [{ set: { token_type: "mac" } }, 502, "token_response_invalid"],
  "split-token": [{ set: { access_token: "a\r\nX-Injected: 1" } }, 502, "token_response_invalid"],
};

/**
 * A connection of its own for each test that plays with its token endpoint.
 *
 * @type {{ [id: string]: ConnectionSettings }}
 */
const CONNECTIONS = {
  plain: {},
  other: {},
  passport: { refusals: "passport" },
  form: {
    fields: { provider: "v8", grant: undefined },
    credentials: { client_id: "v8-client", client_secret: undefined, audience: "https://v8.example/" },
  },
  json: {
    fields: { provider: "hubsoft", grant: undefined },
    credentials: { client_id: "12", client_secret: 'a"b\\c é' },
  },
  ...Object.fromEntries(
    Object.keys({ ...REFUSALS, ...FAILURES }).map((id) => [
      id,
      id === "hanging" ? { fields: { token_timeout_ms: 400 } } : {},
    ]),
  ),
};

const BROKEN = {
  "key-caller": { fields: { rules: [{ ...EVERYTHING, callers: ["session", "backend"] }] }, named: "callers" },
  "anyone-caller": { fields: { rules: [{ ...EVERYTHING, callers: ["anyone"] }] }, named: "callers" },
  "not-a-password": { fields: { grant: "client_credentials" }, named: "subject" },
  "unknown-subject": { fields: { subject: "everybody" }, named: "subject" },
};

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Connection }} */
const c = {};

before(async () => {
  upstream = await startUpstream();
  for (const [id, settings] of Object.entries(CONNECTIONS)) c[id] = upstream.connection(id, { users: {}, ...settings });
  for (const [id, { fields }] of Object.entries(BROKEN)) c[id] = upstream.connection(id, { users: {}, fields });
  c.service = upstream.connection("service", {
    grant: "static",
    fields: { rules: [{ ...EVERYTHING, callers: ["session", "backend"] }] },
  });
  broker = await startBroker({ vars: { CONNECTIONS: upstream.vars }, secrets: upstream.secrets });
});

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/**
 * A person who is signed in to `connection`.
 *
 * @param {Connection} connection
 */
async function signedIn(connection) {
  const person = new Person(broker, connection);
  await person.signIn(connection);
  return person;
}

/**
 * A call that succeeded in the name of `person`.
 *
 * @param {Person} person
 * @param {Connection} connection
 */
async function callsAs(person, connection) {
  const answer = assertStatus(await person.call(connection));
  assert.equal(answer.json().person, person.name);
}

/**
 * Holds `text` to be a time in RFC 3339 that is `seconds` from now.
 *
 * @param {number} seconds
 * @param {string} text
 */
function assertIn(seconds, text, tolerance = 20) {
  assert.match(text, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/);
  const left = (Date.parse(text) - Date.now()) / 1_000;
  assert.ok(Math.abs(left - seconds) <= tolerance, `${text} is in ${left} s, not in ${seconds} s`);
}

describe("a sign-in", () => {
  test("is answered with the connection and the end of the session, and with nothing else", async () => {
    const person = new Person(broker, c.plain);
    const answer = await person.signIn(c.plain);
    assertEveryAnswer(answer, "login");
    assert.match(answer.headers["content-type"], /^application\/json\b/);
    const body = answer.json();
    assert.deepEqual(Object.keys(body).sort(), ["connection", "expires_at"]);
    assert.equal(body.connection, "plain");
    assertIn(MAX_SECONDS, body.expires_at);
  });

  test("sets one cookie that no script reads and that belongs to this host alone", async () => {
    const answer = await new Person(broker, c.plain).signIn(c.plain);
    const [field, device, ...more] = setCookies(answer);
    assert.deepEqual(more, []);
    // That one is about the browser, and proves nobody: sign-in-devices has more of it.
    assert.match(device, new RegExp(`^${DEVICE_COOKIE}=`));
    // Word for word: a Domain, an Expires or a Max-Age would be a different cookie.
    assert.match(field, new RegExp(`^${COOKIE}=[A-Za-z0-9_-]{43}; Path=/; Secure; HttpOnly; SameSite=Strict$`));
    assert.ok(!answer.text.includes(sessionIdOf(answer)));
  });

  test("gives everybody a session of their own", async () => {
    const people = await Promise.all(Array.from({ length: 4 }, () => signedIn(c.plain)));
    assert.equal(new Set(people.map(({ cookie }) => cookie)).size, people.length);
  });

  test("never takes over an id that the browser brings", async () => {
    const brought = randomBytes(32).toString("base64url");
    const person = new Person(broker, c.plain);
    await person.signIn(c.plain, { cookie: brought });
    assert.notEqual(person.cookie, brought);
    assertProblem(await person.session({ cookie: brought }), 401, "caller_unauthenticated");
  });

  test("sends a form with the person's own name and password, as V8 wants it", async () => {
    const person = await signedIn(c.form);
    const [{ method, headers, body, parameters }] = c.form.tokenRequestsOf(person.name);
    assert.equal(method, "POST");
    assert.match(headers["content-type"], /^application\/x-www-form-urlencoded(?:\s*;\s*charset=utf-8)?$/i);
    assert.deepEqual(parameters, {
      grant_type: "password",
      username: person.name,
      password: person.password,
      audience: "https://v8.example/",
      scope: "offline_access",
      client_id: "v8-client",
    });
    assert.equal([...new URLSearchParams(body)].length, 6);
    assert.equal(headers.authorization, undefined);
    await callsAs(person, c.form);
  });

  test("sends JSON with the person's own name and password, as HubSoft wants it", async () => {
    const person = await signedIn(c.json);
    const [{ headers, body }] = c.json.tokenRequestsOf(person.name);
    assert.match(headers["content-type"], /^application\/json\b/);
    assert.deepEqual(JSON.parse(body), {
      grant_type: "password",
      client_id: "12",
      client_secret: 'a"b\\c é',
      username: person.name,
      password: person.password,
    });
    await callsAs(person, c.json);
  });

  test("tells the token endpoint nothing of the browser", async () => {
    const person = new Person(broker, c.plain);
    await person.signIn(c.plain);
    await person.signIn(c.plain, {
      headers: { "User-Agent": "front-end/1", Referer: `${ORIGIN}/x`, "X-Forwarded-For": "192.0.2.1" },
    });
    const requests = c.plain.tokenRequestsOf(person.name);
    assert.equal(requests.length, 2);
    for (const { headers, rawHeaders } of requests) {
      for (const name of [
        "cookie",
        "origin",
        "referer",
        "x-forwarded-for",
        "cf-connecting-ip",
        "authorization",
        "sec-fetch-site",
      ]) {
        assert.equal(headers[name], undefined, name);
      }
      assert.ok(!JSON.stringify(rawHeaders).includes("front-end"));
    }
  });

  test("is a line in the log, by its outcome", async () => {
    const person = new Person(broker, c.plain);
    const granted = await person.signIn(c.plain);
    const refused = await person.login(c.plain, { body: { ...person.credentials, password: "wrong" } });
    for (const [answer, outcome] of /** @type {const} */ ([
      [granted, "granted"],
      [refused, "login_rejected"],
    ])) {
      const id = answer.headers["x-request-id"];
      const line = await broker.logged((log) => log.event === "sign_in" && log.request_id === id, {
        what: `the sign-in's line (${outcome})`,
      });
      assert.deepEqual([line.connection, line.outcome], ["plain", outcome]);
    }
  });
});

describe("a sign-in that is refused", () => {
  /**
   * What no answer to a sign-in may say.
   *
   * @param {Answer} answer
   * @param {Person} person
   */
  function assertDiscreet(answer, person) {
    const said = JSON.stringify(answer.rawHeaders) + answer.text;
    for (const text of [SECRET_TEXT, "doctype", "invalid_", "access_denied", person.name, person.password]) {
      assert.ok(!said.includes(text), `${text} in ${said}`);
    }
    assert.deepEqual(setCookies(answer), []);
    assert.equal(answer.headers["access-control-allow-origin"], ORIGIN);
  }

  for (const [id, [refusal, status, code]] of Object.entries(REFUSALS)) {
    test(`(${id}) is ${status} ${code}, and the right password is let in right after`, async () => {
      const person = new Person(broker, c[id]);
      c[id].answerTokenRequest(refusal);
      const answer = await person.login(c[id]);
      assertProblem(answer, status, code);
      assertDiscreet(answer, person);
      // A challenge that a browser knows would open its own dialogue.
      assert.match(answer.headers["www-authenticate"] ?? "", /^(?!basic\b|digest\b|negotiate\b|ntlm\b)\S/i);
      await person.signIn(c[id]);
      await callsAs(person, c[id]);
      assert.equal(c[id].tokenRequests.length, 2);
    });
  }

  for (const [id, [failure, status, code]] of Object.entries(FAILURES)) {
    test(`(${id}) by no fault of the person's is ${status} ${code}`, async () => {
      const person = new Person(broker, c[id]);
      c[id].answerTokenRequest(failure);
      const answer = await person.login(c[id]);
      assertProblem(answer, status, code);
      assertDiscreet(answer, person);
      assert.equal(c[id].tokenRequests.length, 1);
    });
  }

  test("says the same of a name that nobody has as of a wrong password", async () => {
    const person = new Person(broker, c.passport);
    const answers = [
      await person.login(c.passport, { body: { ...person.credentials, password: "wrong" } }),
      await person.login(c.passport, { body: { ...person.credentials, username: "nobody@example.com" } }),
    ];
    const [first, second] = answers.map((answer) => ({
      ...assertProblem(answer, 401, "login_rejected"),
      request_id: undefined,
    }));
    assert.deepEqual(first, second);
  });

  test("takes nothing from the session that is there", async () => {
    const person = await signedIn(c.plain);
    c.other.addUser(person.name, "another password");
    assertProblem(await person.login(c.other), 401, "login_rejected");
    assertProblem(
      await person.login(c.plain, { body: { ...person.credentials, password: "wrong" } }),
      401,
      "login_rejected",
    );
    assert.deepEqual(await person.signedInTo(), ["plain"]);
    await callsAs(person, c.plain);
  });

  test("holds up nobody else", async () => {
    const person = new Person(broker, c.plain);
    for (let i = 0; i < 3; i += 1) {
      assertProblem(
        await person.login(c.plain, { body: { ...person.credentials, password: "wrong" } }),
        401,
        "login_rejected",
      );
    }
    await callsAs(await signedIn(c.plain), c.plain);
  });
});

describe("a sign-in that is none", () => {
  const BAD_BODIES = {
    nothing: "",
    "not JSON": "username=a&password=b",
    "cut JSON": '{"username":"a","password":"b"',
    "more than JSON": '{"username":"a","password":"b"} x',
    "a text": '"a"',
    "a number": "1",
    null: "null",
    "a list": '["a","b"]',
    "a list of the object": '[{"username":"a","password":"b"}]',
    "an empty object": "{}",
    "no password": '{"username":"a"}',
    "no username": '{"password":"b"}',
    "an empty username": '{"username":"","password":"b"}',
    "an empty password": '{"username":"a","password":""}',
    "a number as the username": '{"username":1,"password":"b"}',
    "null as the password": '{"username":"a","password":null}',
    "a list as the password": '{"username":"a","password":["b"]}',
    "an object as the username": '{"username":{"$ne":""},"password":"b"}',
    "true as the password": '{"username":"a","password":true}',
    "the username twice": '{"username":"a","username":"c","password":"b"}',
    "the password twice": '{"username":"a","password":"b","password":"c"}',
    "the password twice, once in escapes": '{"username":"a","password":"b","p\\u0061ssword":"c"}',
    "members of another case": '{"Username":"a","Password":"b"}',
    "bytes that are no text": Buffer.from('{"username":"a\xff","password":"b"}', "latin1"),
  };

  for (const [what, body] of Object.entries(BAD_BODIES)) {
    test(`(${what}) is a bad request`, async () => {
      const before = c.plain.tokenRequests.length;
      const answer = await login(broker, "plain", undefined, { body, headers: { "Content-Type": "application/json" } });
      assertProblem(answer, 400, "bad_request");
      assert.deepEqual(setCookies(answer), []);
      assert.equal(c.plain.tokenRequests.length, before);
    });
  }

  test("because another type stands over the JSON is a bad request: a form of any page can send that", async () => {
    const person = new Person(broker, c.plain);
    const body = JSON.stringify(person.credentials);
    for (const type of [
      undefined,
      "",
      "text/plain",
      "application/x-www-form-urlencoded",
      "multipart/form-data; boundary=x",
      "text/json",
      "application/jsonp",
      "text/plain; application/json",
      "text/plain, application/json",
      "application/json-patch+json",
    ]) {
      /** @type {{ [name: string]: string }} */
      const headers = type === undefined ? {} : { "Content-Type": type };
      assertProblem(await login(broker, "plain", undefined, { body, headers }), 400, "bad_request");
    }
    assert.equal(c.plain.tokenRequestsOf(person.name).length, 0);
    for (const type of [
      "application/json",
      "Application/JSON",
      "application/json; charset=utf-8",
      "application/json;charset=UTF-8",
    ]) {
      assertStatus(await login(broker, "plain", undefined, { body, headers: { "Content-Type": type } }));
    }
  });

  test("because it is too large is told so, whether it says its length or not", async () => {
    const person = new Person(broker, c.plain);
    const text = Buffer.from(JSON.stringify(person.credentials));
    /** @param {number} bytes */
    const padded = (bytes) => Buffer.concat([text, Buffer.alloc(bytes - text.length, " ")]);
    /** @param {Buffer} bytes */
    const whole = (bytes) => bytes;
    /** @param {Buffer} bytes */
    const pieces = (bytes) =>
      Readable.from(
        Array.from({ length: Math.ceil(bytes.length / 1_024) }, (_, i) => bytes.subarray(i * 1_024, (i + 1) * 1_024)),
      );
    const headers = { "Content-Type": "application/json" };
    for (const make of [whole, pieces]) {
      assertStatus(await login(broker, "plain", undefined, { body: make(padded(16_384)), headers }));
      assertProblem(
        await login(broker, "plain", undefined, { body: make(padded(16_385)), headers }),
        413,
        "body_too_large",
      );
      // Nobody reads all of it, so the connection may end before all of it is sent.
      /** @param {unknown} error */
      const broken = (error) => assert.ok(["EPIPE", "ECONNRESET"].includes(codeOf(error) ?? ""), String(error));
      const answer = await login(broker, "plain", undefined, { body: make(padded(1_000_000)), headers }).catch(broken);
      if (answer) assertProblem(answer, 413, "body_too_large");
    }
    assert.equal(c.plain.tokenRequestsOf(person.name).length, 2);
  });

  test("because the connection is none, is a service or is broken is told so", async () => {
    const credentials = { username: "a", password: "b" };
    assertProblem(await login(broker, "none", credentials), 404, "unknown_connection");
    assertProblem(await login(broker, "service", credentials), 404, "not_found");
    for (const id of Object.keys(BROKEN)) {
      assertProblem(await login(broker, id, credentials), 503, "misconfigured");
      assert.equal(c[id].tokenRequests.length, 0);
    }
  });

  test("because the method is another is told which it is", async () => {
    /**
     * @param {string} method
     * @param {string} target
     * @param {string} allowed
     */
    const allow = async (method, target, allowed) => {
      const answer = await broker.call(target, { method, key: null, origin: ORIGIN });
      if (method === "HEAD") assert.equal(answer.status, 405, target);
      else assertProblem(answer, 405, "method_not_allowed");
      assert.ok(list(answer.headers.allow).includes(allowed), `${method} ${target}: Allow: ${answer.headers.allow}`);
      assert.ok(!list(answer.headers.allow).includes(method.toLowerCase()));
    };
    for (const method of ["GET", "HEAD", "PUT", "DELETE", "PATCH"]) {
      await allow(method, "/auth/plain/login", "post");
      await allow(method, "/auth/logout", "post");
    }
    for (const method of ["PUT", "DELETE"]) await allow(method, "/auth/session", "get");
    for (const method of ["GET", "POST", "PUT"]) await allow(method, "/auth/plain", "delete");
  });

  test("because the address is another is not found", async () => {
    for (const target of [
      "/auth",
      "/auth/",
      "/auth/plain/",
      "/auth/plain/logout",
      "/auth/plain/login/x",
      "/auth/login",
      "/login",
    ]) {
      const { status } = await broker.call(target, {
        method: "POST",
        key: null,
        origin: ORIGIN,
        json: { username: "a", password: "b" },
      });
      assert.equal(status, 404, target);
    }
  });
});

describe("a connection for people", () => {
  test("is for nobody with a key", async () => {
    const before = c.plain.requests.length;
    assertProblem(await broker.call(c.plain.api()), 403, "operation_not_allowed");
    assert.equal(c.plain.requests.length, before);
  });

  for (const [id, { named }] of Object.entries(BROKEN)) {
    test(`(${id}) that cannot work is misconfigured and named in the log`, async () => {
      assertProblem(await broker.call(c[id].api()), 503, "misconfigured");
      await broker.logged(
        ({ field }) => field !== undefined && String(field).includes(id) && String(field).includes(named),
        {
          what: `a problem of ${id}.${named}`,
        },
      );
    });
  }

  test("that works is no problem", () => {
    const fields = broker.logs.filter(({ field }) => field !== undefined).map(({ field }) => String(field));
    const names = Object.keys(BROKEN).flatMap((id) => [id, id.toUpperCase().replaceAll("-", "_")]);
    assert.deepEqual(
      fields.filter((field) => !names.some((name) => field.includes(name))),
      [],
    );
  });
});

test("nothing was asked for that nobody expected", () => upstream.verify());
