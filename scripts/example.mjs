// The requests in a provider's example, and how those that the broker sent differ from them.
import { createHash } from "node:crypto";

/** @import { Example, Provider } from "./catalogue.mjs" */

/**
 * A request that the broker sent, or an example's.
 *
 * @typedef {{ method: string, url: string, fields: [name: string, value: string][], body: string }} Sent
 */

/** What the runtime and the broker put on each request; an example shows them only where its maker asks for them. */
const USUAL = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "content-length",
  "host",
  "pragma",
  "traceparent",
  "user-agent",
  "via",
]);

/** The type of a body; of a call without one it is the caller's own. */
export const TYPE = "content-type";

/**
 * A request as an example writes it.
 *
 * @param {string} text
 * @returns {Sent}
 */
export function requestOf(text) {
  const [head, ...rest] = text.trim().split("\n\n");
  const [first, ...lines] = head.split("\n");
  const [method, ...address] = first.split(" ");
  const fields = lines.map((line) => {
    const at = line.indexOf(":");
    return /** @type {[string, string]} */ ([line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()]);
  });
  return { method, url: address.join(" ").trim(), fields, body: rest.join("\n\n").trim() };
}

/**
 * The address that `provider` has with the values of its example; undefined where nobody gives one.
 *
 * @param {Provider} provider
 * @param {"base_url" | "token_url" | "authorize_url"} field
 * @returns {string | undefined}
 */
export function addressOf({ example, ...own }, field) {
  /** @type {{ [name: string]: unknown }} */
  const values = { ...own, ...example.secrets, ...example.fields };
  const filled = (/** @type {string} */ text) =>
    text.replace(/\{(\w+)\}/g, (part, name) => String(values[name] ?? part));
  const address = values[field];
  if (typeof address !== "string") return undefined;
  // The base address that a token endpoint begins with may have parts itself.
  const whole = filled(filled(address));
  return field === "base_url" ? whole.replace(/\/$/, "") : whole;
}

/**
 * The authorization code in the body of a token request; undefined where it has none.
 *
 * @param {string} text
 */
export function codeOf(text) {
  const { body } = requestOf(text);
  return memberOf(body, "code");
}

/**
 * The member `name` of a body, a JSON object or a form.
 *
 * @param {string} body
 * @param {string} name
 * @returns {string | undefined}
 */
function memberOf(body, name) {
  const value = jsonOf(body);
  const members = typeof value === "object" && value !== null ? value : Object.fromEntries(new URLSearchParams(body));
  const member = /** @type {{ [name: string]: unknown }} */ (members)[name];
  return typeof member === "string" ? member : undefined;
}

/**
 * How the requests that were sent differ from those of the example, a line for each part; empty if they are the same.
 *
 * @param {{ authorizationRequest?: Sent, redirectUri?: string, tokenRequest?: Sent, call?: Sent }} sent
 * @param {Example} example
 */
export function differences({ authorizationRequest, redirectUri, tokenRequest, call }, example) {
  const changing = changingOf(redirectUri, authorizationRequest, tokenRequest);
  const documented = (/** @type {string} */ text) => requestOf(withChanging(text, changing));
  return [
    ...(example.authorization_request
      ? compared("authorization request", authorizationRequest, documented(example.authorization_request))
      : []),
    ...(example.token_request ? compared("token request", tokenRequest, documented(example.token_request)) : []),
    ...compared("call", call, documented(example.call)),
  ];
}

/** What the broker makes anew each time, long enough that nobody guesses it. */
const UNGUESSABLE = /^[\w-]{43,}$/;

/**
 * What stands for the parameters of a consent that are others each time, by their names: what the broker sent, where
 * that is sound. The redirect address is known.
 *
 * @param {string | undefined} redirectUri
 * @param {Sent | undefined} authorizationRequest
 * @param {Sent | undefined} tokenRequest
 * @returns {{ [name: string]: string }}
 */
function changingOf(redirectUri, authorizationRequest, tokenRequest) {
  const asked = new URL(authorizationRequest?.url ?? "https://nobody.example").searchParams;
  const sound = (/** @type {string} */ name) => {
    const value = asked.get(name) ?? "";
    return UNGUESSABLE.test(value) ? value : `an unguessable ${name}`;
  };
  const verifier = memberOf(tokenRequest?.body ?? "", "code_verifier") ?? "";
  // RFC 7636, section 4.6.
  const isOfChallenge = createHash("sha256").update(verifier).digest("base64url") === asked.get("code_challenge");
  return {
    redirect_uri: redirectUri ?? "",
    state: sound("state"),
    code_challenge: sound("code_challenge"),
    code_verifier: isOfChallenge && UNGUESSABLE.test(verifier) ? verifier : "the verifier of the challenge",
  };
}

/**
 * `text`, a request as an example writes it, with each `<name>` of `values` filled in as its place demands.
 *
 * @param {string} text
 * @param {{ [name: string]: string }} values
 */
function withChanging(text, values) {
  const isJson = jsonOf(requestOf(text).body) !== requestOf(text).body;
  return Object.entries(values).reduce(
    (text, [name, value]) => text.replaceAll(`<${name}>`, () => (isJson ? value : encodeURIComponent(value))),
    text,
  );
}

/**
 * @param {string} what
 * @param {Sent | undefined} sent
 * @param {Sent} documented
 */
function compared(what, sent, documented) {
  if (!sent) return [`${what}: nothing was sent to ${documented.url}`];
  const [is, ought] = [partsOf(sent, documented), partsOf(documented, documented)];
  const shown = (/** @type {string | undefined} */ part) => (part === undefined ? "nothing" : part || "an empty text");
  return [...new Set([...ought.keys(), ...is.keys()])]
    .filter((name) => is.get(name) !== ought.get(name))
    .map((name) => `${what}: ${name}: sent ${shown(is.get(name))}, documented ${shown(ought.get(name))}`);
}

/**
 * What counts of a request: method, address, parameters, every header field that is not usual, the body's members. No
 * maker documents an order.
 *
 * @param {Sent} request
 * @param {Sent} documented
 * @returns {Map<string, string>}
 */
function partsOf({ method, url, fields, body }, documented) {
  const { origin, pathname, searchParams } = new URL(url);
  const expected = new Map(documented.fields);
  const isUsual = (/** @type {string} */ name) => USUAL.has(name) || (name === TYPE && !documented.body);
  const counting = fields.filter(([name]) => expected.has(name) || !isUsual(name));
  return new Map([
    ["method", method],
    ["address", `${origin}${pathname}`],
    ...membersOf("parameter", searchParams),
    ...counting.map(([name, value]) => /** @type {[string, string]} */ ([`field ${name}`, value])),
    ...bodyOf(withClaims(body, documented.body), expected.get(TYPE) ?? ""),
  ]);
}

/**
 * @param {string} what
 * @param {URLSearchParams} all
 */
const membersOf = (what, all) =>
  [...new Set(all.keys())].map(
    (name) => /** @type {[string, string]} */ ([`${what} ${name}`, all.getAll(name).sort().join(", ")]),
  );

/**
 * @param {string} body
 * @param {string} type
 * @returns {[name: string, value: string][]}
 */
function bodyOf(body, type) {
  if (!body) return [];
  if (!type.includes("json")) return membersOf("body", new URLSearchParams(body));
  const value = jsonOf(body);
  const isTable = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isTable) return [["body", JSON.stringify(sorted(value))]];
  return Object.entries(value).map(([name, member]) => [`body ${name}`, JSON.stringify(sorted(member))]);
}

/** A text that is no JSON stays one. @param {string} text @returns {unknown} */
function jsonOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** `value` with the members of each table in the order of their names. @param {unknown} value @returns {unknown} */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  );
}

/**
 * `body` with what its signed token says in place of the token, which is another one each time: the claims that the
 * documented body names, `<JWT: name value, name value>`.
 *
 * @param {string} body
 * @param {string} documented
 */
function withClaims(body, documented) {
  const claims = /<JWT: ([^>]*)>/.exec(documented)?.[1];
  const token = /eyJ[\w-]+\.(eyJ[\w-]+)\.[\w-]+/.exec(body);
  if (claims === undefined || !token) return body;
  const said = JSON.parse(Buffer.from(token[1], "base64url").toString());
  return body.replace(token[0], `<JWT: ${claims.replace(/(\w+) [^,]+/g, (_, name) => `${name} ${said[name]}`)}>`);
}
