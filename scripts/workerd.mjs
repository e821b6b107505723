// Starts workerd itself, without the proxy that `wrangler dev` puts in front of it: any number of workers in one
// process, each at an address of its own, with the deployed compatibility settings. Tests and measurements use it.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { compatibility, Failure, inRoot, workerd, workerFolder } from "./lib.mjs";
import { endWithThis } from "./processes.mjs";

/** @import { ChildProcess } from "node:child_process" */
/** @import { Readable } from "node:stream" */

const START_LIMIT_MS = 30_000;
/** The amount of workerd's standard error that is kept. */
const KEPT_CHARACTERS = 4_000;

/**
 * Modules by the name in imports, the entry first.
 *
 * @typedef {{ [name: string]: string | Uint8Array }} Modules
 */

/**
 * One worker.
 *
 * @typedef {object} Worker
 * @property {string} name
 * @property {Modules} modules
 * @property {{ [name: string]: unknown }} [vars] variables and secrets: texts as they are, other values as JSON, as
 * wrangler deploys them; undefined values are left out
 * @property {boolean} [keeper] whether the worker has a class `Keeper`, and so the bindings KEEPER and TOKENS
 * @property {number} [port] default: a free port
 * @property {{ key: string, cert: string }} [certificate] in PEM; with it the worker is served by https
 * @property {string} [outbound] the name of the worker that gets this worker's fetches; default: the internet
 * @property {{ [binding: string]: ClientCertificate }} [certificates] bindings that fetch with a client certificate
 */

/**
 * A client certificate as `mtls_certificates` binds one, and the one server that its binding reaches.
 *
 * @typedef {object} ClientCertificate
 * @property {{ key: string, cert: string }} own in PEM
 * @property {string} server the host and port
 * @property {string} host the name in the server's certificate
 * @property {string} trusted the authority of the server's certificate, in PEM
 */

/**
 * The settings of a process.
 *
 * @typedef {object} Settings
 * @property {Worker[]} workers
 * @property {Kv} [kv] the KV of all workers; default: "memory"
 * @property {string} [objects] the folder of the objects' storage; default: a new one
 * @property {string} [inspector] the address of the inspector; default: no inspector
 * @property {(line: string) => void} [onLog] gets the log lines; default: they are dropped
 * @property {string[]} [v8Flags] flags of the JavaScript engine; default: none
 * @property {"kept" | "logged"} [errors] the handling of standard error: its end is kept and shown if the process fails
 * (default), or `onLog` gets its lines, too
 */

/**
 * KV that keeps records in memory; KV that keeps them in a folder and is as strict as Cloudflare's; or a server that
 * speaks the protocol of Workers KV.
 *
 * @typedef {"memory" | { disk: string } | URL} Kv
 */

/** The modules of the built Worker, in `build/` or at PORTEIRO_E2E_MAIN. */
export const builtModules = () =>
  rustModules(process.env.PORTEIRO_E2E_MAIN ? path.dirname(process.env.PORTEIRO_E2E_MAIN) : workerFolder);

/**
 * The modules of a Worker in Rust in `folder`.
 *
 * @param {string} folder
 * @returns {Modules}
 */
export const rustModules = (folder) => ({
  "index.js": readFileSync(path.join(folder, "index.js")),
  "./index_bg.wasm": readFileSync(path.join(folder, "index_bg.wasm")),
});

/**
 * Starts workerd. Returns each worker's address by its name, the time of the start, and the time from which it
 * listened.
 *
 * @param {Settings} settings
 */
export async function startWorkerd({
  workers,
  kv = "memory",
  objects,
  inspector,
  onLog,
  v8Flags = [],
  errors = "kept",
}) {
  const folder = mkdtempSync(path.join(tmpdir(), "porteiro-workerd-"));
  for (const { name, modules } of workers) {
    mkdirSync(objectsOf(name, objects ?? folder), { recursive: true });
    Object.values(modules).forEach((content, number) => writeFileSync(path.join(folder, `${name}-${number}`), content));
  }
  if (typeof kv === "object" && "disk" in kv) mkdirSync(kv.disk, { recursive: true });
  writeFileSync(path.join(folder, "config.capnp"), configuration(workers, kv, objects ?? folder, v8Flags));
  const began = performance.now();
  const child = endWithThis(
    spawn(
      workerd(),
      [
        "serve",
        "config.capnp",
        "--experimental",
        "--control-fd=3",
        ...(inspector ? [`--inspector-addr=${new URL(inspector).host}`] : []),
      ],
      { cwd: folder, stdio: ["ignore", onLog ? "pipe" : "ignore", "pipe", "pipe"] },
    ),
  );
  let said = "";
  child.stderr?.on("data", (chunk) => (said = (said + chunk).slice(-KEPT_CHARACTERS)));
  // workerd reports each client that leaves before its answer: only the end of workerd itself counts.
  child.once("exit", (code) => code && process.stderr.write(said));
  if (onLog && child.stdout) createInterface({ input: child.stdout }).on("line", onLog);
  if (errors === "logged" && onLog && child.stderr) createInterface({ input: child.stderr }).on("line", onLog);
  // The stream is closed after workerd's last output.
  const closed = once(child, "close");
  const stop = async () => {
    child.kill("SIGKILL");
    await closed;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const { urls, listeningAt } = await listening(child, workers);
    return { pid: /** @type {number} */ (child.pid), urls, began, listeningAt, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** @typedef {Awaited<ReturnType<typeof startWorkerd>>} Workerd */

/**
 * @param {string} name
 * @param {string} folder
 */
const objectsOf = (name, folder) => path.join(folder, `${name}-objects`);

/**
 * The addresses of the workers, once all of them accept calls.
 *
 * @param {ChildProcess} child
 * @param {Worker[]} workers
 * @returns {Promise<{ urls: { [name: string]: string }, listeningAt: number }>}
 */
function listening(child, workers) {
  return new Promise((resolve, reject) => {
    /** @type {{ [name: string]: string }} */
    const urls = {};
    const timer = setTimeout(() => reject(new Failure("workerd does not listen.")), START_LIMIT_MS);
    child.once("exit", () => {
      clearTimeout(timer);
      reject(new Failure("workerd ended while it started."));
    });
    createInterface({ input: /** @type {Readable} */ (child.stdio[3]) }).on("line", (line) => {
      const { event, socket, port } = JSON.parse(line);
      if (event !== "listen") return;
      const secure = workers.some(({ name, certificate }) => name === socket && certificate);
      urls[socket] = `${secure ? "https" : "http"}://127.0.0.1:${port}`;
      if (Object.keys(urls).length < workers.length) return;
      clearTimeout(timer);
      resolve({ urls, listeningAt: performance.now() });
    });
  });
}

// --- The configuration ----------------------------------------------------

const quote = JSON.stringify;

// The compatibility settings are those of the deployed Porteiro.
const { date, flags } = compatibility();
const compatible = `compatibilityDate = ${quote(date)}, compatibilityFlags = ${quote(flags)}`;

/** KV in memory, with the protocol that workerd speaks. */
const RECORDS = `const records = new Map();
export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  if (request.method === "PUT") records.set(pathname, await request.text());
  if (request.method === "DELETE") records.delete(pathname);
  if (request.method !== "GET") return new Response();
  return new Response(records.get(pathname) ?? null, { status: records.has(pathname) ? 200 : 404 });
} };`;

/**
 * @param {Worker[]} workers
 * @param {Kv} kv
 * @param {string} objects
 * @param {string[]} v8Flags
 */
function configuration(workers, kv, objects, v8Flags) {
  const sockets = workers.map(
    ({ name, port = 0, certificate }) =>
      `(name = "${name}", address = "127.0.0.1:${port}", service = "${name}", ${protocol(certificate)})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "internet", network = (allow = ["private", "public", "local"])),
    ${records(kv)}
    ${workers.map((worker) => services(worker, objects)).join("\n    ")}
  ],
  sockets = [${sockets.join(", ")}],
  v8Flags = ${quote(v8Flags)},
);
`;
}

/** @param {Worker["certificate"]} certificate */
function protocol(certificate) {
  if (!certificate) return "http = ()";
  return `https = (options = (), tlsOptions = (keypair = (${keypair(certificate)})))`;
}

/** @param {{ key: string, cert: string }} certificate */
const keypair = ({ key, cert }) => `privateKey = ${quote(key)}, certificateChain = ${quote(cert)}`;

/** @param {Kv} kv */
function records(kv) {
  if (kv instanceof URL) return `(name = "kv", external = (address = ${quote(kv.host)}, http = ())),`;
  if (typeof kv === "string")
    return `(name = "kv", worker = (modules = [(name = "kv.js", esModule = ${quote(RECORDS)})], ${compatible})),`;
  const source = readFileSync(inRoot("scripts", "kv.js"), "utf8");
  return `(name = "kv-disk", disk = (path = ${quote(kv.disk)}, writable = true)),
    (name = "kv", worker = (
      modules = [(name = "kv.js", esModule = ${quote(source)})], ${compatible},
      bindings = [(name = "NAMESPACE", durableObjectNamespace = "Namespace")],
      durableObjectNamespaces = [(className = "Namespace", uniqueKey = "kv", enableSql = true)],
      durableObjectStorage = (localDisk = "kv-disk"),
    )),`;
}

/**
 * @param {Worker} worker
 * @param {string} objects
 */
function services({ name, modules, vars = {}, keeper = false, outbound = "internet", certificates = {} }, objects) {
  const common = `${compatible}, globalOutbound = ${quote(outbound)}`;
  const embedded = Object.keys(modules).map(
    (module, number) =>
      `(name = "${module}", ${module.endsWith(".wasm") ? "wasm" : "esModule"} = embed "${name}-${number}")`,
  );
  const bindings = Object.entries(vars)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => {
      const said = typeof value === "string" ? `text = ${quote(value)}` : `json = ${quote(quote(value))}`;
      return `(name = ${quote(key)}, ${said})`;
    });
  const externals = Object.entries(certificates).map(([binding, { own, server, host, trusted }]) => {
    const service = `${name}-${binding}`;
    bindings.push(`(name = ${quote(binding)}, service = ${quote(service)})`);
    const tls = `keypair = (${keypair(own)}), trustedCertificates = [${quote(trusted)}]`;
    const https = `(options = (), tlsOptions = (${tls}), certificateHost = ${quote(host)})`;
    return `(name = ${quote(service)}, external = (address = ${quote(server)}, https = ${https})),`;
  });
  if (!keeper) {
    return `(name = "${name}", worker = (modules = [${embedded}], bindings = [${bindings}], ${common})),`;
  }
  bindings.push(`(name = "TOKENS", kvNamespace = "kv")`, `(name = "KEEPER", durableObjectNamespace = "Keeper")`);
  // On disk: objects in memory lose their storage when they are evicted.
  return `${externals.join(" ")}
    (name = "${name}-objects", disk = (path = ${quote(objectsOf(name, objects))}, writable = true)),
    (name = "${name}", worker = (
      modules = [${embedded}], bindings = [${bindings}], ${common},
      durableObjectNamespaces = [(className = "Keeper", uniqueKey = "keeper", enableSql = true)],
      durableObjectStorage = (localDisk = "${name}-objects"),
    )),`;
}
