// Builds the Worker: cargo, wasm-bindgen, wasm-metadce, wasm-opt, esbuild, then build/index.js and build/index_bg.wasm.
//
//   node scripts/build.mjs [--profiling] [--force]
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import * as english from "../src/edge/admin/page/english.js";
import * as portuguese from "../src/edge/admin/page/portuguese.js";
import {
  Failure,
  bin,
  filesUnder,
  hashOf,
  inRoot,
  node,
  isMain,
  output,
  run,
  runMain,
  say,
  wasmEnv,
  wasmTarget,
} from "./lib.mjs";
import { withOrder } from "./order.mjs";
import { progress } from "./progress.mjs";
import { setup, wasmBindgenPath } from "./setup.mjs";
import { printSize } from "./size.mjs";

/**
 * The largest function marked `#[inline]` that LLVM inlines. With LLVM's own limit, 325, a good part of the module is
 * copies; at 75 and below, calls are slower.
 */
const INLINE = "-Cllvm-args=-inlinehint-threshold=100";
/**
 * The compiler's options for size, all unstable. `Debug` writes nothing, since no message uses it. A panic has neither
 * text nor source location and is not unwound: it ends the instance of the module, which begins anew. Unwinding would
 * take 45 KiB, a tenth of all, and each cold isolate would check that code.
 */
export const TERSE = ["-Zfmt-debug=none", "-Zlocation-detail=none", "-Zunstable-options", "-Cpanic=immediate-abort"];
/** The optimisations of wasm-opt. The compiler has done most: further passes gave a larger gzipped module. */
const OPTIMISE = "-O1";
/** The WebAssembly features that wasm-opt may use: no encoding newer than the runtime supports. */
export const features = [
  "mutable-globals",
  "sign-ext",
  "nontrapping-float-to-int",
  "bulk-memory",
  "multivalue",
  "reference-types",
  "exception-handling",
].map((name) => `--enable-${name}`);

/** esbuild's options for what browsers run. */
export const MINIFIED = ["--target=es2022", "--charset=utf8", "--minify", "--log-level=warning"];

/** The folder of the operators' page. */
const ADMIN_PAGE = "src/edge/admin/page";

/** The classes that the entry uses. */
const CLASSES = ["BrokerObject"];

const outputs = ["index.js", "index_bg.wasm"];
const build = inRoot("build");
/** The folder is outside build/, where a running wrangler would take its files for modules, and on the same disk. */
const staging = inRoot("target", `worker.${process.pid}`);
const STAMP = ".stamp";

/**
 * The stamp of a build: the hash of its inputs, and a hash of its output, so that only the output of a build is
 * deployed. Undefined if a file is missing.
 * @param {string} folder
 * @param {string} inputs
 */
function stampOf(folder, inputs) {
  const places = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: "utf8" }).sort() : [];
  const others = places.filter((place) => place !== STAMP);
  if (!outputs.every((name) => others.includes(name))) return undefined;
  const files = others
    .map((place) => path.join(folder, place))
    .filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
  const made = hashOf(files, ...others);
  return `inputs ${inputs}\nmade ${made}\n`;
}

/**
 * Whether `folder` holds the unchanged output of a build from these inputs, and nothing else.
 * @param {string} folder
 * @param {string} inputs
 */
export function isBuilt(folder, inputs) {
  const stamp = path.join(folder, STAMP);
  return existsSync(stamp) && readFileSync(stamp, "utf8") === stampOf(folder, inputs);
}

/**
 * Writes the stamp of a build from these inputs into `folder`.
 * @param {string} folder
 * @param {string} inputs
 */
export function markBuilt(folder, inputs) {
  const stamp = stampOf(folder, inputs);
  if (!stamp) throw new Failure(`The build has not made ${outputs.join(" and ")}.`);
  writeFileSync(path.join(folder, STAMP), stamp);
}

/**
 * The hash of all that a build is made from.
 * @param {boolean} profiling
 */
const inputsOf = (profiling) =>
  hashOf(
    filesUnder(
      "src",
      "client",
      "providers",
      "build.rs",
      "Cargo.toml",
      "Cargo.lock",
      "rust-toolchain.toml",
      "package-lock.json",
      "scripts/build.mjs",
      "scripts/order.mjs",
    ),
    profiling,
    output("rustc", ["--version"]),
  );

/** Whether `build/` is what a build would make now. */
export const isUpToDate = () => isBuilt(build, inputsOf(false));

/**
 * Builds if the inputs or the output have changed since the last build.
 * @param {{ profiling?: boolean, force?: boolean }} [options]
 */
export async function buildWorker({ profiling = false, force = false } = {}) {
  const inputs = inputsOf(profiling);
  if (!force && isBuilt(build, inputs)) return say("\n==> build: up to date");

  const within = progress(5);
  const compiled = await within("cargo (a minute or two at first)", compile, { isSilent: false });
  try {
    await within("wasm-bindgen", () => bind(compiled));
    await within("wasm-metadce", prune);
    await within("wasm-opt", () => optimise(profiling));
    await within("esbuild", bundle);
    swapIn();
  } finally {
    rmSync(staging, { recursive: true, force: true });
  }
  markBuilt(build, inputs);
  say("\nbuild/");
  printSize();
}

/** Compiles the crate and returns the path of the module. */
async function compile() {
  // Only one kind of library: if cargo also makes an rlib, it links the libraries without optimising across them.
  const args = ["rustc", "--release", "--lib", "--crate-type=cdylib", "--locked", "--target", wasmTarget];
  // The standard library that rustup installs unwinds or tells of its panics, so the build compiles it, too. That is
  // unstable; the compiler itself stays the stable one. Sorting and decimals are compiled small and slow: a call uses
  // little of either.
  args.push("-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size", "--", INLINE);
  const page = adminPage();
  const client = output(bin("esbuild"), [inRoot("client", "porteiro.js"), ...MINIFIED, "--format=esm"]);
  if (!client) throw new Failure("esbuild did not make the client.");
  // What other commands compile has other options.
  const folder = path.join(process.env.CARGO_TARGET_DIR ?? inRoot("target"), "worker");
  await run("cargo", args, {
    env: {
      ...wasmEnv,
      PORTEIRO_ADMIN_SCRIPT: page.script,
      PORTEIRO_ADMIN_STYLE: page.style,
      PORTEIRO_ADMIN_ENGLISH: page.english,
      PORTEIRO_ADMIN_PORTUGUESE: page.portuguese,
      PORTEIRO_CLIENT: client,
      RUSTC_BOOTSTRAP: "1",
      RUSTFLAGS: [process.env.RUSTFLAGS, ...TERSE].filter(Boolean).join(" "),
      CARGO_TARGET_DIR: folder,
    },
  });
  return path.join(folder, wasmTarget, "release", "porteiro.wasm");
}

/** The files of the operators' page: its modules joined into one, its style, and its document in each language. */
export function adminPage() {
  /** @type {(name: string, ...more: string[]) => string} */
  const made = (name, ...more) => {
    const file = inRoot(ADMIN_PAGE, name);
    const text = output(bin("esbuild"), [file, ...MINIFIED, ...more], { stdio: ["ignore", "pipe", "inherit"] });
    if (!text) throw new Failure(`esbuild did not make the operators' page of ${name}.`);
    return text;
  };
  return {
    script: made("page.js", "--bundle", "--format=esm"),
    style: made("page.css"),
    english: adminDocument(english),
    portuguese: adminDocument(portuguese),
  };
}

/**
 * The document of the operators' page with the words of a language in the place of their names.
 * @param {typeof english} language
 */
function adminDocument({ PAGE, WORDS }) {
  /** @type {{ [name: string]: unknown }} */
  const words = { ...WORDS, ...PAGE };
  return readFileSync(inRoot(ADMIN_PAGE, "index.html"), "utf8")
    .replace(/>\n\s*</g, "><")
    .replace(/\{(\w+)\}/g, (_, name) => {
      const text = words[name];
      if (typeof text !== "string") throw new Failure(`The operators' page has no words for {${name}}.`);
      return text;
    });
}

/**
 * Generates the JavaScript side of the module, with the functions that recover from an abort.
 * @param {string} compiled
 */
async function bind(compiled) {
  await run(wasmBindgenPath(), [
    compiled,
    "--out-dir",
    staging,
    "--out-name",
    "index",
    "--target",
    "module",
    "--no-typescript",
    "--experimental-reset-state-function",
    "--force-enable-abort-handler",
  ]);
  const glue = path.join(staging, "index.js");
  let text = readFileSync(glue, "utf8");
  for (const [generated, wanted] of EDITS) {
    if (!text.includes(generated)) throw new Failure(`wasm-bindgen's output has changed: it has no \`${generated}\`.`);
    text = text.replace(generated, wanted);
  }
  writeFileSync(glue, text);
}

/** What the build changes in the JavaScript that wasm-bindgen generates. @type {[string, string][]} */
const EDITS = [
  // The runtime answers a plain import of a .wasm file with a module.
  ["import source ", "import "],
  // The module gets a text character by character, which takes a cold isolate 0.4 ms for a thousand of them, and a warm
  // one three times as long as the runtime's own encoder. A text that is not ASCII does not fit: the code behind this
  // encodes it anew.
  [
    `    for (; offset < len; offset++) {
        const code = arg.charCodeAt(offset);
        if (code > 0x7F) break;
        mem[ptr + offset] = code;
    }
`,
    `    if (cachedTextEncoder.encodeInto(arg, mem.subarray(ptr, ptr + len)).read === len) offset = len;
`,
  ],
];

/**
 * Removes the classes that libraries export to JavaScript and that the Worker does not use, on both sides, with their
 * dependencies: the linker keeps every export.
 */
async function prune() {
  const glue = path.join(staging, "index.js");
  const wasm = path.join(staging, "index_bg.wasm");
  const all = readFileSync(glue, "utf8");
  const classes = [...all.matchAll(/^const (\w+)Finalization = /gm)].map(([, name]) => name);
  let used = all;
  for (const name of classes.filter((name) => !CLASSES.includes(name))) {
    used = used
      .replace(new RegExp(`^(?:export )?class ${name} \\{\\n[^]*?^\\}\\nif \\(Symbol\\.dispose\\)[^\\n]*\\n`, "m"), "")
      .replace(new RegExp(`^const ${name}Finalization = [^]*?^\\}\\);\\n`, "m"), "");
    if (new RegExp(`\\b${name}(?:Finalization)?\\b`).test(used)) {
      throw new Failure(`The module makes a ${name}, or wasm-bindgen's output has changed.`);
    }
  }
  /** @type {(text: string, name: string) => boolean} */
  const calls = (text, name) => text.includes(`wasm.${name}(`);
  const { exports } = ends(wasm);
  const kept = exports.filter((name) => calls(used, name) || !calls(all, name));
  const graph = `${wasm}.json`;
  writeFileSync(
    graph,
    JSON.stringify([
      { name: "JavaScript", root: true, reaches: kept },
      ...kept.map((name) => ({ name, export: name })),
    ]),
  );
  // The names of functions stay, for a profile.
  const args = [wasm, "-o", `${wasm}.pruned`, `--graph-file=${graph}`, "--debuginfo", ...features];
  // wasm-metadce prints every function that it removes.
  if (output(bin("wasm-metadce"), args, { maxBuffer: 2 ** 28 }) === undefined)
    throw new Failure("wasm-metadce failed.");
  renameSync(`${wasm}.pruned`, wasm);
  // All imports are in one object, which esbuild keeps or drops as a whole.
  const imports = new Set(ends(wasm).imports);
  const members = /^ {8}(\w+): function\([^\n]*\{\n[^]*?^ {8}\}[^\n]*\n/gm;
  writeFileSync(
    glue,
    used.replace(members, (member, name) => (imports.has(name) ? member : "")),
  );
}

/** Prints the names of a module's imports and exports. */
const ENDS = `const module = new WebAssembly.Module(require("node:fs").readFileSync(process.argv[1]));
const names = (list) => list.map(({ name }) => name);
const { imports, exports } = WebAssembly.Module;
process.stdout.write(JSON.stringify({ imports: names(imports(module)), exports: names(exports(module)) }));`;

/**
 * The names of the imports and exports of the module at `wasm`. The Node.js that runs wrangler reads it: an older one
 * does not know how the module handles exceptions.
 * @param {string} wasm
 * @returns {{ imports: string[], exports: string[] }}
 */
function ends(wasm) {
  const told = output(node(), ["-e", ENDS, wasm]);
  if (told === undefined) throw new Failure("The module cannot be read.");
  return JSON.parse(told);
}

/** @param {boolean} profiling */
async function optimise(profiling) {
  const wasm = path.join(staging, "index_bg.wasm");
  /** @param {string[]} args */
  const optimised = async (...args) => {
    await run(bin("wasm-opt"), [wasm, "-o", `${wasm}.opt`, ...features, ...args]);
    renameSync(`${wasm}.opt`, wasm);
  };
  if (profiling) return optimised(OPTIMISE, "--debuginfo");
  await optimised(OPTIMISE, "--strip-debug", "--strip-producers");
  // The names that the functions get say in which order they save 10 KiB against their own.
  writeFileSync(wasm, withOrder(readFileSync(wasm)));
  await optimised("--reorder-functions-by-name", "--strip-debug", "--strip-target-features");
}

/** Joins the entry and wasm-bindgen's JavaScript into one module. */
async function bundle() {
  await run(
    bin("esbuild"),
    [
      inRoot("src", "platform", "shim.js"),
      `--outfile=${path.join(staging, "out.js")}`,
      `--alias:broker=${path.join(staging, "index.js")}`,
      "--external:./index_bg.wasm",
      "--external:cloudflare:*",
      "--bundle",
      "--format=esm",
      "--target=es2022",
      "--minify",
      "--log-level=warning",
    ],
    { cwd: staging },
  );
  renameSync(path.join(staging, "out.js"), path.join(staging, "index.js"));
}

/** Replaces the old files by the new ones and removes all others. */
function swapIn() {
  mkdirSync(build, { recursive: true });
  rmSync(path.join(build, STAMP), { force: true });
  // The module comes first: a running wrangler watches index.js for changes.
  for (const name of [...outputs].reverse()) renameSync(path.join(staging, name), path.join(build, name));
  for (const name of readdirSync(build)) {
    if (!outputs.includes(name)) rmSync(path.join(build, name), { recursive: true, force: true });
  }
}

if (isMain(import.meta.url)) {
  await runMain(async (args) => {
    await setup();
    await buildWorker({
      profiling: args.includes("--profiling"),
      force: args.includes("--force"),
    });
  });
}
