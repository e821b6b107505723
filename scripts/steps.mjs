// Runs the named steps of a command and prints how long each took; `npm test` and `npm run verify` share it.
import path from "node:path";
import { Failure, filesUnder, node, root, run, say, seconds, step } from "./lib.mjs";

/**
 * One step: its action, and the names of the steps that it depends on.
 *
 * @typedef {{ does: () => unknown, needs?: string[] }} Step
 */

/**
 * Runs all steps in order, or the named steps and their dependencies. The first failing step ends the run.
 *
 * @param {string} command
 * @param {Record<string, Step>} steps
 * @param {string[]} asked
 */
export async function runSteps(command, steps, asked) {
  const start = performance.now();
  /** @type {{ name: string, result: string, time: string }[]} */
  const rows = [];
  try {
    for (const name of chosen(steps, asked)) {
      const began = performance.now();
      const row = { name, result: "failed", time: "" };
      rows.push(row);
      await step(`${command}: ${name}`, steps[name].does).finally(() => {
        row.time = seconds(began);
      });
      row.result = "passed";
    }
  } finally {
    const table = rows.map(({ name, result, time }) => `  ${name.padEnd(10)} ${result.padEnd(7)} ${time.padStart(12)}`);
    say(`\n${table.join("\n")}\n  ${"in all".padEnd(18)} ${seconds(start).padStart(12)}`);
  }
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
