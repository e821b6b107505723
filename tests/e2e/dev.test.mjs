// `npm run dev`: two environments at once, the pages that may call in development, and what it says of .dev.vars.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { compatibility, inRoot, node, root } from "../../scripts/lib.mjs";
import { endWithThis, freePort } from "../../scripts/processes.mjs";
import { until } from "./support/until.mjs";

const PAGE = "http://localhost:5173";
const DEPLOYED = "https://app.example.com";
const KEYS = `SEALING_KEYS='dev:${Buffer.alloc(32, 7).toString("base64")}'\nADMIN_KEY='0123456789abcdef'\n`;

const folder = mkdtempSync(join(tmpdir(), "porteiro-dev-"));
const config = join(folder, "wrangler.toml");

/** @type {Awaited<ReturnType<typeof dev>>[]} */
let brokers = [];

/** @param {string} scope */
const bindings = (scope) => `
[[${scope}kv_namespaces]]
binding = "TOKENS"
[[${scope}durable_objects.bindings]]
name = "KEEPER"
class_name = "Keeper"
[${scope}vars]
ALLOWED_ORIGINS = ["${DEPLOYED}"]
[${scope}vars.CALLERS.backend]
kind = "key"
`;

/**
 * Starts `npm run dev`, and waits until it says that it is ready.
 * @param {string[]} args
 */
async function dev(...args) {
  const port = await freePort();
  const command = ["scripts/start.mjs", "--no-sandbox", `--config=${config}`, "--port", String(port), ...args];
  const child = endWithThis(spawn(node(), command, { cwd: root, stdio: ["ignore", "pipe", "pipe"] }), "SIGTERM");
  const broker = {
    port,
    text: "",
    async end() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      return (await ended)[0];
    },
  };
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk) => (broker.text += chunk));
  await until(() => {
    assert.equal(child.exitCode, null, broker.text);
    return broker.text.includes("Stop it with Ctrl-C");
  }, "The broker");
  return broker;
}

before(async () => {
  const { date, flags } = compatibility();
  writeFileSync(
    config,
    `name = "porteiro-dev-test"
main = ${JSON.stringify(inRoot("build", "index.js"))}
compatibility_date = "${date}"
compatibility_flags = ${JSON.stringify(flags)}
no_bundle = true
[[migrations]]
tag = "v1"
new_sqlite_classes = ["Keeper"]
[env.staging]
${bindings("")}${bindings("env.staging.")}`,
  );
  writeFileSync(join(folder, ".dev.vars"), `${KEYS}ALLOWED_ORIGINS='["${PAGE}"]'\nBACKEND_KEY='Bearer CANARY'\n`);
  writeFileSync(join(folder, ".dev.vars.staging"), KEYS);
  brokers = await Promise.all([dev(), dev("--env", "staging")]);
});

after(async () => {
  const codes = await Promise.all(brokers.map((broker) => broker.end()));
  rmSync(folder, { recursive: true, force: true });
  assert.deepEqual(codes, [0, 0]);
});

/** @param {number} at @param {string} origin */
async function mayCall(at, origin) {
  const answer = await fetch(`http://127.0.0.1:${brokers[at].port}/auth/session`, { headers: { Origin: origin } });
  assert.equal(answer.status, answer.headers.has("access-control-allow-origin") ? 404 : 403);
  return answer.headers.get("access-control-allow-origin") === origin;
}

describe("npm run dev", () => {
  test("serves two environments at once, each with the pages of its own variables", async () => {
    const origins = [PAGE, DEPLOYED];
    assert.deepEqual(await Promise.all(origins.map((origin) => mayCall(0, origin))), [true, false]);
    assert.deepEqual(await Promise.all(origins.map((origin) => mayCall(1, origin))), [false, true]);
    assert.ok(brokers[0].text.includes("pages   of ALLOWED_ORIGINS in .dev.vars may call"), brokers[0].text);
    assert.ok(brokers[1].text.includes("development, write it in .dev.vars.staging"), brokers[1].text);
  });

  test("keeps their states apart", () => {
    const [top, staging] = brokers.map(({ port }) => join(folder, ".wrangler", "dev", String(port)));
    assert.ok(existsSync(top) && existsSync(`${staging}-staging`) && !existsSync(join(folder, ".wrangler", "state")));
  });

  test("says what is missing and what looks pasted wrong, and starts all the same", () => {
    assert.match(brokers[0].text, /\.dev\.vars: BACKEND_KEY looks pasted wrong: it begins with its scheme/);
    assert.match(brokers[1].text, /\.dev\.vars\.staging: BACKEND_KEY is not set: nobody can call as backend\n/);
    for (const { text } of brokers) {
      assert.ok(text.indexOf("BACKEND_KEY") < text.indexOf("==> broker"), text);
      assert.doesNotMatch(text, /CANARY/);
    }
  });
});
