// Checks the files of providers/ against their schema, and the page that is made from them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { pageOfProviders, readCatalogue } from "../../scripts/catalogue.mjs";
import { inRoot } from "../../scripts/lib.mjs";

const schema = JSON.parse(readFileSync(inRoot("docs/reference/provider.schema.json"), "utf8"));
const isFile = new Ajv2020({ allErrors: true, allowUnionTypes: true }).compile(schema);

describe("the catalogue", () => {
  const providers = readCatalogue();

  test("has the providers that it promises", () => {
    assert.ok(providers.length >= 40, `${providers.length}`);
    assert.ok(providers.filter(({ country }) => country === "BR").length >= 20);
  });

  for (const { id, ...file } of readCatalogue()) {
    test(`has ${id} as the schema says`, () => {
      assert.ok(isFile(file), JSON.stringify(isFile.errors, null, 2));
    });
  }

  test("refuses what is no provider file", () => {
    const { id, ...guru } = providers.find(({ id }) => id === "guru") ?? assert.fail("guru");
    assert.ok(isFile(guru), id);
    for (const wrong of [
      { ...guru, grants: "static" },
      { ...guru, grant: "magic" },
      { ...guru, needs: { TOKEN: "" } },
    ]) {
      assert.ok(!isFile(wrong), JSON.stringify(wrong));
    }
  });

  test("knows each key that the build knows, and no other", () => {
    const build = readFileSync(inRoot("build.rs"), "utf8");
    const lists = ["FOR_PEOPLE", "FIELDS"].flatMap((name) => {
      const list = new RegExp(`const ${name}: &\\[&str\\] = &\\[([^\\]]*)\\]`).exec(build)?.[1] ?? assert.fail(name);
      return [...list.matchAll(/"(\w+)"/g)].map(([, key]) => key);
    });
    assert.deepEqual([...lists, "needs"].sort(), Object.keys(schema.properties).sort());
  });

  test("is on its page as it is in its files", () => {
    const page = readFileSync(inRoot("docs/reference/providers.md"), "utf8");
    assert.equal(page, pageOfProviders(), "node scripts/catalogue.mjs writes it");
  });
});
