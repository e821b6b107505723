// The broker in workerd alone: it starts in a fraction of a second, and requests arrive as they were sent.

import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { bin, compatibility } from "../../../scripts/lib.mjs";
import { selfSigned } from "./certificate.mjs";

/** @import { Broker, Runtime } from "./broker.mjs" */

const KV = await readFile(new URL("kv.mjs", import.meta.url), "utf8");

/**
 * @param {Broker} broker
 * @param {string} worker the path of its module
 * @returns {Promise<Runtime>}
 */
export async function bareWorkerd(broker, worker) {
  const { folder, persistTo } = broker;
  for (const name of ["index.js", "index_bg.wasm"]) await copyFile(join(dirname(worker), name), join(folder, name));
  for (const name of ["kv", "do"]) await mkdir(join(persistTo, name), { recursive: true });
  await writeFile(join(folder, "config.capnp"), configuration(broker));
  return {
    command: bin("workerd"),
    args: ["serve", "config.capnp", "--experimental", "--control-fd=3"],
    addressIn(line) {
      const port = /^\{"event":"listen","socket":"broker","port":(\d+)\}$/.exec(line)?.[1];
      return port && `${broker.https ? "https" : "http"}://127.0.0.1:${port}`;
    },
  };
}

const quote = JSON.stringify;

/** @param {Broker} broker */
function configuration({ vars, secrets, persistTo, port, https }) {
  const { date, flags } = compatibility();
  const compatible = `compatibilityDate = ${quote(date)}, compatibilityFlags = ${quote(flags)}`;
  const texts = Object.entries({ ...vars, ...secrets }).filter(([, value]) => value !== undefined);
  // A variable that is a text arrives as one, every other as what its JSON says: as wrangler deploys them.
  const bindings = texts.map(([name, value]) =>
    typeof value === "string"
      ? `(name = ${quote(name)}, text = ${quote(value)})`
      : `(name = ${quote(name)}, json = ${quote(quote(value))})`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "internet", network = (allow = ["private", "public", "local"])),
    (name = "kv-disk", disk = (path = ${quote(join(persistTo, "kv"))}, writable = true)),
    (name = "do-disk", disk = (path = ${quote(join(persistTo, "do"))}, writable = true)),
    (name = "kv", worker = (
      modules = [(name = "kv.mjs", esModule = ${quote(KV)})],
      ${compatible},
      bindings = [(name = "NAMESPACE", durableObjectNamespace = "Namespace")],
      durableObjectNamespaces = [(className = "Namespace", uniqueKey = "kv", enableSql = true)],
      durableObjectStorage = (localDisk = "kv-disk"),
    )),
    (name = "broker", worker = (
      modules = [(name = "index.js", esModule = embed "index.js"), (name = "./index_bg.wasm", wasm = embed "index_bg.wasm")],
      ${compatible},
      bindings = [
        ${bindings.join(",\n        ")},
        (name = "TOKENS", kvNamespace = "kv"),
        (name = "KEEPER", durableObjectNamespace = "Keeper"),
      ],
      durableObjectNamespaces = [(className = "Keeper", uniqueKey = "porteiro-Keeper", enableSql = true)],
      durableObjectStorage = (localDisk = "do-disk"),
    )),
  ],
  sockets = [(name = "broker", address = "127.0.0.1:${port}", service = "broker", ${protocol(https)})],
);
`;
}

/** @param {boolean} https */
function protocol(https) {
  if (!https) return "http = ()";
  const { key, cert } = selfSigned("localhost");
  return `https = (options = (), tlsOptions = (keypair = (privateKey = ${quote(key)}, certificateChain = ${quote(cert)})))`;
}
