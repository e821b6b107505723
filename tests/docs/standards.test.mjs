// Each row of docs/explain/standards.md names existing tests.

import assert from "node:assert/strict";
import { existsSync, globSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { blocks, read, root } from "./markdown.mjs";
import { readTests, rustTests } from "./titles.mjs";

/** @typedef {import("./titles.mjs").Title} Title */
/** @typedef {{ clause: string, done: string, tests: string }} Row */

const PAGE = "docs/explain/standards.md";
const HEAD = ["clause", "what is done", "tests"];

/** The rows of the tables that name tests.
 * @param {string} document
 * @returns {Row[]} */
function rows(document) {
  return blocks(document)
    .filter(({ kind }) => kind === "table")
    .map(({ text }) =>
      text
        .trim()
        .split("\n")
        .map((line) =>
          line
            .replace(/^\||\|$/g, "")
            .split(/(?<!\\)\|/)
            .map((cell) => cell.trim()),
        ),
    )
    .filter(([head]) => head.join() === HEAD.join())
    .flatMap(([, , ...lines]) =>
      lines.map((cells) => {
        assert.equal(cells.length, HEAD.length, `not three cells: ${cells.join(" | ")}`);
        const [clause, done, tests] = cells;
        return { clause, done, tests };
      }),
    );
}

/**
 * What `make` makes of a file, made once for each text of it.
 * @template T
 * @param {(name: string, source: string) => T} make
 */
function once(make) {
  /** @type {Map<string, { source: string, made: T }>} */
  const known = new Map();
  return (/** @type {string} */ name, /** @type {string} */ source) => {
    const last = known.get(name);
    if (last?.source === source) return last.made;
    const made = make(name, source);
    known.set(name, { source, made });
    return made;
  };
}

const rustIn = once((_, source) => rustTests(source));
const testsIn = once(readTests);

/** The files of end-to-end tests, wherever they are below tests/, by the name that the page has for each. */
const files = Map.groupBy(
  globSync("tests/**/*.test.mjs", { cwd: root }).map((name) => name.replaceAll(path.sep, "/")),
  (name) => path.posix.basename(name, ".test.mjs"),
);

/**
 * The source files, as `readFile` gives them.
 * @param {(name: string) => string} readFile
 */
function sources(readFile) {
  const readOnce = once((name) => readFile(name));
  const script = (/** @type {string} */ name) => testsIn(name, readOnce(name, ""));
  return {
    /** The tests in a Rust file, by its name in the page; nothing where there is no such file. */
    rust: (/** @type {string} */ name) => {
      const folder = { properties: "tests/", simulation: "" }[name.split("/")[0]] ?? "src/";
      const place = `${folder}${name}`;
      return existsSync(path.join(root, place)) ? rustIn(place, readOnce(place, "")) : undefined;
    },
    /** The tests in the one file of that name, as patterns of their whole names. */
    endToEnd: (/** @type {string} */ name) => {
      const [place, ...more] = files.get(name) ?? [];
      if (!place || more.length) return undefined;
      const { tests, texts, imports } = script(place);
      const scripts = imports.filter((each) => each.endsWith(".mjs"));
      const put = [...texts, ...scripts.flatMap((each) => [...script(each).texts])];
      return tests.map((titles) => named(titles, put));
    },
  };
}

const escaped = (/** @type {string} */ text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");

/**
 * Tells whether a text is the name of a test, its titles with commas between them, and gives the groups' part of it.
 * Where a title is put together when the tests run, a text that stands in the source must be put in.
 * @param {Title[]} titles
 * @param {string[]} put
 */
function named(titles, put) {
  const fixed = titles.flat().filter((part) => part !== null);
  return (/** @type {string} */ text) => {
    if (!fixed.every((part) => text.includes(part))) return undefined;
    const fitting = put.filter((each) => each && text.includes(each)).map(escaped);
    const any = fitting.length ? `(?:${fitting.join("|")})` : "(?!)";
    const parts = titles.map((title) => title.map((part) => (part === null ? any : escaped(part))).join(""));
    const last = parts.pop();
    return new RegExp(`^(${parts.map((part) => `${part}, `).join("")})${last}$`).exec(text)?.[1];
  };
}

/**
 * What is wrong with a row's tests, and how many it names.
 * @param {Row} row
 * @param {ReturnType<typeof sources>} source
 */
function check({ tests: cell }, source) {
  /** @type {string[]} */
  const faults = [];
  let count = 0;
  /** @type {string | undefined} */
  let rustFile;
  /** @type {string | undefined} */
  let file;
  let groups = "";
  const text = cell.replace(/\]\([^)]*\)/g, "]");
  for (const [, italic, code] of text.matchAll(/(?<![\w*])\*([^*]+)\*(?![\w*])|`([^`]+)`/g)) {
    if (code?.endsWith(".rs")) {
      rustFile = code;
      if (!source.rust(code)) faults.push(`there is no file ${code}`);
    } else if (code) {
      count += 1;
      if (!rustFile) faults.push(`no file is named for ${code}`);
      else if (source.rust(rustFile)?.includes(code) === false) faults.push(`${rustFile} has no test ${code}`);
    } else {
      count += 1;
      const [, other, rest] = italic.match(/^([a-z][a-z-]*): (.+)$/) ?? [];
      if (other) file = other;
      else if (!file) faults.push(`no file is named for ${italic}`);
      const tests = file ? source.endToEnd(file) : undefined;
      // One that names no file is of the groups of the one before.
      const whole = other ? rest : groups + italic;
      const found = tests?.map((matches) => matches(whole)).find((each) => each !== undefined);
      if (!tests) faults.push(`there is no one file ${file}.test.mjs`);
      else if (found === undefined) faults.push(`${file} has no test ${whole}`);
      else groups = found;
    }
  }
  if (!count && !/^none: \S+ \S+/.test(cell)) faults.push("no test, and nothing says why");
  return { faults, count };
}

/**
 * All that is wrong in the page, each with the row's clause.
 * @param {string} document
 * @param {(name: string) => string} readFile
 */
function wrong(document, readFile = read) {
  const source = sources(readFile);
  return rows(document).flatMap((row) => check(row, source).faults.map((fault) => `${row.clause}: ${fault}`));
}

describe("docs/explain/standards.md", () => {
  const page = read(PAGE);

  test("names tests that there are, in each row", () => {
    const source = sources(read);
    const counts = rows(page).map((row) => check(row, source).count);
    assert.ok(counts.length > 100, `${counts.length} rows`);
    assert.ok(counts.reduce((sum, count) => sum + count, 0) > 220, `${counts} tests`);
    assert.deepEqual(wrong(page), []);
  });

  const known = new Set(wrong(page));
  /** What is wrong besides that. */
  const anew = (/** @type {Parameters<typeof wrong>} */ ...args) => wrong(...args).filter((fault) => !known.has(fault));

  /** A text with one change, which must have changed something. */
  const changed = (/** @type {string} */ text, /** @type {string | RegExp} */ from, /** @type {string} */ to) => {
    const other = text.replace(from, to);
    assert.notEqual(other, text, `${from} is not there`);
    return other;
  };

  /** @type {Record<string, [string | RegExp, string, RegExp]>} */
  const pages = {
    "a Rust test that there is not": [
      "`encodes_what_forms_encode`",
      "`encodes_forms`",
      /form\.rs has no test encodes_forms$/,
    ],
    "a Rust test in another file": [
      "`form.rs`: `enc",
      "`json.rs`: `enc",
      /json\.rs has no test encodes_what_forms_encode$/,
    ],
    "a Rust file that there is not": ["`form.rs`: `enc", "`forms.rs`: `enc", /there is no file forms\.rs$/],
    "a Rust test without a file": ["`form.rs`: `enc", "`enc", /no file is named for encodes_what_forms_encode$/],
    "a function that is no test": ["`reads_seconds`", "`parse`", /oauth\/retry_after\.rs has no test parse$/],
    "an end-to-end test that there is not": [
      "gets its password grant",
      "gets a password grant",
      /main-path has no test hubsoft, gets a/,
    ],
    "an end-to-end test of another group": [
      "*main-path: hubsoft,",
      "*main-path: v8,",
      /main-path has no test v8, gets its/,
    ],
    "an end-to-end test without its group": ["*main-path: hubsoft, ", "*main-path: ", /main-path has no test gets its/],
    "a group alone": [/\*main-path: hubsoft, [^*]+\*/, "*main-path: hubsoft*", /main-path has no test hubsoft$/],
    "a file of end-to-end tests that there is not": [
      "*main-path: ",
      "*main: ",
      /there is no one file main\.test\.mjs$/,
    ],
    "a value that no table has": [
      "(redirect-302)",
      "(redirect-399)",
      /tokens has no test a token endpoint that fails, \(redirect-399\)/,
    ],
    "another test of the same group that there is not": [
      "*in another form*",
      "*in no form*",
      /jwt has no test a forged token is refused, in no form$/,
    ],
    "no test": [/`form\.rs`: `encodes[^|]+/, "", /no test, and nothing says why$/],
    "a word for no test": [/`form\.rs`: `encodes[^|]+/, "none ", /no test, and nothing says why$/],
  };
  for (const [what, [from, to, fault]] of Object.entries(pages)) {
    test(`is held to it: ${what}`, () => {
      const [only, ...more] = anew(changed(page, from, to));
      assert.match(only, fault);
      assert.deepEqual(more, []);
    });
  }

  test("may say why a row has no test", () => {
    const why = "none: the compiler holds it ";
    assert.deepEqual(anew(changed(page, /`form\.rs`: `encodes[^|]+/, why)), []);
  });

  /** @type {Record<string, [string, string | RegExp, string, RegExp]>} */
  const sourceFiles = {
    "a Rust test is renamed": [
      "form.rs",
      "fn encodes_what_forms_encode(",
      "fn encodes(",
      /form\.rs has no test encodes_what/,
    ],
    "a Rust test is one no more": [
      "form.rs",
      /#\[test\]\n( *fn encodes_what_forms_encode)/,
      "$1",
      /form\.rs has no test encodes_what/,
    ],
    "a Rust test is ignored": [
      "form.rs",
      /( *fn encodes_what_forms_encode)/,
      "    #[ignore]\n$1",
      /form\.rs has no test encodes_what/,
    ],
    "a property is renamed": [
      "properties/path.rs",
      "fn refuses_an_attack_however_it_is_written",
      "fn refuses",
      /properties\/path\.rs has no test refuses_an_attack/,
    ],
    "an end-to-end test is renamed": [
      "jwt.test.mjs",
      "of one issuer cannot stand for another's",
      "of one issuer are its own",
      /jwt has no test an issuer's metadata, of one issuer cannot/,
    ],
    "an end-to-end test is skipped": [
      "jwt.test.mjs",
      'test("of one issuer cannot stand',
      'test.skip("of one issuer cannot stand',
      /jwt has no test an issuer's metadata, of one issuer cannot/,
    ],
    "an end-to-end test moves to another group": [
      "jwt.test.mjs",
      'describe("an issuer\'s metadata"',
      'describe("metadata"',
      /jwt has no test an issuer's metadata, /,
    ],
    "a table loses a value": [
      "forgeries.mjs",
      '"that brings a key of its own"',
      '"that brings a key"',
      /jwt has no test a forged token is refused, that brings a key of its own$/,
    ],
  };
  for (const [what, [name, from, to, fault]] of Object.entries(sourceFiles)) {
    test(`is held to the source: ${what}`, () => {
      let met = false;
      const [first] = anew(page, (each) => {
        if (!each.endsWith(`/${name}`)) return read(each);
        met = true;
        return changed(read(each), from, to);
      });
      assert.ok(met, `${name} was not read`);
      assert.match(first, fault);
    });
  }
});
