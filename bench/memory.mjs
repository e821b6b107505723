// Checks that memory stays bounded: `npm run bench:memory`. It needs Linux and `wrk`, and takes about ten minutes for
// its million calls; CALLS sets another number, and scales all of the work.
//
// One process and one isolate go through three kinds of work in turn. In the first half of each, memory may grow:
// caches fill, and code is compiled. After each half there is a rest, during which idle objects are evicted. The check
// compares memory after the second rest with memory after the first: the JavaScript heap after garbage collection; the
// memory of the WebAssembly module, which never shrinks; and the process's memory in RAM. Most of the last is the
// runtime's: each object has a database, and the runtime's allocator returns memory when it chooses.
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, runMain, say, step } from "../scripts/lib.mjs";
import { startHubsoft } from "../sandbox/providers/hubsoft.mjs";
import { freePort } from "../scripts/processes.mjs";
import { attach } from "./heap.mjs";
import { connections, cutCalls, sessions } from "./memory-work.mjs";
import { startIssuer } from "./issuer.mjs";
import { machine, versions } from "./machine.mjs";
import { residentMiB } from "./process.mjs";
import { writeResults } from "./report.mjs";
import { MIB } from "./settings.mjs";
import { startSilence } from "./silence.mjs";
import { startUpstream } from "./upstream.mjs";
import { configuration, connectionId, preparePorteiro } from "./workers.mjs";
import { builtModules, startWorkerd } from "../scripts/workerd.mjs";

const CALLS = Number(process.env.CALLS ?? 1_000_000);
const CONNECTIONS = 1000;
const CUT = `${CALLS / 50} calls whose callers leave while they wait`;
const SLICES = 20;
// The runtime evicts an object after ten idle seconds.
const REST_MS = 15_000;
/** How much each may have grown by the second rest, in MiB. */
const MOST_GROWTH = { heap: 1, wasm: 1, resident: 64 };
/**
 * The module's largest memory in total while the maximum number of calls wait, including those of disconnected callers.
 */
const WASM_WHILE_CALLS_WAIT = 32;

// The entry of the measured worker: it answers with the size of the module's memory, and otherwise is the broker.
const CAPTURE = `export const memories = [];
WebAssembly.Instance = class extends WebAssembly.Instance {
  constructor(...given) { super(...given); memories.push(this.exports.memory); }
};`;
const PROBE = `import { memories } from "./capture.js";
import broker from "./index.js";
export { Keeper } from "./index.js";
export default { fetch(request, env, ctx) {
  if (request.url.endsWith("/bench/memory")) return Response.json(memories.at(-1).buffer.byteLength);
  return broker.fetch(request, env, ctx);
} };`;

/** @import { Work } from "./memory-work.mjs" */

async function main() {
  await preparePorteiro();
  const people = Array.from({ length: 500 }, (_, number) => ({
    username: `person-${number}@example.com`,
    password: `secret-${number}`,
  }));
  const upstream = await startUpstream();
  const issuer = await startIssuer();
  const silence = await startSilence();
  const hubsoft = await startHubsoft({ port: 0, people, options: { recordLimit: 1 } });
  const config = configuration({ upstream, hubsoft, ...issuer, count: CONNECTIONS + 1 });
  const silent = connectionId(CONNECTIONS);
  // How long the call of a disconnected caller continues.
  Object.assign(config.vars.CONNECTIONS[silent], { base_url: silence.url, timeout_ms: 1000 });
  const modules = { "main.js": PROBE, "capture.js": CAPTURE, ...builtModules() };
  const inspector = `http://127.0.0.1:${await freePort()}`;
  const workerd = await startWorkerd({ workers: [{ name: "porteiro", modules, ...config, keeper: true }], inspector });
  const wasmMiB = async () => Number(await (await fetch(`${workerd.urls.porteiro}/bench/memory`)).text()) / MIB;
  const heap = await attach(inspector, "porteiro", wasmMiB);
  const sample = async () => ({
    heap: await heap.usedMiB(),
    wasm: await wasmMiB(),
    resident: residentMiB(workerd.pid),
  });
  try {
    const surroundings = { broker: workerd.urls.porteiro, pid: workerd.pid, people, silence, silent };
    const work = {
      [`${CALLS} calls over ${CONNECTIONS} connections`]: connections(surroundings, CONNECTIONS, CALLS / SLICES),
      [`${CALLS / 100} sessions, each signed in and called`]: sessions(surroundings, CALLS / 100 / SLICES),
      [CUT]: cutCalls(surroundings, CALLS / 50 / SLICES),
    };
    /** @type {Results} */
    const results = {};
    for (const [name, slice] of Object.entries(work)) results[name] = await step(name, () => watched(slice, sample));
    writeResults("memory", {
      date: new Date().toISOString(),
      calls: CALLS,
      machine: machine(),
      versions: versions(),
      results,
    });
    judge(results);
  } finally {
    heap.close();
    await workerd.stop();
    await Promise.all([upstream.stop(), hubsoft.close(), silence.close(), issuer.close()]);
  }
}

/**
 * The measured kinds of memory, in MiB.
 *
 * @typedef {{ [kind in keyof typeof MOST_GROWTH]: number }} Sample
 */

/** @typedef {{ samples: Sample[], rested: Sample[] }} Course */

/** @typedef {{ [work: string]: Course }} Results */

/**
 * Runs the slices of a kind of work; returns the memory during the work, and after the rest that follows each half.
 *
 * @param {Work} slice
 * @param {() => Promise<Sample>} sample
 * @returns {Promise<Course>}
 */
async function watched(slice, sample) {
  /** @type {Sample[]} */
  const samples = [];
  /** @type {Sample[]} */
  const rested = [];
  for (let number = 1; number <= SLICES; number++) {
    await slice(number - 1);
    const now = await sample();
    samples.push(now);
    say(`    ${String(number).padStart(2)} of ${SLICES}: ${told(now)}`);
    if (number % (SLICES / 2) > 0) continue;
    await sleep(REST_MS);
    const then = await sample();
    rested.push(then);
    say(`    after a rest: ${told(then)}`);
  }
  return { samples, rested };
}

/** @param {Sample} sample */
const told = ({ heap, wasm, resident }) =>
  `${heap.toFixed(2)} MiB of heap, ${wasm.toFixed(1)} MiB of WebAssembly, ${resident.toFixed(0)} MiB resident`;

/**
 * Fails if one kind of work made memory grow in its second half.
 *
 * @param {Results} results
 */
function judge(results) {
  const grown = [];
  for (const [
    name,
    {
      rested: [first, second],
    },
  ] of Object.entries(results)) {
    for (const kind of /** @type {(keyof Sample)[]} */ (Object.keys(MOST_GROWTH))) {
      const most = MOST_GROWTH[kind];
      const growth = second[kind] - first[kind];
      say(`${name}: ${kind} ${growth >= 0 ? "+" : ""}${growth.toFixed(2)} MiB in the second half (${most} at most)`);
      const isOfWaiting = kind === "wasm" && name === CUT && second.wasm <= WASM_WHILE_CALLS_WAIT;
      if (growth > most && !isOfWaiting) grown.push(`${name} (${kind})`);
    }
  }
  if (grown.length > 0) throw new Failure(`Memory grows with ${grown.join(", ")}.`);
}

await runMain(main);
