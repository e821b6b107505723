// An authorization server with OpenID Connect on oidc-provider, with its own forms to sign in and to consent, and an
// API behind it.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import Provider from "oidc-provider";
import { makeKey } from "./issuer.mjs";
import { closeServer, listening } from "./servers.mjs";
import { send } from "./upstream.mjs";

/** @import { RequestListener } from "node:http" */

/** @typedef {{ path: string, method: string, at: number }} Passed */

export class OidcServer {
  /** Every request, in order. @type {Passed[]} */
  requests = [];
  url = "";
  /** What the server complained of. @type {string[]} */
  errors = [];
  /** @type {any} */
  provider;
  /** @type {RequestListener} */
  #callback = (_, response) => void response.writeHead(503).end();
  #server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://server");
    this.requests.push({ path: pathname, method: request.method ?? "", at: Date.now() });
    if (pathname === "/api/me") {
      this.#me(request.headers.authorization).then(
        ({ status, body }) => send(response, { status, body }),
        (error) => response.destroy(error),
      );
    } else this.#callback(request, response);
  });

  /** Listens; it serves once it is configured. */
  async open() {
    this.url = await listening(this.#server);
  }

  /**
   * Makes the server serve these clients.
   *
   * @param {object[]} clients in the words of OpenID Connect Dynamic Client Registration
   * @param {{ lifetime?: number, par?: boolean }} [settings] seconds of an access token, and whether requests must be
   * pushed
   */
  configure(clients, { lifetime = 3600, par = false } = {}) {
    const { privateKey } = makeKey("RS256");
    this.provider = new Provider(this.url, {
      clients,
      claims: { openid: ["sub"], email: ["email", "email_verified"] },
      conformIdTokenClaims: false,
      cookies: { keys: ["a key of the tests"] },
      features: {
        backchannelLogout: { enabled: true },
        devInteractions: { enabled: true },
        pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: par },
        revocation: { enabled: true },
        rpInitiatedLogout: { enabled: true },
      },
      clientAuthMethods: ["client_secret_post", "client_secret_basic", "private_key_jwt", "none"],
      // Its own guard refuses this machine's addresses.
      fetch: (/** @type {URL} */ url, /** @type {any} */ { dispatcher, ...options }) => fetch(url, options),
      findAccount: (/** @type {unknown} */ _, /** @type {string} */ id) => ({
        accountId: id,
        claims: async () => ({ sub: id, email: `${id}@example.com`, email_verified: true }),
      }),
      issueRefreshToken: async () => true,
      jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: "first", alg: "RS256", use: "sig" }] },
      pkce: { required: () => true },
      rotateRefreshToken: true,
      scopes: ["openid", "email", "offline_access"],
      ttl: {
        AccessToken: lifetime,
        AuthorizationCode: 60,
        IdToken: 300,
        RefreshToken: 3600,
        Session: 3600,
        Grant: 3600,
        Interaction: 600,
      },
    });
    for (const event of [
      "server_error",
      "authorization.error",
      "grant.error",
      "pushed_authorization_request.error",
      "revocation.error",
      "backchannel.error",
      "end_session.error",
    ]) {
      this.provider.on(event, (/** @type {unknown} */ _, /** @type {Error} */ error) => {
        this.errors.push(`${event}: ${error?.message ?? error} ${/** @type {any} */ (error)?.error_detail ?? ""}`);
      });
    }
    this.#callback = this.provider.callback();
  }

  /** @param {string | undefined} authorization */
  async #me(authorization) {
    const token = await this.provider.AccessToken.find(authorization?.replace(/^Bearer /, "") ?? "");
    return token && !token.isExpired
      ? { status: 200, body: { user: token.accountId } }
      : { status: 401, body: { error: "invalid_token" } };
  }

  /** How many requests came to `path`. @param {string} path */
  count(path) {
    return this.requests.filter((one) => one.path === path).length;
  }

  /** Fails where the server complained. */
  verify() {
    assert.deepEqual(this.errors.splice(0), []);
  }

  close() {
    return closeServer(this.#server);
  }
}
