// The steps of a command: their order, what runs beside what, and what becomes of the others where one fails.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { inRoot } from "../../scripts/lib.mjs";

/** A command with steps like those of a whole run: `lint` and `package` run beside the others. */
const COMMAND = `
import { appendFileSync, existsSync, writeFileSync } from "node:fs";
import os from "node:os";
import { runMain } from "${inRoot("scripts/lib.mjs")}";
import { runSteps } from "${inRoot("scripts/steps.mjs")}";
const place = (name) => new URL(name, import.meta.url);
const log = (line) => appendFileSync(place("log"), line + "\\n");
const seen = async (name) => {
  while (!existsSync(place(name))) await new Promise((go) => setTimeout(go, 10));
};
// So long that a step which does not wait for this one begins meanwhile.
const pause = () => new Promise((go) => setTimeout(go, 700));
const step = (name, does = () => {}) => async () => {
  log(name);
  await does();
  writeFileSync(place(name), "");
  if (process.env.FAILS === name) throw new Error(name + " is broken");
};
const steps = {
  setup: { does: step("setup") },
  lint: {
    does: step("lint", () => {
      log("niceness " + os.getPriority());
      console.log("what lint says");
      return process.env.WAITS && seen("docs");
    }),
    beside: true,
  },
  docs: { does: step("docs", () => process.env.WAITS || seen("lint").then(pause)) },
  build: { does: step("build", () => process.env.WAITS && seen("lint").then(pause)) },
  package: { does: step("package", () => log("built " + existsSync(place("build")))), needs: ["build"], beside: true },
  audit: { does: step("audit") },
};
await runMain((args) => runSteps("test", steps, args));
`;

/**
 * Runs the command: its exit code, what it prints, its table, and what its steps did in order.
 *
 * @param {import("node:test").TestContext} t
 * @param {string[]} args
 * @param {{ FAILS?: string, WAITS?: string }} [env]
 */
function run(t, args, env = {}) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "porteiro-steps-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const script = path.join(folder, "command.mjs");
  writeFileSync(script, COMMAND);
  const options = { encoding: /** @type {const} */ ("utf8"), env: { ...process.env, ...env }, timeout: 30_000 };
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...args], options);
  const { stdout: log } = spawnSync("cat", [path.join(folder, "log")], { encoding: "utf8" });
  const table = [...stdout.matchAll(/^ {2}(\w+) +(passed|failed|not run)/gm)].map(([, name, how]) => `${name} ${how}`);
  return { status, text: stdout + stderr, table, log: log.split("\n").filter(Boolean) };
}

const PASSED = ["setup passed", "lint passed", "docs passed", "build passed", "package passed", "audit passed"];

test("steps that compile run beside the others, niced, and what they need comes first", (t) => {
  // `docs` waits for `lint`: one after the other, they would never end; and neither would they the other way round.
  for (const WAITS of ["", "1"]) {
    const { status, text, table, log } = run(t, [], { WAITS });
    assert.equal(status, 0, text);
    assert.deepEqual(table, PASSED);
    assert.equal(log[0], "setup");
    assert.ok(log.includes("built true") && log.includes(`niceness ${Math.max(10, os.getPriority())}`), log.join());
    const others = log.filter((line) => ["setup", "docs", "build", "audit"].includes(line));
    assert.deepEqual(others, ["setup", "docs", "build", "audit"]);
    assert.match(text, /==> test: lint, beside the others\nwhat lint says\n/);
  }
});

test("a step that fails lets no other begin, and those that run end", (t) => {
  const broken = run(t, [], { FAILS: "build", WAITS: "1" });
  assert.equal(broken.status, 1);
  assert.match(broken.text, /build is broken/);
  assert.deepEqual(broken.table, [
    "setup passed",
    "lint passed",
    "docs passed",
    "build failed",
    "package not run",
    "audit not run",
  ]);
  // What waits for a step that never begins does not wait forever.
  const early = run(t, [], { FAILS: "docs" });
  assert.deepEqual([early.status, early.table.at(-2)], [1, "package not run"], early.text);
  const beside = run(t, [], { FAILS: "lint", WAITS: "1" });
  assert.equal(beside.status, 1);
  assert.match(beside.text, /what lint says\n[^]*lint is broken[^]*The step lint failed: its output is above/);
  assert.ok(beside.table.includes("lint failed") && beside.table.includes("package not run"), beside.table.join());
});

test("named steps bring what they need, and alone they run like any other", (t) => {
  const one = run(t, ["lint"]);
  assert.deepEqual([one.status, one.table], [0, ["setup passed", "lint passed"]], one.text);
  assert.deepEqual(one.log, ["setup", "lint", `niceness ${os.getPriority()}`]);
  const two = run(t, ["package"]);
  assert.deepEqual([two.status, two.table], [0, ["setup passed", "build passed", "package passed"]], two.text);
  const none = run(t, ["nothing"]);
  assert.equal(none.status, 1);
  assert.match(none.text, /There is no step nothing: the steps are setup, lint, /);
});
