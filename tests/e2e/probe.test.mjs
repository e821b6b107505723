// What `npm run check -- --probe` says of credentials, against servers that refuse in each way.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { probeConnections } from "../../scripts/probe.mjs";
import { closeServer, listening } from "./support/servers.mjs";

/** @import { Server } from "node:http" */

/** The answer to each user name. @type {{ [name: string]: [status: number, body: object] }} */
const ANSWERS = {
  ann: [200, { access_token: "right token", token_type: "Bearer", expires_in: 3600 }],
  dead: [200, { access_token: "wrong token", token_type: "Bearer", expires_in: 3600 }],
  wrong: [400, { error: "invalid_grant" }],
  client: [401, { error: "invalid_client" }],
  strange: [200, { token: "elsewhere" }],
};

describe("the probe", () => {
  /** @type {Server} */
  let server;
  /** @type {string} */
  let origin;
  /** @type {string} */
  let state;
  /** @type {string[]} */
  let asked = [];

  before(async () => {
    state = mkdtempSync(path.join(tmpdir(), "porteiro-probe-"));
    server = createServer(async (request, response) => {
      let body = "";
      for await (const chunk of request) body += chunk;
      const answer = (/** @type {number} */ status, /** @type {object} */ value) =>
        response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
      if (request.url !== "/token") {
        const right = request.headers.authorization === "Bearer right token";
        return answer(right ? (request.url === "/me?x=1" ? 200 : 404) : 401, {});
      }
      const name = new URLSearchParams(body).get("username") ?? "";
      asked.push(name);
      return answer(...ANSWERS[name]);
    });
    origin = await listening(server);
  });

  after(async () => {
    await closeServer(server);
    rmSync(state, { recursive: true, force: true });
  });

  /** @param {{ [id: string]: object }} changes */
  const vars = (changes) => ({
    SEALING_KEYS: `test:${Buffer.alloc(32, 1).toString("base64")}`,
    CONNECTIONS: JSON.stringify(changes),
    ...Object.fromEntries(
      Object.keys(changes).flatMap((id) => [
        [`${id.toUpperCase()}_USERNAME`, id],
        [`${id.toUpperCase()}_PASSWORD`, "password"],
      ]),
    ),
  });

  /** @param {object} [changes] */
  const connection = (changes) => ({
    provider: "custom",
    base_url: origin,
    token_url: `${origin}/token`,
    grant: "password",
    client_auth: "none",
    probe: "/me?x=1",
    ...changes,
  });

  /** @param {{ [id: string]: object }} changes */
  const probed = async (changes) => {
    asked = [];
    const all = await probeConnections(vars(changes), state);
    return Object.fromEntries(
      all.map(({ connection, works, message }) => [
        connection,
        /** @type {[boolean | null, string]} */ ([works, message]),
      ]),
    );
  };

  test("says in a line of each connection what is wrong, after one attempt", async () => {
    const host = new URL(origin).host;
    const nowhere = "http://127.0.0.1:9";
    const { nokey, ...found } = await probed({
      ann: connection(),
      dead: connection(),
      wrong: connection(),
      client: connection(),
      strange: connection(),
      silent: connection({ token_url: `${nowhere}/token` }),
      closed: connection({ base_url: nowhere, grant: "basic", token_url: undefined, client_auth: undefined }),
      astray: connection({ probe: "/nothing", grant: "static", token_url: undefined, client_auth: undefined }),
      people: connection({ subject: "user", rules: [] }),
      unsaid: connection({ probe: undefined }),
      nokey: connection({ client_auth: "post" }),
    });
    assert.deepEqual(found, {
      ann: [true, "works: GET /me?x=1 was answered 200"],
      dead: [false, "token refused: the API took the token for none of its own"],
      wrong: [false, "user refused: user name, password or refresh token is wrong (invalid_grant, 400)"],
      client: [false, "client refused: its id or its secret is wrong (invalid_client, 401)"],
      strange: [false, `${host} did not answer as a token endpoint does (no_access_token): is token_url right?`],
      silent: [false, "host unknown: the token endpoint 127.0.0.1:9 cannot be reached"],
      closed: [false, "host unknown: the API 127.0.0.1:9 cannot be reached"],
      astray: [false, "ASTRAY_TOKEN is missing: set this secret"],
      people: [null, "not tried: each person has their own account"],
      unsaid: [null, "not tried: name a harmless GET of its API as probe"],
    });
    assert.match(nokey[1], /^NOKEY_CLIENT_ID is missing.*; NOKEY_CLIENT_SECRET is missing/);
    assert.deepEqual(asked.sort(), ["ann", "client", "dead", "strange", "wrong"]);
  });

  test("sends nothing while the broker waits, until another secret is set", async () => {
    const { wrong } = await probed({ wrong: connection() });
    assert.equal(wrong[0], false);
    assert.match(wrong[1], /^user refused.*; nothing was sent: the broker waits for \d+ s more/);
    assert.deepEqual(asked, []);
    const again = { ...vars({ wrong: connection() }), WRONG_PASSWORD: "another" };
    const [{ message }] = await probeConnections(again, state);
    assert.match(message, /^user refused/);
    assert.doesNotMatch(message, /nothing was sent/);
    assert.deepEqual(asked, ["wrong"]);
  });

  test("tries other secrets, and not the token that those before them obtained", async () => {
    const { ann } = await probed({ ann: connection() });
    assert.deepEqual([ann[0], asked], [true, []]);
    const [{ works, message }] = await probeConnections(
      { ...vars({ ann: connection() }), ANN_USERNAME: "client" },
      state,
    );
    assert.deepEqual([works, asked], [false, ["client"]]);
    assert.match(message, /^client refused/);
    assert.doesNotMatch(readFileSync(path.join(state, "tried.json"), "utf8"), /password/);
  });
});
