// Many calls at once, tokens that end under traffic and without, a token
// endpoint that is down, and a broker that is killed in the middle of it.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Agent } from "node:http";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { startV8 } from "../../sandbox/providers/v8.mjs";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { startGate } from "./support/gate.mjs";
import { send, startUpstream } from "./support/upstream.mjs";

const CROWD = 200;

// How long what has to come may take on a slow machine.
const PATIENCE = 60_000;

// Lives are short, so that tokens end soon, and long enough that a slow
// machine renews them in time.
const CONNECTIONS = {
  custom: {},
  ended: { grant: "password", expiresIn: 6 },
  // All of its ageing, 0.9 s at least, is there to renew it ahead.
  steady: { grant: "password", expiresIn: 6, fields: { expiry_skew: 0 } },
  "steady-by-default": { grant: "password", expiresIn: 5 },
  idle: { grant: "password", expiresIn: 4 },
  paused: { grant: "password", expiresIn: 4 },
  revoked: { grant: "password" },
  warm: {},
  static: { grant: "static" },
};

// What a token endpoint that is down does, and what the log calls it. From the
// first failure to the end of the wait after it take less than the 2.7 s that
// such a token has left.
const OUTAGES = {
  unavailable: { outcome: "token_endpoint_unreachable", begin: (gate) => (gate.mode = "unavailable") },
  refusing: { outcome: "token_endpoint_unreachable", begin: (gate) => gate.shut(), end: (gate) => gate.open() },
  hanging: { outcome: "token_endpoint_timeout", begin: (gate) => (gate.mode = "lose-request") },
};

let upstream, hubsoft, v8, rotating, broker;
const c = {};
const gates = {};

before(async () => {
  [upstream, hubsoft, v8, rotating] = await Promise.all([
    startUpstream(),
    startHubsoft({ port: 0 }),
    startV8({ port: 0 }),
    startHubsoft({ port: 0 }),
  ]);
  for (const [id, settings] of Object.entries(CONNECTIONS)) c[id] = upstream.connection(id, settings);
  for (const id of Object.keys(OUTAGES)) {
    gates[id] = await startGate(`${upstream.url}/as/${id}/token`);
    const fields = { token_url: gates[id].url, token_timeout_ms: 400 };
    c[id] = upstream.connection(id, { grant: "password", expiresIn: 18, fields });
  }
  gates.rotating = await startGate(rotating.tokenUrl);
  broker = await startBroker({
    vars: {
      CONNECTIONS: {
        ...upstream.vars,
        hubsoft: { provider: "hubsoft", base_url: hubsoft.baseUrl, rules: [EVERYTHING] },
        v8: { provider: "v8", base_url: v8.baseUrl, token_url: v8.tokenUrl, rules: [EVERYTHING] },
        rotating: {
          provider: "hubsoft",
          base_url: rotating.baseUrl,
          token_url: gates.rotating.url,
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
  await Promise.all(Object.values(gates).map((gate) => gate.shut()));
  await Promise.all([upstream, hubsoft, v8, rotating].map((one) => one?.close()));
});

const secretsOf = (prefix, { credentials }) =>
  Object.fromEntries(Object.entries(credentials).map(([field, value]) => [`${prefix}_${field.toUpperCase()}`, value]));

const API = {
  hubsoft: "/api/hubsoft/api/v1/integracao/cliente?limit=1",
  v8: "/api/v8/private-consignment/simulation/configs",
  custom: "/api/custom/echo",
  rotating: "/api/rotating/api/v1/integracao/cliente?limit=1",
};

const types = (connection) => connection.tokenRequests.map(({ parameters }) => parameters.grant_type);

/** How often each of `values` is there. */
function tally(values) {
  const counts = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}

/** Sends `count` calls at once, each over a connection of its own, and waits for all answers. */
async function atOnce(count, call) {
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
  try {
    return await Promise.all(Array.from({ length: count }, (_, i) => call({ agent, timeout: PATIENCE }, i)));
  } finally {
    agent.destroy();
  }
}

/** Sends a call every 60 ms, whether the last is answered or not, until `done`; gives the answers and the time each took. */
async function traffic(connection, done) {
  const agent = new Agent({ keepAlive: true, maxSockets: Infinity });
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

const statuses = (answers) => tally(answers.map(({ status }) => status));
const sources = (answers) => tally(answers.map(({ tokenSource }) => tokenSource));
const said = (counts) =>
  Object.entries(counts)
    .map(([name, count]) => `${count} ${name}`)
    .join(", ");

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Waits until `connection` is asked for its `count`th token. */
const asked = (connection, count) =>
  connection.until(({ tokenRequests }) => tokenRequests.length >= count, {
    limit: PATIENCE,
    what: `token request ${count}`,
  });

/** When the `count`th token of `connection` ends, as the broker counts, at the latest. */
const endOf = ({ tokenRequests, settings }, count) => tokenRequests[count - 1].at + settings.expiresIn * 1_000;

const sleepUntil = (at) => sleep(Math.max(at - Date.now(), 0));

describe(`${CROWD} calls at once`, () => {
  // It ends while the other crowds call.
  before(async () => assertStatus(await broker.call(c.ended.api())));

  for (const [id, provider] of Object.entries({ hubsoft: () => hubsoft, v8: () => v8, custom: () => c.custom })) {
    test(`on a cold connection (${id}) make one token request, and all succeed`, async (t) => {
      if (id === "custom") c.custom.answerTokenRequest({ delay: 500 });
      else provider().arm({ target: "token", kind: "delay", ms: 500 });
      const answers = await atOnce(CROWD, (options) => broker.call(API[id], options));
      assert.deepEqual(statuses(answers), { 200: CROWD });
      const { tokenRequests, maxConcurrentTokenRequests } = provider();
      assert.deepEqual([tokenRequests.length, maxConcurrentTokenRequests], [1, 1]);
      t.diagnostic(
        `${id}: ${tokenRequests.length} token request for ${CROWD} calls; their tokens: ${said(sources(answers))}`,
      );
    });
  }

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

describe("fifty calls at once that the upstream refuses for their token", () => {
  test("make one renewal, and each is sent once more with its body intact", async (t) => {
    const count = 50;
    const { revoked } = c;
    assertStatus(await broker.call(revoked.api()));
    const [old] = revoked.live;
    revoked.revoke();
    // Nobody is refused before everybody is there.
    let present = 0;
    let everybody;
    const all = new Promise((resolve) => (everybody = resolve));
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

  for (const [id, { outcome, begin, end = (gate) => (gate.mode = "pass") }] of Object.entries(OUTAGES)) {
    test(`spent with a token endpoint that is ${id} fails no call, and the renewal comes afterwards`, async (t) => {
      const [connection, gate] = [c[id], gates[id]];
      assertStatus(await broker.call(connection.api()));
      const since = broker.output.length;
      const failed = (log) => log.event === "grant" && log.connection === id && log.outcome === outcome;
      await begin(gate);
      const over = broker.logged(failed, { since, limit: PATIENCE, what: "the failure" }).then(() => end(gate));
      const renewed = () => connection.requests.at(-1).token !== connection.requests[0].token;
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

describe("a warm isolate", () => {
  test("takes the tokens of a thousand calls from memory", async (t) => {
    const { warm } = c;
    const count = 1_000;
    let left = count;
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
    const refused = ({ event }) => event === "static_token_refused";
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
  test("ten times sends a refresh token a second time at most, and then makes one new grant", async (t) => {
    const gate = gates.rotating;
    const call = (options) => broker.call(API.rotating, options);
    assertStatus(await call());
    const began = performance.now();
    for (let round = 1; round <= 10; round += 1) {
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
