// The resources that processes have used, as reported by Linux.
import { readdirSync, readFileSync } from "node:fs";
import { output } from "../scripts/lib.mjs";

const TICKS = Number(output("getconf", ["CLK_TCK"]) ?? 100);

/**
 * The processor time of the process and its threads, in microseconds.
 *
 * @param {number} pid
 */
export function cpuMicros(pid) {
  // The second field is the command in parentheses, which may contain blanks.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  const [userTime, systemTime] = [fields[11], fields[12]].map(Number);
  return ((userTime + systemTime) * 1e6) / TICKS;
}

/**
 * The same, exact to the microsecond, for a process that starts no thread in between and ends none.
 *
 * @param {number} pid
 */
export const exactCpuMicros = (pid) =>
  readdirSync(`/proc/${pid}/task`).reduce(
    (total, thread) => total + Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]),
    0,
  ) / 1e3;

/**
 * The memory of the process in RAM, in MiB.
 *
 * @param {number} pid
 */
export function residentMiB(pid) {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1024;
}

/**
 * The only child of a process.
 *
 * @param {number} pid
 */
export const childOf = (pid) => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
