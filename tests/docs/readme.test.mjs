// README.md and README.pt-BR.md have the same content, and their links exist.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { anchors, broken, links, read } from "./markdown.mjs";
import { outline } from "./translation.mjs";

const names = ["README.md", "README.pt-BR.md"];
const [english, portuguese] = names.map(read);

describe("README.md and README.pt-BR.md", () => {
  test("have the same shape, code, links, code words and numbers", () => {
    assert.deepEqual(outline(names[1]), outline(names[0]), "whoever changes README.md changes README.pt-BR.md too");
  });

  for (const [name, document] of [
    [names[0], english],
    [names[1], portuguese],
  ]) {
    const other = outline(names.find((one) => one !== name) ?? "");

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
      "a paragraph less": [/\n(Some APIs|Algumas APIs) .+\n/, ""],
      "an item less": [/\n- .+/, ""],
      "a code block more": ["\n```sh\n", "\n```sh\nnpm run more\n```\n\n```sh\n"],
      "a code block less": [/\n```sh\nnpx porteiro add [^]+?```\n/, ""],
      "another language of a code block": ["\n```js\n", "\n```ts\n"],
      "another command": ["npx porteiro init ", "npx porteiro begin "],
      "another value": ['audience = "https://broker.acme.example"', 'audience = "https://other.acme.example"'],
      "another text in a program": ["Authorization: `Bearer ", "Authorization: `Token "],
      "a comment more": ['kind = "jwt"', 'kind = "jwt" # one'],
      "a comment less": [/\nnpx porteiro add hubsoft +#.+/, "\nnpx porteiro add hubsoft"],
      "another arrow of the diagram": ["K->>T:", "K->>A:"],
      "a table row more": ["\n| Digital Manager Guru", "\n| more | |\n| Digital Manager Guru"],
      "a table row less": [/\n\| Digital Manager Guru.+/, ""],
      "a column more": ["\n|---|---|\n", "\n|---|---|---|\n"],
      "another number": ["RFC 9700", "RFC 9701"],
      "another code word": ["`anyone`", "`everyone`"],
      "another version": [/(Version|Versão) 0\.1\.0/, "$1 0.1.1"],
      "another file of the package": ["./porteiro-0.1.0.tgz", "./porteiro-0.1.1.tgz"],
      "a link more": [/(?=, \[OpenAPI\])/, ", [logs](docs/reference/logs.md)"],
      "a link less": [/\[([^\]]+)\]\(docs\/reference\/calls\.md\)/, "$1"],
      "a link elsewhere": ["(docs/guides/register.md)", "(docs/reference/logs.md)"],
      "another heading of its own as a target": [/\]\(#[^)]+\)/, `](#${anchors(document)[1]})`],
      "an address elsewhere": ["<http://localhost:8787>", "<http://localhost:8788>"],
    };
    for (const [what, change] of Object.entries(differences)) {
      test(`a change of ${name} is noticed: ${what}`, () =>
        assert.notDeepEqual(outline(name, changed(...change)), other));
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
      for (const change of sameSaid) assert.deepEqual(outline(name, changed(...change)), other);
    });

    test(`a broken link in ${name} is noticed`, () => {
      assert.deepEqual(broken(name, changed("(docs/reference/calls.md)", "(docs/none.md)")), ["docs/none.md"]);
      assert.deepEqual(broken(name, changed(/\]\(#[^)]+\)/, "](#none)")), ["#none"]);
      assert.deepEqual(broken(name, changed(/#what-an-event-proves\)/, "#none)")), ["docs/guides/webhooks.md#none"]);
    });
  }
});
