// The workers under comparison: their modules and their configurations.
import { build } from "esbuild";
import { buildWorker } from "../scripts/build.mjs";
import { inRoot } from "../scripts/lib.mjs";
import { KEY, ORIGIN } from "./settings.mjs";

/** @import { Modules } from "../scripts/workerd.mjs" */
/** @import { Issuer } from "../tests/e2e/support/issuer.mjs" */
/** @import { Hubsoft } from "../sandbox/types.js" */
/** @import { Upstream } from "./upstream.mjs" */

/**
 * The servers behind the brokers.
 *
 * @typedef {{ upstream: Pick<Upstream, "url" | "pid">, hubsoft: Pick<Hubsoft, "tokenUrl" | "credentials"> }} Services
 */

/** Builds Porteiro, unless PORTEIRO_E2E_MAIN names a built one. */
export async function preparePorteiro() {
  if (!process.env.PORTEIRO_E2E_MAIN) await buildWorker();
}

/**
 * The broker in plain JavaScript as it would be deployed: one module, minified.
 *
 * @returns {Promise<Modules>}
 */
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

/**
 * A worker that adds one constant token and passes the upstream's response on untouched, without checks or state.
 *
 * @param {string} upstream its address
 * @returns {Modules}
 */
export const passThroughModules = (upstream) => ({
  "main.js": `export default { fetch(request) {
    const headers = new Headers(request.headers); headers.set("authorization", "Bearer constant");
    const { pathname, search } = new URL(request.url);
    return fetch("${upstream}" + pathname + search, { method: request.method, headers, body: request.body, redirect: "manual" });
  } };`,
});

/** @type {Modules} */
export const emptyModules = { "main.js": `export default { fetch: () => new Response("ok") };` };

/**
 * The configuration of both brokers: `count` connections with tokens of their own, the first of which is called
 * `service`; with an issuer, also callers with its tokens, and people who sign in.
 *
 * @param {Services & { issuer?: Pick<Issuer, "issuer" | "jwksUrl" | "audience">, count?: number }} settings
 */
export function configuration({ upstream, hubsoft, issuer, count = 1 }) {
  const { client_id, client_secret, username, password } = hubsoft.credentials;
  const connection = { provider: "hubsoft", base_url: upstream.url, token_url: hubsoft.tokenUrl };
  /** @type {{ [name: string]: object }} */
  const callers = { backend: { kind: "key" }, page: { kind: "anyone" } };
  if (issuer) {
    callers.staff = { kind: "jwt", issuer: issuer.issuer, audience: issuer.audience, jwks_url: issuer.jwksUrl };
  }
  const rules = [{ callers: Object.keys(callers), methods: ["GET", "POST"], paths: ["/*"] }];
  const ids = Array.from({ length: count }, (_, number) => connectionId(number));
  /** @type {{ CONNECTIONS: { [id: string]: { [field: string]: unknown } }, [name: string]: unknown }} */
  const vars = {
    ALLOWED_ORIGINS: [ORIGIN],
    CALLERS: callers,
    CONNECTIONS: {},
    BACKEND_KEY: KEY,
    SEALING_KEYS: `bench:${Buffer.alloc(32, 7).toString("base64")}`,
  };
  for (const id of ids) {
    vars.CONNECTIONS[id] = { ...connection, rules };
    Object.assign(vars, secrets(id, { client_id, client_secret, username, password }));
  }
  if (issuer) {
    const binding = {
      claims: { email: "ana@example.com" },
      query: { customer: "{claims.sub}" },
      query_allowed: ["page"],
    };
    const bound = [{ callers: ["staff"], methods: ["GET"], paths: ["/*", "/{claims.sub}/**"], ...binding }];
    vars.CONNECTIONS.bound = { ...connection, rules: bound };
    Object.assign(vars, secrets("bound", { client_id, client_secret, username, password }));
    const cached = rules.map((rule) => ({ ...rule, cache: { seconds: 3600 } }));
    vars.CONNECTIONS.cached = { ...connection, rules: cached };
    Object.assign(vars, secrets("cached", { client_id, client_secret, username, password }));
    const people = [{ callers: ["session"], methods: ["GET"], paths: ["/*"] }];
    vars.CONNECTIONS.people = { ...connection, subject: "user", rules: people };
    Object.assign(vars, secrets("people", { client_id, client_secret }));
  }
  return { vars };
}

/** @param {number} number */
export const connectionId = (number) => (number === 0 ? "service" : `service-${number}`);

/**
 * @param {string} id
 * @param {{ [field: string]: string }} fields
 */
function secrets(id, fields) {
  const prefix = id.toUpperCase().replaceAll("-", "_");
  return Object.fromEntries(
    Object.entries(fields).map(([field, value]) => [`${prefix}_${field.toUpperCase()}`, value]),
  );
}
