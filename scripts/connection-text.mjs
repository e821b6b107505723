// The text of a connection in wrangler.toml, and what it needs.

/** @import { Provider } from "./catalogue.mjs" */
/** @import { Words } from "./words.mjs" */

/** Secrets that a connection for reading does without. */
const FOR_EVENTS = "ACCOUNT_TOKEN";

/** @typedef {{ name: string, where: string }} Needed a field or a secret, and where its value is found */

/**
 * The fields of a connection that somebody must write in wrangler.toml.
 *
 * @param {Provider} provider
 * @returns {Needed[]}
 */
export const fieldsOf = ({ needs }) =>
  Object.entries(needs)
    .filter(([name]) => name !== name.toUpperCase())
    .map(([name, where]) => ({ name, where }));

/** The path of the call that a connection's first rule allows. @param {Provider} provider */
export const firstPath = (provider) => (provider.probe ?? pathOf(provider)).split("?")[0];

/**
 * The secrets of a connection called `id`, without those of webhooks.
 *
 * @param {string} id
 * @param {Provider} provider
 * @returns {Needed[]}
 */
export const secretsOf = (id, { needs }) =>
  Object.entries(needs)
    .filter(([name]) => name === name.toUpperCase() && name !== FOR_EVENTS)
    .map(([name, where]) => ({ name: `${id.toUpperCase().replaceAll("-", "_")}_${name}`, where }));

/**
 * The lines of a connection called `id`, with one rule: the provider's harmless call, or where it documents none, the
 * call of its example.
 *
 * @param {string} id
 * @param {Provider} provider
 * @param {Words} words
 */
export function connectionText(id, provider, words) {
  const { name, docs, grant } = provider;
  const tables = new Map([["", /** @type {string[]} */ ([])]]);
  for (const { name: field, where } of fieldsOf(provider)) {
    const at = field.lastIndexOf(".");
    const table = at < 0 ? "" : field.slice(0, at);
    const lines = tables.get(table) ?? [];
    lines.push(`# ${where}`, `${field.slice(at + 1)} = "${startOf(provider, field)}"`);
    tables.set(table, lines);
  }
  const isForPeople = grant === "authorization_code";
  const { "": own = [], ...others } = Object.fromEntries(tables);
  return [
    `# ${name}: ${docs}`,
    `[vars.CONNECTIONS.${id}]`,
    `provider = "${provider.id}"`,
    ...own,
    ...Object.entries(others).flatMap(([table, lines]) => ["", `[vars.CONNECTIONS.${id}.${table}]`, ...lines]),
    "",
    `# ${words.rule}`,
    `[[vars.CONNECTIONS.${id}.rules]]`,
    `callers = ["${isForPeople && provider.subject === "user" ? "session" : "backend"}"]`,
    `methods = ["GET"]`,
    `paths = ["${firstPath(provider)}"]`,
    "",
  ].join("\n");
}

/**
 * What is written for a field: never the example's value where that names somebody else's account or server, for the
 * secrets would be sent there. The check warns of the address, and an empty text is a problem.
 *
 * @param {Provider} provider
 * @param {string} field
 */
function startOf({ example }, field) {
  /** @type {unknown} */
  let value = example.secrets?.[field] ?? example.fields;
  if (typeof value !== "string") {
    for (const part of field.split(".")) value = /** @type {{ [name: string]: unknown } | undefined} */ (value)?.[part];
  }
  if (typeof value !== "string") return "";
  if (URL.canParse(value)) return `${PLACEHOLDER}${new URL(value).pathname.replace(/\/$/, "")}`;
  return field === "scope" ? value : "";
}

/** The same as the check's: nothing is at a name of RFC 2606. */
const PLACEHOLDER = "https://your-server.example";

/** The path of the example's call, below the API's address. @param {Provider} provider */
function pathOf({ example, base_url }) {
  const [line] = example.call.trim().split("\n");
  const address = line.split(" ")[1] ?? "";
  const base = base_url ?? example.secrets?.base_url ?? String(example.fields?.base_url ?? "");
  return base && address.startsWith(base) ? address.slice(base.length) || "/" : new URL(address).pathname;
}
