// The application that events are delivered to: a real server, with an inbox for each
// connection. Every delivery is kept and held to what the broker promises, its signature
// by the library of the standard's makers; what is wrong with one is told by `verify()`.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Webhook } from "standardwebhooks";
import { closeServer, listen } from "../../../sandbox/provider.mjs";
import { EVERYTHING } from "./broker.mjs";
import { send } from "./upstream.mjs";

// A slow machine may take a while between signing and sending.
const FRESH_SECONDS = 60;

/** A secret as it stands in `<CONNECTION>_WEBHOOK_SECRET`. */
export const newSecret = (bytes = 32) => `whsec_${randomBytes(bytes).toString("base64")}`;

/** Starts one, which listens. */
export async function startReceiver() {
  const receiver = new Receiver();
  await receiver.open();
  return receiver;
}

class Receiver {
  /** What came that belongs to no inbox, and what was wrong with deliveries. */
  faults = [];
  #inboxes = new Map();
  #closing = new AbortController();
  #port = 0;
  #server;

  get url() {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Adds an inbox; see Inbox. */
  inbox(id, settings) {
    const inbox = new Inbox(id, this.url, { ...settings, faults: this.faults, signal: this.#closing.signal });
    this.#inboxes.set(inbox.target, inbox);
    return inbox;
  }

  /** The `CONNECTIONS` variable and the secrets of all inboxes. */
  get vars() {
    return Object.fromEntries([...this.#inboxes.values()].map(({ id, vars }) => [id, vars]));
  }

  get secrets() {
    return Object.assign({}, ...[...this.#inboxes.values()].map(({ secrets }) => secrets));
  }

  /** Listens, on the port that it ever had. */
  async open() {
    this.#server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
      this.#serve(request, response).catch((error) => {
        if (this.#closing.signal.aborted || ["ECONNRESET", "ABORT_ERR"].includes(error.code)) return;
        this.faults.push(`${request.method} ${request.url}: ${error.stack}`);
        request.socket.destroy();
      });
    });
    await listen(this.#server, this.#port);
    this.#port = this.#server.address().port;
  }

  /** Ends all connections and listens no more. */
  async shut() {
    if (this.#server.listening) await closeServer(this.#server);
  }

  async close() {
    this.#closing.abort();
    await this.shut();
  }

  /** Fails on what was wrong with anything that came. */
  verify() {
    assert.deepEqual(this.faults.splice(0), []);
  }

  async #serve(request, response) {
    const inbox = this.#inboxes.get(request.url);
    if (inbox) return inbox.take(request, response);
    this.faults.push(`${request.method} ${request.url}: there is no such inbox`);
    request.resume();
    response.writeHead(599).end();
  }
}

/**
 * One connection's webhook: the sender's account token, and where its events arrive.
 *
 * settings: {
 *   provider, // default guru
 *   webhook,  // further fields of the webhook table; undefined takes one away
 *   token,    // the secret of the account token, several comma-separated
 *   secret,   // the webhook secret, several comma-separated
 *   query,    // of the address that events are delivered to, with its "?"
 *   fields,   // further fields of the connection
 *   secrets,  // merged over the connection's; undefined takes one away
 * }
 */
class Inbox {
  /** Every delivery: { at, id, method, target, headers, rawHeaders, body, text }. */
  deliveries = [];
  maxConcurrent = 0;
  /** What is answered where nothing is scripted; see `answer`. */
  always = { status: 204 };
  #inFlight = 0;
  #answers = [];
  #count = 0;

  constructor(id, url, settings) {
    Object.assign(this, { id, settings });
    const { provider = "guru", webhook = {}, token, secret = newSecret(), query = "", fields, secrets } = settings;
    this.path = `/webhooks/${id}`;
    this.target = `/inbox/${id}${query}`;
    this.tokens = (token ?? `${id}-account-token-${randomBytes(8).toString("hex")}`).split(",");
    this.signers = secret.split(",");
    this.vars = {
      provider,
      base_url: `${url}/api`,
      ...(provider === "custom" ? { grant: "static" } : {}),
      webhook: { forward_to: `${url}${this.target}`, ...webhook },
      rules: [EVERYTHING],
      ...fields,
    };
    const prefix = id.toUpperCase().replaceAll("-", "_");
    this.secrets = {
      [`${prefix}_TOKEN`]: `${id}-static-token`,
      [`${prefix}_ACCOUNT_TOKEN`]: this.tokens.join(),
      [`${prefix}_WEBHOOK_SECRET`]: secret,
      ...secrets,
    };
  }

  /** The status that an accepted event is answered with. */
  get accepted() {
    return this.vars.webhook?.accepted_status ?? (this.vars.provider === "guru" ? 200 : 202);
  }

  /** The account token, the first where there are several. */
  get token() {
    return this.tokens[0];
  }

  /** The webhook ids of all deliveries, in their order. */
  get ids() {
    return this.deliveries.map(({ id }) => id);
  }

  get texts() {
    return this.deliveries.map(({ text }) => text);
  }

  /** An event that there was none of yet, as its sender writes it; `members` are changed or added. */
  event(members = {}) {
    this.#count += 1;
    const id = `${this.id}-${this.#count}`;
    return JSON.stringify({ api_token: this.token, id, webhook_type: "transaction", status: "approved", ...members });
  }

  /**
   * Scripts the next answers, one each:
   * { status, headers, body }
   * { reset: true }           // the connection ends without an answer
   * { hang: true }            // no answer at all
   * { endless: true }         // 200, and a body without end
   * and in all of these { delay: ms, hold: promise }.
   */
  answer(...answers) {
    this.#answers.push(...answers);
  }

  async take(request, response) {
    this.#inFlight += 1;
    this.maxConcurrent = Math.max(this.maxConcurrent, this.#inFlight);
    let inside = true;
    const leave = () => {
      if (inside) this.#inFlight -= 1;
      inside = false;
    };
    response.once("close", leave);
    const { method, url: target, headers, rawHeaders } = request;
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
    this.settings.faults.push(...faultsOf(delivery, this.signers).map((fault) => `a delivery of ${this.id}: ${fault}`));
    this.deliveries.push(delivery);

    if (answer.delay) await sleep(answer.delay, undefined, { signal: this.settings.signal });
    if (answer.hold) await answer.hold;
    if (answer.hang) return;
    // Whoever has the answer may come again before this server knows that it was sent.
    leave();
    if (answer.reset) request.socket.resetAndDestroy();
    else if (answer.endless) flood(response);
    else send(response, answer);
  }
}

function faultsOf({ method, id, headers, body }, signers) {
  const faults = [];
  const hold = (what, right) => right || faults.push(`${what}: ${method} ${JSON.stringify(headers)}`);
  hold("method", method === "POST");
  hold("Content-Type", headers["content-type"] === "application/json");
  hold("User-Agent", /^porteiro\/\d+\.\d+\.\d+$/.test(headers["user-agent"]));
  hold("webhook-id", /^msg_[0-9a-f]{32}$/.test(id));
  const timestamp = headers["webhook-timestamp"];
  hold("webhook-timestamp", /^\d+$/.test(timestamp) && Math.abs(Date.now() / 1_000 - timestamp) < FRESH_SECONDS);
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
      hold(`by secret ${i + 1}: ${error.message}`, false);
    }
  }
  return faults;
}

function flood(response) {
  response.writeHead(200);
  const timer = setInterval(() => response.write("x".repeat(1_024)), 20);
  response.once("close", () => clearInterval(timer));
}
