// The broker against authorization servers that are used elsewhere too:
// django-oauth-toolkit, and @node-oauth/oauth2-server.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import { startDjango } from "./support/django.mjs";
import { startNodeOauth } from "./support/node-oauth.mjs";
import { assertCleared, Person } from "./support/person.mjs";
import { startRecorder } from "./support/recorder.mjs";

/** @import { Broker, Secrets, Vars } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { Line } from "./support/recorder.mjs" */

const SERVERS = {
  // Where an access token was revoked, its refresh token is worth nothing any more.
  django: { start: startDjango, outlivesRevocation: false },
  // The refresh token is good for another.
  node: { start: startNodeOauth, outlivesRevocation: true },
};

const ANA = { username: "ana@example.com", password: 'p&a=%s+ wörd "1"' };
const BRUNO = { username: "bruno@example.com", password: "other-password-of-bruno" };
const WRONG = "not-the-password";

/** Seconds of a token's life, where a test waits for its end. */
const SHORT = 3;

const WEEK_MS = 7 * 24 * 60 * 60 * 1000;

const secret = () => randomBytes(24).toString("base64url");
const CLIENTS = {
  desk: { id: "desk", secret: secret(), grant: "password", lifetime: 3600 },
  // Its secret needs encoding in a form.
  brief: { id: "brief", secret: `a&b=%2B+c d/${secret()}`, grant: "password", lifetime: SHORT },
  robot: { id: "robot", secret: secret(), grant: "client_credentials", lifetime: 3600 },
};

const BY_SESSION = { callers: ["session"], methods: ["GET", "POST"], paths: ["/api/**"] };

/**
 * The connections to each server. Each test has one of its own, so that no test finds what another left.
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
let broker;
/** @type {Awaited<ReturnType<typeof startRecorder>>} */
let recorder;
/**
 * All that the broker said to anybody.
 *
 * @type {string[]}
 */
const answers = [];
/** @type {{ [name: string]: Awaited<ReturnType<typeof startDjango | typeof startNodeOauth>> }} */
const servers = {};
/**
 * What went over each connection, by its id: django-password, node-password, and so on.
 *
 * @type {{ [id: string]: Line }}
 */
const lines = {};

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
        // A slow machine is no fault of these servers.
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

/**
 * Calls the API with the caller's key.
 *
 * @param {Line} line
 * @param {CallOptions} [options]
 */
const get = (line, options) => broker.call(line.api("/api/me"), options);

/**
 * Calls the API, and it says that the token is that of `user`.
 *
 * @param {Line} line
 * @param {string | null} user
 */
async function isServed(line, user) {
  assert.deepEqual(assertStatus(await get(line)).json(), { user });
}

/** One of the people that both servers know, at a browser of their own. */
class Visitor extends Person {
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
   * Calls the API, and it says that the token is this person's.
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
const types = (line) => line.grants.map(({ parameters }) => parameters.grant_type);

/**
 * Of the grants, `least` or more, all but the first are refreshes, and each carried the refresh
 * token that the grant before it had brought. How many there are depends on when the broker
 * renewed ahead of time.
 *
 * @param {Line} line
 * @param {number} least
 */
function assertRotated(line, least) {
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
 * After the refresh whose answer was lost the same was tried once more and refused; then came grants of the types `more`.
 *
 * @param {Line} line
 * @param {string[]} more
 */
function assertLost(line, ...more) {
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

/** Waits until the last token has expired, and the one that was renewed ahead of time for nobody, too. */
const untilCold = () => sleep(2 * SHORT * 1000 + 200);

/**
 * Calls until an answer has `status`; those before may say that the token endpoint cannot be reached.
 *
 * @param {number} status
 * @param {() => Promise<Answer>} call
 */
async function eventually(status, call, limit = 10_000) {
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
async function inUse(line, count, call) {
  for (const end = Date.now() + 4_000 * count; line.issued.length < count; ) {
    await call();
    assert.ok(Date.now() < end, `${line.id}: ${line.issued.length} grants`);
    await sleep(100);
  }
  await call();
}

// Most of the time is spent waiting for tokens to expire, so all wait at once.
describe("the broker, in front of", { concurrency: true }, () => {
  for (const [server, { outlivesRevocation }] of Object.entries(SERVERS)) {
    /** @param {string} kind */
    const connection = (kind) => lines[`${server}-${kind}`];

    describe(`${server}, called with the credentials of the connection`, { concurrency: true }, () => {
      test("gets its token by a password and calls the API as that user", async () => {
        const line = connection("password");
        await isServed(line, ANA.username);
        const order = { item: "chá", count: 2 };
        const ordered = assertStatus(await broker.call(line.api("/api/orders"), { method: "POST", json: order }), 201);
        assert.deepEqual(ordered.json(), { user: ANA.username, order });
        assert.deepEqual(types(line), ["password"]);
        assert.deepEqual(
          line.calls.map(({ headers }) => headers.authorization),
          Array(2).fill(`Bearer ${line.issued[0].access}`),
        );
      });

      test("may prove its client by Basic", async () => {
        const line = connection("basic");
        await isServed(line, ANA.username);
        const [{ headers, parameters }] = line.grants;
        assert.match(headers.authorization, /^Basic /);
        assert.deepEqual([parameters.client_id, parameters.client_secret], [undefined, undefined]);
      });

      test("gets a token that is nobody's by its client's credentials, in the body and by Basic", async () => {
        for (const kind of ["robot", "robot-basic"]) {
          const line = connection(kind);
          await isServed(line, null);
          await isServed(line, null);
          assert.deepEqual(types(line), ["client_credentials"]);
        }
      });

      for (const kind of ["wrong-password", "wrong-secret"]) {
        test(`with the ${kind.replace("-", " ")} is rejected once, and then leaves the server alone`, async () => {
          const line = connection(kind);
          assertProblem(await get(line), 502, "credentials_rejected");
          for (let i = 0; i < 3; i += 1) {
            assertProblem(await get(line), 503, "connection_unavailable", { cause: "credentials_rejected" });
          }
          assert.equal(line.exchanges.length, 1);
        });
      }

      test("renews a token that the server revoked, and the call succeeds", async () => {
        const line = connection("revoked");
        await isServed(line, ANA.username);
        const [{ client, access }] = line.issued;
        await servers[server].revoke({ client, token: access });
        await isServed(line, ANA.username);
        assert.deepEqual(types(line), ["password", "refresh_token", ...(outlivesRevocation ? [] : ["password"])]);
        assert.deepEqual(
          line.calls.map(({ status }) => status),
          [200, 401, 200],
        );
      });

      test("refreshes an expired token, each time with the newest refresh token", async () => {
        const line = connection("rotating");
        await isServed(line, ANA.username);
        await untilCold();
        await isServed(line, ANA.username);
        await inUse(line, 4, () => isServed(line, ANA.username));
        assertRotated(line, 4);
      });

      test("refreshes once for twenty calls at once, so that no refresh token comes twice", async () => {
        const line = connection("crowd");
        await isServed(line, ANA.username);
        await untilCold();
        const agent = keepAlive();
        const answers = await Promise.all(Array.from({ length: 20 }, () => get(line, { agent })));
        agent.destroy();
        assert.deepEqual(
          answers.map(({ status }) => status),
          Array(20).fill(200),
        );
        assertRotated(line, 2);
      });

      test("gets over a refresh whose answer was lost: one more try, then the password", async () => {
        const line = connection("lost");
        await isServed(line, ANA.username);
        line.loseNextGrant();
        await sleep(SHORT * 1000 + 100);
        await eventually(200, () => get(line));
        assertLost(line, "password");
      });
    });

    describe(`${server}, by a person who signed in`, { concurrency: true }, () => {
      test("calls the API as themselves, and so does a second one at once", async () => {
        const line = connection("people");
        const [ana, bruno] = [new Visitor(ANA), new Visitor(BRUNO)];
        const began = Date.now();
        const [answer] = await Promise.all([ana.signIn(line), bruno.signIn(line)]);
        const { connection: named, expires_at, ...more } = answer.json();
        assert.deepEqual([named, more], [line.id, {}]);
        assert.ok(Math.abs(Date.parse(expires_at) - began - WEEK_MS) < 60_000, expires_at);
        assert.notEqual(ana.cookie, bruno.cookie);
        await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? ana : bruno).isServed(line)));
        const order = { item: "café" };
        const ordered = assertStatus(await bruno.call(line, "/api/orders", { method: "POST", json: order }), 201);
        assert.deepEqual(ordered.json(), { user: BRUNO.username, order });
        assert.deepEqual(types(line), ["password", "password"]);
        for (const { headers } of line.exchanges) assert.equal(headers.cookie, undefined);
        await new Visitor(ANA).isRefused(line);
      });

      test("with the wrong password is not signed in, and with the right one then is", async () => {
        const line = connection("refused");
        const ana = new Visitor(ANA);
        const answer = await ana.login(line, { body: { ...ANA, password: WRONG } });
        assertProblem(answer, 401, "login_rejected");
        assert.equal(answer.headers["set-cookie"], undefined);
        await ana.isRefused(line);
        assert.equal(line.exchanges.length, 1);
        await ana.signIn(line);
        await ana.isServed(line);
      });

      test("whose access token was revoked goes on where the server still takes the refresh token", async () => {
        const line = connection("access-revoked");
        const ana = new Visitor(ANA);
        await ana.signIn(line);
        const [{ client, access }] = line.issued;
        await servers[server].revoke({ client, token: access });
        if (outlivesRevocation) {
          await ana.isServed(line);
        } else {
          await ana.isRefused(line);
          await ana.hasNoSession();
        }
        // The password is kept nowhere, so no other grant can follow.
        assert.deepEqual(types(line), ["password", "refresh_token"]);
      });

      test("whose refresh token was revoked is signed out, and nobody else is", async () => {
        const line = connection("refresh-revoked");
        const [ana, bruno] = [new Visitor(ANA), new Visitor(BRUNO)];
        await ana.signIn(line);
        await bruno.signIn(line);
        assert.deepEqual(await ana.signedInTo(), [line.id]);
        const [{ client, refresh }] = line.issued;
        await servers[server].revoke({ client, token: refresh });
        await ana.isRefused(line);
        await ana.hasNoSession();
        const grants = line.grants.length;
        await ana.isRefused(line);
        assert.equal(line.grants.length, grants);
        await bruno.isServed(line);
        await ana.signIn(line);
        await ana.isServed(line);
      });

      test("stays signed in over tokens that expired unused", async () => {
        const line = connection("idle");
        const ana = new Visitor(ANA);
        await ana.signIn(line);
        await untilCold();
        await ana.isServed(line);
        assertRotated(line, 2);
      });

      test("notices nothing of the refreshes behind their calls", async () => {
        const line = connection("busy");
        const ana = new Visitor(ANA);
        await ana.signIn(line);
        await inUse(line, 3, () => ana.isServed(line));
        assertRotated(line, 3);
        assert.deepEqual(await ana.signedInTo(), [line.id]);
      });

      test("is signed out where the answer to a refresh was lost and the server takes no refresh token twice", async () => {
        const line = connection("cut");
        const ana = new Visitor(ANA);
        await ana.signIn(line);
        line.loseNextGrant();
        await sleep(SHORT * 1000 + 100);
        assertProblem(await eventually(401, () => ana.get(line)), 401, "caller_unauthenticated");
        assertLost(line);
        await ana.hasNoSession();
      });

      test("signs out and is unknown from then on", async () => {
        const line = connection("left");
        const ana = new Visitor(ANA);
        await ana.signIn(line);
        await ana.isServed(line);
        const { cookie } = ana;
        assertCleared(assertStatus(await ana.logout(), 204));
        // Nothing is renewed for a session that is gone, either; only what was on its way arrives.
        await sleep(200);
        const exchanges = line.exchanges.length;
        await sleep(SHORT * 1000);
        for (const kept of [cookie, undefined]) {
          ana.cookie = kept;
          await ana.isRefused(line);
          await ana.hasNoSession();
        }
        assert.equal(line.exchanges.length, exchanges);
      });
    });
  }

  describe("both, by a person who signed in at each", () => {
    test("has one session with two connections, and loses the one whose server ends it", async () => {
      const [django, node] = ["django-both", "node-both"].map((id) => lines[id]);
      const [ana, former] = [new Visitor(ANA), new Visitor(ANA)];
      await ana.signIn(django);
      former.cookie = ana.cookie;
      await ana.signIn(node);
      assert.notEqual(ana.cookie, former.cookie);
      await former.hasNoSession();
      await ana.isServed(django);
      await ana.isServed(node);
      assert.deepEqual(await ana.signedInTo(), [django.id, node.id]);

      const [{ client, refresh }] = django.issued;
      await servers.django.revoke({ client, token: refresh });
      await ana.isRefused(django);
      assert.deepEqual(await ana.signedInTo(), [node.id]);
      await ana.isServed(node);
      assertStatus(await ana.logout(), 204);
      await ana.isRefused(node);
    });
  });
});

test("no answer of the broker had a token in it", () => {
  const sets = Object.values(lines).flatMap((line) => line.issued);
  const issued = sets.flatMap(({ access, refresh }) => (refresh ? [access, refresh] : [access]));
  assert.ok(issued.length > 0 && answers.length > 0);
  for (const token of issued) assert.ok(!answers.some((answer) => answer.includes(token)), "a token was in an answer");
});
