// Runs the named steps of a command and prints how long each took; `npm test` and `npm run verify` share it.
import os from "node:os";
import path from "node:path";
import { Failure, collect, filesUnder, node, root, run, say, seconds, step } from "./lib.mjs";

/**
 * One step: its action, the names of the steps that it depends on, and whether it runs beside the others, in a process
 * of its own that leaves them the processor: what compiles fills the time in which tests wait.
 *
 * @typedef {{ does: () => unknown, needs?: string[], beside?: boolean }} Step
 */

/** Before the name of a step, as the argument of the process that runs it alone. */
const ALONE = "--alone=";

/** How nice such a process is. */
const NICE = 10;

/** @typedef {{ name: string, result: string, time: string }} Row */

/**
 * Runs all steps, or the named steps and their dependencies, in order, and those that run beside others in an order of
 * their own. Once a step has failed, no other begins.
 *
 * @param {string} command
 * @param {Record<string, Step>} steps
 * @param {string[]} asked
 */
export async function runSteps(command, steps, asked) {
  const [alone] = asked.filter((arg) => arg.startsWith(ALONE));
  if (alone) {
    os.setPriority(Math.max(NICE, os.getPriority()));
    return steps[alone.slice(ALONE.length)].does();
  }
  const start = performance.now();
  const names = chosen(steps, asked);
  const [beside, others] = lanesOf(steps, names);
  /** @type {Row[]} */
  const rows = names.map((name) => ({ name, result: "not run", time: "" }));
  const run = runner(rows, steps);
  try {
    const [first, ...rest] = others;
    await run(first, () => step(`${command}: ${first}`, steps[first].does));
    const lanes = [
      inOrder(rest, (name) => run(name, () => step(`${command}: ${name}`, steps[name].does))),
      inOrder(beside, (name) => run(name, () => apart(command, name))),
    ];
    for (const lane of await Promise.allSettled(lanes)) if (lane.status === "rejected") throw lane.reason;
  } finally {
    const table = rows.map(({ name, result, time }) => `  ${name.padEnd(10)} ${result.padEnd(7)} ${time.padStart(12)}`);
    say(`\n${table.join("\n")}\n  ${"in all".padEnd(18)} ${seconds(start).padStart(12)}`);
  }
}

/**
 * The names of the steps that run beside the others, and the others, which begin with the set-up. Steps that would run
 * beside nothing are among the others.
 *
 * @param {Record<string, Step>} steps
 * @param {string[]} names
 */
function lanesOf(steps, names) {
  const beside = names.filter((name) => steps[name].beside);
  const others = names.filter((name) => !steps[name].beside);
  return others.length > 1 ? [beside, others] : [[], names];
}

/**
 * @param {string[]} names
 * @param {(name: string) => Promise<void>} run
 */
async function inOrder(names, run) {
  for (const name of names) await run(name);
}

/**
 * A function that runs a step's action once the steps that it needs have passed, unless one has failed, and notes how
 * it ended.
 *
 * @param {Row[]} rows
 * @param {Record<string, Step>} steps
 */
function runner(rows, steps) {
  /** @type {Map<string, (() => void)[]>} */
  const waiting = new Map();
  let failed = false;
  const wake = (/** @type {string} */ name) => (waiting.get(name) ?? []).forEach((go) => go());
  const hasPassed = (/** @type {string} */ name) => rows.find((row) => row.name === name)?.result === "passed";
  /** @type {(name: string) => Promise<void>} */
  const ended = (name) => new Promise((go) => void waiting.set(name, [...(waiting.get(name) ?? []), go]));

  return async (/** @type {string} */ name, /** @type {() => Promise<unknown>} */ action) => {
    for (const needed of steps[name].needs ?? []) if (!failed && !hasPassed(needed)) await ended(needed);
    if (failed) return;
    const row = /** @type {Row} */ (rows.find((one) => one.name === name));
    const began = performance.now();
    try {
      await action();
      row.result = "passed";
    } catch (error) {
      row.result = "failed";
      failed = true;
      rows.forEach((one) => wake(one.name));
      throw error;
    } finally {
      row.time = seconds(began);
      wake(name);
    }
  };
}

/**
 * Runs a step in a process of its own, and prints all that it said when it has ended.
 *
 * @param {string} command
 * @param {string} name
 */
async function apart(command, name) {
  const began = performance.now();
  say(`\n==> ${command}: ${name} begins, beside the others`);
  const { code, text } = await collect(process.execPath, [process.argv[1], `${ALONE}${name}`]);
  say(
    `\n==> ${command}: ${name}, beside the others\n${text.trimEnd()}\n    ${command}: ${name}: ended after ${seconds(began)}`,
  );
  if (code !== 0) throw new Failure(`The step ${name} failed: its output is above.`);
}

/**
 * @param {Record<string, Step>} steps
 * @param {string[]} asked
 */
function chosen(steps, asked) {
  const unknown = asked.filter((name) => !(name in steps));
  if (unknown.length) {
    throw new Failure(`There is no step ${unknown.join(", ")}: the steps are ${Object.keys(steps).join(", ")}.`);
  }
  if (!asked.length) return Object.keys(steps);
  const wanted = new Set(["setup", ...asked, ...asked.flatMap((name) => steps[name].needs ?? [])]);
  return Object.keys(steps).filter((name) => wanted.has(name));
}

/**
 * Runs the `*.test.mjs` files below folders, or single files, with the Node.js of the Node modules. A run without a
 * test fails.
 *
 * @param {string[]} places
 * @param {string[]} options
 */
export async function nodeTests(places, ...options) {
  const files = filesUnder(...places).filter((file) => file.endsWith(".test.mjs"));
  if (!files.length) throw new Failure(`There are no tests in ${places.join(", ")}.`);
  const args = ["--test", ...options, ...files.map((file) => path.relative(root, file))];
  const text = await run(node(), args, { capture: true });
  if (!(Number(text.match(/^\S+ tests (\d+)$/m)?.[1]) > 0)) throw new Failure(`No test ran in ${places.join(", ")}.`);
}
