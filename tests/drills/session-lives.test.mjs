// How long sign-ins and sessions last, by the clock, and that no person ever acts as another.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertProblem, assertStatus } from "../e2e/support/assertions.mjs";
import { EVERYTHING, startBroker } from "../e2e/support/broker.mjs";
import { keepAlive } from "../e2e/support/client.mjs";
import { startGate } from "../e2e/support/gate.mjs";
import { Person } from "../e2e/support/person.mjs";
import { startUpstream } from "../e2e/support/upstream.mjs";

/** @import { Broker } from "../e2e/support/broker.mjs" */
/** @import { Answer } from "../e2e/support/client.mjs" */
/** @import { Gate } from "../e2e/support/gate.mjs" */
/** @import { PersonOptions } from "../e2e/support/person.mjs" */
/** @import { Connection, ConnectionSettings, TokenRequest, Upstream } from "../e2e/support/upstream.mjs" */

const IDLE_SECONDS = 3;
const MAX_SECONDS = 10;

/**
 * A connection of its own for each test that plays with its token endpoint.
 *
 * @type {{ [id: string]: ConnectionSettings }}
 */
const CONNECTIONS = {
  plain: {},
  other: {},
  "no-refresh": { refreshToken: false, expiresIn: 3 },
  ended: { expiresIn: 3 },
  crowd: { expiresIn: 2 },
  "signed-out": { expiresIn: 3 },
};

/** @type {Upstream} */
let upstream;
/** @type {Gate} */
let gate;
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
  gate = await startGate(`${upstream.url}/as/down/token`);
  c.down = upstream.connection("down", { users: {}, expiresIn: 5, fields: { token_url: gate.url } });
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
        SESSION_IDLE_SECONDS: IDLE_SECONDS,
        SESSION_MAX_SECONDS: MAX_SECONDS,
      },
    }),
  ]);
});

after(async () => {
  await Promise.all([broker, abroad].map((one) => one?.stop()));
  await gate?.shut();
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

/** @param {Answer} answer */
function assertUnauthenticated(answer) {
  assertProblem(answer, 401, "caller_unauthenticated");
  assert.match(answer.headers["www-authenticate"] ?? "", /\S/);
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

describe("time", { concurrency: true }, () => {
  /** @param {number} at */
  const sleepUntil = (at) => sleep(Math.max(at - Date.now(), 0));

  test("that ended a person's token makes one refresh for fifty calls at once", async (t) => {
    const { ended } = c;
    const person = await signedIn(ended);
    const requests = () => ended.tokenRequestsOf(person.name);
    // It may have been renewed behind the calls.
    for (const end = Date.now() + 20_000; ; ) {
      const { length } = requests();
      const [last] = requests().slice(-1);
      await sleepUntil(last.at + ended.settings.expiresIn * 1_000 + 50);
      if (requests().length === length) break;
      assert.ok(Date.now() < end, "the token is renewed for nobody, again and again");
    }
    const before = requests().length;
    ended.answerTokenRequest({ delay: 300, set: { expires_in: 3_600 } });
    const agent = keepAlive();
    const answers = await Promise.all(Array.from({ length: 50 }, () => person.call(ended, undefined, { agent })));
    agent.destroy();
    assert.deepEqual(
      answers.map((answer) => [answer.status, answer.json().person]),
      Array(50).fill([200, person.name]),
    );
    assert.deepEqual(types(requests().slice(before)), ["refresh_token"]);
    assert.equal(ended.maxConcurrentTokenRequests, 1);
    t.diagnostic(`1 token request for 50 calls, after ${before}`);
  });

  test("that ended a token without a refresh token ends the sign-in", async () => {
    const connection = c["no-refresh"];
    const person = new Person(broker, connection, c.plain);
    const began = Date.now();
    assertIn(3, (await person.signIn(connection)).json().expires_at, 2);
    await person.signIn(c.plain);
    await callsAs(person, connection);
    await sleepUntil(began + 2_000);
    await callsAs(person, connection);
    await sleep(1_500);
    assertUnauthenticated(await person.call(connection));
    assert.deepEqual(await person.signedInTo(), ["plain"]);
    await callsAs(person, c.plain);
    assert.deepEqual(types(connection.tokenRequestsOf(person.name)), ["password"]);
  });

  test("that ended the only token of a session ends the session", async () => {
    const connection = c["no-refresh"];
    const person = await signedIn(connection);
    await sleep(3_300);
    assertUnauthenticated(await person.session());
    assertUnauthenticated(await person.call(c.service));
  });

  test("in which the token endpoint is down costs no session: the token is used up, and afterwards all is well", async (t) => {
    const { down } = c;
    const person = await signedIn(down);
    const [{ at }] = down.tokenRequestsOf(person.name);
    gate.mode = "unavailable";
    let answer;
    do {
      assert.ok(Date.now() < at + 8_000, "the token outlived its life");
      await sleep(100);
      answer = await person.call(down);
    } while (answer.status === 200);
    const lived = Date.now() - at;
    assert.ok(lived > 4_700, `given up after ${lived} ms of 5000`);
    const code = answer.status === 502 ? "token_endpoint_unreachable" : "connection_unavailable";
    assertProblem(answer, answer.status === 502 ? 502 : 503, code);
    assert.deepEqual(await person.signedInTo(), ["down"]);
    gate.mode = "pass";
    for (const end = Date.now() + 15_000; answer.status !== 200; answer = await person.call(down)) {
      assert.ok([502, 503].includes(answer.status) && Date.now() < end, answer.text);
      await sleep(200);
    }
    assert.equal(answer.json().person, person.name);
    assert.ok(
      types(down.tokenRequestsOf(person.name))
        .slice(1)
        .every((type) => type === "refresh_token"),
    );
    t.diagnostic(`used for ${lived} ms of 5000; ${gate.requests.length - 1} token requests in all after the sign-in`);
  });

  test("after a sign-out brings no renewal", async () => {
    const connection = c["signed-out"];
    const person = await signedIn(connection);
    await callsAs(person, connection);
    assertStatus(await person.logout(), 204);
    await sleep(4_000);
    assert.deepEqual(types(connection.tokenRequestsOf(person.name)), ["password"]);
  });

  test("and a thousand calls each make nobody of two people somebody else", async (t) => {
    const { crowd } = c;
    const people = [await signedIn(crowd), await signedIn(crowd)];
    const count = 1_000;
    const workers = 20;
    const agent = keepAlive();
    /** @type {[name: string, marker: string, told: unknown][]} */
    const mixUps = [];
    /** @type {{ [status: number]: number }} */
    const statuses = {};
    const began = Date.now();
    /**
     * @param {Person} person
     * @param {number} worker
     */
    const work = async (person, worker) => {
      for (let i = 0; i < count / workers; i += 1) {
        const marker = `/echo/${people.indexOf(person)}-${worker}-${i}`;
        const answer = await person.call(crowd, marker, { agent, timeout: 30_000 });
        statuses[answer.status] = (statuses[answer.status] ?? 0) + 1;
        if (answer.status !== 200) continue;
        const told = answer.json();
        if (told.person !== person.name || told.below !== marker) mixUps.push([person.name, marker, told]);
        // Spread over the lives of several tokens; a slow machine does that by itself.
        if (Date.now() - began < 6_000) await sleep(90);
      }
    };
    await Promise.all(people.flatMap((person) => Array.from({ length: workers }, (_, worker) => work(person, worker))));
    agent.destroy();
    assert.deepEqual(mixUps, []);
    assert.deepEqual(statuses, { 200: 2 * count });
    // The API's own idea of who each call was for.
    const strays = crowd.requests.filter(
      ({ below, person }) => people[Number(below.split(/[/-]/)[2])]?.name !== person,
    );
    assert.deepEqual(
      strays.map(({ below, person }) => [below, person]),
      [],
    );
    const renewals = people.map(({ name }) => types(crowd.tokenRequestsOf(name)));
    for (const all of renewals) {
      assert.equal(all.filter((type) => type === "password").length, 1);
      assert.ok(all.length >= 3, `only ${all.length} tokens`);
    }
    t.diagnostic(
      `${2 * count} calls of two people in ${Date.now() - began} ms, over ${renewals.map(({ length }) => length).join(" and ")} tokens: ` +
        `${mixUps.length + strays.length} mix-ups`,
    );
  });

  test("without a call ends a session, and calls keep it alive", async () => {
    const person = new Person(abroad, c.plain);
    await person.signIn(c.plain);
    for (let i = 0; i < 4; i += 1) {
      await sleep(1_000);
      await callsAs(person, c.plain);
    }
    await sleep((IDLE_SECONDS + 0.7) * 1_000);
    assertUnauthenticated(await person.call(c.plain));
    assertUnauthenticated(await person.session());
  });

  test("ends a session that is never idle, at its limit", async () => {
    const person = new Person(abroad, c.plain);
    const began = Date.now();
    const end = (await person.signIn(c.plain)).json().expires_at;
    assertIn(MAX_SECONDS, end, 2);
    let answer = await person.call(c.plain);
    for (; answer.status === 200; answer = await person.call(c.plain)) {
      assert.ok(Date.now() - began < (MAX_SECONDS + 2) * 1_000, "the session outlived its limit");
      await sleep(300);
    }
    assertUnauthenticated(answer);
    const lived = Date.now() - began;
    assert.ok(lived > (MAX_SECONDS - 1) * 1_000, `ended after ${lived} ms`);
    assertUnauthenticated(await person.session());
  });

  test("goes on counting from the first sign-in, whatever is signed in to later", async () => {
    const person = new Person(abroad, c.plain, c.other);
    const first = Date.parse((await person.signIn(c.plain)).json().expires_at);
    await sleep(2_000);
    const second = Date.parse((await person.signIn(c.other)).json().expires_at);
    assert.ok(Math.abs(second - first) <= 1_000, `${second - first} ms later`);
  });
});

test("nothing was asked for that nobody expected", () => upstream.verify());
