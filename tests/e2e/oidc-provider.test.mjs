// A real issuer, oidc-provider, whose access tokens authorize its clients' calls to the broker, and whose signing keys
// are rotated meanwhile.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, afterEach, before, describe, test } from "node:test";
import Provider from "oidc-provider";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import { makeKey, signature } from "./support/issuer.mjs";
import { listening } from "./support/servers.mjs";
import { startUpstream } from "./support/upstream.mjs";
import { until } from "./support/until.mjs";

/** @import { RequestListener, Server } from "node:http" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Key } from "./support/issuer.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const AUDIENCE = "https://broker.example/api";
const ELSEWHERE = "https://elsewhere.example/api";
const OPAQUE = "https://opaque.example/api";
const CLIENT = { client_id: "nightly-report", client_secret: "nightly-report-secret" };

// How many calls are made before, while and after both keys are published, at least.
const CALLS = 120;

const SCOPE = "orders:read orders:write";

/** All that it says stands in its tokens. */
const storesNothing = () => ({ upsert: async () => {}, find: async () => undefined, destroy: async () => {} });

/** The issuer, which can be started again with other keys at the same address. */
class RealIssuer {
  /**
   * The path of every request.
   *
   * @type {(string | undefined)[]}
   */
  requests = [];
  /** Its address, the same for good once it has listened. */
  url = "";
  /** @type {Server | undefined} */
  #server;
  /** @type {RequestListener} */
  #callback = () => {};

  /** @param {Key[]} keys */
  async start(keys) {
    this.#server = createServer((request, response) => {
      this.requests.push(request.url);
      this.#callback(request, response);
    });
    this.url = await listening(this.#server, this.url ? Number(new URL(this.url).port) : 0);
    const provider = new Provider(this.url, {
      adapter: storesNothing,
      clients: [{ ...CLIENT, grant_types: ["client_credentials"], redirect_uris: [], response_types: [] }],
      cookies: { keys: ["of no use here"] },
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: (/** @type {unknown} */ _, /** @type {string} */ audience) => ({
            audience,
            scope: SCOPE,
            accessTokenFormat: audience === OPAQUE ? "opaque" : "jwt",
            jwt: { sign: { alg: "RS256" } },
          }),
        },
      },
      // The first key that fits is the one that signs.
      jwks: {
        keys: keys.map(({ privateKey, kid, alg }) => ({
          ...privateKey.export({ format: "jwk" }),
          kid,
          alg,
          use: "sig",
        })),
      },
      scopes: SCOPE.split(" "),
      ttl: { ClientCredentials: 300 },
    });
    this.#callback = provider.callback();
  }

  async stop() {
    if (!this.#server?.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, "close");
  }

  /**
   * Is away until `over` resolves, and comes back with other keys.
   *
   * @param {Key[]} keys
   * @param {() => Promise<unknown>} over
   */
  async restart(keys, over) {
    await this.stop();
    await over();
    await this.start(keys);
  }

  /** An access token as its clients get it. */
  async token(resource = AUDIENCE, scope = "orders:read") {
    const basic = Buffer.from(`${CLIENT.client_id}:${CLIENT.client_secret}`).toString("base64");
    const answer = await fetch(`${this.url}/token`, {
      method: "POST",
      headers: { Authorization: `Basic ${basic}`, Connection: "close" },
      body: new URLSearchParams({ grant_type: "client_credentials", resource, scope }),
    });
    const { access_token: token, ...rest } = await answer.json();
    assert.ok(token, JSON.stringify(rest));
    return token;
  }

  /** @param {string} path */
  count(path) {
    return this.requests.filter((one) => one === path).length;
  }
}

/** @param {string} token */
const headerOf = (token) => JSON.parse(Buffer.from(token.split(".")[0], "base64url").toString());

const old = makeKey("RS256", { kid: "old" });
const fresh = makeKey("RS256", { kid: "fresh" });
const issuer = new RealIssuer();
const agent = keepAlive();

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let api;

before(async () => {
  await issuer.start([old]);
  upstream = await startUpstream();
  api = upstream.connection("api", {
    grant: "static",
    fields: {
      rules: [
        { callers: ["reports"], methods: ["GET"], paths: ["/echo"] },
        { callers: ["writers"], methods: ["POST"], paths: ["/echo"] },
      ],
    },
  });
  const caller = { kind: "jwt", issuer: issuer.url, audience: AUDIENCE };
  broker = await startBroker({
    vars: {
      CALLERS: {
        reports: { ...caller, claims: { scope: "orders:read" } },
        writers: { ...caller, claims: { scope: "orders:write" } },
      },
      CONNECTIONS: upstream.vars,
    },
    secrets: upstream.secrets,
  });
});

afterEach(() => upstream.verify());

after(async () => {
  agent.destroy();
  await broker?.stop();
  await upstream?.close();
  await issuer.stop();
});

/**
 * @param {string} token
 * @param {CallOptions} [options]
 */
const ask = (token, options) => broker.call(api.api(), { key: token, agent, ...options });

describe("a client of a real issuer", () => {
  test("may call with its access token", async () => {
    const token = await issuer.token();
    assert.deepEqual(headerOf(token), { alg: "RS256", typ: "at+jwt", kid: "old" });
    assertStatus(await ask(token));
  });

  test("may do what its scope says", async () => {
    assertProblem(await ask(await issuer.token(), { method: "POST", body: "x" }), 403, "operation_not_allowed");
    assertStatus(await ask(await issuer.token(AUDIENCE, SCOPE), { method: "POST", body: "x" }));
    assertStatus(await ask(await issuer.token(AUDIENCE, SCOPE)));
    assertProblem(await ask(await issuer.token(AUDIENCE, "orders:write")), 403, "operation_not_allowed");
  });

  test("may not with a token for another resource, nor with an opaque one", async () => {
    assertProblem(await ask(await issuer.token(ELSEWHERE)), 401, "caller_unauthenticated");
    assertProblem(await ask(await issuer.token(OPAQUE)), 401, "caller_unauthenticated");
  });

  test("makes the broker ask for metadata and keys once", () => {
    assert.deepEqual([issuer.count("/.well-known/openid-configuration"), issuer.count("/jwks")], [1, 1]);
  });
});

/**
 * Calls on and on, every other time with the newest of `tokens`; `stop()` gives what came of it.
 *
 * @param {string[]} tokens
 */
function traffic(tokens) {
  /** @type {{ kid: string, status: unknown }[]} */
  const calls = [];
  let going = true;
  /** @param {number} offset */
  const work = async (offset) => {
    for (let i = offset; going; i += 1) {
      const token = i % 2 ? tokens[tokens.length - 1] : tokens[i % tokens.length];
      const { kid } = headerOf(token);
      const answer = await ask(token).catch((error) => ({ status: error.message }));
      calls.push({ kid, status: answer.status });
    }
  };
  const workers = [0, 1, 2, 3].map(work);
  return {
    calls,
    async stop() {
      going = false;
      await Promise.all(workers);
      return calls;
    },
  };
}

describe("a change of a real issuer's signing keys", () => {
  test("fails no call", { timeout: 60_000 }, async (t) => {
    /** @type {string[]} */
    const tokens = [];
    /** @param {number} count */
    const more = async (count) => {
      for (let i = 0; i < count; i += 1) tokens.push(await issuer.token());
    };
    await more(10);
    const running = traffic(tokens);
    /** @param {number} count */
    const passed = (count) => {
      const enough = running.calls.length + count;
      return until(() => running.calls.length >= enough, `${count} calls`);
    };
    /** @param {() => unknown} change */
    const phase = async (change) => {
      await change();
      await more(10);
      await passed(CALLS);
    };
    const away = () => passed(50);
    await phase(() => {});
    // Calls go on while the issuer is away.
    await phase(() => issuer.restart([fresh, old], away));
    const [since, newest] = [running.calls.length, headerOf(tokens[tokens.length - 1]).kid];
    tokens.splice(0, tokens.length, ...tokens.filter((token) => headerOf(token).kid === "fresh"));
    await phase(() => issuer.restart([fresh], away));
    const calls = await running.stop();

    assert.equal(newest, "fresh");
    const failed = calls.filter(({ status }) => status !== 200);
    assert.deepEqual(failed.slice(0, 5), [], `${failed.length} of ${calls.length} calls failed`);
    /** @param {string} kid */
    const of = (kid, from = 0) => calls.slice(from).filter((one) => one.kid === kid).length;
    assert.ok(
      of("old") >= CALLS && of("fresh", since) >= CALLS,
      `${of("old")} calls with the old key, ${of("fresh")} with the new one`,
    );
    assert.ok(issuer.count("/jwks") <= 3, `${issuer.count("/jwks")} fetches of the keys`);
    t.diagnostic(
      `${calls.length} calls: ${of("old")} with the old key, ${of("fresh")} with the new one; the keys were fetched ${issuer.count("/jwks")} times`,
    );
  });

  test("lets nobody in who knows no more than the new key's name", async () => {
    const { privateKey } = makeKey("RS256", { kid: "fresh" });
    const token = await issuer.token();
    const signed = token.slice(0, token.lastIndexOf("."));
    const forged = signature("RS256", privateKey, signed).toString("base64url");
    assertProblem(await ask(`${signed}.${forged}`), 401, "caller_unauthenticated");
    assertStatus(await ask(token));
  });
});
