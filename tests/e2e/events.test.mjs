// What the operator is told: events as their receiver gets them, verified by the library of the standard's makers.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { startBroker } from "./support/broker.mjs";
import { accept, ADMIN_KEY, settled } from "./support/events.mjs";
import { openPage, startBrowser } from "./support/operators-browser.mjs";
import { newSecret, startReceiver } from "./support/receiver.mjs";
import { closeServer, listening } from "./support/servers.mjs";
import { until } from "./support/until.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Browser } from "playwright-core" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { Inbox, Receiver } from "./support/receiver.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

/** @typedef {{ type: string, timestamp: string, data: { id: string, code: string, since: string } }} Told */

const SECRET = newSecret();
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

/** @type {{ id: string, event: Told }[]} */
const told = [];
/** How the operator's receiver answers. */
let status = 204;
const ops = createServer(async (request, response) => {
  const body = await text(request);
  const headers = /** @type {Record<string, string>} */ (request.headers);
  const event = /** @type {Told} */ (new Webhook(SECRET).verify(body, headers));
  if (status < 300) told.push({ id: headers["webhook-id"], event });
  response.writeHead(status).end();
});

/** @type {Upstream} */
let upstream;
/** @type {Receiver} */
let receiver;
/** @type {Broker} */
let broker;
/** @type {Browser} */
let browser;
/** @type {{ [id: string]: Connection }} */
const c = {};
/** @type {Inbox} */
let hooked;
/** @type {string} */
let origin;

before(async () => {
  [upstream, receiver, browser, origin] = await Promise.all([
    startUpstream(),
    startReceiver(),
    startBrowser(),
    listening(ops),
  ]);
  for (const id of ["renewed", "killed", "wrong", "failing", "gone"]) c[id] = upstream.connection(id);
  hooked = receiver.inbox("hooked");
  const { WRONG_CLIENT_SECRET: _, GONE_CLIENT_SECRET: __, ...secrets } = upstream.secrets;
  const { gone: ___, ...connections } = upstream.vars;
  broker = await startBroker({
    vars: {
      EVENTS: { to: `${origin}/ops?key=in-the-query` },
      CONNECTIONS: { ...connections, ...receiver.vars },
    },
    secrets: { ADMIN_KEY, EVENTS_SECRET: SECRET, ...secrets, ...receiver.secrets },
  });
});

after(async () => {
  await browser?.close();
  await broker?.stop();
  await Promise.all([upstream?.close(), receiver?.close(), closeServer(ops)]);
});

/** @param {string} id */
const about = (id) => told.filter(({ event }) => event.data.id === id);
/** @param {string} id @param {string[]} types */
async function isTold(id, ...types) {
  await until(() => about(id).length >= types.length, `event ${types.length} about ${id}`);
  assert.deepEqual(
    about(id).map(({ event }) => event.type),
    types,
  );
}
/** @param {string} method @param {string} path @param {unknown} [json] */
const operate = (method, path, json) =>
  broker.call(`/admin/${path}`, { method, key: ADMIN_KEY, ...(json ? { json } : {}) });

describe("the operator", () => {
  test("is told once that credentials are refused, and that they work again", async () => {
    const { renewed } = c;
    renewed.answerTokenRequest({ status: 401, body: { error: "invalid_client" } });
    assertProblem(await broker.call(renewed.api()), 502, "credentials_rejected");
    assertProblem(await broker.call(renewed.api()), 503, "connection_unavailable");
    await isTold("renewed", "connection.rejected");
    const [{ id, event }] = about("renewed");
    assert.match(id, /^evt_[0-9a-f]{32}$/);
    assert.match(event.data.since, RFC_3339);
    assert.deepEqual(event, {
      type: "connection.rejected",
      timestamp: event.data.since,
      data: { id: "renewed", code: "credentials_rejected", since: event.data.since },
    });
    assertStatus(await operate("POST", "connections/renewed/refresh"), 200);
    await isTold("renewed", "connection.rejected", "connection.recovered");
  });

  test("is told nothing anew by a restart", async () => {
    const { killed } = c;
    killed.answerTokenRequest({ status: 401, body: { error: "invalid_client" } });
    assertProblem(await broker.call(killed.api()), 502, "credentials_rejected");
    await isTold("killed", "connection.rejected");
    await broker.restart();
    assertProblem(await broker.call(killed.api()), 503, "connection_unavailable");
    assertStatus(await operate("POST", "connections/killed/refresh"), 200);
    await isTold("killed", "connection.rejected", "connection.recovered");
  });

  test("is told once of a misconfigured connection", async () => {
    for (const _ of [1, 2, 3]) assertProblem(await broker.call(c.wrong.api()), 503, "misconfigured");
    await isTold("wrong", "connection.misconfigured");
    await broker.restart();
    assertProblem(await broker.call(c.wrong.api()), 503, "misconfigured");
    // What comes next shows that nothing came before it.
    await broker.restart({ secrets: { WRONG_CLIENT_SECRET: upstream.secrets.WRONG_CLIENT_SECRET } });
    assertStatus(await broker.call(c.wrong.api()), 200);
    await isTold("wrong", "connection.misconfigured", "connection.recovered");
  });

  test("is told of webhooks that fail, once an hour", async () => {
    hooked.always = { status: 410 };
    await accept(broker, hooked);
    await settled(broker, hooked);
    await isTold("hooked", "webhook.failed");
    assert.equal(about("hooked")[0].event.data.code, "gone");
    hooked.always = { status: 204 };
  });

  test("is not told of a connection that was removed meanwhile", async () => {
    const { gone } = c;
    const { client_secret: secret, ...fields } = { ...gone.vars, client_secret: gone.credentials.client_secret };
    const registration = { ...fields, client_id: gone.credentials.client_id, secrets: { client_secret: secret } };
    assertStatus(await operate("PUT", "connections/gone", registration), 201);
    status = 500;
    gone.answerTokenRequest({ status: 401, body: { error: "invalid_client" } });
    assertProblem(await broker.call(gone.api()), 502, "credentials_rejected");
    const pending = async () => (await operate("GET", "events")).json();
    const listed = async () => (await operate("GET", "events/webhooks?state=pending")).json().webhooks;
    await until(async () => (await listed())[0]?.outcome === "refused", "a refused attempt");
    assertStatus(await operate("DELETE", "connections/gone"), 204);
    status = 204;
    await until(async () => (await pending()).webhooks.pending === 0, "the event is given up", 30_000);
    assert.deepEqual(about("gone"), []);
    assert.equal((await pending()).webhooks.last.outcome, "removed");
  });

  test("sees where events go, and whether they arrive, and sends them again", async () => {
    status = 410;
    c.failing.answerTokenRequest({ status: 401, body: { error: "invalid_client" } });
    assertProblem(await broker.call(c.failing.api()), 502, "credentials_rejected");
    await until(async () => (await operate("GET", "events")).json().webhooks.failed === 1, "a failed event");
    const shown = (await operate("GET", "events")).json();
    assert.deepEqual(
      [shown.to, shown.problems, shown.webhooks.last.outcome, shown.webhooks.last.status],
      [origin, [], "gone", 410],
    );
    const failed = (await operate("GET", "events/webhooks")).json().webhooks;
    assert.equal(failed.length, 1);
    assertProblem(await operate("POST", "events/webhooks/evt_none/send"), 404, "not_found");
    const opened = await openPage(browser, `${broker.url}/admin/`, ADMIN_KEY);
    const line = opened.page.locator("#events");
    await line.getByText(`Events go to ${origin}: 1 failed, 0 pending`).waitFor();
    status = 204;
    await line.getByRole("button", { name: "What did not arrive" }).click();
    await opened.page.locator("#failed").getByRole("button", { name: "Send again" }).click();
    await until(() => told.some(({ id }) => id === failed[0].id), "the event");
    await opened.close();
    const portuguese = await openPage(browser, `${broker.url}/admin/`, ADMIN_KEY, { locale: "pt-BR" });
    await portuguese.page.locator("#events").getByText(`Os eventos vão para ${origin}: 0 com falha`).waitFor();
    await portuguese.close();
  });

  test("is shown no secret, and nothing of the address but its origin", async () => {
    const shown = JSON.stringify((await operate("GET", "events")).json()) + JSON.stringify(told);
    for (const secret of [SECRET, "in-the-query", ...Object.values(upstream.secrets)])
      assert.ok(!shown.includes(String(secret)) || String(secret).length < 8);
    assert.deepEqual(
      broker.output.filter((line) => line.includes("in-the-query") || line.includes(SECRET)),
      [],
    );
  });

  test("is told by name what is wrong with the table", async () => {
    await broker.restart({ vars: { EVENTS: { to: "http://ops.example" } }, secrets: { EVENTS_SECRET: "x" } });
    const shown = (await operate("GET", "events")).json();
    assert.equal(shown.to, null);
    assert.deepEqual(
      shown.problems.map((/** @type {{ field: string }} */ { field }) => field),
      ["EVENTS.to", "EVENTS_SECRET"],
    );
    assertProblem(await operate("POST", "events/webhooks/send"), 404, "not_found");
    assertProblem(await operate("DELETE", "events/webhooks"), 405, "method_not_allowed");
  });
});
