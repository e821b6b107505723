// The template of the Deploy to Cloudflare button, and `npm create porteiro`: both are what `init` writes.

import assert from "node:assert/strict";
import { cpSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { after, describe, test } from "node:test";
import { TEMPLATE } from "../../scripts/package.mjs";
import { makeFolder, tarball } from "./support/project.mjs";

const create = tarball.replace("porteiro-", "create-porteiro-");
const { folder, succeed, run, remove } = makeFolder("somewhere");
const inFolder = (/** @type {string[]} */ ...parts) => path.join(folder, ...parts);

after(remove);

/** The text of each file below a folder, by its path. @param {string} place */
const filesIn = (place) =>
  Object.fromEntries(
    readdirSync(place, { recursive: true, encoding: "utf8" })
      .filter((file) => statSync(path.join(place, file)).isFile())
      .sort()
      .map((file) => [file, readFileSync(path.join(place, file), "utf8")]),
  );

describe("npm create porteiro", () => {
  test("makes a project in a new folder, and nothing in one that is not empty", async () => {
    await succeed("npm", ["init", "-y"]);
    await succeed("npm", ["install", "--prefer-offline", tarball, create]);
    const command = inFolder("node_modules", ".bin", "create-porteiro");
    const args = ["porteiro", "--yes", "--no-install"];
    const made = await run(command, args, { more: { LANG: "C" } });
    assert.equal(made.status, 0, made.text);
    const { ".dev.vars": secrets, ...files } = filesIn(inFolder("porteiro"));
    assert.match(secrets, /^SEALING_KEYS=/m);
    // `npm run package -- --template` writes it again.
    assert.deepEqual(files, filesIn(TEMPLATE));
    const again = await run(command, args);
    assert.equal(again.status, 2, again.text);
    assert.deepEqual(filesIn(inFolder("porteiro")), { ".dev.vars": secrets, ...files });
  });
});

describe("the template", () => {
  test("has the form that the button asks for, and no secret", () => {
    const files = filesIn(TEMPLATE);
    const { scripts, cloudflare, dependencies } = JSON.parse(files["package.json"]);
    assert.ok(scripts.deploy && dependencies.porteiro);
    const asked = [...files[".dev.vars.example"].matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value]);
    assert.deepEqual(asked, [
      ["SEALING_KEYS", '""'],
      ["ADMIN_KEY", '""'],
      ["BACKEND_KEY", '""'],
    ]);
    for (const [name] of [...asked, ["TOKENS"], ["KEEPER"]]) assert.ok(cloudflare.bindings[name].description, name);
    assert.ok(!(".dev.vars" in files));
  });

  test("is built and deployed where there is no Rust, as the button does it", async () => {
    const clone = inFolder("clone");
    cpSync(TEMPLATE, clone, { recursive: true });
    rmSync(inFolder("node_modules"), { recursive: true, force: true });
    // The button runs `npm install` and the script `deploy`; the package is this one instead of the registry's.
    await succeed("npm", ["install", "--prefer-offline", "--prefix", clone, tarball]);
    const deployed = await succeed("npm", ["run", "--prefix", clone, "deploy", "--", "--dry-run"]);
    assert.match(deployed, /index_bg\.wasm/);
    assert.match(deployed, /env\.KEEPER \(Keeper\)/);
    assert.match(deployed, /env\.TOKENS/);
  });
});
