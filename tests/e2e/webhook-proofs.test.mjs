// Events that prove their sender by a signature or by a secret segment of the address, as their makers document it, and
// the tests that senders send.

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { after, afterEach, before, describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus } from "./support/assertions.mjs";
import { startBroker } from "./support/broker.mjs";
import { ADMIN_KEY, delivered, listed, settled } from "./support/events.mjs";
import { rawRequest } from "./support/raw.mjs";
import { startReceiver } from "./support/receiver.mjs";
import { search } from "./support/search.mjs";

/** @import { Broker, Vars } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { Inbox, InboxSettings, Receiver } from "./support/receiver.mjs" */

/** @typedef {{ key: string, body: string, at: number }} Signing `at` in milliseconds */

/** @typedef {{ headers: { [name: string]: string }, query?: string }} Signed */

/**
 * A sender: its table `hmac`, and how it signs. `isTimed` says that the signature has a time, `isBodiless` that the
 * body is not signed.
 *
 * @typedef {{ hmac: Vars, sign: (signing: Signing) => Signed, isTimed?: boolean, isBodiless?: boolean }} Sender
 */

/** @type {(algorithm: string, key: string, text: string, encoding?: "hex" | "base64" | "base64url") => string} */
const mac = (algorithm, key, text, encoding = "hex") => createHmac(algorithm, key).update(text).digest(encoding);

/** @param {number} at */
const seconds = (at) => String(Math.floor(at / 1_000));

const ORDER = "ORD01JQ4S4KY8HWQ6NA5PXB65B3D3";

/** @type {{ [id: string]: Sender }} */
const SENDERS = {
  // https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
  github: {
    hmac: { header: "X-Hub-Signature-256", prefix: "sha256=" },
    sign: ({ key, body }) => ({ headers: { "X-Hub-Signature-256": `sha256=${mac("sha256", key, body)}` } }),
  },
  // https://shopify.dev/docs/apps/build/webhooks/subscribe/https
  shopify: {
    hmac: { header: "X-Shopify-Hmac-Sha256", encoding: "base64" },
    sign: ({ key, body }) => ({ headers: { "X-Shopify-Hmac-SHA256": mac("sha256", key, body, "base64") } }),
  },
  // https://docs.stripe.com/webhooks#verify-manually
  stripe: {
    hmac: { header: "Stripe-Signature", part: "v1", timestamp_part: "t", signed: "{timestamp}.{body}" },
    isTimed: true,
    sign: ({ key, body, at }) => {
      const signature = mac("sha256", key, `${seconds(at)}.${body}`);
      const others = `v1=${"0".repeat(64)},v0=${"1".repeat(64)}`;
      return { headers: { "Stripe-Signature": `t=${seconds(at)},v1=${signature},${others}` } };
    },
  },
  // https://www.mercadopago.com.br/developers/en/docs/your-integrations/notifications/webhooks
  "mercado-pago": {
    hmac: {
      header: "x-signature",
      part: "v1",
      timestamp_part: "ts",
      signed: "id:{query_lower:data.id};request-id:{header:x-request-id};ts:{timestamp};",
    },
    isTimed: true,
    isBodiless: true,
    sign: ({ key, at }) => {
      const request = "bb56a2f1-6aae-46ac-982e-9dcd3581d08e";
      const signature = mac("sha256", key, `id:${ORDER.toLowerCase()};request-id:${request};ts:${at};`);
      const headers = { "x-signature": `ts=${at},v1=${signature}`, "x-request-id": request };
      return { headers, query: `?data.id=${ORDER}&type=order` };
    },
  },
  // https://tiendanube.github.io/api-documentation/resources/webhook
  nuvemshop: {
    hmac: { header: "x-linkedstore-hmac-sha256" },
    sign: ({ key, body }) => ({ headers: { "x-linkedstore-hmac-sha256": mac("sha256", key, body) } }),
  },
  // https://docs.slack.dev/authentication/verifying-requests-from-slack
  slack: {
    hmac: {
      header: "X-Slack-Signature",
      prefix: "v0=",
      timestamp_header: "X-Slack-Request-Timestamp",
      signed: "v0:{timestamp}:{body}",
    },
    isTimed: true,
    sign: ({ key, body, at }) => ({
      headers: {
        "X-Slack-Signature": `v0=${mac("sha256", key, `v0:${seconds(at)}:${body}`)}`,
        "X-Slack-Request-Timestamp": seconds(at),
      },
    }),
  },
  "by-sha1": {
    hmac: { header: "X-Signature", algorithm: "sha1" },
    sign: ({ key, body }) => ({ headers: { "X-Signature": mac("sha1", key, body) } }),
  },
  "by-sha512": {
    hmac: { header: "X-Signature", algorithm: "sha512", encoding: "base64url" },
    sign: ({ key, body }) => ({ headers: { "X-Signature": mac("sha512", key, body, "base64url") } }),
  },
};

const HANDSHAKE = { json: "/type", in: ["webhook.test", 1] };
// With what an address has to encode, and what a form would decode.
const SEGMENT = `s3gment/é+%41 "?#;=&.. ${randomBytes(8).toString("hex")}`;
const OTHER_SEGMENT = `n3xt-segment-${randomBytes(16).toString("hex")}`;

/** @type {Receiver} */
let receiver;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Inbox }} */
const c = {};
/** @type {{ [what: string]: string }} */
const answers = {};

before(async () => {
  receiver = await startReceiver();
  /** @param {string} id @param {InboxSettings} settings */
  const add = (id, settings) => (c[id] = receiver.inbox(id, { provider: "custom", ...settings }));
  for (const [id, { hmac }] of Object.entries(SENDERS)) {
    add(id, { token: `It's the old key of ${id},Basic words of ${id}`, webhook: { hmac } });
  }
  const { hmac } = SENDERS.github;
  add("single", { webhook: { hmac } });
  add("short", { webhook: { hmac: SENDERS.slack.hmac, max_bytes: 200 } });
  add("tolerant", { webhook: { hmac: { ...SENDERS.stripe.hmac, tolerance_seconds: 3_600 } } });
  add("tested", { webhook: { hmac, handshake: HANDSHAKE, accepted_status: 200 } });
  add("pinged", { webhook: { hmac, handshake: { json: "/zen" } } });
  add("tested-by-member", { webhook: { token_field: "api_token", handshake: HANDSHAKE } });
  add("by-path", { token: `${SEGMENT},${OTHER_SEGMENT}`, webhook: { secret_path: true, handshake: HANDSHAKE } });
  add("own", { provider: "guru", webhook: { secret_path: true } });
  add("asaas", { webhook: { token_header: "asaas-access-token", accepted_status: 200 } });
  add("guru", { provider: "guru" });
  add("broken", { webhook: { hmac: { ...hmac, algorithm: "md5" } } });
  broker = await startBroker({
    vars: { CONNECTIONS: receiver.vars },
    secrets: { ADMIN_KEY, ...receiver.secrets },
  });
});

afterEach(() => receiver.verify());

after(async () => {
  await broker?.stop();
  await receiver?.close();
});

/** @param {string} id @param {{ [member: string]: unknown }} [members] */
const eventOf = (id, members) => JSON.stringify({ ...JSON.parse(c[id].event(members)), api_token: undefined });

/**
 * @param {string} target
 * @param {CallOptions["body"]} body
 * @param {CallOptions} [options]
 */
async function post(target, body, options) {
  const answer = await broker.call(target, { method: "POST", key: null, body, ...options });
  answers[`${Object.keys(answers).length + 1}: ${answer.status}`] = JSON.stringify(answer.rawHeaders) + answer.text;
  return answer;
}

/**
 * Sends `body` as the sender called `as` would sign another body, at another time or with another key.
 *
 * @param {string} id
 * @param {string} body
 * @param {Partial<Signing> & { as?: string, headers?: { [name: string]: string | undefined } }} [other]
 */
function send(id, body, { as = id, headers: changed = {}, ...other } = {}) {
  const signing = { key: c[id].token, body, at: Date.now(), ...other };
  const { headers, query = "" } = SENDERS[as].sign(signing);
  const all = { "Content-Type": "application/json", ...headers, ...changed };
  const sent = Object.entries(all).filter(([, value]) => value !== undefined);
  return post(c[id].path + query, body, { headers: /** @type {{}} */ (Object.fromEntries(sent)) });
}

/** @type {{ [part: string]: unknown }[]} */
const rejections = [];

/** @param {Answer} answer @param {string} what */
function assertRejected(answer, what) {
  assert.equal(answer.status, 401, `${what}: ${answer.status} ${answer.text}`);
  const { request_id, ...body } = assertProblem(answer, 401, "webhook_rejected");
  const { "x-request-id": _, date, ...headers } = answer.headers;
  rejections.push({ ...body, ...headers, "content-length": undefined });
  assert.deepEqual(rejections.at(-1), rejections[0], what);
}

/**
 * Waits for one delivery more, which is `body`, byte for byte.
 *
 * @param {string} id
 * @param {number} count
 * @param {string} body
 */
async function assertDelivered(id, count, body) {
  await delivered(c[id], count + 1);
  assert.equal(c[id].texts.at(-1), body);
}

/** @param {Answer} answer */
const lineOf = (answer) => broker.logged(({ request_id }) => request_id === answer.headers["x-request-id"]);

for (const [id, { isTimed, isBodiless }] of Object.entries(SENDERS)) {
  describe(`an event signed as ${id} does`, () => {
    test("is taken and delivered byte for byte, with each key of a rotation", async () => {
      for (const [at, key] of c[id].tokens.entries()) {
        const count = c[id].deliveries.length;
        // The key itself may stand in it: it is no secret of the sender's events.
        const body = `${eventOf(id, { key, at, letter: "é€😀" }).slice(0, -1)} , "n" : 1.0}`;
        const answer = assertStatus(await send(id, body, { key }), 202);
        assertEveryAnswer(answer, id);
        await assertDelivered(id, count, body);
        assert.equal((await lineOf(answer)).account_token, at + 1);
      }
    });

    test("is refused for another key, and where nothing is signed", async () => {
      const body = eventOf(id);
      const keys = [`${c[id].token}x`, "", c[id].tokens.join(), c[id].signers[0], c.guru.token];
      for (const key of keys) assertRejected(await send(id, body, { key }), key);
      const signed = SENDERS[id].sign({ key: c[id].token, body, at: Date.now() });
      for (const name of Object.keys(signed.headers)) {
        for (const value of [undefined, "", c[id].token]) {
          assertRejected(await send(id, body, { headers: { [name]: value } }), `${name}: ${value}`);
        }
      }
      for (const as of Object.keys(SENDERS).filter((other) => other !== id)) {
        // Two have the same field and another algorithm.
        assertRejected(await send(id, body, { as }), as);
      }
    });

    test(`${isBodiless ? "is taken" : "is refused"} for another byte of the body`, async () => {
      const body = eventOf(id);
      for (const other of [`${body} `, body.replace("approved", "approveD"), body.replace("{", "{ "), "{}", ""]) {
        const answer = await send(id, other, { body });
        if (isBodiless) assertStatus(answer, other ? 202 : 400);
        else assertRejected(answer, other);
      }
    });

    if (!isTimed) return;
    test("is refused for a time that is not near, and for another time than the signed one", async () => {
      const body = eventOf(id);
      const now = Date.now();
      for (const off of [-290_000, 290_000]) assertStatus(await send(id, body, { at: now + off }), 202);
      for (const off of [-310_000, 310_000, -86_400_000, -now]) {
        assertRejected(await send(id, body, { at: now + off }), `${off}`);
      }
      const old = SENDERS[id].sign({ key: c[id].token, body, at: now - 600_000 });
      const fresh = SENDERS[id].sign({ key: c[id].token, body, at: now });
      for (const [name, value] of Object.entries(fresh.headers)) {
        const [was, is] = [now - 600_000, now].flatMap((at) => (id === "mercado-pago" ? String(at) : seconds(at)));
        const moved = old.headers[name].replace(was, is);
        const headers = { ...old.headers, [name]: moved === old.headers[name] ? value : moved };
        assertRejected(await send(id, body, { headers }), JSON.stringify(headers));
      }
    });
  });
}

test("an event that is signed with a larger tolerance may be older", async () => {
  const body = eventOf("tolerant");
  assertStatus(await send("tolerant", body, { as: "stripe", at: Date.now() - 3_500_000 }), 202);
  assertRejected(await send("tolerant", body, { as: "stripe", at: Date.now() - 3_700_000 }), "older");
});

test("a signature in milliseconds is one in seconds, too", async () => {
  const [body, at] = [eventOf("slack"), String(Date.now())];
  const signature = `v0=${mac("sha256", c.slack.token, `v0:${at}:${body}`)}`;
  const headers = { "X-Slack-Request-Timestamp": at, "X-Slack-Signature": signature };
  assertStatus(await send("slack", body, { headers }), 202);
});

describe("the field of a signature", () => {
  /** @param {[name: string, value: string][]} headers @param {string} body @param {string} [id] */
  const raw = (headers, body, id = "single") =>
    rawRequest(broker.url, { method: "POST", target: `/webhooks/${id}`, headers, body });

  test("is taken in either case, and in no other notation", async () => {
    const body = eventOf("single");
    const right = mac("sha256", c.single.token, body);
    const name = "X-Hub-Signature-256";
    for (const [field, value] of [
      [name, `sha256=${right}`],
      [name.toUpperCase(), `sha256=${right.toUpperCase()}`],
      [name.toLowerCase(), `  sha256=${right}\t`],
    ]) {
      assert.equal((await raw([[field, value]], body)).status, 202, value);
    }
    const values = [
      "",
      "sha256=",
      "sha256",
      right,
      `SHA256=${right}`,
      `sha1=${right}`,
      `sha256:${right}`,
      `sha256= ${right}`,
      `sha256=${right.slice(1)}`,
      `sha256=${right}0`,
      `sha256="${right}"`,
      `sha256=sha256=${right}`,
      `sha256=${Buffer.from(right, "hex").toString("base64")}`,
      `sha256=${[...right].map((char) => `%${char.charCodeAt(0).toString(16)}`).join("")}`,
      `sha256=${right},sha256=${right}`,
      // Letters that other cases or norms make ASCII, in the bytes of UTF-8.
      ...["\uff10", "\u212a", "\u00e9"].map((char) => `sha256=${Buffer.from(char).toString("latin1")}${right}`),
    ];
    for (const value of values) {
      assert.equal((await raw([[name, value]], body)).status, 401, JSON.stringify(value));
    }
  });

  test("is refused where it comes twice", async () => {
    const body = eventOf("single");
    const [right, wrong] = [c.single.token, "x"].map((key) => `sha256=${mac("sha256", key, body)}`);
    for (const pair of [
      [right, right],
      [right, wrong],
      [wrong, right],
      ["", right],
      [right, ""],
    ]) {
      const headers = pair.map((value) => /** @type {[string, string]} */ (["X-Hub-Signature-256", value]));
      assert.equal((await raw(headers, body)).status, 401, JSON.stringify(pair));
    }
  });

  test("with parts is one field however often it comes, but has one time", async () => {
    const [body, at] = [eventOf("stripe"), seconds(Date.now())];
    const v1 = `v1=${mac("sha256", c.stripe.token, `${at}.${body}`)}`;
    const [later, wrong] = [String(Number(at) + 1), `v1=${"0".repeat(64)}`];
    for (const [status, values] of /** @type {[number, string[]][]} */ ([
      [202, [`t=${at},${wrong}`, v1]],
      [202, [v1, `t=${at}`]],
      [401, [`t=${at},${v1}`, `t=${later},${wrong}`]],
      [401, [`t=${later},${wrong}`, `t=${at},${v1}`]],
      [401, [`t=${at},${v1}`, `t=${at},${v1}`]],
      [401, [`t=${at}`, wrong]],
      [401, [v1]],
    ])) {
      const headers = values.map((value) => /** @type {[string, string]} */ (["Stripe-Signature", value]));
      assert.equal((await raw(headers, body, "stripe")).status, status, JSON.stringify(values));
    }
  });
});

describe("a signed body", () => {
  test("that is no JSON is a bad request, and so is a form", async () => {
    for (const body of ["", "{", "payload=%7B%7D", "<xml/>", '{"a":1}{}']) {
      assertProblem(await send("single", body, { as: "github" }), 400, "bad_request");
      assertRejected(await send("single", body, { as: "github", key: "x" }), body);
    }
  });

  test("that has a member twice proves nothing", async () => {
    for (const body of ['{"a":1,"a":2}', '{"a":{"b":1,"\\u0062":2}}']) {
      assertRejected(await send("single", body, { as: "github" }), body);
    }
  });

  test("is signed as it came, with a byte order mark and in chunks", async () => {
    const count = c.single.deliveries.length;
    const body = eventOf("single");
    assertStatus(await send("single", `\ufeff${body}`, { as: "github" }), 202);
    await assertDelivered("single", count, body);
    assertRejected(await send("single", `\ufeff${body}`, { as: "github", body }), "a mark that is not signed");
    const long = eventOf("single", { padding: "x".repeat(100_000) });
    const { headers } = SENDERS.github.sign({ key: c.single.token, body: long, at: 0 });
    const pieces = long.match(/.{1,9999}/gs) ?? [];
    assertStatus(await post(c.single.path, Readable.from(pieces.map((piece) => Buffer.from(piece))), { headers }), 202);
    await assertDelivered("single", count + 1, long);
  });

  test("is read only where its head may prove it, and then to its limit", async () => {
    const long = eventOf("short", { padding: "x".repeat(200) });
    assertProblem(await send("short", long, { as: "slack" }), 413, "body_too_large");
    assertRejected(await send("short", long, { as: "slack", at: Date.now() - 600_000 }), "an old time");
    assertRejected(await post(c.short.path, long), "no signature");
  });

  test("that comes again with another signature is one event", async () => {
    const body = eventOf("stripe");
    const count = c.stripe.deliveries.length;
    for (const [off, key] of [-5_000, -1_000, 0].flatMap((off) => c.stripe.tokens.map((key) => [off, key]))) {
      assertStatus(await send("stripe", body, { at: Date.now() + Number(off), key: String(key) }), 202);
    }
    await settled(broker, c.stripe);
    assert.equal(c.stripe.deliveries.length, count + 1);
  });
});

test("an event of Asaas is taken by its header", async () => {
  const [body, name] = [eventOf("asaas"), "asaas-access-token"];
  assertStatus(await post(c.asaas.path, body, { headers: { [name]: c.asaas.token } }), 200);
  assertRejected(await post(c.asaas.path, body, { headers: { [name]: `${c.asaas.token}x` } }), name);
});

test("a webhook with an unknown algorithm takes nothing", async () => {
  assertProblem(await send("broken", eventOf("broken"), { as: "github" }), 503, "misconfigured");
  assertProblem(await post(`${c.broken.path}/${c.broken.token}`, "{}"), 503, "misconfigured");
});

describe("a sender's test", () => {
  test("is answered as an event, and goes nowhere", async () => {
    for (const [id, as, tests] of /** @type {const} */ ([
      ["tested", "github", ['{"type":"webhook.test","a":1}', '{"type":1}', ' {"type":"webhook\\u002etest"}']],
      ["pinged", "github", ['{"zen":"Keep it logically awesome.","hook_id":1}', '{"zen":null}']],
    ])) {
      for (const body of tests) {
        const answer = assertStatus(await send(id, body, { as }), c[id].accepted);
        assert.equal(answer.bytes, 0);
        assert.equal((await lineOf(answer)).webhook_id, undefined);
        assertRejected(await send(id, body, { as, key: "x" }), body);
      }
      for (const state of ["pending", "failed"]) assert.deepEqual(await listed(broker, id, state), []);
      const body = '{"type":"1","data":{"type":"webhook.test","zen":1}}';
      assertStatus(await send(id, body, { as }), c[id].accepted);
      await delivered(c[id], 1);
      await settled(broker, c[id]);
      assert.deepEqual(c[id].texts, [body]);
    }
  });

  test("is judged after the account token in it", async () => {
    const inbox = c["tested-by-member"];
    assertStatus(await post(inbox.path, JSON.stringify({ api_token: inbox.token, type: 1 })), 202);
    assertRejected(await post(inbox.path, JSON.stringify({ api_token: "x", type: 1 })), "a wrong token");
    assertRejected(await post(inbox.path, '{"type":1}'), "no token");
    await settled(broker, inbox);
    assert.deepEqual(inbox.deliveries, []);
  });
});

describe("a secret segment of the address", () => {
  const encoded = encodeURIComponent(SEGMENT);
  const everyByte = [...Buffer.from(SEGMENT)].map((b) => `%${b.toString(16).padStart(2, "0")}`).join("");

  test("proves an event, whichever way it is encoded, with and without a slash behind it", async () => {
    for (const [segment, number] of /** @type {const} */ ([
      [encoded, 1],
      [everyByte, 1],
      [everyByte.toUpperCase(), 1],
      [OTHER_SEGMENT, 2],
      [`${OTHER_SEGMENT}/`, 2],
      [`${OTHER_SEGMENT}?from=here`, 2],
    ])) {
      const count = c["by-path"].deliveries.length;
      const body = eventOf("by-path");
      const answer = assertStatus(await post(`${c["by-path"].path}/${segment}`, body), 202);
      await assertDelivered("by-path", count, body);
      const { request_id: _, webhook_id, ...line } = await lineOf(answer);
      const expected = { event: "call", connection: "by-path", method: "POST", status: 202, account_token: number };
      assert.deepEqual([line, typeof webhook_id], [expected, "string"]);
    }
    assertStatus(await post(`${c.own.path}/${c.own.token}`, eventOf("own")), 200);
    assertStatus(await post(`${c["by-path"].path}/${OTHER_SEGMENT}`, '{"type":"webhook.test"}'), 202);
  });

  test("is refused where it is wrong or missing, before the body is looked at", async () => {
    const segments = [
      "",
      "/",
      "/x",
      `/${encoded}x`,
      `/${encoded.slice(0, -1)}`,
      `/${encodeURIComponent(encoded)}`,
      `/${encoded.replaceAll("%20", "+")}`,
      `/${encoded.replace("%2F", "%252F")}`,
      `/${OTHER_SEGMENT.toUpperCase()}`,
      `/${OTHER_SEGMENT}%20`,
      `/${OTHER_SEGMENT}%00`,
      `/${OTHER_SEGMENT};x=1`,
      `/${OTHER_SEGMENT.replace("t", "t%CC%88")}`,
      `/${OTHER_SEGMENT.replace("s", "%EF%BD%93")}`,
      `/${encoded},${OTHER_SEGMENT}`,
      "/%FF",
      "/%",
      "/%zz",
      "/%C0%AF",
      "/null",
      `/${c.own.token}`,
      `/${encodeURIComponent(c["by-path"].signers[0])}`,
      `?token=${OTHER_SEGMENT}`,
      `#${OTHER_SEGMENT}`,
    ];
    for (const segment of segments) {
      for (const body of [eventOf("by-path"), "", "{", '{"type":"webhook.test"}']) {
        const headers = { Authorization: `Bearer ${OTHER_SEGMENT}`, "X-Token": OTHER_SEGMENT };
        assertRejected(await post(c["by-path"].path + segment, body, { headers }), segment);
      }
    }
    // Bytes that are no ASCII, as some client may write them.
    for (const bytes of ["é", "\u00ff", `${SEGMENT.split("/")[0]}é`]) {
      const target = `/webhooks/by-path/${Buffer.from(bytes).toString("latin1")}`;
      const { status } = await rawRequest(broker.url, { method: "POST", target, body: "{}" });
      assert.ok([400, 401].includes(status), `${bytes}: ${status}`);
    }
    assertRejected(await post(c.own.path, c.own.event({ api_token: c.own.token })), "the provider's own proof");
  });

  test("has nothing below it, and is nowhere else", async () => {
    const inbox = c["by-path"];
    for (const below of [`${OTHER_SEGMENT}/x`, `${OTHER_SEGMENT}//`, `/${OTHER_SEGMENT}`, `x/${OTHER_SEGMENT}`]) {
      assertProblem(await post(`${inbox.path}/${below}`, eventOf("by-path")), 404, "not_found");
    }
    for (const id of ["guru", "github", "asaas", "tested-by-member"]) {
      const body = c[id].event();
      for (const segment of ["x", c[id].token.split(",")[0].replaceAll(" ", "%20"), OTHER_SEGMENT]) {
        assertProblem(await post(`${c[id].path}/${segment}`, body), 404, "not_found");
      }
    }
    assertProblem(await post(`/webhooks/none/${OTHER_SEGMENT}`, "{}"), 404, "unknown_connection");
    for (const method of ["GET", "PUT", "OPTIONS"]) {
      const target = `${inbox.path}/${OTHER_SEGMENT}`;
      assertProblem(await broker.call(target, { method, key: null }), 405, "method_not_allowed");
    }
  });

  test("is taken out of the event, where it stands in it", async () => {
    const inbox = c["by-path"];
    const count = inbox.deliveries.length;
    const body = eventOf("by-path", { address: `https://b.example/webhooks/by-path/${OTHER_SEGMENT}` });
    assertStatus(await post(`${inbox.path}/${OTHER_SEGMENT}`, body), 202);
    await delivered(inbox, count + 1);
    assert.equal(JSON.parse(inbox.texts.at(-1) ?? "").address, "[account token]");
  });

  test("is in no line of the log, and in no answer", async () => {
    await settled(broker, c["by-path"]);
    const secrets = { SEGMENT, encoded, everyByte, OTHER_SEGMENT, upper: everyByte.toUpperCase(), own: c.own.token };
    const lines = Object.fromEntries(broker.output.map((line, i) => [`line ${i + 1}: ${line}`, line]));
    assert.ok(Object.keys(lines).length > 200 && Object.keys(answers).length > 200);
    assert.deepEqual(search(lines, secrets), []);
    assert.deepEqual(search(answers, secrets), []);
  });
});

test("every rejection is answered alike", () => {
  assert.ok(rejections.length > 200, `only ${rejections.length}`);
});
