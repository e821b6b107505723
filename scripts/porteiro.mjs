#!/usr/bin/env node
// The command `porteiro` of the npm package.
import { readFileSync } from "node:fs";
import { Failure, inRoot, say } from "./lib.mjs";

/** What wrangler needs. */
const OLDEST = 22;

/** @typedef {{ help: string, load: () => Promise<(args: string[]) => unknown> }} Command */

/** @type {{ [name: string]: Command }} */
const COMMANDS = {
  init: { help: "makes a project here: asks, or --yes", load: async () => (await import("./init.mjs")).main },
  add: { help: "adds a connection from the catalogue", load: async () => (await import("./add.mjs")).main },
  providers: {
    help: "lists the catalogue, or tells about one",
    load: async () => (await import("./providers.mjs")).main,
  },
  check: {
    help: "finds what is wrong; --probe tries the credentials",
    load: async () => (await import("./check.mjs")).main,
  },
  dev: {
    help: "serves the broker here; --sandbox with providers to try",
    load: async () => (await import("./start.mjs")).dev,
  },
  serve: {
    help: "serves the broker for good, without Cloudflare",
    load: async () => (await import("./serve.mjs")).main,
  },
  deploy: {
    help: "deploys to Cloudflare, and asks for secrets",
    load: async () => (await import("./deploy.mjs")).main,
  },
  keys: { help: "makes new keys", load: async () => (await import("./keys.mjs")).main },
  "connect-link": {
    help: "makes a link to connect an account",
    load: async () => (await import("./connect-link.mjs")).main,
  },
  connections: {
    help: "exports and imports registered connections",
    load: async () => (await import("./connections.mjs")).main,
  },
};

const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
const HELP = `porteiro: a serverless OAuth token broker

${Object.entries(COMMANDS)
  .map(([name, { help }]) => `  porteiro ${name.padEnd(width)}  ${help}`)
  .join("\n")}

  porteiro COMMAND --help tells its options. The exit code is 0 if all is well,
  1 if something must be corrected, and 2 if the command could not run.`;

/** @param {string[]} args */
async function main([name, ...args]) {
  if (Number(process.versions.node.split(".")[0]) < OLDEST) {
    throw new Failure(`Node.js ${OLDEST} or newer is needed; this is ${process.versions.node}.`);
  }
  if (name === "--version" || name === "-v") {
    return say(JSON.parse(readFileSync(inRoot("package.json"), "utf8")).version);
  }
  if (name === undefined || name === "--help" || name === "-h" || name === "help") return say(HELP);
  if (!Object.hasOwn(COMMANDS, name)) throw new Failure(`There is no command ${name}.\n\n${HELP}`);
  const command = await COMMANDS[name].load();
  const code = await command(args);
  if (typeof code === "number") process.exitCode = code;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Failure ? `error: ${error.message}` : error);
  process.exitCode = 2;
}
