// Rules that bind calls to who calls, in bare workerd with tokens of a real issuer: every attack of
// tests/data/bindings.json is refused before the upstream, and what is the caller's own passes.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { after, before, beforeEach, describe, test } from "node:test";
import { ORIGIN, startBroker } from "./support/broker.mjs";
import { makeKey, startIssuer } from "./support/issuer.mjs";
import { rawRequest } from "./support/raw.mjs";
import { listening } from "./support/servers.mjs";

/** @import { OutgoingHttpHeaders, Server } from "node:http" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { Issuer } from "./support/issuer.mjs" */

/** @typedef {{ type: string | null, body: string }} Sent */

const data = JSON.parse(await readFile(new URL("../data/bindings.json", import.meta.url), "utf8"));
const OWN = data.own;
const OTHER = data.other;
const OPERATOR = "operators-key-0123456789";

/** @type {Server} */
let upstream;
/** @type {Issuer} */
let issuer;
/** @type {Issuer} */
let access;
/** @type {Broker} */
let broker;
/** @type {string} */
let base;
/** @type {{ method?: string, url: string, headers: import("node:http").IncomingHttpHeaders, body: Buffer }[]} */
let arrived = [];
/** @type {OutgoingHttpHeaders} */
let answered = {};

/**
 * How many attacks were refused, by kind.
 *
 * @type {Map<string, number>}
 */
const refused = new Map();

const rules = () => [
  {
    callers: ["subscriber", "team"],
    methods: ["GET", "POST"],
    paths: ["/invoices", "/invoices/**"],
    query: data.query,
    query_allowed: data.query_allowed,
  },
  {
    callers: ["subscriber"],
    methods: ["GET"],
    paths: ["/any"],
    query: data.query,
    query_allowed: ["*"],
  },
  { callers: ["subscriber"], methods: ["GET"], paths: ["/customers/{claims.sub}/**", "/own/{claims.sub}"] },
  { callers: ["subscriber"], methods: ["GET"], paths: ["/by-query"], query: { of: "{claims.sub}" } },
  { callers: ["subscriber"], methods: ["POST", "PUT"], paths: ["/orders"], body: data.bound_bodies.bound },
  { callers: ["subscriber"], methods: ["GET", "POST"], paths: ["/admin"], claims: { role: ["admin"] } },
];

before(async () => {
  upstream = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const { method, url = "", headers } = request;
    arrived.push({ method, url, headers, body: Buffer.concat(chunks) });
    response.writeHead(answered.location === undefined ? 200 : 302, answered).end("{}");
  });
  base = await listening(upstream);
  issuer = await startIssuer({ keys: [makeKey("ES256")], audience: "broker" });
  access = await startIssuer({ keys: [makeKey("RS256")], audience: "aud-tag", jwksPath: "/cdn-cgi/access/certs" });
  broker = await startBroker({
    vars: {
      CALLERS: {
        subscriber: { kind: "jwt", issuer: issuer.issuer, audience: "broker" },
        team: { kind: "cloudflare-access", team_domain: access.url, audience: "aud-tag" },
      },
      CONNECTIONS: { api: { provider: "custom", grant: "static", base_url: base, rules: rules() } },
    },
    secrets: { API_TOKEN: "a-token-of-the-account", ADMIN_KEY: OPERATOR },
  });
});

after(async () => {
  await broker?.stop();
  await Promise.all([issuer?.close(), access?.close()]);
  upstream?.close();
});

beforeEach(() => {
  arrived = [];
  answered = {};
});

/** @param {{ [claim: string]: unknown }} [claims] */
const token = (claims = {}) => issuer.token({ claims: { cpf: OWN, sub: data.paths.sub, ...claims } });

/**
 * Sends a call as it is.
 *
 * @param {string} target below the connection
 * @param {{ method?: string, sent?: Sent, bearer?: string, headers?: [name: string, value: string][] }} [options]
 */
async function call(target, { method = "GET", sent, bearer = token(), headers = [] } = {}) {
  /** @type {[name: string, value: string][]} */
  const all = [["Authorization", `Bearer ${bearer}`], ...headers];
  if (sent?.type) all.push(["Content-Type", sent.type]);
  const url = Buffer.from(`/api/api${target}`).toString("latin1");
  const answer = await rawRequest(broker.url, { method, target: url, headers: all, body: sent?.body });
  const isProblem = answer.headers.some(([, value]) => value === "application/problem+json");
  return { ...answer, code: isProblem ? JSON.parse(String(answer.body)).code : undefined };
}

/**
 * Fails unless the call is refused and nothing of it reaches the upstream.
 *
 * @param {string} kind
 * @param {string} target
 * @param {Parameters<typeof call>[1]} [options]
 */
async function attack(kind, target, options) {
  arrived = [];
  const { status, code } = await call(target, options);
  const what = `${kind}: ${target} ${JSON.stringify(options?.sent ?? "")}`;
  assert.ok(
    (status === 403 && code === "operation_not_allowed") || (status === 400 && code === "bad_path"),
    `${what}: ${status}`,
  );
  assert.deepEqual(arrived, [], what);
  refused.set(kind, (refused.get(kind) ?? 0) + 1);
}

describe("a bound query", () => {
  for (const { kind, queries } of data.attacks) {
    test(`refuses ${kind}`, async () => {
      for (const query of queries) {
        await attack(kind, `/invoices?${query}`);
        await attack(kind, `/any?${query}`);
      }
    });
  }

  test("refuses names that are not allowed, and lets them pass where any is", async () => {
    for (const query of data.not_allowed.queries) await attack(data.not_allowed.kind, `/invoices?${query}`);
    assert.equal((await call("/any?x=1&limit[]=2")).status, 200);
    assert.equal(arrived[0]?.url, `/any?x=1&limit[]=2&busca=cpf_cnpj&termo_busca=${OWN}`);
  });

  test("lets the caller's own pass, and adds what lacks", async () => {
    for (const query of data.passes) {
      arrived = [];
      assert.equal((await call(`/invoices?${query}`)).status, 200, query);
      const url = arrived[0]?.url ?? "";
      assert.ok(url.startsWith(`/invoices?${query}`), `${url} begins as ${query}`);
      const read = new URLSearchParams(url.split("?")[1]);
      assert.deepEqual(read.getAll("busca"), ["cpf_cnpj"], url);
      assert.deepEqual(read.getAll("termo_busca"), [OWN], url);
    }
    assert.equal((await call("/invoices")).status, 200);
  });

  test("is the same for a caller of Cloudflare Access", async () => {
    const assertion = access.token({ claims: { cpf: OWN } });
    /** @param {string} target */
    const send = (target) =>
      rawRequest(broker.url, { target: `/api/api${target}`, headers: [["Cf-Access-Jwt-Assertion", assertion]] });
    assert.equal((await send("/invoices")).status, 200);
    assert.equal(arrived[0]?.url, `/invoices?busca=cpf_cnpj&termo_busca=${OWN}`);
    assert.equal((await send(`/invoices?termo_busca=${OTHER}`)).status, 403);
    assert.equal(arrived.length, 1);
  });

  test("does not come back in Location, nor stand in the log", async () => {
    answered = { location: `/invoices?page=2&busca=cpf_cnpj&termo%5Fbusca=${OWN}` };
    const moved = await call("/invoices");
    const location = moved.headers.find(([name]) => name.toLowerCase() === "location")?.[1];
    assert.equal(location, `${broker.url}/api/api/invoices?page=2`);
    assert.ok(!broker.output.join().includes(OWN));
  });
});

describe("the same in another place", () => {
  for (const { kind, bodies } of data.bodies) {
    test(`is refused: ${kind}`, async () => {
      for (const sent of bodies) await attack(kind, "/invoices", { method: "POST", sent });
    });
  }

  test("is refused as a matrix parameter", async () => {
    for (const path of data.matrix.paths) await attack(data.matrix.kind, path);
  });

  test("passes in no header and no cookie", async () => {
    /** @type {[name: string, value: string][]} */
    const headers = ["termo_busca", "termo-busca", "X-Termo-Busca", "Cookie"].map((name) => [
      name,
      `termo_busca=${OTHER}`,
    ]);
    assert.equal((await call("/invoices", { headers })).status, 200);
    assert.ok(!JSON.stringify(arrived[0]?.headers).includes(OTHER));
    refused.set("another place: header", headers.length);
  });

  test("other bodies pass byte for byte", async () => {
    for (const sent of data.bodies_pass) {
      arrived = [];
      assert.equal((await call("/invoices", { method: "POST", sent })).status, 200, JSON.stringify(sent));
      assert.equal(String(arrived[0]?.body), sent.body);
    }
  });

  test("bodies that are too large to be looked into are refused, others stream", async () => {
    for (const type of ["application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x"]) {
      const body = "a".repeat(65_537);
      const whole = await call("/invoices", { method: "POST", sent: { type, body } });
      assert.deepEqual([whole.status, whole.code], [413, "body_too_large"], type);
      const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
      const chunked = await call("/invoices", {
        method: "POST",
        sent: { type, body: chunks },
        headers: [["Transfer-Encoding", "chunked"]],
      });
      assert.deepEqual([chunked.status, chunked.code], [413, "body_too_large"], type);
    }
    assert.equal(arrived.length, 0);
    const body = "b".repeat(3_000_000);
    assert.equal((await call("/invoices", { method: "POST", sent: { type: "image/png", body } })).status, 200);
    assert.equal(arrived[0]?.body.length, body.length);
    const form = { type: "application/x-www-form-urlencoded", body: `a=${"b".repeat(65_534)}` };
    assert.equal((await call("/invoices", { method: "POST", sent: form })).status, 200);
    assert.equal(String(arrived[1]?.body), form.body);
  });
});

describe("a bound body", () => {
  for (const { kind, bodies } of data.bound_bodies.attacks) {
    test(`refuses ${kind}`, async () => {
      for (const sent of bodies) await attack(kind, "/orders", { method: "POST", sent });
    });
  }

  test("passes byte for byte, and no more than 64 KiB of it", async () => {
    for (const sent of data.bound_bodies.passes) {
      arrived = [];
      assert.equal((await call("/orders", { method: "PUT", sent })).status, 200, JSON.stringify(sent));
      assert.equal(String(arrived[0]?.body), sent.body);
      assert.equal(arrived[0]?.headers["content-length"], String(Buffer.byteLength(sent.body)));
    }
    const [{ type, body }] = data.bound_bodies.passes;
    const padded = (/** @type {number} */ bytes) => ({ type, body: body.padEnd(bytes, " ") });
    assert.equal((await call("/orders", { method: "POST", sent: padded(65_536) })).status, 200);
    await attack("bound body: too large", "/orders", { method: "POST", sent: padded(65_537) });
  });
});

describe("a bound segment", () => {
  for (const { kind, paths } of data.paths.attacks) {
    test(`refuses ${kind}`, async () => {
      for (const path of paths) await attack(kind, path);
    });
  }

  test("lets the caller's own pass", async () => {
    for (const path of data.paths.passes) {
      arrived = [];
      assert.equal((await call(path)).status, 200, path);
      assert.equal(arrived[0]?.url, path);
    }
  });
});

test("a claim that is syntax changes nothing but its own segment or value", async () => {
  for (const sub of data.claims.values) {
    const bearer = token({ sub });
    for (const text of [sub, encodeURIComponent(sub)]) {
      // What the wire cannot carry as it is.
      if (/[\u0000-\u0020\u007f]/.test(text)) continue;
      for (const path of [`/customers/${text}`, `/customers/${text}/x`, `/own/${text}`]) {
        arrived = [];
        const { status } = await call(path, { bearer });
        assert.ok([200, 400, 403, 404].includes(status), `${path}: ${status}`);
        for (const { url } of arrived) {
          const segment = decodeURIComponent(url.split("/")[2] ?? "");
          assert.equal(segment, sub, `${url} for ${JSON.stringify(sub)}`);
          assert.ok(!/[/\\;%?#]|^\.{0,2}$/.test(segment), url);
        }
        refused.set(data.claims.kind, (refused.get(data.claims.kind) ?? 0) + 1);
      }
    }
    arrived = [];
    const { status } = await call("/by-query", { bearer });
    assert.equal(status, arrived.length === 1 ? 200 : 403, JSON.stringify(sub));
    for (const { url } of arrived) {
      const read = [...new URLSearchParams(url.split("?")[1])];
      assert.deepEqual(read, [["of", sub]], url);
      assert.ok(!url.includes(";"), url);
    }
    refused.set(data.claims.kind, (refused.get(data.claims.kind) ?? 0) + 1);
  }
});

test("claims that a rule demands are compared as those of a caller", async () => {
  for (const [role, status] of /** @type {[unknown, number][]} */ ([
    ["admin", 200],
    [["staff", "admin"], 200],
    ["Admin", 403],
    ["admin staff", 403],
    [["staff"], 403],
    [{ admin: true }, 403],
    [undefined, 403],
    [1, 403],
  ])) {
    assert.equal((await call("/admin", { bearer: token({ role }) })).status, status, JSON.stringify(role));
  }
});

test("numbers are put in as the token writes them, or not at all", async () => {
  for (const [written, sent] of /** @type {[string, string | undefined][]} */ ([
    ["12345678901", "12345678901"],
    ["9007199254740993", "9007199254740993"],
    ["18446744073709551615", "18446744073709551615"],
    ["1.5", "1.5"],
    ["-7", "-7"],
    ["true", "true"],
    ["18446744073709551616", undefined],
    ["123456789012345678901234567890", undefined],
    ["1.50", undefined],
    ["1e3", undefined],
    ["0.1234567890123456789", undefined],
    ['1.50,"w":1.5', undefined],
    ['1.50,"nick":" 1.5 "', undefined],
    ['18446744073709551617,"w":18446744073709552000.0', undefined],
    ['18446744073709551617,"nick":":18446744073709552000.0,"', undefined],
    ["null", undefined],
    ['["1"]', undefined],
    ["{}", undefined],
    ['""', undefined],
  ])) {
    arrived = [];
    const claims = JSON.stringify(issuer.claims()).replace(/}$/, `,"cpf":${written}}`);
    const { status } = await call("/any", { bearer: issuer.token({ claims }) });
    assert.equal(status, sent === undefined ? 403 : 200, written);
    assert.equal(arrived[0]?.url, sent && `/any?busca=cpf_cnpj&termo_busca=${sent}`);
  }
});

test("preflights are answered as before", async () => {
  const answer = await rawRequest(broker.url, {
    method: "OPTIONS",
    target: `/api/api/invoices?termo_busca=${OTHER}`,
    headers: [
      ["Origin", ORIGIN],
      ["Access-Control-Request-Method", "GET"],
    ],
  });
  assert.equal(answer.status, 204);
  assert.deepEqual(arrived, []);
});

test("one caller entry serves many registered connections, and none opens another's", async () => {
  const rule = {
    callers: ["subscriber"],
    methods: ["GET"],
    paths: ["/{labels.shop}/**"],
    claims: { tenant: "{connection}" },
  };
  const of = (/** @type {number} */ n) => `tenant-${n}`;
  for (let n = 0; n < 20; n += 1) {
    const body = JSON.stringify({
      provider: "custom",
      grant: "static",
      base_url: base,
      labels: { shop: `s-${n}` },
      rules: [rule],
      secrets: { token: "a-token-of-the-tenant" },
    });
    const headers = { Authorization: `Bearer ${OPERATOR}`, "Content-Type": "application/json" };
    const put = await fetch(`${broker.url}/admin/connections/${of(n)}`, { method: "PUT", headers, body });
    assert.equal(put.status, 201, await put.text());
  }
  for (let n = 0; n < 20; n += 1) {
    const headers = { Authorization: `Bearer ${token({ tenant: of(n) })}` };
    const get = async (/** @type {string} */ path) => (await fetch(`${broker.url}/api/${path}`, { headers })).status;
    assert.equal(await get(`${of(n)}/s-${n}/x`), 200);
    const before = arrived.length;
    for (const other of [of((n + 1) % 20), of((n + 7) % 20)]) assert.equal(await get(`${other}/s-${n}/x`), 403);
    assert.equal(await get(`${of(n)}/s-${(n + 1) % 20}/x`), 403);
    assert.equal(arrived.length, before);
    refused.set("another tenant", (refused.get("another tenant") ?? 0) + 3);
  }
});

test("attacks of every kind were tried", (t) => {
  for (const [kind, count] of refused) t.diagnostic(`${String(count).padStart(4)}  ${kind}`);
  const sum = [...refused.values()].reduce((sum, count) => sum + count, 0);
  t.diagnostic(`${String(sum).padStart(4)}  together`);
  assert.ok(refused.size >= 27 && sum > 950, `${refused.size} kinds, ${sum} attacks`);
});
