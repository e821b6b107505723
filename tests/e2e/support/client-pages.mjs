// Pages with porteiro/client in Chromium: what they do with it, and what comes of it.

import { build } from "esbuild";
import { inRoot } from "../../../scripts/lib.mjs";
import { WWW, startConsentSites } from "./consent-sites.mjs";

/** @import { Browser, BrowserContext, Page } from "playwright-core" */

/**
 * The sites, and pages of theirs with the client: `window.make(broker)` gives one, whose events are counted.
 *
 * @param {Parameters<typeof startConsentSites>[0]} [more] what the brokers have besides
 */
export async function startClientPages(more) {
  const contents = `import { createPorteiro } from "./porteiro.js";
    window.ended = 0;
    window.make = (broker) => {
      const porteiro = createPorteiro({ broker });
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
  const started = await startConsentSites(more);
  /** @param {(context: BrowserContext) => Promise<void>} action */
  const withProfile = async (action) => {
    const context = await started.browser.newContext();
    context.setDefaultTimeout(15_000);
    await context.addInitScript(outputFiles[0].text);
    try {
      await action(context);
    } finally {
      await context.close();
    }
  };
  return { ...started, withProfile };
}

/**
 * A page at `path`, with a client of the broker.
 *
 * @param {BrowserContext} context
 * @param {string} broker
 */
export async function pageWith(context, broker, path = "/") {
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
export const use = (page, method, ...args) =>
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
export const ended = (page) => page.evaluate(() => /** @type {any} */ (window).ended);
