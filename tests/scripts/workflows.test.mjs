// The workflows: the actions that they run, and the inputs that a job with secrets takes from other jobs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { filesUnder, root } from "../../scripts/lib.mjs";

const files = filesUnder(".github/workflows", "examples").filter((file) => /\.ya?ml$/.test(file));
const names = files.map((file) => path.relative(root, file));

test("the workflows are found", () => {
  assert.deepEqual(names, [
    ".github/workflows/ci.yml",
    ".github/workflows/release.yml",
    "examples/broker/.github/workflows/deploy.yml",
    "examples/github-actions/deploy.yml",
  ]);
});

for (const [at, file] of files.entries()) {
  const text = readFileSync(file, "utf8");
  test(`${names[at]} names every action by commit, and the release that it is`, () => {
    const uses = text.split("\n").filter((line) => /^\s*(?:- )?["']?uses\b/.test(line));
    assert.ok(uses.length);
    for (const line of uses) assert.match(line, /^ +(?:- )?uses: [\w-]+\/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  });
}

test("the same action is at the same commit everywhere", () => {
  /** @type {Map<string, Set<string>>} */
  const versions = new Map();
  for (const file of files) {
    for (const [, action, version] of readFileSync(file, "utf8").matchAll(/uses: ([^@\s]+)@(.+)$/gm)) {
      versions.set(action, (versions.get(action) ?? new Set()).add(version));
    }
  }
  assert.ok(versions.size);
  for (const [action, all] of versions) assert.equal(all.size, 1, `${action}: ${[...all].join(", ")}`);
});

/** @param {string} text */
const jobsOf = (text) =>
  text
    .slice(text.indexOf("\njobs:\n"))
    .split(/^ {2}(?=[\w-]+:$)/m)
    .slice(1);

test("each command of npm in a workflow is there", () => {
  const { scripts } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
  for (const [at, file] of files.entries()) {
    const text = readFileSync(file, "utf8").replace(/^ *#.*$/gm, "");
    const commands = [...text.matchAll(/\bnpm (?:run )?([\w:-]+)/g)].map(([, name]) => name);
    assert.ok(commands.length, names[at]);
    for (const name of commands)
      assert.ok(name in scripts || ["ci", "publish"].includes(name), `${names[at]}: ${name}`);
  }
});

const text = readFileSync(path.join(root, "examples", "github-actions", "deploy.yml"), "utf8");
const jobs = jobsOf(text);
const secret = jobs.filter((job) => /secrets\.|^ {4}environment:/m.test(job));
const open = jobs.filter((job) => !secret.includes(job));

test("a job with secrets takes nothing that another job has made", () => {
  assert.deepEqual(
    secret.map((job) => job.split(":")[0]),
    ["staging", "production"],
  );
  for (const job of secret) {
    const actions = [...job.matchAll(/uses: ([^@\s]+)@/g)].map(([, action]) => action);
    // No cache and no artifact: the source, and Node.js, whose action must not restore one either.
    assert.deepEqual(actions, ["actions/checkout", "actions/setup-node"]);
    assert.match(job, /^ {10}package-manager-cache: false$/m);
    assert.doesNotMatch(job, /^ +cache(-dependency-path)?:/m);
    assert.match(job, /^ {6}- run: npm run build$/m);
    const [before, ...after] = job.split(/^ {6}- run: npm run deploy\b/m);
    assert.equal(after.length, 1);
    assert.doesNotMatch(before, /secrets\./);
  }
});

test("no job hands on what it has built, and a pull request is given no secret", () => {
  assert.deepEqual(
    open.map((job) => job.split(":")[0]),
    ["check"],
  );
  for (const job of jobs) assert.doesNotMatch(job, /^ +(?:- |path: )\.?\/?build\/?$|^ {12}build\b|-artifact/m);
  for (const job of open) assert.doesNotMatch(job, /secrets|inherit/);
  for (const job of secret) assert.match(job, /^ {4}if: github\.event_name == 'push'$/m);
  assert.doesNotMatch(text, /pull_request_target|workflow_run/);
});

const release = readFileSync(path.join(root, ".github", "workflows", "release.yml"), "utf8");
const [build, publish, page] = jobsOf(release);
/** What a job may do. @param {string} job */
const permissions = (job) => {
  const [, lines = ""] = job.match(/^ {4}permissions:\n((?: {6}.+\n)+)/m) ?? [];
  return Object.fromEntries(
    lines
      .trim()
      .split("\n")
      .map((line) => line.trim().split(": ")),
  );
};
/** The steps of a job. @param {string} job */
const steps = (job) =>
  job
    .slice(job.indexOf("    steps:\n"))
    .split(/^ {6}- /m)
    .slice(1);

test("a release begins with a tag, one at a time, and each job may do what it needs and no more", () => {
  assert.equal(jobsOf(release).length, 3);
  assert.match(release, /^on:\n {2}push:\n {4}tags: \["v\*"\]\npermissions: \{\}\nconcurrency: release\njobs:$/m);
  assert.deepEqual(permissions(build), { contents: "read" });
  assert.deepEqual(permissions(publish), { contents: "read", "id-token": "write", attestations: "write" });
  assert.deepEqual(permissions(page), { contents: "write" });
  assert.match(publish, /^ {4}environment: release$/m);
  assert.match(publish, /^ {4}needs: build$/m);
  assert.match(page, /^ {4}needs: \[build, publish\]$/m);
});

test("a release has no long-lived secret, and no text of the event in a command", () => {
  assert.doesNotMatch(release, /secrets[.[]|NPM_TOKEN|NODE_AUTH_TOKEN|cache: (?!false)/);
  for (const job of [build, publish, page])
    for (const step of steps(job))
      assert.doesNotMatch(step.split(/^ {8}env:$/m)[0], /^(?:id: \w+\n {8})?run: .*\$\{\{/ms);
  for (const job of [build, publish]) assert.doesNotMatch(job, /github\.token/);
});

test("a job that may publish runs nothing of the source, and only what was built and summed", () => {
  for (const job of [publish, page]) {
    assert.doesNotMatch(job, /checkout|npm (?:ci|install|test|run)|node |npx /);
    const all = steps(job);
    const at = (/** @type {RegExp} */ form) => all.findIndex((step) => form.test(step));
    const checked = at(/^run: echo "\$SUMS" \| base64 --decode \| sha256sum --check --strict$/m);
    assert.ok(checked > at(/^uses: actions\/download-artifact@/m) && checked >= 1, job);
    for (const form of [/actions\/attest@/, /npm publish/, /gh release create/])
      if (at(form) >= 0) assert.ok(at(form) > checked);
  }
  const published = [...publish.matchAll(/^ {6}- run: npm publish \.\/(\S+) --provenance --access public$/gm)];
  assert.deepEqual(
    published.map(([, file]) => file),
    ["porteiro-*.tgz", "create-porteiro-*.tgz"],
  );
  assert.ok(
    steps(publish).findIndex((it) => /npm publish/.test(it)) > steps(publish).findIndex((it) => /attest@/.test(it)),
  );
  assert.match(page, /--verify-tag[^]* \.\/\*\.tgz SHA256SUMS$/m);
});

test("a release checks its version before all else, tests, and then makes what it publishes", () => {
  const commands = steps(build)
    .map((step) => step.match(/^run: (npm .+)$/m)?.[1])
    .filter(Boolean);
  assert.deepEqual(commands, ['npm run release -- "$GITHUB_REF_NAME" notes.md', "npm test", "npm run package"]);
});
