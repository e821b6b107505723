// workerd's configuration where Porteiro serves itself: the broker, its objects and its KV, all on disk.
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { rootCertificates } from "node:tls";
import { compatibility, inRoot, packageFolder, workerFolder } from "./lib.mjs";

/** @import { ChildProcess } from "node:child_process" */
/** @import { Place } from "./front.js" */

/**
 * What is served.
 *
 * @typedef {object} Serving
 * @property {string} data the folder of all that is stored
 * @property {string} address the host and port to listen at
 * @property {Place} place
 * @property {string[]} reach networks, in CIDR, that the broker may call beside the public internet
 * @property {{ [name: string]: unknown }} vars
 * @property {{ [name: string]: string }} secrets
 */

/** The exit code if another process has the folder. */
export const TAKEN = 75;
/** Before the name of each secret in workerd's environment, where some names mean something to the system. */
const PREFIX = "PORTEIRO_SECRET_";
/** Where systems have their authorities' certificates, as workerd looks for them. */
const AUTHORITIES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/ssl/cert.pem",
];
/** What workerd is given of this process's environment. */
const KEPT = ["PATH", "HOME", "LANG", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"];

const quote = JSON.stringify;

/** workerd itself: its package's command may be a script that starts it. @returns {string} */
const workerd = () => createRequire(path.join(packageFolder("wrangler"), "package.json"))("workerd").default;

/** The entry of the Worker, before the broker's own. @param {Place} place */
const entry = (place) => `import broker, { Keeper } from "./index.js";
import { makeFront } from "./front.js";
const front = makeFront(${quote(place)});
export { Keeper };
export default { fetch(request, env, ctx) {
  const seen = front(request);
  return seen instanceof Response ? seen : broker.fetch(seen, env, ctx);
} };
`;

/**
 * workerd's configuration, which names the secrets and has none.
 *
 * @param {Serving} serving
 */
export function configuration({ data, address, reach, vars, secrets }) {
  const { date, flags } = compatibility();
  const compatible = `compatibilityDate = ${quote(date)}, compatibilityFlags = ${quote(flags)}`;
  const bindings = [
    ...Object.entries(vars)
      .filter(([name, value]) => value !== undefined && !Object.hasOwn(secrets, name))
      .map(([name, value]) => {
        const said = typeof value === "string" ? `text = ${quote(value)}` : `json = ${quote(quote(value))}`;
        return `(name = ${quote(name)}, ${said})`;
      }),
    ...Object.keys(secrets).map((name) => `(name = ${quote(name)}, fromEnvironment = ${quote(PREFIX + name)})`),
    `(name = "TOKENS", kvNamespace = "kv")`,
    `(name = "KEEPER", durableObjectNamespace = "Keeper")`,
  ];
  const disk = (/** @type {string} */ name) =>
    `(name = "${name}-disk", disk = (path = ${quote(path.join(data, name))}, writable = true))`;
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "internet", network = (allow = ${quote(["public", ...reach])}, tlsOptions = (trustBrowserCas = true))),
    ${disk("objects")},
    ${disk("kv")},
    (name = "kv", worker = (
      modules = [(name = "kv.js", esModule = embed "kv.js")], ${compatible},
      bindings = [(name = "NAMESPACE", durableObjectNamespace = "Namespace")],
      durableObjectNamespaces = [(className = "Namespace", uniqueKey = "kv", enableSql = true)],
      durableObjectStorage = (localDisk = "kv-disk"),
    )),
    (name = "broker", worker = (
      modules = [
        (name = "entry.js", esModule = embed "entry.js"),
        (name = "front.js", esModule = embed "front.js"),
        (name = "index.js", esModule = embed "index.js"),
        (name = "./index_bg.wasm", wasm = embed "index_bg.wasm"),
      ], ${compatible},
      bindings = [
        ${bindings.join(",\n        ")},
      ],
      durableObjectNamespaces = [(className = "Keeper", uniqueKey = "keeper", enableSql = true)],
      durableObjectStorage = (localDisk = "objects-disk"),
    )),
  ],
  sockets = [(name = "broker", address = ${quote(address)}, service = "broker", http = ())],
);
`;
}

/**
 * Starts workerd. No other process can have the folder meanwhile, and workerd ends with this one. Its file descriptor 3
 * tells when it listens; `forget` removes what it has read by then.
 *
 * @param {Serving} serving
 * @returns {{ child: ChildProcess, forget: () => void }}
 */
export function startServing(serving) {
  const { data, place, secrets } = serving;
  for (const name of ["objects", "kv"]) mkdirSync(path.join(data, name), { recursive: true, mode: 0o700 });
  // In the folder of the data: no other place need be writable. Only its owner can read it.
  const own = mkdtempSync(path.join(data, "run-"));
  for (const name of ["index.js", "index_bg.wasm"]) copyFileSync(path.join(workerFolder, name), path.join(own, name));
  for (const name of ["front.js", "kv.js"]) copyFileSync(inRoot("scripts", name), path.join(own, name));
  writeFileSync(path.join(own, "entry.js"), entry(place));
  writeFileSync(path.join(own, "config.capnp"), configuration(serving));
  const inherited = KEPT.filter((name) => process.env[name] !== undefined);
  const environment = {
    ...Object.fromEntries(inherited.map((name) => [name, process.env[name]])),
    ...authorities(own),
    ...Object.fromEntries(Object.entries(secrets).map(([name, value]) => [PREFIX + name, value])),
  };
  const served = [workerd(), "serve", path.join(own, "config.capnp"), "--control-fd=3"];
  // The kernel keeps the lock as long as workerd lives, and ends workerd with this process.
  const locked = ["flock", "--nonblock", "--no-fork", `--conflict-exit-code=${TAKEN}`, path.join(data, "lock")];
  const child = spawn("setpriv", ["--pdeathsig", "TERM", ...locked, ...served], {
    env: environment,
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  return { child, forget: () => rmSync(own, { recursive: true, force: true }) };
}

/**
 * Where the system has no authorities' certificates, those of Node.js are taken.
 *
 * @param {string} folder
 */
function authorities(folder) {
  if (process.env.SSL_CERT_FILE || process.env.SSL_CERT_DIR || AUTHORITIES.some((file) => existsSync(file))) return {};
  const file = path.join(folder, "authorities.pem");
  writeFileSync(file, rootCertificates.join("\n"));
  return { SSL_CERT_FILE: file };
}
