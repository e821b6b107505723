// The language of an answer, as the Worker's JavaScript reads it and writes in it. The test in src/http/language.rs
// checks Rust against the same examples.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { inRoot } from "../../scripts/lib.mjs";
import { preferredLanguage } from "../../src/platform/language.js";

/** @type {[acceptLanguage: string, tag: string][]} */
const examples = JSON.parse(readFileSync(inRoot("tests", "data", "languages.json"), "utf8"));

test("JavaScript prefers the language that Rust prefers", () => {
  assert.ok(examples.length > 15);
  for (const [acceptLanguage, tag] of examples) assert.equal(preferredLanguage(acceptLanguage), tag, acceptLanguage);
});

test("the answer of last resort has the words of the others", () => {
  const shim = readFileSync(inRoot("src", "platform", "shim.js"), "utf8");
  for (const language of ["english", "portuguese"]) {
    const words = readFileSync(inRoot("src", "edge", "problem", `${language}.rs`), "utf8");
    const [, title, detail] = /Self::Internal => \[\s*("[^"]+"),\s*("[^"]+"),/.exec(words) ?? assert.fail(language);
    assert.ok(shim.includes(`[${title}, ${detail}]`), language);
  }
});
