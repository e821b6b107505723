// One slice of load by wrk: the number of answered requests, their rate and latency, and the processor time.
import { execFile } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { Failure } from "../scripts/lib.mjs";
import { cpuMicros } from "./process.mjs";
import { BROWSER_HEADERS } from "./settings.mjs";

const execute = promisify(execFile);
/**
 * The target of the load, and the process whose work is measured.
 *
 * @typedef {object} Subject
 * @property {string} id
 * @property {string} name
 * @property {string} url
 * @property {{ [name: string]: string }} headers
 * @property {number} pid
 * @property {number} [connections]
 * @property {string} [method] default: GET
 * @property {number} [bodyBytes]
 * @property {string} [script] the wrk script
 */

/**
 * The results of a slice: requests, requests per second, microseconds of processor time per request, latencies in
 * milliseconds.
 *
 * @typedef {{ requests: number, rate: number, cpu: number, p50: number, p99: number }} Slice
 */

/** @type {{ [unit: string]: number }} */
const UNITS = { us: 0.001, ms: 1, s: 1000, m: 60_000 };

/**
 * Loads a subject.
 *
 * @param {Omit<Subject, "id">} subject
 * @param {number} seconds
 * @returns {Promise<Slice>}
 */
export async function load(subject, seconds) {
  const { name, url, headers, pid, connections = 32 } = subject;
  const fields = Object.entries({ ...BROWSER_HEADERS, ...headers }).flatMap(([field, value]) => [
    "-H",
    `${field}: ${value}`,
  ]);
  const script = writeScript(subject);
  try {
    const before = cpuMicros(pid);
    const { stdout } = await execute("wrk", [
      "-t1",
      `-c${connections}`,
      `-d${seconds}s`,
      "--timeout",
      "30s",
      "--latency",
      ...(script ? ["-s", script] : []),
      ...fields,
      url,
    ]);
    const spent = cpuMicros(pid) - before;
    if (/Non-2xx|Socket errors/.test(stdout)) throw new Failure(`The load of "${name}" went wrong:\n${stdout}`);
    const [, requests, time, unit] = /(\d+) requests in ([\d.]+)(us|ms|s|m)/.exec(stdout) ?? [];
    return {
      requests: Number(requests),
      rate: (Number(requests) * 1000) / (Number(time) * UNITS[unit]),
      cpu: spent / Number(requests),
      p50: latency(stdout, 50),
      p99: latency(stdout, 99),
    };
  } finally {
    if (script) rmSync(script);
  }
}

/**
 * The wrk script of a subject; undefined if it needs none.
 *
 * @param {Pick<Subject, "method" | "bodyBytes" | "script">} subject
 */
function writeScript({ method, bodyBytes, script }) {
  const text = script ?? (method && `wrk.method = "${method}"\nwrk.body = string.rep("x", ${bodyBytes})\n`);
  if (!text) return undefined;
  const file = path.join(tmpdir(), `porteiro-bench-${process.pid}.lua`);
  writeFileSync(file, text);
  return file;
}

/**
 * @param {string} stdout
 * @param {number} percent
 */
function latency(stdout, percent) {
  const [, value, unit] = new RegExp(`^\\s+${percent}%\\s+([\\d.]+)(us|ms|s|m)$`, "m").exec(stdout) ?? [];
  return Number(value) * UNITS[unit];
}
