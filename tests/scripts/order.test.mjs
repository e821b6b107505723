// The order of the module's functions: similar ones near each other, and the module stays the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import { orderOf, withOrder } from "../../scripts/order.mjs";

/** @type {(length: number, seed: number) => Uint8Array} */
function noise(length, seed) {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

test("similar functions follow each other, whatever stands between them", () => {
  const [one, other] = [noise(400, 1), noise(400, 2)];
  const bodies = [one, other, noise(400, 3), one.slice(50), noise(400, 4), other.slice(0, 300)];
  const order = orderOf(bodies);
  assert.deepEqual(order.toSorted(), [0, 1, 2, 3, 4, 5]);
  assert.equal(Math.abs(order.indexOf(0) - order.indexOf(3)), 1);
  assert.equal(Math.abs(order.indexOf(1) - order.indexOf(5)), 1);
  assert.deepEqual(orderOf(bodies), order);
});

test("what left gzip's window draws nothing", () => {
  const bodies = [noise(400, 1), noise(40_000, 2), noise(400, 1)];
  assert.deepEqual(orderOf(bodies), [0, 2, 1]);
  const [far, near] = [noise(2000, 5), noise(2000, 6)];
  const large = new Uint8Array([...far, ...noise(40_000, 7), ...near]);
  // Before the large one stands what it begins with, and behind it what it ends with.
  assert.deepEqual(orderOf([large, near, far]), [2, 0, 1]);
});

/** A module of one imported function, and of functions that return `values`. @type {(...values: number[]) => Uint8Array<ArrayBuffer>} */
function moduleOf(...values) {
  const functions = values.map((value) => [5, 0, 0x41, value, 0x0f, 0x0b]);
  /** @type {(id: number, content: number[]) => number[]} */
  const section = (id, content) => [id, content.length, ...content];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 0, 1, 0x7f]),
    ...section(2, [2, 1, 0x61, 1, 0x62, 0, 0, 1, 0x61, 1, 0x6d, 2, 0, 1]),
    ...section(3, [values.length, ...values.map(() => 0)]),
    ...section(7, [values.length, ...values.flatMap((_, i) => [1, 0x61 + i, 0, i + 1])]),
    ...section(10, [values.length, ...functions.flat()]),
    ...section(0, [4, 0x6e, 0x61, 0x6d, 0x65, 1, 4, 1, 1, 1, 0x78]),
  ]);
}

test("the module is the same but for the names of its functions, which say their places", () => {
  const wasm = moduleOf(3, 1, 2);
  const ordered = withOrder(wasm);
  const module = new WebAssembly.Module(ordered);
  assert.deepEqual(WebAssembly.Module.exports(module), WebAssembly.Module.exports(new WebAssembly.Module(wasm)));
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(module, { a: { b: () => 0, m: memory } });
  /** @param {unknown} made */
  const answer = (made) => (typeof made === "function" ? made() : made);
  assert.deepEqual([exports.a, exports.b, exports.c].map(answer), [3, 1, 2]);
  const [names, ...others] = WebAssembly.Module.customSections(module, "name");
  assert.equal(others.length, 0);
  const text = Buffer.from(names).toString("latin1");
  assert.deepEqual(text.match(/f\d{6}/g)?.toSorted(), ["f000000", "f000001", "f000002"]);
  // The imported function has none.
  assert.equal(names.byteLength, 2 + 1 + 3 * (1 + 1 + 7));
});

test("a module that ends too early is not taken", () => {
  const wasm = moduleOf(3, 1, 2);
  assert.throws(() => withOrder(wasm.subarray(0, 40)), /too early/);
});
