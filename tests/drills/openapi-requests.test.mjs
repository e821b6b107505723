// Whatever is made up from docs/openapi.yaml is asked of a broker, and it does what that says.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { EVERYTHING, KEY, startBroker } from "../e2e/support/broker.mjs";
import { ADMIN_KEY, listed } from "../e2e/support/events.mjs";
import { readDocument, schemathesis, startAnything } from "../e2e/support/openapi.mjs";
import { until } from "../e2e/support/until.mjs";

let document, operations;

before(async () => {
  document = await readDocument();
  operations = Object.entries(document.paths).flatMap(([path, item]) =>
    ["get", "head", "post", "put", "patch", "delete", "options"]
      .filter((method) => item[method])
      .map((method) => ({ path, label: `${method.toUpperCase()} ${path}`, ...item[method] })),
  );
});

describe("a broker that anything is asked of", () => {
  // Those of the document's examples, which are so held to be true.
  const ANA = { username: "ana@example.com", password: "correct horse battery staple" };
  const SOMEBODY = { username: "somebody@example.com", password: "another password" };
  const env = { ADMIN_KEY, CALLER_KEY: KEY, PERSON: SOMEBODY.username, PASSWORD: SOMEBODY.password };

  let anything, broker;

  before(async () => {
    anything = await startAnything(
      Object.fromEntries([ANA, SOMEBODY].map(({ username, password }) => [username, password])),
    );
    const people = {
      provider: "custom",
      base_url: anything.url,
      grant: "password",
      token_url: `${anything.url}/token`,
      subject: "user",
    };
    broker = await startBroker({
      vars: {
        BASE_PATH: "/broker",
        CONNECTIONS: {
          guru: {
            provider: "guru",
            base_url: anything.url,
            webhook: { forward_to: `${anything.url}/inbox` },
            rules: [EVERYTHING],
          },
          hubsoft: { ...people, rules: [{ ...EVERYTHING, callers: ["session"] }] },
        },
      },
      secrets: {
        ADMIN_KEY,
        GURU_TOKEN: "a-static-token",
        GURU_ACCOUNT_TOKEN: "the-account-token",
        GURU_WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
        HUBSOFT_CLIENT_ID: "a-client",
        HUBSOFT_CLIENT_SECRET: "a-client-secret",
      },
    });
  });

  after(async () => {
    await broker?.stop();
    await anything?.close();
  });

  test("does what the document says", async () => {
    // One event that failed, so that there is something to list.
    const example = document.paths["/webhooks/{connection}"].post.requestBody.content["application/json"].example;
    assert.equal(
      (await broker.call("/broker/webhooks/guru", { method: "POST", key: null, json: example })).status,
      202,
    );
    const [{ id }] = await until(async () => {
      const all = await listed(broker, "guru", "failed");
      return all.length && all;
    }, "the failed event");
    const { found, said, statuses } = await schemathesis(broker, { ...env, WEBHOOK_ID: id });
    assert.ok(!found, said);
    if (process.env.PORTEIRO_OPENAPI_EXAMPLES) console.log(said);
    // What only ever fails shows little.
    for (const { label } of operations) {
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
      { ...env, WEBHOOK_ID: "none" },
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
});
