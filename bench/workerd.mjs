// workerd with several workers, each at an address of its own. What is measured needs more than the
// tests' one broker: the process, the moment it listens, and workers that share bindings.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { Failure, bin, compatibility } from "../scripts/lib.mjs";
import { endWithThis } from "./process.mjs";

const START_LIMIT_MS = 30_000;

/**
 * Starts it. `workers` are `{ name, modules, tables, texts, keeper }`: modules by the name that
 * imports use, the entry first; `keeper` tells that it has a class `Keeper`. `kv` is the address of
 * what keeps KV's records; without one they are kept as long as the process. `objects` is a folder
 * for what objects store, `inspector` the address of one that is wanted. Log lines go to /dev/null, unless `onLog` takes them.
 */
export async function startWorkerd({ workers, kv, objects, onLog, inspector }) {
  const folder = mkdtempSync(path.join(tmpdir(), "porteiro-bench-workerd-"));
  for (const { name, modules } of workers) {
    mkdirSync(objectsOf(name, objects ?? folder), { recursive: true });
    Object.values(modules).forEach((content, number) => writeFileSync(path.join(folder, `${name}-${number}`), content));
  }
  writeFileSync(path.join(folder, "config.capnp"), configuration(workers, kv, objects ?? folder));
  const began = performance.now();
  const child = endWithThis(
    spawn(
      bin("workerd"),
      [
        "serve",
        "config.capnp",
        "--experimental",
        "--control-fd=3",
        ...(inspector ? [`--inspector-addr=${new URL(inspector).host}`] : []),
      ],
      {
        cwd: folder,
        stdio: ["ignore", onLog ? "pipe" : "ignore", "pipe", "pipe"],
      },
    ),
  );
  // It tells of each client that leaves before its answer, as wrk does at the end: only its own end counts.
  let said = "";
  child.stderr.on("data", (chunk) => (said = (said + chunk).slice(-4000)));
  child.once("exit", (code) => code && process.stderr.write(said));
  if (onLog) createInterface({ input: child.stdout }).on("line", onLog);
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const { urls, listeningAt } = await listening(child, workers.length);
    return { pid: child.pid, urls, began, listeningAt, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

const objectsOf = (name, folder) => path.join(folder, `${name}-objects`);

/** The addresses of the workers, as soon as all of them can be called. */
function listening(child, count) {
  return new Promise((resolve, reject) => {
    const urls = {};
    const timer = setTimeout(() => reject(new Failure("workerd does not listen.")), START_LIMIT_MS);
    child.once("exit", () => reject(new Failure("workerd ended while it started.")));
    createInterface({ input: child.stdio[3] }).on("line", (line) => {
      const { event, socket, port } = JSON.parse(line);
      if (event !== "listen") return;
      urls[socket] = `http://127.0.0.1:${port}`;
      if (Object.keys(urls).length < count) return;
      clearTimeout(timer);
      resolve({ urls, listeningAt: performance.now() });
    });
  });
}

const quote = JSON.stringify;

// All as Porteiro is deployed.
const { date, flags } = compatibility();
const compatible = `compatibilityDate = ${quote(date)}, compatibilityFlags = ${quote(flags)}`;

// KV as workerd speaks to it.
const RECORDS = `const records = new Map();
export default { async fetch(request) {
  const { pathname } = new URL(request.url);
  if (request.method === "PUT") records.set(pathname, await request.text());
  return new Response(records.get(pathname) ?? null, { status: records.has(pathname) ? 200 : 404 });
} };`;

function configuration(workers, kv, objects) {
  const records = kv
    ? `external = (address = ${quote(new URL(kv).host)}, http = ())`
    : `worker = (modules = [(name = "kv.js", esModule = ${quote(RECORDS)})], ${compatible})`;
  const sockets = workers.map(
    ({ name }) => `(name = "${name}", address = "127.0.0.1:0", http = (), service = "${name}")`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "internet", network = (allow = ["private", "public", "local"])),
    (name = "kv", ${records}),
    ${workers.map((worker) => services(worker, objects)).join("\n    ")}
  ],
  sockets = [${sockets.join(", ")}],
);
`;
}

function services({ name, modules, tables = {}, texts = {}, keeper = false }, objects) {
  const embedded = Object.keys(modules).map(
    (module, number) =>
      `(name = "${module}", ${module.endsWith(".wasm") ? "wasm" : "esModule"} = embed "${name}-${number}")`,
  );
  const bindings = [
    ...Object.entries(tables).map(([key, value]) => `(name = ${quote(key)}, json = ${quote(quote(value))})`),
    ...Object.entries(texts).map(([key, value]) => `(name = ${quote(key)}, text = ${quote(value)})`),
  ];
  if (!keeper) {
    return `(name = "${name}", worker = (modules = [${embedded}], bindings = [${bindings}], ${compatible})),`;
  }
  bindings.push(`(name = "TOKENS", kvNamespace = "kv")`, `(name = "KEEPER", durableObjectNamespace = "Keeper")`);
  return `(name = "${name}-objects", disk = (path = ${quote(objectsOf(name, objects))}, writable = true)),
    (name = "${name}", worker = (
      modules = [${embedded}], bindings = [${bindings}], ${compatible},
      durableObjectNamespaces = [(className = "Keeper", uniqueKey = "bench", enableSql = true)],
      durableObjectStorage = (localDisk = "${name}-objects"),
    )),`;
}
