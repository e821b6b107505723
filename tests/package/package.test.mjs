// The npm package in an empty folder, where there is no Rust: what it contains, and each of its commands.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { after, describe, test } from "node:test";
import { readCatalogue } from "../../scripts/catalogue.mjs";
import { NATIVE } from "../../scripts/check.mjs";
import { connectionText, fieldsOf } from "../../scripts/connection-text.mjs";
import { inRoot, output, root } from "../../scripts/lib.mjs";
import { languages } from "../../scripts/words.mjs";
import { makeProject, tarball } from "./support/project.mjs";

const { folder: project, env, run, porteiro, read, write, remove } = await makeProject("acme-broker");

after(remove);

describe("the package", () => {
  test("is installed where there is no Rust", async () => {
    for (const name of ["cargo", "rustc", "rustup", "python3"]) {
      assert.notEqual(spawnSync("sh", ["-c", `command -v ${name}`], { env }).status, 0, name);
    }
  });

  test("contains what its commands need, and nothing else", async () => {
    const listed = output("tar", ["-tzf", tarball])?.split("\n") ?? [];
    const places = new Set(listed.map((file) => file.replace(/^package\//, "")).map((file) => file.split("/")[0]));
    assert.deepEqual(
      [...places].sort(),
      [
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "THIRD-PARTY-LICENSES.txt",
        "check",
        "client",
        "docs",
        "examples",
        "package.json",
        "providers",
        "sandbox",
        "scripts",
        "template",
        "worker",
        "wrangler.toml",
      ].sort(),
    );
    const secret = listed.filter((file) => /\.dev\.vars|\.test\.mjs|(^|\/)\.wrangler(\/|$)|target\//.test(file));
    assert.deepEqual(secret, []);
    const inFolder = (/** @type {string} */ name) =>
      listed
        .filter((file) => file.startsWith(`package/${name}/`))
        .map((file) => file.slice(9 + name.length))
        .sort();
    assert.deepEqual(inFolder("worker"), ["index.d.ts", "index.js", "index_bg.wasm"]);
    assert.deepEqual(inFolder("check"), ["check.js", "check_bg.wasm"]);
  });

  test("has the Worker that was built", async () => {
    for (const name of ["index.js", "index_bg.wasm"]) {
      const [built, packed] = [inRoot("build", name), path.join(project, "node_modules/porteiro/worker", name)];
      assert.ok(readFileSync(built).equals(readFileSync(packed)), name);
    }
  });
});

describe("the check in WebAssembly", async () => {
  for (const file of ["check/tests/check/mistakes.toml", "wrangler.toml", "sandbox/wrangler.toml"])
    test(`finds in ${file} what the native one finds`, async () => {
      const native = output("cargo", [...NATIVE, file], { cwd: root, maxBuffer: 2 ** 26 });
      assert.ok(native);
      const code = `import { readFileSync } from "node:fs";
        const { check } = await import(process.argv[1]);
        const [file, text] = [process.argv[2], readFileSync(process.argv[2], "utf8")];
        console.log(check(JSON.stringify({ file, text, local: false, dev_vars: [] })));`;
      const module = path.join(project, "node_modules/porteiro/check/check.js");
      const compiled = await run("node", ["--input-type=module", "-e", code, module, inRoot(file)]);
      assert.deepEqual(JSON.parse(compiled.stdout), JSON.parse(native));
    });
});

describe("porteiro", () => {
  test("tells its commands and its version", async () => {
    const { status, stdout } = await porteiro("--help");
    assert.equal(status, 0);
    assert.ok(stdout.split("\n").length < 24, stdout);
    for (const name of ["init", "add", "providers", "check", "dev", "serve", "deploy", "keys", "connect-link"]) {
      assert.match(stdout, new RegExp(`porteiro ${name} `));
      assert.equal((await porteiro(name, "--help")).status, 0, name);
    }
    assert.match((await porteiro("--version")).stdout, /^\d+\.\d+\.\d+\n$/);
    assert.equal((await porteiro("nothing")).status, 2);
  });

  test("init writes a project, in the system's language, and overwrites nothing", async () => {
    write(".gitignore", "node_modules\n");
    const { status, text } = await porteiro("init", "--yes", "--origins", "https://app.acme.example");
    assert.equal(status, 0, text);
    const config = read("wrangler.toml");
    assert.match(config, /^name = "acme-broker"$/m);
    assert.match(config, /Quais front-ends podem chamar/);
    assert.match(config, /^ALLOWED_ORIGINS = \["https:\/\/app\.acme\.example"\]$/m);
    assert.doesNotMatch(config, /\{\w+\}/);
    assert.match(read(".github/workflows/deploy.yml"), /\$\{\{ secrets\.CLOUDFLARE_API_TOKEN \}\}/);
    assert.equal(read(".gitignore"), "node_modules\n");
    assert.match(text, /\.gitignore já existe e ficou como está; não tem .*\.dev\.vars/);
    const vars = read(".dev.vars");
    for (const name of ["SEALING_KEYS", "ADMIN_KEY", "BACKEND_KEY"])
      assert.match(vars, new RegExp(`^${name}=.{16,}$`, "m"));
    const again = await porteiro("init", "--yes");
    assert.equal(again.status, 0, again.text);
    assert.deepEqual([read("wrangler.toml"), read(".dev.vars")], [config, vars]);
    assert.match((await porteiro("init", "--yes", "--origins", "app.example")).text, /não é uma origem/);
  });

  test("add writes a connection, and says which secrets it needs", async () => {
    const before = read("wrangler.toml");
    const { status, text } = await porteiro("add", "hubsoft");
    assert.equal(status, 0, text);
    assert.ok(read("wrangler.toml").startsWith(before));
    assert.match(text, /HUBSOFT_CLIENT_ID\n\s+The client_id/);
    assert.match(text, /base_url\n\s+The https address/);
    assert.match(text, /curl .*localhost:8787\/api\/hubsoft\/api\/v1/);
    assert.match(read(".dev.vars"), /^HUBSOFT_PASSWORD=""$/m);
    const added = JSON.parse((await porteiro("add", "guru", "--id", "shop", "--json")).stdout);
    assert.deepEqual([added.id, added.secrets[0].name], ["shop", "SHOP_TOKEN"]);
    assert.equal((await porteiro("add", "hubsoft")).status, 2);
    assert.equal((await porteiro("add", "nobody")).status, 2);
  });

  test("add writes for each provider what has no problem but the fields that only the person knows", async () => {
    const { check } = await import(path.join(project, "node_modules/porteiro/check/check.js"));
    let named = 0;
    for (const provider of readCatalogue()) {
      const text = `${read("wrangler.toml").split("# HubSoft:")[0]}\n${connectionText("one", provider, languages.pt)}`;
      const report = JSON.parse(check(JSON.stringify({ file: "wrangler.toml", text, local: false, dev_vars: [] })));
      const fields = fieldsOf(provider).map(({ name }) => `CONNECTIONS.one.${name}`);
      const others = report.problems.filter(
        (/** @type {{ field: string, message: string }} */ { field }) => !fields.some((name) => field.startsWith(name)),
      );
      assert.deepEqual(others, [], provider.id);
      // No secret goes to whoever the catalogue's example names.
      const { secrets, fields: more } = provider.example;
      for (const { name } of fieldsOf(provider).filter(({ name }) => name !== "scope")) {
        const value = secrets?.[name] ?? more?.[name];
        if (value) {
          named += 1;
          assert.ok(!text.includes(`${name} = "${value}"`), `${provider.id}: ${name}`);
        }
      }
    }
    assert.ok(named > 15, String(named));
  });

  test("check finds nothing wrong in what was written but the secrets that are missing, and what somebody breaks", async () => {
    const { status, text } = await porteiro("check", "--offline");
    assert.equal(status, 0, text);
    assert.match(text, /HUBSOFT_CLIENT_ID/);
    assert.match(text, /warning: CONNECTIONS\.hubsoft\.base_url is no address yet/);
    assert.match(text, /no problems/);
    const report = JSON.parse((await porteiro("check", "--offline", "--json")).stdout);
    assert.deepEqual(report.problems, []);
    const whole = read("wrangler.toml");
    write("wrangler.toml", whole.replace('provider = "hubsoft"', 'provider = "hubsort"'));
    const broken = await porteiro("check", "--offline");
    assert.equal(broken.status, 1, broken.text);
    assert.match(broken.text, /wrangler\.toml:\d+:\d+: problem: CONNECTIONS\.hubsoft\.provider/);
    write("wrangler.toml", whole);
  });

  test("providers lists the catalogue, or tells about one", async () => {
    const all = (await porteiro("providers")).stdout.trim().split("\n");
    assert.ok(all.length > 90);
    assert.match((await porteiro("providers", "v8")).stdout, /V8_AUDIENCE/);
    assert.equal(JSON.parse((await porteiro("providers", "v8", "--json")).stdout).grant, "password");
    assert.equal((await porteiro("providers", "nobody")).status, 2);
  });

  test("keys makes new ones each time", async () => {
    const [one, other] = (await Promise.all([porteiro("keys", "--json"), porteiro("keys", "--json")])).map(
      ({ stdout }) => JSON.parse(stdout),
    );
    assert.match(one.SEALING_KEYS, /^k\d{8}:[A-Za-z0-9+/]{43}=$/);
    for (const name of Object.keys(one)) assert.notEqual(one[name], other[name]);
  });

  test("deploy --dry-run uploads the Worker as it is", async () => {
    const { status, text } = await porteiro("deploy", "--dry-run");
    assert.equal(status, 0, text);
    assert.match(text, /index_bg\.wasm/);
    assert.doesNotMatch(text, /npm run/);
  });
});
