// Connections at which each caller's own token is exchanged for one of theirs (RFC 8693), and on behalf of the caller as
// Entra has it.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { text } from "node:stream/consumers";
import { after, before, describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { COUNTING, crossings, WARM } from "./support/border.mjs";
import { startBroker } from "./support/broker.mjs";
import { makeKey, seconds, startIssuer } from "./support/issuer.mjs";
import { files, search } from "./support/search.mjs";
import { closeServer, listening } from "./support/servers.mjs";
import { formOf, storedObjects } from "./support/stored.mjs";
import { until } from "./support/until.mjs";

/** @import { Broker, Vars } from "./support/broker.mjs" */
/** @import { Fields } from "./support/client.mjs" */
/** @import { Issuer } from "./support/issuer.mjs" */

const URN = "urn:ietf:params:oauth";
const AUDIENCE = "https://broker.example/api";
const CLIENT_SECRET = "exchange & client secret";

/**
 * A token request: the body as it came, and whom the exchanged token names.
 *
 * @typedef {{ target: string, headers: Fields, body: string, sub: string | undefined }} Exchange
 */

/** @typedef {{ token: string, sub: string, until: number }} Issued */

/**
 * A token endpoint and an API, which knows whom each token is of.
 */
class Provider {
  /** @type {Exchange[]} */
  exchanges = [];
  /** @type {Issued[]} */
  issued = [];
  /** @type {Fields[]} */
  calls = [];
  /** Who is refused. @type {Set<string>} */
  refused = new Set();
  /** Members merged over those of a token response. @type {{ [member: string]: unknown }} */
  response = {};
  /** A promise that token requests wait for. @type {Promise<unknown>} */
  hold = Promise.resolve();
  url = "";
  #server = createServer((request, response) => {
    /** @type {(status: number, body: unknown) => void} */
    const answer = (status, body) =>
      void response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    const headers = /** @type {Fields} */ (request.headers);
    if (request.method === "POST") {
      text(request).then(async (body) => answer(...(await this.#exchange(String(request.url), headers, body))));
      return;
    }
    this.calls.push(headers);
    const token = headers.authorization?.replace("Bearer ", "");
    const known = this.issued.find((one) => one.token === token && Date.now() / 1000 < one.until);
    answer(known ? 200 : 401, { sub: known?.sub });
  });

  async open() {
    this.url = await listening(this.#server);
  }

  close() {
    return closeServer(this.#server);
  }

  /**
   * @param {string} target
   * @param {Fields} headers
   * @param {string} body
   * @returns {Promise<[number, unknown]>}
   */
  async #exchange(target, headers, body) {
    const fields = new URLSearchParams(body);
    const own = claimsOf(fields.get("subject_token") ?? fields.get("assertion") ?? "");
    this.exchanges.push({ target, headers, body, sub: own?.sub });
    await this.hold;
    if (!own || this.refused.has(own.sub)) return [400, { error: "invalid_request", error_description: own?.sub }];
    // The API itself would take the token for an hour.
    const token = `exchanged-${randomBytes(18).toString("base64url")}`;
    this.issued.push({ token, sub: own.sub, until: seconds() + 3600 });
    const issued_token_type = `${URN}:token-type:access_token`;
    const refresh_token = `refresh-${randomBytes(18).toString("base64url")}`;
    const response = { access_token: token, issued_token_type, token_type: "Bearer", expires_in: 3600, refresh_token };
    return [200, { ...response, ...this.response }];
  }

  /** The exchanges of `sub`. @param {string} sub */
  of(sub) {
    return this.exchanges.filter((exchange) => exchange.sub === sub);
  }
}

/** @param {string} token */
function claimsOf(token) {
  const [, claims] = token.split(".");
  return claims ? JSON.parse(Buffer.from(claims, "base64url").toString()) : undefined;
}

const provider = new Provider();
/** @type {Issuer} */
let issuer;
/** @type {Issuer} */
let access;
/** @type {Broker} */
let broker;
/** Every token of a caller. @type {string[]} */
const own = [];

const newName = () => `canary-${randomBytes(9).toString("hex")}`;

/**
 * A token of `sub` that lives for so many seconds.
 *
 * @param {string | undefined} sub
 */
function tokenOf(sub, life = 3600, by = issuer) {
  const token = by.token({ claims: { sub, exp: seconds() + life } });
  own.push(token);
  return token;
}

/** @type {(key: string, path?: string) => ReturnType<Broker["call"]>} */
const call = (key, path = "/api/rfc8693/me") => broker.call(path, { key });

/** @param {Awaited<ReturnType<typeof call>>} answer */
const source = (answer) => /token;desc="(\w+)"/.exec(answer.headers["server-timing"] ?? "")?.[1];

before(async () => {
  await provider.open();
  issuer = await startIssuer({ keys: [makeKey("ES256")], audience: AUDIENCE });
  access = await startIssuer({ keys: [makeKey("RS256")], audience: AUDIENCE, jwksPath: "/cdn-cgi/access/certs" });
  const rules = [{ callers: ["staff", "access"], methods: ["GET"], paths: ["/me"] }];
  /** @type {Vars} */
  const connection = { provider: "custom", base_url: provider.url, grant: "token_exchange", rules };
  broker = await startBroker({
    vars: {
      CALLERS: {
        backend: { kind: "key" },
        staff: { kind: "jwt", issuer: issuer.issuer, audience: AUDIENCE },
        access: {
          kind: "jwt",
          issuer: access.issuer,
          audience: AUDIENCE,
          jwks_url: access.jwksUrl,
          header: "Cf-Access-Jwt-Assertion",
        },
      },
      CONNECTIONS: {
        rfc8693: {
          ...connection,
          subject: "caller",
          token_url: `${provider.url}/token`,
          client_auth: "basic",
          client_id: "the client",
          audience: "https://api.example",
          scope: "orders:read orders:write",
          resource: "https://api.example/orders",
        },
        entra: {
          ...connection,
          token_url: `${provider.url}/tenant/oauth2/v2.0/token`,
          client_id: "client-of-entra",
          scope: "https://graph.microsoft.com/.default",
          params: {
            grant_type: `${URN}:grant-type:jwt-bearer`,
            assertion: "{subject_token}",
            requested_token_use: "on_behalf_of",
          },
        },
        wrong: {
          ...connection,
          token_url: `${provider.url}/token`,
          client_auth: "none",
          rules: [{ ...rules[0], callers: ["staff", "backend"] }],
        },
      },
    },
    secrets: { RFC8693_CLIENT_SECRET: CLIENT_SECRET, ENTRA_CLIENT_SECRET: CLIENT_SECRET },
    around: COUNTING,
  });
});

after(async () => {
  await broker?.stop();
  await issuer?.close();
  await access?.close();
  await provider.close();
});

describe("the token request", () => {
  test("is that of RFC 8693, with the client's authentication as configured", async () => {
    const name = newName();
    const token = tokenOf(name);
    assert.deepEqual(assertStatus(await call(token)).json(), { sub: name });
    const [{ target, headers, body }] = provider.of(name);
    assert.equal(target, "/token");
    assert.equal(headers["content-type"], "application/x-www-form-urlencoded");
    assert.equal(headers.accept, "application/json");
    const secret = "exchange+%26+client+secret";
    assert.equal(headers.authorization, `Basic ${Buffer.from(`the+client:${secret}`).toString("base64")}`);
    assert.equal(
      body,
      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange" +
        `&subject_token=${token}&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt` +
        "&audience=https%3A%2F%2Fapi.example&scope=orders%3Aread+orders%3Awrite&resource=https%3A%2F%2Fapi.example%2Forders",
    );
  });

  test("is that of Entra's on-behalf-of", async () => {
    const name = newName();
    const token = tokenOf(name);
    assert.deepEqual(assertStatus(await call(token, "/api/entra/me")).json(), { sub: name });
    const [{ target, headers, body }] = provider.of(name);
    assert.equal(target, "/tenant/oauth2/v2.0/token");
    assert.equal(headers.authorization, undefined);
    assert.equal(
      body,
      "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer" +
        "&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default&client_id=client-of-entra" +
        `&client_secret=exchange+%26+client+secret&assertion=${token}&requested_token_use=on_behalf_of`,
    );
  });

  test("is made with a token in whatever field it comes", async () => {
    const name = newName();
    const token = tokenOf(name, 3600, access);
    const answer = await broker.call("/api/rfc8693/me", { key: null, headers: { "Cf-Access-Jwt-Assertion": token } });
    assert.deepEqual(assertStatus(answer).json(), { sub: name });
    assert.ok(provider.of(name)[0].body.includes(token));
    assert.equal(provider.calls.at(-1)?.["cf-access-jwt-assertion"], undefined);
  });
});

describe("each caller", () => {
  test("has a token of their own, obtained once for any number of calls at once", async () => {
    const names = [newName(), newName(), newName()];
    const tokens = names.map((name) => tokenOf(name));
    let release = () => {};
    provider.hold = new Promise((resolve) => (release = () => resolve(undefined)));
    const calls = tokens.flatMap((token) => Array.from({ length: 20 }, () => call(token)));
    await until(() => names.every((name) => provider.of(name).length), "an exchange of each");
    release();
    const answers = await Promise.all(calls);
    for (const [at, answer] of answers.entries()) {
      assert.deepEqual(assertStatus(answer).json(), { sub: names[Math.floor(at / 20)] });
    }
    for (const name of names) assert.equal(provider.of(name).length, 1);
    // Another token of the same person, and the same name at another issuer.
    assert.deepEqual(assertStatus(await call(tokenOf(names[0], 1800))).json(), { sub: names[0] });
    assert.equal(provider.of(names[0]).length, 1);
    const headers = { "Cf-Access-Jwt-Assertion": tokenOf(names[0], 3600, access) };
    assertStatus(await broker.call("/api/rfc8693/me", { key: null, headers }));
    assert.equal(provider.of(names[0]).length, 2);
  });

  test("has it after a restart without another exchange", async () => {
    const [name, other] = [newName(), newName()];
    const [token, others] = [tokenOf(name), tokenOf(other)];
    assert.equal(source(assertStatus(await call(token))), "grant");
    assertStatus(await call(others));
    await broker.restart();
    const answer = assertStatus(await call(token));
    assert.deepEqual([source(answer), answer.json()], ["keeper", { sub: name }]);
    assert.equal(source(assertStatus(await call(token))), "memory");
    assert.deepEqual(assertStatus(await call(others)).json(), { sub: other });
    assert.deepEqual([provider.of(name).length, provider.of(other).length], [1, 1]);
  });

  test("reaches the upstream without I/O but the call itself", async () => {
    const token = tokenOf(newName());
    assert.deepEqual(await crossings(broker.url, "/api/rfc8693/me", { key: token }), WARM);
  });

  test("is refused alone, and can try a new token at once", async () => {
    const [name, other] = [newName(), newName()];
    const [token, others] = [tokenOf(name), tokenOf(other)];
    provider.refused.add(name);
    const refused = await call(token);
    const body = assertProblem(refused, 502, "credentials_rejected");
    assert.ok(!refused.text.includes(name), JSON.stringify(body));
    assertProblem(await call(token), 503, "connection_unavailable", { cause: "credentials_rejected" });
    assert.deepEqual(assertStatus(await call(others)).json(), { sub: other });
    assert.equal(provider.of(name).length, 1);
    provider.refused.delete(name);
    assertProblem(await call(token), 503, "connection_unavailable");
    assert.deepEqual(assertStatus(await call(tokenOf(name, 3700))).json(), { sub: name });
    assert.deepEqual(assertStatus(await call(token)).json(), { sub: name });
    assert.equal(provider.of(name).length, 2);
  });

  test("gets one renewal by their present token where the upstream refuses theirs", async () => {
    const name = newName();
    assertStatus(await call(tokenOf(name)));
    provider.issued.splice(0);
    const later = tokenOf(name, 3700);
    assert.deepEqual(assertStatus(await call(later)).json(), { sub: name });
    assert.equal(provider.of(name).length, 2);
    assert.ok(provider.of(name)[1].body.includes(later));
  });

  test("gets nothing beyond the end of the token that theirs was exchanged for", async () => {
    const name = newName();
    const token = tokenOf(name, 4);
    const ends = claimsOf(token).exp * 1000;
    let served = 0;
    const late = await until(async () => {
      const [begun, answer] = [Date.now(), await call(token)];
      if (answer.status !== 200) return answer;
      assert.ok(begun < ends, "served after its end");
      served += 1;
    }, "the end of the token");
    assertProblem(late, 401, "caller_unauthenticated");
    assert.match(late.headers["www-authenticate"] ?? "", /error="invalid_token"/);
    assert.ok(served > 0 && Date.now() >= ends - 1000);
    assert.equal(provider.of(name).length, 1, "an expired token is not exchanged, nor is a short one again and again");
    assert.deepEqual(assertStatus(await call(tokenOf(name))).json(), { sub: name });
  });

  test("is renewed behind a call by a token that lives longer", async () => {
    const name = newName();
    provider.response = { expires_in: 10 };
    const token = tokenOf(name);
    assertStatus(await call(token));
    provider.response = {};
    // Ageing from 7.5 to 8.5 s on, stale from 9 s on.
    await until(async () => (assertStatus(await call(token)), provider.of(name).length === 2), "a renewal");
    await until(async () => source(assertStatus(await call(token))) === "memory", "the new token");
    assert.equal(provider.of(name).length, 2);
    assert.ok(!provider.exchanges.some(({ body }) => body.includes("refresh")), "no refresh token is used");
  });

  test("who is not named is not let through", async () => {
    const before = broker.output.length;
    for (const sub of [undefined, ""]) {
      assertProblem(await call(tokenOf(sub)), 403, "operation_not_allowed");
    }
    const line = await broker.logged(({ reason }) => reason === "no_subject", { since: before });
    assert.deepEqual([line.caller, line.status, line.audit, line.token], ["staff", 403, true, undefined]);
  });
});

test("a connection that names a caller without a token is misconfigured", async () => {
  assertProblem(await call(tokenOf(newName()), "/api/wrong/me"), 503, "misconfigured");
  const line = await broker.logged(({ field }) => field === "CONNECTIONS.wrong.rules[0].callers[1]");
  assert.match(line.problem, /must be a caller of kind jwt or cloudflare-access/);
});

test("what is stored of a caller is a sealed state, which goes with its end", async () => {
  const objects = async () =>
    Object.entries(await storedObjects(broker.persistTo)).filter(([, { texts }]) => texts.state !== undefined);
  const known = (await objects()).map(([path]) => path);
  assertStatus(await call(tokenOf(newName(), 3)));
  const added = (await objects()).filter(([path]) => !known.includes(path));
  assert.deepEqual(
    added.map(([, stored]) => formOf(stored)),
    ['{"Exchanged":{"connection":"rfc8693","name":"exchanged/…"}}, state'],
  );
  const [path, { texts }] = added[0];
  assert.match(texts.state, /^1\.k1\.[\w-]+$/);
  await until(async () => (await objects()).every(([other]) => other !== path), "the deletion");
});

test("nothing of a caller is stored unsealed, or logged", async () => {
  const name = newName();
  assertStatus(await call(tokenOf(name)));
  const secrets = {
    ...Object.fromEntries(own.map((token, at) => [`own token ${at}`, token])),
    ...Object.fromEntries(provider.issued.map(({ token }, at) => [`exchanged token ${at}`, token])),
    subject: name,
  };
  const log = broker.output.join("\n");
  assert.deepEqual(search({ log, ...(await files(broker.persistTo)) }, secrets), []);
});
