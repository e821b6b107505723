// Guesses from many networks of one owner, at many spellings of one name, and at the name of a person who signs in
// meanwhile.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import {
  COOKIE,
  DEVICE_COOKIE,
  login,
  newAddress,
  newName,
  newPassword,
  Person,
  sessionIdOf,
  setCookies,
} from "./support/person.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Agent } from "node:http" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer } from "./support/client.mjs" */
/** @import { PersonOptions } from "./support/person.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const LIMIT = 5;
const LIMIT_AROUND = 20;

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let plain;
/** @type {Connection} */
let other;

before(async () => {
  upstream = await startUpstream();
  plain = upstream.connection("plain", { users: {} });
  other = upstream.connection("other", { users: {} });
  broker = await startBroker({ vars: { CONNECTIONS: upstream.vars }, secrets: upstream.secrets });
});

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/**
 * @param {Connection} connection
 * @param {string} username
 * @param {string} address
 * @param {PersonOptions} [options]
 */
const guess = (connection, username, address, options) =>
  login(broker, connection.id, { username, password: newPassword() }, { address, ...options });

/**
 * How many guesses of `send`, each with its number, reached the token endpoint.
 *
 * @param {number} count
 * @param {(number: number, options: { agent: Agent }) => Promise<Answer>} send
 */
async function reached(count, send) {
  const before = plain.tokenRequests.length;
  const agent = keepAlive();
  for (let number = 0; number < count; number += 1) {
    const answer = await send(number, { agent });
    if (answer.status === 429) assertProblem(answer, 429, "rate_limited");
    else assertProblem(answer, 401, "login_rejected");
  }
  agent.destroy();
  return plain.tokenRequests.length - before;
}

describe("guesses from the networks of one owner", () => {
  test("of IPv6, a /48: at most twenty in a minute reach the token endpoint, whatever the names", async (t) => {
    const owner = `2001:db8:${randomBytes(2).toString("hex")}`;
    const asked = await reached(40, (number, options) =>
      guess(plain, newName(), `${owner}:${number.toString(16)}::1`, options),
    );
    t.diagnostic(`${asked} of 40 guesses from one /48 reached the token endpoint`);
    assert.equal(asked, LIMIT_AROUND);
  });

  test("of IPv4, a /24: no more either, however its addresses are written", async () => {
    const network = `203.0.${randomBytes(1)[0]}`;
    const asked = await reached(40, (number, options) =>
      guess(plain, newName(), `${["", "::ffff:", "64:ff9b::"][number % 3]}${network}.${number}`, options),
    );
    assert.equal(asked, LIMIT_AROUND);
  });

  test("hold up nobody elsewhere", async () => {
    await new Person(broker, plain).signIn(plain);
  });
});

describe("guesses at spellings of one name", () => {
  test("are guesses at one name", async (t) => {
    const mark = randomBytes(4).toString("hex");
    const name = `joao.assis-${mark}@example.com`;
    const spellings = [
      name,
      name.toUpperCase(),
      `João.assis-${mark}@example.com`,
      `joa\u0303o.assis-${mark}@example.com`,
      `ｊoao.assis-${mark}@example.com`,
      `joao.aßis-${mark}@example.com`,
      `joao.aſſis-${mark}@example.com`,
      `joao.ass\u0131s-${mark}@example.com`,
      `JOAO.ASS\u0130S-${mark}@EXAMPLE.COM`,
      `jo\u00adao.assis-${mark}@example.com`,
      `joao\u200b.assis-${mark}@example.com`,
      `jøao.assis-${mark}@example.com`,
      `𝒿oao.assis-${mark}@example.com`,
      `${name} `,
    ];
    const asked = await reached(spellings.length, (number, options) =>
      guess(plain, spellings[number], newAddress(), options),
    );
    t.diagnostic(`${asked} of ${spellings.length} spellings reached the token endpoint`);
    assert.equal(asked, LIMIT);
  });

  test("are none where the name is longer than any name, or holds what ends a text", async () => {
    const before = plain.tokenRequests.length;
    for (const name of [`${"a".repeat(257)}`, "é".repeat(1_213), `${newName()}\u0000x`]) {
      assertProblem(await guess(plain, name, newAddress()), 400, "bad_request");
    }
    assert.equal(plain.tokenRequests.length, before);
    assertProblem(await guess(plain, "😀".repeat(256), newAddress()), 401, "login_rejected");
  });
});

/**
 * The value of the cookie by which the browser is known.
 *
 * @param {Pick<Answer, "rawHeaders">} answer
 */
function deviceOf(answer) {
  const [field, ...more] = setCookies(answer).filter((one) => one.startsWith(`${DEVICE_COOKIE}=`));
  assert.deepEqual(more, []);
  const [pair, ...attributes] = field.split("; ");
  assert.deepEqual(attributes, ["Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=34560000"]);
  return pair.slice(DEVICE_COOKIE.length + 1);
}

/**
 * @param {string} device
 * @param {string} [cookie]
 */
const from = (device, cookie) => ({
  headers: { Cookie: `${DEVICE_COOKIE}=${device}${cookie ? `; ${COOKIE}=${cookie}` : ""}` },
});

/**
 * Uses up what there is for the name, from anywhere.
 *
 * @param {Connection} connection
 * @param {string} name
 */
async function crowdOut(connection, name) {
  for (let i = 0; i < LIMIT; i += 1) assertProblem(await guess(connection, name, newAddress()), 401, "login_rejected");
  assertProblem(await guess(connection, name, newAddress()), 429, "rate_limited");
}

describe("a browser that somebody signed in with before", () => {
  test("lets them in while strangers guess at their name, also from their own network", async (t) => {
    const person = new Person(broker, plain);
    const device = deviceOf(await person.signIn(plain));
    person.cookie = undefined;
    await crowdOut(plain, person.name);
    for (let i = 0; i < LIMIT; i += 1) await guess(plain, newName(), person.address);
    let signedIn = 0;
    for (let i = 0; i < 20; i += 1) {
      assertProblem(await guess(plain, person.name, newAddress()), 429, "rate_limited");
      const answer = await person.login(plain, from(device));
      if (answer.status === 200) signedIn += 1;
      assert.equal(deviceOf(assertStatus(answer)), device);
    }
    t.diagnostic(`${signedIn} of 20 right passwords signed in`);
    assert.equal(signedIn, 20);
    assertProblem(await person.login(plain), 429, "rate_limited");
  });

  test("has a count of its own, which is as small", async () => {
    const person = new Person(broker, plain);
    const device = deviceOf(await person.signIn(plain));
    const asked = await reached(12, (_, options) =>
      guess(plain, person.name, newAddress(), { ...from(device), ...options }),
    );
    assert.equal(asked, LIMIT);
    // Which takes nothing from other browsers.
    person.cookie = undefined;
    await person.signIn(plain);
  });

  test("is known for that name at that connection alone", async () => {
    const [person, neighbour] = [new Person(broker, plain, other), new Person(broker, plain)];
    const device = deviceOf(await person.signIn(plain));
    await crowdOut(plain, neighbour.name);
    assertProblem(await neighbour.login(plain, from(device)), 429, "rate_limited");
    await crowdOut(other, person.name);
    assertProblem(await person.login(other, from(device)), 429, "rate_limited");
    const forged = device.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
    await crowdOut(plain, person.name);
    for (const bad of [forged, device.slice(0, -1), `${device}0`, "x", ""]) {
      assertProblem(await person.login(plain, from(bad)), 429, "rate_limited");
    }
    assertStatus(await person.login(plain, from(device)));
  });

  test("is known for each of a few people", async () => {
    const people = [0, 1, 2].map(() => new Person(broker, plain));
    let device = "";
    for (const person of people) device = deviceOf(assertStatus(await person.login(plain, from(device))));
    for (const person of people) {
      await crowdOut(plain, person.name);
      assertStatus(await person.login(plain, from(device)));
    }
  });

  test("is signed in by it nowhere, and known after a sign-out", async () => {
    const person = new Person(broker, plain);
    const answer = await person.signIn(plain);
    const device = deviceOf(answer);
    assertProblem(await person.call(plain, undefined, from(device)), 401, "caller_unauthenticated");
    assertStatus(await person.logout(), 204);
    assertProblem(await person.session(from(device, sessionIdOf(answer))), 401, "caller_unauthenticated");
    person.cookie = undefined;
    await crowdOut(plain, person.name);
    assertStatus(await person.login(plain, from(device)));
  });

  test("holds nothing that tells a name", async () => {
    const person = new Person(broker, plain);
    const first = deviceOf(await person.signIn(plain));
    assert.match(first, /^[A-Za-z0-9_~]{22}-[0-9a-f]{32}$/);
    person.cookie = undefined;
    assert.notEqual(deviceOf(await person.signIn(plain)), first, "two browsers are told apart");
  });
});
