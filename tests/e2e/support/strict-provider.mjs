// A provider that takes nothing but what the standards say of the authorization code grant, and fails the test
// otherwise: authorization requests, plain and pushed (RFC 6749, RFC 7636, RFC 9126), codes, refresh tokens with
// rotation, revocation (RFC 7009), ID tokens, and an API. What it says can be made wrong at will.

import assert from "node:assert/strict";
import { createHash, createPublicKey, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { isSignedBy, makeKey, seconds, startIssuer } from "./issuer.mjs";
import { closeServer, listening } from "./servers.mjs";
import { send } from "./upstream.mjs";

/** @import { ServerResponse } from "node:http" */
/** @import { Issuer, Key, TokenSettings } from "./issuer.mjs" */
/** @import { Request } from "./servers.mjs" */

/** @typedef {{ [name: string]: string }} Params */

/**
 * @typedef {object} Client
 * @property {string} id
 * @property {string} [secret]
 * @property {"post" | "basic" | "private_key_jwt"} auth
 * @property {Key} [key] that proves it
 * @property {string[]} redirectUris
 */

/**
 * What a person decides, and how the provider deviates.
 *
 * @typedef {object} Decision
 * @property {string} [sub] who they are
 * @property {string} [sid] the provider's session
 * @property {{ [name: string]: unknown }} [claims] further claims of theirs
 * @property {string} [error] instead of a code
 * @property {string | null} [iss] instead of the issuer's; `null` leaves it out
 * @property {TokenSettings | null | string} [idToken] deviations of the ID token, the token itself, or none
 * @property {boolean} [refreshToken] whether a refresh token comes with the access token; default: yes
 * @property {number} [expiresIn]
 */

/**
 * A code that was issued.
 *
 * @typedef {object} Code
 * @property {Params} request
 * @property {Client} client
 * @property {Decision} decision
 * @property {boolean} used
 * @property {string[]} tokens that came of it
 */

/** @typedef {{ path: string, headers: import("node:http").IncomingHttpHeaders, params: Params, status?: number }} Seen */

const CHALLENGE = /^[A-Za-z0-9_-]{43}$/;
const secret = (/** @type {string} */ prefix) => `${prefix}-${randomBytes(24).toString("base64url")}`;

/**
 * Starts a provider.
 *
 * @param {{ metadata?: { [member: string]: unknown }, par?: boolean, iss?: boolean }} [settings] whether requests must
 * be pushed, and whether responses name the issuer
 */
export async function startProvider(settings = {}) {
  const provider = new Provider(settings);
  await provider.open();
  return provider;
}

export class Provider {
  url = "";
  /** @type {Map<string, Client>} */
  clients = new Map();
  /** The parameters of every authorization request. @type {Params[]} */
  authorizations = [];
  /** @type {Seen[]} */
  pushes = [];
  /** @type {Seen[]} */
  tokenRequests = [];
  /** @type {Seen[]} */
  revocations = [];
  /** Requests to the API. @type {Seen[]} */
  calls = [];
  /** Every secret that it made: codes and tokens. @type {string[]} */
  issued = [];
  /** What should not have come. @type {string[]} */
  faults = [];
  /** Answers of the endpoints called by these names, instead of their own, one for each request. */
  scripted = /** @type {{ [endpoint: string]: { status: number, headers?: Params, body?: object | string }[] }} */ ({});
  /** Resolves before a token request is answered. */
  hold = Promise.resolve();

  key = makeKey("RS256", { kid: "rs256" });
  /** Where its metadata and keys are. @type {Issuer} */
  issuer = /** @type {Issuer} */ (/** @type {unknown} */ (undefined));
  /** @type {Map<string, Code>} */
  #codes = new Map();
  /** @type {Map<string, { client: string, params: Params, used: boolean }>} */
  #pushed = new Map();
  /** Refresh tokens by what they are of. @type {Map<string, Code>} */
  #refresh = new Map();
  /** @type {Map<string, Code>} */
  #access = new Map();
  #server = createServer({ keepAliveTimeout: 120_000 }, (incoming, response) => {
    this.#serve(/** @type {Request} */ (incoming), response).catch((error) => {
      this.faults.push(String(error.stack));
      response.destroy();
    });
  });

  /** @param {Parameters<typeof startProvider>[0]} settings */
  constructor({ metadata = {}, par = false, iss = true } = {}) {
    this.settings = { metadata, par, iss };
  }

  async open() {
    const { metadata, par, iss } = this.settings;
    this.url = await listening(this.#server);
    this.issuer = await startIssuer({
      keys: [this.key],
      metadata: {
        authorization_endpoint: `${this.url}/authorize`,
        token_endpoint: `${this.url}/token`,
        revocation_endpoint: `${this.url}/revoke`,
        end_session_endpoint: `${this.url}/end-session`,
        ...(par ? { pushed_authorization_request_endpoint: `${this.url}/par` } : {}),
        ...(iss ? { authorization_response_iss_parameter_supported: true } : {}),
        response_types_supported: ["code"],
        subject_types_supported: ["public"],
        id_token_signing_alg_values_supported: ["RS256"],
        backchannel_logout_supported: true,
        ...metadata,
      },
    });
  }

  async close() {
    await Promise.all([closeServer(this.#server), this.issuer?.close()]);
  }

  /** Fails where something came that should not have. */
  verify() {
    const faults = this.faults.splice(0);
    assert.deepEqual(faults, []);
  }

  /**
   * Registers a client.
   *
   * @param {string} id
   * @param {Partial<Client>} [fields]
   */
  register(id, { secret: own = secret("client"), auth = "post", redirectUris = [], ...more } = {}) {
    /** @type {Client} */
    const client = { id, secret: own, auth, redirectUris, ...more };
    this.clients.set(id, client);
    return client;
  }

  // --- The front channel --------------------------------------------------

  /**
   * The request that an address of the authorization endpoint makes, checked.
   *
   * @param {string} location
   */
  read(location) {
    const { origin, pathname, searchParams, hash } = new URL(location);
    assert.equal(`${origin}${pathname}${hash}`, `${this.url}/authorize`);
    const query = single(searchParams);
    const { client_id: id, request_uri: reference } = query;
    const client = this.clients.get(id);
    assert.ok(client, `no client ${id}`);
    let params = query;
    if (reference !== undefined) {
      assert.deepEqual(Object.keys(query).sort(), ["client_id", "request_uri"]);
      const pushed = this.#pushed.get(reference);
      assert.ok(pushed && pushed.client === id, "a request that nobody pushed");
      params = pushed.params;
    } else assert.equal(this.settings.par, false, "a request that was not pushed");
    assert.equal(params.response_type, "code");
    assert.ok(client.redirectUris.includes(params.redirect_uri), `redirect_uri ${params.redirect_uri}`);
    assert.equal(params.code_challenge_method, "S256");
    assert.match(params.code_challenge, CHALLENGE);
    assert.match(params.state, CHALLENGE);
    const scopes = (params.scope ?? "").split(" ");
    if (scopes.includes("openid")) assert.match(params.nonce, CHALLENGE);
    else assert.equal(params.nonce, undefined);
    return { client, params, reference };
  }

  /**
   * Somebody decides on the request at `location`: the address at which their browser comes back.
   *
   * @param {string} location
   * @param {Decision} [decision]
   */
  decide(location, decision = {}) {
    const { client, params, reference } = this.read(location);
    this.authorizations.push(params);
    if (reference !== undefined) {
      const pushed = this.#pushed.get(reference);
      assert.equal(pushed?.used, false, "a pushed request that was used");
      pushed.used = true;
    }
    const back = new URL(params.redirect_uri);
    if (decision.error !== undefined) {
      back.searchParams.set("error", decision.error);
      back.searchParams.set("error_description", "Said by the provider <script>");
    } else {
      const code = secret("code");
      this.issued.push(code);
      this.#codes.set(code, { request: params, client, decision, used: false, tokens: [] });
      back.searchParams.set("code", code);
    }
    back.searchParams.set("state", params.state);
    const { iss = this.settings.iss ? this.issuer.issuer : null } = decision;
    if (iss !== null) back.searchParams.set("iss", iss);
    return back.href;
  }

  // --- The back channel ---------------------------------------------------

  /**
   * A logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4).
   *
   * @param {string} client
   * @param {{ [claim: string]: unknown }} claims merged over the usual ones
   * @param {TokenSettings} [settings]
   */
  logoutToken(client, claims, settings = {}) {
    const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
    return this.issuer.token({
      header: { typ: "logout+jwt" },
      ...settings,
      claims: { aud: client, sub: undefined, exp: seconds() + 120, events, ...claims },
    });
  }

  /** The tokens that the API takes. */
  get live() {
    return [...this.#access.keys()];
  }

  /** Ends every token of the sign-ins of `sub`, as a person does who takes their consent back. @param {string} sub */
  withdraw(sub) {
    for (const tokens of [this.#access, this.#refresh]) {
      for (const [token, { decision }] of tokens) if ((decision.sub ?? "ana") === sub) tokens.delete(token);
    }
  }

  /**
   * @param {Request} request
   * @param {ServerResponse} response
   */
  async #serve(request, response) {
    const body = await text(request);
    const { pathname, searchParams } = new URL(request.url, "http://provider");
    const isForm = request.headers["content-type"]?.split(";")[0] === "application/x-www-form-urlencoded";
    /** @type {Seen} */
    const seen = { path: request.url, headers: request.headers, params: {} };
    /** @param {number} status @param {object | string} [json] @param {Params} [headers] */
    const answer = (status, json = "", headers = {}) => {
      seen.status = status;
      send(response, { status, headers: { "Cache-Control": "no-store", ...headers }, body: json });
    };
    if (pathname.startsWith("/api/")) return this.#api(pathname, seen, answer);
    if (pathname === "/authorize") return this.#page(request.method, request.url, new URLSearchParams(body), answer);
    /** @type {{ [path: string]: [Seen[], () => Promise<void> | void] }} */
    const endpoints = {
      "/par": [this.pushes, () => this.#push(seen, answer)],
      "/token": [this.tokenRequests, () => this.#token(seen, answer)],
      "/revoke": [this.revocations, () => this.#revoke(seen, answer)],
    };
    const [record, act] = endpoints[pathname] ?? [];
    if (!record || !act) return answer(404);
    record.push(seen);
    assert.equal(request.method, "POST");
    assert.equal(searchParams.size, 0, "parameters in the address");
    assert.ok(isForm, `Content-Type: ${request.headers["content-type"]}`);
    assert.equal(request.headers.cookie, undefined);
    seen.params = single(new URLSearchParams(body));
    if (pathname === "/token") await this.hold;
    const scripted = this.scripted[pathname.slice(1)]?.shift();
    if (scripted) return answer(scripted.status, scripted.body, scripted.headers);
    return act();
  }

  /** @typedef {(status: number, json?: object | string, headers?: Params) => void} Reply */

  /**
   * The client that a request proves.
   *
   * @param {Seen} seen
   */
  #client({ headers, params }) {
    const { authorization } = headers;
    /** @type {string | undefined} */
    let id = params.client_id;
    /** @type {string} */
    let by = "post";
    let given = params.client_secret;
    if (authorization !== undefined) {
      by = "basic";
      const [name, password] = Buffer.from(authorization.replace(/^Basic /, ""), "base64")
        .toString()
        .split(":");
      [id, given] = [name, password].map((part) => decodeURIComponent(part.replaceAll("+", " ")));
      assert.equal(params.client_secret, undefined, "two proofs");
    }
    if (params.client_assertion !== undefined) {
      assert.equal(params.client_assertion_type, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
      assert.equal(given, undefined, "two proofs");
      by = "private_key_jwt";
      const claims = JSON.parse(Buffer.from(params.client_assertion.split(".")[1], "base64url").toString());
      id = claims.sub;
    }
    const client = this.clients.get(id ?? "");
    if (!client) return undefined;
    assert.equal(by, client.auth, "another method of authentication");
    if (by !== "private_key_jwt") return given === client.secret ? client : undefined;
    const [header, claims, signature] = params.client_assertion.split(".");
    const said = JSON.parse(Buffer.from(claims, "base64url").toString());
    assert.deepEqual([said.iss, said.sub], [client.id, client.id]);
    assert.ok([this.issuer.issuer, `${this.url}/token`].includes(said.aud), `aud ${said.aud}`);
    assert.ok(said.jti && said.exp > seconds());
    const key = /** @type {Key} */ (client.key);
    const publicKey = createPublicKey(/** @type {any} */ ({ key: key.jwk, format: "jwk" }));
    const signed = isSignedBy({ alg: key.alg, publicKey }, `${header}.${claims}`, Buffer.from(signature, "base64url"));
    return signed ? client : undefined;
  }

  /** @param {Seen} seen @param {Reply} answer */
  #push(seen, answer) {
    const client = this.#client(seen);
    if (!client) return answer(401, { error: "invalid_client" });
    const { client_secret, client_assertion, client_assertion_type, ...params } = seen.params;
    assert.equal(params.request_uri, undefined);
    assert.equal(params.client_id, client.id);
    const reference = `urn:ietf:params:oauth:request_uri:${randomBytes(16).toString("base64url")}`;
    this.#pushed.set(reference, { client: client.id, params, used: false });
    return answer(201, { request_uri: reference, expires_in: 60 });
  }

  /** @param {Seen} seen @param {Reply} answer */
  #token(seen, answer) {
    const client = this.#client(seen);
    if (!client) return answer(401, { error: "invalid_client" });
    const { grant_type: grant, code: text, redirect_uri, code_verifier: verifier, refresh_token } = seen.params;
    if (grant === "refresh_token") {
      const of = this.#refresh.get(refresh_token);
      if (of?.client !== client) return answer(400, { error: "invalid_grant" });
      this.#refresh.delete(refresh_token);
      return answer(200, this.#tokens(of));
    }
    assert.equal(grant, "authorization_code");
    const code = this.#codes.get(text);
    if (!code) return answer(400, { error: "invalid_grant" });
    if (code.used) {
      this.faults.push("a code came twice");
      for (const token of code.tokens) [this.#access, this.#refresh].forEach((tokens) => tokens.delete(token));
      return answer(400, { error: "invalid_grant" });
    }
    code.used = true;
    assert.match(verifier, /^[A-Za-z0-9._~-]{43,128}$/);
    const challenge = createHash("sha256").update(verifier).digest("base64url");
    const { request } = code;
    if (code.client !== client || redirect_uri !== request.redirect_uri || challenge !== request.code_challenge) {
      return answer(400, { error: "invalid_grant" });
    }
    return answer(200, { ...this.#tokens(code), ...this.#idToken(code) });
  }

  /** @param {Code} code */
  #tokens(code) {
    const { refreshToken = true, expiresIn = 3600 } = code.decision;
    const access = secret("access");
    this.#access.set(access, code);
    code.tokens.push(access);
    this.issued.push(access);
    /** @type {{ [member: string]: unknown }} */
    const set = { access_token: access, token_type: "Bearer", expires_in: expiresIn };
    if (refreshToken) {
      const refresh = secret("refresh");
      this.#refresh.set(refresh, code);
      code.tokens.push(refresh);
      this.issued.push(refresh);
      set.refresh_token = refresh;
    }
    return set;
  }

  /** @param {Code} code */
  #idToken({ request, client, decision }) {
    const { sub = "ana", sid, claims = {}, idToken = {} } = decision;
    if (request.nonce === undefined || idToken === null) return {};
    if (typeof idToken === "string") return { id_token: idToken };
    const own = { sub, sid, aud: client.id, nonce: request.nonce, ...claims };
    const given = idToken.claims;
    const merged = typeof given === "string" || Buffer.isBuffer(given) ? given : { ...own, ...given };
    const id_token = this.issuer.token({ ...idToken, claims: merged });
    this.issued.push(id_token);
    return { id_token };
  }

  /** @param {Seen} seen @param {Reply} answer */
  #revoke(seen, answer) {
    const client = this.#client(seen);
    if (!client) return answer(401, { error: "invalid_client" });
    const { token, token_type_hint: hint } = seen.params;
    assert.ok(["access_token", "refresh_token"].includes(hint), `token_type_hint ${hint}`);
    const of = this.#refresh.get(token) ?? this.#access.get(token);
    assert.ok(!of || of.client === client, "another client's token");
    for (const one of of?.tokens ?? []) [this.#access, this.#refresh].forEach((tokens) => tokens.delete(one));
    return answer(200);
  }

  /** @param {string} path @param {Seen} seen @param {Reply} answer */
  #api(path, seen, answer) {
    this.calls.push(seen);
    const token = seen.headers.authorization?.replace(/^Bearer /, "") ?? "";
    const of = this.#access.get(token);
    if (!of) return answer(401, { error: "invalid_token" }, { "WWW-Authenticate": 'Bearer error="invalid_token"' });
    return answer(200, { user: of.decision.sub ?? "ana", path });
  }

  /**
   * The page on which a person decides, for browsers.
   *
   * @param {string} method
   * @param {string} url
   * @param {URLSearchParams} form
   * @param {Reply} answer
   */
  #page(method, url, form, answer) {
    const location = `${this.url}${url}`;
    this.read(location);
    if (method !== "POST") {
      const page = `<!doctype html><title>The provider</title><link rel=icon href=data:,><form method="post">
<input name="sub" value="ana"><button name="say" value="yes">Allow</button><button name="say" value="no">Deny</button></form>`;
      return answer(200, page, { "Content-Type": "text/html" });
    }
    const sub = form.get("sub") ?? "ana";
    const back = this.decide(location, form.get("say") === "no" ? { error: "access_denied" } : { sub });
    return answer(303, "", { Location: back });
  }
}

/**
 * The parameters, none of which may come twice (RFC 6749, section 3.1).
 *
 * @param {URLSearchParams} params
 * @returns {Params}
 */
function single(params) {
  const names = [...params.keys()];
  assert.deepEqual(names, [...new Set(names)], "a parameter came twice");
  return Object.fromEntries(params);
}
