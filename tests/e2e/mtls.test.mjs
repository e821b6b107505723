// Client certificates, RFC 8705: the token requests and the calls of a connection go by the binding that it names, here
// to a real TLS server that takes nobody without the certificate that it knows.

import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { createServer } from "node:https";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { selfSigned } from "./support/certificate.mjs";
import { closeServer, portOf } from "./support/servers.mjs";
import { listen } from "../../sandbox/provider.mjs";

/** @import { Server } from "node:https" */
/** @import { TLSSocket } from "node:tls" */
/** @import { Broker, Vars } from "./support/broker.mjs" */

const HOST = "bank.example";
const ADMIN_KEY = "e2e-admin-key-0123456789";
const server = selfSigned(HOST);
const client = selfSigned("client of the bank");
const stranger = selfSigned("somebody else");

/** @typedef {{ path: string, method: string, body: string, authorization?: string, certificate: string }} Seen */

/** What the bank was sent. @type {Seen[]} */
const seen = [];
/** @type {Server} */
let bank;
/** @type {Broker} */
let broker;
/** @type {Broker} */
let unbound;

/** @param {string} auth @param {Vars} [fields] */
const connection = (auth, fields) => ({
  provider: "custom",
  base_url: `https://${HOST}/api`,
  token_url: `https://${HOST}/token`,
  grant: "client_credentials",
  client_auth: auth,
  client_id: "client",
  certificate: "BANK_CERT",
  rules: [EVERYTHING],
  ...fields,
});

/** @type {Vars} */
const CONNECTIONS = {
  pix: connection("tls"),
  efi: connection("basic"),
  fixed: { ...connection("tls"), grant: "static", token_url: undefined, client_auth: undefined, client_id: undefined },
  other: connection("tls", { certificate: "OTHER_CERT" }),
};
const secrets = { EFI_CLIENT_SECRET: "s", FIXED_TOKEN: "fixed-token", ADMIN_KEY };

before(async () => {
  const options = { ...server, ca: [client.cert], requestCert: true, rejectUnauthorized: true };
  bank = createServer(options, async (request, response) => {
    const { url: path = "", method = "", headers } = request;
    const certificate = /** @type {TLSSocket} */ (request.socket).getPeerX509Certificate()?.fingerprint256 ?? "none";
    seen.push({ path, method, body: await text(request), authorization: headers.authorization, certificate });
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(path === "/token" ? { access_token: `t-${seen.length}`, token_type: "Bearer" } : {}));
  });
  await listen(/** @type {any} */ (bank), 0);
  const bound = { server: `127.0.0.1:${portOf(bank)}`, host: HOST, trusted: server.cert };
  broker = await startBroker({
    vars: { CONNECTIONS },
    secrets,
    certificates: { BANK_CERT: { own: client, ...bound }, OTHER_CERT: { own: stranger, ...bound } },
  });
  unbound = await startBroker({ vars: { CONNECTIONS }, secrets });
});

after(async () => {
  await broker?.stop();
  await unbound?.stop();
  if (bank) await closeServer(/** @type {any} */ (bank));
});

/** What was sent meanwhile, each with the client's certificate. @param {() => Promise<unknown>} act */
async function during(act) {
  const since = seen.length;
  await act();
  const { fingerprint256 } = new X509Certificate(client.cert);
  for (const { path, certificate } of seen.slice(since)) assert.equal(certificate, fingerprint256, path);
  return seen.slice(since).map(({ certificate: _, ...others }) => others);
}

describe("a connection with a certificate", () => {
  test("shows it in the token request, which has no secret, and in the call", async () => {
    const sent = await during(async () => assertStatus(await broker.call("/api/pix/cob?a=1")));
    const [request, call] = sent;
    assert.deepEqual(request, {
      path: "/token",
      method: "POST",
      body: "grant_type=client_credentials&client_id=client",
      authorization: undefined,
    });
    assert.deepEqual([call.path, call.method, call.authorization], ["/api/cob?a=1", "GET", "Bearer t-1"]);
    assert.equal(sent.length, 2);
  });

  test("shows it in a call with a body", async () => {
    const body = JSON.stringify({ valor: "1.00" });
    const put = () =>
      broker.call("/api/pix/cob/1", { method: "PUT", body, headers: { "Content-Type": "application/json" } });
    const [call] = await during(async () => assertStatus(await put()));
    assert.deepEqual([call.path, call.method, call.body], ["/api/cob/1", "PUT", body]);
  });

  test("may prove its client by another method besides", async () => {
    const [request, call] = await during(async () => assertStatus(await broker.call("/api/efi/x")));
    assert.deepEqual(
      [request.body, request.authorization],
      ["grant_type=client_credentials", `Basic ${btoa("client:s")}`],
    );
    assert.equal(call.path, "/api/x");
  });

  test("may make no token request", async () => {
    const [call] = await during(async () => assertStatus(await broker.call("/api/fixed/x")));
    assert.equal(call.authorization, "Bearer fixed-token");
  });

  test("may be registered", async () => {
    const put = (/** @type {string} */ certificate) =>
      broker.call("/admin/connections/late", {
        method: "PUT",
        key: ADMIN_KEY,
        json: connection("tls", { certificate }),
      });
    const { problems } = assertProblem(await put("NO_CERT"), 400, "bad_request");
    const message = "must be the name of an mtls_certificates binding of the Worker";
    assert.deepEqual(problems, [{ field: "certificate", message }]);
    assertStatus(await put("BANK_CERT"), 201);
    const sent = await during(async () => assertStatus(await broker.call("/api/late/x")));
    assert.deepEqual(
      sent.map(({ path }) => path),
      ["/token", "/api/x"],
    );
  });

  test("is not served with one that the server does not know", async () => {
    const sent = await during(async () =>
      assertProblem(await broker.call("/api/other/x"), 502, "token_endpoint_unreachable"),
    );
    assert.deepEqual(sent, []);
  });
});

describe("a certificate that is not bound", () => {
  test("is a problem of the connection's", async () => {
    const sent = await during(async () => {
      for (const id of ["pix", "fixed"]) assertProblem(await unbound.call(`/api/${id}/x`), 503, "misconfigured");
    });
    assert.deepEqual(sent, []);
    const line = await unbound.logged(({ field }) => field === "CONNECTIONS.pix.certificate");
    assert.equal(line.problem, "must be the name of an mtls_certificates binding of the Worker");
  });
});
