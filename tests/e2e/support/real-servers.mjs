// Authorization servers in real use, django-oauth-toolkit and @node-oauth/oauth2-server, each with an API, and a broker
// in front of both.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertProblem, assertStatus } from "./assertions.mjs";
import { EVERYTHING, startBroker } from "./broker.mjs";
import { startDjango } from "./django.mjs";
import { startNodeOauth } from "./node-oauth.mjs";
import { Person } from "./person.mjs";
import { startRecorder } from "./recorder.mjs";

/** @import { Broker, Secrets, Vars } from "./broker.mjs" */
/** @import { Answer, CallOptions } from "./client.mjs" */
/** @import { Line } from "./recorder.mjs" */

export const SERVERS = {
  // Revoking an access token also invalidates its refresh token.
  django: { start: startDjango, outlivesRevocation: false },
  // The refresh token stays valid.
  node: { start: startNodeOauth, outlivesRevocation: true },
};

export const ANA = { username: "ana@example.com", password: 'p&a=%s+ wörd "1"' };
export const BRUNO = { username: "bruno@example.com", password: "other-password-of-bruno" };
export const WRONG = "not-the-password";

/** The lifetime of a token, in seconds, in tests that wait for its end. */
export const SHORT = 3;

export const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

const secret = () => randomBytes(24).toString("base64url");
const CLIENTS = {
  desk: { id: "desk", secret: secret(), grant: "password", lifetime: 3600 },
  // Its secret has characters that a form must encode.
  brief: { id: "brief", secret: `a&b=%2B+c d/${secret()}`, grant: "password", lifetime: SHORT },
  robot: { id: "robot", secret: secret(), grant: "client_credentials", lifetime: 3600 },
};

const BY_SESSION = { callers: ["session"], methods: ["GET", "POST"], paths: ["/api/**"] };

/**
 * The connections to each server. Each test has one of its own, so that tests do not affect each other.
 *
 * @type {{ [kind: string]: { client: keyof typeof CLIENTS, user?: typeof ANA, fields?: Vars, secrets?: Secrets } }}
 */
const CONNECTIONS = {
  password: { client: "desk", user: ANA },
  basic: { client: "desk", user: ANA, fields: { client_auth: "basic" } },
  robot: { client: "robot" },
  "robot-basic": { client: "robot", fields: { client_auth: "basic" } },
  "wrong-password": { client: "desk", user: { ...ANA, password: WRONG } },
  "wrong-secret": { client: "robot", secrets: { client_secret: "not-the-secret" } },
  revoked: { client: "desk", user: ANA },
  rotating: { client: "brief", user: ANA },
  crowd: { client: "brief", user: ANA },
  lost: { client: "brief", user: ANA },
  people: { client: "desk" },
  refused: { client: "desk" },
  "access-revoked": { client: "desk" },
  "refresh-revoked": { client: "desk" },
  idle: { client: "brief" },
  busy: { client: "brief" },
  cut: { client: "brief" },
  left: { client: "brief" },
  both: { client: "desk" },
};
const OF_PEOPLE = ["people", "refused", "access-revoked", "refresh-revoked", "idle", "busy", "cut", "left", "both"];

/** @type {Broker} */
export let broker;
/** @type {Awaited<ReturnType<typeof startRecorder>>} */
let recorder;
/**
 * Everything that the broker sent or logged.
 *
 * @type {string[]}
 */
export const answers = [];
/** @type {{ [name: string]: Awaited<ReturnType<typeof startDjango | typeof startNodeOauth>> }} */
export const servers = {};
/**
 * The traffic of each connection, by its id: django-password, node-password, and so on.
 *
 * @type {{ [id: string]: Line }}
 */
export const lines = {};

/** Starts the servers and the broker for the tests of a file. */
export function useRealServers() {
  before(async () => {
    recorder = await startRecorder();
    const wanted = { clients: Object.values(CLIENTS), users: [ANA, BRUNO] };
    await Promise.all(
      Object.entries(SERVERS).map(async ([name, { start }]) => {
        servers[name] = await start(wanted);
      }),
    );
    /** @type {Vars} */
    const vars = {};
    /** @type {Secrets} */
    const secrets = {};
    for (const [server, target] of Object.entries(servers)) {
      for (const [kind, { client, user, fields, secrets: other }] of Object.entries(CONNECTIONS)) {
        const id = `${server}-${kind}`;
        const line = (lines[id] = recorder.line(id, target));
        const { id: client_id, secret: client_secret, grant } = CLIENTS[client];
        vars[id] = {
          provider: "custom",
          base_url: line.url,
          token_url: line.tokenUrl,
          grant,
          scope: "read write",
          // The longer time limit allows for a slow machine.
          token_timeout_ms: 30_000,
          rules: [EVERYTHING],
          ...(OF_PEOPLE.includes(kind) ? { subject: "user", rules: [BY_SESSION] } : {}),
          ...fields,
        };
        for (const [field, value] of Object.entries({ client_id, client_secret, ...user, ...other })) {
          secrets[`${id}_${field}`.toUpperCase().replaceAll("-", "_")] = value;
        }
      }
    }
    broker = await startBroker({ vars: { CONNECTIONS: vars }, secrets });
    const { call } = broker;
    broker.call = async (...request) => {
      const answer = await call.apply(broker, request);
      answers.push(`${JSON.stringify(answer.rawHeaders)} ${answer.text}`);
      return answer;
    };
  });

  after(async () => {
    await broker?.stop();
    await recorder?.stop();
    await Promise.all(Object.values(servers).map((server) => server.stop()));
  });
}

/**
 * Calls the API with the caller's key.
 *
 * @param {Line} line
 * @param {CallOptions} [options]
 */
export const get = (line, options) => broker.call(line.api("/api/me"), options);

/**
 * Calls the API, which must answer that the token belongs to `user`.
 *
 * @param {Line} line
 * @param {string | null} user
 */
export async function isServed(line, user) {
  assert.deepEqual(assertStatus(await get(line)).json(), { user });
}

/** A person with an account at both servers, at a browser of their own. */
export class Visitor extends Person {
  /** @param {typeof ANA} account */
  constructor({ username, password }) {
    super(broker);
    Object.assign(this, { name: username, password });
  }

  /** @param {Line} line */
  get(line) {
    return this.call(line, "/api/me");
  }

  /**
   * Calls the API, which must answer that the token belongs to this person.
   *
   * @param {Line} line
   */
  async isServed(line) {
    assert.deepEqual(assertStatus(await this.get(line)).json(), { user: this.name });
  }

  /** @param {Line} line */
  async isRefused(line) {
    assertProblem(await this.get(line), 401, "caller_unauthenticated");
  }

  async hasNoSession() {
    assertProblem(await this.session(), 401, "caller_unauthenticated");
  }
}

/** @param {Line} line */
export const types = (line) => line.grants.map(({ parameters }) => parameters.grant_type);

/**
 * Checks that all grants but the first, `least` or more in total, are refreshes, and that each used the refresh token
 * of the grant before it. Their number depends on when the broker renewed ahead of time.
 *
 * @param {Line} line
 * @param {number} least
 */
export function assertRotated(line, least) {
  const [first, ...refreshes] = types(line);
  assert.ok(refreshes.length >= least - 1, `${refreshes.length} refreshes`);
  assert.deepEqual([first, ...new Set(refreshes)], ["password", "refresh_token"]);
  const presented = line.grants.slice(1).map(({ parameters }) => parameters.refresh_token);
  assert.deepEqual(
    presented,
    line.issued.slice(0, presented.length).map(({ refresh }) => refresh),
  );
  assert.equal(new Set(presented).size, presented.length);
}

/**
 * Checks the requests after a refresh whose answer was lost: the same refresh was tried once more and refused; then
 * came grants of the types `more`.
 *
 * @param {Line} line
 * @param {string[]} more
 */
export function assertLost(line, ...more) {
  const since = line.grants.slice(line.grants.findIndex(({ lost }) => lost));
  assert.deepEqual(
    since.map(({ parameters }) => parameters.grant_type),
    ["refresh_token", "refresh_token", ...more],
  );
  assert.deepEqual(
    since.map(({ status }) => status),
    [200, 400, ...more.map(() => 200)],
  );
  const [first, second] = since.map(({ parameters }) => parameters.refresh_token);
  assert.equal(first, second);
}

/** Waits until the last token has expired, and also one renewed ahead of time without a caller. */
export const untilCold = () => sleep(2 * SHORT * 1000 + 200);

/**
 * Calls until an answer has `status`; earlier answers may say that the token endpoint is unreachable.
 *
 * @param {number} status
 * @param {() => Promise<Answer>} call
 */
export async function eventually(status, call, limit = 10_000) {
  for (const end = Date.now() + limit; ; ) {
    const answer = await call();
    if (answer.status === status) return answer;
    assert.ok([502, 503].includes(answer.status), `${answer.status} ${answer.text}`);
    assert.ok(Date.now() < end, `still ${answer.text}`);
    await sleep(Math.min(Number(answer.headers["retry-after"] ?? 0.1), 2) * 1000);
  }
}

/**
 * Makes successful calls until the connection was granted `count` tokens.
 *
 * @param {Line} line
 * @param {number} count
 * @param {() => Promise<unknown>} call
 */
export async function inUse(line, count, call) {
  for (const end = Date.now() + 4_000 * count; line.issued.length < count; ) {
    await call();
    assert.ok(Date.now() < end, `${line.id}: ${line.issued.length} grants`);
    await sleep(100);
  }
  await call();
}

/** Checks that nothing that the broker sent or logged contains a token. */
export function assertNoTokenSaid() {
  const sets = Object.values(lines).flatMap((line) => line.issued);
  const issued = sets.flatMap(({ access, refresh }) => (refresh ? [access, refresh] : [access]));
  assert.ok(issued.length > 0 && answers.length > 0);
  for (const token of issued) assert.ok(!answers.some((answer) => answer.includes(token)), "a token was in an answer");
}
