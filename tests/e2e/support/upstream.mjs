// A stub authorization server and a stub API in one, for `custom` connections. Each connection has a token endpoint and
// an API of its own, both scripted by its test. The stub records unexpected requests, and `verify()` fails on them.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { EVERYTHING } from "./broker.mjs";
import { closeServer, codeOf, listening } from "./servers.mjs";

/** @import { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http" */
/** @import { Secrets, Vars } from "./broker.mjs" */
/** @import { Fields } from "./client.mjs" */
/** @import { Request } from "./servers.mjs" */

/**
 * An answer; an object is sent as JSON.
 *
 * @typedef {{ status?: number, headers?: OutgoingHttpHeaders, body?: string | Buffer | object }} Reply
 */

/**
 * How a request is delayed, or left without an answer.
 *
 * @typedef {{ delay?: number, hold?: Promise<unknown>, reset?: boolean, hang?: boolean }} Trouble
 */

/**
 * The token endpoint's treatment of one request: another answer, or the usual one with changed members.
 *
 * @typedef {Reply & Trouble & { set?: { [member: string]: unknown }, remove?: string[] }} TokenReply
 */

/**
 * A request to the API. The result of its body is set once it is `done`, and the status once it is answered.
 *
 * @typedef {object} ApiRequest
 * @property {number} at
 * @property {string} method
 * @property {string} target
 * @property {string} below the target, relative to the connection's base address
 * @property {string} path the same without the query
 * @property {Fields} headers
 * @property {[name: string, value: string][]} rawHeaders
 * @property {string} [token]
 * @property {string} [person] the person whom the token belongs to
 * @property {Promise<void>} done
 * @property {Buffer} body the beginning of the body
 * @property {number} bytes
 * @property {string} sha256
 * @property {number} [firstChunkAt]
 * @property {number} [lastChunkAt]
 * @property {(chunk: Buffer) => void} [onChunk]
 * @property {number} [status]
 */

/**
 * A token request. `outcome` is an error code of OAuth, "ok", "scripted", or "pending".
 *
 * @typedef {object} TokenRequest
 * @property {number} at
 * @property {string} method
 * @property {string} target
 * @property {Fields} headers
 * @property {[name: string, value: string][]} rawHeaders
 * @property {string} body
 * @property {{ [name: string]: string }} parameters
 * @property {string} [person]
 * @property {string} outcome
 */

/**
 * Answers calls in place of the API.
 *
 * @typedef {(request: Request, response: ServerResponse, record: ApiRequest) => unknown} Handler
 */

/**
 * The settings of a connection, and its provider's behaviour.
 *
 * @typedef {object} ConnectionSettings
 * @property {string} [grant] the configured grant: static, password, client_credentials (default), refresh_token,
 * jwt_bearer
 * @property {Vars} [fields] further configuration fields; secret fields belong in `secrets`
 * @property {Secrets} [credentials] lower-case secret fields: { client_id, client_secret, username, password, refresh_token, token }
 * @property {number} [expiresIn] default 3600
 * @property {boolean} [refreshToken] whether token responses have one (default: not for client_credentials)
 * @property {boolean} [rotation] whether a refresh yields a new refresh token (default true)
 * @property {{ [name: string]: string }} [users] people and their passwords, instead of a service account; see addUser
 * @property {"standard" | "passport"} [refusals] the form of refused credentials; `passport` uses Laravel Passport's
 * words
 * @property {boolean} [strict] whether the secrets of client and account are checked; see clientSecrets and passwords
 * @property {(parameters: { [name: string]: string }) => void} [prove] throws if a token request lacks its proof: it is
 * refused then, and `verify()` fails
 */

/** @typedef {Awaited<ReturnType<typeof startUpstream>>} Upstream */

/** The names of grants in requests, where they differ. @type {{ [grant: string]: string }} */
const GRANT_TYPES = { jwt_bearer: "urn:ietf:params:oauth:grant-type:jwt-bearer" };

const KEPT_BODY_BYTES = 2 * 1024 * 1024;

export async function startUpstream() {
  /** @type {Map<string, Connection>} */
  const connections = new Map();
  /** @type {string[]} */
  const unexpected = [];
  const closing = new AbortController();

  const server = createServer({ keepAliveTimeout: 120_000, maxHeaderSize: 128 * 1024 }, (incoming, response) => {
    const request = /** @type {Request} */ (incoming);
    const [, kind, id] = /^\/(as|rs)\/([a-z0-9-]+)(?=[/?]|$)/.exec(request.url) ?? [];
    const connection = connections.get(id);
    const handled = !connection
      ? refuse(request, response, "no such connection")
      : kind === "as"
        ? connection.serveToken(request, response)
        : connection.serveApi(request, response);
    Promise.resolve(handled).catch((error) => {
      if (closing.signal.aborted || ["ECONNRESET", "ABORT_ERR"].includes(codeOf(error) ?? "")) return;
      unexpected.push(`${request.method} ${request.url}: ${error.stack}`);
      request.socket.destroy();
    });
  });
  server.requestTimeout = 0;

  /** @type {Refuse} */
  function refuse(request, response, why) {
    unexpected.push(`${request.method} ${request.url}: ${why}`);
    request.resume();
    response.writeHead(599).end("unexpected");
  }

  const url = await listening(server);

  return {
    url,
    unexpected,
    /**
     * Adds a connection.
     *
     * @param {string} id
     * @param {ConnectionSettings} [settings]
     */
    connection(id, settings = {}) {
      const connection = new Connection(id, url, settings, refuse, closing.signal);
      connections.set(id, connection);
      return connection;
    },
    /**
     * The connection called `id`.
     *
     * @param {string} id
     */
    get(id) {
      const connection = connections.get(id);
      assert.ok(connection, `there is no connection ${id}`);
      return connection;
    },
    /** The `CONNECTIONS` variable and the secrets of all connections. */
    get vars() {
      /** @type {Vars} */
      return Object.fromEntries([...connections.values()].map(({ id, vars }) => [id, vars]));
    },
    /** @returns {{ [name: string]: string }} */
    get secrets() {
      return Object.assign({}, ...[...connections.values()].map(({ secrets }) => secrets));
    },
    get issued() {
      return [...connections.values()].flatMap(({ issued }) => issued);
    },
    /** Fails on unexpected requests, and on scripted answers that were not used. */
    verify() {
      const left = [...connections.values()].filter(({ unfetched }) => unfetched > 0).map(({ id }) => id);
      const seen = unexpected.splice(0);
      assert.deepEqual({ unexpected: seen, unfetchedAnswersOf: left }, { unexpected: [], unfetchedAnswersOf: [] });
    },
    close() {
      closing.abort();
      return closeServer(server);
    },
  };
}

/** @typedef {(request: Request, response: ServerResponse, why: string) => void} Refuse */

/** The two servers of one connection. */
export class Connection {
  /** @type {ApiRequest[]} */
  requests = [];
  /** @type {TokenRequest[]} */
  tokenRequests = [];
  /**
   * Every secret issued.
   *
   * @type {string[]}
   */
  issued = [];
  /**
   * Access tokens that the API accepts.
   *
   * @type {Set<string | undefined>}
   */
  live = new Set();
  maxConcurrentTokenRequests = 0;

  #inFlight = 0;
  /** @type {Set<string | undefined>} */
  #refreshTokens = new Set();
  /**
   * The owner of each token ever issued.
   *
   * @type {Map<string | undefined, string | undefined>}
   */
  #owners = new Map();
  /** @type {TokenReply[]} */
  #answers = [];
  /** @type {Map<string, Handler>} */
  #routes = new Map();
  /** @type {Handler | undefined} */
  #fallback;
  /** @type {Set<() => void>} */
  #watchers = new Set();
  #refusals = 0;

  /**
   * @param {string} id
   * @param {string} url the server's address
   * @param {ConnectionSettings} settings
   * @param {Refuse} refuse
   * @param {AbortSignal} signal
   */
  constructor(id, url, settings, refuse, signal) {
    this.id = id;
    this.settings = { expiresIn: 3600, ...settings };
    this.refuse = refuse;
    this.signal = signal;
    this.baseUrl = `${url}/rs/${id}`;
    this.tokenUrl = `${url}/as/${id}/token`;
    const {
      users,
      grant = users ? "password" : "client_credentials",
      credentials = {},
      fields = {},
      refreshToken,
    } = settings;
    this.grant = grant;
    this.withRefreshToken = refreshToken ?? grant !== "client_credentials";
    /** @type {{ [grant: string]: Secrets }} */
    const defaults = {
      static: { token: `${id}-static-token` },
      password: {
        client_id: `${id}-client`,
        client_secret: `${id}-client-secret`,
        username: `${id}-user`,
        password: `${id}-password`,
      },
      client_credentials: { client_id: `${id}-client`, client_secret: `${id}-client-secret` },
      refresh_token: {
        client_id: `${id}-client`,
        client_secret: `${id}-client-secret`,
        refresh_token: `${id}-first-refresh-token`,
      },
    };
    // The passwords of people are no secrets of the broker's.
    const service = users ? { username: undefined, password: undefined } : {};
    /** @type {{ [field: string]: any }} */
    this.credentials = { ...defaults[grant], ...service, ...credentials };
    if (grant === "static") this.live.add(this.credentials.token);
    if (grant === "refresh_token") this.#refreshTokens.add(this.credentials.refresh_token);
    /**
     * The valid secrets of the client, and passwords of the service's account: a test may change them at any time, as
     * the owner of the account would.
     */
    this.clientSecrets = new Set([this.credentials.client_secret]);
    this.passwords = new Set([this.credentials.password]);
    /** @type {Vars} */
    this.vars = {
      provider: "custom",
      base_url: this.baseUrl,
      ...(grant === "static" ? {} : { token_url: this.tokenUrl }),
      grant,
      ...(users ? { subject: "user" } : {}),
      rules: [users ? { ...EVERYTHING, callers: ["session"] } : EVERYTHING],
      ...fields,
    };
    const prefix = id.toUpperCase().replaceAll("-", "_");
    /** @type {{ [name: string]: string }} */
    this.secrets = Object.fromEntries(
      Object.entries(this.credentials)
        .filter(([, value]) => value !== undefined)
        .map(([field, value]) => [`${prefix}_${field.toUpperCase()}`, value]),
    );
  }

  /** The number of scripted token answers not used yet. */
  get unfetched() {
    return this.#answers.length + this.#refusals;
  }

  /** The address of a call through the broker. */
  api(path = "/echo") {
    return `/api/${this.id}${path}`;
  }

  /**
   * Adds a person.
   *
   * @param {string} name
   * @param {string} password
   */
  addUser(name, password) {
    assert.ok(this.settings.users, `${this.id} is no connection of people`);
    this.settings.users[name] = password;
  }

  /** The token requests that were granted. */
  get granted() {
    return this.tokenRequests.filter(({ outcome }) => outcome === "ok");
  }

  /** The last request to the API. */
  get lastRequest() {
    const last = this.requests.at(-1);
    assert.ok(last, `nothing was asked of ${this.id}`);
    return last;
  }

  /**
   * Every token request for `person`.
   *
   * @param {string} person
   */
  tokenRequestsOf(person) {
    return this.tokenRequests.filter((request) => request.person === person);
  }

  /**
   * Makes the API refuse every access token so far with 401, or only those of `person`.
   *
   * @param {string} [person]
   */
  revoke(person) {
    this.#forget(this.live, person);
  }

  /**
   * Refuses the next `times` calls with 401, whatever their token.
   *
   * @param {number} times
   */
  refuseNext(times) {
    this.#refusals += times;
  }

  /**
   * Scripts the next answers of the token endpoint, one each.
   *
   * @param {TokenReply[]} answers
   */
  answerTokenRequest(...answers) {
    this.#answers.push(...answers);
  }

  /**
   * Answers calls to `path` (relative to the connection, without query); with "401 " before it, sets the answer to
   * calls whose token is not accepted.
   *
   * @param {string} path
   * @param {Handler} handler
   */
  on(path, handler) {
    this.#routes.set(path, handler);
    return this;
  }

  /**
   * Answers calls to every other path.
   *
   * @param {Handler} handler
   */
  otherwise(handler) {
    this.#fallback = handler;
    return this;
  }

  /**
   * Resolves when `condition` holds, which is checked after each request.
   *
   * @param {(connection: this) => unknown} condition
   * @param {{ limit?: number, what?: string }} [options] `limit` in milliseconds
   * @returns {Promise<void>}
   */
  until(condition, { limit = 10_000, what = "the condition" } = {}) {
    if (condition(this)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#watchers.delete(look);
        reject(new Error(`${what} of ${this.id} was not met within ${limit} ms`));
      }, limit);
      const look = () => {
        if (!condition(this)) return;
        clearTimeout(timer);
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
    });
  }

  #changed() {
    for (const look of [...this.#watchers]) look();
  }

  // --- The token endpoint -------------------------------------------------

  /**
   * @param {Request} request
   * @param {ServerResponse} response
   */
  async serveToken(request, response) {
    /** @type {TokenRequest} */
    const record = {
      at: Date.now(),
      method: request.method,
      target: request.url,
      headers: /** @type {Fields} */ (request.headers),
      rawHeaders: pairs(request.rawHeaders),
      body: "",
      parameters: {},
      outcome: "pending",
    };
    this.tokenRequests.push(record);
    this.#inFlight += 1;
    this.maxConcurrentTokenRequests = Math.max(this.maxConcurrentTokenRequests, this.#inFlight);
    response.once("close", () => (this.#inFlight -= 1));
    const answer = this.#answers.shift() ?? {};
    record.body = await text(request);
    record.parameters = parametersOf(record);
    const { username, refresh_token: presented } = record.parameters;
    record.person = this.settings.users && (username ?? this.#owners.get(presented));
    this.#changed();

    if (request.method !== "POST" || `/as/${this.id}/token` !== request.url) {
      return this.refuse(request, response, "not a token request");
    }
    if (answer.delay) await sleep(answer.delay, undefined, { signal: this.signal });
    if (answer.hold) await answer.hold;
    if (answer.hang) return undefined;
    if (answer.reset) return request.socket.resetAndDestroy();
    if (answer.status !== undefined || answer.body !== undefined) {
      record.outcome = "scripted";
      return send(response, answer);
    }
    send(response, this.#grant(record, answer));
    this.#changed();
  }

  /**
   * @param {TokenRequest} record
   * @param {TokenReply} answer
   * @returns {Reply}
   */
  #grant(record, { set = {}, remove = [] }) {
    const { grant_type: type, refresh_token: presented, username, password } = record.parameters;
    const { users, expiresIn, rotation = true, refusals = "standard", strict = false } = this.settings;
    const { client_id, client_secret } = record.parameters;
    if (strict && !(client_id === this.credentials.client_id && this.clientSecrets.has(client_secret))) {
      record.outcome = "invalid_client";
      return { status: 401, body: { error: "invalid_client" } };
    }
    this.settings.prove?.(record.parameters);
    if (type === "refresh_token") {
      if (!this.#refreshTokens.has(presented)) {
        record.outcome = "invalid_grant";
        return REFUSALS[refusals].refresh_token(record.parameters);
      }
    } else if (type !== (GRANT_TYPES[this.grant] ?? this.grant)) {
      record.outcome = "unsupported_grant_type";
      return { status: 400, body: { error: "unsupported_grant_type" } };
    } else if (!this.#knows(username, password)) {
      record.outcome = "invalid_grant";
      return REFUSALS[refusals].password(record.parameters);
    }
    /** @type {{ [member: string]: unknown }} */
    const body = { access_token: secret(`${this.id}-at`), token_type: "Bearer", expires_in: expiresIn };
    if (users) body.username = record.person;
    if (type === "refresh_token" ? rotation : this.withRefreshToken) body.refresh_token = secret(`${this.id}-rt`);
    Object.assign(body, set);
    for (const member of remove) delete body[member];
    if (typeof body.access_token === "string") {
      this.live.add(body.access_token);
      this.#owners.set(body.access_token, record.person);
      this.issued.push(body.access_token);
    }
    if (typeof body.refresh_token === "string") {
      this.#refreshTokens.delete(presented);
      this.#refreshTokens.add(body.refresh_token);
      this.#owners.set(body.refresh_token, record.person);
      this.issued.push(body.refresh_token);
    }
    record.outcome = "ok";
    return { body };
  }

  /**
   * Whether a token request other than a refresh has a person's correct password.
   *
   * @param {string} username
   * @param {string} password
   */
  #knows(username, password) {
    const { users, strict } = this.settings;
    if (users) return Object.hasOwn(users, username) && users[username] === password;
    if (!strict || this.grant !== "password") return true;
    return username === this.credentials.username && this.passwords.has(password);
  }

  /**
   * Forgets every refresh token, or those of `person`.
   *
   * @param {string} [person]
   */
  forgetRefreshTokens(person) {
    this.#forget(this.#refreshTokens, person);
  }

  /**
   * @param {Set<string | undefined>} tokens
   * @param {string} [person]
   */
  #forget(tokens, person) {
    for (const token of tokens) {
      if (person === undefined || this.#owners.get(token) === person) tokens.delete(token);
    }
  }

  // --- The API ------------------------------------------------------------

  /**
   * @param {Request} request
   * @param {ServerResponse} response
   */
  async serveApi(request, response) {
    const below = request.url.slice(`/rs/${this.id}`.length);
    /** @type {ApiRequest} */
    const record = {
      at: Date.now(),
      method: request.method,
      target: request.url,
      below,
      path: below.split("?", 1)[0],
      headers: /** @type {Fields} */ (request.headers),
      rawHeaders: pairs(request.rawHeaders),
      done: Promise.resolve(),
      body: Buffer.alloc(0),
      bytes: 0,
      sha256: "",
    };
    this.requests.push(record);
    const header = (this.vars.header ?? "Authorization").toLowerCase();
    record.token = record.headers[header]?.split(" ").pop();
    record.person = this.#owners.get(record.token);
    const refused = this.#refusals > 0 || !this.live.has(record.token);
    if (this.#refusals > 0) this.#refusals -= 1;
    record.done = receive(request, record).then(() => this.#changed());
    record.done.catch(() => {});
    response.once("finish", () => (record.status = response.statusCode));
    this.#changed();
    const early = this.#routes.get(`401 ${record.path}`);
    if (refused && early) return early(request, response, record);
    if (refused) {
      await record.done;
      return send(response, {
        status: 401,
        headers: { "WWW-Authenticate": `Bearer realm="${this.id}"` },
        body: { error: "the token is not accepted" },
      });
    }
    const handler = this.#routes.get(record.path);
    if (handler) return handler(request, response, record);
    const status = /^\/status\/(\d{3})$/.exec(record.path)?.[1];
    if (status) {
      await record.done;
      return send(response, { status: Number(status), body: `status ${status}` });
    }
    if (/^\/echo(?:\/|$)/.test(record.path)) {
      await record.done;
      const { method, bytes, sha256, person } = record;
      return send(response, { body: { method, below, bytes, sha256, person } });
    }
    if (this.#fallback) return this.#fallback(request, response, record);
    return this.refuse(request, response, "not scripted");
  }
}

/**
 * Refusals reveal as much as a careless server would.
 *
 * @type {{ [words: string]: { [grant in "password" | "refresh_token"]: (parameters: { [name: string]: string }) => Reply } }}
 */
const REFUSALS = {
  standard: {
    password: ({ username, password }) => ({
      status: 400,
      body: { error: "invalid_grant", error_description: `${username} has another password than ${password}` },
    }),
    refresh_token: ({ refresh_token }) => ({
      status: 400,
      body: { error: "invalid_grant", error_description: `${refresh_token} is not known` },
    }),
  },
  passport: {
    password: () => ({
      status: 400,
      body: {
        error: "invalid_grant",
        error_description: "The user credentials were incorrect.",
        message: "The user credentials were incorrect.",
      },
    }),
    refresh_token: () => ({
      status: 401,
      body: {
        error: "invalid_request",
        error_description: "The refresh token is invalid.",
        hint: "Token has been revoked",
        message: "The refresh token is invalid.",
      },
    }),
  },
};

/**
 * Sends an answer.
 *
 * @param {ServerResponse} response
 * @param {Reply} reply
 */
export function send(response, { status = 200, headers = {}, body = "" }) {
  const bytes =
    Buffer.isBuffer(body) || typeof body === "string" ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  const type = typeof body === "object" && !Buffer.isBuffer(body) ? "application/json" : "text/plain; charset=utf-8";
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  const bodiless = status === 204 || status === 304;
  if (!names.includes("content-type") && !bodiless) response.setHeader("Content-Type", type);
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) response.setHeader(name, value);
  if (!bodiless && !names.includes("content-length")) response.setHeader("Content-Length", bytes.length);
  response.writeHead(status);
  response.end(bodiless || response.req.method === "HEAD" ? undefined : bytes);
}

/** @param {string} prefix */
const secret = (prefix) => `${prefix}-${randomBytes(24).toString("base64url")}`;

/**
 * @param {string[]} flat
 * @returns {[name: string, value: string][]}
 */
export const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at], flat[2 * at + 1]]);

/** @param {Pick<TokenRequest, "headers" | "body">} record */
function parametersOf({ headers, body }) {
  if (/^application\/json\b/.test(headers["content-type"] ?? "")) {
    try {
      return JSON.parse(body);
    } catch {
      return {};
    }
  }
  return Object.fromEntries(new URLSearchParams(body));
}

/**
 * @param {IncomingMessage} request
 * @param {ApiRequest} record
 */
async function receive(request, record) {
  const hash = createHash("sha256");
  /** @type {Buffer[]} */
  const chunks = [];
  for await (const chunk of request) {
    record.firstChunkAt ??= Date.now();
    record.lastChunkAt = Date.now();
    record.bytes += chunk.length;
    hash.update(chunk);
    if (record.bytes <= KEPT_BODY_BYTES) chunks.push(chunk);
    record.onChunk?.(chunk);
  }
  record.sha256 = hash.digest("hex");
  record.body = Buffer.concat(chunks);
}
