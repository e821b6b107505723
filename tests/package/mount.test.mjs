// The broker in Workers of one's own, as examples/hono has them: bundled by wrangler, behind a service binding, and on a
// route of the application's host.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { cpSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { after, afterEach, before, describe, test } from "node:test";
import { inRoot } from "../../scripts/lib.mjs";
import { endWithThis, freePort } from "../../scripts/processes.mjs";
import { until } from "../e2e/support/until.mjs";
import { startUpstream } from "../e2e/support/upstream.mjs";
import { makeProject } from "./support/project.mjs";

/** @import { Connection, Upstream } from "../e2e/support/upstream.mjs" */

const { folder: project, env, run, remove } = await makeProject("acme-broker", "hono@4.13.19");

after(remove);

const BACKEND_KEY = randomBytes(24).toString("hex");
const ADMIN_KEY = randomBytes(24).toString("hex");

/** @type {Upstream} */
let upstream;
/** @type {Connection} */
let shop;

before(async () => {
  upstream = await startUpstream();
  shop = upstream.connection("shop");
  shop.on("/products", async (_request, response) => {
    response.writeHead(200, { "Content-Type": "application/json" }).end('[{"name":"lamp"}]');
  });
});

afterEach(() => upstream.verify());

after(() => upstream?.close());

/**
 * Starts the example at `name` by `wrangler dev`, with the shop's addresses on this machine.
 *
 * @param {string} name
 * @param {...string} configs
 */
async function start(name, ...configs) {
  const folder = path.join(project, name);
  cpSync(inRoot("examples", "hono", name), folder, { recursive: true });
  for (const file of readdirSync(folder).filter((file) => file.endsWith(".toml"))) {
    const config = readFileSync(path.join(folder, file), "utf8")
      .replace("https://shop.example/v1", shop.baseUrl)
      .replace("https://shop.example/oauth/token", shop.tokenUrl)
      .replace("node_modules/porteiro", "../node_modules/porteiro");
    writeFileSync(path.join(folder, file), config);
  }
  shop.tokenRequests.length = 0;
  const sealingKey = `k1:${randomBytes(32).toString("base64")}`;
  const secrets = { ...upstream.secrets, SEALING_KEYS: sealingKey, ADMIN_KEY, BACKEND_KEY };
  const lines = Object.entries(secrets).map(([name, value]) => `${name}="${value}"\n`);
  writeFileSync(path.join(folder, ".dev.vars"), lines.join(""));
  const port = await freePort();
  const wrangler = path.join(project, "node_modules", "wrangler", "bin", "wrangler.js");
  const options = ["--ip", "127.0.0.1", "--port", String(port), "--inspector-port", "0"];
  const files = configs.flatMap((file) => ["-c", file]);
  const more = { WRANGLER_REGISTRY_PATH: path.join(folder, "registry"), WRANGLER_LOG_PATH: path.join(folder, "logs") };
  const child = endWithThis(
    spawn(process.execPath, [wrangler, "dev", ...files, ...options, "--show-interactive-dev-session=false"], {
      cwd: folder,
      env: { ...env, ...more, CLOUDFLARE_CF_FETCH_ENABLED: "false" },
      stdio: ["ignore", "pipe", "pipe"],
    }),
    "SIGTERM",
  );
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (chunk) => (text += chunk));
  await until(() => {
    assert.equal(child.exitCode, null, text);
    return text.includes("Ready on");
  }, name);
  const close = async () => {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    await ended;
  };
  /** @param {string} target @param {RequestInit} [init] */
  const call = (target, init) => fetch(`http://127.0.0.1:${port}${target}`, init);
  const checked = () => {
    const command = path.join(project, "node_modules", "porteiro", "scripts", "porteiro.mjs");
    return run("node", [command, "check", "--offline"], { cwd: folder });
  };
  return { call, close, said: () => text, address: `http://127.0.0.1:${port}`, checked };
}

/** A page of the Worker's own origin. */
const OWN = { headers: { "Sec-Fetch-Site": "same-origin" } };

/**
 * What holds wherever the broker is mounted.
 *
 * @param {() => Awaited<ReturnType<typeof start>>} worker
 * @param {() => string} origin as the broker sees it
 */
function theBrokerIsThere(worker, origin) {
  test("the broker answers below BASE_PATH, and its keeper keeps the token", async () => {
    assert.equal((await (await worker().call("/broker/healthz")).json()).status, "ok");
    shop.requests.length = 0;
    for (const _ of [1, 2]) {
      const answer = await worker().call("/broker/api/shop/products", OWN);
      assert.deepEqual([answer.status, await answer.json()], [200, [{ name: "lamp" }]], worker().said());
      assert.match(answer.headers.get("x-request-id") ?? "", /^[0-9a-f]{32}$/);
    }
    assert.deepEqual([shop.requests.length, shop.tokenRequests.length], [2, 1]);
  });

  test("the broker refuses by its own rules, with its own address", async () => {
    const foreign = await worker().call("/broker/api/shop/products", { headers: { Origin: "https://evil.example" } });
    const problem = await foreign.json();
    assert.deepEqual([foreign.status, problem.code], [403, "origin_not_allowed"]);
    assert.equal(problem.type, `${origin()}/broker/problems/origin_not_allowed`);
    const post = await worker().call("/broker/api/shop/products", { ...OWN, method: "POST", body: "x" });
    assert.equal((await post.json()).code, "operation_not_allowed");
    const script = await worker().call("/broker/client.js");
    assert.match(await script.text(), /createPorteiro/);
    const admin = await worker().call("/broker/admin/connections", {
      headers: { Authorization: `Bearer ${ADMIN_KEY}` },
    });
    assert.equal((await admin.json()).connections[0].id, "shop");
  });

  test("the broker reports nothing wrong", () => {
    assert.doesNotMatch(worker().said(), /configuration_problem|"level":"error"|ERROR/);
  });
}

describe("in one Worker with the application", () => {
  /** @type {Awaited<ReturnType<typeof start>>} */
  let worker;
  before(async () => (worker = await start("mounted")));
  after(() => worker?.close());

  test("the application answers everywhere else", async () => {
    assert.equal(await (await worker.call("/")).text(), "Hello, this is the application.");
    assert.equal(await (await worker.call("/brokerage")).text(), "404 Not Found");
  });

  test("the check minds none of the application's own variables", async () => {
    const { status, text } = await worker.checked();
    assert.equal(status, 0, text);
    assert.match(text, /no problems/);
  });
  theBrokerIsThere(
    () => worker,
    () => worker.address,
  );
});

describe("behind a service binding", () => {
  /** @type {Awaited<ReturnType<typeof start>>} */
  let worker;
  before(async () => (worker = await start("bound", "wrangler.toml", "broker.toml")));
  after(() => worker?.close());

  test("the application answers everywhere else, and calls an API through the broker", async () => {
    assert.equal(await (await worker.call("/")).text(), "Hello, this is the application.");
    assert.deepEqual(await (await worker.call("/products")).json(), { status: 200, products: [{ name: "lamp" }] });
  });
  theBrokerIsThere(
    () => worker,
    () => worker.address,
  );
});

describe("on a route of the application's host", () => {
  /** @type {Awaited<ReturnType<typeof start>>} */
  let worker;
  before(async () => (worker = await start("routed")));
  after(() => worker?.close());

  theBrokerIsThere(
    () => worker,
    () => "https://app.example.com",
  );
});
