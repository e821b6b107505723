// Many hosts behind one https server: empty pages on every host, and on some of them a broker below /broker, as a route
// would put it there. The server records the brokers' requests and answers.

import { createServer, request as httpsRequest } from "node:https";
import { selfSigned } from "./certificate.mjs";
import { closeServer, listening } from "./servers.mjs";

/** @import { IncomingHttpHeaders, ServerResponse } from "node:http" */
/** @import { Request } from "./servers.mjs" */

/**
 * A call that reached a broker, as the browser sent it, and the answer once it exists.
 *
 * @typedef {object} Arrival
 * @property {string} host
 * @property {string} method
 * @property {string} path
 * @property {URLSearchParams} query
 * @property {IncomingHttpHeaders} headers
 * @property {number} [status]
 * @property {string} [code] the problem's code
 * @property {string} [cookieSet]
 */

const BROKER_AT = "/broker/";
const PAGE = "<!doctype html><html lang=en><meta charset=utf-8><title>A page</title><link rel=icon href=data:,><body>";

/**
 * Starts the server.
 *
 * @param {{ [host: string]: string }} brokers the address of the broker at each host
 */
export async function startSites(brokers) {
  /** @type {Arrival[]} */
  const arrivals = [];
  const server = createServer(selfSigned("sites.test"), (incoming, response) => {
    const request = /** @type {Request} */ (incoming);
    const target = brokers[request.headers.host ?? ""];
    if (target && request.url.startsWith(BROKER_AT)) return forward(target, request, response);
    response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
    response.end(PAGE);
  });

  /**
   * @param {string} target
   * @param {Request} request
   * @param {ServerResponse} response
   */
  function forward(target, request, response) {
    const { pathname: path, searchParams: query } = new URL(request.url, "https://x");
    const { host = "" } = request.headers;
    /** @type {Arrival} */
    const record = { host, method: request.method, path, query, headers: request.headers };
    arrivals.push(record);
    const headers = { ...request.headers, "cf-connecting-ip": "203.0.113.7" };
    delete headers.connection;
    const sent = httpsRequest(
      target + request.url,
      // The broker may close an idle connection just as it is used again.
      { method: request.method, headers, rejectUnauthorized: false, agent: false },
      (answer) => {
        /** @type {Buffer[]} */
        const chunks = [];
        answer.on("data", (chunk) => chunks.push(chunk));
        answer.on("error", () => request.socket.destroy());
        answer.on("end", () => {
          const body = Buffer.concat(chunks);
          const isProblem = answer.headers["content-type"]?.startsWith("application/problem+json");
          record.code = isProblem ? JSON.parse(body.toString()).code : undefined;
          record.cookieSet = answer.headers["set-cookie"]?.join("\n");
          record.status = answer.statusCode ?? 0;
          const fields = Object.fromEntries(
            Object.entries(answer.headersDistinct).filter(
              ([name]) => !["connection", "keep-alive", "transfer-encoding"].includes(name),
            ),
          );
          response.writeHead(record.status, fields);
          response.end(body);
        });
      },
    );
    sent.on("error", () => request.socket.destroy());
    request.pipe(sent);
  }

  const { host: address } = new URL(await listening(server));
  return {
    arrivals,
    address,
    close: () => closeServer(server),
  };
}
