// One caller's request, from the shim's side. The texts of wire.js cross the border to Rust; bodies never do.
import { readAhead } from "./ahead.js";
import { writeDataPoint } from "./analytics.js";
import { copied, Recorder, readBody, Shelf, Underway, Whole } from "./bodies.js";
import { folded } from "./names.js";
import { veiled } from "./veil.js";
import {
  FETCH,
  GONE,
  JOIN,
  LEAD,
  PAGE,
  TEXT,
  TIMEOUT,
  UNREACHABLE,
  UPSTREAM,
  VEILED,
  WAIT,
  append,
  kindOf,
  readAnswer,
  readFetch,
  requestHead,
  upstreamHead,
} from "./wire.js";

// Bodies up to this size are read before they are sent, if they may have to be sent again.
const READ_FIRST = 64 * 1024;

// What a call waits for that waits for no flight.
const OWN_BODY = 0;

// How long the caller may take to send a body that the broker reads for itself.
const LONGEST_READ_MS = 15_000;

// How much of an isolate's 128 MiB the bodies may hold, by kind: those that the broker reads for itself, of anybody
// and of proven senders; those that may have to be sent again; those that are read before they are sent.
const MIB = 1024 * 1024;
const unproven = new Shelf(8 * MIB);
const proven = new Shelf(8 * MIB);
const sent = new Shelf(16 * MIB);
const readingFirst = new Underway(8 * MIB);

const encoder = new TextEncoder();

// How much of an isolate's memory the copies of answers may hold while they are being made.
const copying = new Shelf(4 * MIB);

/** The flights that calls wait for, by their numbers. @type {Set<number>} */
const awaited = new Set();

/** The longest time until a call that waits for a flight looks again, in milliseconds. */
const LOOK_MS = 20;

/** Ends the wait of all calls that wait for others: the module that would have done so may be gone. */
export const wakeAll = () => awaited.clear();

// The number of the last call. No instance of the module sees a number twice.
let calls = 0;

/** A caller's request, its way to the upstream, and the upstream's response. */
export class Call {
  #broker;
  #request;
  #context;
  /** Undefined before the first send, GONE where there can be no second. @type {Whole | Recorder | typeof GONE | undefined} */
  #body;
  /** Ends the request to the upstream, where that has a body. @type {AbortController | undefined} */
  #attempt;
  /** The upstream's response, once there is one. @type {Response | undefined} */
  #response;
  /** The body of the answer, where that is a copy. @type {Uint8Array<ArrayBuffer> | undefined} */
  #copy;
  /** The answer that the broker has the call wait for. @type {Promise<string> | undefined} */
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

  /** The broker's answer, or a promise of it. */
  answer() {
    const { method, url, headers } = this.#request;
    const id = ++calls;
    const told = this.#broker.begin(id, this, requestHead(method, url, headers), Date.now());
    const kind = kindOf(told);
    if (!isPending(kind)) return this.#respond(told);
    const answer = /** @type {Promise<Response>} */ (this.#pursue(id, told));
    // A call that may change something, or that others wait for, goes on to its end when its caller leaves; one that
    // only reads ends with its caller.
    if (kind === LEAD || !isBodiless(method)) this.waitUntil(answer.catch(() => {}));
    return answer;
  }

  // No async function here or below: each of their promises costs a call time.
  /**
   * @param {number} id
   * @param {string} told what is to be done
   * @returns {Response | Promise<Response>}
   */
  #pursue(id, told) {
    const kind = kindOf(told);
    if (kind === WAIT) return /** @type {Promise<string>} */ (this.#answer).then((told) => this.#respond(told));
    if (!isPending(kind)) return this.#respond(told);
    // A call that the module no longer knows gets undefined, and fails.
    return this.send(told).then((head) =>
      this.#pursue(id, /** @type {string} */ (this.#broker.resume(id, head, Date.now()))),
    );
  }

  /** @param {string} told */
  #respond(told) {
    if (this.#body !== undefined) this.#letBodyGo();
    const { kind, lines, status, fields, text } = readAnswer(told);
    for (const line of lines) this.log(line);
    // The runtime would give a string a type of its own.
    const isText = kind === TEXT || kind === PAGE;
    /** @type {BodyInit | null} */
    let body = isText ? encoder.encode(text) : null;
    if (kind === UPSTREAM) {
      if (this.#copy !== undefined) return new Response(this.#copy, knownHead(status, fields, this.#broker));
      body = /** @type {Response} */ (this.#response).body;
    } else if (kind === VEILED) body = veiled(/** @type {Response} */ (this.#response), text.split("\n"));
    const response = new Response(body, emptyAnswer(status, this.#broker));
    if (kind === PAGE) response.headers.delete("content-security-policy");
    append(response.headers, fields);
    return response;
  }

  /** Writes a line to the log; a proxied call's line to the dataset, too, where there is one. @param {string} line */
  log(line) {
    console.log(line);
    const { ANALYTICS } = this.env;
    if (ANALYTICS !== undefined && this.#isProxied()) writeDataPoint(ANALYTICS, line);
  }

  #isProxied() {
    const basePath = String(this.env.BASE_PATH ?? "").replace(/\/$/, "");
    return new URL(this.#request.url).pathname.startsWith(`${basePath}/api/`);
  }

  /** Has the call wait for `answer`. @param {Promise<string>} answer */
  waitFor(answer) {
    this.#answer = answer;
    // Other calls may wait for the same, and a task that never ends is never freed.
    this.waitUntil(answer.catch(() => {}));
  }

  /** Frees the caller's body, which is not sent again. */
  #letBodyGo() {
    if (this.#body === undefined || this.#body === GONE) return;
    sent.forget(this.#body);
    this.#body.letGo();
  }

  /** @param {Promise<unknown>} promise */
  waitUntil(promise) {
    this.#context.waitUntil(promise);
  }

  /**
   * A copy of the body of the upstream's response, without the `secrets`, one in each line; null where it is none.
   *
   * @param {number} maxBytes
   * @param {number} limitMs
   * @param {string} secrets
   */
  keep(maxBytes, limitMs, secrets) {
    const response = /** @type {Response} */ (this.#response);
    const body = secrets === "" ? response.body : veiled(response, secrets.split("\n"));
    if (body === null) return Promise.resolve(new Uint8Array(0));
    const length = response.headers.has("content-encoding") ? null : response.headers.get("content-length");
    const { readable, writable } =
      length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
    this.#response = new Response(readable, response);
    return copied(body, writable, maxBytes, copying, limitMs);
  }

  /** Ends the wait of the calls that wait for `flight`. @param {number} flight */
  release(flight) {
    awaited.delete(flight);
  }

  /** Has a copy be the body of the answer. @param {Uint8Array<ArrayBuffer>} body */
  serve(body) {
    this.#copy = body;
  }

  /** Ends the upstream's response, whose body the broker does not want. */
  discard() {
    /** @type {Response} */ (this.#response).body?.cancel().catch(() => {});
  }

  /**
   * Sends the request on, as `told` says. Resolves to the upstream's head, or to why there is none.
   * @param {string} told
   * @returns {Promise<string>}
   */
  send(told) {
    return new Promise((resolve) => {
      const { method, url, fields, timeoutMs, certificate, replayBytes, atOnce } = readFetch(told);
      // A response that comes later ends with the call, which is answered with the timeout.
      const alarm = setTimeout(() => {
        resolve(TIMEOUT);
        if (kindOf(told) !== JOIN) this.#attempt?.abort();
      }, timeoutMs);
      const settle = (/** @type {string} */ head) => {
        clearTimeout(alarm);
        resolve(head);
      };
      const failed = (/** @type {unknown} */ error) => settle(error === GONE ? GONE : UNREACHABLE);
      try {
        if (kindOf(told) === JOIN) {
          if (replayBytes === OWN_BODY) {
            this.#wholeBody().then(() => settle(""), failed);
            return;
          }
          // By timers of its own: once the engine has optimised the code, it goes on in the context of whichever call
          // resolves a promise, and the runtime ends that of another call.
          awaited.add(replayBytes);
          const began = Date.now();
          const look = () => {
            const waited = Date.now() - began;
            if (!awaited.has(replayBytes) || waited >= timeoutMs) return settle("");
            setTimeout(look, Math.min(LOOK_MS, 1 + waited / 4));
          };
          look();
          return;
        }
        const headers = new Headers();
        append(headers, fields);
        /** @type {RequestInit} */
        const init = { method, headers, redirect: "manual", cache: "no-store" };
        // A client certificate is of a binding, which sends the request then.
        const sender = certificate === undefined ? globalThis : /** @type {Fetcher} */ (this.env[certificate]);
        const exchange = isBodiless(method)
          ? sender.fetch(url, init)
          : this.#sendBody(sender, url, init, timeoutMs, replayBytes, atOnce);
        exchange.then((response) => {
          // Of two responses, the caller gets the second.
          if (this.#response !== undefined) this.discard();
          this.#response = response;
          settle(upstreamHead(response.status, response.headers));
        }, failed);
      } catch (error) {
        failed(error);
      }
    });
  }

  /**
   * @param {Pick<Fetcher, "fetch">} sender
   * @param {string} url
   * @param {RequestInit} init
   * @param {number} timeoutMs
   * @param {number} replayBytes
   * @param {boolean} atOnce
   */
  async #sendBody(sender, url, init, timeoutMs, replayBytes, atOnce) {
    const attempt = new AbortController();
    this.#attempt = attempt;
    const body = await this.#nextBody(timeoutMs, replayBytes, attempt, atOnce);
    return sender.fetch(url, { ...init, body, signal: attempt.signal });
  }

  /**
   * The request's body; null where it has more than `maxBytes`. Rejects where it breaks off, with "late" where it
   * does not come in time, and with "crowded" where other bodies took its room meanwhile.
   *
   * @param {number} maxBytes
   * @param {boolean} isProven
   * @param {boolean} isSentOn whether the same bytes go to the upstream later
   */
  async read(maxBytes, isProven, isSentOn) {
    const bytes = await readBody(this.#request.body, maxBytes, isProven ? proven : unproven, LONGEST_READ_MS);
    if (isSentOn && bytes) this.#body = new Whole(bytes, sent);
    return bytes;
  }

  /**
   * The body of the upstream's response, as ahead.js reads it.
   *
   * @param {number} maxBytes
   * @param {number} limitMs
   */
  async readAhead(maxBytes, limitMs) {
    const { bytes, response } = await readAhead(/** @type {Response} */ (this.#response), maxBytes, limitMs);
    this.#response = response;
    return bytes;
  }

  /** The key that a name shares with every spelling that a server may take for it. @param {string} name */
  folded(name) {
    return folded(name);
  }

  /**
   * The body for the next send. Rejects with GONE where it cannot be sent again.
   * @param {number} timeoutMs
   * @param {number} replayBytes
   * @param {AbortController} attempt aborted where the caller's body breaks off
   * @param {boolean} atOnce whether the request leaves before its body is there
   */
  async #nextBody(timeoutMs, replayBytes, attempt, atOnce) {
    const { body, headers } = this.#request;
    if (body === null) return null;
    if (this.#body === undefined) {
      // An undefined length is neither more than any number nor less.
      const length = /** @type {number} */ (
        headers.has("content-length") ? Number(headers.get("content-length")) : undefined
      );
      if (replayBytes < 0 || length > replayBytes) {
        this.#body = GONE;
        return body;
      }
      if (!atOnce && length <= READ_FIRST && readingFirst.begin(this, length, Date.now() + timeoutMs)) {
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
    return this.#wholeBody();
  }

  /** The body that was sent before, once it is there; null where there is none. Rejects with GONE where it is gone. */
  async #wholeBody() {
    if (this.#body === undefined) return null;
    const whole = this.#body === GONE ? undefined : await this.#body.whole();
    if (whole === undefined) throw GONE;
    return whole;
  }
}

/** Whether a call that was told this has no answer yet. @param {number} kind */
const isPending = (kind) => kind === FETCH || kind === LEAD || kind === JOIN || kind === WAIT;

/** Whether a request of this method has no body, and changes nothing. @param {string} method */
const isBodiless = (method) => method === "GET" || method === "HEAD";

/**
 * Answers by status: the runtime copies the head of a response faster than it builds one.
 * @type {Map<number, Response>}
 */
const emptyAnswers = new Map();

/** An answer with the common fields alone. @param {number} status @param {Broker} broker */
function emptyAnswer(status, broker) {
  let answer = emptyAnswers.get(status);
  if (answer === undefined) {
    answer = new Response(null, { status });
    append(answer.headers, broker.commonFields());
    emptyAnswers.set(status, answer);
  }
  return answer;
}

// How much memory the heads of answers from copies may take, and what one takes besides its text, roughly.
const MOST_HEADS = MIB / 2;
const HEAD_OVERHEAD = 8 * 1024;

/**
 * Heads of answers from copies, by their status and fields without the request's id. Those of one second are the same.
 * @type {Map<string, Response>}
 */
const knownHeads = new Map();
let headBytes = 0;

const ID = "x-request-id";
const ID_LENGTH = 32;

/**
 * The head of an answer from a copy, until the next call of this.
 *
 * @param {number} status
 * @param {string} fields
 * @param {Broker} broker
 */
function knownHead(status, fields, broker) {
  // No value has a line break, and no field comes before the copy's own.
  const at = fields.indexOf(`\n${ID}:`) + ID.length + 2;
  const id = fields.slice(at, at + ID_LENGTH);
  const common = `${status}${fields.slice(0, at)}${fields.slice(at + ID_LENGTH)}`;
  let head = knownHeads.get(common);
  if (head === undefined) {
    const size = HEAD_OVERHEAD + 4 * common.length;
    headBytes += size;
    if (headBytes > MOST_HEADS) {
      knownHeads.clear();
      headBytes = size;
    }
    head = new Response(null, emptyAnswer(status, broker));
    append(head.headers, fields);
    knownHeads.set(common, head);
  }
  head.headers.set(ID, id);
  return head;
}
