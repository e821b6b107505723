// Serves the broker in workerd: with the sandbox of four providers, or without it.
//
//   node scripts/start.mjs [--no-sandbox [--env NAME] [--port N] [--config PATH]]
import { spawn } from "node:child_process";
import { cpSync, existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { check, noProject, shownLocally } from "./check.mjs";
import { devVarsToRun } from "./development.mjs";
import {
  Failure,
  commandLine,
  errorCode,
  inProject,
  inRoot,
  isClone,
  isMain,
  node,
  portInUse,
  project,
  runMain,
  say,
  toolEnv,
  workerFolder,
  wrangler,
} from "./lib.mjs";
import { PLACE, optionsOf } from "./options.mjs";
import { prepare, prepareWorker } from "./prepare.mjs";
import { hasDevVars, makeDevVars, makeSandboxVars } from "./vars.mjs";

const BROKER = 8787;
const FRONT_END = 8790;
const EXAMPLE = 8791;
const PROVIDERS = [8801, 8802, 8803, 8805];
const ISSUER = 8804;
const READY_WITHIN_MS = 60_000;

const CONFIG = "wrangler.toml";
const ORIGINS = "ALLOWED_ORIGINS";
const OPTIONS = { ...PLACE, port: { value: "N", short: "p", help: `another port than ${BROKER}` } };
const HELP = `${commandLine("dev", "[options]")}: serves the broker of wrangler.toml on this machine, without the sandbox.

Its secrets are in .dev.vars beside the configuration; an environment has .dev.vars.NAME instead, where that is there.
${ORIGINS} in there takes the place of the configuration's, for pages in development.`;
const SANDBOX_HELP = `npx porteiro dev --sandbox [options]: serves a broker of its own with four providers to try, and pages that call them.`;
const START_HELP =
  "npm start: serves the broker with the sandbox. It has one place, and no options: see `npm run dev`.";

/** @type {import("node:child_process").ChildProcess[]} */
const children = [];
let stopping = false;

/** The command of the package: the sandbox is a choice there. @param {string[]} args */
export const dev = (args) =>
  args.includes("--sandbox")
    ? serveSandbox(
        args.filter((arg) => arg !== "--sandbox"),
        { options: { port: OPTIONS.port }, help: SANDBOX_HELP },
      )
    : serveConfigured(args, { sandbox: { help: "serves providers to try, with accounts of their own, instead" } });

/** @param {string[]} args */
async function main(args) {
  const [first, ...rest] = args;
  if (first === "--no-sandbox") await serveConfigured(rest);
  else await serveSandbox(args, { help: START_HELP });
}

/**
 * @param {string[]} args
 * @param {{ options?: import("./options.mjs").Options, help: string }} of what the command takes
 */
async function serveSandbox(args, { options: known = {}, help }) {
  const options = optionsOf(args, known, help);
  if (!options) return;
  const port = portOf(options.values.port);
  await refuseTakenPorts([port, FRONT_END, EXAMPLE, ...PROVIDERS, ISSUER]);
  await prepareWorker();
  stopWhenAsked();
  say("\n==> sandbox and broker");
  const config = sandboxConfig(port);
  // wrangler reads the secrets from a file beside the configuration.
  const secrets = await makeSandboxVars(project, path.dirname(config));
  launch("the sandbox", node(), [inRoot("sandbox", "main.mjs")], { ...secrets, PORTEIRO_BROKER: addressAt(port) });
  const more = ["--config", config, "--persist-to", inProject(".wrangler", "sandbox")];
  await serve(port, more, [
    `broker                      ${addressAt(port)}`,
    `page, served by the broker  ${addressAt(port)}/`,
    `page, on another origin     ${addressAt(FRONT_END)}/, with webhooks`,
    `example, people sign in     ${addressAt(EXAMPLE)}/`,
  ]);
}

/**
 * The sandbox's configuration. What npm installed is not written to: there it is a copy, beside the secrets, as is the
 * page, which names the broker's address.
 * @param {number} port
 */
function sandboxConfig(port) {
  const own = inRoot("sandbox", "wrangler.toml");
  if (isClone) return own;
  const folder = inProject(".wrangler", "sandbox-settings");
  const page = path.join(folder, "page");
  cpSync(inRoot("sandbox", "page"), page, { recursive: true });
  for (const name of readdirSync(page)) {
    const file = path.join(page, name);
    writeFileSync(file, readFileSync(file, "utf8").replaceAll(addressAt(BROKER), addressAt(port)));
  }
  const copy = path.join(folder, "wrangler.toml");
  const text = readFileSync(own, "utf8").replace(
    '"../build/index.js"',
    JSON.stringify(path.join(workerFolder, "index.js")),
  );
  writeFileSync(copy, text);
  return copy;
}

/**
 * @param {string[]} args
 * @param {import("./options.mjs").Options} [more] options that the help has, too
 */
export async function serveConfigured(args, more) {
  const options = optionsOf(args, { ...OPTIONS, ...more }, HELP);
  if (!options) return;
  const { config = CONFIG, env: environment = process.env.CLOUDFLARE_ENV ?? "" } = options.values;
  const port = portOf(options.values.port);
  if (!existsSync(path.resolve(project, config)))
    throw new Failure(config === CONFIG ? noProject() : `There is no file ${config}.`);
  await refuseTakenPorts([port]);
  await prepare();
  if (!hasDevVars()) await makeDevVars();
  const origins = await sayWhatIsWrong(config, environment);
  await prepareWorker();
  stopWhenAsked();
  say("\n==> broker");
  const file = path.resolve(project, config);
  await serve(
    port,
    [`--config=${file}`, `--env=${environment}`, ...stateOf(file, environment, port)],
    [
      `broker  ${addressAt(port)}, as ${config}${environment ? ` [env.${environment}]` : ""} says${isClone ? "; it is built again when src/ changes" : ""}`,
      `pages   ${origins}`,
    ],
  );
}

/** @param {string | undefined} text */
function portOf(text) {
  if (text === undefined) return BROKER;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new Failure(`--port is a number from 1 to 65535, and not ${text}.`);
  return port;
}

/**
 * Where wrangler keeps the Worker's state, if not in its default place. Only one process may have an object's storage,
 * and the copies in KV bear no environment's name: so each port and environment has state of its own.
 * @param {string} file
 * @param {string} environment
 * @param {number} port
 */
function stateOf(file, environment, port) {
  if (!environment && port === BROKER) return [];
  const name = [port, ...(environment ? [encodeURIComponent(environment)] : [])].join("-");
  return ["--persist-to", path.join(path.dirname(file), ".wrangler", "dev", name)];
}

/**
 * Checks the configuration, and says what is wrong on this machine, which stops nothing. Returns whose pages may call.
 * @param {string} config
 * @param {string} environment
 */
async function sayWhatIsWrong(config, environment) {
  const [vars] = await devVarsToRun(config, environment);
  const report = await check({ config, environment, offline: true, devVars: async () => [vars] });
  const lines = shownLocally(report.development);
  if (report.problems.length) lines.push(`${config} has problems: \`${commandLine("check")}\` names them.`);
  if (lines.length) say(["\n==> check", ...lines].join("\n"));
  return ORIGINS in vars.variables
    ? `of ${ORIGINS} in ${path.basename(vars.file)} may call, which takes the place of the configuration's`
    : `of ${ORIGINS} in the configuration may call; for others in development, write it in ${path.basename(vars.file)}`;
}

/** @param {number} port */
const addressAt = (port) => `http://localhost:${port}`;

/**
 * Starts the broker, and says when it is ready.
 * @param {number} port
 * @param {string[]} more arguments of wrangler's
 * @param {string[]} lines what is said then
 */
async function serve(port, more, lines) {
  const where = ["--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0"];
  launch("the broker", ...wrangler("dev", ...where, "--show-interactive-dev-session=false", ...more));
  await untilReady(port);
  if (stopping) return;
  say(`\nPorteiro is ready.\n\n${lines.map((line) => `  ${line}`).join("\n")}\n\nStop it with Ctrl-C.\n`);
}

function stopWhenAsked() {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => stop(0));
  // npm passes a signal on only to the shell between npm and this process.
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event) setInterval(() => process.ppid !== parent && stop(0), 500).unref();
}

/** @param {number[]} ports */
async function refuseTakenPorts(ports) {
  for (const port of ports) {
    if (await portInUse(port)) throw new Failure(`Port ${port} is in use: end what listens there, and try again.`);
  }
}

/**
 * Starts a child that must run until the end: if it ends, everything ends.
 * @param {string} name
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
function launch(name, command, args, env = {}) {
  const child = spawn(command, args, { cwd: project, env: toolEnv(env), stdio: ["ignore", "inherit", "inherit"] });
  child.on("error", (error) => fail(`${name} could not be started (${errorCode(error)}).`));
  child.on("exit", (code, signal) => fail(`${name} ended (${signal ?? `exit code ${code}`}); everything is stopped.`));
  children.push(child);
}

/** @param {string} message */
function fail(message) {
  if (stopping) return;
  console.error(`\nerror: ${message}`);
  stop(1);
}

/**
 * Ends the children, after a delay by force, and then this process.
 * @param {number} code
 */
async function stop(code) {
  if (stopping) return;
  stopping = true;
  const running = children.filter((child) => child.pid && child.exitCode === null && child.signalCode === null);
  const ended = Promise.all(running.map((child) => new Promise((resolve) => child.once("exit", resolve))));
  for (const child of running) child.kill("SIGTERM");
  const force = setTimeout(() => running.forEach((child) => child.kill("SIGKILL")), 5_000);
  await ended;
  clearTimeout(force);
  process.exit(code);
}

/** @param {number} port */
async function untilReady(port) {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!stopping) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`, { signal: AbortSignal.timeout(2_000) }).catch(
      () => {},
    );
    // Any answer counts: with a BASE_PATH, `healthz` has another address.
    if (answer) return;
    if (Date.now() > deadline) return fail(`the broker did not answer within ${READY_WITHIN_MS / 1000} seconds.`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

if (isMain(import.meta.url)) await runMain(main);
