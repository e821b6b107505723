// The workers that are compared: their modules, and what each is configured with.
import { build } from "esbuild";
import { readFileSync } from "node:fs";
import path from "node:path";
import { buildWorker } from "../scripts/build.mjs";
import { inRoot } from "../scripts/lib.mjs";
import { KEY, ORIGIN } from "./settings.mjs";

const named = process.env.PORTEIRO_E2E_MAIN;
const porteiroFolder = named ? path.dirname(named) : inRoot("build");

/** Builds Porteiro, unless PORTEIRO_E2E_MAIN names one that is built. */
export async function preparePorteiro() {
  if (!named) await buildWorker();
}

/** The modules of a Worker in Rust. */
export const rustModules = (folder) => ({
  "index.js": readFileSync(path.join(folder, "index.js")),
  "./index_bg.wasm": readFileSync(path.join(folder, "index_bg.wasm")),
});

export const porteiroModules = () => rustModules(porteiroFolder);

/** The broker in plain JavaScript as it would be deployed: one module, minified. */
export async function javascriptModules() {
  const { outputFiles } = await build({
    entryPoints: [inRoot("bench", "javascript-broker", "main.js")],
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    external: ["cloudflare:*"],
    write: false,
    logLevel: "warning",
  });
  return { "main.js": outputFiles[0].contents };
}

/** One constant token, and the upstream's response untouched: nothing is checked and nothing kept. */
export const passThroughModules = (upstream) => ({
  "main.js": `export default { fetch(request) {
    const headers = new Headers(request.headers); headers.set("authorization", "Bearer constant");
    const { pathname, search } = new URL(request.url);
    return fetch("${upstream}" + pathname + search, { method: request.method, headers, body: request.body, redirect: "manual" });
  } };`,
});

export const emptyModules = { "main.js": `export default { fetch: () => new Response("ok") };` };

/**
 * The configuration of both brokers: `count` connections of a service, the first of which is called
 * `service`, and with an issuer also callers with its tokens and people with tokens of their own.
 */
export function configuration({ upstream, hubsoft, issuer, count = 1 }) {
  const { client_id, client_secret, username, password } = hubsoft.credentials;
  const connection = { provider: "hubsoft", base_url: upstream.url, token_url: hubsoft.tokenUrl };
  const callers = { backend: { kind: "key" }, page: { kind: "anyone" } };
  if (issuer) callers.staff = { kind: "jwt", issuer: issuer.url, audience: "bench", jwks_url: `${issuer.url}/jwks` };
  const rules = [{ callers: Object.keys(callers), methods: ["GET", "POST"], paths: ["/*"] }];
  const ids = Array.from({ length: count }, (_, number) => connectionId(number));
  const tables = { ALLOWED_ORIGINS: [ORIGIN], CALLERS: callers, CONNECTIONS: {} };
  const texts = { BACKEND_KEY: KEY, SEALING_KEYS: `bench:${Buffer.alloc(32, 7).toString("base64")}` };
  for (const id of ids) {
    tables.CONNECTIONS[id] = { ...connection, rules };
    Object.assign(texts, secrets(id, { client_id, client_secret, username, password }));
  }
  if (issuer) {
    const people = [{ callers: ["session"], methods: ["GET"], paths: ["/*"] }];
    tables.CONNECTIONS.people = { ...connection, subject: "user", rules: people };
    Object.assign(texts, secrets("people", { client_id, client_secret }));
  }
  return { tables, texts };
}

export const connectionId = (number) => (number === 0 ? "service" : `service-${number}`);

function secrets(id, fields) {
  const prefix = id.toUpperCase().replaceAll("-", "_");
  return Object.fromEntries(
    Object.entries(fields).map(([field, value]) => [`${prefix}_${field.toUpperCase()}`, value]),
  );
}
