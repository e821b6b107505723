// The sandbox's page in a real browser, served by the broker.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { startGuru } from "../../sandbox/providers/guru.mjs";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { startV8 } from "../../sandbox/providers/v8.mjs";
import { ensureChromium } from "../../scripts/chromium.mjs";
import { startBroker } from "./support/broker.mjs";
import { en } from "../../sandbox/page/en.js";
import { pt } from "../../sandbox/page/pt.js";
import { ANSWERS, foreignTexts, languageOf } from "./support/languages.mjs";
import { heldBy } from "./support/held.mjs";
import { search } from "./support/search.mjs";

/** @import { Browser, Page } from "playwright-core" */
/** @import { Credentials, Guru, Hubsoft, Provider } from "../../sandbox/types.js" */
/** @import { Broker } from "./support/broker.mjs" */

// Where the page expects the broker; the browser is told that it is elsewhere.
const ADDRESS = "http://localhost:8787";

/** @type {Guru} */
let guru;
/** @type {Hubsoft} */
let hubsoft;
/** @type {Provider} */
let v8;
/** @type {Broker} */
let broker;
/** @type {Browser} */
let browser;
/** @type {Page} */
let page;
/** @type {string} */
let shots;
/** @type {{ [response: string]: string }} */
const received = {};
/** @type {string[]} */
const faults = [];

before(async () => {
  const executablePath = await ensureChromium();
  const settings = { port: 0, options: { limits: true } };
  [guru, hubsoft, v8] = await Promise.all([startGuru(settings), startHubsoft(settings), startV8(settings)]);
  /**
   * @param {string[]} methods
   * @param {string[]} paths
   */
  const visitor = (methods, ...paths) => ({ callers: ["visitor"], methods, paths });
  /**
   * @param {string} prefix
   * @param {Credentials} credentials
   */
  const upper = (prefix, credentials) =>
    Object.fromEntries(Object.entries(credentials).map(([name, value]) => [`${prefix}_${name.toUpperCase()}`, value]));
  broker = await startBroker({
    // Static assets are wrangler's to serve.
    wrangler: { assets: { directory: fileURLToPath(new URL("../../sandbox/page", import.meta.url)) } },
    vars: {
      ALLOWED_ORIGINS: ["http://localhost:8790"],
      CALLERS: { visitor: { kind: "anyone" } },
      CONNECTIONS: {
        guru: {
          provider: "guru",
          base_url: guru.baseUrl,
          rules: [visitor(["GET"], "/transactions", "/transactions/*")],
        },
        hubsoft: { provider: "hubsoft", base_url: hubsoft.baseUrl, rules: [visitor(["GET", "POST"], "/api/v1/**")] },
        v8: {
          provider: "v8",
          base_url: v8.baseUrl,
          token_url: v8.tokenUrl,
          rules: [visitor(["GET"], "/private-consignment/**")],
        },
      },
    },
    secrets: {
      ...upper("GURU", guru.credentials),
      ...upper("HUBSOFT", hubsoft.credentials),
      ...upper("V8", v8.credentials),
    },
  });
  shots = await mkdtemp(join(tmpdir(), "porteiro-page-"));
  browser = await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-background-networking",
      `--host-resolver-rules=MAP localhost:8787 ${new URL(broker.url).host}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
    ],
  });
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("response", async (response) => {
    const name = `${response.status()} ${response.request().method()} ${response.url()} (${Object.keys(received).length})`;
    received[name] = JSON.stringify(await response.headersArray());
    received[name] += await response.text().catch(() => "");
  });
  await page.goto(`${ADDRESS}/`);
  await page.waitForFunction(
    () => document.querySelectorAll("#panels table").length === 3 || document.querySelector("#panels .problem"),
  );
});

after(async () => {
  await browser?.close();
  await broker?.stop();
  await Promise.all([guru, hubsoft, v8].map((provider) => provider?.close()));
});

const secrets = () =>
  Object.fromEntries(
    [guru, hubsoft, v8].flatMap(({ name, issued, credentials }) => [
      ...issued.map((token, i) => [`${name} token ${i + 1}`, token]),
      ...Object.entries(credentials).map(([field, value]) => [`${name} ${field}`, value]),
    ]),
  );

/** @param {string} id */
const rows = (id) => page.locator(`#${id} tbody tr`).allInnerTexts();

describe("the page", () => {
  test("shows data of the three providers", async (t) => {
    await page.screenshot({ path: join(shots, "page-1280.png"), fullPage: true });
    t.diagnostic(`screenshots are in ${shots}`);
    for (const id of ["guru", "hubsoft", "v8"]) {
      assert.ok((await rows(id)).length > 0, `${id}: ${await page.locator(`#${id}`).innerText()}`);
    }
    assert.ok((await rows("guru")).join().includes("Ana Beatriz Moura"));
    assert.equal(await page.locator(".alarm").count(), 0);
    assert.deepEqual(faults, []);
  });

  test("says where each token came from", async () => {
    assert.match(await page.locator("#guru .outcome").innerText(), /static/);
    assert.match(await page.locator("#hubsoft .outcome").innerText(), /grant/);
    assert.match(await page.locator("#v8 .outcome").innerText(), /grant/);
  });

  test("creates a ticket and calls again from memory", async () => {
    await page.getByRole("button", { name: "Create a ticket" }).click();
    await page.locator("#hubsoft .done").waitFor();
    assert.match(await page.locator("#hubsoft .done").innerText(), /^Ticket \d+ created/);
    await page.locator("#v8").getByRole("button", { name: "Call again" }).click();
    await page.waitForFunction(() => /memory/.test(document.querySelector("#v8 .outcome")?.textContent ?? ""));
    assert.equal(v8.tokenRequests.length, 1);
    assert.equal(hubsoft.tokenRequests.length, 1);
  });

  test("is refused what is not allowed", async () => {
    const buttons = page.getByRole("button", { name: "Try it" });
    const count = await buttons.count();
    assert.ok(count > 0);
    for (let i = 0; i < count; i += 1) await buttons.nth(i).click();
    await page.waitForFunction((wanted) => document.querySelectorAll("#attempts .problem").length === wanted, count);
    assert.equal(await page.locator(".alarm").count(), 0);
    await page.screenshot({ path: join(shots, "attempts-1280.png"), fullPage: true });
  });

  test("has received no token, no secret and no password", async () => {
    assert.ok(
      Object.keys(received).filter((name) => name.includes("/api/")).length >= 6,
      Object.keys(received).join("\n"),
    );
    assert.ok(Object.keys(secrets()).length > 10);
    assert.deepEqual(search(received, longEnough(secrets())), []);
  });

  test("holds no token, no secret and no password anywhere", async () => {
    const held = await heldBy(page);
    held.jar = JSON.stringify(await page.context().cookies());
    assert.deepEqual(
      [held.localStorage, held.sessionStorage, held.cookies, held.databases, held.jar],
      ["{}", "{}", "", "[]", "[]"],
    );
    assert.ok(held.globals.length > 100 && held.document.length > 1000);
    assert.deepEqual(search(held, longEnough(secrets())), []);
  });

  test("is in English where the browser prefers neither language", async () => {
    assert.equal(await languageOf(page), "en");
    assert.deepEqual(await foreignTexts(page, { own: en, foreign: pt, apis: "tbody" }), []);
  });

  for (const width of [1280, 360]) {
    test(`is in Portuguese where the browser prefers it, at ${width} pixels`, async () => {
      const context = await browser.newContext({ locale: "pt-BR", viewport: { width, height: 900 } });
      const page = await context.newPage();
      await page.goto(`${ADDRESS}/`);
      await page.waitForFunction(() => document.querySelectorAll("#panels table").length === 3);
      await page.getByText("3 de 3 chamadas trouxeram dados.").waitFor();
      await page.getByRole("button", { name: pt.createTicket }).click();
      assert.match(await page.locator("#hubsoft .done").innerText(), /^Atendimento \d+ aberto para /);
      for (const button of await page.getByRole("button", { name: pt.tryIt }).all()) await button.click();
      await page.locator("#attempts .problem").nth(2).waitFor();
      for (const summary of await page.locator("summary").all()) await summary.click();
      await page.screenshot({ path: join(shots, `page-${width}-pt-open.png`), fullPage: true });
      assert.equal(await languageOf(page), "pt-BR");
      assert.equal(await page.title(), pt.title);
      assert.deepEqual(await foreignTexts(page, { own: pt, foreign: en, apis: ANSWERS }), []);
      for (const summary of await page.locator("summary").all()) await summary.click();
      await page.screenshot({ path: join(shots, `page-${width}-pt.png`), fullPage: true });
      const scroll = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(scroll <= width, `${scroll} px wide`);
      await context.close();
    });
  }

  test("needs no horizontal scrolling at 360 pixels", async () => {
    await page.setViewportSize({ width: 360, height: 780 });
    await page.screenshot({ path: join(shots, "page-360.png"), fullPage: true });
    const { scroll, wide } = await page.evaluate(() => {
      /** @param {Element} node */
      const beyond = (node) => node.getBoundingClientRect().right > innerWidth + 1;
      return {
        scroll: document.documentElement.scrollWidth,
        wide: [...document.querySelectorAll("body *")]
          .filter(beyond)
          .slice(0, 5)
          .map((node) => node.outerHTML.slice(0, 120)),
      };
    });
    assert.ok(scroll <= 360, `${scroll} px wide; beyond the edge: ${wide.join("\n")}`);
  });
});

/**
 * A client id of two digits is found anywhere; it is no secret.
 *
 * @param {Credentials} all
 */
const longEnough = (all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value.length >= 8));
