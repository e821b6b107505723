// Attempts to guess passwords at the broker: few guesses reach the token endpoint, and a person who knows the password
// is delayed only while an attacker guesses.
//
// The runtime passes the caller's address in CF-Connecting-IP. On Cloudflare no caller can set it; locally the runtime
// keeps the caller's value, which these tests use to call from many addresses.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { join } from "node:path";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { KEY, ORIGIN, sealingKey, startBroker } from "./support/broker.mjs";
import { call, keepAlive } from "./support/client.mjs";
import {
  login,
  NAME_MARK,
  newAddress,
  newName,
  newPassword,
  PASSWORD_MARK,
  Person,
  sessionIdOf,
  setCookies,
} from "./support/person.mjs";
import { files, search } from "./support/search.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer } from "./support/client.mjs" */
/** @import { PersonOptions } from "./support/person.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const LIMIT = 5;
const WINDOW_SECONDS = 60;

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let plain;
/** @type {Connection} */
let other;
/** @type {Connection} */
let failing;

before(async () => {
  upstream = await startUpstream();
  plain = upstream.connection("plain", { users: {} });
  other = upstream.connection("other", { users: {} });
  failing = upstream.connection("failing", { users: {} });
  broker = await startBroker({ vars: { CONNECTIONS: upstream.vars }, secrets: upstream.secrets });
});

afterEach(() => upstream.verify());

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/** @param {Connection[]} connections */
const newPerson = (...connections) => new Person(broker, ...connections);

/**
 * Guesses a password.
 *
 * @param {Connection} connection
 * @param {string} username
 * @param {string} address
 * @param {PersonOptions} [options]
 */
function guess(connection, username, address, options) {
  return login(broker, connection.id, { username, password: newPassword() }, { address, ...options });
}

/** @param {Answer} answer */
function assertLimited(answer) {
  assertProblem(answer, 429, "rate_limited");
  const seconds = Number(answer.headers["retry-after"]);
  assert.ok(
    Number.isInteger(seconds) && seconds >= 1 && seconds <= WINDOW_SECONDS,
    `Retry-After: ${answer.headers["retry-after"]}`,
  );
  assert.deepEqual(setCookies(answer), []);
}

/**
 * Holds `answers` to be refusals, as many as were asked about, and the others to be held up.
 *
 * @param {Answer[]} answers
 * @param {number} asked
 */
function assertFew(answers, asked) {
  const refused = answers.filter(({ status }) => status === 401);
  for (const answer of refused) assertProblem(answer, 401, "login_rejected");
  for (const answer of answers.filter((one) => !refused.includes(one))) assertLimited(answer);
  assert.equal(refused.length, asked);
  assert.ok(asked <= LIMIT, `${asked} guesses reached the token endpoint`);
  assert.ok(asked >= 1);
}

/**
 * As many refusals as there may be in a minute.
 *
 * @param {Connection} connection
 * @param {Person} person
 */
async function useUp(connection, person, address = newAddress) {
  for (let i = 0; i < LIMIT; i += 1)
    assertProblem(await guess(connection, person.name, address()), 401, "login_rejected");
}

describe("guesses at one name", () => {
  test("from twenty addresses at once: at most five reach the token endpoint", async (t) => {
    const person = newPerson(plain);
    const agent = keepAlive();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => guess(plain, person.name, newAddress(), { agent })),
    );
    agent.destroy();
    const asked = plain.tokenRequestsOf(person.name).length;
    assertFew(answers, asked);
    t.diagnostic(`${asked} of 20 guesses at one name reached the token endpoint`);
  });

  test("at once over a slow token endpoint are no more either", async () => {
    const person = newPerson(failing);
    failing.answerTokenRequest(...Array.from({ length: LIMIT }, () => ({ delay: 300 })));
    const agent = keepAlive();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => guess(failing, person.name, newAddress(), { agent })),
    );
    agent.destroy();
    const asked = failing.tokenRequestsOf(person.name).length;
    assertFew(answers, asked);
    assert.equal(asked, LIMIT, "fewer than the limit were let through");
  });

  test("one after the other: the sixth is held up, and so is the right password", async () => {
    const person = newPerson(plain);
    await useUp(plain, person);
    assertLimited(await guess(plain, person.name, newAddress()));
    const answer = await person.login(plain);
    assertLimited(answer);
    assert.equal(answer.headers["access-control-allow-origin"], ORIGIN);
    assert.equal(plain.tokenRequestsOf(person.name).length, LIMIT);
  });

  test("hold up nobody else, and not that name at another connection", async () => {
    const person = newPerson(plain, other);
    await useUp(plain, person);
    await newPerson(plain).signIn(plain);
    await person.signIn(other);
    assertLimited(await person.login(plain, { cookie: undefined }));
  });

  test("count a name that nobody has just the same: who exists is not told", async () => {
    const name = newName();
    for (let i = 0; i < LIMIT; i += 1) assertProblem(await guess(plain, name, newAddress()), 401, "login_rejected");
    assertLimited(await guess(plain, name, newAddress()));
  });

  test("take nothing from who is signed in already", async () => {
    const person = newPerson(plain);
    await person.signIn(plain);
    await useUp(plain, person);
    assertStatus(await person.call(plain));
    assertStatus(await person.session());
  });

  test("are not counted where the token endpoint did not judge them", async () => {
    const person = newPerson(other);
    for (let i = 0; i < LIMIT + 1; i += 1) {
      assertProblem(await person.login(other, { body: { username: person.name } }), 400, "bad_request");
      other.answerTokenRequest({ status: 503, body: "" });
      assertProblem(await person.login(other), 502, "token_endpoint_unreachable");
    }
    await person.signIn(other);
  });
});

describe("guesses from one address", () => {
  test("at twenty names at once: at most five reach the token endpoint", async (t) => {
    const address = newAddress();
    const before = plain.tokenRequests.length;
    const agent = keepAlive();
    const answers = await Promise.all(Array.from({ length: 20 }, () => guess(plain, newName(), address, { agent })));
    agent.destroy();
    const asked = plain.tokenRequests.length - before;
    assertFew(answers, asked);
    t.diagnostic(`${asked} of 20 guesses from one address reached the token endpoint`);
  });

  test("hold up who calls from there, and nobody elsewhere", async () => {
    const address = newAddress();
    for (let i = 0; i < LIMIT; i += 1) assertProblem(await guess(plain, newName(), address), 401, "login_rejected");
    const person = newPerson(plain);
    assertLimited(await person.login(plain, { address }));
    assert.equal(plain.tokenRequestsOf(person.name).length, 0);
    await person.signIn(plain);
  });

  test("count by the network that a subscriber of IPv6 is given", async () => {
    const network = `2001:db8:${randomBytes(2).toString("hex")}:1`;
    const hosts = ["::1", "::2", ":ffff:ffff:ffff:ffff", ":0:0:0:3", "::abcd"];
    for (const host of hosts) assertProblem(await guess(plain, newName(), `${network}${host}`), 401, "login_rejected");
    assertLimited(await guess(plain, newName(), `${network}:1:2:3:4`));
    await newPerson(plain).signIn(plain, { address: `${network.slice(0, -1)}2::1` });
  });
});

describe("people who know their passwords", () => {
  test("sign in from one address six at a time", async () => {
    const address = newAddress();
    const people = Array.from({ length: 6 }, () => newPerson(plain));
    plain.answerTokenRequest(...people.map(() => ({ delay: 200 })));
    const agent = keepAlive();
    const answers = await Promise.all(people.map((person) => person.login(plain, { address, agent })));
    agent.destroy();
    for (const answer of answers) sessionIdOf(assertStatus(answer));
  });

  test("sign in from many browsers at a time", async () => {
    const person = newPerson(plain);
    const agent = keepAlive();
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => person.login(plain, { address: newAddress(), agent })),
    );
    agent.destroy();
    assert.equal(new Set(answers.map((answer) => sessionIdOf(assertStatus(answer)))).size, answers.length);
  });

  test("may do so any number of times, and may mistype now and then", async () => {
    const person = newPerson(plain);
    for (let i = 0; i < 12; i += 1) {
      if (i % 4 === 1) assertProblem(await guess(plain, person.name, person.address), 401, "login_rejected");
      person.cookie = undefined;
      await person.signIn(plain);
    }
  });
});

describe("where the runtime tells no address", () => {
  test("people sign in, and guesses at a name are counted all the same", async () => {
    const bare = await startBroker({
      vars: { ALLOWED_ORIGINS: [ORIGIN], CALLERS: { backend: { kind: "key" } }, CONNECTIONS: upstream.vars },
      secrets: { BACKEND_KEY: KEY, SEALING_KEYS: sealingKey("k1"), ...upstream.secrets },
    });
    try {
      /**
       * @param {Person} person
       * @param {string} password
       */
      const send = (person, password) =>
        call(bare.url, "/auth/plain/login", {
          method: "POST",
          key: null,
          origin: ORIGIN,
          json: { username: person.name, password },
        });
      for (let i = 0; i < LIMIT + 1; i += 1) {
        const person = newPerson(plain);
        sessionIdOf(assertStatus(await send(person, person.password)));
      }
      const person = newPerson(plain);
      for (let i = 0; i < LIMIT; i += 1) assertProblem(await send(person, newPassword()), 401, "login_rejected");
      assertLimited(await send(person, person.password));
      assert.equal(plain.tokenRequestsOf(person.name).length, LIMIT);
    } finally {
      await bare.stop();
    }
  });
});

describe("a restart", () => {
  test("forgets no guess", async () => {
    const person = newPerson(plain);
    const address = newAddress();
    await useUp(plain, person);
    for (let i = 0; i < LIMIT; i += 1) assertProblem(await guess(other, newName(), address), 401, "login_rejected");
    await broker.restart();
    assertLimited(await person.login(plain));
    assertLimited(await guess(other, newName(), address));
    assert.equal(plain.tokenRequestsOf(person.name).length, LIMIT);
    await newPerson(plain).signIn(plain);
  });
});

describe("what is kept of it", () => {
  test("names nobody and holds no guess, in the log or at rest", async () => {
    const lines = Object.fromEntries(broker.output.map((line, i) => [`line ${i + 1}: ${line}`, line]));
    await broker.kill();
    const stored = await files(join(broker.persistTo, "do"));
    assert.ok(Object.values(stored).reduce((sum, { length }) => sum + length, 0) > 4_096);
    assert.ok(
      plain.tokenRequests.every(
        ({ parameters }) => parameters.username.includes(NAME_MARK) && parameters.password.includes(PASSWORD_MARK),
      ),
    );
    // The local runtime keeps the names of the objects with them.
    const wanted = { "a name": NAME_MARK, "a password": PASSWORD_MARK };
    assert.deepEqual(search({ ...stored, ...lines }, wanted), []);
  });
});
