// How far a command is that takes minutes: which step of how many runs, and for how long already.
import { seconds } from "./lib.mjs";

/** How often a terminal's line is written anew, and how often a line is written elsewhere, in milliseconds. */
const [TERMINAL_MS, ELSEWHERE_MS] = [1_000, 30_000];

/** Clears a terminal's line, and takes the cursor back to its beginning: what comes next takes its place. */
const [CLEAR, RETURN] = ["\u001b[K", "\r"];

/** @typedef {{ isTTY?: boolean, columns?: number, write: (text: string) => unknown }} Out */

/**
 * Runs a step: prints its number and its name, then how long it took. While a step runs that prints nothing itself, its
 * time is told; several may run at once.
 *
 * @typedef {<T>(name: string, action: () => Promise<T>, how?: { isSilent?: boolean }) => Promise<T>} Step
 */

/**
 * A function for each of `count` steps.
 *
 * @param {number} count
 * @param {Out} [out]
 * @returns {Step}
 */
export function progress(count, out = process.stdout) {
  let begun = 0;
  /** What each silent step says of itself. @type {Set<() => string>} */
  const silent = new Set();
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  /** @param {string} line */
  const write = (line) => out.write(`${out.isTTY ? CLEAR : ""}${line}\n`);
  const tell = () => {
    const lines = [...silent].map((tells) => `    ${tells()}`);
    if (out.isTTY) out.write(CLEAR + lines.join(";").slice(0, out.columns) + RETURN);
    else for (const line of lines) write(line);
  };
  return async (name, action, { isSilent = true } = {}) => {
    const label = `[${++begun} of ${count}] ${name}`;
    const began = performance.now();
    const tells = () => `${label}: ${seconds(began).replace(/\.\d s$/, " s")}`;
    write(`\n==> ${label}`);
    if (isSilent) silent.add(tells);
    if (silent.size) timer ??= setInterval(tell, out.isTTY ? TERMINAL_MS : ELSEWHERE_MS);
    try {
      const result = await action();
      write(`    ${label}: done in ${seconds(began)}`);
      return result;
    } finally {
      silent.delete(tells);
      if (!silent.size) timer = void clearInterval(timer);
    }
  };
}
