// An ordinary HTTP client that changes nothing: no redirects, no decoding, no
// headers of its own.

import { Agent, request as httpRequest } from "node:http";
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";

/** The key of the caller `backend`. */
export const KEY = "e2e-caller-key-0123456789abcdefghijklmnop";

/** Keeps its connections, for tests that make many calls. */
export const keepAlive = () => new Agent({ keepAlive: true, maxSockets: 64 });

/**
 * Sends one request.
 *
 * options: {
 *   method, headers,   // headers: an object, or a flat list of names and values
 *   key,               // the caller's key, sent as Bearer; `null` sends none
 *   origin,
 *   body,              // Buffer, string, or a readable stream
 *   json,              // instead: sent as JSON
 *   agent, timeout, signal,
 *   onResponse,        // called with the response as soon as its head is there
 * }
 * Returns { status, headers, rawHeaders, body, bytes, sha256, text, json(), serverTiming }.
 */
export function call(base, target, options = {}) {
  const { method = "GET", key = KEY, origin, json, agent = false, timeout = 20_000, signal, onResponse } = options;
  const { hostname, port, host } = new URL(base);
  const fields = ["Host", host];
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
  fields.push(...(Array.isArray(given) ? given : Object.entries(given).flat()));

  return new Promise((resolve, reject) => {
    const sent = httpRequest({ hostname, port, method, path: target, headers: fields, agent, signal });
    sent.setTimeout(timeout, () => sent.destroy(new Error(`${method} ${target}: no answer within ${timeout} ms`)));
    sent.once("error", reject);
    sent.once("response", (response) => {
      onResponse?.(response);
      const hash = createHash("sha256");
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
    if (body && typeof body.pipe === "function") body.pipe(sent);
    else sent.end(body);
  });
}

class Answer {
  constructor(response, body, bytes, sha256) {
    this.status = response.statusCode;
    this.headers = response.headers;
    this.rawHeaders = [];
    for (let i = 0; i < response.rawHeaders.length; i += 2) {
      this.rawHeaders.push([response.rawHeaders[i], response.rawHeaders[i + 1]]);
    }
    Object.assign(this, { body, bytes, sha256 });
  }

  get text() {
    return (this.headers["content-encoding"] === "gzip" ? gunzipSync(this.body) : this.body).toString("utf8");
  }

  json() {
    try {
      return JSON.parse(this.text);
    } catch {
      throw new Error(`${this.status} with a body that is not JSON: ${this.text.slice(0, 300)}`);
    }
  }

  /** The entries of Server-Timing: { token: { desc, dur }, upstream: { dur } }. */
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

  /** Where the token of a proxied call came from. */
  get tokenSource() {
    return this.serverTiming.token?.desc;
  }
}
