// porteiro/react in a real browser, in StrictMode, against the real broker; and on a server, which renders the page.

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { build } from "esbuild";
import { inRoot } from "../../scripts/lib.mjs";
import { pageWith, startClientPages, use } from "./support/client-pages.mjs";
import { ABROAD, BESIDE, WWW } from "./support/consent-sites.mjs";

/** @import { BrowserContext, Page } from "playwright-core" */

const folder = mkdtempSync(path.join(tmpdir(), "porteiro-react-"));
/** The page's module for browsers. */
let script = "";
/** What a server renders. */
let rendered = "";
/** @type {Awaited<ReturnType<typeof startClientPages>>} */
let started;
/** What React complains about. @type {string[]} */
const complaints = [];

before(async () => {
  const shared = /** @type {const} */ ({
    bundle: true,
    logLevel: "warning",
    define: { "process.env.NODE_ENV": '"development"' },
  });
  const resolveDir = inRoot("tests", "e2e", "support");
  const browser = `import { show } from "./react-page.js"; window.show = (...args) => void (window.root = show(...args));`;
  const made = await build({ ...shared, stdin: { contents: browser, resolveDir }, format: "iife", write: false });
  script = made.outputFiles[0].text;
  const server = `import { createElement } from "react";
    import { renderToString } from "react-dom/server";
    import { App } from "./react-page.js";
    export const rendered = renderToString(createElement(App, { broker: "https://broker.test" }));`;
  const outfile = path.join(folder, "server.cjs");
  await build({ ...shared, stdin: { contents: server, resolveDir }, platform: "node", format: "cjs", outfile });
  rendered = createRequire(import.meta.url)(outfile).rendered;
  started = await startClientPages();
});

afterEach(() => {
  started.provider.verify();
  assert.deepEqual(complaints.splice(0), []);
});

after(async () => {
  await started?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** @param {Page} page @param {string} broker @param {string} [html] what a server rendered */
const show = (page, broker, html) =>
  page.evaluate(([broker, html]) => /** @type {any} */ (window).show(broker, html), [broker, html]);

/** @param {BrowserContext} context @param {string} broker */
async function open(context, broker) {
  const page = await context.newPage();
  await page.addInitScript(script);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    // An answer that is no success is none of React's.
    const isReact = message.type() === "error" && !message.text().startsWith("Failed to load resource");
    if (isReact) complaints.push(message.text());
  });
  await page.goto(WWW);
  await show(page, broker);
  return page;
}

/** Waits until the page says `text`. @param {Page} page @param {string} place @param {string} text */
const says = (page, place, text) =>
  page.waitForFunction(([place, text]) => document.querySelector(place)?.textContent === text, [place, text]);

/** @param {Page} page @param {string} connection @param {"Allow" | "Deny"} answer */
async function leave(page, connection, answer) {
  await page.locator(`#${connection}`).getByText("Leave").click();
  await page.getByText(answer).click();
  await page.waitForURL((url) => url.origin === WWW);
}

for (const [where, broker] of /** @type {const} */ ([
  ["of the broker's site", BESIDE],
  ["of another site", ABROAD],
])) {
  describe(`a page in React ${where}`, () => {
    test("knows who is signed in, connects in a window, and hears of the end", () =>
      started.withProfile(async (context) => {
        const page = await open(context, broker);
        await says(page, "h1", "signed-out");
        const button = page.locator("#calendar").getByText("Window");
        const [popup] = await Promise.all([page.waitForEvent("popup"), button.click()]);
        await popup.getByText("Allow").waitFor();
        assert.ok(await button.isDisabled());
        assert.ok(await page.locator("#mail").getByText("Window").isEnabled());
        await popup.getByText("Allow").click();
        await says(page, "h1", "signed-in: ana");
        await says(page, "#calendar output", "connected");
        await says(page, "#mail output", "not connected");
        assert.ok(await button.isEnabled());
        await page.locator("#calendar").getByText("Disconnect").click();
        await says(page, "#calendar output", "not connected");
        await says(page, "h1", "signed-in: ana");
        const other = await pageWith(context, broker, "/other");
        await use(other, "signOut");
        await says(page, "h1", "signed-out");
      }));

    test("is led back, and says why it failed at the connection that failed, until it works", () =>
      started.withProfile(async (context) => {
        const page = await open(context, broker);
        await leave(page, "calendar", "Deny");
        await show(page, broker);
        await says(page, "#calendar output", "not connected: access_denied");
        await says(page, "#mail output", "not connected");
        await says(page, "h1", "signed-out");
        await leave(page, "calendar", "Allow");
        await show(page, broker);
        await says(page, "h1", "signed-in: ana");
        await says(page, "#calendar output", "connected");
        assert.equal(page.url(), `${WWW}/`);
      }));

    test("that a server rendered becomes the same page, whatever it finds in its address", () =>
      started.withProfile(async (context) => {
        const page = await open(context, broker);
        await leave(page, "calendar", "Deny");
        await show(page, broker, rendered);
        await says(page, "#calendar output", "not connected: access_denied");
        const [popup] = await Promise.all([
          page.waitForEvent("popup"),
          page.locator("#calendar").getByText("Window").click(),
        ]);
        await popup.getByText("Allow").click();
        await says(page, "#calendar output", "connected");
        await page.getByText("Sign out").click();
        await says(page, "h1", "signed-out");
      }));

    test("does not mind to be taken away while it waits, nor a network that is gone", () =>
      started.withProfile(async (context) => {
        const page = await open(context, broker);
        await says(page, "h1", "signed-out");
        await context.setOffline(true);
        await page.getByText("Refresh").click();
        await says(page, "h1", "failed");
        await page.locator("#calendar").getByText("Disconnect").click();
        await says(page, "#calendar output", "not connected: TypeError: Failed to fetch");
        await context.setOffline(false);
        await page.getByText("Refresh").click();
        await says(page, "h1", "signed-out");
        const answered = page.waitForResponse((response) => response.url().endsWith("/auth/session"));
        await page.evaluate(() => {
          for (const button of document.querySelectorAll("button"))
            if (button.textContent === "Disconnect" || button.textContent === "Refresh") button.click();
          /** @type {any} */ (window).root.unmount();
        });
        // Its answer comes when the page is gone.
        await answered;
        await page.evaluate(() => new Promise(requestAnimationFrame));
        assert.equal(await page.locator("main").count(), 0);
        await show(page, broker);
        await says(page, "h1", "signed-out");
      }));
  });
}

test("a server renders the page without a browser", () => {
  assert.match(rendered, /<h1>loading<\/h1>/);
  assert.match(rendered, /<output>not connected<\/output>/);
});
