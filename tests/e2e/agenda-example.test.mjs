// The example front end in a real browser, with the sandbox's configuration: people sign in at an OpenID Connect
// provider, and connect and disconnect their account.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { unstable_readConfig as readConfig } from "wrangler";
import { startExample } from "../../sandbox/frontend.mjs";
import { startAgenda } from "../../sandbox/providers/agenda.mjs";
import { agendaSecrets, allow, clientSecrets, connectionsAt, deny } from "./support/agenda.mjs";
import { startBroker } from "./support/broker.mjs";
import { foreignTexts, languageOf } from "./support/languages.mjs";
import { heldBy } from "./support/held.mjs";
import { COOKIE } from "./support/person.mjs";
import { search } from "./support/search.mjs";
import { until } from "./support/until.mjs";
import { launchAt, openFresh } from "./support/sandbox-pages.mjs";

// The module asks which languages the browser prefers, and Node.js has an answer, too.
const { outcomeTables, tables } = await import("../../examples/front-end/words.js");

/** @import { Browser, BrowserContextOptions, Page } from "playwright-core" */
/** @import { Agenda } from "../../sandbox/types.js" */
/** @import { Broker, Vars } from "./support/broker.mjs" */

// Where `npm start` serves them; the browser is told that they are elsewhere.
const BROKER = "http://localhost:8787";
const EXAMPLE = "http://localhost:8791";

const SIZES = [
  { width: 1280, height: 900 },
  { width: 360, height: 780 },
];

/** @type {Agenda} */
let agenda;
/** @type {Broker} */
let broker;
/** @type {Awaited<ReturnType<typeof startExample>>} */
let example;
/** @type {Browser} */
let browser;
/** @type {string} */
let shots;

before(async () => {
  [agenda, example] = await Promise.all([startAgenda(), startExample()]);
  /** @type {{ vars: Vars }} */
  const { vars } = readConfig({ config: fileURLToPath(new URL("../../sandbox/wrangler.toml", import.meta.url)) });
  broker = await startBroker({
    vars: { ...vars, CONNECTIONS: connectionsAt(vars.CONNECTIONS, agenda) },
    secrets: { BACKEND_KEY: undefined, ...clientSecrets(agenda) },
  });
  agenda.clients[0].backchannel_logout_uri = `${broker.url}/auth/agenda/backchannel-logout`;
  shots = await mkdtemp(join(tmpdir(), "porteiro-agenda-example-"));
  browser = await launchAt({ "localhost:8787": broker.url, "localhost:8791": example.url });
});

after(async () => {
  await browser?.close();
  await Promise.all([broker?.stop(), agenda?.close(), example?.close()]);
});

/**
 * Opens the page in a fresh profile; what it receives and what goes wrong in it are kept.
 *
 * @param {Pick<BrowserContextOptions, "colorScheme" | "viewport" | "locale">} [settings]
 */
async function open({ colorScheme = "light", viewport = SIZES[0], locale = "en-GB" } = {}) {
  const opened = await openFresh(browser, { viewport, colorScheme, locale }, { cookies: false });
  const { page } = opened;
  await page.goto(`${EXAMPLE}/`);
  await loaded(page);
  return opened;
}

/** @param {Page} page */
async function loaded(page) {
  await page.waitForURL(`${EXAMPLE}/`);
  await page.locator("#loading").waitFor({ state: "hidden" });
}

/**
 * @param {Page} page
 * @param {string} name
 */
const button = (page, name) => page.getByRole("button", { name, exact: true });

/**
 * Signs in, and waits for the person's own appointments.
 *
 * @param {Page} page
 * @param {number} [i] who of the agenda's people
 */
async function signIn(page, i = 0, words = tables.en) {
  await button(page, words.signInAtAgenda).click();
  await allow(page, agenda.people[i].name);
  await loaded(page);
  await page.locator("#appointments li").first().waitFor();
}

/** @param {Page} page */
const titles = (page) => page.locator("#appointments strong").allInnerTexts();

/** @param {number} i */
const titlesOf = (i) => agenda.appointmentsOf(agenda.people[i].sub).map(({ title }) => title);

/** @param {Page} page */
const message = (page) => page.locator(".message").innerText();

describe("the example front end", () => {
  test("lets people sign in at the agenda, and see what is theirs", async () => {
    for (const [i, { name, email }] of agenda.people.entries()) {
      const { context, page, faults } = await open();
      assert.equal(await page.locator(".message").count(), 0);
      assert.equal(await page.locator("input").count(), 0);
      await signIn(page, i);
      // Nothing of the sign-in stays in the address.
      assert.equal(page.url(), `${EXAMPLE}/`);
      assert.deepEqual(await titles(page), titlesOf(i));
      assert.equal(await page.locator("#person").innerText(), `${name}, ${email}`);
      assert.ok(await page.getByText(tables.en.isConnected).isVisible());
      const cookie = (await context.cookies(BROKER)).find((one) => one.name === COOKIE);
      assert.deepEqual([cookie?.httpOnly, cookie?.secure, cookie?.sameSite], [true, true, "Strict"]);
      assert.deepEqual(faults, []);
      await context.close();
    }
  });

  test("lets a person sign in in a window of its own", async () => {
    const { context, page, faults } = await open();
    const [popup] = await Promise.all([page.waitForEvent("popup"), button(page, tables.en.inWindow).click()]);
    const closed = popup.waitForEvent("close");
    await allow(popup, agenda.people[1].name);
    await closed;
    await page.locator("#appointments li").first().waitFor();
    assert.deepEqual(await titles(page), titlesOf(1));
    assert.equal(page.url(), `${EXAMPLE}/`);
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("knows when the person closes the window, or denies in it", async () => {
    const { context, page, faults } = await open();
    const window = async () => {
      const [popup] = await Promise.all([page.waitForEvent("popup"), button(page, tables.en.inWindow).click()]);
      await popup.locator("button[value=deny]").waitFor();
      return popup;
    };
    await (await window()).close();
    await page.locator("#sign-in-window:not([aria-busy])").waitFor();
    assert.equal(await page.locator(".message").count(), 0);
    await deny(await window());
    await page.getByText(outcomeTables.en.access_denied).waitFor();
    assert.ok(await button(page, tables.en.signInAtAgenda).isVisible());
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("takes no other window's word", async () => {
    const { context, page } = await open();
    const [popup] = await Promise.all([page.waitForEvent("popup"), button(page, tables.en.inWindow).click()]);
    await popup.locator("button[value=deny]").waitFor();
    // By the page's own origin, and by the window's while it is at another.
    const forged = { source: "porteiro", connection: "agenda", outcome: "failed", code: "misconfigured" };
    // This listener is called after the page's own.
    await page.evaluate(() =>
      addEventListener("message", () => document.body.append(document.createElement("output"))),
    );
    await page.evaluate((message) => postMessage(message, "*"), forged);
    await popup.evaluate((message) => opener.postMessage(message, "*"), forged);
    await page.waitForFunction(() => document.querySelectorAll("output").length === 2);
    assert.equal(await page.locator(".message").count(), 0);
    await deny(popup);
    await page.getByText(outcomeTables.en.access_denied).waitFor();
    await context.close();
  });

  test("says what the person denied, and tells each other failure from its address", async () => {
    const { context, page, faults } = await open();
    await button(page, tables.en.signInAtAgenda).click();
    await deny(page);
    await loaded(page);
    assert.equal(await message(page), outcomeTables.en.access_denied);
    /** @type {{ [code: string]: string }} */
    const texts = outcomeTables.en;
    for (const code of [...Object.keys(texts), "token_response_invalid"]) {
      await page.goto(`${EXAMPLE}/?porteiro=failed&porteiro_code=${code}`);
      await loaded(page);
      assert.equal(await message(page), texts[code] ?? tables.en.failed.replace("{}", code));
    }
    await page.reload();
    await loaded(page);
    assert.equal(await page.locator(".message").count(), 0);
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("disconnects and connects the person's account", async () => {
    const { context, page, faults } = await open();
    await signIn(page);
    const before = agenda.openRequests.length;
    await button(page, tables.en.disconnect).click();
    await page.getByText(tables.en.isNotConnected).waitFor();
    assert.ok(!(await page.content()).includes(titlesOf(0)[0]));
    await until(() => agenda.openRequests.slice(before).some(({ path }) => path === "/revoke"), "a revocation");
    // The person is still there, and so after a reload.
    await page.reload();
    await loaded(page);
    assert.match(await page.locator("#person").innerText(), /^Ana Moura/);
    await button(page, tables.en.connect).click();
    await allow(page, agenda.people[0].name);
    await loaded(page);
    await page.locator("#appointments li").first().waitFor();
    assert.deepEqual(await titles(page), titlesOf(0));
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("offers to connect again when the provider has ended what it granted", async () => {
    const { context, page, faults } = await open();
    await signIn(page);
    agenda.revokeEverything();
    await button(page, tables.en.reload).click();
    await page.getByText(tables.en.isNotConnected).waitFor();
    assert.match(await page.locator("#person").innerText(), /^Ana Moura/);
    await button(page, tables.en.connect).click();
    await page.waitForURL(`${agenda.url}/**`);
    await allow(page, agenda.people[0].name);
    await loaded(page);
    await page.locator("#appointments li").first().waitFor();
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("knows at load who is signed in, in every tab, until one signs out", async () => {
    const { context, page, faults } = await open();
    await signIn(page);
    const other = await context.newPage();
    await other.goto(`${EXAMPLE}/`);
    await other.locator("#appointments li").first().waitFor();
    await button(other, tables.en.signOut).click();
    await other.getByText(tables.en.signedOut).waitFor();
    assert.ok(!(await other.content()).includes(titlesOf(0)[0]));
    // The client tells the others.
    await page.getByText(tables.en.signedOut).waitFor();
    assert.ok(!(await page.content()).includes("Ana Moura"));
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("signs out at the agenda, too", async () => {
    const { context, page, faults } = await open();
    await signIn(page);
    await button(page, tables.en.signOutEverywhere).click();
    await page.waitForURL(`${agenda.url}/logout**`);
    assert.match(await page.locator("main").innerText(), /You are signed in as Ana Moura/);
    await button(page, "Sign out").click();
    await loaded(page);
    assert.ok(await button(page, tables.en.signInAtAgenda).isVisible());
    await button(page, tables.en.signInAtAgenda).click();
    await page.locator("button[value=allow]").waitFor();
    assert.equal(await page.locator(":checked").count(), 0);
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("is told of a sign-out at the agenda by the broker's next answer", async () => {
    const { context, page } = await open();
    await signIn(page);
    const there = await context.newPage();
    await there.goto(`${agenda.url}/logout`);
    await there.locator("button").click();
    await there.getByText("You are signed out of Agenda.").waitFor();
    await button(page, tables.en.reload).click();
    await page.getByText(tables.en.expired).waitFor();
    await context.close();
  });

  test("receives and holds nothing secret", async () => {
    const { context, page, received } = await open();
    await signIn(page);
    const cookie = (await context.cookies()).find(({ name }) => name === COOKIE)?.value;
    assert.ok(cookie && agenda.issued.length >= 2);
    // What the browser gets on its way is the provider's and the broker's: the page gets what is fetched by it.
    const fetched = Object.fromEntries(Object.entries(received).filter(([name]) => !name.includes(agenda.url)));
    assert.ok(Object.keys(fetched).some((name) => name.includes(`${BROKER}/api/`)));
    const places = { ...fetched, ...(await heldBy(page)) };
    assert.deepEqual(
      [places.localStorage, places.sessionStorage, places.cookies, places.databases],
      ["{}", "{}", "", "[]"],
    );
    assert.deepEqual(search(places, { cookie, ...agendaSecrets(agenda) }), []);
    await context.close();
  });

  test("says so when the API or the broker cannot answer", async () => {
    const { context, page, faults } = await open();
    await signIn(page);
    agenda.arm({ target: "api", kind: "status", status: 422, body: {} });
    await button(page, tables.en.reload).click();
    await page.getByText("The API answered 422").waitFor();
    await context.route(`${BROKER}/**`, (route) => route.abort());
    await button(page, tables.en.reload).click();
    await page.getByText(tables.en.noAnswer).waitFor();
    assert.equal(faults.length, 1);
    await context.unroute(`${BROKER}/**`);
    await button(page, tables.en.reload).click();
    await page.locator(".message").waitFor({ state: "detached" });
    await context.close();
  });

  for (const [locale, language] of /** @type {const} */ ([
    ["en-GB", "en"],
    ["pt-BR", "pt"],
  ])) {
    for (const viewport of SIZES) {
      for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
        test(`is legible in ${locale} at ${viewport.width} pixels, ${colorScheme}`, async (t) => {
          const { context, page, faults } = await open({ viewport, colorScheme, locale });
          const [own, foreign] = language === "en" ? [tables.en, tables.pt] : [tables.pt, tables.en];
          t.diagnostic(`screenshots are in ${shots}`);
          /** @param {string} name @param {{ isOurs?: boolean }} [settings] */
          const look = async (name, { isOurs = true } = {}) => {
            const file = `${name}-${viewport.width}-${colorScheme}-${language}.png`;
            await page.screenshot({ path: join(shots, file), fullPage: true });
            const scroll = await page.evaluate(() => document.documentElement.scrollWidth);
            assert.ok(scroll <= viewport.width, `${name}: ${scroll} px wide`);
            if (!isOurs) return;
            const apis = "#appointments strong, #appointments .quiet, #person";
            assert.deepEqual(await foreignTexts(page, { own, foreign, apis }), [], name);
          };
          assert.match(await languageOf(page), new RegExp(`^${language}`));
          assert.equal(await page.title(), own.title);
          await look("sign-in");
          await button(page, own.signInAtAgenda).click();
          await page.locator("button[value=allow]").waitFor();
          assert.match(await languageOf(page), new RegExp(`^${language}`));
          await look("agenda", { isOurs: false });
          await deny(page);
          await loaded(page);
          await look("denied");
          await signIn(page, 0, own);
          await look("desk");
          await button(page, own.disconnect).click();
          await page.getByText(own.isNotConnected).waitFor();
          await look("disconnected");
          assert.deepEqual(faults, []);
          await context.close();
        });
      }
    }
  }

  test("can be used with the keyboard alone", async () => {
    const { context, page } = await open();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.id), "sign-in");
    await page.keyboard.press("Enter");
    await page.locator("button[value=allow]").waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Space");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute("value")), "allow");
    await page.keyboard.press("Enter");
    await loaded(page);
    await page.locator("#appointments li").first().waitFor();
    await context.close();
  });
});
