// The operators' page in a browser, with a record of its errors.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { ensureChromium } from "../../../scripts/chromium.mjs";

/** @import { Browser, Locator } from "playwright-core" */

/** @typedef {typeof window & { violations: string[] }} Watched */

/**
 * How the page is opened.
 *
 * @typedef {object} PageSettings
 * @property {number} [time] a clock that stands at this instant until the test moves it
 * @property {number} [width]
 * @property {number} [height]
 * @property {"light" | "dark"} [colorScheme]
 * @property {"no-preference" | "reduce"} [reducedMotion]
 * @property {string} [locale] the browser's language
 * @property {string} [hash] the fragment of the address
 * @property {string | null} [waitFor] the element to wait for; default: the first row; null: none
 */

/** @typedef {Awaited<ReturnType<typeof openPage>>} Opened */

/**
 * Presses a button `times` times at once, regardless of its ARIA state.
 *
 * @param {Locator} button
 * @param {number} times
 */
export const pressHard = (button, times) =>
  button.evaluate((node, count) => {
    for (let i = 0; i < count; i += 1) /** @type {HTMLElement} */ (node).click();
  }, times);

/** Starts the browser, which can reach only addresses of this machine. */
export const startBrowser = async () =>
  chromium.launch({
    executablePath: await ensureChromium(),
    args: [
      "--no-sandbox",
      "--disable-background-networking",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ],
  });

/**
 * Opens the page at `url` in a new profile, signed in with `key`.
 *
 * @param {Browser} browser
 * @param {string} url
 * @param {string | null} key
 * @param {PageSettings} [settings]
 */
export async function openPage(browser, url, key, settings = {}) {
  const {
    time,
    width = 1280,
    height = 860,
    colorScheme = "light",
    reducedMotion = "no-preference",
    locale = "en-GB",
    hash = "",
    waitFor = ".row",
  } = settings;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    reducedMotion,
    locale,
    timezoneId: "America/Sao_Paulo",
    ...(key === null ? {} : { httpCredentials: { username: "operator", password: key } }),
  });
  const page = await context.newPage();
  /** @type {string[]} */
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    // A browser logs a line for every status of 400 or more, and for every unreachable address.
    if (["error", "warning"].includes(message.type()) && !/Failed to load resource/.test(message.text()))
      faults.push(message.text());
  });
  await page.addInitScript(() => {
    const watched = /** @type {Watched} */ (window);
    watched.violations = [];
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      watched.violations.push(`${violatedDirective} ${blockedURI}`),
    );
  });
  if (time !== undefined) {
    // The clock runs until it is paused.
    await page.clock.install({ time: time - 60_000 });
    await page.clock.pauseAt(time);
  }
  await page.goto(`${url}${hash}`);
  if (waitFor) await page.locator(waitFor).first().waitFor();
  return {
    page,
    /** @param {string} id */
    row: (id) => page.locator(`.row[data-id="${id}"]`),
    ids: () => page.locator(".row").evaluateAll((rows) => rows.map((row) => row.getAttribute("data-id"))),
    /** @param {string | RegExp} text */
    end: (text) => page.locator("#end").getByText(text).waitFor(),
    /** @param {string | RegExp} text */
    said: (text) => page.locator("#said").getByText(text).waitFor({ state: "attached" }),
    /** The focused element: its accessible name, or its tag. */
    focused: () =>
      page.evaluate(
        () =>
          document.activeElement?.ariaLabel || document.activeElement?.textContent || document.activeElement?.localName,
      ),
    /** Closes the page and checks that it had no errors. */
    async close() {
      assert.deepEqual([...faults, ...(await page.evaluate(() => /** @type {Watched} */ (window).violations))], []);
      await context.close();
    },
  };
}
