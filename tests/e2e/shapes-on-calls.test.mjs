// How a token is put on a call besides the usual header field, what of it comes back, and which answers say that it is
// dead: the built broker in bare workerd, before an API that records what arrives and answers as it is told.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, beforeEach, describe, test } from "node:test";
import { brotliCompressSync, deflateSync, gzipSync } from "node:zlib";
import { assertProblem, assertStatus } from "./support/assertions.mjs";
import { EVERYTHING, startBroker } from "./support/broker.mjs";
import { makeKey, startIssuer } from "./support/issuer.mjs";
import { closeServer, listening } from "./support/servers.mjs";

/** @import { IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from "node:http" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { Issuer } from "./support/issuer.mjs" */

/**
 * What the API answers: a head with a body, in parts or written by a function.
 *
 * @typedef {{ status?: number, headers?: OutgoingHttpHeaders, body?: string | Buffer | ((response: ServerResponse) => unknown) }} Reply
 */

const KIB = 1024;
const JSON_TYPE = { "Content-Type": "application/json" };
// Secrets with characters that are escaped.
const STATIC = "12|aBc+dEf/0123456789=.-_~xyz";
const APP_KEY = "an app's key+/&=%25\\éÉ";
const APP_TOKEN = "app-token-0123456789";
const RENEWED = Array.from({ length: 13 }, (_, number) => `renewed${number}`);

/** @type {Server} */
let server;
/** @type {Issuer} */
let issuer;
/** @type {Broker} */
let broker;
/** The calls that arrived. @type {{ method?: string, url: string, headers: { [name: string]: string } }[]} */
let calls = [];
/** How many tokens were granted. */
let grants = 0;
/** What the API answers, for each call anew. @type {(token: string) => Reply} */
let reply;

const tokenOf = (/** @type {number} */ number) => `granted|${number}+/token==`;

before(async () => {
  server = createServer((request, response) => {
    request.resume();
    if (request.url === "/token") {
      grants += 1;
      response.writeHead(200, JSON_TYPE);
      return void response.end(JSON.stringify({ access_token: tokenOf(grants), token_type: "odd", expires_in: 3600 }));
    }
    const { method, url = "", headers } = request;
    calls.push({ method, url, headers: /** @type {{ [name: string]: string }} */ (headers) });
    const { status = 200, headers: fields = {}, body = "{}" } = reply(tokenIn(request));
    response.writeHead(status, fields);
    if (typeof body === "function") body(response);
    else response.end(body);
  });
  const url = await listening(server);
  issuer = await startIssuer({ keys: [makeKey("RS256")], audience: "aud" });
  const rules = [{ ...EVERYTHING, callers: ["backend", "staff"] }];
  const fixed = { provider: "custom", base_url: `${url}/v2`, grant: "static", rules };
  const granted = {
    provider: "custom",
    base_url: `${url}/v2`,
    grant: "client_credentials",
    token_url: `${url}/token`,
    client_id: "client",
    header: "",
    query: { access: "{token}" },
    rules,
  };
  const dead = [
    { status: 403 },
    { status: 200, json: "/errcode", in: [40001] },
    { status: 400, header: "x-error", in: ["expired"] },
    { status: 302, header: "x-login" },
    { status: 422, json: "/code", in: ["dead"] },
  ];
  broker = await startBroker({
    vars: {
      CALLERS: { backend: { kind: "key" }, staff: { kind: "jwt", issuer: issuer.issuer, audience: "aud" } },
      CONNECTIONS: {
        plain: fixed,
        shop: {
          ...fixed,
          header: "",
          headers: { "X-App-Token": "{app_token}", "X-Both": "a {app_token} b", "X-Fixed": "constant" },
          dead_token: dead,
        },
        asked: { ...fixed, header: "", query: { api_key: "{app_key}", format: "json", "na me": "x {token}" } },
        own: { ...fixed, header: "", headers: { Authorization: "Own token={token}" } },
        both: {
          ...fixed,
          header: "X-Token",
          scheme: "",
          headers: { "X-Copy": "{token}" },
          query: { key: "{token}" },
          rules: [{ ...rules[0], query: { tenant: "acme" }, query_allowed: ["page"] }],
        },
        granted: { ...granted, dead_token: dead },
        // Each has one token renewed: after two in a minute, the broker would wait.
        ...Object.fromEntries(RENEWED.map((id) => [id, { ...granted, dead_token: dead }])),
        slow: { ...granted, dead_token: dead, timeout_ms: 700 },
        wrong: { ...fixed, headers: { "X-Key": "{app_key}" } },
      },
    },
    secrets: {
      PLAIN_TOKEN: STATIC,
      SHOP_APP_TOKEN: APP_TOKEN,
      ASKED_APP_KEY: APP_KEY,
      ASKED_TOKEN: STATIC,
      OWN_TOKEN: STATIC,
      BOTH_TOKEN: STATIC,
      GRANTED_CLIENT_SECRET: "secret",
      SLOW_CLIENT_SECRET: "secret",
      ...Object.fromEntries(RENEWED.map((id) => [`${id.toUpperCase()}_CLIENT_SECRET`, "secret"])),
      WRONG_TOKEN: STATIC,
      WRONG_APP_KEY: APP_KEY,
    },
  });
});

after(async () => {
  await broker?.stop();
  await issuer?.close();
  if (server) await closeServer(server);
});

beforeEach(() => {
  calls = [];
  reply = () => ({ headers: JSON_TYPE });
});

/** The token that a call has, wherever it has it. @param {IncomingMessage} request */
const tokenIn = ({ url = "" }) => new URL(url, "http://api").searchParams.get("access") ?? "";

const last = () => calls.at(-1) ?? assert.fail("nothing arrived");

const ASKED = new URLSearchParams([
  ["api_key", APP_KEY],
  ["format", "json"],
  ["na me", `x ${STATIC}`],
]).toString();

describe("a call carries", () => {
  test("fields and no token, for an API that knows two keys of its own", async () => {
    assertStatus(await broker.call("/api/shop/a?b=1"));
    const { url, headers } = last();
    assert.equal(url, "/v2/a?b=1");
    assert.deepEqual(
      [headers["x-app-token"], headers["x-both"], headers["x-fixed"], headers.authorization],
      [APP_TOKEN, `a ${APP_TOKEN} b`, "constant", undefined],
    );
  });

  test("parameters behind the caller's, encoded as a form, in the order of their names", async () => {
    for (const [sent, arrived] of [
      ["", `?${ASKED}`],
      ["?", `?${ASKED}`],
      ["?b=1&b=%20", `?b=1&b=%20&${ASKED}`],
      ["?b=1&", `?b=1&${ASKED}`],
      ["?apikey=1&formats=2", `?apikey=1&formats=2&${ASKED}`],
    ]) {
      assertStatus(await broker.call(`/api/asked/a${sent}`));
      assert.equal(last().url, `/v2/a${arrived}`);
      assert.equal(last().headers.authorization, undefined);
    }
  });

  test("a field in the place of the caller's own credential", async () => {
    assertStatus(await broker.call("/api/own/a"));
    assert.equal(last().headers.authorization, `Own token=${STATIC}`);
    assertStatus(await broker.call("/api/own/a", { key: issuer.token() }));
    assert.equal(last().headers.authorization, `Own token=${STATIC}`);
  });

  test("the token in every place that has it, and what the rule binds", async () => {
    assertStatus(await broker.call("/api/both/a?page=2"));
    const { url, headers } = last();
    assert.equal(url, `/v2/a?page=2&tenant=acme&${new URLSearchParams({ key: STATIC })}`);
    assert.deepEqual([headers["x-token"], headers["x-copy"]], [STATIC, STATIC]);
  });

  test("nothing where a secret does not fit, which the log says", async () => {
    assertProblem(await broker.call("/api/wrong/a"), 503, "misconfigured");
    const { problem } = await broker.logged(({ field }) => field === "WRONG_APP_KEY");
    assert.equal(problem, "must be visible ASCII without spaces around it");
    assert.deepEqual(calls, []);
  });
});

describe("a caller's own", () => {
  for (const query of [
    "api_key=mine",
    "a=1&format=xml",
    "API_KEY=mine",
    "api%5Fkey=mine",
    "api.key=mine",
    "api-key=mine",
    "api_key[]=mine",
    "api%5fkey%5B0%5D=mine",
    "+api_key=mine",
    "a;api_key=mine",
    "api_key",
    "%61pi_key=mine",
    "api%255Fkey=mine",
    "na+me=mine",
    "na_me=mine",
  ]) {
    test(`parameter of an added one's name goes nowhere: ${query}`, async () => {
      assertProblem(await broker.call(`/api/asked/a?${query}`), 400, "bad_request");
      assertProblem(await broker.call(`/api/asked/a?${query}`, { method: "POST", body: "x" }), 400, "bad_request");
      assert.deepEqual(calls, []);
    });
  }

  test("parameter in a path goes nowhere", async () => {
    for (const path of ["/a;api_key=mine", "/a%3Bapi_key=mine/b"]) {
      assertProblem(await broker.call(`/api/asked${path}`), 400, "bad_request");
    }
    assertStatus(await broker.call("/api/asked/api_key;a=api_key"));
    assert.equal(calls.length, 1);
  });

  test("field of an added one's name goes nowhere, whether or not it would pass", async () => {
    for (const name of ["X-App-Token", "x_app_token", "X-App_Token", "x-fixed", "X_BOTH"]) {
      assertProblem(await broker.call("/api/shop/a", { headers: { [name]: "mine" } }), 400, "bad_request");
    }
    assert.deepEqual(calls, []);
    assertStatus(await broker.call("/api/shop/a", { headers: { "X-App-Tokens": "1" } }));
    assertStatus(await broker.call("/api/plain/a?api_key=1", { headers: { "X-App-Token": "1" } }));
    assert.equal(calls.length, 2);
  });
});

describe("what was put into a query", () => {
  test("is taken out of a redirect, constants too", async () => {
    for (const [location, path] of [
      [`/v2/b?page=2&${ASKED}`, "/b?page=2"],
      [`/v2/b?${ASKED}#x`, "/b#x"],
      [`b?api%5Fkey=${encodeURIComponent(APP_KEY)}&FORMAT=json&page=2`, "/b?page=2"],
      [`/v2/b?api_key=short&api_key[]=other&na_me=1&na.me=2`, "/b"],
      [`?page=2;format=json`, "/a?page=2"],
    ]) {
      reply = () => ({ status: 302, headers: { Location: location } });
      const { headers, status } = await broker.call("/api/asked/a");
      assert.deepEqual([status, headers.location], [302, `${broker.url}/api/asked${path}`], location);
    }
    reply = () => ({ status: 201, headers: { Location: `/v2/b?${ASKED}` } });
    assert.equal((await broker.call("/api/asked/a")).headers.location, `${broker.url}/api/asked/b`);
  });

  test("makes a redirect none where it stands in another place", async () => {
    for (const location of [
      `/v2/${encodeURIComponent(STATIC)}`,
      `/v2/b?next=${encodeURIComponent(`/a?${ASKED}`)}`,
      `/v2/b#${encodeURIComponent(APP_KEY)}`,
      `/v2/b?q=${new URLSearchParams({ "": APP_KEY }).toString().slice(1)}`,
    ]) {
      reply = () => ({ status: 302, headers: { Location: location } });
      assertProblem(await broker.call("/api/asked/a"), 502, "upstream_redirect");
    }
  });

  test("is taken out of Link and Content-Location, constants too", async () => {
    const next = `https://api.example/v2/a?page=2&${ASKED}`;
    reply = () => ({
      headers: {
        Link: `<${next}>; rel="next", </v2/a?${ASKED}&page=9>; rel=last; anchor="/v2/a?format=json"; title="a, <b>"`,
        "Content-Location": `/v2/a?${ASKED}&lang=pt`,
        "X-Other": "1",
      },
    });
    const { headers } = await broker.call("/api/asked/a");
    assert.equal(
      headers.link,
      `<https://api.example/v2/a?page=2>; rel="next", </v2/a?page=9>; rel=last; anchor="/v2/a"; title="a, <b>"`,
    );
    assert.equal(headers["content-location"], "/v2/a?lang=pt");
  });

  test("has a field left out where it stands in another place", async () => {
    reply = () => ({
      headers: {
        Link: `</v2/b?next=${encodeURIComponent(APP_KEY)}>; rel=next`,
        "Content-Location": `/v2/${encodeURIComponent(STATIC)}`,
        ETag: `"${STATIC}"`,
        "Content-Language": "pt",
      },
    });
    const { headers } = await broker.call("/api/asked/a");
    assert.deepEqual(
      [headers.link, headers["content-location"], headers.etag, headers["content-language"]],
      [undefined, undefined, undefined, "pt"],
    );
  });

  test("leaves the addresses of other connections as they are", async () => {
    const headers = { Link: "</v2/a?api_key=1&format=json>; rel=next", "Content-Location": "/v2/a?format=json" };
    reply = () => ({ headers });
    const answer = await broker.call("/api/plain/a");
    assert.deepEqual([answer.headers.link, answer.headers["content-location"]], Object.values(headers));
  });

  test("is in no log", async () => {
    await broker.call("/api/asked/a");
    await broker.call("/api/both/a");
    await broker.logged(({ event, connection }) => event === "call" && connection === "both");
    const output = broker.output.join("\n");
    const pieces = [APP_KEY, STATIC, APP_TOKEN, "granted|", "constant", "format=json"];
    for (const piece of pieces.flatMap((text) => [text, encodeURIComponent(text), JSON.stringify(text).slice(1, -1)])) {
      assert.ok(!output.includes(piece), piece);
    }
  });
});

describe("an error that repeats what was sent", () => {
  /** @type {[how: string, text: (secret: string) => string][]} */
  const ways = [
    ["as it is", (secret) => `<p>${secret}</p>`],
    [
      "escaped for JSON",
      (secret) =>
        JSON.stringify({ secret }).replaceAll("/", "\\/").replaceAll("é", "\\u00e9").replaceAll("É", "\\u00c9"),
    ],
    ["escaped for an address", (secret) => `/?a=${encodeURIComponent(secret)}`],
  ];
  for (const [how, text] of ways) {
    test(`has every secret struck out, ${how}`, async () => {
      for (const { connection, secrets } of [
        { connection: "asked", secrets: [APP_KEY, STATIC] },
        { connection: "shop", secrets: [APP_TOKEN] },
        { connection: "both", secrets: [STATIC] },
      ]) {
        for (const secret of secrets) {
          const body = text(secret);
          reply = () => ({ status: 500, headers: { "Content-Type": "text/html; charset=utf-8" }, body });
          const answer = await broker.call(`/api/${connection}/a`);
          assert.equal(answer.status, 500);
          assert.equal(answer.bytes, Buffer.byteLength(body));
          assert.match(answer.text, /\*{8}/, `${connection}: ${answer.text}`);
          for (const part of [secret.slice(0, 9), encodeURIComponent(secret).slice(0, 9), secret.slice(-7)]) {
            assert.ok(!answer.text.includes(part), `${connection}: ${answer.text}`);
          }
        }
      }
    });
  }

  test("has them struck out where it was looked into, too", async () => {
    const body = JSON.stringify({ code: "alive", token: APP_TOKEN });
    for (const [encoding, bytes] of /** @type {const} */ ([
      ["identity", Buffer.from(body)],
      ["gzip", gzipSync(body)],
    ])) {
      reply = () => ({ status: 422, headers: { ...JSON_TYPE, "Content-Encoding": encoding }, body: bytes });
      const answer = await broker.call("/api/shop/a");
      assert.deepEqual(answer.json(), { code: "alive", token: "*".repeat(APP_TOKEN.length) });
    }
  });

  test("keeps a constant", async () => {
    reply = () => ({ status: 500, headers: { "Content-Type": "text/plain" }, body: "a constant" });
    assert.equal((await broker.call("/api/shop/a")).text, "a constant");
  });
});

describe("an answer that says that the token is dead", () => {
  const errcode = (/** @type {unknown} */ code) => JSON.stringify({ errcode: code, errmsg: "invalid credential" });

  /** @param {string} connection @param {Reply} dead has the newest token renewed, once */
  async function assertRenewed(connection, dead) {
    reply = () => ({ headers: JSON_TYPE, body: "[1]" });
    assertStatus(await broker.call(`/api/${connection}/a`));
    const known = tokenIn(/** @type {IncomingMessage} */ (last()));
    const [asked, granted] = [calls.length, grants];
    reply = (token) => (token === known ? dead : { headers: JSON_TYPE, body: "[2]" });
    const answer = assertStatus(await broker.call(`/api/${connection}/a`, { method: "POST", body: "once" }));
    assert.equal(answer.text, "[2]");
    assert.deepEqual([calls.length - asked, grants - granted], [2, 1]);
    assert.notEqual(tokenIn(/** @type {IncomingMessage} */ (last())), known);
    assert.equal(answer.tokenSource, "grant");
  }

  const json = errcode(40001);
  /** @type {[what: string, dead: Reply][]} */
  const dead = [
    ["by its status", { status: 403, body: "no" }],
    ["in a field", { status: 400, headers: { "X-Error": "expired" } }],
    ["in a redirect", { status: 302, headers: { Location: "https://login.example/", "X-Login": "" } }],
    ["in its body", { headers: JSON_TYPE, body: json }],
    [
      "in its body, by another type of JSON",
      { headers: { "Content-Type": "application/x+json;charset=utf-8" }, body: json },
    ],
    ["in its body, with a byte order mark", { headers: JSON_TYPE, body: `\ufeff${json}` }],
    ["in its body, compressed", { headers: { ...JSON_TYPE, "Content-Encoding": "gzip" }, body: gzipSync(json) }],
    ["in its body, deflated", { headers: { ...JSON_TYPE, "Content-Encoding": "deflate" }, body: deflateSync(json) }],
    ["in its body, by brotli", { headers: { ...JSON_TYPE, "Content-Encoding": "br" }, body: brotliCompressSync(json) }],
    ["in its body of 16 KiB", { headers: JSON_TYPE, body: json.padEnd(16 * KIB) }],
    [
      "in its body of 16 KiB, which is longer in its encoding",
      {
        headers: { ...JSON_TYPE, "Content-Encoding": "gzip" },
        body: gzipSync(json.padEnd(16 * KIB), { level: 0 }),
      },
    ],
    [
      "in its body, in parts",
      {
        headers: JSON_TYPE,
        body: (response) => {
          response.write(json.slice(0, 9));
          setTimeout(() => response.end(json.slice(9)), 50);
        },
      },
    ],
  ];
  for (const [number, [what, answer]] of dead.entries()) {
    test(`has it renewed and the call sent once more: ${what}`, () => assertRenewed(RENEWED[number], answer));
  }

  test("to a new token, too, is upstream_unauthorized, and no loop", async () => {
    reply = () => ({ headers: JSON_TYPE, body: json });
    const asked = calls.length;
    assertProblem(await broker.call(`/api/${RENEWED[dead.length]}/a`), 502, "upstream_unauthorized");
    assert.equal(calls.length - asked, 2);
  });

  test("with a static token is upstream_unauthorized", async () => {
    for (const answer of [{ status: 401 }, { status: 403 }, { headers: JSON_TYPE, body: json }]) {
      reply = () => answer;
      assertProblem(await broker.call("/api/shop/a"), 502, "upstream_unauthorized");
    }
    assert.equal(calls.length, 3);
    await broker.logged(({ event, connection }) => event === "static_token_refused" && connection === "shop");
  });

  /** @type {[what: string, alive: Reply][]} */
  const alive = [
    ["another value", { headers: JSON_TYPE, body: errcode(40002) }],
    ["another type", { headers: JSON_TYPE, body: errcode("40001") }],
    ["another media type", { headers: { "Content-Type": "text/plain" }, body: json }],
    ["no media type", { body: json }],
    ["another status", { status: 201, headers: JSON_TYPE, body: json }],
    ["another value of the field", { status: 400, headers: { "X-Error": "Expired" } }],
    ["no JSON", { headers: JSON_TYPE, body: `${json}}` }],
    ["an unknown encoding", { headers: { ...JSON_TYPE, "Content-Encoding": "zstd" }, body: json }],
    ["no gzip", { headers: { ...JSON_TYPE, "Content-Encoding": "gzip" }, body: json }],
    ["a wrong encoding", { headers: { ...JSON_TYPE, "Content-Encoding": "deflate" }, body: json }],
    ["16 KiB and a byte", { headers: JSON_TYPE, body: json.padEnd(16 * KIB + 1) }],
    [
      "16 KiB and a byte, compressed",
      { headers: { ...JSON_TYPE, "Content-Encoding": "gzip" }, body: gzipSync(json.padEnd(16 * KIB + 1)) },
    ],
    ["an empty body", { headers: JSON_TYPE, body: "" }],
    ["5 MiB", { headers: JSON_TYPE, body: Buffer.alloc(5 * KIB * KIB, json) }],
  ];
  for (const [what, answer] of alive) {
    test(`is none with ${what}, and passes byte for byte`, async () => {
      for (const withLength of [false, true]) {
        const body = Buffer.from(/** @type {string | Buffer} */ (answer.body ?? "{}"));
        const length = withLength ? { "Content-Length": body.length } : {};
        reply = () => ({ ...answer, headers: { ...answer.headers, ...length } });
        const [asked, granted] = [calls.length, grants];
        const got = await broker.call("/api/granted/a", { headers: { "Accept-Encoding": "gzip, br" } });
        assert.equal(got.status, answer.status ?? 200);
        assert.ok(got.body.equals(body), `${got.bytes} of ${body.length} bytes`);
        assert.equal(got.headers["content-encoding"], answer.headers?.["Content-Encoding"]);
        if (withLength) assert.equal(got.headers["content-length"], String(body.length));
        assert.equal(calls.length - asked, 1);
        assert.ok(grants - granted <= 1, "the first call of all");
      }
    });
  }

  test("is looked for in a compressed body, which passes as the API compressed it", async () => {
    const body = gzipSync(errcode(0), { level: 1 });
    reply = () => ({ headers: { ...JSON_TYPE, "Content-Encoding": "gzip", "Content-Length": body.length }, body });
    const got = await broker.call("/api/granted/a", { headers: { "Accept-Encoding": "gzip" } });
    assert.ok(got.body.equals(body));
    assert.deepEqual([got.headers["content-encoding"], got.headers["content-length"]], ["gzip", String(body.length)]);
  });

  test("is none where its body does not end in time, and streams on", async () => {
    /** @type {ServerResponse | undefined} */
    let open;
    reply = () => ({
      headers: JSON_TYPE,
      body: (response) => {
        open = response;
        response.write('{"errcode":');
      },
    });
    const begun = Date.now();
    /** @type {number[]} */
    const heads = [];
    const answering = broker.call("/api/slow/a", {
      onResponse: (response) => {
        heads.push(Date.now() - begun);
        response.once("data", () => open?.end(" 40001}"));
      },
    });
    const answer = assertStatus(await answering);
    assert.equal(answer.text, '{"errcode": 40001}');
    assert.ok(heads[0] >= 600 && heads[0] < 4_000, `${heads[0]} ms`);
  });

  test("is looked for no further than a body may be long, however slowly the rest comes", async () => {
    /** @type {ServerResponse | undefined} */
    let open;
    const first = Buffer.alloc(17 * KIB, " ");
    reply = () => ({
      headers: JSON_TYPE,
      body: (response) => {
        open = response;
        response.write(first);
      },
    });
    let got = 0;
    const answer = await broker.call("/api/granted/a", {
      onResponse: (response) =>
        response.on("data", (chunk) => {
          got += chunk.length;
          if (got === first.length) open?.end("{}");
        }),
    });
    assert.equal(assertStatus(answer).bytes, first.length + 2);
  });

  test("breaks off for the caller where it breaks off", async () => {
    reply = () => ({
      headers: { ...JSON_TYPE, "Content-Length": 1_000 },
      body: (response) => response.write("{", () => response.destroy()),
    });
    await assert.rejects(broker.call("/api/granted/a"));
  });
});

test("no copy of a body is left that nobody reads, of which the runtime warns", () => {
  assert.doesNotMatch(broker.output.join("\n"), /clone\(\)|tee\(\)/);
});
