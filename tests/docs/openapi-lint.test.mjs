// docs/reference/openapi.yaml passes the linter's recommended rules, except for the entries in
// .redocly.lint-ignore.yaml.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { read, root } from "./markdown.mjs";

const LINTER = path.join(root, "node_modules/@redocly/cli/bin/cli.js");

/**
 * What the linter says of a document.
 * @param {string} cwd
 * @param {string[]} args
 * @returns {Promise<{ totals: Record<string, number>, problems: { ruleId: string, message: string }[] }>}
 */
function lint(cwd, args) {
  const env = {
    PATH: process.env.PATH,
    HOME: tmpdir(),
    CI: "true",
    REDOCLY_TELEMETRY: "off",
    REDOCLY_SUPPRESS_UPDATE_NOTICE: "true",
  };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [LINTER, "lint", ...args, "--format", "json"], { cwd, env }, (_, out, said) => {
      try {
        resolve(JSON.parse(out));
      } catch {
        reject(new Error(`the linter did not run: ${out}${said}`));
      }
    });
  });
}

describe("docs/reference/openapi.yaml", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "porteiro-lint-"));
  after(() => rmSync(folder, { recursive: true }));

  test("passes the recommended rules", async () => {
    const { totals, problems } = await lint(root, ["porteiro"]);
    assert.deepEqual(problems, []);
    // Those that are ignored are still there.
    assert.deepEqual(totals, { errors: 0, warnings: 0, ignored: 5 });
  });

  const document = read("docs/reference/openapi.yaml");
  /** @type {Record<string, [string, string]>} */
  const wrong = {
    "operation-summary": ["      summary: Ends the person's session\n", ""],
    "operation-operationId-unique": ["operationId: signOut", "operationId: signIn"],
    "no-unused-components": ["    Seconds:\n", "    Minutes:\n      type: integer\n    Seconds:\n"],
    "no-unresolved-refs": ["schemas/SignedIn' }", "schemas/SignedOut' }"],
    "no-invalid-media-type-examples": ["example: { status: ok,", "example: { status: 1,"],
  };
  test("would not pass with a fault", async () => {
    let changed = document;
    for (const [from, to] of Object.values(wrong)) {
      assert.ok(changed.includes(from), from);
      changed = changed.replace(from, to);
    }
    writeFileSync(path.join(folder, "openapi.yaml"), changed);
    const { problems } = await lint(folder, ["openapi.yaml", "--extends", "recommended"]);
    const rules = new Set(problems.map(({ ruleId }) => ruleId));
    assert.deepEqual(
      Object.keys(wrong).filter((rule) => !rules.has(rule)),
      [],
    );
  });
});
