// The preconditions of a deployment. Whole deployments, with the real wrangler, are in tests/drills/.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { healthAddress } from "../../scripts/health.mjs";
import { askFor, problemOf } from "../../scripts/secrets.mjs";

/** @param {string} path */
const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** How often `text` stands in `whole`. @param {string} whole @param {string} text */
const count = (whole, text) => whole.split(text).length - 1;

describe("what a deployment relies on", () => {
  test("finds healthz below every kind of target", () => {
    /** @type {[target: string, basePath: string, address: string | undefined][]} */
    const places = [
      ["https://porteiro.acme.workers.dev", "", "https://porteiro.acme.workers.dev/healthz"],
      ["https://porteiro.acme.workers.dev", "/broker", "https://porteiro.acme.workers.dev/broker/healthz"],
      ["broker.example.com (custom domain)", "", "https://broker.example.com/healthz"],
      ["app.example.com/broker/* (zone name: example.com)", "/broker", "https://app.example.com/broker/healthz"],
      ["app.example.com/* (zone id: 1)", "/broker", "https://app.example.com/broker/healthz"],
      ["app.example.com/broker/* (zone name: example.com)", "", undefined],
      ["*.example.com/broker/* (zone name: example.com)", "/broker", undefined],
      ["schedule: 0 0 * * *", "", undefined],
    ];
    for (const [target, basePath, address] of places) {
      assert.equal(healthAddress(target, basePath), address, target);
    }
  });

  test("knows the forms that the Worker takes", () => {
    const key = "A".repeat(43);
    for (const good of [`k1:${key}=`, `k2:${key}=,k1:${key}=`])
      assert.equal(problemOf("SEALING_KEYS", good), undefined);
    for (const bad of [key, `k1:${key}`, `k 1:${key}=`, `k1:${key}=,`]) assert.ok(problemOf("SEALING_KEYS", bad), bad);
    assert.equal(problemOf("GURU_WEBHOOK_SECRET", `whsec_${key}=`), undefined);
    assert.ok(problemOf("GURU_WEBHOOK_SECRET", "whsec_AAAA"));
    for (const good of ["-----BEGIN PRIVATE KEY-----\n", '\n{ "kty": "EC" }'])
      assert.equal(problemOf("BANK_PRIVATE_KEY", good), undefined);
    assert.ok(problemOf("BANK_PRIVATE_KEY", "x".repeat(43)) && problemOf("BANK_SERVICE_ACCOUNT", "account.json"));
    assert.ok(problemOf("BACKEND_KEY", "x".repeat(31)) && problemOf("ADMIN_KEY", "x".repeat(15)));
  });

  test("a key is asked for by its file, and none is made", async () => {
    const file = at("tests/data/wire.json");
    const answers = ["", "no such file", at("package-lock.json.absent"), at("README.md"), file];
    /** @type {string[]} */
    const asked = [];
    const hidden = async (/** @type {string} */ question) => {
      asked.push(question);
      return answers.shift() ?? "";
    };
    const missing = ["BANK_PRIVATE_KEY", "BANK_SERVICE_ACCOUNT"].map((name) => ({ name, needed: true }));
    const values = await askFor(missing, { hidden });
    assert.deepEqual(values, { BANK_SERVICE_ACCOUNT: await readFile(file, "utf8") });
    assert.equal(asked.length, 5);
    assert.match(asked[0], /BANK_PRIVATE_KEY \(the path of its file; Enter leaves it out\)/);
  });

  test("the button asks for the secrets that are described, and offers no value that would be taken", async () => {
    const {
      cloudflare: { bindings },
    } = JSON.parse(await readFile(at("examples/broker/package.json"), "utf8"));
    const lines = (await readFile(at("examples/broker/.dev.vars.example"), "utf8"))
      .split("\n")
      .filter((line) => line && !line.startsWith("#"));
    const asked = lines.map((line) => line.match(/^(\w+)=""$/)?.[1]);
    assert.deepEqual(asked, ["SEALING_KEYS", "ADMIN_KEY", "BACKEND_KEY"]);
    for (const name of [...asked, "TOKENS", "KEEPER"]) assert.ok(bindings[name].description, name);
  });

  test("the workflow runs what package.json has, with the account's secrets at the deployment only", async () => {
    const { scripts } = JSON.parse(await readFile(at("package.json"), "utf8"));
    const text = await readFile(at("examples/github-actions/deploy.yml"), "utf8");
    const jobs = text.split(/^ {2}(?=\w+:$)/m).slice(1);
    assert.deepEqual(jobs.map((job) => job.split(":")[0]).slice(-3), ["check", "staging", "production"]);
    const runs = [...text.matchAll(/^ +- run: (.+)$/gm)].map(([, run]) => run);
    assert.equal(runs.length, 6);
    for (const run of runs) assert.ok(scripts[run.match(/^npm run (\S+)/)?.[1] ?? ""], run);
    const [check] = jobs.filter((job) => job.startsWith("check:"));
    assert.doesNotMatch(check, /secrets\./);
    assert.equal(count(text, "secrets."), 4);
    assert.match(text, /^permissions:\n {2}contents: read$/m);
  });
});
