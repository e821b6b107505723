// Runs the long tests, after `npm test`: all of them, or the named steps and their dependencies.
import { buildWorker } from "./build.mjs";
import { compileFaults } from "./faults.mjs";
import { runMain } from "./lib.mjs";
import { setup } from "./setup.mjs";
import { nodeTests, runSteps } from "./steps.mjs";

const steps = {
  setup: { does: () => setup({ tests: true }) },
  faults: { does: () => compileFaults() },
  build: { does: () => buildWorker() },
  drills: { does: () => nodeTests(["tests/drills"], "--test-concurrency=2"), needs: ["build"] },
};

await runMain((args) => runSteps("verify", steps, args));
