// One caller's request, from the shim's side. A head crosses the border to Rust as one text each
// way, and what is to be done comes back as one; bodies never cross.
import { writeDataPoint } from "./analytics.js";
import { veiled } from "./veil.js";
import { Recorder, readBody, Shelf, Underway, Whole } from "./bodies.js";
import { folded } from "./names.js";

// Bodies up to this size are read before they are sent, if they may have to be
// sent again.
const READ_FIRST = 64 * 1024;

// How long a body that the broker reads for itself may take to come.
const LONGEST_READ_MS = 15_000;

// What bodies hold of the 128 MiB of an isolate, by kind: what the broker reads for itself, of anybody and of who
// is proven; what may have to be sent again; what is read first, to be sent.
const MIB = 1024 * 1024;
const unproven = new Shelf(8 * MIB);
const proven = new Shelf(8 * MIB);
const sent = new Shelf(16 * MIB);
const readingFirst = new Underway(8 * MIB);

// A body that cannot be sent once more.
const GONE = "gone";

// What the broker says is to be done, by the first letter.
const [FETCH, WAIT, UPSTREAM, VEILED, TEXT, PAGE, LINE] = [..."FWUVTP{"].map((letter) => letter.charCodeAt(0));

const encoder = new TextEncoder();

// Calls are told apart by numbers that no instance of the module ever sees again.
let calls = 0;

/** A caller's request, its way to the upstream, and the upstream's response. */
export class Call {
  #broker;
  #request;
  #context;
  /** Undefined where it was not sent yet. @type {Whole | Recorder | typeof GONE | undefined} */
  #body;
  /** What ends the request to the upstream, where that has a body. @type {AbortController | undefined} */
  #attempt;
  /** The upstream's, once it has answered. @type {Response | undefined} */
  #response;
  /** What the broker has the call wait for. @type {Promise<string> | undefined} */
  #answer;

  /**
   * @param {Broker} broker
   * @param {Request} request
   * @param {Env} env
   * @param {ExecutionContext} context
   */
  constructor(broker, request, env, context) {
    this.#broker = broker;
    this.#request = request;
    this.#context = context;
    this.env = env;
  }

  /** What the broker answers, or a promise of it. */
  answer() {
    const { method, url, headers } = this.#request;
    const id = ++calls;
    const told = this.#broker.begin(id, this, `${method}\n${url}${fieldLines(headers)}`, Date.now());
    if (!isToWait(told)) return this.#respond(told);
    const answer = /** @type {Promise<Response>} */ (this.#pursue(id, told));
    // What may change something is ended also where who asked is gone. What only reads ends with
    // its caller.
    if (!isBodiless(method)) this.waitUntil(answer.catch(() => {}));
    return answer;
  }

  // No async function here or below: what a call costs is counted in promises, too.
  /**
   * @param {number} id
   * @param {string} told what is to be done
   * @returns {Response | Promise<Response>}
   */
  #pursue(id, told) {
    const kind = told.charCodeAt(0);
    if (kind === WAIT) return /** @type {Promise<string>} */ (this.#answer).then((told) => this.#respond(told));
    if (kind !== FETCH) return this.#respond(told);
    const [timeout, replay, method, url] = told.slice(1).split("\n", 4);
    const fields = told.slice(5 + timeout.length + replay.length + method.length + url.length);
    const sent = this.send(method, url, fields, Number(timeout), Number(replay));
    // A call that the module does not know any more is told nothing, and fails.
    return sent.then((head) => this.#pursue(id, /** @type {string} */ (this.#broker.resume(id, head, Date.now()))));
  }

  /** @param {string} told */
  #respond(told) {
    if (this.#body !== undefined) this.#letBodyGo();
    let at = 1;
    while (told.charCodeAt(at) === LINE) {
      const end = told.indexOf("\n", at);
      this.log(told.slice(at, end));
      at = end + 1;
    }
    const status = Number(told.slice(at, at + 3));
    const end = told.indexOf("\n\n", at + 4);
    const kind = told.charCodeAt(0);
    // The runtime would give a string a type of its own.
    const isText = kind === TEXT || kind === PAGE;
    /** @type {BodyInit | null} */
    let body = isText ? encoder.encode(told.slice(end + 2)) : null;
    if (kind === UPSTREAM) body = /** @type {Response} */ (this.#response).body;
    else if (kind === VEILED) body = veiled(/** @type {Response} */ (this.#response), told.slice(end + 2));
    const response = new Response(body, emptyAnswer(status, this.#broker));
    if (kind === PAGE) response.headers.delete("content-security-policy");
    append(response.headers, told, at + 4, end);
    return response;
  }

  /** Writes a line to the log, and a proxied call's to the dataset, where there is one. @param {string} line */
  log(line) {
    console.log(line);
    const { ANALYTICS } = this.env;
    if (ANALYTICS !== undefined && this.#isProxied()) writeDataPoint(ANALYTICS, line);
  }

  #isProxied() {
    const basePath = String(this.env.BASE_PATH ?? "").replace(/\/$/, "");
    return new URL(this.#request.url).pathname.startsWith(`${basePath}/api/`);
  }

  /** Has what the promise `answer` resolves to be the answer. @param {Promise<string>} answer */
  waitFor(answer) {
    this.#answer = answer;
    // Others may wait for what it waits for, and a task that never ends is never freed.
    this.waitUntil(answer.catch(() => {}));
  }

  // It is not sent again.
  #letBodyGo() {
    if (this.#body === undefined || this.#body === GONE) return;
    sent.forget(this.#body);
    this.#body.letGo();
  }

  /** @param {Promise<unknown>} promise */
  waitUntil(promise) {
    this.#context.waitUntil(promise);
  }

  /** Lets the upstream's response go, whose body nobody reads. */
  discard() {
    /** @type {Response} */ (this.#response).body?.cancel().catch(() => {});
  }

  /**
   * Sends the request on. Resolves to the status and the header fields of the
   * response, a line each, or to why there is none: "timeout", "gone", where
   * the body cannot be sent once more, or "unreachable". `replayBytes` is the
   * largest body that is kept for a second send, -1 where there will be none.
   * @param {string} method
   * @param {string} url
   * @param {string} fields
   * @param {number} timeoutMs
   * @param {number} replayBytes
   * @returns {Promise<string>}
   */
  send(method, url, fields, timeoutMs, replayBytes) {
    return new Promise((resolve) => {
      // What comes too late ends with the call, whose answer is then the timeout.
      const alarm = setTimeout(() => {
        resolve("timeout");
        this.#attempt?.abort();
      }, timeoutMs);
      const settle = (/** @type {string} */ head) => {
        clearTimeout(alarm);
        resolve(head);
      };
      const failed = (/** @type {unknown} */ error) => settle(error === GONE ? GONE : "unreachable");
      try {
        const headers = new Headers();
        append(headers, fields, 0, fields.length);
        /** @type {RequestInit} */
        const init = { method, headers, redirect: "manual", cache: "no-store" };
        const exchange = isBodiless(method) ? fetch(url, init) : this.#sendBody(url, init, timeoutMs, replayBytes);
        exchange.then((response) => {
          this.#response = response;
          settle(`${response.status}${fieldLines(response.headers)}`);
        }, failed);
      } catch (error) {
        failed(error);
      }
    });
  }

  /** @param {string} url @param {RequestInit} init @param {number} timeoutMs @param {number} replayBytes */
  async #sendBody(url, init, timeoutMs, replayBytes) {
    const attempt = new AbortController();
    this.#attempt = attempt;
    const body = await this.#nextBody(timeoutMs, replayBytes, attempt);
    return fetch(url, { ...init, body, signal: attempt.signal });
  }

  /**
   * The request's body; null where it has more than `maxBytes`. Rejects where it breaks off, with "late" where it
   * does not come in time, and with "crowded" where too much of others' came meanwhile.
   *
   * @param {number} maxBytes
   * @param {boolean} isProven
   */
  read(maxBytes, isProven) {
    return readBody(this.#request.body, maxBytes, isProven ? proven : unproven, LONGEST_READ_MS);
  }

  /** A key that all spellings of a name have which a server may take for one. @param {string} name */
  folded(name) {
    return folded(name);
  }

  /**
   * @param {number} timeoutMs
   * @param {number} replayBytes
   * @param {AbortController} attempt aborted where the caller's body breaks off
   */
  async #nextBody(timeoutMs, replayBytes, attempt) {
    const { body, headers } = this.#request;
    if (body === null) return null;
    if (this.#body === undefined) {
      // What is undefined is neither more than any number nor less.
      const length = /** @type {number} */ (
        headers.has("content-length") ? Number(headers.get("content-length")) : undefined
      );
      if (replayBytes < 0 || length > replayBytes) {
        this.#body = GONE;
        return body;
      }
      if (length <= READ_FIRST && readingFirst.begin(this, length, Date.now() + timeoutMs)) {
        try {
          const bytes = await this.#request.arrayBuffer();
          this.#body = new Whole(bytes, sent);
          return bytes;
        } finally {
          readingFirst.end(this);
        }
      }
      this.#body = new Recorder(body, replayBytes, sent, () => attempt.abort());
      return this.#body.stream(length);
    }
    const whole = this.#body === GONE ? undefined : await this.#body.whole();
    if (whole === undefined) throw GONE;
    return whole;
  }
}

/** Whether a request of this method has no body, and changes nothing. @param {string} method */
const isBodiless = (method) => method === "GET" || method === "HEAD";

/** Whether there is more to be done than to answer. @param {string} told */
function isToWait(told) {
  const kind = told.charCodeAt(0);
  return kind === FETCH || kind === WAIT;
}

/** @param {Headers} headers */
function fieldLines(headers) {
  let lines = "";
  headers.forEach((value, name) => {
    lines += `\n${name}:${value}`;
  });
  return lines;
}

/**
 * By status. The runtime copies a head of its own faster than it takes one over from here.
 * @type {Map<number, Response>}
 */
const emptyAnswers = new Map();

/** An answer that has nothing but the fields that every answer has. @param {number} status @param {Broker} broker */
function emptyAnswer(status, broker) {
  let answer = emptyAnswers.get(status);
  if (answer === undefined) {
    const fields = broker.commonFields();
    answer = new Response(null, { status });
    append(answer.headers, fields, 0, fields.length);
    emptyAnswers.set(status, answer);
  }
  return answer;
}

/**
 * Adds the header fields that `text` has from `at` to `end`, a line each.
 * @param {Headers} headers
 * @param {string} text
 * @param {number} at
 * @param {number} end
 */
function append(headers, text, at, end) {
  while (at < end) {
    const colon = text.indexOf(":", at);
    const name = text.slice(at, colon);
    const lineEnd = text.indexOf("\n", colon);
    at = lineEnd < 0 || lineEnd > end ? end : lineEnd;
    headers.append(name, text.slice(colon + 1, at));
    at += 1;
  }
}
