// The attacks of RFC 9700, section 4, each tried on consents, and what draft-ietf-oauth-browser-based-apps-27, section
// 6.1, demands of a backend for a frontend. docs/explain/standards.md has a table of both.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { ORIGIN } from "./support/broker.mjs";
import { Browser, said } from "./support/browser.mjs";
import {
  admin,
  assertFailed,
  begin,
  broker,
  callApi,
  comeBack,
  connect,
  connected,
  hostile,
  outcomeOf,
  ownPage,
  PAGE,
  provider,
  pushing,
  useConsents,
  withoutExchange,
  withParams,
} from "./support/consents.mjs";
import { encoded } from "./support/issuer.mjs";
import { COOKIE, setCookies, STRICT, cookieOf } from "./support/person.mjs";
import { files, search } from "./support/search.mjs";
import { until } from "./support/until.mjs";

/** @import { Fields } from "./support/browser.mjs" */

useConsents();

const EVIL = "https://evil.example";

/** A link to connect `crm`. @returns {Promise<string>} */
const newLink = async () => assertStatus(await admin("connections/crm/connect-link", { method: "POST" })).json().url;

/** The answers that are pages, each under what it is. */
async function pages() {
  const popup = { return_to: PAGE, display: "popup" };
  const link = await newLink();
  const browser = new Browser(broker);
  const led = await browser.request(link, { method: "POST", form: {}, site: "same-origin" });
  return {
    link: await new Browser(broker).request(link),
    "link that nobody made": await new Browser(broker).request(`${broker.url}/auth/crm/link/${"A".repeat(43)}`),
    "end of a link": await comeBack(browser, provider.decide(led.headers.location)),
    popup: await connect(new Browser(broker), "calendar", { query: popup }),
    "popup that failed": await connect(new Browser(broker), "calendar", {
      query: popup,
      decision: { error: "access_denied" },
    }),
  };
}

describe("an attack of RFC 9700", () => {
  test("4.1, insufficient validation of redirect addresses: each connection asks with one fixed address of its own", async () => {
    const ids = ["calendar", "plain", "entrance", "theirs"];
    const asked = [];
    for (const id of ids) {
      const at = id === "theirs" ? hostile : provider;
      for (const query of /** @type {Fields[]} */ ([
        {},
        { return_to: PAGE },
        { return_to: PAGE, redirect_uri: EVIL, callback: "x", client_id: "y" },
      ])) {
        asked.push(at.read(await begin(new Browser(broker), id, query)).params.redirect_uri);
      }
    }
    assert.deepEqual(
      [...new Set(asked)],
      ids.map((id) => `${broker.url}/auth/callback/${id}`),
    );
    // The address has no query and no fragment, into which a response could be put.
    for (const address of asked) assert.deepEqual([new URL(address).search, new URL(address).hash], ["", ""]);
    // The token request repeats it, so that a code that went elsewhere is worth nothing.
    await connected("calendar");
    assert.equal(provider.tokenRequests.at(-1)?.params.redirect_uri, `${broker.url}/auth/callback/calendar`);
  });

  test("4.2, leakage by Referer: no page of the broker's sends one, and none loads or links to anything", async () => {
    for (const [name, { headers, text }] of Object.entries(await pages())) {
      assert.equal(headers["referrer-policy"], "no-referrer", name);
      assert.match(headers["content-security-policy"], /default-src 'none'/, name);
      assert.ok(!/<a\b|<img|<link|<iframe|src=|href=|http-equiv/i.test(text), `${name}: ${text}`);
    }
    const browser = new Browser(broker);
    const begun = await browser.begin("calendar");
    const ended = await comeBack(browser, provider.decide(begun.headers.location));
    for (const answer of [begun, ended]) assert.equal(answer.headers["referrer-policy"], "no-referrer");
  });

  test("4.3, leakage by the browser's history: no address that the browser keeps has a token, and its code is used", async () => {
    const browser = new Browser(broker);
    const back = provider.decide(await begin(browser, "calendar"));
    const ended = await comeBack(browser, back);
    for (const token of provider.issued.filter((one) => /^(access|refresh)-/.test(one))) {
      for (const address of [back, ended.headers.location]) assert.ok(!address.includes(token));
    }
    assert.ok(!/code=|state=/.test(ended.headers.location));
    assertFailed(await withoutExchange(() => comeBack(browser, back)), "flow_expired", ownPage());
    assert.equal(ended.headers["cache-control"], "no-store");
  });

  test("4.4, mix-up: the code of one provider goes to no other, whatever the response says", async () => {
    const victim = new Browser(broker);
    // The victim began at the attacker's provider, which sends them on to the honest one, under the attacker's state.
    const location = await begin(victim, "theirs");
    const { params } = hostile.read(location);
    const honest = await begin(new Browser(broker), "calendar");
    const code = new URL(provider.decide(honest)).searchParams.get("code") ?? "";
    const { issuer } = provider.issuer;
    const tries = [
      // The honest provider answers at its own address, and says who it is.
      `${broker.url}/auth/callback/calendar?${new URLSearchParams({ code, state: params.state, iss: issuer })}`,
      `${broker.url}/auth/callback/calendar?${new URLSearchParams({ code, state: params.state })}`,
      `${broker.url}/auth/callback/theirs?${new URLSearchParams({ code, state: params.state, iss: issuer })}`,
    ];
    const [first, ...others] = tries;
    assertFailed(await withoutExchange(() => comeBack(victim, first)), "issuer_mismatch");
    for (const url of others)
      assertFailed(await withoutExchange(() => comeBack(victim, url)), "flow_expired", ownPage());
    for (const url of others) {
      const again = new Browser(broker);
      const { params: own } = hostile.read(await begin(again, "theirs"));
      assertFailed(
        await withoutExchange(() => comeBack(again, withParams(url, { state: own.state }))),
        "issuer_mismatch",
      );
    }
    assert.ok(!hostile.tokenRequests.some(({ params: sent }) => sent.code === code));
  });

  test("4.4.2, mix-up without an issuer: addresses of their own tell the providers apart", async () => {
    const victim = new Browser(broker);
    const { params } = hostile.read(await begin(victim, "theirs-plain"));
    const honest = provider.decide(await begin(new Browser(broker), "plain"), { iss: null });
    const code = new URL(honest).searchParams.get("code") ?? "";
    const url = withParams(honest, { state: params.state });
    assertFailed(await withoutExchange(() => comeBack(victim, url)), "issuer_mismatch");
    assert.ok(!hostile.tokenRequests.some(({ params: sent }) => sent.code === code));
  });

  test("4.5, injection of a code: a stolen code does not work in another flow, by PKCE and by the nonce", async () => {
    const [victim, attacker] = [new Browser(broker), new Browser(broker)];
    const stolen = new URL(provider.decide(await begin(victim, "calendar"))).searchParams.get("code");
    const own = provider.decide(await begin(attacker, "calendar"), { sub: "mallory" });
    assertFailed(await comeBack(attacker, withParams(own, { code: stolen })), "credentials_rejected");
    assert.equal(attacker.session, undefined);
    // Where a provider does not check PKCE, the nonce in the ID token tells.
    const nonce = { claims: { nonce: randomBytes(32).toString("base64url") } };
    assertFailed(await connect(attacker, "calendar", { decision: { idToken: nonce } }), "token_response_invalid");
    assert.equal(attacker.session, undefined);
  });

  test("4.6, injection of an access token: none is taken from a browser, and the ID token must be of this one", async () => {
    const browser = new Browser(broker);
    const { params } = provider.read(await begin(browser, "calendar"));
    assert.equal(params.response_type, "code");
    const state = { state: params.state, access_token: "stolen", token_type: "Bearer", id_token: "x.y.z" };
    const url = `${broker.url}/auth/callback/calendar?${new URLSearchParams(state)}`;
    assertProblem(await withoutExchange(() => comeBack(browser, url)), 400, "bad_request");
    const other = { claims: { at_hash: encoded(randomBytes(16)) } };
    assertFailed(await connect(browser, "calendar", { decision: { idToken: other } }), "token_response_invalid");
    const signedIn = await connected("calendar");
    const own = await signedIn.fetch("/api/calendar/api/me", { headers: { Authorization: "Bearer stolen" } });
    assert.ok(!provider.calls.some(({ headers }) => headers.authorization === "Bearer stolen"), own.text);
    assertProblem(await signedIn.fetch("/api/calendar/api/me?access_token=stolen"), 400, "bad_request");
  });

  test("4.7, cross-site request forgery: nobody is signed in to the attacker's account by an address", async () => {
    const attacker = new Browser(broker);
    const bait = provider.decide(await begin(attacker, "calendar"), { sub: "mallory" });
    const victim = await connected("calendar", { decision: { sub: "victim" } });
    const session = victim.session;
    assertFailed(await withoutExchange(() => comeBack(victim, bait)), "flow_mismatch", ownPage());
    // Also while the victim has a flow of their own.
    const own = await begin(victim, "calendar");
    assertFailed(await withoutExchange(() => comeBack(victim, bait)), "flow_mismatch", ownPage());
    assert.equal(victim.session, session);
    assert.equal((await victim.listed()).json().person.subject, "victim");
    assert.equal(outcomeOf(await comeBack(victim, provider.decide(own, { sub: "victim" }))).porteiro, "connected");
    // Nor is a flow ended, or the account disconnected, by another site's page.
    for (const method of ["DELETE", "POST"]) {
      const target = method === "POST" ? "/auth/logout" : "/auth/calendar";
      const headers = { Cookie: `${COOKIE}=${victim.session}` };
      for (const origin of [EVIL, "null", undefined]) {
        const answer = await victim.fetch(target, { method, origin, site: "cross-site", headers });
        assert.equal(answer.status, 403, `${method} ${origin}`);
      }
    }
    assertStatus(await callApi(victim, "calendar"));
  });

  test("4.8, downgrade of PKCE: a challenge by S256 goes with every request, and its verifier with every code", async () => {
    const verifiers = [];
    for (const [id, at] of /** @type {const} */ ([
      ["calendar", provider],
      ["plain", provider],
      ["pushed", pushing],
      ["theirs", hostile],
    ])) {
      const browser = new Browser(broker);
      const location = await begin(browser, id, {
        return_to: PAGE,
        code_challenge: "x",
        code_challenge_method: "plain",
      });
      // The strict provider wants S256, and in the token request the verifier that fits.
      assert.equal(outcomeOf(await comeBack(browser, at.decide(location))).porteiro, "connected");
      verifiers.push(at.tokenRequests.at(-1)?.params.code_verifier);
    }
    assert.equal(new Set(verifiers).size, 4);
  });

  test("4.9, leakage at the resource server: a token goes to its own API alone, and to no redirect of it", async () => {
    const browser = await connected("calendar", { decision: { sub: "leak" } });
    await connected("theirs", { at: hostile }, browser);
    assertStatus(await callApi(browser, "calendar"));
    assertStatus(await callApi(browser, "theirs"));
    const sent = hostile.calls.map(({ headers }) => headers.authorization?.replace("Bearer ", ""));
    assert.ok(sent.length > 0 && sent.every((token) => hostile.issued.includes(token ?? "")));
    for (const path of ["//evil.example/x", "/@evil.example/", "/..//evil.example", "/%2e%2e/x", "/\\evil.example"]) {
      const calls = hostile.calls.length;
      const answer = await callApi(browser, "calendar", path);
      assert.notEqual(answer.status, 200, path);
      assert.equal(hostile.calls.length, calls);
    }
  });

  test("4.10, misuse of stolen access tokens: none leaves the broker, and none that comes back proves anybody", async () => {
    await connected("calendar");
    const secrets = Object.fromEntries(provider.issued.map((text, i) => [`issued ${i}`, text]));
    assert.deepEqual(search({ answers: said.join("\n"), log: broker.output.join("\n") }, secrets), []);
    // A token of the provider's proves nobody here.
    const token = provider.live.at(-1);
    const answer = await broker.call("/api/calendar/api/me", { key: token });
    assertProblem(answer, 401, "caller_unauthenticated");
  });

  test("4.11, open redirection: neither the begin nor the end of a flow leads where it is not allowed to", async () => {
    for (const page of [EVIL, "//evil.example", "/\\evil.example", `https://app.example.com@evil.example`]) {
      for (const display of ["page", "popup"]) {
        const answer = await new Browser(broker).begin("calendar", { return_to: page, display });
        assertProblem(answer, 400, "bad_request");
        assert.equal(answer.headers.location, undefined);
      }
    }
    // What the response says of itself leads nowhere either.
    const browser = new Browser(broker);
    const url = withParams(provider.decide(await begin(browser, "calendar")), {
      return_to: EVIL,
      redirect_uri: EVIL,
      error_uri: EVIL,
      next: EVIL,
    });
    assert.equal(outcomeOf(await comeBack(browser, url)).porteiro, "connected");
    // A flow of nobody's ends at the broker's own page.
    const strange = `${broker.url}/auth/callback/calendar?${new URLSearchParams({ code: "x", state: "y", return_to: EVIL })}`;
    assertFailed(await comeBack(new Browser(broker), strange), "flow_mismatch", ownPage());
  });

  test("4.12, a redirect by 307: every redirect is 303, also the one that answers a form", async () => {
    const browser = new Browser(broker);
    const begun = await browser.begin("calendar");
    const ended = await comeBack(browser, provider.decide(begun.headers.location));
    const form = await browser.request(await newLink(), { method: "POST", form: { a: "secret" }, site: "same-origin" });
    assert.deepEqual([begun.status, ended.status, form.status], [303, 303, 303]);
    assert.ok(!form.headers.location.includes("secret"));
  });

  test("4.13, proxies before the broker: no field of theirs changes an address", async () => {
    const lies = {
      "X-Forwarded-Host": "evil.example",
      "X-Forwarded-Proto": "https",
      "X-Forwarded-Port": "1",
      "X-Forwarded-Prefix": "/evil",
      "X-Original-URL": "/evil",
      Forwarded: "host=evil.example;proto=https",
    };
    const browser = new Browser(broker);
    const begun = assertStatus(await browser.begin("calendar", {}, { headers: lies }), 303);
    const { params } = provider.read(begun.headers.location);
    assert.equal(params.redirect_uri, `${broker.url}/auth/callback/calendar`);
    const ended = await comeBack(browser, provider.decide(begun.headers.location), { headers: lies });
    assert.equal(ended.headers.location, `${broker.url}/?porteiro=connected`);
    const made = await admin("connections/crm/connect-link", { method: "POST", headers: lies });
    assert.ok(assertStatus(made).json().url.startsWith(`${broker.url}/`));
  });

  test("4.14, refresh tokens: they go to the token endpoint alone, rotate, are sealed at rest, and end with the session", async () => {
    const browser = await connected("calendar", { decision: { sub: "rotates", expiresIn: 1 } });
    const count = provider.tokenRequests.length;
    await until(async () => {
      assertStatus(await callApi(browser, "calendar"));
      return provider.tokenRequests.length >= count + 2;
    }, "two renewals");
    const sent = provider.tokenRequests.slice(count).map(({ params }) => params.refresh_token);
    assert.ok(sent.length >= 2);
    assert.equal(new Set(sent).size, sent.length);
    const newest = provider.issued.findLast((one) => one.startsWith("refresh-")) ?? "";
    assert.deepEqual(search(await files(broker.persistTo), { newest }), []);
    assertStatus(await browser.fetch("/auth/logout", { method: "POST" }), 204);
    await broker.logged(({ event, outcome }) => event === "revocation" && outcome === "revoked");
    assert.ok(!provider.calls.some(({ headers }) => headers.authorization?.includes("refresh-")));
  });

  test("4.15, a client that impersonates a person: neither a caller's key nor its name is anybody's session", async () => {
    const answer = await broker.call("/api/calendar/api/me");
    assert.ok([401, 403].includes(answer.status), answer.text);
    // A person whose subject is a caller's name or the client's id is a person, and no more.
    for (const sub of ["backend", "gold", "porteiro"]) {
      const browser = await connected("calendar", { decision: { sub } });
      assert.deepEqual(assertStatus(await callApi(browser, "calendar")).json().user, sub);
      assertProblem(await callApi(browser, "crm"), 403, "operation_not_allowed");
      assertProblem(await callApi(browser, "vip", "/api/vip/x"), 403, "operation_not_allowed");
    }
  });

  test("4.16, clickjacking: no page can be framed, and a frame begins no flow", async () => {
    for (const [name, { headers }] of Object.entries(await pages())) {
      assert.match(headers["content-security-policy"], /frame-ancestors 'none'/, name);
    }
    for (const dest of ["iframe", "frame", "embed", "object"]) {
      const headers = { "Sec-Fetch-Dest": dest };
      assertProblem(await new Browser(broker).begin("calendar", undefined, { headers }), 400, "bad_request");
      const link = await newLink();
      assertProblem(await new Browser(broker).request(link, { method: "POST", form: {}, headers }), 400, "bad_request");
    }
  });

  test("4.17, communication between windows: a popup posts to one exact origin, and no code or token", async () => {
    const page = { return_to: PAGE, display: "popup" };
    const answer = assertStatus(await connect(new Browser(broker), "calendar", { query: page }));
    const calls = [...answer.text.matchAll(/postMessage\((.*?)\);/g)].map(([, given]) => given);
    assert.equal(calls.length, 1);
    assert.ok(calls[0].endsWith(`,${JSON.stringify(ORIGIN)}`), calls[0]);
    assert.deepEqual(
      search({ page: answer.text }, Object.fromEntries(provider.issued.map((one, i) => [`issued ${i}`, one]))),
      [],
    );
    // The page listens to nobody.
    assert.ok(!/addEventListener|onmessage/.test(answer.text));
  });
});

describe("a backend for a frontend", () => {
  test("6.1.1, keeps all tokens from the browser: it sees a cookie of 256 random bits", async () => {
    const seen = new Set();
    for (let i = 0; i < 3; i += 1) {
      const browser = new Browser(broker);
      const answer = await connect(browser, "calendar");
      const { name, value, attributes } = cookieOf(answer);
      assert.deepEqual([name, attributes], [COOKIE, STRICT]);
      assert.equal(Buffer.from(value, "base64url").length, 32);
      seen.add(value);
      const tokens = Object.fromEntries(provider.issued.map((one, at) => [`issued ${at}`, one]));
      assert.deepEqual(search({ cookies: setCookies(answer).join("\n") }, tokens), []);
    }
    assert.equal(seen.size, 3);
    const browser = await connected("calendar");
    const text = JSON.stringify((await browser.listed()).json());
    assert.ok(!/access-|refresh-|token/.test(text), text);
  });

  test("6.1.1, calls the API with the token of the session's person, and with nothing of the browser's", async () => {
    const [ana, bruno] = [await connected("calendar"), await connected("calendar", { decision: { sub: "bruno" } })];
    assert.equal(assertStatus(await callApi(ana, "calendar")).json().user, "ana");
    assert.equal(assertStatus(await callApi(bruno, "calendar")).json().user, "bruno");
    const { headers } = provider.calls[provider.calls.length - 1];
    assert.match(headers.authorization ?? "", /^Bearer access-/);
    for (const name of ["cookie", "origin", "referer", "sec-fetch-site", "cf-connecting-ip"]) {
      assert.equal(headers[name], undefined, name);
    }
  });

  test("6.1.2.2, ends what a person connected when its refresh token is dead", async () => {
    const browser = await connected("calendar", { decision: { sub: "dead" } });
    provider.withdraw("dead");
    assertProblem(await callApi(browser, "calendar"), 401, "not_connected");
    assert.deepEqual(await browser.connections(), []);
  });

  test("6.1.3.1, is a confidential client by the authorization code grant, and proves itself in each request", async () => {
    await connected("calendar");
    await connected("plain");
    await connected("pushed", { at: pushing });
    const sent = provider.tokenRequests.slice(-2);
    assert.ok(sent[0].params.client_secret);
    assert.match(sent[1].headers.authorization ?? "", /^Basic /);
    for (const request of [pushing.pushes.at(-1), pushing.tokenRequests.at(-1)])
      assert.ok(request?.params.client_assertion);
    assert.notEqual(
      pushing.pushes.at(-1)?.params.client_assertion,
      pushing.tokenRequests.at(-1)?.params.client_assertion,
    );
    for (const { params } of sent) assert.equal(params.grant_type, "authorization_code");
  });

  test("6.1.3.2, sets its cookies Secure, HttpOnly, SameSite and for this host alone, anew with each consent", async () => {
    const browser = new Browser(broker);
    const begun = await browser.begin("calendar");
    const ended = await comeBack(browser, provider.decide(begun.headers.location));
    const again = await connect(browser, "plain");
    const all = [begun, ended, again].flatMap(setCookies);
    assert.equal(all.length, 3);
    for (const cookie of all) {
      assert.match(cookie, /^__Host-Http-/);
      for (const attribute of ["Secure", "HttpOnly", "Path=/", "SameSite="])
        assert.ok(cookie.includes(attribute), cookie);
      assert.ok(!/domain|expires/i.test(cookie), cookie);
    }
    assert.equal(new Set(all.map((cookie) => cookie.split(";")[0])).size, 3);
  });

  test("6.1.3.3, lets no page of another site act, read or end anything", async () => {
    const browser = await connected("calendar");
    const headers = { Cookie: `${COOKIE}=${browser.session}` };
    for (const origin of [EVIL, "null"]) {
      for (const [method, target] of [
        ["GET", "/api/calendar/api/me"],
        ["POST", "/api/calendar/api/me"],
        ["GET", "/auth/session"],
        ["POST", "/auth/session"],
        ["POST", "/auth/logout"],
        ["DELETE", "/auth/calendar"],
      ]) {
        const answer = await browser.fetch(target, { method, origin, site: "cross-site", headers });
        assert.equal(answer.status, 403, `${method} ${target}`);
        assert.equal(answer.headers["access-control-allow-origin"], undefined);
      }
    }
    assertStatus(await callApi(browser, "calendar"));
  });

  test("6.1.3.3, answers a preflight for allowed origins alone, and none where browsers only navigate", async () => {
    const { session } = await connected("calendar");
    assert.ok(session);
    for (const [target, allowed] of /** @type {const} */ ([
      ["/auth/calendar", true],
      ["/auth/session", true],
      ["/auth/logout", true],
      ["/auth/calendar/connect", false],
      ["/auth/callback/calendar", false],
      ["/auth/calendar/backchannel-logout", false],
    ])) {
      for (const origin of [ORIGIN, EVIL]) {
        const answer = await broker.call(target, {
          method: "OPTIONS",
          key: null,
          origin,
          headers: { "Access-Control-Request-Method": "DELETE" },
        });
        const granted = answer.headers["access-control-allow-origin"];
        assert.equal(granted, allowed && origin === ORIGIN ? ORIGIN : undefined, `${target} ${origin}`);
      }
    }
  });

  test("6.1.3.6, calls what the rules name and nothing else", async () => {
    const browser = await connected("calendar");
    const calls = provider.calls.length;
    for (const path of ["/token", "/revoke", "/", "/apix", "/API/me", "/api/../token", "/api/%2e%2e/token"]) {
      const answer = await callApi(browser, "calendar", path);
      assert.ok([400, 403].includes(answer.status), `${path}: ${answer.status}`);
    }
    assert.equal((await browser.fetch("/api/calendar/api/me", { method: "DELETE" })).status, 403);
    assert.equal(provider.calls.length, calls);
  });
});
