// What the broker has done on JavaScript's own objects: heads cross the border
// to Rust as one text each, bodies never do.

/** The method, the address and the header fields of `request`, a line each. */
export function requestHead(request) {
  return `${request.method}\n${request.url}${fieldLines(request.headers)}`;
}

/** The status and the header fields of `response`, a line each. */
export function responseHead(response) {
  return `${response.status}${fieldLines(response.headers)}`;
}

function fieldLines(headers) {
  let lines = "";
  for (const [name, value] of headers) lines += `\n${name}:${value}`;
  return lines;
}

function toHeaders(lines) {
  const headers = new Headers();
  if (lines === "") return headers;
  for (const line of lines.split("\n")) {
    const colon = line.indexOf(":");
    headers.append(line.slice(0, colon), line.slice(colon + 1));
  }
  return headers;
}

/** A response of the broker's own; `text` is null where there is no body. */
export function respond(status, fields, text) {
  return new Response(text, { status, headers: toHeaders(fields) });
}

/** `upstream`'s response with another head; its body is streamed. */
export function respondWith(upstream, status, fields) {
  return new Response(upstream.body, { status, headers: toHeaders(fields) });
}

/** Lets a response go whose body nobody reads. */
export function discard(response) {
  response.body?.cancel().catch(() => {});
}

/** The variables and secrets of the Worker as JSON; its bindings are left out. */
export function variables(env) {
  const plain = Object.entries(env).filter(([, value]) => {
    const prototype = value === null ? null : Object.getPrototypeOf(Object(value));
    return typeof value !== "object" || prototype === Object.prototype || Array.isArray(value);
  });
  return JSON.stringify(Object.fromEntries(plain));
}

/** Whether the Worker has a binding called `name`. */
export function hasBinding(env, name) {
  return typeof env[name] === "object" && env[name] !== null;
}

// Bodies up to this size are read before they are sent, if they may have to be
// sent again.
const READ_FIRST = 64 * 1024;

// So much of a body that is too large is read all the same: who is cut off while sending may not
// see the answer.
const READ_IN_VAIN = 2 * 1024 * 1024;

/** One caller's request on its way to the upstream, sendable twice. */
export class Outgoing {
  #request;
  #body; // undefined: not sent yet; null: none; ArrayBuffer; Recorder; "gone"

  constructor(request) {
    this.#request = request;
  }

  /**
   * Sends the request on. `replayBytes` is the largest body that is kept for a
   * second send, -1 where there will be none. Rejects with "timeout", "gone",
   * or anything else where the upstream was not reached.
   */
  async send(method, url, fields, timeoutMs, replayBytes) {
    const call = new AbortController();
    const body = await this.#nextBody(replayBytes, () => call.abort("cut off"));
    const alarm = setTimeout(() => call.abort("timeout"), timeoutMs);
    try {
      return await fetch(url, { method, headers: toHeaders(fields), body, redirect: "manual", signal: call.signal });
    } catch (error) {
      throw call.signal.aborted ? call.signal.reason : error;
    } finally {
      clearTimeout(alarm);
    }
  }

  /** The request's body; null where it has more than `maxBytes`. Rejects where it breaks off. */
  async read(maxBytes) {
    const chunks = [];
    let size = 0;
    for await (const chunk of this.#request.body ?? []) {
      size += chunk.byteLength;
      if (size <= maxBytes) chunks.push(chunk);
      else if (size > maxBytes + READ_IN_VAIN) break;
    }
    return size > maxBytes ? null : new Uint8Array(await new Blob(chunks).arrayBuffer());
  }

  // `cutOff` is called where the caller's body breaks off.
  async #nextBody(replayBytes, cutOff) {
    const { body, headers } = this.#request;
    if (this.#body === undefined) {
      const length = headers.has("content-length") ? Number(headers.get("content-length")) : undefined;
      if (body === null) return (this.#body = null);
      if (replayBytes < 0 || length > replayBytes) {
        this.#body = "gone";
        return body;
      }
      if (length <= READ_FIRST) return (this.#body = await this.#request.arrayBuffer());
      this.#body = new Recorder(body, replayBytes, cutOff);
      return this.#body.stream(length);
    }
    if (this.#body instanceof Recorder) this.#body = (await this.#body.whole()) ?? "gone";
    if (this.#body === "gone") throw "gone";
    return this.#body;
  }
}

/** Passes a body on as it comes and keeps it, as long as it is small enough. */
class Recorder {
  #reader;
  #limit;
  #cutOff;
  #kept = [];
  #size = 0;
  #ended = false;
  #reading = Promise.resolve();

  constructor(body, limit, cutOff) {
    this.#reader = body.getReader();
    this.#limit = limit;
    this.#cutOff = cutOff;
  }

  /** The body as a stream of `length` bytes, or of an unknown number. */
  stream(length) {
    const source = new ReadableStream({
      pull: async (controller) => {
        const chunk = await this.#read();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk);
      },
    });
    if (length === undefined) return source;
    const sized = new FixedLengthStream(length);
    source.pipeTo(sized.writable).catch(() => {});
    return sized.readable;
  }

  /** The whole body, read to its end; nothing where it is too large. */
  async whole() {
    while (!this.#ended && this.#kept !== null) await this.#read();
    return this.#kept === null ? undefined : new Blob(this.#kept).arrayBuffer();
  }

  // The stream and a second send may both want the next chunk: one at a time.
  #read() {
    this.#reading = this.#reading.then(async () => {
      if (this.#ended) return undefined;
      // The runtime would end a body that breaks off as if it were whole.
      const { done, value } = await this.#reader.read().catch((error) => {
        this.#cutOff();
        throw error;
      });
      if (done) {
        this.#ended = true;
        return undefined;
      }
      this.#size += value.byteLength;
      if (this.#size > this.#limit) this.#kept = null;
      this.#kept?.push(value.slice());
      return value;
    });
    return this.#reading;
  }
}

/**
 * Sends a `POST` whose answer's body is read up to a little more than
 * `maxBytes`, or not at all where that is negative. Rejects with "timeout", or
 * anything else where nobody was reached.
 */
export async function post(url, fields, body, timeoutMs, maxBytes) {
  const timer = new AbortController();
  const alarm = setTimeout(() => timer.abort(), timeoutMs);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: toHeaders(fields),
      body,
      redirect: "manual",
      signal: timer.signal,
    });
    if (maxBytes < 0) discard(response);
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

/** Fetches a document; rejects where it does not come in time, or is larger than `maxBytes`. */
export async function fetchDocument(url, timeoutMs, maxBytes) {
  const headers = { accept: "application/json, application/jwk-set+json, */*;q=0.1", "user-agent": "porteiro" };
  const response = await fetch(url, { headers, redirect: "manual", signal: AbortSignal.timeout(timeoutMs) });
  const body = await readUpTo(response, maxBytes);
  if (body.byteLength > maxBytes) throw "too large";
  return { status: response.status, body };
}

/** What the object called `name` answers to `letter`; rejects where it does not. */
export async function askObject(env, name, letter) {
  const response = await env.KEEPER.getByName(name).fetch("https://keeper/", { method: "POST", body: letter });
  return response.text();
}

/** A table of records in the storage of an object, each of which is in a list and has its time there. */
export class Records {
  #sql;

  constructor(state) {
    this.#sql = state.storage.sql;
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS records (
        id TEXT PRIMARY KEY, list TEXT NOT NULL, due INTEGER NOT NULL, row TEXT NOT NULL, event TEXT
      );
      CREATE INDEX IF NOT EXISTS by_time ON records (list, due, id);
    `);
  }

  /** The row, and the event behind a line break. */
  find(id) {
    const [found] = this.#sql.exec("SELECT row, event FROM records WHERE id = ?", id);
    return found && `${found.row}\n${found.event ?? ""}`;
  }

  put(id, list, due, row, event) {
    this.#sql.exec("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", id, list, due, row, event ?? null);
  }

  /** Changes a record and leaves its event, which may be long, as it is, or takes it away. */
  update(id, list, due, row, keepsEvent) {
    const event = keepsEvent ? "" : ", event = NULL";
    this.#sql.exec(`UPDATE records SET list = ?, due = ?, row = ?${event} WHERE id = ?`, list, due, row, id);
  }

  /** The rows as a JSON array. */
  list(list, due, id, most) {
    const rows = this.#sql.exec(
      "SELECT row FROM records WHERE list = ? AND (due, id) > (?, ?) ORDER BY due, id LIMIT ?",
      list, due, id, most,
    );
    return `[${Array.from(rows, ({ row }) => row)}]`;
  }

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

/** The record called `name`, or null. */
export function readRecord(env, name) {
  return env.TOKENS.get(name, "text");
}

export function writeRecord(env, name, record, lifeSeconds) {
  return env.TOKENS.put(name, record, { expirationTtl: lifeSeconds });
}

// Keys that signatures were verified with, by their texts.
const verifyingKeys = new Map();
const MOST_KEYS = 200;

/** Whether `signature` over `input` was made with the key whose public half is `jwk`. */
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

// RFC 7518 §3.3 to §3.5, RFC 8037 §3.1.
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

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A name without case, accents, width, spaces and invisible characters. */
export function folded(name) {
  return name.normalize("NFKD").replace(/[\p{M}\p{C}\p{Z}]/gu, "").toLowerCase();
}

/** Takes one call of the rate limit bound as `name`; true where there was one left, or no such limit. */
export async function takeRate(env, name, who) {
  const limit = env[name];
  if (typeof limit?.limit !== "function") return true;
  return (await limit.limit({ key: who })).success;
}

// Reads a body up to a little more than `maxBytes`.
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
