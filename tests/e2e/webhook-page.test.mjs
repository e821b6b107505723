// The sandbox's webhooks in a real browser: from Guru through the broker to the application's receiver.

import assert from "node:assert/strict";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, test } from "node:test";
import { unstable_readConfig as readConfig } from "wrangler";
import { startFrontend } from "../../sandbox/frontend.mjs";
import { startGuru } from "../../sandbox/providers/guru.mjs";
import { startBroker } from "./support/broker.mjs";
import { en } from "../../sandbox/page/en.js";
import { pt } from "../../sandbox/page/pt.js";
import { ANSWERS, foreignTexts } from "./support/languages.mjs";
import { heldBy } from "./support/held.mjs";
import { search } from "./support/search.mjs";
import { launchAt, openFresh } from "./support/sandbox-pages.mjs";

/** @import { Browser, Page, ViewportSize } from "playwright-core" */
/** @import { Received } from "../../sandbox/receiver.mjs" */
/** @import { Guru } from "../../sandbox/types.js" */
/** @import { Broker } from "./support/broker.mjs" */

// Where `npm start` serves them; the browser is told that they are elsewhere.
const BROKER = "http://localhost:8787";
const PAGE = "http://localhost:8790";

const SECRET = `whsec_${Buffer.alloc(32, "webhook secret of the test").toString("base64")}`;

/** @type {Guru} */
let guru;
/** @type {Awaited<ReturnType<typeof startFrontend>>} */
let frontend;
/** @type {Broker} */
let broker;
/** @type {Browser} */
let browser;
/** @type {string} */
let shots;

before(async () => {
  guru = await startGuru({ port: 0 });
  frontend = await startFrontend({ guruUrl: guru.url, webhookSecret: SECRET });
  /** @param {string} url */
  const host = (url) => `127.0.0.1:${new URL(url).port}`;
  /** @param {string} path */
  const at = (path) => fileURLToPath(new URL(`../../sandbox/${path}`, import.meta.url));
  const { vars } = readConfig({ config: at("wrangler.toml") });
  const { webhook, ...connection } = vars.CONNECTIONS.guru;
  assert.equal(webhook.forward_to, "http://127.0.0.1:8790/hooks/guru");
  broker = await startBroker({
    // Static assets are wrangler's to serve.
    wrangler: { assets: { directory: at("page") } },
    vars: {
      ...vars,
      CONNECTIONS: {
        // There are sessions: the page asks who is signed in.
        "hubsoft-people": vars.CONNECTIONS["hubsoft-people"],
        guru: {
          ...connection,
          base_url: guru.baseUrl,
          webhook: { ...webhook, forward_to: `http://${host(frontend.url)}/hooks/guru` },
        },
      },
    },
    secrets: {
      HUBSOFT_PEOPLE_CLIENT_ID: "of-nobody",
      HUBSOFT_PEOPLE_CLIENT_SECRET: "of-nobody-either",
      GURU_TOKEN: guru.credentials.token,
      GURU_ACCOUNT_TOKEN: guru.credentials.account_token,
      GURU_WEBHOOK_SECRET: SECRET,
    },
  });
  guru.webhookUrl = `${broker.url}/webhooks/guru`;
  shots = await mkdtemp(join(tmpdir(), "porteiro-webhooks-"));
  browser = await launchAt({ "localhost:8787": broker.url, "localhost:8790": frontend.url });
});

after(async () => {
  await browser?.close();
  await Promise.all([broker?.stop(), guru?.close(), frontend?.close()]);
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
  return opened;
}

/**
 * @param {Page} page
 * @param {string} name
 */
const press = (page, name) => page.locator("#webhooks").getByRole("button", { name, exact: true }).click();
/** @param {Page} page */
const verified = (page) => page.locator("#arrived").getByText("signature verified");
/**
 * @param {Page} page
 * @param {string} id
 */
const shown = async (page, id) => JSON.parse(await page.locator(`#${id} pre`).innerText());
/** @param {Page} page */
const webhookId = (page) => page.locator("#arrived code").innerText();
/** @param {string} id */
const deliveries = async (id) =>
  (await (await fetch(`${frontend.url}/hooks/guru`)).json()).find((/** @type {Received} */ one) => one.id === id)
    ?.deliveries;

describe("the page's webhooks", () => {
  test("arrive at the application's receiver signed and without the account token", async () => {
    const { context, page, faults } = await open();
    await press(page, "Approved");
    await verified(page).waitFor();
    const { api_token: token, ...sent } = await shown(page, "sent");
    assert.equal(token, `${guru.credentials.account_token.slice(0, 4)}…`);
    assert.deepEqual(await shown(page, "arrived"), sent);
    assert.equal(sent.status, "approved");
    assert.match(await webhookId(page), /^msg_[0-9a-f]{32}$/);
    assert.match(await page.locator("#sent .outcome").innerText(), /the broker says 200/);
    assert.match(await page.locator("#arrived .verdict").innerText(), /^No account token in it/);
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("are delivered once when Guru sends the same again", async () => {
    const { context, page, faults } = await open();
    await press(page, "Subscription");
    await verified(page).waitFor();
    const id = await webhookId(page);
    await press(page, "Send the same again");
    await page.locator("#sent").getByText("sent 2 times").waitFor();
    await verified(page).waitFor();
    assert.equal(await webhookId(page), id);
    assert.match(await page.locator("#arrived .outcome").innerText(), /delivered once/);
    assert.equal(await deliveries(id), 1);
    assert.deepEqual(faults, []);
    await context.close();
  });

  test("bring every state of a transaction, each under a webhook id of its own", async () => {
    const { context, page } = await open();
    const events = [];
    for (const [button, status] of [
      ["Waiting for payment", "waiting_payment"],
      ["Approved", "approved"],
      ["Refunded", "refunded"],
    ]) {
      await press(page, button);
      await page.locator("#arrived pre").getByText(`"status": "${status}"`).waitFor();
      events.push({ ...(await shown(page, "arrived")), webhookId: await webhookId(page) });
    }
    assert.equal(new Set(events.map(({ id }) => id)).size, 1);
    assert.equal(new Set(events.map(({ webhookId }) => webhookId)).size, 3);
    const [newest] = await page.locator("#webhooks tbody tr").allInnerTexts();
    assert.match(newest, /^transaction, refunded/);
    assert.ok(newest.includes(events[2].webhookId.slice(0, 12)));
    await context.close();
  });

  test("bring the page no token and no secret", async () => {
    const { context, page, received } = await open();
    await press(page, "Abandoned checkout");
    await verified(page).waitFor();
    const secrets = {
      "account token": guru.credentials.account_token,
      "user token": guru.credentials.token,
      "webhook secret": SECRET,
    };
    assert.ok(Object.values(received).join().includes('"api_token"'));
    assert.deepEqual(search({ ...received, ...(await heldBy(page)) }, secrets), []);
    await context.close();
  });

  test("show why the broker did not take one", async (t) => {
    const { context, page } = await open();
    const { account_token: token } = guru.credentials;
    t.after(() => (guru.credentials.account_token = token));
    guru.credentials.account_token = "another account's token";
    await press(page, "Approved");
    await page.locator("#sent").getByText("401 webhook_rejected").waitFor();
    assert.match(await page.locator("#arrived").innerText(), /the broker did not take it/);
    await context.close();
  });

  test("can be used with the keyboard alone", async () => {
    const { context, page } = await open();
    await page.locator("#attempts button").last().focus();
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate(() => document.activeElement?.textContent), "Waiting for payment");
    assert.notEqual(
      await page.evaluate(() => getComputedStyle(document.activeElement ?? document.body).outlineStyle),
      "none",
    );
    await page.keyboard.press("Enter");
    await verified(page).waitFor();
    const focused = [];
    for (let i = 0; i < 7; i += 1) {
      await page.keyboard.press("Tab");
      focused.push(await page.evaluate(() => document.activeElement?.ariaLabel ?? document.activeElement?.textContent));
    }
    assert.deepEqual(focused.slice(4), ["Send the same again", "What Guru sends", "What the application receives"]);
    await context.close();
  });

  test("arrive on the page that the broker serves, too", async () => {
    const { context, page, faults } = await open({ address: BROKER });
    await press(page, "Refunded");
    await verified(page).waitFor();
    assert.equal((await shown(page, "arrived")).status, "refunded");
    assert.deepEqual(faults, []);
    await context.close();
  });

  for (const width of [1280, 360]) {
    test(`are shown in Portuguese where the browser prefers it, at ${width} pixels`, async () => {
      const { context, page, faults } = await open({ viewport: { width, height: 900 }, locale: "pt-BR" });
      const languages = { own: pt, foreign: en, apis: ANSWERS };
      await press(page, pt.approved);
      await page.locator("#arrived").getByText(pt.verified).waitFor();
      await press(page, pt.sendAgain);
      await page.locator("#sent").getByText("enviado 2 vezes").waitFor();
      await page.locator("#arrived").getByText(pt.verified).waitFor();
      assert.match((await page.locator("#webhooks tbody tr").allInnerTexts())[0], /^transação, aprovada/);
      await page.locator("#webhooks").screenshot({ path: join(shots, `after-${width}-pt.png`) });
      assert.deepEqual(await foreignTexts(page, languages), []);
      assert.deepEqual(faults, []);
      await context.close();
    });
    for (const colorScheme of /** @type {const} */ (["light", "dark"])) {
      test(`are legible at ${width} pixels, ${colorScheme}`, async (t) => {
        const { context, page, faults } = await open({ viewport: { width, height: 900 }, colorScheme });
        t.diagnostic(`screenshots are in ${shots}`);
        await page.locator("#webhooks").screenshot({ path: join(shots, `before-${width}-${colorScheme}.png`) });
        await press(page, "Approved");
        await verified(page).waitFor();
        await page.locator("#webhooks").screenshot({ path: join(shots, `after-${width}-${colorScheme}.png`) });
        const { scroll, wide } = await page.evaluate(() => ({
          scroll: document.documentElement.scrollWidth,
          wide: [...document.querySelectorAll("#webhooks *")]
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
