// Adds a connection to wrangler.toml from the catalogue, and says which secrets it needs and where they are found.
//
//   porteiro add PROVIDER [--id ID] [--config PATH] [--json]
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "smol-toml";
import { readCatalogue } from "./catalogue.mjs";
import { connectionText, fieldsOf, firstPath, secretsOf } from "./connection-text.mjs";
import { Failure, project, say } from "./lib.mjs";
import { PLACE, someOptions, helpOf } from "./options.mjs";
import { addVars } from "./vars.mjs";
import { systemWords } from "./words.mjs";

const ID = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

const OPTIONS = {
  id: { value: "ID", help: "another name for the connection than the provider's" },
  config: PLACE.config,
  json: { help: "prints one JSON document" },
};
const HELP = "npx porteiro add PROVIDER [options]: adds a connection from the catalogue to wrangler.toml.";

/**
 * Adds the connection called `id`, which is the provider's name if absent. Returns what it needs.
 *
 * @param {string} name
 * @param {{ id?: string, config?: string, words?: import("./words.mjs").Words }} [options]
 */
export async function add(name, { id = name, config = "wrangler.toml", words = systemWords() } = {}) {
  const provider = readCatalogue().find((one) => one.id === name);
  if (!provider) throw new Failure(words.unknown);
  if (!ID.test(id)) throw new Failure(`--id ${id} ${words.notName}.`);
  const file = path.resolve(project, config);
  if (!existsSync(file)) throw new Failure(words.noConfig);
  const text = readFileSync(file, "utf8");
  const { vars } = /** @type {{ vars?: { CONNECTIONS?: { [id: string]: unknown } } }} */ (parse(text));
  if (Object.hasOwn(vars?.CONNECTIONS ?? {}, id)) throw new Failure(`${id} ${words.isThere}.`);
  const added = `${text.endsWith("\n") ? "" : "\n"}\n${connectionText(id, provider, words)}`;
  // What a person wrote stays as it is: TOML may hold tables in any order, but for one that an inline table closes.
  try {
    parse(text + added);
  } catch {
    throw new Failure(`${config}: CONNECTIONS is one inline table: write it as [vars.CONNECTIONS.…] first.`);
  }
  appendFileSync(file, added);
  const secrets = secretsOf(id, provider);
  addVars(secrets, path.dirname(file));
  return { id, provider, fields: fieldsOf(provider), secrets };
}

/**
 * What a person is told of an added connection: what it needs, and a first call.
 *
 * @param {Awaited<ReturnType<typeof add>>} added
 * @param {import("./words.mjs").Words} words
 */
export function toldOf({ id, provider, fields, secrets }, words) {
  const lines = [`${words.added} ${id} (${provider.name})`];
  if (fields.length) lines.push("", words.toWrite, ...fields.map(({ name, where }) => `  ${name}\n    ${where}`));
  if (secrets.length) lines.push("", words.wanted, ...secrets.map(({ name, where }) => `  ${name}\n    ${where}`));
  const isForServer = connectionText(id, provider, words).includes('callers = ["backend"]');
  if (isForServer) {
    const call = `curl -H "Authorization: Bearer $BACKEND_KEY" http://localhost:8787/api/${id}${firstPath(provider)}`;
    lines.push("", words.call, "  . ./.dev.vars", `  ${call}`);
  }
  return lines.join("\n");
}

/** @param {string[]} args */
export async function main(args) {
  const words = systemWords();
  const options = someOptions(args, { ...OPTIONS, help: { short: "h", help: "" } });
  if (options.switches.has("help")) return say(helpOf(HELP, OPTIONS));
  const [name, ...more] = options.others;
  if (!name || name.startsWith("-") || more.length) throw new Failure(words.nothing);
  const added = await add(name, { ...options.values, words });
  const { id, fields, secrets } = added;
  say(options.switches.has("json") ? JSON.stringify({ id, fields, secrets }, null, 2) : toldOf(added, words));
}
