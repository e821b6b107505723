// The broker as a process: the built Worker in workerd, with a configuration of its own, and with KV and Durable
// Objects on disk, which outlive it. If a test covers `wrangler dev`, that runs the Worker.

import { randomBytes } from "node:crypto";
import { mkdtemp, rm, statfs } from "node:fs/promises";
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtModules, startWorkerd } from "../../../scripts/workerd.mjs";
import { selfSigned } from "./certificate.mjs";
import { call, KEY } from "./client.mjs";
import { startWranglerDev } from "./wrangler-dev.mjs";

/** @import { ClientCertificate, Modules } from "../../../scripts/workerd.mjs" */
/** @import { Answer, CallOptions } from "./client.mjs" */

export { KEY };

const START_LIMIT_MS = 30_000;

/** The origin of the front end. */
export const ORIGIN = "https://app.example.com";

/**
 * A sealing key in the form of `SEALING_KEYS`.
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
 * Variables of a broker, by name, including invalid ones that tests use on purpose.
 *
 * @typedef {{ [name: string]: any }} Vars
 */

/**
 * Secrets by name; undefined removes a secret.
 *
 * @typedef {{ [name: string]: string | undefined }} Secrets
 */

/**
 * The settings of a broker.
 *
 * @typedef {object} BrokerSettings
 * @property {Vars} [vars] merged over a front end's origin and the caller `backend`
 * @property {Secrets} [secrets] merged over `BACKEND_KEY` and a new sealing key
 * @property {string} [persistTo] the folder of KV and Durable Objects; default: a new one
 * @property {number} [port]
 * @property {boolean} [https] serves the broker by https, with a self-signed certificate
 * @property {Modules} [around] modules, the first of which is the entry instead of the broker's index.js
 * @property {Modules} [outbound] modules of a worker that gets all of the broker's fetches
 * @property {{ [binding: string]: ClientCertificate }} [certificates] bindings with client certificates
 * @property {object} [wrangler] runs the broker by `wrangler dev`, with these further members in its configuration
 */

/**
 * A running broker: its address, without a path, and a function that ends it, after which its whole output is
 * available.
 *
 * Without wrangler, also the process id, and the address of the worker that gets the broker's fetches.
 *
 * @typedef {{ url: string, kill: () => Promise<void>, pid?: number, outbound?: string }} Running
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
  const folder = await mkdtemp(join(await stateFolder(), "porteiro-e2e-"));
  const broker = new Broker(folder, settings);
  try {
    await broker.start();
  } catch (error) {
    await broker.stop();
    throw error;
  }
  return broker;
}

// The stored state must outlive the process, not the machine: if there is room on a file system in memory, no write
// waits for a disk. Linux has one, and containers often a small one.
const IN_MEMORY = "/dev/shm";
const ROOM_BYTES = 1024 ** 3;

async function stateFolder() {
  const { bavail, bsize } = await statfs(IN_MEMORY).catch(() => ({ bavail: 0, bsize: 0 }));
  return bavail * bsize >= ROOM_BYTES ? IN_MEMORY : tmpdir();
}

export class Broker {
  /**
   * Every line printed by the Worker or its runtime, across restarts.
   *
   * @type {string[]}
   */
  output = [];
  /** The broker's address, without a path. */
  url = "";
  /** @type {Set<(line: string) => void>} */
  #waiting = new Set();
  /** @type {Running | undefined} */
  #running;

  /**
   * @param {string} folder
   * @param {BrokerSettings} settings
   */
  constructor(folder, { vars, secrets, persistTo, port, https, around, outbound, certificates, wrangler }) {
    this.folder = folder;
    this.persistTo = persistTo ?? join(folder, "state");
    /** @type {Vars} */
    this.vars = { ALLOWED_ORIGINS: [ORIGIN], CALLERS: { backend: { kind: "key" } }, ...vars };
    /** @type {Secrets} */
    this.secrets = { BACKEND_KEY: KEY, SEALING_KEYS: sealingKey("k1"), ...secrets };
    this.port = port ?? 0;
    this.https = https ?? false;
    this.around = around;
    this.outbound = outbound;
    this.certificates = certificates;
    this.wrangler = wrangler;
  }

  /** The id of the broker's process. */
  get pid() {
    return this.#running?.pid;
  }

  /** The address of the worker that gets the broker's fetches. */
  get outboundUrl() {
    return this.#running?.outbound;
  }

  /** The Worker's JSON log lines, parsed. */
  get logs() {
    return this.logsSince(0);
  }

  /**
   * The log lines after the first `count` lines of `output`.
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
   * Waits for the first log line after `since` lines of `output` that `wanted` accepts.
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
    /** @param {string} line */
    const take = (line) => {
      this.output.push(line);
      for (const look of [...this.#waiting]) look(line);
    };
    try {
      this.#running = await (this.wrangler ? startWranglerDev : startBare)(this, take);
    } catch (error) {
      throw new Error(`the broker did not start:\n${this.output.join("\n")}`, { cause: error });
    }
    this.url = this.#running.url;
    await answers(`${this.url}${(this.vars.BASE_PATH ?? "").replace(/\/$/, "")}/healthz`);
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

  /** Ends the broker's process at once, as a crash would. */
  async kill() {
    await this.#running?.kill();
    this.#running = undefined;
  }

  /** Ends the broker and deletes its stored state. */
  async stop() {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/**
 * @param {Broker} broker
 * @param {(line: string) => void} take
 * @returns {Promise<Running>}
 */
async function startBare({ vars, secrets, persistTo, port, https, around, outbound, certificates }, take) {
  const certificate = https ? selfSigned("localhost") : undefined;
  const { urls, stop, pid } = await startWorkerd({
    workers: [
      {
        name: "broker",
        modules: { ...around, ...builtModules() },
        vars: { ...vars, ...secrets },
        keeper: true,
        port,
        certificate,
        certificates,
        ...(outbound && { outbound: "outbound" }),
      },
      ...(outbound ? [{ name: "outbound", modules: outbound }] : []),
    ],
    kv: { disk: join(persistTo, "kv") },
    objects: join(persistTo, "do"),
    onLog: take,
    errors: "logged",
  });
  return { url: urls.broker, kill: stop, pid, outbound: urls.outbound };
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
    // The broker's certificate is self-signed.
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
