// `porteiro dev` and `porteiro check --probe` as installed: with the project's own connections, and with the sandbox.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import path from "node:path";
import { after, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { ensureChromium } from "../../scripts/chromium.mjs";
import { freePort } from "../../scripts/processes.mjs";
import { backendKey, makeProject } from "./support/project.mjs";

const { folder: project, porteiro, read, write, dev, remove } = await makeProject("acme-broker");

after(remove);

const hubsoft = await startHubsoft();
after(() => hubsoft.close());

/** The project's HubSoft is the one here, with its secrets. */
function connect() {
  const config = read("wrangler.toml").replace(/^base_url = ".*"$/m, `base_url = "${hubsoft.baseUrl}"`);
  write("wrangler.toml", config);
  let vars = read(".dev.vars");
  for (const [name, value] of Object.entries(hubsoft.credentials))
    vars = vars.replace(`HUBSOFT_${name.toUpperCase()}=""`, `HUBSOFT_${name.toUpperCase()}="${value}"`);
  write(".dev.vars", vars);
}

/**
 * A call to the project's HubSoft, as the server that has a key.
 * @param {number} port
 */
async function clients(port) {
  const address = `http://127.0.0.1:${port}/api/hubsoft/api/v1/integracao/configuracao/empresa`;
  const answer = await fetch(address, { headers: { authorization: `Bearer ${backendKey(read(".dev.vars"))}` } });
  return { status: answer.status, body: await answer.json() };
}

describe("porteiro dev", async () => {
  test("serves providers to try, with a page in a browser, where there is no project yet, and writes nothing into what npm installed", async () => {
    assert.match((await porteiro("dev")).text, /There is no wrangler\.toml here: `npx porteiro init` makes one/);
    assert.match((await porteiro("check")).text, /There is no wrangler\.toml here: `npx porteiro init` makes one/);
    const port = await freePort();
    const broker = await dev("--sandbox", "--port", String(port));
    const browser = await chromium.launch({ executablePath: await ensureChromium(), args: ["--no-sandbox"] });
    try {
      const page = await browser.newPage({ locale: "pt-BR" });
      await page.goto("http://localhost:8790/");
      await page.getByRole("button").first().waitFor();
      const query = "ordered_at_ini=2026-10-01&ordered_at_end=2026-10-31";
      const address = `http://localhost:${port}/api/guru/transactions?${query}`;
      const status = await page.evaluate(async (address) => (await fetch(address)).status, address);
      assert.equal(status, 200);
      // The page that the broker serves, which calls its own origin.
      await page.goto(`http://localhost:${port}/`);
      const called = page.waitForResponse((response) => response.url().startsWith(`http://localhost:${port}/api/`));
      await page.getByRole("button").first().click();
      assert.equal((await called).status(), 200);
      assert.ok(!existsSync(path.join(project, "node_modules/porteiro/sandbox/.dev.vars")));
    } finally {
      await browser.close();
      await broker.end();
    }
  });

  test("serves a new project, and says which secrets are missing, which check --probe tries", async () => {
    assert.equal((await porteiro("init", "--yes", "--providers", "hubsoft")).status, 0);
    const port = await freePort();
    const broker = await dev("--port", String(port));
    try {
      assert.equal((await (await fetch(`http://127.0.0.1:${port}/healthz`)).json()).status, "ok");
      assert.match(broker.said(), /HUBSOFT_CLIENT_ID/);
      assert.equal((await clients(port)).body.code, "misconfigured");
    } finally {
      await broker.end();
    }
    connect();
    const right = await porteiro("check", "--probe", "--offline");
    assert.equal(right.status, 0, right.text);
    assert.equal(hubsoft.tokenRequests.length, 1);
    const vars = read(".dev.vars");
    write(".dev.vars", vars.replace(/^HUBSOFT_PASSWORD=.*$/m, 'HUBSOFT_PASSWORD="another"'));
    const wrong = await porteiro("check", "--probe", "--offline");
    assert.equal(wrong.status, 1, wrong.text);
    assert.match(wrong.text, /hubsoft.*invalid_grant/);
    write(".dev.vars", vars);
  });

  test("calls the API of a connection with the token that it gets, and keeps it for the next start", async () => {
    const before = hubsoft.tokenRequests.length;
    const port = await freePort();
    for (const _ of ["first", "second"]) {
      const broker = await dev("--port", String(port));
      try {
        const { status, body } = await clients(port);
        assert.equal(status, 200, JSON.stringify(body));
        assert.equal(body.status, "success");
      } finally {
        await broker.end();
      }
    }
    assert.equal(hubsoft.tokenRequests.length, before + 1);
  });
});
