// Copies of the upstream's answers, in workerd.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, KEY, ORIGIN, sealingKey, startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import { startUpstream } from "./support/upstream.mjs";
import { passed, until } from "./support/until.mjs";

/** @import { ServerResponse } from "node:http" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { Connection, Handler, Upstream } from "./support/upstream.mjs" */

const OTHER_KEY = "e2e-other-key-0123456789abcdefghijklmnopq";
const KIB = 1024;

/** @type {Upstream} */
let upstream;
/** @type {Connection} */
let own;
/** @type {Connection} */
let shared;
/** @type {Connection} */
let brief;
/** @type {Broker} */
let broker;
const agent = keepAlive();

before(async () => {
  upstream = await startUpstream();
  const cached = (/** @type {object} */ cache) => ({
    grant: "static",
    fields: { rules: [{ ...EVERYTHING, callers: ["backend", "other"], cache }], timeout_ms: 20_000 },
  });
  own = upstream.connection("own", cached({ seconds: 300 }));
  shared = upstream.connection("shared", cached({ seconds: 300, shared: true }));
  brief = upstream.connection("brief", cached({ seconds: 1, stale_seconds: 300 }));
  broker = await startBroker({
    vars: {
      ALLOWED_ORIGINS: [ORIGIN],
      CALLERS: { backend: { kind: "key" }, other: { kind: "key" } },
      CONNECTIONS: upstream.vars,
    },
    secrets: { OTHER_KEY, SEALING_KEYS: sealingKey("k1"), ...upstream.secrets },
  });
});

afterEach(() => upstream.verify());

after(async () => {
  agent.destroy();
  await broker?.stop();
  await upstream?.close();
});

/** An address that no test has had. */
const fresh = (() => {
  let last = 0;
  return () => `/item-${++last}`;
})();

/** @type {(body: string | Buffer, headers?: object, status?: number) => Handler} */
const answering =
  (body, headers = {}, status = 200) =>
  (_, response) => {
    response.writeHead(status, { "content-type": "text/plain", ...headers }).end(body);
  };

/** @param {Connection} connection @param {string} path @param {object} [options] */
const get = (connection, path, options) => broker.call(connection.api(path), { agent, ...options });

/** @param {Connection} connection @param {string} path */
const calls = (connection, path) => connection.requests.filter((request) => request.path === path).length;

/** A handler that waits for `go()` before it goes on. @param {Handler} handler */
function held(handler) {
  /** @type {PromiseWithResolvers<void>} */
  const { promise, resolve } = Promise.withResolvers();
  /** @type {Handler} */
  const waits = (request, response, record) => promise.then(() => handler(request, response, record));
  return { waits, go: resolve };
}

/** Sends a GET, and resets the connection once the upstream has got it. @param {Connection} connection @param {string} path */
async function leave(connection, path) {
  const socket = connect(Number(new URL(broker.url).port), "127.0.0.1", () => {
    socket.write(
      `GET ${connection.api(path)} HTTP/1.1\r\nHost: ${new URL(broker.url).host}\r\nAuthorization: Bearer ${KEY}\r\n\r\n`,
    );
  });
  socket.on("error", () => {});
  await until(() => calls(connection, path) > 0, "the call");
  return socket;
}

describe("a copy", () => {
  test("is the same answer, byte for byte, whatever its body", async () => {
    const binary = Buffer.from(Array.from({ length: 100 * KIB }, (_, at) => at % 256));
    for (const body of [binary, Buffer.from(""), Buffer.alloc(256 * KIB, "x")]) {
      const path = fresh();
      own.on(path, answering(body, { etag: '"a"', "content-type": "application/x-test" }));
      const first = await get(own, path);
      await until(async () => (await get(own, path)).headers["cache-status"]?.includes("hit"), "a hit");
      const second = await get(own, path);
      assert.deepEqual(second.body, body);
      assert.deepEqual(first.body, body);
      for (const name of ["content-type", "etag", "cache-control", "x-content-type-options"])
        assert.equal(second.headers[name], first.headers[name], name);
      assert.match(second.headers["cache-status"] ?? "", /^porteiro; hit; ttl=\d+$/);
      assert.match(second.headers.age ?? "", /^\d+$/);
      assert.equal(second.headers["server-timing"], 'cache;desc="hit"');
    }
  });

  test("has a head of its own for each call and each page", async () => {
    const [path, other] = [fresh(), fresh()];
    for (const one of [path, other]) {
      own.on(one, answering(one, { etag: `"${one}"`, vary: "accept" }));
      await until(async () => (await get(own, one)).headers["cache-status"]?.includes("hit"), "a hit");
    }
    const calls = [
      [path, {}],
      [path, {}],
      [path, { origin: ORIGIN }],
      [other, {}],
      [path, { origin: ORIGIN }],
      [path, {}],
    ];
    const ids = new Set();
    for (const [one, options] of /** @type {[string, { origin?: string }][]} */ (calls)) {
      const { headers, text } = await get(own, one, options);
      assert.match(headers["cache-status"] ?? "", /hit/);
      assert.deepEqual([text, headers.etag, headers.vary], [one, `"${one}"`, "Origin, accept"]);
      assert.equal(headers["access-control-allow-origin"], options.origin);
      assert.match(headers["x-request-id"] ?? "", /^[0-9a-f]{32}$/);
      ids.add(headers["x-request-id"]);
    }
    assert.equal(ids.size, calls.length);
  });

  test("of a compressed answer is readable", async () => {
    const path = fresh();
    const text = "compressed ".repeat(1000);
    own.on(path, answering(gzipSync(text), { "content-encoding": "gzip" }));
    for (const expected of [/stored/, /hit/]) {
      const response = await fetch(broker.url + own.api(path), { headers: { authorization: `Bearer ${KEY}` } });
      assert.match(response.headers.get("cache-status") ?? "", expected);
      assert.equal(await response.text(), text);
      await passed(200);
    }
  });

  test("answers HEAD and If-None-Match, and lets a page read what it tells", async () => {
    const path = fresh();
    own.on(path, answering("body", { etag: 'W/"a"', "content-length": 4 }));
    await get(own, path);
    await passed(200);
    const head = await get(own, path, { method: "HEAD" });
    assert.deepEqual([head.status, head.headers["content-length"]], [200, "4"]);
    const known = await get(own, path, { headers: { "if-none-match": '"b", "a"', origin: ORIGIN } });
    assert.deepEqual([known.status, known.bytes, known.headers.etag], [304, 0, 'W/"a"']);
    const exposed = known.headers["access-control-expose-headers"] ?? "";
    assert.ok(exposed.includes("cache-status") && exposed.includes("age"), exposed);
    assert.equal(calls(own, path), 1);
  });

  test("is a caller's own, unless the rule shares it", async () => {
    for (const [connection, expected] of /** @type {[Connection, number][]} */ ([
      [own, 2],
      [shared, 1],
    ])) {
      const path = fresh();
      connection.on(path, answering("body"));
      await get(connection, path);
      await passed(200);
      await get(connection, path, { key: OTHER_KEY });
      assert.equal(calls(connection, path), expected);
    }
  });

  test("is old once somebody changed something there", async () => {
    const path = fresh();
    let body = "before";
    shared.on(path, (_, response) => response.end(body));
    await get(shared, `${path}?a=1`);
    await passed(200);
    body = "after";
    assertStatus(await get(shared, path, { method: "POST", key: OTHER_KEY, body: "x" }));
    assert.equal((await get(shared, `${path}?a=1`)).text, "after");
  });

  test("of an error has no token in it", async () => {
    const path = fresh();
    own.on(path, (request, response) => {
      response.writeHead(404, { "content-type": "text/plain" }).end(`sent: ${request.headers.authorization}`);
    });
    const first = await get(own, path);
    await passed(200);
    const second = await get(own, path);
    assert.match(second.headers["cache-status"] ?? "", /hit/);
    assert.equal(second.text, first.text);
    assert.ok(!second.text.includes("own-static-token") && second.text.startsWith("sent: Bearer ***"), second.text);
  });

  test("serves for a while where the upstream fails", async () => {
    const path = fresh();
    brief.on(path, answering("good"));
    await get(brief, path);
    await passed(1200);
    brief.on(path, answering("bad", {}, 503));
    const answer = await get(brief, path);
    assert.deepEqual([answer.status, answer.text], [200, "good"]);
    assert.match(answer.headers["cache-status"] ?? "", /^porteiro; fwd=stale; ttl=-\d+$/);
    brief.on(path, (_, response) => void response.destroy());
    assert.equal((await get(brief, path)).text, "good");
  });

  test("goes where there are too many, and the isolate holds its bound", async () => {
    const body = Buffer.alloc(200 * KIB, "y");
    const paths = Array.from({ length: 200 }, fresh);
    for (const path of paths) own.on(path, answering(body));
    for (const path of paths) await get(own, path);
    await passed(300);
    let held = 0;
    // What is asked for last is what came last.
    for (const path of paths.slice(-90).reverse()) {
      const answer = await get(own, path);
      if (!answer.headers["cache-status"]?.includes("hit")) break;
      held += 1;
    }
    assert.ok(held >= 45 && held <= (11 * 1024) / 200, `${held} are held`);
  });
});

describe("equal calls", () => {
  test("in flight are one", async () => {
    const path = fresh();
    const { waits, go } = held(answering("one"));
    own.on(path, waits);
    const made = Array.from({ length: 100 }, () => get(own, path));
    await until(() => calls(own, path) > 0, "the call");
    await passed(500);
    go();
    const answers = await Promise.all(made);
    assert.ok(answers.every(({ status, text }) => status === 200 && text === "one"));
    assert.equal(calls(own, path), 1);
    const told = answers.map(({ headers }) => headers["cache-status"]);
    assert.ok(told.filter((status) => status === "porteiro; fwd=uri-miss; collapsed").length > 30, String(told));
  });

  test("in flight are one also once the engine has optimised how they wait", async () => {
    // It does after some 16,000 waits.
    for (let round = 0; round < 300; round++) {
      const path = fresh();
      own.on(path, answering(path));
      const answers = await Promise.all(Array.from({ length: 100 }, () => get(own, path)));
      const told = new Set(answers.map(({ status, text }) => `${status} ${text}`));
      assert.deepEqual([round, ...told], [round, `200 ${path}`]);
    }
  });

  test("share a failure", async () => {
    const path = fresh();
    const { waits, go } = held((_, response) => void response.destroy());
    own.on(path, waits);
    const made = Array.from({ length: 20 }, () => get(own, path));
    await until(() => calls(own, path) > 0, "the call");
    await passed(300);
    go();
    for (const answer of await Promise.all(made)) assert.equal(answer.status, 502);
    // The runtime repeats a GET on a connection that proves dead.
    assert.ok(calls(own, path) <= 2, String(calls(own, path)));
  });

  test("call by themselves where an answer sets a cookie", async () => {
    const path = fresh();
    let count = 0;
    const { waits, go } = held((_, response) => void response.setHeader("set-cookie", "a=1").end(String(++count)));
    own.on(path, waits);
    const made = Array.from({ length: 10 }, () => get(own, path));
    await until(() => calls(own, path) > 0, "the call");
    await passed(300);
    go();
    const texts = new Set((await Promise.all(made)).map(({ text }) => text));
    assert.equal(texts.size, 10);
  });

  test("get their answer when the caller leaves whose call it was", async () => {
    for (const whileBody of [false, true]) {
      const path = fresh();
      const { waits, go } = held((_, response) => void response.end("end"));
      own.on(path, async (request, response, record) => {
        if (whileBody) response.writeHead(200).write("begin ");
        await waits(request, response, record);
      });
      const socket = await leave(own, path);
      const made = Array.from({ length: 5 }, () => get(own, path));
      await passed(500);
      socket.resetAndDestroy();
      await passed(500);
      go();
      for (const { status, text } of await Promise.all(made))
        assert.deepEqual([status, text], [200, whileBody ? "begin end" : "end"]);
      assert.equal(calls(own, path), 1, `while the body comes: ${whileBody}`);
    }
  });

  test("go on when one that waits leaves", async () => {
    const path = fresh();
    const { waits, go } = held(answering("one"));
    own.on(path, waits);
    const first = get(own, path);
    await until(() => calls(own, path) > 0, "the call");
    const socket = await leave(own, path);
    const last = get(own, path);
    await passed(300);
    socket.resetAndDestroy();
    await passed(300);
    go();
    assert.deepEqual([(await first).text, (await last).text, calls(own, path)], ["one", "one", 1]);
  });
});

describe("a stream", () => {
  /** The pieces of an answer, and when each came. @param {string} path @param {number} most */
  async function pieces(path, most) {
    const response = await fetch(broker.url + own.api(path), { headers: { authorization: `Bearer ${KEY}` } });
    const got = [];
    for await (const piece of /** @type {ReadableStream<Uint8Array>} */ (response.body)) {
      got.push({ at: Date.now(), text: Buffer.from(piece).toString() });
      if (got.length === most) break;
    }
    return got;
  }

  test("that never ends reaches its caller as it comes", async () => {
    const path = fresh();
    /** @type {Set<ServerResponse>} */
    const open = new Set();
    own.on(path, (_, response) => {
      open.add(response.writeHead(200, { "content-type": "text/event-stream" }));
      let number = 0;
      const timer = setInterval(() => response.write(`data: ${++number}\n\n`), 100);
      response.on("close", () => {
        clearInterval(timer);
        open.delete(response);
      });
    });
    const got = await pieces(path, 15);
    const spans = got.slice(1).map(({ at }, number) => at - got[number].at);
    assert.ok(Math.max(...spans) < 1000, `waits of ${spans} ms`);
    assert.ok(got[0].text.startsWith("data: 1"));
    // The copy is given up in the end.
    await until(() => open.size === 0, "the end of the stream", 20_000);
  });

  test("that is too large is its caller's alone, and whole", async () => {
    for (const length of [true, false]) {
      const path = fresh();
      const body = Buffer.alloc(3 * 1024 * KIB, "z");
      const { waits, go } = held((_, response) => {
        if (length) response.setHeader("content-length", body.length);
        response.write(body.subarray(0, 100 * KIB));
        response.end(body.subarray(100 * KIB));
      });
      own.on(path, waits);
      const made = Array.from({ length: 3 }, () => get(own, path));
      await until(() => calls(own, path) > 0, "the call");
      await passed(300);
      go();
      for (const answer of await Promise.all(made)) assert.ok(answer.body.equals(body));
      assert.equal(calls(own, path), 3);
    }
  });

  test("that breaks off is no copy", async () => {
    const path = fresh();
    own.on(path, (_, response) => {
      response.writeHead(200, { "content-length": 100 }).write("half");
      setTimeout(() => response.destroy(), 50);
    });
    await assert.rejects(get(own, path));
    own.on(path, answering("whole"));
    assert.equal((await get(own, path)).text, "whole");
  });
});
