// Shows what the broker sends to a provider of the catalogue, byte by byte: the token request and the call. What is
// wrong in the provider's file is told first, before anything is built.
//
//   node scripts/provider.mjs NAME
import { differences } from "./example.mjs";
import { Failure, isMain, runMain, say } from "./lib.mjs";
import { hasNodeModules, setup } from "./setup.mjs";

/** @import { Provider } from "./catalogue.mjs" */
/** @import { Tried } from "./double.mjs" */
/** @import { Sent } from "./example.mjs" */

/** Fields of the connection, not of the request. */
const UNSAID = new Set(["host", "accept-encoding", "content-length"]);

/** @param {Sent} sent */
const text = ({ method, url, fields, body }) =>
  [
    `${method} ${url}`,
    ...fields.filter(([name]) => !UNSAID.has(name)).map(([name, value]) => `${name}: ${value}`),
    ...(body ? ["", body] : []),
  ].join("\n");

/**
 * What the broker sent, for people.
 *
 * @param {Tried} tried
 */
export function shown({ authorizationRequest, tokenRequest, call, status, answer }) {
  const parts = [];
  if (authorizationRequest) parts.push("Where people are sent to consent:", text(authorizationRequest));
  if (tokenRequest) parts.push("The token request:", text(tokenRequest), ...assertions(tokenRequest));
  if (call) parts.push("The call:", text(call));
  if (status !== 200) parts.push(`The caller was answered ${status}:`, answer);
  return parts.join("\n\n");
}

/** The JSON Web Tokens in a token request, decoded. @param {Sent} sent */
function assertions({ body }) {
  const tokens = body.match(/eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/g) ?? [];
  return tokens.flatMap((token) => {
    const [header, claims] = token.split(".").map((part) => Buffer.from(part, "base64url").toString());
    return ["in which the signed token says:", `${header}\n${claims}`];
  });
}

/**
 * What to mend in the file of `provider` after its example was tried; empty if all is as documented.
 *
 * @param {Provider} provider
 * @param {Tried} tried
 * @returns {string[]}
 */
export function toMend({ example }, tried) {
  if (tried.problems.length) return tried.problems;
  const found = differences(tried, example).map((difference) => `example: ${difference}`);
  const answered = tried.status === 200 ? [] : [`example: the caller was answered ${tried.status}, as shown above`];
  return [...found, ...answered];
}

/**
 * Fails with `problems`, a line for each, if there are any.
 *
 * @param {string} id
 * @param {string[]} problems
 */
function refuse(id, problems) {
  if (problems.length) throw new Failure(problems.map((problem) => `providers/${id}.toml: ${problem}`).join("\n"));
}

/** @param {string | undefined} id */
async function showProvider(id) {
  // A fresh clone has no Node modules yet, which read the files.
  if (!hasNodeModules()) await setup();
  const { readCatalogue, readProvider } = await import("./catalogue.mjs");
  if (!id)
    throw new Failure(
      `Name a provider: ${readCatalogue()
        .map((one) => one.id)
        .join(", ")}.`,
    );
  const provider = readProvider(id);
  const { problemsOf } = await import("./provider-file.mjs");
  refuse(id, problemsOf(provider));
  await setup();
  const { buildWorker } = await import("./build.mjs");
  await buildWorker();
  const { tryProviders } = await import("./double.mjs");
  const [tried] = await tryProviders([provider]);
  say(`\n${shown(tried)}\n`);
  refuse(id, toMend(provider, tried));
  say(`providers/${id}.toml: as documented: what the broker sends is what [example] says.`);
}

if (isMain(import.meta.url)) await runMain(([id]) => showProvider(id));
