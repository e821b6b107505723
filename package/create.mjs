#!/usr/bin/env node
// `npm create porteiro [FOLDER] [-- options of porteiro init]`: makes a folder, a project in it, and installs what it
// needs.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const HELP = `npm create porteiro [FOLDER] [-- options]: makes a project in FOLDER, which is new or empty.

      --no-install  does not run npm install there
      --help        shows this

The other options are those of \`porteiro init\`: --yes, --name NAME, --origins LIST, --providers LIST.`;

const isWindows = process.platform === "win32";

/**
 * Runs a command in the folder, at this terminal; ends this process if the command fails.
 * @param {string} command
 * @param {string[]} args
 * @param {string} cwd
 */
function run(command, args, cwd) {
  const { status } = spawnSync(command, args, { cwd, stdio: "inherit", shell: isWindows && command === "npm" });
  if (status !== 0) process.exit(status ?? 2);
}

const args = process.argv.slice(2);
if (args.includes("--help") || args.includes("-h")) {
  console.log(HELP);
  process.exit(0);
}
const named = args[0] !== undefined && !args[0].startsWith("-");
const folder = path.resolve(named ? args[0] : "porteiro");
const options = args.slice(named ? 1 : 0);
const installs = !options.includes("--no-install");

if (existsSync(folder) && readdirSync(folder).some((name) => name !== ".git")) {
  console.error(`error: ${folder} is not empty: name another folder, or run \`npx porteiro init\` in this one.`);
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const own = path.dirname(createRequire(import.meta.url).resolve("porteiro/package.json"));
const command = path.join(own, "scripts", "porteiro.mjs");
run(process.execPath, [command, "init", ...options.filter((option) => option !== "--no-install")], folder);
if (installs) run("npm", ["install", "--no-audit", "--no-fund"], folder);
console.log(`\n  cd ${path.relative(process.cwd(), folder) || "."}`);
