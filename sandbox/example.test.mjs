// Tests the example front end as served, without a browser; tests/e2e drives it in one.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startExample } from "./frontend.mjs";
import { startHubsoft } from "./providers/hubsoft.mjs";

/** @param {string} path */
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
/** @param {string} path */
const read = (path) => readFile(at(path), "utf8");

describe("the example front end", () => {
  /** @type {Awaited<ReturnType<typeof startExample>>} */
  let example;
  /** Both pages, by path. @type {Record<string, string>} */
  const pages = {};
  before(async () => {
    example = await startExample();
    for (const path of ["/", "/password.html"]) pages[path] = await (await fetch(example.url + path)).text();
  });
  after(() => example?.close());

  test("is served with its own files and nothing else", async () => {
    const scripts = ["app", "broker", "page", "password", "porteiro", "words"].map((name) => `/${name}.js`);
    for (const path of ["/", "/password.html", ...scripts, "/style.css"]) {
      const response = await fetch(example.url + path);
      assert.equal(response.status, 200, path);
      assert.equal(response.headers.get("content-security-policy"), "frame-ancestors 'none'");
      assert.equal(response.headers.get("cross-origin-opener-policy"), "same-origin-allow-popups");
    }
    for (const path of ["/porteiro.d.ts", "/jsconfig.json", "/..%2f..%2fpackage.json", "/none"]) {
      assert.equal((await fetch(example.url + path)).status, 404, path);
    }
  });

  test("has a strict policy, and nothing that it would stop", () => {
    for (const html of Object.values(pages)) checkPolicy(html);
  });

  /** @param {string} html */
  function checkPolicy(html) {
    const policy = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(html)?.[1] ?? "";
    assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src /);
    assert.match(policy, /; base-uri 'none';/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    // The policy does not cover what precedes it in the page.
    assert.ok(html.indexOf("Content-Security-Policy") < html.search(/<(script|link|style)/));
    assert.doesNotMatch(html, /<style|\sstyle=|<script(?![^>]*src=)|\son\w+=|javascript:/i);
  }

  test("names the broker's address alike in the script and in the policy", async () => {
    const broker = /^export const BROKER = "([^"]+)";$/m.exec(await read("examples/front-end/broker.js"))?.[1];
    assert.ok(broker);
    for (const html of Object.values(pages)) assert.ok(html.includes(`connect-src ${broker};`), broker);
  });

  test("has words for each way in which a sign-in can fail", async () => {
    const types = await read("client/answers.d.ts");
    const codes = [...(/type FlowCode =([^;]+);/.exec(types)?.[1].matchAll(/"(\w+)"/g) ?? [])].map(([, code]) => code);
    assert.ok(codes.length > 0);
    const words = await read("examples/front-end/words.js");
    for (const code of codes) assert.equal(words.split(`    ${code}: "`).length, 3, code);
  });

  test("shows the sandbox's accounts as they are", async () => {
    const hubsoft = await startHubsoft();
    await hubsoft.close();
    const shown = [...pages["/password.html"].matchAll(/<dt>([^<]+)<\/dt><dd>([^<]+)<\/dd>/g)].map(
      ([, username, password]) => ({
        username,
        password,
      }),
    );
    assert.deepEqual(shown, hubsoft.people);
  });

  test("is sound TypeScript by its JSDoc", async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      at("node_modules/typescript/bin/tsc"),
      "--project",
      at("examples/front-end/jsconfig.json"),
    ]).catch((error) => error);
    assert.equal(stdout, "");
  });

  test("knows every error code of the documentation, and no other", async () => {
    const types = await read("client/answers.d.ts");
    const union = /type ProblemCode =([^;]+);/.exec(types)?.[1] ?? "";
    const known = [...union.matchAll(/"(\w+)"/g)].map(([, code]) => code).sort();
    const documented = [...(await read("docs/reference/errors.md")).matchAll(/^\| [45]\d\d \| `(\w+)` \|/gm)]
      .map(([, code]) => code)
      .sort();
    assert.deepEqual(known, documented);
  });
});

describe("docs/guides/people-sign-in.md", () => {
  test("shows code that is in the example, word for word", async () => {
    const files = ["broker", "app", "password"].map((name) => read(`examples/front-end/${name}.js`));
    const code = (await Promise.all(files)).join("\n").replace(/^\s*\/\*\*[\s\S]*?\*\/\n/gm, "");
    const blocks = [...(await read("docs/guides/people-sign-in.md")).matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(
      ([, code]) => code,
    );
    assert.ok(blocks.length > 0);
    for (const block of blocks) {
      // An empty line in the page may stand for omitted code of the example.
      for (const part of block.split(/\n{2,}/)) assert.ok(code.includes(part.trimEnd()), part);
    }
  });
});
