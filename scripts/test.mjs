// Runs all tests, or the named steps and what they need: `npm test -- native e2e`.
import path from "node:path";
import { audit } from "./audit.mjs";
import { buildWorker } from "./build.mjs";
import { deploy } from "./deploy.mjs";
import { Failure, filesUnder, node, root, run, runMain, say, seconds, step, wasmEnv, wasmTarget } from "./lib.mjs";
import { lint } from "./lint.mjs";
import { ensurePython } from "./python.mjs";
import { setup, wasmBindgenPath } from "./setup.mjs";
import { checkSize } from "./size.mjs";

const steps = {
  setup: { does: setup },
  lint: { does: lint },
  readme: { does: () => nodeTests("tests/readme.test.mjs") },
  native: { does: () => run("cargo", ["test", "--locked"]) },
  check: { does: checkTests },
  wasm: { does: wasmTests },
  build: { does: () => buildWorker() },
  size: { does: checkSize, needs: ["build"] },
  deploy: { does: () => deploy("--dry-run"), needs: ["build"] },
  sandbox: { does: () => nodeTests("sandbox") },
  e2e: { does: e2e, needs: ["build"] },
  audit: { does: audit },
};

async function main(args) {
  const names = chosen(args);
  const rows = [];
  const start = performance.now();
  try {
    for (const name of names) {
      const began = performance.now();
      const row = { name, result: "failed", time: "" };
      rows.push(row);
      await step(`test: ${name}`, steps[name].does).finally(() => (row.time = seconds(began)));
      row.result = "passed";
    }
  } finally {
    say(
      `\n${rows.map(({ name, result, time }) => `  ${name.padEnd(8)} ${result.padEnd(7)} ${time.padStart(12)}`).join("\n")}`,
    );
    say(`  ${"in all".padEnd(16)} ${seconds(start).padStart(12)}`);
  }
}

/** The steps to run, in their order: all, or those asked for with what they need. */
function chosen(args) {
  const unknown = args.filter((arg) => !(arg in steps));
  if (unknown.length)
    throw new Failure(`There is no step ${unknown.join(", ")}: the steps are ${Object.keys(steps).join(", ")}.`);
  if (!args.length) return Object.keys(steps);
  const wanted = new Set(["setup", ...args, ...args.flatMap((arg) => steps[arg].needs ?? [])]);
  return Object.keys(steps).filter((name) => wanted.has(name));
}

/** The tests of the platform and of `tests/wasm_*.rs`, compiled for WebAssembly. A suite that runs nothing is a failure. */
async function wasmTests() {
  const files = filesUnder("tests").filter((file) => /\/tests\/wasm_\w+\.rs$/.test(file));
  const suites = ["--lib", ...files.map((file) => `--test=${path.basename(file, ".rs")}`)];
  const text = await run("cargo", ["test", "--locked", "--target", wasmTarget, ...suites], {
    capture: true,
    env: { ...wasmEnv, CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER: wasmBindgenPath("wasm-bindgen-test-runner") },
  });
  const passed = [...text.matchAll(/test result: ok\. (\d+) passed/g)].map((found) => Number(found[1]));
  if (passed.length !== suites.length || passed.includes(0))
    throw new Failure(`Of ${suites.length} wasm test suites ${passed.filter(Boolean).length} ran tests.`);
  say(`    ${passed.reduce((sum, count) => sum + count, 0)} wasm tests`);
}

/** What `npm run check` finds, and how it says so. */
async function checkTests() {
  await run("cargo", ["test", "--locked", "--package", "porteiro-check"]);
  await nodeTests("check");
}

async function e2e() {
  // Several files use it, and may run at once: it is made before.
  await ensurePython();
  await nodeTests("tests/e2e", "--test-concurrency=2");
}

/** The `*.test.mjs` files below a folder, or one of them, run by the Node.js of the Node modules. */
async function nodeTests(place, ...options) {
  const files = filesUnder(place).filter((file) => file.endsWith(".test.mjs"));
  if (!files.length) throw new Failure(`There are no tests in ${place}.`);
  const text = await run(node(), ["--test", ...options, ...files.map((file) => path.relative(root, file))], {
    capture: true,
  });
  if (!(Number(text.match(/^\S+ tests (\d+)$/m)?.[1]) > 0)) throw new Failure(`No test ran in ${place}.`);
}

await runMain(main);
