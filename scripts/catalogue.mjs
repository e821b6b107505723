// The catalogue: the files of providers/, and what they say for people. Run by itself, it writes their list into
// docs/reference/providers.md.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { parse } from "smol-toml";
import { Failure, inRoot, isMain } from "./lib.mjs";

/**
 * The request and answers of a provider's documentation, which the file's test compares with what the broker sends.
 *
 * @typedef {object} Example
 * @property {string} [token_request] method and address, header fields, an empty line, the body
 * @property {string} [token_response] the answer's body; with header fields and an empty line before it where its first
 * line is one
 * @property {string} call
 * @property {{ [name: string]: string }} [secrets]
 * @property {{ [name: string]: unknown }} [fields]
 */

/**
 * A provider file, as far as scripts use it.
 *
 * @typedef {object} Provider
 * @property {string} id the file's name
 * @property {string} name
 * @property {string} country
 * @property {string} docs
 * @property {string} checked
 * @property {string} verified
 * @property {string} grant
 * @property {string} [base_url]
 * @property {string} [token_url]
 * @property {string} [probe]
 * @property {string} [client_auth]
 * @property {string} [certificate]
 * @property {{ [name: string]: string }} [query]
 * @property {{ [field: string]: unknown }} [webhook]
 * @property {{ [name: string]: string }} needs
 * @property {Example} example
 */

/**
 * The provider files, by name.
 *
 * @returns {Provider[]}
 */
export const readCatalogue = () =>
  readdirSync(inRoot("providers"))
    .filter((file) => file.endsWith(".toml"))
    .sort()
    .map((file) => readProvider(file.slice(0, -".toml".length)));

/**
 * The provider file of `id`.
 *
 * @param {string} id
 */
export function readProvider(id) {
  let text;
  try {
    text = readFileSync(inRoot("providers", `${id}.toml`), "utf8");
  } catch {
    throw new Failure(`There is no providers/${id}.toml.`);
  }
  return /** @type {Provider} */ ({ id, .../** @type {object} */ (parse(text)) });
}

const PAGE = "docs/reference/providers.md";
const [BEGIN, END] = ["<!-- providers:begin -->", "<!-- providers:end -->"];

/** The page of providers, with its list made anew. */
export function pageOfProviders() {
  const page = readFileSync(inRoot(PAGE), "utf8");
  const [before, after] = [page.split(BEGIN)[0], page.split(END)[1]];
  return `${before}${BEGIN}\n${list(readCatalogue())}\n${END}${after}`;
}

/** @param {Provider[]} providers */
function list(providers) {
  const countries = [...new Set(providers.map(({ country }) => country))];
  const names = new Intl.DisplayNames("en", { type: "region" });
  const count = (/** @type {string} */ country) => providers.filter((provider) => provider.country === country).length;
  countries.sort((one, other) => count(other) - count(one) || one.localeCompare(other));
  const parts = countries.map((country) => {
    const rows = providers.filter((provider) => provider.country === country).map(row);
    return [
      `### ${names.of(country)}`,
      "",
      "| `provider` | | grant | what a connection gives |",
      "|---|---|---|---|",
      ...rows,
    ].join("\n");
  });
  return [`${providers.length} providers.`, ...parts].join("\n\n");
}

/** @param {Provider} provider */
function row({ id, name, docs, grant, client_auth, verified, needs }) {
  const shape = [`\`${grant}\``, ...(client_auth ? [`\`${client_auth}\``] : [])].join(", ");
  const tried = verified === "documented" ? "" : `; tried on ${verified}`;
  const given = Object.entries(needs).map(([what, where]) => `\`${what}\`: ${where}`);
  return `| \`${id}\` | [${name}](${docs})${tried} | ${shape} | ${given.join("<br>").replaceAll("|", "\\|")} |`;
}

if (isMain(import.meta.url)) writeFileSync(inRoot(PAGE), pageOfProviders());
