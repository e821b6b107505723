// A page of another site cannot use a person's cookie; a page of an allowed origin can read only what the broker
// exposes.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus, list } from "./support/assertions.mjs";
import { EVERYTHING, ORIGIN, startBroker } from "./support/broker.mjs";
import { login, Person, sessionIdOf, setCookies } from "./support/person.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer } from "./support/client.mjs" */
/** @import { PersonOptions } from "./support/person.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Connection }} */
const c = {};

before(async () => {
  upstream = await startUpstream();
  c.plain = upstream.connection("plain", { users: {} });
  c.broken = upstream.connection("broken", { users: {}, fields: { timeout_ms: "soon" } });
  c.service = upstream.connection("service", {
    grant: "static",
    fields: { rules: [{ ...EVERYTHING, callers: ["session", "backend"] }] },
  });
  c.closed = upstream.connection("closed", { grant: "static" });
  broker = await startBroker({ vars: { CONNECTIONS: upstream.vars }, secrets: upstream.secrets });
});

afterEach(() => upstream.verify());

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/** A person who is signed in. */
async function signedIn() {
  const person = new Person(broker, c.plain);
  await person.signIn(c.plain);
  return person;
}

const apiRequests = () => Object.values(c).reduce((sum, { requests }) => sum + requests.length, 0);

describe("a request from another site", () => {
  /** @type {Person} */
  let person;

  before(async () => (person = await signedIn()));

  const OWN = Symbol("the broker's own origin");
  const EVIL = "https://evil.example";
  const [OK, CROSS, ORIGIN_REFUSED] = ["let through", "cross_site_request", "origin_not_allowed"];

  /**
   * Origin, Sec-Fetch-Site, what becomes of the request, and its further fields.
   *
   * @typedef {[origin: string | symbol | undefined, site: string | undefined, outcome: string, more?: { [name: string]: string }]} Row
   */

  /** @typedef {{ origin?: string, headers: { [name: string]: string } }} RowOptions */

  /** @type {Row[]} */
  const ORIGINS = [
    [ORIGIN, undefined, OK],
    [ORIGIN, "cross-site", OK],
    [ORIGIN, "same-site", OK],
    [ORIGIN, "same-origin", OK],
    [OWN, undefined, OK],
    [OWN, "same-origin", OK],
    [EVIL, undefined, ORIGIN_REFUSED],
    [EVIL, "same-origin", ORIGIN_REFUSED],
    [EVIL, "cross-site", ORIGIN_REFUSED],
    ["null", undefined, ORIGIN_REFUSED],
    ["null", "cross-site", ORIGIN_REFUSED],
  ];
  /** @type {Row[]} */
  const CHANGING = [
    ...ORIGINS,
    [undefined, "same-origin", OK],
    [undefined, undefined, CROSS],
    [undefined, "none", CROSS],
    [undefined, "same-site", CROSS],
    [undefined, "cross-site", CROSS],
    [undefined, "", CROSS],
    [undefined, "same-origin, cross-site", CROSS],
    // A form that a page of another site submits is a navigation too.
    [undefined, "cross-site", CROSS, { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" }],
    [undefined, undefined, CROSS, { Referer: `${ORIGIN}/` }],
  ];
  /** @type {Row[]} */
  const READING = [
    ...ORIGINS,
    [undefined, "same-origin", OK],
    [undefined, undefined, OK],
    [undefined, "none", OK],
    [undefined, "same-site", CROSS],
    [undefined, "cross-site", CROSS],
    [undefined, "cross-site", OK, { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" }],
    [undefined, "same-site", OK, { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document" }],
    [undefined, "cross-site", CROSS, { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe" }],
    [undefined, "cross-site", CROSS, { "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "document" }],
    [undefined, "cross-site", CROSS, { "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image" }],
    // A browser that looks ahead: nobody has followed the link yet.
    [
      undefined,
      "cross-site",
      CROSS,
      { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Purpose": "prefetch" },
    ],
    [
      undefined,
      "cross-site",
      CROSS,
      { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Purpose": "prefetch;prerender" },
    ],
  ];
  // There is no session yet that could be used.
  /** @type {Row[]} */
  const FIRST_SIGN_IN = [
    ...ORIGINS,
    [undefined, undefined, OK],
    [undefined, "same-origin", OK],
    [undefined, "same-site", CROSS],
    [undefined, "cross-site", CROSS],
    [undefined, "none", CROSS],
  ];

  /** @param {Row[]} table */
  const rows = (table) =>
    table.map(([origin, site, outcome, more]) => {
      /** @type {{ [name: string]: string }} */
      const headers = { ...(site === undefined ? {} : { "Sec-Fetch-Site": site }), ...more };
      const own = origin === OWN;
      return {
        origin: own ? broker.url : /** @type {string | undefined} */ (origin),
        headers,
        outcome,
        said: `Origin ${own ? "of the broker" : String(origin)}, ${JSON.stringify(headers)}`,
      };
    });

  /**
   * Sends what `ask` does with each row of `table`; a refused request has no effect at all.
   *
   * @param {Row[]} table
   * @param {number} status
   * @param {(options: RowOptions, outcome: string) => Promise<Answer>} ask
   * @param {() => unknown} [prepare]
   */
  async function each(table, status, ask, prepare = () => {}) {
    for (const { outcome, said, ...options } of rows(table)) {
      await prepare();
      const [calls, grants] = [apiRequests(), c.plain.tokenRequests.length];
      const answer = await ask(options, outcome);
      if (outcome === OK) {
        assert.equal(answer.status, status, `${said}: ${answer.status} ${answer.text}`);
        continue;
      }
      assert.equal(answer.status, 403, `${said}: ${answer.status} ${answer.text}`);
      if (answer.bytes) assert.equal(answer.json().code, outcome, said);
      assert.deepEqual([apiRequests(), c.plain.tokenRequests.length], [calls, grants], said);
      assert.deepEqual(setCookies(answer), [], said);
    }
  }

  for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
    test(`(${method}) acts for nobody`, () =>
      each(CHANGING, 200, (options) => person.call(c.plain, undefined, { method, ...options })));
  }

  test("(GET) reads for nobody, but for a link that a person follows", () =>
    each(READING, 200, (options) => person.call(c.plain, undefined, options)));

  test("(HEAD) reads for nobody: no link is followed with it", () =>
    each(
      READING.map(([origin, site, outcome, more]) => [origin, site, more ? CROSS : outcome, more]),
      200,
      (options) => person.call(c.plain, undefined, { method: "HEAD", ...options }),
    ));

  test("reaches no service's connection with a person's cookie either", () =>
    each(CHANGING, 200, (options) => person.call(c.service, undefined, { method: "POST", body: "x", ...options })));

  test("is not told of the session", () => each(READING, 200, (options) => person.session(options)));

  test("signs nobody out", async () => {
    const leaver = new Person(broker, c.plain);
    /**
     * @param {RowOptions} options
     * @param {string} outcome
     */
    const signOut = async (options, outcome) => {
      const answer = await leaver.logout(options);
      assert.deepEqual(await leaver.signedInTo(), outcome === OK ? [] : ["plain"]);
      return answer;
    };
    await each(CHANGING, 204, signOut, () => leaver.signIn(c.plain));
  });

  test("clears nobody's cookie, though the cookie did not come along", async () => {
    // A browser keeps a strict cookie from such a request, and yet would take an answer's Set-Cookie.
    for (const origin of [EVIL, "null"]) {
      const answer = await person.logout({ origin, cookie: null });
      assertProblem(answer, 403, "origin_not_allowed");
      assert.deepEqual(setCookies(answer), []);
    }
  });

  test("signs nobody in", () => {
    const visitor = new Person(broker, c.plain);
    return each(FIRST_SIGN_IN, 200, (options) => visitor.login(c.plain, options));
  });

  test("signs nobody in over a session either", () => {
    const visitor = new Person(broker, c.plain);
    /**
     * @param {RowOptions} options
     * @param {string} outcome
     */
    const signInAgain = async (options, outcome) => {
      const answer = await visitor.login(c.plain, options);
      if (outcome === OK) visitor.cookie = sessionIdOf(answer);
      assert.deepEqual(await visitor.signedInTo(), ["plain"]);
      return answer;
    };
    return each(CHANGING, 200, signInAgain, () => visitor.signIn(c.plain));
  });

  test("is none where a key proves who calls", async () => {
    assertStatus(await broker.call(c.service.api(), { method: "POST", body: "x" }));
  });
});

describe("a page of an allowed origin", () => {
  /** @param {string} target */
  const preflight = (target, origin = ORIGIN) =>
    broker.call(target, {
      method: "OPTIONS",
      key: null,
      origin,
      headers: { "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type" },
    });

  test("may read every answer to a request that carries the cookie", async () => {
    const person = await signedIn();
    const stranger = new Person(broker, c.plain);
    /** @type {[status: number, answer: Answer][]} */
    const answers = [
      [200, await person.call(c.plain)],
      [200, await person.session()],
      [200, await person.login(c.plain)],
      [401, await stranger.session()],
      [401, await stranger.call(c.plain)],
      [401, await stranger.login(c.plain, { body: { username: stranger.name, password: "wrong" } })],
      [400, await stranger.login(c.plain, { body: {} })],
      [403, await broker.call(c.plain.api(), { origin: ORIGIN })],
      [404, await login(broker, "none", stranger.credentials)],
      [405, await person.send("/auth/logout")],
      [503, await person.call(c.broken)],
      [204, await stranger.logout()],
      [204, await preflight(c.plain.api())],
      [204, await preflight("/auth/plain/login")],
      [204, await preflight("/auth/session")],
      [204, await preflight("/auth/logout")],
    ];
    for (const [i, [status, answer]] of answers.entries()) {
      const said = `answer ${i + 1}: ${answer.status} ${answer.text}`;
      assert.equal(answer.status, status, said);
      assert.equal(answer.headers["access-control-allow-origin"], ORIGIN, said);
      assert.equal(answer.headers["access-control-allow-credentials"], "true", said);
      for (const [name, value] of answer.rawHeaders) {
        if (name.toLowerCase().startsWith("access-control-")) assert.ok(!value.includes("*"), `${said}: ${name}`);
      }
      assertEveryAnswer(answer, said);
    }
    for (const [, answer] of answers.slice(-3)) {
      assert.ok(list(answer.headers["access-control-allow-headers"]).includes("content-type"));
      assert.equal(answer.headers["access-control-max-age"], "7200");
    }
  });

  test("is the only one that may", async () => {
    const person = await signedIn();
    for (const origin of ["https://evil.example", "null", "https://app.example.com.evil.example", undefined]) {
      for (const answer of [
        await person.call(c.plain, undefined, { origin }),
        await person.session({ origin }),
        await preflight("/auth/plain/login", origin ?? "https://evil.example"),
      ]) {
        assert.equal(answer.headers["access-control-allow-credentials"], undefined, `${origin}: ${answer.status}`);
        assert.equal(answer.headers["access-control-allow-origin"], undefined, `${origin}: ${answer.status}`);
      }
    }
  });
});

describe("a broker without sessions", () => {
  test("lets no page send cookies", async () => {
    const { service, closed } = upstream.vars;
    const vars = {
      CALLERS: { backend: { kind: "key" } },
      CONNECTIONS: { closed, service: { ...service, rules: [EVERYTHING] } },
    };
    await broker.restart({ vars });
    const answers = [
      assertStatus(await broker.call(c.closed.api(), { origin: ORIGIN })),
      await broker.call(c.closed.api(), { origin: ORIGIN, key: null }),
      await broker.call(c.closed.api(), {
        origin: ORIGIN,
        method: "OPTIONS",
        key: null,
        headers: { "Access-Control-Request-Method": "GET" },
      }),
    ];
    for (const { headers } of answers) {
      assert.equal(headers["access-control-allow-origin"], ORIGIN);
      assert.equal(headers["access-control-allow-credentials"], undefined);
    }
  });
});
