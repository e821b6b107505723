// The operators' page as the broker serves it, with the broker's own answers behind it.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { SECTIONS } from "../../src/edge/admin/page/runbook.js";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { accept, ADMIN_KEY, delivered, settled } from "./support/events.mjs";
import { heldBy } from "./support/held.mjs";
import { openPage, startBrowser } from "./support/operators-browser.mjs";
import { startReceiver } from "./support/receiver.mjs";
import { search } from "./support/search.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Browser, Locator } from "playwright-core" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Opened, PageSettings } from "./support/operators-browser.mjs" */
/** @import { Inbox, Receiver } from "./support/receiver.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const BASE = "/broker";
const ADMIN = `${BASE}/admin/`;

/** @type {Browser} */
let browser;
/** @type {Upstream} */
let upstream;
/** @type {Receiver} */
let receiver;
/** @type {Broker} */
let broker;
/** @type {string} */
let url;
const c =
  /** @type {{ [id in "cold" | "drop" | "refused" | "slow" | "tenant"]: Connection } & { hooked: Inbox }} */ ({});
/** @type {Opened[]} */
let opened = [];

before(async () => {
  [browser, upstream, receiver] = await Promise.all([startBrowser(), startUpstream(), startReceiver()]);
  for (const id of /** @type {const} */ (["cold", "drop", "refused", "slow"])) c[id] = upstream.connection(id);
  upstream.connection("fixed", { grant: "static" });
  upstream.connection("people", { users: { maria: "a password of her own" } });
  upstream.connection("broken");
  c.hooked = receiver.inbox("hooked");
  const { BROKEN_CLIENT_SECRET: _, ...secrets } = upstream.secrets;
  broker = await startBroker({
    vars: { BASE_PATH: BASE, CONNECTIONS: { ...upstream.vars, ...receiver.vars } },
    secrets: { ADMIN_KEY, ...secrets, ...receiver.secrets },
  });
  // Registered, and not configured.
  c.tenant = upstream.connection("tenant");
  url = `${broker.url}${ADMIN}`;
});

afterEach(async () => {
  try {
    for (const one of opened) await one.close();
    upstream.verify();
    receiver.verify();
  } finally {
    opened = [];
  }
});

after(async () => {
  await browser?.close();
  await broker?.stop();
  await Promise.all([upstream, receiver].map((one) => one?.close()));
});

/** @param {PageSettings} [settings] */
async function open(settings) {
  const one = await openPage(browser, url, ADMIN_KEY, settings);
  opened.push(one);
  return one;
}

/**
 * @param {string} target
 * @param {CallOptions} [options]
 */
const operator = (target, options) => broker.call(`${ADMIN}${target}`, { key: ADMIN_KEY, ...options });
/** @param {Connection} connection */
const calls = (connection) => broker.call(`${BASE}${connection.api()}`);
/** @param {Locator} row */
const stateOf = (row) => row.locator(".state p").first().innerText();

describe("the operators' page", () => {
  test("is for operators, under a strict policy", async () => {
    for (const [file, type] of /** @type {[file: string, type: RegExp][]} */ ([
      ["", /^text\/html; ?charset=utf-8$/i],
      ["page.css", /^text\/css\b/],
      ["page.js", /^text\/javascript\b/],
    ])) {
      assertProblem(await operator(file, { key: null }), 401, "caller_unauthenticated");
      const answer = assertStatus(await operator(file));
      assert.match(answer.headers["content-type"], type);
      assert.equal(
        answer.headers["content-security-policy"],
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      );
    }
  });

  test("is in the language that the browser asks for", async () => {
    for (const [asked, lang, word] of /** @type {[string | undefined, string, string][]} */ ([
      [undefined, "en", "Reload"],
      ["*", "en", "Reload"],
      ["fr, de;q=0.9", "en", "Reload"],
      ["en-US,en;q=0.9,pt-BR;q=0.8", "en", "Reload"],
      ["pt-BR", "pt-BR", "Atualizar"],
      ["pt-PT,pt;q=0.9,en;q=0.8", "pt-BR", "Atualizar"],
      ["fr, pt;q=0.5, en;q=0.4", "pt-BR", "Atualizar"],
    ])) {
      for (const method of ["GET", "HEAD"]) {
        const answer = assertStatus(
          await operator("", { method, headers: asked === undefined ? {} : { "Accept-Language": asked } }),
        );
        assert.equal(answer.headers["content-language"], lang, asked);
        assert.deepEqual(answer.headers.vary?.split(/, */), ["Origin", "Accept-Language"]);
        if (method === "HEAD") continue;
        assert.ok(answer.text.startsWith(`<!doctype html><html lang="${lang}">`) && answer.text.includes(`>${word}<`));
        assert.ok(!/\{\w+\}/.test(answer.text));
      }
    }
    for (const file of ["page.css", "page.js", "connections"]) {
      const answer = assertStatus(await operator(file, { headers: { "Accept-Language": "pt-BR" } }));
      if (file !== "connections") assert.equal(answer.headers.vary, "Origin");
      assert.equal(answer.headers["content-language"], undefined, file);
    }
  });

  test("says in Portuguese what the broker tells", async () => {
    const { row, page } = await open({ locale: "pt-BR" });
    assert.match(await row("broken").innerText(), /Mal configurada/);
    assert.match(await row("people").innerText(), /para pessoas[^]*Pronta[^]*cada pessoa tem o seu/);
    assert.equal(await page.title(), "(1) Porteiro: conexões");
  });

  test("leads to what the broker says of a code", async () => {
    for (const code of Object.keys(SECTIONS).filter((name) => !["webhooks", "disconnected"].includes(name))) {
      const answer = assertStatus(await broker.call(`${BASE}/problems/${code}`, { key: null }));
      assert.ok(answer.text.includes(code));
    }
  });

  test("opens for the key as password, and for no other", async () => {
    const { page, end } = await open();
    await end("All 8 connections looked through.");
    assert.equal(new URL(page.url()).pathname, ADMIN);
    const context = await browser.newContext({ httpCredentials: { username: "operator", password: `${ADMIN_KEY}?` } });
    const answer = await (await context.newPage()).goto(url);
    assert.equal(answer?.status(), 401);
    await context.close();
  });

  test("shows every state that the broker tells", async () => {
    assertStatus(await calls(c.slow));
    c.refused.answerTokenRequest({ status: 401, body: { error: "invalid_client" } });
    assertProblem(await calls(c.refused), 502, "credentials_rejected");
    const { row } = await open();
    assert.match(
      await row("slow").innerText(),
      /custom · client_credentials · configured[^]*Ready[^]*of 1 h[^]*1 grant · key k1/,
    );
    assert.equal(await stateOf(row("cold")), "Cold");
    assert.equal(await stateOf(row("refused")), "Rejected");
    assert.match(
      await row("refused").innerText(),
      /next try in [^]*Credentials rejected at \d\d:\d\d:\d\d, \d+ s ago\.[^]* Compare the secrets REFUSED_…/,
    );
    assert.equal(await stateOf(row("broken")), "Misconfigured");
    assert.match(await row("broken").innerText(), /The log names every field that is wrong|CLIENT_SECRET/);
    assert.match(await row("fixed").innerText(), /Ready[^]*static token/);
    assert.match(await row("people").innerText(), /Ready[^]*each person has their own/);
  });

  test("refreshes a token, and ends a wait so", async () => {
    const { row } = await open();
    const before = c.refused.tokenRequests.length;
    await row("refused").getByRole("button", { name: "Refresh" }).click();
    await row("refused").getByText("Refreshed at").waitFor();
    assert.equal(await stateOf(row("refused")), "Ready");
    assert.equal(c.refused.tokenRequests.length, before + 1);
    assertStatus(await calls(c.refused));
    assert.equal(c.refused.tokenRequests.length, before + 1);
  });

  test("tells why a refresh failed", async () => {
    const { row } = await open();
    c.cold.answerTokenRequest({ status: 200, body: { nothing: true } });
    await row("cold").getByRole("button", { name: "Refresh" }).click();
    await row("cold")
      .getByText(
        /Refresh failed\. Token response invalid\. The provider's token endpoint did not answer with a token response\. Request [0-9a-f]{32}\./,
      )
      .waitFor();
  });

  test("drops a token, so that the next call obtains another", async () => {
    assertStatus(await calls(c.drop));
    const { page, row } = await open();
    await row("drop").getByRole("button", { name: "Drop token" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Drop the token" }).click();
    await row("drop").getByText("Token dropped at").waitFor();
    assert.equal(await stateOf(row("drop")), "Cold");
    assertStatus(await calls(c.drop));
    assert.equal(c.drop.tokenRequests.length, 2);
  });

  test("shows a registered connection, and removes it", async () => {
    const put = await operator("connections/tenant", {
      method: "PUT",
      json: { ...c.tenant.vars, rules: [EVERYTHING], secrets: c.tenant.credentials },
    });
    assertStatus(put, 201);
    assertStatus(await calls(c.tenant));
    const { page, row, said } = await open();
    assert.match(await row("tenant").innerText(), /client_credentials · registered[^]*Ready/);
    assert.equal(await page.getByRole("button", { name: /^Remove/ }).count(), 1);
    await row("tenant").getByRole("button", { name: "Remove" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Remove the connection" }).click();
    await said("tenant: Removed.");
    assert.equal(await row("tenant").count(), 0);
    assertProblem(await operator("connections/tenant"), 404, "unknown_connection");
  });

  test("sends a webhook again that failed", async () => {
    c.hooked.always = { status: 410 };
    await accept(broker, c.hooked);
    await settled(broker, c.hooked);
    c.hooked.always = { status: 204 };
    const { page, row } = await open();
    await row("hooked").getByText("webhooks 1 failed, 0 pending").waitFor();
    await row("hooked").getByRole("button", { name: "Webhooks" }).click();
    const dialog = page.getByRole("dialog", { name: "Webhooks of hooked" });
    await dialog.getByText("the receiver answered 410").waitFor();
    await dialog.getByRole("button", { name: `Send again: ${c.hooked.ids[0]}` }).click();
    await dialog.getByRole("status").getByText("is on its way again").waitFor();
    await delivered(c.hooked, 2);
    assert.equal(c.hooked.ids[1], c.hooked.ids[0]);
  });

  test("looks for a part of an id", async () => {
    const { page, ids, end } = await open();
    await page.getByRole("searchbox").fill("rok");
    await end("The one connection with “rok” in its id looked through.");
    assert.deepEqual(await ids(), ["broken"]);
  });

  test("is never given a token, a secret or the key", async () => {
    /** @type {{ [response: string]: string }} */
    const received = {};
    const { page, row } = await open();
    page.on("response", async (response) => {
      const name = `${response.request().method()} ${response.url()} (${Object.keys(received).length})`;
      received[name] = JSON.stringify(await response.headersArray().catch(() => []));
      received[name] += await response.text().catch(() => "");
    });
    await page.reload();
    await row("slow").getByRole("button", { name: "Refresh" }).click();
    await row("slow").getByText("Refreshed at").waitFor();
    const secrets = Object.fromEntries([
      ["key", ADMIN_KEY],
      ...upstream.issued.map((token, i) => [`token ${i + 1}`, token]),
      ...Object.entries({
        ...upstream.secrets,
        ...receiver.secrets,
        SEALING_KEYS: String(broker.secrets.SEALING_KEYS).split(":")[1],
      }).filter(([name]) => !name.endsWith("CLIENT_ID")),
    ]);
    assert.ok(Object.keys(received).length >= 5 && upstream.issued.length >= 4);
    assert.deepEqual(search({ ...received, ...(await heldBy(page)) }, secrets), []);
  });
});
