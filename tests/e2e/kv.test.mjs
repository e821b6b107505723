// The KV of the other tests' brokers: it is as strict as Cloudflare's, and its records outlive the process.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { startWorkerd } from "../../scripts/workerd.mjs";

/** @import { Workerd } from "../../scripts/workerd.mjs" */

// Does to its binding what a request's body says, and tells what came of it.
const WORKER = `
export class Keeper {}
export default {
  async fetch(request, { TOKENS }) {
    const { method, args } = await request.json();
    try {
      return Response.json({ value: await TOKENS[method](...args) });
    } catch ({ message }) {
      return Response.json({ message });
    }
  },
};`;

/** @type {string} */
let folder;
/** @type {Workerd} */
let workerd;

const start = async () => {
  workerd = await startWorkerd({
    workers: [{ name: "worker", modules: { "main.js": WORKER }, keeper: true }],
    kv: { disk: folder },
  });
};

/**
 * @param {string} method
 * @param {...unknown} args
 * @returns {Promise<{ value?: any, message?: string }>}
 */
const kv = async (method, ...args) => {
  const response = await fetch(workerd.urls.worker, { method: "POST", body: JSON.stringify({ method, args }) });
  return response.json();
};

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "porteiro-kv-"));
  await start();
});

after(async () => {
  await workerd?.stop();
  await rm(folder, { recursive: true, force: true });
});

test("keeps a record, its metadata and its end until it is replaced or deleted, across a crash, too", async () => {
  const name = "a/b?c=d&e%2f é.";
  await kv("put", name, "first", { expirationTtl: 60 });
  await kv("put", name, "second", { expirationTtl: 3600, metadata: { a: 1 } });
  await workerd.stop();
  await start();
  assert.equal((await kv("get", name)).value, "second");
  const { value, metadata } = (await kv("getWithMetadata", name)).value;
  assert.deepEqual([value, metadata], ["second", { a: 1 }]);
  assert.equal((await kv("get", "a/b")).value, null);
  await kv("delete", name);
  await kv("delete", name);
  assert.equal((await kv("get", name)).value, null);
});

test("refuses what Cloudflare's refuses", async () => {
  const now = Math.floor(Date.now() / 1000);
  assert.match((await kv("put", "k", "v", { expirationTtl: 59 })).message ?? "", /400/);
  assert.match((await kv("put", "k", "v", { expiration: now + 30 })).message ?? "", /400/);
  assert.match((await kv("put", "k".repeat(513), "v")).message ?? "", /414/);
  assert.match((await kv("put", "k", "v", { metadata: "m".repeat(1024) })).message ?? "", /413/);
  assert.match((await kv("get", "k", { cacheTtl: 29 })).message ?? "", /400/);
  assert.equal((await kv("get", "k")).value, null);
  assert.equal(
    (await kv("put", "k".repeat(512), "v", { expirationTtl: 60, metadata: "m".repeat(1022) })).message,
    undefined,
  );
});
