// The receivers of docs/guides/webhooks.md, unchanged, each in a process of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensurePython } from "../../../scripts/python.mjs";
import { eachLine } from "./servers.mjs";
import { endWithThis, freePort } from "../../../scripts/processes.mjs";

/** @import { ChildProcess } from "node:child_process" */

/**
 * The receiver's action on an event.
 *
 * @typedef {{ webhook: string, transaction: string, status: string }} Act
 */

/** @param {string} path */
const at = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

const START_LIMIT_MS = 30_000;

/** @type {{ [language: string]: { file: string, command: () => Promise<string> } }} */
const LANGUAGES = {
  js: { file: "receiver.mjs", command: async () => at("node_modules/.bin/node") },
  python: { file: "receiver.py", command: ensurePython },
};

/**
 * The blocks of code in docs/guides/webhooks.md in this language.
 *
 * @param {string} language
 */
export async function documented(language) {
  const page = await readFile(at("docs/guides/webhooks.md"), "utf8");
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm"))].map(([, code]) => code);
}

/**
 * Starts the receiver in `language` (js or python) on a free port.
 *
 * @param {string} language
 * @param {{ [name: string]: string }} env the environment that the page documents
 */
export async function startReceiver(language, env) {
  const { file, command } = LANGUAGES[language];
  const code = (await documented(language)).find(
    (block) => block.includes(`# ${file}:`) || block.includes(`// ${file}:`),
  );
  if (!code) throw new Error(`docs/guides/webhooks.md has no ${file}`);
  const folder = await mkdtemp(join(tmpdir(), "porteiro-receiver-"));
  await writeFile(join(folder, file), code);
  // The receiver finds its package as if it were installed beside it.
  await symlink(at("node_modules"), join(folder, "node_modules"), "dir");
  const receiver = new Receiver(folder, [await command(), file], { ...env, PORT: String(await freePort()) });
  try {
    await receiver.start();
  } catch (error) {
    await receiver.stop();
    throw error;
  }
  return receiver;
}

export class Receiver {
  /**
   * The receiver's actions, in order.
   *
   * @type {Act[]}
   */
  acted = [];
  /**
   * The errors that the receiver printed.
   *
   * @type {string[]}
   */
  complaints = [];
  /** @type {Set<() => void>} */
  #waiting = new Set();
  /** @type {{ process: ChildProcess, ended: Promise<unknown[]> } | undefined} */
  #child;

  /**
   * @param {string} folder
   * @param {string[]} command
   * @param {{ [name: string]: string }} env
   */
  constructor(folder, command, env) {
    this.folder = folder;
    this.command = command;
    this.env = env;
    this.url = `http://127.0.0.1:${env.PORT}/`;
  }

  async start() {
    const [command, ...args] = this.command;
    const child = endWithThis(
      spawn(command, args, {
        cwd: this.folder,
        stdio: ["ignore", "pipe", "pipe"],
        env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: "1", ...this.env },
      }),
    );
    const ended = once(child, "close");
    this.#child = { process: child, ended };
    let listens = false;
    eachLine(child.stdout, (line) => {
      if (line.startsWith("{")) this.acted.push(JSON.parse(line));
      listens ||= line === `Listening on ${this.url.slice(0, -1)}`;
      this.#changed();
    });
    eachLine(child.stderr, (line) => {
      this.complaints.push(line);
      this.#changed();
    });
    await Promise.race([
      this.until(() => listens, { limit: START_LIMIT_MS, what: "its start" }),
      ended.then(([code]) =>
        Promise.reject(new Error(`the receiver ended with ${code}:\n${this.complaints.join("\n")}`)),
      ),
    ]);
  }

  /**
   * Resolves when `condition` holds, which is checked after each line of output.
   *
   * @param {(receiver: this) => unknown} condition
   * @param {{ limit?: number, what?: string }} [options] `limit` in milliseconds
   * @returns {Promise<void>}
   */
  until(condition, { limit = 20_000, what = "the condition" } = {}) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look);
        const said = [...this.acted.map((one) => JSON.stringify(one)), ...this.complaints.slice(-20)];
        reject(new Error(`${what} did not come; it said:\n${said.join("\n")}`));
      }, limit);
      const look = () => {
        if (!condition(this)) return;
        clearTimeout(timer);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  /**
   * Waits for an action on the transaction, or on the webhook id.
   *
   * @param {string} name
   */
  hasActedOn(name) {
    /** @param {Act} act */
    const about = ({ webhook, transaction }) => [webhook, transaction].includes(name);
    return this.until(({ acted }) => acted.some(about), { what: `what it does about ${name}` });
  }

  /** Ends the receiver at once, as a crash would. */
  async kill() {
    this.#child?.process.kill("SIGKILL");
    await this.#child?.ended;
  }

  /** Ends the receiver and starts it on its stored state. */
  async restart() {
    await this.kill();
    await this.start();
  }

  async stop() {
    await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  #changed() {
    for (const look of [...this.#waiting]) look();
  }
}
