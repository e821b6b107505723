// A provider that holds its clients to their secrets: a token endpoint and an
// API in one, for one `custom` connection. Which secrets count may change at
// any time, as an account's owner changes them.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { text } from "node:stream/consumers";
import { closeServer, listen } from "../../../sandbox/provider.mjs";
import { send } from "./upstream.mjs";

/** Starts one. */
export async function startStrictProvider() {
  const provider = new StrictProvider();
  await listen(provider.server, 0);
  return provider;
}

class StrictProvider {
  /** The client's secrets that count. */
  clientSecrets = new Set(["a client secret"]);
  /** The accounts: each name's passwords that count. */
  accounts = new Map([["an account", new Set(["a password"])]]);
  /** Tokens that were made by hand, and count. */
  staticTokens = new Set();
  /** Every token request: { grant, secret, password, granted }. */
  tokenRequests = [];
  /** Calls with a token that does not count. */
  unauthorized = 0;
  #accessTokens = new Set();
  #refreshTokens = new Set();

  constructor() {
    this.server = createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy());
    });
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** The fields that a connection to it has. */
  get fields() {
    return { provider: "custom", base_url: `${this.url}/api`, token_url: `${this.url}/token`, client_id: "a client" };
  }

  /** The token requests in which the client or the account was refused. A refresh token that ended is none of them. */
  get refusals() {
    return this.tokenRequests.filter(({ granted, grant }) => !granted && grant !== "refresh_token");
  }

  get granted() {
    return this.tokenRequests.filter(({ granted }) => granted);
  }

  /** Ends every token, refresh tokens too: the next call needs the secrets. Resolves with the request that was granted then. */
  async revoke() {
    const { length } = this.granted;
    this.#accessTokens.clear();
    this.#refreshTokens.clear();
    for (const end = Date.now() + 20_000; this.granted.length === length; await sleep(10)) {
      assert.ok(Date.now() < end, "no token was obtained anew");
    }
    return this.granted.at(-1);
  }

  close() {
    return closeServer(this.server);
  }

  async #serve(request, response) {
    const body = await text(request);
    if (request.url === "/token") return send(response, this.#grant(new URLSearchParams(body)));
    const token = request.headers.authorization?.replace(/^Bearer /, "");
    if (this.#accessTokens.has(token) || this.staticTokens.has(token)) return send(response, { body: { token } });
    this.unauthorized += 1;
    return send(response, { status: 401, body: { error: "the token is not accepted" } });
  }

  #grant(parameters) {
    const [grant, secret, password] = ["grant_type", "client_secret", "password"].map((name) => parameters.get(name));
    const request = { grant, secret, password, granted: false };
    this.tokenRequests.push(request);
    if (!this.clientSecrets.has(secret)) return { status: 401, body: { error: "invalid_client" } };
    const known = {
      client_credentials: () => true,
      password: () => this.accounts.get(parameters.get("username"))?.has(password),
      refresh_token: () => this.#refreshTokens.delete(parameters.get("refresh_token")),
    };
    if (!known[grant]()) return { status: 400, body: { error: "invalid_grant" } };
    request.granted = true;
    const [access_token, refresh_token] = ["at", "rt"].map((kind) => `${kind}-${randomBytes(16).toString("hex")}`);
    this.#accessTokens.add(access_token);
    if (grant === "client_credentials") return { body: { access_token, token_type: "Bearer", expires_in: 3600 } };
    this.#refreshTokens.add(refresh_token);
    return { body: { access_token, refresh_token, token_type: "Bearer", expires_in: 3600 } };
  }
}
