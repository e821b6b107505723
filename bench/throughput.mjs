// Requests a second, latencies and processor time, of each subject in interleaved rounds.
import { Failure } from "../scripts/lib.mjs";
import { load } from "./load.mjs";
import { KEY, KIB, MIB, ORIGIN, ROUNDS, SECONDS } from "./settings.mjs";
import { summary } from "./statistics.mjs";
import { LARGE, SINK, SMALL } from "./upstream.mjs";

const MEASURES = ["rate", "cpu", "p50", "p99"];

/**
 * Measures subjects in turn, round after round. The machine is not always as fast: a ratio is that of
 * two slices of one round, and what is told is the median of the ratios. The first subject is what
 * the others are compared with, and so is the one called `javascript`, where there is one.
 */
export async function measure(subjects, { rounds = ROUNDS, seconds = SECONDS, onSlice = () => {} } = {}) {
  for (const subject of subjects) await load(subject, seconds);
  const slices = Object.fromEntries(subjects.map(({ id }) => [id, []]));
  for (let round = 0; round < rounds; round++) {
    // None is always behind the same neighbour.
    const from = round % subjects.length;
    for (const subject of [...subjects.slice(from), ...subjects.slice(0, from)]) {
      slices[subject.id].push(await load(subject, seconds));
      onSlice();
    }
  }
  return subjects.map(({ id, name }) => ({
    id,
    name,
    ...Object.fromEntries(MEASURES.map((measure) => [measure, summary(slices[id].map((slice) => slice[measure]))])),
    toBaseline: ratios(slices[id], slices[subjects[0].id]),
    ...(slices.javascript && { toJavascript: ratios(slices[id], slices.javascript) }),
    rounds: slices[id],
  }));
}

const ratios = (slices, base) =>
  Object.fromEntries(
    MEASURES.map((measure) => [measure, summary(slices.map((slice, round) => slice[measure] / base[round][measure]))]),
  );

/** The payloads, and the subjects of each. */
export async function throughput({ workerd, upstream, issuer, hubsoft, envoy }) {
  const { pass, javascript, porteiro, people } = workerd.urls;
  const { pid } = workerd;
  const withKey = { authorization: `Bearer ${KEY}` };
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
      headers: { authorization: `Bearer ${issuer.token}` },
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
  const post = (bodyBytes, connections) => ({ method: "POST", bodyBytes, connections });
  return {
    small: await measure(small),
    large: await measure(three(LARGE, { connections: 8 })),
    posted: await measure(three(SINK, post(64 * KIB, 16))),
    // A slice must see a few dozen of them.
    streamed: await measure(three(SINK, post(20 * MIB, 4)), { seconds: 2 * SECONDS, rounds: Math.ceil(ROUNDS / 2) }),
  };
}

async function signIn(broker, { username, password }) {
  const response = await fetch(`${broker}/auth/people/login`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ username, password }),
  });
  if (!response.ok) throw new Failure(`The sign-in was answered ${response.status}.`);
  return response.headers.get("set-cookie").split(";")[0];
}
