// Tokens that expire with and without traffic, a token endpoint that is down, and a broker that is killed again and
// again meanwhile: tests that take a token's lifetime.

import assert from "node:assert/strict";
import { Agent } from "node:http";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { assertStatus } from "../e2e/support/assertions.mjs";
import { EVERYTHING, startBroker } from "../e2e/support/broker.mjs";
import { startGate } from "../e2e/support/gate.mjs";
import { startUpstream } from "../e2e/support/upstream.mjs";

/** @import { Broker, LogLine } from "../e2e/support/broker.mjs" */
/** @import { Answer, CallOptions } from "../e2e/support/client.mjs" */
/** @import { Gate } from "../e2e/support/gate.mjs" */
/** @import { ConnectionSettings, Connection, Upstream } from "../e2e/support/upstream.mjs" */

const CROWD = 200;

// How long what has to come may take on a slow machine.
const PATIENCE = 60_000;

/**
 * Lives are short, so that tokens end soon, and long enough that a slow
 * machine renews them in time.
 *
 * @type {{ [id: string]: ConnectionSettings }}
 */
const CONNECTIONS = {
  ended: { grant: "password", expiresIn: 6 },
  // All of its ageing, 0.9 s at least, is there to renew it ahead.
  steady: { grant: "password", expiresIn: 6, fields: { expiry_skew: 0 } },
  "steady-by-default": { grant: "password", expiresIn: 5 },
  idle: { grant: "password", expiresIn: 4 },
  paused: { grant: "password", expiresIn: 4 },
};

/**
 * What a token endpoint that is down does, and what the log calls it. From the
 * first failure to the end of the wait after it take less than the 2.7 s that
 * such a token has left.
 *
 * @type {{ [id: string]: { outcome: string, begin: (gate: Gate) => unknown, end?: (gate: Gate) => unknown } }}
 */
const OUTAGES = {
  unavailable: { outcome: "token_endpoint_unreachable", begin: (gate) => (gate.mode = "unavailable") },
  refusing: { outcome: "token_endpoint_unreachable", begin: (gate) => gate.shut(), end: (gate) => gate.open() },
  hanging: { outcome: "token_endpoint_timeout", begin: (gate) => (gate.mode = "lose-request") },
};

/** The third renewal that a refusal causes within a minute begins a backoff: each has two. */
const ROTATING = ["first", "second", "third", "fourth", "fifth"];

/** @type {Upstream} */
let upstream;
/** @type {Awaited<ReturnType<typeof startHubsoft>>} */
let rotating;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Connection }} */
const c = {};
/** @type {{ [id: string]: Gate }} */
const gates = {};

before(async () => {
  [upstream, rotating] = await Promise.all([startUpstream(), startHubsoft({ port: 0 })]);
  for (const [id, settings] of Object.entries(CONNECTIONS)) c[id] = upstream.connection(id, settings);
  for (const id of Object.keys(OUTAGES)) {
    gates[id] = await startGate(`${upstream.url}/as/${id}/token`);
    const fields = { token_url: gates[id].url, token_timeout_ms: 400 };
    c[id] = upstream.connection(id, { grant: "password", expiresIn: 18, fields });
  }
  gates.rotating = await startGate(String(rotating.tokenUrl));
  broker = await startBroker({
    vars: {
      CONNECTIONS: {
        ...upstream.vars,
        ...Object.fromEntries(
          ROTATING.map((id) => [
            id,
            {
              provider: "hubsoft",
              base_url: rotating.baseUrl,
              token_url: gates.rotating.url,
              rules: [EVERYTHING],
            },
          ]),
        ),
      },
    },
    secrets: {
      ...upstream.secrets,
      ...Object.assign({}, ...ROTATING.map((id) => secretsOf(id.toUpperCase(), rotating))),
    },
  });
});

after(async () => {
  await broker?.stop();
  await Promise.all(Object.values(gates).map((gate) => gate.shut()));
  await Promise.all([upstream, rotating].map((one) => one?.close()));
});

/**
 * @param {string} prefix
 * @param {Pick<typeof rotating, "credentials">} provider
 */
const secretsOf = (prefix, { credentials }) =>
  Object.fromEntries(Object.entries(credentials).map(([field, value]) => [`${prefix}_${field.toUpperCase()}`, value]));

/** @param {Connection} connection */
const types = (connection) => connection.tokenRequests.map(({ parameters }) => parameters.grant_type);

/**
 * How often each of `values` is there.
 *
 * @param {(string | number | undefined)[]} values
 */
function tally(values) {
  /** @type {{ [value: string]: number }} */
  const counts = {};
  for (const value of values.map(String)) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

/**
 * Sends `count` calls at once, each over a connection of its own, and waits for all answers.
 *
 * @template T
 * @param {number} count
 * @param {(options: CallOptions, i: number) => Promise<T>} call
 */
async function atOnce(count, call) {
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  try {
    return await Promise.all(Array.from({ length: count }, (_, i) => call({ agent, timeout: PATIENCE }, i)));
  } finally {
    agent.destroy();
  }
}

/**
 * Sends a call every 60 ms, whether the last is answered or not, until `done`; gives the answers and the time each took.
 *
 * @param {Connection} connection
 * @param {() => boolean} done
 */
async function traffic(connection, done) {
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  /** @type {Promise<{ answer: Answer, took: number }>[]} */
  const calls = [];
  try {
    for (const end = Date.now() + PATIENCE; !done(); ) {
      assert.ok(Date.now() < end, `${connection.id}: nothing happened within ${PATIENCE} ms`);
      const began = performance.now();
      const call = broker.call(connection.api(), { agent, timeout: PATIENCE });
      calls.push(call.then((answer) => ({ answer, took: performance.now() - began })));
      await sleep(60);
    }
    return await Promise.all(calls);
  } finally {
    agent.destroy();
  }
}

/** @param {Answer[]} answers */
const statuses = (answers) => tally(answers.map(({ status }) => status));
/** @param {Answer[]} answers */
const sources = (answers) => tally(answers.map(({ tokenSource }) => tokenSource));
/** @param {{ [name: string]: number }} counts */
const said = (counts) =>
  Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");

/**
 * Waits until `connection` is asked for its `count`th token.
 *
 * @param {Connection} connection
 * @param {number} count
 */
const asked = (connection, count) =>
  connection.until(({ tokenRequests }) => tokenRequests.length >= count, {
    limit: PATIENCE,
    what: `token request ${count}`,
  });

/**
 * When the `count`th token of `connection` ends, as the broker counts, at the latest.
 *
 * @param {Connection} connection
 * @param {number} count
 */
const endOf = ({ tokenRequests, settings }, count) => tokenRequests[count - 1].at + settings.expiresIn * 1_000;

/** @param {number} at */
const sleepUntil = (at) => sleep(Math.max(at - Date.now(), 0));

describe(`${CROWD} calls at once`, () => {
  // It ends while the other crowds call.
  before(async () => assertStatus(await broker.call(c.ended.api())));

  test("just after a token ended unused make one token request, and all succeed", async (t) => {
    const { ended } = c;
    // It is renewed once while nobody calls.
    await asked(ended, 2);
    await sleepUntil(endOf(ended, 2) + 20);
    assert.equal(ended.tokenRequests.length, 2);
    ended.answerTokenRequest({ delay: 500 });
    const answers = await atOnce(CROWD, (options) => broker.call(ended.api(), options));
    assert.deepEqual(statuses(answers), { 200: CROWD });
    // On a slow machine the new token ages in its turn before all are answered.
    const soon = ended.tokenRequests.slice(2).filter(({ at }) => at < endOf(ended, 3) - ended.settings.expiresIn * 250);
    assert.deepEqual(
      soon.map(({ parameters }) => parameters.grant_type),
      ["refresh_token"],
    );
    assert.equal(ended.maxConcurrentTokenRequests, 1);
    t.diagnostic(`${soon.length} token request for ${CROWD} calls; their tokens: ${said(sources(answers))}`);
  });
});

describe("time", { concurrency: true }, () => {
  for (const id of ["steady", "steady-by-default"]) {
    test(`that ends three tokens in a row under steady traffic (${id}) makes ${id === "steady" ? "nobody wait" : "no call fail"}`, async (t) => {
      const connection = c[id];
      // A caller that waits for a renewal waits long enough to be seen.
      const delay = id === "steady" ? 300 : 0;
      connection.answerTokenRequest({ delay }, { delay }, { delay }, { delay });
      const first = assertStatus(await broker.call(connection.api()));
      assert.equal(first.tokenSource, "grant");
      const used = () => new Set(connection.requests.map(({ token }) => token)).size;
      const calls = await traffic(connection, () => used() === 4);
      const answers = calls.map(({ answer }) => answer);
      assert.deepEqual(statuses(answers), { 200: answers.length });
      assert.deepEqual(types(connection), ["password", "refresh_token", "refresh_token", "refresh_token"]);
      assert.equal(connection.maxConcurrentTokenRequests, 1);
      const starts = connection.tokenRequests.map(({ at }) => at);
      const gaps = starts.slice(1).map((at, i) => at - starts[i]);
      // At most a quarter of its life before the end.
      for (const gap of gaps) assert.ok(gap >= connection.settings.expiresIn * 700, `renewed after ${gap} ms`);
      const waits = answers.map((answer) => Number(answer.serverTiming.token.dur));
      if (id === "steady") assert.equal(sources(answers).grant, undefined, "a caller waited for a grant");
      const renewals = gaps.map((gap) => `${gap} ms`).join(", ");
      t.diagnostic(
        `${id}: ${connection.tokenRequests.length} token requests, renewed after ${renewals}; ${answers.length} calls, ` +
          `their tokens: ${said(sources(answers))}; longest wait for a token ${Math.max(...waits)} ms, ` +
          `longest call ${Math.round(Math.max(...calls.map(({ took }) => took)))} ms`,
      );
    });
  }

  test("renews the token of a connection once when nobody calls any more, then leaves it to grow cold", async (t) => {
    const { idle } = c;
    assertStatus(await broker.call(idle.api()));
    await asked(idle, 2);
    const [first, second] = idle.tokenRequests.map(({ at }) => at);
    assert.ok(second < endOf(idle, 1), `renewed after ${second - first} ms`);
    await sleepUntil(endOf(idle, 2) + 1_000);
    assert.deepEqual(types(idle), ["password", "refresh_token"]);
    assert.equal(idle.requests.length, 1);
    assert.equal(assertStatus(await broker.call(idle.api())).tokenSource, "grant");
    assert.deepEqual(types(idle), ["password", "refresh_token", "refresh_token"]);
    t.diagnostic(`renewed after ${second - first} ms of ${idle.settings.expiresIn * 1_000}, then cold`);
  });

  test("spent without a call does not make the next caller wait for a grant", async (t) => {
    const { paused } = c;
    assertStatus(await broker.call(paused.api()));
    await asked(paused, 2);
    await sleepUntil(endOf(paused, 1) + 100);
    const answer = assertStatus(await broker.call(paused.api()));
    assert.equal(answer.tokenSource, "keeper");
    assert.equal(paused.tokenRequests.length, 2);
    // That call was use: the token is renewed once more.
    await asked(paused, 3);
    t.diagnostic(`waited ${answer.serverTiming.token.dur} ms for a token`);
  });

  /** @param {Gate} gate */
  const pass = (gate) => (gate.mode = "pass");
  for (const [id, { outcome, begin, end = pass }] of Object.entries(OUTAGES)) {
    test(`spent with a token endpoint that is ${id} fails no call, and the renewal comes afterwards`, async (t) => {
      const [connection, gate] = [c[id], gates[id]];
      assertStatus(await broker.call(connection.api()));
      const since = broker.output.length;
      /** @param {LogLine} log */
      const failed = (log) => log.event === "grant" && log.connection === id && log.outcome === outcome;
      await begin(gate);
      const over = broker.logged(failed, { since, limit: PATIENCE, what: "the failure" }).then(() => end(gate));
      const renewed = () => connection.lastRequest.token !== connection.requests[0].token;
      const [calls] = await Promise.all([traffic(connection, renewed), over]);
      const answers = calls.map(({ answer }) => answer);
      assert.deepEqual(statuses(answers), { 200: answers.length });
      assert.deepEqual(types(connection), ["password", "refresh_token"]);
      const failures = broker.logsSince(since).filter(failed).length;
      const [first, second] = connection.tokenRequests.map(({ at }) => at);
      t.diagnostic(
        `${id}: ${answers.length} calls, none failed; ${failures} failed token request(s); renewed after ${second - first} ms ` +
          `of ${connection.settings.expiresIn * 1_000}; longest call ${Math.round(Math.max(...calls.map(({ took }) => took)))} ms`,
      );
    });
  }
});

describe("a broker that is killed in the middle of a refresh", () => {
  test("ten times sends a refresh token a second time at most, and then makes one new grant", async (t) => {
    const gate = gates.rotating;
    const began = performance.now();
    for (let round = 1; round <= 10; round += 1) {
      const id = ROTATING[Math.floor((round - 1) / 2)];
      /** @param {CallOptions} [options] */
      const call = (options) => broker.call(`/api/${id}/api/v1/integracao/cliente?limit=1`, options);
      assertStatus(await call());
      /** @type {"lose-request" | "lose-answer"} */
      const mode = round % 2 ? "lose-request" : "lose-answer";
      const seen = gate.requests.length;
      rotating.revokeAccessTokens();
      gate.mode = mode;
      const lost = atOnce(5, (options) =>
        call(options).then(
          () => "answered",
          () => "lost",
        ),
      );
      await gate.settled(seen);
      await broker.kill();
      assert.deepEqual(tally(await lost), { lost: 5 });
      gate.mode = "pass";
      await broker.restart();
      const answers = await atOnce(10, call);
      assert.deepEqual(statuses(answers), { 200: 10 }, `round ${round} (${mode})`);
      assertStatus(await call());
      const requests = gate.requests.slice(seen).map(({ grant, status }) => [grant, status]);
      const expected = {
        "lose-request": [
          ["refresh_token", undefined],
          ["refresh_token", 200],
        ],
        // The provider takes a refresh token that comes again for a stolen one.
        "lose-answer": [
          ["refresh_token", 200],
          ["refresh_token", 400],
          ["password", 200],
        ],
      };
      assert.deepEqual(requests, expected[mode], `round ${round} (${mode})`);
    }
    const sent = tally(gate.requests.map(({ refreshToken }) => refreshToken).filter(Boolean));
    assert.deepEqual(tally(Object.values(sent)), { 2: 10 });
    assert.equal(rotating.maxConcurrentTokenRequests, 1);
    t.diagnostic(
      `10 kills survived in ${Math.round((performance.now() - began) / 1_000)} s; token requests: ${said(tally(gate.requests.map(({ grant }) => grant)))}`,
    );
  });
});

test("nothing was asked for that nobody expected", () => upstream.verify());
