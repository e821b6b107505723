// Token requests with assertions, RFC 7523: grants and clients that are proven by a key, and clients that are by their
// secret. A stub verifies every signature with Node's own cryptography; oidc-provider, a real server, does with its own.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { after, afterEach, before, describe, test } from "node:test";
import Provider from "oidc-provider";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { isSignedBy, makeKey, seconds } from "./support/issuer.mjs";
import { closeServer, listening } from "./support/servers.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Server } from "node:http" */
/** @import { Broker, Secrets, Vars } from "./support/broker.mjs" */
/** @import { Key } from "./support/issuer.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

const ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"];
/** The algorithms of the keys that name none. */
const USUAL = ["RS256", "ES256", "ES384", "ES512", "EdDSA"];

const ADMIN_KEY = "e2e-admin-key-0123456789";
const CLIENT_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/** @type {{ [alg: string]: Key }} */
const keys = Object.fromEntries(ALGORITHMS.map((alg) => [alg, makeKey(alg, { kid: `key-${alg}` })]));

/** The forms of a private key. @type {{ [form: string]: (key: Key) => string }} */
const FORMS = {
  pem: ({ privateKey }) => String(privateKey.export({ type: "pkcs8", format: "pem" })),
  "pem with written line breaks": (key) => FORMS.pem(key).replaceAll("\n", "\\n"),
  "pem in one line": (key) => FORMS.pem(key).replaceAll("\n", " "),
  jwk: ({ privateKey, kid, alg }) =>
    JSON.stringify({ ...privateKey.export({ format: "jwk" }), kid, alg, use: "sig", key_ops: ["sign"], ext: true }),
};

/** The ids of all assertions. @type {Set<unknown>} */
const ids = new Set();

/**
 * Header and claims of an assertion, whose times must be of this moment.
 *
 * @param {string} assertion
 * @param {number} lifetime
 */
function read(assertion, lifetime) {
  const [header, claims] = assertion.split(".", 2).map((part) => JSON.parse(String(Buffer.from(part, "base64url"))));
  assert.ok(Math.abs(claims.iat - seconds()) <= 5, `issued at ${claims.iat}`);
  assert.equal(claims.exp - claims.iat, lifetime);
  if (claims.jti !== undefined) {
    assert.ok(!ids.has(claims.jti), "an id comes twice");
    ids.add(claims.jti);
  }
  return { header, claims };
}

/** @param {string} assertion @param {Pick<Key, "alg" | "publicKey">} key */
function assertSigned(assertion, key) {
  const [input, signature] = assertion.split(/\.(?=[^.]*$)/);
  assert.ok(isSignedBy(key, input, Buffer.from(signature, "base64url")), `${key.alg}: another signature`);
}

/**
 * Checks a proof of the client.
 *
 * @param {{ [name: string]: string }} parameters
 * @param {string} audience
 */
function readProof({ client_id, client_secret, client_assertion_type, client_assertion }, audience) {
  assert.equal(client_assertion_type, CLIENT_ASSERTION_TYPE);
  assert.equal(client_secret, undefined);
  const { header, claims } = read(client_assertion, 60);
  const { iat: _, exp: __, jti, ...others } = claims;
  assert.deepEqual(others, { iss: client_id, sub: client_id, aud: audience });
  assert.match(jti, /^[\w-]{22}$/);
  return header;
}

/** @type {Upstream} */
let upstream;
/** @type {Broker} */
let broker;

/**
 * A connection whose client is proven by `key`.
 *
 * @param {string} id
 * @param {Key} key
 * @param {string} form
 * @param {{ grant?: string, fields?: Vars, credentials?: Secrets, header?: object, audience?: string }} [settings]
 */
function proving(id, key, form, { grant, fields, credentials, header, audience } = {}) {
  const connection = upstream.connection(id, {
    grant,
    fields: { client_auth: "private_key_jwt", ...fields },
    credentials: { client_secret: undefined, private_key: FORMS[form](key), ...credentials },
    prove: (parameters) => {
      const found = readProof(parameters, audience ?? connection.tokenUrl);
      assert.deepEqual(found, { alg: key.alg, typ: "JWT", ...header });
      assertSigned(parameters.client_assertion, key);
    },
  });
  return connection;
}

/** A file as Google hands it out. @param {string} tokenUrl */
const account = (tokenUrl) => ({
  type: "service_account",
  project_id: "acme-1234",
  private_key_id: "9f3c2b1a",
  private_key: FORMS.pem(keys.RS256),
  client_email: "robot@acme-1234.iam.example",
  client_id: "1122334455",
  auth_uri: "https://accounts.example/o/oauth2/auth",
  token_uri: tokenUrl,
});

const UNUSABLE = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n";

before(async () => {
  upstream = await startUpstream();
  for (const alg of ALGORITHMS) {
    const fields = USUAL.includes(alg) ? {} : { algorithm: alg };
    proving(`pem-${alg.toLowerCase()}`, keys[alg], "pem", { fields });
    proving(`jwk-${alg.toLowerCase()}`, keys[alg], "jwk", { header: { kid: `key-${alg}` } });
  }
  proving("written", keys.RS256, "pem with written line breaks");
  proving("one-line", keys.ES256, "pem in one line", {
    fields: { key_id: "k 1", assertion_audience: "https://as.example" },
    header: { kid: "k 1" },
    audience: "https://as.example",
  });
  proving("person-like", keys.ES256, "pem", { grant: "password" });
  proving("renewed", keys.ES384, "jwk", {
    grant: "refresh_token",
    header: { kid: "key-ES384" },
    credentials: { client_id: "renewed-client" },
  });
  const shared = upstream.connection("shared", {
    fields: { client_auth: "client_secret_jwt", body: "json" },
    prove: (parameters) => {
      assert.deepEqual(readProof(parameters, shared.tokenUrl), { alg: "HS256", typ: "JWT" });
      const [input, signature] = parameters.client_assertion.split(/\.(?=[^.]*$)/);
      assert.equal(signature, createHmac("sha256", "shared-client-secret").update(input).digest("base64url"));
    },
  });
  const bearer = upstream.connection("bearer", {
    grant: "jwt_bearer",
    fields: {
      assertion: {
        issuer: "integration-key",
        subject: "ann@acme.example",
        audience: "account.example",
        lifetime: 3600,
        jti: true,
        claims: { scope: "signature impersonation", level: 2, roles: ["a"] },
      },
      key_id: "k1",
    },
    credentials: { private_key: FORMS.pem(keys.PS256) },
    prove: (parameters) => {
      assert.deepEqual(Object.keys(parameters), ["grant_type", "assertion"]);
      const { header, claims } = read(parameters.assertion, 3600);
      assert.deepEqual(header, { alg: "RS256", kid: "k1", typ: "JWT" });
      assert.match(claims.jti, /^[\w-]{22}$/);
      const { iat: _, exp: __, jti: ___, ...others } = claims;
      const expected = {
        iss: "integration-key",
        sub: "ann@acme.example",
        aud: "account.example",
        level: 2,
        roles: ["a"],
      };
      assert.deepEqual(others, { ...expected, scope: "signature impersonation" });
      assertSigned(parameters.assertion, { ...keys.PS256, alg: "RS256" });
    },
  });
  assert.ok(bearer);
  const google = upstream.connection("google", {
    grant: "jwt_bearer",
    fields: { token_url: undefined, assertion: { claims: { scope: "https://www.example/auth/calendar" } } },
    refreshToken: false,
    prove: (parameters) => {
      const { header, claims } = read(parameters.assertion, 300);
      assert.deepEqual(header, { alg: "RS256", kid: "9f3c2b1a", typ: "JWT" });
      const { iat: _, exp: __, ...others } = claims;
      const scope = "https://www.example/auth/calendar";
      assert.deepEqual(others, { iss: "robot@acme-1234.iam.example", aud: google.tokenUrl, scope });
      assertSigned(parameters.assertion, keys.RS256);
    },
  });
  google.secrets.GOOGLE_SERVICE_ACCOUNT = JSON.stringify(account(google.tokenUrl), null, 2);
  const both = upstream.connection("both", {
    grant: "jwt_bearer",
    fields: { client_auth: "private_key_jwt", assertion: { issuer: "i", subject: "s" }, client_id: "both-client" },
    credentials: { private_key: FORMS.jwk(keys.EdDSA) },
    prove: (parameters) => {
      readProof(parameters, both.tokenUrl);
      assert.equal(read(parameters.assertion, 300).claims.iss, "i");
      assertSigned(parameters.assertion, keys.EdDSA);
      assertSigned(parameters.client_assertion, keys.EdDSA);
    },
  });
  upstream.connection("unusable", {
    fields: { client_auth: "private_key_jwt" },
    credentials: { client_secret: undefined, private_key: UNUSABLE },
  });
  upstream.connection("misfit", {
    fields: { client_auth: "private_key_jwt", algorithm: "ES384" },
    credentials: { client_secret: undefined, private_key: FORMS.pem(keys.ES256) },
  });
  const secrets = { ...upstream.secrets, ADMIN_KEY };
  broker = await startBroker({ vars: { CONNECTIONS: upstream.vars }, secrets });
});

afterEach(() => upstream.verify());

after(async () => {
  await broker?.stop();
  await upstream?.close();
});

/** @param {string} id */
const get = (id) => broker.call(upstream.get(id).api());

describe("a client, proven by its key", () => {
  for (const alg of ALGORITHMS) {
    for (const form of ["pem", "jwk"]) {
      test(`with ${alg}, a ${form}`, async () => {
        assertStatus(await get(`${form}-${alg.toLowerCase()}`));
        assert.equal(upstream.get(`${form}-${alg.toLowerCase()}`).granted.length, 1);
      });
    }
  }

  test("whose line breaks are written, or blanks", async () => {
    assertStatus(await get("written"));
    assertStatus(await get("one-line"));
  });

  test("with every grant, and anew in each request", async () => {
    for (const [id, first] of [
      ["person-like", "password"],
      ["renewed", "refresh_token"],
    ]) {
      const connection = upstream.get(id);
      assertStatus(await get(id));
      connection.revoke();
      assertStatus(await get(id));
      const types = connection.tokenRequests.map(({ parameters }) => parameters.grant_type);
      assert.deepEqual(types, [first, "refresh_token"]);
    }
  });
});

test("a client, proven by its secret", async () => {
  assertStatus(await get("shared"));
});

describe("a grant that is signed", () => {
  test("says what the table says", async () => {
    assertStatus(await get("bearer"));
  });

  test("is made anew, whatever refresh token came", async () => {
    const bearer = upstream.get("bearer");
    bearer.revoke();
    assertStatus(await get("bearer"));
    assert.equal(bearer.granted.length, 2);
    const types = new Set(bearer.tokenRequests.map(({ parameters }) => parameters.grant_type));
    assert.deepEqual([...types], ["urn:ietf:params:oauth:grant-type:jwt-bearer"]);
  });

  test("is all in the file of a service account", async () => {
    assertStatus(await get("google"));
  });

  test("goes with a proof of the client by the same key", async () => {
    assertStatus(await get("both"));
  });
});

describe("a key", () => {
  test("that WebCrypto does not take sends nothing, and is told of", async () => {
    const { output } = broker;
    const since = output.length;
    assertProblem(await get("unusable"), 503, "misconfigured");
    assertProblem(await get("unusable"), 503, "connection_unavailable", { cause: "misconfigured" });
    assert.equal(upstream.get("unusable").tokenRequests.length, 0);
    const line = await broker.logged(({ event }) => event === "grant", { since });
    const { outcome, reason, connection, audit, status } = line;
    assert.deepEqual(
      [outcome, reason, connection, audit, status],
      ["misconfigured", "key_unusable", "unusable", true, undefined],
    );
    const listed = await broker.call("/admin/connections/unusable", { key: ADMIN_KEY });
    const { state, last_error: error } = assertStatus(listed).json();
    assert.deepEqual(
      [state, error.code, error.reason, error.status],
      ["waiting", "misconfigured", "key_unusable", null],
    );
  });

  test("of another kind is a problem of its secret", async () => {
    assertProblem(await get("misfit"), 503, "misconfigured");
    const line = await broker.logged(({ field }) => field === "MISFIT_PRIVATE_KEY");
    assert.match(line.problem, /^is a key of another kind than algorithm/);
  });

  test("is in no line of the log, and in no answer", () => {
    const said = broker.output.join("\n");
    for (const { privateKey } of Object.values(keys)) {
      const { d } = privateKey.export({ format: "jwk" });
      assert.ok(d && !said.includes(d));
      const [line] = String(privateKey.export({ type: "pkcs8", format: "pem" }))
        .split("\n")
        .slice(-3);
      assert.ok(!said.includes(line));
    }
  });
});

describe("oidc-provider takes", () => {
  const secret = "a-secret-of-32-characters-or-more-0123456789";
  const proofs = ["RS256", "PS256", "ES256", "EdDSA"];
  /** @type {Server} */
  let server;
  /** @type {Server} */
  let api;
  /** @type {Broker} */
  let own;

  before(async () => {
    const common = { grant_types: ["client_credentials"], redirect_uris: [], response_types: [] };
    /** @type {import("node:http").RequestListener} */
    let callback = () => {};
    server = createServer((request, response) => callback(request, response));
    const url = await listening(server);
    const byKey = proofs.map((alg) => ({
      ...common,
      client_id: `client-${alg}`,
      token_endpoint_auth_method: "private_key_jwt",
      token_endpoint_auth_signing_alg: alg,
      jwks: { keys: [keys[alg].jwk] },
    }));
    const bySecret = {
      ...common,
      client_id: "client-HS256",
      client_secret: secret,
      token_endpoint_auth_method: "client_secret_jwt",
      token_endpoint_auth_signing_alg: "HS256",
    };
    const provider = new Provider(url, {
      clients: [...byKey, bySecret],
      clientAuthMethods: ["private_key_jwt", "client_secret_jwt"],
      cookies: { keys: ["of no use here"] },
      enabledJWA: { clientAuthSigningAlgValues: [...proofs, "HS256"] },
      features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
    });
    callback = provider.callback();
    api = createServer(({ headers }, response) => response.end(headers.authorization));
    const base_url = await listening(api);
    /** @type {Vars} */
    const connections = {};
    /** @type {Secrets} */
    const secrets = { OP_HS256_CLIENT_SECRET: secret };
    const fields = { provider: "custom", base_url, token_url: `${url}/token`, grant: "client_credentials" };
    for (const alg of [...proofs, "HS256"]) {
      const client_auth = alg === "HS256" ? "client_secret_jwt" : "private_key_jwt";
      connections[`op-${alg.toLowerCase()}`] = {
        ...fields,
        client_auth,
        client_id: `client-${alg}`,
        rules: [EVERYTHING],
      };
    }
    for (const alg of proofs) secrets[`OP_${alg.toUpperCase()}_PRIVATE_KEY`] = FORMS.jwk(keys[alg]);
    connections["op-issuer"] = { ...connections["op-es256"], assertion_audience: url };
    secrets.OP_ISSUER_PRIVATE_KEY = FORMS.pem(keys.ES256);
    own = await startBroker({ vars: { CONNECTIONS: connections }, secrets });
  });

  after(async () => {
    await own?.stop();
    if (server) await closeServer(server);
    if (api) await closeServer(api);
  });

  /** @param {string} id */
  const taken = async (id) => {
    const answer = assertStatus(await own.call(`/api/op-${id}/x`));
    assert.match(answer.text, /^Bearer [\w-]{20,}$/);
  };

  for (const alg of [...proofs, "HS256"]) test(`a proof by ${alg}`, () => taken(alg.toLowerCase()));

  test("a proof that is for its issuer", () => taken("issuer"));
});
