// Each page in Portuguese has the shape, the code, the links, the code words and the numbers of the page in English.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { documents, links, read } from "./markdown.mjs";
import { englishOf, isPortuguese, outline, portugueseOf } from "./translation.mjs";

/** The pages in both languages: those of the first day, and that of personal data. */
const BOTH = [
  "README.md",
  "docs/explain/personal-data.md",
  "docs/guides/front-end.md",
  "docs/reference/configuration.md",
  "docs/reference/errors.md",
  "docs/start/deploy.md",
  "docs/start/first-connection.md",
  "docs/start/quickstart.md",
];

const all = documents();
const english = all.filter(isPortuguese).map(englishOf);

/** Changes that any page can have, which must each be noticed.
 * @type {Record<string, [RegExp, string]>} */
const differences = {
  "a heading more": [/\n## /, "\n## New\n\n## "],
  "another level of a heading": [/\n## /, "\n### "],
  "a paragraph more": [/\n\n## /, "\n\nOne more.\n\n## "],
  "a table row less": [/\n\|(?!---).+(?=\n\n)/, ""],
  "a link elsewhere": [/(\n## [^]*?\]\()[^)]+\)/, "$1none.md)"],
  "another code word": [/`[a-z_]{4,}`/, "`another`"],
};

describe("the pages in Portuguese", () => {
  test("are those of the first day, and that of personal data", () => assert.deepEqual(english.sort(), BOTH));

  for (const name of english) {
    const translated = portugueseOf(name);

    test(`${translated} is in step with ${name}`, () => {
      assert.deepEqual(outline(translated), outline(name), `whoever changes ${name} changes ${translated} too`);
    });

    test(`${name} and ${translated} begin with a link to each other`, () => {
      for (const [one, other] of [
        [name, translated],
        [translated, name],
      ])
        assert.equal(links(read(one))[0], other.split("/").at(-1), one);
    });

    for (const [what, [from, to]] of Object.entries(differences)) {
      test(`a change of ${translated} is noticed: ${what}`, () => {
        const changed = read(translated).replace(from, to);
        assert.notEqual(changed, read(translated));
        assert.notDeepEqual(outline(translated, changed), outline(name));
      });
    }
  }

  test("other words and comments are no difference, other code is one", () => {
    const name = "docs/start/first-connection.pt-BR.md";
    const text = read(name);
    const said = text
      .replace(/\n# [A-Z].+\n(?=\[vars)/, "\n# So to say.\n")
      .replace(/\nEm outro terminal,/, "\nThere,");
    assert.notEqual(said, text);
    assert.deepEqual(outline(name, said), outline(name));
    const coded = text.replace('paths = ["/products"]', 'paths = ["/product"]');
    assert.notEqual(coded, text);
    assert.notDeepEqual(outline(name, coded), outline(name));
  });
});
