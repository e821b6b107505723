// What a page and its translation have in common: the shape, the code, and in each section the links, the code words and
// the numbers.

import { existsSync } from "node:fs";
import path from "node:path";
import { anchors, blocks, codeWords, links, read, root } from "./markdown.mjs";

/** @import { Block } from "./markdown.mjs" */

/** What the name of a page in Portuguese ends with. */
const PORTUGUESE = ".pt-BR.md";

/** @param {string} name */
export const isPortuguese = (name) => name.endsWith(PORTUGUESE);

/** The page in English that the page `name` is, or is a translation of.
 * @param {string} name */
export const englishOf = (name) => (isPortuguese(name) ? `${name.slice(0, -PORTUGUESE.length)}.md` : name);

/** @param {string} name */
export const portugueseOf = (name) => `${name.replace(/\.md$/, "")}${PORTUGUESE}`;

/** @type {Record<string, string>} */
const commentMark = { toml: "#", sh: "#", yaml: "#", js: "//", jsx: "//" };

/** The code without what a translation may change. A comment leaves its mark.
 * @param {Block} block */
function withoutWords({ language, text }) {
  if (language === "mermaid") {
    return text.replace(/^(\s*participant \w+ as ).+$|^(\s*opt ).+$|^(\s*\w+-+>>\w+: ).+$/gm, "$1$2$3…");
  }
  const mark = commentMark[language];
  if (!mark) return text;
  // What is quoted holds no comment: it is matched first, and stays.
  const quotedOrComment = new RegExp(String.raw`"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\`[^\`\n]*\`|(^|\s)${mark}.*$`, "gm");
  return text.replace(quotedOrComment, (whole, space) => (space === undefined ? whole : `${space}${mark} …`));
}

/** A link of the page `name` as both languages have it: the page in English, and the heading's number on it.
 * @param {string} name
 * @param {string} document
 * @param {string} link */
function sameInBoth(name, document, link) {
  if (/^(https?|mailto):/.test(link)) return link;
  const [place, anchor] = link.split("#");
  const target = place ? path.posix.join(path.posix.dirname(name), place) : name;
  const page = englishOf(target);
  if (target !== name && page === englishOf(name)) return "the other language";
  if (anchor === undefined || !target.endsWith(".md")) return page;
  const text = target === name ? document : existsSync(path.join(root, target)) ? read(target) : "";
  return `${page}, heading ${anchors(text).indexOf(anchor)}`;
}

/** What holds in every language.
 * @param {string} name
 * @param {string} document */
export function outline(name, document = read(name)) {
  const inSection = () => ({
    links: /** @type {string[]} */ ([]),
    words: /** @type {Set<string>} */ (new Set()),
    numbers: /** @type {Set<string>} */ (new Set()),
  });
  /** @type {object[]} */
  const shape = [];
  let section = inSection();
  for (const block of blocks(document)) {
    const { kind, level, language, text } = block;
    const lines = text.trim().split("\n");
    if (kind === "heading") shape.push({ level }, (section = inSection()));
    if (kind === "paragraph") shape.push({ kind });
    if (kind === "list") shape.push({ items: lines.length });
    if (kind === "table") shape.push({ cells: lines.map((line) => line.split("|").length - 2) });
    if (kind === "code") {
      shape.push({ language, code: withoutWords(block) });
      continue;
    }
    section.links = [...section.links, ...links(text).map((link) => sameInBoth(name, document, link))].sort();
    const bare = text.replace(/\]\([^)]*\)|<https?:[^>]+>/g, " ");
    for (const word of codeWords(bare)) section.words.add(word);
    // 10,000 is 10.000 in Portuguese, and 1.5 is 1,5.
    for (const [number] of bare.replace(/(`+).*?[^`]\1(?!`)/g, " ").matchAll(/\b\d+([.,]\d+)*/g))
      section.numbers.add(number.replace(/[.,]/g, "·"));
  }
  return shape;
}
