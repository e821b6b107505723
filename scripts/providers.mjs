// Lists the catalogue, or tells what a provider's connection needs.
//
//   porteiro providers [NAME] [--json]
import { readCatalogue } from "./catalogue.mjs";
import { fieldsOf, secretsOf } from "./connection-text.mjs";
import { Failure, say } from "./lib.mjs";
import { helpOf, someOptions } from "./options.mjs";

/** @import { Provider } from "./catalogue.mjs" */

const OPTIONS = { json: { help: "prints one JSON document" } };
const HELP = "npx porteiro providers [NAME] [options]: the providers of the catalogue, or one of them.";

/** @param {Provider} provider */
const factsOf = ({ id, name, country, grant, docs, needs }) => ({ id, name, country, grant, docs, needs });

/** @param {Provider} provider */
function detail(provider) {
  const { id, name, docs, grant } = provider;
  const secrets = secretsOf(id, provider);
  const fields = fieldsOf(provider);
  return [
    `${name} (${id}), grant ${grant}`,
    docs,
    ...(fields.length ? ["", "In wrangler.toml:", ...fields.map(({ name, where }) => `  ${name}: ${where}`)] : []),
    ...(secrets.length ? ["", "Secrets:", ...secrets.map((secret) => `  ${secret.name}: ${secret.where}`)] : []),
    "",
    `npx porteiro add ${id}`,
  ].join("\n");
}

/** @param {string[]} args */
export async function main(args) {
  const options = someOptions(args, { ...OPTIONS, help: { short: "h", help: "" } });
  if (options.switches.has("help")) return say(helpOf(HELP, OPTIONS));
  const [name, ...more] = options.others;
  if (name?.startsWith("-") || more.length) throw new Failure(HELP);
  const all = readCatalogue();
  const found = name === undefined ? all : all.filter(({ id }) => id === name);
  if (!found.length) throw new Failure(`There is no provider ${name}: ${all.map(({ id }) => id).join(", ")}.`);
  if (options.switches.has("json")) {
    return say(JSON.stringify(name === undefined ? found.map(factsOf) : factsOf(found[0]), null, 2));
  }
  if (name !== undefined) return say(detail(found[0]));
  const width = Math.max(...found.map(({ id }) => id.length));
  say(found.map(({ id, name, country }) => `${id.padEnd(width)}  ${country}  ${name}`).join("\n"));
}
