// Serves the broker in workerd: with the sandbox of the three providers, or without it.
//
//   node scripts/start.mjs [--no-sandbox]
import { spawn } from "node:child_process";
import { buildWorker } from "./build.mjs";
import { Failure, errorCode, inRoot, node, portInUse, root, runMain, say, toolEnv, wrangler } from "./lib.mjs";
import { setup } from "./setup.mjs";
import { makeSandboxVars } from "./vars.mjs";

const BROKER = 8787;
const FRONT_END = 8790;
const EXAMPLE = 8791;
const PROVIDERS = [8801, 8802, 8803];
const ISSUER = 8804;
const READY_WITHIN_MS = 60_000;

/** @type {import("node:child_process").ChildProcess[]} */
const children = [];
let stopping = false;

/** @param {string[]} args */
async function main(args) {
  const withSandbox = !args.includes("--no-sandbox");
  await refuseTakenPorts(withSandbox ? [BROKER, FRONT_END, EXAMPLE, ...PROVIDERS, ISSUER] : [BROKER]);
  await setup();
  await buildWorker();
  stopWhenAsked();

  const serve = [
    "dev",
    "--ip",
    "127.0.0.1",
    "--port",
    String(BROKER),
    "--inspector-port",
    "0",
    "--show-interactive-dev-session=false",
  ];
  if (withSandbox) {
    say("\n==> sandbox and broker");
    launch("the sandbox", node(), [inRoot("sandbox", "main.mjs")], await makeSandboxVars());
    // wrangler reads the secrets from a file beside the configuration.
    serve.push("--config", inRoot("sandbox", "wrangler.toml"), "--persist-to", inRoot(".wrangler", "sandbox"));
  } else {
    say("\n==> broker");
  }
  launch("the broker", ...wrangler(...serve));
  await untilReady();
  if (!stopping) say(welcome(withSandbox));
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
  const child = spawn(command, args, { cwd: root, env: toolEnv(env), stdio: ["ignore", "inherit", "inherit"] });
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

async function untilReady() {
  const deadline = Date.now() + READY_WITHIN_MS;
  while (!stopping) {
    const answer = await fetch(`http://127.0.0.1:${BROKER}/healthz`, { signal: AbortSignal.timeout(2_000) }).catch(
      () => {},
    );
    // Any answer counts: with a BASE_PATH, `healthz` has another address.
    if (answer) return;
    if (Date.now() > deadline) return fail(`the broker did not answer within ${READY_WITHIN_MS / 1000} seconds.`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** @param {boolean} withSandbox */
function welcome(withSandbox) {
  const broker = `http://localhost:${BROKER}`;
  const lines = withSandbox
    ? [
        `broker                      ${broker}`,
        `page, served by the broker  ${broker}/`,
        `page, on another origin     http://localhost:${FRONT_END}/, with webhooks`,
        `example, people sign in     http://localhost:${EXAMPLE}/`,
      ]
    : [`broker  ${broker}, as wrangler.toml says; it is built again when src/ changes`];
  return `\nPorteiro is ready.\n\n${lines.map((line) => `  ${line}`).join("\n")}\n\nStop it with Ctrl-C.\n`;
}

await runMain(main);
