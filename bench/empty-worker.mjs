// Builds the empty Worker in Rust with the steps of scripts/build.mjs, once, into target/bench-empty.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { TERSE, features } from "../scripts/build.mjs";
import { bin, filesUnder, hashOf, inRoot, output, run, step, wasmEnv, wasmTarget } from "../scripts/lib.mjs";
import { wasmBindgenPath } from "../scripts/setup.mjs";

const source = inRoot("bench", "empty-worker");
const folder = inRoot("target", "bench-empty");
const stamp = path.join(folder, "worker", ".stamp");

/** The folder with `index.js` and `index_bg.wasm` of the empty Worker. */
export async function emptyWorker() {
  const wanted = hashOf(filesUnder("bench/empty-worker"), output("rustc", ["--version"]));
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
    await step("the empty Worker in Rust", build);
    writeFileSync(stamp, wanted);
  }
  return path.dirname(stamp);
}

async function build() {
  const compiled = path.join(folder, wasmTarget, "release", "empty_worker.wasm");
  const bound = path.join(folder, "bound");
  const built = path.dirname(stamp);
  mkdirSync(built, { recursive: true });
  await run("cargo", ["build", "--release", "--locked", "--target", wasmTarget, "-Zbuild-std=std,panic_abort"], {
    cwd: source,
    env: {
      ...wasmEnv,
      CARGO_TARGET_DIR: folder,
      RUSTC_BOOTSTRAP: "1",
      // The same as for the broker.
      RUSTFLAGS: [process.env.RUSTFLAGS, ...TERSE].filter(Boolean).join(" "),
    },
  });
  await run(wasmBindgenPath(), [
    compiled,
    "--out-dir",
    bound,
    "--out-name",
    "index",
    "--target",
    "module",
    "--no-typescript",
    "--experimental-reset-state-function",
    "--force-enable-abort-handler",
  ]);
  const glue = path.join(bound, "index.js");
  writeFileSync(glue, readFileSync(glue, "utf8").replace("import source ", "import "));
  await run(bin("wasm-opt"), [
    path.join(bound, "index_bg.wasm"),
    "-o",
    path.join(built, "index_bg.wasm"),
    "-O1",
    ...features,
    "--strip-debug",
    "--strip-producers",
  ]);
  await run(bin("esbuild"), [
    path.join(source, "shim.js"),
    `--outfile=${path.join(built, "index.js")}`,
    `--alias:worker=${glue}`,
    "--external:./index_bg.wasm",
    "--external:cloudflare:*",
    "--bundle",
    "--format=esm",
    "--target=es2022",
    "--minify",
    "--log-level=warning",
  ]);
}
