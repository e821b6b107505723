// Tests wait for conditions, not for time to pass.

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";

/** What waits for time to pass: on the clock of the test, or on that of a page. */
const WAITS = [/\bsleep\(/, /timers\/promises/, /waitForTimeout/, /setTimeout\(resolve\b/, /Atomics\.wait\b/];

/** @param {string} text */
const waitsIn = (text) => WAITS.filter((wait) => wait.test(text));

test("no end-to-end test waits for time to pass: until() of support/until.mjs waits for a condition", async () => {
  const names = (await readdir(import.meta.dirname)).filter(
    (name) => name.endsWith(".test.mjs") && name !== "waiting.test.mjs",
  );
  assert.ok(names.length > 30);
  for (const name of names) {
    assert.deepEqual(waitsIn(await readFile(new URL(name, import.meta.url), "utf8")), [], name);
  }
});

test("such a wait would be seen", () => {
  for (const wait of [
    "await sleep(5)",
    'from "node:timers/promises"',
    "page.waitForTimeout(5)",
    "new Promise((resolve) => setTimeout(resolve, 5))",
  ]) {
    assert.equal(waitsIn(wait).length, 1, wait);
  }
});
