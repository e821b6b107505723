// An authorization server and an API on @node-oauth/oauth2-server, with a model in memory.

import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import OAuth2Server from "@node-oauth/oauth2-server";
import { closeServer, listening } from "./servers.mjs";
import { send } from "./upstream.mjs";

/** @import { AuthorizationCode, AuthorizationCodeModel, Client, PasswordModel, RefreshTokenModel, ClientCredentialsModel, Token, User } from "@node-oauth/oauth2-server" */

const { Request, Response } = OAuth2Server;

/**
 * The clients and people of a server.
 *
 * @typedef {object} Clientele
 * @property {{ id: string, secret: string, grant: string, lifetime: number, redirectUris?: string[], auth?: string,
 * openid?: boolean }[]} clients with the grant password or authorization_code (with refresh), or client_credentials, and
 * the lifetime of an access token in seconds
 * @property {{ username: string, password: string }[]} users
 */

/**
 * Starts the server.
 *
 * @param {Clientele} clientele
 */
export async function startNodeOauth({ clients, users }) {
  const model = new Model(clients, users);
  const oauth = new OAuth2Server({ model });

  const server = createServer({ keepAliveTimeout: 120_000 }, async (incoming, outgoing) => {
    const body = await text(incoming);
    const form = incoming.headers["content-type"]?.startsWith("application/x-www-form-urlencoded");
    const { pathname, searchParams } = new URL(incoming.url ?? "", "http://server");
    const request = new Request({
      headers: /** @type {{ [name: string]: string }} */ (incoming.headers),
      method: incoming.method ?? "",
      query: Object.fromEntries(searchParams),
      body: form ? Object.fromEntries(new URLSearchParams(body)) : {},
    });
    const response = new Response();
    /** @type {(status: number, json: object | string) => void} */
    const answer = (status, json) => send(outgoing, { status, headers: response.headers, body: json });
    try {
      if (pathname === "/oauth/token") {
        await oauth.token(request, response);
        return answer(response.status ?? 0, response.body);
      }
      if (pathname === "/oauth/authorize") {
        // One form to sign in and to consent.
        if (incoming.method !== "POST") return send(outgoing, { headers: { "Content-Type": "text/html" }, body: FORM });
        const { username, password } = /** @type {{ [name: string]: string }} */ (request.body);
        const user = await model.getUser(username, password);
        if (!user) return send(outgoing, { status: 401, headers: { "Content-Type": "text/html" }, body: FORM });
        request.query = { ...request.query, ...request.body };
        const authenticateHandler = { handle: () => user };
        await oauth.authorize(request, response, { authenticateHandler }).catch((error) => {
          if (!response.headers?.location) throw error;
        });
        return answer(response.status ?? 0, "");
      }
      if (pathname === "/oauth/revoke") {
        const {
          token,
          client_id: id,
          client_secret: secret,
        } = /** @type {{ [name: string]: string }} */ (request.body);
        if (!(await model.getClient(id, secret))) return answer(401, { error: "invalid_client" });
        model.revoke(token);
        return answer(200, {});
      }
      const { user } = await oauth.authenticate(request, response);
      if (pathname === "/api/me") return answer(200, { user: user.username ?? null });
      if (pathname === "/api/orders") return answer(201, { user: user.username ?? null, order: JSON.parse(body) });
      return answer(404, {});
    } catch (error) {
      const { code = 500, name, message } = /** @type {Error & { code?: number }} */ (error);
      return answer(code, response.body ?? { error: name, error_description: message });
    }
  });
  return {
    url: await listening(server),
    tokenPath: "/oauth/token",
    /** @param {{ token: string }} which */
    revoke: async ({ token }) => model.revoke(token),
    stop: () => closeServer(server),
  };
}

const FORM = `<!doctype html><title>Node</title><form method="post"><input name="username"><input name="password"
type="password"><button name="allowed" value="true">Allow</button><button name="allowed" value="false">Deny</button>
</form>`;

/**
 * The model that the library requires: the clients and users, and a store of codes and tokens.
 *
 * @implements {AuthorizationCodeModel}
 * @implements {PasswordModel}
 * @implements {RefreshTokenModel}
 * @implements {ClientCredentialsModel}
 */
class Model {
  #clients;
  #users;
  /** @type {Map<string, Token>} */
  #byAccessToken = new Map();
  /** @type {Map<string, any>} */
  #byRefreshToken = new Map();
  /** @type {Map<string, AuthorizationCode>} */
  #codes = new Map();

  /**
   * @param {Clientele["clients"]} clients
   * @param {Clientele["users"]} users
   */
  constructor(clients, users) {
    this.#users = users;
    this.#clients = clients.map(({ id, secret, grant, lifetime, redirectUris }) => ({
      id,
      secret,
      grants: grant === "client_credentials" ? [grant] : [grant, "refresh_token"],
      accessTokenLifetime: lifetime,
      redirectUris,
    }));
  }

  /**
   * @param {string} id
   * @param {string | null} secret null where people are asked: no client is proven there
   */
  async getClient(id, secret) {
    return this.#clients.find((client) => client.id === id && (secret === null || client.secret === secret));
  }

  /**
   * @param {Pick<AuthorizationCode, "authorizationCode" | "expiresAt" | "redirectUri" | "scope">} code
   * @param {Client} client
   * @param {User} user
   */
  async saveAuthorizationCode(code, client, user) {
    const saved = { ...code, client, user };
    this.#codes.set(code.authorizationCode, saved);
    return saved;
  }

  /** @param {string} code */
  async getAuthorizationCode(code) {
    return this.#codes.get(code);
  }

  /** @param {{ authorizationCode: string }} code */
  async revokeAuthorizationCode({ authorizationCode }) {
    return this.#codes.delete(authorizationCode);
  }

  /**
   * @param {string} username
   * @param {string} password
   */
  async getUser(username, password) {
    return this.#users.find((user) => user.username === username && user.password === password);
  }

  /** A token that a client got for itself has no user, yet the library requires an object. */
  async getUserFromClient() {
    return {};
  }

  /**
   * @param {Token} token
   * @param {Client} client
   * @param {User} user
   */
  async saveToken(token, client, user) {
    const saved = { ...token, client, user };
    this.#byAccessToken.set(saved.accessToken, saved);
    if (saved.refreshToken) this.#byRefreshToken.set(saved.refreshToken, saved);
    return saved;
  }

  /** @param {string} token */
  async getAccessToken(token) {
    return this.#byAccessToken.get(token);
  }

  /** @param {string} token */
  async getRefreshToken(token) {
    return this.#byRefreshToken.get(token);
  }

  /**
   * Called by the library for a refresh token that a new one replaces.
   *
   * @param {{ refreshToken?: string }} token
   */
  async revokeToken({ refreshToken }) {
    return this.#byRefreshToken.delete(refreshToken ?? "");
  }

  /**
   * Revokes a token; a refresh token takes its access token with it, but not the reverse.
   *
   * @param {string} token
   */
  revoke(token) {
    const { accessToken = token } = this.#byRefreshToken.get(token) ?? {};
    this.#byRefreshToken.delete(token);
    this.#byAccessToken.delete(accessToken);
  }
}
