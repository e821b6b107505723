// Makes the npm package: dist/porteiro-VERSION.tgz. Whoever installs it needs Node.js, and no Rust.
//
//   node scripts/package.mjs
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { MINIFIED, buildWorker, features } from "./build.mjs";
import { Failure, bin, inRoot, isMain, node, output, run, runMain, say, step, wasmTarget } from "./lib.mjs";
import { setup, wasmBindgenPath } from "./setup.mjs";

/** Where the package is put together. */
const folder = inRoot("dist", "package");

/** The scripts that the command runs, without those that build. */
export const SCRIPTS = [
  "add",
  "catalogue",
  "check",
  "connect-link",
  "connection-text",
  "connections",
  "deploy",
  "development",
  "dialog",
  "health",
  "init",
  "keys",
  "lib",
  "needs",
  "options",
  "porteiro",
  "prepare",
  "probe",
  "processes",
  "providers",
  "secrets",
  "start",
  "vars",
  "words",
  "workerd",
].map((name) => `${name}.mjs`);

/** What is of the same form in the clone and in the package. */
const COPIED = [
  "LICENSE",
  "SECURITY.md",
  "CHANGELOG.md",
  "providers",
  "template",
  "wrangler.toml",
  "sandbox",
  "examples/front-end",
];

/** The most bytes of `porteiro/client`, minified and gzipped. */
export const CLIENT_CEILING = 3 * 1024;

/** The packages that come along, which the clone has, too. */
const DEPENDENCIES = ["dotenv", "smol-toml", "wrangler"];

/** The check, compiled for Node.js. */
async function compileCheck() {
  const target = process.env.CARGO_TARGET_DIR ?? inRoot("target");
  await run("cargo", [
    "rustc",
    "--release",
    "--locked",
    "--package",
    "porteiro-check",
    "--lib",
    "--crate-type=cdylib",
    "--target",
    wasmTarget,
  ]);
  const compiled = path.join(target, wasmTarget, "release", "porteiro_check.wasm");
  const out = path.join(folder, "check");
  await run(wasmBindgenPath(), [
    compiled,
    "--target",
    "experimental-nodejs-module",
    "--no-typescript",
    "--out-dir",
    out,
    "--out-name",
    "check",
  ]);
  rmSync(path.join(out, "package.json"), { force: true });
  const wasm = path.join(out, "check_bg.wasm");
  await run(bin("wasm-opt"), [wasm, "-o", wasm, "-O2", "--strip-debug", "--strip-producers", ...features]);
}

/** The client's modules, minified, with the types that their comments declare. */
async function makeClient() {
  const entries = ["porteiro", "react", "sentences"].map((name) => inRoot("client", `${name}.js`));
  const out = path.join(folder, "client");
  // Each imports the others as they are: nothing is in two of them.
  await run(bin("esbuild"), [...entries, `--outdir=${out}`, "--format=esm", ...MINIFIED]);
  await run(node(), [
    bin("tsc"),
    ...entries,
    "--ignoreConfig",
    "--allowJs",
    "--declaration",
    "--emitDeclarationOnly",
    "--skipLibCheck",
    "--target",
    "es2022",
    "--module",
    "nodenext",
    "--lib",
    "es2022,dom,dom.iterable",
    "--outDir",
    out,
  ]);
  cpSync(inRoot("client", "answers.d.ts"), path.join(out, "answers.d.ts"));
  const size = gzipSync(readFileSync(path.join(out, "porteiro.js")), { level: 9 }).length;
  if (size > CLIENT_CEILING) throw new Failure(`porteiro/client has ${size} bytes gzipped; ${CLIENT_CEILING} at most.`);
  return size;
}

/** The package's own package.json. */
function manifest() {
  const own = JSON.parse(readFileSync(inRoot("package.json"), "utf8"));
  const { version, description, license, devDependencies, cloudflare } = own;
  const dependencies = Object.fromEntries(DEPENDENCIES.map((name) => [name, `^${devDependencies[name]}`]));
  const entry = (/** @type {string} */ place) => ({ types: `./${place}.d.ts`, default: `./${place}.js` });
  return {
    name: "porteiro",
    version,
    description,
    license,
    type: "module",
    keywords: ["oauth", "token", "broker", "proxy", "cloudflare", "workers"],
    engines: { node: ">=22" },
    bin: { porteiro: "scripts/porteiro.mjs" },
    exports: {
      "./worker": entry("worker/index"),
      "./client": entry("client/porteiro"),
      "./react": entry("client/react"),
      "./sentences": entry("client/sentences"),
      "./package.json": "./package.json",
    },
    dependencies,
    peerDependencies: { react: ">=18" },
    peerDependenciesMeta: { react: { optional: true } },
    cloudflare,
  };
}

/** Puts the package together in dist/package, and packs it. Returns the path of the tarball. */
export async function makePackage() {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  await buildWorker();
  await step("check", compileCheck);
  const size = await step("client", makeClient);
  const isKept = (/** @type {string} */ file) => !/\.test\.mjs$|\.dev\.vars|(^|\/)\.wrangler(\/|$)/.test(file);
  for (const place of COPIED) cpSync(inRoot(place), path.join(folder, place), { recursive: true, filter: isKept });
  cpSync(inRoot("build", "index.js"), path.join(folder, "worker", "index.js"));
  cpSync(inRoot("build", "index_bg.wasm"), path.join(folder, "worker", "index_bg.wasm"));
  cpSync(inRoot("package", "worker.d.ts"), path.join(folder, "worker", "index.d.ts"));
  cpSync(inRoot("package", "README.md"), path.join(folder, "README.md"));
  for (const name of SCRIPTS) cpSync(inRoot("scripts", name), path.join(folder, "scripts", name));
  cpSync(inRoot("scripts", "kv.js"), path.join(folder, "scripts", "kv.js"));
  writeFileSync(path.join(folder, "package.json"), `${JSON.stringify(manifest(), null, 2)}\n`);
  const packed = output("npm", ["pack", "--json", "--pack-destination", inRoot("dist")], { cwd: folder });
  if (!packed) throw new Failure("npm did not pack.");
  const [{ filename, size: bytes, unpackedSize, entryCount }] = JSON.parse(packed);
  const tarball = inRoot("dist", filename);
  say(`\n${path.relative(inRoot(), tarball)}: ${kib(bytes)} packed, ${kib(unpackedSize)} in ${entryCount} files`);
  say(`porteiro/client: ${size} bytes gzipped`);
  return tarball;
}

/** @param {number} bytes */
const kib = (bytes) => `${(bytes / 1024).toFixed(0)} KiB`;

if (isMain(import.meta.url)) {
  await runMain(async () => {
    await setup();
    await makePackage();
  });
}
