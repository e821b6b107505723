// Format, lints and documentation of the Rust code, and the syntax of the scripts.
import path from "node:path";
import {
  Failure,
  filesUnder,
  isMain,
  node,
  output,
  root,
  run,
  runMain,
  say,
  step,
  wasmEnv,
  wasmTarget,
} from "./lib.mjs";
import { setup } from "./setup.mjs";

const clippy = ["clippy", "--locked", "--all-targets"];
const strict = ["--", "-D", "warnings"];

export async function lint() {
  await step("cargo fmt", () => run("cargo", ["fmt", "--all", "--check"], { hint: "Run `cargo fmt --all`." }));
  await step("clippy, native", () => run("cargo", [...clippy, "--workspace", ...strict]));
  await step("clippy, wasm", () => run("cargo", [...clippy, "--target", wasmTarget, ...strict], { env: wasmEnv }));
  await step("cargo doc", () =>
    run("cargo", ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"], {
      env: { RUSTDOCFLAGS: "-D warnings" },
    }),
  );
  await step("JavaScript syntax", checkScripts);
}

function checkScripts() {
  const files = filesUnder("scripts", "src", "check", "sandbox", "examples", "tests", "bench").filter((file) =>
    /\.m?js$/.test(file),
  );
  for (const file of files) {
    if (output(node(), ["--check", file], { stdio: ["ignore", "pipe", "inherit"] }) === undefined) {
      throw new Failure(`${path.relative(root, file)} is not valid JavaScript.`);
    }
  }
  say(`    ${files.length} files`);
}

if (isMain(import.meta.url)) {
  await runMain(async () => {
    await setup();
    await lint();
  });
}
