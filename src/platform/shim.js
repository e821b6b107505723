// The Worker's entry: hands each event to the module, and outlives its failures.
//
// A panic rejects the promise of its own event and nothing else. An abort (stack
// overflow, out of memory) ends the instance of the module: the next call into it
// makes a new one, and every object of the old one is stale from then on.
import { DurableObject } from "cloudflare:workers";
import * as broker from "broker";
import { Call } from "./call.js";

// Longer than two token requests may take, and what is stored between them.
const LONGEST_ALARM_MS = 300_000;

const instance = broker.__worker_init_state();

export default {
  /** @param {Request} request @param {Env} env @param {ExecutionContext} ctx */
  async fetch(request, env, ctx) {
    try {
      return await new Call(broker, request, env, ctx).answer();
    } catch {
      return failed(new URL(request.url).origin + (env.BASE_PATH ?? ""));
    }
  },
};

/** @extends {DurableObject<Env>} */
export class Keeper extends DurableObject {
  /** @type {broker.Keeper | undefined} */
  #keeper;
  /** The instance of the module that has it. @type {number | undefined} */
  #instanceId;

  /** @param {Request} request */
  async fetch(request) {
    try {
      return await this.#current().fetch(request);
    } catch {
      return failed(new URL(request.url).origin);
    }
  }

  // A rejection is left to the runtime, which calls again later. It calls no other alarm while
  // one goes on, and one whose instance was aborted would go on for ever.
  async alarm() {
    /** @type {number | undefined} */
    let timer;
    const overdue = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("the alarm did not end")), LONGEST_ALARM_MS);
    });
    try {
      return await Promise.race([this.#current().alarm(), overdue]);
    } finally {
      clearTimeout(/** @type {number} */ (timer));
    }
  }

  /** The keeper of the module's present instance. */
  #current() {
    // An instance that ended is replaced by the next call that needs no object of it. Had the
    // keeper's own method been that call, it would use an address of the old instance in the new.
    broker.__worker_init_state();
    if (this.#instanceId !== instance.instanceId) {
      this.#keeper = new broker.Keeper(this.ctx, this.env);
      this.#instanceId = instance.instanceId;
    }
    return /** @type {broker.Keeper} */ (this.#keeper);
  }
}

/** The answer of last resort. What failed is not told: it may quote the request. @param {string} address */
function failed(address) {
  const request_id = crypto.randomUUID().replaceAll("-", "");
  console.error(JSON.stringify({ level: "error", event: "panic", request_id }));
  const problem = {
    type: `${address}/problems/internal`,
    title: "Internal error",
    status: 500,
    code: "internal",
    detail: "Something unforeseen happened inside the broker.",
    request_id,
  };
  return new Response(JSON.stringify(problem), {
    status: 500,
    headers: {
      "Content-Type": "application/problem+json",
      "X-Request-Id": request_id,
      "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
      "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
      "Cross-Origin-Resource-Policy": "same-origin",
      "Referrer-Policy": "no-referrer",
      Vary: "Origin",
    },
  });
}
