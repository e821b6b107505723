// Processes: what they have used, as Linux tells it, and that none outlives this one.
import { readFileSync } from "node:fs";
import { output } from "../scripts/lib.mjs";

const TICKS = Number(output("getconf", ["CLK_TCK"]) ?? 100);

/** The processor time of the process and its threads, in microseconds. */
export function cpuMicros(pid) {
  // The second field is the command in parentheses, which may hold blanks.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  const [userTime, systemTime] = [fields[11], fields[12]].map(Number);
  return ((userTime + systemTime) * 1e6) / TICKS;
}

/** The memory of the process that is in RAM, in MiB. */
export function residentMiB(pid) {
  const kib = readFileSync(`/proc/${pid}/status`, "utf8").match(/^VmRSS:\s+(\d+)/m)[1];
  return Number(kib) / 1024;
}

/** The only child of a process. */
export const childOf = (pid) => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);

const children = new Map();

/** Ends the process by `signal` with this one, however this one ends. */
export function endWithThis(child, signal = "SIGKILL") {
  children.set(child, signal);
  child.once("exit", () => children.delete(child));
  return child;
}

process.once("exit", () => children.forEach((signal, child) => child.kill(signal)));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));
