// Common functions of the tests' servers and processes.

import { closeServer, listen } from "../../../sandbox/provider.mjs";

export { closeServer };

/** @import { IncomingMessage, Server } from "node:http" */

/**
 * A request as a server gets it, always with these two members.
 *
 * @typedef {IncomingMessage & { url: string, method: string }} Request
 */

/**
 * Makes `server` listen; returns its address, without a path.
 *
 * @param {import("node:net").Server} server
 * @param {number} [port] default: a free port
 */
export async function listening(server, port = 0) {
  await listen(/** @type {Server} */ (server), port);
  return `http://127.0.0.1:${portOf(server)}`;
}

/**
 * The port that `server` listens on.
 *
 * @param {import("node:net").Server} server
 */
export const portOf = (server) => /** @type {import("node:net").AddressInfo} */ (server.address()).port;

/**
 * The code of a system error.
 *
 * @param {unknown} error
 */
export const codeOf = (error) => /** @type {NodeJS.ErrnoException} */ (error).code;

/**
 * Calls `take` with every line of `stream`, including an unterminated last one.
 *
 * @param {import("node:stream").Readable} stream
 * @param {(line: string) => void} take
 */
export function eachLine(stream, take) {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
  });
  stream.on("end", () => rest && take(rest));
}
