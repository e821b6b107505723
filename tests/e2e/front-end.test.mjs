// The example's page for the last resort, where people type their password into it, in a real browser, with the
// sandbox's configuration.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { unstable_readConfig as readConfig } from "wrangler";
import { startExample } from "../../sandbox/frontend.mjs";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { startBroker } from "./support/broker.mjs";
import { foreignTexts, languageOf } from "./support/languages.mjs";
import { heldBy } from "./support/held.mjs";
import { COOKIE, DEVICE_COOKIE } from "./support/person.mjs";
import { search } from "./support/search.mjs";
import { launchAt, openFresh } from "./support/sandbox-pages.mjs";

// The module asks which languages the browser prefers, and Node.js has an answer, too.
const { tables } = await import("../../examples/front-end/words.js");

/** @import { Browser, BrowserContextOptions, Page } from "playwright-core" */
/** @import { Broker, Vars } from "./support/broker.mjs" */

// Where `npm start` serves them; the browser is told that they are elsewhere.
const BROKER = "http://localhost:8787";
const EXAMPLE = "http://localhost:8791";

const PATH = "/password.html";

/** A problem as the broker tells it, without what it is. */
const PROBLEM = { title: "A title", detail: "A detail.", request_id: "0f".repeat(16) };

const CONNECTION = "hubsoft-people";
const SIZES = [
  { width: 1280, height: 900 },
  { width: 360, height: 780 },
];

// Not those that the page shows: what is searched for must not be there.
const people = [
  { username: "eva@people.test", password: "segredo-da-eva-81" },
  { username: "caio@people.test", password: "segredo-do-caio-64" },
];
const [EVA, CAIO] = people;

/** @type {Awaited<ReturnType<typeof startHubsoft>>} */
let hubsoft;
/** @type {Broker} */
let broker;
/** @type {Awaited<ReturnType<typeof startExample>>} */
let example;
/** @type {Browser} */
let browser;
/** @type {string} */
let shots;

before(async () => {
  [hubsoft, example] = await Promise.all([startHubsoft({ people }), startExample()]);
  /** @type {{ vars: Vars }} */
  const { vars } = readConfig({ config: fileURLToPath(new URL("../../sandbox/wrangler.toml", import.meta.url)) });
  assert.ok(vars.ALLOWED_ORIGINS.includes(EXAMPLE));
  broker = await startBroker({
    vars: { ...vars, CONNECTIONS: { [CONNECTION]: { ...vars.CONNECTIONS[CONNECTION], base_url: hubsoft.baseUrl } } },
    secrets: {
      BACKEND_KEY: undefined,
      HUBSOFT_PEOPLE_CLIENT_ID: hubsoft.peopleClient.client_id,
      HUBSOFT_PEOPLE_CLIENT_SECRET: hubsoft.peopleClient.client_secret,
    },
  });
  shots = await mkdtemp(join(tmpdir(), "porteiro-example-"));
  browser = await launchAt({ "localhost:8787": broker.url, "localhost:8791": example.url });
});

after(async () => {
  await browser?.close();
  await Promise.all([broker?.stop(), hubsoft?.close(), example?.close()]);
});

/**
 * Opens the page in a fresh profile; what it receives and what goes wrong in it are kept.
 *
 * @param {Pick<BrowserContextOptions, "colorScheme" | "viewport" | "locale"> & { address?: string }} [settings]
 */
async function open({ colorScheme = "light", viewport = SIZES[0], locale = "en-GB", address = EXAMPLE } = {}) {
  const opened = await openFresh(browser, { viewport, colorScheme, locale }, { cookies: false });
  const { page } = opened;
  await page.goto(address + PATH);
  await page.locator("#loading").waitFor({ state: "hidden" });
  return opened;
}

/**
 * @param {Page} page
 * @param {string} name
 */
const button = (page, name) => page.getByRole("button", { name, exact: true });

/**
 * @param {Page} page
 * @param {{ username: string, password: string }} person
 */
async function signIn(page, { username, password }) {
  await page.getByLabel("E-mail").fill(username);
  await page.getByLabel("Password").fill(password);
  await button(page, "Sign in").click();
}

/**
 * @param {Page} page
 * @param {string} description
 */
async function openTicket(page, description) {
  await page.getByLabel("What is it about?").fill(description);
  await button(page, "Open the ticket").click();
}

/** @param {Page} page */
const message = (page) => page.locator(".message").innerText();

describe("the example of the last resort", () => {
  test("lets a person sign in, read, write and sign out", async () => {
    const { context, page, faults } = await open();
    assert.ok(await page.getByRole("heading", { name: "Sign in" }).isVisible());
    assert.equal(await page.locator(".message").count(), 0);
    await signIn(page, EVA);
    await page.locator("#customers li").first().waitFor();
    assert.match(await page.locator("#customers").innerText(), /Aurora Padaria/);
    assert.match(await page.locator("#who").innerText(), /Signed in until \d/);
    assert.ok(await page.getByText("Nobody has opened one yet.").isVisible());
    assert.equal(await page.getByLabel("Password").inputValue(), "");

    await page.getByLabel("Customer", { exact: true }).selectOption({ index: 2 });
    await openTicket(page, "Sem conexão <b>desde</b> hoje");
    await page.locator("#tickets li").waitFor();
    assert.match(await page.locator("#done").innerText(), /^Ticket \d+ is open\.$/);
    const ticket = await page.locator("#tickets li").innerText();
    assert.match(ticket, /Sem conexão <b>desde<\/b> hoje/);
    assert.match(ticket, /opened by eva@people\.test/);
    assert.equal(await page.getByLabel("What is it about?").inputValue(), "");

    const kept = (await context.cookies()).sort((one, other) => one.name.length - other.name.length);
    assert.deepEqual(
      kept.map(({ name, httpOnly, secure, sameSite }) => [name, httpOnly, secure, sameSite]),
      [COOKIE, DEVICE_COOKIE].map((name) => [name, true, true, "Strict"]),
    );
    await button(page, "Sign out").click();
    assert.equal(await message(page), "You are signed out.");
    // That somebody signed in with this browser before is remembered; it lets nobody in.
    assert.deepEqual(
      (await context.cookies()).map(({ name }) => name),
      [DEVICE_COOKIE],
    );
    assert.ok(!(await page.content()).includes("Aurora Padaria"));
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("knows at load who is signed in, in every tab, until one signs out", async () => {
    const { context, page, faults } = await open();
    await signIn(page, EVA);
    await page.locator("#customers li").first().waitFor();
    await page.reload();
    await page.locator("#customers li").first().waitFor();
    const other = await context.newPage();
    await other.goto(EXAMPLE + PATH);
    await button(other, "Sign out").click();
    await other.getByText("You are signed out.").waitFor();
    await button(page, "Load again").click();
    await page.getByText("Your session has expired. Sign in again.").waitFor();
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("shows nothing more to whoever goes back after signing out", async () => {
    const { context, page } = await open();
    await signIn(page, EVA);
    await page.locator("#customers li").first().waitFor();
    await page.goto("about:blank");
    await context.clearCookies();
    await page.goBack();
    await page.getByLabel("E-mail").waitFor();
    assert.equal(await page.locator("#customers li").count(), 0);
    await context.close();
  });

  test("asks to sign in again when the session has expired, and goes on", async () => {
    const { context, page, faults } = await open();
    await signIn(page, EVA);
    await page.locator("#customers li").first().waitFor();
    hubsoft.revokeEverything();
    await openTicket(page, "Too late");
    await page.getByText("Your session has expired. Sign in again.").waitFor();
    assert.ok(!(await page.content()).includes("Aurora Padaria"));
    await page.screenshot({ path: join(shots, "expired-1280.png") });
    await signIn(page, CAIO);
    await page.locator("#customers li").first().waitFor();
    await openTicket(page, "In time");
    await page.getByText("opened by caio@people.test").waitFor();
    assert.ok(!hubsoft.apiRequests.some(({ body, status }) => body.includes("Too late") && status === 200));
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("can be used with the keyboard alone", async () => {
    const { context, page } = await open();
    const focused = () => page.evaluate(() => document.activeElement?.id || document.activeElement?.textContent);
    assert.equal(await focused(), "username");
    await page.keyboard.type(EVA.username);
    await page.keyboard.press("Tab");
    await page.keyboard.type(EVA.password);
    await page.keyboard.press("Enter");
    await page.locator("#customers li").first().waitFor();
    await page.waitForFunction(() => document.activeElement?.id === "description");
    await page.keyboard.type("Por teclado");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.getByText("Por teclado").first().waitFor();
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Shift+Tab");
    assert.equal(await focused(), "sign-out");
    assert.notEqual(
      await page.evaluate(() => getComputedStyle(document.activeElement ?? document.body).outlineStyle),
      "none",
    );
    await page.keyboard.press("Enter");
    await page.getByText("You are signed out.").waitFor();
    await context.close();
  });

  test("receives and holds nothing secret", async () => {
    const { context, page, received } = await open();
    await signIn(page, EVA);
    await page.locator("#customers li").first().waitFor();
    await openTicket(page, "Segredo nenhum");
    await page.getByText("Segredo nenhum").first().waitFor();
    const cookie = (await context.cookies()).map(({ name, value }) => (name === COOKIE ? value : "")).join("");
    assert.ok(cookie);
    /** @type {{ [name: string]: string }} */
    const secrets = { cookie, password: EVA.password, "client secret": hubsoft.peopleClient.client_secret };
    hubsoft.issued.forEach((token, i) => (secrets[`token ${i + 1}`] = token));
    /** @type {{ [where: string]: string }} */
    const places = { ...received, ...(await heldBy(page)) };
    assert.ok(
      Object.keys(received).filter((name) => name.includes(BROKER)).length >= 5,
      Object.keys(received).join("\n"),
    );
    assert.deepEqual(
      [places.localStorage, places.sessionStorage, places.cookies, places.databases],
      ["{}", "{}", "", "[]"],
    );
    assert.deepEqual(search(places, secrets), []);
    await context.close();
  });

  test("says so when the API or the broker cannot answer", async () => {
    const { context, page, faults } = await open();
    await signIn(page, EVA);
    await page.locator("#customers li").first().waitFor();
    hubsoft.arm({ target: "api", kind: "status", status: 422, body: {} });
    await openTicket(page, "x");
    await page.getByText("The API answered 422").waitFor();
    // HubSoft tells of errors with the status 200, too.
    const msg = "Serviço do cliente não encontrado";
    hubsoft.arm({ target: "api", kind: "status", status: 200, body: { status: "error", msg } });
    await openTicket(page, "y");
    await page.getByText(msg).waitFor();
    await page.screenshot({ path: join(shots, "refused-1280.png"), fullPage: true });
    await context.route(`${BROKER}/**`, (route) => route.abort());
    await button(page, "Load again").click();
    await page.getByText("The broker did not answer").waitFor();
    // The page writes to the console what it cannot show.
    assert.equal(faults.length, 1);
    assert.match(faults[0], /Failed to fetch/);
    await context.unroute(`${BROKER}/**`);
    await button(page, "Load again").click();
    await page.locator(".message").waitFor({ state: "detached" });
    await context.close();
  });

  test("names its own origin where that may be what is not allowed", async () => {
    const address = example.url.replace("localhost", "127.0.0.1");
    const { context, page } = await open({ address });
    assert.match(await message(page), /The broker did not answer/);
    assert.ok((await message(page)).includes(`${address} one of its ALLOWED_ORIGINS`));
    await context.close();
  });

  for (const viewport of SIZES) {
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      test(`is legible at ${viewport.width} pixels, ${colorScheme}`, async (t) => {
        const { context, page, faults } = await open({ viewport, colorScheme });
        /** @param {string} name */
        const look = async (name) => {
          await page.screenshot({ path: join(shots, `${name}-${viewport.width}-${colorScheme}.png`), fullPage: true });
          const { scroll, wide } = await page.evaluate(() => ({
            scroll: document.documentElement.scrollWidth,
            wide: [...document.querySelectorAll("body *")]
              .filter((node) => node.getBoundingClientRect().right > innerWidth + 1)
              .map((node) => node.outerHTML.slice(0, 120)),
          }));
          assert.ok(scroll <= viewport.width, `${scroll} px wide; beyond the edge: ${wide.slice(0, 5).join("\n")}`);
        };
        t.diagnostic(`screenshots are in ${shots}`);
        await look("sign-in");
        await signIn(page, EVA);
        await page.locator("#customers li").first().waitFor();
        await openTicket(page, "A internet cai todas as noites, por volta das oito, e volta de madrugada");
        await page.getByText("A internet cai").first().waitFor();
        await look("desk");
        assert.equal(await languageOf(page), "en");
        const languages = { own: tables.en, foreign: tables.pt, apis: "#customers, #service, #tickets strong" };
        assert.deepEqual(await foreignTexts(page, languages), []);
        assert.deepEqual(faults, []);
        await context.close();
      });
    }
  }

  for (const viewport of SIZES) {
    test(`is in Portuguese where the browser prefers it, at ${viewport.width} pixels`, async (t) => {
      const { context, page, faults } = await open({ viewport, locale: "pt-BR" });
      const { pt } = tables;
      /** @param {string} name */
      const look = async (name) => {
        await page.screenshot({ path: join(shots, `${name}-${viewport.width}-pt.png`), fullPage: true });
        const apis = "#customers strong, #customers .quiet, #service, #tickets strong, aside dl";
        assert.deepEqual(await foreignTexts(page, { own: pt, foreign: tables.en, apis }), [], name);
        const scroll = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(scroll <= viewport.width, `${name}: ${scroll} px wide`);
      };
      t.diagnostic(`screenshots are in ${shots}`);
      assert.equal(await languageOf(page), "pt-BR");
      assert.equal(await page.title(), pt.deskTitle);
      await look("sign-in");

      /** @param {string} code @param {number} status */
      const refuse = (code, status) =>
        context.route(`${BROKER}/auth/${CONNECTION}/login`, (route) =>
          route.fulfill({
            status,
            headers: { "Access-Control-Allow-Origin": EXAMPLE, "Access-Control-Allow-Credentials": "true" },
            contentType: "application/problem+json",
            body: JSON.stringify({ ...PROBLEM, type: `${BROKER}/problems/${code}`, code, status }),
          }),
        );
      const enter = async () => {
        await page.getByLabel(pt.email).fill(EVA.username);
        await page.getByLabel(pt.password).fill(EVA.password);
        await button(page, pt.signIn).click();
      };
      await refuse("login_rejected", 401);
      await enter();
      await page.getByText("E-mail ou senha incorretos").waitFor();
      assert.doesNotMatch(await message(page), /A detail/);
      await look("rejected");
      await context.unrouteAll();
      // Of what the page has no words for, the broker tells.
      await refuse("request_timeout", 408);
      await enter();
      await page.getByText("A title").waitFor();
      assert.match(await message(page), /A detail\./);
      await context.unrouteAll();

      await enter();
      await page.locator("#customers li").first().waitFor();
      await page.getByLabel(pt.about).fill("A internet cai todas as noites");
      await button(page, pt.openTicket).click();
      await page.locator("#done").getByText(/./).waitFor();
      assert.match(await page.locator("#done").innerText(), /^Atendimento \d+ aberto\.$/);
      assert.match(await page.locator("#who").innerText(), /até \d+ de [a-zç]+\. de \d{4}, \d\d:\d\d/);
      await look("desk");
      await button(page, pt.signOut).click();
      assert.equal(await message(page), pt.signedOut);
      await look("signed-out");
      await context.route(`${BROKER}/**`, (route) => route.abort());
      await enter();
      await page.getByText(pt.noAnswer).waitFor();
      await look("no-answer");
      assert.equal(faults.length, 1);
      await context.close();
    });
  }

  for (const [locale, language] of [
    ["en-US", "en"],
    ["fr-FR", "en"],
    ["pt-PT", "pt-BR"],
  ]) {
    test(`speaks ${language} to a browser that prefers ${locale}`, async () => {
      const { context, page } = await open({ locale });
      assert.equal(await languageOf(page), language);
      const [own, foreign] = language === "en" ? [tables.en, tables.pt] : [tables.pt, tables.en];
      assert.equal(await page.title(), own.deskTitle);
      assert.deepEqual(await foreignTexts(page, { own, foreign, apis: "aside dl" }), []);
      await context.close();
    });
  }

  // Last: from here on, the broker lets nobody of this address try.
  test("shows what is wrong with a sign-in, and when to try again", async () => {
    const { context, page, faults } = await open({ viewport: SIZES[1] });
    await signIn(page, { ...EVA, password: "not hers" });
    await page.getByText("login_rejected, request").waitFor();
    assert.equal(await page.getByLabel("Password").inputValue(), "");
    assert.equal(await page.getByLabel("E-mail").inputValue(), EVA.username);
    await page.screenshot({ path: join(shots, "rejected-360.png"), fullPage: true });
    const tried = hubsoft.tokenRequests.length;
    const limited = page.getByText("rate_limited, request");
    for (let i = 0; i < 8 && !(await limited.isVisible()); i += 1) {
      await signIn(page, { ...EVA, password: `not hers ${i}` });
      await page.locator("#sign-in:not([aria-busy])").waitFor();
    }
    await limited.waitFor();
    assert.ok(hubsoft.tokenRequests.length - tried <= 4);
    assert.match(await message(page), /Try again after \d\d:\d\d:\d\d\./);
    await page.screenshot({ path: join(shots, "limited-360.png"), fullPage: true });
    assert.deepEqual(faults, []);
    await context.close();
  });
});
