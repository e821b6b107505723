// Cases that `wrangler dev` hides: its proxy resolves dot segments before the Worker sees them. In bare workerd the
// request target arrives as sent, and only the broker can refuse it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { KEY, sealingKey, startBroker } from "./support/broker.mjs";
import { rawRequest } from "./support/raw.mjs";
import { portOf } from "./support/servers.mjs";

/** @import { Server } from "node:http" */
/** @import { Broker } from "./support/broker.mjs" */

/** @type {(string | undefined)[]} */
const targets = [];
/** @type {Server} */
let upstream;
/** @type {Broker} */
let broker;

before(async () => {
  upstream = createServer((request, response) => {
    targets.push(request.url);
    response.end("{}");
  }).listen(0, "127.0.0.1");
  await once(upstream, "listening");
  const origin = `http://127.0.0.1:${portOf(upstream)}`;
  const rules = [{ callers: ["backend"], methods: ["GET"], paths: ["/**"] }];
  broker = await startBroker({
    vars: {
      CALLERS: { backend: { kind: "key" } },
      CONNECTIONS: {
        first: { provider: "custom", grant: "static", base_url: `${origin}/first/v1`, rules },
        root: { provider: "custom", grant: "static", base_url: origin, rules },
      },
    },
    secrets: {
      BACKEND_KEY: KEY,
      FIRST_TOKEN: "first-token",
      ROOT_TOKEN: "root-token",
      SEALING_KEYS: sealingKey("test"),
    },
  });
});

after(async () => {
  await broker?.stop();
  upstream?.close();
});

/** @param {string} target */
const get = (target) => rawRequest(broker.url, { target, headers: [["Authorization", `Bearer ${KEY}`]] });

describe("a path", () => {
  for (const path of [
    "/..",
    "/../secret",
    "/a/../b",
    "/a/..",
    "/.",
    "/a/./b",
    "/%2e%2e/secret",
    "/%2E%2e/secret",
    "/.%2e/secret",
    "/%2e./secret",
    "/a/%2e%2e",
    "/%2e/a",
    "/..;/secret",
    "/..;x=y/secret",
    "/%2e%2e;/secret",
    "//",
    "//evil.example",
    "/a//b",
    "/a//",
    "/\\evil.example",
    "/a\\..\\b",
    "/%5cevil.example",
    "/%2fevil.example",
    "/a%2f..%2fb",
    "/a%00",
    "/a%0d%0aX-Evil:1",
    "/a%7f",
    "/a%09b",
    "/%c0%ae%c0%ae/secret",
    "/%c0%af",
  ]) {
    test(`${path} is refused and goes nowhere`, async () => {
      const count = targets.length;
      for (const connection of ["first", "root"]) {
        const { status, body } = await get(`/api/${connection}${path}`);
        assert.equal(status, 400);
        assert.equal(JSON.parse(body.toString()).code, "bad_path");
      }
      assert.equal(targets.length, count, "the upstream was called");
    });
  }

  for (const target of [
    "/",
    "/a",
    "/a/",
    "/a%20b",
    "/caf%C3%A9",
    "/@evil.example",
    "/:80",
    "/a:b@c",
    "/https:%3a",
    "/a;b=c",
    "/~a!$&()*+,=",
    "/a?",
    "/a?x=1&x=2",
    "/a?x=+&y=%2B&z=%20",
    "/a?url=https://evil.example/..//",
    "/a?x=/../",
    "/a%25%32%65",
    "/...",
    "/.a",
    "/a|b",
  ]) {
    test(`${target} arrives as it was sent`, async () => {
      assert.equal((await get(`/api/first${target}`)).status, 200);
      assert.equal(targets.at(-1), `/first/v1${target}`);
    });
  }
});

test("a request in absolute form goes to the connection's own address", async () => {
  assert.equal((await get("http://evil.example/api/root/a")).status, 200);
  assert.equal(targets.at(-1), "/a");
});

test("the path of another connection is not reached by climbing", async () => {
  for (const target of ["/api/first/../root/a", "/api/../api/root/a", "/api/first/%2e%2e/root/a"]) {
    const { status } = await get(target);
    assert.ok([400, 404].includes(status), `${target}: ${status}`);
  }
});
