// `npm run check`: its options, its exit codes, what it prints, and what it asks wrangler.
/** @import { AddressInfo } from "node:net" */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { check, listSecrets, shown } from "../../scripts/check.mjs";
import { checkedSecrets } from "../../scripts/needs.mjs";
import { inRoot, node, root } from "../../scripts/lib.mjs";

const folder = mkdtempSync(path.join(os.tmpdir(), "porteiro-check-"));
// Compiled once, so that no test sees that said.
before(() => check({ offline: true }));
after(() => rmSync(folder, { recursive: true, force: true }));

const MISTAKES = "check/tests/check/mistakes.toml";

/** A file that is sound and goes on with `text`; gives its path. @param {string} name */
function sound(name, text = "") {
  const file = path.join(folder, name);
  writeFileSync(
    file,
    [
      'name = "porteiro-check-test"',
      'main = "build/index.js"',
      'compatibility_date = "2026-11-01"',
      'compatibility_flags = ["global_fetch_strictly_public"]',
      'kv_namespaces = [{ binding = "TOKENS" }]',
      'durable_objects = { bindings = [{ name = "KEEPER", class_name = "Keeper" }] }',
      'migrations = [{ tag = "v1", new_sqlite_classes = ["Keeper"] }]',
      text,
    ].join("\n"),
  );
  return file;
}

/**
 * Runs the script as npm does, as nobody whom wrangler knows; gives exit code and output.
 * @param {string[]} args
 * @returns {Promise<{ code: number | null, stdout: string, stderr: string }>}
 */
function run(args, env = {}) {
  const nobody = { HOME: folder, XDG_CONFIG_HOME: folder, CLOUDFLARE_API_TOKEN: "", ...cargo(), ...env };
  const child = spawn(node(), ["scripts/check.mjs", ...args], { cwd: root, env: { ...process.env, ...nobody } });
  const said = { stdout: "", stderr: "" };
  for (const name of /** @type {const} */ (["stdout", "stderr"]))
    child[name].setEncoding("utf8").on("data", (chunk) => (said[name] += chunk));
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, ...said })));
}

/** Where cargo and rustup have their own, which a home elsewhere hides. */
function cargo() {
  const at = (/** @type {string} */ name, /** @type {string} */ place) =>
    process.env[name] ?? path.join(os.homedir(), place);
  return { CARGO_HOME: at("CARGO_HOME", ".cargo"), RUSTUP_HOME: at("RUSTUP_HOME", ".rustup") };
}

test("a file with mistakes ends with 1, each in a line of its own, and no value is told", async () => {
  const { code, stdout, stderr } = await run(["--config", MISTAKES, "--offline"]);
  assert.equal(code, 1);
  assert.equal(stderr, "");
  const report = await check({ config: MISTAKES, offline: true });
  assert.ok(report.problems.length > 60);
  for (const { environment, line, column, field, message } of report.problems) {
    const kind = environment ? `problem in ${environment}` : "problem";
    assert.ok(stdout.split("\n").includes(`${MISTAKES}:${line}:${column}: ${kind}: ${field} ${message}`), field);
  }
  assert.match(stdout, new RegExp(`^${MISTAKES}: ${report.problems.length} problems, no warnings\\.$`, "m"));
  assert.doesNotMatch(stdout, /canary/i);
  assert.match(readFileSync(inRoot(MISTAKES), "utf8"), /CANARY/);
});

test("--json prints one document", async () => {
  const { code, stdout } = await run(["--config", MISTAKES, "--offline", "--json"]);
  assert.equal(code, 1);
  /** @type {Awaited<ReturnType<typeof check>>} */
  const report = JSON.parse(stdout);
  assert.deepEqual(Object.keys(report), ["problems", "warnings", "secrets", "development"]);
  const found = report.problems.find(({ field }) => field === "CONNECTIONS.hubsoft.rules[1].paths[3]");
  const line =
    readFileSync(inRoot(MISTAKES), "utf8")
      .split("\n")
      .findIndex((text) => text.includes('"/**/CANARY"')) + 1;
  assert.ok(found);
  assert.deepEqual(found, { environment: null, line, column: 15, field: found.field, message: found.message });
  assert.ok(report.problems.some(({ environment }) => environment === "staging"));
  const password = report.secrets.find(({ environment, name }) => environment === "staging" && name === "V8_PASSWORD");
  const command = `npx wrangler secret put V8_PASSWORD --env staging --config ${MISTAKES}`;
  assert.deepEqual(password, { environment: "staging", name: "V8_PASSWORD", needed: true, set: null, command });
  assert.doesNotMatch(stdout, /canary/i);
});

test("what is no TOML is a problem in its line, and none of its text is told", async () => {
  const file = sound("broken.toml", '[vars]\nHUBSOFT_PASSWORD = "CANARY\n');
  const { code, stdout, stderr } = await run(["--config", file, "--offline"]);
  assert.equal(code, 1);
  assert.ok(stdout.startsWith(`${file}:9:`) && stdout.includes(": problem: is not TOML: "), stdout);
  assert.doesNotMatch(stdout + stderr, /canary/i);
});

test("warnings and missing secrets end with 0, and with --strict warnings end with 1", async () => {
  const file = sound("warned.toml", "vars.SESSION_CROSS_SITE = true");
  const warned = await run(["--config", file, "--offline"]);
  assert.equal(warned.code, 0);
  assert.match(warned.stdout, /:8:6: warning: SESSION_CROSS_SITE lets pages of other sites/);
  assert.match(
    warned.stdout,
    /^Secrets to be given to Cloudflare, where they are not set there yet:\n {2}npx wrangler secret put SEALING_KEYS --config /m,
  );
  assert.match(warned.stdout, /: no problems, 1 warning\.$/m);
  assert.equal((await run([`--config=${file}`, "--offline", "--strict"])).code, 1);
  assert.equal((await run(["-c", sound("clean.toml"), "--offline", "--strict"])).code, 0);
});

test("a rule by which people reach a shared account unbound is told at its line, in text and in JSON", async () => {
  const config = sound(
    "shared.toml",
    `[vars.CALLERS.subscriber]
kind = "jwt"
issuer = "https://issuer.example"
audience = "broker"
[vars.CONNECTIONS.hubsoft]
provider = "hubsoft"
base_url = "https://hubsoft.example"
[[vars.CONNECTIONS.hubsoft.rules]]
callers = ["subscriber"]
methods = ["GET"]
paths = ["/api/v1/integracao/cliente/financeiro"]
`,
  );
  const field = "CONNECTIONS.hubsoft.rules[0]";
  const said = await run(["--config", config, "--offline"]);
  assert.equal(said.code, 0);
  const line = said.stdout.split("\n").find((text) => text.includes(`: warning: ${field} binds nothing to who calls`));
  assert.ok(line, said.stdout);
  assert.ok(line.startsWith(`${config}:15:1: warning: `), line);
  assert.ok(line.endsWith('query = { busca = "cpf_cnpj", termo_busca = "{claims.cpf}" }'), line);
  const { warnings } = JSON.parse((await run(["--config", config, "--offline", "--json"])).stdout);
  const message = line.slice(line.indexOf(field) + field.length + 1);
  assert.deepEqual(warnings, [{ environment: null, line: 15, column: 1, field, message }]);
});

test("what cannot be checked ends with 2 and one line", async () => {
  writeFileSync(path.join(folder, "latin1.toml"), Buffer.from([0x23, 0xe9, 0x0a]));
  /** @type {[string[], string][]} */
  const cases = [
    [["--config", path.join(folder, "nowhere.toml")], "cannot be read"],
    [["--config", folder], "cannot be read"],
    [["--config", path.join(folder, "latin1.toml")], "is not UTF-8"],
    [["--config", "wrangler.jsonc"], "write the configuration as TOML"],
    [["--config"], "--config needs a value"],
    [["--env", "nowhere"], "has no [env.nowhere]"],
    [["--strictly"], "There is no option --strictly"],
    [["--json=yes"], "There is no option --json=yes"],
    [["wrangler.toml"], "There is no option wrangler.toml"],
  ];
  for (const [args, text] of cases) {
    const { code, stdout, stderr } = await run(
      [...args, "--offline"].slice(0, args[0] === "--config" && args.length === 1 ? 1 : undefined),
    );
    assert.equal(code, 2, `${args}`);
    assert.equal(stdout, "");
    assert.ok(stderr.startsWith("error: ") && stderr.includes(text) && stderr.trim().split("\n").length === 1, stderr);
  }
});

test("--env checks one environment, and an empty name the top level", async () => {
  const file = sound("environments.toml", "[vars]\nBASE_PATH = 1\n[env.staging]\n");
  const environments = async (/** @type {string[]} */ ...args) => {
    const { stdout } = await run(["--config", file, "--offline", "--json", ...args]);
    /** @type {Awaited<ReturnType<typeof check>>} */
    const { problems } = JSON.parse(stdout);
    return [...new Set(problems.map(({ environment }) => environment))];
  };
  assert.deepEqual(await environments(), [null, "staging"]);
  assert.deepEqual(await environments("--env", "staging"), ["staging"]);
  assert.deepEqual(await environments("--env="), [null]);
});

test("secrets that are set are not asked for again", async () => {
  const config = sound("secrets.toml", "[vars.CALLERS.backend]\nkind = 'key'\n[env.staging]\n[env.other]\n");
  const known = new Map([
    [null, ["SEALING_KEYS", "ELSE"]],
    ["staging", []],
  ]);
  const report = await check({
    config,
    secretNames: async (file, name) => (assert.equal(file, config), known.get(name)),
  });
  const states = report.secrets.map(({ environment, name, set }) => [environment, name, set]);
  assert.deepEqual(states, [
    [null, "SEALING_KEYS", true],
    [null, "BACKEND_KEY", false],
    [null, "ADMIN_KEY", false],
    ["other", "SEALING_KEYS", null],
    ["other", "ADMIN_KEY", null],
    ["staging", "SEALING_KEYS", false],
    ["staging", "ADMIN_KEY", false],
  ]);
  const text = shown(report, config);
  assert.ok(!text.includes(`put SEALING_KEYS --config`) && text.includes("put BACKEND_KEY --config"));
  assert.ok(text.includes("put SEALING_KEYS --env staging") && text.includes("put SEALING_KEYS --env other"));
  assert.match(text, /^Secrets to be given to Cloudflare, where they are not set there yet:$/m);
  known.set("other", ["SEALING_KEYS"]);
  const all = await check({ config, secretNames: async (_, name) => known.get(name) });
  assert.match(shown(all, config), /^Secrets to be given to Cloudflare:$/m);
});

test("what is missing or wrong in .dev.vars is told by name, and ends with 0", async () => {
  const config = sound("local.toml", "[vars.CALLERS.backend]\nkind = 'key'\n[vars.CALLERS.other]\nkind = 'key'\n");
  const file = path.join(folder, ".dev.vars");
  writeFileSync(file, "SEALING_KEYS='k1:CANARY'\nOTHER_KEY=' Bearer CANARY'\n");
  const args = ["--config", config, "--offline", "--env="];
  const { code, stdout, stderr } = await run([...args, "--strict"]);
  const json = await run([...args, "--json"]);
  rmSync(file);
  assert.equal(code, 0);
  const missing = "is not set: nobody can call as backend";
  const heading = "On this machine (nothing of this is deployed):";
  const at = stdout.split("\n").indexOf(heading);
  assert.deepEqual(stdout.split("\n").slice(at + 1, at + 3), [
    `  ${file}: BACKEND_KEY ${missing}`,
    `  ${file}: ADMIN_KEY is not set: nobody is an operator, and no connection can be registered; copy it from .dev.vars, where \`npm run setup\` makes it`,
  ]);
  assert.ok(stdout.includes(`\n  ${file}: SEALING_KEYS must have keys of 32 bytes in base64\n`), stdout);
  assert.ok(stdout.includes(`\n  ${file}: OTHER_KEY looks pasted wrong: it begins with its scheme;`), stdout);
  const given =
    /^Secrets to be given to Cloudflare, where they are not set there yet:\n(?: {2}.*\n)* {2}npx .* put OTHER_KEY /m;
  assert.match(stdout, given);
  assert.doesNotMatch(stdout + stderr + json.stdout + json.stderr, /canary/i);
  const { development } = JSON.parse(json.stdout);
  assert.deepEqual(development[0], { environment: null, file, field: "BACKEND_KEY", message: missing });
  const clone = await run([...args, "--strict"]);
  assert.ok(clone.code === 0 && !clone.stdout.includes("On this machine"), clone.stdout);
});

test("whatever wrangler does, the check goes on", async () => {
  /** @param {string} script @returns {{ tool: () => [string, string[]], patience: number }} */
  const tool = (script) => ({ tool: () => [node(), ["-e", script]], patience: 2_000 });
  assert.deepEqual(
    await listSecrets("a", null, tool('console.log(JSON.stringify([{ name: "A", type: "secret_text" }]))')),
    ["A"],
  );
  for (const script of [
    "process.exit(1)",
    'console.log("not json")',
    "console.log('[null]')",
    "",
    'console.log("[]"); process.exit(1)',
  ]) {
    assert.equal(await listSecrets("a", null, tool(script)), undefined, script);
  }
  assert.equal(await listSecrets("a", null, { tool: () => ["/nowhere/wrangler", []] }), undefined);
  // What hangs is ended, with what it started.
  const start = performance.now();
  const hanging = `require("node:child_process").spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" }); setInterval(() => {}, 1000)`;
  assert.equal(await listSecrets("a", null, { ...tool(hanging), patience: 500 }), undefined);
  assert.ok(performance.now() - start < 5_000);
});

test("the project's own wrangler is asked, for each environment", async () => {
  /** @type {string[]} */
  const asked = [];
  const api = createServer(({ url = "" }, response) => {
    asked.push(url);
    const names = url.includes("staging") ? [] : ["SEALING_KEYS"];
    const result = names.map((name) => ({ name, type: "secret_text" }));
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ success: true, errors: [], messages: [], result }));
  });
  await new Promise((resolve) => api.listen(0, "127.0.0.1", () => resolve(undefined)));
  const file = sound("asked.toml", "[env.staging]\n");
  Object.assign(process.env, {
    CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${/** @type {AddressInfo} */ (api.address()).port}`,
    CLOUDFLARE_API_TOKEN: "token",
    CLOUDFLARE_ACCOUNT_ID: "account",
  });
  // A busy machine takes its time to start wrangler twice.
  const { secrets } = await check({
    config: file,
    secretNames: (configuration, environment) => listSecrets(configuration, environment, { patience: 120_000 }),
  });
  for (const name of ["BASE_URL", "TOKEN"].map((end) => `CLOUDFLARE_API_${end}`)) delete process.env[name];
  delete process.env.CLOUDFLARE_ACCOUNT_ID;
  await new Promise((resolve) => api.close(resolve));
  const needed = secrets.filter((secret) => secret.needed);
  assert.deepEqual(
    needed.map(({ environment, set }) => [environment, set]),
    [
      [null, true],
      ["staging", false],
    ],
  );
  assert.ok(asked.includes("/accounts/account/workers/scripts/porteiro-check-test/secrets"), `${asked}`);
  assert.ok(asked.includes("/accounts/account/workers/scripts/porteiro-check-test-staging/secrets"), `${asked}`);
});

test("where nobody is signed in the secrets are listed all the same", async () => {
  const { code, stdout } = await run(["--config", sound("nobody.toml")]);
  assert.equal(code, 0);
  assert.match(stdout, /^Secrets to be given to Cloudflare, where they are not set there yet:$/m);
});

test("a deployment with a problem does not begin, and else knows the secrets", async () => {
  const file = sound(
    "deployed.toml",
    "[vars]\nBASE_PATH = 1\n[env.staging]\nkv_namespaces = [{ binding = 'TOKENS' }]\ndurable_objects.bindings = [{ name = 'KEEPER', class_name = 'Keeper' }]\n",
  );
  await assert.rejects(checkedSecrets({ config: file }), /The configuration has problems/);
  assert.deepEqual(await checkedSecrets({ config: file, environment: "staging" }), [
    { name: "SEALING_KEYS", needed: true },
    { name: "ADMIN_KEY", needed: false },
  ]);
});
