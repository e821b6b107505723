// An authorization server with OpenID Connect, and an API, on Authlib, in a process of its own.

import { startPythonServer } from "./python-server.mjs";

/** @import { Clientele } from "./node-oauth.mjs" */

/**
 * Starts the server, which keeps all in memory.
 *
 * @param {Clientele} clientele
 */
export async function startAuthlib({ clients, users }) {
  const { url, stop } = await startPythonServer("authlib", { clients, users });
  return { url, tokenPath: "/oauth/token", stop };
}
