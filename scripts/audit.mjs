// Asks the registries about the locked packages. What could not be asked is said, never passed over.
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, inRoot, isMain, output, root, run, runMain, say, toolEnv } from "./lib.mjs";

export async function audit() {
  auditNode();
  refuseYankedCrates();
  if (output("cargo", ["audit", "--version"])) await run("cargo", ["audit"]);
  else say("    Rust advisories: not checked, cargo-audit is not installed");
}

function auditNode() {
  const { stdout } = spawnSync("npm", ["audit", "--json"], { cwd: root, encoding: "utf8", env: toolEnv() });
  const report = parse(stdout);
  const counts = report?.metadata?.vulnerabilities;
  if (!counts) return say("    Node modules: not checked, the registry does not answer audits");
  say(`    Node modules: ${counts.total} known vulnerabilities`);
  for (const { name, severity } of Object.values(report.vulnerabilities)) say(`      ${severity}: ${name}`);
  if (counts.high + counts.critical > 0) throw new Failure("A Node module has a known vulnerability: see `npm audit`.");
}

/**
 * Packaging is when cargo asks the registry whether a locked crate has been yanked:
 * a package of the two lists and nothing else is made for it.
 */
function refuseYankedCrates() {
  const folder = inRoot("target", `audit.${process.pid}`);
  mkdirSync(path.join(folder, "src"), { recursive: true });
  for (const name of ["Cargo.toml", "Cargo.lock"]) copyFileSync(inRoot(name), path.join(folder, name));
  writeFileSync(path.join(folder, "src", "lib.rs"), "");
  const { status, stderr } = spawnSync("cargo", ["package", "--locked", "--allow-dirty", "--no-verify", "--no-metadata"], {
    cwd: folder, encoding: "utf8", env: toolEnv({ CARGO_TARGET_DIR: path.join(folder, "target") }),
  });
  rmSync(folder, { recursive: true, force: true });
  const yanked = stderr.split("\n").filter((line) => line.includes("is yanked"));
  if (yanked.length) throw new Failure(`A crate in Cargo.lock is yanked:\n${yanked.join("\n")}`);
  say(status === 0 ? "    Rust crates: none is yanked" : `    Rust crates: not checked, cargo said: ${stderr.trim().split("\n").at(-1)}`);
}

function parse(json) {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}

if (isMain(import.meta.url)) await runMain(audit);
