// The options of the scripts, read in one way, and what `npm run dev` refuses before anything is started.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { target } from "../../scripts/deploy.mjs";
import { devVarsBeside, devVarsToRun } from "../../scripts/development.mjs";
import { node, root } from "../../scripts/lib.mjs";
import { optionsOf, someOptions } from "../../scripts/options.mjs";

/** @type {import("../../scripts/options.mjs").Options} */
const OPTIONS = {
  config: { value: "PATH", short: "c", help: "a file" },
  env: { value: "NAME", short: "e", help: "an environment" },
  json: { help: "one document" },
};
const read = (/** @type {string[]} */ ...args) => optionsOf(args, OPTIONS, "a script");

test("an option is read in each of its forms, and the last one counts", () => {
  for (const args of [["--config", "a=b"], ["--config=a=b"], ["-c", "a=b"], ["-c=a=b"], ["-c", "x", "--config=a=b"]]) {
    assert.deepEqual({ ...read(...args)?.values }, { config: "a=b" }, args.join(" "));
  }
  const all = read("--env=", "--json", "-c", "x");
  assert.deepEqual({ ...all?.values }, { env: "", config: "x" });
  assert.deepEqual([...(all?.switches ?? [])], ["json"]);
});

test("a wrong option is an error that names the options", () => {
  for (const wrong of ["--strictly", "--json=yes", "wrangler.toml", "-x", "--"]) {
    assert.throws(
      () => read("--json", wrong),
      new RegExp(`^Error: There is no option ${wrong}: the options are --config, --env, --json, --help\\.$`),
    );
  }
  assert.throws(() => read("--config"), /^Error: --config needs a value: PATH\.$/);
  assert.throws(() => read("-e"), /^Error: -e needs a value: NAME\.$/);
});

test("what is another program's is left to it", () => {
  const { values, others } = someOptions(["--dry-run", "--env", "a", "--message", "b c", "-x=1"], OPTIONS);
  assert.deepEqual({ ...values }, { env: "a" });
  assert.deepEqual(others, ["--dry-run", "--message", "b c", "-x=1"]);
});

test("a deployment's place is read from wrangler's options", () => {
  assert.deepEqual(target(["-c", "a.toml", "-e=staging", "--dry-run", "--name=other"]), {
    config: "a.toml",
    environment: "staging",
    own: [],
    shared: ["--env=staging", "--config=a.toml", "--name=other"],
  });
  assert.deepEqual(target(["--dry-run"]), {
    config: undefined,
    environment: undefined,
    own: ["--env="],
    shared: ["--env="],
  });
});

/** @param {string[]} args */
function dev(...args) {
  const { status, stdout, stderr } = spawnSync(node(), ["scripts/start.mjs", "--no-sandbox", ...args], {
    cwd: root,
    encoding: "utf8",
    timeout: 60_000,
  });
  return { status, text: `${stdout}${stderr}` };
}

test("`npm run dev` refuses what cannot be, before anything is started", async (t) => {
  const taken = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => taken.once("listening", () => resolve(undefined)));
  t.after(() => taken.close());
  const { port } = /** @type {import("node:net").AddressInfo} */ (taken.address());
  /** @type {[string[], string][]} */
  const cases = [
    [["--prot", "1"], "There is no option --prot: the options are --config, --env, --port, --help."],
    [["--port"], "--port needs a value: N."],
    ...["0", "65536", "1e3", "-1", "", "http"].map(
      (port) =>
        /** @type {[string[], string]} */ ([
          [`--port=${port}`],
          `--port is a number from 1 to 65535, and not ${port}.`,
        ]),
    ),
    [["--config", "nowhere.toml"], "There is no file nowhere.toml."],
    [["--config=package.json", "--port=8991"], "package.json cannot be read: write the configuration as TOML."],
    [["--env", "nowhere", "--port=8991"], "wrangler.toml has no [env.nowhere]."],
    [["--port", String(port)], `Port ${port} is in use: end what listens there, and try again.`],
  ];
  for (const [args, message] of cases) {
    assert.deepEqual(dev(...args), { status: 1, text: `\nerror: ${message}\n` }, args.join(" "));
  }
});

test("its help fits a screen", () => {
  const { status, text } = dev("--help");
  assert.equal(status, 0);
  const lines = text.trimEnd().split("\n");
  assert.ok(lines.length <= 24 && lines.every((line) => line.length <= 120), text);
  for (const name of ["--config PATH", "--env NAME", "--port N"]) assert.ok(text.includes(name), name);
});

test("variables are found where wrangler finds them", async (t) => {
  const folder = mkdtempSync(path.join(os.tmpdir(), "porteiro-options-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const config = path.join(folder, "wrangler.toml");
  const top = { environment: "", file: path.join(folder, ".dev.vars"), variables: {} };
  assert.deepEqual(await devVarsBeside(config, undefined), []);
  assert.deepEqual(await devVarsBeside(config, "staging"), []);
  assert.deepEqual(await devVarsToRun(config, "staging"), [{ ...top, environment: "staging" }]);

  writeFileSync(top.file, "A='top'\n");
  const variables = { A: "top" };
  assert.deepEqual(await devVarsBeside(config, undefined), [{ ...top, variables }]);
  assert.deepEqual(await devVarsBeside(config, "staging"), [{ ...top, environment: "staging", variables }]);

  writeFileSync(`${top.file}.example`, "A=''\n");
  writeFileSync(`${top.file}.staging`, "B='own'\n");
  const own = { environment: "staging", file: `${top.file}.staging`, variables: { B: "own" } };
  assert.deepEqual(await devVarsBeside(config, undefined), [{ ...top, variables }, own]);
  assert.deepEqual(await devVarsToRun(config, "staging"), [own]);
  assert.deepEqual(await devVarsBeside(config, ""), [{ ...top, variables }]);
});
