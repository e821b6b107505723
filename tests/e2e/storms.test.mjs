// Many concurrent calls, and a broker that is killed meanwhile. Tests that take a token's lifetime are in
// tests/drills/.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Agent } from "node:http";
import { after, before, describe, test } from "node:test";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { startV8 } from "../../sandbox/providers/v8.mjs";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { startGate } from "./support/gate.mjs";
import { send, startUpstream } from "./support/upstream.mjs";

/** @import { Hubsoft, Provider } from "../../sandbox/types.js" */
/** @import { Broker, LogLine } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { Gate } from "./support/gate.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const CROWD = 200;

// How long what has to come may take on a slow machine.
const PATIENCE = 60_000;

const CONNECTIONS = {
  custom: {},
  revoked: { grant: "password" },
  warm: {},
  static: { grant: "static" },
};

/** @type {Upstream} */
let upstream;
/** @type {Hubsoft} */
let hubsoft;
/** @type {Provider} */
let v8;
/** @type {Hubsoft} */
let rotating;
/** @type {Gate} */
let gate;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Connection }} */
const c = {};

before(async () => {
  [upstream, hubsoft, v8, rotating] = await Promise.all([
    startUpstream(),
    startHubsoft({ port: 0 }),
    startV8({ port: 0 }),
    startHubsoft({ port: 0 }),
  ]);
  for (const [id, settings] of Object.entries(CONNECTIONS)) c[id] = upstream.connection(id, settings);
  assert.ok(rotating.tokenUrl);
  gate = await startGate(rotating.tokenUrl);
  broker = await startBroker({
    vars: {
      CONNECTIONS: {
        ...upstream.vars,
        hubsoft: { provider: "hubsoft", base_url: hubsoft.baseUrl, rules: [EVERYTHING] },
        v8: { provider: "v8", base_url: v8.baseUrl, token_url: v8.tokenUrl, rules: [EVERYTHING] },
        rotating: {
          provider: "hubsoft",
          base_url: rotating.baseUrl,
          token_url: gate.url,
          rules: [EVERYTHING],
        },
      },
    },
    secrets: {
      ...upstream.secrets,
      ...secretsOf("HUBSOFT", hubsoft),
      ...secretsOf("V8", v8),
      ...secretsOf("ROTATING", rotating),
    },
  });
});

after(async () => {
  await broker?.stop();
  await gate?.shut();
  await Promise.all([upstream, hubsoft, v8, rotating].map((one) => one?.close()));
});

/**
 * @param {string} prefix
 * @param {Provider} provider
 */
const secretsOf = (prefix, { credentials }) =>
  Object.fromEntries(Object.entries(credentials).map(([field, value]) => [`${prefix}_${field.toUpperCase()}`, value]));

/** @type {{ [id: string]: string }} */
const API = {
  hubsoft: "/api/hubsoft/api/v1/integracao/cliente?limit=1",
  v8: "/api/v8/private-consignment/simulation/configs",
  custom: "/api/custom/echo",
  rotating: "/api/rotating/api/v1/integracao/cliente?limit=1",
};

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

/** @param {Answer[]} answers */
const statuses = (answers) => tally(answers.map(({ status }) => status));
/** @param {Answer[]} answers */
const sources = (answers) => tally(answers.map(({ tokenSource }) => tokenSource));
/** @param {{ [value: string]: number }} counts */
const said = (counts) =>
  Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");

/** @param {Buffer} bytes */
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

describe(`${CROWD} calls at once`, () => {
  for (const [id, provider] of Object.entries({ hubsoft: () => hubsoft, v8: () => v8, custom: () => c.custom })) {
    test(`on a cold connection (${id}) make one token request, and all succeed`, async (t) => {
      const asked = provider();
      if ("arm" in asked) asked.arm({ target: "token", kind: "delay", ms: 500 });
      else asked.answerTokenRequest({ delay: 500 });
      const answers = await atOnce(CROWD, (options) => broker.call(API[id], options));
      assert.deepEqual(statuses(answers), { 200: CROWD });
      const { tokenRequests, maxConcurrentTokenRequests } = asked;
      assert.deepEqual([tokenRequests.length, maxConcurrentTokenRequests], [1, 1]);
      t.diagnostic(
        `${id}: ${tokenRequests.length} token request for ${CROWD} calls; their tokens: ${said(sources(answers))}`,
      );
    });
  }
});

describe("fifty calls at once that the upstream refuses for their token", () => {
  test("make one renewal, and each is sent once more with its body intact", async (t) => {
    const count = 50;
    const { revoked } = c;
    assertStatus(await broker.call(revoked.api()));
    const [old] = revoked.live;
    revoked.revoke();
    // Nobody is refused before everybody is there.
    let present = 0;
    /** @type {PromiseWithResolvers<void>} */
    const { promise: all, resolve: everybody } = Promise.withResolvers();
    revoked.on("401 /echo/posted", async (_request, response, record) => {
      await record.done;
      present += 1;
      if (present === count) everybody();
      await all;
      send(response, { status: 401, body: "refused" });
    });
    revoked.answerTokenRequest({ delay: 300 });
    const seen = revoked.requests.length;
    const bodies = Array.from({ length: count }, (_, i) => randomBytes(2_048 + i * 97));
    const answers = await atOnce(count, (options, i) =>
      broker.call(revoked.api(`/echo/posted?call=${i}`), { ...options, method: "POST", body: bodies[i] }),
    );
    assert.deepEqual(statuses(answers), { 200: count });
    assert.deepEqual(
      answers.map((answer) => answer.json().sha256),
      bodies.map(sha256),
    );
    assert.deepEqual(types(revoked), ["password", "refresh_token"]);
    assert.equal(revoked.maxConcurrentTokenRequests, 1);
    const [renewed] = revoked.live;
    const requests = revoked.requests.slice(seen);
    assert.equal(requests.length, 2 * count);
    for (const [i, body] of bodies.entries()) {
      const own = requests.filter(({ below }) => below === `/echo/posted?call=${i}`);
      assert.deepEqual(
        own.map(({ token }) => token),
        [old, renewed],
      );
      assert.deepEqual(
        own.map((request) => request.sha256),
        [sha256(body), sha256(body)],
      );
    }
    t.diagnostic(`${revoked.tokenRequests.length - 1} token request for ${count} refused calls, each replayed once`);
  });
});

describe("a warm isolate", () => {
  test("takes the tokens of a thousand calls from memory", async (t) => {
    const { warm } = c;
    const count = 1_000;
    let left = count;
    /** @param {CallOptions} options */
    const worker = async (options) => {
      const answers = [];
      while (left-- > 0) answers.push(await broker.call(warm.api(), options));
      return answers;
    };
    assertStatus(await broker.call(warm.api()));
    const answers = (await atOnce(32, worker)).flat();
    assert.deepEqual(statuses(answers), { 200: count });
    assert.equal(warm.tokenRequests.length, 1);
    const { memory = 0, kv = 0, keeper = 0, grant = 0 } = sources(answers);
    assert.ok(memory >= count - 5, said(sources(answers)));
    t.diagnostic(
      `${(100 * memory) / count} % of ${count} calls from memory: ${kv + keeper + grant} KV reads, ${keeper + grant} keeper asks, ` +
        `${warm.tokenRequests.length - 1} token requests`,
    );
  });
});

describe("a static token that the upstream refuses", () => {
  test("is a problem and a line in the log, and makes no token request", async () => {
    const since = broker.output.length;
    c.static.revoke();
    for (let i = 0; i < 3; i += 1) assertProblem(await broker.call(c.static.api()), 502, "upstream_unauthorized");
    const refused = (/** @type {LogLine} */ { event }) => event === "static_token_refused";
    const line = await broker.logged(refused, { since, what: "a line about the static token" });
    assert.deepEqual([line.connection, line.level], ["static", "error"]);
    assert.equal(c.static.requests.length, 3);
    // Other connections' keepers renew meanwhile, as they are to.
    assert.equal(c.static.tokenRequests.length, 0);
    const grants = broker
      .logsSince(since)
      .filter(({ event, connection }) => event === "grant" && connection === "static");
    assert.deepEqual(grants, []);
    upstream.verify();
  });
});

describe("a broker that is killed in the middle of a refresh", () => {
  test("twice sends a refresh token a second time at most, and then makes one new grant", async (t) => {
    /** @param {CallOptions} [options] */
    const call = (options) => broker.call(API.rotating, options);
    assertStatus(await call());
    const began = performance.now();
    for (let round = 1; round <= 2; round += 1) {
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
    assert.deepEqual(tally(Object.values(sent)), { 2: 2 });
    assert.equal(rotating.maxConcurrentTokenRequests, 1);
    t.diagnostic(
      `2 kills survived in ${Math.round((performance.now() - began) / 1_000)} s; token requests: ${said(tally(gate.requests.map(({ grant }) => grant)))}`,
    );
  });
});

test("nothing was asked for that nobody expected", () => upstream.verify());
