// Orders the functions of a WebAssembly module so that similar ones are near each other: gzip finds in a text only what
// its last 32 KiB repeat.
import { deflateRawSync } from "node:zlib";

/** gzip's window, in bytes. */
const WINDOW = 32768;
/** The length of the sequences of bytes by which functions are compared. */
const SEQUENCE = 6;
/** How many orders are tried. */
const ORDERS = 6;
/** A sequence in more functions than these tells none from another. */
const COMMON = 1000;

/** The sections that are read, by their ids in the binary format. */
const [CUSTOM, IMPORT, CODE] = [0, 2, 10];

/** Reads a module from its first byte to its last. */
class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  /** @param {number} length */
  take(length) {
    this.at += length;
    if (this.at > this.bytes.length) throw new Error("The module ends too early.");
    return this.bytes.subarray(this.at - length, this.at);
  }

  byte() {
    return this.take(1)[0];
  }

  /** A number in LEB128. */
  number() {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  }

  /** The bytes that follow their number. */
  block() {
    return this.take(this.number());
  }
}

/** @param {number} value */
function encoded(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Buffer.from([...bytes, value]);
}

/** @param {Uint8Array} bytes */
const asBlock = (bytes) => Buffer.concat([encoded(bytes.length), bytes]);

/** @param {Uint8Array} content */
function importedFunctions(content) {
  const reader = new Reader(content);
  const limits = () => {
    const flags = reader.number();
    reader.number();
    if (flags & 1) reader.number();
  };
  let functions = 0;
  for (let left = reader.number(); left > 0; left--) {
    reader.block();
    reader.block();
    const kind = reader.byte();
    if (kind === 0) functions++;
    // A table's and a global's type is one byte, a tag's too.
    if (kind === 1 || kind === 3 || kind === 4) reader.byte();
    if (kind === 1 || kind === 2) limits();
    else reader.number();
  }
  return functions;
}

/** @param {Uint8Array} content */
function bodiesOf(content) {
  const reader = new Reader(content);
  return Array.from({ length: reader.number() }, () => reader.block());
}

/**
 * The hashes of all sequences in `body`.
 * @param {Uint8Array} body
 */
function sequencesOf(body) {
  /** @type {Set<number>} */
  const found = new Set();
  for (let at = 0; at + SEQUENCE <= body.length; at++) {
    let hash = 0;
    for (let i = at; i < at + SEQUENCE; i++) hash = Math.imul(hash ^ body[i], 0x01000193) ^ (hash >>> 15);
    found.add(hash);
  }
  return found;
}

/**
 * An order of `bodies` by their numbers: of some that begin with different ones, that which gzip makes the smallest.
 * @param {Uint8Array[]} bodies
 */
export function orderOf(bodies) {
  const kinship = kinshipOf(bodies);
  const begins = new Set(Array.from({ length: ORDERS }, (_, i) => Math.floor((i * bodies.length) / ORDERS)));
  const orders = Array.from(begins, (begin) => orderFrom(begin, bodies, kinship));
  const sizes = orders.map((order) => {
    const code = Buffer.concat(order.map((number) => bodies[number]));
    return deflateRawSync(code, { level: 9 }).length;
  });
  return orders[sizes.indexOf(Math.min(...sizes))];
}

/**
 * What functions have in common: the sequences of each by which others are found, who holds a sequence, and how much
 * a function must have in common to be as similar as another.
 * @typedef {{ telling: number[][], holders: Map<number, number[]>, weight: number[] }} Kinship
 */

/** @param {Uint8Array[]} bodies @returns {Kinship} */
function kinshipOf(bodies) {
  const sequences = bodies.map(sequencesOf);
  /** @type {Map<number, number[]>} */
  const holders = new Map();
  for (const [number, found] of sequences.entries()) {
    for (const hash of found) {
      const known = holders.get(hash);
      if (known) known.push(number);
      else holders.set(hash, [number]);
    }
  }
  const telling = sequences.map((found) => [...found].filter((hash) => isTelling(holders.get(hash))));
  // The eighth root: of two that are as similar, the larger one comes first.
  const weight = sequences.map(({ size }) => (size + 8) / Math.sqrt(Math.sqrt(Math.sqrt(size + 8))));
  return { telling, holders, weight };
}

/**
 * The order that begins with the function `begin`, where each is followed by the one of which the largest part is in
 * the window.
 * @param {number} begin
 * @param {Uint8Array[]} bodies
 * @param {Kinship} kinship
 */
function orderFrom(begin, bodies, { telling, holders, weight }) {
  const score = new Float64Array(bodies.length);
  /** How many functions in the window have a sequence. @type {Map<number, number>} */
  const present = new Map();
  /** @type {(number: number, change: 1 | -1) => void} */
  const slide = (number, change) => {
    for (const hash of telling[number]) {
      const count = (present.get(hash) ?? 0) + change;
      present.set(hash, count);
      if (count !== (change > 0 ? 1 : 0)) continue;
      const all = holders.get(hash) ?? [];
      for (const holder of all) score[holder] += change / Math.sqrt(all.length);
    }
  };
  const left = new Set(bodies.keys());
  /** @type {number[]} */
  const order = [];
  let first = 0;
  let size = 0;
  for (let next = begin; next >= 0; ) {
    order.push(next);
    left.delete(next);
    slide(next, 1);
    size += bodies[next].length;
    for (; size > WINDOW && first < order.length - 1; first++) {
      slide(order[first], -1);
      size -= bodies[order[first]].length;
    }
    next = -1;
    for (const number of left) {
      if (next < 0 || score[number] / weight[number] > score[next] / weight[next]) next = number;
    }
  }
  return order;
}

/** @param {number[] | undefined} holders */
const isTelling = (holders) => holders !== undefined && holders.length > 1 && holders.length <= COMMON;

/**
 * The module `wasm`, its functions named anew: `wasm-opt --reorder-functions-by-name` then orders them so.
 * @param {Uint8Array} wasm
 */
export function withOrder(wasm) {
  const reader = new Reader(wasm);
  reader.at = 8;
  const kept = [wasm.subarray(0, reader.at)];
  let imported = 0;
  /** @type {Uint8Array[]} */
  let bodies = [];
  while (reader.at < wasm.length) {
    const start = reader.at;
    const id = reader.byte();
    const content = reader.block();
    if (id === IMPORT) imported = importedFunctions(content);
    if (id === CODE) bodies = bodiesOf(content);
    const isNames = id === CUSTOM && Buffer.from(new Reader(content).block()).toString() === "name";
    if (!isNames) kept.push(wasm.subarray(start, reader.at));
  }
  /** @type {string[]} */
  const names = [];
  for (const [place, number] of orderOf(bodies).entries()) names[number] = `f${String(place).padStart(6, "0")}`;
  const entries = names.flatMap((name, number) => [encoded(imported + number), asBlock(Buffer.from(name))]);
  const functions = Buffer.concat([encoded(names.length), ...entries]);
  const section = Buffer.concat([asBlock(Buffer.from("name")), Buffer.from([1]), asBlock(functions)]);
  return Buffer.concat([...kept, Buffer.from([CUSTOM]), asBlock(section)]);
}
