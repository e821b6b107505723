// What is asked of the broker, and what was measured in the same run.
import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { inRoot } from "../scripts/lib.mjs";
import { CEILING_KIB } from "../scripts/size.mjs";
import { summary } from "./statistics.mjs";

/** @import { Results } from "./report.mjs" */
/** @import { Measured } from "./throughput.mjs" */
/** @import { Summary } from "./statistics.mjs" */

/**
 * A figure: what is measured, what is asked, what was found, and whether that is enough.
 *
 * @typedef {{ what: string, asked: string, found: string, isMet: boolean }} Figure
 */

/** All that is uploaded, gzipped, in KiB. */
export function uploadKib() {
  const files = ["index.js", "index_bg.wasm"].map((name) => readFileSync(inRoot("build", name)));
  return files.reduce((sum, file) => sum + gzipSync(file, { level: 9 }).length, 0) / 1024;
}

/** @type {(value: number, digits?: number) => string} */
const fixed = (value, digits = 2) => value.toFixed(digits);

/** @param {Summary} value */
const spread = ({ median, from, to }) => `${fixed(median)} (${fixed(from)}–${fixed(to)})`;

/**
 * @param {Measured[]} subjects
 * @param {string} id
 */
const of = (subjects, id) => /** @type {Measured} */ (subjects.find((subject) => subject.id === id));

/**
 * @param {Results} results
 * @returns {Figure[]}
 */
export function figures({ throughput, coldStarts, coldTokens, cache, budget, uploaded }) {
  const key = of(throughput.small, "key");
  const rate = /** @type {Summary} */ (key.toJavascript?.rate);
  const fromCopy = of(cache.calls, "cached").toBaseline.rate;
  /** The ratio of two cold starts, round by round. @param {string} one @param {string} base */
  const cold = (one, base) => {
    const [rounds, bases] = [one, base].map((id) => coldStarts.find((subject) => subject.id === id)?.rounds ?? []);
    return summary(rounds.map(({ total }, round) => total / bases[round].total));
  };
  const health = cold("health", "emptyRust");
  const grant = cold("call", "javascriptCall");
  const first = /** @type {{ kv: { processor: Summary } }} */ (coldTokens.find(({ id }) => id === "porteiro")).kv
    .processor;
  /** @type {(what: string, asked: number, found: Summary) => Figure} */
  const atLeast = (what, asked, found) => ({
    what,
    asked: `${fixed(asked)} or more`,
    found: spread(found),
    isMet: found.median >= asked,
  });
  /** @type {(what: string, asked: number, found: Summary) => Figure} */
  const atMost = (what, asked, found) => ({
    what,
    asked: `${fixed(asked)} or less`,
    found: spread(found),
    isMet: found.median <= asked,
  });
  return [
    atLeast("a warm `GET` with a key, calls a second to the broker in plain JavaScript", 1.2, rate),
    atLeast("the same to the bare pass-through", 0.65, key.toBaseline.rate),
    atLeast("a `GET` that a copy answers, to the bare pass-through", 1.5, fromCopy),
    atMost("process start to the first `/healthz`, to an empty Worker in Rust", 1.3, health),
    atMost("process start to the first call that needs a grant, to the broker in plain JavaScript", 1.2, grant),
    atMost("processor time of an isolate's first call, 20 connections, token from KV, ms", 10, first),
    {
      what: "all that is uploaded, gzipped, KiB",
      asked: `${CEILING_KIB} or less`,
      found: fixed(uploaded, 1),
      isMet: uploaded <= CEILING_KIB,
    },
    {
      what: `a budget of ${budget.requests} in ${budget.windowMs / 1000} s, ${budget.isolates} isolates, ${budget.kills} kills in ${budget.seconds} s`,
      asked: "never exceeded, 0.9 used",
      found: `${budget.exceeded} windows exceeded, ${fixed(budget.used)} used`,
      isMet: budget.exceeded === 0 && budget.used >= 0.9,
    },
  ];
}
