// A real browser at pages that call the broker under the addresses that `npm start` gives them.

import { chromium } from "playwright-core";
import { ensureChromium } from "../../../scripts/chromium.mjs";

/** @import { Browser, BrowserContextOptions } from "playwright-core" */

/**
 * Starts Chromium, which finds each place, as `localhost:8787`, at the address that has it now, and nothing else but
 * 127.0.0.1.
 *
 * @param {{ [place: string]: string }} places
 */
export async function launchAt(places) {
  const rules = Object.entries(places).map(([place, url]) => `MAP ${place} 127.0.0.1:${new URL(url).port}`);
  return chromium.launch({
    executablePath: await ensureChromium(),
    args: [
      "--no-sandbox",
      "--disable-background-networking",
      `--host-resolver-rules=${[...rules, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1"].join(", ")}`,
    ],
  });
}

/**
 * A page in a fresh profile; what it receives and what goes wrong in it are kept.
 *
 * @param {Browser} browser
 * @param {Pick<BrowserContextOptions, "colorScheme" | "viewport" | "locale">} settings
 * @param {{ cookies?: boolean }} [kept] whether what is received has cookies, too: no page can read those of sessions
 */
export async function openFresh(browser, { viewport, colorScheme, locale }, { cookies = true } = {}) {
  const context = await browser.newContext({ viewport, colorScheme, locale, timezoneId: "America/Sao_Paulo" });
  const page = await context.newPage();
  /** @type {string[]} */
  const faults = [];
  /** @type {{ [response: string]: string }} */
  const received = {};
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("console", (message) => {
    // A browser writes a line for every status of 400 or more.
    if (message.type() === "error" && !/Failed to load resource/.test(message.text())) faults.push(message.text());
  });
  page.on("response", async (response) => {
    const name = `${response.status()} ${response.request().method()} ${response.url()} (${Object.keys(received).length})`;
    const headers = (await response.headersArray().catch(() => [])).filter(
      (header) => cookies || header.name.toLowerCase() !== "set-cookie",
    );
    received[name] = JSON.stringify(headers);
    received[name] += await response.text().catch(() => "");
  });
  return { context, page, faults, received };
}
