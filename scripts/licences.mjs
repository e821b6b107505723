// The licences of what is compiled into the package's WebAssembly: the crates of the Worker and of the check, and Rust's
// standard library. A crate without a text ends the build.
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { Failure, inRoot, output, root, say, wasmTarget } from "./lib.mjs";

/** The file in the package. */
export const FILE = "THIRD-PARTY-LICENSES.txt";

/** The modules in WebAssembly, with the crate that each is made of. */
export const MODULES = { "worker/index_bg.wasm": "porteiro", "check/check_bg.wasm": "porteiro-check" };

/**
 * What is compiled in: a crate, with the texts in its folder.
 *
 * @typedef {{ name: string, version: string, licence: string, texts: string[] }} Part
 */

/** @typedef {{ name: string, version: string, license: string | null, license_file: string | null, manifest_path: string }} Package */

/** The files of a crate that have its licences; a notice alone is none. */
const TEXTS = /^(licen[cs]e|copying|unlicense|copyright|notice)/i;
const LICENCES = /^(licen[cs]e|copying|unlicense)/i;

/**
 * The output of cargo.
 *
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
function cargo(args, env = {}) {
  const told = output("cargo", args, {
    cwd: root,
    env: { ...process.env, ...env },
    maxBuffer: 2 ** 28,
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (told === undefined) throw new Failure(`\`cargo ${args.slice(0, 4).join(" ")}\` failed.`);
  return told;
}

/** What cargo compiles for WebAssembly and links: no macros, no build scripts, no tests. */
const TREE = ["tree", "--locked", "--target", wasmTarget, "--edges", "normal,no-proc-macro", "--prefix", "none"];

/**
 * The crates that are linked into a module of these crates, as `name version`, without those of their workspace.
 *
 * @param {string} manifest of the workspace
 * @param {string[]} crates
 * @param {NodeJS.ProcessEnv} [env]
 */
function linked(manifest, crates, env) {
  const args = [...TREE, "--manifest-path", manifest, "--format", "{p}", ...crates.flatMap((it) => ["--package", it])];
  const lines = cargo(args, env)
    .split("\n")
    .map((line) => line.replace(/ \(\*\)$/, ""));
  const isOwn = (/** @type {string} */ line) => line.includes(` (${path.dirname(manifest)}`);
  const names = lines.filter((line) => line !== "" && !isOwn(line)).map((line) => line.split(" ", 2).join(" "));
  return [...new Set(names)].map((name) => name.replace(" v", " ")).sort();
}

/**
 * The crates in a crate's module, with their licences.
 *
 * @param {string} crate
 * @param {string} [manifest] of the workspace
 * @returns {Part[]}
 */
export function partsOf(crate, manifest = inRoot("Cargo.toml")) {
  const told = cargo([
    "metadata",
    "--locked",
    "--format-version",
    "1",
    "--filter-platform",
    wasmTarget,
    "--manifest-path",
    manifest,
  ]);
  const packages = /** @type {Package[]} */ (JSON.parse(told).packages);
  const known = new Map(packages.map((one) => [`${one.name} ${one.version}`, one]));
  return linked(manifest, [crate]).map((name) => {
    const found = known.get(name);
    if (!found) throw new Failure(`cargo does not know where the crate ${name} is.`);
    return partOf(found);
  });
}

/**
 * A crate's licence and texts.
 *
 * @param {Package} crate
 * @returns {Part}
 */
export function partOf({ name, version, license, license_file: named, manifest_path: manifest }) {
  const folder = path.dirname(manifest);
  const files = readdirSync(folder, { withFileTypes: true }).filter((it) => it.isFile() && TEXTS.test(it.name));
  const names = new Set(files.map((it) => it.name).sort());
  if (named) names.add(named);
  const texts = [...names].map((file) => ({ file, text: readFileSync(path.resolve(folder, file), "utf8") }));
  const hasText = texts.some(({ file, text }) => (file === named || LICENCES.test(file)) && text.trim() !== "");
  if (!hasText)
    throw new Failure(`The crate ${name} ${version} has no text of its licence (${license ?? "none named"}).`);
  return { name, version, licence: license ?? `see ${named}`, texts: texts.map(({ text }) => text) };
}

// --- Rust's standard library ------------------------------------------------------

/** @param {string} html */
const textOf = (html) =>
  html
    .replace(/<[^>]*>/g, "")
    .replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code)))
    .replace(/&lt;/g, "<")
    .replace(/&gt;/g, ">")
    .replace(/&quot;/g, '"')
    .replace(/&amp;/g, "&");

/** The crates outside of Rust's own sources that its page has, by `name version`. @param {string} page */
function crateNotices(page) {
  const [, ...sections] = page.split(/<h3>📦 /u);
  return new Map(
    sections.map((section) => {
      const [, name, version] = section.match(/^(.+?)-(\d[^<]*)<\/h3>/) ?? [];
      const licence = textOf(section.match(/<b>License:<\/b>([^<]*)/)?.[1] ?? "").trim();
      const notices = [...section.matchAll(/<summary><code>([^<]+)<\/code><\/summary>\s*<pre>([^]*?)<\/pre>/g)];
      const texts = notices.filter(([, file]) => TEXTS.test(path.basename(file))).map(([, , text]) => textOf(text));
      return [`${name} ${version}`, { name, version, licence, texts }];
    }),
  );
}

/**
 * The standard library, and the crates that it has for WebAssembly, by the page that comes with the compiler.
 *
 * @returns {Part[]}
 */
export function standardLibrary() {
  const sysroot = output("rustc", ["--print", "sysroot"], { cwd: root });
  const version = output("rustc", ["--version"], { cwd: root })?.match(/^rustc (\S+)/)?.[1];
  if (!sysroot || !version) throw new Failure("rustc does not tell where it is.");
  const documents = path.join(sysroot, "share", "doc", "rust");
  const sources = path.join(sysroot, "lib", "rustlib", "src", "rust", "library");
  const page = readFileSync(path.join(documents, "COPYRIGHT-library.html"), "utf8");
  const own = page.slice(page.indexOf("<h2"), page.indexOf('<h2 id="out-of-tree-dependencies">'));
  const licences = ["Apache-2.0", "MIT", "LLVM-exception", ...(own.match(/\b[A-Z]\w*-\d[\w.-]*/g) ?? [])];
  const texts = [...new Set(licences)]
    .map((name) => path.join(documents, "licenses", `${name}.txt`))
    .filter((file) => existsSync(file))
    .map((file) => readFileSync(file, "utf8"));
  const builtins = path.join(sources, "compiler-builtins", "LICENSE.txt");
  if (own === "" || texts.length < 3 || !existsSync(builtins))
    throw new Failure("Rust's licences are not where they were.");
  const std = { name: "Rust's standard library", version, licence: "MIT OR Apache-2.0, with the exceptions below" };
  const notices = crateNotices(page);
  const names = linked(path.join(sources, "Cargo.toml"), ["std", "panic_abort"], { RUSTC_BOOTSTRAP: "1" });
  const crates = names.map((name) => {
    const part = notices.get(name);
    if (!part?.texts.length)
      throw new Failure(`The crate ${name} of Rust's standard library has no text of its licence.`);
    return part;
  });
  const plain = textOf(own).replace(/\n\s*\n(\s*\n)*/g, "\n\n");
  return [{ ...std, texts: [plain, ...texts, readFileSync(builtins, "utf8")] }, ...crates];
}

// --- The file ---------------------------------------------------------------------

/** @param {Pick<Part, "name" | "version">} part */
const shown = ({ name, version }) => `${name} ${version}`;

/** What two texts that differ in line breaks and blanks have in common. @param {string} text */
const essence = (text) => text.replace(/\s+/g, " ").trim();

/**
 * The file: the parts of each module, and then each text once, below the names of what it belongs to.
 *
 * @param {{ [module: string]: Part[] }} modules
 */
export function licencesText(modules) {
  const lists = Object.entries(modules).map(
    ([module, parts]) => `${module}:\n\n${parts.map((part) => `  ${shown(part)} (${part.licence})`).join("\n")}\n`,
  );
  /** @type {Map<string, { names: Set<string>, text: string }>} */
  const texts = new Map();
  for (const part of Object.values(modules).flat())
    for (const text of part.texts.filter((it) => it.trim() !== "")) {
      const same = texts.get(essence(text)) ?? {
        names: new Set(),
        text: text.replace(/\r\n/g, "\n").replace(/^\s*\n|\s+$/g, ""),
      };
      texts.set(essence(text), { ...same, names: same.names.add(shown(part)) });
    }
  const line = "=".repeat(80);
  const sections = [...texts.values()].map(
    ({ names, text }) => `${line}\n${[...names].join("\n")}\n${line}\n\n${text}\n`,
  );
  return `What is compiled into the modules of this package beside Porteiro itself, whose licence is in LICENSE.

${lists.join("\n")}
Each text stands below the names of all that it belongs to.

${sections.join("\n")}`;
}

/**
 * Writes the file into the package's folder.
 *
 * @param {string} folder
 */
export function writeLicences(folder) {
  const std = standardLibrary();
  const modules = Object.entries(MODULES).map(([module, crate]) => [module, [...partsOf(crate), ...std]]);
  writeFileSync(path.join(folder, FILE), licencesText(Object.fromEntries(modules)));
  say(`    ${FILE}: ${modules.map(([module, parts]) => `${parts.length} in ${module}`).join(", ")}`);
}
