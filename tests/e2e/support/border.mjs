// Counts how often each function of the border between JavaScript and WebAssembly is called.

import assert from "node:assert/strict";
import { call } from "./client.mjs";

/** @import { Modules } from "../../../scripts/workerd.mjs" */
/** @import { CallOptions } from "./client.mjs" */

// Counts every call of a function that the module exports or imports.
const COUNT = `
export const counts = {};
const counted = (direction, functions) => Object.fromEntries(Object.entries(functions).map(([name, value]) => {
  if (typeof value !== "function") return [name, value];
  const key = direction + name.replace(/^__wbg_|_[0-9a-f]{16}$/g, "");
  return [name, (...given) => {
    counts[key] = (counts[key] ?? 0) + 1;
    return value(...given);
  }];
}));
const { Instance } = WebAssembly;
WebAssembly.Instance = function (module, imports) {
  const wrapped = Object.fromEntries(Object.entries(imports).map(([from, functions]) => [from, counted("out ", functions)]));
  return { exports: counted("in ", new Instance(module, wrapped).exports) };
};`;

const ENTRY = `
import { counts } from "./count.js";
import broker from "./index.js";
export { Keeper } from "./index.js";
export default {
  fetch: (request, env, context) =>
    new URL(request.url).pathname === "/counts" ? Response.json(counts) : broker.fetch(request, env, context),
};`;

/**
 * The modules around those of the broker that count.
 *
 * @type {Modules}
 */
export const COUNTING = { "main.js": ENTRY, "count.js": COUNT };

// So many calls draw random bytes once.
const CALLS = 64;

/**
 * What a warm call crosses, so many times: once with the request's head and once with the response's, each a text that is
 * allocated on one side and freed on the other. Nothing is called out, but for random bytes.
 */
export const WARM = {
  "in begin": CALLS,
  "in resume": CALLS,
  "in __wbindgen_malloc": 2 * CALLS,
  "in __wbindgen_free": 2 * CALLS,
  "out getRandomValues": 1,
};

/** @type {(url: string) => Promise<{ [name: string]: number }>} */
const counts = (url) => fetch(`${url}/counts`).then((response) => response.json());

/**
 * How often each function of the border is called in 64 calls to the broker at `url`, all else being warm.
 *
 * @param {string} url
 * @param {string} path
 * @param {CallOptions} options
 */
export async function crossings(url, path, options) {
  const once = async () => assert.equal((await call(url, path, options)).status, 200);
  for (let count = 0; count < CALLS; count++) await once();
  const before = await counts(url);
  for (let count = 0; count < CALLS; count++) await once();
  const after = await counts(url);
  return Object.fromEntries(
    Object.entries(after)
      .map(([name, count]) => /** @type {const} */ ([name, count - (before[name] ?? 0)]))
      .filter(([, count]) => count > 0),
  );
}
