// Checks that both brokers behave alike: the compared requests must get equal answers, and equal refusals.
import { Failure } from "../scripts/lib.mjs";
import { BROWSER_HEADERS, KEY, KIB, MIB, ORIGIN } from "./settings.mjs";
import { LARGE, SINK, SMALL, TRACE } from "./upstream.mjs";

/** @typedef {{ path: string, headers: { [name: string]: string }, method?: string, body?: Buffer<ArrayBuffer> }} Asked */

/** @typedef {{ status: number, fields: { [name: string]: string }, body: string }} Told */

const withKey = { authorization: `Bearer ${KEY}` };
// The fields that differ between any two answers.
const CHANGING = ["date", "server-timing", "x-request-id"];

/** @param {string} value */
const traced = (value) => ({ traceparent: value, tracestate: "vendor=x" });
const SOUND = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/** @type {{ [what: string]: Asked }} */
const SAME = {
  "a small answer": { path: SMALL, headers: withKey },
  "a small answer for a page": { path: SMALL, headers: { origin: ORIGIN } },
  "an answer of 1 MiB": { path: LARGE, headers: withKey },
  "a query": { path: `${SMALL}?a=%20b&c`, headers: withKey },
  "a part of an answer": { path: SMALL, headers: { ...withKey, range: "bytes=0-9" } },
  "a trace of its own": { path: TRACE, headers: withKey },
  "a trace of a server's": { path: TRACE, headers: { ...withKey, ...traced(SOUND) } },
  "a trace of a page's": { path: TRACE, headers: { origin: ORIGIN, ...traced(SOUND) } },
  "a trace that is none": { path: TRACE, headers: { ...withKey, ...traced(`${SOUND}-x`) } },
  "a trace of a later version": { path: TRACE, headers: { ...withKey, ...traced(`01${SOUND.slice(2)}-x`) } },
  "what the upstream does not have": { path: "/missing", headers: withKey },
  "a body of 64 KiB": { path: SINK, headers: withKey, method: "POST", body: Buffer.alloc(64 * KIB, "x") },
  "a body of 20 MiB": { path: SINK, headers: withKey, method: "POST", body: Buffer.alloc(20 * MIB, "x") },
};

/** @type {{ [what: string]: [asked: Asked, status: number] }} */
const REFUSED = {
  nobody: [{ path: SMALL, headers: {} }, 401],
  "a wrong key": [{ path: SMALL, headers: { authorization: `Bearer ${KEY}x` } }, 401],
  "a wrong key of a known page": [{ path: SMALL, headers: { authorization: "Bearer x", origin: ORIGIN } }, 401],
  "a path without a rule": [{ path: "/private/small.json", headers: withKey }, 403],
  "a method without a rule": [{ path: SMALL, headers: withKey, method: "DELETE" }, 403],
  "a foreign origin": [{ path: SMALL, headers: { ...withKey, origin: "https://evil.example" } }, 403],
  "a cookie of another site": [
    { path: SMALL, headers: { cookie: "__Host-Http-porteiro=x", "sec-fetch-site": "cross-site" } },
    403,
  ],
  "an encoded slash": [{ path: "/a%2fb", headers: withKey }, 400],
  "a loop": [{ path: SMALL, headers: { ...withKey, via: "1.1 porteiro" } }, 400],
  "a script of a page": [{ path: SMALL, headers: { ...withKey, "sec-fetch-dest": "script" } }, 400],
  "a token in the query": [{ path: `${SMALL}?access_token=x`, headers: withKey }, 400],
};

/**
 * Fails if the brokers at the two addresses answer differently.
 *
 * @param {string} porteiro
 * @param {string} javascript
 */
export async function checkParity(porteiro, javascript) {
  // Both brokers then hold their token in memory.
  for (const broker of [porteiro, javascript]) await call(broker, SAME["a small answer"]);
  for (const [what, request] of Object.entries(SAME)) {
    const [one, other] = [await call(porteiro, request), await call(javascript, request)];
    expectEqual(what, one, other);
    if (request.body) checkReceived(what, request.body.length, one);
  }
  for (const [what, [request, status]] of Object.entries(REFUSED)) {
    // The one in JavaScript speaks English alone.
    const asked = { ...request, headers: { ...request.headers, "accept-language": "en" } };
    const [one, other] = [await call(porteiro, asked), await call(javascript, asked)];
    if (one.status !== status) throw new Failure(`Porteiro answers ${one.status} to ${what}.`);
    expectEqual(what, withoutIds(one), withoutIds(other));
  }
}

/**
 * @param {string} broker
 * @param {Asked} asked
 * @returns {Promise<Told>}
 */
async function call(broker, { path, headers, method, body }) {
  const response = await fetch(`${broker}/api/service${path}`, {
    method,
    headers: { ...BROWSER_HEADERS, ...headers },
    body,
  });
  /** @type {Told["fields"]} */
  const fields = Object.fromEntries(response.headers);
  for (const name of CHANGING) fields[name] &&= "(changes)";
  // The order of the fields has no meaning.
  const exposed = fields["access-control-expose-headers"];
  if (exposed) fields["access-control-expose-headers"] = exposed.split(", ").sort().join(", ");
  const id = response.headers.get("x-request-id") ?? "";
  if (!id) throw new Failure(`${path} was answered without X-Request-Id.`);
  const told = (await response.text()).replaceAll(id, "(id)").replaceAll(id.slice(0, 16), "(half)");
  return { status: response.status, fields, body: told };
}

/**
 * Removes the request's id and the broker's address, which problem details contain.
 *
 * @param {Told} answer
 */
function withoutIds({ status, fields, body }) {
  const { title, code, detail } = JSON.parse(body);
  return { status, fields: { ...fields, "content-length": "" }, body: { title, code, detail } };
}

/**
 * @param {string} what
 * @param {Omit<Told, "body">} one
 * @param {Omit<Told, "body">} other
 */
function expectEqual(what, one, other) {
  const [left, right] = [one, other].map((answer) => JSON.stringify(sorted(answer)));
  if (left === right) return;
  throw new Failure(`The brokers differ in ${what}:\n${left.slice(0, 2000)}\n${right.slice(0, 2000)}`);
}

/** @param {Omit<Told, "body">} answer */
const sorted = (answer) => ({ ...answer, fields: Object.entries(answer.fields).sort() });

/**
 * Checks the number of bytes that the upstream received; the upstream counts the head, too.
 *
 * @param {string} what
 * @param {number} bytes
 * @param {Told} answer
 */
function checkReceived(what, bytes, { body }) {
  const { received } = JSON.parse(body);
  if (!(received > bytes && received < bytes + 8 * KIB))
    throw new Failure(`The upstream got ${received} bytes of ${what}.`);
}
