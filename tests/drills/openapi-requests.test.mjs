// The broker behaves as the OpenAPI document says, for any request that schemathesis generates.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { KEY, startBroker } from "../e2e/support/broker.mjs";
import { ADMIN_KEY, listed } from "../e2e/support/events.mjs";
import { operationsOf, readDocument, schemathesis } from "../e2e/support/openapi.mjs";
import { newSecret, startReceiver } from "../e2e/support/receiver.mjs";
import { closeServer, listening } from "../e2e/support/servers.mjs";
import { until } from "../e2e/support/until.mjs";
import { send, startUpstream } from "../e2e/support/upstream.mjs";

/** @import { Broker } from "../e2e/support/broker.mjs" */
/** @import { Receiver } from "../e2e/support/receiver.mjs" */
/** @import { Handler, Upstream } from "../e2e/support/upstream.mjs" */

/** @type {any} */
const document = await readDocument();
const operations = operationsOf(document);

describe("a broker that anything is asked of", () => {
  // Those of the document's examples, which are so held to be true.
  const ANA = { username: "ana@example.com", password: "correct horse battery staple" };
  const SOMEBODY = { username: "somebody@example.com", password: "another password" };
  const env = { ADMIN_KEY, CALLER_KEY: KEY, PERSON: SOMEBODY.username, PASSWORD: SOMEBODY.password };

  /** @type {Upstream} */
  let upstream;
  /** @type {Receiver} */
  let receiver;
  /** Where the operator's events go: it wants none either. */
  const ops = createServer((request, response) => void request.resume().on("end", () => response.writeHead(410).end()));
  /** @type {Broker} */
  let broker;

  before(async () => {
    upstream = await startUpstream();
    receiver = await startReceiver();
    // Made-up requests have made-up addresses.
    /** @type {(...call: Parameters<Handler>) => Promise<void>} */
    const takeAnything = async (_, response, record) => {
      await record.done;
      send(response, { body: { took: record.bytes } });
    };
    const users = Object.fromEntries([ANA, SOMEBODY].map(({ username, password }) => [username, password]));
    const hubsoft = upstream.connection("hubsoft", { users, strict: true }).otherwise(takeAnything);
    const guru = upstream.connection("guru", { grant: "static" }).otherwise(takeAnything);
    const inbox = receiver.inbox("guru", {
      token: "the-account-token",
      fields: { base_url: guru.baseUrl },
      secrets: guru.secrets,
    });
    // It wants no event, so that there are some that failed.
    inbox.always = { status: 410 };
    const byPath = receiver.inbox("by-path", { token: "the-account-token", webhook: { secret_path: true } });
    byPath.always = { status: 410 };
    broker = await startBroker({
      vars: {
        BASE_PATH: "/broker",
        EVENTS: { to: `${await listening(ops)}/ops` },
        CONNECTIONS: { ...receiver.vars, hubsoft: hubsoft.vars },
      },
      secrets: { ADMIN_KEY, EVENTS_SECRET: newSecret(), ...upstream.secrets, ...receiver.secrets },
    });
  });

  after(async () => {
    await broker?.stop();
    await upstream?.close();
    await receiver?.close();
    await closeServer(ops);
  });

  test("does what the document says", async () => {
    // One event that failed, so that there is something to list.
    const example = document.paths["/webhooks/{connection}"].post.requestBody.content["application/json"].example;
    assert.equal(
      (await broker.call("/broker/webhooks/guru", { method: "POST", key: null, json: example })).status,
      200,
    );
    const [{ id }] = await until(async () => {
      const all = await listed(broker, "guru", "failed");
      return all.length && all;
    }, "the failed event");
    // The operator is told that it failed, and wants to know nothing of that.
    const [event] = await until(async () => {
      const answer = await broker.call("/broker/admin/events/webhooks", { key: ADMIN_KEY });
      return answer.json().webhooks.length && answer.json().webhooks;
    }, "the failed event of the operator's");
    const { found, said, statuses } = await schemathesis(broker, { ...env, WEBHOOK_ID: id, EVENT_ID: event.id });
    assert.ok(!found, said);
    if (process.env.PORTEIRO_OPENAPI_EXAMPLES) console.log(said);
    // What only ever fails shows little. But these need a provider that asks people: tests/e2e/connect*.test.mjs.
    const consents =
      /^(connect|callback|disconnect|(show|follow)Link|backchannelLogout|redeemTicket|makeConnectLink|signOutPerson)$/;
    for (const { label } of operations.filter(({ operationId }) => !consents.test(operationId))) {
      const seen = [...(statuses[label] ?? [])];
      assert.ok(
        seen.some((status) => status >= 200 && status < 300),
        `${label} never succeeded: ${seen}\n${said}`,
      );
    }
  });

  test("is told from a document that is wrong", async () => {
    const changed = structuredClone(document);
    const [health, problem, list] = ["/healthz", "/problems/{code}", "/admin/connections/{connection}/webhooks"].map(
      (path) => changed.paths[path].get,
    );
    health.responses = { 203: health.responses["200"] };
    problem.responses["200"].content = { "text/html": {} };
    list.responses["200"].headers["X-Total"] = { required: true, schema: { type: "string" } };
    list.responses["200"].content["application/json"].schema = { required: ["total"] };
    const { found, said } = await schemathesis(
      broker,
      { ...env, WEBHOOK_ID: "none", EVENT_ID: "none" },
      {
        document: changed,
        options: [
          "--include-operation-id",
          "getHealth",
          "--include-operation-id",
          "getProblem",
          "--include-operation-id",
          "listWebhooks",
          "-H",
          `Authorization: Bearer ${ADMIN_KEY}`,
          "--phases",
          "coverage",
        ],
      },
    );
    assert.ok(found, said);
    for (const fault of [
      "Undocumented status code",
      "Undocumented Content-Type",
      "Missing required response headers",
      "Response violates schema",
    ]) {
      assert.ok(said.includes(fault), `${fault}\n${said}`);
    }
  });

  test("answers what the examples say", async () => {
    const health = document.paths["/healthz"].get.responses["200"].content["application/json"].example;
    assert.deepEqual((await broker.call("/broker/healthz", { key: null })).json(), health);
    const page = document.paths["/problems/{code}"].get.responses["200"].content["text/plain"].example;
    assert.equal((await broker.call("/broker/problems/bad_path", { key: null })).text, page);
    const {
      type,
      request_id: _,
      ...problem
    } = document.components.responses.BadRequest.content["application/problem+json"].example;
    const { type: own, request_id: __, ...answered } = (await broker.call("/broker/api/guru/x?access_token=x")).json();
    assert.deepEqual(answered, problem);
    assert.equal(new URL(own).pathname, `/broker${new URL(type).pathname}`);
  });
});
