// Tries the credentials of a configuration: each connection's own harmless GET, sent by the Worker itself with the
// secrets for running locally.
//
// Never more than one attempt a connection: what a provider refused is kept in `.wrangler/probe`, where the Worker keeps
// its waits, too. Until a wait is over, or another secret is set, nothing is sent again.
import { createHmac, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parse } from "smol-toml";
import { readCatalogue } from "./catalogue.mjs";
import { devVarsToRun } from "./development.mjs";
import { Failure, commandLine, inProject, project } from "./lib.mjs";
import { prepareWorker } from "./prepare.mjs";
import { builtModules, startWorkerd } from "./workerd.mjs";

/** @import { Provider } from "./catalogue.mjs" */

/**
 * A connection's fields, as far as they matter here.
 *
 * @typedef {{ provider?: string, probe?: string, subject?: string, certificate?: string, base_url?: string, token_url?: string, rules?: object[], [field: string]: unknown }} Fields
 */

/**
 * What was found out.
 *
 * @typedef {{ connection: string, works: boolean | null, message: string }} Probed
 */

/** The name of the caller that is added for this run. */
const CALLER = "porteiro-probe";

/**
 * All that the broker fetches passes here. Where the API refuses a token, the broker asks for another one: here it does
 * not, for the account may be blocked that signs in too often.
 */
const ONCE = `
let tokenRequests = 0, refused = false;
export default { async fetch(request) {
  const { hostname, pathname } = new URL(request.url);
  if (hostname === "127.0.0.1" && pathname === "/porteiro-probe") {
    const said = refused;
    [tokenRequests, refused] = [0, false];
    return Response.json(said);
  }
  const isOwn = request.headers.get("user-agent") === "porteiro";
  if (isOwn && ++tokenRequests > 1) return new Response(null, { status: 503 });
  const response = await fetch(request);
  if (!isOwn && response.status === 401) refused = true;
  return response;
} };`;

/** What the error codes of a call mean to whoever set the secrets. @type {{ [code: string]: (about: About) => string }} */
const MEANINGS = {
  token_endpoint_unreachable: ({ tokenHost, provider }) =>
    `host unknown: the token endpoint ${tokenHost} cannot be reached${provider === "v8" ? '; V8 has another, token_url = "https://auth.v8sistema.com/oauth/token"' : ""}`,
  token_endpoint_timeout: ({ tokenHost }) => `the token endpoint ${tokenHost} did not answer in time`,
  token_response_invalid: ({ reason, tokenHost }) =>
    `${tokenHost} did not answer as a token endpoint does${reason ? ` (${reason})` : ""}: is token_url right?`,
  credentials_rejected: ({ reason, status }) => {
    const who = REFUSED[reason ?? ""] ?? "refused: the provider does not say what";
    return `${who} (${[reason, status].filter(Boolean).join(", ")})`;
  },
  upstream_unauthorized: () => "token refused: the API took the token for none of its own",
  upstream_unreachable: ({ host }) => `host unknown: the API ${host} cannot be reached`,
  upstream_timeout: ({ host }) => `the API ${host} did not answer in time`,
  upstream_redirect: () => "the API redirected to another place: is base_url right?",
};

/** Who was refused, by the token endpoint's reason. @type {{ [reason: string]: string }} */
const REFUSED = {
  invalid_client: "client refused: its id or its secret is wrong",
  unauthorized_client: "client refused: it may not use this grant",
  invalid_grant: "user refused: user name, password or refresh token is wrong",
  invalid_scope: "scope refused",
  invalid_target: "audience refused",
};

/** @typedef {{ provider: string, host: string, tokenHost: string, reason?: string, status?: number }} About */

/**
 * Tries the connections of `vars`, which has the secrets, too; `state` is the folder of what is kept between two runs.
 *
 * @param {{ [name: string]: unknown }} vars
 * @param {string} state
 * @returns {Promise<Probed[]>}
 */
export async function probeConnections(vars, state) {
  const catalogue = new Map(readCatalogue().map((provider) => [provider.id, provider]));
  const connections = /** @type {{ [id: string]: Fields }} */ (structure(vars.CONNECTIONS) ?? {});
  const [key, adminKey] = [0, 1].map(() => randomBytes(32).toString("base64url"));
  /** @type {{ [id: string]: Fields }} */
  const probing = {};
  for (const [id, fields] of Object.entries(connections)) {
    const [pattern] = (probeOf(fields, catalogue) ?? "").split("?");
    const rule = { callers: [CALLER], methods: ["GET"], paths: [pattern] };
    probing[id] = pattern ? { ...fields, rules: [...(fields.rules ?? []), rule] } : fields;
  }
  mkdirSync(state, { recursive: true });
  /** @type {{ [member: string]: any }[]} */
  const log = [];
  const workerd = await startWorkerd({
    workers: [
      {
        name: "broker",
        modules: builtModules(),
        vars: {
          ...vars,
          BASE_PATH: "",
          CALLERS: { .../** @type {object} */ (structure(vars.CALLERS) ?? {}), [CALLER]: { kind: "key" } },
          CONNECTIONS: probing,
          [`${CALLER.toUpperCase().replaceAll("-", "_")}_KEY`]: key,
          ADMIN_KEY: adminKey,
        },
        keeper: true,
        outbound: "once",
      },
      { name: "once", modules: { "main.js": ONCE } },
    ],
    kv: { disk: path.join(state, "kv") },
    objects: path.join(state, "objects"),
    onLog: (line) => log.push(...jsonOf(line)),
  });
  try {
    const probed = [];
    const tried = path.join(state, "tried.json");
    /** @type {{ [id: string]: string }} */
    const marks = existsSync(tried) ? JSON.parse(readFileSync(tried, "utf8")) : {};
    for (const [id, fields] of Object.entries(connections)) {
      const mark = markOf(id, fields, vars);
      // A token that other secrets obtained would say nothing of these.
      if (id in marks && marks[id] !== mark) {
        const operator = { method: "DELETE", headers: { authorization: `Bearer ${adminKey}` } };
        await (await fetch(`${workerd.urls.broker}/admin/connections/${id}/token`, operator)).text();
      }
      probed.push(await probeOne(id, fields, catalogue, { ...workerd.urls, key, adminKey, log }));
      marks[id] = mark;
    }
    writeFileSync(tried, JSON.stringify(marks));
    return probed;
  } finally {
    await workerd.stop();
  }
}

/**
 * What tells whether a connection or its secrets are others than before. Without SEALING_KEYS it tells nothing of them.
 *
 * @param {string} id
 * @param {Fields} fields
 * @param {{ [name: string]: unknown }} vars
 */
function markOf(id, fields, vars) {
  const start = `${id.toUpperCase().replaceAll("-", "_")}_`;
  const secrets = Object.entries(vars).filter(([name]) => name.startsWith(start));
  const text = JSON.stringify([fields, secrets.sort()]);
  return createHmac("sha256", String(vars.SEALING_KEYS)).update(text).digest("base64url");
}

/**
 * @param {string} id
 * @param {Fields} fields
 * @param {Map<string, Provider>} catalogue
 * @param {{ broker?: string, once?: string, key: string, adminKey: string, log: { [member: string]: any }[] }} run
 * @returns {Promise<Probed>}
 */
async function probeOne(id, fields, catalogue, { broker, once, key, adminKey, log }) {
  const provider = catalogue.get(fields.provider ?? "");
  const probe = probeOf(fields, catalogue);
  const unknown = (/** @type {string} */ why) => ({ connection: id, works: null, message: `not tried: ${why}` });
  if (!probe) return unknown("name a harmless GET of its API as probe");
  if (fields.subject === "user" || fields.subject === "caller") return unknown("each person has their own account");
  if ((fields.grant ?? provider?.grant) === "authorization_code") {
    return unknown("somebody consents where it is deployed; the operators' page says whether it is connected");
  }
  if (fields.certificate) return unknown("its certificate is at Cloudflare alone");
  const response = await fetch(`${broker}/api/${id}${probe}`, {
    headers: { authorization: `Bearer ${key}` },
    redirect: "manual",
  });
  const text = await response.text();
  const { code, cause } = response.headers.get("content-type")?.startsWith("application/problem+json")
    ? JSON.parse(text)
    : { code: undefined, cause: undefined };
  const isRefused = await (await fetch(`${once}/porteiro-probe`)).json();
  if (!code) return answered(id, probe, response.status);
  if (code === "misconfigured") {
    const problems = log.filter(({ connection, event }) => connection === id && event === "configuration_problem");
    const said = problems.map(({ field, problem }) => `${field} ${problem}`);
    return { connection: id, works: false, message: said.join("; ") || "the broker itself is misconfigured" };
  }
  const operator = { headers: { authorization: `Bearer ${adminKey}` } };
  const { last_error: error } = await (await fetch(`${broker}/admin/connections/${id}`, operator)).json();
  const about = {
    provider: fields.provider ?? "",
    host: hostOf(fields.base_url ?? provider?.base_url),
    tokenHost: hostOf(fields.token_url ?? provider?.token_url, fields),
    reason: error?.reason,
    status: error?.status,
  };
  const meaning = MEANINGS[isRefused ? "upstream_unauthorized" : (cause ?? code)]?.(about) ?? code;
  const waits = code === "connection_unavailable";
  const message = waits
    ? `${meaning}; nothing was sent: the broker waits for ${response.headers.get("retry-after")} s more, or until another secret is set`
    : meaning;
  return { connection: id, works: false, message };
}

/**
 * What an answer of the API itself says of the credentials.
 *
 * @param {string} connection
 * @param {string} probe
 * @param {number} status
 * @returns {Probed}
 */
function answered(connection, probe, status) {
  if (status < 400) return { connection, works: true, message: `works: GET ${probe} was answered ${status}` };
  const why =
    status === 403 ? "the account may not do that" : status === 404 ? "is base_url right?" : "try again later";
  return { connection, works: false, message: `GET ${probe} was answered ${status}: ${why}` };
}

/**
 * @param {Fields} fields
 * @param {Map<string, Provider>} catalogue
 */
const probeOf = (fields, catalogue) => fields.probe ?? catalogue.get(fields.provider ?? "")?.probe;

/**
 * @param {unknown} address
 * @param {Fields} [fields]
 */
function hostOf(address, fields) {
  const filled = String(address ?? "").replace("{base_url}", String(fields?.base_url ?? ""));
  return URL.canParse(filled) ? new URL(filled).host : "of the provider";
}

/** A table that may stand in a variable as a JSON text. @param {unknown} value */
function structure(value) {
  if (typeof value !== "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}

/** @param {string} line @returns {{ [member: string]: any }[]} */
function jsonOf(line) {
  const value = /^\s*\{/.test(line) ? structure(line) : undefined;
  return value ? [/** @type {{ [member: string]: any }} */ (value)] : [];
}

/**
 * Tries the connections of the file `config`, with the variables for running locally.
 *
 * @param {{ config: string, environment?: string }} place
 */
export async function probe({ config, environment }) {
  const file = path.resolve(project, config);
  const parsed = /** @type {{ vars?: object, env?: { [name: string]: { vars?: object } } }} */ (
    parse(readFileSync(file, "utf8"))
  );
  const vars = environment ? parsed.env?.[environment]?.vars : parsed.vars;
  const [{ variables }] = await devVarsToRun(config, environment);
  if (!("SEALING_KEYS" in variables))
    throw new Failure(`The secrets are read from .dev.vars: \`${commandLine("dev")}\` makes one.`);
  await prepareWorker();
  return probeConnections({ ...vars, ...variables }, inProject(".wrangler", "probe", environment ?? "top"));
}
