// The application that receives events: a real server, with an inbox for each connection. It keeps every delivery and
// checks it against the broker's promises; the library of the standard's makers verifies the signature. `verify()`
// reports what is wrong.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Webhook } from "standardwebhooks";
import { EVERYTHING } from "./broker.mjs";
import { closeServer, codeOf, listening } from "./servers.mjs";
import { send } from "./upstream.mjs";

/** @import { ServerResponse } from "node:http" */
/** @import { Secrets, Vars } from "./broker.mjs" */
/** @import { Fields } from "./client.mjs" */
/** @import { Request } from "./servers.mjs" */
/** @import { Reply, Trouble } from "./upstream.mjs" */

/**
 * An answer to a delivery; `endless` is 200 with a body that does not end.
 *
 * @typedef {Reply & Trouble & { endless?: boolean }} DeliveryReply
 */

/**
 * One attempt to deliver an event.
 *
 * @typedef {object} Delivery
 * @property {number} at
 * @property {string} id the webhook id
 * @property {string} method
 * @property {string} target
 * @property {Fields} headers
 * @property {string[]} rawHeaders
 * @property {Buffer} body
 * @property {string} text
 */

/**
 * The settings of an inbox.
 *
 * @typedef {object} InboxSettings
 * @property {string} [provider] default guru
 * @property {Vars} [webhook] further fields of the webhook table; undefined removes one
 * @property {string} [token] the account token secret, several comma-separated
 * @property {string} [secret] the webhook secret, several comma-separated
 * @property {string} [query] the query of the delivery address, with its "?"
 * @property {Vars} [fields] further fields of the connection
 * @property {Secrets} [secrets] merged over the connection's; undefined removes one
 */

// A slow machine may take a while between signing and sending.
const FRESH_SECONDS = 60;

/** A secret in the form of `<CONNECTION>_WEBHOOK_SECRET`. */
export const newSecret = (bytes = 32) => `whsec_${randomBytes(bytes).toString("base64")}`;

/** Starts a receiver. */
export async function startReceiver() {
  const receiver = new Receiver();
  await receiver.open();
  return receiver;
}

export class Receiver {
  /**
   * The deliveries that belong to no inbox, and the problems of deliveries.
   *
   * @type {string[]}
   */
  faults = [];
  /** The receiver's address, which stays the same once it has listened. */
  url = "";
  /** @type {Map<string, Inbox>} */
  #inboxes = new Map();
  #closing = new AbortController();
  #server = this.#serving();

  /**
   * Adds an inbox.
   *
   * @param {string} id
   * @param {InboxSettings} [settings]
   */
  inbox(id, settings = {}) {
    const inbox = new Inbox(id, this.url, settings, this.faults, this.#closing.signal);
    this.#inboxes.set(inbox.target, inbox);
    return inbox;
  }

  /** The `CONNECTIONS` variable and the secrets of all inboxes. */
  get vars() {
    return Object.fromEntries([...this.#inboxes.values()].map(({ id, vars }) => [id, vars]));
  }

  /** @returns {Secrets} */
  get secrets() {
    return Object.assign({}, ...[...this.#inboxes.values()].map(({ secrets }) => secrets));
  }

  /** Listens, always on the same port. */
  async open() {
    this.#server = this.#serving();
    this.url = await listening(this.#server, this.url ? Number(new URL(this.url).port) : 0);
  }

  #serving() {
    return createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
      this.#serve(/** @type {Request} */ (request), response).catch((error) => {
        if (this.#closing.signal.aborted || ["ECONNRESET", "ABORT_ERR"].includes(codeOf(error) ?? "")) return;
        this.faults.push(`${request.method} ${request.url}: ${error.stack}`);
        request.socket.destroy();
      });
    });
  }

  /** Ends all connections and stops listening. */
  async shut() {
    if (this.#server.listening) await closeServer(this.#server);
  }

  async close() {
    this.#closing.abort();
    await this.shut();
  }

  /** Fails if anything about a delivery was wrong. */
  verify() {
    assert.deepEqual(this.faults.splice(0), []);
  }

  /**
   * @param {Request} request
   * @param {ServerResponse} response
   */
  async #serve(request, response) {
    const inbox = this.#inboxes.get(request.url);
    if (inbox) return inbox.take(request, response);
    this.faults.push(`${request.method} ${request.url}: there is no such inbox`);
    request.resume();
    response.writeHead(599).end();
  }
}

/** The webhook of one connection: the sender's account token, and the address that gets its events. */
export class Inbox {
  /** @type {Delivery[]} */
  deliveries = [];
  maxConcurrent = 0;
  /**
   * The answer if none is scripted.
   *
   * @type {DeliveryReply}
   */
  always = { status: 204 };
  #inFlight = 0;
  /** @type {DeliveryReply[]} */
  #answers = [];
  #count = 0;

  /**
   * @param {string} id
   * @param {string} url the receiver's address
   * @param {InboxSettings} settings
   * @param {string[]} faults gets the problems of deliveries
   * @param {AbortSignal} signal
   */
  constructor(id, url, settings, faults, signal) {
    this.id = id;
    this.faults = faults;
    this.signal = signal;
    const { provider = "guru", webhook = {}, token, secret = newSecret(), query = "", fields, secrets } = settings;
    this.path = `/webhooks/${id}`;
    this.target = `/inbox/${id}${query}`;
    this.tokens = (token ?? `${id}-account-token-${randomBytes(8).toString("hex")}`).split(",");
    this.signers = secret.split(",");
    /** @type {Vars} */
    this.vars = {
      provider,
      base_url: `${url}/api`,
      ...(provider === "custom" ? { grant: "static" } : {}),
      webhook: { forward_to: `${url}${this.target}`, ...webhook },
      rules: [EVERYTHING],
      ...fields,
    };
    const prefix = id.toUpperCase().replaceAll("-", "_");
    /** @type {Secrets} */
    this.secrets = {
      [`${prefix}_TOKEN`]: `${id}-static-token`,
      [`${prefix}_ACCOUNT_TOKEN`]: this.tokens.join(),
      [`${prefix}_WEBHOOK_SECRET`]: secret,
      ...secrets,
    };
  }

  /** The status that the broker gives an accepted event. */
  get accepted() {
    return this.vars.webhook?.accepted_status ?? (this.vars.provider === "guru" ? 200 : 202);
  }

  /** The account token, the first if there are several. */
  get token() {
    return this.tokens[0];
  }

  /** The webhook ids of all deliveries, in order. */
  get ids() {
    return this.deliveries.map(({ id }) => id);
  }

  get texts() {
    return this.deliveries.map(({ text }) => text);
  }

  /**
   * A new event, as its sender writes it; `members` are changed or added.
   *
   * @param {{ [member: string]: unknown }} [members]
   */
  event(members = {}) {
    this.#count += 1;
    const id = `${this.id}-${this.#count}`;
    return JSON.stringify({ api_token: this.token, id, webhook_type: "transaction", status: "approved", ...members });
  }

  /**
   * Scripts the next answers, one each.
   *
   * @param {DeliveryReply[]} answers
   */
  answer(...answers) {
    this.#answers.push(...answers);
  }

  /**
   * @param {Request} request
   * @param {ServerResponse} response
   */
  async take(request, response) {
    this.#inFlight += 1;
    this.maxConcurrent = Math.max(this.maxConcurrent, this.#inFlight);
    let inside = true;
    const leave = () => {
      if (inside) this.#inFlight -= 1;
      inside = false;
    };
    response.once("close", leave);
    const { method, url: target, rawHeaders } = request;
    const headers = /** @type {Fields} */ (request.headers);
    const answer = this.#answers.shift() ?? this.always;
    const body = await buffer(request);
    const delivery = {
      at: Date.now(),
      id: headers["webhook-id"],
      method,
      target,
      headers,
      rawHeaders,
      body,
      text: body.toString(),
    };
    this.faults.push(...faultsOf(delivery, this.signers).map((fault) => `a delivery of ${this.id}: ${fault}`));
    this.deliveries.push(delivery);

    if (answer.delay) await sleep(answer.delay, undefined, { signal: this.signal });
    if (answer.hold) await answer.hold;
    if (answer.hang) return;
    // The client that has the answer may send again before this server knows that it was sent.
    leave();
    if (answer.reset) request.socket.resetAndDestroy();
    else if (answer.endless) flood(response);
    else send(response, answer);
  }
}

/**
 * The problem of a delivery, if any.
 *
 * @param {Delivery} delivery
 * @param {string[]} signers
 */
function faultsOf({ method, id, headers, body }, signers) {
  /** @type {string[]} */
  const faults = [];
  /** @type {(what: string, right: boolean) => void} */
  const hold = (what, right) => void (right || faults.push(`${what}: ${method} ${JSON.stringify(headers)}`));
  hold("method", method === "POST");
  hold("Content-Type", headers["content-type"] === "application/json");
  hold("User-Agent", /^porteiro\/\d+\.\d+\.\d+$/.test(headers["user-agent"]));
  hold("webhook-id", /^msg_[0-9a-f]{32}$/.test(id));
  const timestamp = headers["webhook-timestamp"];
  hold(
    "webhook-timestamp",
    /^\d+$/.test(timestamp) && Math.abs(Date.now() / 1_000 - Number(timestamp)) < FRESH_SECONDS,
  );
  const signatures = (headers["webhook-signature"] ?? "").split(" ");
  hold(
    "webhook-signature",
    signatures.every((one) => /^v1,[A-Za-z0-9+/]{43}=$/.test(one)),
  );
  hold("number of signatures", signatures.length === signers.length);
  for (const [i, signer] of signers.entries()) {
    try {
      new Webhook(signer).verify(body, headers);
    } catch (error) {
      hold(`by secret ${i + 1}: ${error}`, false);
    }
  }
  return faults;
}

/** @param {ServerResponse} response */
function flood(response) {
  response.writeHead(200);
  const timer = setInterval(() => response.write("x".repeat(1_024)), 20);
  response.once("close", () => clearInterval(timer));
}
