// A stub authorization server and a stub API in one, for `custom` connections.
// Each connection has a token endpoint and an API of its own, both scripted by
// its test; whatever they were not told to expect is kept as unexpected, and
// `verify()` fails on it.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { EVERYTHING } from "./broker.mjs";

const KEPT_BODY_BYTES = 2 * 1024 * 1024;

export async function startUpstream() {
  const connections = new Map();
  const unexpected = [];
  const closing = new AbortController();

  const server = createServer({ keepAliveTimeout: 120_000, maxHeaderSize: 128 * 1024 }, (request, response) => {
    const [, kind, id] = /^\/(as|rs)\/([a-z0-9-]+)(?=[/?]|$)/.exec(request.url) ?? [];
    const connection = connections.get(id);
    const handled = !connection
      ? refuse(request, response, "no such connection")
      : kind === "as"
        ? connection.serveToken(request, response)
        : connection.serveApi(request, response);
    Promise.resolve(handled).catch((error) => {
      if (closing.signal.aborted || ["ECONNRESET", "ABORT_ERR"].includes(error.code)) return;
      unexpected.push(`${request.method} ${request.url}: ${error.stack}`);
      request.socket.destroy();
    });
  });
  server.requestTimeout = 0;

  function refuse(request, response, why) {
    unexpected.push(`${request.method} ${request.url}: ${why}`);
    request.resume();
    response.writeHead(599).end("unexpected");
  }

  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${server.address().port}`;

  return {
    url,
    unexpected,
    /** Adds a connection; see Connection. */
    connection(id, settings) {
      const connection = new Connection(id, url, { ...settings, refuse, signal: closing.signal });
      connections.set(id, connection);
      return connection;
    },
    /** The connection called `id`. */
    get: (id) => connections.get(id),
    /** The `CONNECTIONS` variable and the secrets of all connections. */
    get vars() {
      return Object.fromEntries([...connections.values()].map(({ id, vars }) => [id, vars]));
    },
    get secrets() {
      return Object.assign({}, ...[...connections.values()].map(({ secrets }) => secrets));
    },
    get issued() {
      return [...connections.values()].flatMap(({ issued }) => issued);
    },
    /** Fails on requests that nobody expected and on scripted answers that nobody fetched. */
    verify() {
      const left = [...connections.values()].filter(({ unfetched }) => unfetched > 0).map(({ id }) => id);
      const seen = unexpected.splice(0);
      assert.deepEqual({ unexpected: seen, unfetchedAnswersOf: left }, { unexpected: [], unfetchedAnswersOf: [] });
    },
    close() {
      closing.abort();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
    },
  };
}

/**
 * One connection's two ends.
 *
 * settings: {
 *   grant,        // of its configuration: static, password, client_credentials (default), refresh_token
 *   fields,       // further configuration fields; secret ones go to `secrets`
 *   credentials,  // lower-case secret fields: { client_id, client_secret, username, password, refresh_token, token }
 *   expiresIn,    // default 3600
 *   refreshToken, // whether token responses carry one (default: not for client_credentials)
 *   rotation,     // whether a refresh yields a new refresh token (default true)
 *   users,        // instead of a service: people and their passwords, { name: password }; see addUser
 *   refusals,     // how it refuses credentials: standard (default), or passport, in Laravel Passport's words
 * }
 */
class Connection {
  /** Every request to the API: { at, method, target, path, rawHeaders, headers, body, bytes, sha256, firstChunkAt, lastChunkAt, status, token, person, done }. */
  requests = [];
  /** Every token request: { at, method, target, rawHeaders, headers, body, parameters, person, outcome }. */
  tokenRequests = [];
  /** Every secret that was handed out. */
  issued = [];
  /** Access tokens that the API accepts. */
  live = new Set();
  maxConcurrentTokenRequests = 0;

  #inFlight = 0;
  #refreshTokens = new Set();
  /** Whose each token is, however long ago it was handed out. */
  #owners = new Map();
  #answers = [];
  #routes = new Map();
  #watchers = new Set();
  #refusals = 0;

  constructor(id, url, settings) {
    Object.assign(this, { id, settings });
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
    // What people type in is no secret of the broker's.
    const service = users ? { username: undefined, password: undefined } : {};
    this.credentials = { ...defaults[grant], ...service, ...credentials };
    if (grant === "static") this.live.add(this.credentials.token);
    if (grant === "refresh_token") this.#refreshTokens.add(this.credentials.refresh_token);
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
    this.secrets = Object.fromEntries(
      Object.entries(this.credentials)
        .filter(([, value]) => value !== undefined)
        .map(([field, value]) => [`${prefix}_${field.toUpperCase()}`, value]),
    );
  }

  /** How many scripted token answers were not fetched yet. */
  get unfetched() {
    return this.#answers.length + this.#refusals;
  }

  /** The address of a call through the broker. */
  api(path = "/echo") {
    return `/api/${this.id}${path}`;
  }

  /** Lets a further person in. */
  addUser(name, password) {
    this.settings.users[name] = password;
  }

  /** Every token request for `person`. */
  tokenRequestsOf(person) {
    return this.tokenRequests.filter((request) => request.person === person);
  }

  /** Lets every access token so far be refused with 401, or those of `person`. */
  revoke(person) {
    this.#forget(this.live, person);
  }

  /** Refuses the next `times` calls with 401, whatever token they carry. */
  refuseNext(times) {
    this.#refusals += times;
  }

  /**
   * Scripts the next answers of the token endpoint, one each:
   * { status, headers, body }   // an object goes as JSON
   * { set, remove }             // the ordinary answer, its members changed
   * and in all of these { delay: ms, hold: promise, reset: true, hang: true }.
   */
  answerTokenRequest(...answers) {
    this.#answers.push(...answers);
  }

  /** Answers calls to `path` (below the connection, without query) with `handler(request, response, record)`. */
  on(path, handler) {
    this.#routes.set(path, handler);
    return this;
  }

  /** Resolves when `condition(connection)` holds; looked at after each request. */
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

  async serveToken(request, response) {
    const record = {
      at: Date.now(),
      method: request.method,
      target: request.url,
      headers: request.headers,
      rawHeaders: pairs(request.rawHeaders),
      outcome: "pending",
    };
    this.tokenRequests.push(record);
    this.#inFlight += 1;
    this.maxConcurrentTokenRequests = Math.max(this.maxConcurrentTokenRequests, this.#inFlight);
    response.once("close", () => (this.#inFlight -= 1));
    const answer = this.#answers.shift() ?? {};
    record.body = (await readAll(request)).toString("utf8");
    record.parameters = parametersOf(record);
    const { username, refresh_token: presented } = record.parameters;
    record.person = this.settings.users && (username ?? this.#owners.get(presented));
    this.#changed();

    if (request.method !== "POST" || `/as/${this.id}/token` !== request.url) {
      return this.settings.refuse(request, response, "not a token request");
    }
    if (answer.delay) await sleep(answer.delay, undefined, { signal: this.settings.signal });
    if (answer.hold) await answer.hold;
    if (answer.hang) return undefined;
    if (answer.reset) return request.socket.resetAndDestroy();
    if (answer.status !== undefined || answer.body !== undefined) {
      record.outcome = "scripted";
      return send(response, answer);
    }
    return send(response, this.#grant(record, answer));
  }

  #grant(record, { set = {}, remove = [] }) {
    const { grant_type: type, refresh_token: presented, username, password } = record.parameters;
    const { users, expiresIn = 3600, rotation = true, refusals = "standard" } = this.settings;
    if (type === "refresh_token") {
      if (!this.#refreshTokens.has(presented)) {
        record.outcome = "invalid_grant";
        return REFUSALS[refusals].refresh_token(record.parameters);
      }
    } else if (type !== this.grant) {
      record.outcome = "unsupported_grant_type";
      return { status: 400, body: { error: "unsupported_grant_type" } };
    } else if (users && !(Object.hasOwn(users, username) && users[username] === password)) {
      record.outcome = "invalid_grant";
      return REFUSALS[refusals].password(record.parameters);
    }
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

  /** Forgets every refresh token, or those of `person`. */
  forgetRefreshTokens(person) {
    this.#forget(this.#refreshTokens, person);
  }

  #forget(tokens, person) {
    for (const token of tokens) {
      if (person === undefined || this.#owners.get(token) === person) tokens.delete(token);
    }
  }

  // --- The API ------------------------------------------------------------

  async serveApi(request, response) {
    const below = request.url.slice(`/rs/${this.id}`.length);
    const record = {
      at: Date.now(),
      method: request.method,
      target: request.url,
      below,
      path: below.split("?", 1)[0],
      headers: request.headers,
      rawHeaders: pairs(request.rawHeaders),
      bytes: 0,
    };
    this.requests.push(record);
    const header = (this.vars.header ?? "Authorization").toLowerCase();
    record.token = request.headers[header]?.split(" ").pop();
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
    return this.settings.refuse(request, response, "not scripted");
  }
}

// Refusals tell as much as a careless server would.
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

/** Sends an answer: { status, headers, body }; an object goes as JSON. */
export function send(response, { status = 200, headers = {}, body = "" }) {
  const bytes =
    Buffer.isBuffer(body) || typeof body === "string" ? Buffer.from(body) : Buffer.from(JSON.stringify(body));
  const type = typeof body === "object" && !Buffer.isBuffer(body) ? "application/json" : "text/plain; charset=utf-8";
  const names = Object.keys(headers).map((name) => name.toLowerCase());
  const bodiless = status === 204 || status === 304;
  if (!names.includes("content-type") && !bodiless) response.setHeader("Content-Type", type);
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  if (!bodiless && !names.includes("content-length")) response.setHeader("Content-Length", bytes.length);
  response.writeHead(status);
  response.end(bodiless || response.req.method === "HEAD" ? undefined : bytes);
}

const secret = (prefix) => `${prefix}-${randomBytes(24).toString("base64url")}`;

const pairs = (flat) => flat.flatMap((name, i) => (i % 2 ? [] : [[name, flat[i + 1]]]));

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

async function readAll(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function receive(request, record) {
  const hash = createHash("sha256");
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
