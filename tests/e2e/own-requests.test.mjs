// The function that sends the broker's own requests, to token endpoints, issuers and receivers: in the runtime, without
// the broker.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { inRoot } from "../../scripts/lib.mjs";
import { startWorkerd } from "../../scripts/workerd.mjs";
import { closeServer, listening } from "./support/servers.mjs";
import { until } from "./support/until.mjs";

/** @import { Server, ServerResponse } from "node:http" */
/** @import { Workerd } from "../../scripts/workerd.mjs" */

const LONG_MS = 600_000;
const SHORT_MS = 300;
const MAX_BYTES = 1000;

const ENTRY = `
import { send } from "./glue.js";
export default { async fetch(request, env, context) {
  // At its end the runtime would close what it has open.
  context.waitUntil(scheduler.wait(${LONG_MS}));
  const { method, url, fields, body, timeoutMs, maxBytes } = await request.json();
  try {
    const answer = await send(method, url, fields, body, timeoutMs, maxBytes, env, undefined);
    return Response.json({ ...answer, body: new TextDecoder().decode(answer.body) });
  } catch (reason) {
    return Response.json({ reason: typeof reason === "string" ? reason : "another" });
  }
} };`;

/** @type {Server} */
let server;
/** @type {string} */
let address;
/** @type {Workerd} */
let runtime;
/** @type {{ method?: string, url?: string, fields: string[], body: string }[]} */
const seen = [];
/** The paths whose connections were closed before the answer's end. @type {Set<string | undefined>} */
const left = new Set();

/** @type {{ [path: string]: (response: ServerResponse) => void }} */
const ANSWERS = {
  "/plain": (response) => response.writeHead(201).end("ok"),
  "/later": (response) => response.writeHead(503, { "Retry-After": "7", "X-Token": ["a:b", "c"] }).end(),
  "/elsewhere": (response) => response.writeHead(307, { Location: `${address}/plain` }).end("moved"),
  "/silent": () => {},
  "/stalling": (response) => void response.writeHead(200).write("x"),
  "/breaking": (response) => void response.writeHead(200).write("x", () => response.destroy()),
  "/endless": (response) => {
    response.writeHead(200);
    const more = () => {
      while (!response.destroyed && response.write("x".repeat(100)));
    };
    response.on("drain", more);
    more();
  },
};

before(async () => {
  server = createServer(async (request, response) => {
    response.once("close", () => response.writableFinished || left.add(request.url));
    let body = "";
    for await (const chunk of request) body += chunk;
    seen.push({ method: request.method, url: request.url, fields: request.rawHeaders, body });
    ANSWERS[request.url ?? ""](response);
  });
  address = await listening(server);
  const glue = readFileSync(inRoot("src", "platform", "glue.js"));
  runtime = await startWorkerd({ workers: [{ name: "own", modules: { "main.js": ENTRY, "glue.js": glue } }] });
});

after(async () => {
  await runtime?.stop();
  if (server) await closeServer(server);
});

/**
 * @param {string} path
 * @param {{ method?: string, url?: string, fields?: string, body?: string, timeoutMs?: number, maxBytes?: number }} [request]
 */
async function send(path, request) {
  const { fields: _, ...answer } = await sendForFields(path, request);
  return answer;
}

/** The same with the answer's header fields. @type {(path: string, request?: object) => Promise<any>} */
async function sendForFields(path, request) {
  const whole = {
    method: "POST",
    url: address + path,
    fields: "user-agent:porteiro",
    timeoutMs: LONG_MS,
    maxBytes: MAX_BYTES,
    ...request,
  };
  const response = await fetch(runtime.urls.own, { method: "POST", body: JSON.stringify(whole) });
  return response.json();
}

describe("a request of the broker's own", () => {
  test("is sent as it is told, and its answer is read", async () => {
    const fields = "content-type:application/json\nx-time:12:30:00\nx-empty:";
    assert.deepEqual(await send("/plain", { fields, body: '{"a":1}' }), { status: 201, body: "ok" });
    const { method, body, fields: sent } = seen.at(-1) ?? assert.fail();
    assert.deepEqual([method, body], ["POST", '{"a":1}']);
    /** @param {string} name */
    const value = (name) => sent[sent.findIndex((part, at) => at % 2 === 0 && part.toLowerCase() === name) + 1];
    assert.deepEqual([value("content-type"), value("x-time"), value("x-empty")], ["application/json", "12:30:00", ""]);
  });

  test("may have no body", async () => {
    assert.deepEqual(await send("/plain", { method: "GET" }), { status: 201, body: "ok" });
    const { method, body } = seen.at(-1) ?? assert.fail();
    assert.deepEqual([method, body], ["GET", ""]);
  });

  test("is answered with header fields, a line each", async () => {
    const { status, fields } = await sendForFields("/later");
    const lines = fields.split("\n");
    assert.equal(status, 503);
    for (const line of ["retry-after:7", "x-token:a:b, c"]) assert.ok(lines.includes(line), fields);
  });

  test("follows no redirect", async () => {
    const before = seen.length;
    assert.deepEqual(await send("/elsewhere"), { status: 307, body: "moved" });
    assert.equal(seen.length, before + 1);
  });

  test("whose answer does not end is read a little further than it may be long", async () => {
    const { status, body } = await send("/endless");
    assert.equal(status, 200);
    assert.ok(body.length > MAX_BYTES && body.length < MAX_BYTES * 100, `${body.length}`);
    await until(() => left.delete("/endless"), "the connection's end");
  });

  test("whose answer is not to be read does not wait for its end", async () => {
    for (const path of ["/endless", "/stalling"]) {
      assert.deepEqual(await send(path, { maxBytes: -1 }), { status: 200, body: "" });
      await until(() => left.delete(path), "the connection's end");
    }
  });

  test("has until its timeout for the answer's head, and for the body where that is read", async () => {
    for (const path of ["/silent", "/stalling"]) {
      assert.deepEqual(await send(path, { timeoutMs: SHORT_MS }), { reason: "timeout" }, path);
      await until(() => left.delete(path), "the connection's end");
    }
  });

  test("fails otherwise where the server breaks off, or is not there", async () => {
    assert.deepEqual(await send("/breaking"), { reason: "another" });
    assert.deepEqual(await send("", { url: "http://127.0.0.1:1/" }), { reason: "another" });
  });
});
