// `npm run deploy` with the real wrangler, against a stand-in of Cloudflare's API.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { healthAddress } from "../../scripts/health.mjs";
import { wrangler } from "../../scripts/lib.mjs";
import { problemOf } from "../../scripts/secrets.mjs";
import { startBroker } from "../e2e/support/broker.mjs";
import { Cloudflare } from "../e2e/support/cloudflare.mjs";
import { Hosts, Project } from "../e2e/support/deployment.mjs";
import { files, search } from "../e2e/support/search.mjs";

const at = (path) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

const ALIVE = [200, '{"status":"ok","version":"0.1.0"}'];
const HOST = "porteiro.acme.workers.dev";
const STAGING = "porteiro-staging.acme.workers.dev";

const UPGRADE = [
  "POST /workers/scripts/porteiro/versions",
  "POST /workers/scripts/porteiro/deployments",
  "PATCH /workers/scripts/porteiro/script-settings",
  "POST /workers/scripts/porteiro/subdomain",
];

/** What was built is taken as it is. */
const withoutBuild = (text) => text.replace(/^\[build\]\n(?:\w.*\n)+/m, "");

/** The configuration with the commented lines from `first` to `last`, or to the next that is none, in force. */
function inForce(text, first, last) {
  const from = text.indexOf(`\n# ${first}`) + 1;
  assert.ok(from > 0, first);
  const to = last
    ? text.indexOf("\n", text.indexOf(`\n# ${last}`, from) + 1)
    : from + text.slice(from).search(/^(?!# )/m);
  const lines = text.slice(from, to).replace(/^# /gm, "");
  return `${text.slice(0, from)}${lines}${text.slice(to)}`;
}

const staging = (text) => inForce(text, "[env.staging]");

let cloudflare, project, hosts;

/** A project, an account without anything in it, and the hosts that answer. */
async function prepare(settings, health = { [HOST]: ALIVE }) {
  cloudflare = await Cloudflare.start();
  project = await Project.make({ configure: withoutBuild, ...settings });
  hosts = await Hosts.start(project.top, health);
}

async function cleanUp() {
  // Nothing else was called than what is known, and no host but those.
  const { unknown } = cloudflare;
  const strangers = [...hosts.connected].filter(
    (host) => !host.endsWith("workers.dev") && !host.endsWith("example.com"),
  );
  hosts.stop();
  await cloudflare.stop();
  await project.remove();
  assert.deepEqual({ unknown, strangers }, { unknown: [], strangers: [] });
}

const env = (more) => ({ ...cloudflare.env, ...hosts.env, ...more });

/** Sets secrets as a person does without the script: wrangler makes the Worker that is not there. */
async function putSecrets(values, ...args) {
  const run = project.run(
    ...wrangler("secret", "bulk", ...args),
    env({ CI: "true", WRANGLER_SEND_METRICS: "false", WRANGLER_HIDE_BANNER: "true" }),
  );
  run.type(JSON.stringify(values), { last: true });
  await run.ended;
  assert.equal(run.code, 0, run.output);
}

/** How often `text` stands in `whole`. */
const count = (whole, text) => whole.split(text).length - 1;

/** The command line and the environment of every process that can be read. */
function processes() {
  if (!existsSync("/proc")) return {};
  const read = (path) => {
    try {
      return readFileSync(path);
    } catch {
      return "";
    }
  };
  const paths = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((id) => [`/proc/${id}/cmdline`, `/proc/${id}/environ`]);
  return Object.fromEntries(paths.map((path) => [path, read(path)]));
}

describe("at a terminal", () => {
  const TYPED = "the-token-from-the-profile-at-guru";
  let first, calls, running, secrets, second;

  before(async () => {
    const configure = (text) => inForce(inForce(text, "[vars.CALLERS.backend]"), "[vars.CONNECTIONS.guru]");
    // As the repository has it: with the build command, which finds everything up to date.
    await prepare({
      configure,
      secrets: ["SEALING_KEYS", "BACKEND_KEY", "GURU_TOKEN", "GURU_ACCOUNT_TOKEN", "GURU_WEBHOOK_SECRET"],
    });
    cloudflare.onUpload = () => (running ??= processes());
    first = await project.deployAtTerminal([], env());
    for (const [name, ...answers] of [
      ["SEALING_KEYS", "k1:short", ""],
      ["BACKEND_KEY", "too-short", ""],
      ["GURU_TOKEN", TYPED],
      ["GURU_ACCOUNT_TOKEN", ""],
      ["GURU_WEBHOOK_SECRET", ""],
      ["ADMIN_KEY", ""],
    ]) {
      for (const answer of answers) {
        await first.sees(`${name} (`);
        first.type(`${answer}\r`);
      }
    }
    await first.sees("press Enter to deploy");
    calls = cloudflare.changes;
    first.type("\r");
    await first.ended;
    secrets = { ...cloudflare.workers.porteiro?.secrets };
    cloudflare.calls.length = 0;
    second = await project.deployAtTerminal([], env());
    await second.sees("GURU_ACCOUNT_TOKEN (");
    second.type("\r");
    await second.ended;
  });

  after(cleanUp);

  test("the first deployment makes everything in one upload", () => {
    assert.equal(first.code, 0, first.output);
    assert.deepEqual(calls, [], "something was changed before the last question");
    assert.deepEqual(
      cloudflare.namespaces.map(({ title }) => title),
      ["porteiro-tokens"],
    );
    const [{ metadata }] = cloudflare.workers.porteiro.versions;
    assert.deepEqual(metadata.migrations, { new_tag: "v1", steps: [{ new_sqlite_classes: ["Keeper"] }] });
    const named = Object.fromEntries(metadata.bindings.map(({ name, type }) => [name, type]));
    assert.equal(named.KEEPER, "durable_object_namespace");
    assert.equal(named.TOKENS, "kv_namespace");
    // No request can have met a Worker without its secrets.
    for (const name of ["SEALING_KEYS", "BACKEND_KEY", "GURU_TOKEN", "GURU_WEBHOOK_SECRET", "ADMIN_KEY"]) {
      assert.equal(named[name], "secret_text", name);
    }
    assert.deepEqual(Object.keys(secrets).sort(), [
      "ADMIN_KEY",
      "BACKEND_KEY",
      "GURU_TOKEN",
      "GURU_WEBHOOK_SECRET",
      "SEALING_KEYS",
    ]);
    assert.equal(secrets.GURU_TOKEN, TYPED);
  });

  test("says what is left out, and what does not have its form", () => {
    assert.match(first.output, /Left out: GURU_ACCOUNT_TOKEN\./);
    assert.match(first.output, /SEALING_KEYS must be id:key, the key being 32 bytes in base64\./);
    assert.match(first.output, /BACKEND_KEY must be 32 visible ASCII characters or more\./);
  });

  test("shows once what the person needs elsewhere, and nothing else", () => {
    for (const name of ["BACKEND_KEY", "GURU_WEBHOOK_SECRET", "ADMIN_KEY"])
      assert.equal(count(first.output, secrets[name]), 1, name);
    const { SEALING_KEYS, GURU_TOKEN } = secrets;
    assert.deepEqual(search({ output: first.output }, { SEALING_KEYS, GURU_TOKEN }), []);
    assert.equal(count(first.output, "too-short"), 0);
  });

  test("leaves no secret in a file, an argument or a variable", async () => {
    const left = await files(project.top);
    assert.ok(
      Object.keys(left).some((path) => path.endsWith(".log")),
      "wrangler's own log was not looked at",
    );
    assert.deepEqual(search(left, secrets), []);
    assert.ok(
      !existsSync("/proc") || Object.values(running).some((text) => text.includes("--secrets-file")),
      "wrangler was not seen running",
    );
    assert.deepEqual(search(running, secrets), []);
  });

  test("asks healthz of the address that it deployed to", () => {
    assert.equal(hosts.asked[0], `https://${HOST}/healthz`);
    assert.ok(first.output.includes(`==> https://${HOST}/healthz`));
    assert.ok(first.output.includes(`200 ${ALIVE[1]}`), first.output);
  });

  test("the next deployment asks for what is missing still, and changes no secret", () => {
    assert.equal(second.code, 0, second.output);
    assert.match(second.output, /one is not set/);
    assert.deepEqual(cloudflare.changes, UPGRADE);
    const { versions } = cloudflare.workers.porteiro;
    assert.equal(versions.length, 2);
    assert.equal(versions[1].metadata.migrations, undefined);
    assert.deepEqual(
      versions[1].metadata.bindings.find(({ name }) => name === "TOKENS"),
      { name: "TOKENS", type: "inherit" },
    );
    assert.deepEqual(cloudflare.workers.porteiro.secrets, secrets);
  });

  test("the configuration file stays as it is", async () => {
    assert.equal(await readFile(join(project.folder, "wrangler.toml"), "utf8"), project.wranglerToml);
  });

  test("the Worker takes what was made", async () => {
    const broker = await startBroker({
      vars: {
        CONNECTIONS: {
          guru: {
            provider: "guru",
            webhook: { forward_to: "https://app.example.com/hooks" },
            rules: [{ callers: ["backend"], methods: ["GET"], paths: ["/x"] }],
          },
        },
      },
      secrets: { ...secrets, GURU_ACCOUNT_TOKEN: "account-token" },
    });
    try {
      const asked = async (path, key) =>
        (await fetch(broker.url + path, { headers: { Authorization: `Bearer ${key}` } })).status;
      assert.equal(await asked("/admin/connections/guru/webhooks?state=failed", secrets.ADMIN_KEY), 200);
      assert.equal(await asked("/api/guru/not-allowed", secrets.BACKEND_KEY), 403);
      assert.deepEqual(
        broker.logs.filter(({ event }) => event === "configuration_problem"),
        [],
      );
    } finally {
      await broker.stop();
    }
  });
});

describe("stopped at a question", () => {
  before(() => prepare({}));
  after(cleanUp);

  test("deploys nothing", async () => {
    const run = await project.deployAtTerminal([], env());
    await run.sees("SEALING_KEYS (");
    run.type("\x03");
    await run.ended;
    assert.equal(run.code, 1);
    assert.match(run.output, /error: Stopped: nothing was deployed\./);
    assert.deepEqual(cloudflare.changes, []);
  });
});

describe("where nobody is at a terminal", () => {
  afterEach(cleanUp);

  test("fails with the list of the secrets that are missing", async () => {
    await prepare({ configure: (text) => staging(withoutBuild(text)), secrets: ["SEALING_KEYS", "GURU_TOKEN"] });
    const run = await project.deploy(["--env", "staging"], env());
    assert.equal(run.code, 1);
    assert.match(
      run.output,
      /error: These secrets are not set, and nobody is here to ask:\n\n {2}SEALING_KEYS\n {2}GURU_TOKEN\n\n/,
    );
    assert.match(
      run.output,
      /Run `npm run deploy -- --env staging` once at a terminal, or set each with `npx wrangler secret put NAME --env staging`\.\n/,
    );
    assert.deepEqual(cloudflare.changes, []);
  });

  test("says what to do where there is no token", async () => {
    await prepare();
    const run = await project.deploy([], { ...env(), CLOUDFLARE_API_TOKEN: undefined });
    assert.equal(run.code, 1);
    assert.match(
      run.output,
      /error: wrangler is not signed in, and nobody is here to do it: set CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID\./,
    );
    assert.deepEqual(cloudflare.calls, []);
  });

  test("tells what wrangler says where the token is refused", async () => {
    await prepare();
    const run = await project.deploy([], { ...env(), CLOUDFLARE_API_TOKEN: "another-token" });
    assert.equal(run.code, 1);
    assert.match(run.output, /error: wrangler could not list the secrets\. It says:[^]+Authentication error/);
    assert.deepEqual(cloudflare.changes, []);
  });

  test("deploys nothing with a configuration that has mistakes", async () => {
    await prepare({ problems: [{ field: "CALLERS.x", message: "is wrong" }] });
    for (const args of [[], ["--dry-run"]]) {
      const run = await project.deploy(args, env());
      assert.equal(run.code, 1);
      assert.match(run.output, /error: The configuration has problems, told above: nothing was deployed\./);
    }
    assert.deepEqual(cloudflare.calls, []);
  });

  test("--dry-run builds and checks, and needs no account", async () => {
    await prepare({ configure: (text) => staging(withoutBuild(text)) });
    for (const [args, checked] of [
      [["--dry-run"], "the top"],
      [["--dry-run", "--env", "staging"], "staging"],
    ]) {
      const run = await project.deploy(args, { ...hosts.env });
      assert.equal(run.code, 0, run.output);
      assert.ok(run.output.includes(`\nchecked wrangler.toml of ${checked}\n`));
      assert.match(run.output, /--dry-run: exiting now\./);
      assert.doesNotMatch(run.output, /is not inherited|Multiple environments are defined/);
    }
    assert.deepEqual(cloudflare.calls, []);
    assert.deepEqual([...hosts.connected], []);
  });

  test("an environment is a Worker of its own, and takes nothing from production", async () => {
    const configure = (text) => inForce(staging(withoutBuild(text)), "workers_dev = false");
    await prepare({ configure, secrets: ["SEALING_KEYS", "BACKEND_KEY", "GURU_TOKEN"] }, { [STAGING]: ALIVE });
    await putSecrets({ SEALING_KEYS: "s", BACKEND_KEY: "b", GURU_TOKEN: "g" }, "--env", "staging");
    const run = await project.deploy(["--env=staging"], env());
    assert.equal(run.code, 0, run.output);
    assert.deepEqual(Object.keys(cloudflare.workers), ["porteiro-staging"]);
    const worker = cloudflare.workers["porteiro-staging"];
    assert.deepEqual(worker.routes, []);
    assert.equal(worker.subdomain.enabled, true);
    assert.deepEqual(Object.keys(worker.secrets), ["SEALING_KEYS", "BACKEND_KEY", "GURU_TOKEN"]);
    assert.deepEqual(
      cloudflare.namespaces.map(({ title }) => title),
      ["porteiro-staging-tokens"],
    );
    const { metadata } = worker.versions.at(-1);
    assert.deepEqual(metadata.migrations.steps, [{ new_sqlite_classes: ["Keeper"] }]);
    assert.deepEqual(metadata.observability, { enabled: true, logs: { invocation_logs: false } });
    assert.ok(metadata.compatibility_flags.includes("global_fetch_strictly_public"));
    assert.deepEqual(metadata.bindings.map(({ name }) => name).sort(), [
      "ALLOWED_ORIGINS",
      "BASE_PATH",
      "CALLERS",
      "CONNECTIONS",
      "KEEPER",
      "TOKENS",
    ]);
    assert.doesNotMatch(run.output, /is not inherited/);
    assert.deepEqual(hosts.asked, [`https://${STAGING}/healthz`]);
  });

  test("on a route, healthz is asked below the application's own host", async () => {
    const configure = (text) =>
      inForce(withoutBuild(text), "workers_dev = false").replace('BASE_PATH = ""', 'BASE_PATH = "/broker"');
    await prepare({ configure }, { "app.example.com": ALIVE });
    await putSecrets({ SEALING_KEYS: "s" });
    const run = await project.deploy([], env());
    assert.equal(run.code, 0, run.output);
    assert.deepEqual(cloudflare.workers.porteiro.routes, ["app.example.com/broker/*"]);
    assert.equal(cloudflare.workers.porteiro.subdomain.enabled, false);
    assert.deepEqual(hosts.asked, ["https://app.example.com/broker/healthz"]);
  });

  test("a namespace that a failed first deployment left behind is taken by its id", async () => {
    await prepare();
    await putSecrets({ SEALING_KEYS: "s" });
    cloudflare.refusals.push([400, 10055, "Not today."]);
    const failed = await project.deploy([], env());
    assert.equal(failed.code, 1, failed.output);
    const stuck = await project.deploy([], env());
    assert.equal(stuck.code, 1);
    assert.match(stuck.output, /A namespace with this account ID and title already exists/);
    const [{ id }] = cloudflare.namespaces;
    const path = join(project.folder, "wrangler.toml");
    await writeFile(path, project.wranglerToml.replace('binding = "TOKENS"', `$&\nid = "${id}"`));
    const run = await project.deploy([], env());
    assert.equal(run.code, 0, run.output);
    assert.equal(cloudflare.namespaces.length, 1);
  });
});

describe("what a deployment relies on", () => {
  test("finds healthz below every kind of target", () => {
    for (const [target, basePath, address] of [
      ["https://porteiro.acme.workers.dev", "", "https://porteiro.acme.workers.dev/healthz"],
      ["https://porteiro.acme.workers.dev", "/broker", "https://porteiro.acme.workers.dev/broker/healthz"],
      ["broker.example.com (custom domain)", "", "https://broker.example.com/healthz"],
      ["app.example.com/broker/* (zone name: example.com)", "/broker", "https://app.example.com/broker/healthz"],
      ["app.example.com/* (zone id: 1)", "/broker", "https://app.example.com/broker/healthz"],
      ["app.example.com/broker/* (zone name: example.com)", "", undefined],
      ["*.example.com/broker/* (zone name: example.com)", "/broker", undefined],
      ["schedule: 0 0 * * *", "", undefined],
    ]) {
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
    assert.ok(problemOf("BACKEND_KEY", "x".repeat(31)) && problemOf("ADMIN_KEY", "x".repeat(15)));
  });

  test("the button asks for the secrets that are described, and offers no value that would be taken", async () => {
    const {
      cloudflare: { bindings },
    } = JSON.parse(await readFile(at("package.json"), "utf8"));
    const lines = (await readFile(at(".dev.vars.example"), "utf8"))
      .split("\n")
      .filter((line) => line && !line.startsWith("#"));
    const asked = lines.map((line) => line.match(/^(\w+)=""$/)?.[1]);
    assert.deepEqual(asked, ["SEALING_KEYS", "ADMIN_KEY"]);
    for (const name of [...asked, "TOKENS", "KEEPER"]) assert.ok(bindings[name].description, name);
  });

  test("the workflow runs what package.json has, with the account's secrets at the deployment only", async () => {
    const { scripts } = JSON.parse(await readFile(at("package.json"), "utf8"));
    const text = await readFile(at("examples/github-actions/deploy.yml"), "utf8");
    const jobs = text.split(/^ {2}(?=\w+:$)/m).slice(1);
    assert.deepEqual(jobs.map((job) => job.split(":")[0]).slice(-3), ["check", "staging", "production"]);
    const runs = [...text.matchAll(/^ +- run: (.+)$/gm)].map(([, run]) => run);
    assert.equal(runs.length, 6);
    for (const run of runs) assert.ok(scripts[run.match(/^npm run (\S+)/)?.[1]], run);
    const [check] = jobs.filter((job) => job.startsWith("check:"));
    assert.doesNotMatch(check, /secrets\./);
    assert.equal(count(text, "secrets."), 4);
    assert.match(text, /^permissions:\n {2}contents: read$/m);
  });
});
