// A proxy between the broker and third-party servers: it passes everything on unchanged, and records it. Each
// connection has a path of its own below its address.

import { createServer, request as httpRequest } from "node:http";
import { buffer } from "node:stream/consumers";
import { closeServer, listening } from "./servers.mjs";

/** @import { IncomingMessage, ServerResponse } from "node:http" */
/** @import { Fields } from "./client.mjs" */
/** @import { Request } from "./servers.mjs" */

/**
 * A server behind a recorder.
 *
 * @typedef {{ url: string, tokenPath: string }} Target
 */

/**
 * A request and its answer; the last two members are set once they have arrived.
 *
 * @typedef {object} Exchange
 * @property {string} path
 * @property {Fields} headers
 * @property {boolean} lost
 * @property {{ [name: string]: string }} parameters
 * @property {number} [status]
 * @property {any} [answer] the body, parsed
 */

export async function startRecorder() {
  /** @type {Map<string, Line>} */
  const lines = new Map();
  const server = createServer({ keepAliveTimeout: 120_000 }, (request, outgoing) => {
    const incoming = /** @type {Request} */ (request);
    const [, id = ""] = /^\/([a-z0-9-]+)\//.exec(incoming.url) ?? [];
    const line = lines.get(id);
    if (!line) return outgoing.writeHead(599).end();
    return line.pass(incoming, outgoing).catch(() => incoming.socket.destroy());
  });
  const url = await listening(server);
  return {
    /**
     * Everything below `${url}/${id}` goes to `target`.
     *
     * @param {string} id
     * @param {Target} target
     */
    line(id, target) {
      const line = new Line(id, `${url}/${id}`, target);
      lines.set(id, line);
      return line;
    },
    stop: () => closeServer(server),
  };
}

export class Line {
  /** @type {Exchange[]} */
  exchanges = [];
  #lose = false;

  /**
   * @param {string} id
   * @param {string} url
   * @param {Target} target
   */
  constructor(id, url, target) {
    this.id = id;
    this.url = url;
    this.target = target;
    this.tokenUrl = `${url}${target.tokenPath}`;
  }

  /**
   * The address of a call through the broker.
   *
   * @param {string} path
   */
  api(path) {
    return `/api/${this.id}${path}`;
  }

  /** The token requests and their answers. */
  get grants() {
    return this.exchanges.filter(({ path }) => path === this.target.tokenPath);
  }

  /** The calls of the API. */
  get calls() {
    return this.exchanges.filter(({ path }) => path !== this.target.tokenPath);
  }

  /**
   * Every token set issued, in order.
   *
   * @returns {{ client: string, access: string, refresh: string }[]}
   */
  get issued() {
    return this.grants
      .filter(({ status }) => status === 200)
      .map(({ answer, parameters }) => ({
        client: parameters.client_id,
        access: answer.access_token,
        refresh: answer.refresh_token,
      }));
  }

  /** Makes the next token request take effect, with its answer lost on the way. */
  loseNextGrant() {
    this.#lose = true;
  }

  /**
   * @param {Request} incoming
   * @param {ServerResponse} outgoing
   */
  async pass(incoming, outgoing) {
    const path = incoming.url.slice(new URL(this.url).pathname.length);
    const lost = this.#lose && path === this.target.tokenPath;
    if (lost) this.#lose = false;
    /** @type {Exchange} */
    const exchange = { path, headers: /** @type {Fields} */ (incoming.headers), lost, parameters: {} };
    this.exchanges.push(exchange);
    const body = await buffer(incoming);
    exchange.parameters = Object.fromEntries(new URLSearchParams(body.toString()));
    const response = await forward(new URL(path, this.target.url), incoming, body);
    const bytes = await buffer(response);
    exchange.answer = parsed(bytes);
    exchange.status = response.statusCode;
    if (lost) return void incoming.socket.destroy();
    const { connection, "transfer-encoding": chunked, ...headers } = response.headers;
    outgoing.writeHead(exchange.status ?? 0, { ...headers, "content-length": bytes.length }).end(bytes);
  }
}

/**
 * @param {URL} url
 * @param {Request} request
 * @param {Buffer} body
 * @returns {Promise<IncomingMessage>}
 */
function forward(url, { method, headers: { connection, "transfer-encoding": chunked, ...headers } }, body) {
  return new Promise((resolve, reject) => {
    const length = body.length ? { "content-length": body.length } : {};
    const sent = httpRequest(
      url,
      { method, agent: false, headers: { ...headers, ...length, host: url.host } },
      resolve,
    );
    sent.once("error", reject);
    sent.end(body);
  });
}

/** @param {Buffer} bytes */
function parsed(bytes) {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}
