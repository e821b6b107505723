// A budget in the runtime itself: twenty isolates in four processes share one keeper in a fifth, under half as many
// calls again as may leave. Every ten seconds one of the processes is killed, the keeper's among them, and begins anew.
// Says how many requests arrived at the API, in how many windows they were too many, and how much of the budget that is.
//
//   node bench/budget.mjs [seconds]      measures build/, or the build that PORTEIRO_E2E_MAIN names; a part of `npm run bench`
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { Agent, createServer, request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure, isMain, runMain, say } from "../scripts/lib.mjs";
import { freePort } from "../scripts/processes.mjs";
import { builtModules, startWorkerd } from "../scripts/workerd.mjs";

const REQUESTS = 600;
const WINDOW_MS = 60_000;
const PROCESSES = 4;
const ISOLATES = 5;
/** Calls a second, of all isolates together. */
const PACE = 15;
const KILL_MS = 10_000;
const KEY = randomBytes(32).toString("hex");

/**
 * Measures a budget for so many seconds, two windows at least. `exceeded` counts the windows with too many requests, and
 * `used` is the part of the budget that was used.
 *
 * @param {number} seconds
 */
export async function budget(seconds) {
  /** When each request arrived, in milliseconds. @type {number[]} */
  const arrivals = [];
  const api = createServer((_incoming, response) => {
    arrivals.push(performance.now());
    response.end("{}");
  }).listen(0, "127.0.0.1");
  await once(api, "listening");
  const { port } = /** @type {import("node:net").AddressInfo} */ (api.address());

  const vars = {
    CALLERS: { backend: { kind: "key" } },
    BACKEND_KEY: KEY,
    CONNECTIONS: {
      api: {
        provider: "custom",
        grant: "static",
        base_url: `http://127.0.0.1:${port}`,
        budget: { requests: REQUESTS, seconds: WINDOW_MS / 1000 },
        rules: [{ callers: ["backend"], methods: ["GET"], paths: ["/**"] }],
      },
    },
    API_TOKEN: "token",
    SEALING_KEYS: `k1:${randomBytes(32).toString("base64")}`,
  };
  const keeperPort = await freePort();

  /** The entry of the keeper's process: it hands messages on to the object that they name. */
  const KEEPER = `export { Keeper } from "./index.js";
  export default { fetch: (request, env) =>
    env.KEEPER.getByName(new URL(request.url).searchParams.get("name")).fetch(request) };`;

  /** The entry of an isolate, whose objects are in the keeper's process. */
  const EDGE = `import broker from "./index.js";
  const address = "http://127.0.0.1:${keeperPort}/?name=";
  const KEEPER = { getByName: (name) => ({ fetch: (_url, init) => fetch(address + encodeURIComponent(name), init) }) };
  const TOKENS = { get: async () => null, put: async () => {}, delete: async () => {} };
  export default { fetch: (request, env, context) => broker.fetch(request, { ...env, KEEPER, TOKENS }, context) };`;

  const objects = mkdtempSync(path.join(tmpdir(), "porteiro-budget-"));
  const startKeeper = () =>
    startWorkerd({
      workers: [
        { name: "keeper", keeper: true, port: keeperPort, vars, modules: { "main.js": KEEPER, ...builtModules() } },
      ],
      objects,
    });
  const startEdge = () => {
    const names = Array.from({ length: ISOLATES }, (_, number) => `isolate-${number}`);
    return startWorkerd({
      workers: names.map((name) => ({ name, vars, modules: { "main.js": EDGE, ...builtModules() } })),
    });
  };

  let keeper = await startKeeper();
  const edges = await Promise.all(Array.from({ length: PROCESSES }, startEdge));
  const agent = new Agent({ keepAlive: true });

  /** @type {{ [status: string]: number }} */
  const answers = {};
  /** @param {string} url */
  function call(url) {
    const sent = request(`${url}/api/api/things`, { agent, headers: { authorization: `Bearer ${KEY}` } });
    const count = (/** @type {string | number} */ what) => (answers[what] = (answers[what] ?? 0) + 1);
    sent.once("response", (response) => {
      count(response.statusCode ?? 0);
      response.resume();
    });
    sent.once("error", () => count("killed"));
    sent.end();
  }

  let kills = 0;
  async function kill() {
    const number = kills % (PROCESSES + 1);
    kills += 1;
    if (number === 0) {
      await keeper.stop();
      keeper = await startKeeper();
    } else {
      await edges[number - 1].stop();
      edges[number - 1] = await startEdge();
    }
  }

  const began = performance.now();
  let next = began;
  let nextKill = began + KILL_MS;
  let killing = Promise.resolve();
  for (let number = 0; performance.now() < began + seconds * 1000; number += 1) {
    const urls = Object.values(edges[number % PROCESSES].urls);
    call(urls[Math.floor(number / PROCESSES) % ISOLATES]);
    if (performance.now() > nextKill) {
      nextKill += KILL_MS;
      killing = killing.then(kill);
    }
    next += 1000 / PACE;
    await sleep(Math.max(0, next - performance.now()));
  }
  await killing;
  await sleep(500);
  await Promise.all([keeper, ...edges].map((each) => each.stop()));
  agent.destroy();
  api.closeAllConnections();
  api.close();
  rmSync(objects, { recursive: true, force: true });

  let first = 0;
  const inWindows = arrivals.map((at, number) => {
    while (arrivals[first] <= at - WINDOW_MS) first += 1;
    return number + 1 - first;
  });
  const exceeded = inWindows.filter((count) => count > REQUESTS).length;
  const used = arrivals.length / ((REQUESTS * seconds * 1000) / WINDOW_MS);
  return {
    requests: REQUESTS,
    windowMs: WINDOW_MS,
    isolates: PROCESSES * ISOLATES,
    seconds,
    kills,
    answers,
    exceeded,
    most: Math.max(...inWindows),
    used,
  };
}

/** @param {string[]} args */
async function main([text = "60"]) {
  const { requests, windowMs, isolates, seconds, kills, answers, exceeded, most, used } = await budget(Number(text));
  say(`${requests} requests in ${windowMs / 1000} s, ${isolates} isolates, ${seconds} s, ${kills} kills`);
  say(`answers: ${JSON.stringify(answers)}`);
  say(`exceeded in windows: ${exceeded}; the most in one: ${most}; used: ${used.toFixed(3)}`);
  if (exceeded > 0 || used < 0.9) throw new Failure("The budget was exceeded, or less than 0.9 of it was used.");
}

if (isMain(import.meta.url)) await runMain(main);
