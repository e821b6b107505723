// What the broker has done on JavaScript's own objects, but for calls: those are in call.js.

/** The variables and secrets of the Worker as JSON; its bindings are left out. @param {Env} env */
export function variables(env) {
  const plain = Object.entries(env).filter(([, value]) => {
    const prototype = value === null ? null : Object.getPrototypeOf(Object(value));
    return typeof value !== "object" || prototype === Object.prototype || Array.isArray(value);
  });
  return JSON.stringify(Object.fromEntries(plain));
}

/** Whether the Worker has a binding called `name`. @param {Env} env @param {string} name */
export function hasBinding(env, name) {
  return typeof env[name] === "object" && env[name] !== null;
}

/**
 * Sends a `POST` whose answer's body is read up to a little more than
 * `maxBytes`, or not at all where that is negative. Rejects with "timeout", or
 * anything else where nobody was reached.
 * @param {string} url
 * @param {string} fields a line each
 * @param {string} body
 * @param {number} timeoutMs
 * @param {number} maxBytes
 */
export async function post(url, fields, body, timeoutMs, maxBytes) {
  const timer = new AbortController();
  const alarm = setTimeout(() => timer.abort(), timeoutMs);
  try {
    const response = await fetch(url, {
      method: "POST",
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
 * Fetches a document; rejects where it does not come in time, or is larger than `maxBytes`.
 * @param {string} url
 * @param {number} timeoutMs
 * @param {number} maxBytes
 */
export async function fetchDocument(url, timeoutMs, maxBytes) {
  const headers = { accept: "application/json, application/jwk-set+json, */*;q=0.1", "user-agent": "porteiro" };
  const signal = AbortSignal.timeout(timeoutMs);
  const response = await fetch(url, { headers, redirect: "manual", cache: "no-store", signal });
  const body = await readUpTo(response, maxBytes);
  if (body.byteLength > maxBytes) throw "too large";
  return { status: response.status, body };
}

/**
 * What the object called `name` answers to `letter`; rejects where it does not.
 * @param {Env} env
 * @param {string} name
 * @param {string} letter
 */
export async function askObject(env, name, letter) {
  const response = await env.KEEPER.getByName(name).fetch("https://keeper/", { method: "POST", body: letter });
  return response.text();
}

/** A table of records in the storage of an object, each of which is in a list and has its time there. */
export class Records {
  #sql;

  /** @param {DurableObjectState} state */
  constructor(state) {
    this.#sql = state.storage.sql;
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS records (
        id TEXT PRIMARY KEY, list TEXT NOT NULL, due INTEGER NOT NULL, row TEXT NOT NULL, event TEXT
      );
      CREATE INDEX IF NOT EXISTS by_time ON records (list, due, id);
    `);
  }

  /** The row, and the event behind a line break. @param {string} id */
  find(id) {
    const [found] = this.#sql.exec("SELECT row, event FROM records WHERE id = ?", id);
    return found && `${found.row}\n${found.event ?? ""}`;
  }

  /**
   * @param {string} id
   * @param {string} list
   * @param {number} due
   * @param {string} row
   * @param {string} [event]
   */
  put(id, list, due, row, event) {
    this.#sql.exec("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", id, list, due, row, event ?? null);
  }

  /**
   * Changes a record and leaves its event, which may be long, as it is, or takes it away.
   * @param {string} id
   * @param {string} list
   * @param {number} due
   * @param {string} row
   * @param {boolean} keepsEvent
   */
  update(id, list, due, row, keepsEvent) {
    const event = keepsEvent ? "" : ", event = NULL";
    this.#sql.exec(`UPDATE records SET list = ?, due = ?, row = ?${event} WHERE id = ?`, list, due, row, id);
  }

  /**
   * The rows as a JSON array.
   * @param {string} list
   * @param {number} due
   * @param {string} id
   * @param {number} most
   */
  list(list, due, id, most) {
    const rows = this.#sql.exec(
      "SELECT row FROM records WHERE list = ? AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?",
      list,
      due,
      id,
      most,
    );
    return `[${Array.from(rows, ({ row }) => row)}]`;
  }

  clear() {
    this.#sql.exec("DELETE FROM records");
  }

  /** How many records the list has. @param {string} list */
  count(list) {
    return this.#sql.exec("SELECT count(*) AS count FROM records WHERE list = ?", list).one().count;
  }

  /** @param {string} list @param {number} until */
  forget(list, until) {
    const old = "SELECT id FROM records WHERE list = ? AND due <= ? LIMIT 1000";
    this.#sql.exec(`DELETE FROM records WHERE id IN (${old})`, list, until);
  }

  earliest() {
    const first = "SELECT min(due) AS due FROM records WHERE list = ";
    const lists = ["pending", "failed", "delivered"].map((list) => `${first}'${list}'`);
    return this.#sql.exec(`SELECT min(due) AS due FROM (${lists.join(" UNION ALL ")})`).one().due ?? undefined;
  }
}

/** A table of ids in the storage of an object. */
export class Ids {
  #sql;

  /** @param {DurableObjectState} state */
  constructor(state) {
    this.#sql = state.storage.sql;
    this.#sql.exec("CREATE TABLE IF NOT EXISTS ids (id TEXT PRIMARY KEY) WITHOUT ROWID");
  }

  /** Whether it was not there. @param {string} id */
  add(id) {
    return this.#sql.exec("INSERT OR IGNORE INTO ids VALUES (?) RETURNING id", id).toArray().length > 0;
  }

  /** Whether it was there. @param {string} id */
  remove(id) {
    return this.#sql.exec("DELETE FROM ids WHERE id = ? RETURNING id", id).toArray().length > 0;
  }

  /** The first ids that follow `after`, separated by line breaks. @param {string} after @param {number} most */
  list(after, most) {
    const rows = this.#sql.exec("SELECT id FROM ids WHERE id > ? ORDER BY id LIMIT ?", after, most);
    return Array.from(rows, ({ id }) => id).join("\n");
  }
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

/** Keys that signatures were verified with, by their texts. @type {Map<string, CryptoKey>} */
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
export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * Takes one call of the rate limit bound as `name`; true where there was one left, or no such limit.
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
