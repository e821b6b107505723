// The texts that cross the border between call.js and the broker, as JavaScript writes and reads them. The tests in
// src/platform/wire.rs check Rust against the same examples.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { inRoot } from "../../scripts/lib.mjs";
import * as wire from "../../src/platform/wire.js";

/** @typedef {[name: string, value: string][]} Fields */

/**
 * @type {{
 *   requests: { text: string, method: string, url: string, fields: Fields }[],
 *   upstreams: ({ text: string, status: number, fields: Fields } | { text: string, failure: string })[],
 *   joins: { text: string, timeout_ms: number, flight: number }[],
 *   fetches: { text: string, leads?: boolean, timeout_ms: number, certificate?: string, replay_bytes: number | null, at_once?: boolean, method: string, url: string, fields: Fields }[],
 *   answers: { text: string, kind: string, lines: string[], status: number, fields: Fields, body: string }[],
 * }}
 */
const examples = JSON.parse(readFileSync(inRoot("tests", "data", "wire.json"), "utf8"));

/** @type {{ [kind: string]: number }} */
const KINDS = {
  upstream: wire.UPSTREAM,
  veiled: wire.VEILED,
  text: wire.TEXT,
  page: wire.PAGE,
  empty: wire.EMPTY,
};

/** What `wire.append` appends. @param {string} lines */
function read(lines) {
  /** @type {Fields} */
  const fields = [];
  wire.append({ append: (name, value) => void fields.push([name, value]) }, lines);
  return fields;
}

describe("JavaScript writes", () => {
  for (const { text, method, url, fields } of examples.requests) {
    test(JSON.stringify(text), () => assert.equal(wire.requestHead(method, url, new Headers(fields)), text));
  }
  for (const example of examples.upstreams) {
    test(JSON.stringify(example.text), () => {
      if ("failure" in example) {
        /** @type {{ [failure: string]: string }} */
        const failures = { timeout: wire.TIMEOUT, gone: wire.GONE, unreachable: wire.UNREACHABLE };
        return assert.equal(failures[example.failure], example.text);
      }
      assert.equal(wire.upstreamHead(example.status, new Headers(example.fields)), example.text);
    });
  }
});

describe("JavaScript reads", () => {
  for (const { text, timeout_ms, flight } of examples.joins) {
    test(JSON.stringify(text), () => {
      assert.equal(wire.kindOf(text), wire.JOIN);
      const { timeoutMs, replayBytes } = wire.readFetch(text);
      assert.deepEqual([timeoutMs, replayBytes], [timeout_ms, flight]);
    });
  }

  for (const { text, fields, ...example } of examples.fetches) {
    test(JSON.stringify(text), () => {
      assert.equal(wire.kindOf(text), example.leads ? wire.LEAD : wire.FETCH);
      const { fields: lines, ...call } = wire.readFetch(text);
      const { timeout_ms: timeoutMs, certificate, replay_bytes, at_once: atOnce = false, method, url } = example;
      assert.deepEqual(call, { timeoutMs, certificate, replayBytes: replay_bytes ?? -1, atOnce, method, url });
      assert.deepEqual(read(lines), fields);
    });
  }
  for (const { text, fields, ...example } of examples.answers) {
    test(JSON.stringify(text), () => {
      const { fields: lines, ...answer } = wire.readAnswer(text);
      const { kind, body, ...others } = example;
      assert.deepEqual(answer, { ...others, kind: KINDS[kind], text: body });
      assert.deepEqual(read(lines), fields);
    });
  }
  test('"W"', () => assert.equal(wire.kindOf("W"), wire.WAIT));
});
