// The cost of many connections in one configuration: reading it, holding it in memory, and on each call.
import { step } from "../scripts/lib.mjs";
import { answerOf } from "./cold-starts.mjs";
import { residentMiB } from "./process.mjs";
import { KEY, ROUNDS } from "./settings.mjs";
import { summary } from "./statistics.mjs";
import { measure } from "./throughput.mjs";
import { SMALL } from "./upstream.mjs";
import { configuration, connectionId } from "./workers.mjs";
import { builtModules, startWorkerd } from "../scripts/workerd.mjs";

/** @import { Workerd } from "../scripts/workerd.mjs" */
/** @import { Services } from "./workers.mjs" */

const COUNTS = [1, 10, 100, 1000];
const AT_ONCE = 16;
const STARTS = Math.ceil(ROUNDS / 3);

const withKey = { authorization: `Bearer ${KEY}` };

/** @param {Services} services */
export async function connections({ upstream, hubsoft }) {
  /** @param {number} count */
  const start = (count) =>
    startWorkerd({
      workers: [
        { name: "porteiro", modules: builtModules(), ...configuration({ upstream, hubsoft, count }), keeper: true },
      ],
    });
  const firsts = await step("first answers", () => firstAnswers(start));
  /** @type {Workerd[]} */
  const processes = [];
  try {
    for (const count of COUNTS) {
      const workerd = await start(count);
      processes.push(workerd);
      await callAll(workerd.urls.porteiro, count);
    }
    const subjects = processes.map(({ urls, pid }, at) => ({
      id: `n${COUNTS[at]}`,
      name: `${COUNTS[at]} connections`,
      url: urls.porteiro,
      headers: withKey,
      pid,
      script: inTurn(COUNTS[at]),
    }));
    const measured = await measure(subjects, { rounds: STARTS });
    return measured.map((one, at) => ({
      ...one,
      connections: COUNTS[at],
      firstAnswer: summary(firsts[at]),
      memory: Math.round(residentMiB(processes[at].pid)),
    }));
  } finally {
    await Promise.all(processes.map((workerd) => workerd.stop()));
  }
}

/**
 * Milliseconds until the first call of a new isolate is answered, which reads the configuration and needs a grant.
 *
 * @param {(count: number) => Promise<Workerd>} start
 */
async function firstAnswers(start) {
  /** @type {number[][]} */
  const times = COUNTS.map(() => []);
  for (let round = 0; round < STARTS; round++) {
    for (const [at, count] of COUNTS.entries()) {
      const workerd = await start(count);
      const began = performance.now();
      await answerOf(workerd.urls.porteiro + pathOf(0), withKey);
      times[at].push(performance.now() - began);
      await workerd.stop();
    }
  }
  return times;
}

/** @param {number} number */
const pathOf = (number) => `/api/${connectionId(number)}${SMALL}`;

/**
 * Calls each connection once, so that the isolate holds its token in memory.
 *
 * @param {string} broker its address
 * @param {number} count
 */
export async function callAll(broker, count) {
  const left = Array.from({ length: count }, (_, number) => number);
  const caller = async () => {
    for (let number = left.pop(); number !== undefined; number = left.pop())
      await answerOf(broker + pathOf(number), withKey);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, caller));
}

/**
 * A wrk script that calls the connections in turn.
 *
 * @param {number} count
 */
export function inTurn(count) {
  return `local at = 0
request = function()
  at = (at + 1) % ${count}
  return wrk.format(nil, at == 0 and "${pathOf(0)}" or "/api/service-" .. at .. "${SMALL}")
end
`;
}
