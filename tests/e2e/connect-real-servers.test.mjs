// The authorization code grant with authorization servers in real use: oidc-provider, @node-oauth/oauth2-server,
// django-oauth-toolkit and Authlib. People sign in and consent in the servers' own forms.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { freePort } from "../../scripts/processes.mjs";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { startAuthlib } from "./support/authlib.mjs";
import { ORIGIN, startBroker } from "./support/broker.mjs";
import { Browser } from "./support/browser.mjs";
import { startDjango } from "./support/django.mjs";
import { encoded, makeKey, seconds } from "./support/issuer.mjs";
import { startNodeOauth } from "./support/node-oauth.mjs";
import { OidcServer } from "./support/oidc-provider.mjs";
import { assertCleared, sessionIdOf, STRICT } from "./support/person.mjs";
import { startRecorder } from "./support/recorder.mjs";
import { search } from "./support/search.mjs";
import { until } from "./support/until.mjs";

/** @import { Broker, Secrets, Vars } from "./support/broker.mjs" */
/** @import { Shown } from "./support/browser.mjs" */
/** @import { Line } from "./support/recorder.mjs" */

const ANA = { username: "ana@example.com", password: 'p&a=%s+ wörd "1"' };
const BRUNO = { username: "bruno@example.com", password: "other-password-of-bruno" };

/** The lifetime of a token, in seconds, in tests that wait for its end. */
const SHORT = 3;

const secret = () => randomBytes(24).toString("base64url");
const key = makeKey("ES256", { kid: "porteiro" });
const SECRETS = { oidc: secret(), node: secret(), django: secret(), authlib: secret() };

/**
 * The connections: whether an ID token says who consents, and what a person sends who refuses.
 *
 * @type {{ [id: string]: { person: boolean, refuse?: { [name: string]: string } } }}
 */
const SERVERS = {
  oidc: { person: true },
  "oidc-key": { person: true },
  node: { person: false, refuse: { allowed: "false" } },
  django: { person: false, refuse: {} },
  "django-openid": { person: true, refuse: {} },
  authlib: { person: true, refuse: {} },
};

const oidc = new OidcServer();
/** @type {Broker} */
let broker;
/** @type {Awaited<ReturnType<typeof startRecorder>>} */
let recorder;
/** @type {{ stop: () => Promise<unknown> }[]} */
const running = [];
/** The calls of each connection's API. @type {{ [id: string]: Line }} */
const lines = {};

before(async () => {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  /** @param {...string} ids */
  const redirectUris = (...ids) => ids.map((id) => `${base}/auth/callback/${id}`);
  recorder = await startRecorder();
  await oidc.open();
  const users = [ANA, BRUNO];
  const [node, django, authlib] = await Promise.all([
    startNodeOauth({
      users,
      clients: [
        {
          id: "desk",
          secret: SECRETS.node,
          grant: "authorization_code",
          lifetime: SHORT,
          redirectUris: redirectUris("node"),
        },
      ],
    }),
    startDjango({
      users,
      clients: [
        {
          id: "desk",
          secret: SECRETS.django,
          grant: "authorization_code",
          lifetime: SHORT,
          openid: true,
          redirectUris: redirectUris("django", "django-openid"),
        },
      ],
    }),
    startAuthlib({
      users,
      clients: [
        {
          id: "desk",
          secret: SECRETS.authlib,
          grant: "authorization_code",
          lifetime: SHORT,
          auth: "basic",
          redirectUris: redirectUris("authlib"),
        },
      ],
    }),
  ]);
  running.push(node, django, authlib);
  const known = { grant_types: ["authorization_code", "refresh_token"], response_types: ["code"] };
  oidc.configure(
    [
      {
        ...known,
        client_id: "desk",
        client_secret: SECRETS.oidc,
        token_endpoint_auth_method: "client_secret_basic",
        redirect_uris: redirectUris("oidc", "oidc-only"),
        post_logout_redirect_uris: [`${ORIGIN}/bye`],
        backchannel_logout_uri: `${base}/auth/oidc/backchannel-logout`,
        backchannel_logout_session_required: true,
      },
      {
        ...known,
        client_id: "keyed",
        token_endpoint_auth_method: "private_key_jwt",
        jwks: { keys: [key.jwk] },
        redirect_uris: redirectUris("oidc-key"),
      },
    ],
    { lifetime: SHORT, par: true },
  );
  for (const [id, target] of Object.entries({
    oidc: { url: oidc.url, tokenPath: "/token" },
    "oidc-key": { url: oidc.url, tokenPath: "/token" },
    node,
    django,
    "django-openid": django,
    authlib,
  })) {
    lines[id] = recorder.line(id, target);
  }
  /** @param {string} id @param {Vars} fields */
  const connection = (id, fields) => ({
    provider: "custom",
    grant: "authorization_code",
    subject: "user",
    base_url: lines[id].url,
    token_timeout_ms: 30_000,
    rules: [{ callers: ["session"], methods: ["GET"], paths: ["/api/**"] }],
    ...fields,
  });
  const openid = { scope: "openid email read", person_claims: ["email"] };
  /** @type {Vars} */
  const CONNECTIONS = {
    oidc: connection("oidc", {
      ...openid,
      issuer: oidc.url,
      client_id: "desk",
      client_auth: "basic",
      scope: "openid email",
    }),
    "oidc-key": connection("oidc-key", {
      ...openid,
      scope: "openid email",
      issuer: oidc.url,
      client_id: "keyed",
      client_auth: "private_key_jwt",
      key_id: key.kid,
    }),
    "oidc-only": {
      provider: "custom",
      grant: "authorization_code",
      subject: "user",
      issuer: oidc.url,
      client_id: "desk",
      client_auth: "basic",
      scope: "openid",
    },
    node: connection("node", {
      authorize_url: `${node.url}/oauth/authorize`,
      token_url: lines.node.tokenUrl,
      revocation_url: `${lines.node.url}/oauth/revoke`,
      client_id: "desk",
      scope: "read",
    }),
    django: connection("django", {
      authorize_url: `${django.url}/oauth/authorize/`,
      token_url: lines.django.tokenUrl,
      revocation_url: `${lines.django.url}/oauth/revoke_token/`,
      client_id: "desk",
      scope: "read",
    }),
    "django-openid": connection("django-openid", {
      issuer: `${django.url}/oauth`,
      revocation_url: `${django.url}/oauth/revoke_token/`,
      client_id: "desk",
      scope: "openid read",
    }),
    authlib: connection("authlib", { ...openid, issuer: authlib.url, client_id: "desk", client_auth: "basic" }),
  };
  /** @type {Secrets} */
  const secrets = {
    OIDC_CLIENT_SECRET: SECRETS.oidc,
    OIDC_ONLY_CLIENT_SECRET: SECRETS.oidc,
    OIDC_KEY_PRIVATE_KEY: String(key.privateKey.export({ type: "pkcs8", format: "pem" })),
    NODE_CLIENT_SECRET: SECRETS.node,
    DJANGO_CLIENT_SECRET: SECRETS.django,
    DJANGO_OPENID_CLIENT_SECRET: SECRETS.django,
    AUTHLIB_CLIENT_SECRET: SECRETS.authlib,
  };
  broker = await startBroker({ port, vars: { CONNECTIONS }, secrets });
});

after(async () => {
  await broker?.stop();
  await recorder?.stop();
  await Promise.all([oidc.close(), ...running.map((server) => server.stop())]);
});

/**
 * Fills in whatever the server asks, until the browser is elsewhere.
 *
 * @param {Browser} browser
 * @param {Shown} shown
 * @param {typeof ANA} account
 * @param {{ [name: string]: string }} [decision]
 */
async function consent(browser, shown, { username, password }, decision = { allow: "yes", allowed: "true" }) {
  for (let i = 0; i < 5 && shown.answer && /<form/i.test(shown.text); i += 1) {
    const isSignIn = /type="?password/.test(shown.text);
    /** @type {{ [name: string]: string }} */
    const who = isSignIn ? { username, login: username, password } : {};
    // A server with one form for both is told both.
    const says = isSignIn && !/allowed/.test(shown.text) ? {} : decision;
    shown = await browser.submit(shown, { ...who, ...says });
  }
  return shown;
}

/**
 * Connects by redirect.
 *
 * @param {string} id
 * @param {typeof ANA} account
 * @param {Browser} [browser]
 */
async function connected(id, account, browser = new Browser(broker)) {
  const begun = await browser.open(browser.connectUrl(id, { return_to: `${ORIGIN}/back?x=1#there` }));
  const shown = await consent(browser, begun, account);
  assert.equal(
    shown.url,
    `${ORIGIN}/back?x=1&porteiro=connected#there`,
    `${shown.url} ${shown.text.slice(0, 800)} ${broker.output.slice(-5).join("\n")}`,
  );
  return browser;
}

/** @param {Browser} browser @param {string} id */
const me = (browser, id) => browser.fetch(`/api/${id}/api/me`);

/** The access token of the last call of the API. @param {string} id */
const lastToken = (id) => lines[id].exchanges.findLast(({ path }) => path === "/api/me")?.headers.authorization ?? "";

/** Whether the API still takes a token. @param {string} id @param {string} authorization */
async function isLive(id, authorization) {
  const answer = await fetch(`${lines[id].target.url}/api/me`, { headers: { Authorization: authorization } });
  await answer.arrayBuffer();
  return answer.status === 200;
}

describe("a person who consents", { concurrency: true }, () => {
  for (const [id, { refuse, person }] of Object.entries(SERVERS)) {
    describe(`at ${id}`, { concurrency: false }, () => {
      test("calls the API as themselves, also when the token was renewed, and so does somebody else", async () => {
        const [ana, bruno] = [await connected(id, ANA), await connected(id, BRUNO)];
        assert.notEqual(ana.session, bruno.session);
        for (const [browser, { username }] of /** @type {const} */ ([
          [ana, ANA],
          [bruno, BRUNO],
        ])) {
          assert.deepEqual(assertStatus(await me(browser, id)).json(), { user: username });
        }
        const first = lastToken(id);
        await until(async () => !(await isLive(id, first)), "the token's end");
        // The refresh token rotates: the second time shows that the new one was kept.
        for (let [i, token] = [0, first]; i < 2; i += 1) {
          const before = token;
          token = await until(async () => {
            assert.deepEqual(assertStatus(await me(ana, id)).json(), { user: ANA.username });
            return lastToken(id) !== before && lastToken(id);
          }, "another token");
        }
      });

      if (person) {
        test("is known to the page by the claims that it may read", async () => {
          const browser = await connected(id, ANA);
          const { person: known } = assertStatus(await browser.listed()).json();
          assert.deepEqual(Object.keys(known).sort(), ["claims", "issuer", "subject"]);
          assert.ok(known.subject);
          assert.equal(new URL(known.issuer).origin, new URL(lines[id].target.url).origin);
          const email = {
            oidc: "ana@example.com@example.com",
            "oidc-key": "ana@example.com@example.com",
            authlib: ANA.username,
          };
          assert.deepEqual(known.claims, id in email ? { email: email[/** @type {keyof typeof email} */ (id)] } : {});
        });
      } else {
        test("is nobody to the page, which knows the connection alone", async () => {
          const browser = await connected(id, ANA);
          const { connections, ...more } = assertStatus(await browser.listed()).json();
          assert.deepEqual([connections.map((/** @type {{ id: string }} */ one) => one.id), more], [[id], {}]);
        });
      }

      test("disconnects, which the server sees, and connects again", async () => {
        const browser = await connected(id, ANA);
        assertStatus(await me(browser, id));
        const token = lastToken(id);
        const since = broker.output.length;
        assertStatus(await browser.fetch(`/auth/${id}`, { method: "DELETE" }), 204);
        assertProblem(await me(browser, id), 401, "not_connected", { connect_url: `${broker.url}/auth/${id}/connect` });
        const line = await broker.logged(({ event, connection }) => event === "revocation" && connection === id, {
          since,
        });
        assert.equal(line.outcome, "revoked", JSON.stringify(line));
        assert.equal(await isLive(id, token), false);
        await connected(id, ANA, browser);
        assertStatus(await me(browser, id));
        assert.deepEqual(await browser.connections(), [id]);
      });

      test("signs out, which ends the session and the tokens", async () => {
        const browser = await connected(id, ANA);
        assertStatus(await me(browser, id));
        const token = lastToken(id);
        const since = broker.output.length;
        assertCleared(assertStatus(await browser.fetch("/auth/logout", { method: "POST" }), 204));
        assertProblem(await me(browser, id), 401, "caller_unauthenticated");
        const line = await broker.logged(({ event, connection }) => event === "revocation" && connection === id, {
          since,
        });
        assert.equal(line.outcome, "revoked", JSON.stringify(line));
        assert.equal(await isLive(id, token), false);
      });

      if (refuse) {
        test("may refuse, and the page is told", async () => {
          const browser = new Browser(broker);
          const begun = await browser.open(browser.connectUrl(id, { return_to: `${ORIGIN}/back` }));
          const shown = await consent(browser, begun, ANA, refuse);
          assert.equal(shown.url, `${ORIGIN}/back?porteiro=failed&porteiro_code=access_denied`);
          assert.equal(browser.session, undefined);
        });
      }
    });
  }
});

describe("a person at oidc-provider", () => {
  test("is asked by a request that was pushed, with PKCE, and comes back with the issuer", async () => {
    const browser = new Browser(broker);
    const pushes = oidc.count("/request");
    const begun = assertStatus(await browser.begin("oidc"), 303);
    assert.equal(oidc.count("/request"), pushes + 1);
    const query = Object.fromEntries(new URL(begun.headers.location).searchParams);
    assert.deepEqual(Object.keys(query).sort(), ["client_id", "request_uri"]);
    const shown = await consent(browser, await browser.open(begun.headers.location, { site: "cross-site" }), ANA);
    const back = shown.passed.at(-1);
    assert.ok(back);
    sessionIdOf(back, STRICT);
    oidc.verify();
  });

  test("may have a connection for signing in only, whose every call is refused", async () => {
    const browser = await connected("oidc-only", ANA);
    const { person } = assertStatus(await browser.listed()).json();
    assert.deepEqual(person, { claims: {}, issuer: oidc.url, subject: ANA.username });
    assertProblem(await me(browser, "oidc-only"), 403, "operation_not_allowed");
  });

  test("who is refused there is told so", async () => {
    const browser = new Browser(broker);
    const begun = await browser.open(browser.connectUrl("oidc", { return_to: `${ORIGIN}/` }));
    const [, abort] = /href="([^"]*\/abort)"/.exec(begun.text) ?? [];
    assert.ok(abort, begun.text);
    const shown = await browser.open(new URL(abort, begun.url).href, { site: "same-origin" });
    assert.deepEqual(shown.outcome, { porteiro: "failed", porteiro_code: "access_denied" });
  });

  test("signs out there too, and then has to sign in again", async () => {
    const browser = await connected("oidc", ANA);
    // The provider knows the browser: nothing is asked a second time.
    assert.equal((await browser.open(browser.connectUrl("oidc"))).outcome.porteiro, "connected");
    const target = `/auth/logout?${new URLSearchParams({ provider: "true", return_to: `${ORIGIN}/bye` })}`;
    const { logout_url: url } = assertStatus(await browser.fetch(target, { method: "POST" })).json();
    assert.equal(new URL(url).searchParams.get("post_logout_redirect_uri"), `${ORIGIN}/bye`);
    assert.equal(new URL(url).searchParams.get("client_id"), "desk");
    const asked = await browser.open(url, { site: "cross-site" });
    const left = await browser.submit(asked, { logout: "yes" });
    assert.equal(left.url, `${ORIGIN}/bye`);
    const again = await browser.open(browser.connectUrl("oidc"));
    assert.match(again.text, /type="?password/);
  });

  test("who signs out there alone is signed out here at once, by the back channel", async () => {
    const [ana, other, bruno] = [
      await connected("oidc", ANA),
      await connected("oidc", ANA),
      await connected("oidc", BRUNO),
    ];
    for (const browser of [ana, other, bruno]) assertStatus(await me(browser, "oidc"));
    const since = broker.output.length;
    const end = new URLSearchParams({ client_id: "desk", post_logout_redirect_uri: `${ORIGIN}/bye` });
    const asked = await ana.open(`${oidc.url}/session/end?${end}`, { site: "none" });
    const left = await ana.submit(asked, { logout: "yes" });
    assert.equal(left.url, `${ORIGIN}/bye`);
    const line = await broker.logged(({ event }) => event === "expulsion", { since });
    assert.deepEqual([line.connection, line.outcome, line.ended], ["oidc", "ended", 1], JSON.stringify(line));
    assertProblem(await me(ana, "oidc"), 401, "caller_unauthenticated");
    // The provider named its session of this browser; others of the same person go on.
    assertStatus(await me(other, "oidc"));
    assertStatus(await me(bruno, "oidc"));
  });

  test("is not signed out by a logout token that the provider did not sign", async () => {
    const browser = await connected("oidc", ANA);
    const thief = makeKey("RS256", { kid: "first" });
    const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
    const claims = {
      iss: oidc.url,
      aud: "desk",
      sub: ANA.username,
      iat: seconds(),
      exp: seconds() + 60,
      jti: secret(),
      events,
    };
    const input = `${encoded({ alg: "RS256", typ: "logout+jwt", kid: "first" })}.${encoded(claims)}`;
    const { sign } = await import("node:crypto");
    const token = `${input}.${sign("sha256", Buffer.from(input), thief.privateKey).toString("base64url")}`;
    const answer = await broker.call("/auth/oidc/backchannel-logout", {
      method: "POST",
      key: null,
      headers: { "Content-Type": "application/x-www-form-urlencoded" },
      body: `logout_token=${token}`,
    });
    assert.equal(answer.status, 400);
    assertStatus(await me(browser, "oidc"));
  });
});

test("one session has all four servers, and loses the one that ends", async () => {
  const browser = new Browser(broker);
  for (const id of ["oidc", "node", "django", "authlib"]) await connected(id, ANA, browser);
  assert.deepEqual(await browser.connections(), ["oidc", "node", "django", "authlib"]);
  for (const id of ["oidc", "node", "django", "authlib"]) {
    assert.deepEqual(assertStatus(await me(browser, id)).json(), { user: ANA.username });
  }
  assertStatus(await browser.fetch("/auth/django", { method: "DELETE" }), 204);
  assertProblem(await me(browser, "django"), 401, "not_connected");
  assertStatus(await me(browser, "authlib"));
  assert.deepEqual(await browser.connections(), ["oidc", "node", "authlib"]);
});

test("no line of the log has a token, a code or a secret", async () => {
  const tokens = Object.values(lines).flatMap(({ exchanges }) => exchanges.map(({ headers }) => headers.authorization));
  const used = [...new Set(tokens)].filter((token) => token?.startsWith("Bearer ")).map((token) => token.slice(7));
  const codes = lines.node.grants.map(({ parameters }) => parameters.code).filter(Boolean);
  assert.ok(used.length > 10 && codes.length > 1, `${used.length} tokens, ${codes.length} codes`);
  await until(() => broker.output.length > 0, "a line");
  const found = Object.fromEntries(
    [...used, ...codes, ...Object.values(SECRETS)].map((one, i) => [`secret ${i}`, one]),
  );
  assert.deepEqual(search({ log: broker.output.join("\n") }, found), []);
});
