// The functions that Rust calls, by glue.rs; what it calls on a call is in call.js. This file imports nothing:
// wasm-bindgen copies it to where its imports would not be found.

/**
 * The variables and secrets of the Worker as JSON, without its bindings; and the names of those that have `fetch`.
 * @param {Env} env
 */
export function variables(env) {
  const plain = [];
  const FETCHERS = [];
  for (const [name, value] of Object.entries(env)) {
    const prototype = value === null ? null : Object.getPrototypeOf(Object(value));
    const isPlain = typeof value !== "object" || prototype === Object.prototype || Array.isArray(value);
    if (isPlain) plain.push([name, value]);
    else if (typeof (/** @type {Partial<Fetcher> | null} */ (value)?.fetch) === "function") FETCHERS.push(name);
  }
  return JSON.stringify({ ...Object.fromEntries(plain), FETCHERS });
}

/** The variable called `name`, if it is a text. @param {Env} env @param {string} name */
export function text(env, name) {
  return typeof env[name] === "string" ? env[name] : undefined;
}

/** Whether the Worker has a binding called `name`. @param {Env} env @param {string} name */
export function hasBinding(env, name) {
  return typeof env[name] === "object" && env[name] !== null;
}

/**
 * Sends a request of the broker's own. The answer's body is read up to a little more than `maxBytes`, or not at all
 * where that is negative. Rejects with "timeout" where all that is read has not come in time, with something else
 * where the server could not be reached.
 * @param {string} method
 * @param {string} url
 * @param {string} fields a line each
 * @param {string | undefined} body
 * @param {number} timeoutMs
 * @param {number} maxBytes
 * @param {Env} env
 * @param {string | undefined} certificate the name of the binding that sends the request, with its client certificate
 */
export async function send(method, url, fields, body, timeoutMs, maxBytes, env, certificate) {
  const timer = new AbortController();
  const alarm = setTimeout(() => timer.abort(), timeoutMs);
  try {
    const sender = certificate === undefined ? globalThis : /** @type {Fetcher} */ (env[certificate]);
    const response = await sender.fetch(url, {
      method,
      headers: fields.split("\n").map((line) => line.split(/:(.*)/s, 2)),
      body,
      redirect: "manual",
      cache: "no-store",
      signal: timer.signal,
    });
    if (maxBytes < 0) response.body?.cancel().catch(() => {});
    return {
      status: response.status,
      retryAfter: response.headers.get("retry-after") ?? undefined,
      body: maxBytes < 0 ? new Uint8Array() : await readUpTo(response, maxBytes),
    };
  } catch (error) {
    throw timer.signal.aborted ? "timeout" : error;
  } finally {
    clearTimeout(alarm);
  }
}

/**
 * What the object called `name` answers to `envelope`; rejects where it does not.
 * @param {Env} env
 * @param {string} name
 * @param {string} envelope
 */
export async function exchange(env, name, envelope) {
  const response = await env.KEEPER.getByName(name).fetch("https://keeper/", { method: "POST", body: envelope });
  return response.text();
}

/** The record called `name`, or null. @param {Env} env @param {string} name */
export function readRecord(env, name) {
  return env.TOKENS.get(name, "text");
}

/** @param {Env} env @param {string} name */
export function deleteRecord(env, name) {
  return env.TOKENS.delete(name);
}

/** @param {Env} env @param {string} name @param {string} record @param {number} lifeSeconds */
export function writeRecord(env, name, record, lifeSeconds) {
  return env.TOKENS.put(name, record, { expirationTtl: lifeSeconds });
}

/** Imported keys, by algorithm and JWK. @type {Map<string, CryptoKey>} */
const verifyingKeys = new Map();
const MOST_KEYS = 200;

/**
 * Whether `signature` over `input` was made with the key whose public half is `jwk`.
 * @param {string} algorithm
 * @param {string} jwk
 * @param {string} input
 * @param {Uint8Array} signature
 */
export async function verifySignature(algorithm, jwk, input, signature) {
  const parameters = signatureParameters(algorithm);
  const id = `${algorithm} ${jwk}`;
  let key = verifyingKeys.get(id);
  if (key === undefined) {
    key = await crypto.subtle.importKey("jwk", JSON.parse(jwk), parameters, false, ["verify"]);
    if (verifyingKeys.size >= MOST_KEYS) verifyingKeys.clear();
    verifyingKeys.set(id, key);
  }
  return crypto.subtle.verify(parameters, key, signature, new TextEncoder().encode(input));
}

/**
 * The signature over `input`. Rejects where WebCrypto does not take the key.
 * @param {string} algorithm
 * @param {"jwk" | "pkcs8"} format
 * @param {string} text the key, in base64 if it is in PKCS#8
 * @param {string} input
 */
export async function sign(algorithm, format, text, input) {
  const parameters = signatureParameters(algorithm);
  const data = format === "jwk" ? JSON.parse(text) : Uint8Array.from(atob(text), (byte) => byte.charCodeAt(0));
  const key = await crypto.subtle.importKey(format, data, parameters, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign(parameters, key, new TextEncoder().encode(input)));
}

/** RFC 7518 §3.3 to §3.5, RFC 8037 §3.1. @param {string} algorithm */
function signatureParameters(algorithm) {
  const bits = Number(algorithm.slice(2));
  const hash = `SHA-${bits}`;
  switch (algorithm.slice(0, 2)) {
    case "RS":
      return { name: "RSASSA-PKCS1-v1_5", hash };
    case "PS":
      return { name: "RSA-PSS", hash, saltLength: bits / 8 };
    case "ES":
      return { name: "ECDSA", hash, namedCurve: `P-${bits === 512 ? 521 : bits}` };
    default:
      return { name: "Ed25519" };
  }
}

/** @param {number} ms @returns {Promise<void>} */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Counts a call of `who` against the rate limit bound as `name`. True where it is within the limit, or no such limit
 * is bound.
 * @param {Env} env
 * @param {string} name
 * @param {string} who
 */
export async function takeRate(env, name, who) {
  const limit = /** @type {RateLimit | undefined} */ (env[name]);
  if (typeof limit?.limit !== "function") return true;
  return (await limit.limit({ key: who })).success;
}

/** Reads a body up to a little more than `maxBytes`. @param {Response} message @param {number} maxBytes */
async function readUpTo(message, maxBytes) {
  const chunks = [];
  let size = 0;
  if (message.body !== null) {
    for await (const chunk of message.body) {
      chunks.push(chunk);
      size += chunk.byteLength;
      if (size > maxBytes) break;
    }
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
