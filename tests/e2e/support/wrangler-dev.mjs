// The broker under `wrangler dev`, as its users run it. It takes seconds to start and puts a proxy in front, so only
// tests that cover `wrangler dev` use it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compatibility, inRoot, wrangler } from "../../../scripts/lib.mjs";
import { codeOf, eachLine } from "./servers.mjs";

/** @import { ChildProcess } from "node:child_process" */
/** @import { Broker, Running, Secrets } from "./broker.mjs" */

const WORKER = process.env.PORTEIRO_E2E_MAIN ?? inRoot("build", "index.js");

const START_LIMIT_MS = 30_000;

/**
 * Starts the broker; `take` gets every line that wrangler or the Worker prints.
 *
 * @param {Broker} broker
 * @param {(line: string) => void} take
 * @returns {Promise<Running>}
 */
export async function startWranglerDev(broker, take) {
  const { folder, persistTo, port } = broker;
  await writeFile(join(folder, "wrangler.json"), JSON.stringify(configuration(broker), undefined, 2));
  await writeFile(join(folder, ".dev.vars"), devVars(broker.secrets));
  const [command, args] = wrangler(
    "dev",
    "--ip",
    "127.0.0.1",
    "--port",
    String(port),
    "--inspector-port",
    "0",
    "--persist-to",
    persistTo,
    "--show-interactive-dev-session=false",
    "--log-level",
    "log",
  );
  const child = spawn(command, args, {
    cwd: folder,
    // The process has a group of its own, so that workerd and esbuild end with it.
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      XDG_CONFIG_HOME: join(folder, "config"),
      TMPDIR: tmpdir(),
      CI: "1",
      NO_COLOR: "1",
      WRANGLER_SEND_METRICS: "false",
      WRANGLER_SEND_ERROR_REPORTS: "false",
      WRANGLER_LOG_PATH: join(folder, "wrangler-logs"),
      WRANGLER_REGISTRY_PATH: join(folder, "registry"),
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      // wrangler would log every request to disk: that is slow, and not needed here.
      X_LOCAL_OBSERVABILITY: "false",
    },
  });
  running.add(child);
  const closed = once(child, "close").then(() => running.delete(child));
  const kill = async () => {
    killGroup(child);
    await closed;
  };
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  /** @type {Promise<string>} */
  const ready = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`wrangler was not ready within ${START_LIMIT_MS} ms`)), START_LIMIT_MS);
    closed.then(() => reject(new Error("wrangler ended while it started")));
    for (const stream of [child.stdout, child.stderr]) {
      eachLine(stream, (line) => {
        take(line);
        const address = /Ready on (https?:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1];
        if (address) resolve(address);
      });
    }
  });
  try {
    return { url: await ready, kill };
  } catch (error) {
    await kill();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** @param {Broker} broker */
function configuration({ vars, https, wrangler }) {
  const { date, flags } = compatibility();
  return {
    name: "porteiro",
    main: WORKER,
    compatibility_date: date,
    compatibility_flags: flags,
    kv_namespaces: [{ binding: "TOKENS", id: "tokens" }],
    durable_objects: { bindings: [{ name: "KEEPER", class_name: "Keeper" }] },
    migrations: [{ tag: "v1", new_sqlite_classes: ["Keeper"] }],
    vars,
    dev: { local_protocol: https ? "https" : "http" },
    ...wrangler,
  };
}

/**
 * The file is read literally between quotes, so a value may have any characters but quotes and line ends.
 *
 * @param {Secrets} secrets
 */
function devVars(secrets) {
  return Object.entries(secrets)
    .map(([name, value]) => {
      if (value === undefined) return "";
      const quote = ["'", '"', "`"].find((mark) => !value.includes(mark));
      if (!quote || /[\r\n]/.test(value) || (quote === '"' && value.includes("\\"))) {
        throw new Error(`${name} cannot be written to .dev.vars`);
      }
      return `${name}=${quote}${value}${quote}\n`;
    })
    .join("");
}

// --- Nothing outlives the tests -------------------------------------------

/** @type {Set<ChildProcess>} */
const running = new Set();

/** @param {ChildProcess} child */
function killGroup(child) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    if (codeOf(error) !== "ESRCH") throw error;
  }
}

process.once("exit", () => running.forEach(killGroup));
