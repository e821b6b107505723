// Serves the page on an origin of its own, as a front end has.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { closeServer, listen } from "./provider.mjs";

const FILES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/page.css": ["page.css", "text/css; charset=utf-8"],
  "/page.js": ["page.js", "text/javascript; charset=utf-8"],
  "/icon.svg": ["icon.svg", "image/svg+xml"],
};

const read = (name) => readFile(new URL(`./page/${name}`, import.meta.url));

// The same file gives the broker's assets their headers, so both origins have
// one policy.
async function pageHeaders() {
  const lines = (await read("_headers")).toString("utf8").split("\n").filter((line) => /^\s+\S/.test(line));
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf(":");
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

async function serve(request, response) {
  const headers = { ...(await pageHeaders()), "Cache-Control": "no-store" };
  const file = FILES[request.url.split("?", 1)[0]];
  if (!file || !["GET", "HEAD"].includes(request.method)) {
    response.writeHead(file ? 405 : 404, { ...headers, "Content-Type": "text/plain; charset=utf-8" });
    return response.end(file ? "Method not allowed\n" : "Not found\n");
  }
  const [name, type] = file;
  const body = await read(name);
  response.writeHead(200, { ...headers, "Content-Type": type, "Content-Length": body.length });
  response.end(body);
}

export async function startFrontend({ port = 0 } = {}) {
  const server = createServer((request, response) => {
    serve(request, response).catch(() => request.socket.destroy());
  });
  await listen(server, port);
  return {
    url: `http://localhost:${server.address().port}`,
    close: () => closeServer(server),
  };
}
