// Finds the problems of the configuration before it is deployed, and lists the secrets that are still missing.
//
//   node scripts/check.mjs [--config PATH] [--env NAME] [--json] [--strict] [--offline] [--local] [--probe]
//
// The variables for running locally go to the native program on standard input: no argument holds a secret.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { devVarsBeside } from "./development.mjs";
import {
  Failure,
  commandLine,
  errorCode,
  inProject,
  inRoot,
  isClone,
  isMain,
  pageAt,
  project,
  say,
  toolEnv,
  wrangler,
} from "./lib.mjs";
import { PLACE, optionsOf } from "./options.mjs";
import { prepare } from "./prepare.mjs";

const CONFIG = "wrangler.toml";
/** How long wrangler may take to list the secrets of one environment. */
const PATIENCE_MS = 10_000;

/**
 * @typedef {object} Asked
 * @property {string} [config]
 * @property {string} [environment]
 * @property {boolean} [offline]
 * @property {boolean} [local]
 * @property {SecretNames} [secretNames] the secrets that are set
 * @property {import("./development.mjs").FindDevVars} [devVars] the variables for running locally
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
 * @typedef {object} DevFinding about a variable for running locally
 * @property {string | null} environment
 * @property {string} file
 * @property {string} field
 * @property {string} message
 */

/**
 * @typedef {object} Report in the form that docs/guides/check.md documents
 * @property {Finding[]} problems
 * @property {Finding[]} warnings
 * @property {Secret[]} secrets
 * @property {DevFinding[]} development
 */

/** @typedef {(config: string, environment: string | null) => Promise<string[] | undefined>} SecretNames */

const OPTIONS = {
  ...PLACE,
  env: { ...PLACE.env, help: "one environment only; --env= is the top level" },
  json: { help: "prints one JSON document" },
  strict: { help: "warnings, too, end with exit code 1" },
  offline: { help: "does not ask wrangler which secrets are set" },
  local: { help: "for a file that is never deployed" },
  probe: { help: "tries each connection's credentials, those in .dev.vars, by a harmless GET" },
};
const HELP = `${commandLine("check", "[options]")}: finds the problems of the configuration.\n\n${pageAt("docs/guides/check.md")}`;

/**
 * The problems of the file `config`: `{ problems, warnings, secrets, development }`, as documented in
 * docs/guides/check.md. The `environment` "" selects the top level; without an environment, all are checked.
 * @param {Asked} [asked]
 * @returns {Promise<Report>}
 */
export async function check({
  config = CONFIG,
  environment,
  local = false,
  offline = false,
  secretNames = listSecrets,
  devVars = devVarsBeside,
} = {}) {
  if (/\.jsonc?$/.test(config)) throw new Failure(`${config} cannot be read: write the configuration as TOML.`);
  const isDefault = path.resolve(project, config) === inProject(CONFIG);
  const asked = {
    file: config,
    environment,
    local,
    config: isDefault ? undefined : config,
    dev_vars: await devVars(config, environment),
  };
  const report = JSON.parse(isClone ? await native(asked) : await compiled(asked));
  if (!offline && report.secrets.length) await markSet(report.secrets, config, secretNames);
  return report;
}

/**
 * The text of a report: a line for each finding, the secrets, and the totals.
 * @param {Report} report
 */
export function shown({ problems, warnings, secrets, development }, config = CONFIG) {
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
  const unknown = needed.some(({ set }) => set === null) ? ", where they are not set there yet" : "";
  const paragraphs = [
    findings.map(({ text }) => text),
    // What stands in .dev.vars is for this machine alone, and has to be given all the same.
    needed.length
      ? [`Secrets to be given to Cloudflare${unknown}:`, ...needed.map(({ command }) => `  ${command}`)]
      : [],
    optional.length
      ? ["Without this one nobody is an operator at Cloudflare:", ...optional.map(({ command }) => `  ${command}`)]
      : [],
    shownLocally(development),
    [`${config}: ${counted(problems.length, "problem")}, ${counted(warnings.length, "warning")}.`],
  ];
  return paragraphs
    .filter((lines) => lines.length)
    .map((lines) => lines.join("\n"))
    .join("\n\n");
}

/**
 * The lines about the variables for running locally.
 * @param {DevFinding[]} development
 */
export const shownLocally = (development) =>
  development.length
    ? [
        "On this machine (nothing of this is deployed):",
        ...development.map(({ file, field, message }) => `  ${file}: ${field} ${message}`),
      ]
    : [];

/**
 * Tries the credentials. What that needs comes with the Node modules, which a fresh clone has not yet.
 * @param {{ config: string, environment?: string }} place
 */
async function tryAll(place) {
  await prepare();
  const { probe } = await import("./probe.mjs");
  return probe(place);
}

/** The lines about what was tried. @param {import("./probe.mjs").Probed[]} probed */
const shownProbed = (probed) =>
  [
    "Tried with the secrets in .dev.vars:",
    ...probed.map(({ connection, message }) => `  ${connection}: ${message}`),
  ].join("\n");

/** @type {(count: number, what: string) => string} */
const counted = (count, what) => `${count || "no"} ${what}${count === 1 ? "" : "s"}`;

/**
 * @typedef {object} Question
 * @property {string} file
 * @property {string} [environment]
 * @property {boolean} local
 * @property {string} [config]
 * @property {import("./development.mjs").DevVars[]} dev_vars
 */

/**
 * The output of the same program, compiled to WebAssembly: an installed package has it.
 * @param {Question} asked
 */
async function compiled(asked) {
  /** @type {string} */
  let text;
  try {
    text = readFileSync(path.resolve(project, asked.file), { encoding: "utf8" });
  } catch (error) {
    if (errorCode(error) === "ENOENT" && asked.file === CONFIG) throw new Failure(noProject());
    throw new Failure(`${asked.file} cannot be read (${errorCode(error)}).`);
  }
  const module = pathToFileURL(inRoot("check", "check.js")).href;
  /** @type {{ check: (asked: string) => string }} */
  const { check } = await import(module);
  try {
    return check(JSON.stringify({ ...asked, text }));
  } catch (error) {
    throw new Failure(error instanceof Error ? error.message : String(error));
  }
}

/** What is said where there is no configuration. */
export const noProject = () => `There is no ${CONFIG} here${isClone ? "" : ": `npx porteiro init` makes one"}.`;

/**
 * The arguments of cargo that run the native program. Its folder is its own: cargo would have the check wait for
 * whatever else it compiles meanwhile.
 */
export const NATIVE = [
  "run",
  "--quiet",
  "--locked",
  `--manifest-path=${inRoot("Cargo.toml")}`,
  `--target-dir=${path.join(process.env.CARGO_TARGET_DIR ?? inRoot("target"), "check")}`,
  "--package=porteiro-check",
  "--",
];

/**
 * The output of the native program, which is compiled first if necessary.
 * @param {Question} asked
 */
async function native({ file, environment, local, config, dev_vars }) {
  const { checkTools } = await import("./setup.mjs");
  checkTools();
  const args = [
    file,
    ...(environment === undefined ? [] : ["--env", environment]),
    ...(local ? ["--local"] : []),
    ...(config === undefined ? [] : ["--config", config]),
    "--dev-vars",
  ];
  const input = JSON.stringify(dev_vars);
  const notice = setTimeout(() => console.error("Compiling what checks: once, about a minute."), 3_000);
  const { code, stdout, stderr } = await collected("cargo", [...NATIVE, ...args], { input }).finally(() =>
    clearTimeout(notice),
  );
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
 * @param {{ patience?: number, env?: NodeJS.ProcessEnv, input?: string }} [how]
 * @returns {Promise<{ code: number | null, stdout: string, stderr: string }>}
 */
function collected(command, args, { patience, env = {}, input } = {}) {
  return new Promise((resolve) => {
    // With a time limit, the program gets a process group of its own, so that its children end with it.
    const child = spawn(command, args, {
      cwd: project,
      env: toolEnv(env),
      stdio: ["pipe", "pipe", "pipe"],
      detached: Boolean(patience),
    });
    // A program that ends without reading says why itself.
    child.stdin.on("error", () => {}).end(input);
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
 * The exit code: 1 if something must be corrected, 2 if the check could not run. What concerns this machine alone
 * changes nothing: a machine that deploys has no such variables.
 * @param {string[]} args
 */
export async function main(args) {
  const options = optionsOf(args, OPTIONS, HELP);
  if (!options) return 0;
  const { values, switches } = options;
  const { config, env: environment } = values;
  const report = await check({ config, environment, offline: switches.has("offline"), local: switches.has("local") });
  const probed = switches.has("probe") ? await tryAll({ config: config ?? CONFIG, environment }) : undefined;
  if (switches.has("json")) say(JSON.stringify({ ...report, ...(probed && { probed }) }, null, 2));
  else say([shown(report, config), ...(probed ? [shownProbed(probed)] : [])].join("\n\n"));
  if (probed?.some(({ works }) => works === false)) return 1;
  return report.problems.length || (switches.has("strict") && report.warnings.length) ? 1 : 0;
}

if (isMain(import.meta.url)) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    console.error(error instanceof Failure ? `error: ${error.message}` : error);
    process.exitCode = 2;
  }
}
