// A gate before a token endpoint: it passes token requests on, loses them or their answers, refuses them, or is closed,
// so that connections fail.

import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { text } from "node:stream/consumers";
import { closeServer, listening } from "./servers.mjs";

/** @import { IncomingMessage, ServerResponse } from "node:http" */

/**
 * A token request; `status` is set if the endpoint itself answered.
 *
 * @typedef {object} GateRequest
 * @property {number} at
 * @property {string} mode
 * @property {string} [grant]
 * @property {string} [refreshToken]
 * @property {number} [status]
 * @property {boolean} [settled] whether the request was passed on, refused or lost
 */

const MODES = ["pass", "lose-request", "lose-answer", "unavailable"];

/**
 * Starts a gate before the token endpoint at `target`.
 *
 * @param {string} target
 */
export async function startGate(target) {
  const gate = new Gate(target);
  await gate.open();
  return gate;
}

export class Gate {
  /** @type {GateRequest[]} */
  requests = [];
  #mode = "pass";
  #address = "";
  #server = this.#serving();
  /** @type {Set<(value: unknown) => void>} */
  #waiting = new Set();

  /** @param {string} target */
  constructor(target) {
    this.target = target;
  }

  /**
   * The treatment of further requests: "pass"; "lose-request": the request never reaches the endpoint; "lose-answer":
   * the request takes effect, and its answer is lost; "unavailable": 503.
   *
   * @param {string} mode
   */
  set mode(mode) {
    if (!MODES.includes(mode)) throw new TypeError(`unknown mode: ${mode}`);
    this.#mode = mode;
  }

  /** The address of the token endpoint for the broker. */
  get url() {
    return `${this.#address}/token`;
  }

  /**
   * Resolves when the request after the first `count` is passed on, refused or lost.
   *
   * @param {number} count
   */
  async settled(count) {
    while (!this.requests[count]?.settled) {
      await new Promise((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Listens, always on the same port. */
  async open() {
    this.#server = this.#serving();
    this.#address = await listening(this.#server, this.#address ? Number(new URL(this.#address).port) : 0);
  }

  #serving() {
    return createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
      this.#serve(request, response).catch(() => request.socket.destroy());
    });
  }

  /** Ends all connections and stops listening. */
  async shut() {
    if (this.#server.listening) await closeServer(this.#server);
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async #serve(request, response) {
    /** @type {GateRequest} */
    const record = { at: Date.now(), mode: this.#mode };
    this.requests.push(record);
    const body = await text(request);
    const parameters = parametersOf(body);
    Object.assign(record, { grant: parameters.grant_type, refreshToken: parameters.refresh_token });
    if (record.mode === "unavailable") {
      response.writeHead(503).end();
    } else if (record.mode !== "lose-request") {
      const answer = await this.#passOn(request, body);
      record.status = answer.status;
      if (record.mode === "pass") response.writeHead(answer.status, answer.headers).end(answer.body);
    }
    record.settled = true;
    for (const resolve of this.#waiting) resolve(undefined);
    this.#waiting.clear();
  }

  /**
   * @param {IncomingMessage} request
   * @param {string} body
   */
  async #passOn({ method, headers }, body) {
    const fields = { ...headers, host: new URL(this.target).host };
    const sent = httpRequest(this.target, { method, headers: fields, agent: false });
    sent.end(body);
    const [answer] = await once(sent, "response");
    const { "content-type": type } = answer.headers;
    return { status: answer.statusCode, headers: { "Content-Type": type }, body: await text(answer) };
  }
}

/** @param {string} body */
function parametersOf(body) {
  try {
    return JSON.parse(body);
  } catch {
    return Object.fromEntries(new URLSearchParams(body));
  }
}
