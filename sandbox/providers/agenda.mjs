// Agenda: an OpenID Connect provider, and a small API with each person's own appointments. It is as strict as the
// standards let a server be: OpenID Connect Core 1.0, RFC 6749, 7009, 7636, 8414, 9207 and 9700, RP-Initiated Logout 1.0
// and Back-Channel Logout 1.0.

/** @import { Account, Agenda, AgendaClient, AgendaPerson, AgendaSettings, Answer, Consent, Grant, OpenCall, Tokens } from "../types.js" */

import { createHash, generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";
import { clientParameters, loadData, OAuthError, startProvider } from "../provider.mjs";
import { CSS, consentPage, logoutPage, refusalPage, signedOutPage, wordsFor } from "./agenda-pages.mjs";

const ID_TOKEN_SECONDS = 300;
const REQUEST_MS = 10 * 60_000;
const LOGOUT_TOKEN_SECONDS = 120;
const COOKIE = "agenda";
const KEPT = 1000;

const SCOPES = ["openid", "profile", "email", "offline_access", "appointments"];

/** @type {AgendaPerson[]} */
const PEOPLE = [
  { sub: "ana", name: "Ana Moura", email: "ana.moura@agenda.example" },
  { sub: "bruno", name: "Bruno Tavares", email: "bruno.tavares@agenda.example" },
];

/** @type {Record<string, { id: string, starts_at: string, title: string, place: string }[]>} */
const appointments = loadData(new URL("./agenda.json", import.meta.url));

const random = () => randomBytes(32).toString("base64url");
const seconds = () => Math.floor(Date.now() / 1000);
/** @param {object} value */
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
/** @param {string} text */
const sha256 = (text) => createHash("sha256").update(text).digest();

/**
 * Requests that a person has not answered yet, each of one browser; codes; and browsers, with the clients that know of
 * the person's session.
 * @typedef {{ browser: string, expiresAt: number, client: AgendaClient, redirectUri: string, state?: string, nonce?: string, challenge: string, scope: string[] }} Asked
 * @typedef {{ browser: string, expiresAt: number, returnTo?: string, state?: string }} Leaving
 * @typedef {{ client: AgendaClient, redirectUri: string, challenge: string, sub: string, consent: Consent, expiresAt: number, isUsed: boolean, accessToken?: string }} Code
 * @typedef {{ sub?: string, sid: string, auth_time: number, clients: Set<AgendaClient> }} Browser
 */

/** An error of an authorization request that the client is told of (RFC 6749 section 4.1.2.1). */
class AuthorizationError extends Error {
  /** @param {string} code @param {string} description */
  constructor(code, description) {
    super(description);
    this.code = code;
  }
}

/** An error that only the person at the browser is told of. */
class PageError extends Error {}

/** @param {URLSearchParams} parameters */
function isRepeated(parameters) {
  const names = [...parameters.keys()];
  return new Set(names).size !== names.length;
}

/** @param {OpenCall} call */
function formOf({ headers, body }) {
  if (!/^application\/x-www-form-urlencoded(?:\s*;|$)/i.test(headers["content-type"] ?? ""))
    throw new PageError("the content type is not application/x-www-form-urlencoded");
  return new URLSearchParams(body.toString("utf8"));
}

/** @param {string} address @param {Record<string, string | undefined>} parameters @returns {Answer} */
function redirect(address, parameters) {
  const location = new URL(address);
  for (const [name, value] of Object.entries(parameters))
    if (value !== undefined) location.searchParams.append(name, value);
  return {
    status: 303,
    headers: { Location: location.href, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer" },
  };
}

/** Keeps a value among the last ones: the sandbox may run for days. @template T @param {Map<string, T>} map @param {string} key @param {T} value */
function keep(map, key, value) {
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > KEPT) map.delete(oldest);
}

/** @param {AgendaSettings} [settings] @returns {Promise<Agenda>} */
export async function startAgenda({
  people = PEOPLE,
  sharedClient: given,
  broker = "http://localhost:8787",
  homes = [`${broker}/`, "http://localhost:8790/", "http://localhost:8791/"],
  codeSeconds = 60,
  ...settings
} = {}) {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const kid = randomBytes(9).toString("base64url");
  const credentials = {
    client_id: "agenda-client",
    client_secret: "sandbox-agenda-client-secret",
    ...settings.credentials,
  };
  /** @type {AgendaClient[]} */
  const clients = [
    {
      name: "Porteiro",
      ...{ client_id: credentials.client_id, client_secret: credentials.client_secret },
      redirect_uris: [`${broker}/auth/callback/agenda`],
      post_logout_redirect_uris: homes,
      backchannel_logout_uri: `${broker}/auth/agenda/backchannel-logout`,
    },
    {
      name: "Porteiro (compartilhado)",
      ...{ client_id: "agenda-shared-client", client_secret: "sandbox-agenda-shared-client-secret", ...given },
      redirect_uris: [`${broker}/auth/callback/agenda-shared`],
      post_logout_redirect_uris: [],
    },
  ];
  /** @type {Map<string, Browser>} */
  const browsers = new Map();
  /** @type {Map<string, Asked>} */
  const asked = new Map();
  /** @type {Map<string, Leaving>} */
  const leaving = new Map();
  /** @type {Map<string, Code>} */
  const codes = new Map();

  // --- Signed statements ------------------------------------------------------

  /** @param {object} claims @param {string} typ */
  function signed(claims, typ) {
    const input = `${encoded({ alg: "RS256", typ, kid })}.${encoded(claims)}`;
    return `${input}.${sign("sha256", Buffer.from(input), privateKey).toString("base64url")}`;
  }

  /** The claims of an ID token of this issuer, expired or not. @param {string} token @returns {Record<string, unknown>} */
  function claimsOf(token) {
    const [head = "", payload = "", signature = "", ...rest] = token.split(".");
    const isOurs = verify("sha256", Buffer.from(`${head}.${payload}`), publicKey, Buffer.from(signature, "base64url"));
    if (!isOurs || rest.length) throw new PageError("id_token_hint is not an ID token of this provider");
    return JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
  }

  /**
   * An ID token (OpenID Connect Core section 2); after a refresh without a nonce (section 12.2).
   * @param {Account} account @param {{ accessToken: unknown, isFirst: boolean }} answer
   */
  function idToken({ username: sub, client_id, consent }, { accessToken, isFirst }) {
    const person = people.find((one) => one.sub === sub);
    const { scope = [], sid, auth_time, nonce } = consent ?? {};
    const now = seconds();
    const claims = {
      iss: agenda.url,
      aud: client_id,
      sub,
      iat: now,
      exp: now + ID_TOKEN_SECONDS,
      auth_time,
      sid,
      at_hash: sha256(String(accessToken)).subarray(0, 16).toString("base64url"),
      ...(isFirst && nonce !== undefined && { nonce }),
      ...(scope.includes("profile") && { name: person?.name }),
      ...(scope.includes("email") && { email: person?.email, email_verified: true }),
    };
    return signed(claims, "JWT");
  }

  // --- Browsers ---------------------------------------------------------------

  /** The browser of a request; a new one has no cookie yet. @param {OpenCall} call */
  function browserOf({ headers }) {
    const cookies = (headers.cookie ?? "").split(/;\s*/).map((pair) => pair.split("="));
    const id = cookies.find(([name, value]) => name === COOKIE && browsers.has(value))?.[1];
    if (id !== undefined) return { id, headers: {} };
    const fresh = random();
    keep(browsers, fresh, { sid: random(), auth_time: 0, clients: new Set() });
    return { id: fresh, headers: { "Set-Cookie": `${COOKIE}=${fresh}; Path=/; HttpOnly; SameSite=Lax` } };
  }

  /**
   * What waits for this answer, in the browser that it was asked in, once; and the browser.
   * @template {{ browser: string, expiresAt: number }} T
   * @param {Map<string, T>} waiting @param {OpenCall} call @param {URLSearchParams} form
   */
  function answered(waiting, call, form) {
    if (call.headers.origin !== undefined && call.headers.origin !== agenda.url)
      throw new PageError("the form is not of this site");
    const id = form.get("request") ?? "";
    const request = waiting.get(id);
    const browser = browserOf(call).id;
    if (!request || request.browser !== browser || request.expiresAt <= Date.now())
      throw new PageError("the request is unknown, late or of another browser");
    waiting.delete(id);
    return { request, browser: /** @type {Browser} */ (browsers.get(browser)) };
  }

  /** A page or a redirect; what is wrong is told on a page. @param {(call: OpenCall) => Answer | Promise<Answer>} handler */
  const shown = (handler) => async (/** @type {OpenCall} */ call) => {
    try {
      return await handler(call);
    } catch (error) {
      if (!(error instanceof PageError)) throw error;
      return refusalPage(wordsFor(call.headers["accept-language"]), error.message);
    }
  };

  // --- The authorization endpoint -----------------------------------------------

  /** The client and its address, to which everything else is told. @param {URLSearchParams} parameters */
  function destination(parameters) {
    const [ids, addresses] = [parameters.getAll("client_id"), parameters.getAll("redirect_uri")];
    const client = ids.length === 1 ? clients.find(({ client_id }) => client_id === ids[0]) : undefined;
    if (!client) throw new PageError("client_id is missing, repeated or unknown");
    // The whole address, character by character (RFC 9700 section 2.1).
    if (addresses.length !== 1 || !client.redirect_uris.includes(addresses[0]))
      throw new PageError("redirect_uri is missing, repeated or not registered");
    return { client, redirectUri: addresses[0] };
  }

  /**
   * What the client asks for.
   * @param {URLSearchParams} parameters @param {Browser} browser
   */
  function wanted(parameters, browser) {
    if (isRepeated(parameters)) throw new AuthorizationError("invalid_request", "A parameter is repeated.");
    for (const name of ["request", "request_uri", "registration"])
      if (parameters.has(name)) throw new AuthorizationError(`${name}_not_supported`, `${name} is not supported.`);
    const type = parameters.get("response_type");
    if (!type) throw new AuthorizationError("invalid_request", "response_type is missing.");
    if (type !== "code") throw new AuthorizationError("unsupported_response_type", "Only code is supported.");
    if ((parameters.get("response_mode") ?? "query") !== "query")
      throw new AuthorizationError("invalid_request", "Only the response mode query is supported.");
    const scope = (parameters.get("scope") ?? "").split(" ").filter(Boolean);
    if (!scope.length || scope.some((one) => !SCOPES.includes(one)))
      throw new AuthorizationError("invalid_scope", `Scopes are ${SCOPES.join(", ")}.`);
    const challenge = parameters.get("code_challenge") ?? "";
    if (!/^[A-Za-z0-9_-]{43}$/.test(challenge))
      throw new AuthorizationError("invalid_request", "code_challenge is missing or malformed.");
    if (parameters.get("code_challenge_method") !== "S256")
      throw new AuthorizationError("invalid_request", "code_challenge_method must be S256.");
    const prompt = (parameters.get("prompt") ?? "").split(" ").filter(Boolean);
    if (prompt.some((one) => !["none", "login", "consent", "select_account"].includes(one)))
      throw new AuthorizationError("invalid_request", "prompt has an unknown value.");
    if (prompt.includes("none")) {
      if (prompt.length > 1) throw new AuthorizationError("invalid_request", "prompt none stands alone.");
      if (!browser.sub) throw new AuthorizationError("login_required", "Nobody is signed in.");
      throw new AuthorizationError("consent_required", "The person is always asked.");
    }
    return { scope, challenge, nonce: parameters.get("nonce") ?? undefined };
  }

  /** @param {OpenCall} call @param {URLSearchParams} parameters */
  function authorize(call, parameters) {
    const { client, redirectUri } = destination(parameters);
    const states = parameters.getAll("state");
    const state = states.length === 1 ? states[0] : undefined;
    const { id: browser, headers } = browserOf(call);
    const known = /** @type {Browser} */ (browsers.get(browser));
    try {
      const request = wanted(parameters, known);
      const id = random();
      keep(asked, id, { browser, expiresAt: Date.now() + REQUEST_MS, client, redirectUri, state, ...request });
      const hint = people.find(({ email }) => email === parameters.get("login_hint"));
      return consentPage(
        wordsFor(call.headers["accept-language"]),
        { id, client: client.name, scope: request.scope, redirectUri, people, chosen: hint?.sub ?? known.sub },
        headers,
      );
    } catch (error) {
      if (!(error instanceof AuthorizationError)) throw error;
      return redirect(redirectUri, { error: error.code, error_description: error.message, state, iss: agenda.url });
    }
  }

  /** The person's answer. @param {OpenCall} call @param {URLSearchParams} form */
  function decide(call, form) {
    const { request, browser } = answered(asked, call, form);
    const { client, redirectUri, state, scope, challenge, nonce } = request;
    if (form.get("answer") !== "allow") {
      return redirect(redirectUri, {
        error: "access_denied",
        error_description: "The person denied it.",
        state,
        iss: agenda.url,
      });
    }
    const person = people.find(({ sub }) => sub === form.get("sub"));
    if (!person) throw new PageError("the account is unknown");
    if (browser.sub !== person.sub) {
      Object.assign(browser, { sub: person.sub, sid: random(), auth_time: seconds(), clients: new Set() });
    }
    browser.clients.add(client);
    const code = random();
    keep(codes, code, {
      client,
      redirectUri,
      challenge,
      sub: person.sub,
      consent: { scope, sid: browser.sid, auth_time: browser.auth_time, nonce },
      expiresAt: Date.now() + codeSeconds * 1000,
      isUsed: false,
    });
    return redirect(redirectUri, { code, state, iss: agenda.url });
  }

  // --- The token endpoint -------------------------------------------------------

  /** @param {Record<string, string>} parameters */
  function authenticated({ client_id, client_secret }) {
    const client = clients.find((one) => one.client_id === client_id && one.client_secret === client_secret);
    if (!client) throw new OAuthError("invalid_client", "Client authentication failed.", 401);
    return client;
  }

  /** @param {Account} account @param {boolean} isFirst */
  function granting(account, isFirst) {
    const scope = account.consent?.scope ?? [];
    /** @type {Record<string, unknown>} */
    const members = { scope: scope.join(" ") };
    if (!scope.includes("offline_access")) members.refresh_token = undefined;
    const granted = (/** @type {Record<string, unknown>} */ answer) => {
      if (scope.includes("openid")) answer.id_token = idToken(account, { accessToken: answer.access_token, isFirst });
    };
    return { account, members, granted };
  }

  /** @type {Grant} */
  const authorizationCode = {
    parameters: ["client_id", "client_secret", "code", "redirect_uri", "code_verifier"],
    grant(parameters, { store }) {
      const client = authenticated(parameters);
      const code = codes.get(parameters.code);
      if (code?.isUsed) {
        // It may have been stolen: what it granted is revoked (RFC 6749 section 4.1.2).
        store.revoke(code.accessToken);
        throw new OAuthError("invalid_grant", "The code was used before.");
      }
      if (code) code.isUsed = true;
      if (!code || code.expiresAt <= Date.now() || code.client !== client)
        throw new OAuthError("invalid_grant", "The code is unknown, late or another client's.");
      if (code.redirectUri !== parameters.redirect_uri)
        throw new OAuthError("invalid_grant", "redirect_uri is not that of the authorization request.");
      const isVerifier = /^[A-Za-z0-9._~-]{43,128}$/.test(parameters.code_verifier);
      if (!isVerifier || sha256(parameters.code_verifier).toString("base64url") !== code.challenge)
        throw new OAuthError("invalid_grant", "code_verifier does not fit.");
      const { account, members, granted } = granting(
        { username: code.sub, client_id: client.client_id, consent: code.consent },
        true,
      );
      return {
        account,
        members,
        granted(answer) {
          granted(answer);
          code.accessToken = String(answer.access_token);
        },
      };
    },
  };

  /** The account behind a token of this client. @param {Tokens} store @param {string} token @param {AgendaClient} client */
  function ownAccount(store, token, { client_id }) {
    const account = store.accountOf(token);
    return account?.client_id === client_id ? account : undefined;
  }

  /** @type {Grant} */
  const refreshToken = {
    parameters: ["client_id", "client_secret", "refresh_token"],
    grant(parameters, { store }) {
      const account = ownAccount(store, parameters.refresh_token, authenticated(parameters));
      if (!account || !store.present(parameters.refresh_token))
        throw new OAuthError("invalid_grant", "The refresh token is invalid.");
      const { scope } = parameters;
      if (scope?.split(" ").some((one) => !account.consent?.scope.includes(one)))
        throw new OAuthError("invalid_scope", "This was not granted.");
      return { ...granting(account, false), account: undefined, presented: parameters.refresh_token };
    },
  };

  /** RFC 7009: whatever the token is, the whole grant ends. @param {OpenCall} call @returns {Answer} */
  function revoke(call) {
    const headers = { "Cache-Control": "no-store" };
    try {
      const parameters = clientParameters(call, call.body, "form");
      const client = authenticated(parameters);
      if (!parameters.token) throw new OAuthError("invalid_request", "The parameter token is missing.");
      if (ownAccount(call.store, parameters.token, client)) call.store.revoke(parameters.token);
      return { headers };
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error;
      return {
        status: error.status,
        headers,
        body: { error: error.code, error_description: error.description },
      };
    }
  }

  // --- Signing out ----------------------------------------------------------------

  /** @param {OpenCall} call @param {URLSearchParams} parameters */
  function logout(call, parameters) {
    if (isRepeated(parameters)) throw new PageError("a parameter is repeated");
    const hint = parameters.get("id_token_hint");
    const claims = hint === null ? undefined : claimsOf(hint);
    const id = parameters.get("client_id") ?? claims?.aud;
    const client = clients.find(({ client_id }) => client_id === id);
    if ((id !== undefined && !client) || (claims && claims.aud !== id)) throw new PageError("client_id is wrong");
    const returnTo = parameters.get("post_logout_redirect_uri") ?? undefined;
    if (returnTo !== undefined && !client?.post_logout_redirect_uris.includes(returnTo))
      throw new PageError("post_logout_redirect_uri is not registered for the client");
    const { id: browser, headers } = browserOf(call);
    const person = people.find(({ sub }) => sub === browsers.get(browser)?.sub);
    const request = random();
    const state = parameters.get("state") ?? undefined;
    keep(leaving, request, { browser, expiresAt: Date.now() + REQUEST_MS, returnTo, state });
    return logoutPage(wordsFor(call.headers["accept-language"]), { id: request, person }, headers);
  }

  /** @param {OpenCall} call */
  async function confirmLogout(call) {
    const { request, browser } = answered(leaving, call, formOf(call));
    const { sub, sid, clients: told } = browser;
    Object.assign(browser, { sub: undefined, sid: random(), auth_time: 0, clients: new Set() });
    if (sub) await Promise.all([...told].map((client) => tell(client, sub, sid)));
    if (request.returnTo) return redirect(request.returnTo, { state: request.state });
    return signedOutPage(wordsFor(call.headers["accept-language"]));
  }

  /**
   * Tells a client that a session has ended (Back-Channel Logout 1.0 section 2.5). Nothing depends on its answer.
   * @param {AgendaClient} client @param {string} sub @param {string} sid
   */
  async function tell({ client_id, backchannel_logout_uri: address }, sub, sid) {
    if (!address) return;
    const now = seconds();
    const claims = {
      ...{ iss: agenda.url, aud: client_id, sub, sid, jti: random(), iat: now, exp: now + LOGOUT_TOKEN_SECONDS },
      events: { "http://schemas.openid.net/event/backchannel-logout": {} },
    };
    const body = new URLSearchParams({ logout_token: signed(claims, "logout+jwt") });
    await fetch(address, { method: "POST", body, signal: AbortSignal.timeout(5000) }).catch(() => {});
  }

  // --- The server -------------------------------------------------------------------

  /** @param {string} type @param {string} detail */
  const problem = (type, detail) => ({ error: type, message: detail });
  const provider = await startProvider(
    {
      name: "agenda",
      prefix: "ag",
      credentials,
      options: { expiresIn: 600 },
      tokenEndpoint: {
        path: "/token",
        encoding: "form",
        grants: { authorization_code: authorizationCode, refresh_token: refreshToken },
        ignoresUnknown: true,
      },
      errors: {
        unauthorized: problem("unauthorized", "An access token is required."),
        notFound: problem("not_found", "Nothing is here."),
        methodNotAllowed: problem("method_not_allowed", "Another method is required."),
        tooLarge: problem("too_large", "The request is too large."),
        badBody: problem("bad_request", "The body must be a JSON object."),
      },
      open: {
        "GET /.well-known/openid-configuration": () => ({ body: metadata() }),
        "GET /keys": () => ({
          body: { keys: [{ ...publicKey.export({ format: "jwk" }), kid, alg: "RS256", use: "sig" }] },
        }),
        "GET /agenda.css": () => ({ headers: { "Content-Type": "text/css; charset=utf-8" }, body: CSS }),
        "GET /authorize": shown((call) => authorize(call, call.query)),
        // A client may post its request, too (OpenID Connect Core section 3.1.2.1).
        "POST /authorize": shown((call) => {
          const form = formOf(call);
          return form.has("answer") ? decide(call, form) : authorize(call, form);
        }),
        "POST /revoke": revoke,
        "GET /logout": shown((call) => logout(call, call.query)),
        "POST /logout": shown((call) => logout(call, formOf(call))),
        "POST /logout/confirm": shown(confirmLogout),
      },
      routes: {
        "GET /appointments": ({ account }) => {
          if (!account?.consent?.scope.includes("appointments")) {
            const headers = { "WWW-Authenticate": 'Bearer error="insufficient_scope", scope="appointments"' };
            return { status: 403, headers, body: problem("insufficient_scope", "The scope appointments is required.") };
          }
          const person = people.find(({ sub }) => sub === account.username);
          return { body: { owner: person?.name, appointments: appointmentsOf(account.username) } };
        },
      },
    },
    { ...settings, credentials },
  );

  /** @param {string} sub */
  const appointmentsOf = (sub) => appointments[sub] ?? [];

  const metadata = () => ({
    issuer: provider.url,
    authorization_endpoint: `${provider.url}/authorize`,
    token_endpoint: `${provider.url}/token`,
    jwks_uri: `${provider.url}/keys`,
    revocation_endpoint: `${provider.url}/revoke`,
    end_session_endpoint: `${provider.url}/logout`,
    scopes_supported: SCOPES,
    response_types_supported: ["code"],
    response_modes_supported: ["query"],
    grant_types_supported: ["authorization_code", "refresh_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["RS256"],
    token_endpoint_auth_methods_supported: ["client_secret_post"],
    revocation_endpoint_auth_methods_supported: ["client_secret_post"],
    code_challenge_methods_supported: ["S256"],
    claims_supported: [
      "iss",
      "aud",
      "sub",
      "exp",
      "iat",
      "auth_time",
      "sid",
      "nonce",
      "name",
      "email",
      "email_verified",
    ],
    prompt_values_supported: ["none", "login", "consent", "select_account"],
    authorization_response_iss_parameter_supported: true,
    backchannel_logout_supported: true,
    backchannel_logout_session_supported: true,
    request_parameter_supported: false,
    request_uri_parameter_supported: false,
  });

  /** @type {Agenda} */
  const agenda = Object.assign(provider, { people, clients, appointmentsOf });
  return agenda;
}
