// A rule's cache: answers from a copy, against a bare pass-through and calls without one; and a crowd of equal calls,
// which are one call of the upstream, against the same crowd without a cache. Alone: `node bench/cache.mjs`.
import { Agent, request } from "node:http";
import { Failure, isMain, runMain, say } from "../scripts/lib.mjs";
import { builtModules, startWorkerd } from "../scripts/workerd.mjs";
import { startHubsoft } from "../sandbox/providers/hubsoft.mjs";
import { startIssuer } from "./issuer.mjs";
import { BROWSER_HEADERS, KEY, ROUNDS } from "./settings.mjs";
import { summary } from "./statistics.mjs";
import { measure } from "./throughput.mjs";
import { SMALL, startUpstream } from "./upstream.mjs";
import { configuration, passThroughModules, preparePorteiro } from "./workers.mjs";

/** @import { Services } from "./workers.mjs" */

const CROWD = 200;

/** @param {Services} services */
export async function cache({ upstream, hubsoft }) {
  const issuer = await startIssuer();
  const porteiro = {
    modules: builtModules(),
    ...configuration({ upstream, hubsoft, issuer: issuer.issuer }),
    keeper: true,
  };
  const workerd = await startWorkerd({
    workers: [
      { name: "pass", modules: passThroughModules(upstream.url) },
      { name: "porteiro", ...porteiro },
    ],
  });
  const agent = new Agent({ keepAlive: true, maxSockets: CROWD });
  const { urls, pid } = workerd;
  const headers = { authorization: `Bearer ${KEY}` };
  try {
    const calls = await measure([
      { id: "pass", name: "bare JavaScript pass-through", url: urls.pass + SMALL, headers, pid },
      { id: "key", name: "Porteiro, a key", url: `${urls.porteiro}/api/service${SMALL}`, headers, pid },
      { id: "cached", name: "Porteiro, from a copy", url: `${urls.porteiro}/api/cached${SMALL}`, headers, pid },
    ]);
    const rounds = [];
    for (let round = 0; round < ROUNDS; round++) {
      // No round has the address of another.
      const target = `${SMALL}?round=${round}`;
      const alone = await crowd(`${urls.porteiro}/api/service${target}`, agent);
      const coalesced = await crowd(`${urls.porteiro}/api/cached${target}`, agent);
      rounds.push({ alone: alone.ms, coalesced: coalesced.ms, sent: CROWD - coalesced.copies });
    }
    return {
      calls,
      crowd: CROWD,
      sent: Math.max(...rounds.map(({ sent }) => sent)),
      ratio: summary(rounds.map(({ alone, coalesced }) => alone / coalesced)),
      rounds,
    };
  } finally {
    agent.destroy();
    await workerd.stop();
    await issuer.close();
  }
}

/**
 * Makes equal calls at once: the milliseconds until the last answer, and how many answers were copies.
 *
 * @param {string} url
 * @param {Agent} agent
 */
async function crowd(url, agent) {
  const began = performance.now();
  const told = await Promise.all(Array.from({ length: CROWD }, () => call(url, agent)));
  const copies = told.filter((status) => status.includes("hit") || status.includes("collapsed")).length;
  return { ms: performance.now() - began, copies };
}

/**
 * @param {string} url
 * @param {Agent} agent
 * @returns {Promise<string>} the answer's `Cache-Status`
 */
function call(url, agent) {
  return new Promise((resolve, reject) => {
    const headers = { ...BROWSER_HEADERS, authorization: `Bearer ${KEY}` };
    const sent = request(url, { agent, headers }, (response) => {
      response.resume().on("end", () => {
        if (response.statusCode === 200) resolve(String(response.headers["cache-status"] ?? ""));
        else reject(new Failure(`A call of the crowd was answered ${response.statusCode}.`));
      });
    });
    sent.on("error", reject).end();
  });
}

if (isMain(import.meta.url)) {
  await runMain(async () => {
    await preparePorteiro();
    const upstream = await startUpstream();
    const hubsoft = await startHubsoft({ port: 0 });
    try {
      const { calls, crowd, sent, ratio } = await cache({ upstream, hubsoft });
      for (const { name, rate, toBaseline } of calls)
        say(`${name.padEnd(30)} ${rate.median.toFixed(0)}/s, to the pass-through ${toBaseline.rate.median.toFixed(2)}`);
      say(`${crowd} equal calls at once: ${sent} sent, ${ratio.median.toFixed(2)} times as fast as without a cache`);
    } finally {
      await upstream.stop();
      await hubsoft.close();
    }
  });
}
