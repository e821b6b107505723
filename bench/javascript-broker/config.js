// The configuration, read once per isolate.
import { compilePattern } from "./path.js";

const DEFAULTS = { timeout_ms: 30_000, replay_bytes: 1024 * 1024, request_headers: [], response_headers: [] };

let config;

export async function configuration(env) {
  config ??= await read(env);
  return config;
}

async function read(env) {
  const callers = new Map();
  for (const [name, { kind }] of Object.entries(env.CALLERS)) {
    callers.set(name, { kind, digest: kind === "key" ? await digest(secret(env, name, "KEY")) : undefined });
  }
  const connections = new Map();
  for (const [id, table] of Object.entries(env.CONNECTIONS)) connections.set(id, readConnection(env, id, table));
  return {
    origins: new Set(env.ALLOWED_ORIGINS),
    basePath: env.BASE_PATH ?? "",
    callers,
    connections,
    sealingKey: await importKey(env.SEALING_KEYS),
  };
}

function readConnection(env, id, table) {
  const { base_url, token_url, timeout_ms, replay_bytes, request_headers, response_headers, rules } = {
    ...DEFAULTS,
    ...table,
  };
  return {
    id,
    baseUrl: base_url.replace(/\/+$/, ""),
    tokenUrl: token_url,
    timeout: timeout_ms,
    replayBytes: replay_bytes,
    requestHeaders: new Set(request_headers.map((name) => name.toLowerCase())),
    responseHeaders: new Set(response_headers.map((name) => name.toLowerCase())),
    rules: rules.map(({ callers, methods, paths }) => ({
      callers,
      methods: new Set(methods),
      paths: paths.map(compilePattern),
    })),
    credentials: Object.fromEntries(
      ["client_id", "client_secret", "username", "password"].map((field) => [
        field,
        secret(env, id, field.toUpperCase()),
      ]),
    ),
  };
}

const secret = (env, name, field) => env[`${name.toUpperCase().replaceAll("-", "_")}_${field}`];

/** Imports the first key of `id:base64, ...`, which seals. */
function importKey(keys) {
  const [, encoded] = keys.split(",")[0].split(":");
  const bytes = Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0));
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}

const encoder = new TextEncoder();

export const digest = (text) => crypto.subtle.digest("SHA-256", encoder.encode(text));
