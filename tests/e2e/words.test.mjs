// The language of the broker's own words, and what its operator is told of a refusal that a caller is not.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus, list } from "./support/assertions.mjs";
import { KEY, ORIGIN, startBroker } from "./support/broker.mjs";
import { undocumented } from "./support/log-lines.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { Connection, TokenReply, Upstream } from "./support/upstream.mjs" */

const OPERATOR = "operator-key-0123456789abcdef";
const OTHER_ORIGIN = "http://localhost:5173";
// What a line or an answer must never hold, wherever it came in.
const CANARY = "c4n4ry";
const PORTUGUESE = "pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7";

/**
 * Each answer of a token endpoint that grants nothing, with what operators are told of it.
 *
 * @type {{ [id: string]: [reply: TokenReply, code: string, reason: string | null, status: number | null] }}
 */
const REFUSALS = {
  client: [
    { status: 401, body: { error: "invalid_client", error_description: CANARY } },
    "credentials_rejected",
    "invalid_client",
    401,
  ],
  scope: [{ status: 400, body: { error: "invalid_scope" } }, "credentials_rejected", "invalid_scope", 400],
  unknown: [{ status: 403, body: { error: CANARY } }, "credentials_rejected", "other", 403],
  page: [{ body: `<title>${CANARY}</title>` }, "token_response_invalid", "not_json", 200],
  nothing: [{ body: { token: CANARY } }, "token_response_invalid", "no_access_token", 200],
  mac: [{ set: { token_type: CANARY } }, "token_response_invalid", "unknown_token_type", 200],
  moved: [
    { status: 307, headers: { Location: `https://${CANARY}.example/` }, body: "" },
    "token_response_invalid",
    "redirect",
    307,
  ],
  down: [{ status: 503, body: CANARY }, "token_endpoint_unreachable", "other", 503],
  gone: [{ reset: true }, "token_endpoint_unreachable", null, null],
};

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let plain;
/** @type {{ [id: string]: Connection }} */
const refused = {};
/** @type {string[]} */
const told = [];

before(async () => {
  upstream = await startUpstream();
  const rule = { callers: ["backend"], methods: ["GET"], paths: ["/echo"] };
  plain = upstream.connection("plain", {
    grant: "static",
    fields: {
      rules: [
        rule,
        { ...rule, callers: ["reports"], paths: ["/invoices/*"] },
        { ...rule, methods: ["POST"], paths: ["/orders", "/orders/**"] },
      ],
    },
  });
  for (const id of Object.keys(REFUSALS)) refused[id] = upstream.connection(id);
  upstream.connection("broken", {
    grant: "password",
    fields: { timeout_ms: CANARY, rules: [{ ...rule, paths: [CANARY] }], [CANARY.toUpperCase()]: "the value" },
    credentials: { client_id: "id", client_secret: "s3cret", username: "name", password: '"the password"' },
  });
  broker = await startBroker({
    vars: {
      ALLOWED_ORIGINS: [ORIGIN, OTHER_ORIGIN],
      CALLERS: { backend: { kind: "key" }, reports: { kind: "key" } },
      CONNECTIONS: upstream.vars,
    },
    secrets: { ...upstream.secrets, REPORTS_KEY: `reports-${KEY}`, ADMIN_KEY: OPERATOR },
  });
});

afterEach(() => upstream.verify());

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/** @param {string} target @param {CallOptions} [options] */
async function ask(target, options) {
  const answer = await broker.call(target, options);
  told.push(JSON.stringify([answer.rawHeaders, answer.text]));
  return answer;
}

/** @param {Answer} answer */
const lineOf = (answer) =>
  broker.logged(({ event, request_id }) => event === "call" && request_id === answer.headers["x-request-id"]);

/** @param {string} id */
const entry = async (id) => assertStatus(await ask(`/admin/connections/${id}`, { key: OPERATOR })).json();

describe("a problem", () => {
  /** @type {[status: number, code: string, target: string, options: CallOptions][]} */
  const PROBLEMS = [
    [400, "bad_path", "/api/plain/a%2fb", {}],
    [401, "caller_unauthenticated", "/api/plain/echo", { key: null }],
    [401, "caller_unauthenticated", "/admin/connections", {}],
    [403, "origin_not_allowed", "/api/plain/echo", { origin: "https://evil.example" }],
    [403, "operation_not_allowed", "/api/plain/elsewhere", {}],
    [404, "not_found", "/nowhere", {}],
    [404, "unknown_connection", "/api/none/echo", { origin: ORIGIN }],
    [405, "method_not_allowed", "/healthz", { method: "POST" }],
    [503, "misconfigured", "/api/broken/echo", {}],
    [400, "bad_request", "/admin/connections/new", { method: "PUT", key: OPERATOR, json: {} }],
  ];

  test("is Portuguese or English as the caller prefers, with one code", async () => {
    for (const [status, code, target, options] of PROBLEMS) {
      const said = [];
      for (const [accepted, language] of [
        [PORTUGUESE, "pt-BR"],
        ["en-US,en;q=0.9,pt;q=0.8", "en"],
        ["fr", "en"],
      ]) {
        const answer = await ask(target, { ...options, headers: { "Accept-Language": accepted } });
        const { title, detail } = assertProblem(answer, status, code);
        assertEveryAnswer(answer, code);
        assert.equal(answer.headers["content-language"], language, code);
        assert.deepEqual(list(answer.headers.vary), ["origin", "accept-language"], code);
        said.push([title, detail]);
      }
      const [portuguese, english, neither] = said;
      assert.deepEqual(english, neither, code);
      for (const at of [0, 1]) assert.notEqual(portuguese[at], english[at], code);
    }
  });

  test("is English where the caller says nothing, and spells as people do", async () => {
    const silent = await ask("/nowhere");
    assert.deepEqual([silent.headers["content-language"], silent.json().title], ["en", "Not found"]);
    const portuguese = await ask("/nowhere", { headers: { "Accept-Language": "pt" } });
    const { title, detail } = portuguese.json();
    assert.deepEqual([title, detail], ["Não encontrado", "Não há nada neste endereço."]);
  });

  test("has a page behind its type that follows the same choice", async () => {
    for (const [accepted, language, begin] of [
      [PORTUGUESE, "pt-BR", "login_rejected (HTTP 401): Login recusado.\n\nO provedor recusou este usuário e senha."],
      ["de", "en", "login_rejected (HTTP 401): Login rejected.\n\nThe provider refused this user name and password."],
    ]) {
      const headers = { "Accept-Language": accepted };
      const answer = assertStatus(await ask("/problems/login_rejected", { key: null, headers }));
      assert.equal(answer.headers["content-type"], "text/plain; charset=utf-8");
      assert.equal(answer.headers["content-language"], language);
      assert.deepEqual(list(answer.headers.vary), ["origin", "accept-language"]);
      assert.ok(answer.text.startsWith(begin), answer.text);
    }
  });

  test("lets a page read its language, which needs no further field", async () => {
    const headers = { "Accept-Language": PORTUGUESE };
    const answer = await ask("/api/plain/elsewhere", { origin: ORIGIN, headers });
    assert.equal(answer.headers["content-language"], "pt-BR");
    assert.ok(!list(answer.headers["access-control-expose-headers"]).includes("content-language"));
  });

  test("has a language that an upstream's own answer does not get from the broker", async () => {
    const answer = assertStatus(await ask(plain.api(), { headers: { "Accept-Language": PORTUGUESE } }));
    assert.equal(answer.headers["content-language"], undefined);
    assert.ok(!list(answer.headers.vary).includes("accept-language"));
  });
});

describe("the line of a refusal", () => {
  test("has the origin beside those that may call, and no other text", async () => {
    for (const [origin, logged] of [
      ["https://evil.example", "https://evil.example"],
      ["http://app.example.com", "http://app.example.com"],
      ["https://app.example.com:8443", "https://app.example.com:8443"],
      ["null", "null"],
      [`https://${CANARY}@app.example.com`, "none"],
      [`https://app.example.com/${CANARY}`, "none"],
      [`https://app.example.com?${CANARY}`, "none"],
      [CANARY, "none"],
    ]) {
      for (const options of [
        { origin },
        { origin, method: "OPTIONS", headers: { "Access-Control-Request-Method": "GET" } },
      ]) {
        const answer = await ask(plain.api(), options);
        assertProblem(answer, 403, "origin_not_allowed");
        assert.ok(!answer.text.includes(OTHER_ORIGIN) && !answer.text.includes(origin), origin);
        const line = await lineOf(answer);
        assert.deepEqual([line.origin, line.allowed_origins], [logged, [ORIGIN, OTHER_ORIGIN]], origin);
      }
    }
  });

  test("has the caller, the method and a pattern that the path fits, never the path", async () => {
    /** @type {[method: string, path: string, logged: string, pattern: string | undefined][]} */
    const calls = [
      ["GET", `/invoices/${CANARY}`, "GET", "/invoices/*"],
      ["DELETE", `/orders/${CANARY}/items?${CANARY}=${CANARY}`, "DELETE", "/orders/**"],
      ["PUT", "/orders", "PUT", "/orders"],
      ["GET", `/${CANARY}`, "GET", undefined],
    ];
    for (const [method, path, logged, pattern] of calls) {
      const answer = await ask(plain.api(path), { method });
      assertProblem(answer, 403, "operation_not_allowed");
      assert.ok(!/invoices\/\*|orders\/\*|backend/.test(answer.text), answer.text);
      const line = await lineOf(answer);
      assert.deepEqual([line.caller, line.method, line.path], ["backend", logged, pattern], path);
    }
  });
});

describe("what operators are told", () => {
  test("of a token endpoint that grants nothing is a word and the status, also after a restart", async () => {
    const expected = Object.entries(REFUSALS).map(([id, [, code, reason, status]]) => ({ id, code, reason, status }));
    for (const { id, code, reason, status } of expected) {
      refused[id].answerTokenRequest(REFUSALS[id][0]);
      const answer = await ask(`/api/${id}/echo`);
      assertProblem(answer, code === "token_endpoint_timeout" ? 504 : 502, code);
      if (reason !== null) assert.ok(!answer.text.includes(`"${reason}"`), "the caller is not told");
      const line = await broker.logged(({ event, connection }) => event === "grant" && connection === id);
      assert.deepEqual([line.outcome, line.reason ?? null, line.status ?? null], [code, reason, status], id);
    }
    const before = await Promise.all(expected.map(({ id }) => entry(id)));
    await broker.kill();
    await broker.start();
    for (const [at, { id, code, reason, status }] of expected.entries()) {
      const { last_error } = await entry(id);
      assert.deepEqual(last_error, { code, at: last_error.at, reason, status }, id);
      assert.deepEqual(last_error, before[at].last_error, id);
    }
  });

  test("of a connection that is misconfigured is every problem, by field", async () => {
    const { state, problems } = await entry("broken");
    assert.equal(state, "misconfigured");
    assert.deepEqual(problems.map((/** @type {{ field: string }} */ { field }) => field).sort(), [
      "BROKEN_PASSWORD",
      "CONNECTIONS.broken.C4N4RY",
      "CONNECTIONS.broken.rules[0].paths[0]",
      "CONNECTIONS.broken.timeout_ms",
    ]);
    const listed = assertStatus(await ask("/admin/connections", { key: OPERATOR })).json().connections;
    for (const one of listed) assert.deepEqual(one.problems, one.id === "broken" ? problems : undefined, one.id);
    for (const { field, message } of problems) {
      const line = await broker.logged((log) => log.event === "configuration_problem" && log.field === field);
      assert.deepEqual([line.connection, line.problem], ["broken", message], field);
    }
  });

  test("of a registered connection that is no longer usable is what its registration lacks", async () => {
    const { vars } = upstream.connection("registered", { grant: "static" });
    const json = { ...vars, secrets: { token: `token-${CANARY}` } };
    const operator = { key: OPERATOR, method: "PUT", json };
    assertStatus(await ask("/admin/connections/registered", operator), 201);
    await broker.kill();
    broker.vars.CALLERS = { reports: { kind: "key" } };
    await broker.start();
    const { state, problems } = await entry("registered");
    assert.equal(state, "misconfigured");
    assert.deepEqual(problems, [
      { field: "rules[0].callers[0]", message: "must be the name of a caller in CALLERS, or anyone or session" },
    ]);
  });

  test("is in the page about log lines", () => {
    assert.ok(broker.logs.length > 50);
    assert.deepEqual(undocumented(broker.logs), []);
  });
});

test("no line and no answer holds what callers and providers wrote, nor a value of the configuration", () => {
  assert.ok(told.length > 80 && broker.logs.length > 50);
  for (const text of [...told, ...broker.output]) {
    for (const canary of [CANARY, "the password", "the value", "s3cret"]) assert.ok(!text.includes(canary), text);
  }
});
