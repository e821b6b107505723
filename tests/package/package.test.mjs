// The npm package in an empty folder, where there is no Rust: what it contains, and each of its commands.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { chromium } from "playwright-core";
import { ensureChromium } from "../../scripts/chromium.mjs";
import { inRoot, output, root } from "../../scripts/lib.mjs";
import { endWithThis, freePort } from "../../scripts/processes.mjs";
import { until } from "../e2e/support/until.mjs";
import { installed } from "./support/installed.mjs";

const { project, tarball, env, run } = await installed();

/** Runs a command of the package. @param {...string} args */
const porteiro = (...args) => run("npx", ["porteiro", ...args]);

/** @param {string} file */
const read = (file) => readFileSync(path.join(project, file), "utf8");

describe("the package", () => {
  test("is installed where there is no Rust", () => {
    for (const name of ["cargo", "rustc", "rustup", "python3"]) {
      assert.notEqual(spawnSync("sh", ["-c", `command -v ${name}`], { env }).status, 0, name);
    }
  });

  test("contains what its commands need, and nothing else", () => {
    const listed = output("tar", ["-tzf", tarball])?.split("\n") ?? [];
    const places = new Set(listed.map((file) => file.replace(/^package\//, "")).map((file) => file.split("/")[0]));
    assert.deepEqual(
      [...places].sort(),
      [
        "CHANGELOG.md",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "check",
        "client",
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

  test("has the Worker that was built", () => {
    for (const name of ["index.js", "index_bg.wasm"]) {
      const [built, packed] = [inRoot("build", name), path.join(project, "node_modules/porteiro/worker", name)];
      assert.ok(readFileSync(built).equals(readFileSync(packed)), name);
    }
  });
});

describe("the check in WebAssembly", () => {
  for (const file of ["check/tests/check/mistakes.toml", "wrangler.toml", "sandbox/wrangler.toml"])
    test(`finds in ${file} what the native one finds`, () => {
      const cargo = ["run", "--quiet", "--locked", "--package", "porteiro-check", "--", file];
      const native = output("cargo", cargo, { cwd: root, maxBuffer: 2 ** 26 });
      assert.ok(native);
      const code = `import { readFileSync } from "node:fs";
        const { check } = await import(process.argv[1]);
        const [file, text] = [process.argv[2], readFileSync(process.argv[2], "utf8")];
        console.log(check(JSON.stringify({ file, text, local: false, dev_vars: [] })));`;
      const module = path.join(project, "node_modules/porteiro/check/check.js");
      const compiled = run("node", ["--input-type=module", "-e", code, module, inRoot(file)]);
      assert.deepEqual(JSON.parse(compiled.stdout), JSON.parse(native));
    });
});

describe("porteiro", () => {
  test("tells its commands and its version", () => {
    const { status, stdout } = porteiro("--help");
    assert.equal(status, 0);
    assert.ok(stdout.split("\n").length < 24, stdout);
    for (const name of ["init", "add", "providers", "check", "dev", "deploy", "keys", "connect-link"]) {
      assert.match(stdout, new RegExp(`porteiro ${name} `));
      assert.equal(porteiro(name, "--help").status, 0, name);
    }
    assert.match(porteiro("--version").stdout, /^\d+\.\d+\.\d+\n$/);
    assert.equal(porteiro("nothing").status, 2);
  });

  test("init writes a project, in the system's language, and overwrites nothing", () => {
    writeFileSync(path.join(project, ".gitignore"), "node_modules\n");
    const { status, text } = porteiro("init", "--yes", "--origins", "https://app.acme.example");
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
    const again = porteiro("init", "--yes");
    assert.equal(again.status, 0, again.text);
    assert.deepEqual([read("wrangler.toml"), read(".dev.vars")], [config, vars]);
    assert.match(porteiro("init", "--yes", "--origins", "app.example").text, /não é uma origem/);
  });

  test("add writes a connection, and says which secrets it needs", () => {
    const before = read("wrangler.toml");
    const { status, text } = porteiro("add", "hubsoft");
    assert.equal(status, 0, text);
    assert.ok(read("wrangler.toml").startsWith(before));
    assert.match(text, /HUBSOFT_CLIENT_ID\n\s+The client_id/);
    assert.match(read(".dev.vars"), /^HUBSOFT_PASSWORD=""$/m);
    const added = JSON.parse(porteiro("add", "guru", "--id", "shop", "--json").stdout);
    assert.deepEqual([added.id, added.secrets[0].name], ["shop", "SHOP_TOKEN"]);
    assert.equal(porteiro("add", "hubsoft").status, 2);
    assert.equal(porteiro("add", "nobody").status, 2);
  });

  test("check finds nothing wrong in what was written but the secrets that are missing, and what somebody breaks", () => {
    const { status, text } = porteiro("check", "--offline");
    assert.equal(status, 0, text);
    assert.match(text, /HUBSOFT_CLIENT_ID/);
    assert.match(text, /no problems/);
    const report = JSON.parse(porteiro("check", "--offline", "--json").stdout);
    assert.deepEqual(report.problems, []);
    const whole = read("wrangler.toml");
    writeFileSync(path.join(project, "wrangler.toml"), whole.replace('provider = "hubsoft"', 'provider = "hubsort"'));
    const broken = porteiro("check", "--offline");
    assert.equal(broken.status, 1, broken.text);
    assert.match(broken.text, /wrangler\.toml:\d+:\d+: problem: CONNECTIONS\.hubsoft\.provider/);
    writeFileSync(path.join(project, "wrangler.toml"), whole);
  });

  test("providers lists the catalogue, or tells about one", () => {
    const all = porteiro("providers").stdout.trim().split("\n");
    assert.ok(all.length > 90);
    assert.match(porteiro("providers", "v8").stdout, /V8_AUDIENCE/);
    assert.equal(JSON.parse(porteiro("providers", "v8", "--json").stdout).grant, "password");
    assert.equal(porteiro("providers", "nobody").status, 2);
  });

  test("keys makes new ones each time", () => {
    const [one, other] = [1, 2].map(() => JSON.parse(porteiro("keys", "--json").stdout));
    assert.match(one.SEALING_KEYS, /^k\d{8}:[A-Za-z0-9+/]{43}=$/);
    for (const name of Object.keys(one)) assert.notEqual(one[name], other[name]);
  });

  test("deploy --dry-run uploads the Worker as it is", () => {
    const { status, text } = porteiro("deploy", "--dry-run");
    assert.equal(status, 0, text);
    assert.match(text, /index_bg\.wasm/);
    assert.doesNotMatch(text, /npm run/);
  });
});

/**
 * Starts `porteiro dev`, and waits until it says that it is ready.
 * @param {...string} args
 */
async function dev(...args) {
  const child = endWithThis(
    spawn("node", ["node_modules/porteiro/scripts/porteiro.mjs", "dev", ...args], {
      cwd: project,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    }),
    "SIGTERM",
  );
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  await until(() => {
    assert.equal(child.exitCode, null, text);
    return text.includes("Porteiro is ready");
  }, "The broker");
  const end = async () => {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  };
  return { end, said: () => text };
}

describe("porteiro dev", () => {
  test("serves the project, and says what is missing", async () => {
    const port = await freePort();
    const broker = await dev("--port", String(port));
    try {
      const health = await (await fetch(`http://127.0.0.1:${port}/healthz`)).json();
      assert.equal(health.status, "ok");
      assert.match(broker.said(), /HUBSOFT_CLIENT_ID/);
      const key = /^BACKEND_KEY=['"](.+)['"]$/m.exec(read(".dev.vars"))?.[1];
      const headers = { authorization: `Bearer ${key}` };
      const answer = await fetch(`http://127.0.0.1:${port}/api/shop/products`, { headers });
      assert.equal((await answer.json()).code, "misconfigured");
    } finally {
      await broker.end();
    }
  });

  test("serves providers to try, with a page in a browser, and writes nothing into what npm installed", async () => {
    const broker = await dev("--sandbox");
    const browser = await chromium.launch({ executablePath: await ensureChromium(), args: ["--no-sandbox"] });
    try {
      const page = await browser.newPage();
      await page.goto("http://localhost:8787/");
      await page.getByRole("heading").first().waitFor();
      const answer = await fetch(
        "http://localhost:8787/api/guru/transactions?ordered_at_ini=2026-10-01&ordered_at_end=2026-10-31",
        {
          headers: { origin: "http://localhost:8790" },
        },
      );
      assert.equal(answer.status, 200);
      assert.ok(!existsSync(path.join(project, "node_modules/porteiro/sandbox/.dev.vars")));
    } finally {
      await browser.close();
      await broker.end();
    }
  });
});
