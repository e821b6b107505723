// Budgets, pauses and repeated calls, at an upstream that counts, in bare workerd.

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, afterEach, before, describe, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { assertProblem } from "./support/assertions.mjs";
import { COUNTING, crossings, WARM } from "./support/border.mjs";
import { EVERYTHING, ORIGIN, startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import { passed, until } from "./support/until.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer } from "./support/client.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const REPORTS_KEY = "e2e-reports-key-0123456789abcdefghijklmno";

/** @type {{ [id: string]: { [field: string]: unknown } }} */
const GUARDS = {
  few: { budget: { requests: 5, seconds: 3 } },
  queue: { budget: { requests: 4, seconds: 1, queue_ms: 2000 } },
  shared: { budget: { requests: 40, seconds: 60, share: "caller" } },
  observed: { budget: { requests: 2, seconds: 60, observe: true } },
  warm: { budget: { requests: 1_000_000, seconds: 86_400 } },
  killed: { budget: { requests: 6, seconds: 60 } },
  uploads: { budget: { requests: 2, seconds: 1 }, retry: { attempts: 2 } },
  replayed: { budget: { requests: 2, seconds: 60 }, retry: { attempts: 2 } },
  silent: { cool_down: true },
  telling: { cool_down: true },
  again: { retry: { attempts: 3 } },
  once: {},
};

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Connection }} */
const c = {};
const agent = keepAlive();

before(async () => {
  upstream = await startUpstream();
  for (const [id, guard] of Object.entries(GUARDS)) {
    const rules = [{ ...EVERYTHING, callers: ["backend", "reports"] }];
    c[id] = upstream.connection(id, { grant: "static", fields: { rules, timeout_ms: 3000, ...guard } });
  }
  broker = await startBroker({
    vars: {
      ALLOWED_ORIGINS: [ORIGIN],
      CALLERS: { backend: { kind: "key" }, reports: { kind: "key" } },
      CONNECTIONS: upstream.vars,
    },
    secrets: { REPORTS_KEY, ...upstream.secrets },
    around: COUNTING,
  });
});

afterEach(() => upstream.verify());

after(async () => {
  agent.destroy();
  await broker?.stop();
  await upstream?.close();
});

/**
 * @param {string} id
 * @param {import("./support/client.mjs").CallOptions & { path?: string }} [options]
 */
const call = (id, { path = "/echo", ...options } = {}) => broker.call(c[id].api(path), { agent, ...options });

/** @param {Answer[]} answers */
const statuses = (answers) => answers.map(({ status }) => status).sort();

/**
 * The most requests that came within any window of so many milliseconds.
 *
 * @param {Connection} connection
 * @param {number} window
 */
function mostIn({ requests }, window) {
  const times = requests.map(({ at }) => at).sort((one, other) => one - other);
  return Math.max(...times.map((first) => times.filter((at) => at >= first && at < first + window).length));
}

/** Answers a connection's `/scripted` with these, and with 200 then. @param {Connection} connection */
function script(connection, /** @type {[status: number, headers?: { [name: string]: string }][]} */ ...answers) {
  connection.on("/scripted", (_request, response) => {
    const [status, headers = {}] = answers.shift() ?? [200];
    response.writeHead(status, headers).end(String(status));
  });
}

describe("a budget", () => {
  test("is never exceeded, and tells what is left and when to come again", async () => {
    const first = await call("few", { origin: ORIGIN });
    assert.equal(first.status, 200);
    assert.equal(first.headers["ratelimit-policy"], '"budget";q=5;w=3');
    assert.match(first.headers.ratelimit, /^"budget";r=4;t=[34]$/);
    const exposed = first.headers["access-control-expose-headers"].split(", ");
    assert.ok(exposed.includes("ratelimit") && exposed.includes("ratelimit-policy"));
    const end = Date.now() + 7000;
    /** @type {Answer[]} */
    const refused = [];
    await until(async () => {
      const answers = await Promise.all(Array.from({ length: 4 }, () => call("few")));
      refused.push(...answers.filter(({ status }) => status === 429));
      return Date.now() >= end;
    }, "the end of two windows");
    assert.ok(refused.length > 20);
    for (const answer of refused) {
      assertProblem(answer, 429, "quota_exhausted");
      const wait = Number(answer.headers["retry-after"]);
      assert.ok(wait >= 1 && wait <= 4, `Retry-After: ${wait}`);
      assert.match(answer.headers.ratelimit, /^"budget";r=0;t=[1-4]$/);
    }
    assert.ok(mostIn(c.few, 3000) <= 5, `${mostIn(c.few, 3000)} in a window`);
    // Of three windows at least nine in ten would be thirteen; a window of three seconds is short.
    assert.ok(c.few.requests.length >= 11, `${c.few.requests.length} were used`);
  });

  test("has calls wait in turn where they may", async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => call("queue")));
    // Four at once, and four when those come free again.
    assert.deepEqual(
      statuses(answers),
      Array.from({ length: 8 }, () => 200),
    );
    assert.ok(mostIn(c.queue, 1000) <= 4);
    await passed(1600);
    for (let count = 0; count < 10; count++) assert.equal((await call("queue")).status, 200);
    assert.ok(mostIn(c.queue, 1000) <= 4, `${mostIn(c.queue, 1000)} in a window`);
  });

  test("leaves each caller a fair part", async () => {
    const modest = [await call("shared", { key: REPORTS_KEY })];
    const greedy = Array.from({ length: 60 }, () => call("shared"));
    for (let count = 0; count < 4; count++) modest.push(await call("shared", { key: REPORTS_KEY }));
    assert.deepEqual(statuses(modest), [200, 200, 200, 200, 200]);
    const served = (await Promise.all(greedy)).filter(({ status }) => status === 200).length;
    assert.ok(served >= 25, `${served} were served`);
    assert.ok(c.shared.requests.length <= 40);
  });

  test("that is observed refuses nothing, and lets the upstream's own fields pass", async () => {
    c.observed.on("/scripted", (_request, response) => response.writeHead(200, { RateLimit: '"own";r=1' }).end());
    const answers = [];
    for (let count = 0; count < 6; count++) answers.push(await call("observed", { path: "/scripted" }));
    assert.deepEqual(statuses(answers), [200, 200, 200, 200, 200, 200]);
    assert.equal(answers[5].headers.ratelimit, '"own";r=1');
    assert.equal(answers[5].headers["ratelimit-policy"], undefined);
  });

  test("counts what is sent again, and hides the upstream's own fields", async () => {
    script(c.replayed, [503, { RateLimit: "x", "X-RateLimit-Limit": "9" }], [502]);
    const answer = await call("replayed", { path: "/scripted" });
    assert.equal(answer.status, 502);
    assert.match(answer.headers.ratelimit, /^"budget";r=0/);
    assert.equal(answer.headers["x-ratelimit-limit"], undefined);
    assertProblem(await call("replayed"), 429, "quota_exhausted");
    assert.equal(c.replayed.requests.length, 2);
  });

  test("costs a call within a lease nothing", async () => {
    // So many calls that the isolate leases as many permits. A lease may end meanwhile: then another one tells.
    let counts;
    for (let tries = 0; tries < 6 && !isDeepStrictEqual(counts, WARM); tries++) {
      await Promise.all(Array.from({ length: 400 }, () => call("warm")));
      counts = await crossings(broker.url, c.warm.api("/echo"), { agent });
    }
    assert.deepEqual(counts, WARM);
  });

  test("remembers what was used when everything is killed", async () => {
    for (let count = 0; count < 4; count++) assert.equal((await call("killed")).status, 200);
    await broker.restart();
    /** @type {Answer[]} */
    const answers = [];
    for (let count = 0; count < 6; count++) answers.push(await call("killed"));
    assert.ok(answers.some(({ status }) => status === 429));
    assert.ok(c.killed.requests.length <= 6, `${c.killed.requests.length} left`);
  });
});

describe("an upstream that complains", () => {
  test("is spared for a second, then for two, where it says nothing", async () => {
    script(c.silent, [429], [429]);
    for (const pause of [1, 2]) {
      const answer = await call("silent", { path: "/scripted" });
      assert.deepEqual([answer.status, answer.body.toString()], [429, "429"]);
      const before = c.silent.requests.length;
      const held = await call("silent");
      assertProblem(held, 503, "connection_unavailable");
      assert.equal(held.json().cause, "upstream_limited");
      assert.ok(Number(held.headers["retry-after"]) <= pause);
      assert.equal(c.silent.requests.length, before);
      const spared = Date.now();
      await until(async () => (await call("silent")).status === 200, "the end of the pause");
      assert.ok(Date.now() - spared > pause * 1000 - 500, `after ${Date.now() - spared} ms`);
    }
  });

  test("is spared for as long as it says, at most a quarter of an hour", async () => {
    script(c.telling, [503, { "Retry-After": "31536000" }]);
    assert.equal((await call("telling", { path: "/scripted" })).status, 503);
    const held = await call("telling");
    assertProblem(held, 503, "connection_unavailable");
    const wait = Number(held.headers["retry-after"]);
    assert.ok(wait > 890 && wait <= 900, `Retry-After: ${wait}`);
    // The keeper knows, whatever becomes of the isolate.
    await passed(200);
    await broker.restart();
    assertProblem(await call("telling"), 503, "connection_unavailable");
  });
});

describe("a call is sent again", () => {
  test("after 502, 503 and 504, three times in all", async () => {
    script(c.again, [502], [504]);
    const answer = await call("again", { path: "/scripted" });
    assert.deepEqual([answer.status, answer.body.toString()], [200, "200"]);
    script(c.again, [503], [503], [502], [200]);
    assert.equal((await call("again", { path: "/scripted" })).status, 502);
    assert.equal(c.again.requests.length, 6);
  });

  test("with its body where the upstream knows it by its key", async () => {
    const body = "x".repeat(10_000);
    const options = { path: "/scripted", method: "POST", body };
    script(c.again, [502], [200]);
    assert.equal((await call("again", { ...options, headers: { "Idempotency-Key": "k" } })).status, 200);
    const [first, second] = c.again.requests.slice(-2);
    await second.done;
    assert.deepEqual([first.bytes, second.bytes, second.body.toString() === body], [10_000, 10_000, true]);
    script(c.again, [502], [200]);
    assert.equal((await call("again", options)).status, 502);
  });

  test("when its body is there, and has its permit then", async () => {
    async function* pieces() {
      for (let count = 0; count < 10; count++) {
        await passed(200);
        yield "x".repeat(100);
      }
    }
    const post = () => {
      script(c.uploads, [502], [200]);
      const headers = { "Idempotency-Key": "k" };
      return call("uploads", { path: "/scripted", method: "POST", body: Readable.from(pieces()), headers });
    };
    assert.equal((await post()).status, 200);
    assert.equal(await c.uploads.requests[1].done.then(() => c.uploads.requests[1].bytes), 1000);
    const posted = post();
    await passed(1800);
    assert.deepEqual(statuses([await call("uploads"), await call("uploads")]), [200, 200]);
    assert.equal((await posted).status, 502, "nothing is left");
    assert.ok(mostIn(c.uploads, 1000) <= 2, `${mostIn(c.uploads, 1000)} in a window`);
  });

  test("not where its body is too large to be kept, and the first answer passes", async () => {
    script(c.again, [502], [200]);
    const headers = { "Idempotency-Key": "k" };
    const before = c.again.requests.length;
    const answer = await call("again", { path: "/scripted", method: "POST", body: "x".repeat(2_000_000), headers });
    assert.deepEqual([answer.status, answer.body.toString()], [502, "502"]);
    assert.equal(c.again.requests.length, before + 1);
  });

  test("not where the upstream wants a longer wait than there is time, nor without `retry`", async () => {
    script(c.again, [503, { "Retry-After": "60" }], [200]);
    assert.equal((await call("again", { path: "/scripted" })).status, 503);
    script(c.once, [503], [200]);
    assert.equal((await call("once", { path: "/scripted" })).status, 503);
  });
});
