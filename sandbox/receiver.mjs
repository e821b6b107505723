// The application's receiver of webhooks, as its developer would write it.

/** @import { IncomingMessage } from "node:http" */
/** @import { Answer } from "./types.js" */

import { Webhook } from "standardwebhooks";
import { readBody } from "./provider.mjs";

const KEPT = 20;
const BODY_LIMIT = 1024 * 1024;

/**
 * An event that arrived; its content is the sender's.
 * @typedef {{ id: string, at: string, deliveries: number, event: any }} Received
 */

/** Accepts events signed with `secret`, and lists the last of them, the newest first. @param {string} secret */
export function createReceiver(secret) {
  const webhook = new Webhook(secret);
  /** @type {Received[]} */
  const received = [];

  /** @param {IncomingMessage} request @returns {Promise<Answer>} */
  async function receive(request) {
    const { body, tooLarge } = await readBody(request, BODY_LIMIT);
    if (tooLarge) return { status: 413 };
    const headers = /** @type {Record<string, string>} */ (request.headers);
    let event;
    try {
      event = webhook.verify(body, headers);
    } catch (error) {
      return { status: 401, body: { message: /** @type {Error} */ (error).message } };
    }
    // If the answer is lost, the broker delivers the event again.
    const id = headers["webhook-id"];
    const known = received.find((one) => one.id === id);
    if (known) known.deliveries += 1;
    else received.unshift({ id, at: new Date().toISOString(), deliveries: 1, event });
    received.splice(KEPT);
    return { status: 204 };
  }

  return { receive, received };
}
