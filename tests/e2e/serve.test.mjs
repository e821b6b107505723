// `porteiro serve`: the broker by workerd alone. It is killed and started again, and what it stored must be there.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, afterEach, before, describe, test } from "node:test";
import { stringify } from "smol-toml";
import { filesUnder, inRoot, node, root } from "../../scripts/lib.mjs";
import { endWithThis, freePort } from "../../scripts/processes.mjs";
import { secretsOf } from "../../scripts/serve.mjs";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, KEY, ORIGIN, sealingKey } from "./support/broker.mjs";
import { selfSigned } from "./support/certificate.mjs";
import { call } from "./support/client.mjs";
import { ADMIN_KEY, accept, assertEachOnce, delivered, newEvents, settled, triedInVain } from "./support/events.mjs";
import { startReceiver } from "./support/receiver.mjs";
import { portOf } from "./support/servers.mjs";
import { until } from "./support/until.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { ChildProcess } from "node:child_process" */
/** @import { Upstream } from "./support/upstream.mjs" */
/** @import { Inbox, Receiver } from "./support/receiver.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */

const folder = mkdtempSync(path.join(tmpdir(), "porteiro-serve-"));
const config = path.join(folder, "wrangler.toml");
const data = path.join(folder, "data");
const files = path.join(folder, "secrets");
const LOOPBACK = ["--reach", "127.0.0.0/8"];

/** @type {Upstream} */
let upstream;
/** @type {Receiver} */
let receiver;
/** @type {Inbox} */
let shop;
/** @type {import("node:https").Server} */
let secure;
/** @type {{ [name: string]: string | undefined }} */
let secrets;
let port = 0;

/** The processes that have not ended. @type {Set<Served>} */
const running = new Set();

/** A broker that `porteiro serve` runs. */
class Served {
  /** @type {{ [name: string]: unknown }} */
  vars = {};
  output = "";

  /**
   * @param {string[]} args
   * @param {{ [name: string]: string | undefined }} env
   */
  constructor(args, env) {
    const command = [inRoot("scripts", "serve.mjs"), "--config", config, "--data", data, "--port", String(port)];
    const { CARGO_TARGET_DIR, CARGO_HOME, RUSTUP_HOME, PATH, HOME } = process.env;
    this.child = endWithThis(
      spawn(node(), [...command, ...args], {
        cwd: root,
        env: { CARGO_TARGET_DIR, CARGO_HOME, RUSTUP_HOME, PATH, HOME, ...env },
        stdio: ["ignore", "pipe", "pipe"],
      }),
      "SIGKILL",
    );
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.setEncoding("utf8").on("data", (text) => (this.output += text));
    this.ended = once(this.child, "close");
    running.add(this);
    this.child.once("close", () => running.delete(this));
  }

  /** The id of workerd's process, which is this one's only child that lasts. */
  get workerd() {
    const task = `/proc/${this.child.pid}/task/${this.child.pid}/children`;
    return Number(readFileSync(task, "utf8").trim().split(" ").at(-1));
  }

  /** @param {string} target @param {CallOptions} [options] */
  call(target, options) {
    return call(`http://localhost:${port}`, target, options);
  }
}

/** @param {string[]} [args] @param {{ [name: string]: string | undefined }} [env] */
async function serve(args = LOOPBACK, env = secrets) {
  const served = new Served(args, env);
  await until(() => {
    assert.equal(served.child.exitCode, null, served.output);
    return served.output.includes("Porteiro is ready at");
  }, "the broker");
  return served;
}

/** What `serve` says where it does not start. @param {string[]} args @param {{ [name: string]: string | undefined }} env */
async function refused(args, env = secrets) {
  const served = new Served(args, env);
  const [code] = await served.ended;
  assert.equal(code, 1, served.output);
  return served.output;
}

/** Ends a process and all that it started. @param {Served} served @param {NodeJS.Signals} signal */
async function end(served, signal) {
  const { workerd } = served;
  served.child.kill(signal);
  await served.ended;
  await until(() => !existsSync(`/proc/${workerd}`), "the end of workerd");
}

before(async () => {
  [upstream, receiver] = await Promise.all([startUpstream(), startReceiver()]);
  port = await freePort();
  const own = selfSigned("localhost");
  writeFileSync(path.join(folder, "authority.pem"), own.cert);
  secure = createServer(own, (_, response) => response.end("secure"));
  await once(secure.listen(0, "127.0.0.1"), "listening");
  upstream.connection("erp", { expiresIn: 3600 });
  shop = receiver.inbox("shop");
  const open = { provider: "custom", grant: "static", rules: [{ ...EVERYTHING, callers: ["anyone"] }] };
  const limited = [{ ...open.rules[0], rate_limit: { requests: 2, seconds: 3600 } }];
  const vars = {
    ALLOWED_ORIGINS: [ORIGIN],
    CALLERS: { backend: { kind: "key" }, anyone: { kind: "anyone" } },
    CONNECTIONS: {
      ...upstream.vars,
      ...receiver.vars,
      tls: { ...open, base_url: `https://localhost:${portOf(secure)}`, rules: [EVERYTHING] },
      open: { ...open, base_url: upstream.connection("open", { grant: "static" }).baseUrl, rules: limited },
    },
  };
  const text = readFileSync(inRoot("wrangler.toml"), "utf8");
  writeFileSync(config, `${text.slice(0, text.indexOf("[vars]"))}\n${stringify({ vars })}`);
  secrets = {
    ...upstream.secrets,
    ...receiver.secrets,
    TLS_TOKEN: "tls-token",
    SEALING_KEYS: sealingKey("k1"),
    ADMIN_KEY,
    BACKEND_KEY: KEY,
  };
  mkdirSync(files);
});

afterEach(async () => {
  for (const served of running) served.child.kill("SIGKILL");
  await Promise.all([...running].map((served) => served.ended));
});

after(async () => {
  await Promise.all([upstream?.close(), receiver?.close(), secure?.close()]);
  rmSync(folder, { recursive: true, force: true });
});

describe("what is stored", () => {
  test("outlives a kill: tokens, events that wait, and the alarms that deliver them", async () => {
    const erp = upstream.get("erp");
    let served = await serve();
    assertStatus(await served.call("/api/erp/echo"), 200);
    assert.equal(erp.tokenRequests.length, 1);
    await receiver.shut();
    const events = newEvents(shop, 3);
    for (const event of events) await accept(served, shop, event);
    await triedInVain(served, shop, events.length);
    await end(served, "SIGKILL");

    await receiver.open();
    served = await serve();
    // Nobody asks the broker for anything: the alarm alone delivers.
    await delivered(shop, events.length);
    await settled(served, shop);
    assertEachOnce(shop, events);
    assertStatus(await served.call("/api/erp/echo"), 200);
    assert.equal(erp.tokenRequests.length, 1, "the token was asked for again");
    await end(served, "SIGTERM");
    assert.equal(served.child.exitCode, 0);
    receiver.verify();
  });

  test("is readable by its owner alone, sealed, and names no secret", () => {
    const all = readdirSync(data, { recursive: true, encoding: "utf8" }).map((name) => path.join(data, name));
    assert.ok(all.some((file) => file.endsWith(".sqlite")));
    for (const file of [data, ...all]) assert.equal(statSync(file).mode & 0o077, 0, file);
    assert.deepEqual(
      all.filter((file) => /run-/.test(file)),
      [],
      "what workerd read is left behind",
    );
    const secret = [...Object.values(secrets), ...upstream.issued].flatMap((value) => value ?? []);
    assert.ok(upstream.issued.length);
    for (const file of all.filter((file) => statSync(file).isFile())) {
      const bytes = readFileSync(file);
      for (const text of secret) assert.equal(bytes.indexOf(text), -1, `${file} has a secret`);
    }
  });

  test("is deleted from KV after its time", async () => {
    const [file] = filesUnder(path.relative(root, path.join(data, "kv", "kv"))).filter((it) =>
      /[0-9a-f]{64}\.sqlite$/.test(it),
    );
    const stored = () => {
      const database = new DatabaseSync(file);
      try {
        return database.prepare("SELECT key, expiration FROM records").all();
      } finally {
        database.close();
      }
    };
    assert.equal(stored().length, 1);
    const database = new DatabaseSync(file);
    database.exec("UPDATE records SET key = 'another', expiration = 1");
    database.close();
    const served = await serve();
    // The copy is away: the keeper has the token, too.
    assertStatus(await served.call("/api/erp/echo"), 200);
    assert.equal(upstream.get("erp").tokenRequests.length, 1);
    const refreshed = await served.call("/admin/connections/erp/refresh", { method: "POST", key: ADMIN_KEY });
    assertStatus(refreshed, 200);
    await until(() => stored().every(({ key }) => key !== "another"), "the end of the record");
    await until(() => stored().length === 1, "the new copy");
    await end(served, "SIGTERM");
  });
});

describe("serve", () => {
  test("refuses what is missing or wrong, and says what", async () => {
    const { BACKEND_KEY, ERP_CLIENT_SECRET, ADMIN_KEY: own, ...others } = secrets;
    assert.ok(BACKEND_KEY && ERP_CLIENT_SECRET && own);
    const said = await refused(LOOPBACK, { ...others, BACKEND_KEY: "short" });
    assert.match(said, /BACKEND_KEY must/);
    assert.match(said, /ERP_CLIENT_SECRET is not set: give it as ERP_CLIENT_SECRET or ERP_CLIENT_SECRET_FILE/);
    assert.doesNotMatch(said, /ADMIN_KEY|"?short"?$/m);
    assert.match(await refused(["--origin", "https://broker.example.com"]), /needs a proxy in front/);
    assert.match(await refused(["--origin", "https://a.example/x", "--proxy", "::1"]), /--origin is an origin/);
    assert.match(await refused(["--proxy", "10.0.0.0/40"]), /--proxy takes addresses/);
    assert.match(await refused(["--env", "nowhere"]), /nowhere/);
    assert.match(await refused([], { ...secrets, TLS_TOKEN_FILE: "/nowhere" }), /Both TLS_TOKEN and TLS_TOKEN_FILE/);
  });

  test("has the folder for itself, ends with whoever started it, and tells when it is ready", async () => {
    const served = await serve();
    const said = await refused([...LOOPBACK, "--port", String(await freePort())]);
    assert.match(said, /Another process serves what is stored in/);
    const { status, text } = await served.call("/healthz", { key: null });
    assert.deepEqual([status, JSON.parse(text).status], [200, "ok"]);
    await end(served, "SIGKILL");
  });

  test("reaches private networks only where they are named", async () => {
    for (const [reach, reaches] of /** @type {const} */ ([
      [[], false],
      [["--reach", "10.1.2.3/8,::1,127.0.0.2"], false],
      [["--reach", "127.0.0.1"], true],
    ])) {
      const served = await serve([...reach]);
      const answer = await served.call("/api/open/echo", { key: null, origin: ORIGIN });
      if (reaches) assertStatus(answer, 200);
      else assertProblem(answer, 502, "upstream_unreachable");
      await end(served, "SIGTERM");
    }
  });

  test("trusts the system's authorities, and no other", async () => {
    const own = { ...secrets, SSL_CERT_FILE: path.join(folder, "authority.pem") };
    const trusting = await serve(LOOPBACK, own);
    assert.equal(assertStatus(await trusting.call("/api/tls/a"), 200).text, "secure");
    await end(trusting, "SIGTERM");
    const other = await serve();
    assertProblem(await other.call("/api/tls/a"), 502, "upstream_unreachable");
    await end(other, "SIGTERM");
  });

  test("counts strangers by the address of their socket, which they cannot write themselves", async () => {
    const served = await serve();
    const forged = (/** @type {number} */ at) =>
      served.call("/api/open/echo", {
        key: null,
        origin: ORIGIN,
        headers: { "CF-Connecting-IP": `192.0.2.${at}`, "X-Forwarded-For": `192.0.2.${at}` },
      });
    assertStatus(await forged(1), 200);
    assertStatus(await forged(2), 200);
    assertProblem(await forged(3), 429, "rate_limited");
    await end(served, "SIGTERM");
  });

  test("takes a proxy's word for the address, and the origin for its own", async () => {
    const served = await serve([...LOOPBACK, "--origin", "https://broker.example.com", "--proxy", "127.0.0.1"]);
    const through = (/** @type {string} */ from, host = "broker.example.com") =>
      served.call("/api/open/echo", { key: null, origin: ORIGIN, host, headers: { "X-Forwarded-For": from } });
    for (const from of ["192.0.2.1", "203.0.113.66, 192.0.2.1"]) assertStatus(await through(from), 200);
    assertProblem(await through("198.51.100.1, 192.0.2.1"), 429, "rate_limited");
    const other = await through("198.51.100.1");
    assertStatus(other, 200);
    assert.equal((await through("198.51.100.1", "evil.example")).status, 421);
    const problem = assertProblem(
      await served.call("/api/nothing", { host: "broker.example.com" }),
      404,
      "unknown_connection",
    );
    assert.match(problem.type, /^https:\/\/broker\.example\.com\/problems\//);
    await end(served, "SIGTERM");
  });
});

test("a secret comes from the environment, from the file that it names, or from .dev.vars", () => {
  const file = path.join(files, "password");
  writeFileSync(file, "of a file\n");
  const names = ["A", "B", "C", "D"];
  const env = { A: "of the environment", B_FILE: file, D: "", E: "not asked for" };
  assert.deepEqual(secretsOf(names, env, { A: "local", C: "local", D: "" }), {
    A: "of the environment",
    B: "of a file",
    C: "local",
  });
  assert.throws(
    () => secretsOf(["A"], { A_FILE: path.join(files, "none") }, {}),
    /A_FILE: .* cannot be read \(ENOENT\)/,
  );
});
