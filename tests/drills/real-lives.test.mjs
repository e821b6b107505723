// Tokens of real authorization servers, which expire by the clock.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertProblem, assertStatus } from "../e2e/support/assertions.mjs";
import { keepAlive } from "../e2e/support/client.mjs";
import { assertCleared } from "../e2e/support/person.mjs";
import {
  ANA,
  assertLost,
  assertNoTokenSaid,
  assertRotated,
  eventually,
  get,
  inUse,
  isServed,
  lines,
  SERVERS,
  SHORT,
  untilCold,
  useRealServers,
  Visitor,
} from "../e2e/support/real-servers.mjs";

useRealServers();

// Most of the time is spent waiting for tokens to expire, so all wait at once.
describe("the broker, in front of", { concurrency: true }, () => {
  for (const server of Object.keys(SERVERS)) {
    /** @param {string} kind */
    const connection = (kind) => lines[`${server}-${kind}`];

    describe(`${server}, called with the credentials of the connection`, { concurrency: true }, () => {
      test("refreshes an expired token, each time with the newest refresh token", async () => {
        const line = connection("rotating");
        await isServed(line, ANA.username);
        await untilCold();
        await isServed(line, ANA.username);
        await inUse(line, 4, () => isServed(line, ANA.username));
        assertRotated(line, 4);
      });

      test("refreshes once for twenty calls at once, so that no refresh token comes twice", async () => {
        const line = connection("crowd");
        await isServed(line, ANA.username);
        await untilCold();
        const agent = keepAlive();
        const answers = await Promise.all(Array.from({ length: 20 }, () => get(line, { agent })));
        agent.destroy();
        assert.deepEqual(
          answers.map(({ status }) => status),
          Array(20).fill(200),
        );
        assertRotated(line, 2);
      });

      test("gets over a refresh whose answer was lost: one more try, then the password", async () => {
        const line = connection("lost");
        await isServed(line, ANA.username);
        line.loseNextGrant();
        await sleep(SHORT * 1000 + 100);
        await eventually(200, () => get(line));
        assertLost(line, "password");
      });
    });

    describe(`${server}, by a person who signed in`, { concurrency: true }, () => {
      test("stays signed in over tokens that expired unused", async () => {
        const line = connection("idle");
        const ana = new Visitor(ANA);
        await ana.signIn(line);
        await untilCold();
        await ana.isServed(line);
        assertRotated(line, 2);
      });

      test("notices nothing of the refreshes behind their calls", async () => {
        const line = connection("busy");
        const ana = new Visitor(ANA);
        await ana.signIn(line);
        await inUse(line, 3, () => ana.isServed(line));
        assertRotated(line, 3);
        assert.deepEqual(await ana.signedInTo(), [line.id]);
      });

      test("is signed out where the answer to a refresh was lost and the server takes no refresh token twice", async () => {
        const line = connection("cut");
        const ana = new Visitor(ANA);
        await ana.signIn(line);
        line.loseNextGrant();
        await sleep(SHORT * 1000 + 100);
        assertProblem(await eventually(401, () => ana.get(line)), 401, "caller_unauthenticated");
        assertLost(line);
        await ana.hasNoSession();
      });

      test("signs out and is unknown from then on", async () => {
        const line = connection("left");
        const ana = new Visitor(ANA);
        await ana.signIn(line);
        await ana.isServed(line);
        const { cookie } = ana;
        assertCleared(assertStatus(await ana.logout(), 204));
        // Nothing is renewed for a session that is gone, either; only what was on its way arrives.
        await sleep(200);
        const exchanges = line.exchanges.length;
        await sleep(SHORT * 1000);
        for (const kept of [cookie, undefined]) {
          ana.cookie = kept;
          await ana.isRefused(line);
          await ana.hasNoSession();
        }
        assert.equal(line.exchanges.length, exchanges);
      });
    });
  }
});

test("no answer of the broker had a token in it", assertNoTokenSaid);
