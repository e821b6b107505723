// How many calls a rule allows each caller.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertProblem, assertStatus, list } from "./support/assertions.mjs";
import { EVERYTHING, ORIGIN, startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import { makeKey, startIssuer } from "./support/issuer.mjs";
import { newAddress, Person } from "./support/person.mjs";
import { startUpstream } from "./support/upstream.mjs";

const REPORTS_KEY = "e2e-reports-key-0123456789abcdefghijklmno";
const AUDIENCE = "https://broker.example.com";

const SHORT = { requests: 3, seconds: 4 };
const LONG = { requests: 3, seconds: 60 };
/** The limit that a rate limiting binding is bound for, which allows fewer. */
const BOUND = { requests: 5, seconds: 10 };
const BOUND_TO = 2;

const limited = (rate_limit, rule = {}) => ({
  fields: { rules: [{ ...EVERYTHING, callers: ["backend", "reports"], rate_limit, ...rule }] },
});

const CONNECTIONS = {
  short: limited(SHORT),
  long: limited(LONG),
  twin: limited(LONG),
  heads: limited(LONG),
  crowd: limited({ requests: 10, seconds: 60 }),
  single: limited({ requests: 1, seconds: 60 }),
  refused: limited(LONG, { paths: ["/echo"] }),
  waiting: limited(LONG),
  bound: limited(BOUND),
  unbound: limited({ requests: 5, seconds: 60 }),
  mixed: {
    fields: {
      rules: [
        { ...EVERYTHING, methods: ["POST"], rate_limit: { requests: 2, seconds: 60 } },
        { ...EVERYTHING, methods: ["GET"] },
      ],
    },
  },
  staff: limited(LONG, { callers: ["staff"] }),
  public: limited(LONG, { callers: ["anyone"] }),
  people: { users: {}, ...limited(LONG, { callers: ["session"] }) },
};

const BROKEN = {
  "no-table": 5,
  "a-text": "5/60",
  "no-requests": { seconds: 60 },
  "no-seconds": { requests: 5 },
  "zero-requests": { requests: 0, seconds: 60 },
  "zero-seconds": { requests: 5, seconds: 0 },
  "negative-requests": { requests: -1, seconds: 60 },
  "half-a-request": { requests: 1.5, seconds: 60 },
  "requests-as-text": { requests: "5", seconds: 60 },
  "unknown-member": { requests: 5, seconds: 60, burst: 3 },
};

let upstream, issuer, broker;
const c = {};

before(async () => {
  [upstream, issuer] = await Promise.all([
    startUpstream(),
    startIssuer({ keys: [makeKey("RS256")], audience: AUDIENCE }),
  ]);
  for (const [id, settings] of Object.entries(CONNECTIONS)) {
    c[id] = upstream.connection(id, settings.users ? settings : { grant: "static", ...settings });
  }
  c.cold = upstream.connection("cold", limited({ requests: 1, seconds: 60 }));
  for (const [id, rate_limit] of Object.entries(BROKEN))
    upstream.connection(id, { grant: "static", ...limited(rate_limit) });
  broker = await startBroker({
    vars: {
      CALLERS: {
        backend: { kind: "key" },
        reports: { kind: "key" },
        staff: { kind: "jwt", issuer: issuer.issuer, audience: AUDIENCE, jwks_url: issuer.jwksUrl },
      },
      CONNECTIONS: upstream.vars,
    },
    secrets: { REPORTS_KEY, ...upstream.secrets },
    // It is wrangler that binds a rate limit.
    wrangler: {
      ratelimits: [
        {
          name: `RATE_${BOUND.requests}_${BOUND.seconds}`,
          namespace_id: "1001",
          simple: { limit: BOUND_TO, period: BOUND.seconds },
        },
      ],
    },
  });
});

afterEach(() => upstream.verify());

after(async () => {
  await broker?.stop();
  await upstream?.close();
  await issuer?.close();
});

function assertLimited(answer, { seconds }) {
  if (answer.bytes) assertProblem(answer, 429, "rate_limited");
  assert.equal(answer.status, 429);
  const wait = Number(answer.headers["retry-after"]);
  assert.ok(Number.isInteger(wait) && wait >= 1 && wait <= seconds, `Retry-After: ${answer.headers["retry-after"]}`);
  return wait;
}

/** Sends `count` calls that are let through, then one that is not and that the API does not hear of. */
async function useUp(connection, { requests, seconds }, ask = () => broker.call(connection.api())) {
  const before = connection.requests.length;
  for (let i = 0; i < requests; i += 1) assertStatus(await ask());
  const wait = assertLimited(await ask(), { seconds });
  assert.equal(connection.requests.length - before, requests);
  return wait;
}

describe("a rule's limit", () => {
  test("lets its number of calls through, refuses the next, and lets them through again after the wait it told", async () => {
    const wait = await useUp(c.short, SHORT);
    await sleep(wait * 1_000 + 50);
    await useUp(c.short, SHORT);
  });

  test("of one call is one call", async () => {
    await useUp(c.single, { requests: 1, seconds: 60 });
  });

  test("holds for calls at once", async () => {
    const agent = keepAlive();
    const answers = await Promise.all(Array.from({ length: 40 }, () => broker.call(c.crowd.api(), { agent })));
    agent.destroy();
    assert.equal(answers.filter(({ status }) => status === 200).length, 10);
    for (const answer of answers.filter(({ status }) => status !== 200)) assertLimited(answer, { seconds: 60 });
    assert.equal(c.crowd.requests.length, 10);
  });

  test("counts HEAD like GET", async () => {
    const methods = ["HEAD", "GET", "HEAD"];
    for (const method of methods) assertStatus(await broker.call(c.heads.api(), { method }));
    for (const method of ["HEAD", "GET"]) assertLimited(await broker.call(c.heads.api(), { method }), LONG);
    assert.deepEqual(
      c.heads.requests.map(({ method }) => method),
      methods,
    );
  });

  test("is a caller's own, and a connection's own", async () => {
    await useUp(c.long, LONG);
    await useUp(c.long, LONG, () => broker.call(c.long.api(), { key: REPORTS_KEY }));
    await useUp(c.twin, LONG);
  });

  test("leaves the calls of a rule without one alone", async () => {
    const post = () => broker.call(c.mixed.api(), { method: "POST", body: "x" });
    for (let i = 0; i < 5; i += 1) assertStatus(await broker.call(c.mixed.api()));
    await useUp(c.mixed, { requests: 2, seconds: 60 }, post);
    for (let i = 0; i < 5; i += 1) assertStatus(await broker.call(c.mixed.api()));
  });

  test("counts no call that is refused for another reason, and no preflight", async () => {
    for (let i = 0; i < 5; i += 1) {
      assertProblem(await broker.call(c.refused.api(), { key: null }), 401, "caller_unauthenticated");
      assertProblem(await broker.call(c.refused.api(), { origin: "https://evil.example" }), 403, "origin_not_allowed");
      assertProblem(await broker.call(c.refused.api("/elsewhere")), 403, "operation_not_allowed");
      assertProblem(await broker.call(c.refused.api("/a%2fb")), 400, "bad_path");
      const headers = { "Access-Control-Request-Method": "GET" };
      assertStatus(await broker.call(c.refused.api(), { method: "OPTIONS", key: null, origin: ORIGIN, headers }), 204);
    }
    await useUp(c.refused, LONG);
  });

  test("is met before any token is obtained", async () => {
    c.cold.answerTokenRequest({ status: 503, body: "" });
    assertProblem(await broker.call(c.cold.api()), 502, "token_endpoint_unreachable");
    for (let i = 0; i < 3; i += 1) assertLimited(await broker.call(c.cold.api()), { seconds: 60 });
    assert.deepEqual([c.cold.tokenRequests.length, c.cold.requests.length], [1, 0]);
  });

  test("is told to a page and to the log", async () => {
    await useUp(c.waiting, LONG);
    const answer = await broker.call(c.waiting.api(), { origin: ORIGIN });
    assertLimited(answer, LONG);
    assert.equal(answer.headers["access-control-allow-origin"], ORIGIN);
    assert.ok(list(answer.headers["access-control-expose-headers"]).includes("retry-after"));
    const id = answer.headers["x-request-id"];
    const line = await broker.logged((log) => log.request_id === id && log.status !== undefined, {
      what: "the refused call's line",
    });
    assert.deepEqual([line.status, line.connection, line.caller], [429, "waiting", "backend"]);
  });
});

describe("a caller is counted", () => {
  test("by the subject of a token, whichever token that is", async () => {
    const as = (subject) => () => broker.call(c.staff.api(), { key: issuer.token({ claims: { sub: subject } }) });
    await useUp(c.staff, LONG, as("maria"));
    await useUp(c.staff, LONG, as("joao"));
    assertLimited(await as("maria")(), LONG);
  });

  test("by the address where nobody is proven, whatever page it is", async () => {
    const from = (address) => () =>
      broker.call(c.public.api(), { key: null, origin: ORIGIN, headers: { "CF-Connecting-IP": address } });
    const [here, there] = [newAddress(), newAddress()];
    await useUp(c.public, LONG, from(here));
    await useUp(c.public, LONG, from(there));
    assertLimited(await from(here)(), LONG);
  });

  test("by the session of a person, wherever that person is", async () => {
    const people = [new Person(broker, c.people), new Person(broker, c.people)];
    for (const person of people) await person.signIn(c.people);
    for (const person of people) {
      await useUp(c.people, LONG, () =>
        person.call(c.people, undefined, { headers: { "CF-Connecting-IP": newAddress() } }),
      );
    }
  });
});

describe("a rate limiting binding", () => {
  test("that is bound for the limit is asked too", async () => {
    // It counts by the clock: a call after the turn of its window is a new one.
    const period = BOUND.seconds * 1_000;
    const left = period - (Date.now() % period);
    if (left < 4_000) await sleep(left + 50);
    const bound = { requests: BOUND_TO, seconds: BOUND.seconds };
    await useUp(c.bound, bound);
    await useUp(c.bound, bound, () => broker.call(c.bound.api(), { key: REPORTS_KEY }));
  });

  test("that is not bound for the limit is not missed", async () => {
    await useUp(c.unbound, { requests: 5, seconds: 60 });
  });
});

describe("a limit that is none", () => {
  for (const id of Object.keys(BROKEN)) {
    test(`(${id}) is misconfigured and named in the log`, async () => {
      assertProblem(await broker.call(`/api/${id}/echo`), 503, "misconfigured");
      await broker.logged(
        ({ field }) =>
          field !== undefined && String(field).includes(`${id}.rules`) && String(field).includes("rate_limit"),
        {
          what: `a problem of ${id}'s rate_limit`,
        },
      );
    });
  }

  test("takes nothing from the others", () => {
    const fields = broker.logs.filter(({ field }) => field !== undefined).map(({ field }) => String(field));
    assert.deepEqual(
      fields.filter((field) => !Object.keys(BROKEN).some((id) => field.includes(id))),
      [],
    );
  });
});
