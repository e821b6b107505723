// Finds the problems of the configuration before it is deployed, and lists the secrets that are still missing.
//
//   node scripts/check.mjs [--config PATH] [--env NAME] [--json] [--strict] [--offline] [--local]
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { Failure, errorCode, inRoot, isMain, root, say, toolEnv, wrangler } from "./lib.mjs";
import { checkTools } from "./setup.mjs";

const CONFIG = "wrangler.toml";
/** How long wrangler may take to list the secrets of one environment. */
const PATIENCE_MS = 10_000;

/**
 * @typedef {object} Options
 * @property {string} [config]
 * @property {string} [environment]
 * @property {boolean} [json]
 * @property {boolean} [strict]
 * @property {boolean} [offline]
 * @property {boolean} [local]
 */

/**
 * @typedef {object} Finding
 * @property {string | null} environment
 * @property {number} line
 * @property {number} column
 * @property {string} field
 * @property {string} message
 */

/**
 * @typedef {object} Secret a secret that the configuration uses; `set` is null if unknown
 * @property {string | null} environment
 * @property {string} name
 * @property {boolean} needed
 * @property {boolean | null} set
 * @property {string} command
 */

/**
 * @typedef {object} Report in the form that docs/guides/check.md documents
 * @property {Finding[]} problems
 * @property {Finding[]} warnings
 * @property {Secret[]} secrets
 */

/** @typedef {(config: string, environment: string | null) => Promise<string[] | undefined>} SecretNames */

/** @type {Record<string, keyof Options>} */
const options = {
  "--config": "config",
  "-c": "config",
  "--env": "environment",
  "-e": "environment",
  "--json": "json",
  "--strict": "strict",
  "--offline": "offline",
  "--local": "local",
};
const withValue = new Set(["config", "environment"]);

/**
 * The problems of the file `config`: `{ problems, warnings, secrets }`, as documented in docs/guides/check.md. The
 * `environment` "" selects the top level; without an environment, all are checked. `secretNames` are the secrets that
 * are set.
 * @param {Options & { secretNames?: SecretNames }} [asked]
 * @returns {Promise<Report>}
 */
export async function check({
  config = CONFIG,
  environment,
  local = false,
  offline = false,
  secretNames = listSecrets,
} = {}) {
  checkTools();
  const isDefault = path.resolve(root, config) === inRoot(CONFIG);
  const args = [
    config,
    ...(environment === undefined ? [] : ["--env", environment]),
    ...(local ? ["--local"] : []),
    ...(isDefault ? [] : ["--config", config]),
  ];
  const report = JSON.parse(await native(args));
  if (!offline && report.secrets.length) await markSet(report.secrets, config, secretNames);
  return report;
}

/**
 * The text of a report: a line for each finding, the secrets, and the totals.
 * @param {Report} report
 */
export function shown({ problems, warnings, secrets }, config = CONFIG) {
  /** @type {(kind: string) => (finding: Finding) => { line: number, column: number, text: string }} */
  const line =
    (kind) =>
    ({ environment, line, column, field, message }) => {
      const where = `${config}:${line}:${column}: ${kind}${environment === null ? "" : ` in ${environment}`}`;
      return { line, column, text: `${where}: ${field ? `${field} ` : ""}${message}` };
    };
  const findings = [...problems.map(line("problem")), ...warnings.map(line("warning"))];
  findings.sort((one, other) => one.line - other.line || one.column - other.column);
  const absent = secrets.filter(({ set }) => !set);
  const needed = absent.filter(({ needed }) => needed);
  const optional = absent.filter(({ needed }) => !needed);
  const unknown = needed.some(({ set }) => set === null) ? ", where they are not set yet" : "";
  const paragraphs = [
    findings.map(({ text }) => text),
    needed.length ? [`Secrets to be given${unknown}:`, ...needed.map(({ command }) => `  ${command}`)] : [],
    optional.length
      ? ["Without this one nobody is an operator:", ...optional.map(({ command }) => `  ${command}`)]
      : [],
    [`${config}: ${counted(problems.length, "problem")}, ${counted(warnings.length, "warning")}.`],
  ];
  return paragraphs
    .filter((lines) => lines.length)
    .map((lines) => lines.join("\n"))
    .join("\n\n");
}

/** @type {(count: number, what: string) => string} */
const counted = (count, what) => `${count || "no"} ${what}${count === 1 ? "" : "s"}`;

/**
 * The output of the native program, which is compiled first if necessary.
 * @param {string[]} args
 */
async function native(args) {
  const cargo = [
    "run",
    "--quiet",
    "--locked",
    "--manifest-path",
    inRoot("Cargo.toml"),
    "--package",
    "porteiro-check",
    "--",
  ];
  const notice = setTimeout(() => console.error("Compiling what checks: once, about a minute."), 3_000);
  const { code, stdout, stderr } = await collected("cargo", [...cargo, ...args]).finally(() => clearTimeout(notice));
  if (code === 0) return stdout;
  throw new Failure(stderr.trim() || `The program that checks ended with exit code ${code}.`);
}

/**
 * Marks each secret as set or missing, as far as wrangler can tell: it need not be signed in.
 * @param {Secret[]} secrets
 * @param {string} config
 * @param {SecretNames} secretNames
 */
async function markSet(secrets, config, secretNames) {
  const environments = [...new Set(secrets.map(({ environment }) => environment))];
  /** @type {Map<string | null, string[] | undefined>} */
  const known = new Map();
  await Promise.all(environments.map(async (name) => known.set(name, await secretNames(config, name))));
  for (const secret of secrets) secret.set = known.get(secret.environment)?.includes(secret.name) ?? null;
}

/**
 * The names of the secrets that are set; undefined if wrangler does not answer in time.
 * @param {string} config
 * @param {string | null} [environment]
 * @param {{ tool?: typeof wrangler, patience?: number }} [how]
 * @returns {Promise<string[] | undefined>}
 */
export async function listSecrets(config, environment, { tool = wrangler, patience = PATIENCE_MS } = {}) {
  const [command, args] = tool("secret", "list", "--format", "json", "--config", config, "--env", environment ?? "");
  if (!existsSync(command)) return undefined;
  // In CI wrangler opens no browser to sign in.
  const { code, stdout } = await collected(command, args, { patience, env: { CI: "true" } });
  if (code !== 0) return undefined;
  try {
    const listed = /** @type {{ name: string }[]} */ (JSON.parse(stdout));
    return listed.map(({ name }) => name);
  } catch {
    return undefined;
  }
}

/**
 * The output and the exit code of a program; no code if it did not start or its `patience` ran out.
 * @param {string} command
 * @param {string[]} args
 * @param {{ patience?: number, env?: NodeJS.ProcessEnv }} [how]
 * @returns {Promise<{ code: number | null, stdout: string, stderr: string }>}
 */
function collected(command, args, { patience, env = {} } = {}) {
  return new Promise((resolve) => {
    // With a time limit, the program gets a process group of its own, so that its children end with it.
    const child = spawn(command, args, {
      cwd: root,
      env: toolEnv(env),
      stdio: ["ignore", "pipe", "pipe"],
      detached: Boolean(patience),
    });
    const texts = { stdout: "", stderr: "" };
    for (const name of /** @type {const} */ (["stdout", "stderr"]))
      child[name].setEncoding("utf8").on("data", (chunk) => (texts[name] += chunk));
    const timer =
      patience &&
      setTimeout(() => {
        try {
          if (child.pid) process.kill(-child.pid, "SIGKILL");
        } catch {
          // The program ended meanwhile.
        }
        finish(null);
      }, patience);
    /** @type {(code: number | null, stderr?: string) => void} */
    const finish = (code, stderr = texts.stderr) => {
      clearTimeout(timer);
      resolve({ code, stdout: texts.stdout, stderr });
    };
    child.on("error", (error) => finish(null, `${command} could not be started (${errorCode(error)}).`));
    child.on("close", (code) => finish(code));
  });
}

/**
 * Parses the options in `args`.
 * @param {string[]} args
 * @returns {Options}
 */
function chosen(args) {
  /** @type {Record<string, string | true | undefined>} */
  const found = {};
  for (let at = 0; at < args.length; at += 1) {
    const [, name, value] = args[at].match(/^(-{1,2}[a-z]+)(?:=(.*))?$/s) ?? [];
    const option = options[name];
    if (!option || (value !== undefined && !withValue.has(option))) {
      throw new Failure(
        `There is no option ${args[at]}: the options are ${Object.keys(options)
          .filter((it) => it.startsWith("--"))
          .join(", ")}.`,
      );
    }
    if (!withValue.has(option)) found[option] = true;
    else if ((found[option] = value ?? args[(at += 1)]) === undefined) throw new Failure(`${name} needs a value.`);
  }
  return found;
}

/**
 * The exit code: 1 if something must be corrected, 2 if the check could not run.
 * @param {string[]} args
 */
async function main(args) {
  const { json, strict, config, ...rest } = chosen(args);
  if (config?.match(/\.jsonc?$/)) throw new Failure(`${config} cannot be read: write the configuration as TOML.`);
  const report = await check({ config, ...rest });
  say(json ? JSON.stringify(report, null, 2) : shown(report, config));
  return report.problems.length || (strict && report.warnings.length) ? 1 : 0;
}

if (isMain(import.meta.url)) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Failure ? `error: ${error.message}` : error);
    process.exitCode = 2;
  }
}
