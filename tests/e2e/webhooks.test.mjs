// The events that the broker accepts, and the answers to their senders.

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { after, afterEach, before, describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus, list } from "./support/assertions.mjs";
import { ORIGIN, startBroker } from "./support/broker.mjs";
import { accept, ADMIN_KEY, delivered, listed, operate, sendEvent, settled } from "./support/events.mjs";
import { newSecret, startReceiver } from "./support/receiver.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { Inbox, InboxSettings, Receiver } from "./support/receiver.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

// Stands in every broken value, and may be in no log line.
const CANARY = "canary-value";

/**
 * Each webhook is sound but for this; `named` is what the log has to name.
 *
 * @type {{ [id: string]: InboxSettings & { named: string[] } }}
 */
const BROKEN = {
  "no-receiver": { webhook: { forward_to: undefined }, named: ["webhook.forward_to"] },
  "insecure-receiver": { webhook: { forward_to: `http://${CANARY}.example/hooks` }, named: ["webhook.forward_to"] },
  "look-alike-receiver": {
    webhook: { forward_to: `http://localhost.${CANARY}.example/` },
    named: ["webhook.forward_to"],
  },
  "receiver-without-address": { webhook: { forward_to: `/${CANARY}` }, named: ["webhook.forward_to"] },
  "receiver-with-password": {
    webhook: { forward_to: `https://u:${CANARY}@example.com/` },
    named: ["webhook.forward_to"],
  },
  "receiver-as-number": { webhook: { forward_to: 1 }, named: ["webhook.forward_to"] },
  "unknown-field": { webhook: { colour: CANARY }, named: ["webhook.colour"] },
  "two-places": { webhook: { token_field: CANARY, token_header: `X-${CANARY}` }, named: ["webhook.token_"] },
  "no-place": { provider: "custom", webhook: {}, named: ["webhook"] },
  "bad-field": { webhook: { token_field: [CANARY] }, named: ["webhook.token_field"] },
  "bad-header": { webhook: { token_header: `X ${CANARY}` }, named: ["webhook.token_header"] },
  "bad-id": { webhook: { id_field: { [CANARY]: 1 } }, named: ["webhook.id_field"] },
  "bad-id-member": { webhook: { id_field: ["id", 7] }, named: ["webhook.id_field"] },
  "no-bytes": { webhook: { max_bytes: 0 }, named: ["webhook.max_bytes"] },
  "too-many-bytes": { webhook: { max_bytes: 1_048_577 }, named: ["webhook.max_bytes"] },
  "bytes-as-text": { webhook: { max_bytes: CANARY }, named: ["webhook.max_bytes"] },
  "no-success": { webhook: { accepted_status: 300 }, named: ["webhook.accepted_status"] },
  information: { webhook: { accepted_status: 199 }, named: ["webhook.accepted_status"] },
  "status-as-text": { webhook: { accepted_status: CANARY }, named: ["webhook.accepted_status"] },
  "half-a-byte": { webhook: { max_bytes: 10.5 }, named: ["webhook.max_bytes"] },
  "no-table": { fields: { webhook: CANARY }, named: ["webhook"] },
  "no-account-token": {
    secrets: { NO_ACCOUNT_TOKEN_ACCOUNT_TOKEN: undefined },
    named: ["NO_ACCOUNT_TOKEN_ACCOUNT_TOKEN"],
  },
  "no-secret": { secrets: { NO_SECRET_WEBHOOK_SECRET: undefined }, named: ["NO_SECRET_WEBHOOK_SECRET"] },
  "bare-secret": { secret: newSecret().slice("whsec_".length), named: ["BARE_SECRET_WEBHOOK_SECRET"] },
  "secret-of-text": { secret: `whsec_${CANARY}!`, named: ["SECRET_OF_TEXT_WEBHOOK_SECRET"] },
  "short-secret": { secret: newSecret(23), named: ["SHORT_SECRET_WEBHOOK_SECRET"] },
  "long-secret": { secret: newSecret(65), named: ["LONG_SECRET_WEBHOOK_SECRET"] },
  "second-secret": { secret: `${newSecret()},${newSecret(23)}`, named: ["SECOND_SECRET_WEBHOOK_SECRET"] },
  "three-problems": {
    webhook: { colour: CANARY, max_bytes: CANARY },
    secrets: { THREE_PROBLEMS_ACCOUNT_TOKEN: undefined },
    named: ["webhook.colour", "webhook.max_bytes", "THREE_PROBLEMS_ACCOUNT_TOKEN"],
  },
};

// What JSON needs an escape for, and what takes more than one byte.
const ODD_TOKEN = 'to"ken\\with/é€😀{}';

/** @type {Upstream} */
let upstream;
/** @type {Receiver} */
let receiver;
/** @type {Broker} */
let broker;
/** @type {Connection} */
let plain;
/** @type {{ [id: string]: Inbox }} */
const c = {};

before(async () => {
  upstream = await startUpstream();
  plain = upstream.connection("plain", { grant: "static" });
  receiver = await startReceiver();
  /**
   * @param {string} id
   * @param {InboxSettings} [settings]
   */
  const add = (id, settings) => (c[id] = receiver.inbox(id, settings));
  add("guru");
  add("rotating", { token: "rotating-old-token,rotating-new-token" });
  add("odd", { token: ODD_TOKEN });
  add("own-field", { provider: "custom", webhook: { token_field: "account key" } });
  add("header", { provider: "custom", webhook: { token_header: "X-Token" } });
  add("guru-by-header", { webhook: { token_header: "X-Token" } });
  add("bearer", { provider: "custom", webhook: { token_header: "Authorization" } });
  add("small", { webhook: { max_bytes: 1_000 } });
  add("small-by-header", { provider: "custom", webhook: { token_header: "X-Token", max_bytes: 1_000 } });
  add("large", { webhook: { max_bytes: 1_048_576 } });
  add("short-key", { secret: newSecret(24) });
  add("long-key", { secret: newSecret(64) });
  for (const status of [200, 201, 204, 299]) add(`answers-${status}`, { webhook: { accepted_status: status } });
  add("half-set", { token: "half-set-token," });
  // An upstream that answers, so that the proxied calls can be seen to go on.
  const sound = upstream.connection("sound", { grant: "static" });
  sound.live.add("static");
  for (const [id, { fields, secrets, ...settings }] of Object.entries(BROKEN)) {
    add(id, {
      ...settings,
      token: `${CANARY}-${id}`,
      fields: { base_url: sound.baseUrl, ...fields },
      secrets: { [`${id.toUpperCase().replaceAll("-", "_")}_TOKEN`]: "static", ...secrets },
    });
  }
  broker = await startBroker({
    vars: { CONNECTIONS: { ...upstream.vars, ...receiver.vars } },
    secrets: { ADMIN_KEY, ...upstream.secrets, ...receiver.secrets },
  });
});

afterEach(() => {
  upstream.verify();
  receiver.verify();
});

after(async () => {
  await broker?.stop();
  await receiver?.close();
  await upstream?.close();
});

/** @param {Inbox} inbox */
const T = (inbox) => JSON.stringify(inbox.token);
/** @param {string} text */
const chunked = (text) => {
  const bytes = Buffer.from(text);
  const size = Math.ceil(bytes.length / 7);
  return Readable.from(
    Array.from({ length: 7 }, (_, i) => bytes.subarray(i * size, (i + 1) * size)).filter(({ length }) => length),
  );
};
/**
 * @param {Inbox} inbox
 * @param {number} bytes
 */
const ofSize = (inbox, bytes, members = {}) => {
  const bare = inbox.event({ ...members, padding: "" });
  return bare.replace('"padding":""', `"padding":"${"x".repeat(bytes - Buffer.byteLength(bare))}"`);
};
/**
 * @param {Inbox} inbox
 * @param {number} depth
 */
const nested = (inbox, depth) => `{"api_token":${T(inbox)},"deep":${"[".repeat(depth - 1)}${"]".repeat(depth - 1)}}`;

/**
 * Sends `body`, which is accepted and delivered.
 *
 * @param {Inbox} inbox
 * @param {CallOptions["body"]} [body]
 * @param {CallOptions} [options]
 */
async function taken(inbox, body, options) {
  const count = inbox.deliveries.length;
  await accept(broker, inbox, body, options);
  await delivered(inbox, count + 1);
}

/**
 * All that an answer says, but for which request it was for.
 *
 * @param {Answer} answer
 */
function saidBy(answer) {
  const { request_id, ...body } = assertProblem(answer, 401, "webhook_rejected");
  const { "x-request-id": _, date, ...headers } = answer.headers;
  return { body, headers: { ...headers, "content-length": undefined } };
}

describe("an event", () => {
  test("is accepted with an empty answer", async () => {
    const answer = await accept(broker, c.guru);
    assertEveryAnswer(answer, "200");
    await delivered(c.guru, 1);
  });

  test("needs no Content-Type, and may have any", async () => {
    for (const type of [
      undefined,
      "text/plain",
      "application/x-www-form-urlencoded",
      "application/json; charset=utf-8",
      "nonsense",
    ]) {
      await taken(c.guru, undefined, { headers: type ? { "Content-Type": type } : {} });
    }
  });

  test("is answered by another status where its sender wants one", async () => {
    for (const status of [200, 201, 204, 299]) {
      const inbox = c[`answers-${status}`];
      const event = inbox.event();
      for (let i = 0; i < 2; i += 1) await accept(broker, inbox, event);
      await settled(broker, inbox);
      assert.equal(inbox.deliveries.length, 1);
      assertProblem(await sendEvent(broker, inbox, "{}"), 401, "webhook_rejected");
    }
  });

  test("may come to the address with a slash at its end", async () => {
    const count = c.guru.deliveries.length;
    assertStatus(await broker.call(`${c.guru.path}/`, { method: "POST", key: null, body: c.guru.event() }), 200);
    await delivered(c.guru, count + 1);
  });

  test("may come in chunks", async () => {
    await taken(c.guru, chunked(c.guru.event({ padding: "x".repeat(2_000) })));
  });

  test("is one line in the log, which holds nothing of it", async () => {
    const answer = await accept(broker, c.guru);
    await settled(broker, c.guru);
    const line = await broker.logged(({ request_id }) => request_id === answer.headers["x-request-id"], {
      what: "the request's line",
    });
    const { request_id: _, ...rest } = line;
    assert.deepEqual(rest, {
      event: "call",
      connection: "guru",
      method: "POST",
      status: 200,
      webhook_id: c.guru.ids.at(-1),
    });
  });

  test("is taken whichever account token it carries while there are two", async () => {
    for (const token of c.rotating.tokens) await taken(c.rotating, c.rotating.event({ api_token: token }));
  });

  test("may write name and token with escapes", async () => {
    /** @param {string} text */
    const escaped = (text) =>
      [...text].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
    await taken(c.guru, `{"${escaped("api_token")}":"${escaped(c.guru.token)}","id":"escaped"}`);
    await taken(c.guru, `{"api\\u005ftoken":${T(c.guru)},"id":"escaped too"}`);
  });

  test("may carry a token of any characters, however it is written", async () => {
    await taken(c.odd);
    const inAscii = JSON.stringify(ODD_TOKEN).replace(
      /[^\x20-\x7e]/g,
      (char) => `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`,
    );
    await taken(c.odd, `{"api_token":${inAscii.replace("/", "\\/")},"id":"in ASCII"}`);
  });

  test("carries the token in the member that the connection names", async () => {
    const inbox = c["own-field"];
    await taken(inbox, `{"account key":${T(inbox)},"api_token":"kept"}`);
    assert.equal(inbox.texts.at(-1), '{"api_token":"kept"}');
    assertProblem(await sendEvent(broker, inbox, `{"api_token":${T(inbox)},"id":1}`), 401, "webhook_rejected");
  });

  test("carries the token in the header that the connection names", async () => {
    for (const inbox of [c.header, c["guru-by-header"]]) {
      for (const body of ['{"id":1}', "[1, 2]", '"text"', " null ", "1e2"])
        await taken(inbox, body, { headers: { "x-token": inbox.token } });
    }
    for (const scheme of ["", "Bearer ", "bearer "]) {
      await taken(c.bearer, `{"by":"${scheme}"}`, { headers: { Authorization: `${scheme}${c.bearer.token}` } });
    }
  });

  test("is signed by a key of 24 to 64 bytes", async () => {
    await taken(c["short-key"]);
    await taken(c["long-key"]);
  });
});

describe("an event that proves nothing", () => {
  /** @type {ReturnType<typeof saidBy>[]} */
  const said = [];

  /**
   * @param {Inbox} inbox
   * @param {CallOptions["body"]} body
   * @param {string} what
   * @param {CallOptions} [options]
   */
  async function refused(inbox, body, what, options) {
    said.push(saidBy(await sendEvent(broker, inbox, body, options)));
    assert.deepEqual(said.at(-1), said[0], what);
  }

  test("is refused for any token but the right one", async () => {
    const right = c.guru.token;
    const wrong = {
      another: "x".repeat(right.length),
      shorter: right.slice(0, -1),
      "without its begin": right.slice(1),
      longer: `${right}x`,
      "upper case": right.toUpperCase(),
      "a space before": ` ${right}`,
      "a space behind": `${right} `,
      "a line end": `${right}\n`,
      "a null character": `${right}\0`,
      empty: "",
      "twice in one": `${right}${right}`,
      "a list in one": `${right},${right}`,
      Bearer: `Bearer ${right}`,
      "of another connection": c.odd.token,
      "the webhook secret": c.guru.signers[0],
      "a byte-order mark": `\ufeff${right}`,
      "full-width": right.replace(/[!-~]/g, (char) => String.fromCharCode(char.charCodeAt(0) + 0xfee0)),
      null: null,
      true: true,
      false: false,
      0: 0,
      "a number": 1.5,
      "an empty list": [],
      "a list": [right],
      "an object": { api_token: right },
      "{}": {},
    };
    for (const [what, api_token] of Object.entries(wrong)) await refused(c.guru, c.guru.event({ api_token }), what);
  });

  test("is refused for a list of the tokens, and for an empty one of them", async () => {
    for (const api_token of [c.rotating.tokens.join(), c.rotating.tokens.join(", "), "", ","]) {
      await refused(c.rotating, c.rotating.event({ api_token }), api_token);
    }
    for (const api_token of ["", ",", "half-set-token,"]) {
      const { status } = await sendEvent(broker, c["half-set"], c["half-set"].event({ api_token }));
      assert.ok([401, 503].includes(status), `${JSON.stringify(api_token)}: ${status}`);
    }
  });

  test("is refused where the token stands in another place", async () => {
    const token = T(c.guru);
    const bodies = [
      "{}",
      '{"id":1}',
      `{"API_TOKEN":${token}}`,
      `{"Api_Token":${token}}`,
      `{"api-token":${token}}`,
      `{"api_token ":${token}}`,
      `{"":${token}}`,
      `{"api_token\\u0000":${token}}`,
      `{"data":{"api_token":${token}}}`,
      `{"data":[{"api_token":${token}}]}`,
      `{"token":${token}}`,
      `{${token}:"api_token"}`,
    ];
    for (const body of bodies) await refused(c.guru, body, body);
    const headers = {
      Authorization: `Bearer ${c.guru.token}`,
      "X-Token": c.guru.token,
      api_token: c.guru.token,
      Cookie: `api_token=${c.guru.token}`,
    };
    await refused(c.guru, '{"id":1}', "in headers", { headers });
  });

  test("is refused where a member comes twice, however its name is written and wherever it is", async () => {
    const token = T(c.guru);
    const pairs = [
      [token, token],
      [token, '"wrong"'],
      ['"wrong"', token],
      [token, "null"],
      ["{}", token],
    ];
    const names = ['"api_token"', '"api\\u005ftoken"', '"api\\u005Ftoken"', '"\\u0061pi_token"'];
    const bodies = [
      ...pairs.flatMap(([first, second]) => names.map((name) => `{"api_token":${first},"id":1,${name}:${second}}`)),
      `{"api\\u005ftoken":${token},"\\u0061pi_token":${token}}`,
      ...["api_token", "id"].map((name) => `{"api_token":${token},"a":{"${name}":1,"b":2,"${name}":1}}`),
      `{"api_token":${token},"id":1,"id":1}`,
      `{"api_token":${token},"id":1,"\\u0069d":2}`,
      `{"api_token":${token},"é":1,"\\u00E9":2}`,
      `{"api_token":${token},"😀":1,"\\ud83d\\uDE00":2}`,
      `{"api_token":${token},"":1,"":2}`,
      `{"api_token":${token},"a":[[{"b":[{"c":{},"c":{}}]}]]}`,
      `{"a":{"b":1,"b":1},"api_token":${token}}`,
      `{"api_token":${token},"${"long".repeat(100)}":1,"x":2,"${"long".repeat(100)}":3}`,
    ];
    for (const body of bodies) await refused(c.guru, body, body);
  });

  test("is refused where it is no object", async () => {
    for (const body of [
      "[]",
      T(c.guru),
      "null",
      "true",
      "1",
      `[{"api_token":${T(c.guru)}}]`,
      `["api_token",${T(c.guru)}]`,
    ]) {
      await refused(c.guru, body, body);
    }
  });

  test("is refused for its header before its body is looked at", async () => {
    for (const [inbox, name, scheme] of /** @type {const} */ ([
      [c["small-by-header"], "X-Token", ""],
      [c.bearer, "Authorization", "Bearer "],
    ])) {
      const { token } = inbox;
      const right = `${scheme}${token}`;
      const fields = [
        [],
        [name, ""],
        [name, `${right}x`],
        [name, right.slice(0, -1)],
        [name, right.toUpperCase()],
        [name, `Basic ${token}`],
        [name, `${right}, ${right}`],
        [name, `"${token}"`],
        [name, right, name, right],
        [name, right, name, "wrong"],
        [name, "wrong", name, right],
        ["X-Other", right],
      ];
      for (const headers of fields) {
        for (const body of [
          '{"id":1}',
          "",
          "{",
          "x".repeat(2_000),
          `{"${name}":${JSON.stringify(right)},"api_token":"${token}"}`,
        ]) {
          await refused(inbox, body, JSON.stringify([headers, body.slice(0, 40)]), { headers });
        }
      }
    }
    await refused(c.header, '{"id":1}', "a scheme in a header of its own", {
      headers: { "X-Token": `Bearer ${c.header.token}` },
    });
  });

  test("is answered the same whatever is wrong with it, and its line names no token", async () => {
    assert.ok(said.length > 100, `only ${said.length} answers`);
    const lines = broker.output.filter((line) =>
      [c.guru, c.header, c.bearer].some(({ token }) => line.includes(token)),
    );
    assert.deepEqual(lines, []);
  });

  test("goes nowhere", async () => {
    for (const inbox of Object.values(c).filter(({ id }) => !(id in BROKEN || id === "half-set"))) {
      await settled(broker, inbox);
      assert.deepEqual(await listed(broker, inbox.id, "failed"), []);
    }
    assert.deepEqual(c["small-by-header"].deliveries, []);
  });
});

describe("a body", () => {
  test("that is no JSON is a bad request", async () => {
    const token = T(c.guru);
    const event = c.guru.event();
    const bodies = [
      "",
      " ",
      "{",
      event.slice(0, -1),
      `${event}x`,
      `${event}{}`,
      `${event},`,
      event.replace(/}$/, ",}"),
      `{'api_token':${token}}`,
      `{api_token:${token}}`,
      `api_token=${c.guru.token}&id=1`,
      `<xml>${token}</xml>`,
      `{"api_token":${token},"id":NaN}`,
      `{"api_token":${token},"id":01}`,
      `{"api_token":${token},"id":1.}`,
      `{"api_token":${token},"id":+1}`,
      `{"api_token":${token},"id":0x1}`,
      `{"api_token":${token},"id":"\t"}`,
      `{"api_token":${token},"id":"\\x41"}`,
      `{"api_token":${token},"id":"\\u12"}`,
      `{"api_token":${token} "id":1}`,
      `{"api_token":${token}} // why`,
      `{"api_token":${token},"id":tru}`,
      "\0",
      Buffer.concat([Buffer.from(`{"api_token":${token},"id":"`), Buffer.from([0xff, 0xc0, 0x80]), Buffer.from('"}')]),
      Buffer.from(event, "utf16le"),
    ];
    for (const body of bodies) {
      const answer = await sendEvent(broker, c.guru, body);
      assert.equal(answer.status, 400, `${JSON.stringify(String(body))}: ${answer.status} ${answer.text}`);
      assertProblem(answer, 400, "bad_request");
    }
  });

  test("may nest 127 deep, and no deeper", async () => {
    await taken(c.guru, nested(c.guru, 127));
    for (const depth of [128, 129, 5_000, 100_000])
      assertProblem(await sendEvent(broker, c.guru, nested(c.guru, depth)), 400, "bad_request");
    /** @param {number} depth */
    const objects = (depth) =>
      `{"api_token":${T(c.guru)},"deep":${'{"a":'.repeat(depth - 1)}1${"}".repeat(depth - 1)}}`;
    await taken(c.guru, objects(127));
    assertProblem(await sendEvent(broker, c.guru, objects(128)), 400, "bad_request");
  });

  for (const [id, limit] of Object.entries({ small: 1_000, guru: 262_144, large: 1_048_576 })) {
    test(`may have ${limit} bytes where that is the limit, and no more, with a length or in chunks`, async () => {
      const inbox = c[id];
      // A letter of two bytes: the limit counts those.
      for (const as of [(/** @type {string} */ text) => text, chunked]) {
        await taken(inbox, as(ofSize(inbox, limit, { letter: "é" })));
        assertProblem(
          await sendEvent(broker, inbox, as(ofSize(inbox, limit + 1, { letter: "é" }))),
          413,
          "body_too_large",
        );
      }
    });
  }

  test("that is too large is refused whatever it is", async () => {
    for (const body of [
      "x".repeat(1_001),
      " ".repeat(1_001),
      `{"api_token":"wrong","padding":"${"x".repeat(1_000)}"}`,
    ]) {
      assertProblem(await sendEvent(broker, c.small, body), 413, "body_too_large");
    }
    const headers = { "X-Token": c["small-by-header"].token };
    assertProblem(await sendEvent(broker, c["small-by-header"], "x".repeat(1_001), { headers }), 413, "body_too_large");
    assertProblem(await sendEvent(broker, c["small-by-header"], "x", { headers }), 400, "bad_request");
  });
});

describe("an address", () => {
  /**
   * @param {string} target
   * @param {CallOptions} [options]
   */
  const send = (target, options) =>
    broker.call(target, { method: "POST", key: null, body: c.guru.event(), ...options });

  test("takes POST only", async () => {
    for (const method of ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"]) {
      const body = ["GET", "HEAD"].includes(method) ? undefined : c.guru.event();
      const answer = await send(c.guru.path, { method, body });
      assert.equal(answer.headers.allow, "POST", method);
      if (method === "HEAD") assert.deepEqual([answer.status, answer.bytes], [405, 0]);
      else assertProblem(answer, 405, "method_not_allowed");
    }
  });

  test("is that of a connection, whose name is written as it is", async () => {
    for (const id of ["none", "GURU", "__proto__", "constructor", "guru%20"])
      assertProblem(await send(`/webhooks/${id}`), 404, "unknown_connection");
  });

  test("is that of a connection with a webhook", async () => {
    assertProblem(await send("/webhooks/plain"), 404, "not_found");
  });

  test("has nothing below it or above it", async () => {
    for (const target of [
      "/webhooks",
      "/webhooks/",
      "/webhooks/guru//",
      "/webhooks/guru/x",
      "/Webhooks/guru",
      "/webhook/guru",
    ]) {
      const answer = await send(target);
      assert.equal(answer.status, 404, `${target}: ${answer.status} ${answer.text}`);
      assert.ok(["not_found", "unknown_connection"].includes(answer.json().code), target);
    }
  });

  test("is no place for pages: whatever the Origin, the answer is the same and has no CORS header", async () => {
    /** @type {{ [status: string]: () => [target: string, options: Omit<CallOptions, "headers"> & { headers?: { [name: string]: string } }] }} */
    const asks = {
      200: () => [c.guru.path, {}],
      401: () => [c.guru.path, { body: "{}" }],
      400: () => [c.guru.path, { body: "{" }],
      413: () => [c.small.path, { body: "x".repeat(1_001) }],
      404: () => ["/webhooks/none", {}],
      503: () => [c["no-receiver"].path, {}],
      405: () => [
        c.guru.path,
        {
          method: "OPTIONS",
          body: undefined,
          headers: { "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type" },
        },
      ],
    };
    for (const [status, ask] of Object.entries(asks)) {
      for (const origin of [undefined, ORIGIN, broker.url, "https://evil.example", "null", "", "nonsense"]) {
        for (const site of [undefined, "cross-site", "same-origin"]) {
          const [target, { headers, ...options }] = ask();
          const answer = await send(target, {
            origin,
            ...options,
            headers: { ...headers, ...(site ? { "Sec-Fetch-Site": site } : {}) },
          });
          const said = `${status} to ${origin} ${site}: ${answer.status} ${answer.text}`;
          assert.equal(answer.status, Number(status), said);
          assert.deepEqual(
            Object.keys(answer.headers).filter((name) => /^access-control-|^timing-allow-origin$/.test(name)),
            [],
            said,
          );
          assertEveryAnswer(answer, said);
        }
      }
    }
  });
});

describe("a broken webhook", () => {
  const fields = () => broker.logs.filter(({ field }) => field !== undefined).map(({ field }) => String(field));

  for (const [id, { named }] of Object.entries(BROKEN)) {
    test(`(${id}) is misconfigured and named in the log, and proxied calls go on`, async () => {
      const { detail } = assertProblem(await sendEvent(broker, c[id]), 503, "misconfigured");
      for (const name of named) {
        const field = name === name.toUpperCase() ? name : `CONNECTIONS.${id}.${name}`;
        await broker.logged((log) => String(log.field).startsWith(field), {
          what: `a problem of ${field} (logged: ${fields().join(", ")})`,
        });
        assert.ok(!detail.includes(name), "the sender is told");
      }
      assertStatus(await broker.call(`/api/${id}/echo`));
    });
  }

  test("is misconfigured for anybody: whether the token is right is not looked at", async () => {
    for (const body of ["{}", "{", "x".repeat(300_000)])
      assertProblem(await sendEvent(broker, c["no-secret"], body), 503, "misconfigured");
  });

  test("leaves the others working", async () => {
    await taken(c.guru);
    assertStatus(await broker.call(plain.api()));
  });

  test("is never described by its values", () => {
    const values = [CANARY, ...Object.keys(BROKEN).flatMap((id) => c[id].signers)];
    assert.deepEqual(
      broker.logs.filter((log) =>
        values.some((value) => JSON.stringify(log).toLowerCase().includes(value.toLowerCase())),
      ),
      [],
    );
  });

  test("is reported once for each problem, and nothing else is", () => {
    const all = fields();
    assert.deepEqual(
      all.filter((field, i) => all.indexOf(field) !== i),
      [],
    );
    const broken = Object.keys(BROKEN).flatMap((id) => [
      `CONNECTIONS.${id}.`,
      `${id.toUpperCase().replaceAll("-", "_")}_`,
    ]);
    assert.deepEqual(
      all.filter((field) => !/HALF_SET/.test(field) && !broken.some((begin) => field.startsWith(begin))),
      [],
    );
  });
});

describe("a BASE_PATH", () => {
  test("is where events are taken, and operators call", async () => {
    await broker.restart({ vars: { BASE_PATH: "/broker" } });
    await taken(c.guru);
    assertStatus(await operate(broker, "guru"));
    const { type } = assertProblem(await sendEvent(broker, c.guru, "{}"), 401, "webhook_rejected");
    assert.equal(type, `${broker.url}/broker/problems/webhook_rejected`);
    assertStatus(await broker.call(new URL(type).pathname, { key: null }));
    /**
     * @param {string} target
     * @param {CallOptions} [options]
     */
    const at = (target, options) => broker.call(target, { key: null, ...options });
    assertProblem(await at(c.guru.path, { method: "POST", body: c.guru.event() }), 404, "not_found");
    assertProblem(await at("/admin/connections/guru/webhooks", { key: ADMIN_KEY }), 404, "not_found");
    const allow = list((await at(`/broker${c.guru.path}`)).headers.allow);
    assert.deepEqual(allow, ["post"]);
  });
});
