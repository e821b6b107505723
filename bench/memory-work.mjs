// The kinds of work during which memory is measured: each function returns another that does one slice of it.
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Failure } from "../scripts/lib.mjs";
import { callAll, inTurn } from "./connections.mjs";
import { load } from "./load.mjs";
import { KEY, ORIGIN } from "./settings.mjs";
import { SMALL } from "./upstream.mjs";

/** @import { Silence } from "./silence.mjs" */

/**
 * Does the slice with this number.
 *
 * @typedef {(slice: number) => Promise<void>} Work
 */

/**
 * The surroundings of the work: the broker's address and process, people who can sign in, and a connection called
 * `silent` to an upstream that never answers.
 *
 * @typedef {object} Surroundings
 * @property {string} broker
 * @property {number} pid
 * @property {{ username: string, password: string }[]} people
 * @property {Silence} silence
 * @property {string} silent
 */

const AT_ONCE = 16;
const ARRIVAL_LIMIT_MS = 10_000;

/**
 * Makes at least `calls` calls per slice, spread over the first `count` connections.
 *
 * @param {Surroundings} surroundings
 * @param {number} count
 * @param {number} calls
 * @returns {Work}
 */
export function connections({ broker, pid }, count, calls) {
  const script = inTurn(count);
  const subject = { name: "calls", url: broker, pid, headers: { authorization: `Bearer ${KEY}` }, script };
  return async (number) => {
    if (number === 0) await callAll(broker, count);
    for (let left = calls; left > 0; ) {
      const { requests } = await load(subject, 2);
      left -= requests;
    }
  };
}

/**
 * Signs people in, each from an address and with a name not otherwise in use at that time, and makes a call for each.
 *
 * @param {Surroundings} surroundings
 * @param {number} count the number of people per slice
 * @returns {Work}
 */
export function sessions({ broker, people }, count) {
  return (slice) =>
    atOnce(count, async (number) => {
      const at = slice * count + number;
      const headers = {
        origin: ORIGIN,
        "content-type": "application/json",
        "cf-connecting-ip": `10.${(at >> 16) & 255}.${(at >> 8) & 255}.${at & 255}`,
      };
      const body = JSON.stringify(people[at % people.length]);
      const signedIn = await fetch(`${broker}/auth/people/login`, { method: "POST", headers, body });
      await expectOk(signedIn, "A sign-in");
      const cookie = signedIn.headers.getSetCookie()[0].split(";")[0];
      await expectOk(
        await fetch(`${broker}/api/people${SMALL}`, { headers: { origin: ORIGIN, cookie } }),
        "A call in a session",
      );
    });
}

/**
 * Makes calls whose callers disconnect while the upstream is silent.
 *
 * @param {Surroundings} surroundings
 * @param {number} count the number of calls per slice
 * @returns {Work}
 */
export function cutCalls({ broker, silence, silent }, count) {
  return async (slice) => {
    await atOnce(count, (number) => leave({ broker, silence, silent }, slice * count + number));
    // Calls still on their way end at their time limit.
    await sleep(1500);
  };
}

/**
 * Resets the connection of a call that has reached the upstream.
 *
 * @param {Pick<Surroundings, "broker" | "silence" | "silent">} surroundings
 * @param {number} number the number of the call
 */
async function leave({ broker, silence, silent }, number) {
  const socket = connect(Number(new URL(broker).port), "127.0.0.1");
  await once(socket, "connect");
  const arrived = silence.arrival(number);
  socket.write(`GET /api/${silent}${SMALL}?${number} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer ${KEY}\r\n\r\n`);
  const timer = setTimeout(
    () => socket.destroy(new Failure("A call did not arrive at the upstream.")),
    ARRIVAL_LIMIT_MS,
  );
  await Promise.race([arrived, once(socket, "close")]);
  clearTimeout(timer);
  socket.resetAndDestroy();
}

/**
 * @param {number} count
 * @param {(number: number) => Promise<void>} action
 */
async function atOnce(count, action) {
  let next = 0;
  const worker = async () => {
    while (next < count) await action(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/**
 * @param {Response} response
 * @param {string} what
 */
async function expectOk(response, what) {
  const text = await response.text();
  if (!response.ok) throw new Failure(`${what} was answered ${response.status}: ${text}`);
}
