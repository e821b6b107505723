// The broker from a browser: calls, and people who sign in. No dependency.

/** @import { Credentials, FlowCode, Outcome, Problem, ProblemCode, Session } from "./answers.d.ts" */

/**
 * @typedef {object} PorteiroOptions
 * @property {string} [broker] the broker's address with its `BASE_PATH`: `https://broker.acme.example`; the page's own
 *   origin if absent
 * @property {typeof globalThis.fetch} [fetch] what sends requests, if not the browser's own
 * @property {number} [attempts] how often a call is sent at most, the first one counted: 3
 * @property {number} [longestWait] how many seconds of `Retry-After` are waited for at most: 10
 */

/**
 * @typedef {object} ConnectOptions
 * @property {boolean} [popup] opens the provider's page in a window of its own, within the listener of a click
 * @property {string} [returnTo] where the browser is led in the end, if not to this page
 */

/** An answer other than a success. */
export class PorteiroError extends Error {
  /**
   * @param {number} status
   * @param {Partial<Omit<Problem, "code">> & { code?: Problem["code"] | Outcome["code"] }} [problem] the broker's problem
   * details (RFC 9457), or the code of a consent that failed; absent where the API itself answered
   * @param {Response} [response]
   */
  constructor(status, problem, response) {
    super(problem?.title ?? problem?.code ?? `The API answered ${status}`);
    this.name = "PorteiroError";
    /** The status of the answer; 0 of a consent that failed, which has none. */
    this.status = status;
    this.problem = problem;
    /** What went wrong, where it is the broker that answered. @type {ProblemCode | FlowCode | undefined} */
    this.code = problem?.code ?? undefined;
    /** The answer, unread where it is the API's own. */
    this.response = response;
    /** Also in the broker's log. @type {string | undefined} */
    this.requestId = problem?.request_id ?? response?.headers.get("X-Request-Id") ?? undefined;
    /** After how many seconds to try again. @type {number | undefined} */
    this.retryAfter = seconds(response);
  }
}

/** The seconds of `Retry-After` (RFC 9110 section 10.2.3), in either form. @param {Response} [response] */
function seconds(response) {
  const value = response?.headers.get("Retry-After");
  if (!value) return undefined;
  const wait = /^\d+$/.test(value) ? Number(value) : Math.ceil((Date.parse(value) - Date.now()) / 1000);
  return wait >= 0 ? wait : undefined;
}

/** The broker's own problem, if the answer is one; an API may send problem details, too. @param {Response} response */
async function problemOf(response) {
  if (!response.headers.get("Content-Type")?.startsWith("application/problem+json")) return undefined;
  /** @type {Problem | undefined} */
  const problem = await response
    .clone()
    .json()
    .catch(() => undefined);
  // Only the broker knows the id of a request.
  const id = response.headers.get("X-Request-Id") ?? problem?.request_id;
  return problem?.type?.endsWith(`/problems/${problem.code}`) && problem.request_id === id ? problem : undefined;
}

/** @param {ArrayBuffer | Uint8Array<ArrayBuffer>} bytes */
const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

/** An address of the page's origin or another one, without the name and password of a user. @param {string} [place] */
const addressOf = (place) => {
  const { origin, pathname, search, hash } = new URL(place ?? location.href, location.href);
  return origin + pathname + search + hash;
};

/** What the broker adds to `return_to`, and where this tab keeps which connection it left for, and the verifier. */
const OUTCOME = "porteiro";

/**
 * One broker. Dispatches `sessionend` when the session ended, by this page, by another one or by itself: what is the
 * person's has to leave the screen then.
 */
export class Porteiro extends EventTarget {
  #broker;
  #options;
  /** Whether somebody is signed in, where it is known. @type {boolean | undefined} */
  #isSignedIn;
  /** Resolves when a ticket in the address was changed for the session's cookie. */
  #ready;
  #tabs;

  /**
   * What came of `connect`, when the browser was led back to this page; `connection` is absent if another tab began.
   * @type {{ outcome: Outcome["outcome"], code: Outcome["code"], connection?: string } | undefined}
   */
  outcome;

  /** @param {PorteiroOptions} [options] */
  constructor({ broker = "", ...options } = {}) {
    super();
    this.#broker = broker.replace(/\/+$/, "");
    this.#options = options;
    // Not on a server that renders the page.
    if (!globalThis.location) return;
    // If that fails, nobody is signed in, as the next answer says.
    this.#ready = this.#takeOutcome().catch(() => {});
    // Another page of this origin may sign in or out, too. Not every environment of tests has this.
    if (!globalThis.BroadcastChannel) return;
    this.#tabs = new BroadcastChannel(`porteiro ${this.#broker}`);
    this.#tabs.onmessage = ({ data }) => (data ? (this.#isSignedIn = true) : this.#end());
  }

  /**
   * Calls the broker, as the browser's `fetch` does. A call that is safe, or has an `Idempotency-Key`, is sent again
   * where the broker or the API asks for that by `Retry-After`.
   * @param {string} path the path at the broker: `/api/hubsoft/…`
   * @param {RequestInit} [init]
   * @returns {Promise<Response>} an answer that is a success
   * @throws {PorteiroError} any other answer
   */
  async fetch(path, init) {
    await this.#ready;
    return this.#send(path, init);
  }

  /**
   * @param {string} path
   * @param {RequestInit} [init]
   */
  async #send(path, init = {}) {
    // A browser reads a backslash as a slash, and skips line breaks and tabs.
    if (!/^\/(?![/\\\s])/.test(path)) throw new TypeError(`Not a path at the broker: ${path}`);
    const headers = new Headers(init.headers);
    const isSafe = /^(GET|HEAD|OPTIONS)$/i.test(init.method ?? "GET");
    const isRepeatable = (isSafe || headers.has("Idempotency-Key")) && !(init.body instanceof ReadableStream);
    const { attempts = 3, longestWait = 10, fetch = globalThis.fetch } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const response = await fetch(this.#broker + path, { credentials: "include", ...init });
      if (response.status < 400) return response;
      const wait = seconds(response);
      if (isRepeatable && wait !== undefined && wait <= longestWait && attempt < attempts) {
        response.body?.cancel().catch(() => {});
        // A little later than all others that were told the same.
        await pause((wait + Math.random() * 0.3) * 1000, init.signal);
        continue;
      }
      const error = new PorteiroError(response.status, await problemOf(response), response);
      init.signal?.throwIfAborted();
      if (error.code === "caller_unauthenticated") this.#end(this.#isSignedIn !== false);
      throw error;
    }
  }

  /**
   * @param {string} path
   * @param {string} method
   * @param {unknown} [json]
   */
  async #call(path, method, json) {
    const body = json === undefined ? undefined : JSON.stringify(json);
    const headers = body === undefined ? undefined : { "Content-Type": "application/json" };
    const response = await this.#send(path, { method, body, headers });
    if (response.status === 204) return null;
    return response.json().catch(() => {
      // As a server of pages does for an address that it does not know.
      throw new PorteiroError(response.status, { title: "The answer is not the broker's" }, response);
    });
  }

  /**
   * Who is signed in, and to which connections; null where nobody is.
   * @returns {Promise<Session | null>}
   */
  async session() {
    await this.#ready;
    // That nobody is signed in yet is the end of nothing.
    this.#isSignedIn ??= false;
    try {
      return this.#begin(await this.#call("/auth/session", "GET"));
    } catch (error) {
      if (error instanceof PorteiroError && error.code === "caller_unauthenticated") return null;
      throw error;
    }
  }

  /**
   * Signs a person in: at the provider's own page, as `connect` does, or with a password, where the connection has the
   * grant for that.
   * @param {string} connection
   * @param {ConnectOptions & Partial<Credentials>} [options]
   */
  async signIn(connection, { username, password, ...options } = {}) {
    if (password === undefined) return this.connect(connection, options);
    await this.#call(`/auth/${connection}/login`, "POST", { username, password });
    return this.session();
  }

  /**
   * Leads to the provider's page, where a person connects their account; the broker leads back, and `outcome` has what
   * came of it. With `popup` the page stays, unless the browser opens no window.
   * @param {string} connection
   * @param {ConnectOptions} [options]
   * @returns {Promise<Session | null>} with `popup`; null where the person closed the window, or went back
   * @throws {PorteiroError} with `popup`, where it failed; `code` tells why
   */
  async connect(connection, { popup = false, returnTo } = {}) {
    this.outcome = undefined;
    const address = new URL(`${this.#broker}/auth/${connection}/connect`, location.href);
    address.searchParams.set("return_to", addressOf(returnTo));
    // A browser opens windows while it handles a click, and not later.
    const opened = popup ? open("", "", "popup,width=480,height=720") : null;
    const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
    // Needed where the broker is of another site. Only pages over https, or of this machine, can make it.
    if (address.origin !== location.origin && crypto.subtle) {
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
      address.searchParams.set("ticket_challenge", base64url(digest));
    }
    if (!opened) {
      sessionStorage.setItem(OUTCOME, JSON.stringify([connection, verifier]));
      location.assign(address);
      // The page is about to go. A browser may show it again, as it was, when the person goes back.
      return new Promise((resolve) => addEventListener("pageshow", ({ persisted }) => persisted && resolve(null)));
    }
    address.searchParams.set("display", "popup");
    opened.location.replace(address);
    const told = await message(opened, address.origin, connection);
    if (told?.outcome === "failed") throw new PorteiroError(0, { code: told.code ?? undefined });
    if (told?.ticket) await this.#redeem(told.ticket, verifier);
    return told ? this.session() : null;
  }

  /**
   * Disconnects the person's account. They stay signed in.
   * @param {string} connection
   */
  async disconnect(connection) {
    await this.#call(`/auth/${connection}`, "DELETE");
  }

  /**
   * Signs out here, and with `provider` leads to the provider's page to sign out there, where it has one.
   * @param {{ provider?: boolean, returnTo?: string }} [options]
   */
  async signOut({ provider = false, returnTo } = {}) {
    const query = provider ? `?${new URLSearchParams({ provider: "true", return_to: addressOf(returnTo) })}` : "";
    const answer = await this.#call(`/auth/logout${query}`, "POST");
    this.#end(true);
    if (answer) location.assign(answer.logout_url);
  }

  /** @param {Session} session */
  #begin(session) {
    if (!this.#isSignedIn) this.#tabs?.postMessage(true);
    this.#isSignedIn = true;
    return session;
  }

  /** @param {boolean} [isNews] whether the other pages are told */
  #end(isNews) {
    const was = this.#isSignedIn;
    this.#isSignedIn = false;
    if (isNews) this.#tabs?.postMessage(false);
    if (was !== false) this.dispatchEvent(new Event("sessionend"));
  }

  /**
   * @param {string} ticket
   * @param {string} verifier
   */
  async #redeem(ticket, verifier) {
    this.#begin(await this.#call("/auth/session", "POST", { ticket, verifier }));
  }

  /** Reads what the broker added to the page's address, which keeps nothing of it, and changes a ticket. */
  async #takeOutcome() {
    const added = new URLSearchParams(location.search);
    const outcome = added.get(OUTCOME);
    if (outcome !== "connected" && outcome !== "failed") return;
    const others = location.search.replace(/[?&]porteiro(_\w+)?=[^&]*/g, "").replace(/^&/, "?");
    history.replaceState(
      history.state,
      "",
      addressOf().replace(location.search, () => others),
    );
    this.outcome = { outcome, code: /** @type {Outcome["code"]} */ (added.get("porteiro_code")) };
    const [connection, verifier] = JSON.parse(sessionStorage.getItem(OUTCOME) ?? "[]");
    sessionStorage.removeItem(OUTCOME);
    this.outcome.connection = connection;
    const ticket = added.get("porteiro_ticket");
    // Without a verifier, somebody else may have begun.
    if (ticket && verifier) await this.#redeem(ticket, verifier);
  }
}

/**
 * @param {number} millis
 * @param {AbortSignal | null} [signal]
 */
const pause = (millis, signal) =>
  new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve(undefined);
    }, millis);
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort);
  });

/**
 * What the broker's window says in the end; undefined where the person closed it.
 * @param {Window} opened
 * @param {string} origin
 * @param {string} connection
 * @returns {Promise<(Outcome & { ticket?: string }) | undefined>}
 */
const message = (opened, origin, connection) =>
  new Promise((resolve) => {
    /** @param {MessageEvent} event */
    const heard = (event) => {
      // Any page that has this window can send it a message.
      if (event.origin !== origin || event.source !== opened) return;
      if (event.data?.source === "porteiro" && event.data.connection === connection) end(event.data);
    };
    // No event tells that a window was closed. Its last message may still be on its way then.
    let wasClosed = false;
    const watching = setInterval(() => {
      if (wasClosed) end();
      wasClosed = opened.closed;
    }, 500);
    /** @param {Outcome} [outcome] */
    const end = (outcome) => {
      clearInterval(watching);
      removeEventListener("message", heard);
      resolve(outcome);
    };
    addEventListener("message", heard);
  });

/** @param {PorteiroOptions} [options] */
export const createPorteiro = (options) => new Porteiro(options);
