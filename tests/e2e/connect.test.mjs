// Consents at a provider, the authorization code grant: each address, cookie and page that has a part in them, and what
// everybody is told.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus } from "./support/assertions.mjs";
import { ORIGIN } from "./support/broker.mjs";
import { Browser, FLOW_COOKIE, said } from "./support/browser.mjs";
import {
  admin,
  assertFailed,
  begin,
  broker,
  callApi,
  comeBack,
  connect,
  connected,
  entry,
  flowLines,
  hostile,
  inbox,
  outcomeOf,
  ownPage,
  PAGE,
  provider,
  pushing,
  registration,
  stateOf,
  useConsents,
  withoutExchange,
  withParams,
} from "./support/consents.mjs";
import { delivered, sendEvent } from "./support/events.mjs";
import { COOKIE, sessionIdOf, setCookies, STRICT } from "./support/person.mjs";
import { files, search } from "./support/search.mjs";
import { encoded, mac, makeKey, seconds } from "./support/issuer.mjs";
import { until } from "./support/until.mjs";

/** @import { Fields, Navigation } from "./support/browser.mjs" */
/** @import { Decision } from "./support/strict-provider.mjs" */

useConsents();

const digest = (/** @type {string} */ text) => createHash("sha256").update(text).digest("base64url");

describe("the begin of a flow", () => {
  test("leads to the provider with PKCE, state and nonce, and sets the flow's cookie", async () => {
    const browser = new Browser(broker);
    const answer = assertStatus(await browser.begin("calendar"), 303);
    assertEveryAnswer(answer, "connect");
    assert.equal(answer.bytes, 0);
    const { client, params } = provider.read(answer.headers.location);
    assert.equal(client.id, "porteiro");
    const { state, nonce, code_challenge, ...rest } = params;
    assert.deepEqual(rest, {
      response_type: "code",
      client_id: "porteiro",
      redirect_uri: `${broker.url}/auth/callback/calendar`,
      scope: "openid events",
      code_challenge_method: "S256",
      prompt: "consent",
      access_type: "offline",
    });
    assert.equal(new Set([state, nonce, code_challenge]).size, 3);
    const [cookie, ...others] = setCookies(answer);
    assert.deepEqual(others, []);
    const [, digits, value, attributes] = /^__Host-Http-porteiro-flow-([0-9a-f]{16})=([^;]*)(.*)$/.exec(cookie) ?? [];
    assert.ok(digits, cookie);
    assert.match(value, /^[A-Za-z0-9_-]{43}$/);
    assert.deepEqual(
      attributes
        .split(";")
        .map((one) => one.trim().toLowerCase())
        .filter(Boolean)
        .sort(),
      ["httponly", "max-age=600", "path=/", "samesite=lax", "secure"],
    );
    assert.ok(!answer.headers.location.includes(value) && !cookie.includes(state));
  });

  test("asks for no nonce where nobody's identity is asked for", async () => {
    const { params } = provider.read(await begin(new Browser(broker), "plain"));
    assert.deepEqual([params.nonce, params.scope], [undefined, "events"]);
  });

  test("has its own state, nonce, challenge and cookie each time", async () => {
    const browser = new Browser(broker);
    const all = [await begin(browser, "calendar"), await begin(browser, "calendar")].map(
      (url) => provider.read(url).params,
    );
    for (const name of ["state", "nonce", "code_challenge"]) assert.notEqual(all[0][name], all[1][name], name);
    assert.equal(browser.flows.length, 2);
  });

  test("pushes the request where the provider takes it, and sends the browser with the reference alone", async () => {
    const browser = new Browser(broker);
    const location = await begin(browser, "pushed");
    const query = Object.fromEntries(new URL(location).searchParams);
    assert.deepEqual(Object.keys(query).sort(), ["client_id", "request_uri"]);
    const { params } = pushing.read(location);
    assert.equal(params.redirect_uri, `${broker.url}/auth/callback/pushed`);
    assert.deepEqual(outcomeOf(await comeBack(browser, pushing.decide(location))), { porteiro: "connected" });
    assertStatus(await callApi(browser, "pushed"));
  });

  for (const [name, answer, code] of /** @type {const} */ ([
    ["refuses the client", { status: 401, body: { error: "invalid_client" } }, "credentials_rejected"],
    ["fails", { status: 503, body: "" }, "token_endpoint_unreachable"],
    ["answers what is no reference", { status: 201, body: { request_uri: "" } }, "token_response_invalid"],
  ])) {
    test(`goes back to the page where the endpoint for pushed requests ${name}`, async () => {
      pushing.scripted.par = [answer];
      const browser = new Browser(broker);
      const failed = await browser.begin("pushed", { return_to: PAGE });
      assertFailed(failed, code);
      assert.deepEqual(browser.flows, []);
      const [line, ...more] = await flowLines(failed);
      assert.deepEqual([line.outcome, line.reason, more], [code, "pushed_request", []]);
    });
  }

  test("is for GET alone, and for connections of people with this grant", async () => {
    const browser = new Browser(broker);
    for (const method of ["POST", "HEAD", "PUT", "DELETE"]) {
      const answer = await browser.begin("calendar", { return_to: PAGE }, { method });
      assert.equal(answer.status, 405, method);
    }
    assertProblem(await browser.begin("nobody"), 404, "unknown_connection");
    assertProblem(await browser.begin("vip"), 404, "not_found");
    assertProblem(await browser.begin("crm"), 404, "not_found");
    assert.deepEqual(browser.flows, []);
  });

  test("is a navigation of a page: no script, frame, image or prefetch begins one", async () => {
    const browser = new Browser(broker);
    for (const headers of /** @type {Fields[]} */ ([
      { "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" },
      { "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image" },
      { "Sec-Fetch-Dest": "iframe" },
      { "Sec-Fetch-Dest": "embed" },
      { "Sec-Purpose": "prefetch" },
      { "Sec-Purpose": "prefetch;prerender" },
    ])) {
      const answer = await browser.begin("calendar", { return_to: PAGE }, { headers });
      assertProblem(answer, 400, "bad_request");
      assert.deepEqual(setCookies(answer), [], JSON.stringify(headers));
    }
  });

  test("may be caused by any page: what comes of it goes to allowed pages alone", async () => {
    for (const site of /** @type {const} */ (["none", "same-origin", "same-site", "cross-site"])) {
      assertStatus(await new Browser(broker).begin("calendar", undefined, { site }), 303);
    }
  });

  test("goes back to the page where the provider's metadata cannot be had", async () => {
    const browser = new Browser(broker);
    const answer = await browser.begin("lost", { return_to: PAGE });
    assertFailed(answer, "connection_unavailable");
    assert.deepEqual(browser.flows, []);
    assert.deepEqual(
      (await flowLines(answer)).map(({ outcome, reason }) => [outcome, reason]),
      [["connection_unavailable", "metadata"]],
    );
  });

  test("is refused over plain http, but on this machine, and so is all that follows", async () => {
    const host = "broker.example";
    for (const [method, target] of [
      ["GET", "/auth/calendar/connect"],
      ["GET", "/auth/callback/calendar?code=x&state=y"],
      ["GET", `/auth/crm/link/${"A".repeat(43)}`],
      ["POST", `/auth/crm/link/${"A".repeat(43)}`],
      ["POST", "/auth/calendar/backchannel-logout"],
      ["POST", "/auth/session"],
      ["POST", "/admin/connections/crm/connect-link"],
    ]) {
      const answer = await broker.call(target, { method, host, key: null });
      assertProblem(answer, 403, "insecure_transport");
      assert.deepEqual(setCookies(answer), []);
    }
  });

  test("is limited for each network", async () => {
    const browser = new Browser(broker);
    const answers = [];
    for (let i = 0; i < 121; i += 1) {
      browser.jar.clear();
      answers.push((await browser.begin("plain")).status);
    }
    assert.deepEqual([...new Set(answers.slice(0, 120))], [303]);
    const refused = await browser.begin("plain");
    assertProblem(refused, 429, "rate_limited");
    assert.ok(Number(refused.headers["retry-after"]) > 0);
    assertStatus(await new Browser(broker).begin("plain"), 303);
  });
});

describe("return_to", () => {
  test("is the broker's own page by default", async () => {
    const browser = new Browser(broker);
    const answer = await connect(browser, "calendar", { query: {} });
    assert.equal(answer.headers.location, `${broker.url}/?porteiro=connected`);
  });

  test("may be a path, and keeps its query and its fragment", async () => {
    for (const [given, wanted] of [
      ["/a/b?c=%2F+d#e", `/a/b?c=%2F+d&porteiro=connected#e`],
      ["/x?porteiro=failed&porteiro_code=access_denied&porteiro_ticket=t&y=1", "/x?y=1&porteiro=connected"],
      ["/x?porteiros=1&Porteiro=2", "/x?porteiros=1&Porteiro=2&porteiro=connected"],
    ]) {
      const answer = await connect(new Browser(broker), "calendar", { query: { return_to: given } });
      assert.equal(answer.headers.location, `${broker.url}${wanted}`);
    }
    const page = `${ORIGIN}/p?porteiro=connected&q=é#porteiro=connected`;
    const answer = await connect(new Browser(broker), "calendar", {
      query: { return_to: page },
      decision: { error: "access_denied" },
    });
    assert.equal(
      answer.headers.location,
      `${ORIGIN}/p?q=%C3%A9&porteiro=failed&porteiro_code=access_denied#porteiro=connected`,
    );
  });

  test("leads nowhere else, however it is disguised", async () => {
    const own = new URL(broker.url);
    const host = new URL(ORIGIN).host;
    for (const page of [
      "",
      "page",
      "?x",
      "//evil.example/",
      `//${own.host}/`,
      "///evil.example",
      "/\\evil.example",
      "\\\\evil.example",
      "/\t/evil.example",
      "/\n/evil.example",
      " https://app.example.com/",
      "https://app.example.com/ ",
      "https:evil.example",
      "https:///evil.example",
      `https://${host}@evil.example/`,
      `https://user@${host}/`,
      `https://user:pass@${host}/`,
      `https://${host}.evil.example/`,
      `https://${host}:8443/`,
      `http://${host}/`,
      `https://${host}\\@evil.example/`,
      `https://evil.example/?${ORIGIN}`,
      `https://evil.example#${ORIGIN}`,
      `https://${host}%2eevil.example/`,
      "https://xn--pp-8ia.example.com/",
      "https://аpp.example.com/",
      "javascript:alert(1)",
      `javascript://${host}/%0aalert(1)`,
      "data:text/html,x",
      `blob:${ORIGIN}/x`,
      "null",
      `http://127.0.0.1:1/`,
      `http://localhost:${own.port}/`,
      `${ORIGIN}/${"a".repeat(4000)}`,
    ]) {
      const browser = new Browser(broker);
      const answer = await browser.begin("calendar", { return_to: page });
      assertProblem(answer, 400, "bad_request");
      assert.deepEqual([setCookies(answer), answer.headers.location], [[], undefined], page);
    }
  });

  test("comes once, and so does display, which has two values", async () => {
    const browser = new Browser(broker);
    const page = encodeURIComponent(PAGE);
    for (const query of [
      `return_to=${page}&return_to=${page}`,
      `return_to=${page}&return%5Fto=${page}`,
      `return_to=${page}&display=popup&display=popup`,
      `return_to=${page}&display=touch`,
    ]) {
      const answer = await browser.request(`${broker.url}/auth/calendar/connect?${query}`);
      assertProblem(answer, 400, "bad_request");
    }
    const more = await browser.request(
      `${broker.url}/auth/calendar/connect?return_to=${page}&display=page&utm_source=x`,
    );
    assertStatus(more, 303);
  });
});

describe("the end of a flow", () => {
  test("exchanges the code once, with its verifier, starts a session and goes back to the page", async () => {
    const browser = new Browser(broker);
    const location = await begin(browser, "calendar");
    const { params } = provider.read(location);
    const count = provider.tokenRequests.length;
    const answer = await comeBack(browser, provider.decide(location));
    assertEveryAnswer(answer, "callback");
    assert.equal(answer.headers.location, `${ORIGIN}/accounts?tab=1&porteiro=connected#list`);
    assert.equal(answer.bytes, 0);
    sessionIdOf(answer, STRICT);
    const sent = provider.tokenRequests.slice(count);
    assert.equal(sent.length, 1);
    const { code, code_verifier: verifier, client_secret, ...rest } = sent[0].params;
    assert.deepEqual(rest, {
      grant_type: "authorization_code",
      redirect_uri: params.redirect_uri,
      client_id: "porteiro",
    });
    assert.equal(digest(verifier), params.code_challenge);
    assert.deepEqual(assertStatus(await callApi(browser, "calendar")).json(), { user: "ana", path: "/api/me" });
  });

  test("proves the client by Basic where that is configured", async () => {
    const count = provider.tokenRequests.length;
    await connected("plain");
    const [{ headers, params }] = provider.tokenRequests.slice(count);
    assert.match(headers.authorization ?? "", /^Basic /);
    assert.deepEqual([params.client_id, params.client_secret], [undefined, undefined]);
  });

  test("is not read by pages: a callback has no CORS header, and no method but GET", async () => {
    const browser = new Browser(broker);
    const url = provider.decide(await begin(browser, "calendar"));
    for (const method of ["POST", "HEAD"]) {
      assert.equal((await comeBack(browser, url, { method })).status, 405, method);
    }
    const answer = await comeBack(browser, url, { headers: { Origin: ORIGIN } });
    assert.equal(answer.headers["access-control-allow-origin"], undefined);
  });

  test("is a navigation of a page: a prefetch, a frame or a script uses nothing up", async () => {
    const browser = new Browser(broker);
    const url = provider.decide(await begin(browser, "calendar"));
    for (const headers of /** @type {Fields[]} */ ([
      { "Sec-Purpose": "prefetch;prerender" },
      { "Sec-Fetch-Dest": "iframe" },
      { "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" },
    ])) {
      const answer = await withoutExchange(() => comeBack(browser, url, { headers }));
      assertProblem(answer, 400, "bad_request");
      assert.deepEqual(setCookies(answer), []);
    }
    assert.deepEqual(outcomeOf(await comeBack(browser, url)), { porteiro: "connected" });
  });

  test("ignores what providers add", async () => {
    const browser = new Browser(broker);
    const url = provider.decide(await begin(browser, "calendar"));
    const more = withParams(url, { session_state: "x", scope: "openid", authuser: "0", "": "y" });
    assert.deepEqual(outcomeOf(await comeBack(browser, more)), { porteiro: "connected" });
  });

  for (const [error, code] of [
    ["access_denied", "access_denied"],
    ["login_required", "access_denied"],
    ["consent_required", "access_denied"],
    ["interaction_required", "access_denied"],
    ["account_selection_required", "access_denied"],
    ["server_error", "connection_unavailable"],
    ["temporarily_unavailable", "connection_unavailable"],
    ["invalid_request", "misconfigured"],
    ["unauthorized_client", "misconfigured"],
    ["invalid_scope", "misconfigured"],
    ["maria@example.com <script>", "misconfigured"],
  ]) {
    test(`tells the page of the provider's ${error} that it is ${code}, and no more`, async () => {
      const browser = new Browser(broker);
      const answer = await withoutExchange(() => connect(browser, "calendar", { decision: { error } }));
      assertFailed(answer, code);
      const [line, ...more] = await flowLines(answer);
      assert.deepEqual([line.connection, line.outcome, line.audit, more], ["calendar", code, true, []]);
      assert.ok(line.reason);
      assert.ok(!JSON.stringify(line).includes("maria"));
      assertProblem(await callApi(browser, "calendar"), 401, "caller_unauthenticated");
    });
  }

  for (const [name, answer, code] of /** @type {const} */ ([
    ["refuses the code", { status: 400, body: { error: "invalid_grant" } }, "credentials_rejected"],
    ["refuses the client", { status: 401, body: { error: "invalid_client" } }, "credentials_rejected"],
    ["fails", { status: 500, body: "" }, "token_endpoint_unreachable"],
    ["answers no token", { status: 200, body: { token_type: "Bearer" } }, "token_response_invalid"],
    [
      "points elsewhere",
      { status: 307, headers: { Location: "http://127.0.0.1:1/token" }, body: "" },
      "token_response_invalid",
    ],
  ])) {
    test(`tells the page where the token endpoint ${name}; nothing is stored, and no wait follows`, async () => {
      provider.scripted.token = [answer];
      const browser = new Browser(broker);
      const count = provider.tokenRequests.length;
      const failed = await connect(browser, "calendar");
      assert.equal(outcomeOf(failed).porteiro_code, code);
      assert.equal(provider.tokenRequests.length, count + 1);
      assert.equal(browser.session, undefined);
      assert.deepEqual(
        (await flowLines(failed)).map(({ outcome, reason }) => [outcome, reason]),
        [[code, "exchange"]],
      );
      await connected("calendar", {}, browser);
    });
  }
});

describe("a flow that is refused", () => {
  test("because it was used already: nothing is sent a second time", async () => {
    const browser = new Browser(broker);
    const url = provider.decide(await begin(browser, "calendar"));
    assert.deepEqual(outcomeOf(await comeBack(browser, url)), { porteiro: "connected" });
    const again = await withoutExchange(() => comeBack(browser, url));
    assertFailed(again, "flow_expired", ownPage());
    assert.deepEqual(
      (await flowLines(again)).map(({ outcome }) => outcome),
      ["flow_expired"],
    );
    // The session of the first is none the worse.
    assertStatus(await callApi(browser, "calendar"));
  });

  test("because ten came at once: one is taken", async () => {
    const browser = new Browser(broker);
    const url = provider.decide(await begin(browser, "calendar"));
    const count = provider.tokenRequests.length;
    const answers = await Promise.all(Array.from({ length: 10 }, () => comeBack(browser, url)));
    const outcomes = answers.map(
      ({ headers }) => new URL(headers.location).searchParams.get("porteiro_code") ?? "connected",
    );
    assert.deepEqual(outcomes.sort(), ["connected", ...Array(9).fill("flow_expired")]);
    assert.equal(provider.tokenRequests.length, count + 1);
  });

  test("because its state was never given out", async () => {
    const browser = new Browser(broker);
    const url = provider.decide(await begin(browser, "calendar"));
    const answer = await withoutExchange(() => comeBack(browser, withParams(url, { state: "A".repeat(43) })));
    assertFailed(answer, "flow_expired", ownPage());
    assert.deepEqual(outcomeOf(await comeBack(browser, url)), { porteiro: "connected" });
  });

  test("because it was begun in another browser, which can still end it", async () => {
    const [victim, other, third] = [new Browser(broker), new Browser(broker), new Browser(broker)];
    const url = provider.decide(await begin(victim, "calendar"));
    await begin(other, "calendar");
    // The third has no flow at all.
    for (const browser of [other, third]) {
      const answer = await withoutExchange(() => comeBack(browser, url));
      assertFailed(answer, "flow_mismatch", ownPage());
      assert.deepEqual(
        (await flowLines(answer)).map(({ outcome }) => outcome),
        ["flow_mismatch"],
      );
    }
    assert.deepEqual(outcomeOf(await comeBack(victim, url)), { porteiro: "connected" });
  });

  test("because the cookie is another flow's, or doubled", async () => {
    const browser = new Browser(broker);
    const url = provider.decide(await begin(browser, "calendar"));
    await begin(browser, "calendar");
    const jar = browser.jar.get(broker.url);
    const [first, second] = browser.flows;
    const [own, others] = [first, second].map((name) => jar?.get(name)?.value);
    for (const cookie of [`${first}=${others}`, `${first}=${own}; ${first}=${own}`, `${first}=`, `${second}=${own}`]) {
      const answer = await withoutExchange(() => comeBack(browser, url, { headers: { Cookie: cookie } }));
      assertFailed(answer, "flow_mismatch", ownPage());
    }
    assert.deepEqual(outcomeOf(await comeBack(browser, url)), { porteiro: "connected" });
  });

  test("because a parameter is doubled, or a code stands beside an error", async () => {
    const browser = new Browser(broker);
    const url = provider.decide(await begin(browser, "calendar"));
    const { searchParams } = new URL(url);
    const [code, state] = ["code", "state"].map((name) => searchParams.get(name));
    for (const query of [
      `${url}&code=${code}`,
      `${url}&code=other`,
      `${url}&%63ode=${code}`,
      `${url}&state=${state}`,
      `${url}&iss=${encodeURIComponent(provider.issuer.issuer)}`,
      `${url}&error=access_denied`,
      `${withParams(url, { code: null, error: "access_denied" })}&error=access_denied`,
      withParams(url, { code: null }),
      withParams(url, { code: "" }),
      withParams(url, { state: null }),
      withParams(url, { state: "" }),
      withParams(url, { code: `${code}\u0000` }),
      `${broker.url}/auth/callback/calendar`,
    ]) {
      const answer = await withoutExchange(() => comeBack(browser, query));
      assertProblem(answer, 400, "bad_request");
      assert.deepEqual(setCookies(answer), []);
    }
    assert.deepEqual(outcomeOf(await comeBack(browser, url)), { porteiro: "connected" });
  });

  for (const [name, iss] of /** @type {const} */ ([
    ["another issuer", "https://evil.example"],
    ["the issuer with a slash", "/"],
    ["no issuer, though the provider announces one", null],
    ["an empty issuer", ""],
  ])) {
    test(`because it comes with ${name}`, async () => {
      const browser = new Browser(broker);
      const said = iss === "/" ? `${provider.issuer.issuer}/` : iss;
      const answer = await withoutExchange(() => connect(browser, "calendar", { decision: { iss: said } }));
      assertFailed(answer, "issuer_mismatch");
      assert.deepEqual(
        (await flowLines(answer)).map(({ outcome }) => outcome),
        ["issuer_mismatch"],
      );
      // An error of another issuer says nothing of this flow either.
      const denied = await connect(browser, "calendar", { decision: { iss: said, error: "access_denied" } });
      assertFailed(denied, "issuer_mismatch");
    });
  }

  test("because it comes back at another connection's address", async () => {
    const browser = new Browser(broker);
    const url = provider.decide(await begin(browser, "calendar"));
    const moved = url.replace("/callback/calendar", "/callback/entrance");
    assertFailed(await withoutExchange(() => comeBack(browser, moved)), "issuer_mismatch");
  });

  test("because the address is nobody's", async () => {
    const browser = new Browser(broker);
    const url = provider.decide(await begin(browser, "calendar"));
    for (const path of ["/callback/", "/callback/a/b", "/callback"]) {
      const moved = url.replace("/callback/calendar", path);
      const answer = await withoutExchange(() => comeBack(browser, moved));
      assert.ok([404, 405].includes(answer.status), `${path}: ${answer.status}`);
    }
  });
});

describe("an ID token", () => {
  const thief = makeKey("RS256", { kid: "rs256" });
  const now = seconds();
  /** @type {{ [name: string]: () => Decision["idToken"] }} */
  const DEFECTS = {
    "is missing": () => null,
    "is no token": () => "x.y.z",
    "has another nonce": () => ({ claims: { nonce: "A".repeat(43) } }),
    "has no nonce": () => ({ claims: { nonce: undefined } }),
    "is for another client": () => ({ claims: { aud: "somebody-else" } }),
    "is for several clients, this one not the authorized party": () => ({
      claims: { aud: ["porteiro", "other"], azp: "other" },
    }),
    "is for no client": () => ({ claims: { aud: undefined } }),
    "has another issuer": () => ({ claims: { iss: "https://evil.example" } }),
    "has no issuer": () => ({ claims: { iss: undefined } }),
    "has an empty subject": () => ({ claims: { sub: "" } }),
    "has no subject": () => ({ claims: { sub: undefined } }),
    "has a subject that is no text": () => ({ claims: { sub: 7 } }),
    "has expired": () => ({ claims: { iat: now - 900, exp: now - 600 } }),
    "has no expiry": () => ({ claims: { exp: undefined } }),
    "was issued in the future": () => ({ claims: { iat: now + 3600, exp: now + 7200 } }),
    "is signed by nobody": () => ({ key: { alg: "none" }, sign: () => "" }),
    "is signed by the client's secret": () => ({
      key: { alg: "HS256", kid: "rs256" },
      sign: (input) => mac(256, provider.clients.get("porteiro")?.secret ?? "", input),
    }),
    "is signed by the public key as a secret": () => ({
      key: { alg: "HS256", kid: "rs256" },
      sign: (input) => mac(256, String(provider.key.publicKey.export({ type: "spki", format: "pem" })), input),
    }),
    "is signed by another key": () => ({ key: thief }),
    "is of another access token": () => ({ claims: { at_hash: encoded(Buffer.alloc(16)) } }),
  };
  for (const [defect, make] of Object.entries(DEFECTS)) {
    test(`that ${defect} proves nobody: nothing is stored`, async () => {
      const browser = new Browser(broker);
      const answer = await connect(browser, "calendar", { decision: { idToken: make() } });
      assertFailed(answer, "token_response_invalid");
      assert.equal(browser.session, undefined);
      assert.deepEqual(
        (await flowLines(answer)).map(({ outcome, reason }) => [outcome, reason]),
        [["token_response_invalid", "id_token"]],
      );
      assertProblem(await browser.listed(), 401, "caller_unauthenticated");
    });
  }

  test("of the same person at the same client, but of another flow, proves nobody", async () => {
    const first = new Browser(broker);
    await connected("calendar", {}, first);
    const old = provider.issued.findLast((one) => one.split(".").length === 3);
    assertFailed(
      await connect(new Browser(broker), "calendar", { decision: { idToken: old } }),
      "token_response_invalid",
    );
  });

  test("that is refused leaves the session and its connection as they are", async () => {
    const browser = await connected("calendar");
    const before = browser.session;
    assertFailed(await connect(browser, "calendar", { decision: { idToken: null } }), "token_response_invalid");
    assert.equal(browser.session, before);
    assertStatus(await callApi(browser, "calendar"));
  });

  test("may be for several clients where this one is the authorized party", async () => {
    await connected("calendar", { decision: { idToken: { claims: { aud: ["porteiro", "other"], azp: "porteiro" } } } });
  });
});

describe("a person", () => {
  test("is shown to the page with the claims that it may read, and no other", async () => {
    const claims = { email: "ana@example.com", email_verified: true, tier: 3, phone_number: "+55" };
    const browser = await connected("calendar", { decision: { claims } });
    const { person, connections } = assertStatus(await browser.listed()).json();
    assert.deepEqual(person, {
      issuer: provider.issuer.issuer,
      subject: "ana",
      claims: { email: "ana@example.com", tier: 3 },
    });
    assert.deepEqual(
      connections.map((/** @type {{ id: string }} */ { id }) => id),
      ["calendar"],
    );
  });

  test("is the one who signed in first", async () => {
    const browser = await connected("calendar", { decision: { sub: "ana" } });
    await connected("entrance", { decision: { sub: "ana-at-work", claims: { email: "w@example.com" } } }, browser);
    assert.equal((await browser.listed()).json().person.subject, "ana");
    assert.deepEqual(await browser.connections(), ["calendar", "entrance"]);
  });

  test("is nobody where no ID token came", async () => {
    const browser = await connected("plain");
    assert.equal((await browser.listed()).json().person, undefined);
  });

  test("may just sign in, where there is no API: calls are refused", async () => {
    const browser = await connected("entrance", { decision: { claims: { email: "ana@example.com" } } });
    assert.deepEqual((await browser.listed()).json().person.claims, { email: "ana@example.com" });
    assertProblem(await callApi(browser, "entrance"), 403, "operation_not_allowed");
  });

  test("is let in by rules by who signed in, and told 403 otherwise, not to sign in again", async () => {
    const gold = await connected("calendar", { decision: { sub: "gold", claims: { tier: "gold" } } });
    const plain = await connected("calendar", { decision: { claims: { tier: "tin" } } });
    // The API does not know the static token: what counts is that the call came there.
    assertProblem(await callApi(gold, "vip", "/api/vip/x"), 502, "upstream_unauthorized");
    assertProblem(await callApi(plain, "vip", "/api/vip/x"), 403, "operation_not_allowed");
    assertProblem(await callApi(await connected("entrance"), "vip", "/api/vip/x"), 403, "operation_not_allowed");
    assertProblem(await callApi(new Browser(broker), "vip", "/api/vip/x"), 401, "caller_unauthenticated");
  });

  test("reaches their own data alone by a rule with a template", async () => {
    const browser = await connected("calendar", { decision: { sub: "ana/../b" } });
    const ana = await connected("calendar");
    const calls = provider.calls.length;
    for (const path of ["bruno/x", "ana%2F..%2Fb/x", "ANA/x", "an%61x/x", "x", "/x"]) {
      const answer = await callApi(ana, "vip", `/api/people/${path}`);
      assert.ok([400, 403].includes(answer.status), `${path}: ${answer.status}`);
    }
    for (const path of ["ana/x", "b/x", "ana/../b/x"]) {
      const answer = await callApi(browser, "vip", `/api/people/${path}`);
      assert.ok([400, 403].includes(answer.status), `${path}: ${answer.status}`);
    }
    assert.equal(provider.calls.length, calls);
    assertProblem(await callApi(ana, "vip", "/api/people/ana/x"), 502, "upstream_unauthorized");
    assert.equal(provider.calls.at(-1)?.path, "/api/people/ana/x");
  });

  test("who has a session and no consent yet is told where to connect", async () => {
    const browser = await connected("entrance");
    const body = assertProblem(await callApi(browser, "calendar"), 401, "not_connected");
    assert.equal(body.connect_url, `${broker.url}/auth/calendar/connect`);
    assertProblem(await callApi(new Browser(broker), "calendar"), 401, "caller_unauthenticated");
  });

  test("whose consent the provider ended is told so, keeps the session, and connects again", async () => {
    const browser = await connected("calendar", { decision: { sub: "leaver" } });
    assertStatus(await callApi(browser, "calendar"));
    provider.withdraw("leaver");
    for (let i = 0; i < 2; i += 1) {
      assertProblem(await callApi(browser, "calendar"), 401, "not_connected", {
        connect_url: `${broker.url}/auth/calendar/connect`,
      });
    }
    await connected("calendar", { decision: { sub: "leaver" } }, browser);
    assertStatus(await callApi(browser, "calendar"));
  });
});

describe("the session of a flow", () => {
  test("is the one that it began with, though the callback comes without its cookie", async () => {
    const browser = await connected("entrance");
    const before = browser.session;
    const location = await begin(browser, "calendar");
    const answer = await comeBack(browser, provider.decide(location));
    assert.equal(outcomeOf(answer).porteiro, "connected");
    assert.notEqual(browser.session, before);
    assert.deepEqual(await browser.connections(), ["entrance", "calendar"]);
    // The cookie that was replaced is worth nothing.
    const old = await broker.call("/auth/session", {
      key: null,
      origin: ORIGIN,
      headers: { Cookie: `${COOKIE}=${before}` },
    });
    assertProblem(old, 401, "caller_unauthenticated");
  });

  test("is one for two tabs that connect at once", async () => {
    const browser = await connected("entrance");
    const [a, b] = [await begin(browser, "calendar"), await begin(browser, "plain")];
    const answers = await Promise.all([comeBack(browser, provider.decide(a)), comeBack(browser, provider.decide(b))]);
    for (const answer of answers) assert.equal(outcomeOf(answer).porteiro, "connected");
    // Whichever answer came last, its cookie is one of the session with all three.
    const ids = answers.map((answer) => sessionIdOf(answer, STRICT));
    const alive = [];
    for (const id of ids) {
      const listed = await broker.call("/auth/session", {
        key: null,
        origin: ORIGIN,
        headers: { Cookie: `${COOKIE}=${id}` },
      });
      if (listed.status === 200)
        alive.push(
          listed
            .json()
            .connections.map((/** @type {{ id: string }} */ one) => one.id)
            .sort(),
        );
    }
    assert.deepEqual(alive, [["calendar", "entrance", "plain"]]);
  });

  test("has one connection where two tabs connect to it at once", async () => {
    const browser = await connected("entrance");
    const [a, b] = [await begin(browser, "calendar"), await begin(browser, "calendar")];
    for (const location of [b, a]) {
      assert.equal(outcomeOf(await comeBack(browser, provider.decide(location))).porteiro, "connected");
    }
    assert.deepEqual(await browser.connections(), ["entrance", "calendar"]);
    assertStatus(await callApi(browser, "calendar"));
  });

  test("is a new one each where two tabs begin without any", async () => {
    const browser = new Browser(broker);
    const [a, b] = [await begin(browser, "calendar"), await begin(browser, "plain")];
    assert.equal(browser.flows.length, 2);
    await comeBack(browser, provider.decide(a));
    const first = browser.session;
    await comeBack(browser, provider.decide(b));
    assert.notEqual(browser.session, first);
    assert.deepEqual(await browser.connections(), ["plain"]);
  });

  test("is another person's, with nothing of the one before, where somebody else signs in", async () => {
    const browser = await connected("calendar", { decision: { sub: "ana" } });
    await connected("plain", { decision: { sub: "ana" } }, browser);
    const old = browser.session;
    await connected("calendar", { decision: { sub: "bruno" } }, browser);
    const { person, connections } = assertStatus(await browser.listed()).json();
    assert.deepEqual(
      [person.subject, connections.map((/** @type {{ id: string }} */ { id }) => id)],
      ["bruno", ["calendar"]],
    );
    assert.equal(assertStatus(await callApi(browser, "calendar")).json().user, "bruno");
    assertProblem(await callApi(browser, "plain"), 401, "not_connected");
    const former = await broker.call("/auth/session", {
      key: null,
      origin: ORIGIN,
      headers: { Cookie: `${COOKIE}=${old}` },
    });
    assertProblem(former, 401, "caller_unauthenticated");
  });

  test("loses a consent whose exchange is cut off by a crash, and nothing else", async () => {
    const browser = await connected("calendar", { decision: { sub: "crashes" } });
    const location = await begin(browser, "plain");
    const back = provider.decide(location, { sub: "crashes" });
    /** @type {PromiseWithResolvers<void>} */
    const { promise, resolve } = Promise.withResolvers();
    provider.hold = promise;
    const count = provider.tokenRequests.length;
    const cut = comeBack(browser, back).catch(() => undefined);
    await until(() => provider.tokenRequests.length > count, "the exchange");
    await broker.kill();
    resolve();
    await cut;
    provider.hold = Promise.resolve();
    await broker.start();
    assert.deepEqual(await browser.connections(), ["calendar"]);
    assertStatus(await callApi(browser, "calendar"));
    assertFailed(await withoutExchange(() => comeBack(browser, back)), "flow_expired", ownPage());
    await connected("plain", { decision: { sub: "crashes" } }, browser);
    assert.deepEqual(await browser.connections(), ["calendar", "plain"]);
  });

  test("that ended meanwhile is followed by a new one", async () => {
    const browser = await connected("entrance");
    const location = await begin(browser, "calendar");
    assertStatus(await browser.fetch("/auth/logout", { method: "POST" }), 204);
    assert.equal(outcomeOf(await comeBack(browser, provider.decide(location))).porteiro, "connected");
    assert.deepEqual(await browser.connections(), ["calendar"]);
  });

  test("has eight flows at most; one more ends all of them", async () => {
    const browser = new Browser(broker);
    /** @type {string[]} */
    const locations = [];
    for (let i = 0; i < 8; i += 1) locations.push(await begin(browser, "calendar"));
    assert.equal(browser.flows.length, 8);
    const last = await begin(browser, "calendar");
    assert.equal(browser.flows.length, 1);
    assertFailed(
      await withoutExchange(() => comeBack(browser, provider.decide(locations[0]))),
      "flow_mismatch",
      ownPage(),
    );
    assert.deepEqual(outcomeOf(await comeBack(browser, provider.decide(last))), { porteiro: "connected" });
  });
});

describe("a popup", () => {
  const query = { return_to: PAGE, display: "popup" };

  /** What a popup's page posts, and to whom. @param {string} page */
  function posted(page) {
    const [, message, origin] = /postMessage\((\{.*?\}),("[^"]*")\)/.exec(page) ?? [];
    assert.ok(message, page);
    return [JSON.parse(message), JSON.parse(origin)];
  }

  test("posts the outcome to its opener at the page's origin alone, and closes", async () => {
    const browser = new Browser(broker);
    const answer = assertStatus(await connect(browser, "calendar", { query }));
    assertEveryAnswer(answer, "popup");
    assert.match(answer.headers["content-type"], /^text\/html; ?charset=utf-8$/i);
    assert.deepEqual(posted(answer.text), [
      { source: "porteiro", connection: "calendar", outcome: "connected", code: null },
      ORIGIN,
    ]);
    assert.match(answer.text, /window\.close\(\)/);
    sessionIdOf(answer, STRICT);
    assertStatus(await callApi(browser, "calendar"));
  });

  test("tells a failure by its code, and has no word of the provider's", async () => {
    const browser = new Browser(broker);
    const answer = assertStatus(await connect(browser, "calendar", { query, decision: { error: "access_denied" } }));
    assert.deepEqual(posted(answer.text), [
      { source: "porteiro", connection: "calendar", outcome: "failed", code: "access_denied" },
      ORIGIN,
    ]);
    assert.ok(!answer.text.includes("Said by the provider"));
    const other = assertStatus(
      await connect(browser, "calendar", { query, decision: { error: "</script><script>alert(1)" } }),
    );
    assert.deepEqual(posted(other.text)[0].code, "misconfigured");
    assert.ok(!other.text.includes("alert"));
  });

  test("runs its own script alone, and can be framed by nobody", async () => {
    const policies = [];
    for (let i = 0; i < 2; i += 1) {
      const { headers, text } = await connect(new Browser(broker), "calendar", { query });
      const policy = headers["content-security-policy"];
      const [, nonce] = /script-src 'nonce-([A-Za-z0-9_-]{22,})'/.exec(policy) ?? [];
      assert.ok(nonce, policy);
      for (const part of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"])
        assert.ok(policy.includes(part), part);
      assert.ok(!/unsafe|\*(?!;)/.test(policy.replace(/form-action[^;]*/, "")), policy);
      assert.equal([...text.matchAll(/<script\b/g)].length, 1);
      assert.ok(text.includes(`<script nonce="${nonce}">`));
      assert.ok(!/\son\w+=/i.test(text));
      assert.equal(headers["cross-origin-opener-policy"] ?? "unsafe-none", "unsafe-none");
      policies.push(policy);
    }
    assert.notEqual(policies[0], policies[1]);
  });

  test("has nothing of the page's address in it but the origin", async () => {
    const page = `${ORIGIN}/</script><script>alert(1)</script>?"'<img src=x>#</script>`;
    const answer = assertStatus(
      await connect(new Browser(broker), "calendar", { query: { ...query, return_to: page } }),
    );
    assert.equal(posted(answer.text)[1], ORIGIN);
    assert.ok(!/alert|<img/.test(answer.text));
  });

  test("speaks the language of its browser", async () => {
    for (const [language, tag] of [
      ["pt-BR", "pt"],
      ["en", "en"],
    ]) {
      const answer = await connect(new Browser(broker, { language }), "calendar", { query });
      assert.match(answer.text, new RegExp(`<html lang="${tag}`));
    }
  });
});

describe("a person who leaves", () => {
  test("disconnects one account: its tokens are revoked, the session and the others go on", async () => {
    const browser = await connected("calendar");
    await connected("plain", {}, browser);
    const since = provider.revocations.length;
    assertStatus(await browser.fetch("/auth/calendar", { method: "DELETE" }), 204);
    assertProblem(await callApi(browser, "calendar"), 401, "not_connected");
    assertStatus(await callApi(browser, "plain"));
    assert.deepEqual(await browser.connections(), ["plain"]);
    await until(() => provider.revocations.length > since, "the revocation");
    const [{ params, status }] = provider.revocations.slice(since);
    assert.deepEqual([params.token_type_hint, params.client_id, status], ["refresh_token", "porteiro", 200]);
    assert.match(params.token, /^refresh-/);
    assert.equal(provider.revocations.length, since + 1);
  });

  test("disconnects at an allowed page alone, and twice is once", async () => {
    const browser = await connected("calendar");
    for (const options of [
      { origin: "https://evil.example" },
      { origin: undefined, site: /** @type {const} */ ("cross-site") },
    ]) {
      const answer = await browser.fetch("/auth/calendar", {
        method: "DELETE",
        ...options,
        headers: { Cookie: `${COOKIE}=${browser.session}` },
      });
      assert.equal(answer.status, 403, answer.text);
    }
    assertStatus(await callApi(browser, "calendar"));
    for (let i = 0; i < 2; i += 1) assertStatus(await browser.fetch("/auth/calendar", { method: "DELETE" }), 204);
    assertProblem(await browser.fetch("/auth/nobody", { method: "DELETE" }), 404, "unknown_connection");
    assertProblem(await browser.fetch("/auth/crm", { method: "DELETE" }), 404, "not_found");
    assert.equal((await browser.fetch("/auth/calendar", { method: "POST" })).status, 405);
  });

  test("signs out: every token of the session is revoked", async () => {
    const browser = await connected("calendar");
    await connected("plain", {}, browser);
    const since = provider.revocations.length;
    const answer = assertStatus(await browser.fetch("/auth/logout", { method: "POST" }), 204);
    assert.ok(setCookies(answer).some((cookie) => cookie.startsWith(`${COOKIE}=;`) && /max-age=0/i.test(cookie)));
    await until(() => provider.revocations.length >= since + 2, "the revocations");
    assertProblem(await callApi(browser, "calendar"), 401, "caller_unauthenticated");
    const proofs = provider.revocations
      .slice(since)
      .map(({ headers, params }) => headers.authorization ?? params.client_id);
    assert.equal(proofs.filter((proof) => proof.startsWith("Basic ")).length, 1);
  });

  test("signs out though the provider does not revoke; that is tried twice", async () => {
    const browser = await connected("calendar");
    provider.scripted.revoke = [
      { status: 503, body: "" },
      { status: 503, body: "" },
    ];
    const [since, said] = [provider.revocations.length, broker.output.length];
    assertStatus(await browser.fetch("/auth/logout", { method: "POST" }), 204);
    await until(() => provider.revocations.length >= since + 2, "the second attempt");
    const lines = () => broker.logsSince(said).filter(({ event }) => event === "revocation");
    await until(() => lines().length >= 2, "the lines of both");
    assert.equal(provider.revocations.length, since + 2);
    assert.deepEqual(
      lines().map(({ outcome, status }) => [outcome, status]),
      [
        ["failed", 503],
        ["failed", 503],
      ],
    );
  });

  test("gets the provider's address to sign out there, too", async () => {
    const browser = await connected("calendar");
    const target = `/auth/logout?${new URLSearchParams({ provider: "true", return_to: PAGE })}`;
    const answer = assertStatus(await browser.fetch(target, { method: "POST" }));
    const url = new URL(answer.json().logout_url);
    assert.equal(`${url.origin}${url.pathname}`, `${provider.url}/end-session`);
    assert.deepEqual(Object.fromEntries(url.searchParams), { client_id: "porteiro", post_logout_redirect_uri: PAGE });
    assert.equal(browser.session, undefined);
    const other = await connected("plain");
    assertStatus(await other.fetch(target, { method: "POST" }), 204);
    const evil = `/auth/logout?${new URLSearchParams({ provider: "true", return_to: "https://evil.example/" })}`;
    assertProblem(await other.fetch(evil, { method: "POST" }), 400, "bad_request");
  });
});

describe("the provider's word that somebody signed out", () => {
  /** @param {string} token @param {string} [id] */
  const tell = (token, id = "calendar") =>
    broker.call(`/auth/${id}/backchannel-logout`, {
      method: "POST",
      key: null,
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ logout_token: token }).toString(),
    });

  test("ends the sessions of that sid, or of that sub, everywhere at once", async () => {
    const sub = "many-devices";
    const [phone, laptop, other] = [
      await connected("calendar", { decision: { sub, sid: "s-phone" } }),
      await connected("calendar", { decision: { sub, sid: "s-laptop" } }),
      await connected("calendar", { decision: { sub: "bruno", sid: "s-bruno" } }),
    ];
    const answer = assertStatus(await tell(provider.logoutToken("porteiro", { sid: "s-phone", sub })));
    assert.equal(answer.headers["cache-control"], "no-store");
    assertProblem(await callApi(phone, "calendar"), 401, "caller_unauthenticated");
    assertStatus(await callApi(laptop, "calendar"));
    assertStatus(await tell(provider.logoutToken("porteiro", { sub })));
    assertProblem(await callApi(laptop, "calendar"), 401, "caller_unauthenticated");
    assertStatus(await callApi(other, "calendar"));
  });

  test("ends sessions whose ID token named no sid, by their sub, and none of another person's by a sid", async () => {
    const [own, other] = [
      await connected("calendar", { decision: { sub: "no-sid" } }),
      await connected("calendar", { decision: { sub: "bruno", sid: "s-shared" } }),
    ];
    assertStatus(await tell(provider.logoutToken("porteiro", { sub: "no-sid", sid: "s-shared" })));
    assertProblem(await callApi(own, "calendar"), 401, "caller_unauthenticated");
    assertStatus(await callApi(other, "calendar"));
    assertStatus(await tell(provider.logoutToken("porteiro", { sid: "s-shared" })));
    assertProblem(await callApi(other, "calendar"), 401, "caller_unauthenticated");
  });

  test("is a form that is sent by POST, of a reasonable size", async () => {
    const token = provider.logoutToken("porteiro", { sub: "nobody-here" });
    /** @param {Fields} headers @param {string} body */
    const post = (headers, body) =>
      broker.call("/auth/calendar/backchannel-logout", { method: "POST", key: null, headers, body });
    const form = { "Content-Type": "application/x-www-form-urlencoded" };
    assert.equal(
      (await post({ "Content-Type": "application/json" }, JSON.stringify({ logout_token: token }))).status,
      400,
    );
    assert.equal((await post(form, `logout_token=${token}&logout_token=${token}`)).status, 400);
    assert.equal((await post(form, `id_token=${token}`)).status, 400);
    assertProblem(await post(form, `logout_token=${"x".repeat(64 * 1024)}`), 413, "body_too_large");
    assert.equal((await broker.call("/auth/calendar/backchannel-logout", { key: null })).status, 405);
    assertStatus(await post(form, `logout_token=${token}`));
  });

  test("may come again where the provider's keys could not be had", async () => {
    // No ID token of its own brought the keys of this one's provider.
    const { answers, jwksPath } = hostile.issuer;
    answers[jwksPath] = { status: 500, body: "" };
    const token = hostile.logoutToken("porteiro", { sub: "nobody-here" });
    assertProblem(await tell(token, "theirs"), 503, "connection_unavailable");
    delete answers[jwksPath];
    assertStatus(await tell(token, "theirs"));
    assert.equal((await tell(token, "theirs")).status, 400);
  });

  test("counts once, at its own connection, and where it is whole", async () => {
    const sub = "stays";
    const browser = await connected("calendar", { decision: { sub, sid: "s-stays" } });
    const used = provider.logoutToken("porteiro", { sub: "nobody-here" });
    assertStatus(await tell(used));
    const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
    for (const token of [
      used,
      "",
      "x.y.z",
      provider.logoutToken("other", { sub }),
      provider.logoutToken("porteiro", { sub, iss: "https://evil.example" }),
      provider.logoutToken("porteiro", { sub, events: {} }),
      provider.logoutToken("porteiro", { sub, nonce: "x" }),
      provider.logoutToken("porteiro", { sub, exp: seconds() - 600, iat: seconds() - 900 }),
      provider.logoutToken("porteiro", { sub, jti: undefined }),
      provider.logoutToken("porteiro", { sub: undefined }),
      provider.logoutToken("porteiro", { sub }, { key: makeKey("RS256", { kid: "rs256" }) }),
      provider.logoutToken("porteiro", { sub }, { key: { alg: "none" }, sign: () => "" }),
      // An ID token is none.
      provider.issuer.token({ claims: { aud: "porteiro", sub, events: undefined, nonce: "n" } }),
    ]) {
      const answer = await tell(token);
      assert.equal(answer.status, 400, `${token}: ${answer.text}`);
      assert.equal(answer.headers["cache-control"], "no-store");
    }
    const good = provider.logoutToken("porteiro", { sub });
    assertProblem(await tell(good, "nobody"), 404, "unknown_connection");
    assert.equal((await tell(good, "plain")).status, 404);
    assertStatus(await tell(good, "entrance"));
    assertStatus(await callApi(browser, "calendar"));
    assertStatus(await tell(provider.logoutToken("porteiro", { sub, events })));
    assertProblem(await callApi(browser, "calendar"), 401, "caller_unauthenticated");
  });
});

describe("an operator", () => {
  test("signs a person out everywhere, by connection and subject", async () => {
    const sub = "dismissed";
    const two = [
      await connected("calendar", { decision: { sub } }),
      await connected("calendar", { decision: { sub } }),
    ];
    const other = await connected("calendar");
    /** @param {unknown} json */
    const signOut = (json) => admin("people/sign-out", { method: "POST", json });
    assert.deepEqual(assertStatus(await signOut({ connection: "calendar", subject: sub })).json(), { ended: 2 });
    for (const browser of two) assertProblem(await callApi(browser, "calendar"), 401, "caller_unauthenticated");
    assertStatus(await callApi(other, "calendar"));
    assert.deepEqual(assertStatus(await signOut({ connection: "calendar", subject: sub })).json(), { ended: 0 });
    assertProblem(await signOut({ connection: "nobody", subject: sub }), 404, "unknown_connection");
    for (const wrong of [
      {},
      { connection: "calendar" },
      { connection: "calendar", subject: "" },
      { connection: "calendar", subject: 7 },
    ]) {
      assertProblem(await signOut(wrong), 400, "bad_request");
    }
    assertProblem(
      await admin("people/sign-out", { method: "POST", key: "wrong", json: {} }),
      401,
      "caller_unauthenticated",
    );
  });

  test("sees which connection nobody has connected, and which is", async () => {
    assert.equal((await entry("crm")).state, "disconnected");
    assertProblem(await broker.call("/api/crm/api/me"), 503, "connection_unavailable", { cause: "not_connected" });
    const { url, expires_at } = assertStatus(await admin("connections/crm/connect-link", { method: "POST" })).json();
    assert.match(url, new RegExp(`^${broker.url}/auth/crm/link/[A-Za-z0-9_-]{43}$`));
    assert.ok(Math.abs(Date.parse(expires_at) - Date.now() - 15 * 60_000) < 10_000, expires_at);
    await connectByLink(url);
    assert.equal((await entry("crm")).state, "ready");
    assert.deepEqual(assertStatus(await broker.call("/api/crm/api/me")).json(), { user: "ana", path: "/api/me" });
  });

  test("drops a consent, which has to be given again", async () => {
    await connectByLink(await newLink());
    assertStatus(await broker.call("/api/crm/api/me"));
    assertStatus(await admin("connections/crm/token", { method: "DELETE" }), 204);
    assert.equal((await entry("crm")).state, "disconnected");
    assertProblem(await broker.call("/api/crm/api/me"), 503, "connection_unavailable", { cause: "not_connected" });
    await connectByLink(await newLink());
    assertStatus(await broker.call("/api/crm/api/me"));
  });

  test("makes no link for what people connect for themselves, or for another grant", async () => {
    for (const id of ["calendar", "vip"]) {
      assertProblem(await admin(`connections/${id}/connect-link`, { method: "POST" }), 400, "bad_request");
    }
    assertProblem(await admin("connections/nobody/connect-link", { method: "POST" }), 404, "unknown_connection");
    assertProblem(
      await admin("connections/crm/connect-link", { method: "POST", key: "wrong" }),
      401,
      "caller_unauthenticated",
    );
    assert.equal((await admin("connections/crm/connect-link")).status, 405);
  });
});

/**
 * Connects by a link, as whoever got it does.
 *
 * @param {string} url
 * @param {Decision} [decision]
 */
async function connectByLink(url, decision, browser = new Browser(broker)) {
  const shown = assertStatus(await browser.request(url, { site: "none" }));
  assert.match(shown.text, /<form method="post"><button/);
  const led = assertStatus(await browser.request(url, { method: "POST", form: {}, site: "same-origin" }), 303);
  return assertStatus(await comeBack(browser, provider.decide(led.headers.location, decision)));
}

/** @param {string} [id] @returns {Promise<string>} */
const newLink = async (id = "crm") =>
  assertStatus(await admin(`connections/${id}/connect-link`, { method: "POST" })).json().url;

describe("a link", () => {
  test("shows a page with one button and no script, in the language of its browser", async () => {
    const url = await newLink();
    for (const [language, tag, word] of [
      ["pt-BR,pt;q=0.9", "pt", "provedor"],
      ["en", "en", "provider"],
      ["de", "en", "provider"],
    ]) {
      const answer = assertStatus(await new Browser(broker, { language }).request(url, { site: "none" }));
      assertEveryAnswer(answer, "link");
      assert.match(answer.headers["content-type"], /^text\/html/);
      assert.match(answer.text, new RegExp(`<html lang="${tag}`));
      assert.ok(answer.text.includes(word));
      assert.equal([...answer.text.matchAll(/<button/g)].length, 1);
      assert.ok(!/<script|<a\b|<img|<iframe|javascript:|\son\w+=/i.test(answer.text));
      const policy = answer.headers["content-security-policy"];
      for (const part of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"])
        assert.ok(policy.includes(part), policy);
      assert.ok(!policy.includes("script-src"), policy);
      assert.ok(answer.headers.vary.toLowerCase().includes("accept-language"));
      assert.deepEqual(setCookies(answer), []);
    }
  });

  test("is used up by the first code that comes back, and by nothing before it", async () => {
    const url = await newLink();
    const browser = new Browser(broker);
    // Previews, prefetches and looks.
    for (const options of /** @type {Navigation[]} */ ([
      { method: "HEAD" },
      { headers: { "Sec-Purpose": "prefetch" } },
      { headers: { "User-Agent": "WhatsApp/2.23" }, site: "none" },
      {},
    ])) {
      assertStatus(await browser.request(url, options));
    }
    // A refusal by the person uses nothing up either.
    const denied = await connectByLink(url, { error: "access_denied" });
    assert.match(denied.text, /not connected/);
    const [first, second] = [new Browser(broker), new Browser(broker)];
    /** @param {Browser} one */
    const led = async (one) =>
      (await one.request(url, { method: "POST", form: {}, site: "same-origin" })).headers.location;
    const [a, b] = [await led(first), await led(second)];
    const done = assertStatus(await comeBack(first, provider.decide(a)));
    assert.match(done.text, /is connected/);
    assert.deepEqual(setCookies(done), []);
    const late = assertStatus(await withoutExchange(() => comeBack(second, provider.decide(b))));
    assert.match(late.text, /not connected/);
    for (const method of ["GET", "POST"]) {
      const over = await browser.request(url, {
        method,
        ...(method === "POST" ? { form: {}, site: /** @type {const} */ ("same-origin") } : {}),
      });
      assert.equal(over.status, 404);
      assert.match(over.headers["content-type"], /^text\/html/);
      assert.deepEqual(setCookies(over), []);
    }
  });

  test("begins nothing by a POST that is no person's navigation", async () => {
    const url = await newLink();
    const browser = new Browser(broker);
    for (const headers of /** @type {Fields[]} */ ([
      { "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty" },
      { "Sec-Fetch-Dest": "iframe" },
      // A form of another page would take the person past what this one says.
      { "Sec-Fetch-Site": "cross-site" },
      { "Sec-Fetch-Site": "same-site" },
    ])) {
      const answer = await browser.request(url, { method: "POST", form: {}, headers });
      assertProblem(answer, 400, "bad_request");
    }
    assert.deepEqual(browser.flows, []);
  });

  test("of another connection, or that nobody made, opens nothing", async () => {
    const url = await newLink();
    const secret = url.slice(url.lastIndexOf("/") + 1);
    const browser = new Browser(broker);
    for (const target of [
      `${broker.url}/auth/crm/link/${"A".repeat(43)}`,
      `${broker.url}/auth/crm/link/${secret.toLowerCase()}`,
      `${broker.url}/auth/calendar/link/${secret}`,
      `${broker.url}/auth/nobody/link/${secret}`,
    ]) {
      assert.equal((await browser.request(target)).status, 404, target);
    }
    for (const method of ["PUT", "DELETE"]) assert.equal((await browser.request(url, { method })).status, 405);
  });

  test("may lead back to a page of the application", async () => {
    const made = assertStatus(
      await admin("connections/crm/connect-link", { method: "POST", json: { return_to: PAGE } }),
    ).json();
    const browser = new Browser(broker);
    const led = assertStatus(await browser.request(made.url, { method: "POST", form: {}, site: "same-origin" }), 303);
    assert.deepEqual(outcomeOf(await comeBack(browser, provider.decide(led.headers.location))), {
      porteiro: "connected",
    });
    for (const return_to of ["https://evil.example/", 7]) {
      assertProblem(
        await admin("connections/crm/connect-link", { method: "POST", json: { return_to } }),
        400,
        "bad_request",
      );
    }
  });

  test("of a flow that another browser ends fails there, and can still be used", async () => {
    const url = await newLink();
    const [own, other] = [new Browser(broker), new Browser(broker)];
    const led = assertStatus(await own.request(url, { method: "POST", form: {}, site: "same-origin" }), 303);
    const back = provider.decide(led.headers.location);
    assertFailed(await withoutExchange(() => comeBack(other, back)), "flow_mismatch", ownPage());
    assert.match(assertStatus(await comeBack(own, back)).text, /is connected/);
  });
});

describe("a registered connection", () => {
  test("is connected by a link, disconnected and connected again, and keeps all else", async () => {
    assertStatus(await admin("connections/tenant", { method: "PUT", json: registration }), 201);
    assert.equal((await entry("tenant")).state, "disconnected");
    const page = assertStatus(await new Browser(broker).request(await newLink("tenant")));
    assert.ok(page.text.includes("Padaria &lt;b&gt;São João&lt;/b&gt;"), page.text);
    await connectByLink(await newLink("tenant"), { sub: "tenant-owner" });
    assertStatus(await broker.call("/api/tenant/api/me"));

    // An event waits while the receiver is away.
    await receiverAway(async () => {
      assertStatus(await sendEvent(broker, inbox), 202);
      provider.withdraw("tenant-owner");
      assertProblem(await broker.call("/api/tenant/api/me"), 503, "connection_unavailable", { cause: "not_connected" });
      assert.equal((await entry("tenant")).state, "disconnected");
    });
    const before = assertStatus(await admin("connections/tenant")).json();
    await connectByLink(await newLink("tenant"), { sub: "tenant-owner" });
    assert.deepEqual(assertStatus(await broker.call("/api/tenant/api/me")).json().user, "tenant-owner");
    const after = assertStatus(await admin("connections/tenant")).json();
    assert.deepEqual([after.id, after.connection], [before.id, before.connection]);
    assert.equal(after.state, "ready");
    assert.deepEqual(after.connection.labels, registration.labels);
    await delivered(inbox, 1);
    assert.equal(inbox.deliveries.length, 1);
  });

  test("that changes its account or goes while a link is in use ends the flow", async () => {
    const id = "fleeting";
    const json = {
      ...registration,
      webhook: undefined,
      secrets: { client_secret: registration.secrets.client_secret },
    };
    for (const change of [
      () => admin(`connections/${id}`, { method: "PUT", json: { ...json, scope: "other" } }),
      () => admin(`connections/${id}`, { method: "DELETE" }),
    ]) {
      await admin(`connections/${id}`, { method: "PUT", json });
      const browser = new Browser(broker);
      const url = await newLink(id);
      const led = assertStatus(await browser.request(url, { method: "POST", form: {}, site: "same-origin" }), 303);
      assert.ok([200, 201, 204].includes((await change()).status));
      const ended = await withoutExchange(() => comeBack(browser, provider.decide(led.headers.location)));
      assert.match(assertStatus(ended).text, /not connected/);
    }
  });

  test("cannot be for people, nor take another client's redirect address", async () => {
    for (const [field, changes] of /** @type {const} */ ([
      ["subject", { subject: "user" }],
      ["callback", { callback: "club", client_id: "another" }],
      ["callback", { callback: "session" }],
    ])) {
      const json = { ...registration, webhook: undefined, ...changes, secrets: { client_secret: "x" } };
      const body = assertProblem(await admin("connections/wrong", { method: "PUT", json }), 400, "bad_request");
      const fields = body.problems.map((/** @type {{ field: string }} */ one) => one.field);
      assert.ok(
        fields.some((/** @type {string} */ one) => one.startsWith(field)),
        `${field}: ${fields}`,
      );
    }
    for (const id of ["callback", "session", "logout"]) {
      const answer = await admin(`connections/${id}`, { method: "PUT", json: { ...registration, webhook: undefined } });
      assertProblem(answer, 400, "bad_request");
    }
  });
});

/** @param {() => Promise<unknown>} act */
async function receiverAway(act) {
  inbox.always = { status: 503 };
  try {
    await act();
  } finally {
    inbox.always = { status: 204 };
    // What was tried in vain is not counted.
    inbox.deliveries.splice(0);
  }
}

describe("connections with one redirect address", () => {
  test("are told apart by their flows", async () => {
    const browser = await connected("club-a");
    await connected("club-b", {}, browser);
    assert.deepEqual(await browser.connections(), ["club-a", "club-b"]);
    const { params } = provider.read(await begin(browser, "club-b"));
    assert.deepEqual([params.redirect_uri, params.scope], [`${broker.url}/auth/callback/club`, "b"]);
  });
});

describe("what flows leave behind", () => {
  test("is one line for each end of a flow, with its reason", async () => {
    const browser = new Browser(broker);
    const answers = [
      await connect(browser, "calendar"),
      await connect(browser, "calendar", { decision: { iss: "https://evil.example" } }),
      await comeBack(new Browser(broker), `${broker.url}/auth/callback/calendar?code=x&state=y`),
    ];
    const lines = [];
    for (const answer of answers) lines.push(...(await flowLines(answer)));
    assert.deepEqual(
      lines.map(({ audit, connection, outcome, reason }) => [audit, connection, outcome, reason]),
      [
        [true, "calendar", "connected", undefined],
        [true, "calendar", "issuer_mismatch", "another_issuer"],
        [true, undefined, "flow_mismatch", "no_cookie"],
      ],
    );
  });

  test("is no code, token, state, verifier or secret, in any line, answer, cookie's name or stored record", async () => {
    const browser = await connected("calendar");
    const location = await begin(browser, "calendar");
    const url = await newLink();
    const jar = [...(browser.jar.get(broker.url) ?? [])];
    /** @type {{ [name: string]: string }} */
    const secrets = {};
    // The last of each kind: a search for all of them takes minutes.
    provider.issued.slice(-6).forEach((text, i) => (secrets[`issued ${i}`] = text));
    const verifiers = provider.tokenRequests.map(({ params }) => params.code_verifier).filter(Boolean);
    verifiers.slice(-2).forEach((text, i) => (secrets[`verifier ${i}`] = text));
    const { state, nonce } = provider.authorizations[provider.authorizations.length - 1];
    Object.assign(secrets, { state, nonce });
    for (const [name, { value }] of jar) secrets[`cookie ${name}`] = value;
    secrets["state of a flow"] = stateOf(location);
    secrets.link = url.slice(url.lastIndexOf("/") + 1);
    for (const { id, secret } of provider.clients.values()) secrets[`client ${id}`] = secret ?? "";
    assert.ok(Object.keys(secrets).length > 10);
    assert.deepEqual(search({ log: broker.output.join("\n"), answers: said.join("\n") }, secrets), []);
    assert.deepEqual(search({ names: jar.map(([name]) => name.slice(FLOW_COOKIE.length)).join("\n") }, secrets), []);
    await broker.kill();
    const stored = await files(broker.persistTo);
    const places = { ...stored, names: Object.keys(stored).join("\n") };
    assert.ok(Object.keys(places).length > 10);
    assert.deepEqual(search(places, secrets), []);
  });
});
