// The cost of unfinished request bodies: the memory of the process while 300 events, and then 200 anonymous uploads,
// remain unfinished, in consecutive rounds.
//
//   node bench/unfinished.mjs            measures build/, or the build that PORTEIRO_E2E_MAIN names
import { readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { once } from "node:events";
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { builtModules, startWorkerd } from "../scripts/workerd.mjs";

const ROUNDS = 3;
const EVENTS = { count: 300, bytes: 256 * 1024 - 1 };
const UPLOADS = { count: 200, bytes: 1024 * 1024 - 1 };
const ORIGIN = "https://app.example.com";

const api = createServer((incoming) => incoming.resume()).listen(0, "127.0.0.1");
await once(api, "listening");
const address = /** @type {import("node:net").AddressInfo} */ (api.address());
const base = `http://127.0.0.1:${address.port}`;

const rules = [{ callers: ["anyone"], methods: ["POST"], paths: ["/**"] }];
const runtime = await startWorkerd({
  workers: [
    {
      name: "broker",
      modules: builtModules(),
      keeper: true,
      vars: {
        ALLOWED_ORIGINS: [ORIGIN],
        CALLERS: { anyone: { kind: "anyone" } },
        CONNECTIONS: {
          api: { provider: "custom", grant: "static", base_url: base, rules, timeout_ms: 600_000 },
          events: {
            provider: "custom",
            grant: "static",
            base_url: base,
            rules,
            webhook: { token_field: "token", forward_to: base },
          },
          uploads: {
            provider: "custom",
            grant: "client_credentials",
            token_url: `${base}/token`,
            base_url: base,
            rules,
            timeout_ms: 600_000,
          },
        },
        SEALING_KEYS: `k1:${randomBytes(32).toString("base64")}`,
        API_TOKEN: "token",
        EVENTS_TOKEN: "token",
        EVENTS_ACCOUNT_TOKEN: "account-token",
        EVENTS_WEBHOOK_SECRET: `whsec_${randomBytes(32).toString("base64")}`,
        UPLOADS_CLIENT_ID: "id",
        UPLOADS_CLIENT_SECRET: "secret",
      },
    },
  ],
});
api.removeAllListeners("request");
api.on("request", async (incoming, response) => {
  if (incoming.url !== "/token") return incoming.resume();
  incoming.resume();
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ access_token: "token", token_type: "Bearer", expires_in: 3600 }));
});

/** The memory of the process in RAM, in MiB. */
function memory() {
  const [, kib] = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${runtime.pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / 1024);
}

/**
 * @param {string} path
 * @param {{ count: number, bytes: number }} size
 * @param {{ [name: string]: string }} headers
 */
async function round(path, { count, bytes }, headers) {
  /** @type {{ [status: string]: number }} */
  const answers = {};
  const body = Buffer.alloc(bytes, "x");
  const all = Array.from({ length: count }, () => {
    const sent = request(runtime.urls.broker + path, { method: "POST", agent: false, headers });
    sent.once("response", (response) => {
      answers[response.statusCode ?? 0] = (answers[response.statusCode ?? 0] ?? 0) + 1;
      response.resume();
    });
    sent.on("error", () => {});
    return sent;
  });
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, memory())), 50);
  await Promise.all(all.map((sent) => new Promise((resolve) => sent.write(body, resolve))));
  await sleep(2_000);
  const early = { ...answers };
  const held = memory();
  await sleep(18_000);
  clearInterval(watch);
  console.log(path, { most, held, "after 20 s": memory() }, "answered after 2 s:", early, "after 20 s:", answers);
  return () => all.forEach((sent) => sent.destroy());
}

console.log("before:", memory(), "MiB");
for (const [path, size, headers] of /** @type {const} */ ([
  ["/webhooks/events", EVENTS, { "content-type": "application/json" }],
  ["/api/uploads/files", UPLOADS, { origin: ORIGIN }],
])) {
  const leave = [];
  for (let number = 0; number < ROUNDS; number += 1) leave.push(await round(path, size, headers));
  for (const each of leave) each();
  await sleep(500);
}
await runtime.stop();
api.closeAllConnections();
api.close();
