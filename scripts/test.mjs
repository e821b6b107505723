// Runs all tests, or the named steps and their dependencies: `npm test -- native e2e`.
import path from "node:path";
import { audit } from "./audit.mjs";
import { buildWorker } from "./build.mjs";
import { deploy } from "./deploy.mjs";
import { checkFaults } from "./faults.mjs";
import { Failure, filesUnder, run, runMain, say, wasmEnv, wasmTarget } from "./lib.mjs";
import { lint } from "./lint.mjs";
import { makePackage } from "./package.mjs";
import { setup, wasmBindgenPath } from "./setup.mjs";
import { checkSize } from "./size.mjs";
import { nodeTests, runSteps } from "./steps.mjs";

const steps = {
  setup: { does: () => setup({ tests: true }) },
  lint: { does: lint, beside: true },
  docs: { does: () => nodeTests(["tests/docs"]) },
  faults: { does: () => checkFaults() },
  wasm: { does: wasmTests, beside: true },
  // The last of those that compile: its own tests use all cores, and compiling one crate does not.
  native: { does: () => run("cargo", ["test", "--locked", "--workspace"]), beside: true },
  build: { does: () => buildWorker() },
  size: { does: checkSize, needs: ["build"] },
  deploy: { does: () => deploy("--dry-run"), needs: ["build"] },
  scripts: { does: () => nodeTests(["tests/scripts", "check/tests", "sandbox"]), needs: ["build"] },
  pack: { does: makePackage, needs: ["build"] },
  package: { does: () => nodeTests(["tests/package"], "--test-concurrency=2"), needs: ["build", "pack"] },
  // More files than cores: most of them wait most of the time.
  e2e: { does: () => nodeTests(["tests/e2e"], "--test-concurrency=3"), needs: ["build"] },
  audit: { does: audit },
};

/** The tests of the platform and of `tests/wasm_*.rs`, compiled for WebAssembly. A suite without a test fails. */
async function wasmTests() {
  const files = filesUnder("tests").filter((file) => /\/tests\/wasm_\w+\.rs$/.test(file));
  const suites = ["--lib", ...files.map((file) => `--test=${path.basename(file, ".rs")}`)];
  const text = await run("cargo", ["test", "--locked", "--target", wasmTarget, ...suites], {
    capture: true,
    env: {
      ...wasmEnv,
      // The tests are few and short: compiling takes most of the time.
      CARGO_PROFILE_TEST_OPT_LEVEL: "0",
      CARGO_PROFILE_TEST_DEBUG: "0",
      // As in the profile of clippy, or cargo would compile all macros and build scripts once more.
      CARGO_PROFILE_TEST_BUILD_OVERRIDE_DEBUG: "line-tables-only",
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER: wasmBindgenPath("wasm-bindgen-test-runner"),
    },
  });
  const passed = [...text.matchAll(/test result: ok\. (\d+) passed/g)].map((found) => Number(found[1]));
  if (passed.length !== suites.length || passed.includes(0))
    throw new Failure(`Of ${suites.length} wasm test suites ${passed.filter(Boolean).length} ran tests.`);
  say(`    ${passed.reduce((sum, count) => sum + count, 0)} wasm tests`);
}

await runMain((args) => runSteps("test", steps, args));
