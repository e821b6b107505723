// README.md and README.pt-BR.md have the same content, and their links exist.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { anchors, blocks, broken, codeWords, links, read } from "./markdown.mjs";

/** @typedef {import("./markdown.mjs").Block} Block */

const names = ["README.md", "README.pt-BR.md"];
const [english, portuguese] = names.map(read);

/** @type {Record<string, string>} */
const commentMark = { toml: "#", sh: "#", js: "//" };

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

/** What holds in every language: the shape, the code, and in each section its links, its code words and its numbers.
 * @param {string} document */
function outline(document) {
  const own = anchors(document);
  const sameInBoth = (/** @type {string} */ link) =>
    names.includes(link) ? "the other language" : link.startsWith("#") ? `heading ${own.indexOf(link.slice(1))}` : link;
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
    section.links = [...section.links, ...links(text).map(sameInBoth)].sort();
    const bare = text.replace(/\]\([^)]*\)|<https?:[^>]+>/g, " ");
    for (const word of codeWords(bare)) section.words.add(word);
    for (const [number] of bare.replace(/(`+).*?[^`]\1(?!`)/g, " ").matchAll(/\b\d+(\.\d+)*/g))
      section.numbers.add(number);
  }
  return shape;
}

describe("README.md and README.pt-BR.md", () => {
  test("have the same shape, code, links, code words and numbers", () => {
    assert.deepEqual(outline(portuguese), outline(english), "whoever changes README.md changes README.pt-BR.md too");
  });

  for (const [name, document] of [
    [names[0], english],
    [names[1], portuguese],
  ]) {
    const other = outline(document === english ? portuguese : english);

    test(`${name} links to what is there`, () => {
      assert.ok(links(document).length > 40);
      assert.deepEqual(broken(name), []);
    });

    /** The document with one change, which must have changed something. */
    const changed = (/** @type {string | RegExp} */ from, /** @type {string} */ to) => {
      const text = document.replace(from, to);
      assert.notEqual(text, document, `${from} is not in ${name}`);
      return text;
    };

    /** @type {Record<string, [string | RegExp, string]>} */
    const differences = {
      "a heading more": [/\n## /, "\n## New\n\n## "],
      "a heading less": [/\n### .+\n/, "\n"],
      "another level of a heading": [/\n### /, "\n## "],
      "a paragraph more": ["\n\n## ", "\n\nOne more.\n\n## "],
      "a paragraph less": [/\n(Porteiro is|O Porteiro é) .+\n(?=\n## )/, ""],
      "an item less": [/\n- .+/, ""],
      "a code block more": ["\n```sh\n", "\n```sh\nnpm run more\n```\n\n```sh\n"],
      "a code block less": [/\n```sh\nnpm start [^]+?```\n/, ""],
      "another language of a code block": ["\n```js\n", "\n```ts\n"],
      "another command": ["npm start ", "npm run begin "],
      "another value": ['audience = "https://broker.acme.example"', 'audience = "https://other.acme.example"'],
      "another text in a program": ["Authorization: `Bearer ", "Authorization: `Token "],
      "a comment more": ['kind = "jwt"', 'kind = "jwt" # one'],
      "a comment less": [/\nnpm start {3}#.+/, "\nnpm start"],
      "another arrow of the diagram": ["K->>T:", "K->>A:"],
      "a table row more": ["\n| Digital Manager Guru", "\n| more | |\n| Digital Manager Guru"],
      "a table row less": [/\n\| Digital Manager Guru.+/, ""],
      "a column more": ["\n|---|---|\n", "\n|---|---|---|\n"],
      "another number": ["RFC 9700", "RFC 9701"],
      "another code word": ["`anyone`", "`everyone`"],
      "another version": ["0.1.0", "0.1.1"],
      "a link more": [/(?=, \[OpenAPI\])/, ", [logs](docs/reference/logs.md)"],
      "a link less": [/\[([^\]]+)\]\(docs\/reference\/calls\.md\)/, "$1"],
      "a link elsewhere": ["(docs/guides/register.md)", "(docs/reference/logs.md)"],
      "another heading of its own as a target": [/\]\(#[^)]+\)/, `](#${anchors(document)[1]})`],
      "an address elsewhere": ["<http://localhost:8787>", "<http://localhost:8788>"],
    };
    for (const [what, change] of Object.entries(differences)) {
      test(`a change of ${name} is noticed: ${what}`, () => assert.notDeepEqual(outline(changed(...change)), other));
    }

    test(`other words in ${name} are no difference`, () => {
      /** @type {[RegExp, string][]} */
      const sameSaid = [
        [/\n# .+\n\[vars\.CALLERS\.staff\]/, "\n# So to say.\n[vars.CALLERS.staff]"],
        [/\n\/\/ .+\nconst response/, "\n// So to say.\nconst response"],
        [/(provider = "guru" #) .+/, "$1 so"],
        [/(participant P as) .+/, "$1 Page"],
        [/\n## .+\n\n```mermaid/, "\n## Another name\n\n```mermaid"],
      ];
      for (const change of sameSaid) assert.deepEqual(outline(changed(...change)), other);
    });

    test(`a broken link in ${name} is noticed`, () => {
      assert.deepEqual(broken(name, changed("(docs/reference/calls.md)", "(docs/none.md)")), ["docs/none.md"]);
      assert.deepEqual(broken(name, changed(/\]\(#[^)]+\)/, "](#none)")), ["#none"]);
      assert.deepEqual(broken(name, changed(/#what-an-event-proves\)/, "#none)")), ["docs/guides/webhooks.md#none"]);
    });
  }
});
