// Request bodies that never end: the memory that an isolate holds for them is bounded, and they have a deadline. First
// the buffer, in the runtime with bounds chosen by the test, then the whole broker.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { request } from "node:http";
import { after, before, describe, test } from "node:test";
import { inRoot } from "../../scripts/lib.mjs";
import { startWorkerd } from "../../scripts/workerd.mjs";
import { assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, ORIGIN, startBroker } from "./support/broker.mjs";
import { call, keepAlive } from "./support/client.mjs";
import { ADMIN_KEY, accept } from "./support/events.mjs";
import { startReceiver } from "./support/receiver.mjs";
import { PATIENCE, until } from "./support/until.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { IncomingHttpHeaders } from "node:http" */
/** @import { Workerd } from "../../scripts/workerd.mjs" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { Inbox, Receiver } from "./support/receiver.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const KIB = 1024;
/** What an entry counts for besides its bytes. */
const OVERHEAD = 4 * KIB;

/**
 * Begins to send a body. Gives what sends more of it, and the answer's promise.
 *
 * @param {string} url
 * @param {{ headers?: { [name: string]: string }, length?: number, method?: string }} [options] without a length it comes in chunks
 */
function begin(url, { method = "POST", headers = {}, length } = {}) {
  const sent = request(url, {
    method,
    agent: false,
    headers: { ...headers, ...(length === undefined ? {} : { "Content-Length": String(length) }) },
  });
  /** @type {Promise<{ status?: number, headers: IncomingHttpHeaders, text: string }>} */
  const answer = new Promise((resolve, reject) => {
    sent.once("response", async (response) => {
      let text = "";
      response.setEncoding("utf8");
      for await (const chunk of response) text += chunk;
      resolve({ status: response.statusCode, headers: response.headers, text });
    });
    sent.once("error", reject);
  });
  let open = true;
  answer.finally(() => (open = false)).catch(() => {});
  return {
    answer,
    /** Whether nothing was answered yet. */
    isOpen: () => open,
    /** @param {string | Buffer} bytes */
    write: (bytes) => new Promise((resolve) => sent.write(bytes, resolve)),
    /** @param {string} [bytes] */
    end: (bytes) => sent.end(bytes),
    leave: () => sent.destroy(),
  };
}

describe("what keeps bodies", () => {
  const ENTRY = `
import { readBody, Recorder, Shelf, Underway } from "./bodies.js";
const shelf = new Shelf(${64 * KIB});
let most = 0;
const recorders = new Map();
export default { async fetch(request) {
  const { pathname, searchParams } = new URL(request.url);
  const number = (name) => Number(searchParams.get(name));
  most = Math.max(most, shelf.sum);
  switch (pathname) {
    case "/sum":
      return Response.json({ sum: shelf.sum, most });
    case "/read":
      try {
        const bytes = await readBody(request.body, number("max"), shelf, number("limit"));
        return Response.json(bytes && { bytes: bytes.byteLength, of: bytes.buffer.byteLength });
      } catch (reason) {
        return new Response(typeof reason === "string" ? reason : "broken", { status: 400 });
      }
    case "/record": {
      const recorder = new Recorder(request.body, number("max"), shelf, () => {});
      const passed = (await new Response(recorder.stream()).arrayBuffer()).byteLength;
      const again = await recorder.whole();
      shelf.forget(recorder);
      return Response.json({ passed, again: again?.byteLength ?? null });
    }
    case "/underway": {
      const [now, underway] = [Date.now(), new Underway(100)];
      const begun = [underway.begin(1, 60, now + 60_000), underway.begin(2, 60, now + 60_000)];
      underway.end(1);
      begun.push(underway.begin(3, 60, now - 1), underway.begin(4, 60, now + 60_000), underway.sum);
      underway.end(3);
      underway.end(4);
      return Response.json([...begun, underway.sum]);
    }
  }
} };`;

  /** @type {Workerd} */
  let runtime;
  /** @type {string} */
  let url;

  before(async () => {
    const bodies = readFileSync(inRoot("src", "platform", "bodies.js"));
    runtime = await startWorkerd({
      workers: [{ name: "bodies", modules: { "main.js": ENTRY, "bodies.js": bodies } }],
      errors: "kept",
    });
    url = runtime.urls.bodies;
  });

  after(() => runtime?.stop());

  const sum = async () => (await fetch(`${url}/sum`)).json();
  /**
   * Waits until the sum is `expected`, that is until what was sent has arrived.
   *
   * @param {number} expected
   */
  const comesTo = (expected) => until(async () => (await sum()).sum === expected, `a sum of ${expected}`);
  /** @param {{ limit?: number }} [options] */
  const read = (options = {}) => begin(`${url}/read?max=${64 * KIB}&limit=${options.limit ?? 600_000}`);

  test("gives a body as it came, counted while it is read and no longer", async () => {
    const body = read();
    await body.write("x".repeat(10_000));
    await until(async () => (await sum()).sum >= OVERHEAD + 10_000, "its bytes");
    body.end("y");
    const { text } = await body.answer;
    assert.equal(JSON.parse(text).bytes, 10_001);
    await comesTo(0);
  });

  test("holds the bytes of pieces, not the buffers that they came in", async () => {
    const body = read();
    for (let i = 1; i <= 200; i += 1) {
      await body.write("x");
      // Each piece on its own: the runtime joins what arrives together.
      if (i % 20 === 0) await sum();
    }
    const { sum: held } = await until(async () => {
      const now = await sum();
      return now.sum > OVERHEAD && now;
    }, "its bytes");
    assert.ok(held <= OVERHEAD + 4 * KIB, `${held} bytes for 200`);
    body.end();
    const { bytes, of } = JSON.parse((await body.answer).text);
    assert.deepEqual([bytes, of], [200, 200]);
  });

  test("lets go of the oldest at once when there is no more room, and of no other", async () => {
    // Each has a block of 4 KiB and one of 16, besides what an entry counts for.
    const piece = 7 * KIB;
    const held = OVERHEAD + 20 * KIB;
    const bodies = [];
    for (let number = 1; number <= 2; number += 1) {
      const body = read();
      await body.write("x".repeat(piece));
      await until(async () => (await sum()).sum >= number * held, `body ${number}`);
      bodies.push(body);
    }
    assert.ok(bodies.every(({ isOpen }) => isOpen()));
    const next = read();
    next.end("x".repeat(piece));
    assert.equal(JSON.parse((await next.answer).text).bytes, piece);
    const { status, text } = await bodies[0].answer;
    assert.deepEqual([status, text], [400, "crowded"]);
    await comesTo(held);
    assert.ok(bodies[1].isOpen(), "another was let go of");
    bodies[1].end("y");
    assert.equal(JSON.parse((await bodies[1].answer).text).bytes, piece + 1);
    for (const body of bodies) body.leave();
    await comesTo(0);
  });

  test("never holds more than it may, however many there are", async () => {
    const bodies = Array.from({ length: 100 }, () => read());
    await Promise.all(bodies.map((body) => body.write("x".repeat(10 * KIB))));
    await until(() => bodies.filter(({ isOpen }) => isOpen()).length <= 4, "the end of the others");
    const { sum: now, most } = await sum();
    assert.ok(now <= 64 * KIB && most <= 64 * KIB, `${now}, ${most}`);
    for (const body of bodies) body.leave();
    await comesTo(0);
  });

  test("waits no longer than it may, and holds nothing then", async () => {
    const bodies = [0, 1, 2].map(() => read({ limit: 300 }));
    for (const body of bodies) await body.write("x");
    for (const { answer } of bodies) assert.equal((await answer).text, "late");
    await comesTo(0);
  });

  test("holds nothing of a body that breaks off, or is too large", async () => {
    const body = read();
    await body.write("x".repeat(1_000));
    await until(async () => (await sum()).sum > OVERHEAD, "its bytes");
    body.leave();
    await comesTo(0);
    const large = begin(`${url}/read?max=1000&limit=600000`);
    await large.write("x".repeat(5_000));
    await comesTo(0);
    large.end();
    assert.equal((await large.answer).text, "null");
  });

  test("passes a body on whole that it could not keep for a second send", async () => {
    /** @param {number} max */
    const record = (max) => begin(`${url}/record?max=${max}`);
    const kept = record(64 * KIB);
    kept.end("x".repeat(10_000));
    assert.deepEqual(JSON.parse((await kept.answer).text), { passed: 10_000, again: 10_000 });
    const large = record(9_999);
    large.end("x".repeat(10_000));
    assert.deepEqual(JSON.parse((await large.answer).text), { passed: 10_000, again: null });
    const first = record(64 * KIB);
    await first.write("x".repeat(30 * KIB));
    await until(async () => (await sum()).sum > 30 * KIB, "its bytes");
    const second = record(64 * KIB);
    second.end("y".repeat(30 * KIB));
    assert.deepEqual(JSON.parse((await second.answer).text), { passed: 30 * KIB, again: 30 * KIB });
    first.end("x");
    assert.deepEqual(JSON.parse((await first.answer).text), { passed: 30 * KIB + 1, again: null });
    await comesTo(0);
  });

  test("forgets calls that told no end when their time is over", async () => {
    assert.deepEqual(await (await fetch(`${url}/underway`)).json(), [true, false, true, true, 60, 0]);
  });
});

describe("the broker", () => {
  /** @type {Upstream} */
  let upstream;
  /** @type {Receiver} */
  let receiver;
  /** @type {Broker} */
  let broker;
  /** @type {Inbox} */
  let inbox;
  /** @type {Connection} */
  let uploads;

  before(async () => {
    upstream = await startUpstream();
    receiver = await startReceiver();
    inbox = receiver.inbox("guru");
    uploads = upstream.connection("uploads", {
      // A busy machine takes a while to send 180 MB, and no call of a stranger may end meanwhile.
      fields: { rules: [{ ...EVERYTHING, callers: ["backend", "anyone"] }], timeout_ms: 10 * PATIENCE },
    });
    upstream.connection("people", { users: {} });
    broker = await startBroker({
      vars: {
        ALLOWED_ORIGINS: [ORIGIN],
        CALLERS: { backend: { kind: "key" } },
        CONNECTIONS: { ...receiver.vars, ...upstream.vars },
      },
      secrets: { ADMIN_KEY, ...receiver.secrets, ...upstream.secrets },
    });
  });

  after(async () => {
    await broker?.stop();
    await receiver?.close();
    await upstream?.close();
  });

  /** Of the process, in MiB. */
  const memory = () => {
    const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${broker.pid}/status`, "utf8")) ?? [];
    return Math.round(Number(kib) / KIB);
  };

  const event = async () => {
    await accept(broker, inbox);
  };

  test("takes events while 300 others do not end, lets the others go, and tells each", async (t) => {
    await event();
    const before = memory();
    const size = 256 * KIB;
    const bodies = Array.from({ length: 300 }, () =>
      begin(`${broker.url}/webhooks/guru`, { headers: { "Content-Type": "application/json" }, length: size }),
    );
    const bytes = Buffer.alloc(size - 1, "x");
    const answers = Promise.all(bodies.map(({ answer }) => answer.then((answer) => answer)));
    for (const body of bodies) body.write(bytes);
    let most = 0;
    const open = () => bodies.filter(({ isOpen }) => isOpen()).length;
    // 8 MiB hold 31 of them, with what each costs besides.
    await until(() => {
      most = Math.max(most, memory());
      return open() <= 31;
    }, "the end of those that have no room");
    assert.ok(open() > 0, "nothing was being read any more");
    for (let i = 0; i < 5; i += 1) await event();
    const statuses = (await answers).map(({ status, headers, text }) => {
      const { code } = JSON.parse(text);
      if (status === 429) assert.ok(Number(headers["retry-after"]) >= 1);
      return `${status} ${code}`;
    });
    /** @param {string} status */
    const count = (status) => statuses.filter((one) => one === status).length;
    const [late, crowded] = [count("408 request_timeout"), count("429 rate_limited")];
    assert.equal(late + crowded, 300, [...new Set(statuses)].join());
    assert.ok(late >= 1 && crowded >= 300 - 31, `${late} late, ${crowded} crowded out`);
    t.diagnostic(`300 unfinished events: ${before} MiB before, ${most} at most, ${memory()} in the end`);
    for (const body of bodies) body.leave();
  });

  test("waits no longer for a sign-in or a registration either", async () => {
    const json = { "Content-Type": "application/json" };
    const bodies = [
      begin(`${broker.url}/auth/people/login`, { headers: { ...json, Origin: ORIGIN }, length: 100 }),
      begin(`${broker.url}/admin/connections/acme`, {
        method: "PUT",
        headers: { ...json, Authorization: `Bearer ${ADMIN_KEY}` },
        length: 100,
      }),
    ];
    for (const body of bodies) await body.write("{");
    for (const { answer } of bodies) {
      const { status, text } = await answer;
      assert.deepEqual([status, JSON.parse(text).code], [408, "request_timeout"]);
    }
    for (const body of bodies) body.leave();
  });

  test("sends a call again that was refused, while 200 uploads of strangers do not end", async (t) => {
    const before = memory();
    const size = 900 * KIB;
    const bodies = Array.from({ length: 200 }, () =>
      begin(`${broker.url}${uploads.api("/echo")}`, { headers: { Origin: ORIGIN } }),
    );
    for (const body of bodies) body.write(Buffer.alloc(size, "x"));
    let most = 0;
    // All of it, or the call would wait for what came before it.
    await until(
      () => {
        most = Math.max(most, memory());
        return uploads.requests.reduce((sum, { bytes }) => sum + bytes, 0) === 200 * size;
      },
      "the uploads",
      5 * PATIENCE,
    );
    uploads.revoke();
    const agent = keepAlive();
    const body = Buffer.alloc(500 * KIB, "y");
    const answer = await call(broker.url, uploads.api("/echo"), { method: "POST", body, agent });
    agent.destroy();
    assertStatus(answer);
    most = Math.max(most, memory());
    t.diagnostic(`200 unfinished uploads: ${before} MiB before, ${most} at most`);
    for (const body of bodies) body.leave();
  });
});
