// Callers that authenticate with an external issuer's token.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { assertProblem, assertStatus, list } from "./support/assertions.mjs";
import { KEY, ORIGIN, startBroker } from "./support/broker.mjs";
import { keepAlive } from "./support/client.mjs";
import { forgeries, forgeryKeys, sized } from "./support/forgeries.mjs";
import { makeKey, published, seconds, startIssuer } from "./support/issuer.mjs";
import { files, search } from "./support/search.mjs";
import { startUpstream } from "./support/upstream.mjs";
import { until } from "./support/until.mjs";

/** @import { Broker, LogLine, Vars } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { Issuer, IssuerSettings, TokenSettings } from "./support/issuer.mjs" */
/** @import { ApiRequest, Connection, Upstream } from "./support/upstream.mjs" */

const AUDIENCE = "https://broker.example/api";
const ALL = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];

// Who the tokens are about: nothing of it may be in a log line or at rest.
const PERSON = {
  sub: `canary-sub-${randomBytes(9).toString("hex")}`,
  email: `canary-${randomBytes(9).toString("hex")}@people.example`,
};

// Stands in every broken value, and may be in no log line.
const CANARY = "canary-value";

const keys = forgeryKeys();
const { rsa, ec } = keys;
const later = makeKey("RS256");
const stranger = makeKey("RS256");
const ordinary = [rsa, ec];
const nameless = [published(makeKey("RS256"), { kid: null }), published(rsa, { kid: null })];

/**
 * Each caller has an issuer and a path of its own, unless it shares one. What
 * an issuer is asked for is counted, so no test may disturb another's.
 *
 * @type {{ [name: string]: IssuerSettings }}
 */
const ISSUERS = {
  staff: { keys: keys.narrow },
  wide: { keys: keys.wide },
  slash: { slash: true },
  path: { path: "/tenants/acme" },
  "path-and-slash": { path: "/tenants/acme", slash: true },
  rfc8414: { document: "oauth-authorization-server" },
  "rfc8414-path": { document: "oauth-authorization-server", path: "/tenants/acme" },
  "rfc8414-slash": { document: "oauth-authorization-server", path: "/tenants/acme", slash: true },
  "keys-given": { identifier: "https://issuer.example/" },
  access: { jwksPath: "/cdn-cgi/access/certs" },
  header: {},
  claims: {},
  several: {},
  shared: {},
  nameless: { keys: nameless },
  warm: {},
  cold: {},
  flooded: {},
  rotating: {},
  withdrawing: {},
  failing: {},
  unreachable: {},
  hanging: {},
  stalling: {},
  abandoned: {},
  "off-by-a-slash": {},
  "off-by-no-slash": { slash: true },
  nobody: { metadata: { issuer: undefined } },
  "no-keys": { metadata: { jwks_uri: undefined } },
  "insecure-keys": { metadata: { jwks_uri: `http://${CANARY}.example/keys` } },
  "file-keys": { metadata: { jwks_uri: "file:///etc/keys.json" } },
  "broken-metadata": { answers: { "/.well-known/openid-configuration": { body: "<!doctype html><p>hello" } } },
  "broken-keys": { answers: { "/keys": { body: '{"keys":' } } },
  "keys-of-another-form": { answers: { "/keys": { body: '{"keys":{}}' } } },
  "an-array-of-keys": { answers: { "/keys": { body: "[]" } } },
  "moved-metadata": {},
  "moved-keys": {},
};

// None of these may ever prove anybody.
const UNUSABLE = [
  "off-by-a-slash",
  "off-by-no-slash",
  "nobody",
  "no-keys",
  "insecure-keys",
  "file-keys",
  "broken-metadata",
  "broken-keys",
  "keys-of-another-form",
  "an-array-of-keys",
  "moved-metadata",
  "moved-keys",
  "elsewhere",
];

/** @type {{ [claim: string]: any }} */
const REQUIRED = {
  email_verified: true,
  org: "acme",
  roles: "admin",
  plan: ["gold", "silver"],
  scope: "orders:read",
  level: 3,
};
const FITTING = {
  email_verified: true,
  org: "acme",
  roles: ["staff", "admin"],
  plan: "silver",
  scope: "profile orders:read email",
  level: 3,
};

/**
 * What is wrong with each caller, and the field that its log line has to name.
 *
 * @type {{ [name: string]: [fields: Vars, field: string] }}
 */
const MISCONFIGURED = {
  "no-issuer": [{ issuer: undefined }, "issuer"],
  "empty-issuer": [{ issuer: "" }, "issuer"],
  "issuer-number": [{ issuer: 1 }, "issuer"],
  "issuer-name": [{ issuer: CANARY }, "issuer"],
  "issuer-insecure": [{ issuer: `http://${CANARY}.example` }, "issuer"],
  "issuer-look-alike": [{ issuer: `http://127.0.0.1.${CANARY}.example` }, "issuer"],
  "issuer-query": [{ issuer: `https://${CANARY}.example/?x=1` }, "issuer"],
  "issuer-fragment": [{ issuer: `https://${CANARY}.example/#x` }, "issuer"],
  "issuer-user": [{ issuer: `https://${CANARY}@issuer.example/` }, "issuer"],
  "no-audience": [{ audience: undefined }, "audience"],
  "empty-audience": [{ audience: "" }, "audience"],
  "no-audiences": [{ audience: [] }, "audience"],
  "audience-number": [{ audience: [CANARY, 1] }, "audience"],
  "algorithm-hs256": [{ algorithms: ["RS256", "HS256"] }, "algorithms"],
  "algorithm-none": [{ algorithms: ["none", "RS256"] }, "algorithms"],
  "algorithm-unknown": [{ algorithms: [CANARY] }, "algorithms"],
  "algorithm-case": [{ algorithms: ["rs256"] }, "algorithms"],
  "no-algorithms": [{ algorithms: [] }, "algorithms"],
  "algorithms-text": [{ algorithms: "RS256" }, "algorithms"],
  "keys-insecure": [{ jwks_url: `http://${CANARY}.example/keys` }, "jwks_url"],
  "keys-file": [{ jwks_url: `file:///${CANARY}` }, "jwks_url"],
  "claims-text": [{ claims: CANARY }, "claims"],
  "claims-table": [{ claims: { org: { name: CANARY } } }, "org"],
  "claims-empty": [{ claims: { org: [] } }, "org"],
  "header-cookie": [{ header: "Cookie" }, "header"],
  "header-host": [{ header: "Host" }, "header"],
  "header-name": [{ header: `X ${CANARY}` }, "header"],
  "unknown-field": [{ jwks_uri: `https://${CANARY}.example/keys` }, "jwks_uri"],
  "misspelt-field": [{ algorithm: "RS256" }, "algorithm"],
  "domain-missing": [{ kind: "cloudflare-access", issuer: undefined }, "team_domain"],
  "domain-path": [
    { kind: "cloudflare-access", issuer: undefined, team_domain: `${CANARY}.cloudflareaccess.com/x` },
    "team_domain",
  ],
  "domain-insecure": [
    { kind: "cloudflare-access", issuer: undefined, team_domain: `http://${CANARY}.cloudflareaccess.com` },
    "team_domain",
  ],
  "domain-case": [
    { kind: "cloudflare-access", issuer: undefined, team_domain: `${CANARY.toUpperCase()}.cloudflareaccess.com` },
    "team_domain",
  ],
  "domain-and-issuer": [{ kind: "cloudflare-access", team_domain: "acme" }, "issuer"],
  "domain-audience": [
    { kind: "cloudflare-access", issuer: undefined, audience: undefined, team_domain: "acme" },
    "audience",
  ],
};

/** @type {Upstream} */
let upstream;
/** @type {Connection} */
let api;
/** @type {Connection} */
let keyed;
/** @type {{ [name: string]: Issuer }} */
let issuers;
/** @type {Issuer} */
let attacker;
/** @type {Broker} */
let broker;
/** @type {Promise<Answer>} */
let hanging;
const agent = keepAlive();
/** @type {Set<string>} */
const sent = new Set();

before(async () => {
  attacker = await startIssuer({ keys: [stranger] });
  issuers = Object.fromEntries(
    await Promise.all(
      Object.entries(ISSUERS).map(
        async ([name, settings]) =>
          /** @type {const} */ ([name, await startIssuer({ keys: ordinary, audience: AUDIENCE, ...settings })]),
      ),
    ),
  );
  const { staff, "moved-metadata": movedMetadata, "moved-keys": movedKeys } = issuers;
  /** @param {string} path */
  const moved = (path) => ({ [path]: { status: 302, headers: { Location: attacker.url + path }, body: "" } });
  movedMetadata.answers = moved(movedMetadata.metadataPath);
  movedKeys.answers = moved(movedKeys.jwksPath);
  const body = JSON.stringify({ issuer: staff.issuer, jwks_uri: attacker.jwksUrl });
  issuers.elsewhere = await startIssuer({
    keys: [stranger],
    audience: AUDIENCE,
    answers: { "/.well-known/openid-configuration": { body } },
  });

  const callers = callersOf(issuers);
  upstream = await startUpstream();
  const rules = Object.keys(callers).map((name) => ({
    callers: [name],
    methods: ["GET", "POST"],
    paths: [`/echo/${name}`],
  }));
  rules.push({ callers: ["staff", "wide"], methods: ["GET"], paths: ["/echo/forged"] });
  rules.push({ callers: ["header", "backend"], methods: ["GET", "POST"], paths: ["/echo/either"] });
  const fields = { rules, header: "X-Api-Key", request_headers: ["X-Id-Token", "X-Tenant"] };
  api = upstream.connection("api", { grant: "static", fields });
  keyed = upstream.connection("keyed", {
    grant: "static",
    fields: { rules: [{ callers: ["staff", "backend"], methods: ["GET"], paths: ["/**"] }] },
  });
  broker = await startBroker({
    vars: {
      CALLERS: { backend: { kind: "key" }, ...callers, ...misconfigured() },
      CONNECTIONS: upstream.vars,
    },
    secrets: upstream.secrets,
  });
  issuers.unreachable.mode = "reset";
  issuers.hanging.mode = "hang";
  // Begun here, for it takes as long as the broker waits.
  hanging = ask("hanging", issuers.hanging.token(), { timeout: 30_000 });
  hanging.catch(() => {});
});

afterEach(() => upstream.verify());

after(async () => {
  agent.destroy();
  await broker?.stop();
  await upstream?.close();
  await Promise.all([attacker, ...Object.values(issuers ?? {})].map((issuer) => issuer?.close()));
});

/** @param {{ [name: string]: Issuer }} all */
function callersOf(all) {
  const { staff, wide, access, shared, ...others } = all;
  /**
   * @param {Issuer} issuer
   * @param {Vars} [more]
   */
  const jwt = (issuer, more) => ({ kind: "jwt", issuer: issuer.issuer, audience: AUDIENCE, ...more });
  return {
    ...Object.fromEntries(Object.entries(others).map(([name, issuer]) => [name, jwt(issuer)])),
    staff: jwt(staff),
    wide: jwt(wide, { algorithms: ALL }),
    access: { kind: "cloudflare-access", team_domain: access.url, audience: AUDIENCE },
    "keys-given": jwt(others["keys-given"], { jwks_url: others["keys-given"].jwksUrl }),
    header: jwt(others.header, { header: "X-Id-Token" }),
    claims: jwt(others.claims, { claims: REQUIRED }),
    several: jwt(others.several, { audience: ["https://first.example", "https://second.example"] }),
    reader: jwt(shared, { audience: "https://reader.example" }),
    writer: jwt(shared, { audience: "https://writer.example" }),
    manager: jwt(shared, { audience: "https://writer.example", claims: { role: "manager" } }),
    // The metadata of these name another issuer than the configuration does.
    "off-by-a-slash": jwt(others["off-by-a-slash"], { issuer: `${others["off-by-a-slash"].url}/` }),
    "off-by-no-slash": jwt(others["off-by-no-slash"], { issuer: others["off-by-no-slash"].url }),
  };
}

function misconfigured() {
  const sound = { kind: "jwt", issuer: `https://${CANARY}.example`, audience: CANARY };
  return Object.fromEntries(Object.entries(MISCONFIGURED).map(([name, [fields]]) => [name, { ...sound, ...fields }]));
}

/**
 * Calls what only the caller `name` may, with `token`.
 *
 * @param {string} name
 * @param {string | null} token
 * @param {CallOptions} [options]
 */
function ask(name, token, options) {
  if (token) sent.add(token);
  return broker.call(api.api(`/echo/${name}`), { key: token, agent, ...options });
}

/**
 * The same for a caller whose token is in a field of its own.
 *
 * @param {string} field
 * @param {string} name
 * @param {string} token
 * @param {CallOptions} [options]
 */
function askIn(field, name, token, options) {
  sent.add(token);
  return ask(name, null, { headers: { [field]: token }, ...options });
}

/**
 * @param {string} name
 * @param {string} token
 * @param {CallOptions} [options]
 */
const passes = async (name, token, options) => assertStatus(await ask(name, token, options));

/**
 * @param {string} name
 * @param {string} token
 * @param {CallOptions} [options]
 */
async function fails(name, token, options) {
  const calls = api.requests.length;
  const answer = await ask(name, token, options);
  assertRefused(answer);
  assert.equal(api.requests.length, calls, "the upstream was called");
}

/** @param {Answer} answer */
function assertRefused(answer) {
  assertProblem(answer, 401, "caller_unauthenticated");
  assert.equal(answer.headers["www-authenticate"], 'Bearer realm="porteiro", error="invalid_token"');
}

/**
 * What `act` makes of each of `items`, eight of them at a time.
 *
 * @template T, R
 * @param {T[]} items
 * @param {(item: T) => Promise<R>} act
 */
async function inTurns(items, act) {
  /** @type {R[]} */
  const results = [];
  const left = items.entries();
  const work = async () => {
    for (const [i, item] of left) results[i] = await act(item);
  };
  await Promise.all(Array.from({ length: 8 }, work));
  return results;
}

/** @param {number} count */
const times = (count) => Array.from({ length: count }, (_, i) => i);

/**
 * @param {number} limit
 * @param {() => unknown} condition
 */
const within = (limit, condition) => until(condition, String(condition), limit);

/** @param {string} name */
const unreachable = (name, since = 0) =>
  broker.logged(({ event, caller }) => event === "issuer_unreachable" && caller === name, {
    since,
    what: `issuer_unreachable of ${name}`,
  });

describe("a token of a caller's issuer", () => {
  test("lets its bearer in, whatever the scheme's case", async () => {
    for (const scheme of ["Bearer", "bearer", "BEARER"]) {
      const headers = { Authorization: `${scheme} ${issuers.staff.token({ claims: PERSON })}` };
      assertStatus(await ask("staff", null, { headers }));
    }
  });

  test("is logged by the caller's name", async () => {
    const answer = await passes("staff", issuers.staff.token({ claims: PERSON }));
    const id = answer.headers["x-request-id"];
    const line = await broker.logged(({ request_id, status }) => request_id === id && status !== undefined, {
      what: "the request's line",
    });
    assert.equal(line.caller, "staff");
  });

  test("may be signed with RS256 or ES256 where nothing else is said", async () => {
    await passes("staff", issuers.staff.token({ key: rsa }));
    await passes("staff", issuers.staff.token({ key: ec }));
    await passes("staff", issuers.staff.token({ key: keys.bare }));
  });

  test("may be signed with each algorithm that the caller lists", async () => {
    const { bare, p256, p384, p521, ed } = keys;
    /** @type {{ [alg: string]: typeof bare }} */
    const by = { ES256: p256, ES384: p384, ES512: p521, EdDSA: ed };
    for (const alg of ALL) await passes("wide", issuers.wide.token({ key: by[alg] ?? bare, alg }));
  });

  test("is for the audience, alone or among others", async () => {
    for (const aud of [
      AUDIENCE,
      [AUDIENCE],
      ["https://other.example", AUDIENCE],
      [AUDIENCE, "https://other.example"],
    ]) {
      await passes("staff", issuers.staff.token({ claims: { aud } }));
    }
  });

  test("is for any of several audiences", async () => {
    for (const aud of ["https://first.example", "https://second.example", ["https://second.example", "x"]]) {
      await passes("several", issuers.several.token({ claims: { aud } }));
    }
    await fails("several", issuers.several.token());
    await fails("several", issuers.several.token({ claims: { aud: "https://first.example https://second.example" } }));
  });

  test("is of any type that an access or identity token has", async () => {
    for (const typ of [undefined, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/JWT"]) {
      await passes("staff", issuers.staff.token({ header: { typ } }));
    }
  });

  test("may carry what the broker does not know", async () => {
    const x5t = createHash("sha1").update("certificate").digest("base64url");
    const header = { x5t, "x5t#S256": x5t, x: { y: [1, null] } };
    await passes(
      "staff",
      issuers.staff.token({ header, claims: { x: { y: [1, null, "ä"] }, nbf: seconds(), scope: "a b" } }),
    );
  });

  test("need not be written as others write it", async () => {
    const { staff } = issuers;
    /** @param {object} object */
    const spaced = (object) => ` ${JSON.stringify(object, null, "\t")}\n`;
    await passes("staff", staff.token({ header: spaced(staff.header()), claims: spaced(staff.claims()) }));
    /** @param {object} object */
    const escaped = (object) => JSON.stringify(object).replace('"iss"', '"\\u0069ss"').replaceAll("/", "\\/");
    await passes("staff", staff.token({ claims: escaped(staff.claims()) }));
  });

  test("may name no key", async () => {
    await passes("staff", issuers.staff.token({ header: { kid: undefined } }));
    await passes("staff", issuers.staff.token({ key: ec, header: { kid: undefined } }));
    for (const key of nameless) await passes("nameless", issuers.nameless.token({ key }));
  });

  test("may be 16 KiB long", async () => {
    await passes("staff", sized(issuers.staff, 16 * 1024));
  });

  test("may be off by what clocks are", async () => {
    const { staff } = issuers;
    await passes("staff", staff.token({ claims: { exp: seconds() - 30 } }));
    await passes("staff", staff.token({ claims: { exp: seconds() - 30.5 } }));
    await passes("staff", staff.token({ claims: { nbf: seconds() + 30 } }));
    await passes("staff", staff.token({ claims: { iat: seconds() + 30 } }));
    await passes("staff", staff.token({ claims: { exp: seconds() + 300.5, nbf: seconds() - 0.5, iat: undefined } }));
  });

  test("ends when it expires, though it was let in a moment ago", async () => {
    const { staff } = issuers;
    const token = staff.token({ claims: { exp: seconds() - 56 } });
    await passes("staff", token);
    await passes("staff", token);
    await until(async () => (await ask("staff", token)).status !== 200, "its end");
    await fails("staff", token);
  });

  test("proves only itself, though it was let in a moment ago", async () => {
    const token = issuers.staff.token();
    await passes("staff", token);
    const [header, claims, bytes] = token.split(".");
    const other = issuers.staff.token({ claims: { sub: "somebody else" } }).split(".");
    for (const forged of [
      `${header}.${claims}.`,
      `${header}.${claims}.${other[2]}`,
      `${header}.${other[1]}.${bytes}`,
      `${other[0]}.${other[1]}.${bytes}`,
      `${token}A`,
    ]) {
      await fails("staff", forged);
    }
    await passes("staff", token);
  });

  test("does not open what another caller may do", async () => {
    const calls = api.requests.length;
    for (const path of ["wide", "header", "nowhere"]) {
      assertProblem(await ask(path, issuers.staff.token()), 403, "operation_not_allowed");
    }
    assert.equal(api.requests.length, calls);
  });

  test("stands beside a key, each for what its rules say", async () => {
    assertStatus(await broker.call(keyed.api(), { key: issuers.staff.token() }));
    assertStatus(await broker.call(keyed.api(), { key: KEY }));
    assertProblem(await ask("staff", KEY), 403, "operation_not_allowed");
    assertProblem(
      await broker.call(keyed.api(), { key: issuers.wide.token({ key: keys.bare }) }),
      403,
      "operation_not_allowed",
    );
  });

  test("counts only where it belongs", async () => {
    const token = issuers.staff.token();
    const calls = api.requests.length;
    for (const headers of /** @type {NonNullable<CallOptions["headers"]>[]} */ ([
      { Authorization: token },
      { Authorization: `Basic ${token}` },
      { Authorization: `DPoP ${token}` },
      { Authorization: `Bearer${token}` },
      { "X-Id-Token": token },
      { "Cf-Access-Jwt-Assertion": token },
      { Cookie: `token=${token}; CF_Authorization=${token}` },
      ["Authorization", `Bearer ${token}`, "Authorization", `Bearer ${token}`],
      ["Authorization", `Bearer ${token}`, "Authorization", "Bearer x"],
    ])) {
      assertProblem(await ask("staff", null, { headers }), 401, "caller_unauthenticated");
    }
    assertProblem(await ask(`staff?access_token=${token}`, token), 400, "bad_request");
    assert.equal(api.requests.length, calls);
  });
});

describe("an issuer's metadata", () => {
  for (const name of ["slash", "path", "path-and-slash", "rfc8414", "rfc8414-path", "rfc8414-slash"]) {
    test(`(${name}) are found`, async () => {
      const issuer = issuers[name];
      await passes(name, issuer.token());
      await passes(name, issuer.token({ key: ec }));
      assert.deepEqual([issuer.discoveries, issuer.keyFetches], [1, 1], issuer.requests.join());
    });
  }

  test("are not asked for where the keys' address is given", async () => {
    const issuer = issuers["keys-given"];
    await passes("keys-given", issuer.token());
    assert.deepEqual(issuer.requests, [issuer.jwksPath]);
  });

  for (const name of UNUSABLE) {
    test(`(${name}) that cannot be used prove nobody`, async () => {
      const issuer = issuers[name];
      const iss = issuer.issuer.replace(/\/$/, "");
      for (const claims of [{}, { iss }, { iss: `${iss}/` }]) await fails(name, issuer.token({ claims }));
      await unreachable(name);
    });
  }

  test("of one issuer cannot stand for another's", async () => {
    await fails("staff", issuers.elsewhere.token({ key: stranger, claims: { iss: issuers.staff.issuer } }));
    assertProblem(await ask("elsewhere", issuers.staff.token()), 403, "operation_not_allowed");
    assert.deepEqual(attacker.requests, []);
  });
});

describe("a caller with a header of its own", () => {
  /**
   * @param {string} token
   * @param {CallOptions} [options]
   */
  const inHeader = (token, options) => askIn("X-Id-Token", "header", token, options);

  test("sends the bare token in it", async () => {
    assertStatus(await inHeader(issuers.header.token()));
    assertStatus(await askIn("x-id-token", "header", issuers.header.token()));
  });

  test("is let in by nothing else", async () => {
    const calls = api.requests.length;
    for (const token of [`Bearer ${issuers.header.token()}`, issuers.staff.token(), "x", KEY]) {
      assertProblem(await inHeader(token), 401, "caller_unauthenticated");
    }
    assertProblem(await ask("header", issuers.header.token()), 401, "caller_unauthenticated");
    const twice = ["X-Id-Token", issuers.header.token(), "X-Id-Token", issuers.header.token()];
    assertProblem(await ask("header", null, { headers: twice }), 401, "caller_unauthenticated");
    assert.equal(api.requests.length, calls);
  });

  test("may send it from a page", async () => {
    const headers = {
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "authorization, content-type, x-id-token",
    };
    const answer = assertStatus(await ask("header", null, { method: "OPTIONS", origin: ORIGIN, headers }), 204);
    assert.deepEqual(list(answer.headers["access-control-allow-headers"]).sort(), [
      "authorization",
      "content-type",
      "x-id-token",
    ]);
    const called = assertStatus(await inHeader(issuers.header.token(), { origin: ORIGIN }));
    assert.equal(called.headers["access-control-allow-origin"], ORIGIN);
  });
});

describe("the upstream", () => {
  /** @type {(request: ApiRequest, token: string) => void} */
  const assertNoneIn = ({ rawHeaders, target, body }, token) => {
    const seen = JSON.stringify([rawHeaders, target, body?.toString("latin1")]);
    for (const part of [token, ...token.split(".")]) assert.ok(!seen.includes(part), seen);
  };

  test("never sees a token that came as Bearer", async () => {
    const token = issuers.staff.token({ claims: PERSON });
    await passes("staff", token, { method: "POST", body: "x" });
    const request = api.lastRequest;
    assertNoneIn(request, token);
    assert.equal(request.headers.authorization, undefined);
  });

  test("never sees one in a header of its own, though that is among those let through", async () => {
    const token = issuers.header.token({ claims: PERSON });
    const headers = { "X-Id-Token": token, "X-Tenant": "acme" };
    assertStatus(await ask("header", null, { method: "POST", body: "x", headers }));
    const request = api.lastRequest;
    assertNoneIn(request, token);
    assert.deepEqual([request.headers["x-id-token"], request.headers["x-tenant"]], [undefined, "acme"]);
  });

  test("never sees one that was sent beside a key", async () => {
    const token = issuers.header.token({ claims: PERSON });
    const { status } = await ask("either", KEY, { headers: { "X-Id-Token": token } });
    assert.ok(status === 200 || status === 401, String(status));
    for (const request of api.requests) assertNoneIn(request, token);
  });

  test("never sees Cloudflare's", async () => {
    const token = issuers.access.token({ claims: PERSON });
    assertStatus(await askIn("Cf-Access-Jwt-Assertion", "access", token));
    assertNoneIn(api.lastRequest, token);
  });
});

describe("required claims", () => {
  /** @param {{ [claim: string]: unknown }} claims */
  const claimed = (claims) => issuers.claims.token({ claims: { ...FITTING, ...claims } });

  test("are met by the value, by an array that holds it, by any of several and by a word of the scope", async () => {
    for (const claims of [
      {},
      { roles: "admin" },
      { roles: ["admin"] },
      { plan: "gold" },
      { plan: ["bronze", "gold"] },
      { scope: "orders:read" },
      { scope: "a orders:read" },
      { org: ["acme", "other"] },
      { level: [1, 3] },
      { email_verified: true, other: {} },
    ]) {
      await passes("claims", claimed(claims));
    }
  });

  test("are met by nothing else", async () => {
    for (const claims of [
      ...Object.keys(REQUIRED).flatMap((name) =>
        [undefined, null, {}, [], "", { [REQUIRED[name]]: true }, [[REQUIRED[name]]]].map((value) => ({
          [name]: value,
        })),
      ),
      { email_verified: "true" },
      { email_verified: 1 },
      { email_verified: false },
      { org: "Acme" },
      { org: "acme " },
      { org: "acme-evil" },
      { org: "acm" },
      { org: "acme,other" },
      { org: { name: "acme" } },
      { roles: ["staff"] },
      { roles: "staff admin" },
      { roles: ["staff admin"] },
      { roles: { admin: true } },
      { plan: "bronze" },
      { plan: "gold,silver" },
      { plan: "gold silver" },
      { scope: "orders:readall" },
      { scope: "xorders:read" },
      { scope: "orders" },
      { scope: "orders:read,profile" },
      { scope: "ORDERS:READ" },
      { level: 4 },
      { level: "3" },
      { level: 3.5 },
      { level: -3 },
    ]) {
      await fails("claims", claimed(claims)).catch((error) =>
        assert.fail(`${JSON.stringify(claims)}: ${error.message}`),
      );
    }
  });
});

describe("callers of one issuer", () => {
  /**
   * @param {string | string[]} aud
   * @param {{ [claim: string]: unknown }} [claims]
   */
  const token = (aud, claims) => issuers.shared.token({ claims: { aud, ...claims } });

  test("are told apart by their audiences", async () => {
    await passes("reader", token("https://reader.example"));
    await passes("writer", token("https://writer.example"));
    assertProblem(await ask("writer", token("https://reader.example")), 403, "operation_not_allowed");
    assertProblem(await ask("reader", token("https://writer.example")), 403, "operation_not_allowed");
    await fails("reader", token(AUDIENCE));
  });

  test("are told apart by their claims", async () => {
    await passes("manager", token("https://writer.example", { role: "manager" }));
    assertProblem(
      await ask("manager", token("https://writer.example", { role: "clerk" })),
      403,
      "operation_not_allowed",
    );
  });

  test("are all proven by a token that fits them all", async () => {
    const both = token(["https://reader.example", "https://writer.example"], { role: "manager" });
    for (const name of ["reader", "writer", "manager"]) await passes(name, both);
  });
});

describe("a person behind Cloudflare Access", () => {
  /** @param {string} token */
  const inAccess = (token) => askIn("Cf-Access-Jwt-Assertion", "access", token);

  test("is let in by the team's token", async () => {
    const { access } = issuers;
    // As Cloudflare writes them, for people and for services.
    const person = { aud: [AUDIENCE], type: "app", identity_nonce: "x", country: "BR", ...PERSON };
    const service = { aud: [AUDIENCE], type: "app", common_name: "service.access", sub: "" };
    for (const claims of [person, service])
      assertStatus(await inAccess(access.token({ header: { typ: undefined }, claims })));
    assert.deepEqual(access.requests, ["/cdn-cgi/access/certs"]);
  });

  test("is let in by nothing else", async () => {
    const { access } = issuers;
    const token = access.token();
    for (const wrong of [
      { key: ec },
      { key: stranger },
      { claims: { aud: ["x"] } },
      { claims: { iss: `${access.issuer}/` } },
    ]) {
      assertProblem(await inAccess(access.token(wrong)), 401, "caller_unauthenticated");
    }
    assertProblem(await inAccess("x"), 401, "caller_unauthenticated");
    assertProblem(await ask("access", token), 401, "caller_unauthenticated");
    for (const headers of /** @type {{ [name: string]: string }[]} */ ([
      { Cookie: `CF_Authorization=${token}` },
      { "Cf-Access-Token": token },
      { "Cf-Access-Authenticated-User-Email": PERSON.email },
    ])) {
      assertProblem(await ask("access", null, { headers }), 401, "caller_unauthenticated");
    }
  });
});

test("a forged token is refused", async (t) => {
  const { staff, wide } = issuers;
  let count = 0;
  for (const [group, vectors] of Object.entries(forgeries({ narrow: staff, wide, keys, attacker: attacker.url }))) {
    await t.test(group, async (own) => {
      const calls = api.requests.length;
      const wrong = await inTurns(Object.entries(vectors), async ([what, make]) => {
        const answer = await ask("forged", make());
        try {
          return assertRefused(answer);
        } catch (error) {
          return `${what}: ${/** @type {Error} */ (error).message}`;
        }
      });
      assert.deepEqual(wrong.filter(Boolean), []);
      assert.equal(api.requests.length, calls, "the upstream was called");
      count += wrong.length;
      own.diagnostic(`${wrong.length} forgeries`);
    });
  }

  await t.test("and nothing is fetched that one points at", () => {
    assert.deepEqual(attacker.requests, []);
    for (const { discoveries, keyFetches } of [staff, wide]) {
      assert.ok(discoveries <= 2 && keyFetches <= 2, `${discoveries} discoveries, ${keyFetches} fetches of the keys`);
    }
  });

  await t.test("and sound ones still pass", async () => {
    await passes("forged", staff.token());
    await passes("forged", wide.token({ key: keys.p521 }));
  });

  t.diagnostic(`${count} forgeries in all`);
  assert.ok(count > 450);
});

describe("an issuer's keys", () => {
  /** @param {Issuer} issuer */
  const unknown = (issuer) => issuer.token({ key: stranger, header: { kid: randomBytes(9).toString("base64url") } });

  test("are fetched once for two hundred calls", async () => {
    const { warm } = issuers;
    await passes("warm", warm.token());
    await inTurns(times(200), (i) => passes("warm", warm.token({ key: i % 2 ? rsa : ec })));
    assert.deepEqual([warm.discoveries, warm.keyFetches], [1, 1]);
  });

  test("are fetched once for fifty calls at once that meet none", async () => {
    const { cold } = issuers;
    await Promise.all(times(50).map(() => passes("cold", cold.token())));
    assert.deepEqual([cold.discoveries, cold.keyFetches], [1, 1]);
  });

  test("are fetched twice at most, whatever keys are asked for", async () => {
    const { flooded } = issuers;
    await passes("flooded", flooded.token());
    await Promise.all(times(50).map(() => fails("flooded", unknown(flooded))));
    for (const _ of times(50)) await fails("flooded", unknown(flooded));
    assert.ok(flooded.keyFetches <= 2, `${flooded.keyFetches} fetches`);
    assert.ok(flooded.discoveries <= 2, `${flooded.discoveries} discoveries`);
    await passes("flooded", flooded.token());
  });

  test("may change: a hundred calls at once with the new one all pass", async () => {
    const { rotating } = issuers;
    await passes("rotating", rotating.token());
    const fetches = rotating.keyFetches;
    rotating.keys = [later, ...ordinary];
    const tokens = times(100).map(() => rotating.token());
    await Promise.all(tokens.map((token) => passes("rotating", token)));
    const refetches = rotating.keyFetches - fetches;
    assert.ok(refetches === 1 || refetches === 2, `${refetches} fetches`);
    await passes("rotating", rotating.token({ key: rsa }));
  });

  test("that are withdrawn let nobody in once the others were fetched", async () => {
    const { withdrawing } = issuers;
    await passes("withdrawing", withdrawing.token());
    withdrawing.keys = [later, ec];
    await passes("withdrawing", withdrawing.token());
    await fails("withdrawing", withdrawing.token({ key: rsa }));
    await passes("withdrawing", withdrawing.token({ key: ec }));
  });

  test("go on serving while the issuer is down", async () => {
    const { failing } = issuers;
    await passes("failing", failing.token());
    for (const mode of ["reset", "500"]) {
      failing.mode = mode;
      for (const key of [rsa, ec]) await passes("failing", failing.token({ key }));
      await fails("failing", unknown(failing));
      await passes("failing", failing.token());
    }
    assert.ok(failing.keyFetches <= 2, `${failing.keyFetches} fetches`);
  });

  test("that are not known of an issuer that is down prove nobody, and it is logged", async () => {
    const { unreachable: issuer } = issuers;
    for (const _ of times(5)) await fails("unreachable", issuer.token());
    await unreachable("unreachable");
    assert.ok(issuer.requests.length <= 2, `${issuer.requests.length} requests`);
  });

  test("go on serving while a call waits for an issuer that does not answer", async () => {
    const { stalling } = issuers;
    await passes("stalling", stalling.token());
    const before = stalling.requests.length;
    stalling.mode = "hang";
    const stalled = ask("stalling", unknown(stalling), { agent: false });
    await within(5_000, () => stalling.requests.length > before);
    for (const key of [rsa, ec]) await passes("stalling", stalling.token({ key }), { timeout: 2_000 });
    assertRefused(await stalled);
  });

  test("arrive though the one who waited for them went away", async () => {
    const { abandoned } = issuers;
    abandoned.delay = 500;
    const impatient = new AbortController();
    const first = ask("abandoned", abandoned.token(), { agent: false, signal: impatient.signal });
    await within(5_000, () => abandoned.requests.length > 0);
    impatient.abort();
    await assert.rejects(first);
    await passes("abandoned", abandoned.token(), { timeout: 5_000 });
  });

  test("that do not come prove nobody, and it is logged", async () => {
    assertRefused(await hanging);
    await unreachable("hanging");
  });
});

describe("a caller that is misconfigured", () => {
  for (const [name, [, field]] of Object.entries(MISCONFIGURED)) {
    test(`(${name}) is reported by its field`, async () => {
      const named = new RegExp(`\\b${name}\\b.*\\b${field}\\b`);
      await broker.logged((log) => log.event === "configuration_problem" && named.test(log.field), {
        limit: 2_000,
        what: `${name} ${field} (logged: ${broker.logs.filter((log) => String(log.field).includes(name)).map((log) => log.field)})`,
      });
    });
  }

  test("is never described by its values", () => {
    assert.deepEqual(
      broker.logs.filter((log) => JSON.stringify(log).toLowerCase().includes(CANARY)),
      [],
    );
  });

  test("is alone in it", () => {
    const reported = broker.logs.filter(({ event }) => event === "configuration_problem").map(({ field }) => field);
    assert.deepEqual(
      reported.filter((field) => !Object.keys(MISCONFIGURED).some((name) => field.includes(name))),
      [],
    );
  });
});

describe("a broker that starts while its issuers are down", () => {
  const stored = async () => {
    const all = Object.entries(await files(broker.persistTo));
    return Object.fromEntries(all.filter(([path]) => /\/(?:kv|do)\//.test(path)));
  };

  test("goes on with the keys that were stored", async () => {
    const { warm, wide } = issuers;
    await broker.kill();
    for (const issuer of [warm, wide]) issuer.mode = "reset";
    await broker.restart();
    const fetches = [warm.keyFetches, wide.keyFetches];
    for (const key of [rsa, ec]) await passes("warm", warm.token({ key, claims: PERSON }));
    for (const key of [keys.bare, keys.p521, keys.ed]) await passes("wide", wide.token({ key, claims: PERSON }));
    assert.deepEqual([warm.keyFetches, wide.keyFetches], fetches);
    await fails("warm", warm.token({ key: stranger }));
    await passes("warm", warm.token());
  });

  test("had them sealed, and stored no token and nobody's name", async () => {
    const places = await stored();
    assert.ok(Object.keys(places).some((path) => path.includes("/kv/")));
    const [, claims, bytes] = [...sent][0].split(".");
    assert.deepEqual(search(places, { ...PERSON, claims, bytes, modulus: rsa.jwk.n, issuer: issuers.warm.issuer }), []);
  });
});

describe("no line", () => {
  test("holds a token or anything that one says", async () => {
    const last = await passes("staff", issuers.staff.token({ claims: PERSON }));
    await broker.logged(
      ({ request_id, status }) => request_id === last.headers["x-request-id"] && status !== undefined,
      { what: "the last line" },
    );
    assert.ok(broker.logs.length > 500);
    const output = broker.output.join("\n");
    assert.deepEqual(search({ output }, PERSON), []);
    // Claims and signatures; headers are the same in many tokens.
    const parts = [...sent].flatMap((token) => token.split(".").slice(1)).filter((part) => part.length > 30);
    assert.ok(parts.length > 500);
    assert.deepEqual(
      parts.filter((part) => output.includes(part)),
      [],
    );
    for (const said of ["somebody", AUDIENCE, rsa.jwk.n, attacker.url]) assert.ok(!output.includes(said), said);
  });
});
