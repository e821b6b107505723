// A double of a provider, made from its file alone: it gets every request that the broker sends, and answers as the
// file's example says.
import { generateKeyPairSync } from "node:crypto";
import { builtModules, startWorkerd } from "./workerd.mjs";

/** @import { Provider } from "./catalogue.mjs" */

/**
 * A request that the broker sent.
 *
 * @typedef {{ method: string, url: string, fields: [name: string, value: string][], body: string }} Sent
 */

/** @typedef {{ id: string, tokenRequest?: Sent, call?: Sent, status: number, answer: string }} Tried */

const KEY = "0123456789abcdef0123456789abcdef";

/** All that the broker fetches comes here. At its own address it tells what came, and is told what to answer. */
const DOUBLE = `
let answers = {};
let sent = [];
export default { async fetch(request) {
  const { hostname, pathname } = new URL(request.url);
  if (hostname === "127.0.0.1" && pathname === "/answers") { answers = await request.json(); sent = []; return new Response(); }
  if (hostname === "127.0.0.1") return Response.json(sent);
  const body = await request.text();
  sent.push({ method: request.method, url: request.url, fields: [...request.headers], body });
  const [address] = request.url.split("?");
  const { status = 200, fields = {}, body: answer = "{}" } = answers[address] ?? {};
  return new Response(answer, { status, headers: { "content-type": "application/json", ...fields } });
} };`;

/**
 * Has a broker call each of `providers` once, as the call of its example says.
 *
 * @param {Provider[]} providers
 * @returns {Promise<Tried[]>}
 */
export async function tryProviders(providers) {
  /** @type {{ [id: string]: object }} */
  const connections = {};
  /** @type {{ [name: string]: unknown }} */
  const secrets = {};
  for (const provider of providers) {
    const { id, example } = provider;
    const given = Object.entries({ ...example.secrets });
    const fields = Object.fromEntries(given.filter(([name]) => name === name.toLowerCase()));
    connections[id] = {
      provider: id,
      ...fields,
      ...example.fields,
      rules: [{ callers: ["backend"], methods: ["GET", "POST", "PUT"], paths: ["/**"] }],
    };
    for (const [name, value] of given) {
      if (name !== name.toLowerCase()) secrets[`${prefixOf(id)}_${name}`] = made(value);
    }
  }
  const vars = {
    CALLERS: { backend: { kind: "key" } },
    CONNECTIONS: connections,
    BACKEND_KEY: KEY,
    SEALING_KEYS: `double:${Buffer.alloc(32, 7).toString("base64")}`,
    ...secrets,
  };
  /** @type {string[]} */
  const log = [];
  const workerd = await startWorkerd({
    workers: [
      { name: "broker", modules: builtModules(), vars, keeper: true, outbound: "double" },
      { name: "double", modules: { "main.js": DOUBLE } },
    ],
    onLog: (line) => log.push(line),
  });
  try {
    const tried = [];
    for (const provider of providers) tried.push(await tryOne(provider, workerd.urls));
    for (const one of tried) {
      const problems = log.filter((line) => line.includes(`"connection":"${one.id}"`) && line.includes("problem"));
      if (one.status === 503) one.answer = [one.answer, ...problems].join("\n");
    }
    return tried;
  } finally {
    await workerd.stop();
  }
}

/**
 * @param {Provider} provider
 * @param {{ [name: string]: string }} urls
 * @returns {Promise<Tried>}
 */
async function tryOne(provider, urls) {
  const { id, example } = provider;
  const call = requestOf(example.call);
  const tokenRequest = example.token_request ? requestOf(example.token_request) : undefined;
  /** @type {{ [address: string]: object }} */
  const answers = {};
  if (tokenRequest) answers[tokenRequest.url.split("?")[0]] = answerOf(example.token_response ?? "{}");
  await fetch(`${urls.double}/answers`, { method: "POST", body: JSON.stringify(answers) });
  const url = new URL(call.url);
  // What the broker adds to the query, the caller does not send.
  for (const name of Object.keys(provider.query ?? {})) url.searchParams.delete(name);
  const path = pathBelow(provider, url);
  const response = await fetch(`${urls.broker}/api/${id}${path}`, {
    method: call.method,
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    ...(call.body && { body: call.body }),
  });
  const answer = await response.text();
  /** @type {Sent[]} */
  const sent = await (await fetch(`${urls.double}/`)).json();
  const isToken = (/** @type {Sent} */ { url }) =>
    tokenRequest !== undefined && url.split("?")[0] === tokenRequest.url.split("?")[0];
  return {
    id,
    tokenRequest: sent.find(isToken),
    call: sent.find((one) => !isToken(one)),
    status: response.status,
    answer,
  };
}

/**
 * The path of `url` below the provider's base address, with the query.
 *
 * @param {Provider} provider
 * @param {URL} url
 */
function pathBelow({ base_url, example }, url) {
  const fields = { ...example.secrets, ...example.fields };
  const base = String(fields.base_url ?? base_url).replace(/\{(\w+)\}/g, (_, name) => String(fields[name]));
  return url.href.slice(base.replace(/\/$/, "").length);
}

/** @param {string} id */
const prefixOf = (id) => id.toUpperCase().replaceAll("-", "_");

/**
 * A request as an example writes it.
 *
 * @param {string} text
 * @returns {Sent}
 */
export function requestOf(text) {
  const [head, ...rest] = text.trim().split("\n\n");
  const [first, ...lines] = head.split("\n");
  const [method, ...address] = first.split(" ");
  const fields = lines.map((line) => {
    const at = line.indexOf(":");
    return /** @type {[string, string]} */ ([line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim()]);
  });
  return { method, url: address.join(" ").trim(), fields, body: rest.join("\n\n").trim() };
}

/**
 * An answer as an example writes it: a body, or header fields, an empty line and a body.
 *
 * @param {string} text
 */
function answerOf(text) {
  const [head, ...rest] = text.trim().split("\n\n");
  if (!/^[\w-]+:/.test(head)) return { body: text.trim() };
  const fields = Object.fromEntries(head.split("\n").map((line) => line.split(/:\s*/, 2)));
  return { fields, body: rest.join("\n\n").trim() };
}

/** A key where the example says that one is made: no file of a provider holds a private key. @param {string} value */
function made(value) {
  const kind = /^<an? (RSA|EC) key/.exec(value)?.[1];
  const key = (/** @type {string} */ kind) =>
    kind === "RSA"
      ? generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey
      : generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  if (kind) return key(kind).export({ type: "pkcs8", format: "pem" });
  if (!value.includes("<an RSA key")) return value;
  const pem = String(key("RSA").export({ type: "pkcs8", format: "pem" }));
  return value.replace(/<an RSA key[^>]*>/, JSON.stringify(pem).slice(1, -1));
}
