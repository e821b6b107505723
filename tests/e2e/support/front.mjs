// A proxy before the broker while its version changes. Cloudflare starts the new version beside the old one and refuses
// no call meanwhile; in these tests, only one process at a time runs on the stored state. So the proxy holds new calls
// during a change, and lets calls in flight end first.

import { once } from "node:events";
import { Agent, createServer, request as httpRequest } from "node:http";
import { closeServer, listening } from "./servers.mjs";

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { Broker, Secrets, Vars } from "./broker.mjs" */

/**
 * Starts a proxy before `broker`.
 *
 * @param {Broker} broker
 */
export async function startFront(broker) {
  const front = new Front(broker);
  front.url = await listening(front.server);
  return front;
}

class Front {
  url = "";
  #agent = new Agent({ keepAlive: true });
  /** @type {Promise<void> | undefined} */
  #held;
  /** @type {Set<Promise<void>>} */
  #underWay = new Set();

  /** @param {Broker} broker */
  constructor(broker) {
    this.broker = broker;
    this.server = createServer((request, response) => {
      this.#pass(request, response).catch(() => response.destroy());
    });
  }

  /**
   * Ends the broker and starts it with other variables or secrets, on the same stored state.
   *
   * @param {{ vars?: Vars, secrets?: Secrets }} changes
   */
  async change(changes) {
    /** @type {PromiseWithResolvers<void>} */
    const { promise, resolve: release } = Promise.withResolvers();
    this.#held = promise;
    await Promise.allSettled(this.#underWay);
    this.#agent.destroy();
    this.#agent = new Agent({ keepAlive: true });
    await this.broker.restart(changes);
    this.#held = undefined;
    release();
  }

  async close() {
    this.#agent.destroy();
    await closeServer(this.server);
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async #pass(request, response) {
    while (this.#held) await this.#held;
    const done = this.#send(request, response);
    this.#underWay.add(done);
    try {
      await done;
    } finally {
      this.#underWay.delete(done);
    }
  }

  /**
   * @param {IncomingMessage} request
   * @param {ServerResponse} response
   */
  async #send(request, response) {
    const { hostname, port, host } = new URL(this.broker.url);
    const headers = { ...request.headers, host };
    const sent = httpRequest({
      hostname,
      port,
      method: request.method,
      path: request.url,
      headers,
      agent: this.#agent,
    });
    request.pipe(sent);
    const [answer] = await once(sent, "response");
    response.writeHead(answer.statusCode, answer.rawHeaders);
    answer.pipe(response);
    await once(answer, "close");
  }
}
