// A web of names behind one https server: empty pages on every host, and on some of them
// a broker below /broker, as a route puts it there. What reaches a broker is kept, and
// what it answered.

import { createServer, request as httpsRequest } from "node:https";
import { closeServer, listen } from "../../../sandbox/provider.mjs";
import { selfSigned } from "./certificate.mjs";

const BROKER_AT = "/broker/";
const PAGE = "<!doctype html><html lang=en><meta charset=utf-8><title>A page</title><link rel=icon href=data:,><body>";

/** brokers: { host: the address of the broker there }. */
export async function startSites(brokers) {
  /** { host, method, path, query, headers, status, code, cookieSet } of each call, as the browser sent it. */
  const arrivals = [];
  const server = createServer(selfSigned("sites.test"), (request, response) => {
    const target = brokers[request.headers.host];
    if (target && request.url.startsWith(BROKER_AT)) return forward(target, request, response);
    response.writeHead(200, { "Content-Type": "text/html; charset=utf-8" });
    response.end(PAGE);
  });

  function forward(target, request, response) {
    const { pathname: path, searchParams: query } = new URL(request.url, "https://x");
    const { host } = request.headers;
    const record = { host, method: request.method, path, query, headers: request.headers };
    arrivals.push(record);
    const headers = { ...request.headers, "cf-connecting-ip": "203.0.113.7" };
    delete headers.connection;
    const sent = httpsRequest(
      target + request.url,
      { method: request.method, headers, rejectUnauthorized: false },
      (answer) => {
        const chunks = [];
        answer.on("data", (chunk) => chunks.push(chunk));
        answer.on("error", () => request.socket.destroy());
        answer.on("end", () => {
          const body = Buffer.concat(chunks);
          const isProblem = answer.headers["content-type"]?.startsWith("application/problem+json");
          record.code = isProblem ? JSON.parse(body).code : undefined;
          record.cookieSet = answer.headers["set-cookie"]?.join("\n");
          record.status = answer.statusCode;
          const fields = Object.fromEntries(
            Object.entries(answer.headersDistinct).filter(
              ([name]) => !["connection", "keep-alive", "transfer-encoding"].includes(name),
            ),
          );
          response.writeHead(answer.statusCode, fields);
          response.end(body);
        });
      },
    );
    sent.on("error", () => request.socket.destroy());
    request.pipe(sent);
  }

  await listen(server, 0);
  return {
    arrivals,
    address: `127.0.0.1:${server.address().port}`,
    close: () => closeServer(server),
  };
}
