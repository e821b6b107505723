// Reads the parts of a Markdown file that the documentation tests need; only the syntax of this repository is
// supported.

import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");

/** @param {string} name */
export const read = (name) => readFileSync(path.join(root, name), "utf8");

/** All Markdown files, by their paths below the root. */
export const documents = () =>
  globSync(["*.md", "{bench,check,docs,examples,sandbox,scripts,src,tests}/**/*.md"], {
    cwd: root,
    exclude: (name) => name.includes("node_modules"),
  })
    .map((name) => name.replaceAll(path.sep, "/"))
    .sort();

/**
 * A part of a document. Only a heading has a `level`, only code a `language`.
 * @typedef {{ kind: "heading" | "code" | "table" | "list" | "paragraph", text: string, level: number, language: string }} Block
 */

/** @returns {Block} */
const block = (
  /** @type {Block["kind"]} */ kind,
  /** @type {string} */ text,
  /** @type {Partial<Block>} */ more = {},
) => ({ kind, text, level: 0, language: "", ...more });

/**
 * A document as blocks in order. They are separated as they are in these files: by blank lines, and a heading
 * stands alone.
 * @param {string} document
 */
export function blocks(document) {
  /** @type {Block[]} */
  const found = [];
  /** @type {Block | undefined} */
  let open;
  /** @type {string | undefined} */
  let fence;
  const begin = (/** @type {Block} */ next) => {
    found.push(next);
    return next;
  };
  for (const line of document.split("\n")) {
    const [, ticks, language = ""] = line.match(/^\s*(?:(?:-|\d+\.) )?(```+)(.*)$/) ?? [];
    if (fence && open) {
      if (ticks === fence) fence = open = undefined;
      else open.text += `${line}\n`;
    } else if (ticks) {
      fence = ticks;
      open = begin(block("code", "", { language }));
    } else if (/^#+ /.test(line)) {
      begin(block("heading", line.replace(/^#+ /, ""), { level: line.indexOf(" ") }));
      open = undefined;
    } else if (!line.trim()) {
      open = undefined;
    } else if (open) {
      open.text += `${line}\n`;
    } else {
      const kind = line.startsWith("|") ? "table" : /^(- |\d+\. )/.test(line) ? "list" : "paragraph";
      open = begin(block(kind, `${line}\n`));
    }
  }
  assert.equal(fence, undefined, "a code block has no end");
  return found;
}

/** @param {string} document */
export const withoutCode = (document) => blocks(document).filter(({ kind }) => kind !== "code");

/** The targets of the links and pictures in a text.
 * @param {string} text */
export const links = (text) =>
  [...text.matchAll(/\]\(([^)\s]+)\)|<(https?:[^>]+)>/g)].map(([, target, address]) => target ?? address);

/** What stands between backticks in a text, in order.
 * @param {string} text */
export const codeWords = (text) => [...text.matchAll(/(`+)(.*?[^`])\1(?!`)/g)].map(([, , word]) => word);

/** The anchors that GitHub gives a document's headings, in order.
 * @param {string} document */
export function anchors(document) {
  /** @type {Map<string, number>} */
  const seen = new Map();
  return withoutCode(document)
    .filter(({ kind }) => kind === "heading")
    .map(({ text }) => {
      const anchor = text
        .replace(/\]\([^)]*\)/g, "]")
        .toLowerCase()
        .replace(/[^\p{L}\p{M}\p{N}_\- ]/gu, "")
        .replaceAll(" ", "-");
      const before = seen.get(anchor) ?? 0;
      seen.set(anchor, before + 1);
      return before ? `${anchor}-${before}` : anchor;
    });
}

/**
 * The links of the document `name` that lead nowhere. Addresses on the web are not asked.
 * @param {string} name
 * @param {string} document
 */
export function broken(name, document = read(name)) {
  const text = withoutCode(document)
    .map((part) => part.text.replace(/(`+)(.*?[^`])\1(?!`)/g, "`…`"))
    .join("\n");
  return links(text).filter((link) => {
    if (/^(https?|mailto):/.test(link)) return false;
    const [place, anchor] = link.split("#");
    const target = place ? path.posix.join(path.posix.dirname(name), place) : name;
    if (!existsSync(path.join(root, target))) return true;
    if (anchor === undefined || !target.endsWith(".md")) return false;
    return !anchors(target === name ? document : read(target)).includes(anchor);
  });
}
