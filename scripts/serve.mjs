// Serves the broker by workerd alone, without Cloudflare: docs/guides/self-host.md.
//
//   node scripts/serve.mjs [--config PATH] [--env NAME] [--port N] [--host ADDRESS] [--data FOLDER]
//     [--origin URL] [--proxy NETWORKS] [--reach NETWORKS]
import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { check, shown } from "./check.mjs";
import { devVarsBeside } from "./development.mjs";
import { networkIn } from "./front.js";
import { Failure, commandLine, errorCode, isMain, pageAt, project, runMain, say } from "./lib.mjs";
import { PLACE, optionsOf } from "./options.mjs";
import { prepare, prepareWorker } from "./prepare.mjs";
import { TAKEN, startServing } from "./serving.mjs";

/** @import { Readable } from "node:stream" */
/** @import { Serving } from "./serving.mjs" */

const CONFIG = "wrangler.toml";
const PORT = 8787;
const HOST = "127.0.0.1";
const DATA = ".porteiro";
/** How long workerd may take to end its calls, less than a container is given. */
const PATIENCE_MS = 8_000;

export const OPTIONS = {
  ...PLACE,
  port: { value: "N", short: "p", help: `another port than ${PORT}` },
  host: { value: "ADDRESS", help: `the address to listen at, if not ${HOST}` },
  data: { value: "FOLDER", help: `where everything is stored, if not in ${DATA}` },
  origin: { value: "URL", help: "how people and programs reach it, such as https://broker.example.com" },
  proxy: { value: "NETWORKS", help: "the proxies in front of it, such as 10.0.0.2 or 172.18.0.0/16" },
  reach: { value: "NETWORKS", help: "private networks with APIs that it calls, such as 10.1.0.0/16" },
};
const HELP = `${commandLine("serve", "[options]")}: serves the broker of wrangler.toml by workerd, without Cloudflare.

Its secrets are in the environment, in files that the environment names (HUBSOFT_PASSWORD_FILE=/run/secrets/hubsoft),
or in .dev.vars beside the configuration. Several networks are separated by commas. ${pageAt("docs/guides/self-host.md")}`;

/**
 * The value of each secret: of the environment, of the file that it names, or else of `local`. Empty ones are none.
 *
 * @param {string[]} names
 * @param {NodeJS.ProcessEnv} env
 * @param {Record<string, string>} local
 */
export function secretsOf(names, env, local) {
  /** @type {Record<string, string>} */
  const found = { ...local };
  for (const name of names) {
    const [value, file] = [env[name], env[`${name}_FILE`]];
    if (value && file) throw new Failure(`Both ${name} and ${name}_FILE are set: which of them counts?`);
    if (value) found[name] = value;
    if (file) found[name] = textOf(file, `${name}_FILE`);
  }
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== ""));
}

/**
 * The text of a file, without the line break that editors write at its end.
 *
 * @param {string} file
 * @param {string} what
 */
function textOf(file, what) {
  try {
    return readFileSync(path.resolve(project, file), "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new Failure(`${what}: ${file} cannot be read (${errorCode(error)}).`);
  }
}

/**
 * The configuration's variables and secrets, if nothing is wrong with them.
 *
 * @param {string} config
 * @param {string} environment
 * @returns {Promise<Pick<Serving, "vars" | "secrets">>}
 */
async function checked(config, environment) {
  // The top level is named, too: without a name, all environments would be checked.
  const asked = { config, environment, offline: true };
  const report = await check({ ...asked, devVars: async () => [] });
  const [local] = await devVarsBeside(config, environment);
  const names = report.secrets.map(({ name }) => name);
  const secrets = secretsOf(names, process.env, local?.variables ?? {});
  const given = { environment, file: "given here", variables: secrets };
  const { development } = await check({ ...asked, devVars: async () => [given] });
  const missing = report.secrets.filter(({ name }) => !(name in secrets));
  const needed = missing.filter((secret) => secret.needed).map(({ name }) => name);
  const wrong = development.filter(({ field }) => !missing.some(({ name }) => name === field));
  say(shown({ ...report, secrets: [], development: [] }, config));
  const lines = [
    ...wrong.map(({ field, message }) => `  ${field} ${message}`),
    ...needed.map((name) => `  ${name} is not set: give it as ${name} or ${name}_FILE, or in .dev.vars`),
  ];
  if (report.problems.length) throw new Failure("The configuration has problems, told above: nothing is served.");
  if (lines.length) throw new Failure(`Nothing is served:\n\n${lines.join("\n")}`);
  for (const { name } of missing) say(`${name} is not set: what needs it does not work.`);
  return { vars: await variablesIn(config, environment), secrets };
}

/**
 * The variables of one environment in a file. What Cloudflare alone has is told.
 *
 * @param {string} config
 * @param {string} environment
 */
async function variablesIn(config, environment) {
  const { parse } = await import("smol-toml");
  const parsed = /** @type {{ [name: string]: any }} */ (parse(readFileSync(path.resolve(project, config), "utf8")));
  const own = environment ? parsed.env?.[environment] : parsed;
  if (!own) throw new Failure(`${config} has no environment ${environment}.`);
  const foreign = ["analytics_engine_datasets", "mtls_certificates", "ratelimits"].filter((name) => name in own);
  for (const name of foreign) say(`${name} is Cloudflare's, and does not exist here.`);
  return own.vars ?? {};
}

/** @param {string | undefined} text @param {string} option */
function networksOf(text, option) {
  const networks = (text ?? "").split(",").flatMap((part) => part.trim() || []);
  const wrong = networks.find((network) => !networkIn(network));
  if (wrong)
    throw new Failure(`${option} takes addresses and networks such as 10.0.0.2,172.18.0.0/16, and not ${wrong}.`);
  return networks;
}

/**
 * The origins that the broker is called at.
 *
 * @param {string | undefined} text
 * @param {number} port
 * @param {string[]} proxies
 */
function originsOf(text, port, proxies) {
  if (text === undefined) return ["localhost", HOST, "[::1]"].map((host) => `http://${host}:${port}`);
  const origin = URL.canParse(text) ? new URL(text).origin : "null";
  if (!/^https?:/.test(origin) || ![origin, `${origin}/`].includes(text))
    throw new Failure(`--origin is an origin such as https://broker.example.com, and not ${text}.`);
  if (origin.startsWith("https:") && !proxies.length)
    throw new Failure(`${origin} needs a proxy in front, which speaks https: name its address by --proxy.`);
  return [origin];
}

/** @param {string | undefined} text */
function portOf(text = String(PORT)) {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new Failure(`--port is a number from 1 to 65535, and not ${text}.`);
  return port;
}

/** @param {string[]} args */
export async function main(args) {
  const options = optionsOf(args, OPTIONS, HELP);
  if (!options) return;
  const { config = CONFIG, env: environment = process.env.CLOUDFLARE_ENV ?? "", host = HOST, ...rest } = options.values;
  const port = portOf(rest.port);
  const proxies = networksOf(rest.proxy, "--proxy");
  // workerd takes a network, and no address alone.
  const reach = networksOf(rest.reach, "--reach").map((text) => {
    const alone = text.includes(":") ? "/128" : "/32";
    return text.includes("/") ? text : text + alone;
  });
  const origins = originsOf(rest.origin, port, proxies);
  await prepare();
  const { vars, secrets } = await checked(config, environment);
  await prepareWorker();
  // What workerd writes is for this user alone.
  process.umask(0o077);
  const data = path.resolve(project, rest.data ?? DATA);
  try {
    mkdirSync(data, { recursive: true });
    const basePath = String(vars.BASE_PATH ?? "").replace(/\/$/, "");
    const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
    return await served({ data, address, place: { origins, proxies, basePath }, reach, vars, secrets }, origins[0]);
  } catch (error) {
    if (error instanceof Failure || !["EACCES", "EROFS", "ENOTDIR", "EEXIST", "ENOSPC"].includes(errorCode(error)))
      throw error;
    throw new Failure(`${data} cannot be written to (${errorCode(error)}): this user needs it for all that is stored.`);
  }
}

/**
 * Serves until this process is asked to end. Returns the exit code.
 *
 * @param {Serving} serving
 * @param {string} origin
 * @returns {Promise<number>}
 */
function served(serving, origin) {
  const { child, forget } = startServing(serving);
  let asked = false;
  const stop = () => {
    child.kill(asked ? "SIGKILL" : "SIGTERM");
    asked = true;
    setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS).unref();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, stop);
  createInterface({ input: /** @type {Readable} */ (child.stdio[3]) }).on("line", (line) => {
    if (JSON.parse(line).event !== "listen") return;
    forget();
    say(`Porteiro is ready at ${serving.address}, as ${origin}.`);
  });
  return new Promise((resolve, reject) => {
    child.on("error", (error) =>
      reject(new Failure(`setpriv and flock are needed, of util-linux: they cannot be started (${errorCode(error)}).`)),
    );
    child.on("exit", (code, signal) => {
      forget();
      if (asked) return resolve(0);
      if (code === TAKEN) return reject(new Failure(`Another process serves what is stored in ${serving.data}.`));
      reject(new Failure(`workerd ended (${signal ?? `exit code ${code}`}).`));
    });
  });
}

if (isMain(import.meta.url)) await runMain(async (args) => process.exit(await main(args)));
