// The broker against authorization servers in real use: django-oauth-toolkit, and @node-oauth/oauth2-server.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import {
  ANA,
  assertNoTokenSaid,
  broker,
  BRUNO,
  get,
  isServed,
  lines,
  SERVERS,
  servers,
  types,
  useRealServers,
  Visitor,
  WEEK_MS,
  WRONG,
} from "./support/real-servers.mjs";

useRealServers();

describe("the broker, in front of", { concurrency: true }, () => {
  for (const [server, { outlivesRevocation }] of Object.entries(SERVERS)) {
    /** @param {string} kind */
    const connection = (kind) => lines[`${server}-${kind}`];

    describe(`${server}, called with the credentials of the connection`, { concurrency: true }, () => {
      test("gets its token by a password and calls the API as that user", async () => {
        const line = connection("password");
        await isServed(line, ANA.username);
        const order = { item: "chá", count: 2 };
        const ordered = assertStatus(await broker.call(line.api("/api/orders"), { method: "POST", json: order }), 201);
        assert.deepEqual(ordered.json(), { user: ANA.username, order });
        assert.deepEqual(types(line), ["password"]);
        assert.deepEqual(
          line.calls.map(({ headers }) => headers.authorization),
          Array(2).fill(`Bearer ${line.issued[0].access}`),
        );
      });

      test("may prove its client by Basic", async () => {
        const line = connection("basic");
        await isServed(line, ANA.username);
        const [{ headers, parameters }] = line.grants;
        assert.match(headers.authorization, /^Basic /);
        assert.deepEqual([parameters.client_id, parameters.client_secret], [undefined, undefined]);
      });

      test("gets a token that is nobody's by its client's credentials, in the body and by Basic", async () => {
        for (const kind of ["robot", "robot-basic"]) {
          const line = connection(kind);
          await isServed(line, null);
          await isServed(line, null);
          assert.deepEqual(types(line), ["client_credentials"]);
        }
      });

      for (const kind of ["wrong-password", "wrong-secret"]) {
        test(`with the ${kind.replace("-", " ")} is rejected once, and then leaves the server alone`, async () => {
          const line = connection(kind);
          assertProblem(await get(line), 502, "credentials_rejected");
          for (let i = 0; i < 3; i += 1) {
            assertProblem(await get(line), 503, "connection_unavailable", { cause: "credentials_rejected" });
          }
          assert.equal(line.exchanges.length, 1);
        });
      }

      test("renews a token that the server revoked, and the call succeeds", async () => {
        const line = connection("revoked");
        await isServed(line, ANA.username);
        const [{ client, access }] = line.issued;
        await servers[server].revoke({ client, token: access });
        await isServed(line, ANA.username);
        assert.deepEqual(types(line), ["password", "refresh_token", ...(outlivesRevocation ? [] : ["password"])]);
        assert.deepEqual(
          line.calls.map(({ status }) => status),
          [200, 401, 200],
        );
      });
    });

    describe(`${server}, by a person who signed in`, { concurrency: true }, () => {
      test("calls the API as themselves, and so does a second one at once", async () => {
        const line = connection("people");
        const [ana, bruno] = [new Visitor(ANA), new Visitor(BRUNO)];
        const began = Date.now();
        const [answer] = await Promise.all([ana.signIn(line), bruno.signIn(line)]);
        const { connection: named, expires_at, ...more } = answer.json();
        assert.deepEqual([named, more], [line.id, {}]);
        assert.ok(Math.abs(Date.parse(expires_at) - began - WEEK_MS) < 60_000, expires_at);
        assert.notEqual(ana.cookie, bruno.cookie);
        await Promise.all(Array.from({ length: 10 }, (_, i) => (i % 2 ? ana : bruno).isServed(line)));
        const order = { item: "café" };
        const ordered = assertStatus(await bruno.call(line, "/api/orders", { method: "POST", json: order }), 201);
        assert.deepEqual(ordered.json(), { user: BRUNO.username, order });
        assert.deepEqual(types(line), ["password", "password"]);
        for (const { headers } of line.exchanges) assert.equal(headers.cookie, undefined);
        await new Visitor(ANA).isRefused(line);
      });

      test("with the wrong password is not signed in, and with the right one then is", async () => {
        const line = connection("refused");
        const ana = new Visitor(ANA);
        const answer = await ana.login(line, { body: { ...ANA, password: WRONG } });
        assertProblem(answer, 401, "login_rejected");
        assert.equal(answer.headers["set-cookie"], undefined);
        await ana.isRefused(line);
        assert.equal(line.exchanges.length, 1);
        await ana.signIn(line);
        await ana.isServed(line);
      });

      test("whose access token was revoked goes on where the server still takes the refresh token", async () => {
        const line = connection("access-revoked");
        const ana = new Visitor(ANA);
        await ana.signIn(line);
        const [{ client, access }] = line.issued;
        await servers[server].revoke({ client, token: access });
        if (outlivesRevocation) {
          await ana.isServed(line);
        } else {
          await ana.isRefused(line);
          await ana.hasNoSession();
        }
        // The password is kept nowhere, so no other grant can follow.
        assert.deepEqual(types(line), ["password", "refresh_token"]);
      });

      test("whose refresh token was revoked is signed out, and nobody else is", async () => {
        const line = connection("refresh-revoked");
        const [ana, bruno] = [new Visitor(ANA), new Visitor(BRUNO)];
        await ana.signIn(line);
        await bruno.signIn(line);
        assert.deepEqual(await ana.signedInTo(), [line.id]);
        const [{ client, refresh }] = line.issued;
        await servers[server].revoke({ client, token: refresh });
        await ana.isRefused(line);
        await ana.hasNoSession();
        const grants = line.grants.length;
        await ana.isRefused(line);
        assert.equal(line.grants.length, grants);
        await bruno.isServed(line);
        await ana.signIn(line);
        await ana.isServed(line);
      });
    });
  }

  describe("both, by a person who signed in at each", () => {
    test("has one session with two connections, and loses the one whose server ends it", async () => {
      const [django, node] = ["django-both", "node-both"].map((id) => lines[id]);
      const [ana, former] = [new Visitor(ANA), new Visitor(ANA)];
      await ana.signIn(django);
      former.cookie = ana.cookie;
      await ana.signIn(node);
      assert.notEqual(ana.cookie, former.cookie);
      await former.hasNoSession();
      await ana.isServed(django);
      await ana.isServed(node);
      assert.deepEqual(await ana.signedInTo(), [django.id, node.id]);

      const [{ client, refresh }] = django.issued;
      await servers.django.revoke({ client, token: refresh });
      await ana.isRefused(django);
      assert.deepEqual(await ana.signedInTo(), [node.id]);
      await ana.isServed(node);
      assertStatus(await ana.logout(), 204);
      await ana.isRefused(node);
    });
  });
});

test("no answer of the broker had a token in it", assertNoTokenSaid);
