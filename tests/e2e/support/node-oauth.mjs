// An authorization server and an API on @node-oauth/oauth2-server, with a model in memory.

import { createServer } from "node:http";
import OAuth2Server from "@node-oauth/oauth2-server";
import { send } from "./upstream.mjs";

const { Request, Response } = OAuth2Server;

/**
 * Starts it.
 *
 * clients: [{ id, secret, grant, lifetime }]   // grant: password (with refresh) or client_credentials; seconds
 * users: [{ username, password }]
 */
export async function startNodeOauth({ clients, users }) {
  const model = new Model(clients, users);
  const oauth = new OAuth2Server({ model });

  const server = createServer({ keepAliveTimeout: 120_000 }, async (incoming, outgoing) => {
    const body = await readAll(incoming);
    const form = incoming.headers["content-type"]?.startsWith("application/x-www-form-urlencoded");
    const { pathname, searchParams } = new URL(incoming.url, "http://server");
    const request = new Request({
      headers: incoming.headers,
      method: incoming.method,
      query: Object.fromEntries(searchParams),
      body: form ? Object.fromEntries(new URLSearchParams(body)) : {},
    });
    const response = new Response();
    const answer = (status, json) => send(outgoing, { status, headers: response.headers, body: json });
    try {
      if (pathname === "/oauth/token") {
        await oauth.token(request, response);
        return answer(response.status, response.body);
      }
      const { user } = await oauth.authenticate(request, response);
      if (pathname === "/api/me") return answer(200, { user: user.username ?? null });
      if (pathname === "/api/orders") return answer(201, { user: user.username ?? null, order: JSON.parse(body) });
      return answer(404, {});
    } catch (error) {
      return answer(error.code ?? 500, response.body ?? { error: error.name, error_description: error.message });
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    tokenPath: "/oauth/token",
    revoke: async ({ token }) => model.revoke(token),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What the library asks for: who the clients and users are, and a store of tokens. */
class Model {
  #clients;
  #users;
  #byAccessToken = new Map();
  #byRefreshToken = new Map();

  constructor(clients, users) {
    this.#users = users;
    this.#clients = clients.map(({ id, secret, grant, lifetime }) => ({
      id,
      secret,
      grants: grant === "password" ? ["password", "refresh_token"] : [grant],
      accessTokenLifetime: lifetime,
    }));
  }

  async getClient(id, secret) {
    return this.#clients.find((client) => client.id === id && client.secret === secret);
  }

  async getUser(username, password) {
    return this.#users.find((user) => user.username === username && user.password === password);
  }

  /** Nobody stands behind a token that a client got for itself, yet the library wants an object. */
  async getUserFromClient() {
    return {};
  }

  async saveToken(token, client, user) {
    const saved = { ...token, client, user };
    this.#byAccessToken.set(saved.accessToken, saved);
    if (saved.refreshToken) this.#byRefreshToken.set(saved.refreshToken, saved);
    return saved;
  }

  async getAccessToken(token) {
    return this.#byAccessToken.get(token);
  }

  async getRefreshToken(token) {
    return this.#byRefreshToken.get(token);
  }

  /** Called by the library for the refresh token that a new one takes the place of. */
  async revokeToken({ refreshToken }) {
    return this.#byRefreshToken.delete(refreshToken);
  }

  /** Ends a token; with a refresh token its access token, and not the other way round. */
  revoke(token) {
    const { accessToken = token } = this.#byRefreshToken.get(token) ?? {};
    this.#byRefreshToken.delete(token);
    this.#byAccessToken.delete(accessToken);
  }
}

async function readAll(request) {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += chunk;
  return text;
}
