// The workflows: the actions that they run, and the inputs that a job with secrets takes from other jobs.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { filesUnder, root } from "../../scripts/lib.mjs";

const files = filesUnder(".github/workflows", "examples").filter((file) => /\.ya?ml$/.test(file));
const names = files.map((file) => path.relative(root, file));

test("the workflows are found", () => {
  assert.deepEqual(names, [".github/workflows/ci.yml", "examples/github-actions/deploy.yml"]);
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

const text = readFileSync(path.join(root, "examples", "github-actions", "deploy.yml"), "utf8");
const jobs = text
  .slice(text.indexOf("\njobs:\n"))
  .split(/^ {2}(?=[\w-]+:$)/m)
  .slice(1);
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
