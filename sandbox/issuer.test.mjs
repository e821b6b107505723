// Tests the issuer of the sandbox's people, and the calls by which the page gets their tokens; tests/e2e puts the broker
// behind them.

import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { unstable_readConfig as readConfig } from "wrangler";
import { startFrontend } from "./frontend.mjs";
import { AUDIENCE, PEOPLE, startIssuer } from "./issuer.mjs";
import { startSandbox } from "./main.mjs";

/** @typedef {Awaited<ReturnType<typeof startIssuer>>} Issuer */

/** @param {string} path */
const at = (path) => fileURLToPath(new URL(path, import.meta.url));
/** @param {string} part */
const decoded = (part) => JSON.parse(Buffer.from(part, "base64url").toString("utf8"));

/** @param {Issuer} issuer */
async function published(issuer) {
  const metadata = await (await fetch(`${issuer.url}/.well-known/openid-configuration`)).json();
  assert.equal(metadata.issuer, issuer.url);
  const { keys } = await (await fetch(metadata.jwks_uri)).json();
  assert.equal(keys.length, 1);
  return keys[0];
}

/** @param {string | undefined} token @param {import("node:crypto").JsonWebKey} jwk */
function isSigned(token, jwk) {
  const [header, claims, signature] = (token ?? "").split(".");
  const key = createPublicKey({ key: jwk, format: "jwk" });
  const input = Buffer.from(`${header}.${claims}`);
  return verify("sha256", input, { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"));
}

describe("the sandbox's issuer", () => {
  /** @type {Issuer} */
  let issuer;
  before(async () => {
    issuer = await startIssuer();
  });
  after(() => issuer?.close());

  test("proves two people by tokens that its published key verifies", async () => {
    assert.equal(PEOPLE.length, 2);
    const jwk = await published(issuer);
    for (const { id, cpf } of PEOPLE) {
      const token = issuer.token(id);
      assert.ok(isSigned(token, jwk));
      const [header, claims] = (token ?? "").split(".", 2).map(decoded);
      assert.deepEqual(header, { alg: "ES256", typ: "JWT", kid: jwk.kid });
      assert.deepEqual(
        [claims.iss, claims.aud, claims.sub, claims.cpf, claims.exp - claims.iat],
        [issuer.url, AUDIENCE, id, cpf, 300],
      );
    }
    assert.equal(issuer.token("somebody"), undefined);
    assert.equal(issuer.token(undefined), undefined);
  });

  test("publishes no private key, and answers nothing else", async () => {
    const jwk = await published(issuer);
    assert.deepEqual(Object.keys(jwk).sort(), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    for (const path of ["/", "/token", "/toString", "/keys?x=1"]) {
      assert.equal((await fetch(issuer.url + path)).status, 404, path);
    }
    assert.equal((await fetch(`${issuer.url}/keys`, { method: "POST" })).status, 405);
  });

  test("makes its key at each start", async () => {
    const again = await startIssuer();
    const [one, other] = [await published(issuer), await published(again)];
    await again.close();
    assert.notEqual(one.x, other.x);
    assert.notEqual(one.kid, other.kid);
    assert.ok(isSigned(again.token("clarice"), other));
    assert.ok(!isSigned(again.token("clarice"), one));
  });

  test("is known to the sandbox's configuration alone, and only on this machine", async () => {
    const { vars } = readConfig({ config: at("wrangler.toml") });
    assert.deepEqual(
      { ...vars.CALLERS.subscriber },
      { kind: "jwt", issuer: "http://127.0.0.1:8804", audience: AUDIENCE },
    );
    const deployed = await readFile(at("../wrangler.toml"), "utf8");
    assert.ok(!deployed.includes("8804") && !deployed.includes(AUDIENCE));
  });
});

describe("the page's calls for its people", () => {
  /** @type {Issuer} */
  let issuer;
  /** @type {Awaited<ReturnType<typeof startFrontend>>} */
  let frontend;
  before(async () => {
    issuer = await startIssuer();
    frontend = await startFrontend({ issuer });
  });
  after(() => Promise.all([frontend?.close(), issuer?.close()]));

  /** @param {string} body */
  const post = (body) => fetch(`${frontend.url}/sandbox/tokens`, { method: "POST", body });

  test("name the two people, and bring the token of one", async () => {
    assert.deepEqual(await (await fetch(`${frontend.url}/sandbox/people`)).json(), PEOPLE);
    const response = await post('{"person":"clarice"}');
    assert.equal(response.headers.get("cache-control"), "no-store");
    const { token } = await response.json();
    assert.ok(isSigned(token, await published(issuer)));
    assert.equal(decoded(token.split(".")[1]).cpf, PEOPLE[1].cpf);
  });

  test("bring no token of anybody else", async () => {
    assert.equal((await post('{"person":"somebody"}')).status, 404);
    assert.equal((await post("{}")).status, 404);
    for (const body of ["", "null", "{"]) assert.equal((await post(body)).status, 400, body);
    assert.equal((await fetch(`${frontend.url}/sandbox/tokens`)).status, 404);
  });

  test("can be read by the page only, wherever that is served", async () => {
    const from = (/** @type {string} */ Origin) =>
      fetch(`${frontend.url}/sandbox/tokens`, { method: "POST", headers: { Origin }, body: '{"person":"clarice"}' });
    assert.equal((await from("https://elsewhere.example")).headers.get("access-control-allow-origin"), null);
    const page = "http://localhost:8787";
    assert.equal((await from(page)).headers.get("access-control-allow-origin"), page);
  });

  test("are empty without an issuer", async () => {
    const bare = await startFrontend();
    assert.deepEqual(await (await fetch(`${bare.url}/sandbox/people`)).json(), []);
    assert.deepEqual(await (await fetch(`${bare.url}/sandbox/invoices`)).json(), []);
    await bare.close();
  });
});

test("the page learns what HubSoft was asked for its invoices, and nothing else", async () => {
  const ports = { guru: 0, hubsoft: 0, v8: 0, agenda: 0, issuer: 0, frontend: 0, example: 0 };
  const sandbox = await startSandbox({}, { ports });
  try {
    const path = "/api/v1/integracao/cliente/financeiro?busca=cpf_cnpj&termo_busca=1";
    const headers = { Accept: "application/json", Authorization: "Bearer secret" };
    await fetch(sandbox.hubsoft.baseUrl + path, { headers });
    await fetch(`${sandbox.hubsoft.baseUrl}/api/v1/integracao/cliente`, { headers });
    const [{ at: time, ...one }, ...more] = await (await fetch(`${sandbox.frontend.url}/sandbox/invoices`)).json();
    assert.equal(typeof time, "number");
    assert.deepEqual([one, more], [{ method: "GET", path, status: 401 }, []]);
  } finally {
    await sandbox.close();
  }
});
