// The secrets that the connections of a provider use, as src/config/ reads them, against those that its file names.

/** @import { Provider } from "./catalogue.mjs" */

/** What an account has, by `grant`; where a login has it, the login says. @type {{ [grant: string]: string[] }} */
const OF_GRANT = {
  static: ["TOKEN"],
  basic: ["USERNAME"],
  password: ["USERNAME", "PASSWORD"],
  refresh_token: ["REFRESH_TOKEN"],
  jwt_bearer: ["PRIVATE_KEY"],
  authorization_code: ["CLIENT_ID"],
};

/** What a client has, by `client_auth`. @type {{ [method: string]: string[] }} */
const OF_CLIENT = {
  post: ["CLIENT_ID", "CLIENT_SECRET"],
  basic: ["CLIENT_ID", "CLIENT_SECRET"],
  client_secret_jwt: ["CLIENT_ID", "CLIENT_SECRET"],
  private_key_jwt: ["CLIENT_ID", "PRIVATE_KEY"],
  tls: ["CLIENT_ID"],
};

/** The grants whose token request, if any, is not OAuth's. */
const WITHOUT_CLIENT = ["static", "basic", "login"];

/**
 * What is wrong with the secrets in `needs`: one that nothing uses, or one that is used and not named.
 *
 * @param {Provider} provider
 * @returns {string[]} a line for each, with its key
 */
export function secretProblems(provider) {
  const { needs } = provider;
  const { must, may } = secretsOf(provider);
  // A client's id and its audience may be fields, too.
  const isNamed = (/** @type {string} */ name) => name in needs || (name === "CLIENT_ID" && "client_id" in needs);
  const missing = [...must].filter(([name]) => !isNamed(name));
  const isUsed = (/** @type {string} */ name) => must.has(name) || may.includes(name);
  const unused = Object.keys(needs).filter((name) => name === name.toUpperCase() && !isUsed(name));
  return [
    ...missing.map(([name, user]) => `needs.${name}: is missing: ${user} uses this secret`),
    ...unused.map((name) => {
      const place = `{${name.toLowerCase()}}`;
      return `needs.${name}: nothing uses this secret: write ${place} where it goes, in headers, query or login, or remove it`;
    }),
  ];
}

/**
 * The secrets that each connection of `provider` has, with what uses them first, and those that it may have.
 *
 * @param {Provider} provider
 */
function secretsOf({ grant, client_auth, header, headers, query, login, subject, webhook, needs }) {
  /** @type {Map<string, string>} */
  const must = new Map();
  const add = (/** @type {string} */ user, /** @type {string[]} */ names) => {
    for (const name of names) if (!must.has(name)) must.set(name, user);
  };
  const placesToken = header !== "" || JSON.stringify([headers, query]).includes("{token}");
  // Each person has their own account, and a call without a token has secrets of its own.
  const hasAccount = grant === "password" ? subject !== "user" : grant !== "static" || placesToken;
  if (hasAccount) add(`the grant ${grant}`, OF_GRANT[grant] ?? []);
  const hasClient = !WITHOUT_CLIENT.includes(grant);
  const method = client_auth ?? (grant === "jwt_bearer" ? "none" : "post");
  if (hasClient) add(`client_auth ${method}`, OF_CLIENT[method] ?? []);
  for (const [table, value] of Object.entries({ headers, query, login })) add(table, placedIn(value));
  if (webhook) add("webhook", ["ACCOUNT_TOKEN"]);
  // The file of a service account has the key.
  if ("SERVICE_ACCOUNT" in needs && must.delete("PRIVATE_KEY")) must.set("SERVICE_ACCOUNT", `the grant ${grant}`);
  const may = [...(hasClient ? ["CLIENT_ID", "AUDIENCE"] : []), ...(grant === "basic" ? ["PASSWORD"] : [])];
  return { must, may };
}

/**
 * The secrets whose names stand in braces in the texts of `value`, at any depth.
 *
 * @param {unknown} value
 * @returns {string[]}
 */
function placedIn(value) {
  if (typeof value === "object" && value !== null) return Object.values(value).flatMap(placedIn);
  const names = typeof value === "string" ? [...value.matchAll(/\{([a-z0-9_]+)\}/g)].map(([, name]) => name) : [];
  return names.flatMap((name) => {
    if (name === "token") return [];
    return name === "basic" ? ["USERNAME", "PASSWORD"] : [name.toUpperCase()];
  });
}
