// Checks that the links, files and commands in the documentation exist.

import assert from "node:assert/strict";
import { existsSync, globSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { blocks, broken, codeWords, documents, links, read, root, withoutCode } from "./markdown.mjs";

/** Made by a build or by whoever deploys, so not in the repository. */
const MADE = ["build/index.js", "build/index_bg.wasm"];

const FOLDERS = "bench|build|check|docs|examples|providers|sandbox|scripts|src|tests";
const { scripts } = JSON.parse(read("package.json"));

/** The places below which a page names files without their folder. */
const below = (/** @type {string} */ name) => [
  "",
  path.posix.dirname(name),
  ...(name === "docs/explain/standards.md" ? ["src", "tests"] : []),
];

const isThere = (/** @type {string} */ name, /** @type {string} */ place) =>
  MADE.includes(place) ||
  below(name).some((folder) => {
    const target = path.join(root, folder, place);
    return place.includes("*") ? globSync(target).length > 0 : existsSync(target);
  });

/** The files and folders that a document names: in a word of code or a command.
 * @param {string} document */
function files(document) {
  const words = withoutCode(document).flatMap(({ text }) => codeWords(text));
  const lines = blocks(document)
    .filter(({ kind }) => kind === "code")
    .map(({ text }) => text);
  const inFolders = new RegExp(String.raw`(?<![\w./@:-])(?:${FOLDERS})/[\w.*/-]*[\w*/]`, "g");
  const named = words.filter((word) => /^[\w./-]+\.(rs|mjs|md|toml|yaml)$/.test(word) && !word.startsWith("."));
  return [...new Set([...named, ...[...words, ...lines].flatMap((text) => text.match(inFolders) ?? [])])];
}

/** The scripts of package.json that a document names.
 * @param {string} document */
const commands = (document) => [
  ...new Set([...document.matchAll(/\bnpm run (?:-\S+ )*([a-z][\w:-]*)/g)].map(([, name]) => name)),
];

/** @param {string} name */
const missing = (name, document = read(name)) => [
  ...broken(name, document),
  ...files(document).filter((place) => !isThere(name, place)),
  ...commands(document).filter((command) => !(command in scripts)),
];

describe("the documentation", () => {
  const all = documents();

  test("is all read, and holds what is looked for", () => {
    assert.ok(all.length >= 26, `${all}`);
    const texts = all.map(read);
    assert.ok(texts.flatMap(links).length > 300, "links");
    assert.ok(texts.flatMap(files).length > 80, "files");
    assert.ok(texts.flatMap(commands).length > 20, "commands");
  });

  for (const name of all) {
    test(`${name} names what is there`, () => assert.deepEqual(missing(name), []));
  }

  test("is all in its index", () => {
    const inIndex = new Set(links(read("docs/README.md")).map((link) => path.posix.join("docs", link.split("#")[0])));
    const pages = all.filter((name) => name.startsWith("docs/") && name !== "docs/README.md");
    assert.deepEqual(
      pages.filter((name) => !inIndex.has(name)),
      [],
    );
  });

  const page = read("docs/explain/standards.md");
  /** @type {Record<string, [string, string]>} */
  const wrong = {
    "a page": ["[a](none.md)", "none.md"],
    "a heading": ["[a](security.md#none)", "security.md#none"],
    "a heading of its own": ["[a](#none)", "#none"],
    "a picture": ["![a](images/none.png)", "images/none.png"],
    "a source file": ["`src/none.rs`", "src/none.rs"],
    "a source file by its name below src/": ["`oauth/none.rs`", "oauth/none.rs"],
    "a folder": ["`src/none/`", "src/none/"],
    "files of a kind": ["`tests/e2e/*.none.mjs`", "tests/e2e/*.none.mjs"],
    "a file in a command": ["```sh\nnode --test tests/none.mjs\n```", "tests/none.mjs"],
    "a script": ["`npm run none`", "none"],
  };
  for (const [what, [text, found]] of Object.entries(wrong)) {
    test(`would be seen to name what is not there: ${what}`, () => {
      assert.deepEqual(missing("docs/explain/standards.md", `${page}\n${text}\n`), [found]);
    });
  }
});
