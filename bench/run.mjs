// Measures the broker: `npm run bench`. It needs Linux, `nginx` and `wrk`, and takes about fifteen minutes; ROUNDS and
// SECONDS make it longer or shorter. docs/explain/performance.md describes the measurements and gets the tables; the
// figures of each round go to bench/results.json.
import { spawnSync } from "node:child_process";
import { Failure, runMain, say, seconds, step } from "../scripts/lib.mjs";
import { startHubsoft } from "../sandbox/providers/hubsoft.mjs";
import { uploadKib } from "./asked.mjs";
import { budget } from "./budget.mjs";
import { cache } from "./cache.mjs";
import { coldStarts } from "./cold-starts.mjs";
import { coldTokens } from "./cold-tokens.mjs";
import { connections } from "./connections.mjs";
import { emptyWorker } from "./empty-worker.mjs";
import { startEnvoy } from "./envoy.mjs";
import { startIssuer } from "./issuer.mjs";
import { machine, versions } from "./machine.mjs";
import { checkParity } from "./parity.mjs";
import { report, writeReport, writeResults } from "./report.mjs";
import { ROUNDS, SECONDS } from "./settings.mjs";
import { storms } from "./storm.mjs";
import { throughput } from "./throughput.mjs";
import { startUpstream } from "./upstream.mjs";
import { configuration, javascriptModules, passThroughModules, preparePorteiro } from "./workers.mjs";
import { builtModules, startWorkerd } from "../scripts/workerd.mjs";

/** Two windows of the budget, and a little more. */
const BUDGET_SECONDS = 130;

async function main() {
  for (const tool of ["nginx", "wrk"]) {
    if (spawnSync(tool, ["-v"]).error)
      throw new Failure(`${tool} is missing: install it (on Debian: apt-get install nginx-light wrk).`);
  }
  await preparePorteiro();
  await emptyWorker();
  const began = performance.now();
  const date = new Date().toISOString();
  const upstream = await startUpstream();
  const hubsoft = await startHubsoft({ port: 0 });
  try {
    const surroundings = { upstream, hubsoft };
    const { envoy, measured } = await measureCalls(surroundings);
    const results = {
      date,
      rounds: ROUNDS,
      seconds: SECONDS,
      machine: machine(),
      versions: versions(envoy),
      throughput: measured,
      coldStarts: await step("cold starts", () => coldStarts(surroundings)),
      coldTokens: await step("cold tokens", () => coldTokens(surroundings)),
      cache: await step("a rule's cache", () => cache(surroundings)),
      storms: await step("storms at expiry", () => storms(surroundings)),
      connections: await step("many connections", () => connections(surroundings)),
      budget: await step("a budget", () => budget(BUDGET_SECONDS)),
      uploaded: uploadKib(),
    };
    writeResults("results", results);
    writeReport(results);
    say(
      `\n${report(results)}\n\nWritten to docs/explain/performance.md and bench/results.json, after ${seconds(began)}.`,
    );
  } finally {
    await upstream.stop();
    await hubsoft.close();
  }
}

/** @import { Services } from "./workers.mjs" */

/**
 * Measures each kind of call, on brokers that passed the parity check.
 *
 * @param {Services} services
 */
async function measureCalls({ upstream, hubsoft }) {
  const issuer = await startIssuer();
  /** @type {Awaited<ReturnType<typeof startEnvoy>>} */
  let envoy;
  /** @type {import("../scripts/workerd.mjs").Workerd | undefined} */
  let workerd;
  try {
    envoy = await step("Envoy", () => startEnvoy(upstream));
    const broker = { ...configuration({ upstream, hubsoft }), keeper: true };
    workerd = await startWorkerd({
      workers: [
        { name: "pass", modules: passThroughModules(upstream.url) },
        { name: "javascript", modules: await javascriptModules(), ...broker },
        { name: "porteiro", modules: builtModules(), ...broker },
        { name: "people", modules: builtModules(), ...configuration({ upstream, hubsoft, ...issuer }), keeper: true },
      ],
    });
    const { urls, pid } = workerd;
    await step("both brokers answer alike", () => checkParity(urls.porteiro, urls.javascript));
    const measured = await step("calls", () =>
      throughput({ brokers: { urls, pid }, upstream, token: issuer.token, hubsoft, envoy }),
    );
    return { envoy: envoy && { version: envoy.version }, measured };
  } finally {
    await workerd?.stop();
    await envoy?.stop();
    await issuer.close();
  }
}

await runMain(main);
