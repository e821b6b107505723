/** @import { Fault, LogLine, Provider } from "./types.js" */

import assert from "node:assert/strict";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { after, afterEach, beforeEach, describe, test } from "node:test";
import { PEOPLE } from "./issuer.mjs";
import { startSandbox } from "./main.mjs";
import { startGuru } from "./providers/guru.mjs";
import { startHubsoft } from "./providers/hubsoft.mjs";
import { startV8 } from "./providers/v8.mjs";

/** @type {Provider[]} */
const running = [];

/**
 * @template {Provider} P
 * @template S
 * @param {(settings?: S) => Promise<P>} starter
 * @param {S} [settings]
 */
async function start(starter, settings) {
  const provider = await starter(settings);
  running.push(provider);
  return provider;
}

afterEach(() => Promise.all(running.splice(0).map((provider) => provider.close())));

const JSON_TYPE = { "Content-Type": "application/json" };
const FORM_TYPE = { "Content-Type": "application/x-www-form-urlencoded" };

/** @param {Provider} provider */
function tokenUrl(provider) {
  assert.ok(provider.tokenUrl);
  return provider.tokenUrl;
}

/**
 * @param {Provider} provider
 * @param {string | Buffer<ArrayBuffer>} body
 * @param {Record<string, string>} headers
 */
const postToken = (provider, body, headers) => fetch(tokenUrl(provider), { method: "POST", headers, body });

/** @param {Provider} provider @param {Record<string, unknown>} members */
const json = (provider, members) => postToken(provider, JSON.stringify(members), JSON_TYPE);
/** @param {Provider} provider @param {Record<string, string>} members */
const form = (provider, members) => postToken(provider, new URLSearchParams(members).toString(), FORM_TYPE);

/** @param {Provider} provider @returns {Record<string, string>} */
const hubsoftPassword = ({ credentials: c }) => ({
  grant_type: "password",
  client_id: c.client_id,
  client_secret: c.client_secret,
  username: c.username,
  password: c.password,
});
/** @param {Provider} provider @param {string} refresh_token */
const hubsoftRefresh = ({ credentials: c }, refresh_token) => ({
  grant_type: "refresh_token",
  client_id: c.client_id,
  client_secret: c.client_secret,
  refresh_token,
});
/** @param {Provider} provider @returns {Record<string, string>} */
const v8Password = ({ credentials: c }) => ({
  grant_type: "password",
  username: c.username,
  password: c.password,
  audience: c.audience,
  scope: "offline_access",
  client_id: c.client_id,
});
/** @param {Provider} provider @param {string} refresh_token */
const v8Refresh = ({ credentials: c }, refresh_token) => ({
  grant_type: "refresh_token",
  refresh_token,
  client_id: c.client_id,
});

/** @param {Provider} provider */
async function acquire(provider) {
  const response =
    provider.name === "v8"
      ? await form(provider, v8Password(provider))
      : await json(provider, hubsoftPassword(provider));
  assert.equal(response.status, 200);
  return response.json();
}

// The filter for all transactions: Guru lists none without a period.
const PERIOD = "ordered_at_ini=2026-10-01&ordered_at_end=2026-10-31";

/** @type {Record<string, string>} */
const API_PATHS = {
  guru: `/transactions?${PERIOD}`,
  hubsoft: "/api/v1/integracao/cliente",
  v8: "/private-consignment/simulation",
};

/** @param {Provider} provider @param {string} [token] @param {RequestInit} [init] */
const callApi = (provider, token, init = {}) =>
  fetch(provider.baseUrl + API_PATHS[provider.name], {
    redirect: "manual",
    ...init,
    headers: {
      Accept: "application/json",
      ...(token !== undefined && { Authorization: `Bearer ${token}` }),
      ...init.headers,
    },
  });

/** @param {Provider} provider @param {string} [token] */
const apiStatus = async (provider, token) => (await callApi(provider, token)).status;

/** @param {Response} response @param {number} status @param {string} error */
async function refused(response, status, error) {
  assert.equal(response.status, status);
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal((await response.json()).error, error);
}

describe("guru", () => {
  test("takes the user token and nothing else", async () => {
    const guru = await start(startGuru, { credentials: { token: "a|b" } });
    assert.equal(guru.baseUrl, `${guru.url}/api/v2`);
    assert.equal(guru.tokenUrl, undefined);
    assert.deepEqual(guru.issued, ["a|b"]);
    assert.equal(await apiStatus(guru, "a|b"), 200);
    for (const token of [undefined, "a", "a|b|c", "A|B"]) {
      const response = await callApi(guru, token);
      assert.equal(response.status, 401);
      assert.match(response.headers.get("www-authenticate") ?? "", /^Bearer/);
      assert.deepEqual(await response.json(), { message: "Unauthenticated." });
    }
    const headers = { Accept: "application/json" };
    assert.equal((await fetch(`${guru.url}/oauth/token`, { method: "POST", headers })).status, 401);
    assert.equal(guru.tokenRequests.length, 0);
    guru.revokeAccessTokens();
    assert.equal(await apiStatus(guru, "a|b"), 401);
    guru.credentials.token = "next";
    assert.equal(await apiStatus(guru, "next"), 200);
  });

  test("pages its transactions with a cursor", async () => {
    const guru = await start(startGuru);
    const get = async (/** @type {string} */ path) => {
      const response = await fetch(guru.baseUrl + path, {
        headers: { Authorization: `Bearer ${guru.credentials.token}` },
      });
      return { status: response.status, body: await response.json() };
    };
    const seen = [];
    let query = `?${PERIOD}&per_page=10`;
    for (;;) {
      const { body } = await get(`/transactions${query}`);
      seen.push(...body.data.map((/** @type {{ id: string }} */ row) => row.id));
      // Guru reports the total on the first page only.
      assert.equal(body.total_rows, body.on_first_page ? 24 : undefined);
      assert.equal(body.previous_cursor === null, body.on_first_page === 1);
      assert.equal(body.per_page, 10);
      if (!body.next_cursor) break;
      query = `?${PERIOD}&per_page=10&cursor=${body.next_cursor}`;
    }
    assert.equal(new Set(seen).size, 24);
    assert.equal((await get(`/transactions/${seen[3]}`)).body.id, seen[3]);
    assert.equal((await get("/transactions/none")).status, 404);
    assert.equal((await get(`/transactions?${PERIOD}&cursor=nonsense`)).status, 422);
    assert.equal((await get("/subscriptions")).body.total_rows, 8);
    assert.equal(guru.apiRequests.length, 7);
    assert.equal(guru.apiRequests[0].path, `/api/v2/transactions?${PERIOD}&per_page=10`);
    assert.equal(guru.apiRequests[4].status, 404);
  });

  test("lists transactions by a filter only, of 180 days at most, with times in Unix seconds", async () => {
    const guru = await start(startGuru);
    const get = async (/** @type {string} */ query) => {
      const response = await fetch(`${guru.baseUrl}/transactions${query}`, {
        headers: { Authorization: `Bearer ${guru.credentials.token}` },
      });
      return { status: response.status, body: await response.json() };
    };
    const period = (/** @type {string} */ from, /** @type {string} */ to) =>
      `?ordered_at_ini=${from}&ordered_at_end=${to}`;
    for (const query of [
      "",
      "?per_page=1",
      "?transaction_status=approved",
      "?ordered_at_ini=2026-10-01",
      period("2026-10-02", "2026-10-01"),
      period("2026-10-01", "soon"),
      period("2026-04-01", "2026-10-01"),
    ]) {
      const { status, body } = await get(query);
      assert.equal(status, 422, query);
      assert.equal(body.message, "The given data was invalid.");
    }
    assert.equal((await get(period("2026-05-05", "2026-11-01"))).status, 200);
    const { body } = await get(`?${PERIOD}&per_page=500`);
    assert.equal(body.per_page, 100);
    const [{ id, dates }] = body.data;
    assert.equal(dates.created_at, Date.parse("2026-10-31T09:00:00-03:00") / 1000);
    const one = await get(`?id=${id}`);
    assert.deepEqual([one.body.total_rows, one.body.data[0].dates], [1, dates]);
    const day = (await get(period("2026-10-30", "2026-10-31"))).body.data;
    assert.deepEqual(
      day.map((/** @type {{ dates: { created_at: number } }} */ row) => row.dates.created_at >= 1793329200),
      day.map(() => true),
    );
    assert.ok(day.length > 0 && day.length < 24);
  });

  test("keeps its limit of 360 calls a minute, and answers no two that are alike at once", async () => {
    const guru = await start(startGuru, { options: { limits: true } });
    const { token } = guru.credentials;
    const first = await callApi(guru, token);
    assert.equal(first.headers.get("x-ratelimit-limit"), "360");
    assert.equal(first.headers.get("x-ratelimit-remaining"), "359");
    guru.arm({ target: "api", kind: "delay", ms: 2000 });
    const held = callApi(guru, token);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const [twin, other] = await Promise.all([callApi(guru, token), callApi(guru, "another")]);
    assert.deepEqual([twin.status, other.status], [429, 401]);
    assert.deepEqual(await twin.json(), { message: "Identical concurrent request avoided." });
    assert.equal((await held).status, 200);
    // Refused duplicates do not count, nor do calls without a token.
    for (let left = 357; left >= 0; left -= 1) {
      const response = await callApi(guru, token);
      assert.equal(response.headers.get("x-ratelimit-remaining"), String(left));
    }
    const over = await callApi(guru, token);
    assert.equal(over.status, 429);
    const wait = Number(over.headers.get("retry-after"));
    assert.ok(wait >= 1 && wait <= 60, String(wait));
    assert.deepEqual(await over.json(), { message: "Too Many Attempts." });
    const reset = await fetch(`${guru.url}/sandbox/limits`, { method: "POST", headers: JSON_TYPE, body: "{}" });
    assert.equal(reset.status, 204);
    assert.equal(await apiStatus(guru, token), 200);
  });
});

// HubSoft and Guru run on Laravel.
test("a provider of Laravel's tells of a dead token only where JSON is asked for first", async () => {
  const guru = await start(startGuru);
  const hubsoft = await start(startHubsoft);
  for (const provider of [guru, hubsoft]) {
    for (const [accept, status] of /** @type {[string, number][]} */ ([
      ["application/json", 401],
      ["application/json, text/plain, */*", 401],
      ["text/html;q=0.9, application/vnd.api+json", 401],
      ["*/*", 302],
      ["text/html, application/json", 302],
      ["application/json;q=0.5, */*", 302],
    ])) {
      const response = await callApi(provider, "dead", { headers: { Accept: accept } });
      assert.equal(response.status, status, accept);
      assert.equal(response.headers.get("location"), status === 302 ? `${provider.url}/login` : null);
    }
  }
});

describe("hubsoft", () => {
  test("answers the password grant as documented", async () => {
    const hubsoft = await start(startHubsoft);
    const response = await json(hubsoft, hubsoftPassword(hubsoft));
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("cache-control"), "no-store");
    const token = await response.json();
    assert.deepEqual(Object.keys(token).sort(), ["access_token", "expires_in", "refresh_token", "token_type"]);
    assert.equal(token.token_type, "Bearer");
    assert.equal(token.expires_in, 2592000);
    assert.match(token.access_token, /^hs_at_[\w-]{43}$/);
    assert.deepEqual(hubsoft.issued, [token.access_token, token.refresh_token]);
    const record = hubsoft.tokenRequests[0];
    assert.equal(record.grant_type, "password");
    assert.equal(record.outcome, "ok");
    assert.equal(JSON.parse(record.body).password, hubsoft.credentials.password);
    assert.equal(await apiStatus(hubsoft, token.access_token), 200);
    assert.equal(await apiStatus(hubsoft, token.refresh_token), 401);
    assert.equal(await apiStatus(hubsoft), 401);
  });

  test("refuses everything but the documented JSON", async () => {
    const hubsoft = await start(startHubsoft);
    const good = hubsoftPassword(hubsoft);
    const text = JSON.stringify(good);
    await refused(await form(hubsoft, good), 400, "invalid_request");
    await refused(await postToken(hubsoft, text, FORM_TYPE), 400, "invalid_request");
    await refused(await postToken(hubsoft, text, { "Content-Type": "text/plain" }), 400, "invalid_request");
    await refused(await postToken(hubsoft, `${text.slice(0, -1)},"password":"x"}`, JSON_TYPE), 400, "invalid_request");
    await refused(
      await postToken(hubsoft, `${text.slice(0, -1)},"pass\\u0077ord":"x"}`, JSON_TYPE),
      400,
      "invalid_request",
    );
    await refused(await json(hubsoft, { ...good, scope: "*" }), 400, "invalid_request");
    await refused(await json(hubsoft, { ...good, client_id: 12 }), 400, "invalid_request");
    await refused(await json(hubsoft, { ...good, client_id: { a: "b" } }), 400, "invalid_request");
    await refused(await json(hubsoft, { ...good, grant_type: "client_credentials" }), 400, "unsupported_grant_type");
    await refused(await json(hubsoft, { ...good, grant_type: "toString" }), 400, "unsupported_grant_type");
    await refused(
      await json(hubsoft, { ...good, grant_type: "refresh_token", refresh_token: "x" }),
      400,
      "invalid_request",
    );
    for (const body of ["", "[]", "null", text.slice(0, -1), Buffer.from([0x7b, 0xff, 0x7d])]) {
      await refused(await postToken(hubsoft, body, JSON_TYPE), 400, "invalid_request");
    }
    for (const name of Object.keys(good)) {
      const { [name]: _, ...rest } = good;
      await refused(await json(hubsoft, rest), 400, "invalid_request");
    }
    await refused(
      await postToken(hubsoft, text, { ...JSON_TYPE, Authorization: "Basic eDp5" }),
      400,
      "invalid_request",
    );
    await refused(
      await fetch(`${hubsoft.tokenUrl}?x=1`, { method: "POST", headers: JSON_TYPE, body: text }),
      400,
      "invalid_request",
    );
    const got = await fetch(tokenUrl(hubsoft));
    assert.equal(got.headers.get("allow"), "POST");
    await refused(got, 405, "invalid_request");
    await refused(await postToken(hubsoft, " ".repeat(70_000), JSON_TYPE), 413, "invalid_request");
    assert.deepEqual(hubsoft.issued, []);
    assert.ok(hubsoft.tokenRequests.every(({ outcome }) => outcome !== "ok"));
  });

  test("refuses wrong credentials", async () => {
    const hubsoft = await start(startHubsoft, { credentials: { password: "another" } });
    const good = hubsoftPassword(hubsoft);
    assert.equal(good.password, "another");
    await refused(await json(hubsoft, { ...good, client_id: "13" }), 401, "invalid_client");
    await refused(await json(hubsoft, { ...good, client_secret: "x" }), 401, "invalid_client");
    await refused(await json(hubsoft, { ...good, username: "x@y.example" }), 400, "invalid_grant");
    await refused(await json(hubsoft, { ...good, password: "x" }), 400, "invalid_grant");
    await refused(await json(hubsoft, hubsoftRefresh(hubsoft, "x")), 400, "invalid_grant");
    assert.deepEqual(
      hubsoft.tokenRequests.map(({ outcome }) => outcome),
      ["invalid_client", "invalid_client", "invalid_grant", "invalid_grant", "invalid_grant"],
    );
  });

  test("rotates refresh tokens and revokes the family on reuse", async () => {
    const hubsoft = await start(startHubsoft);
    const other = await acquire(hubsoft);
    const first = await acquire(hubsoft);
    const second = await (await json(hubsoft, hubsoftRefresh(hubsoft, first.refresh_token))).json();
    assert.notEqual(second.refresh_token, first.refresh_token);
    assert.equal(await apiStatus(hubsoft, first.access_token), 200);
    assert.equal(await apiStatus(hubsoft, second.access_token), 200);
    await refused(await json(hubsoft, hubsoftRefresh(hubsoft, first.refresh_token)), 400, "invalid_grant");
    assert.equal(await apiStatus(hubsoft, first.access_token), 401);
    assert.equal(await apiStatus(hubsoft, second.access_token), 401);
    await refused(await json(hubsoft, hubsoftRefresh(hubsoft, second.refresh_token)), 400, "invalid_grant");
    assert.equal(await apiStatus(hubsoft, other.access_token), 200);
  });

  test("without reuse detection a reuse is refused and the family lives", async () => {
    const hubsoft = await start(startHubsoft, { options: { reuseDetection: false } });
    const first = await acquire(hubsoft);
    const second = await (await json(hubsoft, hubsoftRefresh(hubsoft, first.refresh_token))).json();
    await refused(await json(hubsoft, hubsoftRefresh(hubsoft, first.refresh_token)), 400, "invalid_grant");
    assert.equal(await apiStatus(hubsoft, second.access_token), 200);
    assert.equal((await json(hubsoft, hubsoftRefresh(hubsoft, second.refresh_token))).status, 200);
  });

  test("without rotation a refresh token stays the same", async () => {
    const hubsoft = await start(startHubsoft, { options: { rotation: false } });
    const first = await acquire(hubsoft);
    for (let i = 0; i < 2; i += 1) {
      const next = await (await json(hubsoft, hubsoftRefresh(hubsoft, first.refresh_token))).json();
      assert.equal(next.refresh_token, first.refresh_token);
      assert.notEqual(next.access_token, first.access_token);
    }
  });

  test("can leave out refresh tokens, or end an access token at its refresh", async () => {
    const plain = await start(startHubsoft, { options: { refreshToken: false } });
    assert.equal("refresh_token" in (await acquire(plain)), false);
    const strict = await start(startHubsoft, { options: { revokeOnRefresh: true } });
    const first = await acquire(strict);
    const second = await (await json(strict, hubsoftRefresh(strict, first.refresh_token))).json();
    assert.equal(await apiStatus(strict, first.access_token), 401);
    assert.equal(await apiStatus(strict, second.access_token), 200);
  });

  test("revokes and expires", async () => {
    const hubsoft = await start(startHubsoft, { options: { expiresIn: 1 } });
    const first = await acquire(hubsoft);
    assert.equal(first.expires_in, 1);
    assert.equal(await apiStatus(hubsoft, first.access_token), 200);
    await new Promise((resolve) => setTimeout(resolve, 1050));
    assert.equal(await apiStatus(hubsoft, first.access_token), 401);
    const second = await (await json(hubsoft, hubsoftRefresh(hubsoft, first.refresh_token))).json();
    hubsoft.revokeAccessTokens();
    assert.equal(await apiStatus(hubsoft, second.access_token), 401);
    const third = await (await json(hubsoft, hubsoftRefresh(hubsoft, second.refresh_token))).json();
    hubsoft.revokeEverything();
    assert.equal(await apiStatus(hubsoft, third.access_token), 401);
    await refused(await json(hubsoft, hubsoftRefresh(hubsoft, third.refresh_token)), 400, "invalid_grant");
  });

  test("knows people, each by an account of their own", async () => {
    const hubsoft = await start(startHubsoft);
    assert.equal(hubsoft.people.length, 2);
    const tokens = [];
    for (const person of hubsoft.people) {
      const { client_id, client_secret } = hubsoft.peopleClient;
      const good = { grant_type: "password", client_id, client_secret, ...person };
      const response = await json(hubsoft, good);
      assert.equal(response.status, 200);
      const first = await response.json();
      const refresh = { grant_type: "refresh_token", client_id, client_secret, refresh_token: first.refresh_token };
      // A refresh token belongs to its client, and always to the same person.
      await refused(await json(hubsoft, hubsoftRefresh(hubsoft, first.refresh_token)), 400, "invalid_grant");
      const second = await (await json(hubsoft, refresh)).json();
      tokens.push([second.access_token, person.username]);
      await refused(await json(hubsoft, { ...good, password: `${person.password}x` }), 400, "invalid_grant");
      await refused(await json(hubsoft, { ...good, client_secret: "x" }), 401, "invalid_client");
    }
    const [{ username }, { password }] = hubsoft.people;
    await refused(await json(hubsoft, { ...hubsoftPassword(hubsoft), username, password }), 400, "invalid_grant");
    for (const [token, username] of tokens) {
      const response = await fetch(`${hubsoft.baseUrl}/api/v1/integracao/atendimento`, {
        method: "POST",
        headers: { ...JSON_TYPE, Authorization: `Bearer ${token}` },
        body: JSON.stringify({ id_cliente_servico: 7011, nome: "x", telefone: "x", descricao: "x" }),
      });
      assert.equal((await response.json()).atendimento.usuario_abertura, username);
      assert.equal(hubsoft.apiRequests.at(-1)?.account, username);
    }
  });

  test("takes people of the test's own", async () => {
    const people = [{ username: "eva@provedor.example", password: "another" }];
    const hubsoft = await start(startHubsoft, { people, peopleClient: { client_id: "77" } });
    assert.deepEqual(hubsoft.people, people);
    const { client_id, client_secret } = hubsoft.peopleClient;
    assert.equal((await json(hubsoft, { grant_type: "password", client_id, client_secret, ...people[0] })).status, 200);
    assert.equal(client_id, "77");
  });

  test("creates a ticket", async () => {
    const hubsoft = await start(startHubsoft);
    const { access_token: token } = await acquire(hubsoft);
    /** @param {string} path @param {{ method?: string, body?: string, headers?: Record<string, string> }} [init] */
    const call = (path, init = {}) =>
      fetch(hubsoft.baseUrl + path, {
        ...init,
        headers: { Authorization: `Bearer ${token}`, ...init.headers },
      });
    const { clientes } = await (await call("/api/v1/integracao/cliente?busca=codigo_cliente&termo_busca=502")).json();
    assert.equal(clientes.length, 1);
    const plans = await (await call(`/api/v1/integracao/cliente/${clientes[0].id_cliente}/servicos`)).json();
    assert.match(plans.servicos[0].nome, /Mega|Giga/);
    const ticket = JSON.stringify({
      id_cliente_servico: plans.servicos[0].id_cliente_servico,
      nome: clientes[0].nome_razaosocial,
      telefone: "(00) 90000-0000",
      descricao: "Sem conexão",
    });
    /** @param {string} body */
    const post = (body, headers = JSON_TYPE) =>
      call("/api/v1/integracao/atendimento", { method: "POST", headers, body });
    const created = await (await post(ticket)).json();
    assert.equal(created.status, "success");
    assert.equal(created.atendimento.id_atendimento, 91001);
    assert.equal(created.atendimento.usuario_abertura, "Integração");
    // HubSoft answers a refused operation with the status 200, too.
    for (const body of ["{}", ticket.replace(/"id_cliente_servico":\d+/, '"id_cliente_servico":1')]) {
      const refusal = await post(body);
      assert.equal(refusal.status, 200);
      assert.equal((await refusal.json()).status, "error");
    }
    assert.equal((await post(ticket, { "Content-Type": "text/plain" })).status, 400);
    assert.equal((await call("/api/v1/integracao/cliente", { method: "DELETE" })).status, 405);
    assert.equal((await call("/api/v1/none")).status, 404);
    assert.equal(hubsoft.apiRequests[2].body, ticket);
  });

  test("pages its customers, and has a GET that acts", async () => {
    const hubsoft = await start(startHubsoft);
    const { access_token: token } = await acquire(hubsoft);
    const get = async (/** @type {string} */ path) => {
      const headers = { Authorization: `Bearer ${token}` };
      const response = await fetch(`${hubsoft.baseUrl}/api/v1/integracao/cliente${path}`, { headers });
      assert.equal(response.status, 200);
      return response.json();
    };
    const seen = [];
    for (let page = 0, last = 0; page <= last; page += 1) {
      const { status, clientes, paginacao } = await get(`/todos?pagina=${page}&itens_por_pagina=5`);
      assert.equal(status, "success");
      assert.equal(paginacao.pagina_atual, page);
      last = paginacao.ultima_pagina;
      assert.ok(clientes.length <= 5 && last > 0);
      seen.push(...clientes.map((/** @type {{ id_cliente: number }} */ client) => client.id_cliente));
      assert.equal(page === last, seen.length === paginacao.total_registros);
    }
    assert.equal(new Set(seen).size, seen.length);
    for (const query of ["", "?pagina=0", "?pagina=-1&itens_por_pagina=5", "?pagina=0&itens_por_pagina=501"]) {
      assert.equal((await get(`/todos${query}`)).status, "error", query);
    }
    assert.equal((await get("?busca=none&termo_busca=x")).status, "error");
    assert.equal((await get("/solicitar_desconexao/1")).status, "error");
    assert.deepEqual(hubsoft.disconnected, []);
    assert.equal((await get("/solicitar_desconexao/7011")).status, "success");
    assert.deepEqual(hubsoft.disconnected, [7011]);
  });
});

describe("hubsoft's invoices", () => {
  /** @type {Provider} */
  let hubsoft;
  /** @param {string} query */
  const search = async (query) => {
    const { access_token: token } = await acquire(hubsoft);
    const response = await fetch(`${hubsoft.baseUrl}/api/v1/integracao/cliente/financeiro?${query}`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    // HubSoft answers a refused operation with the status 200, too.
    assert.equal(response.status, 200);
    return response.json();
  };
  beforeEach(async () => {
    hubsoft = await start(startHubsoft);
  });

  test("are those of whomever the search names", async () => {
    const seen = [];
    for (const { cpf } of PEOPLE) {
      const { status, faturas } = await search(`busca=cpf_cnpj&termo_busca=${cpf}&apenas_pendente=nao`);
      assert.equal(status, "success");
      assert.equal(faturas.length, 3);
      assert.ok(!JSON.stringify(faturas).includes(cpf));
      seen.push(...faturas.map((/** @type {{ id_fatura: number }} */ one) => one.id_fatura));
    }
    assert.equal(new Set(seen).size, 6);
    const { faturas } = await search("busca=codigo_cliente&termo_busca=503&apenas_pendente=nao");
    assert.deepEqual(
      faturas.map((/** @type {{ id_fatura: number }} */ one) => one.id_fatura),
      seen.slice(3),
    );
    assert.deepEqual((await search("busca=cpf_cnpj&termo_busca=00000000000")).faturas, []);
  });

  test("are without the paid ones unless all are asked for, and as many as asked for", async () => {
    const own = `busca=cpf_cnpj&termo_busca=${PEOPLE[0].cpf}`;
    for (const [query, count] of /** @type {[string, number][]} */ ([
      [own, 2],
      [`${own}&apenas_pendente=sim`, 2],
      [`${own}&apenas_pendente=nao`, 3],
      [`${own}&apenas_pendente=nao&limit=1`, 1],
    ])) {
      assert.equal((await search(query)).faturas.length, count, query);
    }
  });

  test("need a search of a known kind", async () => {
    for (const query of [
      "",
      "busca=cpf_cnpj",
      "busca=cpf_cnpj&termo_busca=",
      "termo_busca=00053106000",
      "busca=nome&termo_busca=x",
      "busca=toString&termo_busca=x",
      "busca=cpf_cnpj&termo_busca=x&limit=0",
      "busca=cpf_cnpj&termo_busca=x&limit=51",
      "busca=cpf_cnpj&termo_busca=x&apenas_pendente=talvez",
    ]) {
      assert.equal((await search(query)).status, "error", query);
    }
  });
});

describe("v8", () => {
  test("answers the password grant as documented", async () => {
    const v8 = await start(startV8);
    const token = await acquire(v8);
    assert.equal(token.token_type, "Bearer");
    assert.equal(token.expires_in, 86400);
    assert.equal(token.scope, "offline_access");
    assert.match(token.access_token, /^v8_at_/);
    assert.match(token.refresh_token, /^v8_rt_/);
    assert.equal(await apiStatus(v8, token.access_token), 200);
    const next = await (await form(v8, v8Refresh(v8, token.refresh_token))).json();
    assert.equal(next.scope, "offline_access");
    assert.notEqual(next.refresh_token, token.refresh_token);
    await refused(await form(v8, v8Refresh(v8, token.refresh_token)), 400, "invalid_grant");
    assert.equal(await apiStatus(v8, next.access_token), 401);
  });

  test("refuses everything but the documented form", async () => {
    const v8 = await start(startV8);
    const good = v8Password(v8);
    const text = new URLSearchParams(good).toString();
    await refused(await json(v8, good), 400, "invalid_request");
    await refused(await postToken(v8, JSON.stringify(good), FORM_TYPE), 400, "invalid_request");
    await refused(await postToken(v8, `${text}&scope=offline_access`, FORM_TYPE), 400, "invalid_request");
    await refused(await form(v8, { ...good, client_secret: "x" }), 400, "invalid_request");
    await refused(await form(v8, { ...good, client_secret: "" }), 400, "invalid_request");
    await refused(await form(v8, { ...v8Refresh(v8, "x"), audience: "x" }), 400, "invalid_request");
    await refused(await postToken(v8, `${text}&x=%zz`, FORM_TYPE), 400, "invalid_request");
    await refused(await postToken(v8, `${text}&x=%ff`, FORM_TYPE), 400, "invalid_request");
    await refused(await postToken(v8, `${text}&`, FORM_TYPE), 400, "invalid_request");
    for (const name of Object.keys(good)) {
      const { [name]: _, ...rest } = good;
      await refused(await form(v8, rest), 400, "invalid_request");
    }
    assert.equal(
      (await postToken(v8, text, { "Content-Type": "application/x-www-form-urlencoded;charset=UTF-8" })).status,
      200,
    );
  });

  test("refuses wrong credentials", async () => {
    const v8 = await start(startV8);
    const good = v8Password(v8);
    await refused(await form(v8, { ...good, client_id: "x" }), 401, "invalid_client");
    await refused(await form(v8, { ...good, username: "x" }), 400, "invalid_grant");
    await refused(await form(v8, { ...good, password: "x" }), 400, "invalid_grant");
    await refused(await form(v8, { ...good, audience: "x" }), 400, "unauthorized_client");
    await refused(await form(v8, { ...good, scope: "openid" }), 400, "invalid_scope");
    await refused(await form(v8, v8Refresh(v8, "x")), 400, "invalid_grant");
  });

  test("simulates a loan", async () => {
    const v8 = await start(startV8);
    const { access_token: token } = await acquire(v8);
    const post = (/** @type {Record<string, unknown>} */ body) =>
      fetch(`${v8.baseUrl}/private-consignment/simulation`, {
        method: "POST",
        headers: { ...JSON_TYPE, Authorization: `Bearer ${token}` },
        body: JSON.stringify(body),
      });
    const asked = {
      consult_id: "con_1",
      config_id: "cfg_padrao",
      installment_face_value: 300,
      number_of_installments: 24,
    };
    const created = await post(asked);
    assert.equal(created.status, 201);
    const { id, status, disbursed_amount } = await created.json();
    assert.deepEqual([status, disbursed_amount], ["PENDING", undefined]);
    const look = async () =>
      (
        await fetch(`${v8.baseUrl}/private-consignment/simulation/${id}`, {
          headers: { Authorization: `Bearer ${token}` },
        })
      ).json();
    assert.equal((await look()).status, "PENDING");
    const { status: done, disbursed_amount: amount } = await look();
    assert.deepEqual([done, amount], ["SIMULATED", 4722.79]);
    const refusal = await post({ ...asked, number_of_installments: 7 });
    assert.equal(refusal.status, 422);
    assert.deepEqual(Object.keys(await refusal.json()), ["type", "title", "detail"]);
    const { data, pages } = await (await callApi(v8, token)).json();
    assert.equal(pages.total, 11);
    assert.equal(data[0].consult_id, "con_1");
  });

  test("keeps its limit of 250 calls an hour for each token, and blocks an account that logs in too often", async () => {
    const v8 = await start(startV8, { options: { limits: true } });
    const { access_token: token, refresh_token } = await acquire(v8);
    for (let i = 0; i < 250; i += 1) assert.equal(await apiStatus(v8, token), 200);
    const over = await callApi(v8, token);
    assert.equal(over.status, 429);
    assert.ok(Number(over.headers.get("retry-after")) > 3000);
    assert.deepEqual(Object.keys(await over.json()), ["type", "title", "detail"]);
    const next = await (await form(v8, v8Refresh(v8, refresh_token))).json();
    assert.equal(await apiStatus(v8, next.access_token), 200);
    for (let i = 0; i < 9; i += 1) await acquire(v8);
    const blocked = await form(v8, v8Password(v8));
    const wait = Number(blocked.headers.get("retry-after"));
    assert.ok(wait > 500 && wait <= 600, String(wait));
    await refused(blocked, 429, "too_many_attempts");
    assert.equal((await form(v8, v8Refresh(v8, next.refresh_token))).status, 200);
    v8.resetLimits();
    await acquire(v8);
  });
});

describe("faults", () => {
  const rejects = (/** @type {Promise<unknown>} */ promise) => assert.rejects(promise, TypeError);

  test("status, for as many times as asked", async () => {
    const hubsoft = await start(startHubsoft);
    hubsoft.arm({
      target: "token",
      times: 2,
      kind: "status",
      status: 429,
      headers: { "Retry-After": "7" },
      body: { error: "slow_down" },
    });
    for (let i = 0; i < 2; i += 1) {
      const response = await json(hubsoft, hubsoftPassword(hubsoft));
      assert.equal(response.status, 429);
      assert.equal(response.headers.get("retry-after"), "7");
      assert.deepEqual(await response.json(), { error: "slow_down" });
    }
    await acquire(hubsoft);
    assert.deepEqual(
      hubsoft.tokenRequests.map(({ outcome }) => outcome),
      ["status", "status", "ok"],
    );
  });

  test("status on the API, redirects included", async () => {
    const guru = await start(startGuru);
    guru.arm({ target: "api", kind: "status", status: 302, headers: { Location: "http://127.0.0.1:1/" } });
    const response = await callApi(guru, guru.credentials.token, { redirect: "manual" });
    assert.equal(response.status, 302);
    assert.equal(guru.apiRequests[0].status, 302);
    assert.equal(await apiStatus(guru, guru.credentials.token), 200);
  });

  test("delay", async () => {
    const hubsoft = await start(startHubsoft);
    hubsoft.arm({ target: "token", kind: "delay", ms: 120 });
    const before = Date.now();
    await acquire(hubsoft);
    assert.ok(Date.now() - before >= 115);
    assert.equal(hubsoft.tokenRequests[0].outcome, "ok");
    assert.equal(hubsoft.tokenRequests[0].fault, "delay");
  });

  test("hang, until close", async () => {
    const hubsoft = await startHubsoft();
    hubsoft.arm({ target: "token", kind: "hang" });
    const pending = json(hubsoft, hubsoftPassword(hubsoft));
    const winner = await Promise.race([
      pending.then(
        () => "answered",
        () => "failed",
      ),
      new Promise((resolve) => setTimeout(resolve, 100, "waiting")),
    ]);
    assert.equal(winner, "waiting");
    assert.equal(hubsoft.tokenRequests[0].outcome, "hang");
    assert.equal(hubsoft.tokenRequests[0].grant_type, "password");
    await Promise.all([rejects(pending), hubsoft.close()]);
  });

  test("close ends a delay at once", async () => {
    const hubsoft = await startHubsoft();
    hubsoft.arm({ target: "token", kind: "delay", ms: 60_000 });
    const pending = rejects(json(hubsoft, hubsoftPassword(hubsoft)));
    await new Promise((resolve) => setTimeout(resolve, 50));
    await Promise.all([pending, hubsoft.close()]);
  });

  test("reset comes before any effect, reset-after when it has happened", async () => {
    const hubsoft = await start(startHubsoft, { options: { reuseDetection: false } });
    const first = await acquire(hubsoft);
    const refresh = () => json(hubsoft, hubsoftRefresh(hubsoft, first.refresh_token));
    hubsoft.arm({ target: "token", kind: "reset" });
    await rejects(refresh());
    assert.equal(hubsoft.issued.length, 2);
    hubsoft.arm({ target: "token", kind: "reset-after" });
    await rejects(refresh());
    assert.equal(hubsoft.issued.length, 4);
    await refused(await refresh(), 400, "invalid_grant");
    assert.deepEqual(
      hubsoft.tokenRequests.map(({ outcome }) => outcome),
      ["ok", "reset", "reset-after", "invalid_grant"],
    );
  });

  test("reset-after on the API keeps the effect", async () => {
    const guru = await start(startGuru);
    const post = () =>
      fetch(`${guru.baseUrl}/contacts`, {
        method: "POST",
        headers: { ...JSON_TYPE, Authorization: `Bearer ${guru.credentials.token}` },
        body: JSON.stringify({ name: "Nina", email: "nina@correio.example" }),
      });
    guru.arm({ target: "api", kind: "reset-after" });
    await rejects(post());
    assert.equal((await (await post()).json()).id, "ct_000002");
  });

  test("malformed", async () => {
    const v8 = await start(startV8);
    v8.arm({ target: "token", kind: "malformed" });
    const response = await form(v8, v8Password(v8));
    assert.equal(response.status, 200);
    await assert.rejects(response.json(), SyntaxError);
    assert.deepEqual(v8.issued, []);
    v8.arm({ target: "api", kind: "malformed" });
    await assert.rejects((await callApi(v8)).json(), SyntaxError);
  });

  test("members are set and removed, and what the client receives is what counts", async () => {
    const v8 = await start(startV8);
    v8.arm({
      target: "token",
      kind: "members",
      set: { scope: "", expires_in: "3600", access_token: "x".repeat(8192) },
    });
    const first = await acquire(v8);
    assert.equal(first.expires_in, "3600");
    assert.equal(first.scope, "");
    assert.equal(await apiStatus(v8, first.access_token), 200);
    assert.ok(v8.issued.includes(first.access_token));
    v8.arm({ target: "token", times: 2, kind: "members", remove: ["refresh_token", "expires_in"] });
    for (let i = 0; i < 2; i += 1) {
      const response = await form(v8, v8Refresh(v8, first.refresh_token));
      assert.equal(response.status, 200);
      const next = await response.json();
      assert.deepEqual(Object.keys(next).sort(), ["access_token", "scope", "token_type"]);
      assert.equal(await apiStatus(v8, next.access_token), 200);
    }
    assert.deepEqual(
      v8.tokenRequests.map(({ outcome }) => outcome),
      ["members", "members", "members"],
    );
  });

  test("unauthorized, disarm, and what cannot be armed", async () => {
    const guru = await start(startGuru);
    guru.arm({ target: "api", kind: "unauthorized", times: Infinity });
    assert.equal(await apiStatus(guru, guru.credentials.token), 401);
    assert.equal(await apiStatus(guru, guru.credentials.token), 401);
    guru.disarm();
    assert.equal(await apiStatus(guru, guru.credentials.token), 200);
    const hubsoft = await start(startHubsoft);
    /** @type {(Partial<Fault> | undefined)[]} */
    const faults = [
      undefined,
      { kind: "reset" },
      { target: "api", kind: "members" },
      { target: "token", kind: "unauthorized" },
      { target: "token", kind: "delay" },
      { target: "token", kind: "status" },
      { target: "token", kind: "reset", times: 0 },
    ];
    for (const fault of faults) assert.throws(() => hubsoft.arm(/** @type {Fault} */ (fault)), TypeError);
    assert.throws(() => guru.arm({ target: "token", kind: "reset" }), TypeError);
  });

  test("faults are used in the order they were armed, each for its target", async () => {
    const hubsoft = await start(startHubsoft);
    hubsoft.arm({ target: "api", kind: "status", status: 500 });
    hubsoft.arm({ target: "token", kind: "status", status: 503 });
    hubsoft.arm({ target: "token", kind: "status", status: 502 });
    assert.equal((await json(hubsoft, {})).status, 503);
    assert.equal((await json(hubsoft, {})).status, 502);
    const { access_token: token } = await acquire(hubsoft);
    assert.equal(await apiStatus(hubsoft, token), 500);
    assert.equal(await apiStatus(hubsoft, token), 200);
  });
});

test("counts token requests in flight at once", async () => {
  const hubsoft = await start(startHubsoft);
  await acquire(hubsoft);
  await acquire(hubsoft);
  assert.equal(hubsoft.maxConcurrentTokenRequests, 1);
  hubsoft.arm({ target: "token", kind: "delay", ms: 100, times: 5 });
  await Promise.all(Array.from({ length: 5 }, () => acquire(hubsoft)));
  assert.equal(hubsoft.maxConcurrentTokenRequests, 5);
});

test("listens on the loopback address only", async () => {
  const guru = await start(startGuru);
  const port = Number(new URL(guru.url).port);
  const connects = (/** @type {string} */ host) =>
    new Promise((resolve) => {
      const socket = connect({ host, port });
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("close", () => socket.destroy());
      socket.setTimeout(1000, () => socket.destroy() && resolve(false));
    });
  assert.equal(await connects("127.0.0.1"), true);
  const others = Object.values(networkInterfaces())
    .flat()
    .filter((one) => one !== undefined)
    .filter((one) => !one.internal && !one.scopeid);
  for (const { address } of others) assert.equal(await connects(address), false, address);
});

describe("the sandbox as a whole", () => {
  const free = { guru: 0, hubsoft: 0, v8: 0, agenda: 0, issuer: 0, frontend: 0, example: 0 };
  /** @type {Awaited<ReturnType<typeof startSandbox>>} */
  let sandbox;
  after(() => sandbox?.close());

  test("takes credentials from the environment and logs no secret", async () => {
    /** @type {LogLine[]} */
    const lines = [];
    sandbox = await startSandbox(
      {
        GURU_TOKEN: "from-env",
        V8_AUDIENCE: "https://other.example",
        HUBSOFT_PASSWORD: "",
        HUBSOFT_PEOPLE_CLIENT_ID: "people",
        AGENDA_CLIENT_SECRET: "of-people",
        AGENDA_SHARED_CLIENT_ID: "shared",
      },
      { ports: free, log: (line) => lines.push(line) },
    );
    assert.equal(sandbox.guru.credentials.token, "from-env");
    assert.equal(sandbox.v8.credentials.audience, "https://other.example");
    assert.notEqual(sandbox.hubsoft.credentials.password, "");
    assert.equal(sandbox.hubsoft.peopleClient.client_id, "people");
    const [own, shared] = sandbox.agenda.clients;
    assert.deepEqual([own.client_secret, shared.client_id], ["of-people", "shared"]);
    await fetch(`${sandbox.guru.baseUrl}/transactions?id=none&access_token=from-env`, {
      headers: { Authorization: "Bearer from-env" },
    });
    await acquire(sandbox.hubsoft);
    assert.deepEqual(lines, [
      { provider: "guru", method: "GET", path: "/api/v2/transactions", status: 200 },
      { provider: "hubsoft", method: "POST", path: "/oauth/token", status: 200 },
    ]);
  });

  test("serves the page with a strict policy, and nothing else", async () => {
    const { url } = sandbox.frontend;
    const page = await fetch(url);
    assert.equal(page.status, 200);
    assert.match(
      page.headers.get("content-security-policy") ?? "",
      /default-src 'none'.*script-src 'self'.*base-uri 'none'/,
    );
    assert.equal(page.headers.get("cross-origin-opener-policy"), "same-origin");
    const html = await page.text();
    assert.match(html, /<title data-word="title">Porteiro sandbox<\/title>/);
    assert.doesNotMatch(html, /<style|style=|<script(?![^>]*src=)|\son\w+=/i);
    const scripts = ["agenda", "calls", "dom", "page", "people", "views", "webhooks"].map((name) => `/${name}.js`);
    for (const path of ["/page.css", ...scripts, "/icon.svg"]) {
      assert.equal((await fetch(url + path)).status, 200, path);
    }
    for (const path of ["/_headers", "/..%2fmain.mjs", "/none"]) {
      assert.equal((await fetch(url + path)).status, 404, path);
    }
    assert.equal((await fetch(url, { method: "POST" })).status, 405);
  });

  test("says which port is in use, and leaves nothing open", async () => {
    const taken = Number(new URL(sandbox.v8.url).port);
    const guru = await startGuru();
    const port = Number(new URL(guru.url).port);
    await guru.close();
    await assert.rejects(
      startSandbox({}, { ports: { ...free, guru: port, v8: taken } }),
      new Error(`port ${taken} (v8) is in use`),
    );
    await rejectsToConnect(`http://127.0.0.1:${port}/`);
  });
});

/** @param {string} url */
const rejectsToConnect = (url) => assert.rejects(fetch(url), TypeError);
