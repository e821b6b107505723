// A plain HTTP client that changes nothing: it follows no redirects, decodes nothing, and adds no header fields of its
// own.

import { Agent, request as httpRequest } from "node:http";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";

/** The key of the caller `backend`. */
export const KEY = "e2e-caller-key-0123456789abcdefghijklmnop";

/** Keeps its connections open, for tests that make many calls. */
export const keepAlive = () => new Agent({ keepAlive: true, maxSockets: 64 });

/**
 * Header fields by name in lower case. Only Set-Cookie may have several values.
 *
 * @typedef {{ [name: string]: string } & { "set-cookie"?: string[] }} Fields
 */

/**
 * The parts of a request.
 *
 * @typedef {object} CallOptions
 * @property {string} [method]
 * @property {{ [name: string]: string | number } | string[]} [headers] an object, or a flat list of names and values
 * @property {string} [host] the value of Host, instead of the server's own
 * @property {string | null} [key] the caller's key, sent as Bearer; `null` sends none
 * @property {string} [origin]
 * @property {Buffer | string | import("node:stream").Readable} [body]
 * @property {unknown} [json] instead of `body`: sent as JSON
 * @property {Agent | false} [agent]
 * @property {number} [timeout] in milliseconds
 * @property {AbortSignal} [signal]
 * @property {(response: import("node:http").IncomingMessage) => void} [onResponse] called when the head of the response
 * has arrived
 */

/**
 * Sends one request.
 *
 * @param {string} base the address of the server
 * @param {string} target
 * @param {CallOptions} [options]
 * @returns {Promise<Answer>}
 */
export function call(base, target, options = {}) {
  const { method = "GET", key = KEY, origin, json, agent = false, timeout = 20_000, signal, onResponse } = options;
  const { hostname, port, host } = new URL(base);
  const fields = ["Host", options.host ?? host];
  if (key !== null) fields.push("Authorization", `Bearer ${key}`);
  if (origin !== undefined) fields.push("Origin", origin);
  let body = options.body;
  if (json !== undefined) {
    body = JSON.stringify(json);
    fields.push("Content-Type", "application/json");
  }
  if (typeof body === "string" || Buffer.isBuffer(body)) {
    fields.push("Content-Length", String(Buffer.byteLength(body)));
  } else if (body) {
    fields.push("Transfer-Encoding", "chunked");
  }
  const given = options.headers ?? {};
  fields.push(...(Array.isArray(given) ? given : Object.entries(given).flat().map(String)));

  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path: target, headers: fields, agent, signal });
    sent.setTimeout(timeout, () => sent.destroy(new Error(`${method} ${target}: no answer within ${timeout} ms`)));
    sent.once("error", reject);
    sent.once("response", (response) => {
      onResponse?.(response);
      const hash = createHash("sha256");
      /** @type {Buffer[]} */
      const chunks = [];
      let bytes = 0;
      response.on("data", (chunk) => {
        hash.update(chunk);
        bytes += chunk.length;
        chunks.push(chunk);
      });
      response.once("error", reject);
      response.once("end", () => resolve(new Answer(response, Buffer.concat(chunks), bytes, hash.digest("hex"))));
    });
    if (body && typeof body !== "string" && !Buffer.isBuffer(body)) body.pipe(sent);
    else sent.end(body);
  });
}

export class Answer {
  /**
   * @param {import("node:http").IncomingMessage} response
   * @param {Buffer} body
   * @param {number} bytes
   * @param {string} sha256
   */
  constructor(response, body, bytes, sha256) {
    this.status = response.statusCode ?? 0;
    this.headers = /** @type {Fields} */ (response.headers);
    /** @type {[name: string, value: string][]} */
    this.rawHeaders = [];
    for (let i = 0; i < response.rawHeaders.length; i += 2) {
      this.rawHeaders.push([response.rawHeaders[i], response.rawHeaders[i + 1]]);
    }
    this.body = body;
    this.bytes = bytes;
    this.sha256 = sha256;
  }

  get text() {
    return (this.headers["content-encoding"] === "gzip" ? gunzipSync(this.body) : this.body).toString("utf8");
  }

  /**
   * The body, parsed.
   *
   * @returns {any}
   */
  json() {
    try {
      return JSON.parse(this.text);
    } catch {
      throw new Error(`${this.status} with a body that is not JSON: ${this.text.slice(0, 300)}`);
    }
  }

  /**
   * The entries of Server-Timing: { token: { desc, dur }, upstream: { dur } }.
   *
   * @returns {{ [entry: string]: { [parameter: string]: string } }}
   */
  get serverTiming() {
    const entries = (this.headers["server-timing"] ?? "").split(",").filter((entry) => entry.trim());
    return Object.fromEntries(
      entries.map((entry) => {
        const [name, ...parameters] = entry.split(";").map((part) => part.trim());
        return [
          name,
          Object.fromEntries(
            parameters.map((part) => [part.split("=")[0], part.slice(part.indexOf("=") + 1).replace(/^"|"$/g, "")]),
          ),
        ];
      }),
    );
  }

  /** The source of a proxied call's token. */
  get tokenSource() {
    return this.serverTiming.token?.desc;
  }
}
