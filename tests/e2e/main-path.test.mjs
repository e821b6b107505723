// The three providers, as their makers document them, from end to end.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startGuru } from "../../sandbox/providers/guru.mjs";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { startV8 } from "../../sandbox/providers/v8.mjs";
import { assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";

/** @import { Credentials, Guru, Hubsoft, Provider } from "../../sandbox/types.js" */
/** @import { Broker } from "./support/broker.mjs" */

const CALLS = 1_000;
/** More than all calls here: the makers' servers allow fewer, and these are none of theirs. */
const AMPLE = { requests: 1_000_000, seconds: 60 };

// Guru lists no transactions without a filter.
const PERIOD = "ordered_at_ini=2026-10-01&ordered_at_end=2026-10-31";
const AT_ONCE = 32;

/** @type {Guru} */
let guru;
/** @type {Hubsoft} */
let hubsoft;
/** @type {Provider} */
let v8;
/** @type {Broker} */
let broker;

before(async () => {
  [guru, hubsoft, v8] = await Promise.all([startGuru({ port: 0 }), startHubsoft({ port: 0 }), startV8({ port: 0 })]);
  /**
   * @param {string} prefix
   * @param {Credentials} credentials
   */
  const upper = (prefix, credentials) =>
    Object.fromEntries(Object.entries(credentials).map(([name, value]) => [`${prefix}_${name.toUpperCase()}`, value]));
  broker = await startBroker({
    // As its users try it out: by `wrangler dev`, with secrets in .dev.vars.
    wrangler: {},
    vars: {
      CONNECTIONS: {
        guru: { provider: "guru", base_url: guru.baseUrl, budget: AMPLE, rules: [EVERYTHING] },
        hubsoft: { provider: "hubsoft", base_url: hubsoft.baseUrl, rules: [EVERYTHING] },
        v8: { provider: "v8", base_url: v8.baseUrl, token_url: v8.tokenUrl, budget: AMPLE, rules: [EVERYTHING] },
      },
    },
    secrets: {
      ...upper("GURU", guru.credentials),
      ...upper("HUBSOFT", hubsoft.credentials),
      ...upper("V8", v8.credentials),
    },
  });
});

after(async () => {
  await broker?.stop();
  await Promise.all([guru, hubsoft, v8].map((provider) => provider?.close()));
});

/** @param {Provider} provider */
const authorizations = (provider) => provider.apiRequests.map(({ headers }) => headers.authorization);

/**
 * Runs `CALLS` calls, `AT_ONCE` at a time, and returns how many had each status.
 *
 * @param {string} target
 */
async function manyCalls(target) {
  const agent = keepAlive();
  /** @type {{ [status: string]: number }} */
  const statuses = {};
  let left = CALLS;
  const worker = async () => {
    while (left-- > 0) {
      const { status } = await broker.call(target, { agent });
      statuses[status] = (statuses[status] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  agent.destroy();
  return statuses;
}

describe("guru", () => {
  test("is called with the static user token and no token request", async () => {
    const answer = assertStatus(await broker.call(`/api/guru/transactions?${PERIOD}&per_page=2`));
    assert.equal(answer.json().data.length, 2);
    assert.equal(answer.tokenSource, "static");
    const [{ path, headers }] = guru.apiRequests.slice(-1);
    assert.equal(path, `/api/v2/transactions?${PERIOD}&per_page=2`);
    assert.equal(headers.authorization, `Bearer ${guru.credentials.token}`);
    assert.equal(guru.tokenRequests.length, 0);
    assert.equal(headers.accept, "application/json");
  });

  test("takes a posted contact", async () => {
    const contact = { name: "Zoë Ção", email: "zoe@example.com" };
    const answer = assertStatus(await broker.call("/api/guru/contacts", { method: "POST", json: contact }), 201);
    assert.equal(answer.json().email, contact.email);
    const [{ body }] = guru.apiRequests.slice(-1);
    assert.deepEqual(JSON.parse(body), contact);
  });

  test("makes no grant in a thousand calls", async () => {
    assert.deepEqual(await manyCalls(`/api/guru/transactions?${PERIOD}&per_page=1`), { 200: CALLS });
    assert.equal(guru.tokenRequests.length, 0);
  });
});

describe("hubsoft", () => {
  test("gets its password grant as the documented JSON body", async () => {
    const answer = assertStatus(await broker.call("/api/hubsoft/api/v1/integracao/cliente?limit=1"));
    assert.equal(answer.json().clientes.length, 1);
    assert.equal(answer.tokenSource, "grant");
    assert.equal(hubsoft.tokenRequests.length, 1);
    const [{ method, path, headers, body, outcome }] = hubsoft.tokenRequests;
    assert.equal(outcome, "ok");
    assert.equal(`${method} ${path}`, "POST /oauth/token");
    assert.match(headers["content-type"] ?? "", /^application\/json\b/);
    assert.equal(headers.authorization, undefined);
    assert.deepEqual(JSON.parse(body), { grant_type: "password", ...hubsoft.credentials });
    assert.deepEqual(authorizations(hubsoft), [`Bearer ${hubsoft.issued[0]}`]);
  });

  test("takes a posted ticket", async () => {
    const client = (await broker.call("/api/hubsoft/api/v1/integracao/cliente?limit=1")).json().clientes[0];
    const ticket = {
      id_cliente_servico: client.servicos[0].id_cliente_servico,
      descricao: "Sem conexão",
      nome: "Ana",
      telefone: "11999990000",
    };
    const answer = await broker.call("/api/hubsoft/api/v1/integracao/atendimento", { method: "POST", json: ticket });
    assert.equal(assertStatus(answer).json().atendimento.descricao_abertura, ticket.descricao);
  });

  test("makes one grant in a thousand calls", async () => {
    assert.deepEqual(await manyCalls("/api/hubsoft/api/v1/integracao/cliente?limit=1"), { 200: CALLS });
    assert.equal(hubsoft.tokenRequests.length, 1);
  });

  test("is asked for a refresh when it no longer takes the token", async () => {
    const [access, refresh] = hubsoft.issued;
    hubsoft.revokeAccessTokens();
    const seen = hubsoft.apiRequests.length;
    assertStatus(await broker.call("/api/hubsoft/api/v1/integracao/cliente?limit=1"));
    assert.equal(hubsoft.tokenRequests.length, 2);
    const { body, outcome } = hubsoft.tokenRequests[1];
    assert.equal(outcome, "ok");
    const { client_id, client_secret } = hubsoft.credentials;
    assert.deepEqual(JSON.parse(body), {
      grant_type: "refresh_token",
      client_id,
      client_secret,
      refresh_token: refresh,
    });
    assert.deepEqual(
      authorizations(hubsoft).slice(seen),
      [access, hubsoft.issued[2]].map((token) => `Bearer ${token}`),
    );
  });

  test("tells of a dead token whatever the caller accepts but a type of its own", async () => {
    hubsoft.revokeAccessTokens();
    const before = hubsoft.tokenRequests.length;
    const any = { headers: { Accept: "*/*;q=0.8" } };
    assertStatus(await broker.call("/api/hubsoft/api/v1/integracao/cliente?limit=1", any));
    assert.equal(hubsoft.tokenRequests.length, before + 1);
    assert.equal(hubsoft.apiRequests.slice(-1)[0].headers.accept, "application/json");
    const own = { headers: { Accept: "application/json, text/plain, */*" } };
    assertStatus(await broker.call("/api/hubsoft/api/v1/integracao/cliente?limit=1", own));
    assert.equal(hubsoft.apiRequests.slice(-1)[0].headers.accept, own.headers.Accept);
    // Who asks for a page gets what HubSoft has for one: a way to sign in.
    hubsoft.revokeAccessTokens();
    const headers = { Accept: "text/html, */*" };
    const answer = await broker.call("/api/hubsoft/api/v1/integracao/cliente?limit=1", { headers });
    assert.equal(assertStatus(answer, 302).headers.location, `${broker.url}/api/hubsoft/login`);
    assert.equal(hubsoft.apiRequests.slice(-1)[0].headers.accept, "text/html, */*");
    assertStatus(await broker.call("/api/hubsoft/api/v1/integracao/cliente?limit=1"));
  });
});

describe("v8", () => {
  test("gets its password grant as the documented form body, without a client secret", async () => {
    const answer = assertStatus(await broker.call("/api/v8/private-consignment/simulation/configs"));
    assert.ok(answer.json().configs.length > 0);
    assert.equal(answer.tokenSource, "grant");
    assert.equal(v8.tokenRequests.length, 1);
    const [{ method, path, headers, body, outcome }] = v8.tokenRequests;
    assert.equal(outcome, "ok");
    assert.equal(`${method} ${path}`, "POST /oauth/token");
    assert.match(headers["content-type"] ?? "", /^application\/x-www-form-urlencoded\b/);
    assert.equal(headers.authorization, undefined);
    const { username, password, audience, client_id } = v8.credentials;
    assert.deepEqual(
      [...new URLSearchParams(body)].sort(),
      Object.entries({
        grant_type: "password",
        username,
        password,
        audience,
        scope: "offline_access",
        client_id,
      }).sort(),
    );
    assert.deepEqual(authorizations(v8), [`Bearer ${v8.issued[0]}`]);
  });

  test("takes a posted simulation", async () => {
    const { configs } = (await broker.call("/api/v8/private-consignment/simulation/configs")).json();
    const json = {
      consult_id: "consult-1",
      config_id: configs[0].id,
      number_of_installments: configs[0].number_of_installments[0],
      installment_face_value: 150,
    };
    const answer = await broker.call("/api/v8/private-consignment/simulation", { method: "POST", json });
    const { id, consult_id, status } = assertStatus(answer, 201).json();
    assert.deepEqual([consult_id, status], [json.consult_id, "PENDING"]);
    const look = async () => (await broker.call(`/api/v8/private-consignment/simulation/${id}`)).json().status;
    assert.deepEqual([await look(), await look()], ["PENDING", "SIMULATED"]);
  });

  test("makes one grant in a thousand calls", async () => {
    assert.deepEqual(await manyCalls("/api/v8/private-consignment/simulation/configs"), { 200: CALLS });
    assert.equal(v8.tokenRequests.length, 1);
  });

  test("is asked for a refresh when it no longer takes the token", async () => {
    v8.revokeAccessTokens();
    assertStatus(await broker.call("/api/v8/private-consignment/simulation/configs"));
    assert.equal(v8.tokenRequests.length, 2);
    const { body, outcome } = v8.tokenRequests[1];
    assert.equal(outcome, "ok");
    assert.deepEqual(
      [...new URLSearchParams(body)].sort(),
      Object.entries({
        grant_type: "refresh_token",
        client_id: v8.credentials.client_id,
        refresh_token: v8.issued[1],
      }).sort(),
    );
  });
});

describe("a token in memory", () => {
  test("is used without asking anyone, and the answer says how long each part took", async () => {
    for (const target of [
      "/api/hubsoft/api/v1/integracao/cliente?limit=1",
      "/api/v8/private-consignment/simulation/configs",
    ]) {
      const { serverTiming } = assertStatus(await broker.call(target));
      assert.equal(serverTiming.token.desc, "memory");
      assert.ok(Number(serverTiming.token.dur) >= 0, serverTiming.token.dur);
      assert.ok(Number(serverTiming.upstream.dur) >= 0, serverTiming.upstream.dur);
    }
  });
});
