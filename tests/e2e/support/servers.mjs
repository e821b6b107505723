// What the servers and processes of the tests share.

import { closeServer, listen } from "../../../sandbox/provider.mjs";

export { closeServer };

/** @import { IncomingMessage, Server } from "node:http" */

/**
 * A request as a server gets it: it always has these two.
 *
 * @typedef {IncomingMessage & { url: string, method: string }} Request
 */

/**
 * Lets `server` listen; its address, without a path.
 *
 * @param {import("node:net").Server} server
 * @param {number} [port] default: one that is free
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
 * Gives `take` every line of `stream`, the last one too where nothing ends it.
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
