// The sandbox's page in a real browser: a person's own appointments at the agenda, and the agenda that a customer
// connects for everybody by a link.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { unstable_readConfig as readConfig } from "wrangler";
import { startFrontend } from "../../sandbox/frontend.mjs";
import { startAgenda } from "../../sandbox/providers/agenda.mjs";
import { agendaSecrets, allow, clientSecrets, connectionsAt, deny } from "./support/agenda.mjs";
import { assertStatus } from "./support/assertions.mjs";
import { startBroker } from "./support/broker.mjs";
import { en } from "../../sandbox/page/en.js";
import { pt } from "../../sandbox/page/pt.js";
import { ANSWERS, foreignTexts } from "./support/languages.mjs";
import { heldBy } from "./support/held.mjs";
import { search } from "./support/search.mjs";
import { launchAt, openFresh } from "./support/sandbox-pages.mjs";

/** @import { Browser, BrowserContextOptions, Page } from "playwright-core" */
/** @import { Agenda } from "../../sandbox/types.js" */
/** @import { Broker, Vars } from "./support/broker.mjs" */

// Where `npm start` serves them; the browser is told that they are elsewhere.
const BROKER = "http://localhost:8787";
const PAGE = "http://localhost:8790";

const ADMIN_KEY = "operators-of-the-sandbox-0123456789";

/** @type {Agenda} */
let agenda;
/** @type {Awaited<ReturnType<typeof startFrontend>>} */
let frontend;
/** @type {Broker} */
let broker;
/** @type {Browser} */
let browser;
/** @type {string} */
let shots;

before(async () => {
  [agenda, frontend] = await Promise.all([startAgenda(), startFrontend()]);
  /** @param {string} path */
  const at = (path) => fileURLToPath(new URL(`../../sandbox/${path}`, import.meta.url));
  /** @type {{ vars: Vars }} */
  const { vars } = readConfig({ config: at("wrangler.toml") });
  broker = await startBroker({
    // Static assets are wrangler's to serve.
    wrangler: { assets: { directory: at("page") } },
    vars: { ...vars, CONNECTIONS: connectionsAt(vars.CONNECTIONS, agenda) },
    secrets: { BACKEND_KEY: undefined, ADMIN_KEY, ...clientSecrets(agenda) },
  });
  shots = await mkdtemp(join(tmpdir(), "porteiro-agenda-page-"));
  browser = await launchAt({ "localhost:8787": broker.url, "localhost:8790": frontend.url });
});

after(async () => {
  await browser?.close();
  await Promise.all([broker?.stop(), agenda?.close(), frontend?.close()]);
});

/**
 * Opens the page in a fresh profile; what it receives and what goes wrong in it are kept.
 *
 * @param {Pick<BrowserContextOptions, "colorScheme" | "viewport" | "locale"> & { address?: string }} [settings]
 */
async function open({
  address = PAGE,
  viewport = { width: 1280, height: 900 },
  colorScheme = "light",
  locale = "en-GB",
} = {}) {
  const opened = await openFresh(browser, { viewport, colorScheme, locale }, { cookies: false });
  const { page } = opened;
  await page.goto(`${address}/`);
  await page.locator("#agenda-session .status").waitFor();
  return opened;
}

/**
 * @param {Page} page
 * @param {string} name
 */
const button = (page, name) => page.locator("#agenda").getByRole("button", { name, exact: true });
/** @param {Page} page */
const rows = (page) => page.locator("#agenda-answer tbody tr td:first-child").allInnerTexts();

/**
 * Signs in, and waits for the person's own appointments.
 *
 * @param {Page} page
 * @param {number} [i] who of the agenda's people
 */
async function signIn(page, i = 0, words = en) {
  await button(page, words.signInAtAgenda).click();
  await allow(page, agenda.people[i].name);
  await page.locator("#agenda-answer tbody tr").first().waitFor();
}

/** @param {Page} page @param {number} i */
async function assertOwn(page, i) {
  const shown = await rows(page);
  const own = agenda.appointmentsOf(agenda.people[i].sub);
  assert.equal(shown.length, own.length);
  for (const [at, { title }] of own.entries()) assert.ok(shown[at].includes(title), shown[at]);
}

describe("the page's agenda", () => {
  for (const address of [PAGE, BROKER]) {
    test(`shows people what is theirs, at ${address}`, async () => {
      for (const [i, { name, email }] of agenda.people.entries()) {
        const { context, page, faults } = await open({ address });
        assert.equal(await page.locator("#agenda-session .status").innerText(), en.nobodySignedIn);
        await signIn(page, i);
        assert.equal(page.url(), `${address}/#agenda`);
        assert.equal(await page.locator("#agenda-session .done").innerText(), en.justConnected);
        assert.equal(await page.locator("#agenda .who").innerText(), `${name}, ${email}`);
        await assertOwn(page, i);
        await button(page, en.myAppointments).click();
        await page.locator("#agenda-answer .source-keeper").waitFor();
        assert.equal(await page.locator(".alarm").count(), 0);
        assert.deepEqual(faults, []);
        await context.close();
      }
    });
  }

  test("says what the person denied", async () => {
    const { context, page, faults } = await open();
    await button(page, en.signInAtAgenda).click();
    await deny(page);
    await page.locator("#agenda-session .notice").waitFor();
    assert.equal(
      await page.locator("#agenda-session .notice").innerText(),
      en.failedBecause.replace("{}", en.reasons.access_denied),
    );
    await page.reload();
    await page.locator("#agenda-session .status").waitFor();
    assert.equal(await page.locator("#agenda-session .notice").count(), 0);
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("disconnects, says what a call gets then, and connects again", async () => {
    const { context, page, faults } = await open();
    await signIn(page);
    await button(page, en.disconnect).click();
    await page.locator("#agenda-session").getByText(en.justDisconnected).waitFor();
    assert.deepEqual(await rows(page), []);
    await button(page, en.myAppointments).click();
    await page.locator("#agenda-answer").getByText("401 not_connected").waitFor();
    await button(page, en.connectAgain).click();
    await allow(page, "Ana Moura");
    await page.locator("#agenda-answer tbody tr").first().waitFor();
    await assertOwn(page, 0);
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("signs out here and at the agenda", async () => {
    const { context, page, faults } = await open();
    await signIn(page);
    await button(page, en.signOut).click();
    await page.waitForURL(`${agenda.url}/logout**`);
    await page.locator("main button").click();
    await page.waitForURL(`${PAGE}/`);
    await page.locator("#agenda-session").getByText(en.nobodySignedIn).waitFor();
    assert.ok(!(await page.content()).includes("Ana Moura"));
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("brings the page no token and no secret", async () => {
    const { context, page, received } = await open();
    await signIn(page);
    assert.ok(agenda.issued.length >= 2);
    const fetched = Object.fromEntries(Object.entries(received).filter(([name]) => !name.includes(agenda.url)));
    assert.deepEqual(search({ ...fetched, ...(await heldBy(page)) }, agendaSecrets(agenda)), []);
    await context.close();
  });

  test("is shared once a customer has connected it by a link", async () => {
    const { context, page, faults } = await open();
    const shared = page.locator("#shared-agenda");
    await button(page, en.askShared).click();
    await shared.getByText("503 connection_unavailable (not_connected)").waitFor();
    await shared.locator(".notice").waitFor();
    await shared.screenshot({ path: join(shots, "shared-missing.png") });

    const answer = await broker.call("/admin/connections/agenda-shared/connect-link", {
      method: "POST",
      key: ADMIN_KEY,
      // The link is at the address at which the broker was asked.
      host: new URL(BROKER).host,
    });
    /** @type {{ url: string, expires_at: string }} */
    const { url, expires_at } = assertStatus(answer).json();
    assert.ok(url.startsWith(`${BROKER}/auth/agenda-shared/link/`), url);
    assert.ok(Date.parse(expires_at) > Date.now());

    // Somebody without any key, in a browser of their own.
    for (const [locale, lang] of [
      ["pt-BR", "pt-BR"],
      ["en-GB", "en"],
    ]) {
      const customer = await browser.newContext({ locale });
      const theirs = await customer.newPage();
      await theirs.goto(url);
      assert.equal(await theirs.evaluate(() => document.documentElement.lang), lang);
      await theirs.screenshot({ path: join(shots, `link-${lang}.png`) });
      if (lang === "en") {
        await theirs.locator("button").click();
        await allow(theirs, "Bruno Tavares");
        await theirs.waitForURL(`${BROKER}/auth/callback/agenda-shared**`);
        await theirs.screenshot({ path: join(shots, `linked-${lang}.png`) });
      }
      await customer.close();
    }

    await button(page, en.askShared).click();
    await shared.locator("tbody tr").first().waitFor();
    assert.match(await shared.locator(".more").innerText(), /Bruno Tavares/);
    assert.deepEqual(faults, []);
    await context.close();
  });

  for (const width of [1280, 360]) {
    for (const [locale, colorScheme] of /** @type {const} */ ([
      ["en-GB", "light"],
      ["en-GB", "dark"],
      ["pt-BR", "light"],
    ])) {
      test(`is legible in ${locale} at ${width} pixels, ${colorScheme}`, async (t) => {
        const { context, page, faults } = await open({ viewport: { width, height: 900 }, colorScheme, locale });
        const [own, foreign] = locale === "pt-BR" ? [pt, en] : [en, pt];
        t.diagnostic(`screenshots are in ${shots}`);
        /** @param {string} name */
        const look = async (name) => {
          const file = `${name}-${width}-${colorScheme}-${locale}.png`;
          await page.locator("#agenda").screenshot({ path: join(shots, file) });
          assert.deepEqual(await foreignTexts(page, { own, foreign, apis: `${ANSWERS}, .who` }), [], name);
          const scroll = await page.evaluate(() => document.documentElement.scrollWidth);
          assert.ok(scroll <= width, `${name}: ${scroll} px wide`);
        };
        await look("nobody");
        await signIn(page, 0, own);
        await look("signed-in");
        await button(page, own.disconnect).click();
        await page.locator("#agenda-session").getByText(own.justDisconnected).waitFor();
        await look("disconnected");
        assert.deepEqual(faults, []);
        await context.close();
      });
    }
  }
});
