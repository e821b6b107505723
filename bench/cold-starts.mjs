// How long a new Worker takes to answer its first call.
//
// Each measurement starts a process. Before `workerd` listens, it makes an isolate for every worker of the
// configuration and evaluates its modules: so the time of one isolate is the difference that further copies of a worker
// make, and the first call to each copy is measured separately.
import { request } from "node:http";
import { gzipSync } from "node:zlib";
import { Failure } from "../scripts/lib.mjs";
import { emptyWorker } from "./empty-worker.mjs";
import { KEY, ROUNDS } from "./settings.mjs";
import { summary } from "./statistics.mjs";
import { SMALL } from "./upstream.mjs";
import { configuration, emptyModules, javascriptModules } from "./workers.mjs";
import { builtModules, rustModules, startWorkerd } from "../scripts/workerd.mjs";

/** @import { Modules, Worker } from "../scripts/workerd.mjs" */
/** @import { Summary } from "./statistics.mjs" */
/** @import { Services } from "./workers.mjs" */

/**
 * A worker to start, and the request to send to it.
 *
 * @typedef {Omit<Worker, "name"> & { id: string, name: string, path: string, headers?: { [name: string]: string } }} Subject
 */

/** @typedef {{ total: number, isolate: number, first: number, later: number }} Parts */

/** @type {(keyof Parts)[]} */
const PARTS = ["total", "isolate", "first", "later"];

const COPIES = 10;

const withKey = { authorization: `Bearer ${KEY}` };

/**
 * Starts each subject once a round; returns medians, and the ratio to the empty Worker in JavaScript.
 *
 * @param {Services} services
 */
export async function coldStarts({ upstream, hubsoft }) {
  const broker = { ...configuration({ upstream, hubsoft }), keeper: true };
  /** @type {Subject[]} */
  const subjects = [
    { id: "empty", name: "an empty Worker in JavaScript", modules: emptyModules, path: "/" },
    { id: "emptyRust", name: "an empty Worker in Rust", modules: rustModules(await emptyWorker()), path: "/" },
    {
      id: "javascript",
      name: "the broker in plain JavaScript, `/healthz`",
      modules: await javascriptModules(),
      ...broker,
      path: "/healthz",
    },
    { id: "health", name: "Porteiro, `/healthz`", modules: builtModules(), ...broker, path: "/healthz" },
    {
      id: "javascriptCall",
      name: "the broker in plain JavaScript, a call that needs a grant",
      modules: await javascriptModules(),
      ...broker,
      path: `/api/service${SMALL}`,
      headers: withKey,
    },
    {
      id: "call",
      name: "Porteiro, a call that needs a grant",
      modules: builtModules(),
      ...broker,
      path: `/api/service${SMALL}`,
      headers: withKey,
    },
  ];
  for (const subject of subjects) await start(subject, 1);
  /** @type {{ [id: string]: Parts[] }} */
  const times = Object.fromEntries(subjects.map(({ id }) => [id, []]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const subject of subjects) {
      const [alone, many] = [await start(subject, 1), await start(subject, 1 + COPIES)];
      times[subject.id].push({
        total: alone.listening + alone.firsts[0],
        isolate: (many.listening - alone.listening) / COPIES,
        first: alone.firsts[0],
        // The copies after the first use its compiled code.
        later: summary(many.firsts.slice(1)).median,
      });
    }
  }
  return subjects.map(({ id, name, modules }) => ({
    id,
    name,
    ...bytes(modules),
    ...summaries(times[id]),
    toEmpty: summary(times[id].map(({ total }, round) => total / times.empty[round].total)),
    rounds: times[id],
  }));
}

/**
 * @param {Parts[]} times
 * @returns {{ [part in keyof Parts]: Summary }}
 */
const summaries = (times) =>
  /** @type {{ [part in keyof Parts]: Summary }} */ (
    Object.fromEntries(PARTS.map((part) => [part, summary(times.map((time) => time[part]))]))
  );

/**
 * Milliseconds from the start of the process until it listens, and those until each copy's first answer.
 *
 * @param {Subject} subject
 * @param {number} copies
 */
async function start({ modules, vars, keeper, path, headers }, copies) {
  const workers = Array.from({ length: copies }, (_, number) => ({
    name: `copy-${number}`,
    modules,
    vars,
    keeper,
  }));
  const workerd = await startWorkerd({ workers });
  try {
    const firsts = [];
    for (const { name } of workers) {
      const began = performance.now();
      await answerOf(workerd.urls[name] + path, headers);
      firsts.push(performance.now() - began);
    }
    return { listening: workerd.listeningAt - workerd.began, firsts };
  } finally {
    await workerd.stop();
  }
}

/**
 * The answer to a request on a connection of its own.
 *
 * @param {string} url
 * @param {{ [name: string]: string }} [headers]
 * @returns {Promise<{ headers: { [name: string]: string }, body: string }>}
 */
export function answerOf(url, headers = {}) {
  return new Promise((resolve, reject) => {
    const sent = request(url, { headers, agent: false }, (response) => {
      let body = "";
      response.on("data", (chunk) => (body += chunk));
      response.on("end", () => {
        if (response.statusCode === 200)
          resolve({ headers: /** @type {{ [name: string]: string }} */ (response.headers), body });
        else reject(new Failure(`${url} was answered ${response.statusCode}: ${body}`));
      });
    });
    sent.on("error", reject);
    sent.end();
  });
}

/** @param {Modules} modules */
function bytes(modules) {
  const contents = Object.values(modules).map((content) => Buffer.from(/** @type {string} */ (content)));
  /** @param {Buffer[]} list */
  const sum = (list) => list.reduce((total, { length }) => total + length, 0);
  return { bytes: sum(contents), gzipped: sum(contents.map((content) => gzipSync(content, { level: 9 }))) };
}
