// The npm package, installed in an empty folder on a machine without Rust.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after } from "node:test";
import { output } from "../../../scripts/lib.mjs";
import { makePackage } from "../../../scripts/package.mjs";

/** What tests of the package install besides it. */
const OTHERS = ["hono@4.13.19"];

/** Where the package is installed, for all files of one run of the tests. */
const SHARED = "PORTEIRO_INSTALLED";

/** What leads to npm's registry on this machine, if something does. */
const WAY = ["NODE_EXTRA_CA_CERTS", "HTTPS_PROXY", "https_proxy", "npm_config_registry"];

/**
 * @typedef {object} Place
 * @property {string} folder
 * @property {string} tarball
 */

/** Makes the package and installs it in a new folder. @returns {Promise<Place>} */
async function install() {
  const tarball = await makePackage();
  const place = { folder: mkdtempSync(path.join(tmpdir(), "porteiro-package-")), tarball };
  const { project, programs, run } = installedAt(place);
  mkdirSync(programs);
  mkdirSync(project);
  for (const [name, target] of Object.entries({
    node: process.execPath,
    // npm comes with the machine's own Node.js.
    npm: output("which", ["npm"]) ?? "",
    npx: output("which", ["npx"]) ?? "",
    sh: "/bin/sh",
    cat: "/bin/cat",
    env: "/usr/bin/env",
  }))
    symlinkSync(target, path.join(programs, name));
  for (const args of [
    ["init", "-y"],
    ["install", "--no-audit", "--no-fund", tarball, ...OTHERS],
  ]) {
    const { status, text } = run("npm", args);
    assert.equal(status, 0, text);
  }
  return place;
}

/** Installs the package once for all test files that `action` runs. @param {() => Promise<void>} action */
export async function installedOnce(action) {
  const place = await install();
  process.env[SHARED] = JSON.stringify(place);
  try {
    await action();
  } finally {
    rmSync(place.folder, { recursive: true, force: true });
  }
}

/** The package as installed for this run of the tests, or for this file alone, which removes it at its end. */
export async function installed() {
  const shared = process.env[SHARED];
  if (shared) return installedAt(/** @type {Place} */ (JSON.parse(shared)));
  const place = await install();
  after(() => rmSync(place.folder, { recursive: true, force: true }));
  return installedAt(place);
}

/** @param {Place} place */
function installedAt({ folder, tarball }) {
  const project = path.join(folder, "acme-broker");
  /** The only programs on the path. */
  const programs = path.join(folder, "bin");
  /** @type {NodeJS.ProcessEnv} */
  const env = { PATH: programs, HOME: folder, LANG: "pt_BR.UTF-8", CI: "true", WRANGLER_SEND_METRICS: "false" };
  for (const name of WAY) if (process.env[name]) env[name] = process.env[name];
  /**
   * Runs a program in the project.
   *
   * @param {string} command
   * @param {string[]} args
   * @param {{ cwd?: string, input?: string, more?: NodeJS.ProcessEnv }} [how]
   */
  const run = (command, args, { cwd = project, input = "", more = {} } = {}) => {
    const options = { cwd, env: { ...env, ...more }, input, encoding: /** @type {const} */ ("utf8"), timeout: 240_000 };
    const { status, stdout, stderr } = spawnSync(command, args, options);
    return { status, stdout, stderr, text: stdout + stderr };
  };
  return { folder, tarball, project, programs, env, run };
}
