// Requests per second, latencies and processor time of each subject, in interleaved rounds.
import { Failure } from "../scripts/lib.mjs";
import { load } from "./load.mjs";
import { KEY, KIB, MIB, ORIGIN, ROUNDS, SECONDS } from "./settings.mjs";
import { summary } from "./statistics.mjs";
import { LARGE, SINK, SMALL } from "./upstream.mjs";

/** @import { Slice, Subject } from "./load.mjs" */
/** @import { Summary } from "./statistics.mjs" */
/** @import { Services } from "./workers.mjs" */

/** @typedef {"rate" | "cpu" | "p50" | "p99"} Measure */

/** @typedef {{ [measure in Measure]: Summary }} Summaries */

/**
 * The results of a subject.
 *
 * @typedef {Summaries & { id: string, name: string, toBaseline: Summaries, toJavascript?: Summaries, rounds: Slice[] }} Measured
 */

/** @type {Measure[]} */
const MEASURES = ["rate", "cpu", "p50", "p99"];

/**
 * Measures subjects in turn, round after round. The machine's speed varies, so a ratio compares two slices of the same
 * round, and the result is the median of the ratios. All subjects are compared with the first one, and with the one
 * called `javascript`, if present.
 *
 * @param {Subject[]} subjects
 * @param {{ rounds?: number, seconds?: number, onSlice?: () => void }} [options]
 * @returns {Promise<Measured[]>}
 */
export async function measure(subjects, { rounds = ROUNDS, seconds = SECONDS, onSlice = () => {} } = {}) {
  for (const subject of subjects) await load(subject, seconds);
  /** @type {{ [id: string]: Slice[] }} */
  const slices = Object.fromEntries(subjects.map(({ id }) => [id, []]));
  for (let round = 0; round < rounds; round++) {
    // Each round starts with another subject.
    const from = round % subjects.length;
    for (const subject of [...subjects.slice(from), ...subjects.slice(0, from)]) {
      slices[subject.id].push(await load(subject, seconds));
      onSlice();
    }
  }
  return subjects.map(({ id, name }) => ({
    id,
    name,
    ...summaries((measure) => slices[id].map((slice) => slice[measure])),
    toBaseline: ratios(slices[id], slices[subjects[0].id]),
    ...(slices.javascript && { toJavascript: ratios(slices[id], slices.javascript) }),
    rounds: slices[id],
  }));
}

/**
 * @param {(measure: Measure) => number[]} valuesOf
 * @returns {Summaries}
 */
const summaries = (valuesOf) =>
  /** @type {Summaries} */ (Object.fromEntries(MEASURES.map((measure) => [measure, summary(valuesOf(measure))])));

/**
 * @param {Slice[]} slices
 * @param {Slice[]} base
 */
const ratios = (slices, base) =>
  summaries((measure) => slices.map((slice, round) => slice[measure] / base[round][measure]));

/**
 * The payloads, and the subjects of each.
 *
 * @param {object} surroundings
 * @param {{ urls: { [name: string]: string }, pid: number }} surroundings.brokers the brokers, in one process
 * @param {Services["upstream"]} surroundings.upstream
 * @param {string} surroundings.token a token of an issuer, for callers
 * @param {Services["hubsoft"]} surroundings.hubsoft
 * @param {{ url: string, pid: number, version: string }} [surroundings.envoy]
 */
export async function throughput({ brokers, upstream, token, hubsoft, envoy }) {
  const { pass, javascript, porteiro, people } = brokers.urls;
  const { pid } = brokers;
  const withKey = { authorization: `Bearer ${KEY}` };
  /** @type {(path: string, more?: Partial<Subject>) => Subject[]} */
  const three = (path, more) => [
    {
      id: "pass",
      name: "bare JavaScript pass-through",
      url: pass + path,
      headers: { authorization: "Bearer x" },
      pid,
      ...more,
    },
    {
      id: "javascript",
      name: "the broker in plain JavaScript, a key",
      url: `${javascript}/api/service${path}`,
      headers: withKey,
      pid,
      ...more,
    },
    { id: "key", name: "Porteiro, a key", url: `${porteiro}/api/service${path}`, headers: withKey, pid, ...more },
  ];
  const cookie = await signIn(people, hubsoft.credentials);
  const small = [
    ...three(SMALL),
    {
      id: "anyone",
      name: "Porteiro, anyone from a page",
      url: `${porteiro}/api/service${SMALL}`,
      headers: { origin: ORIGIN },
      pid,
    },
    {
      id: "jwt",
      name: "Porteiro, a remembered `jwt`",
      url: `${people}/api/service${SMALL}`,
      headers: { authorization: `Bearer ${token}` },
      pid,
    },
    {
      id: "bound",
      name: "Porteiro, the same, bound to its own data",
      url: `${people}/api/bound${SMALL}?page=1&customer=user-1`,
      headers: { authorization: `Bearer ${token}` },
      pid,
    },
    {
      id: "session",
      name: "Porteiro, a session and its own token",
      url: `${people}/api/people${SMALL}`,
      headers: { origin: ORIGIN, cookie },
      pid,
    },
    ...(envoy
      ? [
          {
            id: "envoy",
            name: `Envoy ${envoy.version}, no caller checked`,
            url: envoy.url + SMALL,
            headers: {},
            pid: envoy.pid,
          },
        ]
      : []),
    {
      id: "upstream",
      name: "nginx alone, nothing before it",
      url: upstream.url + SMALL,
      headers: {},
      pid: upstream.pid,
    },
  ];
  /** @type {(bodyBytes: number, connections: number) => Partial<Subject>} */
  const post = (bodyBytes, connections) => ({ method: "POST", bodyBytes, connections });
  return {
    small: await measure(small),
    large: await measure(three(LARGE, { connections: 8 })),
    posted: await measure(three(SINK, post(64 * KIB, 16))),
    // A slice must contain a few dozen requests.
    streamed: await measure(three(SINK, post(20 * MIB, 4)), { seconds: 2 * SECONDS, rounds: Math.ceil(ROUNDS / 2) }),
  };
}

/**
 * @param {string} broker
 * @param {Services["hubsoft"]["credentials"]} credentials
 */
async function signIn(broker, { username, password }) {
  const response = await fetch(`${broker}/auth/people/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ username, password }),
  });
  if (!response.ok) throw new Failure(`The sign-in was answered ${response.status}.`);
  return response.headers.getSetCookie()[0].split(";")[0];
}
