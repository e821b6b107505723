// A copy of the project, for a deployment by a person: the real scripts, the real wrangler and the built Worker, in a
// folder of its own, with a home directory of its own and, if needed, a terminal.

import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import net from "node:net";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { fileURLToPath } from "node:url";
import { ensurePython } from "../../../scripts/python.mjs";
import { selfSigned } from "./certificate.mjs";
import { listening, portOf } from "./servers.mjs";

/** @typedef {{ [name: string]: string | undefined }} Env */

/**
 * The settings of a project.
 *
 * @typedef {object} ProjectSettings
 * @property {string[]} [secrets] the secrets that its configuration needs besides ADMIN_KEY
 * @property {(text: string) => string} [configure] derives its configuration from the repository's own
 * @property {{ field: string, message: string }[]} [problems] the problems that the configuration check reports
 */

/** @param {string} path */
const at = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
/** What a clone has of its own, or makes: everything else is the repository's. */
const OWN = ["scripts", "wrangler.toml", ".dev.vars", ".wrangler", ".git", "target"];
const LIMIT_MS = 60_000;

/**
 * A stand-in for the configuration check: it prints its arguments, and reports these secrets and problems.
 *
 * @param {string[]} secrets
 * @param {ProjectSettings["problems"]} problems
 */
const check = (secrets, problems) => `
export async function check({ config, environment, offline }) {
  const secrets = ${JSON.stringify(secrets)}.map((name) => ({ environment: environment || null, name, needed: name !== "ADMIN_KEY", set: null }));
  return { problems: ${JSON.stringify(problems)}, warnings: [], secrets, said: { config, environment, offline } };
}
export const shown = ({ said: { config, environment, offline }, secrets }, path) =>
  "checked " + config + " of " + (environment || "the top") + (offline && path === config && !secrets.length ? "" : " wrongly");
`;

export class Project {
  /** @type {Run[]} */
  #runs = [];
  top = "";
  folder = "";
  wranglerToml = "";

  /**
   * A project that a person has cloned and configured.
   *
   * @param {ProjectSettings} [settings]
   */
  static async make({ secrets = ["SEALING_KEYS"], configure = (text) => text, problems = [] } = {}) {
    const project = new Project();
    project.top = await mkdtemp(join(tmpdir(), "porteiro-deployment-"));
    project.folder = join(project.top, "project");
    for (const folder of ["project", "home", "tmp"]) await mkdir(join(project.top, folder));
    await cp(at("scripts"), join(project.folder, "scripts"), { recursive: true });
    for (const name of await readdir(at("."))) {
      if (!OWN.includes(name)) await symlink(at(name), join(project.folder, name));
    }
    await writeFile(join(project.folder, "scripts", "check.mjs"), check([...secrets, "ADMIN_KEY"], problems));
    project.wranglerToml = configure(await readFile(at("wrangler.toml"), "utf8"));
    await writeFile(join(project.folder, "wrangler.toml"), project.wranglerToml);
    return project;
  }

  /** Ends the project's processes and deletes its folder. */
  remove() {
    for (const run of this.#runs) run.stop();
    return rm(this.top, { recursive: true, force: true });
  }

  /**
   * The environment of the project's processes; the compiler keeps its own folders.
   *
   * @param {Env} [more]
   * @returns {NodeJS.ProcessEnv}
   */
  env(more = {}) {
    const { PATH, RUSTUP_HOME = join(homedir(), ".rustup"), CARGO_HOME = join(homedir(), ".cargo") } = process.env;
    return {
      PATH,
      RUSTUP_HOME,
      CARGO_HOME,
      HOME: join(this.top, "home"),
      TMPDIR: join(this.top, "tmp"),
      TERM: "dumb",
      NO_COLOR: "1",
      COLUMNS: "200",
      ...more,
    };
  }

  /**
   * Runs `scripts/deploy.mjs` without a terminal.
   *
   * @param {string[]} args
   * @param {Env} [env]
   */
  async deploy(args, env) {
    const run = this.run(process.execPath, ["scripts/deploy.mjs", ...args], { CI: "true", ...env });
    await run.ended;
    return run;
  }

  /**
   * Runs `scripts/deploy.mjs` at a terminal; the caller plays the person with the returned process.
   *
   * @param {string[]} args
   * @param {Env} [env]
   */
  async deployAtTerminal(args, env) {
    const terminal = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    const python = await ensurePython();
    return this.run(python, ["-c", terminal, process.execPath, "scripts/deploy.mjs", ...args], env);
  }

  /**
   * @param {string} command
   * @param {string[]} args
   * @param {Env} [env]
   */
  run(command, args, env) {
    const run = new Run(this.folder, command, args, this.env(env));
    this.#runs.push(run);
    return run;
  }
}

/** A process whose output is recorded for the test that types its input. */
export class Run {
  output = "";
  /** The length of the output that the test has already read. */
  #seen = 0;
  #child;
  /** @type {() => void} */
  #woken = () => {};
  /**
   * The exit of the process, once it has ended.
   *
   * @type {number | null | undefined}
   */
  code;

  /**
   * @param {string} cwd
   * @param {string} command
   * @param {string[]} args
   * @param {NodeJS.ProcessEnv} env
   */
  constructor(cwd, command, args, env) {
    // The process has a group of its own, so that its children end with it.
    this.#child = spawn(command, args, { cwd, env, stdio: ["pipe", "pipe", "pipe"], detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => {
        this.output += text;
        this.#woken();
      });
    }
    /** @type {Promise<number | null>} */
    this.ended = new Promise((resolve, reject) => {
      this.#child.on("error", reject);
      this.#child.on("close", (code) => {
        this.code = code;
        this.#woken();
        resolve(code);
      });
    });
  }

  /**
   * Waits for `text` in the output that follows the last awaited text.
   *
   * @param {string} text
   */
  async sees(text) {
    const deadline = Date.now() + LIMIT_MS;
    for (;;) {
      const at = this.output.indexOf(text, this.#seen);
      if (at >= 0) return void (this.#seen = at + text.length);
      if (this.code !== undefined || Date.now() > deadline)
        throw new Error(`${JSON.stringify(text)} was not written:\n${this.output}`);
      await new Promise((resolve) => {
        const late = setTimeout(resolve, LIMIT_MS, undefined);
        this.#woken = () => resolve(clearTimeout(late));
      });
    }
  }

  stop() {
    try {
      if (this.#child.pid !== undefined) process.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // The process has ended.
    }
  }

  /**
   * @param {string} text
   * @param {{ last?: boolean }} [options] whether this is the last input
   */
  type(text, { last = false } = {}) {
    this.#child.stdin.write(text);
    if (last) this.#child.stdin.end();
  }
}

/** The hosts that Workers answer at, behind a proxy. */
export class Hosts {
  /**
   * The requests, as "https://host/path".
   *
   * @type {string[]}
   */
  asked = [];
  /**
   * The hosts that processes tried to reach.
   *
   * @type {Set<string>}
   */
  connected = new Set();
  /**
   * The variables that make a process use the proxy.
   *
   * @type {Env}
   */
  env = {};
  /** @type {{ host?: string, server: net.Server }[]} */
  #servers = [];

  /**
   * @param {string} folder
   * @param {{ [host: string]: [status: number, body: string] }} health the answer of each host
   */
  static async start(folder, health) {
    const hosts = new Hosts();
    /** @type {{ [host: string]: { key: string | Buffer, cert: string } }} */
    const certificates = {};
    const secure = createServer((request, response) => {
      const { host = "" } = request.headers;
      hosts.asked.push(`https://${host}${request.url}`);
      const [status, body] = health[host] ?? [404, "There is nothing here yet"];
      response.writeHead(status).end(body);
    });
    for (const host of Object.keys(health)) {
      certificates[host] = selfSigned(host);
    }
    const proxy = createServer((_request, response) => response.writeHead(501).end());
    proxy.on("connect", (request, socket) => {
      const [host] = (request.url ?? "").split(":");
      hosts.connected.add(host);
      const found = hosts.#servers.find((one) => one.host === host);
      if (!found) return socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n");
      const tls = net.connect(portOf(found.server), "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n");
        tls.pipe(socket).pipe(tls);
      });
      for (const one of [tls, socket]) one.on("error", () => {});
    });
    for (const [host, keys] of Object.entries(certificates)) {
      const server = createTlsServer(keys, (socket) => secure.emit("connection", socket));
      await listening(server);
      hosts.#servers.push({ host, server });
    }
    const address = await listening(proxy);
    hosts.#servers.push({ server: proxy });
    const authorities = join(folder, "authorities.pem");
    await writeFile(
      authorities,
      Object.values(certificates)
        .map(({ cert }) => cert)
        .join(""),
    );
    hosts.env = {
      HTTPS_PROXY: address,
      NO_PROXY: "127.0.0.1",
      NODE_USE_ENV_PROXY: "1",
      NODE_EXTRA_CA_CERTS: authorities,
    };
    return hosts;
  }

  stop() {
    for (const { server } of this.#servers) server.close();
  }
}
