// An authorization server and an API on django-oauth-toolkit, in a process of its own.

import { startPythonServer } from "./python-server.mjs";

/** @import { Clientele } from "./node-oauth.mjs" */

/**
 * Starts the server with a database of its own.
 *
 * @param {Clientele} clientele
 */
export async function startDjango({ clients, users }) {
  const { url, stop } = await startPythonServer("django", { clients, users });
  return {
    url,
    tokenPath: "/oauth/token/",
    /** @param {{ client: string, token: string }} which */
    revoke: (which) => revoke(url, clients, which),
    stop,
  };
}

/**
 * Revokes a token at the client's request (RFC 7009).
 *
 * @param {string} url
 * @param {Clientele["clients"]} clients
 * @param {{ client: string, token: string }} which
 */
async function revoke(url, clients, { client, token }) {
  const secret = clients.find(({ id }) => id === client)?.secret ?? "";
  const answer = await fetch(`${url}/oauth/revoke_token/`, {
    method: "POST",
    body: new URLSearchParams({ token, client_id: client, client_secret: secret }),
  });
  if (answer.status !== 200) throw new Error(`the revocation was answered ${answer.status}: ${await answer.text()}`);
}
