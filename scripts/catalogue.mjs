// The catalogue: the files of providers/, and what they say for people. Run by itself, it writes their list into
// docs/reference/providers.md.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { TomlError, parse } from "smol-toml";
import { Failure, inRoot, isMain, runMain } from "./lib.mjs";

/**
 * The request and answers of a provider's documentation, which the file's test compares with what the broker sends.
 *
 * @typedef {object} Example
 * @property {string} [authorization_request] the address that a browser is sent to, as a GET
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
 * @property {string} [authorize_url]
 * @property {string} [probe]
 * @property {string} [client_auth]
 * @property {string} [subject]
 * @property {string} [header]
 * @property {{ [name: string]: string }} [headers]
 * @property {{ [name: string]: string }} [query]
 * @property {{ [field: string]: unknown }} [login]
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
 * The provider file of `id`, in `folder`.
 *
 * @param {string} id
 */
export function readProvider(id, folder = inRoot("providers")) {
  let text;
  try {
    text = readFileSync(path.join(folder, `${id}.toml`), "utf8");
  } catch {
    throw new Failure(`There is no providers/${id}.toml.`);
  }
  return /** @type {Provider} */ ({ id, .../** @type {object} */ (parsed(text, `providers/${id}.toml`)) });
}

/**
 * The TOML in `text`, the contents of `file`.
 *
 * @param {string} text
 * @param {string} file
 */
function parsed(text, file) {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const [what] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
    throw new Failure(`${file}:${error.line}:${error.column}: is not TOML: ${what}`);
  }
}

/** What ICU names and ISO 3166 does not, as codes of countries: groups of them, parts of them, and none. */
const NO_COUNTRIES = "AC CP CQ DG EA EU EZ IC QO TA UN XA XB XK ZZ".split(" ");
const NAMES = new Intl.DisplayNames("en", { type: "region", fallback: "none" });

/**
 * The English name of the country with the ISO 3166 code `code`; undefined if there is none.
 *
 * @param {string} code
 */
export function countryOf(code) {
  if (!/^[A-Z]{2}$/.test(code) || NO_COUNTRIES.includes(code)) return undefined;
  // A code that is no longer one stands for another.
  return Intl.getCanonicalLocales(`und-${code}`)[0] === `und-${code}` ? NAMES.of(code) : undefined;
}

const PAGE = "docs/reference/providers.md";
const [BEGIN, END] = ["<!-- providers:begin -->", "<!-- providers:end -->"];

/** The page of providers, with its list made anew. */
export function pageOfProviders() {
  const page = readFileSync(inRoot(PAGE), "utf8");
  const [before, after] = [page.split(BEGIN)[0], page.split(END)[1]];
  return `${before}${BEGIN}\n${list(readCatalogue())}\n${END}${after}`;
}

/** The country whose providers come first: most of them are its own. */
const FIRST = "BR";

/** @param {Provider[]} providers */
function list(providers) {
  const nameOf = (/** @type {string} */ country) => countryOf(country) ?? country;
  const countries = [...new Set(providers.map(({ country }) => country))];
  countries.sort(
    (one, other) => Number(other === FIRST) - Number(one === FIRST) || nameOf(one).localeCompare(nameOf(other), "en"),
  );
  const parts = countries.map((country) => {
    const rows = providers.filter((provider) => provider.country === country).map(row);
    return [
      `### ${nameOf(country)}`,
      "",
      "| `provider` | | grant | what a connection gives |",
      "|---|---|---|---|",
      ...rows,
    ].join("\n");
  });
  const rule = `those from ${nameOf(FIRST)} first, then by the name of the country`;
  return [`${providers.length} providers: ${rule}.`, ...parts].join("\n\n");
}

/** @param {Provider} provider */
function row({ id, name, docs, grant, client_auth, verified, needs }) {
  const shape = [`\`${grant}\``, ...(client_auth ? [`\`${client_auth}\``] : [])].join(", ");
  const tried = verified === "documented" ? "" : `; tried on ${verified}`;
  const given = Object.entries(needs).map(([what, where]) => `\`${what}\`: ${where}`);
  return `| \`${id}\` | [${name}](${docs})${tried} | ${shape} | ${given.join("<br>").replaceAll("|", "\\|")} |`;
}

if (isMain(import.meta.url)) await runMain(() => writeFileSync(inRoot(PAGE), pageOfProviders()));
