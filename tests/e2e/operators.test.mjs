// What operators see and do: the state of each connection, obtaining a token, dropping a token.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus } from "./support/assertions.mjs";
import { startBroker } from "./support/broker.mjs";
import { startUpstream } from "./support/upstream.mjs";
import { until } from "./support/until.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Entry } from "./support/operators.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const OPERATOR = "operator-key-0123456789abcdef";
/** @param {string} password */
const basic = (password, user = "operator") => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;

// What a token endpoint says is nobody's business.
const QUOTE = "<script>secret of the token endpoint</script>";
const REFUSED = { status: 401, body: { error: "invalid_client", error_description: QUOTE } };

const CONNECTIONS = {
  fresh: { grant: "password" },
  refused: { grant: "password" },
  failing: { grant: "password" },
  dropped: { grant: "password" },
  renewed: { grant: "password" },
  fixed: { grant: "static" },
  broken: {},
  quoting: { grant: "password" },
};

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Connection }} */
const c = {};

/**
 * A request of the operator.
 *
 * @param {string} target
 * @param {CallOptions} [options]
 */
const operate = (target, options = {}) => broker.call(`/admin/${target}`, { key: OPERATOR, ...options });

/**
 * The entry of a connection, found in the list and alone alike.
 *
 * @param {string} id
 */
async function entry(id) {
  /** @type {{ connections: Entry[] }} */
  const { connections } = assertStatus(await operate(`connections?q=${id}`)).json();
  const alone = assertStatus(await operate(`connections/${id}`)).json();
  assert.deepEqual(
    connections.filter((entry) => entry.id === id),
    [alone],
  );
  return alone;
}

before(async () => {
  upstream = await startUpstream();
  for (const [id, settings] of Object.entries(CONNECTIONS)) c[id] = upstream.connection(id, settings);
  const vars = upstream.vars;
  vars.broken = { ...vars.broken, base_url: "ftp://example.com/" };
  broker = await startBroker({
    vars: { CONNECTIONS: vars },
    secrets: { ...upstream.secrets, ADMIN_KEY: OPERATOR },
  });
});

after(async () => {
  await broker?.stop();
  upstream?.verify();
  await upstream?.close();
});

describe("the list", () => {
  test("tells of every connection, in the order of the names", async () => {
    const answer = assertStatus(await operate("connections"));
    assertEveryAnswer(answer, "the list");
    /** @type {{ connections: Entry[], next: string | null }} */
    const { connections, next } = answer.json();
    assert.equal(next, null);
    assert.deepEqual(
      connections.map(({ id }) => id),
      Object.keys(CONNECTIONS).sort(),
    );
    for (const entry of connections) {
      const { problems, ...others } = entry;
      assert.equal(problems !== undefined, entry.state === "misconfigured", entry.id);
      assert.deepEqual(Object.keys(others).sort(), [
        "expires_at",
        "grant",
        "grants",
        "id",
        "labels",
        "last_error",
        "obtained_at",
        "provider",
        "retry_at",
        "sealing_key",
        "source",
        "state",
        "subject",
        "webhooks",
      ]);
      assert.equal(entry.source, "configuration");
    }
  });

  test("comes in pages", async () => {
    const ids = [];
    /** @type {string | null} */
    let next = "";
    do {
      /** @type {{ connections: Entry[], next: string | null }} */
      const page = assertStatus(await operate(`connections?limit=3&after=${next}`)).json();
      assert.ok(page.connections.length <= 3);
      ids.push(...page.connections.map(({ id }) => id));
      next = page.next;
    } while (next !== null);
    assert.deepEqual(ids, Object.keys(CONNECTIONS).sort());
    assert.equal(assertStatus(await operate("connections?%6Cimit=%31")).json().connections.length, 1);
    for (const limit of ["0", "101", "-1", "x", ""]) {
      assertProblem(await operate(`connections?limit=${limit}`), 400, "bad_request");
    }
  });

  test("tells a connection from cold to ready, and forgets nothing at a restart", async () => {
    const cold = await entry("fresh");
    assert.deepEqual(
      [cold.state, cold.provider, cold.grant, cold.subject, cold.grants, cold.obtained_at, cold.expires_at],
      ["cold", "custom", "password", "service", 0, null, null],
    );
    assertStatus(await broker.call(c.fresh.api()));
    const ready = await entry("fresh");
    assert.deepEqual(
      [ready.state, ready.grants, ready.last_error, ready.retry_at, ready.sealing_key],
      ["ready", 1, null, null, "k1"],
    );
    assert.match(ready.obtained_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
    assert.equal(Date.parse(ready.expires_at) - Date.parse(ready.obtained_at), 3_600_000);
    assert.ok(Math.abs(Date.parse(ready.obtained_at) - Date.now()) < 60_000);
  });

  test("tells of refused credentials, outages, static tokens and what is misconfigured", async () => {
    c.refused.answerTokenRequest(REFUSED);
    assertProblem(await broker.call(c.refused.api()), 502, "credentials_rejected");
    const refused = await entry("refused");
    assert.deepEqual([refused.state, refused.last_error.code, refused.grants], ["rejected", "credentials_rejected", 0]);
    const wait = Date.parse(refused.retry_at) - Date.now();
    assert.ok(wait > 50_000 && wait < 80_000, refused.retry_at);

    c.failing.answerTokenRequest({ status: 500, body: QUOTE });
    assertProblem(await broker.call(c.failing.api()), 502, "token_endpoint_unreachable");
    const failing = await entry("failing");
    assert.equal(failing.last_error.code, "token_endpoint_unreachable");

    assert.equal((await entry("fixed")).state, "ready");
    const broken = await entry("broken");
    assert.deepEqual(
      [broken.state, broken.provider, broken.grant, broken.subject],
      ["misconfigured", null, null, null],
    );
  });
});

describe("a token now", () => {
  test("is obtained though another is valid, and though something is waited out", async () => {
    assertStatus(await broker.call(c.renewed.api()));
    const before = await entry("renewed");
    const answer = assertStatus(await operate("connections/renewed/refresh", { method: "POST" }));
    assert.deepEqual(answer.json(), await entry("renewed"));
    assert.equal(answer.json().grants, before.grants + 1);
    assert.equal(c.renewed.tokenRequests.length, 2);
    assertStatus(await broker.call(c.renewed.api("/echo?b")));
    assert.equal(c.renewed.tokenRequests.length, 2);
    const [first, second] = c.renewed.requests.slice(-2);
    assert.notEqual(second.token, first.token);
  });

  test("tells why there is none, and does not lock the account by asking itself", async () => {
    c.quoting.answerTokenRequest(REFUSED);
    const refused = await operate("connections/quoting/refresh", { method: "POST" });
    assertProblem(refused, 502, "credentials_rejected");
    assert.ok(Number(refused.headers["retry-after"]) >= 60);
    assertProblem(await broker.call(c.quoting.api()), 503, "connection_unavailable", { cause: "credentials_rejected" });
    assert.equal(c.quoting.tokenRequests.length, 1);
    assertStatus(await operate("connections/quoting/refresh", { method: "POST" }));
    assertStatus(await broker.call(c.quoting.api()));
  });

  test("is one for many who ask at once", async () => {
    const before = c.fresh.tokenRequests.length;
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => operate("connections/fresh/refresh", { method: "POST" })),
    );
    answers.forEach((answer) => assertStatus(answer));
    assert.equal(c.fresh.maxConcurrentTokenRequests, 1);
    assert.ok(c.fresh.tokenRequests.length - before <= 20);
  });

  test("is nothing that the others have", async () => {
    assert.equal(assertStatus(await operate("connections/fixed/refresh", { method: "POST" })).json().state, "ready");
    assertProblem(await operate("connections/broken/refresh", { method: "POST" }), 503, "misconfigured");
    assertProblem(await operate("connections/nobody/refresh", { method: "POST" }), 404, "unknown_connection");
  });
});

describe("a token dropped", () => {
  test("is gone from the keeper, the cache and this isolate, its refresh token too", async () => {
    assertStatus(await broker.call(c.dropped.api()));
    await until(async () => (await entry("dropped")).state === "ready", "the token");
    const dropped = assertStatus(await operate("connections/dropped/token", { method: "DELETE" }), 204);
    assert.equal(dropped.text, "");
    assert.equal((await entry("dropped")).state, "cold");
    const answer = assertStatus(await broker.call(c.dropped.api()));
    assert.equal(answer.serverTiming.token.desc, "grant");
    assert.deepEqual(
      c.dropped.tokenRequests.map(({ parameters }) => parameters.grant_type),
      ["password", "password"],
    );
    // What is not there can be dropped, too.
    assertStatus(await operate("connections/fixed/token", { method: "DELETE" }), 204);
    assertProblem(await operate("connections/nobody/token", { method: "DELETE" }), 404, "unknown_connection");
  });
});

describe("an attacker", () => {
  const targets = [
    ["GET", ""],
    ["GET", "page.js"],
    ["GET", "connections"],
    ["GET", "connections/fresh"],
    ["GET", "connections/nobody"],
    ["PUT", "connections/new"],
    ["DELETE", "connections/new"],
    ["POST", "connections/fresh/refresh"],
    ["DELETE", "connections/fresh/token"],
    ["GET", "nothing"],
  ];

  test("without the key, or with another, learns nothing and changes nothing", async () => {
    const requests = c.fresh.tokenRequests.length;
    for (const [method, target] of targets) {
      for (const authorization of [
        undefined,
        "Bearer wrong",
        `Bearer ${OPERATOR}x`,
        `Bearer ${OPERATOR.slice(0, -1)}`,
        `Bearer ${OPERATOR.toUpperCase()}`,
        basic("wrong"),
        basic("", OPERATOR),
        `Digest ${OPERATOR}`,
        OPERATOR,
        "Basic",
        "Bearer",
      ]) {
        /** @type {{ [name: string]: string }} */
        const headers = authorization === undefined ? {} : { Authorization: authorization };
        const answer = await operate(target, { method, key: null, headers });
        assertProblem(answer, 401, "caller_unauthenticated");
        const challenge = answer.headers["www-authenticate"];
        // A browser asks for the password: Chromium goes by the first challenge.
        assert.match(challenge, /^Basic realm="porteiro", charset="UTF-8", Bearer realm="porteiro"/);
      }
    }
    assert.equal(c.fresh.tokenRequests.length, requests);
  });

  test("on another site cannot use what a browser remembers", async () => {
    const requests = c.fresh.tokenRequests.length;
    for (const [method, target] of targets) {
      for (const headers of /** @type {{ [name: string]: string }[]} */ ([
        { "Sec-Fetch-Site": "cross-site" },
        { "Sec-Fetch-Site": "same-site" },
        { Origin: "https://evil.example" },
        { Origin: "null" },
        { Origin: "https://app.example.com", "Sec-Fetch-Site": "same-origin" },
      ])) {
        const answer = await operate(target, {
          method,
          key: null,
          headers: { Authorization: basic(OPERATOR), ...headers },
        });
        assertProblem(answer, 403, "cross_site_request");
        assert.equal(answer.headers["access-control-allow-origin"], undefined);
      }
    }
    assert.equal(c.fresh.tokenRequests.length, requests);
    const preflight = await operate("connections", {
      method: "OPTIONS",
      key: null,
      origin: "https://app.example.com",
      headers: { "Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization" },
    });
    assert.equal(preflight.status, 401);
    assert.equal(preflight.headers["access-control-allow-origin"], undefined);
  });

  test("finds no secret in any answer or line, whatever was refused", async () => {
    const texts = [];
    for (const target of ["connections", ...Object.keys(CONNECTIONS).map((id) => `connections/${id}`), ""]) {
      texts.push((await operate(target)).text);
    }
    const secrets = [...upstream.issued, ...Object.values(upstream.secrets), OPERATOR, QUOTE];
    for (const text of [...texts, ...broker.output]) {
      for (const secret of secrets) assert.ok(!text.includes(secret), "a secret was told");
    }
  });

  test("leaves a trace, and so does the operator", async () => {
    const since = broker.output.length;
    const { headers } = await operate("connections/nobody/refresh", { method: "POST" });
    const line = await broker.logged(({ event }) => event === "admin", { since });
    assert.deepEqual(line, {
      event: "admin",
      audit: true,
      request_id: headers["x-request-id"],
      action: "refresh",
      connection: "nobody",
      outcome: "unknown_connection",
    });
  });
});

describe("the page", () => {
  test("may do what it must, and nothing else", async () => {
    for (const [target, type] of [
      ["", "text/html"],
      ["page.css", "text/css"],
      ["page.js", "text/javascript"],
    ]) {
      const answer = assertStatus(await operate(target, { key: null, headers: { Authorization: basic(OPERATOR) } }));
      assertEveryAnswer(answer, target);
      assert.equal(answer.headers["content-type"], `${type}; charset=utf-8`);
      assert.equal(
        answer.headers["content-security-policy"],
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      );
      assert.equal(answer.headers["cross-origin-opener-policy"], "same-origin");
      assertProblem(await operate(target, { method: "POST" }), 405, "method_not_allowed");
      const head = assertStatus(await operate(target, { method: "HEAD" }));
      assert.deepEqual(
        [head.text, head.headers["content-security-policy"]],
        ["", answer.headers["content-security-policy"]],
      );
    }
    // Every other answer has the strictest policy.
    const list = assertStatus(await operate("connections"));
    assert.equal(
      list.headers["content-security-policy"],
      "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox",
    );
  });

  test("is found without the slash", async () => {
    const answer = await broker.call("/admin", { key: OPERATOR });
    assert.deepEqual([answer.status, answer.headers.location], [308, `${broker.url}/admin/`]);
  });
});
