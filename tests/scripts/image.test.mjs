// The image's file. Nothing here builds it: what it says must fit the command, and it must take no secret in.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { inRoot } from "../../scripts/lib.mjs";
import { MODULES, SCRIPTS } from "../../scripts/package.mjs";
import { OPTIONS } from "../../scripts/serve.mjs";

const text = readFileSync(inRoot("Dockerfile"), "utf8").replace(/\\\n/g, " ");
const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
const instructions = lines.map((line) => ({
  name: line.split(" ")[0],
  rest: line.slice(line.indexOf(" ") + 1).trim(),
}));
/** @param {string} name */
const all = (name) => instructions.filter((it) => it.name === name).map(({ rest }) => rest);
/** The instructions of the last stage. */
const last = instructions.slice(instructions.findLastIndex(({ name }) => name === "FROM"));

test("the image's command is the package's, with options that it has", () => {
  const [program, script, command, ...args] = JSON.parse(all("ENTRYPOINT").join());
  assert.equal(program, "node");
  assert.equal(script, "/porteiro/node_modules/porteiro/scripts/porteiro.mjs");
  assert.equal(command, "serve");
  const given = args.filter((/** @type {string} */ arg) => arg.startsWith("--"));
  assert.deepEqual(given, ["--host", "--data"]);
  for (const option of given) assert.ok(option.slice(2) in OPTIONS, option);
  assert.equal(args[args.indexOf("--data") + 1], all("VOLUME").join());
  for (const name of ["porteiro.mjs", "serve.mjs", "serving.mjs", "front.js", "kv.js"])
    assert.ok([...SCRIPTS, ...MODULES].includes(name), name);
});

test("the image's process is not root, and has a folder of its own", () => {
  const user = last.findIndex(({ name }) => name === "USER");
  assert.equal(last[user]?.rest, "node");
  assert.deepEqual(
    last.slice(user).filter(({ name }) => ["RUN", "COPY", "USER"].includes(name)).length,
    1,
    "something is done as another user",
  );
  assert.ok(all("RUN").some((run) => run.includes("-o node") && run.includes("-m 0700 /data")));
});

test("the image has glibc in each stage, Node.js of one version, and a check of its health", () => {
  assert.equal(new Set(all("FROM").map((from) => from.split(" ")[0])).size, 1);
  for (const from of all("FROM")) assert.match(from, /^node:\d+-bookworm-slim( AS install)?$/);
  assert.match(all("HEALTHCHECK").join(), /127\.0\.0\.1:8787\/healthz/);
  assert.equal(all("EXPOSE").join(), "8787");
});

test("nothing but the package gets into the image, and no secret", () => {
  assert.deepEqual(all("COPY"), [
    "porteiro-*.tgz /tmp/",
    "--from=install /porteiro/node_modules /porteiro/node_modules",
  ]);
  assert.deepEqual([...all("ARG"), ...all("ADD")], []);
  assert.deepEqual(all("ENV"), ["NODE_ENV=production"]);
  assert.doesNotMatch(text, /_KEY|SECRET|TOKEN|PASSWORD/);
});
