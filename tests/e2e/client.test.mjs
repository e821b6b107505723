// porteiro/client in a real browser: from pages of the broker's site and of another one.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { build } from "esbuild";
import { inRoot } from "../../scripts/lib.mjs";
import { ABROAD, BESIDE, WWW, startConsentSites } from "./support/consent-sites.mjs";

/** @import { BrowserContext, Page } from "playwright-core" */

/** @type {Awaited<ReturnType<typeof startConsentSites>>} */
let started;
/** The client for every page: `window.make(broker)` gives one, whose events are counted. */
let script = "";

before(async () => {
  const contents = `import { createPorteiro } from "./porteiro.js";
    window.make = (broker) => {
      const porteiro = createPorteiro({ broker });
      window.ended = 0;
      porteiro.addEventListener("sessionend", () => window.ended++);
      return (window.porteiro = porteiro);
    };`;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: inRoot("client") },
    bundle: true,
    format: "iife",
    write: false,
    logLevel: "warning",
  });
  script = outputFiles[0].text;
  started = await startConsentSites();
});

afterEach(() => started.provider.verify());

after(() => started?.close());

/** @param {(context: BrowserContext) => Promise<void>} action */
async function withProfile(action) {
  const context = await started.browser.newContext();
  context.setDefaultTimeout(15_000);
  await context.addInitScript(script);
  try {
    await action(context);
  } finally {
    await context.close();
  }
}

/** A page at `path`, with a client of the broker. @param {BrowserContext} context @param {string} broker */
async function pageWith(context, broker, path = "/") {
  const page = await context.newPage();
  await page.goto(`${WWW}${path}`);
  await page.evaluate((address) => void (/** @type {any} */ (window).make(address)), broker);
  return page;
}

/**
 * What the client's method gives in the page, or how it fails.
 *
 * @param {Page} page
 * @param {string} method
 * @param {...unknown} args
 * @returns {Promise<any>}
 */
const use = (page, method, ...args) =>
  page.evaluate(
    async ({ method, args }) => {
      const { porteiro } = /** @type {any} */ (window);
      try {
        const given = await porteiro[method](...args);
        return given instanceof Response ? { status: given.status, body: await given.json() } : given;
      } catch (error) {
        const { name, status, code, requestId, problem, response } = /** @type {any} */ (error);
        return { name, status, code, requestId, connectUrl: problem?.connect_url, own: response && !problem };
      }
    },
    { method, args },
  );

/** @param {Page} page @returns {Promise<number>} */
const ended = (page) => page.evaluate(() => /** @type {any} */ (window).ended);

/** @param {Page} page @param {string} broker @param {string} connection @param {"Allow" | "Deny"} says */
async function connectByRedirect(page, broker, connection, says) {
  await page.evaluate((id) => void (/** @type {any} */ (window).porteiro.connect(id)), connection);
  await page.getByText(says).click();
  await page.waitForURL((url) => url.origin === WWW);
  await page.evaluate((address) => void (/** @type {any} */ (window).make(address)), broker);
}

/** @param {Page} page @param {string} connection @param {"Allow" | "Deny" | null} says null closes the window */
async function connectInPopup(page, connection, says) {
  await page.evaluate((id) => {
    const seen = /** @type {any} */ (window);
    document.body.innerHTML = "<button>Connect</button>";
    document.querySelector("button")?.addEventListener("click", () => {
      seen.outcome = seen.porteiro.connect(id, { popup: true }).then(
        (/** @type {any} */ session) => ({ subject: session && (session.person?.subject ?? "somebody") }),
        (/** @type {any} */ error) => ({ failed: error.code, status: error.status }),
      );
    });
  }, connection);
  const [popup] = await Promise.all([page.waitForEvent("popup"), page.getByText("Connect").click()]);
  if (says) await popup.getByText(says).click();
  else
    await popup
      .getByText("Allow")
      .waitFor()
      .then(() => popup.close());
  return page.evaluate(() => /** @type {any} */ (window).outcome);
}

for (const [where, broker] of /** @type {const} */ ([
  ["of the broker's site", BESIDE],
  ["of another site", ABROAD],
])) {
  describe(`a page ${where}`, () => {
    test("connects by redirect, and its address keeps nothing of it", () =>
      withProfile(async (context) => {
        const page = await pageWith(context, broker, "/back?a=1#here");
        assert.equal(await use(page, "session"), null);
        assert.equal(await ended(page), 0);
        await connectByRedirect(page, broker, "calendar", "Allow");
        assert.equal(page.url(), `${WWW}/back?a=1#here`);
        assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).porteiro.outcome), {
          outcome: "connected",
          code: null,
        });
        const { status, body } = await use(page, "fetch", "/api/calendar/api/me");
        assert.deepEqual([status, body.user], [200, "ana"]);
        const { person, connections } = await use(page, "session");
        assert.deepEqual([person.subject, connections.length], ["ana", 1]);
        assert.equal(await page.evaluate(() => sessionStorage.length), 0);
      }));

    test("connects in a window", () =>
      withProfile(async (context) => {
        const page = await pageWith(context, broker);
        assert.deepEqual(await connectInPopup(page, "calendar", "Allow"), { subject: "ana" });
        assert.equal((await use(page, "fetch", "/api/calendar/api/me")).status, 200);
        const missing = await use(page, "fetch", "/api/mail/api/me");
        assert.deepEqual([missing.name, missing.status, missing.code], ["PorteiroError", 401, "not_connected"]);
        assert.equal(missing.connectUrl, `${broker}/auth/mail/connect`);
        assert.match(missing.requestId, /^[\w-]{16,}$/);
      }));

    test("is told of a refusal, and of a window that somebody closed", () =>
      withProfile(async (context) => {
        const page = await pageWith(context, broker);
        assert.deepEqual(await connectInPopup(page, "calendar", "Deny"), { failed: "access_denied", status: 0 });
        assert.deepEqual(await connectInPopup(page, "calendar", null), { subject: null });
        await connectByRedirect(page, broker, "calendar", "Deny");
        assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).porteiro.outcome), {
          outcome: "failed",
          code: "access_denied",
        });
        assert.equal(await use(page, "session"), null);
      }));

    test("disconnects and signs out, and every page of the application knows", () =>
      withProfile(async (context) => {
        const page = await pageWith(context, broker);
        await connectInPopup(page, "calendar", "Allow");
        const other = await pageWith(context, broker, "/other");
        assert.equal((await use(other, "session")).person.subject, "ana");
        await use(page, "disconnect", "calendar");
        assert.equal((await use(page, "fetch", "/api/calendar/api/me")).code, "not_connected");
        assert.deepEqual([await ended(page), await ended(other)], [0, 0]);
        await use(page, "signOut");
        await other.waitForFunction(() => /** @type {any} */ (window).ended === 1);
        assert.equal(await ended(page), 1);
        assert.equal((await use(page, "fetch", "/api/calendar/api/me")).code, "caller_unauthenticated");
        // It had ended before.
        assert.equal(await ended(page), 1);
      }));
  });
}
