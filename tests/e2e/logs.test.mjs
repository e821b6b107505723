// The log lines that operators read.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, KEY, startBroker } from "./support/broker.mjs";
import { eventsInCode, sections, undocumented } from "./support/log-lines.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker, LogLine } from "./support/broker.mjs" */
/** @import { Answer } from "./support/client.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let plain;
/** @type {Connection} */
let refused;

before(async () => {
  upstream = await startUpstream();
  plain = upstream.connection("plain", {
    fields: {
      rules: [
        { ...EVERYTHING, paths: ["/echo/people/*"] },
        { ...EVERYTHING, paths: ["/status/*"] },
      ],
    },
  });
  refused = upstream.connection("refused", {});
  broker = await startBroker({ vars: { CONNECTIONS: upstream.vars }, secrets: upstream.secrets });
});

afterEach(() => upstream.verify());

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/** @param {Answer} answer */
const lineOf = (answer) =>
  broker.logged((log) => log.request_id === answer.headers["x-request-id"] && log.status !== undefined, {
    what: "the request's line",
  });

describe("a request", () => {
  test("is one line with what an operator needs", async () => {
    const answer = assertStatus(
      await broker.call(plain.api("/echo/people/maria?cpf=12345678900"), {
        method: "POST",
        body: "body-of-the-request",
      }),
    );
    const line = await lineOf(answer);
    const { connection, caller, method, path, status, token, upstream_ms } = line;
    assert.deepEqual(
      { connection, caller, method, path, status, token },
      {
        connection: "plain",
        caller: "backend",
        method: "POST",
        path: "/echo/people/*",
        status: 200,
        token: answer.tokenSource,
      },
    );
    assert.equal(typeof upstream_ms, "number");
    const lines = broker.logs.filter(
      ({ request_id, status: one }) => request_id === answer.headers["x-request-id"] && one !== undefined,
    );
    assert.equal(lines.length, 1);
  });

  test("that reaches the upstream is logged with its status", async () => {
    for (const status of [404, 500]) {
      const line = await lineOf(assertStatus(await broker.call(plain.api(`/status/${status}`)), status));
      assert.equal(line.status, status);
    }
  });

  test("that is refused is a line too", async () => {
    refused.answerTokenRequest({
      status: 401,
      body: { error: "invalid_client", error_description: "said-by-the-token-endpoint" },
    });
    /** @type {[status: number, answer: Answer][]} */
    const answers = [
      [401, await broker.call(plain.api("/echo/people/1"), { key: null })],
      [403, await broker.call(plain.api("/elsewhere"))],
      [400, await broker.call(plain.api("/a%2fb"))],
      [404, await broker.call("/nowhere")],
      [502, await broker.call(refused.api())],
      [503, await broker.call(refused.api())],
    ];
    for (const [status, answer] of answers) assert.equal((await lineOf(answer)).status, status, answer.text);
  });
});

describe("a grant", () => {
  test("is one line that names its connection", async () => {
    /** @param {LogLine} log */
    const isGrant = (log) =>
      log.connection === "plain" && log.path === undefined && JSON.stringify(log).includes("client_credentials");
    await broker.logged(isGrant, { what: "the grant's line" });
    assert.equal(plain.tokenRequests.length, 1);
    assert.equal(broker.logs.filter(isGrant).length, 1);
  });

  test("that failed is one line with its code", async () => {
    /** @param {LogLine} log */
    const isFailure = (log) =>
      log.connection === "refused" && log.path === undefined && JSON.stringify(log).includes("credentials_rejected");
    await broker.logged(isFailure, { what: "the failed grant's line" });
    assert.equal(broker.logs.filter(isFailure).length, 1);
  });
});

describe("the page about log lines", () => {
  const examples = sections().flatMap(({ examples }) => examples);

  test("has every event that the code writes, and no other", () => {
    const documented = new Set(examples.map((example) => JSON.parse(example).event));
    assert.ok(documented.size >= 15, `${documented.size} events`);
    assert.deepEqual([...documented].sort(), [...eventsInCode()].sort());
  });

  test("has every member of its examples in a table, and an example of every member", () => {
    assert.deepEqual(undocumented(examples.map((example) => JSON.parse(example))), []);
    for (const { title, examples, own } of sections()) {
      const shown = new Set(examples.flatMap((example) => Object.keys(JSON.parse(example))));
      assert.deepEqual(
        [...own].filter((member) => !shown.has(member)),
        [],
        title,
      );
    }
  });

  test("has examples that are written as the broker writes", () => {
    for (const example of examples) assert.equal(JSON.stringify(JSON.parse(example)), example);
  });

  test("tells of every line that was written here", () => {
    assert.ok(broker.logs.length > 10);
    assert.deepEqual(undocumented(broker.logs), []);
  });

  test("would not do without a member or an event", () => {
    const [line] = broker.logs.filter(({ event }) => event === "call");
    assert.deepEqual(undocumented([{ ...line, color: "red" }, { event: "sneeze" }]), [
      "color of call",
      "the event sneeze",
    ]);
  });
});

describe("no line", () => {
  test("holds a path, a query, a body, a key, a secret or foreign text", async () => {
    assertProblem(await broker.call(plain.api("/echo/people/x?access_token=token-in-the-query")), 400, "bad_request");
    const headers = { Cookie: "cookie-of-the-caller=1" };
    const last = assertStatus(await broker.call(plain.api("/echo/people/maria?cpf=12345678900"), { headers }));
    await lineOf(last);
    const canaries = [
      "maria",
      "12345678900",
      "cpf",
      "body-of-the-request",
      "token-in-the-query",
      "cookie-of-the-caller",
      "said-by-the-token-endpoint",
      "elsewhere",
      "nowhere",
      KEY,
      ...Object.values(upstream.secrets).filter((value) => value.includes("secret")),
      ...upstream.issued,
    ];
    const lines = broker.logs.map((log) => JSON.stringify(log));
    assert.ok(lines.length > 5);
    for (const canary of canaries)
      assert.deepEqual(
        lines.filter((line) => line.includes(canary)),
        [],
        canary,
      );
  });
});
