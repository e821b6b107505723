// Many concurrent calls at the moment when the token has expired: how many token requests they cause, and how long they
// wait.
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../scripts/lib.mjs";
import { startHubsoft } from "../sandbox/providers/hubsoft.mjs";
import { BROWSER_HEADERS, KEY, ROUNDS } from "./settings.mjs";
import { summary } from "./statistics.mjs";
import { SMALL } from "./upstream.mjs";
import { configuration } from "./workers.mjs";
import { builtModules, startWorkerd } from "../scripts/workerd.mjs";

/** @import { Services } from "./workers.mjs" */

const CROWD = 200;
const LIFE_SECONDS = 3;
const TOKEN_REQUEST_MS = 100;
// Each round waits for two lifetimes of a token.
const STORMS = Math.ceil(ROUNDS / 3);

/** @param {Pick<Services, "upstream">} services */
export async function storms({ upstream }) {
  const hubsoft = await startHubsoft({ port: 0, options: { expiresIn: LIFE_SECONDS } });
  const worker = {
    name: "porteiro",
    modules: builtModules(),
    ...configuration({ upstream, hubsoft }),
    keeper: true,
  };
  const workerd = await startWorkerd({ workers: [worker] });
  const agent = new Agent({ keepAlive: true, maxSockets: CROWD });
  const url = `${workerd.urls.porteiro}/api/service${SMALL}`;
  try {
    const rounds = [];
    await crowd(url, agent);
    for (let round = 0; round < STORMS; round++) {
      await untilExpired(hubsoft);
      const before = hubsoft.tokenRequests.length;
      hubsoft.arm({ target: "token", kind: "delay", ms: TOKEN_REQUEST_MS });
      const expired = await crowd(url, agent);
      const tokenRequests = hubsoft.tokenRequests.length - before;
      rounds.push({ tokenRequests, expired, warm: await crowd(url, agent) });
    }
    return {
      crowd: CROWD,
      tokenRequestMs: TOKEN_REQUEST_MS,
      tokenRequests: Math.max(...rounds.map(({ tokenRequests }) => tokenRequests)),
      expired: summary(rounds.map(({ expired }) => expired)),
      warm: summary(rounds.map(({ warm }) => warm)),
      rounds,
    };
  } finally {
    agent.destroy();
    await workerd.stop();
    await hubsoft.close();
  }
}

/**
 * Waits until the token has expired. The keeper renews a token once more after its last use, which moves the expiry.
 *
 * @param {{ tokenRequests: { at: number }[] }} provider
 */
async function untilExpired({ tokenRequests }) {
  for (;;) {
    const left = (tokenRequests.at(-1)?.at ?? 0) + LIFE_SECONDS * 1000 + 20 - Date.now();
    if (left <= 0) return;
    await sleep(left);
  }
}

/**
 * Makes all calls at once; returns the milliseconds until the last answer.
 *
 * @param {string} url
 * @param {Agent} agent
 */
async function crowd(url, agent) {
  const began = performance.now();
  await Promise.all(Array.from({ length: CROWD }, () => call(url, agent)));
  return performance.now() - began;
}

/**
 * @param {string} url
 * @param {Agent} agent
 * @returns {Promise<void>}
 */
function call(url, agent) {
  return new Promise((resolve, reject) => {
    const sent = request(
      url,
      { agent, headers: { ...BROWSER_HEADERS, authorization: `Bearer ${KEY}` } },
      (response) => {
        response.resume().on("end", () => {
          if (response.statusCode === 200) resolve();
          else reject(new Failure(`A call in the storm was answered ${response.statusCode}.`));
        });
      },
    );
    sent.on("error", reject).end();
  });
}
