// Format, lints and documentation of the Rust code; format, lints and types of the JavaScript.
import { bin, isMain, run, runMain, step, wasmEnv, wasmTarget } from "./lib.mjs";
import { setup } from "./setup.mjs";

const clippy = ["clippy", "--locked", "--all-targets"];
const strict = ["--", "-D", "warnings"];

/** Code for Node.js, browsers and the Worker is checked against the APIs of its own environment. */
const projects = ["tsconfig.json", "tsconfig.pages.json", "src/platform/tsconfig.json"];

export async function lint() {
  await step("JavaScript", lintJavaScript);
  await step("cargo fmt", () => run("cargo", ["fmt", "--all", "--check"], { hint: "Run `cargo fmt --all`." }));
  await step("clippy, native", () => run("cargo", [...clippy, "--workspace", ...strict]));
  await step("clippy, wasm", () => run("cargo", [...clippy, "--target", wasmTarget, ...strict], { env: wasmEnv }));
  await step("cargo doc", () =>
    run("cargo", ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"], {
      env: { RUSTDOCFLAGS: "-D warnings" },
    }),
  );
}

/** Format and lints by Biome, types by JSDoc under TypeScript's strict rules. */
export async function lintJavaScript() {
  await run(bin("biome"), ["check", "--error-on-warnings"], { hint: "Run `npm run format`, and mend what is left." });
  await Promise.all(projects.map((project) => run(bin("tsc"), ["--project", project])));
}

if (isMain(import.meta.url)) {
  await runMain(async (args) => {
    await setup();
    await (args.includes("--javascript") ? lintJavaScript() : lint());
  });
}
