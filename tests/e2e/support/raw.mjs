// A raw HTTP/1.1 client: it sends its input byte for byte, which no ordinary client does, and parses the answer itself.

import { connect } from "node:net";

/**
 * An answer as received.
 *
 * @typedef {{ status: number, reason: string, headers: [name: string, value: string][], body: Buffer }} RawAnswer
 */

/**
 * A request as sent; Host, Connection and Content-Length are added if absent.
 *
 * @typedef {object} RawRequest
 * @property {string} [method]
 * @property {string} target
 * @property {[name: string, value: string][]} [headers]
 * @property {Buffer | string} [body]
 * @property {number} [timeout] in milliseconds
 */

/**
 * Sends one request and reads one answer.
 *
 * @param {string} url the address of the server
 * @param {RawRequest} request
 */
export function rawRequest(url, { method = "GET", target, headers = [], body = "", timeout = 10_000 }) {
  const { hostname, port, host } = new URL(url);
  const given = new Set(headers.map(([name]) => name.toLowerCase()));
  const fields = [...headers];
  if (!given.has("host")) fields.unshift(["Host", host]);
  if (!given.has("connection")) fields.push(["Connection", "close"]);
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  if (bytes.length && !given.has("content-length") && !given.has("transfer-encoding")) {
    fields.push(["Content-Length", String(bytes.length)]);
  }
  const head = `${method} ${target} HTTP/1.1\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
  return rawExchange({ hostname, port }, Buffer.concat([Buffer.from(head, "latin1"), bytes]), { method, timeout });
}

/**
 * Sends `bytes` unchanged and reads one answer.
 *
 * @param {{ hostname: string, port: string | number }} address
 * @param {Buffer | string} bytes
 * @param {{ method?: string, timeout?: number }} [options] `timeout` in milliseconds
 * @returns {Promise<RawAnswer>}
 */
export function rawExchange({ hostname, port }, bytes, { method = "GET", timeout = 10_000 } = {}) {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) });
    let received = Buffer.alloc(0);
    /** @param {unknown} outcome an answer, or an error */
    const finish = (outcome) => {
      clearTimeout(timer);
      socket.destroy();
      if (outcome instanceof Error) reject(outcome);
      else resolve(/** @type {RawAnswer} */ (outcome));
    };
    const timer = setTimeout(() => finish(new Error(`no complete answer within ${timeout} ms`)), timeout);
    socket.once("connect", () => socket.write(bytes));
    socket.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      try {
        const answer = parseAnswer(received, { method, ended: false });
        if (answer) finish(answer);
      } catch (error) {
        finish(error);
      }
    });
    socket.once("end", () => {
      try {
        finish(parseAnswer(received, { method, ended: true }) ?? new Error("the answer was cut off"));
      } catch (error) {
        finish(error);
      }
    });
    socket.once("error", finish);
  });
}

/**
 * The answer in `bytes`, or undefined if it is incomplete.
 *
 * @param {Buffer} bytes
 * @param {{ method?: string, ended?: boolean }} [options]
 * @returns {RawAnswer | undefined}
 */
export function parseAnswer(bytes, { method = "GET", ended = true } = {}) {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [statusLine, ...lines] = bytes.subarray(0, end).toString("latin1").split("\r\n");
  const match = /^HTTP\/1\.[01] (\d{3})(?: (.*))?$/.exec(statusLine);
  if (!match) throw new Error(`not a status line: ${JSON.stringify(statusLine)}`);
  const status = Number(match[1]);
  /** @type {[name: string, value: string][]} */
  const headers = lines.map((line) => {
    const at = line.indexOf(":");
    if (at < 1) throw new Error(`not a header field: ${JSON.stringify(line)}`);
    return [line.slice(0, at), line.slice(at + 1).trim()];
  });
  const rest = bytes.subarray(end + 4);
  if (status >= 100 && status < 200) return parseAnswer(rest, { method, ended });
  /** @param {string} name */
  const value = (name) => headers.find(([field]) => field.toLowerCase() === name)?.[1];
  /** @type {(body: Buffer) => RawAnswer} */
  const answer = (body) => ({ status, reason: match[2] ?? "", headers, body });
  if (method === "HEAD" || status === 204 || status === 304) return answer(Buffer.alloc(0));
  if (/\bchunked$/i.test(value("transfer-encoding") ?? "")) {
    const body = dechunk(rest);
    return body && answer(body);
  }
  const length = value("content-length");
  if (length !== undefined) {
    return rest.length >= Number(length) ? answer(rest.subarray(0, Number(length))) : undefined;
  }
  return ended ? answer(rest) : undefined;
}

/** @param {Buffer} bytes */
function dechunk(bytes) {
  const parts = [];
  for (let at = 0; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16);
    if (!(size >= 0)) throw new Error("not a chunk size");
    const start = lineEnd + 2;
    if (size === 0) return bytes.indexOf("\r\n", start) < 0 ? undefined : Buffer.concat(parts);
    if (bytes.length < start + size + 2) return undefined;
    parts.push(bytes.subarray(start, start + size));
    at = start + size + 2;
  }
}
