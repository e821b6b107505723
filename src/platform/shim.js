// The Worker's entry: it hands each event to the module, and outlives the module's failures.
//
// A panic, a stack overflow or a lack of memory ends the instance of the module: the next call into the module makes a
// new instance, and every object of the old one is stale from then on. What waited for the old one fails: the runtime
// ends events that nothing can answer any more. Objects begin anew with what they stored, as after an eviction.
import { DurableObject } from "cloudflare:workers";
import * as broker from "broker";
import { Call, wakeAll } from "./call.js";
import { preferredLanguage } from "./language.js";

// An alarm may make two token requests, and store between them: this is longer.
const LONGEST_ALARM_MS = 300_000;

const instance = broker.__worker_init_state();

export default {
  /** @param {Request} request @param {Env} env @param {ExecutionContext} ctx */
  async fetch(request, env, ctx) {
    try {
      const answer = new Call(broker, request, env, ctx).answer();
      // Waiting for an answer that is there costs it time.
      return answer instanceof Response ? answer : await answer;
    } catch {
      wakeAll();
      return failed(request, String(env.BASE_PATH ?? ""));
    }
  },
};

/**
 * The Durable Object of every kind of object, under the name that deployments have stored their objects by.
 * @extends {DurableObject<Env>}
 */
export class Keeper extends DurableObject {
  /** @type {broker.BrokerObject | undefined} */
  #object;
  /** The instance of the module that the object is of. @type {number | undefined} */
  #instanceId;

  /** @param {Request} request */
  async fetch(request) {
    try {
      const message = await request.text();
      return new Response(await this.#current().answer(message));
    } catch {
      return failed(request, "");
    }
  }

  // A rejection is left to the runtime, which calls again later. The runtime calls no other alarm while
  // one goes on, and an alarm whose instance was aborted would go on for ever.
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

  /** The object of the module's present instance. */
  #current() {
    // An aborted instance is replaced by the next call into the module. That must be this call, which needs no
    // object: a method of the object would use an address of the old instance in the new one.
    broker.__worker_init_state();
    if (this.#instanceId !== instance.instanceId) {
      this.#object = new broker.BrokerObject(this.ctx, this.env);
      this.#instanceId = instance.instanceId;
    }
    return /** @type {broker.BrokerObject} */ (this.#object);
  }
}

// As src/edge/problem/english.rs and portuguese.rs have it.
/** @type {{ [tag: string]: [title: string, detail: string] }} */
const INTERNAL = {
  en: ["Internal error", "Something unforeseen happened inside the broker."],
  "pt-BR": ["Erro interno", "Aconteceu algo imprevisto dentro do broker."],
};

/**
 * The answer of last resort. It does not quote the error, which may quote the request.
 * @param {Request} request
 * @param {string} basePath
 */
function failed(request, basePath) {
  const request_id = crypto.randomUUID().replaceAll("-", "");
  console.error(JSON.stringify({ level: "error", event: "panic", request_id }));
  const language = preferredLanguage(request.headers.get("Accept-Language") ?? "");
  const [title, detail] = INTERNAL[language];
  const problem = {
    type: `${new URL(request.url).origin}${basePath}/problems/internal`,
    title,
    status: 500,
    code: "internal",
    detail,
    request_id,
  };
  return new Response(JSON.stringify(problem), {
    status: 500,
    headers: {
      "Content-Type": "application/problem+json",
      "Content-Language": language,
      "X-Request-Id": request_id,
      "Cache-Control": "no-store",
      "X-Content-Type-Options": "nosniff",
      "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox",
      "Cross-Origin-Resource-Policy": "same-origin",
      "Referrer-Policy": "no-referrer",
      Vary: "Origin, Accept-Language",
    },
  });
}
