// The application's receiver of webhooks, as its developer would write it.

import { Webhook } from "standardwebhooks";
import { readBody } from "./provider.mjs";

const KEPT = 20;
const BODY_LIMIT = 1024 * 1024;

/** Takes events signed with `secret`, and knows the last of them, the newest first. */
export function createReceiver(secret) {
  const webhook = new Webhook(secret);
  const received = [];

  async function receive(request) {
    const { body, tooLarge } = await readBody(request, BODY_LIMIT);
    if (tooLarge) return { status: 413 };
    let event;
    try {
      event = webhook.verify(body, request.headers);
    } catch (error) {
      return { status: 401, body: { message: error.message } };
    }
    // An answer that is lost on its way has the event delivered again.
    const id = request.headers["webhook-id"];
    const known = received.find((one) => one.id === id);
    if (known) known.deliveries += 1;
    else received.unshift({ id, at: new Date().toISOString(), deliveries: 1, event });
    received.splice(KEPT);
    return { status: 204 };
  }

  return { receive, received };
}
