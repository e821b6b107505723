// .dev.vars: the scripts read it as wrangler does, and change nothing in it.
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what a dollar means in these files is what is tested.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { inRoot, node, output } from "../../scripts/lib.mjs";
import { hasDevVars, makeDevVars, makeSandboxVars, parseVars, readVars } from "../../scripts/vars.mjs";

/**
 * A folder with a `.dev.vars` of this text, if any.
 * @param {import("node:test").TestContext} t
 * @param {string} [text]
 */
function folderWith(t, text) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "porteiro-vars-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(path.join(folder, "sandbox"));
  if (text !== undefined) writeFileSync(path.join(folder, ".dev.vars"), text);
  return folder;
}

/** @param {string} folder */
const textIn = (folder) => readFileSync(path.join(folder, ".dev.vars"), "utf8");

/** @param {string} file */
const modeOf = (file) => statSync(file).mode & 0o777;

/** One way each in which a line can be written. */
const LINES = [
  "A=plain",
  'B="double quoted"',
  "C='single quoted'",
  "D=`back quoted`",
  'export E="exported"',
  "F: colon",
  "  G  =  spaces around  ",
  "H=dollar$A and ${A}",
  'I="dollar$A ${A} \\$A"',
  "J='pa$$word$'",
  "K=before # comment",
  'L="before # no comment" # comment',
  'M="two\\nlines"',
  "N='two\\nwords'",
  'O="over\nlines"',
  "P=",
  'Q=""',
  "R=a=b=c",
  "S:no-space",
  "T.dot-dash=x",
  "# U=comment",
  'V="it\'s"',
  "W='un\"even",
  "just words",
  "X=first",
  "X=second",
  "\tY=tab",
  "Z=crlf\r",
  'AA="trailing" rest',
];

/**
 * What wrangler gives the Worker for each text of a `.dev.vars`.
 * @param {string[]} folders
 * @returns {Record<string, string>[]}
 */
function byWrangler(folders) {
  const code = `
    const { unstable_getVarsForDev } = require(${JSON.stringify(inRoot("node_modules", "wrangler"))});
    const read = (folder) => unstable_getVarsForDev(folder + "/wrangler.toml", undefined, {}, undefined, true);
    const plain = (vars) => Object.fromEntries(Object.entries(vars).map(([name, { value }]) => [name, value]));
    console.log(JSON.stringify(process.argv.slice(1).map((folder) => plain(read(folder)))));`;
  return JSON.parse(output(node(), ["-e", code, ...folders]) ?? "");
}

test("every form of a line means what it means to wrangler", async (t) => {
  const texts = [...LINES, LINES.join("\n"), LINES.join("\r\n")];
  const read = byWrangler(texts.map((text) => folderWith(t, `${text}\n`)));
  assert.equal(Object.keys(read.at(-2) ?? {}).length > 20, true);
  for (const [at, text] of texts.entries()) assert.deepEqual(await parseVars(`${text}\n`), read[at], text);
});

test("it is wrangler's own parser, at its version", () => {
  const cli = readFileSync(inRoot("node_modules", "wrangler", "wrangler-dist", "cli.js"), "utf8");
  const { devDependencies } = JSON.parse(readFileSync(inRoot("package.json"), "utf8"));
  assert.ok(cli.includes(`/dotenv@${devDependencies.dotenv}/`));
});

test("where nothing is, the broker's two secrets are made, for their owner alone", async (t) => {
  const folder = folderWith(t);
  assert.equal(hasDevVars(folder), false);
  await makeDevVars(folder);
  assert.equal(hasDevVars(folder), true);
  const vars = await readVars(path.join(folder, ".dev.vars"));
  assert.deepEqual(Object.keys(vars), ["SEALING_KEYS", "ADMIN_KEY"]);
  assert.match(vars.SEALING_KEYS, /^dev:[A-Za-z0-9+/]{43}=$/);
  assert.match(vars.ADMIN_KEY, /^[\w-]{32}$/);
  assert.equal(modeOf(path.join(folder, ".dev.vars")), 0o600);
  const made = textIn(folder);
  await makeDevVars(folder);
  assert.equal(textIn(folder), made);
});

for (const line of [
  "SEALING_KEYS=mine",
  'export SEALING_KEYS="mine"',
  "SEALING_KEYS: mine",
  "\t export  SEALING_KEYS = 'mine'",
  'SEALING_KEYS=""',
  "SEALING_KEYS:unread",
  "SEALING_KEYS",
]) {
  test(`a secret that stands there stays: ${JSON.stringify(line)}`, async (t) => {
    const before = `# Mine.\n${line}`;
    const folder = folderWith(t, before);
    const mine = (await parseVars(before)).SEALING_KEYS;
    await makeDevVars(folder);
    const after = textIn(folder);
    assert.match(after.slice(before.length), /^\nADMIN_KEY='[\w-]{32}'\n$/);
    assert.equal(after.slice(0, before.length), before);
    assert.equal((await readVars(path.join(folder, ".dev.vars"))).SEALING_KEYS, mine);
    assert.equal(hasDevVars(folder), true);
  });
}

test("a name in a comment or in another name does not stand there", async (t) => {
  const folder = folderWith(t, "# SEALING_KEYS=x\nMY_ADMIN_KEY=x\nADMIN_KEY_2=x\n");
  await makeDevVars(folder);
  const vars = await readVars(path.join(folder, ".dev.vars"));
  assert.deepEqual(Object.keys(vars), ["MY_ADMIN_KEY", "ADMIN_KEY_2", "SEALING_KEYS", "ADMIN_KEY"]);
});

test("behind a quote that does not end, the new lines are read all the same", async (t) => {
  for (const quote of ["'", '"', "`"]) {
    const folder = folderWith(t, `OPEN=${quote}no end`);
    await makeDevVars(folder);
    const vars = await readVars(path.join(folder, ".dev.vars"));
    assert.deepEqual(Object.keys(vars), ["OPEN", "SEALING_KEYS", "ADMIN_KEY"], quote);
    assert.match(vars.SEALING_KEYS, /^dev:/);
  }
});

test("a value that cannot be written again is told", async (t) => {
  const folder = folderWith(t, "SEALING_KEYS=x\nADMIN_KEY='a\"b`c\\'#d'\n");
  await assert.rejects(makeSandboxVars(folder), /^Error: ADMIN_KEY in \.dev\.vars: /);
});

test("the sandbox has secrets of its own, and the broker's as they are", async (t) => {
  const folder = folderWith(
    t,
    "SEALING_KEYS='dev:a$b${c}#d'\nexport ADMIN_KEY=\"it's`\"\nGURU_TOKEN=real\nOTHER=real\n",
  );
  const before = textIn(folder);
  const vars = await makeSandboxVars(folder);
  assert.equal(vars.SEALING_KEYS, "dev:a$b${c}#d");
  assert.equal(vars.ADMIN_KEY, "it's`");
  assert.ok(vars.GURU_TOKEN && vars.GURU_TOKEN !== "real");
  assert.equal("OTHER" in vars, false);
  assert.equal(textIn(folder), before);
  const place = path.join(folder, "sandbox");
  assert.deepEqual(byWrangler([place]), [vars]);
  assert.equal(modeOf(path.join(place, ".dev.vars")), 0o600);
  assert.deepEqual(await makeSandboxVars(folder), vars);

  writeFileSync(path.join(folder, ".dev.vars"), "SEALING_KEYS=other\n");
  const { ADMIN_KEY, ...rest } = vars;
  assert.ok(ADMIN_KEY);
  assert.deepEqual(await makeSandboxVars(folder), { ...rest, SEALING_KEYS: "other" });

  rmSync(path.join(folder, ".dev.vars"));
  const alone = await makeSandboxVars(folder);
  assert.match(alone.ADMIN_KEY, /^[\w-]{16,}$/);
  assert.deepEqual(await makeSandboxVars(folder), alone);
});

test("git keeps no such file", () => {
  for (const file of [".dev.vars", ".dev.vars.staging", "sandbox/.dev.vars"])
    assert.equal(output("git", ["check-ignore", file]), file);
});
