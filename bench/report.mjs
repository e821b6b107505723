// The output of a measurement: a file with all figures, and the tables in docs/explain/performance.md.
import { readFileSync, writeFileSync } from "node:fs";
import { Failure, inRoot } from "../scripts/lib.mjs";
import { figures } from "./asked.mjs";

/** @import { Measured } from "./throughput.mjs" */
/** @import { Summary } from "./statistics.mjs" */

/**
 * The results of `npm run bench`.
 *
 * @typedef {object} Results
 * @property {string} date
 * @property {number} rounds
 * @property {number} seconds
 * @property {ReturnType<typeof import("./machine.mjs").machine>} machine
 * @property {ReturnType<typeof import("./machine.mjs").versions>} versions
 * @property {Awaited<ReturnType<typeof import("./throughput.mjs").throughput>>} throughput
 * @property {Awaited<ReturnType<typeof import("./cold-starts.mjs").coldStarts>>} coldStarts
 * @property {Awaited<ReturnType<typeof import("./cold-tokens.mjs").coldTokens>>} coldTokens
 * @property {Awaited<ReturnType<typeof import("./cache.mjs").cache>>} cache
 * @property {Awaited<ReturnType<typeof import("./storm.mjs").storms>>} storms
 * @property {Awaited<ReturnType<typeof import("./connections.mjs").connections>>} connections
 * @property {Awaited<ReturnType<typeof import("./budget.mjs").budget>>} budget
 * @property {number} uploaded all that is uploaded, gzipped, in KiB
 */

const page = inRoot("docs", "explain", "performance.md");
const [BEGIN, END] = ["<!-- bench:begin -->", "<!-- bench:end -->"];

/**
 * Writes all figures to `bench/{name}.json`.
 *
 * @param {string} name
 * @param {object} results
 */
export function writeResults(name, results) {
  /** @type {(key: string, value: unknown) => unknown} */
  const short = (_, value) => (typeof value === "number" ? Number(value.toPrecision(6)) : value);
  writeFileSync(inRoot("bench", `${name}.json`), `${JSON.stringify(results, short, 1)}\n`);
}

/**
 * Writes the tables of the results between the page's markers.
 *
 * @param {Results} results
 */
export function writeReport(results) {
  const text = readFileSync(page, "utf8");
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Failure(`docs/explain/performance.md must have the lines ${BEGIN} and ${END}.`);
  writeFileSync(page, `${before}${BEGIN}\n${report(results)}\n${END}${after}`);
}

/** @param {Results} results */
export const report = (results) =>
  [
    heading(results),
    asked(results),
    calls("A `GET` of 221 bytes, 32 at a time", results.throughput.small),
    calls("A `GET` of 1 MiB, 8 at a time", results.throughput.large),
    calls("A `POST` of 64 KiB, 16 at a time", results.throughput.posted),
    calls("A `POST` of 20 MiB, 4 at a time", results.throughput.streamed),
    starts(results.coldStarts),
    tokens(results.coldTokens),
    caches(results.cache),
    storm(results.storms),
    connections(results.connections),
  ].join("\n\n");

/** @param {Results} results */
function heading({ date, machine, versions, rounds, seconds }) {
  const { processor, cores, memoryGiB, system } = machine;
  const named = Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(", ");
  return (
    `Measured on ${date.slice(0, 10)}: ${processor}, ${cores} cores, ${memoryGiB} GiB, ${system}; ${named}. ` +
    `Medians of ${rounds} rounds of ${seconds} s; in brackets the middle half of the rounds.`
  );
}

/** @param {Results} results */
function asked(results) {
  const rows = figures(results).map(({ what, asked, found, isMet }) => [what, asked, found, isMet ? "yes" : "no"]);
  return `### What is asked\n\n${table(["", "asked", "measured", "met"], rows)}`;
}

/**
 * @param {string} title
 * @param {Measured[]} subjects
 */
function calls(title, subjects) {
  return (
    `### ${title}\n\n` +
    table(
      [
        "",
        "calls/s",
        "to pass-through",
        "to JavaScript",
        "CPU µs/call",
        "to pass-through",
        "to JavaScript",
        "p50 ms",
        "p99 ms",
      ],
      subjects.map(({ name, rate, cpu, p50, p99, toBaseline, toJavascript }) => [
        name,
        whole(rate.median),
        spread(toBaseline.rate),
        spread(toJavascript?.rate),
        whole(cpu.median),
        spread(toBaseline.cpu),
        spread(toJavascript?.cpu),
        fixed(p50.median, 2),
        fixed(p99.median, 2),
      ]),
    )
  );
}

/** @param {Results["coldStarts"]} subjects */
function starts(subjects) {
  return (
    "### Cold starts\n\n" +
    table(
      [
        "",
        "module bytes",
        "gzipped",
        "process start to first answer, ms",
        "to empty JavaScript",
        "an isolate, ms",
        "its first answer, ms",
        "that of a further one, ms",
      ],
      subjects.map(({ name, bytes, gzipped, total, toEmpty, isolate, first, later }) => [
        name,
        whole(bytes),
        whole(gzipped),
        fixed(total.median, 0),
        spread(toEmpty),
        fixed(isolate.median, 1),
        fixed(first.median, 1),
        fixed(later.median, 1),
      ]),
    )
  );
}

/** @param {Results["coldTokens"]} subjects */
function tokens(subjects) {
  /** @param {{ call: Summary, token: Summary, processor: Summary }} source */
  const cell = ({ call, token, processor }) =>
    `${fixed(call.median, 1)} (${fixed(token.median, 0)}); ${fixed(processor.median, 1)}`;
  return (
    "### The first call of an isolate, by where its token comes from\n\nWith 20 connections. Milliseconds; in brackets those until there was a token; then those of processor time.\n\n" +
    table(
      ["", "token endpoint", "keeper", "KV", "memory (second call)"],
      subjects.map(({ name, grant, keeper, kv, memory }) => [name, cell(grant), cell(keeper), cell(kv), cell(memory)]),
    )
  );
}

/** @param {Results["cache"]} results */
function caches({ calls, crowd, sent, ratio }) {
  return (
    "### A rule's cache\n\n" +
    table(
      ["", "calls/s", "to pass-through"],
      calls.map(({ name, rate, toBaseline }) => [name, whole(rate.median), spread(toBaseline.rate)]),
    ) +
    `\n\n${crowd} equal calls at once are ${sent} of the upstream, and answered ${spread(ratio)} times as fast as without a cache.`
  );
}

/** @param {Results["storms"]} results */
function storm({ crowd, tokenRequestMs, tokenRequests, expired, warm }) {
  return (
    "### A storm at expiry\n\n" +
    table(
      [`${crowd} calls at once`, "token requests", "until the last answer, ms"],
      [
        [
          `the token has expired; a token request takes ${tokenRequestMs} ms`,
          String(tokenRequests),
          spread(expired, 0),
        ],
        ["the token is in memory", "0", spread(warm, 0)],
      ],
    )
  );
}

/** @param {Results["connections"]} subjects */
function connections(subjects) {
  return (
    "### Many connections\n\n" +
    table(
      [
        "connections",
        "first call of an isolate, with a grant, ms",
        "calls/s, spread over all",
        "to one connection",
        "CPU µs/call",
        "to one connection",
        "memory of the process, MiB",
      ],
      subjects.map(({ connections: count, firstAnswer, rate, cpu, toBaseline, memory }) => [
        whole(count),
        fixed(firstAnswer.median, 1),
        whole(rate.median),
        spread(toBaseline.rate),
        whole(cpu.median),
        spread(toBaseline.cpu),
        whole(memory),
      ]),
    )
  );
}

/**
 * A table; all columns except the first are numbers.
 *
 * @param {string[]} head
 * @param {string[][]} rows
 */
function table(head, rows) {
  /** @param {string[]} cells */
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), `|---|${"---:|".repeat(head.length - 1)}`, ...rows.map(line)].join("\n");
}

/** @type {(value: number, digits: number) => string} */
const fixed = (value, digits) => value.toFixed(digits);
/** @type {(value: number) => string} */
const whole = (value) => Math.round(value).toLocaleString("en-US");
/** @type {(value: Summary | undefined, digits?: number) => string} */
const spread = (value, digits = 2) =>
  value === undefined ? "" : `${fixed(value.median, digits)} (${fixed(value.from, digits)}–${fixed(value.to, digits)})`;
