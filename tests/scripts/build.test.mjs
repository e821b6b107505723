// The stamp of the build: only the output of a build is deployed.
import assert from "node:assert/strict";
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { isBuilt, markBuilt } from "../../scripts/build.mjs";

/** @param {import("node:test").TestContext} t */
function built(t) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "porteiro-build-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(path.join(folder, "index.js"), "export default {};\n");
  writeFileSync(path.join(folder, "index_bg.wasm"), "\0asm");
  markBuilt(folder, "inputs");
  return folder;
}

test("what was built stays up to date while nothing changes", (t) => {
  const folder = built(t);
  assert.equal(isBuilt(folder, "inputs"), true);
  markBuilt(folder, "inputs");
  assert.equal(isBuilt(folder, "inputs"), true);
});

/** @type {Record<string, (folder: string) => void>} */
const CHANGES = {
  "a line appended to index.js": (folder) => appendFileSync(path.join(folder, "index.js"), "// more\n"),
  "another module": (folder) => writeFileSync(path.join(folder, "index_bg.wasm"), "\0asm1"),
  "a file that was not built": (folder) => writeFileSync(path.join(folder, "more.js"), ""),
  "an empty folder": (folder) => mkdirSync(path.join(folder, "more")),
  "a file in a folder that tools pass over": (folder) => {
    mkdirSync(path.join(folder, "node_modules"));
    writeFileSync(path.join(folder, "node_modules", "more.js"), "");
  },
  "a missing file": (folder) => rmSync(path.join(folder, "index_bg.wasm")),
  "a renamed file": (folder) => renameSync(path.join(folder, "index.js"), path.join(folder, "other.js")),
  "no stamp": (folder) => rmSync(path.join(folder, ".stamp")),
};
for (const [name, change] of Object.entries(CHANGES)) {
  test(`it is built again after ${name}`, (t) => {
    const folder = built(t);
    change(folder);
    assert.equal(isBuilt(folder, "inputs"), false);
  });
}

test("it is built again for other inputs, and where nothing is there", (t) => {
  const folder = built(t);
  assert.equal(isBuilt(folder, "others"), false);
  assert.equal(isBuilt(path.join(folder, "absent"), "inputs"), false);
});

test("a build that made nothing is not marked", (t) => {
  const folder = built(t);
  rmSync(path.join(folder, "index.js"));
  assert.throws(() => markBuilt(folder, "inputs"), /has not made/);
});
