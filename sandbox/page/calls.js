// Calls to the broker, and the parts of the answers that a browser may read.

/**
 * @typedef {{ method?: string, path: string, json?: unknown, token?: string, inSession?: boolean }} Request with the
 * token of a caller, or in the session of the person at the browser, if any
 * @typedef {object} Answered
 * @property {undefined} [failed]
 * @property {number} status
 * @property {[string, string][]} headers
 * @property {(name: string) => string | null} header
 * @property {string} text
 * @property {any} body the API's answer, parsed as JSON
 * @property {number} duration in milliseconds
 * @typedef {{ failed: true, status?: undefined }} Failed the call got no answer
 * @typedef {Answered | Failed} Result
 */

const ADDRESS = "http://localhost:8787";
export const BROKER = location.port === new URL(ADDRESS).port ? location.origin : ADDRESS;

// The application's own server; the page can also be served by the broker.
const APPLICATION = location.origin === BROKER ? "http://localhost:8790/" : "";

const SANDBOX_PREFIXES = /\b(?:gu_ut|gu_at|hs_at|hs_rt|v8_at|v8_rt|ag_at|ag_rt)_/;
const TOKEN_SHAPES = [
  SANDBOX_PREFIXES,
  /bearer\s+[\w.~+/|=-]{8,}/i,
  /\beyJ[\w-]{8,}\.[\w-]{8,}/,
  /"(?:access|refresh|id)_token"/,
];

/** @param {Request} request @returns {Promise<Result>} */
export async function call({ method = "GET", path, json, token, inSession }) {
  const started = performance.now();
  /** @type {Record<string, string>} */
  const headers = {};
  /** @type {RequestInit} */
  const init = { method, headers };
  // Browsers keep the session's cookie back from a broker on another origin, unless the page says so.
  if (inSession) init.credentials = "include";
  if (token !== undefined) headers.Authorization = `Bearer ${token}`;
  if (json !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(json);
  }
  try {
    const response = await fetch(BROKER + path, init);
    const text = await response.text();
    return {
      status: response.status,
      headers: [...response.headers],
      header: (name) => response.headers.get(name),
      text,
      body: parse(text),
      duration: performance.now() - started,
    };
  } catch {
    return { failed: true };
  }
}

/**
 * The answer of the application's server, or undefined. @param {string} path @param {unknown} [json] @returns
 * {Promise<any>}
 */
export async function ask(path, json) {
  const init =
    json === undefined
      ? undefined
      : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(json) };
  try {
    const response = await fetch(APPLICATION + path, init);
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined;
  }
}

/** The text parsed as JSON, or undefined. @param {string} text @returns {any} */
export function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The parameters of each metric of the field Server-Timing. @param {string | null} value */
export function serverTiming(value) {
  /** @type {Record<string, Record<string, string>>} */
  const entries = {};
  for (const part of (value ?? "").match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? []) {
    const [name, ...parameters] = (part.match(/(?:"(?:[^"\\]|\\.)*"|[^;"])+/g) ?? []).map((p) => p.trim());
    entries[name] = Object.fromEntries(
      parameters.map((parameter) => {
        const [key, ...rest] = parameter.split("=");
        return [key.trim().toLowerCase(), rest.join("=").trim().replace(/^"|"$/g, "")];
      }),
    );
  }
  return entries;
}

/** Everything in an answer that script can read. @param {Answered} answer */
export const receivedText = ({ headers, text }) =>
  [...headers.map(([name, value]) => `${name}: ${value}`), "", text].join("\n");

/** Whether the text contains something like a token. @param {string} text */
export const holdsToken = (text) => TOKEN_SHAPES.some((shape) => shape.test(text));

/** @param {Result} result @returns {result is Answered} */
export const isSuccess = (result) => !result.failed && result.status >= 200 && result.status < 300;
