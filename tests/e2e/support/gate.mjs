// A gate before a token endpoint. It passes token requests on to it, loses
// them or their answers, refuses them, or is shut, so that nothing listens.

import { once } from "node:events";
import { createServer, request as httpRequest } from "node:http";
import { text } from "node:stream/consumers";

const MODES = ["pass", "lose-request", "lose-answer", "unavailable"];

/** Starts a gate before the token endpoint at `target`. */
export async function startGate(target) {
  const gate = new Gate(target);
  await gate.open();
  return gate;
}

class Gate {
  /** Every token request: { at, grant, refreshToken, mode, status }; `status` where the endpoint itself answered. */
  requests = [];
  #mode = "pass";
  #port = 0;
  #server;
  #waiting = new Set();

  constructor(target) {
    this.target = target;
  }

  /**
   * What happens to requests from now on:
   * "pass"; "lose-request": it never reaches the endpoint; "lose-answer": it
   * takes effect, and the answer never comes back; "unavailable": 503.
   */
  set mode(mode) {
    if (!MODES.includes(mode)) throw new TypeError(`unknown mode: ${mode}`);
    this.#mode = mode;
  }

  /** The token endpoint's address for the broker. */
  get url() {
    return `http://127.0.0.1:${this.#port}/token`;
  }

  /** Resolves when the request after the first `count` is passed on, refused or lost. */
  async settled(count) {
    while (!this.requests[count]?.settled) {
      await new Promise((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Listens, on the port that it ever had. */
  async open() {
    this.#server = createServer({ keepAliveTimeout: 120_000 }, (request, response) => {
      this.#serve(request, response).catch(() => request.socket.destroy());
    });
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    this.#port = this.#server.address().port;
  }

  /** Ends all connections and listens no more. */
  async shut() {
    if (!this.#server?.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  async #serve(request, response) {
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
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  async #passOn({ method, headers }, body) {
    const fields = { ...headers, host: new URL(this.target).host };
    const sent = httpRequest(this.target, { method, headers: fields, agent: false });
    sent.end(body);
    const [answer] = await once(sent, "response");
    const { "content-type": type } = answer.headers;
    return { status: answer.statusCode, headers: { "Content-Type": type }, body: await text(answer) };
  }
}

function parametersOf(body) {
  try {
    return JSON.parse(body);
  } catch {
    return Object.fromEntries(new URLSearchParams(body));
  }
}
