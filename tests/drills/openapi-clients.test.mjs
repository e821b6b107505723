// A client generated from docs/reference/openapi.yaml has all of its operations.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ensurePython } from "../../scripts/python.mjs";

const DOCUMENT = fileURLToPath(new URL("../../docs/reference/openapi.yaml", import.meta.url));

const CALLS = fileURLToPath(new URL("../e2e/support/openapi/client.py", import.meta.url));

/** @param {string} command
 * @param {string[]} args
 * @returns {Promise<{ code: unknown, out: string, said: string }>} */
const run = (command, args) =>
  new Promise((resolve) => {
    const env = { PATH: `${path.dirname(command)}:${process.env.PATH}`, HOME: tmpdir(), PYTHONDONTWRITEBYTECODE: "1" };
    execFile(command, args, { env, maxBuffer: 2 ** 26 }, (error, out, said) =>
      resolve({ code: error ? error.code : 0, out, said }),
    );
  });

describe("a Python client", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "porteiro-client-"));
  /** @type {string} */
  let python;
  const source = readFileSync(DOCUMENT, "utf8");

  before(async () => {
    python = await ensurePython();
    writeFileSync(path.join(folder, "config.yaml"), "post_hooks: []\n");
  });
  after(() => rmSync(folder, { recursive: true }));

  /** What the generator says of a document, and the operations that it made. */
  async function generate(/** @type {string} */ document) {
    const place = path.join(folder, "client");
    rmSync(place, { recursive: true, force: true });
    writeFileSync(path.join(folder, "openapi.yaml"), document);
    const { code, out, said } = await run(path.join(path.dirname(python), "openapi-python-client"), [
      "generate",
      "--path",
      path.join(folder, "openapi.yaml"),
      "--config",
      path.join(folder, "config.yaml"),
      "--meta",
      "none",
      "--output-path",
      place,
    ]);
    assert.equal(code, 0, `${out}${said}`);
    const text = `${out}${said}`;
    return {
      modules: globSync("api/*/*.py", { cwd: place }).filter((name) => path.basename(name) !== "__init__.py").length,
      warnings: [...text.matchAll(/^(?:WARNING|ERROR|Unable)[^\n]*\n\n([^\n]+)/gm)].map(([all]) => all),
    };
  }

  const operations = [...source.matchAll(/^ {6}operationId: (\w+)$/gm)].length;

  test("has every operation, and each can be called", async () => {
    const { modules, warnings } = await generate(source);
    assert.ok(operations > 20);
    assert.equal(modules, operations, warnings.join("\n"));
    // Of a body of any type, the client knows the one of bytes.
    assert.deepEqual(
      warnings.map((warning) => warning.replace(/^WARNING parsing (\w+) .+\n\n/, "$1 ")).sort(),
      ["DELETE", "PATCH", "POST", "PUT"].map((method) => `${method} Missing schema`),
    );
    const { code, out, said } = await run(python, [CALLS, folder]);
    assert.equal(code, 0, said);
    const calls = JSON.parse(out).map((/** @type {[string, string]} */ [method, url]) => `${method} ${url}`);
    assert.equal(new Set(calls).size, operations);
    for (const call of ["put /api/guru/x", "post /auth/guru/login", "get /problems/bad_path", "get /admin/"]) {
      assert.ok(calls.includes(call), `${call}: ${calls}`);
    }
  });

  test("would be seen to lack one", async () => {
    const changed = source.replace(/ {8}application\/octet-stream:\n.+\n/, "");
    assert.notEqual(changed, source);
    const { modules, warnings } = await generate(changed);
    assert.equal(modules, operations - 4);
    assert.ok(
      warnings.some((warning) => warning.includes("Endpoint will not be generated")),
      warnings.join("\n"),
    );
  });

  test("would be seen to lack an answer", async () => {
    const changed = source.replace("status: { enum: [409] }", "status: { const: 409 }");
    assert.notEqual(changed, source);
    assert.ok((await generate(changed)).warnings.length > 4);
  });
});
