// Tokens that expire, and are renewed, by the clock.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertProblem, assertStatus } from "../e2e/support/assertions.mjs";
import { startBroker } from "../e2e/support/broker.mjs";
import { startUpstream } from "../e2e/support/upstream.mjs";

/** @import { Broker } from "../e2e/support/broker.mjs" */
/** @import { Connection, Upstream } from "../e2e/support/upstream.mjs" */

const CONNECTIONS = {
  rotating: { grant: "password", expiresIn: 2 },
  constant: { grant: "password", rotation: false, expiresIn: 2 },
  "short-lived": { expiresIn: 2 },
  "ahead-of-time": { grant: "password", expiresIn: 6 },
  "outlives-endpoint": { expiresIn: 6 },
};

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Connection }} */
const c = {};

before(async () => {
  upstream = await startUpstream();
  for (const [id, settings] of Object.entries(CONNECTIONS)) c[id] = upstream.connection(id, settings);
  broker = await startBroker({ vars: { CONNECTIONS: upstream.vars }, secrets: upstream.secrets });
});

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/** @param {Connection} connection */
const get = (connection) => broker.call(connection.api());

/** @param {Connection} connection */
const ok = async (connection) => assertStatus(await get(connection));

/** What the API saw as the token, call by call. @param {Connection} connection */
const tokens = (connection) => connection.requests.map(({ token }) => token);

/** @param {Connection} connection */
const types = (connection) => connection.tokenRequests.map(({ parameters }) => parameters.grant_type);

describe("time", { concurrency: true }, () => {
  /**
   * Calls every 50 ms until `done`; every call has to succeed.
   *
   * @param {Connection} connection
   * @param {() => boolean} done
   */
  async function inUse(connection, done, limit = 12_000) {
    for (const end = Date.now() + limit; !done(); ) {
      await ok(connection);
      assert.ok(Date.now() < end, `${connection.id}: nothing happened within ${limit} ms`);
      await sleep(50);
    }
  }

  test("after time refreshes with the newest refresh token, each used once", async () => {
    const connection = c.rotating;
    await inUse(connection, () => connection.tokenRequests.length === 4);
    await connection.until(({ tokenRequests }) => tokenRequests[3].outcome === "ok");
    assert.deepEqual(types(connection), ["password", "refresh_token", "refresh_token", "refresh_token"]);
    const issued = connection.issued.filter((one) => one.includes("-rt-"));
    assert.deepEqual(
      connection.tokenRequests.slice(1).map(({ parameters }) => parameters.refresh_token),
      issued.slice(0, 3),
    );
  });

  test("after time refreshes with the same refresh token where no response has another", async () => {
    const connection = c.constant;
    await inUse(connection, () => connection.tokenRequests.length === 3);
    assert.deepEqual(types(connection), ["password", "refresh_token", "refresh_token"]);
    const [refreshToken] = connection.issued.filter((one) => one.includes("-rt-"));
    assert.deepEqual(
      connection.tokenRequests.slice(1).map(({ parameters }) => parameters.refresh_token),
      [refreshToken, refreshToken],
    );
  });

  test("ends a token, and another is obtained", async () => {
    const connection = c["short-lived"];
    await ok(connection);
    // The renewal is behind the calls: they go on with the first token until it is done.
    await inUse(connection, () => new Set(tokens(connection)).size === 2);
    assert.equal(connection.tokenRequests.length, 2);
  });

  test("that nears the expiry makes no caller wait for the renewal", async () => {
    const connection = c["ahead-of-time"];
    const { promise: hold, resolve: release } = Promise.withResolvers();
    connection.answerTokenRequest({}, { hold });
    try {
      await inUse(connection, () => connection.tokenRequests.length === 2);
      const [first] = connection.issued;
      const before = connection.requests.length;
      const began = Date.now();
      for (let i = 0; i < 3; i += 1) await ok(connection);
      assert.ok(Date.now() - began < 1_000, "the calls waited");
      assert.deepEqual(tokens(connection).slice(before), Array(3).fill(first));
    } finally {
      release(undefined);
    }
    await inUse(connection, () => new Set(tokens(connection)).size === 2);
    assert.deepEqual(types(connection), ["password", "refresh_token"]);
  });

  test("left to a token is used up while the token endpoint is down", async () => {
    const connection = c["outlives-endpoint"];
    connection.answerTokenRequest({}, { status: 503, headers: { "Retry-After": "60" }, body: "" });
    const began = Date.now();
    let answer = await ok(connection);
    for (; answer.status === 200; answer = await get(connection)) {
      assert.ok(Date.now() - began < 12_000, "the token outlived its life");
      await sleep(50);
    }
    assertProblem(answer, 503, "connection_unavailable", { cause: "token_endpoint_unreachable" });
    assert.ok(Date.now() - began > 5_700, `given up after ${Date.now() - began} ms of 6000`);
    assert.equal(connection.tokenRequests.length, 2);
    assert.equal(new Set(tokens(connection)).size, 1);
  });
});

test("nothing was asked for that nobody expected", () => upstream.verify());
