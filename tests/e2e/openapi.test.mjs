// docs/reference/openapi.yaml has the routes, codes and answers of the broker. tests/drills sends the requests that
// schemathesis generates.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { ADMIN_KEY } from "./support/events.mjs";
import { faultsOf, operationsOf, readDocument } from "./support/openapi.mjs";
import { COOKIE, login, newAddress } from "./support/person.mjs";
import { send, startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { PersonOptions } from "./support/person.mjs" */
/** @import { ConnectionSettings, TokenReply, Upstream } from "./support/upstream.mjs" */

/** @typedef {PersonOptions & { connection?: string }} SignIn */

/** @param {string} path */
const source = (path) => readFile(new URL(`../../src/edge/${path}`, import.meta.url), "utf8");
/** @param {Iterable<string>} items */
const sorted = (items) => [...new Set(items)].sort();

/**
 * What each route of the broker is called in the document.
 *
 * @type {{ [route: string]: string[] | ((path: string) => boolean) }}
 */
const ROUTES = {
  Api: ["/api/{connection}/{path}"],
  SignIn: ["/auth/{connection}/login"],
  Session: ["/auth/session"],
  SignOut: ["/auth/logout"],
  Connect: ["/auth/{connection}/connect"],
  Callback: ["/auth/callback/{callback}"],
  Link: ["/auth/{connection}/link/{secret}"],
  Disconnect: ["/auth/{connection}"],
  BackChannel: ["/auth/{connection}/backchannel-logout"],
  Webhook: ["/webhooks/{connection}", "/webhooks/{connection}/{token}"],
  Admin: (path) => path.startsWith("/admin/"),
  Health: ["/healthz"],
  ClientScript: ["/client.js"],
  Problem: ["/problems/{code}"],
  Nowhere: [],
};

/** @type {any} */
const document = await readDocument();
const operations = operationsOf(document);

describe("the document", () => {
  test("has every code with its status, and no other", async () => {
    const table = (await source("problem.rs")).split("fn entry")[1].split("#[cfg(test)]")[0];
    const statuses = Object.fromEntries(
      [...table.matchAll(/=> \((\d{3}), "([a-z_]+)"\)/g)].map(([, status, code]) => [code, Number(status)]),
    );
    const codes = document.components.schemas.ProblemCode.enum;
    assert.deepEqual(sorted(codes), sorted(Object.keys(statuses)));
    assert.equal(codes.length, new Set(codes).size);
    /** @type {{ [code: string]: number[] }} */
    const told = {};
    for (const { content } of Object.values(document.components.responses)) {
      const { $ref, ...schema } = content?.["application/problem+json"]?.schema ?? {};
      const [, rest] = ($ref ? document.components.schemas[$ref.split("/").at(-1)] : schema).allOf ?? [];
      for (const code of rest ? rest.properties.code.enum : []) [told[code]] = rest.properties.status.enum;
    }
    // The one is of no operation of the document, the other only a cause.
    const { method_not_allowed: _, upstream_limited: __, ...expected } = statuses;
    assert.deepEqual(told, expected);
  });

  test("has every route, and no other", async () => {
    const route = (await source("route.rs")).split("#[cfg(test)]")[0];
    const kinds = [
      ...route
        .split("enum Route")[1]
        .split("\n}")[0]
        .matchAll(/^ {4}(\w+)/gm),
    ].map(([, name]) => name);
    assert.deepEqual(sorted(kinds), sorted(Object.keys(ROUTES)), "name the paths of each route in ROUTES");
    const paths = Object.keys(document.paths);
    const known = Object.values(ROUTES).flatMap((which) => (Array.isArray(which) ? which : paths.filter(which)));
    assert.deepEqual(sorted(paths), sorted(known));
    const read = route.slice(route.indexOf("fn read"), route.indexOf("struct SecretSegment"));
    const words = [...read.matchAll(/"([a-z.-]+)\/?"/g)].map(([, word]) => word);
    const segments = paths
      .map((path) => path.replace(/^(\/admin)\/.*/, "$1"))
      .flatMap((path) => path.split("/"))
      .filter((segment) => /^\w/.test(segment));
    assert.deepEqual(sorted(segments), sorted(words));
  });

  test("names every operation, says what it is, and who may call it", () => {
    for (const { label, operationId, summary, tags, security, responses } of operations) {
      assert.ok(operationId && summary && tags.length === 1 && security, label);
      assert.ok(Object.keys(responses).some((status) => /^2|^default$/.test(status)) && responses["500"], label);
    }
    assert.equal(new Set(operations.map(({ operationId }) => operationId)).size, operations.length);
    assert.deepEqual(
      sorted(operations.map(({ tags }) => tags[0])),
      sorted(document.tags.map((/** @type {{ name: string }} */ { name }) => name)),
    );
  });

  test("has the broker's version, and nothing that nothing refers to", async () => {
    const manifest = await readFile(new URL("../../Cargo.toml", import.meta.url), "utf8");
    assert.equal(document.info.version, /^version = "(.+)"$/m.exec(manifest)?.[1]);
    const text = JSON.stringify(document);
    for (const kind of ["schemas", "responses", "headers", "parameters", "requestBodies"]) {
      for (const name of Object.keys(document.components[kind]))
        assert.ok(text.includes(`"#/components/${kind}/${name}"`), `${kind}/${name}`);
    }
  });
});

describe("every problem", () => {
  /** @type {Upstream} */
  let upstream;
  /** @type {Broker} */
  let broker;
  /** @type {{ operation: string, answer: Answer }[]} */
  const answers = [];

  before(async () => {
    upstream = await startUpstream();
    /**
     * @param {string} id
     * @param {ConnectionSettings} settings
     * @param {TokenReply[]} script
     */
    const scripted = (id, settings, ...script) => upstream.connection(id, settings).answerTokenRequest(...script);
    upstream
      .connection("plain", { grant: "static" })
      .on("/away", (_, response) => send(response, { status: 302, headers: { Location: "https://evil.example/" } }))
      .on("/reset", (request) => request.socket.resetAndDestroy());
    upstream.connection("dead", { grant: "static" }).revoke();
    upstream.connection("narrow", { grant: "static", fields: { rules: [{ ...EVERYTHING, methods: ["POST"] }] } });
    upstream.connection("spent", { fields: { budget: { requests: 1, seconds: 3600 } } });
    upstream.connection("limited", {
      grant: "static",
      fields: { rules: [{ ...EVERYTHING, rate_limit: { requests: 1, seconds: 60 } }] },
    });
    upstream.connection("slow", { grant: "static", fields: { timeout_ms: 200 } }).on("/never", () => {});
    upstream.connection("broken", { fields: { timeout_ms: "soon" } });
    scripted("refused", {}, { status: 401, body: { error: "invalid_client" } });
    scripted("down", {}, { status: 500, body: "" });
    scripted("odd", {}, { body: "no token response" });
    scripted("hanging", { fields: { token_timeout_ms: 200 } }, { hang: true });
    scripted(
      "people",
      { users: {} },
      {},
      { status: 401, body: { error: "invalid_client" } },
      { status: 500, body: "" },
    );
    broker = await startBroker({
      vars: {
        CONNECTIONS: {
          ...upstream.vars,
          guru: {
            provider: "guru",
            base_url: upstream.url,
            webhook: { forward_to: upstream.url, max_bytes: 100 },
            rules: [EVERYTHING],
          },
          silent: {
            provider: "custom",
            grant: "static",
            base_url: upstream.url,
            webhook: { forward_to: upstream.url, max_bytes: 100, secret_path: true },
            rules: [EVERYTHING],
          },
        },
      },
      secrets: {
        ...upstream.secrets,
        ADMIN_KEY,
        GURU_TOKEN: "t",
        GURU_ACCOUNT_TOKEN: "the-account-token",
        GURU_WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
        SILENT_TOKEN: "t",
        SILENT_ACCOUNT_TOKEN: "the-account-token",
        SILENT_WEBHOOK_SECRET: `whsec_${Buffer.alloc(32, 7).toString("base64")}`,
      },
    });
  });

  after(async () => {
    await broker?.stop();
    await upstream?.close();
  });

  const EVIL = { origin: "https://evil.example" };
  const CROSS_SITE = { headers: { "Sec-Fetch-Site": "cross-site" } };
  // Plain http, at an address that others can read what is sent to.
  const INSECURE = { host: "broker.example.com" };
  const OPERATOR = { ...INSECURE, key: ADMIN_KEY };
  const PATCH = { method: "PATCH", headers: { "Content-Type": "application/merge-patch+json" } };
  const ANYBODY = { username: "nobody", password: "wrong" };
  const basic = { Authorization: `Basic ${Buffer.from(`operator:${ADMIN_KEY}`).toString("base64")}` };
  /** @type {(body: string) => [target: string, options: CallOptions]} */
  const event = (body) => ["/webhooks/guru", { method: "POST", key: null, body }];
  /** @type {(body: string) => [target: string, options: CallOptions]} */
  const secretly = (body) => ["/webhooks/silent/the-account-token", { method: "POST", key: null, body }];

  /**
   * The operation, the code, and how to have it.
   *
   * @type {[operation: string, code: string | undefined, target: string | SignIn, options?: CallOptions][]}
   */
  const PROBLEMS = [
    ["callGet", "bad_request", "/api/plain/echo?access_token=x"],
    ["callGet", "bad_path", "/api/plain/a%2fb"],
    ["callGet", "caller_unauthenticated", "/api/plain/echo", { key: null }],
    ["callGet", "caller_unauthenticated", "/api/plain/echo", { key: "wrong" }],
    ["callGet", "origin_not_allowed", "/api/plain/echo", EVIL],
    [
      "callGet",
      "cross_site_request",
      "/api/plain/echo",
      { headers: { "Sec-Fetch-Site": "cross-site", Cookie: `${COOKIE}=x` } },
    ],
    ["callGet", "operation_not_allowed", "/api/narrow/echo"],
    ["callGet", "unknown_connection", "/api/none/echo"],
    ["callGet", undefined, "/api/limited/echo"],
    ["callGet", "rate_limited", "/api/limited/echo"],
    ["callGet", undefined, "/api/spent/echo"],
    ["callGet", "quota_exhausted", "/api/spent/echo"],
    ["callGet", "credentials_rejected", "/api/refused/echo"],
    ["callGet", "connection_unavailable", "/api/refused/echo"],
    ["callGet", "token_endpoint_unreachable", "/api/down/echo"],
    ["callGet", "token_response_invalid", "/api/odd/echo"],
    ["callGet", "token_endpoint_timeout", "/api/hanging/echo"],
    ["callGet", "upstream_unauthorized", "/api/dead/echo"],
    ["callGet", "upstream_unreachable", "/api/plain/reset"],
    ["callGet", "upstream_redirect", "/api/plain/away"],
    ["callGet", "upstream_timeout", "/api/slow/never"],
    ["callGet", "misconfigured", "/api/broken/echo"],
    ["callGet", undefined, "/api/plain/status/404"],
    ["callPost", undefined, "/api/plain/status/503", { method: "POST", body: "x" }],
    ["callHead", undefined, "/api/plain/echo", { method: "HEAD" }],
    [
      "callOptions",
      undefined,
      "/api/plain/echo",
      {
        method: "OPTIONS",
        key: null,
        origin: "https://app.example.com",
        headers: { "Access-Control-Request-Method": "GET" },
      },
    ],
    ["signIn", "bad_request", { json: {} }],
    ["signIn", "login_rejected", { json: ANYBODY }],
    ["signIn", "credentials_rejected", { json: ANYBODY }],
    ["signIn", "token_endpoint_unreachable", { json: ANYBODY }],
    ["signIn", "origin_not_allowed", { json: ANYBODY, ...EVIL }],
    ["signIn", "cross_site_request", { json: ANYBODY, origin: undefined, ...CROSS_SITE }],
    ["signIn", "body_too_large", { json: { ...ANYBODY, password: "x".repeat(20_000) } }],
    ["signIn", "not_found", { json: ANYBODY, connection: "plain" }],
    ["signIn", "unknown_connection", { json: ANYBODY, connection: "none" }],
    ["getSession", "caller_unauthenticated", "/auth/session", { key: null }],
    ["getSession", "origin_not_allowed", "/auth/session", EVIL],
    ["signOut", "cross_site_request", "/auth/logout", { method: "POST", ...CROSS_SITE }],
    ["receiveWebhook", "bad_request", ...event("no JSON")],
    ["receiveWebhook", "webhook_rejected", ...event("{}")],
    ["receiveWebhook", "body_too_large", ...event("x".repeat(101))],
    ["receiveWebhook", "not_found", "/webhooks/plain", { method: "POST" }],
    ["receiveWebhook", "unknown_connection", "/webhooks/none", { method: "POST" }],
    ["receiveWebhookBySecretPath", undefined, ...secretly("{}")],
    ["receiveWebhookBySecretPath", "bad_request", ...secretly("no JSON")],
    ["receiveWebhookBySecretPath", "webhook_rejected", "/webhooks/silent/x", { method: "POST" }],
    ["receiveWebhookBySecretPath", "body_too_large", ...secretly("x".repeat(101))],
    ["receiveWebhookBySecretPath", "not_found", "/webhooks/guru/the-account-token", { method: "POST" }],
    ["receiveWebhookBySecretPath", "unknown_connection", "/webhooks/none/x", { method: "POST" }],
    ["listWebhooks", "caller_unauthenticated", "/admin/connections/guru/webhooks"],
    [
      "listWebhooks",
      "cross_site_request",
      "/admin/connections/guru/webhooks",
      { key: null, headers: { ...basic, "Sec-Fetch-Site": "cross-site" } },
    ],
    ["listWebhooks", "bad_request", "/admin/connections/guru/webhooks?state=none", { key: ADMIN_KEY }],
    ["listWebhooks", "not_found", "/admin/connections/plain/webhooks", { key: ADMIN_KEY }],
    ["sendWebhooks", "unknown_connection", "/admin/connections/none/webhooks/send", { key: ADMIN_KEY, method: "POST" }],
    ["putConnection", "connection_configured", "/admin/connections/plain", { key: ADMIN_KEY, method: "PUT", json: {} }],
    [
      "putConnection",
      "bad_request",
      "/admin/connections/new",
      { key: ADMIN_KEY, method: "PUT", json: { provider: "wrong" } },
    ],
    [
      "putConnection",
      "body_too_large",
      "/admin/connections/new",
      { key: ADMIN_KEY, method: "PUT", body: "x".repeat(70_000) },
    ],
    ["patchConnection", "connection_configured", "/admin/connections/plain", { key: ADMIN_KEY, ...PATCH, body: "{}" }],
    ["patchConnection", "unknown_connection", "/admin/connections/none", { key: ADMIN_KEY, ...PATCH, body: "{}" }],
    ["patchConnection", "bad_request", "/admin/connections/none", { key: ADMIN_KEY, ...PATCH, body: '{"secrets":7}' }],
    [
      "patchConnection",
      "body_too_large",
      "/admin/connections/none",
      { key: ADMIN_KEY, ...PATCH, body: "x".repeat(70_000) },
    ],
    ["listConnections", "bad_request", "/admin/connections?label=plan", { key: ADMIN_KEY }],
    ["listConnections", undefined, "/admin/connections?label=plan:basic", { key: ADMIN_KEY }],
    ["getConnection", undefined, "/admin/connections/plain", { key: ADMIN_KEY }],
    ["deleteConnection", "connection_configured", "/admin/connections/plain", { key: ADMIN_KEY, method: "DELETE" }],
    ["getConnection", "unknown_connection", "/admin/connections/none", { key: ADMIN_KEY }],
    ["refreshConnection", "bad_request", "/admin/connections/people/refresh", { key: ADMIN_KEY, method: "POST" }],
    ["getProblem", "not_found", "/problems/none", { key: null }],
    ["callGet", "insecure_transport", "/api/plain/echo", INSECURE],
    ["callPut", "insecure_transport", "/api/plain/echo", { ...INSECURE, method: "PUT", body: "x" }],
    ["callDelete", "insecure_transport", "/api/plain/echo", { ...INSECURE, method: "DELETE" }],
    ["signIn", "insecure_transport", { json: ANYBODY, ...INSECURE }],
    ["getSession", "insecure_transport", "/auth/session", INSECURE],
    ["signOut", "insecure_transport", "/auth/logout", { ...INSECURE, method: "POST" }],
    ["receiveWebhook", "insecure_transport", "/webhooks/guru", { ...INSECURE, method: "POST", key: null, body: "{}" }],
    ["getAdminPage", "insecure_transport", "/admin/", { ...INSECURE, key: null }],
    ["getAdminStyle", "insecure_transport", "/admin/page.css", { ...INSECURE, key: null }],
    ["getAdminScript", "insecure_transport", "/admin/page.js", { ...INSECURE, key: null }],
    ["listConnections", "insecure_transport", "/admin/connections", OPERATOR],
    ["getConnection", "insecure_transport", "/admin/connections/plain", OPERATOR],
    ["putConnection", "insecure_transport", "/admin/connections/new", { ...OPERATOR, method: "PUT", json: {} }],
    ["patchConnection", "insecure_transport", "/admin/connections/plain", { ...OPERATOR, ...PATCH, body: "{}" }],
    ["deleteConnection", "insecure_transport", "/admin/connections/plain", { ...OPERATOR, method: "DELETE" }],
    ["refreshConnection", "insecure_transport", "/admin/connections/plain/refresh", { ...OPERATOR, method: "POST" }],
    ["deleteToken", "insecure_transport", "/admin/connections/plain/token", { ...OPERATOR, method: "DELETE" }],
    ["listWebhooks", "insecure_transport", "/admin/connections/guru/webhooks", OPERATOR],
    ["sendWebhooks", "insecure_transport", "/admin/connections/guru/webhooks/send", { ...OPERATOR, method: "POST" }],
    ["sendWebhook", "insecure_transport", "/admin/connections/guru/webhooks/x/send", { ...OPERATOR, method: "POST" }],
  ];

  test("is as the document says", async () => {
    for (const [operation, code, target, options] of PROBLEMS) {
      const answer =
        typeof target === "string"
          ? await broker.call(target, options)
          : await login(broker, target.connection ?? "people", undefined, { address: newAddress(), ...target });
      const what = `${operation} ${code}: ${answer.status} ${answer.text}`;
      if (code) assert.equal(answer.json().code, code, what);
      else assert.ok(!answer.headers["content-type"]?.includes("problem"), what);
      answers.push({ operation, answer });
    }
    const faults = await faultsOf(broker, answers);
    assert.deepEqual(faults.map((fault, i) => fault && [PROBLEMS[i].slice(0, 2), fault]).filter(Boolean), []);
    // All but these: one belongs to no operation, another to none that can be had, one takes 15 seconds, one somebody who
    // signed in at a provider (connect.test.mjs), and one is a cause.
    const left = document.components.schemas.ProblemCode.enum.filter(
      (/** @type {string} */ code) => !PROBLEMS.some(([, known]) => known === code),
    );
    const others = ["internal", "method_not_allowed", "not_connected", "request_timeout", "upstream_limited"];
    assert.deepEqual(sorted(left), sorted(others));
  });

  test("would be seen if it were another one", async () => {
    const [{ operation, answer }] = answers;
    /** @param {{ [member: string]: unknown }} members */
    const other = (members) => ({
      operation,
      answer: {
        status: answer.status,
        rawHeaders: answer.rawHeaders,
        text: JSON.stringify({ ...answer.json(), ...members }),
      },
    });
    const changed = [
      other({}),
      other({ code: "teapot" }),
      other({ code: "not_found" }),
      other({ status: 404 }),
      other({ request_id: undefined }),
    ];
    const faults = await faultsOf(broker, [
      ...changed,
      { operation, answer: { ...changed[0].answer, rawHeaders: [["Content-Type", "application/problem+json"]] } },
    ]);
    assert.deepEqual(faults.map(Boolean), [false, true, true, true, true, true]);
  });
});
