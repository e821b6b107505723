// The sandbox's two people in a real browser: each sees their own invoices, and nobody another's.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { unstable_readConfig as readConfig } from "wrangler";
import { startFrontend } from "../../sandbox/frontend.mjs";
import { startIssuer } from "../../sandbox/issuer.mjs";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { startBroker } from "./support/broker.mjs";
import { en } from "../../sandbox/page/en.js";
import { pt } from "../../sandbox/page/pt.js";
import { ANSWERS, foreignTexts } from "./support/languages.mjs";
import { heldBy } from "./support/held.mjs";
import { search } from "./support/search.mjs";
import { launchAt, openFresh } from "./support/sandbox-pages.mjs";

/** @import { Browser, Page, ViewportSize } from "playwright-core" */
/** @import { Hubsoft } from "../../sandbox/types.js" */
/** @import { Broker, Vars } from "./support/broker.mjs" */

// Where `npm start` serves them; the browser is told that they are elsewhere.
const BROKER = "http://localhost:8787";
const PAGE = "http://localhost:8790";

const INVOICES = "/api/v1/integracao/cliente/financeiro";
const ANOTHER = "Another person's invoices";

/** @type {Hubsoft} */
let hubsoft;
/** @type {Awaited<ReturnType<typeof startIssuer>>} */
let issuer;
/** @type {Awaited<ReturnType<typeof startFrontend>>} */
let frontend;
/** @type {Broker} */
let broker;
/** @type {Browser} */
let browser;
/** @type {string} */
let shots;

before(async () => {
  [hubsoft, issuer] = await Promise.all([startHubsoft({ options: { limits: true } }), startIssuer()]);
  frontend = await startFrontend({ issuer, hubsoft });
  /** @param {string} path */
  const at = (path) => fileURLToPath(new URL(`../../sandbox/${path}`, import.meta.url));
  /** @type {{ vars: Vars }} */
  const { vars } = readConfig({ config: at("wrangler.toml") });
  broker = await startBroker({
    // Static assets are wrangler's to serve.
    wrangler: { assets: { directory: at("page") } },
    vars: {
      ...vars,
      CALLERS: { ...vars.CALLERS, subscriber: { ...vars.CALLERS.subscriber, issuer: issuer.url } },
      CONNECTIONS: {
        hubsoft: { ...vars.CONNECTIONS.hubsoft, base_url: hubsoft.baseUrl },
        // There are sessions: the page asks who is signed in.
        "hubsoft-people": { ...vars.CONNECTIONS["hubsoft-people"], base_url: hubsoft.baseUrl },
      },
    },
    secrets: Object.fromEntries(
      [
        ...Object.entries(hubsoft.credentials).map(([name, value]) => [`HUBSOFT_${name}`, value]),
        ...Object.entries(hubsoft.peopleClient).map(([name, value]) => [`HUBSOFT_PEOPLE_${name}`, value]),
      ].map(([name, value]) => [name.toUpperCase(), value]),
    ),
  });
  shots = await mkdtemp(join(tmpdir(), "porteiro-invoices-"));
  browser = await launchAt({ "localhost:8787": broker.url, "localhost:8790": frontend.url });
});

after(async () => {
  await browser?.close();
  await Promise.all([broker?.stop(), hubsoft?.close(), issuer?.close(), frontend?.close()]);
});

/**
 * Opens the page in a fresh profile; what it receives and what goes wrong in it are kept.
 *
 * @param {{ address?: string, viewport?: ViewportSize, colorScheme?: "light" | "dark", locale?: string }} [settings]
 */
async function open({
  address = PAGE,
  viewport = { width: 1280, height: 900 },
  colorScheme = "light",
  locale = "en-GB",
} = {}) {
  const opened = await openFresh(browser, { viewport, colorScheme, locale });
  const { page } = opened;
  await page.goto(`${address}/`);
  await page.locator("#invoices .card").waitFor();
  return opened;
}

/**
 * @param {Page} page
 * @param {string} name
 */
const press = (page, name) => page.locator("#invoices").getByRole("button", { name, exact: true }).click();
/** @param {Page} page */
const rows = (page) => page.locator("#answer tbody tr").allInnerTexts();
/** @param {Page} page */
const verdict = (page) => page.locator("#upstream .verdict");
const arrived = () => hubsoft.apiRequests.filter(({ path }) => path.startsWith(INVOICES)).map(({ path }) => path);

/**
 * Chooses a person, and waits for their own invoices.
 *
 * @param {Page} page
 * @param {typeof issuer.people[number]} person
 */
async function choose(page, person) {
  await press(page, person.name);
  await page.locator("#answer .hint").getByText(`cpf = ${person.cpf}`).waitFor();
  await page.locator("#answer tbody tr").first().waitFor();
}

describe("the page's two people", () => {
  test("see their own invoices", async () => {
    const { context, page, faults } = await open();
    const seen = [];
    for (const person of issuer.people) {
      const before = arrived().length;
      await choose(page, person);
      assert.match(await page.locator("#answer .outcome").innerText(), /^200/);
      assert.match(await verdict(page).innerText(), /^HubSoft was asked for this person's own/);
      const own = arrived().slice(before);
      assert.equal(own.length, 1);
      const { searchParams } = new URL(own[0], hubsoft.url);
      assert.deepEqual([...searchParams].sort(), [
        ["apenas_pendente", "nao"],
        ["busca", "cpf_cnpj"],
        ["termo_busca", person.cpf],
      ]);
      seen.push(await rows(page));
    }
    assert.deepEqual(
      seen.map((one) => one.length),
      [3, 3],
    );
    assert.match(seen[0].join(), /Fibra 1 Giga/);
    assert.match(seen[1].join(), /Fibra 600 Mega \+ TV/);
    assert.doesNotMatch(seen[1].join(), /Fibra 1 Giga/);
    assert.equal(await page.locator("#invoices .alarm").count(), 0);
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("are refused another's, and nothing reaches HubSoft", async () => {
    const { context, page, faults, received } = await open();
    for (const person of issuer.people) {
      await choose(page, person);
      const [before, tokens] = [hubsoft.apiRequests.length, hubsoft.tokenRequests.length];
      await press(page, ANOTHER);
      await page.locator("#answer").getByText("403 operation_not_allowed").waitFor();
      assert.match(await verdict(page).innerText(), /^Nothing of this call reached HubSoft/);
      assert.match(await page.locator("#upstream .outcome").innerText(), /^nothing$/);
      assert.deepEqual(await rows(page), []);
      assert.deepEqual([hubsoft.apiRequests.length, hubsoft.tokenRequests.length], [before, tokens]);
    }
    const asked = Object.keys(received).filter((name) => name.includes("&termo_busca="));
    for (const { cpf } of issuer.people)
      assert.ok(
        asked.some((name) => name.includes(`termo_busca=${cpf}`)),
        cpf,
      );
    assert.equal(await page.locator("#invoices .alarm").count(), 0);
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("set off an alarm if a broker lets another's invoices through", async () => {
    const { context, page } = await open();
    const [person, other] = issuer.people;
    await choose(page, person);
    const token = hubsoft.issued.findLast((one) => one.startsWith("hs_at_"));
    await page.route(
      ({ searchParams }) => searchParams.has("termo_busca"),
      async (route) => {
        const { search: query } = new URL(route.request().url());
        const headers = { Accept: "application/json", Authorization: `Bearer ${token}` };
        const response = await fetch(hubsoft.baseUrl + INVOICES + query, { headers });
        await route.fulfill({
          status: response.status,
          headers: { "Access-Control-Allow-Origin": PAGE, "Content-Type": "application/json" },
          body: await response.text(),
        });
      },
    );
    await press(page, ANOTHER);
    await page.locator("#answer .alarm").getByText(`These are the invoices of ${other.name}`).waitFor();
    assert.match(await verdict(page).innerText(), /^HubSoft was asked for another person's/);
    await context.close();
  });

  test("bring the page no token of HubSoft's and no secret", async () => {
    const { context, page, received } = await open();
    await choose(page, issuer.people[0]);
    await press(page, ANOTHER);
    await page.locator("#answer .problem").waitFor();
    const { client_id, ...credentials } = hubsoft.credentials;
    const tokens = Object.fromEntries(hubsoft.issued.map((token, i) => [`token ${i + 1}`, token]));
    assert.ok(hubsoft.issued.length > 0);
    assert.deepEqual(search({ ...received, ...(await heldBy(page)) }, { ...credentials, ...tokens }), []);
    await context.close();
  });

  test("can be chosen with the keyboard alone", async () => {
    const { context, page } = await open();
    const [one, other] = issuer.people;
    await page.locator("#invoices").getByRole("button", { name: one.name }).focus();
    await page.keyboard.press("Enter");
    await page.locator("#answer tbody tr").first().waitFor();
    const focused = [];
    for (let i = 0; i < 2; i += 1) {
      await page.keyboard.press("Tab");
      focused.push(await page.evaluate(() => document.activeElement?.textContent));
    }
    assert.deepEqual(focused, [other.name, ANOTHER]);
    const group = page.getByRole("group", { name: "Who calls" });
    assert.equal(await group.getByRole("button", { pressed: true }).innerText(), one.name);
    await page.keyboard.press("Enter");
    await page.locator("#answer .problem").waitFor();
    await context.close();
  });

  test("are on the page that the broker serves, too", async () => {
    const { context, page, faults } = await open({ address: BROKER });
    await choose(page, issuer.people[1]);
    await press(page, ANOTHER);
    await page.locator("#answer").getByText("403 operation_not_allowed").waitFor();
    assert.deepEqual(faults, []);
    await context.close();
  });

  for (const width of [1280, 360]) {
    test(`are shown in Portuguese where the browser prefers it, at ${width} pixels`, async () => {
      const { context, page, faults } = await open({ viewport: { width, height: 900 }, locale: "pt-BR" });
      const [person, other] = issuer.people;
      const languages = { own: pt, foreign: en, apis: ANSWERS };
      await choose(page, person);
      await page.locator("#answer").getByText("pendente").first().waitFor();
      await page.locator("#invoices").screenshot({ path: join(shots, `own-${width}-pt.png`) });
      assert.deepEqual(await foreignTexts(page, languages), []);
      await press(page, pt.anothersInvoices);
      await page.locator("#answer").getByText("403 operation_not_allowed").waitFor();
      assert.match(
        await page.locator("#answer .hint").innerText(),
        new RegExp(`^Pelas faturas de ${other.name}, como`),
      );
      assert.ok((await verdict(page).innerText()).startsWith(pt.nothingReached));
      await page.locator("#invoices").screenshot({ path: join(shots, `another-${width}-pt.png`) });
      assert.deepEqual(await foreignTexts(page, languages), []);
      assert.deepEqual(faults, []);
      await context.close();
    });
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      test(`are legible at ${width} pixels, ${colorScheme}`, async (t) => {
        const { context, page, faults } = await open({ viewport: { width, height: 900 }, colorScheme });
        t.diagnostic(`screenshots are in ${shots}`);
        await choose(page, issuer.people[0]);
        await page.locator("#invoices").screenshot({ path: join(shots, `own-${width}-${colorScheme}.png`) });
        await press(page, ANOTHER);
        await page.locator("#answer .problem").waitFor();
        await page.locator("#invoices").screenshot({ path: join(shots, `another-${width}-${colorScheme}.png`) });
        const { scroll, wide } = await page.evaluate(() => ({
          scroll: document.documentElement.scrollWidth,
          wide: [...document.querySelectorAll("#invoices *")]
            .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
            .map((node) => node.outerHTML.slice(0, 120)),
        }));
        assert.ok(scroll <= width, `${scroll} px wide; beyond the edge: ${wide.slice(0, 5).join("\n")}`);
        assert.deepEqual(faults, []);
        await context.close();
      });
    }
  }
});
