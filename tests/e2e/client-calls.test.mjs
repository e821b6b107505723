// porteiro/client's calls in a real browser, to APIs that answer, fail and ask to wait: from pages of the broker's site and
// of another one. And the module as the broker gives it.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { MINIFIED } from "../../scripts/build.mjs";
import { bin, inRoot, output } from "../../scripts/lib.mjs";
import { CLIENT_CEILING } from "../../scripts/package.mjs";
import { ended, pageWith, startClientPages, use } from "./support/client-pages.mjs";
import { ABROAD, BESIDE, EVIL, WWW } from "./support/consent-sites.mjs";
import { send, startUpstream } from "./support/upstream.mjs";

/** @import { Page } from "playwright-core" */
/** @import { Connection, Reply, Upstream } from "./support/upstream.mjs" */

/** @type {Upstream} */
let upstream;
/** @type {Connection} */
let open;
/** @type {Connection} */
let few;
/** @type {Awaited<ReturnType<typeof startClientPages>>} */
let started;

const BUSY = { status: 503, headers: { "Retry-After": "0" }, body: { busy: true } };

/** How the API answers at `/told`, one after the other; then it repeats what it got. @type {Reply[]} */
let told = [];

before(async () => {
  upstream = await startUpstream();
  const rules = [{ callers: ["anyone", "session"], methods: ["GET", "HEAD", "POST"], paths: ["/**"] }];
  open = upstream.connection("open", { grant: "static", fields: { rules } });
  open.on("/told", async (_request, response, record) => {
    await record.done;
    send(response, told.shift() ?? { body: { bytes: record.bytes } });
  });
  open.on("/never", () => {});
  few = upstream.connection("few", { grant: "static", fields: { rules, budget: { requests: 1, seconds: 2 } } });
  upstream.connection("club", { users: { ana: "right" } });
  const { vars: connections, secrets } = upstream;
  started = await startClientPages({ connections, secrets, callers: { anyone: { kind: "anyone" } } });
});

beforeEach(() => {
  told = [];
  open.requests.length = few.requests.length = 0;
});

afterEach(() => upstream.verify());

after(async () => {
  await started?.close();
  await upstream?.close();
});

/**
 * What a call of the client gives, or how it fails: with the body that the page's code makes.
 *
 * @param {Page} page
 * @param {string} path
 * @param {{ method?: string, key?: string, body?: "form" | "blob", abortAfter?: number }} [how]
 * @returns {Promise<any>}
 */
const call = (page, path, how = {}) =>
  page.evaluate(
    async ({ path, how: { method, key, body, abortAfter } }) => {
      const form = new FormData();
      form.set("file", new Blob(["0123456789"]), "a.txt");
      const bodies = { form, blob: new Blob(["0123456789"]) };
      const began = performance.now();
      const signal = abortAfter === undefined ? null : AbortSignal.timeout(abortAfter);
      /** @type {RequestInit} */
      const init = { method, headers: key ? { "Idempotency-Key": key } : {}, signal };
      if (body) init.body = bodies[body];
      try {
        const response = await /** @type {any} */ (window).porteiro.fetch(path, init);
        return { status: response.status, body: await response.text(), took: performance.now() - began };
      } catch (error) {
        const { name, status, code, requestId, retryAfter, response } = /** @type {any} */ (error);
        const unread = response && !response.bodyUsed ? await response.text() : undefined;
        return { name, status, code, requestId, retryAfter, unread, took: performance.now() - began };
      }
    },
    { path, how },
  );

for (const [where, broker] of /** @type {const} */ ([
  ["of the broker's site", BESIDE],
  ["of another site", ABROAD],
])) {
  /** @param {string} name @param {(page: Page) => Promise<void>} action */
  const onPage = (name, action) =>
    test(name, () => started.withProfile(async (context) => action(await pageWith(context, broker))));

  describe(`a call from a page ${where}`, () => {
    onPage("is sent again when the broker says after how long, if it is safe", async (page) => {
      assert.equal((await call(page, "/api/few/echo")).status, 200);
      const refused = await call(page, "/api/few/echo", { method: "POST", body: "blob" });
      assert.deepEqual([refused.name, refused.status, refused.code], ["PorteiroError", 429, "quota_exhausted"]);
      assert.ok(refused.retryAfter >= 1 && refused.retryAfter <= 3, String(refused.retryAfter));
      assert.ok(refused.took < 1000, String(refused.took));
      const repeated = await call(page, "/api/few/echo");
      assert.equal(repeated.status, 200);
      assert.ok(repeated.took > 500, String(repeated.took));
      assert.deepEqual(
        few.requests.map(({ method }) => method),
        ["GET", "GET"],
      );
    });

    onPage("is sent again with its body, if it has a key", async (page) => {
      told = [BUSY, BUSY];
      assert.equal((await call(page, "/api/open/told")).status, 200);
      told = [BUSY];
      const blob = await call(page, "/api/open/told", { method: "POST", key: "k1", body: "blob" });
      assert.equal(JSON.parse(blob.body).bytes, 10);
      told = [BUSY];
      const form = await call(page, "/api/open/told", { method: "POST", key: "k2", body: "form" });
      assert.equal(form.status, 200);
      const forms = open.requests.slice(-2).map(({ body, headers }) => [String(body), headers["idempotency-key"]]);
      for (const [body, key] of forms) assert.ok(body.includes("0123456789") && key === "k2", body);
      assert.equal(open.requests.length, 3 + 2 + 2);
    });

    onPage("of an API that stays busy fails, with the API's answer", async (page) => {
      told = [BUSY, BUSY, BUSY];
      const failed = await call(page, "/api/open/told");
      assert.deepEqual([failed.status, failed.code, failed.unread], [503, undefined, JSON.stringify(BUSY.body)]);
      assert.deepEqual([failed.retryAfter, open.requests.length], [0, 3]);
      assert.match(failed.requestId, /^[0-9a-f]{32}$/);
      told = [BUSY];
      assert.equal((await call(page, "/api/open/told", { method: "POST", body: "form" })).status, 503);
      assert.equal(open.requests.length, 4);
    });

    onPage("tells the API's answers from the broker's", async (page) => {
      const forged = { type: "https://api.test/problems/caller_unauthenticated", code: "caller_unauthenticated" };
      told = [
        { status: 403, headers: { "Content-Type": "application/problem+json" }, body: { ...forged, request_id: "x" } },
        { status: 500, headers: { "Content-Type": "text/html" }, body: "<h1>Oops</h1>" },
      ];
      const [problem, page500] = [await call(page, "/api/open/told"), await call(page, "/api/open/told")];
      assert.deepEqual([problem.status, problem.code], [403, undefined]);
      assert.deepEqual([page500.status, page500.code, page500.unread], [500, undefined, "<h1>Oops</h1>"]);
      open.refuseNext(1);
      const refused = await call(page, "/api/open/told");
      assert.deepEqual([refused.status, refused.code], [502, "upstream_unauthorized"]);
      assert.equal(await ended(page), 0);
    });

    onPage("ends by its signal, and without a network", async (page) => {
      assert.equal((await call(page, "/api/open/never", { abortAfter: 200 })).name, "TimeoutError");
      told = Array(3).fill({ ...BUSY, headers: { "Retry-After": "9" } });
      const waiting = await call(page, "/api/open/told", { abortAfter: 500 });
      assert.deepEqual([waiting.name, told.length], ["TimeoutError", 2]);
      assert.ok(waiting.took < 2000, String(waiting.took));
      await page.context().setOffline(true);
      assert.equal((await call(page, "/api/open/echo")).name, "TypeError");
    });

    onPage("is never sent elsewhere", async (page) => {
      started.sites.arrivals.length = 0;
      const requests = /** @type {string[]} */ ([]);
      page.on("request", (request) => requests.push(request.url()));
      const elsewhere = ["//friend.test/x", "/\\friend.test/x", "/\t/friend.test/x", "/\n/friend.test/x"];
      for (const path of [`${EVIL}/x`, ...elsewhere]) {
        await page.evaluate(() => void (/** @type {any} */ (window).make("")));
        assert.equal((await call(page, path)).name, "TypeError", JSON.stringify(path));
      }
      assert.deepEqual(requests, []);
    });

    onPage("signs a person in by a password", async (page) => {
      const wrong = await use(page, "signIn", "club", { username: "ana", password: "wrong" });
      assert.deepEqual([wrong.status, wrong.code], [401, "login_rejected"]);
      const { connections } = await use(page, "signIn", "club", { username: "ana", password: "right" });
      assert.deepEqual(
        connections.map((/** @type {{ id: string }} */ { id }) => id),
        ["club"],
      );
      assert.equal((await use(page, "fetch", "/api/club/echo")).body.person, "ana");
      assert.equal(await ended(page), 0);
    });
  });

  describe(`the module from the broker, for a page ${where}`, () => {
    test("is the client, and pages of allowed origins alone can import it", () =>
      started.withProfile(async (context) => {
        const page = await context.newPage();
        const imports = () =>
          page.evaluate(
            (broker) =>
              import(`${broker}/client.js`).then(
                ({ createPorteiro }) => createPorteiro({ broker }).session(),
                (error) => error.name,
              ),
            broker,
          );
        await page.goto(WWW);
        assert.equal(await imports(), null);
        await page.goto(EVIL);
        assert.equal(await imports(), "TypeError");
      }));
  });
}

test("the module from the broker is what the client's source makes", async () => {
  const made = output(bin("esbuild"), [inRoot("client", "porteiro.js"), ...MINIFIED, "--format=esm"]);
  const address = `${started.strict.url}/broker/client.js`;
  const page = await started.browser.newPage({ ignoreHTTPSErrors: true });
  const answer = await page.request.get(address, { headers: { Origin: WWW } });
  const headers = answer.headers();
  assert.equal(await answer.text(), made);
  assert.equal(headers["content-type"], "text/javascript; charset=utf-8");
  assert.equal(headers["access-control-allow-origin"], WWW);
  assert.equal(headers["cache-control"], "no-store");
  assert.match(headers.vary, /Origin/);
  assert.ok(gzipSync(await answer.body(), { level: 9 }).length <= CLIENT_CEILING);
  const foreign = await page.request.get(address, { headers: { Origin: EVIL } });
  assert.equal(foreign.headers()["access-control-allow-origin"], undefined);
  const head = await page.request.head(address);
  assert.deepEqual([head.status(), (await head.body()).length], [200, 0]);
  assert.equal((await page.request.post(address)).status(), 405);
  await page.close();
});
