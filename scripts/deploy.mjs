// Deploys the broker to Cloudflare, and asks at a terminal for the secrets that are not set yet. Arguments go to
// wrangler: `npm run deploy -- --env staging`, `npm run deploy -- --dry-run`.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { Dialog, atTerminal } from "./dialog.mjs";
import { sayHealth } from "./health.mjs";
import {
  Failure,
  errorCode,
  isMain,
  node,
  output,
  packageFolder,
  project,
  run,
  runMain,
  say,
  step,
  toolEnv,
  wrangler,
} from "./lib.mjs";
import { checkedSecrets } from "./needs.mjs";
import { PLACE, someOptions } from "./options.mjs";
import { prepareWorker } from "./prepare.mjs";
import { askFor, refuseMissing, setSecrets } from "./secrets.mjs";

/** The options of wrangler's that say where it deploys to; all options are passed on. */
const OPTIONS = { ...PLACE, name: { value: "NAME", help: "" }, profile: { value: "NAME", help: "" } };

/** Options with which wrangler deploys nothing, so no sign-in is needed. */
const OFFLINE = ["--dry-run"];

const HELP = ["--help", "-h"];

/**
 * Runs wrangler with the secrets in a pipe of this process instead of a file; standard input remains the terminal.
 */
const WITH_SECRETS = 'exec 4<&0; cat <&3 | { exec 5<&0 <&4 4<&- 3<&-; exec "$@" --secrets-file /dev/fd/5; }';

/** @typedef {ReturnType<typeof target>} Target */

/**
 * Deploys the build; wrangler may ask the person at the terminal.
 * @param {...string} args
 */
export const deploy = (...args) =>
  run(...wrangler("deploy", ...target(args).own, ...args), { stdin: atTerminal() ? "inherit" : "ignore" });

/**
 * The target of the deployment according to the arguments, for the check and for wrangler's other commands.
 * @param {string[]} args
 */
export function target(args) {
  const { values } = someOptions(args, OPTIONS);
  const { config } = values;
  const environment = values.env ?? process.env.CLOUDFLARE_ENV;
  // An explicit empty environment keeps wrangler from warning that none was named.
  const own = environment === undefined ? ["--env="] : [];
  const others = ["name", "profile"]
    .filter((option) => values[option])
    .map((option) => `--${option}=${values[option]}`);
  const shared = [`--env=${environment ?? ""}`, ...(config ? [`--config=${config}`] : []), ...others];
  return { config, environment: environment || undefined, own, shared };
}

/** @param {string[]} args */
export async function main(args) {
  // Also where there is no configuration yet.
  if (args.some((arg) => HELP.includes(arg))) return deploy(...args);
  await prepareWorker();
  const to = target(args);
  const usable = await checkedSecrets(to);
  if (args.some((arg) => OFFLINE.includes(arg))) return step("deploy", () => deploy(...args));

  await signIn();
  const secrets = await askForSecrets(usable, to);
  const targets = await step("deploy", () => upload(args, to, secrets));
  await sayHealth(targets, to);
}

/** Ensures that wrangler is signed in to an account. */
async function signIn() {
  if (process.env.CLOUDFLARE_API_TOKEN || process.env.CLOUDFLARE_API_KEY) return;
  const [command, whoami] = wrangler("whoami", "--json");
  if (output(command, whoami, { env: toolEnv(), stdio: ["ignore", "pipe", "ignore"] })) return;
  if (!atTerminal()) {
    throw new Failure(
      "wrangler is not signed in, and nobody is here to do it: set CLOUDFLARE_API_TOKEN and CLOUDFLARE_ACCOUNT_ID. docs/guides/release.md says what the token must be allowed.",
    );
  }
  say(
    "\nwrangler is not signed in yet. Without a browser on this machine, stop here and set CLOUDFLARE_API_TOKEN: see docs/guides/release.md.",
  );
  await step("wrangler login", () => run(...wrangler("login"), { stdin: "inherit" }));
}

/**
 * The secrets to upload with the Worker, so that it never runs without them.
 * @param {import("./secrets.mjs").Usable[]} usable
 * @param {Target} to
 * @returns {Promise<Record<string, string>>}
 */
async function askForSecrets(usable, to) {
  say("\n==> secrets");
  const set = setSecrets(to);
  const missing = usable.filter(({ name }) => !set.includes(name));
  if (!atTerminal()) {
    refuseMissing(missing, to);
    return {};
  }
  if (!missing.length) {
    say("    all of them are set");
    return {};
  }
  const dialog = new Dialog();
  try {
    return await askFor(missing, dialog);
  } finally {
    dialog.close();
  }
}

/**
 * Runs `wrangler deploy` and returns the addresses that it deployed to.
 * @param {string[]} args
 * @param {Target} to
 * @param {Record<string, string>} secrets
 * @returns {Promise<string[]>}
 */
async function upload(args, to, secrets) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "porteiro-deploy-"));
  const told = path.join(folder, "deployed");
  const env = { WRANGLER_OUTPUT_FILE_PATH: told };
  try {
    const command = ["deploy", ...to.own, ...args];
    if (Object.keys(secrets).length) await withSecrets(command, secrets, env);
    else await run(...wrangler(...command), { env, stdin: atTerminal() ? "inherit" : "ignore" });
    const lines = readFileSync(told, "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
    const deployed = lines.find(({ type, version_id }) => type === "deploy" && version_id);
    if (!deployed) throw new Failure("wrangler deployed nothing.");
    return deployed.targets ?? [];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/**
 * Runs a wrangler command whose secrets appear in no argument, no variable and no file.
 * @param {string[]} command
 * @param {Record<string, string>} secrets
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<void>}
 */
function withSecrets(command, secrets, env) {
  // wrangler's own starter passes on only the three standard streams.
  const cli = [node(), "--no-warnings", path.join(packageFolder("wrangler"), "wrangler-dist", "cli.js"), ...command];
  return new Promise((resolve, reject) => {
    const child = spawn("/bin/sh", ["-c", WITH_SECRETS, "sh", ...cli], {
      cwd: project,
      env: toolEnv(env),
      stdio: ["inherit", "inherit", "inherit", "pipe"],
    });
    // If wrangler ends before it reads the pipe, its own message says why.
    const pipe = /** @type {import("node:stream").Writable} */ (child.stdio[3]);
    pipe.on("error", () => {});
    pipe.end(JSON.stringify(secrets));
    child.on("error", (error) => reject(new Failure(`sh could not be started (${errorCode(error)}).`)));
    child.on("close", (code) => {
      if (code === 0) return resolve();
      reject(
        new Failure(
          "wrangler did not deploy, and the secrets were not set: mend what it says above, and run this again.",
        ),
      );
    });
  });
}

if (isMain(import.meta.url)) await runMain(main);
