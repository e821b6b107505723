// Builds the Worker: cargo, wasm-bindgen, wasm-opt, esbuild, then build/index.js and build/index_bg.wasm.
//
//   node scripts/build.mjs [--panic=unwind|abort] [--profiling] [--force]
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, bin, filesUnder, hashOf, inRoot, isMain, output, run, runMain, say, step, wasmEnv, wasmTarget } from "./lib.mjs";
import { setup, wasmBindgenPath } from "./setup.mjs";
import { printSize } from "./size.mjs";

/** With `unwind` a panic fails its own request only; with `abort` all that are in flight. */
const PANIC = "unwind";
/** How wasm-opt optimises. The compiler has done most: more passes took longer and gave more bytes, gzipped. */
const OPTIMISE = "-O1";
/** What wasm-opt may use: no newer encoding than the runtime knows. */
const FEATURES = [
  "mutable-globals", "sign-ext", "nontrapping-float-to-int", "bulk-memory", "multivalue", "reference-types", "exception-handling",
];

const outputs = ["index.js", "index_bg.wasm"];
const build = inRoot("build");
/** Outside build/, where a running wrangler would take what it finds for a module, and on the same disk. */
const staging = inRoot("target", `worker.${process.pid}`);
const stamp = path.join(build, ".stamp");

/** Builds when the inputs have changed since the last time. */
export async function buildWorker({ panic = PANIC, profiling = false, force = false } = {}) {
  if (!["unwind", "abort"].includes(panic)) throw new Failure(`--panic is unwind or abort, not ${panic}.`);
  const inputs = hashOf(filesUnder("src", "Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "package-lock.json", "scripts/build.mjs"),
    panic, profiling, output("rustc", ["--version"]));
  const done = existsSync(stamp) && readFileSync(stamp, "utf8") === inputs && outputs.every((name) => existsSync(path.join(build, name)));
  if (done && !force) return say("\n==> build: up to date");

  const compiled = await step(`cargo (panic=${panic})`, () => compile(panic));
  try {
    await step("wasm-bindgen", () => bind(compiled));
    await step("wasm-opt", () => optimise(profiling));
    await step("esbuild", bundle);
    swapIn();
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  writeFileSync(stamp, inputs);
  say("\nbuild/");
  printSize();
}

/** Compiles the crate and gives the address of the module. */
async function compile(panic) {
  const args = ["build", "--release", "--lib", "--locked", "--target", wasmTarget];
  const env = { ...wasmEnv };
  let folder = process.env.CARGO_TARGET_DIR ?? inRoot("target");
  if (panic === "unwind") {
    // The standard library that rustup brings cannot unwind, so it is built too. This
    // is unstable, and the one unstable thing here: the compiler stays the stable one.
    args.push("-Zbuild-std=std,panic_unwind");
    folder = path.join(folder, "unwind");
    Object.assign(env, { RUSTC_BOOTSTRAP: "1", RUSTFLAGS: `${process.env.RUSTFLAGS ?? ""} -Cpanic=unwind`.trim() });
  }
  await run("cargo", args, { env: { ...env, CARGO_TARGET_DIR: folder } });
  return path.join(folder, wasmTarget, "release", "porteiro.wasm");
}

/** Makes the JavaScript side of the module, with the functions that recover from an abort. */
async function bind(compiled) {
  await run(wasmBindgenPath(), [
    compiled, "--out-dir", staging, "--out-name", "index", "--target", "module", "--no-typescript",
    "--experimental-reset-state-function", "--force-enable-abort-handler",
  ]);
  // The runtime gives a module for a plain import of a .wasm file.
  const glue = path.join(staging, "index.js");
  const text = readFileSync(glue, "utf8");
  if (!text.includes("import source ")) throw new Failure("wasm-bindgen's output has changed: it has no `import source`.");
  writeFileSync(glue, text.replace("import source ", "import "));
}

async function optimise(profiling) {
  const wasm = path.join(staging, "index_bg.wasm");
  const features = FEATURES.map((name) => `--enable-${name}`);
  const names = profiling ? ["--debuginfo"] : ["--strip-debug", "--strip-producers"];
  await run(bin("wasm-opt"), [wasm, "-o", `${wasm}.opt`, OPTIMISE, ...features, ...names]);
  renameSync(`${wasm}.opt`, wasm);
}

/** Joins the entry and wasm-bindgen's JavaScript into one module. */
async function bundle() {
  await run(bin("esbuild"), [
    inRoot("src", "platform", "shim.js"), `--outfile=${path.join(staging, "out.js")}`,
    `--alias:broker=${path.join(staging, "index.js")}`, "--external:./index_bg.wasm", "--external:cloudflare:*",
    "--bundle", "--format=esm", "--target=es2022", "--minify", "--log-level=warning",
  ], { cwd: staging });
  renameSync(path.join(staging, "out.js"), path.join(staging, "index.js"));
}

/** Puts the new files in the place of the old ones and removes whatever else is there. */
function swapIn() {
  mkdirSync(build, { recursive: true });
  rmSync(stamp, { force: true });
  // The module first: a running wrangler looks at index.js for changes.
  for (const name of [...outputs].reverse()) renameSync(path.join(staging, name), path.join(build, name));
  for (const name of readdirSync(build)) {
    if (!outputs.includes(name)) rmSync(path.join(build, name), { recursive: true, force: true });
  }
}

if (isMain(import.meta.url)) {
  await runMain(async (args) => {
    await setup();
    await buildWorker({
      panic: args.find((arg) => arg.startsWith("--panic="))?.slice("--panic=".length),
      profiling: args.includes("--profiling"),
      force: args.includes("--force"),
    });
  });
}
