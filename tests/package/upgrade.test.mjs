// An upgrade: `npm update porteiro` alone, from a registry that has this version and then a next one.

import assert from "node:assert/strict";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { inRoot, output } from "../../scripts/lib.mjs";
import { freePort } from "../../scripts/processes.mjs";
import { backendKey, makeFolder, tarball } from "./support/project.mjs";

const { env, succeed, porteiro, read, write, dev, remove } = makeFolder("acme-broker");
const place = mkdtempSync(path.join(tmpdir(), "porteiro-registry-"));
const upstream = output("npm", ["config", "get", "registry"]) ?? "";

/** The manifests and tarballs that the registry has, by version. @type {Map<string, { manifest: object, file: string }>} */
const published = new Map();

/** A registry that has one package, and sends npm to this machine's for all others. */
const registry = createServer((request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://registry");
  const { port } = /** @type {import("node:net").AddressInfo} */ (registry.address());
  const at = /^\/porteiro\/-\/porteiro-(.+)\.tgz$/.exec(pathname)?.[1];
  const found = at === undefined ? undefined : published.get(at);
  if (found) return response.end(readFileSync(found.file));
  if (pathname !== "/porteiro") {
    return response.writeHead(307, { location: new URL(`.${request.url}`, upstream).href }).end();
  }
  const versions = Object.fromEntries(
    [...published].map(([version, { manifest }]) => {
      const dist = { tarball: `http://127.0.0.1:${port}/porteiro/-/porteiro-${version}.tgz` };
      return [version, { ...manifest, dist }];
    }),
  );
  const latest = [...published.keys()].at(-1);
  const document = { name: "porteiro", "dist-tags": { latest }, versions };
  response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(JSON.stringify(document));
});

/**
 * @param {string} file
 * @param {{ version: string }} manifest
 */
const publish = (file, manifest) => published.set(manifest.version, { manifest, file });

/** @returns {{ version: string }} */
const ownManifest = () => JSON.parse(readFileSync(inRoot("dist", "package", "package.json"), "utf8"));

/** This package as its next version: what else will have changed nobody knows yet. */
function next() {
  const copy = path.join(place, "next");
  cpSync(inRoot("dist", "package"), copy, { recursive: true });
  const manifest = ownManifest();
  const [major, minor, patch] = manifest.version.split(".").map(Number);
  const raised = { ...manifest, version: `${major}.${minor}.${patch + 1}` };
  writeFileSync(path.join(copy, "package.json"), JSON.stringify(raised));
  const [{ filename }] = JSON.parse(
    output("npm", ["pack", "--json", "--pack-destination", place], { cwd: copy }) ?? "",
  );
  publish(path.join(place, filename), raised);
  return raised.version;
}

before(async () => {
  await new Promise((resolve) => registry.listen(0, "127.0.0.1", () => resolve(undefined)));
});

after(() => {
  registry.closeAllConnections();
  registry.close();
  rmSync(place, { recursive: true, force: true });
  remove();
});

test("goes to the next version, with the configuration as it was and the records that are there", async () => {
  const hubsoft = await startHubsoft();
  const { port: at } = /** @type {import("node:net").AddressInfo} */ (registry.address());
  const { version } = ownManifest();
  const port = await freePort();
  /** The status of a call, with the broker started for it. */
  const call = async () => {
    const broker = await dev("--port", String(port));
    try {
      const headers = { authorization: `Bearer ${backendKey(read(".dev.vars"))}` };
      const answer = await fetch(`http://127.0.0.1:${port}/api/hubsoft/api/v1/integracao/configuracao/empresa`, {
        headers,
      });
      return answer.status;
    } finally {
      await broker.end();
    }
  };
  try {
    publish(tarball, ownManifest());
    env.npm_config_registry = `http://127.0.0.1:${at}/`;
    await succeed("npm", ["init", "-y"]);
    await succeed("npm", ["install", "porteiro"]);
    assert.equal((await porteiro("--version")).stdout.trim(), version);
    await succeed("npx", ["porteiro", "init", "--yes", "--providers", "hubsoft"]);
    write("wrangler.toml", read("wrangler.toml").replace(/^base_url = ".*"$/m, `base_url = "${hubsoft.baseUrl}"`));
    const secrets = Object.entries(hubsoft.credentials).map(
      ([name, value]) => `HUBSOFT_${name.toUpperCase()}="${value}"`,
    );
    write(".dev.vars", `${read(".dev.vars")}${secrets.join("\n")}\n`);
    const files = ["wrangler.toml", ".dev.vars", ".dev.vars.example", ".gitignore", ".github/workflows/deploy.yml"];
    const own = files.map(read);
    assert.equal(await call(), 200);
    assert.equal(hubsoft.tokenRequests.length, 1);

    const later = next();
    await succeed("npm", ["update", "porteiro"]);
    assert.equal((await porteiro("--version")).stdout.trim(), later);
    assert.deepEqual(files.map(read), own);
    assert.equal((await porteiro("check", "--offline")).status, 0);
    assert.equal(await call(), 200);
    // The token of before the upgrade, sealed on disk, is the one in use.
    assert.equal(hubsoft.tokenRequests.length, 1);
  } finally {
    await hubsoft.close();
  }
});
