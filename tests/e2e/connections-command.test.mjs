// `npm run connections`: the registered connections of one broker as a file without secrets, and of such a file those of
// another broker.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { assertStatus } from "./support/assertions.mjs";
import { startBroker } from "./support/broker.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const COMMAND = fileURLToPath(new URL("../../scripts/connections.mjs", import.meta.url));
const OPERATOR = "operator-key-0123456789abcdef";
/** More than a page of the list. */
const COUNT = 103;
const folder = mkdtempSync(path.join(tmpdir(), "porteiro-connections-"));
const file = path.join(folder, "connections.jsonl");

/** @type {Upstream} */
let upstream;
/** @type {Connection} */
let account;
/** @type {Broker} */
let broker;
/** @type {Broker} */
let other;

const ids = Array.from({ length: COUNT }, (_, number) => `shop-${number}`);

/** @param {string} id */
const fieldsOf = (id) => ({ template: "shop", labels: { plan: id.endsWith("7") ? "gold" : "basic" } });

/**
 * @param {Broker} at
 * @param {string} id
 * @param {object} json
 */
const put = (at, id, json) => at.call(`/admin/connections/${id}`, { method: "PUT", key: OPERATOR, json });

/** @param {string[]} args @param {{ env?: { [name: string]: string }, input?: string }} [how] */
function command(args, { env = { ADMIN_KEY: OPERATOR }, input = "" } = {}) {
  return /** @type {Promise<{ code: number | null, out: string, said: string }>} */ (
    new Promise((resolve) => {
      const child = spawn(process.execPath, [COMMAND, ...args], { env: { PATH: process.env.PATH, ...env } });
      const texts = { out: "", said: "" };
      child.stdout.setEncoding("utf8").on("data", (text) => (texts.out += text));
      child.stderr.setEncoding("utf8").on("data", (text) => (texts.said += text));
      child.on("close", (code) => resolve({ code, ...texts }));
      child.stdin.end(input);
    })
  );
}

/** @param {Broker} from @param {string[]} more */
const lines = async (from, ...more) => {
  const { code, out, said } = await command(["export", "--url", from.url, ...more]);
  assert.equal(code, 0, said);
  return out.trim() ? out.trim().split("\n") : [];
};

/** @param {string[]} written @param {Broker} to */
function imported(written, to) {
  writeFileSync(file, `${written.join("\n")}\n`);
  return command(["import", file, "--url", to.url]);
}

before(async () => {
  upstream = await startUpstream();
  account = upstream.connection("account", { grant: "password" });
  const rules = [{ callers: ["backend"], methods: ["GET"], paths: ["/echo"] }];
  const settings = {
    vars: {
      TEMPLATES: { shop: { ...account.vars, rules } },
      CONNECTIONS: { fixed: { ...account.vars, grant: "static", token_url: undefined, rules } },
    },
    secrets: { ADMIN_KEY: OPERATOR, FIXED_TOKEN: "canary-token-0123456789" },
  };
  [broker, other] = await Promise.all([startBroker(settings), startBroker(settings)]);
  for (const id of ids) assertStatus(await put(broker, id, { ...fieldsOf(id), secrets: account.credentials }), 201);
});

after(async () => {
  rmSync(folder, { recursive: true });
  await Promise.all([broker?.stop(), other?.stop()]);
  upstream?.verify();
  await upstream?.close();
});

describe("the export", () => {
  test("has a line for each registered connection, its own fields and no secret", async () => {
    const written = await lines(broker);
    const read = written.map((line) => JSON.parse(line));
    assert.deepEqual(
      read.map(({ id }) => id),
      [...ids].sort(),
    );
    const secrets = ["client_id", "client_secret", "password", "username"];
    for (const line of read) assert.deepEqual(line, { id: line.id, ...fieldsOf(line.id), secrets });
    for (const value of Object.values(account.credentials)) {
      assert.ok(!written.some((line) => line.includes(JSON.stringify(value).slice(1, -1))));
    }
  });

  test("has those of a label alone", async () => {
    const read = (await lines(broker, "--label", "plan:gold")).map((line) => JSON.parse(line).id);
    assert.deepEqual(read, ids.filter((id) => id.endsWith("7")).sort());
    assert.deepEqual(await lines(broker, "--label", "plan:none"), []);
  });
});

describe("the import", () => {
  test("registers what is given with its secrets, to be called at once", async () => {
    const written = (await lines(broker)).map((line) => ({ ...JSON.parse(line), secrets: account.credentials }));
    const { code, said } = await imported(
      written.map((line) => JSON.stringify(line)),
      other,
    );
    assert.deepEqual([code, said], [0, `${COUNT} registered, 0 replaced, 0 refused.\n`]);
    assert.deepEqual(await lines(other), await lines(broker));
    for (const id of [ids[0], ids[COUNT - 1]]) assertStatus(await other.call(`/api/${id}/echo`));
  });

  test("keeps the secrets that are there, and changes fields", async () => {
    const requests = account.tokenRequests.length;
    const written = (await lines(other)).map((line) => line.replace('"basic"', '"silver"'));
    const { code, said } = await imported(written, other);
    assert.deepEqual([code, said], [0, `0 registered, ${COUNT} replaced, 0 refused.\n`]);
    assert.equal((await lines(other, "--label", "plan:basic")).length, 0);
    assertStatus(await other.call(`/api/${ids[0]}/echo`));
    assert.equal(account.tokenRequests.length, requests, "the token set is the same");
  });

  test("tells of each line that the broker refuses, and goes on", async () => {
    const without = { ...fieldsOf("new"), secrets: ["password"] };
    const { code, said } = await imported(
      [
        JSON.stringify({ id: "lacking", ...without }),
        "",
        JSON.stringify({ id: "fixed", ...fieldsOf("fixed"), secrets: { password: "canary-password" } }),
        JSON.stringify({ id: "wrong", ...fieldsOf("wrong"), colour: 1, secrets: { password: "canary-password" } }),
        JSON.stringify({ id: "right", ...fieldsOf("right"), secrets: account.credentials }),
      ],
      other,
    );
    assert.equal(code, 1);
    assert.match(said, /^line 1: lacking: .*secrets\.password is missing/m);
    assert.match(said, /^line 3: fixed: 409 connection_configured/m);
    assert.match(said, /^line 4: wrong: .*colour/m);
    assert.match(said, /^1 registered, 0 replaced, 3 refused\.$/m);
    assert.ok(!said.includes("canary"));
    assertStatus(await other.call("/api/right/echo"));
  });

  test("tells of a secret that was set where the file comes from", async () => {
    const { code, said } = await imported(
      [JSON.stringify({ id: "right", ...fieldsOf("right"), secrets: ["password", "webhook_secret"] })],
      other,
    );
    assert.equal(code, 1);
    assert.match(said, /^line 1: right: secrets\.webhook_secret was set where it was exported, and is not set here$/m);
  });

  test("sends nothing of a file that has a mistake", async () => {
    const was = await lines(other);
    const right = JSON.stringify({ id: "unsent", ...fieldsOf("unsent"), secrets: account.credentials });
    for (const [wrong, what] of /** @type {const} */ ([
      ['{"id":"x","secrets":{"password":"canary', "line 2: is not JSON"],
      ["[]", "line 2: is not a JSON object"],
      ['{"template":"canary"}', "line 2: id must have"],
      ['{"id":"../canary"}', "line 2: id must have"],
      [right, "line 2: unsent is on line 1, too"],
      ['{"id":"x","secrets":"canary"}', "line 2: secrets must be"],
      ['{"id":"x","secrets":[7]}', "line 2: secrets must be"],
    ])) {
      const { code, said } = await imported([right, wrong], other);
      assert.equal(code, 1, what);
      assert.ok(said.includes("Nothing was imported") && said.includes(what), said);
      assert.ok(!said.includes("canary"), said);
    }
    assert.deepEqual(await lines(other), was);
  });

  test("reads standard input, too", async () => {
    const input = `\uFEFF${JSON.stringify({ id: "right", ...fieldsOf("right") })}\r\n`;
    const { code, said } = await command(["import", "-", "--url", other.url], {
      env: { ADMIN_KEY: OPERATOR },
      input,
    });
    assert.deepEqual([code, said], [0, "0 registered, 1 replaced, 0 refused.\n"]);
  });
});

describe("the command", () => {
  test("says what is wrong before it sends the key", async () => {
    const key = { ADMIN_KEY: OPERATOR };
    for (const [args, what, env] of /** @type {[string[], RegExp, { [name: string]: string }?][]} */ ([
      [[], /Usage:/],
      [["import"], /Usage:/],
      [["export", "x"], /Usage:/],
      [["import", "a", "b"], /Usage:/],
      [["import", "a", "--label", "a:b"], /Usage:/],
      [["export", "--urls", "x"], /--urls[^]*Usage:/],
      [["import", path.join(folder, "none")], /none cannot be read \(ENOENT\)/],
      [["export", "--url", "http://broker.example.com"], /https address/],
      [["export", "--url", "broker.example.com"], /https address/],
      [["export", "--url", "https://a:b@broker.example.com"], /https address/],
      [["export"], /ADMIN_KEY is not set/, {}],
    ])) {
      const { code, said, out } = await command(args, { env: env ?? key });
      assert.equal(code, 1, args.join(" "));
      assert.match(said, what);
      assert.ok(out === "" && !said.includes(OPERATOR) && !said.includes("    at "), said);
    }
    assert.match((await command(["--help"])).out, /Usage:/);
  });

  test("ends at a key or an address that is not the broker's", async () => {
    const line = JSON.stringify({ id: "unsent", ...fieldsOf("unsent"), secrets: account.credentials });
    writeFileSync(file, `${line}\n`);
    for (const args of [["export"], ["import", file]]) {
      const refused = await command([...args, "--url", broker.url], { env: { ADMIN_KEY: "canary-key-0123456789" } });
      assert.equal(refused.code, 1);
      assert.match(refused.said, /refused the key/);
      const elsewhere = await command([...args, "--url", `${broker.url}/elsewhere`]);
      assert.equal(elsewhere.code, 1);
      assert.match(elsewhere.said, /404 not_found/);
    }
  });
});
