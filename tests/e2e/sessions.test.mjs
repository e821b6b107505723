// People who sign in at the broker: the answers they get, and that no person ever acts as another. tests/drills/ tests
// how long sessions last, by the clock.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, ORIGIN, sealingKey, startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import { assertCleared, COOKIE, CROSS_SITE, Person, sessionIdOf, setCookies } from "./support/person.mjs";
import { until } from "./support/until.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer } from "./support/client.mjs" */
/** @import { PersonOptions } from "./support/person.mjs" */
/** @import { Connection, ConnectionSettings, TokenRequest, Upstream } from "./support/upstream.mjs" */

const DEFAULT_MAX_SECONDS = 604_800;

/**
 * A connection of its own for each test that plays with its token endpoint.
 *
 * @type {{ [id: string]: ConnectionSettings }}
 */
const CONNECTIONS = {
  plain: { fields: { response_headers: ["X-Told"] } },
  other: {},
  third: {},
  named: { fields: { rules: [{ ...EVERYTHING, callers: ["people"] }] } },
  narrow: { fields: { rules: [{ callers: ["session"], methods: ["GET"], paths: ["/echo/*"] }] } },
  "no-refresh-long": { refreshToken: false, expiresIn: 600 },
  passport: { refusals: "passport" },
  replayed: {},
  refusing: {},
  crowd: {},
  "signed-out-midway": {},
  "lost-request": {},
  "lost-answer": { rotation: false },
  "lost-rotation": {},
};

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Broker} */
let abroad;
/** @type {{ [id: string]: Connection }} */
const c = {};

before(async () => {
  upstream = await startUpstream();
  for (const [id, settings] of Object.entries(CONNECTIONS)) c[id] = upstream.connection(id, { users: {}, ...settings });
  c.service = upstream.connection("service", {
    grant: "static",
    fields: { rules: [{ ...EVERYTHING, callers: ["session", "backend"] }] },
  });
  c.closed = upstream.connection("closed", { grant: "static" });
  const settings = {
    vars: { CALLERS: { backend: { kind: "key" }, people: { kind: "session" } }, CONNECTIONS: upstream.vars },
    secrets: upstream.secrets,
  };
  [broker, abroad] = await Promise.all([
    startBroker(settings),
    startBroker({
      ...settings,
      vars: {
        ...settings.vars,
        BASE_PATH: "/broker",
        SESSION_CROSS_SITE: true,
      },
    }),
  ]);
});

after(async () => {
  await Promise.all([broker, abroad].map((one) => one?.stop()));
  await upstream?.close();
});

/**
 * A person who is signed in to `connections`, the first sign-in first.
 *
 * @param {Connection[]} connections
 */
async function signedIn(...connections) {
  const person = new Person(broker, ...connections);
  for (const connection of connections) await person.signIn(connection);
  return person;
}

const apiRequests = () => Object.values(c).reduce((sum, { requests }) => sum + requests.length, 0);

/** @param {Answer} answer */
function assertUnauthenticated(answer) {
  assertProblem(answer, 401, "caller_unauthenticated");
  assert.match(answer.headers["www-authenticate"] ?? "", /\S/);
}

/**
 * `ask()` is answered 401, and no API hears of it.
 *
 * @param {() => Promise<Answer>} ask
 */
async function unauthenticated(ask) {
  const before = apiRequests();
  assertUnauthenticated(await ask());
  assert.equal(apiRequests(), before, "the upstream was called");
}

/**
 * A call that succeeded in the name of `person`.
 *
 * @param {Person} person
 * @param {Connection} connection
 * @param {PersonOptions} [options]
 */
async function callsAs(person, connection, options) {
  const answer = assertStatus(await person.call(connection, undefined, options));
  assert.equal(answer.json().person, person.name);
  return answer;
}

/** @param {TokenRequest[]} requests */
const types = (requests) => requests.map(({ parameters }) => parameters.grant_type);

/** @param {Buffer} bytes */
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

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

describe("a session", () => {
  test("says which connections its person is signed in to, and until when", async () => {
    const person = await signedIn(c.plain);
    const answer = assertStatus(await person.session());
    assertEveryAnswer(answer, "session");
    /** @type {{ connections: { id: string, expires_at: string }[] }} */
    const body = answer.json();
    assert.deepEqual(Object.keys(body), ["connections"]);
    assert.deepEqual(
      body.connections.map((one) => Object.keys(one).sort()),
      [["expires_at", "id"]],
    );
    assert.equal(body.connections[0].id, "plain");
    assertIn(DEFAULT_MAX_SECONDS, body.connections[0].expires_at);
  });

  test("is nobody's without a cookie", async () => {
    const person = new Person(broker, c.plain);
    await unauthenticated(() => person.session());
    await unauthenticated(() => person.call(c.plain));
    await unauthenticated(() => person.call(c.service));
  });

  test("ends with an access token that nothing can renew, where there is no refresh token", async () => {
    const person = new Person(broker, c["no-refresh-long"]);
    const answer = await person.signIn(c["no-refresh-long"]);
    assertIn(600, answer.json().expires_at);
    assertIn(600, (await person.session()).json().connections[0].expires_at);
  });

  test("uses the person's own token, and the cookie goes nowhere", async () => {
    const person = await signedIn(c.plain);
    await callsAs(person, c.plain, { headers: { Cookie: `a=b; ${COOKIE}=${person.cookie}; c=d` }, cookie: null });
    const request = c.plain.lastRequest;
    assert.ok(person.cookie);
    assert.equal(request.headers.cookie, undefined);
    assert.ok(!JSON.stringify([request.rawHeaders, request.target]).includes(person.cookie));
    await callsAs(person, c.plain, { method: "POST", body: randomBytes(5_000) });
    assert.equal(c.plain.tokenRequestsOf(person.name).length, 1);
  });

  test("passes on no cookie of the API's", async () => {
    const person = await signedIn(c.plain);
    c.plain.on("/cookie", (_request, response) =>
      response.writeHead(200, { "Set-Cookie": `${COOKIE}=x; Path=/`, "X-Told": "1" }).end(),
    );
    const answer = assertStatus(await person.call(c.plain, "/cookie"));
    assert.deepEqual([setCookies(answer), answer.headers["x-told"]], [[], "1"]);
  });

  test("is found among other cookies", async () => {
    const person = await signedIn(c.plain);
    const own = `${COOKIE}=${person.cookie}`;
    for (const Cookie of [
      `a=b; ${own}`,
      `${own}; a=b`,
      `a=b;${own};c=d`,
      `; ${own};`,
      `x${COOKIE}=wrong; ${own}`,
      `${COOKIE}x=wrong; ${own}`,
      `a="${COOKIE}=x"; ${own}`,
    ]) {
      assertStatus(await person.session({ cookie: null, headers: { Cookie } }));
    }
  });

  test("is not had with a cookie that is not exactly its own", async () => {
    const person = await signedIn(c.plain);
    // The isolate knows the right one by now.
    await callsAs(person, c.plain);
    const id = person.cookie;
    assert.ok(id);
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // The last character stands for four bits and two that mean nothing.
    const twin = id.slice(0, -1) + alphabet[alphabet.indexOf(id.slice(-1)) ^ 1];
    const other = id[0] === "A" ? `B${id.slice(1)}` : `A${id.slice(1)}`;
    const swapped = id.replace(/[a-z]/, (letter) => letter.toUpperCase());
    for (const Cookie of [
      ...[
        randomBytes(32).toString("base64url"),
        other,
        swapped,
        twin,
        id.slice(0, -1),
        `${id}A`,
        `${id}=`,
        `"${id}"`,
        `${id}%20`,
        id.slice(1),
        "",
        "null",
        `${id}.${id}`,
      ].map((value) => `${COOKIE}=${value}`),
      `porteiro=${id}`,
      `__Host-porteiro=${id}`,
      `__host-http-porteiro=${id}`,
      id,
      `=${id}`,
      `=${COOKIE}=${id}`,
    ]) {
      await unauthenticated(() => person.session({ cookie: null, headers: { Cookie } }));
      await unauthenticated(() => person.call(c.plain, undefined, { cookie: null, headers: { Cookie } }));
    }
    await unauthenticated(() =>
      person.call(c.plain, undefined, { cookie: null, headers: { Authorization: `Bearer ${id}` } }),
    );
    await callsAs(person, c.plain);
  });

  test("is not had with two cookies of its name: one of them is somebody else's", async () => {
    const [person, other] = [await signedIn(c.plain), await signedIn(c.plain)];
    const wrong = randomBytes(32).toString("base64url");
    for (const [first, second] of [
      [person.cookie, wrong],
      [wrong, person.cookie],
      [person.cookie, other.cookie],
      [person.cookie, person.cookie],
    ]) {
      const headers = { Cookie: `${COOKIE}=${first}; ${COOKIE}=${second}` };
      await unauthenticated(() => person.session({ cookie: null, headers }));
      await unauthenticated(() => person.call(c.plain, undefined, { cookie: null, headers }));
    }
  });

  test("may use several connections, each with a token of its own", async () => {
    const person = await signedIn(c.plain, c.other, c.third);
    assert.deepEqual(await person.signedInTo(), ["other", "plain", "third"]);
    for (const connection of [c.plain, c.other, c.third]) {
      await callsAs(person, connection);
      assert.ok(connection.lastRequest.token?.startsWith(`${connection.id}-at-`));
    }
  });

  test("is none for a connection that its person did not sign in to", async () => {
    const person = await signedIn(c.plain);
    await unauthenticated(() => person.call(c.other));
  });

  test("has a new id after each sign-in, and the old one is dead at once for everything", async () => {
    const person = new Person(broker, c.plain, c.other);
    await person.signIn(c.plain);
    // The isolate knows the old id by now.
    await callsAs(person, c.plain);
    const old = person.cookie;
    await person.signIn(c.other);
    assert.notEqual(person.cookie, old);
    assert.deepEqual(await person.signedInTo(), ["other", "plain"]);
    await unauthenticated(() => person.call(c.plain, undefined, { cookie: old }));
    await unauthenticated(() => person.call(c.other, undefined, { cookie: old }));
    await unauthenticated(() => person.session({ cookie: old }));
    assertStatus(await person.logout({ cookie: old }), 204);
    await callsAs(person, c.plain);
    await callsAs(person, c.other);

    const stranger = new Person(broker, c.third);
    await stranger.signIn(c.third, { cookie: old });
    assert.deepEqual(await stranger.signedInTo(), ["third"]);
    assert.equal(c.plain.tokenRequestsOf(person.name).length, 1);
  });

  test("is left by two sign-ins at once in a state that one after the other could leave", async () => {
    const person = new Person(broker, c.plain, c.other, c.third);
    await person.signIn(c.plain);
    const answers = await Promise.all([c.other, c.third].map((connection) => person.login(connection)));
    const ids = answers.map((answer) => sessionIdOf(assertStatus(answer)));
    await unauthenticated(() => person.session());
    /** @type {string[]} */
    const found = [];
    for (const cookie of ids) {
      const answer = await person.session({ cookie });
      if (answer.status === 200)
        found.push(
          answer
            .json()
            .connections.map((/** @type {{ id: string }} */ { id }) => id)
            .sort()
            .join(),
        );
    }
    // Either one went on from the other, or the second one came with a dead cookie and began anew.
    const possible = [["other,plain,third"], ["other,plain", "third"], ["other", "plain,third"]];
    assert.ok(
      possible.some((one) => one.join(" ") === found.join(" ")),
      found.join(" "),
    );
  });

  test("is another person's after another person signed in over it", async () => {
    const person = await signedIn(c.plain);
    await callsAs(person, c.plain);
    const other = new Person(broker, c.plain);
    await other.signIn(c.plain, { cookie: person.cookie });
    await callsAs(other, c.plain);
    assert.deepEqual(await other.signedInTo(), ["plain"]);
    await unauthenticated(() => person.call(c.plain));
    // Nor does a renewal fall back on the one who was there before.
    c.plain.revoke(other.name);
    await callsAs(other, c.plain);
    assert.deepEqual(types(c.plain.tokenRequestsOf(person.name)), ["password"]);
  });

  test("is apart from another session of the same person", async () => {
    const [here, there] = [await signedIn(c.plain), new Person(broker)];
    Object.assign(there, { name: here.name, password: here.password });
    await there.signIn(c.plain);
    assertStatus(await here.logout(), 204);
    await unauthenticated(() => here.call(c.plain));
    await callsAs(there, c.plain);
  });

  test("may be a caller by a name of the operator's", async () => {
    const person = await signedIn(c.named);
    const answer = await callsAs(person, c.named);
    const id = answer.headers["x-request-id"];
    const line = await broker.logged((log) => log.request_id === id && log.status !== undefined, {
      what: "the call's line",
    });
    assert.deepEqual([line.caller, line.connection, line.status], ["people", "named", 200]);
  });

  test("may use a connection whose token is a service's, where a rule says so", async () => {
    const person = await signedIn(c.plain);
    assertStatus(await person.call(c.service));
    assert.equal(c.service.lastRequest.token, c.service.credentials.token);
    const before = c.closed.requests.length;
    const { status } = await person.call(c.closed);
    assert.ok(status === 401 || status === 403, String(status));
    assert.equal(c.closed.requests.length, before);
  });

  test("is held to the rules", async () => {
    const person = await signedIn(c.narrow);
    assertStatus(await person.call(c.narrow, "/echo/x"));
    const before = c.narrow.requests.length;
    assertProblem(await person.call(c.narrow, "/echo"), 403, "operation_not_allowed");
    assertProblem(await person.call(c.narrow, "/echo/x", { method: "POST", body: "x" }), 403, "operation_not_allowed");
    assert.equal(c.narrow.requests.length, before);
  });
});

describe("a sign-out", () => {
  test("ends the session at once, for everything", async () => {
    const person = await signedIn(c.plain, c.other);
    await callsAs(person, c.plain);
    const answer = assertStatus(await person.logout(), 204);
    assert.equal(answer.bytes, 0);
    assertCleared(answer);
    assertEveryAnswer(answer, "logout");
    await unauthenticated(() => person.session());
    await unauthenticated(() => person.call(c.plain));
    await unauthenticated(() => person.call(c.other));
    await unauthenticated(() => person.call(c.service));
    const id = answer.headers["x-request-id"];
    await broker.logged((log) => log.event === "sign_out" && log.request_id === id, { what: "the sign-out's line" });
  });

  test("may come twice, late, or without a session at all", async () => {
    const person = await signedIn(c.plain);
    for (let i = 0; i < 2; i += 1) assertCleared(assertStatus(await person.logout(), 204));
    assertCleared(assertStatus(await person.logout({ cookie: null }), 204));
    assertCleared(assertStatus(await person.logout({ cookie: randomBytes(32).toString("base64url") }), 204));
  });

  test("leaves no token set behind: the same browser begins anew", async () => {
    const person = await signedIn(c.plain, c.other);
    const { cookie } = person;
    await person.logout();
    await person.signIn(c.plain, { cookie });
    assert.notEqual(person.cookie, cookie);
    assert.deepEqual(await person.signedInTo(), ["plain"]);
    await unauthenticated(() => person.call(c.other));
  });

  test("does not wait for a renewal that is on its way, and nothing comes back with it", async () => {
    const connection = c["signed-out-midway"];
    const person = await signedIn(connection, c.plain);
    await callsAs(person, connection);
    connection.revoke(person.name);
    /** @type {PromiseWithResolvers<void>} */
    const { promise: hold, resolve: release } = Promise.withResolvers();
    connection.answerTokenRequest({ hold });
    const waiting = person.call(connection);
    try {
      await connection.until(({ tokenRequests }) => tokenRequests.length === 2);
      assertStatus(await person.logout({ timeout: 5_000 }), 204);
      await unauthenticated(() => person.session());
    } finally {
      release();
    }
    const { status } = await waiting;
    assert.ok(status === 200 || status === 401, String(status));
    await unauthenticated(() => person.session());
    await unauthenticated(() => person.call(connection));
    assert.deepEqual(types(connection.tokenRequestsOf(person.name)), ["password", "refresh_token"]);
  });

  test("takes effect for calls that are just on their way", async () => {
    const person = await signedIn(c.plain);
    const agent = keepAlive();
    const calls = Array.from({ length: 20 }, () => person.call(c.plain, undefined, { agent }));
    await person.logout();
    for (const { status } of await Promise.all(calls)) assert.ok(status === 200 || status === 401, String(status));
    agent.destroy();
    await unauthenticated(() => person.call(c.plain));
  });
});

describe("the token of a person", () => {
  test("is renewed with the newest refresh token, each used once", async () => {
    const person = await signedIn(c.plain);
    for (let i = 0; i < 3; i += 1) {
      await callsAs(person, c.plain);
      c.plain.revoke(person.name);
    }
    await callsAs(person, c.plain);
    const requests = c.plain.tokenRequestsOf(person.name);
    assert.deepEqual(types(requests), ["password", "refresh_token", "refresh_token", "refresh_token"]);
    const presented = requests.slice(1).map(({ parameters }) => parameters.refresh_token);
    assert.equal(new Set(presented).size, 3);
    // Each is known to the endpoint, so none was made up; the third was the newest.
    assert.deepEqual(
      requests.map(({ outcome }) => outcome),
      Array(4).fill("ok"),
    );
    assert.ok(requests.slice(1).every(({ parameters }) => !("password" in parameters) && !("username" in parameters)));
  });

  test("that the API refuses is renewed once, and the call sent again with its body", async () => {
    const person = await signedIn(c.replayed);
    c.replayed.revoke(person.name);
    const bodies = Array.from({ length: 10 }, () => randomBytes(20_000));
    const agent = keepAlive();
    c.replayed.answerTokenRequest({ delay: 300 });
    const answers = await Promise.all(
      bodies.map((body) => person.call(c.replayed, undefined, { method: "POST", body, agent })),
    );
    agent.destroy();
    assert.deepEqual(
      answers.map((answer) => [answer.status, answer.json().person]),
      bodies.map(() => [200, person.name]),
    );
    assert.deepEqual(
      answers.map((answer) => answer.json().sha256),
      bodies.map(sha256),
    );
    assert.deepEqual(types(c.replayed.tokenRequestsOf(person.name)), ["password", "refresh_token"]);
    for (const body of bodies) {
      const own = c.replayed.requests.filter((request) => request.sha256 === sha256(body));
      assert.ok(own.length <= 2, `sent ${own.length} times`);
    }
  });

  for (const id of ["plain", "passport"]) {
    test(`whose refresh token is dead (${id}) ends the sign-in`, async () => {
      const person = await signedIn(c[id]);
      await callsAs(person, c[id]);
      c[id].revoke(person.name);
      c[id].forgetRefreshTokens(person.name);
      const seen = apiRequests();
      const answer = await person.call(c[id]);
      assertUnauthenticated(answer);
      assert.ok(!/invalid_|not known|revoked|refresh/i.test(answer.text), answer.text);
      assert.equal(apiRequests(), seen + 1);
      await unauthenticated(() => person.call(c[id]));
      await unauthenticated(() => person.session());
      assert.deepEqual(types(c[id].tokenRequestsOf(person.name)), ["password", "refresh_token"]);
      await person.signIn(c[id]);
      await callsAs(person, c[id]);
    });
  }

  test("that the API refuses even when it is new is the API's trouble, and ends no session", async () => {
    const person = await signedIn(c.refusing);
    await callsAs(person, c.refusing);
    c.refusing.refuseNext(2);
    assertProblem(await person.call(c.refusing), 502, "upstream_unauthorized");
    assert.deepEqual(await person.signedInTo(), ["refusing"]);
    await callsAs(person, c.refusing);
    assert.deepEqual(types(c.refusing.tokenRequestsOf(person.name)), ["password", "refresh_token"]);
  });

  test("that dies takes nothing from the other connections of the session", async () => {
    const person = await signedIn(c.plain, c.other);
    for (const connection of [c.plain, c.other]) await callsAs(person, connection);
    c.plain.revoke(person.name);
    c.plain.forgetRefreshTokens(person.name);
    assertUnauthenticated(await person.call(c.plain));
    assert.deepEqual(await person.signedInTo(), ["other"]);
    await callsAs(person, c.other);
    await unauthenticated(() => person.call(c.plain));
    await person.signIn(c.plain);
    assert.deepEqual(await person.signedInTo(), ["other", "plain"]);
  });

  test("that dies takes nothing from other people", async () => {
    const [person, other] = [await signedIn(c.plain), await signedIn(c.plain)];
    for (const one of [person, other]) await callsAs(one, c.plain);
    c.plain.revoke(person.name);
    c.plain.forgetRefreshTokens(person.name);
    assertUnauthenticated(await person.call(c.plain));
    await callsAs(other, c.plain);
    c.plain.revoke(other.name);
    await callsAs(other, c.plain);
  });
});

describe("many calls of two people at once", () => {
  test("make nobody somebody else, while their tokens are renewed", async () => {
    const { crowd } = c;
    const people = [await signedIn(crowd), await signedIn(crowd)];
    const [workers, each] = [10, 15];
    const agent = keepAlive();
    /**
     * @param {Person} person
     * @param {number} worker
     */
    const work = async (person, worker) => {
      const number = people.indexOf(person);
      for (let i = 0; i < each; i += 1) {
        // Its token is refused from now on, also of calls that are on their way.
        if (worker === 0 && i % 5 === 4) crowd.revoke(person.name);
        const marker = `/echo/${number}-${worker}-${i}`;
        const told = assertStatus(await person.call(crowd, marker, { agent, timeout: 30_000 })).json();
        assert.deepEqual([told.person, told.below], [person.name, marker]);
      }
    };
    await Promise.all(people.flatMap((person) => Array.from({ length: workers }, (_, worker) => work(person, worker))));
    agent.destroy();
    // The API's own idea of who each call was for.
    const accepted = crowd.requests.filter(({ person }) => person !== undefined);
    assert.ok(accepted.length >= 2 * workers * each);
    assert.deepEqual(
      accepted.filter(({ below, person }) => people[Number(below.split(/[/-]/)[2])]?.name !== person),
      [],
    );
    for (const { name } of people) {
      const all = types(crowd.tokenRequestsOf(name));
      assert.equal(all.filter((type) => type === "password").length, 1);
      assert.ok(all.length >= 3, `only ${all.length} tokens`);
    }
  });
});

describe("a broker for a front end on another site, below a path", () => {
  test("sets a cookie that goes there, for the page's own site only", async () => {
    const answer = await new Person(abroad, c.plain).signIn(c.plain);
    assert.match(
      setCookies(answer)[0],
      new RegExp(`^${COOKIE}=[A-Za-z0-9_-]{43}; Path=/; Secure; HttpOnly; SameSite=None; Partitioned$`),
    );
  });

  test("clears that same cookie", async () => {
    const person = new Person(abroad, c.plain);
    await person.signIn(c.plain);
    await callsAs(person, c.plain);
    assertCleared(assertStatus(await person.logout(), 204), CROSS_SITE);
    await unauthenticated(() => person.session());
  });

  test("has nothing at the addresses without the path", async () => {
    const person = new Person(abroad, c.plain);
    await person.signIn(c.plain);
    for (const [method, target] of [
      ["POST", "/auth/plain/login"],
      ["GET", "/auth/session"],
      ["POST", "/auth/logout"],
    ]) {
      const headers = { Cookie: `${COOKIE}=${person.cookie}` };
      const json = method === "POST" ? person.credentials : undefined;
      assertProblem(await abroad.call(target, { method, key: null, origin: ORIGIN, headers, json }), 404, "not_found");
    }
    assert.deepEqual(await person.signedInTo(), ["plain"]);
  });

  test("wants a page of an allowed origin all the more", async () => {
    const person = new Person(abroad, c.plain);
    await person.signIn(c.plain);
    const before = apiRequests();
    const headers = { "Sec-Fetch-Site": "cross-site" };
    assertProblem(await person.call(c.plain, undefined, { origin: undefined, headers }), 403, "cross_site_request");
    assertProblem(
      await person.call(c.plain, undefined, { method: "POST", body: "x", origin: undefined, headers }),
      403,
      "cross_site_request",
    );
    assert.equal(apiRequests(), before);
    assertStatus(await person.call(c.plain, undefined, { method: "POST", body: "x", headers }));
  });
});

describe("a restart", () => {
  /** @type {{ [id: string]: Person }} */
  const people = {};
  const KILLED = ["lost-request", "lost-answer", "lost-rotation"];

  before(async () => {
    people.plain = await signedIn(c.plain, c.other);
    await callsAs(people.plain, c.plain);
    people.gone = await signedIn(c.plain);
    await people.gone.logout();
    for (const id of KILLED) {
      people[id] = await signedIn(c[id]);
      await callsAs(people[id], c[id]);
      c[id].revoke(people[id].name);
    }
    // The broker dies with three refreshes on their way: one that never
    // arrives, and two that take effect.
    /** @type {PromiseWithResolvers<void>} */
    const { promise: hold, resolve: release } = Promise.withResolvers();
    c["lost-request"].answerTokenRequest({ hang: true });
    for (const id of KILLED.slice(1)) c[id].answerTokenRequest({ hold });
    const lost = KILLED.map((id) =>
      people[id].call(c[id]).then(
        () => "answered",
        () => "lost",
      ),
    );
    await Promise.all(KILLED.map((id) => c[id].until(({ tokenRequests }) => tokenRequests.length === 2)));
    await broker.kill();
    release();
    assert.deepEqual(
      await Promise.all(lost),
      KILLED.map(() => "lost"),
    );
    await until(
      () => KILLED.slice(1).every((id) => c[id].tokenRequests[1].outcome === "ok"),
      "the end of the refreshes",
    );
    await broker.restart();
  });

  test("ends no session and makes no token request", async () => {
    const person = people.plain;
    assert.deepEqual(await person.signedInTo(), ["other", "plain"]);
    await callsAs(person, c.plain);
    await callsAs(person, c.other);
    assert.deepEqual(types(c.plain.tokenRequestsOf(person.name)), ["password"]);
  });

  test("brings no session back", async () => {
    await unauthenticated(() => people.gone.session());
    await unauthenticated(() => people.gone.call(c.plain));
  });

  for (const id of ["lost-request", "lost-answer"]) {
    test(`in the middle of a refresh (${id}) loses no session`, async () => {
      const person = people[id];
      assert.deepEqual(await person.signedInTo(), [id]);
      await callsAs(person, c[id]);
      const requests = c[id].tokenRequestsOf(person.name);
      assert.deepEqual(types(requests), ["password", "refresh_token", "refresh_token"]);
      assert.equal(requests[1].parameters.refresh_token, requests[2].parameters.refresh_token);
    });
  }

  test("in the middle of a refresh that replaced the refresh token asks for a new sign-in, and no more", async () => {
    const connection = c["lost-rotation"];
    const person = people["lost-rotation"];
    assertUnauthenticated(await person.call(connection));
    await unauthenticated(() => person.call(connection));
    await unauthenticated(() => person.session());
    assert.deepEqual(types(connection.tokenRequestsOf(person.name)), ["password", "refresh_token", "refresh_token"]);
    await person.signIn(connection);
    await callsAs(person, connection);
  });

  test("with a further sealing key opens what the old one sealed, and seals with the further one", async () => {
    const person = people.plain;
    const [old, next] = [broker.secrets.SEALING_KEYS, sealingKey("k2")];
    await broker.restart({ secrets: { SEALING_KEYS: `${next},${old}` } });
    assert.deepEqual(await person.signedInTo(), ["other", "plain"]);
    await callsAs(person, c.plain);
    await callsAs(person, c.other);
    // What is sealed from here on is sealed with the new key.
    const later = await signedIn(c.plain);
    await broker.restart({ secrets: { SEALING_KEYS: next } });
    await callsAs(later, c.plain);
    assert.deepEqual(types(c.plain.tokenRequestsOf(person.name)), ["password"]);
  });

  test("with a foreign sealing key ends every session and opens none", async () => {
    const since = broker.output.length;
    await broker.restart({ secrets: { SEALING_KEYS: sealingKey("k9") } });
    await unauthenticated(() => people.plain.session());
    await unauthenticated(() => people.plain.call(c.plain));
    await people.plain.signIn(c.plain);
    await callsAs(people.plain, c.plain);
    assert.deepEqual(
      broker.logsSince(since).filter(({ event }) => event === "panic"),
      [],
    );
  });
});

test("nothing was asked for that nobody expected", () => upstream.verify());
