// A stand-in for the broker behind the operators' page: it serves the page as built from the source, and the admin
// interface over data in memory. It is strict: it records every request that the page must not make as unexpected, and
// `verify()` fails on it.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { adminPage } from "../../../scripts/build.mjs";
import { closeServer, listening } from "./servers.mjs";

/** @import { OutgoingHttpHeaders, ServerResponse } from "node:http" */
/** @import { Request } from "./servers.mjs" */

/**
 * A connection in the interface's form.
 *
 * @typedef {object} Entry
 * @property {string} id
 * @property {string | null} provider
 * @property {string | null} grant
 * @property {string | null} subject
 * @property {string} source
 * @property {string} state
 * @property {string | null} obtained_at
 * @property {string | null} expires_at
 * @property {number} grants
 * @property {{ code: string, at: string, reason?: string, status?: number } | null} last_error
 * @property {string | null} retry_at
 * @property {string | null} sealing_key
 * @property {{ pending: number, failed: number } | null} webhooks
 * @property {{ field: string, message: string }[]} [problems]
 */

/**
 * An event in the interface's form.
 *
 * @typedef {object} OperatorEvent
 * @property {string} id
 * @property {string} state
 * @property {string} accepted_at
 * @property {number} attempts
 * @property {string | null} outcome
 * @property {number | null} status
 * @property {string | null} next_at
 */

/**
 * A replacement for an answer: a problem, other bytes, or no answer; each delayed until `hold` is over.
 *
 * @typedef {Partial<Problem> & { hold?: Promise<unknown>, raw?: string | Buffer, destroy?: boolean }} Instead
 */

/** @typedef {{ status: number, code: string, title: string, detail: string }} Problem */

/**
 * The settings of the stand-in.
 *
 * @typedef {object} OperatorsSettings
 * @property {Entry[]} [entries]
 * @property {{ [connection: string]: OperatorEvent[] }} [events]
 * @property {string} [base] the path before /admin/
 * @property {() => number | null} [now] the clock of its answers; null leaves the field Date out
 */

/** @typedef {Awaited<ReturnType<typeof startOperators>>} Operators */

const { script, style, english, portuguese } = adminPage();

/**
 * The page's files, as served: the document by its language.
 *
 * @type {{ [name: string]: [content: Buffer, type: string] }}
 */
export const FILES = {
  en: [Buffer.from(english), "text/html; charset=utf-8"],
  "pt-BR": [Buffer.from(portuguese), "text/html; charset=utf-8"],
  "page.css": [Buffer.from(style), "text/css; charset=utf-8"],
  "page.js": [Buffer.from(script), "text/javascript; charset=utf-8"],
};
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The instant for which the stand-in's data are valid. */
export const NOON = Date.parse("2026-11-22T15:03:20Z");
const MINUTE = 60_000;

/** @param {number} ms */
export const rfc3339 = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");

/**
 * An entry in the interface's form: ready, with 12 minutes of an hour's token elapsed.
 *
 * @param {string} id
 * @param {Partial<Entry>} [members]
 * @returns {Entry}
 */
export const entryOf = (id, members) => ({
  id,
  provider: "custom",
  grant: "client_credentials",
  subject: "service",
  source: "configuration",
  state: "ready",
  obtained_at: rfc3339(NOON - 12 * MINUTE),
  expires_at: rfc3339(NOON + 48 * MINUTE),
  grants: 3,
  last_error: null,
  retry_at: null,
  sealing_key: "k1",
  webhooks: null,
  ...members,
});

/**
 * An event in the interface's form.
 *
 * @param {number} n
 * @param {Partial<OperatorEvent>} [members]
 * @returns {OperatorEvent}
 */
export const eventOf = (n, members) => ({
  id: `msg_${String(n).padStart(32, "0")}`,
  state: "failed",
  accepted_at: rfc3339(NOON - 26 * 60 * MINUTE),
  attempts: 29,
  outcome: "refused",
  status: 500,
  next_at: null,
  ...members,
});

/**
 * Starts a stand-in.
 *
 * @param {OperatorsSettings} [settings]
 */
export async function startOperators({ entries = [], events = {}, base = "", now = () => NOON } = {}) {
  const operators = {
    key: "operators-key-0123456789",
    entries: new Map(entries.map((entry) => [entry.id, entry])),
    events,
    /** What the broker says of the operator's own events. */
    told: /** @type {unknown} */ ({ to: null, problems: [], webhooks: null }),
    /**
     * Every request with the operator's key, such as "GET connections?limit=100".
     *
     * @type {string[]}
     */
    requests: [],
    /** @type {string[]} */
    unexpected: [],
    /**
     * The outcome of a refresh: it changes the entry, or returns a problem.
     *
     * @type {(entry: Entry) => Problem | undefined | void}
     */
    refresh: (entry) =>
      void Object.assign(entry, {
        state: "ready",
        obtained_at: rfc3339(now() ?? NOON),
        expires_at: rfc3339((now() ?? NOON) + 60 * MINUTE),
        retry_at: null,
        grants: entry.grants + 1,
      }),
    /**
     * The replaced answers, by a pattern of the requests' text, while set.
     *
     * @type {Map<RegExp, Instead>}
     */
    instead: new Map(),
    /** Refuses connections, or accepts them again. */
    isAway: false,
    /**
     * The current and the largest number of concurrent answers, by "METHOD path".
     *
     * @type {Map<string, { now: number, most: number }>}
     */
    atOnce: new Map(),
    verify() {
      assert.deepEqual(this.unexpected.splice(0), []);
    },
    origin: "",
    /** The address of the page. */
    url: "",
    /**
     * The entry of an existing connection.
     *
     * @param {string} id
     */
    entry(id) {
      const entry = operators.entries.get(id);
      assert.ok(entry, `there is no connection ${id}`);
      return entry;
    },
    /**
     * The requests whose text `pattern` matches.
     *
     * @param {RegExp} pattern
     */
    asked: (pattern) => operators.requests.filter((text) => pattern.test(text)),
    /**
     * The link by which somebody connects `id`.
     *
     * @param {string} id
     */
    link: (id) => `${operators.origin}${base}/auth/${id}/link/s3cret`,
    /**
     * Answers requests that `pattern` matches with `what`, until the returned function is called.
     *
     * @param {RegExp} pattern
     * @param {Instead} what
     */
    answer(pattern, what) {
      operators.instead.set(pattern, what);
      return () => operators.instead.delete(pattern);
    },
    close: () => closeServer(server),
  };

  const server = createServer((incoming, response) => {
    const request = /** @type {Request} */ (incoming);
    if (operators.isAway) return request.socket.destroy();
    serve(request, response).catch((error) => {
      if (request.socket.destroyed) return;
      operators.unexpected.push(`${request.method} ${request.url}: ${error.stack}`);
      request.socket.destroy();
    });
  });

  /**
   * @param {ServerResponse} response
   * @param {number} status
   * @param {any} [body] bytes, or a value sent as JSON; a problem gets an id
   * @param {OutgoingHttpHeaders} [fields]
   */
  function send(response, status, body, fields = {}) {
    const id = randomBytes(16).toString("hex");
    const at = now();
    response.sendDate = false;
    if (body?.status) body = { ...body, request_id: id };
    const text = body === undefined ? "" : Buffer.isBuffer(body) ? body : JSON.stringify(body);
    response.writeHead(status, {
      ...(at === null ? {} : { Date: new Date(at).toUTCString() }),
      "X-Request-Id": id,
      "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
      Vary: "Origin",
      ...(body === undefined ? {} : { "Content-Type": body.status ? "application/problem+json" : "application/json" }),
      ...fields,
    });
    response.end(text);
  }

  /** @type {(response: ServerResponse, problem: Problem, fields?: OutgoingHttpHeaders) => void} */
  const problem = (response, { status, code, title, detail }, fields) =>
    send(response, status, { type: `${base}/problems/${code}`, title, status, code, detail }, fields);
  /** @type {(status: number, code: string, title: string, detail: string) => Problem} */
  const problemOf = (status, code, title, detail) => ({ status, code, title, detail });
  /** @param {ServerResponse} response */
  const notFound = (response) =>
    problem(response, problemOf(404, "not_found", "Not found", "There is nothing at this address."));
  /** @param {ServerResponse} response */
  const badRequest = (response) =>
    problem(response, problemOf(400, "bad_request", "Bad request", "The request cannot be passed on as it is."));

  /**
   * @param {Request} request
   * @param {ServerResponse} response
   */
  async function serve(request, response) {
    const url = new URL(request.url, "http://x");
    if (/^[^?]*\/auth\/[\w-]+\/link\/s3cret$/.test(request.url)) {
      return send(response, 200, Buffer.from("<!doctype html><link rel=icon href=data:,>"), {
        "Content-Type": "text/html",
      });
    }
    if (!url.pathname.startsWith(`${base}/admin/`)) {
      operators.unexpected.push(`${request.method} ${request.url}`);
      return notFound(response);
    }
    const [, password] =
      /^operator:(.*)$/.exec(
        Buffer.from(request.headers.authorization?.replace(/^Basic /, "") ?? "", "base64").toString(),
      ) ?? [];
    if (password !== operators.key) {
      return problem(
        response,
        problemOf(
          401,
          "caller_unauthenticated",
          "Caller not authenticated",
          "The request does not prove who makes it.",
        ),
        { "WWW-Authenticate": ['Bearer realm="porteiro"', 'Basic realm="porteiro", charset="UTF-8"'] },
      );
    }
    const { "sec-fetch-site": site, origin } = request.headers;
    const isOwn =
      [undefined, "none", "same-origin"].includes(site) &&
      [undefined, `http://${request.headers.host}`].includes(origin);
    if (!isOwn) {
      return problem(
        response,
        problemOf(403, "cross_site_request", "Cross-site request", "The request comes from elsewhere."),
      );
    }
    const path = url.pathname.slice(`${base}/admin/`.length);
    const file = FILES[path || (/^pt\b/i.test(request.headers["accept-language"] ?? "") ? "pt-BR" : "en")];
    if (file) {
      return send(response, 200, file[0], { "Content-Type": file[1], "Content-Security-Policy": POLICY });
    }
    const text = `${request.method} ${path}${url.search}`;
    if (text === "GET events") return send(response, 200, operators.told);
    if (text.startsWith("GET events/webhooks?")) return send(response, 200, { webhooks: [], next: null });
    operators.requests.push(text);
    const count = operators.atOnce.get(text) ?? { now: 0, most: 0 };
    operators.atOnce.set(text, count);
    count.now += 1;
    count.most = Math.max(count.most, count.now);
    response.once("close", () => (count.now -= 1));
    for (const [pattern, what] of operators.instead) {
      if (!pattern.test(text)) continue;
      await what.hold;
      if (what.destroy) return request.socket.destroy();
      if (what.raw !== undefined)
        return send(response, what.status ?? 200, Buffer.from(what.raw), { "Content-Type": "text/html" });
      if (what.status) return problem(response, /** @type {Problem} */ (what));
    }
    route(request, response, path.split("/").map(decodeURIComponent), url.searchParams, text);
  }

  /**
   * @param {Request} request
   * @param {ServerResponse} response
   * @param {string[]} path
   * @param {URLSearchParams} query
   * @param {string} text
   */
  function route(request, response, [kind, id, ...rest], query, text) {
    const strange = () => {
      operators.unexpected.push(text);
      return notFound(response);
    };
    /** @param {string[]} methods */
    const only = (...methods) => {
      if (methods.includes(request.method)) return true;
      operators.unexpected.push(text);
      const refused = problemOf(
        405,
        "method_not_allowed",
        "Method not allowed",
        "This address does not know the method.",
      );
      problem(response, refused, { Allow: methods.join(", ") });
      return false;
    };
    if (kind !== "connections") return strange();
    if (id === undefined) return only("GET") && list(response, query, text);
    const entry = operators.entries.get(id);
    if (!entry) {
      return problem(
        response,
        problemOf(404, "unknown_connection", "Unknown connection", "No connection has this name."),
      );
    }
    if (!rest.length) {
      if (!only("GET", "DELETE")) return undefined;
      if (request.method === "GET") return send(response, 200, entry);
      if (entry.source !== "registry") return strange();
      operators.entries.delete(id);
      return send(response, 204);
    }
    const [what, event, verb] = rest;
    if (rest.length === 1 && what === "refresh") {
      if (!only("POST")) return undefined;
      if (entry.subject !== "service") return strange();
      const failed = operators.refresh(entry);
      return failed ? problem(response, failed) : send(response, 200, entry);
    }
    if (rest.length === 1 && what === "connect-link") {
      if (!only("POST")) return undefined;
      if (entry.subject !== "service" || entry.grant !== "authorization_code") return strange();
      const expires = rfc3339((now() ?? NOON) + 15 * MINUTE);
      return send(response, 200, { expires_at: expires, url: operators.link(id) });
    }
    if (rest.length === 1 && what === "token") {
      if (!only("DELETE")) return undefined;
      Object.assign(entry, { state: "cold", obtained_at: null, expires_at: null, sealing_key: null });
      return send(response, 204);
    }
    if (what !== "webhooks" || !entry.webhooks) return strange();
    const events = operators.events[id] ?? [];
    if (rest.length === 1) return only("GET") && listEvents(response, events, query, text);
    const isAll = rest.length === 2 && event === "send";
    if (!isAll && !(rest.length === 3 && verb === "send")) return strange();
    if (!only("POST")) return undefined;
    const again = events.filter(({ id: one, state }) => state === "failed" && (isAll || one === event));
    if (!isAll && !again.length) return notFound(response);
    for (const one of again)
      Object.assign(one, {
        state: "pending",
        attempts: 0,
        outcome: null,
        status: null,
        next_at: rfc3339(now() ?? NOON),
      });
    entry.webhooks = { failed: entry.webhooks.failed - again.length, pending: entry.webhooks.pending + again.length };
    return send(response, 202);
  }

  /**
   * @param {ServerResponse} response
   * @param {URLSearchParams} query
   * @param {string} text
   */
  function list(response, query, text) {
    const known = ["after", "limit", "q"];
    const limit = Number(query.get("limit") ?? 100);
    if (
      [...query.keys()].some((name) => !known.includes(name)) ||
      !(limit >= 1 && limit <= 100) ||
      query.get("after") === ""
    ) {
      operators.unexpected.push(text);
      return badRequest(response);
    }
    const after = query.get("after");
    const ids = [...operators.entries.keys()]
      .sort()
      .filter((id) => id.includes(query.get("q") ?? "") && (after === null || id > after));
    const page = ids.slice(0, limit);
    return send(response, 200, {
      connections: page.map((id) => operators.entries.get(id)),
      next: ids.length > limit ? page.at(-1) : null,
    });
  }

  /**
   * @param {ServerResponse} response
   * @param {OperatorEvent[]} events
   * @param {URLSearchParams} query
   * @param {string} text
   */
  function listEvents(response, events, query, text) {
    const state = query.get("state") ?? "";
    const from = Number(query.get("after") ?? 0);
    if (!["failed", "pending"].includes(state) || !Number.isInteger(from)) {
      operators.unexpected.push(text);
      return badRequest(response);
    }
    const some = events.filter((event) => event.state === state);
    const end = from + 100;
    return send(response, 200, { webhooks: some.slice(from, end), next: some.length > end ? String(end) : null });
  }

  operators.origin = await listening(server);
  operators.url = `${operators.origin}${base}/admin/`;
  return operators;
}
