// Installs the project's missing tools, and does nothing if none is missing, so that every other script can begin with
// it.
//
//   node scripts/setup.mjs [--tests]
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { canInstall, install } from "./apt.mjs";
import { chromiumPackages, findChromium } from "./chromium.mjs";
import { Failure, hashOf, inRoot, isMain, lockedVersion, node, output, run, runMain, say } from "./lib.mjs";
import { withLock } from "./lock.mjs";
import { optionsOf } from "./options.mjs";
import { progress } from "./progress.mjs";
import { findPythonBase, hasPython, makePython, pythonPackages } from "./python.mjs";
import { hasDevVars, makeDevVars } from "./vars.mjs";

/** @import { Step } from "./progress.mjs" */

const OPTIONS = { tests: { help: "also sets up what the tests need" } };
const HELP = "npm run setup -- [options]: installs the project's missing tools.";
const NODE = 20;
const RETRY = "Check the network and run it again.";

/**
 * Sets up Rust's components, the Node modules, wasm-bindgen and .dev.vars; for the tests also Chromium and Python. One
 * set-up runs at a time on a machine: another process waits, and then finds it done.
 * @param {{ tests?: boolean }} [options]
 */
export async function setup({ tests = false } = {}) {
  checkTools();
  if (!isSetUp(tests)) await withLock(() => provide(tests));
}

/** @param {boolean} tests */
const isSetUp = (tests) =>
  !missingRust() &&
  hasNodeModules() &&
  hasWasmBindgen() &&
  hasDevVars() &&
  (!tests || (!missingPackages().length && findChromium() !== undefined && hasPython()));

/**
 * Installs what is missing. Steps that do not slow each other run concurrently: cargo compiles while the others wait
 * for the network. No package manager runs twice at once.
 * @param {boolean} tests
 */
async function provide(tests) {
  const isMissing = [
    missingRust() !== undefined,
    !hasWasmBindgen(),
    !hasNodeModules(),
    tests && missingPackages().length > 0,
    tests && !hasPython(),
  ];
  const within = progress(isMissing.filter(Boolean).length);
  await rustParts(within);
  await together([
    () => wasmBindgen(within),
    async () => {
      if (!hasNodeModules()) await within("Node modules", nodeModules);
      await makeDevVars();
    },
    async () => {
      if (!tests) return;
      await debianPackages(within);
      if (!hasPython()) await makePython(within);
    },
  ]);
}

/**
 * Runs all actions to their ends, so that none continues unattended, and then fails if one has failed.
 * @param {(() => Promise<void>)[]} actions
 */
async function together(actions) {
  const results = await Promise.allSettled(actions.map((action) => action()));
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

/** The tools that the person must install: each missing tool gives one line that says how. */
export function checkTools() {
  if (Number(process.versions.node.split(".")[0]) < NODE) {
    throw new Failure(
      `Node.js ${process.versions.node} is too old: install version ${NODE} or newer, from https://nodejs.org.`,
    );
  }
  if (!output("rustup", ["--version"])) {
    throw new Failure(
      "rustup was not found or does not run: install Rust with it, from https://rustup.rs, and open a new shell.",
    );
  }
}

/**
 * The parts named in rust-toolchain.toml that are missing: the toolchain itself, or targets and components.
 * @returns {{ toolchain: string, absent: boolean, targets: string[], components: string[] } | undefined}
 */
function missingRust() {
  const text = readFileSync(inRoot("rust-toolchain.toml"), "utf8");
  /** @param {string} field */
  const list = (field) => /** @type {string[]} */ (JSON.parse(text.match(`${field} = (\\[.*\\])`)?.[1] ?? "[]"));
  const toolchain = process.env.RUSTUP_TOOLCHAIN || text.match(/^channel = "(.+)"$/m)?.[1];
  if (!toolchain) throw new Failure("rust-toolchain.toml names no channel.");
  const wanted = { toolchain, targets: list("targets"), components: list("components") };
  // rustup would install the toolchain here, unasked and without the lock.
  const env = { ...process.env, RUSTUP_AUTO_INSTALL: "0" };
  if (output("rustc", ["--version"], { env }) === undefined) return { absent: true, ...wanted };
  /** @param {string} kind */
  const installed = (kind) => output("rustup", [kind, "list", "--installed"], { env })?.split("\n") ?? [];
  const [has, parts] = [installed("target"), installed("component")];
  const targets = wanted.targets.filter((name) => !has.includes(name));
  const components = wanted.components.filter((name) => !parts.some((it) => it.startsWith(name)));
  return targets.length || components.length ? { absent: false, toolchain, targets, components } : undefined;
}

/**
 * The compiler, its parts for WebAssembly, the standard library's source, which the build compiles, and the linters.
 * @param {Step} within
 */
async function rustParts(within) {
  const missing = missingRust();
  if (!missing) return;
  const { toolchain, absent, targets, components } = missing;
  /** @type {[kind: string, names: string[]][]} */
  const parts = [
    ["target", targets],
    ["component", components],
  ];
  const install = async () => {
    if (absent) {
      const options = ["--profile", "minimal", "--no-self-update"];
      await run("rustup", ["toolchain", "install", toolchain, ...options], { hint: RETRY });
    }
    for (const [kind, names] of parts.filter(([, names]) => names.length))
      await run("rustup", [kind, "add", "--toolchain", toolchain, ...names], { hint: RETRY });
  };
  const names = absent ? "" : `, its ${[...targets, ...components].join(", ")}`;
  await within(`Rust ${toolchain}${names}`, install, { isSilent: false });
}

const modulesStamp = inRoot("node_modules", ".porteiro");
const wantedModules = () => hashOf([inRoot("package-lock.json")], process.platform, process.arch);
const hasLockedModules = () => existsSync(modulesStamp) && readFileSync(modulesStamp, "utf8") === wantedModules();
/** Whether the Node modules of package-lock.json are there. */
export const hasNodeModules = () => hasLockedModules() && existsSync(node());

/** The Node modules of package-lock.json, among them the Node.js that wrangler runs on. */
async function nodeModules() {
  if (!hasLockedModules())
    await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], { quiet: true, hint: RETRY });
  if (!existsSync(node())) {
    // npm was told not to run the packages' install scripts; this script installs the binary.
    const args = ["installArchSpecificPackage"];
    await run("node", args, { cwd: inRoot("node_modules", "node"), quiet: true, hint: RETRY });
  }
  const version = output(node(), ["--version"]);
  if (!version || Number(version.slice(1).split(".")[0]) < 22) {
    throw new Failure(
      "wrangler needs Node.js 22 or newer, and the one that comes with the Node modules does not run here: remove node_modules and try again.",
    );
  }
  writeFileSync(modulesStamp, wantedModules());
}

/** The folder and the version that `wasmBindgenPath` looks for. */
const tools = inRoot(".tools");
const toolNames = ["wasm-bindgen", "wasm-bindgen-test-runner"];

/**
 * The path of a tool of wasm-bindgen of exactly the crate's version in Cargo.lock: in `.tools`, beside the tool that
 * WASM_BINDGEN_BIN names, or on PATH.
 */
export function wasmBindgenPath(name = "wasm-bindgen") {
  const named = process.env.WASM_BINDGEN_BIN;
  const places = [path.join(tools, "bin", name), ...(named ? [path.join(path.dirname(named), name)] : []), name];
  const version = lockedVersion("wasm-bindgen");
  const found = places.find((place) => output(place, ["--version"])?.split(" ")[1] === version);
  if (found) return found;
  throw new Failure(`${name} ${version} was not found: run \`npm run setup\`.`);
}

function hasWasmBindgen() {
  try {
    return toolNames.every(wasmBindgenPath);
  } catch {
    return false;
  }
}

/**
 * The options that compile wasm-bindgen in a third of the time. Each build then takes a second longer, which costs more
 * only after a hundred builds.
 */
const QUICK = {
  CARGO_PROFILE_RELEASE_OPT_LEVEL: "0",
  CARGO_PROFILE_RELEASE_CODEGEN_UNITS: "256",
  CARGO_PROFILE_RELEASE_LTO: "off",
  CARGO_PROFILE_RELEASE_DEBUG: "0",
};

/** @param {Step} within */
async function wasmBindgen(within) {
  if (hasWasmBindgen()) return;
  const version = lockedVersion("wasm-bindgen");
  await within(`wasm-bindgen ${version} (built once, some minutes)`, async () => {
    mkdirSync(tools, { recursive: true });
    // Without its own features: it would compile TLS, for the drivers of browsers.
    const args = ["wasm-bindgen-cli", "--version", version, "--root", tools, "--force", "--no-default-features"];
    await run("cargo", ["install", ...args, "--locked"], { env: QUICK, quiet: true, hint: RETRY });
  });
}

/** The missing Debian packages that the tests need; none if this process cannot install packages. */
function missingPackages() {
  if (!canInstall()) return [];
  return [...(findChromium() ? [] : chromiumPackages), ...(findPythonBase() ? [] : pythonPackages)];
}

/**
 * Chromium and Python, installed by the system's package manager where it can.
 * @param {Step} within
 */
async function debianPackages(within) {
  const missing = missingPackages();
  if (missing.length) await within(`Debian packages ${missing.join(", ")}`, () => install(missing));
  if (!findChromium()) {
    throw new Failure("No Chromium was found: install Chromium or Chrome, or name its binary in CHROMIUM_BIN.");
  }
}

if (isMain(import.meta.url)) {
  await runMain(async (args) => {
    const options = optionsOf(args, OPTIONS, HELP);
    if (!options) return;
    await setup({ tests: options.switches.has("tests") });
    say("\nSet up.");
  });
}
