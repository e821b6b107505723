// Serves the two front ends, each on an origin of its own: the sandbox's page with the application's receiver of
// webhooks, and the example in which people sign in.

/** @import { ServerResponse } from "node:http" */
/** @import { startIssuer } from "./issuer.mjs" */
/** @import { Answer, Provider, Request } from "./types.js" */

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { closeServer, listen, portOf, readBody, send } from "./provider.mjs";
import { createReceiver } from "./receiver.mjs";

/** The broker's address as the pages have it. */
export const BROKER = "http://localhost:8787";

const WEBHOOK_SECRET = `whsec_${Buffer.from("sandboxOnly0123456789abcdefghijk").toString("base64")}`;

const HTML = "text/html; charset=utf-8";
const CSS = "text/css; charset=utf-8";
const SCRIPT = "text/javascript; charset=utf-8";

/**
 * @typedef {object} Site
 * @property {URL} folder
 * @property {Record<string, string[]>} files name and type by path
 * @property {() => Record<string, string> | Promise<Record<string, string>>} headers
 * @property {Record<string, (request: Request) => Answer | Promise<Answer>>} [calls] answers that are not files, by
 * method and path
 */

const SCRIPTS = ["agenda", "calls", "dom", "en", "page", "people", "pt", "views", "webhooks", "words"].map(
  (name) => `${name}.js`,
);

/** @type {Site} */
const PAGE = {
  folder: new URL("./page/", import.meta.url),
  files: {
    "/": ["index.html", HTML],
    "/page.css": ["page.css", CSS],
    ...Object.fromEntries(SCRIPTS.map((name) => [`/${name}`, [name, SCRIPT]])),
    "/icon.svg": ["icon.svg", "image/svg+xml"],
  },
  // The broker's assets get their headers from the same file, so both origins have one policy.
  async headers() {
    const lines = (await readFile(new URL("_headers", this.folder), "utf8"))
      .split("\n")
      .filter((line) => /^\s+\S/.test(line));
    return Object.fromEntries(
      lines.map((line) => {
        const at = line.indexOf(":");
        return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
      }),
    );
  },
};

/** @type {Site} */
const EXAMPLE = {
  folder: new URL("../examples/front-end/", import.meta.url),
  files: {
    "/": ["index.html", HTML],
    "/password.html": ["password.html", HTML],
    "/style.css": ["style.css", CSS],
    ...Object.fromEntries(
      ["app", "broker", "page", "password", "words"].map((name) => [`/${name}.js`, [`${name}.js`, SCRIPT]]),
    ),
    "/porteiro.js": ["../../client/porteiro.js", SCRIPT],
  },
  // The page's own policy is in index.html, except for the parts that only a header can set.
  headers: () => ({
    "Content-Security-Policy": "frame-ancestors 'none'",
    // With `same-origin` the page would get no message from the window in which a person signs in.
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
  }),
};

/** @param {Site} site @param {string} broker its address @param {Request} request @param {ServerResponse} response */
async function serve(site, broker, request, response) {
  const named = (/** @type {string} */ text) => text.replaceAll(BROKER, broker);
  const own = Object.entries(await site.headers()).map(([name, value]) => [name, named(value)]);
  /** @type {Record<string, string>} */
  const headers = { ...Object.fromEntries(own), "Cache-Control": "no-store" };
  const [path] = request.url.split("?", 1);
  const call = site.calls?.[`${request.method} ${path}`];
  if (call) {
    if (request.headers.origin === broker) headers["Access-Control-Allow-Origin"] = broker;
    const answer = await call(request);
    return send(response, { ...answer, headers: { ...headers, ...answer.headers } });
  }
  const file = site.files[path];
  if (!file || !["GET", "HEAD"].includes(request.method)) {
    response.writeHead(file ? 405 : 404, { ...headers, "Content-Type": "text/plain; charset=utf-8" });
    return response.end(file ? "Method not allowed\n" : "Not found\n");
  }
  const [name, type] = file;
  const body = Buffer.from(named(await readFile(new URL(name, site.folder), "utf8")));
  response.writeHead(200, { ...headers, "Content-Type": type, "Content-Length": body.length });
  response.end(body);
}

/** @param {Site} site @param {number} port @param {string} broker */
async function start(site, port, broker) {
  const server = createServer((request, response) => {
    serve(site, broker, /** @type {Request} */ (request), response).catch(() => request.socket.destroy());
  });
  await listen(server, port);
  return {
    url: `http://localhost:${portOf(server)}`,
    close: () => closeServer(server),
  };
}

const CONTROL = "/sandbox/webhooks";
const CONTROL_LIMIT = 4096;

/**
 * The page's calls to the sandbox's Guru, made on the page's own origin. @param {string} guruUrl @param {Request}
 * request
 */
async function passOn(guruUrl, request) {
  const { body } = await readBody(request, CONTROL_LIMIT);
  const headers = { "Content-Type": request.headers["content-type"] ?? "" };
  const response = await fetch(guruUrl + CONTROL, { method: "POST", headers, body });
  return { status: response.status, body: await response.text() };
}

/** A token of the person whom the page names, in the place of a sign-in. @param {Issuer} issuer @param {Request} request */
async function tokenOf(issuer, request) {
  const { body } = await readBody(request, CONTROL_LIMIT);
  let token;
  try {
    token = issuer.token(JSON.parse(body.toString("utf8")).person);
  } catch {
    return { status: 400 };
  }
  return token ? { body: { token } } : { status: 404 };
}

const INVOICES = "/api/v1/integracao/cliente/financeiro";

/** What HubSoft was asked for its invoices, by whomever. @param {Pick<Provider, "apiRequests">} hubsoft */
const invoiceRequests = ({ apiRequests }) =>
  apiRequests
    .filter(({ path }) => path.startsWith(INVOICES))
    .map(({ at, method, path, status }) => ({ at, method, path, status }));

/** @returns {Answer} */
const preflight = () => ({ status: 204, headers: { "Access-Control-Allow-Headers": "Content-Type" } });

/** @typedef {Pick<Awaited<ReturnType<typeof startIssuer>>, "people" | "token">} Issuer */

/** @type {Issuer} */
const NOBODY = { people: [], token: () => undefined };

/**
 * The sandbox's page.
 * @param {object} [settings]
 * @param {number} [settings.port]
 * @param {string} [settings.broker] the broker's address
 * @param {string} [settings.guruUrl] the address at which Guru is asked to send an event
 * @param {string} [settings.webhookSecret] the secret that signs events
 * @param {Issuer} [settings.issuer] the issuer that proves the page's people
 * @param {Pick<Provider, "apiRequests">} [settings.hubsoft]
 */
export function startFrontend({
  port = 0,
  broker = BROKER,
  guruUrl = "",
  webhookSecret = WEBHOOK_SECRET,
  issuer = NOBODY,
  hubsoft = { apiRequests: [] },
} = {}) {
  const { receive, received } = createReceiver(webhookSecret);
  /** @type {Site["calls"]} */
  const calls = {
    "POST /hooks/guru": receive,
    "GET /hooks/guru": () => ({ body: received }),
    [`POST ${CONTROL}`]: (request) => passOn(guruUrl, request),
    [`OPTIONS ${CONTROL}`]: preflight,
    "GET /sandbox/people": () => ({ body: issuer.people }),
    "POST /sandbox/tokens": (request) => tokenOf(issuer, request),
    "OPTIONS /sandbox/tokens": preflight,
    "GET /sandbox/invoices": () => ({ body: invoiceRequests(hubsoft) }),
  };
  return start({ ...PAGE, calls }, port, broker);
}

export const startExample = ({ port = 0, broker = BROKER } = {}) => start(EXAMPLE, port, broker);
