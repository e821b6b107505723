// The broker under `wrangler dev`, as its users run it. It takes seconds to start and puts a proxy
// in front, so only tests of which it is a part ask for it.

import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { compatibility } from "../../../scripts/lib.mjs";

/** @import { Broker, Runtime, Secrets } from "./broker.mjs" */

/** @param {string} path */
const at = (path) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/**
 * @param {Broker} broker
 * @param {string} worker the path of its module
 * @returns {Promise<Runtime>}
 */
export async function wranglerDev(broker, worker) {
  const { folder, persistTo, port } = broker;
  await writeFile(join(folder, "wrangler.json"), JSON.stringify(configuration(broker, worker), undefined, 2));
  await writeFile(join(folder, ".dev.vars"), devVars(broker.secrets));
  return {
    command: at("node_modules/.bin/node"),
    args: [
      at("node_modules/wrangler/bin/wrangler.js"),
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
    ],
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
      // A trace of every request, stored on disk: slow, and of no use here.
      X_LOCAL_OBSERVABILITY: "false",
    },
    addressIn: (line) => /Ready on (https?:\/\/127\.0\.0\.1:\d+)/.exec(line)?.[1],
  };
}

/**
 * @param {Broker} broker
 * @param {string} worker
 */
function configuration({ vars, https, wrangler }, worker) {
  const { date, flags } = compatibility();
  return {
    name: "porteiro",
    main: worker,
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
 * The file is read literally between quotes, so anything but those and line ends may stand there.
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
