// The operators' page in a browser, with all that goes wrong in it.

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { ensureChromium } from "../../../scripts/chromium.mjs";

/** Presses a button `times` times at once, whatever it says of itself. */
export const pressHard = (button, times) =>
  button.evaluate((node, count) => {
    for (let i = 0; i < count; i += 1) node.click();
  }, times);

/** Starts the browser: it knows no address but this machine's. */
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
 * Opens the page at `url` in a fresh profile, signed in with `key`.
 *
 * settings: {
 *   time,       // a clock that stands at this instant until it is moved
 *   width, height, colorScheme, reducedMotion,
 *   hash,       // what the address has behind #
 *   waitFor,    // what is waited for, the first row where absent; null: nothing
 * }
 */
export async function openPage(browser, url, key, settings = {}) {
  const {
    time,
    width = 1280,
    height = 860,
    colorScheme = "light",
    reducedMotion = "no-preference",
    hash = "",
    waitFor = ".row",
  } = settings;
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme,
    reducedMotion,
    locale: "en-GB",
    timezoneId: "America/Sao_Paulo",
    ...(key === null ? {} : { httpCredentials: { username: "operator", password: key } }),
  });
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    // A browser writes a line for every status of 400 or more, and for every address that it does not reach.
    if (["error", "warning"].includes(message.type()) && !/Failed to load resource/.test(message.text()))
      faults.push(message.text());
  });
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI }) =>
      window.violations.push(`${violatedDirective} ${blockedURI}`),
    );
  });
  if (time !== undefined) {
    // It goes on until it is stopped.
    await page.clock.install({ time: time - 60_000 });
    await page.clock.pauseAt(time);
  }
  await page.goto(`${url}${hash}`);
  if (waitFor) await page.locator(waitFor).first().waitFor();
  return {
    page,
    row: (id) => page.locator(`.row[data-id="${id}"]`),
    ids: () => page.locator(".row").evaluateAll((rows) => rows.map((row) => row.dataset.id)),
    end: (text) => page.locator("#end").getByText(text).waitFor(),
    said: (text) => page.locator("#said").getByText(text).waitFor({ state: "attached" }),
    /** What has the focus: its accessible name, or its tag. */
    focused: () =>
      page.evaluate(
        () =>
          document.activeElement.ariaLabel || document.activeElement.textContent || document.activeElement.localName,
      ),
    /** Ends it, and holds it to have made no fault. */
    async close() {
      assert.deepEqual([...faults, ...(await page.evaluate(() => window.violations))], []);
      await context.close();
    },
  };
}
