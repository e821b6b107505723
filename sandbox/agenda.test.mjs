// The sandbox's OpenID Connect provider: each of its refusals, and what it gives.

/** @import { Agenda, AgendaSettings } from "./types.js" */

import assert from "node:assert/strict";
import { createHash, createPublicKey, randomBytes, verify } from "node:crypto";
import { createServer } from "node:http";
import { afterEach, describe, test } from "node:test";
import { closeServer, listen, portOf, readBody } from "./provider.mjs";
import { startAgenda } from "./providers/agenda.mjs";

/** @type {{ close(): Promise<void> }[]} */
const running = [];

/** @param {AgendaSettings} [settings] */
async function start(settings) {
  const agenda = await startAgenda(settings);
  running.push(agenda);
  return agenda;
}

afterEach(() => Promise.all(running.splice(0).map((one) => one.close())));

const SCOPE = "openid profile email offline_access appointments";
const FORM_TYPE = { "Content-Type": "application/x-www-form-urlencoded" };

/** @typedef {Record<string, string | undefined>} Fields */

/** The parameters with these changes; undefined leaves one out. @param {Fields} all */
const search = (all) =>
  new URLSearchParams(
    Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  ).toString();

/** A browser: it keeps the cookie, follows nothing, and prefers a language. */
class Browser {
  /** @type {string | undefined} */
  cookie;

  /** @param {string} [language] */
  constructor(language = "en") {
    this.language = language;
  }

  /** @param {string} address @param {RequestInit} [init] */
  async open(address, init = {}) {
    const response = await fetch(address, {
      redirect: "manual",
      ...init,
      headers: {
        "Accept-Language": this.language,
        ...(this.cookie !== undefined && { Cookie: this.cookie }),
        ...init.headers,
      },
    });
    const set = response.headers.get("set-cookie");
    if (set) this.cookie = set.split(";", 1)[0];
    return response;
  }

  /** @param {string} address @param {Fields} form @param {Record<string, string>} [headers] */
  post(address, form, headers = {}) {
    return this.open(address, { method: "POST", headers: { ...FORM_TYPE, ...headers }, body: search(form) });
  }
}

/** A verifier with its challenge (RFC 7636). */
function pkce() {
  const verifier = randomBytes(32).toString("base64url");
  return { verifier, challenge: createHash("sha256").update(verifier).digest("base64url") };
}

/** @param {Agenda} agenda @param {Fields} [changes] */
function request(agenda, changes = {}) {
  const { verifier, challenge } = pkce();
  const [client] = agenda.clients;
  const parameters = {
    response_type: "code",
    client_id: client.client_id,
    redirect_uri: client.redirect_uris[0],
    scope: SCOPE,
    state: "the-state",
    nonce: "the-nonce",
    code_challenge: challenge,
    code_challenge_method: "S256",
    ...changes,
  };
  return { verifier, parameters, address: `${agenda.url}/authorize?${search(parameters)}` };
}

/** @param {Response} response */
function locationOf(response) {
  assert.equal(response.status, 303);
  assert.equal(response.headers.get("cache-control"), "no-store");
  return new URL(response.headers.get("location") ?? "");
}

/** The id of the request that the page's form is for. @param {string} html */
const pending = (html) => /name="request" value="([^"]+)"/.exec(html)?.[1] ?? "";

/** @param {Agenda} agenda @param {Fields} [changes] @param {{ sub?: string, browser?: Browser }} [who] */
async function consent(agenda, changes, { sub = "ana", browser = new Browser() } = {}) {
  const { verifier, address, parameters } = request(agenda, changes);
  const page = await browser.open(address);
  assert.equal(page.status, 200);
  const form = { request: pending(await page.text()), sub, answer: "allow" };
  const { searchParams } = locationOf(await browser.post(`${agenda.url}/authorize`, form));
  const code = searchParams.get("code");
  assert.ok(code);
  return { code, verifier, browser, redirectUri: String(parameters.redirect_uri), form };
}

/** @param {Agenda} agenda @param {Fields} form */
const post = (agenda, form, path = "/token") =>
  fetch(agenda.url + path, { method: "POST", headers: FORM_TYPE, body: search(form) });

/** @param {Agenda} agenda @param {Awaited<ReturnType<typeof consent>>} given @param {Fields} [changes] */
const exchange = (agenda, { code, verifier, redirectUri }, changes = {}) =>
  post(agenda, {
    grant_type: "authorization_code",
    client_id: agenda.clients[0].client_id,
    client_secret: agenda.clients[0].client_secret,
    code,
    redirect_uri: redirectUri,
    code_verifier: verifier,
    ...changes,
  });

/** @param {Agenda} agenda @param {string} token @param {Fields} [changes] */
const refresh = (agenda, token, changes = {}) =>
  post(agenda, {
    grant_type: "refresh_token",
    client_id: agenda.clients[0].client_id,
    client_secret: agenda.clients[0].client_secret,
    refresh_token: token,
    ...changes,
  });

/** @param {Agenda} agenda @param {Fields} [changes] @param {Parameters<typeof consent>[2]} [who] */
async function granted(agenda, changes, who) {
  const given = await consent(agenda, changes, who);
  const response = await exchange(agenda, given);
  assert.equal(response.status, 200);
  /** @type {{ access_token: string, refresh_token: string, id_token: string, scope: string, token_type: string, expires_in: number }} */
  const answer = await response.json();
  return { ...given, answer };
}

/** @param {Agenda} agenda @param {string} [token] */
const appointments = (agenda, token) =>
  fetch(`${agenda.url}/appointments`, { headers: token === undefined ? {} : { Authorization: `Bearer ${token}` } });

/** @param {Response} response @param {number} status @param {string} error */
async function refused(response, status, error) {
  assert.equal(response.status, status);
  assert.equal(response.headers.get("cache-control"), "no-store");
  assert.equal((await response.json()).error, error);
}

/** @param {Response} response @param {RegExp} reason */
async function refusedOnPage(response, reason) {
  assert.equal(response.status, 400);
  assert.equal(response.headers.get("location"), null);
  assert.match(await response.text(), reason);
}

/** The claims of a token that one of the published keys signed. @param {Agenda} agenda @param {string} token */
async function claimsOf(agenda, token, typ = "JWT") {
  const { jwks_uri: address } = await (await fetch(`${agenda.url}/.well-known/openid-configuration`)).json();
  const { keys } = await (await fetch(address)).json();
  const [head, payload, signature] = token.split(".");
  const parse = (/** @type {string} */ part) => JSON.parse(Buffer.from(part, "base64url").toString());
  const { alg, kid, typ: type } = parse(head);
  assert.deepEqual([alg, type], ["RS256", typ]);
  const jwk = keys.find((/** @type {{ kid: string }} */ one) => one.kid === kid);
  assert.equal(jwk.d, undefined);
  const key = createPublicKey({ key: jwk, format: "jwk" });
  assert.ok(verify("sha256", Buffer.from(`${head}.${payload}`), key, Buffer.from(signature, "base64url")));
  return parse(payload);
}

describe("the agenda's metadata", () => {
  test("names its addresses and what it can do", async () => {
    const agenda = await start();
    const metadata = await (await fetch(`${agenda.url}/.well-known/openid-configuration`)).json();
    assert.equal(metadata.issuer, agenda.url);
    for (const name of ["authorization", "token", "revocation", "end_session"])
      assert.ok(metadata[`${name}_endpoint`].startsWith(`${agenda.url}/`), name);
    assert.equal(metadata.authorization_response_iss_parameter_supported, true);
    assert.deepEqual(metadata.code_challenge_methods_supported, ["S256"]);
    assert.equal((await fetch(`${agenda.url}/keys`, { method: "POST" })).status, 405);
  });
});

describe("the agenda's authorization endpoint", () => {
  test("asks the person, in the language that the browser prefers", async () => {
    const agenda = await start();
    for (const [language, lang, text] of [
      ["pt-BR,pt;q=0.9,en;q=0.8", "pt-BR", "Porteiro pede acesso"],
      ["en-GB,en;q=0.9,pt;q=0.5", "en", "Porteiro asks for access"],
      ["en;q=0.1,pt;q=0.2", "pt-BR", "Permitir"],
      ["fr", "en", "Allow"],
    ]) {
      const page = await new Browser(language).open(request(agenda).address);
      const html = await page.text();
      assert.ok(html.includes(`<html lang="${lang}">`), language);
      assert.ok(html.includes(text), language);
      assert.equal(page.headers.get("content-language"), lang);
      assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'.*frame-ancestors 'none'/);
      assert.match(page.headers.get("set-cookie") ?? "", /; HttpOnly; SameSite=Lax$/);
      for (const { name, email } of agenda.people) assert.ok(html.includes(name) && html.includes(email));
      assert.doesNotMatch(html, /<style|style=|<script/i);
    }
    assert.equal((await fetch(`${agenda.url}/agenda.css`)).status, 200);
  });

  test("takes a posted request as well", async () => {
    const agenda = await start();
    const { parameters } = request(agenda);
    const page = await new Browser().post(`${agenda.url}/authorize`, parameters);
    assert.equal(page.status, 200);
    assert.ok(pending(await page.text()));
  });

  test("answers with code, state and iss", async () => {
    const agenda = await start();
    const browser = new Browser();
    const { address, parameters } = request(agenda);
    const form = { request: pending(await (await browser.open(address)).text()), sub: "bruno", answer: "allow" };
    const location = locationOf(await browser.post(`${agenda.url}/authorize`, form));
    assert.equal(location.origin + location.pathname, parameters.redirect_uri);
    assert.deepEqual([...location.searchParams.keys()], ["code", "state", "iss"]);
    assert.equal(location.searchParams.get("state"), "the-state");
    assert.equal(location.searchParams.get("iss"), agenda.url);
    // A request is answered once.
    await refusedOnPage(await browser.post(`${agenda.url}/authorize`, form), /unknown, late or of another browser/);
    // The next time, the account is chosen already; a hint counts more.
    assert.match(await (await browser.open(address)).text(), /value="bruno" required checked/);
    const hinted = request(agenda, { login_hint: agenda.people[0].email }).address;
    assert.match(await (await browser.open(hinted)).text(), /value="ana" required checked/);
  });

  test("tells the client what the person denied", async () => {
    const agenda = await start();
    const browser = new Browser();
    const form = { request: pending(await (await browser.open(request(agenda).address)).text()), answer: "deny" };
    const { searchParams } = locationOf(await browser.post(`${agenda.url}/authorize`, form));
    assert.equal(searchParams.get("error"), "access_denied");
    assert.equal(searchParams.get("state"), "the-state");
    assert.equal(searchParams.get("iss"), agenda.url);
    assert.equal(searchParams.get("code"), null);
  });

  test("sends nobody to an address that is not the client's", async () => {
    const agenda = await start();
    const [client, shared] = agenda.clients;
    const [own] = client.redirect_uris;
    for (const redirect_uri of [
      undefined,
      "",
      `${own}/`,
      `${own}?x=1`,
      own.toUpperCase(),
      own.replace("localhost", "127.0.0.1"),
      own.replace("http:", "https:"),
      "https://elsewhere.example/",
      shared.redirect_uris[0],
    ]) {
      await refusedOnPage(
        await fetch(request(agenda, { redirect_uri }).address, { redirect: "manual" }),
        /redirect_uri/,
      );
    }
    for (const client_id of [undefined, "", "nobody", shared.client_id.toUpperCase()])
      await refusedOnPage(await fetch(request(agenda, { client_id }).address, { redirect: "manual" }), /client_id/);
    for (const name of ["client_id", "redirect_uri"]) {
      const { address, parameters } = request(agenda);
      const twice = `${address}&${search({ [name]: /** @type {Fields} */ (parameters)[name] })}`;
      await refusedOnPage(await fetch(twice, { redirect: "manual" }), new RegExp(name));
    }
    const { parameters } = request(agenda);
    const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(parameters) };
    await refusedOnPage(await fetch(`${agenda.url}/authorize`, json), /content type/);
  });

  for (const [what, changes, error] of /** @type {[string, Fields, string][]} */ ([
    ["no response type", { response_type: undefined }, "invalid_request"],
    ["another response type", { response_type: "token" }, "unsupported_response_type"],
    ["two response types", { response_type: "code id_token" }, "unsupported_response_type"],
    ["another response mode", { response_mode: "fragment" }, "invalid_request"],
    ["no scope", { scope: undefined }, "invalid_scope"],
    ["an unknown scope", { scope: "openid payments" }, "invalid_scope"],
    ["no challenge", { code_challenge: undefined }, "invalid_request"],
    ["a challenge too short", { code_challenge: "abc" }, "invalid_request"],
    ["no challenge method", { code_challenge_method: undefined }, "invalid_request"],
    ["the method plain", { code_challenge_method: "plain" }, "invalid_request"],
    ["a request object", { request: "e30.e30." }, "request_not_supported"],
    ["a request object elsewhere", { request_uri: "https://x.example" }, "request_uri_not_supported"],
    ["an unknown prompt", { prompt: "create" }, "invalid_request"],
    ["no prompt, and nobody there", { prompt: "none" }, "login_required"],
    ["prompt none among others", { prompt: "none login" }, "invalid_request"],
  ])) {
    test(`refuses ${what}`, async () => {
      const agenda = await start();
      const { searchParams } = locationOf(await new Browser().open(request(agenda, changes).address));
      assert.equal(searchParams.get("error"), error);
      assert.equal(searchParams.get("state"), "the-state");
      assert.equal(searchParams.get("iss"), agenda.url);
    });
  }

  test("refuses a repeated parameter, and repeats no state", async () => {
    const agenda = await start();
    for (const name of ["scope", "state", "nonce", "unknown"]) {
      const twice = `${request(agenda, { unknown: "x" }).address}&${name}=other`;
      const { searchParams } = locationOf(await new Browser().open(twice));
      assert.equal(searchParams.get("error"), "invalid_request");
      assert.equal(searchParams.get("state"), name === "state" ? null : "the-state");
    }
  });

  test("asks a person who is there, too", async () => {
    const agenda = await start();
    const { browser } = await consent(agenda);
    const { searchParams } = locationOf(await browser.open(request(agenda, { prompt: "none" }).address));
    assert.equal(searchParams.get("error"), "consent_required");
  });

  test("takes an answer from the page alone, and from the browser that was asked", async () => {
    const agenda = await start();
    const browser = new Browser();
    const form = { request: pending(await (await browser.open(request(agenda).address)).text()), answer: "allow" };
    const address = `${agenda.url}/authorize`;
    const foreign = { Origin: "https://elsewhere.example" };
    await refusedOnPage(await browser.post(address, { ...form, sub: "ana" }, foreign), /not of this site/);
    await refusedOnPage(await browser.post(address, { ...form, sub: "ana" }, { Origin: "null" }), /not of this site/);
    await refusedOnPage(await new Browser().post(address, { ...form, sub: "ana" }), /another browser/);
    await refusedOnPage(await browser.post(address, { ...form, request: "none", sub: "ana" }), /unknown/);
    await refusedOnPage(await browser.post(address, { ...form, sub: "nobody" }), /account is unknown/);
  });
});

describe("the agenda's token endpoint", () => {
  test("gives tokens for a code, and an ID token of the person", async () => {
    const agenda = await start();
    const { answer } = await granted(agenda);
    assert.equal(answer.token_type, "Bearer");
    assert.equal(answer.expires_in, 600);
    assert.equal(answer.scope, SCOPE);
    assert.ok(answer.access_token && answer.refresh_token);
    const { iat, exp, auth_time, sid, at_hash, ...claims } = await claimsOf(agenda, answer.id_token);
    assert.deepEqual(claims, {
      iss: agenda.url,
      aud: agenda.clients[0].client_id,
      sub: "ana",
      nonce: "the-nonce",
      name: "Ana Moura",
      email: "ana.moura@agenda.example",
      email_verified: true,
    });
    const now = Date.now() / 1000;
    assert.ok(iat <= now && exp > now && auth_time <= now && sid);
    const hash = createHash("sha256").update(answer.access_token).digest().subarray(0, 16).toString("base64url");
    assert.equal(at_hash, hash);
  });

  test("gives no more than the scope says", async () => {
    const agenda = await start();
    const { answer } = await granted(agenda, { scope: "openid", nonce: undefined });
    assert.equal("refresh_token" in answer, false);
    const claims = await claimsOf(agenda, answer.id_token);
    for (const name of ["name", "email", "nonce"]) assert.equal(name in claims, false, name);
    const forbidden = await appointments(agenda, answer.access_token);
    assert.equal(forbidden.status, 403);
    assert.match(forbidden.headers.get("www-authenticate") ?? "", /insufficient_scope/);
    const { answer: api } = await granted(agenda, { scope: "appointments" });
    assert.equal("id_token" in api, false);
    assert.equal((await appointments(agenda, api.access_token)).status, 200);
  });

  for (const [what, changes] of /** @type {[string, Fields][]} */ ([
    ["an unknown code", { code: "unknown" }],
    ["another redirect address", { redirect_uri: "http://localhost:8787/auth/callback/agenda-shared" }],
    ["another verifier", { code_verifier: pkce().verifier }],
    ["a verifier too short", { code_verifier: "short" }],
  ])) {
    test(`refuses ${what}`, async () => {
      const agenda = await start();
      const given = await consent(agenda);
      await refused(await exchange(agenda, given, changes), 400, "invalid_grant");
      assert.equal(agenda.issued.length, 0);
      // A code has one attempt.
      if (!changes.code) await refused(await exchange(agenda, given), 400, "invalid_grant");
    });
  }

  test("refuses a code of another client, and one that is late", async () => {
    const agenda = await start();
    const { client_id, client_secret } = agenda.clients[1];
    await refused(await exchange(agenda, await consent(agenda), { client_id, client_secret }), 400, "invalid_grant");
    const hasty = await start({ codeSeconds: 0 });
    await refused(await exchange(hasty, await consent(hasty)), 400, "invalid_grant");
  });

  test("revokes what a code granted that is used twice", async () => {
    const agenda = await start();
    const { answer, ...given } = await granted(agenda);
    const { answer: other } = await granted(agenda);
    await refused(await exchange(agenda, given), 400, "invalid_grant");
    assert.equal((await appointments(agenda, answer.access_token)).status, 401);
    await refused(await refresh(agenda, answer.refresh_token), 400, "invalid_grant");
    assert.equal((await appointments(agenda, other.access_token)).status, 200);
  });

  test("refuses a wrong client, and a request that is no token request", async () => {
    const agenda = await start();
    const given = await consent(agenda);
    for (const changes of [{ client_id: "nobody" }, { client_secret: "wrong" }])
      await refused(await exchange(agenda, given, changes), 401, "invalid_client");
    for (const name of ["client_id", "client_secret", "code", "redirect_uri", "code_verifier", "grant_type"])
      await refused(await exchange(agenda, given, { [name]: undefined }), 400, "invalid_request");
    await refused(await exchange(agenda, given, { grant_type: "password" }), 400, "unsupported_grant_type");
    const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
    await refused(await fetch(`${agenda.url}/token`, json), 400, "invalid_request");
    const get = await fetch(`${agenda.url}/token`);
    await refused(get, 405, "invalid_request");
    // None of these used the code up; unknown parameters are ignored.
    assert.equal((await exchange(agenda, given, { unknown: "x" })).status, 200);
  });

  test("rotates refresh tokens, and revokes all where an old one comes again", async () => {
    const agenda = await start();
    const { answer } = await granted(agenda);
    const response = await refresh(agenda, answer.refresh_token);
    assert.equal(response.status, 200);
    const next = await response.json();
    assert.notEqual(next.refresh_token, answer.refresh_token);
    assert.equal(next.scope, SCOPE);
    const [first, second] = [await claimsOf(agenda, answer.id_token), await claimsOf(agenda, next.id_token)];
    assert.equal("nonce" in second, false);
    for (const name of ["iss", "aud", "sub", "auth_time", "sid"]) assert.equal(second[name], first[name], name);
    assert.equal((await appointments(agenda, next.access_token)).status, 200);
    await refused(await refresh(agenda, answer.refresh_token), 400, "invalid_grant");
    assert.equal((await appointments(agenda, next.access_token)).status, 401);
    await refused(await refresh(agenda, next.refresh_token), 400, "invalid_grant");
  });

  test("refuses another client's refresh token, and more scope than was granted", async () => {
    const agenda = await start();
    const { answer } = await granted(agenda, { scope: "openid offline_access" });
    const { client_id, client_secret } = agenda.clients[1];
    await refused(await refresh(agenda, answer.refresh_token, { client_id, client_secret }), 400, "invalid_grant");
    await refused(await refresh(agenda, answer.access_token), 400, "invalid_grant");
    await refused(await refresh(agenda, answer.refresh_token, { scope: "appointments" }), 400, "invalid_scope");
    assert.equal((await refresh(agenda, answer.refresh_token, { scope: "openid" })).status, 200);
  });
});

describe("the agenda's API", () => {
  test("gives each person their own appointments, and nobody without a token any", async () => {
    const agenda = await start();
    for (const { sub, name } of agenda.people) {
      const { answer } = await granted(agenda, {}, { sub });
      const body = await (await appointments(agenda, answer.access_token)).json();
      assert.deepEqual(body, { owner: name, appointments: agenda.appointmentsOf(sub) });
      assert.ok(body.appointments.length > 0);
    }
    const { answer } = await granted(agenda);
    for (const token of [undefined, "", "nonsense", answer.refresh_token, answer.id_token]) {
      const response = await appointments(agenda, token);
      assert.equal(response.status, 401);
      assert.match(response.headers.get("www-authenticate") ?? "", /^Bearer/);
    }
    assert.equal((await fetch(`${agenda.url}/none`)).status, 401);
    const headers = { Authorization: `Bearer ${answer.access_token}` };
    assert.equal((await fetch(`${agenda.url}/none`, { headers })).status, 404);
    assert.equal((await fetch(`${agenda.url}/appointments`, { method: "POST", headers })).status, 405);
  });

  test("ends an access token in time", async () => {
    const agenda = await start({ options: { expiresIn: 0 } });
    const { answer } = await granted(agenda);
    assert.equal((await appointments(agenda, answer.access_token)).status, 401);
  });
});

describe("the agenda's revocation endpoint", () => {
  /** @param {Agenda} agenda @param {Fields} form */
  const revoke = (agenda, form) =>
    post(
      agenda,
      { client_id: agenda.clients[0].client_id, client_secret: agenda.clients[0].client_secret, ...form },
      "/revoke",
    );

  test("ends the whole grant of either token, and knows no unknown one", async () => {
    const agenda = await start();
    for (const kind of /** @type {const} */ (["access_token", "refresh_token"])) {
      const { answer } = await granted(agenda);
      const { answer: other } = await granted(agenda);
      assert.equal((await revoke(agenda, { token: answer[kind], token_type_hint: "refresh_token" })).status, 200);
      assert.equal((await appointments(agenda, answer.access_token)).status, 401);
      await refused(await refresh(agenda, answer.refresh_token), 400, "invalid_grant");
      assert.equal((await appointments(agenda, other.access_token)).status, 200);
      assert.equal((await revoke(agenda, { token: answer[kind] })).status, 200);
    }
    assert.equal((await revoke(agenda, { token: "unknown" })).status, 200);
  });

  test("refuses a wrong client, and leaves another client's token alone", async () => {
    const agenda = await start();
    const { answer } = await granted(agenda);
    const token = answer.refresh_token;
    await refused(await revoke(agenda, { token, client_secret: "wrong" }), 401, "invalid_client");
    await refused(await revoke(agenda, {}), 400, "invalid_request");
    const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
    await refused(await fetch(`${agenda.url}/revoke`, json), 400, "invalid_request");
    const { client_id, client_secret } = agenda.clients[1];
    assert.equal((await revoke(agenda, { token, client_id, client_secret })).status, 200);
    assert.equal((await appointments(agenda, answer.access_token)).status, 200);
    assert.equal((await fetch(`${agenda.url}/revoke`)).status, 405);
  });
});

describe("signing out of the agenda", () => {
  /** @param {Agenda} agenda @param {Fields} parameters */
  const address = (agenda, parameters) => `${agenda.url}/logout?${search(parameters)}`;

  test("takes a page, ends the session, and leads back", async () => {
    const agenda = await start();
    const [{ client_id, post_logout_redirect_uris: homes }] = agenda.clients;
    const { browser, answer } = await granted(agenda);
    const parameters = { client_id, post_logout_redirect_uri: homes[2], state: "s", id_token_hint: answer.id_token };
    const page = await browser.open(address(agenda, parameters));
    const html = await page.text();
    assert.equal(page.status, 200);
    assert.match(html, /You are signed in as Ana Moura\./);
    const form = { request: pending(html) };
    await refusedOnPage(await new Browser().post(`${agenda.url}/logout/confirm`, form), /another browser/);
    const foreign = { Origin: "https://elsewhere.example" };
    await refusedOnPage(await browser.post(`${agenda.url}/logout/confirm`, form, foreign), /not of this site/);
    const location = locationOf(await browser.post(`${agenda.url}/logout/confirm`, form));
    assert.equal(location.href, `${homes[2]}?state=s`);
    const { searchParams } = locationOf(await browser.open(request(agenda, { prompt: "none" }).address));
    assert.equal(searchParams.get("error"), "login_required");
  });

  test("needs no client and no address to lead to", async () => {
    const agenda = await start();
    const browser = new Browser("pt");
    const html = await (await browser.post(`${agenda.url}/logout`, {})).text();
    assert.match(html, /Ninguém entrou aqui\./);
    const done = await browser.post(`${agenda.url}/logout/confirm`, { request: pending(html) });
    assert.match(await done.text(), /Você saiu da Agenda\./);
  });

  test("refuses addresses and hints that are not the client's", async () => {
    const agenda = await start();
    const [{ client_id, post_logout_redirect_uris: homes }, shared] = agenda.clients;
    const { answer } = await granted(agenda);
    const [head, payload] = answer.id_token.split(".");
    for (const [parameters, reason] of /** @type {[Fields, RegExp][]} */ ([
      [{ client_id, post_logout_redirect_uri: "https://elsewhere.example/" }, /not registered/],
      [{ client_id, post_logout_redirect_uri: `${homes[0]}?x` }, /not registered/],
      [{ post_logout_redirect_uri: homes[0] }, /not registered/],
      [{ client_id: shared.client_id, post_logout_redirect_uri: homes[0] }, /not registered/],
      [{ client_id: "nobody" }, /client_id/],
      [{ client_id: shared.client_id, id_token_hint: answer.id_token }, /client_id/],
      [{ id_token_hint: `${head}.${payload}.AAAA` }, /id_token_hint/],
      [{ id_token_hint: "nonsense" }, /id_token_hint/],
    ]))
      await refusedOnPage(await fetch(address(agenda, parameters)), reason);
    await refusedOnPage(await fetch(`${address(agenda, { client_id })}&client_id=x`), /repeated/);
  });

  test("tells the clients of the session, and none that knows nothing of it", async () => {
    /** @type {URLSearchParams[]} */
    const told = [];
    const server = createServer(async (incoming, response) => {
      told.push(new URLSearchParams((await readBody(incoming, 65536)).body.toString()));
      response.end();
    });
    await listen(server, 0);
    running.push({ close: () => closeServer(server) });
    const agenda = await start();
    for (const client of agenda.clients) client.backchannel_logout_uri = `http://127.0.0.1:${portOf(server)}/`;
    const { browser, answer } = await granted(agenda);
    const html = await (await browser.open(`${agenda.url}/logout`)).text();
    await browser.post(`${agenda.url}/logout/confirm`, { request: pending(html) });
    assert.equal(told.length, 1);
    const { jti, iat, exp, ...claims } = await claimsOf(agenda, told[0].get("logout_token") ?? "", "logout+jwt");
    assert.ok(jti && exp > iat);
    assert.deepEqual(claims, {
      iss: agenda.url,
      aud: agenda.clients[0].client_id,
      sub: "ana",
      sid: (await claimsOf(agenda, answer.id_token)).sid,
      events: { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    // Offline access outlives the session.
    assert.equal((await refresh(agenda, answer.refresh_token)).status, 200);
  });
});
