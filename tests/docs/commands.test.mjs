// The commands of the package that the documentation names exist, with the options that it names.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import path from "node:path";
import { describe, test } from "node:test";
import { documents, read, root } from "./markdown.mjs";

/** What `porteiro` prints. @param {...string} args */
function porteiro(...args) {
  const command = path.join(root, "scripts/porteiro.mjs");
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], { encoding: "utf8", cwd: root });
  assert.equal(status, 0, stderr);
  return stdout;
}

const commands = [...porteiro("--help").matchAll(/^ {2}porteiro ([a-z][a-z-]*) {2}/gm)].map(([, name]) => name);

/** Passes all options on to wrangler, whose they are. */
const PASSES_ON = ["deploy"];

/** @type {Map<string, string[]>} */
const known = new Map();

/** The options of a command, as its help has them. @param {string} command */
function optionsOf(command) {
  const options = known.get(command) ?? [...new Set(porteiro(command, "--help").match(/--[a-z]+/g))];
  known.set(command, options);
  return options;
}

/**
 * What a text names of the package's commands, and that is not there.
 * @param {string} document
 */
function missing(document) {
  const named = [...document.matchAll(/\bnpx porteiro ([a-z][a-z-]*)([^\n`#]*)/g)];
  return named.flatMap(([, command, rest]) => {
    if (!commands.includes(command)) return [command];
    if (PASSES_ON.includes(command)) return [];
    const options = rest.match(/(?<=\s)--[a-z]+/g) ?? [];
    return options.filter((option) => !optionsOf(command).includes(option)).map((option) => `${command} ${option}`);
  });
}

describe("the package's commands", () => {
  const all = [...documents(), "package/README.md"];

  for (const name of all)
    test(`${name} names commands that are there`, () => assert.deepEqual(missing(read(name)), []));

  test("are all read, and named", () => {
    assert.ok(commands.length >= 9, `${commands}`);
    assert.ok(all.filter((name) => read(name).includes("npx porteiro ")).length > 12);
  });

  test("are all in the package's own README, and no other", () => {
    const table = [...read("package/README.md").matchAll(/^\| `porteiro ([a-z-]+)/gm)].map(([, name]) => name);
    assert.deepEqual(table.sort(), [...commands].sort());
  });

  test("that the README begins with are those of the package's, in the same order", () => {
    const lines = (/** @type {string} */ name) =>
      [...read(name).matchAll(/^npx porteiro (\w+)\b(?! --sandbox)/gm)].map(([, command]) => command);
    const first = ["init", "add", "check", "dev", "deploy"];
    for (const name of ["README.md", "README.pt-BR.md", "package/README.md"])
      assert.deepEqual(lines(name), first, name);
  });

  for (const [wrong, found] of [
    ["npx porteiro begin", "begin"],
    ["npx porteiro check --all", "check --all"],
    ["npx porteiro dev --port 8788 --watch", "dev --watch"],
  ]) {
    test(`would be seen to be named wrongly: ${wrong}`, () => {
      assert.deepEqual(missing(`${read("README.md")}\n\`${wrong}\`\n`), [found]);
    });
  }
});
