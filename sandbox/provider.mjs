// The common part of the sandbox's providers: a strict token endpoint, tokens with lifetimes, an API, a record of every
// request, and faults that a test can arm.

/** @import { IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from "node:http" */
/** @import { AddressInfo } from "node:net" */
/** @import { Account, Answer, Credentials, Definition, Fault, Handler, Options, Provider, Recorded, Request, Settings, TokenEndpoint } from "./types.js" */

import { createServer } from "node:http";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Windows } from "./limits.mjs";

const TOKEN_BODY_LIMIT = 64 * 1024;
const API_BODY_LIMIT = 16 * 1024 * 1024;

/** @type {Record<string, string[]>} */
const FAULTS = {
  token: ["status", "delay", "hang", "reset", "reset-after", "malformed", "members"],
  api: ["status", "delay", "hang", "reset", "reset-after", "malformed", "unauthorized"],
};

export class OAuthError extends Error {
  /** @param {string} code @param {string} description @param {OutgoingHttpHeaders} headers */
  constructor(code, description, status = 400, headers = {}) {
    super(description);
    this.code = code;
    this.description = description;
    this.status = status;
    this.headers = headers;
  }
}

/** @param {string} description @param {number} [status] @param {OutgoingHttpHeaders} [headers] */
const invalidRequest = (description, status, headers) =>
  new OAuthError("invalid_request", description, status, headers);

/** The JSON in a file; the caller knows its shape. @param {URL} url @returns {any} */
export const loadData = (url) => JSON.parse(readFileSync(url, "utf8"));

// --- Token requests -------------------------------------------------------

const STRING = String.raw`"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"`;
const MEMBER = String.raw`\s*(${STRING})\s*:\s*(${STRING})\s*`;
const FLAT_OBJECT = new RegExp(String.raw`^\s*\{(?:${MEMBER}(?:,${MEMBER})*)?\}\s*$`);

/** @param {string} text @returns {[string, string][]} */
function jsonPairs(text) {
  // JSON.parse keeps the last of two members of the same name, so the provider reads the members one by one. A token
  // request has only string members.
  if (!FLAT_OBJECT.test(text)) throw invalidRequest("The body must be a JSON object of strings.");
  return [...text.matchAll(new RegExp(MEMBER, "g"))].map(([, name, value]) => [JSON.parse(name), JSON.parse(value)]);
}

/** @param {string} text @returns {[string, string][]} */
function formPairs(text) {
  const decode = (/** @type {string} */ part) => decodeURIComponent(part.replaceAll("+", " "));
  try {
    return text.split("&").map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw new URIError("not name=value");
      return [decode(pair.slice(0, at)), decode(pair.slice(at + 1))];
    });
  } catch {
    throw invalidRequest("The body must be form-encoded.");
  }
}

const ENCODINGS = {
  json: { type: "application/json", pairs: jsonPairs },
  form: { type: "application/x-www-form-urlencoded", pairs: formPairs },
};

/** @param {Pick<IncomingMessage, "rawHeaders">} request @param {string} name */
function occurrences(request, name) {
  return request.rawHeaders.filter((field, i) => i % 2 === 0 && field.toLowerCase() === name).length;
}

/**
 * The parameters of a POST by a client.
 * @param {Pick<Request, "url" | "headers" | "rawHeaders">} request @param {Buffer} body
 * @param {keyof typeof ENCODINGS} encoding
 * @returns {Record<string, string>}
 */
export function clientParameters(request, body, encoding) {
  if (request.url.includes("?")) {
    throw invalidRequest("The token endpoint takes no query.");
  }
  if (occurrences(request, "authorization") > 0) {
    throw invalidRequest("The client is authenticated in the body only.");
  }
  const { type, pairs } = ENCODINGS[encoding];
  const contentType = new RegExp(`^${type}(?:\\s*;\\s*charset="?utf-8"?)?$`, "i");
  if (!contentType.test(request.headers["content-type"] ?? "")) {
    throw invalidRequest(`The content type must be ${type}.`);
  }
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch {
    throw invalidRequest("The body must be UTF-8.");
  }
  const given = pairs(text);
  const names = given.map(([name]) => name);
  if (new Set(names).size !== names.length) throw invalidRequest("A parameter is repeated.");
  return Object.fromEntries(given);
}

/** @param {Request} request @param {Buffer} body @param {TokenEndpoint} endpoint */
function tokenParameters(request, body, { encoding, grants, ignoresUnknown }) {
  if (request.method !== "POST") {
    throw invalidRequest("The token endpoint takes POST only.", 405, { Allow: "POST" });
  }
  const parameters = clientParameters(request, body, encoding);
  if (!parameters.grant_type) throw invalidRequest("The parameter grant_type is missing.");
  if (!Object.hasOwn(grants, parameters.grant_type)) {
    throw new OAuthError("unsupported_grant_type", "The grant type is not supported.");
  }
  const expected = ["grant_type", ...grants[parameters.grant_type].parameters];
  for (const name of expected) {
    if (!parameters[name]) throw invalidRequest(`The parameter ${name} is missing.`);
  }
  if (!ignoresUnknown && Object.keys(parameters).some((name) => !expected.includes(name))) {
    throw invalidRequest("A parameter is unknown.");
  }
  return parameters;
}

// --- Tokens ---------------------------------------------------------------

class TokenStore {
  /** @type {string[]} */
  issued = [];
  /** @type {Map<string, { family: number, expiresAt: number }>} */
  #access = new Map();
  /** @type {Map<string, { family: number, used: boolean }>} */
  #refresh = new Map();
  /** The accounts behind the families of tokens, if the provider has several. @type {(Account | undefined)[]} */
  #accounts = [];

  /** @param {string} prefix @param {Options} options */
  constructor(prefix, options) {
    this.prefix = prefix;
    this.options = options;
  }

  /**
   * A refresh token that was used before has been copied: all tokens of the same grant are revoked.
   * @param {string} refreshToken
   */
  present(refreshToken) {
    const entry = this.#refresh.get(refreshToken);
    if (!entry) return false;
    if (entry.used) {
      if (this.options.reuseDetection) this.#revokeFamily(entry.family);
      return false;
    }
    return true;
  }

  /** @param {string} [presented] */
  draft(presented) {
    /** @type {Record<string, unknown>} */
    const draft = {
      token_type: "Bearer",
      expires_in: this.options.expiresIn,
      access_token: this.#random("at"),
    };
    if (this.options.refreshToken) {
      draft.refresh_token = presented && !this.options.rotation ? presented : this.#random("rt");
    }
    return draft;
  }

  /**
   * Registers the tokens that the client actually receives. After a refresh response without a refresh token, the
   * presented one stays valid.
   * @param {Record<string, unknown>} answer
   * @param {string} [presented]
   * @param {Account} [account]
   */
  commit({ access_token: access, refresh_token: refresh }, presented, account) {
    const before = presented ? this.#refresh.get(presented) : undefined;
    const family = before?.family ?? this.#accounts.push(account) - 1;
    if (presented && this.options.revokeOnRefresh) {
      for (const [token, entry] of this.#access) {
        if (entry.family === family) this.#access.delete(token);
      }
    }
    if (typeof access === "string" && access) {
      this.#access.set(access, { family, expiresAt: Date.now() + this.options.expiresIn * 1000 });
      this.issued.push(access);
    }
    if (typeof refresh === "string" && refresh && refresh !== presented) {
      if (before) before.used = true;
      this.#refresh.set(refresh, { family, used: false });
      this.issued.push(refresh);
    }
  }

  /** @param {string} accessToken */
  accepts(accessToken) {
    const entry = this.#access.get(accessToken);
    if (entry && entry.expiresAt <= Date.now()) this.#access.delete(accessToken);
    return this.#access.has(accessToken);
  }

  /** Revokes all tokens of the grant that a token comes from. @param {string | undefined} token */
  revoke(token = "") {
    const entry = this.#access.get(token) ?? this.#refresh.get(token);
    if (entry) this.#revokeFamily(entry.family);
  }

  /** The account of the grant that a token comes from. @param {string | undefined} token */
  accountOf(token = "") {
    const entry = this.#access.get(token) ?? this.#refresh.get(token);
    return entry && this.#accounts[entry.family];
  }

  revokeAccessTokens() {
    this.#access.clear();
  }

  revokeEverything() {
    this.#access.clear();
    this.#refresh.clear();
  }

  /** @param {number} family */
  #revokeFamily(family) {
    for (const tokens of [this.#access, this.#refresh]) {
      for (const [token, entry] of tokens) if (entry.family === family) tokens.delete(token);
    }
  }

  /** @param {string} kind */
  #random(kind) {
    return `${this.prefix}_${kind}_${randomBytes(32).toString("base64url")}`;
  }
}

// --- Routes ---------------------------------------------------------------

/** @template H @param {Record<string, H>} routes */
function compileRoutes(routes) {
  return Object.entries(routes).map(([key, handler]) => {
    const [method, path] = key.split(" ");
    /** @type {string[]} */
    const names = [];
    const pattern = path.replace(/:(\w+)/g, (_, name) => (names.push(name), "([^/]+)"));
    return { method, names, pattern: new RegExp(`^${pattern}$`), handler };
  });
}

/**
 * @template H
 * @param {ReturnType<typeof compileRoutes<H>>} routes
 * @param {string} method
 * @param {string} pathname
 */
function route(routes, method, pathname) {
  /** @type {Set<string>} */
  const allowed = new Set();
  for (const { method: own, names, pattern, handler } of routes) {
    const match = pattern.exec(pathname);
    if (!match) continue;
    if (own === method || (own === "GET" && method === "HEAD")) {
      return { handler, params: Object.fromEntries(names.map((name, i) => [name, match[i + 1]])), allowed: [] };
    }
    allowed.add(own);
    if (own === "GET") allowed.add("HEAD");
  }
  return { handler: undefined, params: {}, allowed: [...allowed] };
}

// --- HTTP -----------------------------------------------------------------

/** @param {IncomingMessage} request @param {number} limit in bytes; the rest of the body is dropped */
export async function readBody(request, limit) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= limit) chunks.push(chunk);
  }
  return { body: Buffer.concat(chunks), tooLarge: size > limit };
}

/** @param {ServerResponse} response @param {Answer} answer */
export function send(response, { status = 200, headers = {}, body }) {
  const text = body === undefined || typeof body === "string" ? (body ?? "") : JSON.stringify(body);
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  if (text && !names.includes("content-type")) {
    response.setHeader("Content-Type", "application/json; charset=utf-8");
  }
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
  const bodiless = status < 200 || status === 204 || status === 304;
  if (!bodiless && !names.includes("content-length")) {
    response.setHeader("Content-Length", Buffer.byteLength(text));
  }
  response.writeHead(status);
  response.end(bodiless ? undefined : text);
}

/** @param {Fault} fault @param {boolean} hasTokenEndpoint */
function checkFault(fault, hasTokenEndpoint) {
  const kinds = FAULTS[fault?.target];
  if (!kinds) throw new TypeError(`unknown fault target: ${fault?.target}`);
  if (!kinds.includes(fault.kind)) {
    throw new TypeError(`unknown fault kind for ${fault.target}: ${fault.kind}`);
  }
  if (fault.target === "token" && !hasTokenEndpoint) {
    throw new TypeError("this provider has no token endpoint");
  }
  if (fault.kind === "delay" && !(Number(fault.ms) >= 0)) throw new TypeError("a delay needs ms");
  if (fault.kind === "status" && !(Number(fault.status) >= 200 && Number(fault.status) <= 599)) {
    throw new TypeError("a status fault needs a status from 200 to 599");
  }
  if (fault.times !== undefined && !(fault.times >= 1)) {
    throw new TypeError("times must be 1 or more");
  }
}

/**
 * Starts a provider.
 * @param {Definition} definition
 * @param {Settings} [settings]
 * @returns {Promise<Provider>}
 */
export async function startProvider(definition, settings = {}) {
  const { name, prefix, basePath = "", tokenEndpoint, staticToken, errors } = definition;
  const credentials = { ...definition.credentials, ...settings.credentials };
  /** @type {Options} */
  const options = {
    expiresIn: 3600,
    refreshToken: true,
    rotation: true,
    reuseDetection: true,
    revokeOnRefresh: false,
    recordLimit: Infinity,
    limits: false,
    ...definition.options,
    ...settings.options,
  };
  const limits = options.limits ? definition.limits : undefined;
  const calls = limits && new Windows(limits.calls);
  const logins = limits?.logins && new Windows(limits.logins);
  /** The calls in flight, if the provider refuses a duplicate of one. @type {Set<string>} */
  const inFlight = new Set();
  const store = new TokenStore(prefix, options);
  /** @type {Record<string, Handler>} */
  const handlers = {
    "POST /sandbox/limits": () => {
      resetLimits();
      return { status: 204 };
    },
    ...definition.routes,
  };
  const routes = compileRoutes(handlers);
  const open = compileRoutes(definition.open ?? {});
  const closing = new AbortController();
  /** @type {Recorded[]} */
  const tokenRequests = [];
  /** @type {Recorded[]} */
  const apiRequests = [];
  /** @type {Recorded[]} */
  const openRequests = [];
  /** @type {Set<string>} */
  const revokedStaticTokens = new Set();
  /** @type {(Fault & { left: number })[]} */
  let faults = [];
  let tokenRequestsInFlight = 0;
  let maxConcurrentTokenRequests = 0;

  if (staticToken) store.issued.push(staticToken(credentials));

  function resetLimits() {
    calls?.clear();
    logins?.clear();
  }

  /** @param {string} target */
  function takeFault(target) {
    const fault = faults.find((armed) => armed.target === target);
    if (fault && --fault.left === 0) faults = faults.filter((armed) => armed !== fault);
    return fault;
  }

  /** @param {Recorded[]} list @param {Recorded} record */
  function keep(list, record) {
    list.push(record);
    if (list.length > options.recordLimit) list.shift();
  }

  const bearer = (/** @type {Request} */ request) => /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];

  /** @param {Request} request */
  function accepted(request) {
    if (occurrences(request, "authorization") !== 1) return false;
    const token = bearer(request);
    if (!token) return false;
    if (!staticToken) return store.accepts(token);
    return token === staticToken(credentials) && !revokedStaticTokens.has(token);
  }

  /**
   * @param {TokenEndpoint} endpoint
   * @param {Request} request
   * @param {{ body: Buffer, tooLarge: boolean }} received
   * @param {Fault | undefined} fault
   * @param {Recorded} record
   * @returns {Answer}
   */
  function answerTokenRequest(endpoint, request, { body, tooLarge }, fault, record) {
    const headers = { "Cache-Control": "no-store", Pragma: "no-cache" };
    try {
      if (tooLarge) throw invalidRequest("The body is too large.", 413);
      const parameters = tokenParameters(request, body, endpoint);
      if (parameters.grant_type === "password" && limits?.logins && logins) {
        const { left, wait } = logins.count(parameters.username);
        const { error, description } = limits.logins;
        if (left < 0) throw new OAuthError(error, description, 429, { "Retry-After": String(wait) });
      }
      const { grant } = endpoint.grants[parameters.grant_type];
      const { presented, members, account, granted } = grant(parameters, { credentials, store });
      const draft = { ...store.draft(presented), ...members };
      if (fault?.kind === "members") {
        Object.assign(draft, fault.set);
        for (const member of fault.remove ?? []) delete draft[member];
      }
      store.commit(draft, presented, account);
      granted?.(draft);
      record.outcome = fault?.kind === "members" ? "members" : "ok";
      return { status: 200, headers, body: draft };
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error;
      record.outcome = error.code;
      return {
        status: error.status,
        headers: { ...headers, ...error.headers },
        body: { error: error.code, error_description: error.description },
      };
    }
  }

  /**
   * @param {Request} request
   * @param {{ body: Buffer, tooLarge: boolean }} received
   * @param {Fault | undefined} fault
   * @param {Recorded} record
   * @returns {Promise<Answer>}
   */
  async function answerApiRequest(request, { body, tooLarge }, fault, record) {
    const [pathname] = request.url.split("?", 1);
    // The sandbox's own addresses need no token.
    if (fault?.kind === "unauthorized" || !(accepted(request) || pathname.startsWith("/sandbox/"))) {
      if (definition.laravel && !asksForJson(request)) return { status: 302, headers: { Location: `${url}/login` } };
      return {
        status: 401,
        headers: { "WWW-Authenticate": `Bearer realm="${name}"` },
        body: errors.unauthorized,
      };
    }
    if (limits && calls && !pathname.startsWith("/sandbox/")) {
      const window = calls.count(bearer(request) ?? "");
      const told = limits.told?.(window) ?? {};
      if (window.left < 0) {
        return { ...limits.refused, headers: { ...told, "Retry-After": String(window.wait) } };
      }
      const answer = await answerAccepted(request, pathname, { body, tooLarge }, record);
      return { ...answer, headers: { ...told, ...answer.headers } };
    }
    return answerAccepted(request, pathname, { body, tooLarge }, record);
  }

  /**
   * @param {Request} request
   * @param {string} pathname
   * @param {{ body: Buffer, tooLarge: boolean }} received
   * @param {Recorded} record
   * @returns {Promise<Answer>}
   */
  async function answerAccepted(request, pathname, { body, tooLarge }, record) {
    const account = store.accountOf(bearer(request));
    record.account = account?.username;
    const query = new URLSearchParams(request.url.slice(pathname.length));
    const { handler, params, allowed } = route(routes, request.method, pathname);
    if (!handler) {
      return allowed.length
        ? { status: 405, headers: { Allow: allowed.join(", ") }, body: errors.methodNotAllowed }
        : { status: 404, body: errors.notFound };
    }
    if (tooLarge) return { status: 413, body: errors.tooLarge };
    let json;
    if (request.method !== "GET" && request.method !== "HEAD") {
      try {
        json = JSON.parse(body.toString("utf8"));
      } catch {
        // The fields stay undefined, and the request is refused below.
      }
      const isJson = /^application\/json\b/i.test(request.headers["content-type"] ?? "");
      if (!isJson || json === null || typeof json !== "object" || Array.isArray(json)) {
        return { status: 400, body: errors.badBody };
      }
    }
    return (await handler({ params, query, json, account })) ?? { status: 404, body: errors.notFound };
  }

  /**
   * @param {Request} request
   * @param {{ body: Buffer, tooLarge: boolean }} received
   * @returns {Promise<Answer>}
   */
  async function answerOpenRequest(request, { body, tooLarge }) {
    const [pathname] = request.url.split("?", 1);
    const { handler, params, allowed } = route(open, request.method, pathname);
    if (!handler) return { status: 405, headers: { Allow: allowed.join(", ") }, body: errors.methodNotAllowed };
    if (tooLarge) return { status: 413, body: errors.tooLarge };
    const { headers, rawHeaders, url } = request;
    const query = new URLSearchParams(request.url.slice(pathname.length));
    return handler({ params, query, body, headers, rawHeaders, url, store, credentials });
  }

  /** @param {Request} request @param {ServerResponse} response */
  async function serve(request, response) {
    const [pathname] = request.url.split("?", 1);
    const isOpenRequest = open.some(({ pattern }) => pattern.test(pathname));
    const isTokenRequest = pathname === tokenEndpoint?.path;
    /** @type {Recorded} */
    const record = {
      at: Date.now(),
      method: request.method,
      path: request.url,
      headers: { ...request.headers },
      rawHeaders: request.rawHeaders,
      body: "",
    };
    if (isTokenRequest) {
      Object.assign(record, { grant_type: undefined, outcome: "pending" });
      keep(tokenRequests, record);
      tokenRequestsInFlight += 1;
      maxConcurrentTokenRequests = Math.max(maxConcurrentTokenRequests, tokenRequestsInFlight);
      response.once("close", () => (tokenRequestsInFlight -= 1));
    } else {
      record.status = undefined;
      keep(isOpenRequest ? openRequests : apiRequests, record);
    }
    const fault = isOpenRequest ? undefined : takeFault(isTokenRequest ? "token" : "api");
    record.fault = fault?.kind;
    const identity = `${request.method} ${request.url} ${request.headers.authorization}`;
    const isIdentical = !isTokenRequest && Boolean(limits?.identical) && inFlight.has(identity);
    if (!isTokenRequest && limits?.identical && !isIdentical) {
      inFlight.add(identity);
      response.once("close", () => inFlight.delete(identity));
    }

    const isSmall = isTokenRequest || isOpenRequest;
    const received = await readBody(request, isSmall ? TOKEN_BODY_LIMIT : API_BODY_LIMIT);
    record.body = received.body.toString("utf8");
    if (isTokenRequest) record.grant_type = guessGrantType(record.body);

    if (fault && fault.kind !== "delay") record.outcome &&= fault.kind;
    if (fault?.kind === "delay") await sleep(fault.ms, undefined, { signal: closing.signal });
    if (fault?.kind === "hang") return;
    if (fault?.kind === "reset") return request.socket.resetAndDestroy();

    /** @type {Answer} */
    let answer;
    if (fault?.kind === "status") {
      answer = { status: fault.status, headers: fault.headers, body: fault.body };
    } else if (fault?.kind === "malformed") {
      answer = {
        headers: { "Content-Type": "application/json; charset=utf-8" },
        body: "<!doctype html><title>Service</title><p>This is not JSON",
      };
    } else if (isIdentical && limits?.identical) {
      answer = limits.identical;
    } else if (isOpenRequest) {
      answer = await answerOpenRequest(request, received);
    } else if (tokenEndpoint && isTokenRequest) {
      answer = answerTokenRequest(tokenEndpoint, request, received, fault, record);
    } else {
      answer = await answerApiRequest(request, received, fault, record);
    }

    if (fault?.kind === "reset-after") {
      record.outcome &&= fault.kind;
      return request.socket.resetAndDestroy();
    }
    const status = answer.status ?? 200;
    if (!isTokenRequest) record.status = status;
    settings.log?.({ provider: name, method: request.method, path: pathname, status });
    send(response, answer);
  }

  const server = createServer(
    // The server accepts large tokens, and keeps idle connections open: a client must not send on a connection that is
    // just being closed.
    { maxHeaderSize: 64 * 1024, keepAliveTimeout: 120_000 },
    (request, response) => {
      serve(/** @type {Request} */ (request), response).catch((error) => {
        if (!closing.signal.aborted && error.code !== "ECONNRESET") {
          process.stderr.write(`${name}: ${error.stack}\n`);
        }
        request.socket.destroy();
      });
    },
  );
  await listen(server, settings.port ?? 0);
  const url = `http://127.0.0.1:${portOf(server)}`;

  return {
    name,
    url,
    baseUrl: url + basePath,
    tokenUrl: tokenEndpoint && url + tokenEndpoint.path,
    credentials,
    tokenRequests,
    apiRequests,
    openRequests,
    issued: store.issued,
    get maxConcurrentTokenRequests() {
      return maxConcurrentTokenRequests;
    },
    arm(fault) {
      checkFault(fault, Boolean(tokenEndpoint));
      faults.push({ ...fault, left: fault.times ?? 1 });
    },
    disarm() {
      faults = [];
    },
    resetLimits,
    revokeAccessTokens() {
      if (staticToken) revokedStaticTokens.add(staticToken(credentials));
      store.revokeAccessTokens();
    },
    revokeEverything() {
      if (staticToken) revokedStaticTokens.add(staticToken(credentials));
      store.revokeEverything();
    },
    close() {
      closing.abort();
      return closeServer(server);
    },
  };
}

/** Whether a request prefers JSON, as Laravel decides it. @param {Request} request */
function asksForJson({ headers }) {
  const ranges = (headers.accept ?? "").split(",").map((item) => {
    const [range, ...parameters] = item.split(";").map((part) => part.trim());
    const weight = parameters.find((parameter) => /^q=/i.test(parameter))?.slice(2);
    return { range, weight: weight === undefined ? 1 : Number(weight) };
  });
  // Among media ranges of the same weight the first counts: the sort is stable.
  const [first] = ranges.sort((a, b) => b.weight - a.weight);
  return /[/+]json/.test(first.range);
}

/**
 * The grant type, which the record names even for a refused request. @param {string} body @returns {string | undefined}
 */
function guessGrantType(body) {
  try {
    return JSON.parse(body).grant_type;
  } catch {
    return new URLSearchParams(body).get("grant_type") ?? undefined;
  }
}

/** @param {Server} server @param {number} port */
export function listen(server, port) {
  /** @type {Promise<void>} */
  const listening = new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
  return listening;
}

/** The port of a listening server. @param {Server} server */
export const portOf = (server) => /** @type {AddressInfo} */ (server.address()).port;

/** @param {Server} server */
export function closeServer(server) {
  /** @type {Promise<void>} */
  const closed = new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
  return closed;
}
