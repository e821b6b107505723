// The broker under `wrangler dev`, as its users run it: the built Worker, a
// configuration of its own in a temporary folder, local KV and Durable Objects.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compatibility } from "../../../scripts/lib.mjs";
import { call, KEY } from "./client.mjs";
import { codeOf, eachLine } from "./servers.mjs";

/** @import { ChildProcessByStdio } from "node:child_process" */
/** @import { Readable } from "node:stream" */
/** @import { Answer, CallOptions } from "./client.mjs" */

export { KEY };

const ROOT = new URL("../../../", import.meta.url);
/** @param {string} path */
const at = (path) => fileURLToPath(new URL(path, ROOT));

const NODE = at("node_modules/.bin/node");
const WRANGLER = at("node_modules/wrangler/bin/wrangler.js");
const WORKER = process.env.PORTEIRO_E2E_MAIN ?? at("build/index.js");

const START_LIMIT_MS = 30_000;

/** The origin of the front end. */
export const ORIGIN = "https://app.example.com";

/**
 * A sealing key as it stands in `SEALING_KEYS`.
 *
 * @param {string} id
 */
export const sealingKey = (id) => `${id}:${randomBytes(32).toString("base64")}`;

/** One rule that lets the caller `backend` do everything. */
export const EVERYTHING = {
  callers: ["backend"],
  methods: ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
  paths: ["/**"],
};

/**
 * Variables of a broker, by name: whatever its configuration may say, and what tests say wrongly on purpose.
 *
 * @typedef {{ [name: string]: any }} Vars
 */

/**
 * Secrets by name; undefined takes one away.
 *
 * @typedef {{ [name: string]: string | undefined }} Secrets
 */

/**
 * How a broker is to be.
 *
 * @typedef {object} BrokerSettings
 * @property {Vars} [vars] merged over a front end's origin and the caller `backend`
 * @property {Secrets} [secrets] merged over `BACKEND_KEY` and a fresh sealing key
 * @property {string} [persistTo] the folder of KV and Durable Objects; a fresh one where absent
 * @property {number} [port]
 * @property {object} [config] further members of the Wrangler configuration; { dev: { local_protocol: "https" } } serves it so
 */

/**
 * One JSON line of the Worker's log.
 *
 * @typedef {{ [member: string]: any }} LogLine
 */

/**
 * Starts a broker.
 *
 * @param {BrokerSettings} [settings]
 */
export async function startBroker(settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), "porteiro-e2e-"));
  const broker = new Broker(folder, settings);
  try {
    await broker.start();
  } catch (error) {
    await broker.stop();
    throw error;
  }
  return broker;
}

export class Broker {
  /**
   * Every line that Wrangler or the Worker printed, across restarts.
   *
   * @type {string[]}
   */
  output = [];
  /** Its address, without a path. */
  url = "";
  /** @type {Set<(line: string) => void>} */
  #waiting = new Set();
  /** @type {{ process: ChildProcessByStdio<null, Readable, Readable>, ended: Promise<number | null> } | undefined} */
  #child;

  /**
   * @param {string} folder
   * @param {BrokerSettings} settings
   */
  constructor(folder, { vars, secrets, persistTo, port, config }) {
    this.folder = folder;
    this.persistTo = persistTo ?? join(folder, "state");
    /** @type {Vars} */
    this.vars = { ALLOWED_ORIGINS: [ORIGIN], CALLERS: { backend: { kind: "key" } }, ...vars };
    /** @type {Secrets} */
    this.secrets = { BACKEND_KEY: KEY, SEALING_KEYS: sealingKey("k1"), ...secrets };
    this.config = config;
    this.port = port ?? 0;
  }

  /** What the Worker logged: each of its JSON lines, parsed. */
  get logs() {
    return this.logsSince(0);
  }

  /**
   * What it logged after the first `count` lines of `output`.
   *
   * @param {number} count
   */
  logsSince(count) {
    return this.output
      .slice(count)
      .map(jsonLine)
      .filter((line) => line !== undefined);
  }

  /**
   * Sends a request to the broker; see client.mjs.
   *
   * @param {string} target
   * @param {CallOptions} [options]
   */
  call(target, options) {
    return call(this.url, target, options);
  }

  /**
   * The first log line after `since` lines of `output` that `wanted` accepts, waited for where it is not yet there.
   *
   * @param {(line: LogLine) => unknown} wanted
   * @param {{ since?: number, limit?: number, what?: string }} [options] `limit` in milliseconds
   * @returns {Promise<LogLine>}
   */
  logged(wanted, { since = 0, limit = 5_000, what = "the log line" } = {}) {
    const found = this.logsSince(since).find(wanted);
    if (found) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      /** @param {string} line */
      const look = (line) => {
        const log = jsonLine(line);
        if (!log || !wanted(log)) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve(log);
      };
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`${what} did not come; the last lines were:\n${this.output.slice(-20).join("\n")}`));
      }, limit);
      this.#waiting.add(look);
    });
  }

  async start() {
    if (!existsSync(WORKER)) throw new Error(`there is no build/index.js: run "npm run build" first`);
    await mkdir(this.persistTo, { recursive: true });
    await writeFile(join(this.folder, "wrangler.json"), JSON.stringify(this.#configuration(), undefined, 2));
    await writeFile(join(this.folder, ".dev.vars"), devVars(this.secrets));
    const child = spawn(
      NODE,
      [
        WRANGLER,
        "dev",
        "--ip",
        "127.0.0.1",
        "--port",
        String(this.port),
        "--inspector-port",
        "0",
        "--persist-to",
        this.persistTo,
        "--show-interactive-dev-session=false",
        "--log-level",
        "log",
      ],
      {
        cwd: this.folder,
        // A group of its own, so that workerd and esbuild end with it.
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
        env: {
          PATH: process.env.PATH,
          HOME: this.folder,
          XDG_CONFIG_HOME: join(this.folder, "config"),
          TMPDIR: tmpdir(),
          CI: "1",
          NO_COLOR: "1",
          WRANGLER_SEND_METRICS: "false",
          WRANGLER_SEND_ERROR_REPORTS: "false",
          WRANGLER_LOG_PATH: join(this.folder, "wrangler-logs"),
          WRANGLER_REGISTRY_PATH: join(this.folder, "registry"),
          CLOUDFLARE_CF_FETCH_ENABLED: "false",
          // A trace of every request, stored on disk: slow, and of no use here.
          X_LOCAL_OBSERVABILITY: "false",
        },
      },
    );
    running.add(child);
    /** @type {Promise<number | null>} */
    const ended = new Promise((resolve) => child.once("close", resolve));
    ended.then(() => running.delete(child));
    this.#child = { process: child, ended };

    /** @type {Promise<string>} */
    const address = new Promise((resolve, reject) => {
      /** @param {string} why */
      const failed = (why) => reject(new Error(`the broker ${why}:\n${this.output.join("\n")}`));
      const timer = setTimeout(() => failed(`was not ready within ${START_LIMIT_MS} ms`), START_LIMIT_MS);
      ended.then((code) => failed(`ended with ${code}`));
      /** @param {string} line */
      const take = (line) => {
        this.output.push(line);
        for (const look of [...this.#waiting]) look(line);
        const ready = /Ready on (https?:\/\/127\.0\.0\.1:\d+)/.exec(line);
        if (ready) {
          clearTimeout(timer);
          resolve(ready[1]);
        }
      };
      eachLine(child.stdout, take);
      eachLine(child.stderr, take);
      ended.then(() => clearTimeout(timer));
    });
    this.url = await address;
    await answers(`${this.url}${this.vars.BASE_PATH ?? ""}/healthz`);
  }

  /**
   * Ends the broker and starts it on the same stored state.
   *
   * @param {{ vars?: Vars, secrets?: Secrets }} [changes]
   */
  async restart({ vars, secrets } = {}) {
    await this.kill();
    this.vars = { ...this.vars, ...vars };
    this.secrets = { ...this.secrets, ...secrets };
    await this.start();
  }

  /** Ends the whole process group at once, as a crash would. */
  async kill() {
    if (!this.#child) return;
    killGroup(this.#child.process, "SIGKILL");
    await this.#child.ended;
    this.#child = undefined;
  }

  /** Ends the broker and deletes what it left. */
  async stop() {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #configuration() {
    const { date, flags } = compatibility();
    return {
      name: "porteiro",
      main: WORKER,
      compatibility_date: date,
      compatibility_flags: flags,
      kv_namespaces: [{ binding: "TOKENS", id: "tokens" }],
      durable_objects: { bindings: [{ name: "KEEPER", class_name: "Keeper" }] },
      migrations: [{ tag: "v1", new_sqlite_classes: ["Keeper"] }],
      vars: this.vars,
      ...this.config,
    };
  }
}

// The file is read literally between single quotes, so anything but those and
// line ends may stand there.
/** @param {Secrets} secrets */
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

/**
 * @param {string} line
 * @returns {LogLine | undefined}
 */
function jsonLine(line) {
  const start = line.indexOf("{");
  if (start < 0) return undefined;
  try {
    return JSON.parse(line.slice(start));
  } catch {
    return undefined;
  }
}

/**
 * @param {string} url
 * @returns {Promise<void>}
 */
function answers(url) {
  return new Promise((resolve, reject) => {
    const send = url.startsWith("https:") ? httpsRequest : httpRequest;
    // The certificate of `wrangler dev` is its own.
    const sent = send(url, { agent: false, rejectUnauthorized: false }, (response) => {
      response.resume();
      response.once("end", () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`/healthz answered ${response.statusCode}`)),
      );
    });
    sent.setTimeout(START_LIMIT_MS, () => sent.destroy(new Error("/healthz does not answer")));
    sent.once("error", reject);
    sent.end();
  });
}

// --- Nothing outlives the tests -------------------------------------------

/** @type {Set<import("node:child_process").ChildProcess>} */
const running = new Set();

/**
 * @param {import("node:child_process").ChildProcess} child
 * @param {NodeJS.Signals} signal
 */
function killGroup(child, signal) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (codeOf(error) !== "ESRCH") throw error;
  }
}

process.on("exit", () => running.forEach((child) => killGroup(child, "SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => process.exit(1));
}
