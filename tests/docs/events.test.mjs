// The receivers of docs/guides/events.md, unchanged.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Webhook } from "standardwebhooks";

const SECRET = `whsec_${randomBytes(32).toString("base64")}`;
const EMAIL = "export class EmailMessage { constructor(from, to, raw) { Object.assign(this, { from, to, raw }); } }\n";
const EVENT = {
  type: "connection.rejected",
  timestamp: "2026-11-30T08:15:02Z",
  data: { id: "hubsoft", code: "credentials_rejected", since: "2026-11-30T08:15:02Z" },
};

/** @type {string} */
let folder;
/** @type {{ url: string, body: any }[]} */
let posted = [];
let status = 200;
const realFetch = globalThis.fetch;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "porteiro-events-"));
  const page = await readFile(fileURLToPath(new URL("../../docs/guides/events.md", import.meta.url)), "utf8");
  const blocks = [...page.matchAll(/^```js\n(\/\/ (\w+\.js)[\s\S]*?)^```$/gm)];
  assert.deepEqual(
    blocks.map(([, , name]) => name),
    ["verify.js", "slack.js", "email.js", "pager.js"],
  );
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
  // The runtime has this module.
  await writeFile(join(folder, "email-of-the-runtime.js"), EMAIL);
  for (const [, code, name] of blocks)
    await writeFile(join(folder, name), code.replace("cloudflare:email", "./email-of-the-runtime.js"));
  globalThis.fetch = /** @type {typeof fetch} */ (
    async (url, init) => {
      posted.push({ url: String(url), body: JSON.parse(String(init?.body)) });
      return new Response(null, { status });
    }
  );
});

after(async () => {
  globalThis.fetch = realFetch;
  await rm(folder, { recursive: true });
});

/**
 * Posts an event to the receiver in `file`, and gives the status.
 *
 * @param {string} file
 * @param {{ [name: string]: unknown }} env
 * @param {{ event?: object, key?: string, at?: number, body?: string }} [settings]
 */
async function post(file, env, { event = EVENT, key = SECRET, at = Date.now(), body = JSON.stringify(event) } = {}) {
  const { default: receiver } = await import(pathToFileURL(join(folder, file)).href);
  const time = new Date(Math.floor(at / 1000) * 1000);
  const headers = {
    "webhook-id": "evt_1",
    "webhook-timestamp": String(time.getTime() / 1000),
    "webhook-signature": new Webhook(key).sign("evt_1", time, JSON.stringify(event)),
  };
  posted = [];
  const request = new Request("https://events.example/", { method: "POST", headers, body });
  return (await receiver.fetch(request, { EVENTS_SECRET: SECRET, ...env })).status;
}

test("Slack's posts what is told", async () => {
  const env = { SLACK_URL: "https://hooks.slack.example/x" };
  assert.equal(await post("slack.js", env), 204);
  const text = ":rotating_light: *hubsoft*: connection.rejected (credentials_rejected), since 2026-11-30T08:15:02Z";
  assert.deepEqual(posted, [{ url: env.SLACK_URL, body: { text } }]);
  assert.equal(await post("slack.js", env, { event: { ...EVENT, type: "connection.recovered" } }), 204);
  assert.match(posted[0].body.text, /^:white_check_mark:/);
  status = 500;
  assert.equal(await post("slack.js", env), 502);
  status = 200;
});

test("each refuses what the broker did not sign, or signed long ago", async () => {
  const key = `whsec_${randomBytes(32).toString("base64")}`;
  for (const file of ["slack.js", "email.js", "pager.js"]) {
    assert.equal(await post(file, {}, { key }), 401);
    assert.equal(await post(file, {}, { at: Date.now() - 400_000 }), 401);
    assert.equal(await post(file, {}, { body: JSON.stringify({ ...EVENT, type: "connection.recovered" }) }), 401);
    assert.deepEqual(posted, []);
  }
});

test("each takes the old and the new secret of a rotation", async () => {
  const key = `whsec_${randomBytes(32).toString("base64")}`;
  const env = { ...pager(), EVENTS_SECRET: `${key}, ${SECRET}` };
  assert.equal(await post("pager.js", env), 204);
  assert.equal(await post("pager.js", env, { key }), 204);
});

test("the e-mail has the event in its subject", async () => {
  /** @type {{ from: string, to: string, raw: string }[]} */
  const sent = [];
  const EMAIL = { send: async (/** @type {any} */ message) => void sent.push(message) };
  assert.equal(await post("email.js", { EMAIL, FROM: "porteiro@example.com", TO: "ops@example.com" }), 204);
  assert.equal(sent.length, 1);
  assert.match(sent[0].raw, /\r\nSubject: hubsoft: connection\.rejected\r\n/);
  assert.match(sent[0].raw, /\r\nDate: Mon, 30 Nov 2026 08:15:02 \+0000\r\n/);
  assert.deepEqual([sent[0].from, sent[0].to], ["porteiro@example.com", "ops@example.com"]);
});

/** What the pager's receiver keeps, and its settings. */
function pager() {
  /** @type {Map<string, string>} */
  const kept = new Map();
  const get = async (/** @type {string} */ key) => kept.get(key) ?? null;
  const put = async (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value);
  return { ROUTING_KEY: "key", LAST: { get, put } };
}

const RECOVERY = { ...EVENT, type: "connection.recovered" };

test("the pager's incident is resolved by the recovery", async () => {
  const env = pager();
  assert.equal(await post("pager.js", env), 204);
  const [{ body: opened }] = posted;
  // It may come twice.
  assert.equal(await post("pager.js", env), 204);
  assert.deepEqual(posted[0].body, opened);
  assert.equal(await post("pager.js", env, { event: RECOVERY }), 204);
  const [{ body: resolved }] = posted;
  assert.deepEqual([opened.event_action, resolved.event_action], ["trigger", "resolve"]);
  assert.equal(opened.dedup_key, resolved.dedup_key);
  const later = { ...EVENT, timestamp: "2026-11-30T08:16:02Z" };
  assert.equal(await post("pager.js", env, { event: later }), 204);
  assert.equal(posted[0].body.event_action, "trigger");
});

test("the pager's incident is not opened again by an event that the recovery overtook", async () => {
  const env = pager();
  status = 500;
  assert.equal(await post("pager.js", env), 502);
  status = 200;
  for (const timestamp of ["2026-11-30T08:15:02Z", "2026-11-30T08:15:40Z"]) {
    assert.equal(await post("pager.js", env, { event: { ...RECOVERY, timestamp } }), 204);
    assert.equal(posted[0].body.event_action, "resolve");
    assert.equal(await post("pager.js", env), 204);
    assert.deepEqual(posted, []);
  }
  // Webhooks, and other connections, are other incidents.
  const data = { ...EVENT.data, id: "guru" };
  for (const event of [
    { ...EVENT, type: "webhook.failed" },
    { ...EVENT, data },
  ]) {
    assert.equal(await post("pager.js", env, { event }), 204);
    assert.equal(posted[0].body.event_action, "trigger");
  }
});
