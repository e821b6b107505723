// Tests Guru's events and the application's receiver without the broker; tests/e2e puts it between them.

/** @import { Server } from "node:http" */
/** @import { Answer, Guru } from "./types.js" */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { startFrontend } from "./frontend.mjs";
import { closeServer, listen, portOf, readBody, send } from "./provider.mjs";
import { startGuru } from "./providers/guru.mjs";

/** @param {string} url @param {string} body @param {Record<string, string>} [headers] */
const post = (url, body, headers = { "Content-Type": "application/json" }) =>
  fetch(url, { method: "POST", headers, body });

describe("the sandbox's Guru", () => {
  /** @type {{ method: string | undefined, path: string | undefined, type: string | undefined, body: string }[]} */
  const arrived = [];
  const last = () => {
    const one = arrived.at(-1);
    assert.ok(one);
    return one;
  };
  /** @type {Guru} */
  let guru;
  /** @type {Server} */
  let server;
  /** @type {Answer | undefined} */
  let answer;
  before(async () => {
    server = createServer(async (request, response) => {
      const { body } = await readBody(request, 1e6);
      arrived.push({
        method: request.method,
        path: request.url,
        type: request.headers["content-type"],
        body: body.toString(),
      });
      send(response, answer ?? { status: 200 });
    });
    await listen(server, 0);
    guru = await startGuru({ port: 0 });
    guru.webhookUrl = `http://127.0.0.1:${portOf(server)}/webhooks/guru`;
  });
  after(() => Promise.all([guru?.close(), closeServer(server)]));

  /** @param {{ kind: string, again?: boolean }} told */
  async function tell(told) {
    const response = await post(`${guru.url}/sandbox/webhooks`, JSON.stringify(told));
    assert.equal(response.status, 200);
    return { event: JSON.parse(last().body), said: await response.json() };
  }

  test("sends an event with the account token, and answers with what the broker answered", async () => {
    answer = { status: 401, body: { code: "webhook_rejected" } };
    const { event, said } = await tell({ kind: "approved" });
    const { method, path, type } = last();
    assert.deepEqual([method, path, type], ["POST", "/webhooks/guru", "application/json"]);
    assert.equal(event.api_token, guru.credentials.account_token);
    assert.deepEqual(said.answer, { status: 401, body: '{"code":"webhook_rejected"}' });
    answer = undefined;
  });

  test("tells what it sent without the account token", async () => {
    const { event, said } = await tell({ kind: "subscription" });
    assert.deepEqual({ ...said.event, api_token: undefined }, { ...event, api_token: undefined });
    assert.ok(said.event.api_token.length < 6);
  });

  test("sends a transaction's states under one id, and then begins another", async () => {
    const events = [];
    for (const kind of ["waiting_payment", "approved", "refunded", "waiting_payment"])
      events.push((await tell({ kind })).event);
    const [waiting, approved, refunded, other] = events;
    assert.deepEqual(
      events.map(({ status }) => status),
      ["waiting_payment", "approved", "refunded", "waiting_payment"],
    );
    assert.equal(new Set([waiting, approved, refunded].map(({ id }) => id)).size, 1);
    assert.notEqual(other.id, waiting.id);
    assert.deepEqual(approved.contact, waiting.contact);
    assert.deepEqual([waiting.dates.confirmed_at, approved.dates.canceled_at], [null, null]);
    assert.match(refunded.dates.canceled_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  test("sends events with the fields that Guru documents", async () => {
    const { event: sale } = await tell({ kind: "approved" });
    assert.equal(sale.webhook_type, "transaction");
    for (const field of ["id", "status", "type", "checkout_url", "contact", "dates", "payment", "product", "source"])
      assert.ok(sale[field], field);
    const { event: left } = await tell({ kind: "abandoned" });
    assert.deepEqual([left.webhook_type, left.status, left.payment.method], ["transaction", "abandoned", null]);
    const { event: subscription } = await tell({ kind: "subscription" });
    assert.equal(subscription.webhook_type, "subscription");
    for (const field of ["id", "last_status", "dates", "current_invoice", "subscriber", "product"])
      assert.ok(subscription[field], field);
  });

  test("sends the same bytes again only when told so", async () => {
    for (const kind of ["refunded", "abandoned", "subscription"]) {
      await tell({ kind });
      await tell({ kind, again: true });
      await tell({ kind });
      const [first, second, third] = arrived.slice(-3).map(({ body }) => body);
      assert.equal(second, first);
      assert.notEqual(third, first);
    }
  });

  test("refuses a kind that it does not know, and what a form of another page could send", async () => {
    const count = arrived.length;
    const url = `${guru.url}/sandbox/webhooks`;
    for (const kind of ["paid", "toString", undefined])
      assert.equal((await post(url, JSON.stringify({ kind }))).status, 422);
    assert.equal((await post(url, '{"kind":"approved"}', { "Content-Type": "text/plain" })).status, 400);
    assert.equal((await fetch(url, { method: "OPTIONS" })).status, 405);
    assert.equal(arrived.length, count);
  });

  test("says so when the broker does not answer", async () => {
    const { webhookUrl } = guru;
    guru.webhookUrl = "http://127.0.0.1:1/webhooks/guru";
    const response = await post(`${guru.url}/sandbox/webhooks`, '{"kind":"approved"}');
    assert.deepEqual([response.status, await response.json()], [502, { message: "The broker did not answer." }]);
    guru.webhookUrl = webhookUrl;
  });
});

describe("the application's receiver", () => {
  const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;
  /** @type {Awaited<ReturnType<typeof startFrontend>>} */
  let frontend;
  /** @type {Guru} */
  let guru;
  before(async () => {
    guru = await startGuru({ port: 0 });
    guru.webhookUrl = "http://127.0.0.1:1/";
    frontend = await startFrontend({ webhookSecret: secret, guruUrl: guru.url });
  });
  after(() => Promise.all([frontend?.close(), guru?.close()]));

  /** @param {string} id @param {string} body */
  const signed = (id, body, { at = new Date(), key = secret } = {}) => ({
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(key).sign(id, at, body),
  });
  /** @param {string} body @param {Record<string, string>} headers */
  const deliver = async (body, headers) => (await post(`${frontend.url}/hooks/guru`, body, headers)).status;
  /** @returns {Promise<import("./receiver.mjs").Received[]>} */
  const known = async () => (await fetch(`${frontend.url}/hooks/guru`)).json();

  test("refuses what is not signed, or was not signed so", async () => {
    const body = '{"id":"tr_1"}';
    const other = `whsec_${Buffer.alloc(32, 8).toString("base64")}`;
    /** @type {Record<string, string>[]} */
    const refused = [
      {},
      signed("msg_1", body, { key: other }),
      signed("msg_1", '{"id":"tr_2"}'),
      { ...signed("msg_1", body), "webhook-id": "msg_2" },
      signed("msg_1", body, { at: new Date(Date.now() - 3600_000) }),
    ];
    for (const headers of refused) assert.equal(await deliver(body, headers), 401);
    assert.deepEqual(await known(), []);
  });

  test("shows an event once that is delivered twice", async () => {
    const body = '{"id":"tr_1"}';
    assert.equal(await deliver(body, signed("msg_1", body)), 204);
    assert.equal(await deliver(body, signed("msg_1", body)), 204);
    const [one, ...more] = await known();
    assert.deepEqual([one.id, one.deliveries, one.event, more], ["msg_1", 2, { id: "tr_1" }, []]);
  });

  test("keeps the last twenty, the newest first", async () => {
    for (let i = 10; i < 32; i += 1) await deliver("{}", signed(`msg_${i}`, "{}"));
    const ids = (await known()).map(({ id }) => id);
    assert.deepEqual([ids.length, ids[0], ids.at(-1)], [20, "msg_31", "msg_12"]);
  });

  test("can be read by its own page only, wherever that is served", async () => {
    const from = (/** @type {string} */ Origin) => fetch(`${frontend.url}/hooks/guru`, { headers: { Origin } });
    const response = await from("https://elsewhere.example");
    assert.equal(response.headers.get("access-control-allow-origin"), null);
    assert.equal(response.headers.get("cache-control"), "no-store");
    const page = "http://localhost:8787";
    assert.equal((await from(page)).headers.get("access-control-allow-origin"), page);
  });

  test("stands beside the address at which the page tells Guru what to send", async () => {
    const url = `${frontend.url}/sandbox/webhooks`;
    assert.equal((await post(url, '{"kind":"approved"}')).status, 502);
    assert.equal((await post(url, '{"kind":"paid"}')).status, 422);
    assert.equal((await post(url, '{"kind":"approved"}', { "Content-Type": "text/plain" })).status, 400);
  });
});
