// Connections made at run time: registered, called, listed, changed and removed. With `CONNECTIONS=10000`, one test
// makes that many; every other test has a few.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import { delivered } from "./support/events.mjs";
import { startReceiver } from "./support/receiver.mjs";
import { until } from "./support/until.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker, Vars } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Entry } from "./support/operators.mjs" */
/** @import { Inbox, Receiver } from "./support/receiver.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

/** @typedef {{ field: string, message: string }} Fault */

const OPERATOR = "operator-key-0123456789abcdef";
const MANY = Number(process.env.CONNECTIONS ?? 45);
// Several pages, however many there are.
const PAGE = Math.min(100, Math.ceil(MANY / 3));
const AT_ONCE = 16;

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Receiver} */
let receiver;
const agent = keepAlive();
/** @type {{ [id: string]: Connection }} */
const c = {};

/**
 * @param {string} id
 * @param {CallOptions} [options]
 */
const operate = (id, options = {}) =>
  broker.call(`/admin/connections/${id}`, { key: OPERATOR, agent, timeout: 60_000, ...options });

/**
 * What registers the stub's connection `connection`.
 *
 * @param {Connection} connection
 * @param {Vars} [changes]
 * @returns {Vars}
 */
const registration = ({ vars, credentials }, changes = {}) => ({
  ...vars,
  secrets: JSON.parse(JSON.stringify(credentials)),
  ...changes,
});
/**
 * @param {string} id
 * @param {unknown} json
 */
const put = (id, json) => operate(id, { method: "PUT", json });

before(async () => {
  upstream = await startUpstream();
  receiver = await startReceiver();
  c.configured = upstream.connection("configured", { grant: "password" });
  broker = await startBroker({
    vars: { CONNECTIONS: upstream.vars },
    secrets: { ...upstream.secrets, ADMIN_KEY: OPERATOR },
  });
  for (const id of ["shop", "moved", "changed", "gone", "shared"])
    c[id] = upstream.connection(id, { grant: "password" });
  c.fixed = upstream.connection("fixed", { grant: "static" });
});

after(async () => {
  agent.destroy();
  await broker?.stop();
  receiver?.verify();
  await receiver?.close();
  upstream?.verify();
  await upstream?.close();
});

describe("a registered connection", () => {
  test("is called at once, and after a restart", async () => {
    assertProblem(await broker.call(c.shop.api()), 404, "unknown_connection");
    const registered = assertStatus(await put("shop", registration(c.shop)), 201).json();
    assert.deepEqual(
      [registered.id, registered.source, registered.state, registered.grant],
      ["shop", "registry", "cold", "password"],
    );
    assertStatus(await broker.call(c.shop.api("/echo?x=1"), { method: "POST", body: "b" }));
    assert.equal(c.shop.lastRequest.below, "/echo?x=1");
    const warm = assertStatus(await broker.call(c.shop.api("/status/200")));
    assert.equal(warm.serverTiming.token.desc, "memory");
    await broker.restart();
    assertStatus(await broker.call(c.shop.api()));
    assert.equal(c.shop.tokenRequests.length, 1);
    assert.equal(assertStatus(await operate("shop")).json().state, "ready");
  });

  test("shows its fields, and of its secrets the names", async () => {
    const shown = assertStatus(await operate("shop"));
    assert.deepEqual(shown.json().connection, c.shop.vars);
    assert.deepEqual(shown.json().secrets, ["client_id", "client_secret", "password", "username"]);
    for (const secret of Object.values(c.shop.credentials)) assert.ok(!shown.text.includes(secret));
  });

  test("may have a static token", async () => {
    assertStatus(await put("fixed", registration(c.fixed)), 201);
    assert.equal(assertStatus(await broker.call(c.fixed.api())).serverTiming.token.desc, "static");
    assertStatus(await operate("fixed", { method: "DELETE" }), 204);
  });

  test("is checked like a configured one: every problem at once, and nothing changes", async () => {
    const wrong = registration(c.shop, {
      base_url: "http://canary.example.com",
      colour: "canary",
      timeout_ms: "canary",
      rules: [{ callers: ["canary"], methods: ["canary"], paths: ["canary"] }],
      secrets: { username: 7, pin: "canary" },
    });
    const refused = await put("shop", wrong);
    /** @type {{ problems: Fault[] }} */
    const { problems } = assertProblem(refused, 400, "bad_request");
    const fields = problems.map(({ field }) => field);
    for (const field of [
      "base_url",
      "colour",
      "timeout_ms",
      "rules[0].callers[0]",
      "rules[0].methods[0]",
      "rules[0].paths[0]",
      "secrets.username",
      "secrets.pin",
    ])
      assert.ok(fields.includes(field), `${field} is not among ${fields}`);
    assert.ok(!refused.text.includes("canary") && problems.every(({ message }) => message.length > 5));
    assertStatus(await broker.call(c.shop.api()));
    for (const body of ["", "{", "[]", "null", '{"a":1,"a":2}', '{"secrets":7}']) {
      assertProblem(await operate("shop", { method: "PUT", body }), 400, "bad_request");
    }
    assertProblem(await operate("shop", { method: "PUT", body: "x".repeat(70_000) }), 413, "body_too_large");
    assertProblem(await put("a.b", registration(c.shop)), 400, "bad_request");
    assertProblem(await operate("shop", { method: "POST" }), 405, "method_not_allowed");
  });

  test("does not take the place of a configured one", async () => {
    assertProblem(await put("configured", registration(c.shop)), 409, "connection_configured");
    assertProblem(await operate("configured", { method: "DELETE" }), 409, "connection_configured");
    assertStatus(await broker.call(c.configured.api()));
  });

  test("is replaced, its secrets kept where they are not named", async () => {
    assertStatus(await put("changed", registration(c.changed)), 201);
    assertStatus(await broker.call(c.changed.api()));
    const rules = [{ callers: ["backend"], methods: ["GET"], paths: ["/status/*"] }];
    assertStatus(await put("changed", registration(c.changed, { rules, secrets: {} })), 200);
    assertProblem(await broker.call(c.changed.api()), 403, "operation_not_allowed");
    assertStatus(await broker.call(c.changed.api("/status/200")));
    assert.equal(c.changed.tokenRequests.length, 1, "the token set is the same");
  });

  test("is no way to have secrets sent elsewhere", async () => {
    assertStatus(await put("moved", registration(c.moved)), 201);
    const elsewhere = registration(c.moved, { token_url: c.shared.tokenUrl, secrets: {} });
    /** @type {{ problems: Fault[] }} */
    const { problems } = assertProblem(await put("moved", elsewhere), 400, "bad_request");
    assert.ok(problems.some(({ field }) => field === "secrets.password"));
    assert.equal(c.shared.tokenRequests.length, 0);
  });

  test("takes webhooks", async () => {
    const inbox = receiver.inbox("hooked", { provider: "custom", webhook: { token_field: "api_token" } });
    const secrets = {
      token: inbox.secrets.HOOKED_TOKEN,
      account_token: inbox.token,
      webhook_secret: inbox.secrets.HOOKED_WEBHOOK_SECRET,
    };
    assertStatus(await put("hooked", { ...inbox.vars, secrets }), 201);
    /** @param {string} body */
    const send = (body) =>
      broker.call(inbox.path, { method: "POST", key: null, body, headers: { "Content-Type": "application/json" } });
    assertProblem(await send(inbox.event({ api_token: "wrong" })), 401, "webhook_rejected");
    assertStatus(await send(inbox.event({ order: 17 })), 202);
    await delivered(inbox, 1);
    assert.equal(JSON.parse(inbox.texts[0]).order, 17);
    assert.ok(!inbox.texts[0].includes(inbox.token));
    const { webhooks } = assertStatus(await operate("hooked")).json();
    assert.deepEqual(webhooks, { pending: 0, failed: 0 });
    assert.deepEqual(assertStatus(await operate("hooked/webhooks")).json(), { webhooks: [], next: null });
  });

  test("is removed with its token set and its secrets", async () => {
    assertStatus(await put("gone", registration(c.gone)), 201);
    assertStatus(await broker.call(c.gone.api()));
    assertStatus(await operate("gone", { method: "DELETE" }), 204);
    assertProblem(await broker.call(c.gone.api()), 404, "unknown_connection");
    for (const method of ["GET", "DELETE"]) assertProblem(await operate("gone", { method }), 404, "unknown_connection");
    assertStatus(await put("gone", registration(c.gone)), 201);
    assertStatus(await broker.call(c.gone.api()));
    assert.equal(c.gone.tokenRequests.at(-1)?.parameters.grant_type, "password", "nothing was left of before");
  });

  test("hands no event of one that was removed to the next of its name", async () => {
    const [old, next] = ["old", "next"].map((id) =>
      receiver.inbox(id, { provider: "custom", webhook: { token_field: "api_token" } }),
    );
    old.always = { status: 500 };
    /**
     * @param {Inbox} inbox
     * @param {string} prefix
     */
    const of = (inbox, prefix) => ({
      ...inbox.vars,
      secrets: { token: "t", account_token: inbox.token, webhook_secret: inbox.secrets[`${prefix}_WEBHOOK_SECRET`] },
    });
    assertStatus(await put("reused", of(old, "OLD")), 201);
    assertStatus(
      await broker.call("/webhooks/reused", {
        method: "POST",
        key: null,
        body: old.event({ customer: "the first" }),
        headers: { "Content-Type": "application/json" },
      }),
      202,
    );
    await delivered(old, 1);
    assert.deepEqual(assertStatus(await operate("reused")).json().webhooks, { pending: 1, failed: 0 });
    assertStatus(await operate("reused", { method: "DELETE" }), 204);
    const made = assertStatus(await put("reused", of(next, "NEXT")), 201).json();
    assert.deepEqual(made.webhooks, { pending: 0, failed: 0 });
    assert.deepEqual(assertStatus(await operate("reused/webhooks")).json(), { webhooks: [], next: null });
    assert.deepEqual([old.deliveries.length, next.deliveries.length], [1, 0]);
    assertStatus(await operate("reused", { method: "DELETE" }), 204);
  });

  test("never has its token sent to another address", async () => {
    const [first, second] = ["here", "there"].map((id) => upstream.connection(id, { grant: "password" }));
    assertStatus(await put("moving", registration(first)), 201);
    assertStatus(await broker.call("/api/moving/echo"));
    // The account and the token endpoint are the same, the secret is a guess.
    const moved = registration(first, { base_url: second.baseUrl });
    moved.secrets.client_secret = "a guess";
    assertStatus(await put("moving", moved), 200);
    await broker.call("/api/moving/echo");
    assert.ok(
      !second.requests.some(({ token }) => token === first.requests[0].token),
      "the token came to the other address",
    );
    assert.ok(second.requests.length > 0 && first.tokenRequests.length >= 2, "another one was obtained for it");
  });

  test("drops a token that comes while it is dropped", async () => {
    const late = upstream.connection("late", { grant: "password" });
    assertStatus(await put("late", registration(late)), 201);
    /** @type {PromiseWithResolvers<void>} */
    const { promise: hold, resolve: release } = Promise.withResolvers();
    late.answerTokenRequest({ hold });
    const called = broker.call("/api/late/echo");
    await late.until(({ tokenRequests }) => tokenRequests.length === 1);
    const dropped = operate("late/token", { method: "DELETE" });
    // Whichever comes first. What was asked meanwhile is answered.
    assertStatus(await broker.call("/healthz"));
    release();
    const { headers } = assertStatus(await called);
    assertStatus(await dropped, 204);
    await broker.logged(({ request_id: id, status }) => id === headers["x-request-id"] && status === 200);
    await broker.restart();
    assert.equal(assertStatus(await broker.call("/api/late/echo")).serverTiming.token.desc, "grant");
  });

  test("is listed where it is there, whoever registers and removes it at once", async () => {
    for (let round = 0; round < 8; round += 1) {
      const id = `raced-${round % 2}`;
      await Promise.all([
        put(id, registration(c.shared)),
        operate(id, { method: "DELETE" }),
        put(id, { provider: "wrong" }),
        put(id, registration(c.shared)),
      ]);
      const shown = (await operate(id)).status === 200;
      const { connections } = assertStatus(await broker.call(`/admin/connections?q=${id}`, { key: OPERATOR })).json();
      assert.equal(connections.length === 1, shown, `round ${round}: ${shown} and ${JSON.stringify(connections)}`);
    }
  });

  test("takes null and nothing for no secret", async () => {
    const some = registration(c.shop);
    some.secrets = { ...some.secrets, audience: null, token: "", refresh_token: null };
    assertStatus(await put("sparse", some), 201);
    assert.deepEqual(assertStatus(await operate("sparse")).json().secrets, [
      "client_id",
      "client_secret",
      "password",
      "username",
    ]);
  });

  test("is told of when its static token is refused again after it was dropped", async () => {
    const fixed = upstream.connection("told", { grant: "static" });
    assertStatus(await put("told", registration(fixed)), 201);
    fixed.revoke();
    for (let times = 0; times < 2; times += 1) {
      assertProblem(await broker.call("/api/told/echo"), 502, "upstream_unauthorized");
      await until(async () => assertStatus(await operate("told")).json().state === "rejected", "the refusal");
      assertStatus(await operate("told/token", { method: "DELETE" }), 204);
      assert.equal(assertStatus(await operate("told")).json().state, "ready");
    }
  });

  test("is served where the operators' key is wrong", async () => {
    await broker.restart({ secrets: { ADMIN_KEY: `${OPERATOR},short` } });
    assertStatus(await broker.call(c.shop.api()));
    assert.equal((await operate("shop")).status, 401);
    await broker.restart({ secrets: { ADMIN_KEY: OPERATOR } });
    assertStatus(await operate("shop"));
  });

  test("leaves no secret in any line", async () => {
    const { headers } = assertStatus(await broker.call(c.shop.api()));
    await broker.logged(({ request_id: id }) => id === headers["x-request-id"], { what: "the last line" });
    for (const connection of Object.values(c)) {
      for (const [name, secret] of Object.entries(connection.credentials)) {
        if (name === "client_id" || secret === undefined) continue;
        assert.ok(!broker.output.some((line) => line.includes(secret)), `${connection.id}: ${name}`);
      }
    }
  });
});

describe(`${MANY} registered connections`, () => {
  const ids = Array.from({ length: MANY }, (_, number) => `m-${String(number).padStart(5, "0")}`);

  /**
   * Does `act` for each id, some at once.
   *
   * @param {string[]} list
   * @param {(id: string) => Promise<unknown>} act
   */
  async function each(list, act) {
    const left = [...list];
    const hand = async () => {
      for (let id = left.shift(); id !== undefined; id = left.shift()) await act(id);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, hand));
  }

  test("are made, listed, used and removed", async () => {
    await each(ids, async (id) => assertStatus(await put(id, registration(c.shared)), 201));

    /** @type {Entry[]} */
    const listed = [];
    /** @type {string | null} */
    let next = "m-";
    do {
      /** @type {{ connections: Entry[], next: string | null }} */
      const page = assertStatus(
        await broker.call(`/admin/connections?limit=${PAGE}&after=${next}`, { key: OPERATOR, agent }),
      ).json();
      listed.push(...page.connections);
      next = page.next;
    } while (next !== null);
    const of = listed.filter(({ id }) => id.startsWith("m-"));
    assert.deepEqual(
      of.map(({ id }) => id),
      ids,
    );
    assert.ok(of.every(({ state, source }) => state === "cold" && source === "registry"));

    const used = ids.filter((_, number) => number % Math.ceil(MANY / 50) === 0);
    await each(used, async (id) => {
      assertStatus(await broker.call(`/api/${id}/echo`, { agent }));
      assert.equal(assertStatus(await broker.call(`/api/${id}/echo`, { agent })).serverTiming.token.desc, "memory");
    });
    assert.equal(c.shared.tokenRequests.length, used.length, "each has a token set of its own");

    await each(ids, async (id) => assertStatus(await operate(id, { method: "DELETE" }), 204));
    const left = assertStatus(await broker.call("/admin/connections?q=m-0", { key: OPERATOR })).json();
    assert.deepEqual(left.connections, []);
    assertProblem(await broker.call(`/api/${ids[0]}/echo`), 404, "unknown_connection");
  });
});
