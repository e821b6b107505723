// The broker as a process: the built Worker in workerd, a configuration of its own, KV and
// Durable Objects on disk, which outlive it. Where `wrangler dev` is a part of what is tested,
// that runs it.

import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bareWorkerd } from "./bare-workerd.mjs";
import { call, KEY } from "./client.mjs";
import { codeOf, eachLine } from "./servers.mjs";
import { wranglerDev } from "./wrangler-dev.mjs";

/** @import { ChildProcess } from "node:child_process" */
/** @import { Readable } from "node:stream" */
/** @import { Answer, CallOptions } from "./client.mjs" */

export { KEY };

const ROOT = new URL("../../../", import.meta.url);
/** @param {string} path */
const at = (path) => fileURLToPath(new URL(path, ROOT));

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
 * @property {boolean} [https] serves it so, with a certificate that nobody trusts
 * @property {object} [wrangler] runs it by `wrangler dev`, whose configuration has these further members
 */

/**
 * What runs a broker: a command, and the address that a line of its output tells once it listens.
 *
 * @typedef {object} Runtime
 * @property {string} command
 * @property {string[]} args
 * @property {NodeJS.ProcessEnv} [env]
 * @property {(line: string) => string | undefined} addressIn
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
   * Every line that the Worker or what runs it printed, across restarts.
   *
   * @type {string[]}
   */
  output = [];
  /** Its address, without a path. */
  url = "";
  /** @type {Set<(line: string) => void>} */
  #waiting = new Set();
  /** @type {{ process: ChildProcess, ended: Promise<number | null> } | undefined} */
  #child;

  /**
   * @param {string} folder
   * @param {BrokerSettings} settings
   */
  constructor(folder, { vars, secrets, persistTo, port, https, wrangler }) {
    this.folder = folder;
    this.persistTo = persistTo ?? join(folder, "state");
    /** @type {Vars} */
    this.vars = { ALLOWED_ORIGINS: [ORIGIN], CALLERS: { backend: { kind: "key" } }, ...vars };
    /** @type {Secrets} */
    this.secrets = { BACKEND_KEY: KEY, SEALING_KEYS: sealingKey("k1"), ...secrets };
    this.port = port ?? 0;
    this.https = https ?? false;
    this.wrangler = wrangler;
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
    /** @type {Runtime} */
    const { command, args, env, addressIn } = await (this.wrangler ? wranglerDev : bareWorkerd)(this, WORKER);
    const child = spawn(command, args, {
      cwd: this.folder,
      // A group of its own, so that what it starts ends with it.
      detached: true,
      // The fourth is workerd's control channel.
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      env,
    });
    running.add(child);
    /** @type {Promise<number | null>} */
    const ended = new Promise((resolve) => child.once("close", resolve));
    ended.then(() => running.delete(child));
    this.#child = { process: child, ended };

    /** @type {NodeJS.Timeout | undefined} */
    let timer;
    /** @type {Promise<string>} */
    const address = new Promise((resolve, reject) => {
      /** @param {string} why */
      const failed = (why) => reject(new Error(`the broker ${why}:\n${this.output.join("\n")}`));
      timer = setTimeout(() => failed(`was not ready within ${START_LIMIT_MS} ms`), START_LIMIT_MS);
      ended.then((code) => failed(`ended with ${code}`));
      /** @param {string} line */
      const take = (line) => {
        this.output.push(line);
        for (const look of [...this.#waiting]) look(line);
        listens(line);
      };
      /** @param {string} line */
      const listens = (line) => {
        const address = addressIn(line);
        if (address) resolve(address);
      };
      const [, stdout, stderr, control] = /** @type {Readable[]} */ (/** @type {unknown[]} */ (child.stdio));
      eachLine(stdout, take);
      eachLine(stderr, take);
      eachLine(control, listens);
    });
    this.url = await address.finally(() => clearTimeout(timer));
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
    // Nobody has signed the broker's certificate.
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
