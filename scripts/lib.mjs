// Common functions of the scripts: running tools, reporting progress, finding Node.js and wrangler. This module needs
// only Node.js, so that setup runs before anything is installed.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** The folder of all that is the broker's: a clone of its repository, or the installed package. */
export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
/** @param {...string} parts */
export const inRoot = (...parts) => path.join(root, ...parts);
/** Whether that is a clone, where the broker is built: an installed package has what was built. */
export const isClone = existsSync(inRoot("Cargo.toml"));
/** The folder of the configuration: the clone itself, or where the person is. */
export const project = isClone ? root : process.cwd();
/** @param {...string} parts */
export const inProject = (...parts) => path.join(project, ...parts);
/** The folder of the built Worker. */
export const workerFolder = inRoot(isClone ? "build" : "worker");

/**
 * How a person runs one of the commands here.
 * @param {string} name
 * @param {string} [args]
 */
export const commandLine = (name, args = "") =>
  isClone ? `npm run ${name}${args && ` -- ${args}`}` : `npx porteiro ${name}${args && ` ${args}`}`;

/**
 * Where a person here finds a page of the documentation, which the package has, too.
 * @param {string} page
 */
export const pageAt = (page) => (isClone ? page : path.relative(project, inRoot(page)));

// An installed package has the tools of whoever installed it.
const nodeFolder = isClone ? inRoot("node_modules", "node", "bin") : path.dirname(process.execPath);

/** A failure whose message tells the person everything: no stack trace is printed. */
export class Failure extends Error {}

/** @param {string} text */
export const say = (text) => console.log(text);

/**
 * The code that Node.js gives a system error, such as "ENOENT"; without a code, the error's text.
 * @param {unknown} error
 * @returns {string}
 */
export const errorCode = (error) =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : String(error);

/**
 * Whether the module at `url` is the script that was started, not an imported module.
 * @param {string} url
 */
export const isMain = (url) =>
  process.argv[1] !== undefined && url === pathToFileURL(path.resolve(process.argv[1])).href;

/**
 * Runs a script's main function; on failure prints one line and exits with code 1.
 * @param {(args: string[]) => unknown} main
 */
export async function runMain(main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Failure ? `\nerror: ${error.message}` : error);
    process.exit(1);
  }
}

/** @param {number} since */
export function seconds(since) {
  const spent = (performance.now() - since) / 1000;
  return spent < 60 ? `${spent.toFixed(1)} s` : `${Math.floor(spent / 60)} min ${Math.round(spent % 60)} s`;
}

/**
 * Prints the start of a step, runs it, and prints how long it took.
 * @template T
 * @param {string} name
 * @param {() => T} action
 * @returns {Promise<Awaited<T>>}
 */
export async function step(name, action) {
  const start = performance.now();
  say(`\n==> ${name}`);
  const result = await action();
  say(`    ${name}: done in ${seconds(start)}`);
  return result;
}

/**
 * The environment of every tool: the project's own tools come first on PATH, and wrangler sends no statistics.
 * @param {NodeJS.ProcessEnv} [extra]
 * @returns {NodeJS.ProcessEnv}
 */
export const toolEnv = (extra = {}) => ({
  ...process.env,
  PATH: [nodeFolder, inRoot("node_modules", ".bin"), process.env.PATH].join(path.delimiter),
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  // wrangler would log every request to disk.
  X_LOCAL_OBSERVABILITY: "false",
  ...extra,
});

/** The options of every compilation for WebAssembly, always the same, so that none invalidates another's output. */
export const wasmEnv = { WASM_BINDGEN_USE_JS_SYS: "1" };
export const wasmTarget = "wasm32-unknown-unknown";

/**
 * The running tools.
 * @type {Set<import("node:child_process").ChildProcess>}
 */
const running = new Set();

/** @param {import("node:child_process").ChildProcess} child */
function note(child) {
  running.add(child);
  child.on("close", () => running.delete(child));
}

/**
 * Ends the running tools.
 * @param {NodeJS.Signals} signal
 */
export const endTools = (signal) => running.forEach((child) => child.kill(signal));

/**
 * How a tool is run. `capture`: its output is collected, too. `quiet`: its output is shown only if the tool fails, so
 * that concurrent tools do not mix their lines.
 * @typedef {object} RunOptions
 * @property {NodeJS.ProcessEnv} [env]
 * @property {string} [cwd]
 * @property {boolean} [capture]
 * @property {boolean} [quiet]
 * @property {"ignore" | "inherit"} [stdin]
 * @property {string} [hint] what the person can do if the tool fails
 */

/**
 * Runs a tool and shows its output; fails with one line if the tool fails. Returns the output if `capture` is set.
 * @param {string} command
 * @param {string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<string>}
 */
export function run(command, args, { env = {}, cwd = project, capture, quiet, stdin = "ignore", hint } = {}) {
  return new Promise((resolve, reject) => {
    const out = capture || quiet ? "pipe" : "inherit";
    const child = spawn(command, args, { cwd, env: toolEnv(env), stdio: [stdin, out, out] });
    note(child);
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (chunk) => {
        output += chunk;
        if (!quiet) process.stdout.write(chunk);
      });
    }
    const name = path.basename(command);
    const advice = hint ? ` ${hint}` : "";
    child.on("error", (error) => reject(new Failure(`${name} could not be started (${errorCode(error)}).${advice}`)));
    child.on("close", (code, signal) => {
      if (code === 0) return resolve(output);
      if (quiet) process.stdout.write(output);
      const how = signal ? `was ended by ${signal}` : `failed with exit code ${code}`;
      reject(new Failure(`\`${[name, ...args].join(" ").slice(0, 120)}\` ${how}.${advice}`));
    });
  });
}

/**
 * Runs a tool to its end; returns its exit code, undefined if it did not start, and its output.
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<{ code: number | null, text: string }>}
 */
export function collect(command, args, env) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, env: toolEnv(env), stdio: ["ignore", "pipe", "pipe"] });
    note(child);
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (chunk) => (text += chunk));
    child.on("error", (error) =>
      resolve({ code: null, text: `${command} could not be started (${errorCode(error)}).` }),
    );
    child.on("close", (code) => resolve({ code, text }));
  });
}

/**
 * The standard output of a tool; undefined if the tool is missing or fails.
 * @param {string} command
 * @param {string[]} args
 * @param {import("node:child_process").SpawnSyncOptions} [options]
 * @returns {string | undefined}
 */
export function output(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, ...options, encoding: "utf8" });
  return result.status === 0 ? result.stdout.trim() : undefined;
}

/**
 * The folder of the npm package called `name`, as the file `from` finds it.
 * @param {string} name
 */
export const packageFolder = (name, from = fileURLToPath(import.meta.url)) =>
  isClone ? inRoot("node_modules", name) : path.dirname(createRequire(from).resolve(`${name}/package.json`));

/** @param {string} name */
export const bin = (name) => inRoot("node_modules", ".bin", name);

/** The Node.js that runs tools: in a clone that in node_modules, the same version on every machine. */
export const node = () => (isClone ? path.join(nodeFolder, "node") : process.execPath);

/**
 * The command and arguments that run wrangler.
 * @param {...string} args
 * @returns {[command: string, args: string[]]}
 */
export const wrangler = (...args) => [node(), [path.join(packageFolder("wrangler"), "bin", "wrangler.js"), ...args]];

/**
 * The version of a crate in Cargo.lock.
 * @param {string} crate
 */
export function lockedVersion(crate) {
  const lock = readFileSync(inRoot("Cargo.lock"), "utf8");
  const found = lock.match(new RegExp(`name = "${crate}"\\nversion = "([^"]+)"`));
  if (!found) throw new Failure(`Cargo.lock does not name the crate ${crate}.`);
  return found[1];
}

/**
 * All existing files below the given files and folders, sorted.
 * @param {...string} places
 */
export function filesUnder(...places) {
  /** @type {string[]} */
  const found = [];
  /** @param {string} place */
  const visit = (place) => {
    if (!existsSync(place)) return;
    if (statSync(place).isFile()) return void found.push(place);
    for (const name of readdirSync(place)) {
      if (name !== "node_modules") visit(path.join(place, name));
    }
  };
  for (const place of places) visit(inRoot(place));
  return found.sort();
}

/**
 * One hash over the names and contents of files and over further values.
 * @param {string[]} files
 * @param {...unknown} values
 */
export function hashOf(files, ...values) {
  const hash = createHash("sha256");
  for (const file of files) hash.update(path.relative(root, file)).update("\0").update(readFileSync(file)).update("\0");
  for (const value of values) hash.update(String(value)).update("\0");
  return hash.digest("hex");
}

/**
 * Whether some program on this machine accepts connections on the port.
 * @param {number} port
 * @returns {Promise<boolean>}
 */
export const portInUse = (port) =>
  new Promise((resolve) => {
    const socket = net.connect({ port, host: "127.0.0.1" });
    socket.once("connect", () => resolve(Boolean(socket.destroy())));
    socket.once("error", () => resolve(false));
  });

/** The runtime, of the version that wrangler uses. */
export const workerd = () =>
  path.join(packageFolder("workerd", path.join(packageFolder("wrangler"), "package.json")), "bin", "workerd");

/** The runtime's compatibility date and flags, as deployed. */
export function compatibility() {
  const text = readFileSync(inRoot("wrangler.toml"), "utf8");
  const date = text.match(/^compatibility_date = "(.+)"$/m)?.[1];
  const flags = text.match(/^compatibility_flags = (\[.+\])$/m)?.[1];
  if (!date || !flags) throw new Failure("wrangler.toml has no compatibility date or flags.");
  return { date, /** @type {string[]} */ flags: JSON.parse(flags) };
}
