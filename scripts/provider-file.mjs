// What is wrong in a provider's file, as far as it shows without a build: `npm run provider` tells it first, and the
// tests of the catalogue hold every file to it.
import { readFileSync } from "node:fs";
import { Ajv2020 } from "ajv/dist/2020.js";
import { countryOf } from "./catalogue.mjs";
import { addressOf, codeOf, requestOf } from "./example.mjs";
import { inRoot } from "./lib.mjs";
import { secretProblems } from "./provider-secrets.mjs";

/** @import { ErrorObject } from "ajv" */
/** @import { Example, Provider } from "./catalogue.mjs" */

const schema = JSON.parse(readFileSync(inRoot("docs", "reference", "provider.schema.json"), "utf8"));
const isFile = new Ajv2020({ allErrors: true, allowUnionTypes: true, verbose: true }).compile(schema);

/** The grants that ask nobody for a token. */
const ASKING_NOBODY = ["static", "basic"];

/** The grant whose token request comes of a consent. */
const ASKING_PEOPLE = "authorization_code";

/** What an example may leave out of `needs`: no call has an event's proof, and no file a certificate. */
const UNSHOWN = ["ACCOUNT_TOKEN", "certificate"];

/**
 * What is wrong in the file of `provider`, a line for each, with its key. What is not as the schema says is told first,
 * by itself, and the example only once the secrets are right.
 *
 * @param {Provider} provider
 * @returns {string[]}
 */
export function problemsOf(provider) {
  const { id, ...file } = provider;
  if (!isFile(file)) return (isFile.errors ?? []).map(schemaProblem);
  const ofSecrets = secretProblems(provider);
  return [...countryProblems(provider), ...(ofSecrets.length ? ofSecrets : exampleProblems(provider))];
}

/** @param {ErrorObject} error */
function schemaProblem({ instancePath, keyword, params, message, parentSchema }) {
  const place = instancePath.split("/").slice(1);
  const at = (/** @type {string[]} */ ...names) => [...place, ...names].join(".");
  if (keyword === "required") return `${at(params.missingProperty)}: is missing`;
  if (keyword === "additionalProperties") return `${at(params.additionalProperty)}: is not a known key`;
  const what = keyword === "enum" ? `must be one of ${params.allowedValues.join(", ")}` : message;
  return `${at()}: ${what}${parentSchema?.description ? `: ${parentSchema.description}` : ""}`;
}

/** @param {Provider} provider */
const countryProblems = ({ country }) =>
  countryOf(country) ? [] : [`country: ${country} is no country: write the maker's, in two letters (ISO 3166)`];

/** @param {Provider} provider */
function exampleProblems(provider) {
  const { needs, example, grant } = provider;
  const shown = Object.keys(needs).filter((name) => !UNSHOWN.includes(name));
  const unknown = Object.keys(example.secrets ?? {}).filter((name) => !(name in needs));
  return [
    ...shown
      .filter((name) => !hasValue(example, name))
      .map((name) => `example.secrets.${name}: is missing: invent the value of what needs names`),
    ...unknown.map((name) => `example.secrets.${name}: is not in needs`),
    ...tokenProblems(grant, example),
    ...consentProblems(grant, example),
    ...addressProblems(provider, "call", "base_url"),
    ...(grant === ASKING_PEOPLE ? addressProblems(provider, "authorization_request", "authorize_url") : []),
    ...addressProblems(provider, "token_request", "token_url"),
  ];
}

/**
 * Whether the example has a value for `name`, which may be that of a field in a table: `assertion.issuer`.
 *
 * @param {Example} example
 * @param {string} name
 */
function hasValue({ secrets, fields }, name) {
  /** @type {unknown} */
  let value = fields;
  for (const part of name.split(".")) value = /** @type {{ [name: string]: unknown } | undefined} */ (value)?.[part];
  return value !== undefined || secrets?.[name] !== undefined;
}

/**
 * @param {string} grant
 * @param {Example} example
 */
function tokenProblems(grant, example) {
  const asksNobody = ASKING_NOBODY.includes(grant);
  return /** @type {const} */ (["token_request", "token_response"])
    .filter((key) => (example[key] === undefined) !== asksNobody)
    .map((key) =>
      asksNobody
        ? `example.${key}: has no meaning: the grant ${grant} asks nobody for a token`
        : `example.${key}: is missing: the grant ${grant} asks for a token`,
    );
}

/**
 * @param {string} grant
 * @param {Example} example
 */
function consentProblems(grant, { authorization_request, token_request }) {
  const asksPeople = grant === ASKING_PEOPLE;
  const key = "example.authorization_request";
  if (asksPeople !== (authorization_request !== undefined)) {
    return asksPeople
      ? [`${key}: is missing: the grant ${grant} sends people there to consent`]
      : [`${key}: has no meaning: the grant ${grant} asks nobody to consent`];
  }
  return asksPeople && token_request !== undefined && codeOf(token_request) === undefined
    ? ["example.token_request: must have a code: the grant authorization_code exchanges it"]
    : [];
}

/**
 * @param {Provider} provider
 * @param {"call" | "token_request" | "authorization_request"} key
 * @param {"base_url" | "token_url" | "authorize_url"} field
 */
function addressProblems(provider, key, field) {
  const text = provider.example[key];
  if (text === undefined) return [];
  const address = addressOf(provider, field);
  // The file of a service account has the address, too.
  if (address === undefined && field === "token_url" && "SERVICE_ACCOUNT" in provider.needs) return [];
  if (address === undefined) return [`${field}: is missing: write it, or name it in needs`];
  const { method, url } = requestOf(text);
  if (!/^[A-Z]+$/.test(method) || !URL.canParse(url)) {
    return [`example.${key}: must begin with a method and an address, such as GET https://api.example.com/me`];
  }
  const isThere = key === "call" ? `${url}/`.startsWith(`${address}/`) : url.split("?")[0] === address;
  return isThere ? [] : [`example.${key}: must go to ${field}, ${address}`];
}
