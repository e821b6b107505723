// Runs all tests, or the named steps and their dependencies: `npm test -- native e2e`.
import path from "node:path";
import { audit } from "./audit.mjs";
import { buildWorker } from "./build.mjs";
import { deploy } from "./deploy.mjs";
import { checkFaults } from "./faults.mjs";
import { Failure, filesUnder, run, runMain, say, wasmEnv, wasmTarget } from "./lib.mjs";
import { lint } from "./lint.mjs";
import { setup, wasmBindgenPath } from "./setup.mjs";
import { checkSize } from "./size.mjs";
import { nodeTests, runSteps } from "./steps.mjs";
import { installedOnce } from "../tests/package/support/installed.mjs";

const steps = {
  setup: { does: () => setup({ tests: true }) },
  lint: { does: lint },
  docs: { does: () => nodeTests(["tests/docs"]) },
  faults: { does: () => checkFaults() },
  native: { does: () => run("cargo", ["test", "--locked", "--workspace"]) },
  wasm: { does: wasmTests },
  build: { does: () => buildWorker() },
  size: { does: checkSize, needs: ["build"] },
  deploy: { does: () => deploy("--dry-run"), needs: ["build"] },
  scripts: { does: () => nodeTests(["tests/scripts", "check/tests", "sandbox"]), needs: ["build"] },
  e2e: { does: () => nodeTests(["tests/e2e"], "--test-concurrency=2"), needs: ["build"] },
  package: { does: packageTests, needs: ["build"] },
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
      CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER: wasmBindgenPath("wasm-bindgen-test-runner"),
    },
  });
  const passed = [...text.matchAll(/test result: ok\. (\d+) passed/g)].map((found) => Number(found[1]));
  if (passed.length !== suites.length || passed.includes(0))
    throw new Failure(`Of ${suites.length} wasm test suites ${passed.filter(Boolean).length} ran tests.`);
  say(`    ${passed.reduce((sum, count) => sum + count, 0)} wasm tests`);
}

/** The tests of the package, which is made and installed once for all of them. */
function packageTests() {
  return installedOnce(() => nodeTests(["tests/package"]));
}

await runMain((args) => runSteps("test", steps, args));
