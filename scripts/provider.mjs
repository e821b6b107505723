// Shows what the broker sends to a provider of the catalogue, byte by byte: the token request and the call.
//
//   node scripts/provider.mjs NAME
import { Failure, runMain, say } from "./lib.mjs";
import { setup } from "./setup.mjs";

/** @import { Sent, Tried } from "./double.mjs" */

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
export function shown({ tokenRequest, call, status, answer }) {
  const parts = [];
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

await runMain(async ([id]) => {
  // A fresh clone has no Node modules yet, which read the files and build the Worker.
  await setup();
  const { readCatalogue, readProvider } = await import("./catalogue.mjs");
  const { buildWorker } = await import("./build.mjs");
  const { tryProviders } = await import("./double.mjs");
  if (!id)
    throw new Failure(
      `Name a provider: ${readCatalogue()
        .map((provider) => provider.id)
        .join(", ")}.`,
    );
  const provider = readProvider(id);
  await buildWorker();
  const [tried] = await tryProviders([provider]);
  say(`\n${shown(tried)}\n`);
  if (tried.status !== 200) throw new Failure(`providers/${id}.toml and its example do not fit together.`);
});
