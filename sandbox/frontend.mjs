// Serves the two front ends, each on an origin of its own: the sandbox's page, and
// the example in which people sign in.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { closeServer, listen } from "./provider.mjs";

const HTML = "text/html; charset=utf-8";
const CSS = "text/css; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";

const PAGE = {
  folder: new URL("./page/", import.meta.url),
  files: {
    "/": ["index.html", HTML],
    "/page.css": ["page.css", CSS],
    "/page.js": ["page.js", SCRIPT],
    "/icon.svg": ["icon.svg", "image/svg+xml"],
  },
  // The same file gives the broker's assets their headers, so both origins have
  // one policy.
  async headers() {
    const lines = (await readFile(new URL("_headers", this.folder), "utf8")).split("\n").filter((line) => /^\s+\S/.test(line));
    return Object.fromEntries(
      lines.map((line) => {
        const at = line.indexOf(":");
        return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
      }),
    );
  },
};

const EXAMPLE = {
  folder: new URL("../examples/front-end/", import.meta.url),
  files: {
    "/": ["index.html", HTML],
    "/style.css": ["style.css", CSS],
    "/app.js": ["app.js", SCRIPT],
  },
  // The page's own policy stands in index.html; this much only a header can say.
  headers: () => ({
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
  }),
};

async function serve(site, request, response) {
  const headers = { ...(await site.headers()), "Cache-Control": "no-store" };
  const file = site.files[request.url.split("?", 1)[0]];
  if (!file || !["GET", "HEAD"].includes(request.method)) {
    response.writeHead(file ? 405 : 404, { ...headers, "Content-Type": "text/plain; charset=utf-8" });
    return response.end(file ? "Method not allowed\n" : "Not found\n");
  }
  const [name, type] = file;
  const body = await readFile(new URL(name, site.folder));
  response.writeHead(200, { ...headers, "Content-Type": type, "Content-Length": body.length });
  response.end(body);
}

async function start(site, port) {
  const server = createServer((request, response) => {
    serve(site, request, response).catch(() => request.socket.destroy());
  });
  await listen(server, port);
  return {
    url: `http://localhost:${server.address().port}`,
    close: () => closeServer(server),
  };
}

export const startFrontend = ({ port = 0 } = {}) => start(PAGE, port);
export const startExample = ({ port = 0 } = {}) => start(EXAMPLE, port);
