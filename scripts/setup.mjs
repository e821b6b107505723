// Sets up what the project needs and is missing: Rust's parts, wasm-bindgen, Node modules, .dev.vars.
// Every step is skipped when it is done, so that this can begin every other script.
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import {
  Failure,
  hashOf,
  inRoot,
  isMain,
  lockedVersion,
  node,
  output,
  readVars,
  run,
  runMain,
  say,
  step,
  wasmTarget,
} from "./lib.mjs";

const RUST = "1.91";
const NODE = 20;
const RETRY = "Check the network and run it again.";

/** Sets up everything, in the order in which the steps need each other. */
export async function setup() {
  checkTools();
  await rustParts();
  await nodeModules();
  await wasmBindgen();
  devVars();
}

/** The tools that a person installs: each missing one is one line that says how. */
export function checkTools() {
  if (Number(process.versions.node.split(".")[0]) < NODE) {
    throw new Failure(
      `Node.js ${process.versions.node} is too old: install version ${NODE} or newer, from https://nodejs.org.`,
    );
  }
  const rustup = "install Rust with rustup, from https://rustup.rs, and open a new shell.";
  for (const tool of ["rustup", "cargo", "rustc"]) {
    if (!output(tool, ["--version"])) throw new Failure(`${tool} was not found or does not run: ${rustup}`);
  }
  const rust = output("rustc", ["--version"]).match(/\d+\.\d+/)[0];
  if (rust.localeCompare(RUST, undefined, { numeric: true }) < 0) {
    throw new Failure(`Rust ${rust} is too old: version ${RUST} or newer is needed. Run \`rustup update stable\`.`);
  }
}

/** The compiler's parts for WebAssembly, the standard library's source to build it with, and the linters. */
async function rustParts() {
  const targets = output("rustup", ["target", "list", "--installed"])?.split("\n") ?? [];
  const components = output("rustup", ["component", "list", "--installed"])?.split("\n") ?? [];
  const missing = ["rust-src", "clippy", "rustfmt"].filter((name) => !components.some((it) => it.startsWith(name)));
  if (!targets.includes(wasmTarget)) {
    await step(`Rust target ${wasmTarget}`, () => run("rustup", ["target", "add", wasmTarget], { hint: RETRY }));
  }
  if (missing.length) {
    await step(`Rust components ${missing.join(", ")}`, () =>
      run("rustup", ["component", "add", ...missing], { hint: RETRY }),
    );
  }
}

/** The Node modules of package-lock.json, and among them a Node.js that wrangler runs on. */
async function nodeModules() {
  const stamp = inRoot("node_modules", ".porteiro");
  const wanted = hashOf([inRoot("package-lock.json")], process.platform, process.arch);
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
    await step("Node modules", () =>
      run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { hint: RETRY }),
    );
    writeFileSync(stamp, wanted);
  }
  if (!existsSync(node())) {
    // npm was told not to run the packages' install scripts; this one brings the binary.
    await step("Node.js for wrangler", () =>
      run("node", ["installArchSpecificPackage"], { cwd: inRoot("node_modules", "node"), hint: RETRY }),
    );
  }
  const version = output(node(), ["--version"]);
  if (!version || Number(version.slice(1).split(".")[0]) < 22) {
    throw new Failure(
      "wrangler needs Node.js 22 or newer, and the one that comes with the Node modules does not run here: remove node_modules and try again.",
    );
  }
}

/** The folder and version that `wasmBindgenPath` looks for. */
const tools = inRoot(".tools");
const toolNames = ["wasm-bindgen", "wasm-bindgen-test-runner"];

/**
 * Where a tool of wasm-bindgen is, at exactly the version of the crate in Cargo.lock:
 * in `.tools`, beside the one that WASM_BINDGEN_BIN names, or on PATH.
 */
export function wasmBindgenPath(name = "wasm-bindgen") {
  const named = process.env.WASM_BINDGEN_BIN;
  const places = [path.join(tools, "bin", name), ...(named ? [path.join(path.dirname(named), name)] : []), name];
  const version = lockedVersion("wasm-bindgen");
  return places.find((place) => output(place, ["--version"])?.split(" ")[1] === version);
}

async function wasmBindgen() {
  if (toolNames.every(wasmBindgenPath)) return;
  const version = lockedVersion("wasm-bindgen");
  const install = (...more) =>
    run("cargo", ["install", "wasm-bindgen-cli", "--version", version, "--root", tools, "--force", ...more], {
      hint: RETRY,
    });
  await step(`wasm-bindgen ${version} (built once, some minutes)`, async () => {
    mkdirSync(tools, { recursive: true });
    try {
      await install("--locked");
    } catch {
      say("    with the locked dependencies it did not build; trying with newer ones");
      await install();
    }
  });
}

/** The secrets for development, made at random: the broker's keys and the sandbox's accounts. */
function devVars() {
  const random = (bytes = 24) => randomBytes(bytes).toString("base64url");
  const made = {
    SEALING_KEYS: () => `dev:${randomBytes(32).toString("base64")}`,
    ADMIN_KEY: () => random(),
    GURU_TOKEN: () => random(),
    GURU_ACCOUNT_TOKEN: () => random(30),
    GURU_WEBHOOK_SECRET: () => `whsec_${randomBytes(32).toString("base64")}`,
    HUBSOFT_CLIENT_ID: () => `client-${random(6)}`,
    HUBSOFT_CLIENT_SECRET: () => random(),
    HUBSOFT_USERNAME: () => `broker-${random(6)}@example.com`.toLowerCase(),
    HUBSOFT_PASSWORD: () => random(),
    HUBSOFT_PEOPLE_CLIENT_ID: () => `client-${random(6)}`,
    HUBSOFT_PEOPLE_CLIENT_SECRET: () => random(),
    V8_CLIENT_ID: () => `client-${random(6)}`,
    V8_USERNAME: () => `broker-${random(6)}@example.com`.toLowerCase(),
    V8_PASSWORD: () => random(),
    V8_AUDIENCE: () => `https://audience-${random(6)}.example.com`.toLowerCase(),
  };
  const file = inRoot(".dev.vars");
  const there = readVars(file);
  const lines = Object.keys(made)
    .filter((name) => !(name in there))
    .map((name) => `${name}="${made[name]()}"\n`);
  if (!lines.length) return;
  if (existsSync(file)) {
    const text = readFileSync(file, "utf8");
    appendFileSync(file, (text === "" || text.endsWith("\n") ? "" : "\n") + lines.join(""));
  } else {
    writeFileSync(
      file,
      `# Secrets for development on this machine only, made at random. Never deployed.\n${lines.join("")}`,
      { mode: 0o600 },
    );
  }
  say(`\n==> .dev.vars: made ${lines.length} secrets for development`);
}

if (isMain(import.meta.url)) {
  await runMain(async () => {
    await setup();
    say("\nSet up.");
  });
}
