// The memory that the caches of rules take: bounded, whatever comes, and whoever reads.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { after, afterEach, before, describe, test } from "node:test";
import { EVERYTHING, KEY, ORIGIN, sealingKey, startBroker } from "../e2e/support/broker.mjs";
import { keepAlive } from "../e2e/support/client.mjs";
import { startUpstream } from "../e2e/support/upstream.mjs";
import { passed, until } from "../e2e/support/until.mjs";

/** @import { Broker } from "../e2e/support/broker.mjs" */
/** @import { Connection, Handler, Upstream } from "../e2e/support/upstream.mjs" */

const KIB = 1024;
const MIB = 1024 * KIB;

/** @type {Upstream} */
let upstream;
/** @type {Connection} */
let cached;
/** @type {Broker} */
let broker;
const agent = keepAlive();

before(async () => {
  upstream = await startUpstream();
  cached = upstream.connection("cached", {
    grant: "static",
    fields: { rules: [{ ...EVERYTHING, cache: { seconds: 300 } }], timeout_ms: 20_000 },
  });
  broker = await startBroker({
    vars: { ALLOWED_ORIGINS: [ORIGIN], CONNECTIONS: upstream.vars },
    secrets: { SEALING_KEYS: sealingKey("k1"), ...upstream.secrets },
  });
});

afterEach(() => upstream.verify());

after(async () => {
  agent.destroy();
  await broker?.stop();
  await upstream?.close();
});

/** Of the process, in MiB. */
const memory = () => {
  const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${broker.pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / KIB);
};

/** Watches the memory: gives the most, in MiB, since this was called. */
function watch() {
  let most = memory();
  const timer = setInterval(() => (most = Math.max(most, memory())), 20);
  return () => {
    clearInterval(timer);
    return Math.max(most, memory());
  };
}

/**
 * Answers with pieces of `bytes`, as many as the reader takes, `limit` bytes at most, and counts what was written.
 *
 * @param {number} bytes
 * @param {number} limit
 */
function pouring(bytes, limit) {
  const piece = Buffer.alloc(bytes, "x");
  const poured = { bytes: 0, open: 0 };
  /** @type {Handler} */
  const handler = (_, response) => {
    response.writeHead(200, { "content-type": "application/octet-stream" });
    poured.open += 1;
    let own = 0;
    const pour = () => {
      for (let went = true; went && own < limit; ) {
        went = response.write(piece);
        own += bytes;
        poured.bytes += bytes;
      }
      if (own >= limit) response.end();
    };
    response.on("drain", pour).on("close", () => {
      poured.open -= 1;
      own = limit;
    });
    return pour();
  };
  return { handler, poured };
}

/** Begins a GET, and reads nothing of its answer. @param {string} path */
function stall(path) {
  const { port, host } = new URL(broker.url);
  const socket = connect(Number(port), "127.0.0.1", () => {
    socket.write(`GET ${cached.api(path)} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${KEY}\r\n\r\n`);
  });
  socket.pause().on("error", () => {});
  return socket;
}

describe("memory is bounded", () => {
  test("where copies come all the time", async (t) => {
    const body = Buffer.alloc(200 * KIB, "y");
    cached.otherwise((_, response) => void response.writeHead(200, { "content-type": "text/plain" }).end(body));
    const get = async (/** @type {number} */ number) => {
      const { status, headers } = await broker.call(cached.api(`/copy-${number}`), { agent });
      assert.deepEqual([status, headers["cache-status"]], [200, "porteiro; fwd=uri-miss; stored"]);
    };
    for (let number = 0; number < 20; number += 1) await get(number);
    const [before, most] = [memory(), watch()];
    for (let number = 100; number < 1100; number += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, more) => get(number + more)));
    }
    const grown = most() - before;
    t.diagnostic(`1000 copies of 200 KiB: ${before} MiB before, ${grown} more at most`);
    assert.ok(grown < 170, `${grown} MiB more`);
  });

  test("where an answer does not end, and passes", async (t) => {
    const { handler, poured } = pouring(64 * KIB, 150 * MIB);
    cached.on("/endless", handler);
    const pass = async () => {
      const headers = { authorization: `Bearer ${KEY}` };
      const response = await fetch(broker.url + cached.api("/endless"), { headers });
      let read = 0;
      for await (const piece of /** @type {ReadableStream<Uint8Array>} */ (response.body)) read += piece.byteLength;
      return read;
    };
    // The engine takes some room for itself.
    await pass();
    const [before, most] = [memory(), watch()];
    const read = (await pass()) + (await pass());
    const grown = most() - before;
    t.diagnostic(`${read / MIB} MiB passed: ${before} MiB before, ${grown} more at most`);
    assert.equal(read, (poured.bytes * 2) / 3);
    assert.ok(grown < 100, `${grown} MiB more`);
  });

  test("where nobody reads, and the upstream is held up", async (t) => {
    const most = 20 * MIB;
    const { handler, poured } = pouring(64 * KIB, most);
    const paths = Array.from({ length: 6 }, (_, number) => `/unread-${number}`);
    for (const path of paths) cached.on(path, handler);
    const [before, peak] = [memory(), watch()];
    const sockets = paths.map(stall);
    await until(() => poured.open === paths.length, "the first pieces");
    let last = -1;
    // What the upstream wrote stands in buffers, most of it in the sockets' own.
    await until(async () => {
      const stood = poured.bytes === last;
      last = poured.bytes;
      await passed(1000);
      return stood;
    }, "the upstream's stand");
    const grown = peak() - before;
    t.diagnostic(`${poured.bytes / MIB} MiB for nobody: ${before} MiB before, ${grown} more at most`);
    assert.ok(poured.bytes < paths.length * most * 0.75, `${poured.bytes / MIB} MiB were taken`);
    assert.ok(grown < 100, `${grown} MiB more`);
    for (const socket of sockets) socket.destroy();
    await until(() => poured.open === 0, "the end of all that nobody reads");
  });
});
