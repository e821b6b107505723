// What deny.toml refuses: checked with the cargo-deny of `npm run setup -- --tests`, in workspaces of two crates.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { denyAdvisories, denyCrates } from "../../scripts/audit.mjs";
import { output } from "../../scripts/lib.mjs";

/**
 * A workspace with a crate that depends on another one, and the other one's folder.
 * @param {import("node:test").TestContext} t
 * @param {{ license?: string, dependency?: (other: string) => string }} [how]
 */
function workspace(t, { license = "MIT", dependency = (other) => `other = { path = "${other}" }` } = {}) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "porteiro-audit-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const other = path.join(folder, "other");
  crate(other, "other", `license = "${license}"\n`);
  git(other, "init", "--quiet");
  git(other, "add", ".");
  git(other, "-c", "user.name=x", "-c", "user.email=x@example.com", "commit", "--quiet", "--message=x");
  const main = path.join(folder, "main");
  crate(main, "main", `license = "MIT"\n[dependencies]\n${dependency(other)}\n`);
  assert.notEqual(output("cargo", ["generate-lockfile"], { cwd: main }), undefined);
  return main;
}

/** @type {(folder: string, name: string, more: string) => void} */
function crate(folder, name, more) {
  mkdirSync(path.join(folder, "src"), { recursive: true });
  writeFileSync(path.join(folder, "src", "lib.rs"), "");
  const head = `[package]\nname = "${name}"\nversion = "1.0.0"\nedition = "2024"\npublish = false\n`;
  writeFileSync(path.join(folder, "Cargo.toml"), head + more);
}

/** @type {(folder: string, ...args: string[]) => void} */
const git = (folder, ...args) => assert.notEqual(output("git", args, { cwd: folder }), undefined);

test("crates with allowed licences pass", (t) => denyCrates(workspace(t)));

test("the project's own crates pass", () => denyCrates());

test("a licence that is not on the list is refused", async (t) => {
  await assert.rejects(denyCrates(workspace(t, { license: "GPL-3.0-only" })), /GPL-3\.0-only/);
});

test("a crate without a licence is refused", async (t) => {
  await assert.rejects(denyCrates(workspace(t, { license: "" })), /licenses FAILED/);
});

test("a crate from elsewhere than the registry is refused", async (t) => {
  const dependency = (/** @type {string} */ other) => `other = { git = "file://${other}" }`;
  await assert.rejects(denyCrates(workspace(t, { dependency })), /sources FAILED/);
});

test("a database of weaknesses that cannot be fetched is told, not passed over", async (t) => {
  const said = t.mock.method(console, "log", () => {});
  const config = { KEY_0: "url.file:///nowhere/.insteadOf", VALUE_0: "https://", COUNT: "1" };
  for (const [name, value] of Object.entries(config)) process.env[`GIT_CONFIG_${name}`] = value;
  t.after(() => Object.keys(config).forEach((name) => delete process.env[`GIT_CONFIG_${name}`]));
  await denyAdvisories(workspace(t));
  assert.deepEqual(
    said.mock.calls.map(({ arguments: [line] }) => line),
    ["    Rust advisories: not checked, the database at github.com/RustSec cannot be fetched"],
  );
});
