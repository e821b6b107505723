// The broker in bare workerd, without the proxy that `wrangler dev` puts in front: request
// targets arrive as they were sent.
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { compatibility } from "../../../scripts/lib.mjs";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const main = process.env.PORTEIRO_E2E_MAIN ?? path.join(root, "build", "index.js");

/**
 * Starts it; `tables` are variables that are tables or lists, `texts` variables
 * and secrets. `besides` are the sources of further workers, by name, which
 * answer at addresses of their own. `around` are the sources of modules, by
 * name, of which the first is the entry in the place of the broker's index.js.
 * `health` is the path that answers when it is there.
 */
export async function startWorkerd({ tables, texts, besides = {}, around = {}, health = "/healthz" }) {
  const folder = await mkdtemp(path.join(tmpdir(), "porteiro-workerd-"));
  for (const name of ["index.js", "index_bg.wasm"])
    await copyFile(path.join(path.dirname(main), name), path.join(folder, name));
  await mkdir(path.join(folder, "objects"));
  const names = ["broker", ...Object.keys(besides)];
  const ports = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await freePort()])));
  await writeFile(path.join(folder, "config.capnp"), configuration({ tables, texts, besides, around, ports, folder }));
  const child = spawn(path.join(root, "node_modules", ".bin", "workerd"), ["serve", "config.capnp", "--experimental"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "inherit"],
  });
  const logs = [];
  child.stdout.on("data", (chunk) => logs.push(...String(chunk).split("\n").filter(Boolean)));
  const urls = Object.fromEntries(names.map((name) => [name, `http://127.0.0.1:${ports[name]}`]));
  const url = urls.broker;
  const deadline = Date.now() + 20_000;
  while (
    !(await fetch(`${url}${health}`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(`workerd does not answer:\n${logs.join("\n")}`);
    await sleep(50);
  }
  return {
    url,
    urls,
    logs,
    async stop() {
      const ended = once(child, "exit");
      child.kill();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function configuration({ tables, texts, besides, around, ports, folder }) {
  const quote = JSON.stringify;
  const { date, flags } = compatibility();
  const compatible = `compatibilityDate = ${quote(date)}, compatibilityFlags = ${quote(flags)}`;
  const bindings = [
    ...Object.entries(tables).map(([name, value]) => `(name = ${quote(name)}, json = ${quote(quote(value))})`),
    ...Object.entries(texts).map(([name, value]) => `(name = ${quote(name)}, text = ${quote(value)})`),
    `(name = "TOKENS", kvNamespace = "kv")`,
    `(name = "KEEPER", durableObjectNamespace = "Keeper")`,
  ];
  const entry = Object.entries(around)
    .map(([name, source]) => `(name = "${name}", esModule = ${quote(source)}), `)
    .join("");
  const noRecords = `export default { fetch: ({ method }) => new Response(null, { status: method === "GET" ? 404 : 200 }) };`;
  const workers = Object.entries(besides).map(
    ([name, source]) =>
      `(name = "${name}", worker = (modules = [(name = "${name}.js", esModule = ${quote(source)})], ${compatible})),`,
  );
  const sockets = Object.entries(ports).map(
    ([name, port]) => `(name = "${name}", address = "127.0.0.1:${port}", http = (), service = "${name}")`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "internet", network = (allow = ["private", "public", "local"])),
    # On disk: objects in memory forget what they stored when they are evicted.
    (name = "objects", disk = (path = ${quote(path.join(folder, "objects"))}, writable = true)),
    (name = "kv", worker = (modules = [(name = "kv.js", esModule = ${quote(noRecords)})], ${compatible})),
    (name = "broker", worker = (
      modules = [${entry}(name = "index.js", esModule = embed "index.js"), (name = "./index_bg.wasm", wasm = embed "index_bg.wasm")],
      ${compatible},
      bindings = [${bindings.join(", ")}],
      durableObjectNamespaces = [(className = "Keeper", uniqueKey = "test", enableSql = true)],
      durableObjectStorage = (localDisk = "objects"),
    )),
    ${workers.join("\n    ")}
  ],
  sockets = [${sockets.join(", ")}],
);
`;
}

/** A port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
