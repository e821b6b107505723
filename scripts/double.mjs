// A double of a provider, made from its file alone: it gets every request that the broker sends, and answers as the
// file's example says.
import { generateKeyPairSync } from "node:crypto";
import { request } from "node:http";
import { TYPE, addressOf, codeOf, requestOf } from "./example.mjs";
import { builtModules, startWorkerd } from "./workerd.mjs";

/** @import { Provider } from "./catalogue.mjs" */
/** @import { Sent } from "./example.mjs" */

/**
 * What became of a provider's example.
 *
 * @typedef {object} Tried
 * @property {string} id
 * @property {Sent} [authorizationRequest] the address that the broker sends people to
 * @property {string} [redirectUri] where they come back
 * @property {Sent} [tokenRequest]
 * @property {Sent} [call]
 * @property {number} status what the caller was answered
 * @property {string} answer
 * @property {string[]} problems of the configuration, each with its key in the file
 */

const KEY = "0123456789abcdef0123456789abcdef";
const ADMIN_KEY = "fedcba9876543210fedcba9876543210";

/** What every webhook needs besides its proof, and the methods of calls. */
const WEBHOOK = { forward_to: "https://receiver.example/" };
const WEBHOOK_SECRETS = { ACCOUNT_TOKEN: "account-token-of-the-double", WEBHOOK_SECRET: `whsec_${"A".repeat(43)}=` };
const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"];

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
  const configured = providers.map(configurationOf);
  const vars = {
    CALLERS: { backend: { kind: "key" } },
    CONNECTIONS: Object.fromEntries(configured.map(({ id, connection }) => [id, connection])),
    BACKEND_KEY: KEY,
    ADMIN_KEY,
    SEALING_KEYS: `double:${Buffer.alloc(32, 7).toString("base64")}`,
    ...Object.fromEntries(configured.flatMap(({ secrets }) => secrets)),
  };
  const workerd = await startWorkerd({
    workers: [
      { name: "broker", modules: builtModules(), vars, keeper: true, outbound: "double" },
      { name: "double", modules: { "main.js": DOUBLE } },
    ],
  });
  try {
    const tried = [];
    for (const provider of providers) tried.push(await tryOne(provider, workerd.urls));
    return tried;
  } finally {
    await workerd.stop();
  }
}

/**
 * A connection of `provider`, and its secrets, with the values of the example.
 *
 * @param {Provider} provider
 */
function configurationOf({ id, example, webhook }) {
  const isField = (/** @type {string} */ name) => name === name.toLowerCase();
  const given = Object.entries({ ...(webhook && WEBHOOK_SECRETS), ...example.secrets });
  const connection = {
    provider: id,
    ...Object.fromEntries(given.filter(([name]) => isField(name))),
    ...(webhook && { webhook: WEBHOOK }),
    ...example.fields,
    rules: [{ callers: ["backend"], methods: METHODS, paths: ["/**"] }],
  };
  const secrets = given
    .filter(([name]) => !isField(name))
    .map(([name, value]) => [`${prefixOf(id)}_${name}`, made(value)]);
  return { id, connection, secrets };
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
  const consent = example.authorization_request ? await consentTo(provider, urls) : {};
  const url = new URL(call.url);
  // What the broker adds to the query, the caller does not send.
  for (const name of Object.keys(provider.query ?? {})) url.searchParams.delete(name);
  const path = url.href.slice(addressOf(provider, "base_url")?.length);
  const type = call.fields.find(([name]) => name === TYPE)?.[1] ?? "application/json";
  const response = await fetch(`${urls.broker}/api/${id}${path}`, {
    method: call.method,
    headers: { authorization: `Bearer ${KEY}`, [TYPE]: type },
    ...(call.body && { body: call.body }),
  });
  const answer = await response.text();
  /** @type {Sent[]} */
  const sent = await (await fetch(`${urls.double}/`)).json();
  const isToken = (/** @type {Sent} */ { url }) =>
    tokenRequest !== undefined && url.split("?")[0] === tokenRequest.url.split("?")[0];
  return {
    id,
    ...consent,
    tokenRequest: sent.find(isToken),
    call: sent.find((one) => !isToken(one)),
    status: response.status,
    answer,
    problems: await problemsOf(id, urls),
  };
}

/**
 * Has somebody follow a link to consent, and come back with the code of the example.
 *
 * @param {Provider} provider
 * @param {{ [name: string]: string }} urls
 * @returns {Promise<Pick<Tried, "authorizationRequest" | "redirectUri">>}
 */
async function consentTo({ id, example }, urls) {
  const operator = { method: "POST", headers: { authorization: `Bearer ${ADMIN_KEY}` } };
  const made = await fetch(`${urls.broker}/admin/connections/${id}/connect-link`, operator);
  const { url } = await made.json();
  if (!made.ok) return {};
  const sentThere = await navigate("POST", url);
  const { location, "set-cookie": cookies = [] } = sentThere.headers;
  if (sentThere.status !== 303 || !location) return {};
  const redirectUri = `${urls.broker}/auth/callback/${id}`;
  const state = new URL(location).searchParams.get("state") ?? "";
  const answer = new URLSearchParams({ code: codeOf(example.token_request ?? "") ?? "", state });
  const cookie = cookies.map((line) => line.split(";")[0]).join("; ");
  await navigate("GET", `${redirectUri}?${answer}`, { cookie });
  return { authorizationRequest: { method: "GET", url: location, fields: [], body: "" }, redirectUri };
}

/**
 * A request as a browser sends it that goes to a page: `fetch` says of each of its own that it is none.
 *
 * @param {string} method
 * @param {string} url
 * @param {{ [name: string]: string }} [headers]
 * @returns {Promise<{ status: number | undefined, headers: import("node:http").IncomingHttpHeaders }>}
 */
const navigate = (method, url, headers = {}) =>
  new Promise((resolve, reject) => {
    const navigation = { "sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "content-length": "0" };
    const asked = request(url, { method, headers: { ...navigation, ...headers } }, (response) => {
      response.resume().once("end", () => resolve({ status: response.statusCode, headers: response.headers }));
    });
    asked.once("error", reject).end();
  });

/**
 * What the broker finds wrong with the connection called `id`, for whom the file is at hand: its keys stand for fields
 * of the connection, `example.secrets` for secrets.
 *
 * @param {string} id
 * @param {{ [name: string]: string }} urls
 */
async function problemsOf(id, urls) {
  const operator = { headers: { authorization: `Bearer ${ADMIN_KEY}` } };
  /** @type {{ problems?: { field: string, message: string }[] }} */
  const { problems = [] } = await (await fetch(`${urls.broker}/admin/connections/${id}`, operator)).json();
  return problems.map(({ field, message }) => {
    const key = field.replace(`CONNECTIONS.${id}.`, "").replace(`${prefixOf(id)}_`, "example.secrets.");
    return `${key}: ${message}`;
  });
}

/** @param {string} id */
const prefixOf = (id) => id.toUpperCase().replaceAll("-", "_");

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
