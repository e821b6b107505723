// The licences in the package: of what is compiled in, of all of it, and of nothing else.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { output, root, wasmTarget } from "../../scripts/lib.mjs";
import { FILE, MODULES, licencesText, partsOf, writeLicences } from "../../scripts/licences.mjs";

const folder = mkdtempSync(path.join(os.tmpdir(), "porteiro-licences-"));
let text = "";

before(() => {
  writeLicences(folder);
  text = readFileSync(path.join(folder, FILE), "utf8");
});
after(() => rmSync(folder, { recursive: true, force: true }));

const RULE = `${"=".repeat(80)}\n`;

/** What the file lists for a module, as `name version`. @param {string} module */
function listed(module, file = text) {
  const [, list = ""] = file.split(RULE)[0].split(`\n${module}:\n\n`);
  return (list.split("\n\n")[0].match(/^ {2}.+$/gm) ?? []).map((line) => line.trim().replace(/ \(.*$/, ""));
}

/** The names above each text, and the text. */
function sections(file = text) {
  const [, ...rest] = file.split(RULE);
  return Array.from({ length: rest.length / 2 }, (_, at) => ({
    names: rest[2 * at].trim().split("\n"),
    text: rest[2 * at + 1],
  }));
}

/** What cargo says that it links, told in another form than the script asks for. @param {string} crate */
function tree(crate) {
  const args = [
    "tree",
    "--locked",
    "--package",
    crate,
    "--target",
    wasmTarget,
    "--edges",
    "normal",
    "--prefix",
    "depth",
  ];
  const lines = output("cargo", [...args, "--no-dedupe", "--format", "|{p}"], { cwd: root, maxBuffer: 2 ** 28 })?.split(
    "\n",
  );
  assert.ok(lines);
  /** @type {Set<string>} */
  const found = new Set();
  // A macro is compiled for the machine that builds, and with it all that it needs.
  let macro = Infinity;
  for (const line of lines) {
    const [depth, name] = line.split("|");
    if (Number(depth) > macro) continue;
    macro = name.includes("(proc-macro)") ? Number(depth) : Infinity;
    if (macro === Infinity && !name.includes(`(${root}`)) found.add(name.replace(/ \(\*\)$/, "").replace(" v", " "));
  }
  return [...found].sort();
}

/** What Rust's standard library has for WebAssembly, beside its own. */
const OF_RUST = ["cfg-if", "dlmalloc", "hashbrown", "libc", "rustc-demangle"];

for (const [module, crate] of Object.entries(MODULES)) {
  test(`each crate in ${module} is listed, and nothing else`, () => {
    const all = listed(module);
    const rust = all.findIndex((name) => name.startsWith("Rust's standard library 1."));
    assert.ok(rust > 40, "Rust is not listed");
    assert.deepEqual(all.slice(0, rust), tree(crate));
    assert.deepEqual(
      all.slice(rust + 1).map((name) => name.split(" ")[0]),
      OF_RUST,
    );
  });
}

test("each crate has a text, and each text is there once", () => {
  const all = new Set(Object.keys(MODULES).flatMap((module) => listed(module)));
  const found = sections();
  assert.deepEqual([...new Set(found.flatMap(({ names }) => names))].sort(), [...all].sort());
  const essences = found.map(({ text }) => text.replace(/\s+/g, " ").trim());
  assert.equal(new Set(essences).size, essences.length);
  for (const name of all)
    assert.ok(
      found.some(({ names, text }) => names.includes(name) && text.length > 500),
      `${name} has no whole text`,
    );
  const ofSubtle = found.filter(({ names }) => names.some((name) => name.startsWith("subtle ")));
  assert.match(ofSubtle.map(({ text }) => text).join(), /Neither the name of the copyright holder/);
  const ofRust = found.filter(({ names }) => names.some((name) => name.startsWith("Rust's ")));
  const texts = ofRust.map(({ text }) => text).join();
  for (const part of [
    /Permission is hereby granted/,
    /TERMS AND CONDITIONS/,
    /UNICODE LICENSE V3/,
    /LLVM/i,
    /Alex Crichton/,
  ])
    assert.match(texts, part);
  assert.doesNotMatch(text, /&#\d+;|<\/?(p|div|pre|b|code)>/);
});

test("neither tests nor builds nor macros are listed", () => {
  for (const name of ["proptest", "wasm-bindgen-test", "syn", "serde_derive", "wasm-bindgen-macro", "proc-macro2"])
    assert.doesNotMatch(text, new RegExp(`^ *${name} \\d`, "m"));
  // The check has none of what speaks to the runtime; the Worker does not read TOML.
  assert.ok(!listed("check/check_bg.wasm").some((name) => name.startsWith("worker ")));
  assert.ok(!listed("worker/index_bg.wasm").some((name) => name.startsWith("toml ")));
});

describe("a workspace", () => {
  /** @param {import("node:test").TestContext} t @param {{ [file: string]: string }} files of the crate `other` */
  function workspace(t, files) {
    const place = mkdtempSync(path.join(os.tmpdir(), "porteiro-licences-"));
    t.after(() => rmSync(place, { recursive: true, force: true }));
    const manifest = (/** @type {string} */ name, more = "") =>
      `[package]\nname = "${name}"\nversion = "1.0.0"\nedition = "2024"\n${more}`;
    const write = (/** @type {string} */ file, /** @type {string} */ content) => {
      mkdirSync(path.dirname(path.join(place, file)), { recursive: true });
      writeFileSync(path.join(place, file), content);
    };
    for (const name of ["main", "other", "dev", "build"]) write(`${name}/src/lib.rs`, "");
    write("main/build.rs", "fn main() {}");
    const others = ["", "dev-", "build-"].map((kind) => {
      const name = kind.replace("-", "") || "other";
      return `[${kind}dependencies]\n${name} = { path = "../${name}" }\n`;
    });
    write("main/Cargo.toml", manifest("main", others.join("")));
    for (const name of ["other", "dev", "build"]) write(`${name}/Cargo.toml`, manifest(name, 'license = "MIT"\n'));
    for (const [file, content] of Object.entries(files)) write(`other/${file}`, content);
    const cwd = path.join(place, "main");
    assert.notEqual(output("cargo", ["generate-lockfile", "--offline"], { cwd }), undefined);
    return path.join(cwd, "Cargo.toml");
  }

  test("has the texts of what it links alone", (t) => {
    const files = { "LICENSE-MIT": "the text", NOTICE: "the notice", "README.md": "no text" };
    assert.deepEqual(partsOf("main", workspace(t, files)), [
      { name: "other", version: "1.0.0", licence: "MIT", texts: ["the text", "the notice"] },
    ]);
  });

  test("with a crate that has no text ends the build, and names it", (t) => {
    /** @type {{ [file: string]: string }[]} */
    const all = [{}, { LICENSE: " \n" }, { NOTICE: "a notice is no licence" }];
    for (const files of all)
      assert.throws(
        () => partsOf("main", workspace(t, files)),
        /The crate other 1\.0\.0 has no text of its licence \(MIT\)/,
      );
  });

  test("may name the file of its licence", (t) => {
    const named = { "Cargo.toml": '[package]\nname = "other"\nversion = "1.0.0"\nlicense-file = "terms.txt"\n' };
    const [part] = partsOf("main", workspace(t, { ...named, "terms.txt": "the terms" }));
    assert.deepEqual([part.licence, part.texts], ["see terms.txt", ["the terms"]]);
  });
});

test("a text that differs in blanks alone is there once, for all whom it belongs to", () => {
  const part = (/** @type {string} */ name, /** @type {string[]} */ ...texts) => ({
    name,
    version: "1",
    licence: "MIT",
    texts,
  });
  const file = licencesText({
    a: [part("x", "one\r\n  two"), part("y", "one two\n", "three")],
    b: [part("x", "one two")],
  });
  assert.deepEqual(sections(file), [
    { names: ["x 1", "y 1"], text: "\none\n  two\n\n" },
    { names: ["y 1"], text: "\nthree\n" },
  ]);
  assert.deepEqual([listed("a", file), listed("b", file)], [["x 1", "y 1"], ["x 1"]]);
});
