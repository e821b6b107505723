// The words that a page shows, and whether they are in one language.

/** @import { Page } from "playwright-core" */

/** The names of header fields, which have no language. */
const FIELDS = /^(x-request-id|webhook-id)$/i;

/** What the sandbox's page shows of answers. */
export const ANSWERS = ".problem, .headers, .chip[class*=source-], .card-title h3";

/** @typedef {{ [name: string]: string | Table }} Table */

/** Words without which few English sentences do, and which Portuguese does not have. */
const ENGLISH =
  /(?<![\p{L}\d_])(the|and|of|is|are|was|this|that|with|not|from|for|it|by|to|your|you|on|in)(?![\p{L}\d_])/giu;

/**
 * The pieces of a table's texts between its values, without those that are in `other`, too.
 * @param {Table} table
 * @param {Table} other
 */
function pieces(table, other) {
  /** @type {(table: Table) => string[]} */
  const all = (table) =>
    Object.values(table).flatMap((text) =>
      typeof text === "string" ? text.split("{}").map((it) => it.trim()) : all(text),
    );
  const others = new Set(all(other).map((text) => text.toLowerCase()));
  return all(table).filter((text) => /\p{L}{4}/u.test(text) && !others.has(text.toLowerCase()));
}

/**
 * What the page shows and says of itself, without what comes from an API, is code, or is marked as of another language.
 * @param {Page} page
 * @param {string} apis what else is not the page's own
 */
const shownBy = (page, apis) =>
  page.evaluate((apis) => {
    const foreign = `pre, code${apis ? `, ${apis}` : ""}`;
    /** @type {string[]} */
    const texts = [document.title];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const parent = node.parentElement;
      if (parent && !parent.closest(`${foreign}, script, noscript`)) texts.push(node.textContent ?? "");
    }
    for (const node of document.querySelectorAll("[aria-label], [placeholder], [alt], [title]")) {
      if (node.closest(foreign) && !node.matches("pre")) continue;
      for (const name of ["aria-label", "placeholder", "alt", "title"]) texts.push(node.getAttribute(name) ?? "");
    }
    return texts.map((text) => text.replace(/\s+/g, " ").trim()).filter(Boolean);
  }, apis);

/**
 * The texts of the page that are in the language of `foreign`, and not in that of `own`.
 * @param {Page} page
 * @param {{ own: Table, foreign: Table, apis?: string }} languages
 */
export async function foreignTexts(page, { own, foreign, apis = "" }) {
  const texts = (await shownBy(page, apis)).filter((text) => !FIELDS.test(text));
  const found = pieces(foreign, own).flatMap((piece) => {
    const quoted = piece.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
    const pattern = new RegExp(`(?<![\\p{L}\\d_])${quoted}(?![\\p{L}\\d_])`, "iu");
    return texts.filter((text) => pattern.test(text)).map((text) => `${piece}: ${text}`);
  });
  const isPortuguese = "pt" === (await page.evaluate(() => document.documentElement.lang.slice(0, 2)));
  return [...found, ...(isPortuguese ? texts.filter((text) => text.match(ENGLISH)) : [])];
}

/** @param {Page} page */
export const languageOf = (page) => page.evaluate(() => document.documentElement.lang);
