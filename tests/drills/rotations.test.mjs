// Rotates every secret under constant load, by the procedures of docs/guides/rotate.md; no call may fail. The secrets
// are enforced by their verifiers: the broker, the provider, the receiver.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { Webhook } from "standardwebhooks";
import { closeServer, listen } from "../../sandbox/provider.mjs";
import { assertProblem, assertStatus } from "../e2e/support/assertions.mjs";
import { EVERYTHING, sealingKey, startBroker } from "../e2e/support/broker.mjs";
import { call, keepAlive, KEY } from "../e2e/support/client.mjs";
import { ADMIN_KEY } from "../e2e/support/events.mjs";
import { until } from "../e2e/support/until.mjs";
import { startFront } from "../e2e/support/front.mjs";
import { Person } from "../e2e/support/person.mjs";
import { newSecret } from "../e2e/support/receiver.mjs";
import { portOf } from "../e2e/support/servers.mjs";
import { startUpstream } from "../e2e/support/upstream.mjs";

/** @import { Broker, LogLine, Secrets } from "../e2e/support/broker.mjs" */
/** @import { Answer, CallOptions } from "../e2e/support/client.mjs" */
/** @import { ConnectionSettings, Connection, Upstream } from "../e2e/support/upstream.mjs" */

// Calls under way at once, of each kind.
const CALLERS = 8;
// Calls that are seen to pass before a procedure goes on.
const ENOUGH = 150;
// A call may be held while the version changes.
const PATIENCE = 60_000;

const newKey = () => randomBytes(32).toString("hex");

const agent = keepAlive();
/** @type {{ [id: string]: Connection }} */
const providers = {};
const [FIRST, SECOND] = [sealingKey("k1"), sealingKey("k2")];
/** What those outside use now. */
const now = { backend: KEY, shop: newKey(), admin: ADMIN_KEY, accountToken: newKey(), webhookSecret: newSecret() };
/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Awaited<ReturnType<typeof startFront>>} */
let front;
/** @type {Awaited<ReturnType<typeof startReceiver>>} */
let receiver;
/** @type {Load} */
let load;
/** @type {Person} */
let person;

before(async () => {
  upstream = await startUpstream();
  receiver = await startReceiver();
  const credentials = { client_secret: "a client secret", username: "an account", password: "a password" };
  const { client_secret } = credentials;
  const webhook = { forward_to: receiver.url, token_field: "token", id_field: "id" };
  /** @type {{ [id: string]: ConnectionSettings }} */
  const all = {
    account: { grant: "password", credentials },
    client: { credentials: { client_secret }, fields: { rules: [{ ...EVERYTHING, callers: ["shop"] }] } },
    fixed: { grant: "static", credentials: { token: "a-static-token" }, fields: { webhook } },
    people: { users: {}, credentials: { client_secret } },
  };
  for (const [id, settings] of Object.entries(all)) {
    providers[id] = upstream.connection(id, { strict: true, ...settings });
  }
  broker = await startBroker({
    vars: {
      CALLERS: { backend: { kind: "key" }, shop: { kind: "key" } },
      CONNECTIONS: upstream.vars,
    },
    secrets: {
      ...upstream.secrets,
      SEALING_KEYS: FIRST,
      SHOP_KEY: now.shop,
      ADMIN_KEY: now.admin,
      FIXED_ACCOUNT_TOKEN: now.accountToken,
      FIXED_WEBHOOK_SECRET: now.webhookSecret,
    },
  });
  front = await startFront(broker);
  person = await signedIn();
  load = new Load();
  load.begin("account", CALLERS, () => send("/api/account/echo", now.backend));
  load.begin("client", CALLERS, () => send("/api/client/echo", now.shop));
  load.begin("fixed", CALLERS, () => send("/api/fixed/echo", now.backend));
  load.begin("people", CALLERS, () => person.send("/api/people/echo", { agent, timeout: PATIENCE }));
  load.begin("operator", 1, () => send("/admin/connections/fixed/webhooks", now.admin), 200);
  load.begin("events", 2, () => sendEvent(now.accountToken), 100);
  await load.passes();
});

after(async () => {
  await load?.end();
  agent.destroy();
  await front?.close();
  await broker?.stop();
  await Promise.all([receiver, upstream].map((one) => one?.close()));
});

/**
 * @param {string} target
 * @param {string | null} key
 * @param {CallOptions} [options]
 */
const send = (target, key, options) => call(front.url, target, { key, agent, timeout: PATIENCE, ...options });

/** @type {Set<string>} */
const sent = new Set();

/** @param {string} token */
async function sendEvent(token) {
  const id = randomBytes(8).toString("hex");
  const answer = await send("/webhooks/fixed", null, { method: "POST", json: { token, id } });
  if (answer.status === 202) sent.add(id);
  return answer;
}

async function signedIn() {
  const { vars } = broker;
  const one = new Person({ vars, call: (target, options) => call(front.url, target, options) }, providers.people);
  await one.signIn(providers.people);
  return one;
}

/** Calls that come without end, and how they were answered. */
class Load {
  /** @type {{ [name: string]: number }} */
  counts = {};
  /**
   * How often each answer came that should not.
   *
   * @type {{ [what: string]: number }}
   */
  failures = {};
  #goesOn = true;
  /** @type {Promise<void>[]} */
  #all = [];

  /**
   * Has `count` callers make one call after the other.
   *
   * @param {string} name
   * @param {number} count
   * @param {() => Promise<Answer>} make
   * @param {number} [pause] in milliseconds
   */
  begin(name, count, make, pause = 20) {
    this.counts[name] = 0;
    for (let number = 0; number < count; number += 1) this.#all.push(this.#go(name, make, pause));
  }

  /** Resolves when every kind of calls was answered often enough from now on. */
  async passes() {
    const before = { ...this.counts };
    /** @type {{ [name: string]: number }} */
    const enough = { operator: 3, events: 6 };
    const passed = () =>
      Object.entries(this.counts).every(([name, count]) => count - before[name] >= (enough[name] ?? ENOUGH / 4));
    await until(passed, "the answers to the calls");
    assert.deepEqual(this.failures, {});
  }

  async end() {
    this.#goesOn = false;
    await Promise.all(this.#all);
  }

  /** @param {string} what */
  #fail(what) {
    this.failures[what] = (this.failures[what] ?? 0) + 1;
  }

  /**
   * @param {string} name
   * @param {() => Promise<Answer>} make
   * @param {number} pause
   */
  async #go(name, make, pause) {
    while (this.#goesOn) {
      const answer = await make().catch(({ message }) => ({ status: message, text: "" }));
      if (answer.status !== (name === "events" ? 202 : 200))
        this.#fail(`${name}: ${answer.status} ${answer.text.match(/"code":"\w+"/)}`);
      this.counts[name] += 1;
      await sleep(pause);
    }
  }
}

/** The application: it knows one webhook secret, and refuses what that did not sign. */
async function startReceiver() {
  /** @type {Set<string>} */
  const got = new Set();
  /** @type {string[]} */
  const refused = [];
  const server = createServer(async (request, response) => {
    const body = await text(request);
    try {
      const headers = /** @type {{ [name: string]: string }} */ (request.headers);
      const event = /** @type {{ id: string }} */ (new Webhook(now.webhookSecret).verify(body, headers));
      got.add(event.id);
      response.writeHead(204).end();
    } catch (error) {
      refused.push(String(error));
      response.writeHead(401).end();
    }
  });
  await listen(server, 0);
  return { url: `http://127.0.0.1:${portOf(server)}/`, got, refused, close: () => closeServer(server) };
}

/**
 * When each provider ended its tokens.
 *
 * @type {{ [id: string]: number[] }}
 */
const ended = {};

/**
 * Has `provider` end all its tokens, and sees calls pass with a new one; the parameters that obtained it. The third
 * time within a minute would begin a backoff.
 *
 * @param {Connection} provider
 */
async function renewed(provider) {
  const times = (ended[provider.id] ??= []);
  const [beforeLast = 0] = times.slice(-2, -1);
  await sleep(Math.max(beforeLast + 61_000 - Date.now(), 0));
  times.push(Date.now());
  const { length } = provider.granted;
  provider.revoke();
  provider.forgetRefreshTokens();
  await provider.until(({ granted }) => granted.length > length, { limit: 20_000, what: "a new token" });
  const [{ parameters }] = provider.granted.slice(-1);
  await load.passes();
  return parameters;
}

/**
 * Sets secrets, as `wrangler secret put` does, and sees calls pass.
 *
 * @param {Secrets} secrets
 */
async function put(secrets) {
  await front.change({ secrets });
  await load.passes();
}

/**
 * The log lines of calls, which `wanted` accepts, while calls pass.
 *
 * @param {(line: LogLine) => unknown} wanted
 */
async function linesOf(wanted) {
  const since = broker.output.length;
  await load.passes();
  return broker.logsSince(since).filter((line) => line.event === "call" && wanted(line));
}

/**
 * Which key the stored token sets are sealed with, where the broker tells.
 *
 * @param {string} connection
 */
async function sealedWith(connection) {
  const answer = await send(`/admin/connections/${connection}`, now.admin);
  return answer.status === 200 ? answer.json().sealing_key : undefined;
}

const refusals = () =>
  Object.entries(providers).flatMap(([id, { tokenRequests }]) =>
    tokenRequests
      // A refresh token that ended is none of them.
      .filter(({ outcome, parameters }) => outcome !== "ok" && parameters.grant_type !== "refresh_token")
      .map(({ outcome, parameters }) => ({ id, outcome, ...parameters })),
  );

describe("under load, without a call that fails", () => {
  test("a sealing key follows another", async () => {
    await put({ SEALING_KEYS: `${FIRST},${SECOND}` });
    await put({ SEALING_KEYS: `${SECOND},${FIRST}` });
    // What is sealed with the first one goes: token sets with the next grant, sessions with their end.
    person = await signedIn();
    for (const id of ["account", "client"]) await renewed(providers[id]);
    for (const id of ["account", "client"]) assert.ok([undefined, "k2"].includes(await sealedWith(id)), id);
    await noneWaits();
    const [since, requests] = [broker.output.length, tokenRequests()];
    await put({ SEALING_KEYS: SECOND });
    // Everything opens: nobody is asked for anything again.
    assert.equal(tokenRequests(), requests);
    assert.deepEqual(
      broker.logsSince(since).filter(({ event, outcome }) => event === "record_unopened" || outcome === "unopened"),
      [],
    );
  });

  test("a client secret follows another, where the provider takes two at a time", async () => {
    const { client } = providers;
    client.clientSecrets.add("a second client secret");
    await put({ CLIENT_CLIENT_SECRET: "a second client secret" });
    assert.equal((await renewed(client)).client_secret, "a second client secret");
    client.clientSecrets.delete("a client secret");
    assert.equal((await renewed(client)).client_secret, "a second client secret");
  });

  test("a client secret follows another, where the provider takes one at a time", async () => {
    const { account } = providers;
    // A token is fresh: nobody needs the secret for the moment.
    await renewed(account);
    account.clientSecrets = new Set(["a second client secret"]);
    await load.passes();
    await put({ ACCOUNT_CLIENT_SECRET: "a second client secret" });
    assert.equal((await renewed(account)).client_secret, "a second client secret");
  });

  test("a password follows another, which ends all tokens at the provider", async () => {
    const { account } = providers;
    await renewed(account);
    await put({ ACCOUNT_PASSWORD: "a second password" });
    account.passwords = new Set(["a second password"]);
    assert.equal((await renewed(account)).password, "a second password");
  });

  test("a caller's key follows another", async () => {
    const [old, next] = [now.shop, newKey()];
    await put({ SHOP_KEY: `${old}, ${next}` });
    /** @param {LogLine} line */
    const ofShop = ({ caller }) => caller === "shop";
    assert.deepEqual(numbers(await linesOf(ofShop), "key"), [1]);
    now.shop = next;
    // Those under way end with the old one.
    await load.passes();
    assert.deepEqual(numbers(await linesOf(ofShop), "key"), [2]);
    await put({ SHOP_KEY: next });
    assert.deepEqual(numbers(await linesOf(ofShop), "key"), [undefined]);
    assertProblem(await send("/api/client/echo", old), 401, "caller_unauthenticated");
  });

  test("an account token of webhooks follows another", async () => {
    const [old, next] = [now.accountToken, newKey()];
    await put({ FIXED_ACCOUNT_TOKEN: `${old},${next}` });
    /** @param {LogLine} line */
    const ofEvents = ({ webhook_id: id }) => id;
    assert.deepEqual(numbers(await linesOf(ofEvents), "account_token"), [1]);
    now.accountToken = next;
    await load.passes();
    assert.deepEqual(numbers(await linesOf(ofEvents), "account_token"), [2]);
    await put({ FIXED_ACCOUNT_TOKEN: next });
    assert.deepEqual(numbers(await linesOf(ofEvents), "account_token"), [undefined]);
    assertProblem(await sendEvent(old), 401, "webhook_rejected");
  });

  test("a webhook secret follows another, and no delivery is refused", async () => {
    const [old, next] = [now.webhookSecret, newSecret()];
    await put({ FIXED_WEBHOOK_SECRET: `${old},${next}` });
    await noneWaits();
    now.webhookSecret = next;
    await load.passes();
    await put({ FIXED_WEBHOOK_SECRET: next });
    await noneWaits();
    assert.deepEqual(receiver.refused, []);
  });

  test("the operators' key follows another", async () => {
    const [old, next] = [now.admin, newKey()];
    await put({ ADMIN_KEY: `${old},${next}` });
    now.admin = next;
    await load.passes();
    await put({ ADMIN_KEY: next });
    assertProblem(await send("/admin/connections/fixed/webhooks", old), 401, "caller_unauthenticated");
  });

  test("a static token follows another", async () => {
    const { fixed } = providers;
    fixed.live.add("a-second-static-token");
    await put({ FIXED_TOKEN: "a-second-static-token" });
    fixed.live.delete("a-static-token");
    await load.passes();
    assert.deepEqual(
      fixed.requests.filter(({ status }) => status === 401),
      [],
    );
    assertStatus(await send("/api/fixed/echo", now.backend));
  });

  test("every call was served, every event delivered, and no secret refused", async (context) => {
    await load.end();
    await noneWaits();
    const calls = Object.values(load.counts).reduce((sum, count) => sum + count, 0);
    context.diagnostic(`${calls} calls: ${JSON.stringify(load.counts)}`);
    assert.deepEqual(load.failures, {});
    assert.ok(calls > 2_000, `${calls} calls are no load`);
    assert.deepEqual(refusals(), []);
    upstream.verify();
    assert.deepEqual([[...sent].filter((id) => !receiver.got.has(id)), receiver.refused], [[], []]);
  });
});

const tokenRequests = () => Object.values(providers).reduce((sum, { tokenRequests }) => sum + tokenRequests.length, 0);

/**
 * @param {LogLine[]} lines
 * @param {string} member
 */
const numbers = (lines, member) => [...new Set(lines.map((line) => line[member]))].sort();

/** Resolves when all that was sent by now is delivered. */
function noneWaits() {
  const all = [...sent];
  return until(() => all.every((id) => receiver.got.has(id)), "the delivery of every event");
}
