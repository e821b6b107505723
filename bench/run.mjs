// Measures the broker against a bare JavaScript pass-through on the same workerd and the same
// upstream, side by side in interleaved rounds: `npm run bench`. It needs `nginx` and `wrk`.
//
// The pass-through puts one constant token on the call and hands the response on untouched: it
// checks nothing and keeps nothing. The broker has rules, sealed records, keeper and request log
// on; a service's token comes from memory, a person's from their session.
import { execFile, spawn, spawnSync } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { Failure, runMain, say } from "../scripts/lib.mjs";
import { buildWorker } from "../scripts/build.mjs";
import { startHubsoft } from "../sandbox/providers/hubsoft.mjs";
import { startWorkerd } from "../tests/e2e/support/workerd.mjs";

const ROUNDS = Number(process.env.ROUNDS ?? 5);
const SECONDS = Number(process.env.SECONDS ?? 4);
const UPSTREAM = "http://127.0.0.1:8850";
const KEY = "bench-caller-key-0123456789-0123456789";
const ORIGIN = "http://localhost:8790";
const execute = promisify(execFile);

// What a browser sends with a plain fetch.
const BROWSER_HEADERS = {
  accept: "application/json", "accept-language": "pt-BR,pt;q=0.9,en;q=0.8", "accept-encoding": "gzip, deflate, br",
  "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
  "sec-ch-ua": '"Chromium";v="141", "Not?A_Brand";v="8"', "sec-ch-ua-mobile": "?0", "sec-ch-ua-platform": '"Linux"',
  "sec-fetch-dest": "empty", "sec-fetch-mode": "cors", "sec-fetch-site": "cross-site", referer: "http://localhost/app",
};

const PASS_THROUGH = `export default { fetch(request) {
  const headers = new Headers(request.headers); headers.set("authorization", "Bearer constant");
  return fetch("${UPSTREAM}" + new URL(request.url).pathname, { method: request.method, headers, body: request.body, redirect: "manual" });
} };`;

async function main() {
  for (const tool of ["nginx", "wrk"]) {
    if (spawnSync(tool, ["-v"]).error) throw new Failure(`${tool} is missing: install it (on Debian: apt-get install nginx-light wrk).`);
  }
  await buildWorker();
  const folder = mkdtempSync(path.join(tmpdir(), "porteiro-bench-"));
  const hubsoft = await startHubsoft({ port: 0 });
  const issuer = await startIssuer();
  const upstream = startUpstream(folder);
  let workerd;
  try {
    await untilOpen(`${UPSTREAM}/small.json`);
    workerd = await startWorkerd({ ...configuration(hubsoft, issuer), besides: { pass: PASS_THROUGH } });
    const broker = workerd.url;
    const cookie = await signIn(broker, hubsoft.credentials);
    const subjects = [
      { name: "bare JavaScript pass-through", url: `${workerd.urls.pass}/small.json`, headers: { authorization: "Bearer x" } },
      { name: "Porteiro, caller with a key", url: `${broker}/api/hubsoft/small.json`, headers: { authorization: `Bearer ${KEY}` } },
      { name: "Porteiro, caller with a remembered jwt", url: `${broker}/api/hubsoft/small.json`, headers: { authorization: `Bearer ${issuer.token}` } },
      { name: "Porteiro, anyone from a page", url: `${broker}/api/hubsoft/small.json`, headers: { origin: ORIGIN } },
      { name: "Porteiro, a session and its own token", url: `${broker}/api/people/small.json`, headers: { origin: ORIGIN, cookie } },
    ];
    for (const subject of subjects) await load(subject, 2);
    const rates = subjects.map(() => []);
    for (let round = 0; round < ROUNDS; round++) {
      for (const [at, subject] of subjects.entries()) rates[at].push(await load(subject, SECONDS));
    }
    const medians = rates.map((list) => list.sort((one, other) => one - other)[list.length >> 1]);
    subjects.forEach(({ name }, at) => {
      const ratio = (medians[at] / medians[0]).toFixed(2);
      const toKey = (medians[at] / medians[1]).toFixed(2);
      say(`${name.padEnd(40)} ${medians[at].toFixed(0).padStart(7)} requests/s   to the pass-through ${ratio}   to a key ${toKey}   (${rates[at].map((rate) => rate.toFixed(0)).join(" ")})`);
    });
    say(`token requests in all of it: ${hubsoft.tokenRequests.length}; key sets fetched: ${issuer.fetches()}`);
  } finally {
    await workerd?.stop();
    upstream.kill();
    await hubsoft.close();
    issuer.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

function configuration(hubsoft, issuer) {
  const rules = (callers) => [{ callers, methods: ["GET"], paths: ["/small.json"] }];
  const connection = { provider: "hubsoft", base_url: UPSTREAM, token_url: hubsoft.tokenUrl };
  const { client_id, client_secret, username, password } = hubsoft.credentials;
  return {
    tables: {
      ALLOWED_ORIGINS: [ORIGIN],
      CALLERS: { backend: { kind: "key" }, staff: { kind: "jwt", issuer: issuer.url, audience: "bench", jwks_url: `${issuer.url}/jwks` }, page: { kind: "anyone" } },
      CONNECTIONS: {
        hubsoft: { ...connection, rules: rules(["backend", "staff", "page"]) },
        people: { ...connection, subject: "user", rules: rules(["session"]) },
      },
    },
    texts: {
      BACKEND_KEY: KEY, SEALING_KEYS: `bench:${Buffer.alloc(32, 7).toString("base64")}`,
      HUBSOFT_CLIENT_ID: client_id, HUBSOFT_CLIENT_SECRET: client_secret, HUBSOFT_USERNAME: username, HUBSOFT_PASSWORD: password,
      PEOPLE_CLIENT_ID: client_id, PEOPLE_CLIENT_SECRET: client_secret,
    },
  };
}

/** An issuer with one key and one token of a usual size. */
async function startIssuer() {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const keys = { keys: [{ ...publicKey.export({ format: "jwk" }), kid: "k1", use: "sig" }] };
  let fetches = 0;
  const server = createServer((_, response) => {
    fetches += 1;
    response.setHeader("content-type", "application/json").end(JSON.stringify(keys));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${server.address().port}`;
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { iss: url, aud: "bench", sub: "user-1", exp: now + 3600, iat: now, email: "ana@example.com", scope: "openid profile email", roles: ["reader", "writer"] };
  const input = `${part({ alg: "RS256", typ: "JWT", kid: "k1" })}.${part(claims)}`;
  const token = `${input}.${sign("sha256", Buffer.from(input), privateKey).toString("base64url")}`;
  return { url, token, fetches: () => fetches, close: () => server.close() };
}

async function signIn(broker, { username, password }) {
  const response = await fetch(`${broker}/auth/people/login`, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ username, password }),
  });
  if (!response.ok) throw new Failure(`The sign-in was answered ${response.status}.`);
  return response.headers.get("set-cookie").split(";")[0];
}

async function load({ name, url, headers }, duration) {
  const fields = Object.entries({ ...BROWSER_HEADERS, ...headers }).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
  const { stdout } = await execute("wrk", ["-t1", "-c32", `-d${duration}s`, ...fields, url]);
  if (/Non-2xx|Socket errors: connect [1-9]/.test(stdout)) throw new Failure(`The load of "${name}" went wrong:\n${stdout}`);
  return Number(stdout.match(/Requests\/sec:\s+([\d.]+)/)?.[1]);
}

function startUpstream(folder) {
  writeFileSync(path.join(folder, "small.json"), JSON.stringify({ ok: true, items: Array.from({ length: 8 }, (_, id) => ({ id, name: `item ${id}` })) }));
  const user = process.getuid?.() === 0 ? "user root;" : "";
  writeFileSync(path.join(folder, "nginx.conf"), `${user} daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/error.log;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000; types { application/json json; }
  server { listen ${new URL(UPSTREAM).host}; root ${folder}; } }`);
  return spawn("nginx", ["-p", folder, "-c", path.join(folder, "nginx.conf")], { stdio: "inherit" });
}

async function untilOpen(url) {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await fetch(url).then(() => true, () => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Failure(`Nothing answers at ${url}.`);
}

await runMain(main);
