// Measures the broker against a bare JavaScript pass-through on the same workerd and the same
// upstream, side by side in interleaved rounds: `npm run bench`. It needs `nginx` and `wrk`.
//
// The pass-through puts one constant token on the call and hands the response on untouched: it
// checks nothing and keeps nothing. The broker has caller key, rule, sealed records, keeper and
// request log on; its token comes from memory.
import { execFile, spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { Failure, bin, inRoot, runMain, say } from "../scripts/lib.mjs";
import { buildWorker } from "../scripts/build.mjs";
import { startHubsoft } from "../sandbox/providers/hubsoft.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const SECONDS = Number(process.env.SECONDS ?? 4);
const execute = promisify(execFile);
const KEY = "bench-caller-key-0123456789-0123456789";
const PORTS = { upstream: 8850, pass: 8851, broker: 8852 };

// What a browser sends with a plain fetch.
const BROWSER_HEADERS = {
  accept: "application/json", "accept-language": "pt-BR,pt;q=0.9,en;q=0.8", "accept-encoding": "gzip, deflate, br",
  "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
  "sec-ch-ua": '"Chromium";v="141", "Not?A_Brand";v="8"', "sec-ch-ua-mobile": "?0", "sec-ch-ua-platform": '"Linux"',
  "sec-fetch-dest": "empty", "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin", referer: "http://localhost/app",
};

async function main() {
  for (const tool of ["nginx", "wrk"]) {
    if (spawnSync(tool, ["-v"]).error) throw new Failure(`${tool} is missing: install it (on Debian: apt-get install nginx-light wrk).`);
  }
  await buildWorker();
  const folder = mkdtempSync(path.join(tmpdir(), "porteiro-bench-"));
  const children = [];
  const hubsoft = await startHubsoft({ port: 0 });
  try {
    children.push(startUpstream(folder), startWorkerd(folder, hubsoft));
    await Promise.all(Object.values(PORTS).map(untilOpen));
    const subjects = [
      { name: "bare JavaScript pass-through", url: `http://127.0.0.1:${PORTS.pass}/small.json` },
      { name: "Porteiro, caller key, token from memory", url: `http://127.0.0.1:${PORTS.broker}/api/hubsoft/small.json` },
    ];
    for (const { url } of subjects) await load(url, 2);
    const rates = subjects.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [at, { url }] of subjects.entries()) rates[at].push(await load(url, SECONDS));
    }
    const medians = rates.map((list) => list.sort((one, other) => one - other)[list.length >> 1]);
    subjects.forEach(({ name }, at) => {
      say(`${name.padEnd(42)} ${medians[at].toFixed(0).padStart(7)} requests/s   ratio ${(medians[at] / medians[0]).toFixed(2)}   (${rates[at].map((rate) => rate.toFixed(0)).join(" ")})`);
    });
    say(`token requests in all of it: ${hubsoft.tokenRequests.length}`);
  } finally {
    for (const child of children) child.kill();
    await hubsoft.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function load(url, duration) {
  const headers = Object.entries({ ...BROWSER_HEADERS, authorization: `Bearer ${KEY}` }).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const { stdout } = await execute("wrk", ["-t1", "-c32", `-d${duration}s`, ...headers, url]);
  if (/Non-2xx|Socket errors: connect [1-9]/.test(stdout)) throw new Failure(`The load went wrong:\n${stdout}`);
  return Number(stdout.match(/Requests\/sec:\s+([\d.]+)/)?.[1]);
}

function startUpstream(folder) {
  writeFileSync(path.join(folder, "small.json"), JSON.stringify({ ok: true, items: Array.from({ length: 8 }, (_, id) => ({ id, name: `item ${id}` })) }));
  const user = process.getuid?.() === 0 ? "user root;" : "";
  writeFileSync(path.join(folder, "nginx.conf"), `${user} daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000; types { application/json json; }
  server { listen 127.0.0.1:${PORTS.upstream}; root ${folder}; } }`);
  return spawn("nginx", ["-p", folder, "-c", path.join(folder, "nginx.conf")], { stdio: "inherit" });
}

function startWorkerd(folder, hubsoft) {
  for (const name of ["index.js", "index_bg.wasm"]) copyFileSync(inRoot("build", name), path.join(folder, name));
  writeFileSync(path.join(folder, "pass.js"), `export default { fetch(request, env) {
    const headers = new Headers(request.headers); headers.set("authorization", "Bearer constant");
    return fetch("http://127.0.0.1:${PORTS.upstream}" + new URL(request.url).pathname, { method: request.method, headers, body: request.body, redirect: "manual" });
  } };`);
  writeFileSync(path.join(folder, "kv.js"), `export default { fetch(request) { return new Response(null, { status: request.method === "GET" ? 404 : 200 }); } };`);
  const connections = { hubsoft: {
    provider: "hubsoft", base_url: `http://127.0.0.1:${PORTS.upstream}`, token_url: hubsoft.tokenUrl,
    rules: [{ callers: ["backend"], methods: ["GET"], paths: ["/small.json"] }],
  } };
  const vars = { CALLERS: { backend: { kind: "key" } }, CONNECTIONS: connections };
  const { client_id, client_secret, username, password } = hubsoft.credentials;
  const texts = {
    BACKEND_KEY: KEY, SEALING_KEYS: `bench:${Buffer.alloc(32, 7).toString("base64")}`,
    HUBSOFT_CLIENT_ID: client_id, HUBSOFT_CLIENT_SECRET: client_secret, HUBSOFT_USERNAME: username, HUBSOFT_PASSWORD: password,
  };
  const text = JSON.stringify;
  const bindings = [
    ...Object.entries(vars).map(([name, value]) => `(name = ${text(name)}, json = ${text(text(value))})`),
    ...Object.entries(texts).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`),
    `(name = "TOKENS", kvNamespace = "kv")`, `(name = "KEEPER", durableObjectNamespace = "Keeper")`,
  ];
  writeFileSync(path.join(folder, "config.capnp"), `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "internet", network = (allow = ["private", "public", "local"])),
    (name = "kv", worker = (modules = [(name = "kv.js", esModule = embed "kv.js")], compatibilityDate = "2026-11-01")),
    (name = "pass", worker = (modules = [(name = "pass.js", esModule = embed "pass.js")], compatibilityDate = "2026-11-01")),
    (name = "broker", worker = (
      modules = [(name = "index.js", esModule = embed "index.js"), (name = "./index_bg.wasm", wasm = embed "index_bg.wasm")],
      compatibilityDate = "2026-11-01",
      bindings = [${bindings.join(", ")}],
      durableObjectNamespaces = [(className = "Keeper", uniqueKey = "bench", enableSql = true)],
      durableObjectStorage = (inMemory = void),
    )),
  ],
  sockets = [
    (name = "pass", address = "127.0.0.1:${PORTS.pass}", http = (), service = "pass"),
    (name = "broker", address = "127.0.0.1:${PORTS.broker}", http = (), service = "broker"),
  ],
);`);
  return spawn(bin("workerd"), ["serve", "config.capnp", "--experimental"], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
}

async function untilOpen(port) {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await fetch(`http://127.0.0.1:${port}/small.json`).then(() => true, () => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Failure(`Nothing answers on port ${port}.`);
}

await runMain(main);
