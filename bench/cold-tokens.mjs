// How long an isolate's first call waits for its token, by the token's source.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Failure } from "../scripts/lib.mjs";
import { answerOf } from "./cold-starts.mjs";
import { startKv } from "./kv.mjs";
import { exactCpuMicros } from "./process.mjs";
import { KEY, ROUNDS } from "./settings.mjs";
import { summary } from "./statistics.mjs";
import { SMALL } from "./upstream.mjs";
import { configuration, javascriptModules } from "./workers.mjs";
import { builtModules, startWorkerd } from "../scripts/workerd.mjs";

/** @import { Worker, Workerd } from "../scripts/workerd.mjs" */
/** @import { Kv } from "./kv.mjs" */
/** @import { Summary } from "./statistics.mjs" */
/** @import { Services } from "./workers.mjs" */

/** @typedef {"grant" | "keeper" | "kv" | "memory"} Source */

/**
 * The duration of a call, and of getting its token, in milliseconds; and the processor time that the process used for
 * it.
 *
 * @typedef {{ call: number, token: number, processor: number }} Timed
 */

/** About as many as fit into the Worker's variables. */
const CONNECTIONS = 20;

/** @type {Source[]} */
const SOURCES = ["grant", "keeper", "kv", "memory"];

/**
 * Calls a new isolate for each source of a token, once a round.
 *
 * @param {Services} services
 */
export async function coldTokens({ upstream, hubsoft }) {
  const broker = { name: "broker", ...configuration({ upstream, hubsoft, count: CONNECTIONS }), keeper: true };
  const subjects = [
    {
      id: "javascript",
      name: "the broker in plain JavaScript",
      worker: { ...broker, modules: await javascriptModules() },
    },
    { id: "porteiro", name: "Porteiro", worker: { ...broker, modules: builtModules() } },
  ];
  const kv = await startKv();
  try {
    /** @type {{ [id: string]: { [source in Source]: Timed }[] }} */
    const times = Object.fromEntries(subjects.map(({ id }) => [id, []]));
    for (let round = 0; round < ROUNDS; round++) {
      for (const { id, worker } of subjects) times[id].push(await lifeOfToken(worker, kv));
    }
    return subjects.map(({ id, name }) => ({
      id,
      name,
      .../** @type {{ [source in Source]: { [part in keyof Timed]: Summary } }} */ (
        Object.fromEntries(
          SOURCES.map((source) => [
            source,
            {
              call: summary(times[id].map((time) => time[source].call)),
              token: summary(times[id].map((time) => time[source].token)),
              processor: summary(times[id].map((time) => time[source].processor)),
            },
          ]),
        )
      ),
      rounds: times[id],
    }));
  } finally {
    kv.close();
  }
}

/**
 * Follows one token from its grant: each further isolate gets it from another source.
 *
 * @param {Worker} worker
 * @param {Kv} kv
 */
async function lifeOfToken(worker, kv) {
  const objects = mkdtempSync(path.join(tmpdir(), "porteiro-bench-objects-"));
  /**
   * @template {Source} Found
   * @param {Found[]} sources
   */
  const isolate = async (...sources) => {
    const workerd = await startWorkerd({ workers: [worker], kv: kv.url, objects });
    try {
      const times = /** @type {{ [source in Found]: Timed }} */ ({});
      for (const source of sources) times[source] = await timedCall(workerd, source);
      // The broker writes the copy after it has answered.
      if (sources.some((source) => source === "grant")) await kv.untilWritten();
      return times;
    } finally {
      await workerd.stop();
    }
  };
  try {
    kv.clear();
    const granted = await isolate("grant");
    const copied = await isolate("kv", "memory");
    kv.clear();
    return { ...granted, ...copied, ...(await isolate("keeper")) };
  } finally {
    rmSync(objects, { recursive: true, force: true });
  }
}

/**
 * @param {Workerd} workerd
 * @param {Source} source the required source of the token
 * @returns {Promise<Timed>}
 */
async function timedCall({ pid, urls }, source) {
  const [began, used] = [performance.now(), exactCpuMicros(pid)];
  const { headers } = await answerOf(`${urls.broker}/api/service${SMALL}`, { authorization: `Bearer ${KEY}` });
  const call = performance.now() - began;
  const processor = (exactCpuMicros(pid) - used) / 1e3;
  const [, found, token] = /desc="(\w+)";dur=(\d+)/.exec(headers["server-timing"]) ?? [];
  if (found !== source) throw new Failure(`The token came from "${found}", not from "${source}".`);
  return { call, token: Number(token), processor };
}
