// A folder of somebody who has Node.js and nothing of Rust, with the package installed.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { output } from "../../../scripts/lib.mjs";
import { packed } from "../../../scripts/package.mjs";
import { endWithThis } from "../../../scripts/processes.mjs";
import { until } from "../../e2e/support/until.mjs";

/** The tarball, which must be of what is here. */
export const tarball = packed() ?? "";
assert.ok(tarball, "The package is older than what it is made from: run `npm run package`.");

const COMMAND = "node_modules/porteiro/scripts/porteiro.mjs";

/** The programs on the path, beside Node.js; the last two are for `porteiro serve` alone. */
const PROGRAMS = ["npm", "npx", "sh", "cat", "env", "flock", "setpriv"];

/**
 * The result of a program.
 * @typedef {{ status: number | null, stdout: string, stderr: string, text: string }} Ended
 */

/**
 * Makes an empty folder, and programs on a path of its own.
 *
 * @param {string} name the folder's name
 */
export function makeFolder(name) {
  const place = mkdtempSync(path.join(tmpdir(), "porteiro-package-"));
  const folder = path.join(place, name);
  const programs = path.join(place, "bin");
  mkdirSync(folder);
  mkdirSync(programs);
  symlinkSync(process.execPath, path.join(programs, "node"));
  for (const program of PROGRAMS) symlinkSync(output("which", [program]) ?? "", path.join(programs, program));
  // npm gives what it runs the settings of this project, such as that versions are saved as they are.
  const kept = Object.entries(process.env).filter(
    ([key]) => key === "npm_config_registry" || !/^(CARGO|RUST|CLOUDFLARE|LC_|LANG|PORTEIRO|npm_)/.test(key),
  );
  /** npm's own settings and the way to the network are this machine's. @type {NodeJS.ProcessEnv} */
  const env = {
    ...Object.fromEntries(kept),
    PATH: programs,
    HOME: place,
    npm_config_userconfig: path.join(homedir(), ".npmrc"),
    npm_config_cache: output("npm", ["config", "get", "cache"]),
    npm_config_audit: "false",
    npm_config_fund: "false",
    LANG: "pt_BR.UTF-8",
    CI: "true",
    WRANGLER_SEND_METRICS: "false",
  };

  /**
   * Runs a program in the folder, to its end: servers of this process go on meanwhile.
   *
   * @param {string} command
   * @param {string[]} args
   * @param {{ cwd?: string, more?: NodeJS.ProcessEnv }} [how]
   * @returns {Promise<Ended>}
   */
  async function run(command, args, { cwd = folder, more = {} } = {}) {
    const child = endWithThis(
      spawn(command, args, { cwd, env: { ...env, ...more }, stdio: ["ignore", "pipe", "pipe"] }),
    );
    const told = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (chunk) => (told.stdout += chunk));
    child.stderr.setEncoding("utf8").on("data", (chunk) => (told.stderr += chunk));
    const [status] = await once(child, "close");
    return { status, ...told, text: told.stdout + told.stderr };
  }

  /**
   * The output of a program that must succeed.
   *
   * @param {string} command
   * @param {string[]} args
   */
  async function succeed(command, args) {
    const { status, text } = await run(command, args);
    assert.equal(status, 0, `${command} ${args.join(" ")}: ${text}`);
    return text;
  }

  /** Runs a command of the package. @param {...string} args */
  const porteiro = (...args) => run("node", [COMMAND, ...args]);

  /** @param {string} file */
  const read = (file) => readFileSync(path.join(folder, file), "utf8");

  /** @param {string} file @param {string} text */
  const write = (file, text) => writeFileSync(path.join(folder, file), text);

  /**
   * Starts `porteiro dev`, and waits until it says that it is ready.
   *
   * @param {...string} args
   */
  async function dev(...args) {
    const child = endWithThis(
      spawn("node", [COMMAND, "dev", ...args], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] }),
      "SIGTERM",
    );
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk) => (text += chunk));
    await until(() => {
      assert.equal(child.exitCode, null, text);
      return text.includes("Porteiro is ready");
    }, "The broker");
    const end = async () => {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    };
    return { end, said: () => text };
  }

  const remove = () => rmSync(place, { recursive: true, force: true });
  return { folder, env, run, succeed, porteiro, read, write, dev, remove };
}

/**
 * The same, with the package installed as a person would.
 *
 * @param {string} name
 * @param {...string} others what is installed besides
 */
export async function makeProject(name, ...others) {
  const made = makeFolder(name);
  await made.succeed("npm", ["init", "-y"]);
  await made.succeed("npm", ["install", "--prefer-offline", tarball, ...others]);
  return made;
}

/** The key of a server in a project's `.dev.vars`. @param {string} text */
export const backendKey = (text) => /^BACKEND_KEY=['"](.+)['"]$/m.exec(text)?.[1] ?? "";
