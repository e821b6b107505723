// The delivered form of an event, its signature, and that it is delivered once.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Agent } from "node:http";
import { after, afterEach, before, describe, test } from "node:test";
import { Webhook } from "standardwebhooks";
import { startBroker } from "./support/broker.mjs";
import { accept, ADMIN_KEY, delivered, sendEvent, settled } from "./support/events.mjs";
import { newSecret, startReceiver } from "./support/receiver.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Inbox, InboxSettings, Receiver } from "./support/receiver.mjs" */

const ODD_TOKEN = 'to"ken\\with/é€😀';

// Each test that counts deliveries has inboxes of its own.
const byContent = { provider: "custom", webhook: { token_field: "api_token" } };
/** @type {{ [id: string]: InboxSettings }} */
const INBOXES = {
  plain: byContent,
  odd: { ...byContent, token: ODD_TOKEN },
  "by-header": { provider: "custom", webhook: { token_header: "X-Token" } },
  rotating: { ...byContent, token: "rotating-old-token,rotating-new-token" },
  large: { ...byContent, webhook: { token_field: "api_token", max_bytes: 1_048_576 } },
  addressed: { query: "?source=a%20b&x=1&x=2" },
  signed: {},
  "signed-twice": { secret: `${newSecret(24)},${newSecret(64)}` },
  "at-once": {},
  later: {},
  changing: {},
  "by-id": { webhook: { id_field: "id" } },
  "by-two": { ...byContent, webhook: { token_field: "api_token", id_field: ["a", "b"] } },
  "without-id": {},
  numbers: {},
  content: byContent,
  twin: byContent,
};

/** @type {Receiver} */
let receiver;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Inbox }} */
const c = {};

before(async () => {
  receiver = await startReceiver();
  for (const [id, settings] of Object.entries(INBOXES)) c[id] = receiver.inbox(id, settings);
  broker = await startBroker({ vars: { CONNECTIONS: receiver.vars }, secrets: { ADMIN_KEY, ...receiver.secrets } });
});

afterEach(() => receiver.verify());

after(async () => {
  await broker?.stop();
  await receiver?.close();
});

/**
 * Sends `text` and gives what arrived of it.
 *
 * @param {Inbox} inbox
 * @param {string} text
 * @param {CallOptions} [options]
 */
async function arrived(inbox, text, options) {
  const count = inbox.deliveries.length;
  await accept(broker, inbox, text, options);
  await delivered(inbox, count + 1);
  return inbox.deliveries[count];
}

/**
 * Sends all of `texts` at once, and waits until nothing is on its way; gives the new deliveries.
 *
 * @param {Inbox} inbox
 * @param {string[]} texts
 */
async function arrivedOf(inbox, texts) {
  const count = inbox.deliveries.length;
  await Promise.all(texts.map((text) => accept(broker, inbox, text)));
  await settled(broker, inbox);
  return inbox.deliveries.slice(count);
}

/**
 * @param {string} text
 * @param {(hex: string) => string} [digits]
 */
const escapedWhole = (text, digits = (hex) => hex) =>
  text.replace(/./gsu, (char) =>
    [...char.split("")].map((unit) => `\\u${digits(unit.charCodeAt(0).toString(16).padStart(4, "0"))}`).join(""),
  );

describe("the body of a delivery", () => {
  // The member that carries the token, as it is written there.
  const MEMBER = '"api_token":@TOKEN@';
  const EVENTS = {
    "with the token first": `{${MEMBER},"id":1,"b":[1,2]}`,
    "with the token in the middle": `{"id":2,${MEMBER},"b":[1,2]}`,
    "with the token last": `{"id":3,"b":[1,2],${MEMBER}}`,
    "with the token only": `{${MEMBER}}`,
    "with the token only, and whitespace": ' {\n "api_token"\t:\r\n @TOKEN@ } \n',
    "with odd whitespace":
      '\t{ "z" :1 ,\r\n\r\n"a":  [ 1 ,2 , { } ,[ ] ]\t,  "api_token" \n:\t @TOKEN@  ,"m"\n:null } \r\n ',
    "with whitespace around the token, first": '{ \n "api_token" : @TOKEN@ , \n "id" : 1 \n}\n',
    "with whitespace around the token, last": '{ \n "id" : 1 , \n "api_token" : @TOKEN@ \n}\n',
    "with numbers of every kind": `{"n":[1.0,1e2,1E+2,-0,-0.0,0.1e-7,1.10,123456789012345678901234567890,9007199254740993,1e300,-1e-400,0.30000000000000004],${MEMBER}}`,
    "with a number of 400 digits": `{"n":0.${"123456789".repeat(45)},${MEMBER}}`,
    "with escapes": `{"s":"\\u0041\\/\\u00e9\\u00E9\\n\\t\\b\\f\\r\\"\\\\\\u0000\\u001F\\ud83d\\ude00\\u2028",${MEMBER}}`,
    "with text beyond ASCII": `{"é":"ação 日本語 😀 \u2028\u2029\u007f\u0080\ufeff\uffff e\u0301",${MEMBER}}`,
    "with names in an order of their own": `{"10":1,"2":2,"b":3,"a":4,"__proto__":5,"constructor":6,${MEMBER},"":7,"1":8}`,
    "with brackets and quotes in texts": `{"s":"}{][\\",\\"api_token\\":\\"x\\"",${MEMBER},"t":"\\\\"}`,
    "with a like member further down": `{"a":{"api_token":"another"},"b":[{"api_token":null}],${MEMBER}}`,
    "with a like member before it": `{"data":{"api_token":[1]},${MEMBER}}`,
    "with like names": `{"API_TOKEN":"a","api_token ":"b","token":"c",${MEMBER},"api_token2":"d"}`,
    "with an escaped name": '{"id":1,"\\u0061pi\\u005ftoken":@TOKEN@,"b":2}',
    "nested deeply": `{"a":${"[".repeat(100)}{"x":"y"}${"]".repeat(100)},${MEMBER}}`,
    "with a token of another case": `{"s":"ANOTHER-CASE",${MEMBER}}`,
  };

  for (const [what, template] of Object.entries(EVENTS)) {
    test(`${what} is that of the event byte for byte, but for the token's member`, async () => {
      for (const inbox of [c.plain, c.odd]) {
        const sent = template
          .replace("ANOTHER-CASE", JSON.stringify(inbox.token.toUpperCase()).slice(1, -1))
          .replace("@TOKEN@", () => JSON.stringify(inbox.token));
        const { text, body } = await arrived(inbox, sent);
        assert.ok(body.equals(Buffer.from(text)), "it is no UTF-8");
        assertOneCut(sent, text, inbox.token);
      }
    });
  }

  /**
   * What is left is the text without one piece: the member, one comma at most, and whitespace.
   *
   * @param {string} sent
   * @param {string} left
   * @param {string} token
   */
  function assertOneCut(sent, left, token) {
    const length = sent.length - left.length;
    const cuts = Array.from({ length: left.length + 1 }, (_, i) => i)
      .filter((i) => sent.startsWith(left.slice(0, i)) && sent.slice(i + length) === left.slice(i))
      .map((i) => sent.slice(i, i + length).trim());
    /** @param {string} cut */
    const isMember = (cut) => {
      try {
        const bare = cut.replace(/^,/, "") === cut ? cut.replace(/,$/, "") : cut.replace(/^,/, "");
        assert.deepEqual(JSON.parse(`{${bare}}`), { api_token: token });
        return true;
      } catch {
        return false;
      }
    };
    assert.ok(length > 0 && cuts.some(isMember), `sent:\n${sent}\narrived:\n${left}`);
    JSON.parse(left);
  }

  test("is the event itself where a header carries the token", async () => {
    const inbox = c["by-header"];
    const headers = { "X-Token": inbox.token };
    for (const sent of [
      ...Object.values(EVENTS).map((template) => template.replace("@TOKEN@", '"x"')),
      '[ 1.0 , "a" ]\n',
      ' "text" ',
      "1e2",
      "null",
    ]) {
      assert.equal((await arrived(inbox, sent, { headers })).text, sent);
    }
  });

  test("may hold numbers that no program can count with", async () => {
    const numbers = ["1e400", "-1e400", "9".repeat(400), `${"9".repeat(400)}.5`, "1E+99999"];
    for (const number of numbers) {
      const token = JSON.stringify(c.plain.token);
      assert.equal((await arrived(c.plain, `{"n":${number},"api_token":${token}}`)).text, `{"n":${number}}`);
      assert.equal(
        (await arrived(c["by-header"], `{"n": ${number}}`, { headers: { "X-Token": c["by-header"].token } })).text,
        `{"n": ${number}}`,
      );
    }
  });

  test("of a mebibyte arrives whole", async () => {
    const padding = randomBytes(390_000).toString("hex") + "é\\u00e9".repeat(20_000);
    const { text } = await arrived(
      c.large,
      `{"padding":"${padding}","api_token":${JSON.stringify(c.large.token)},"z":1.0}`,
    );
    assert.ok(text === `{"padding":"${padding}","z":1.0}`);
  });
});

describe("an account token elsewhere in the event", () => {
  const GONE = '"[account token]"';
  /** @param {string} hex */
  const upper = (hex) => hex.toUpperCase();

  /**
   * As JSON has it between its quotes, without any escape that is not needed, and with as many as there may be.
   *
   * @param {string} token
   */
  const forms = (token) => {
    const bare = JSON.stringify(token).slice(1, -1);
    const first = escapedWhole(token[0]) + JSON.stringify(token.slice(1)).slice(1, -1);
    return [...new Set([bare, bare.replaceAll("/", "\\/"), escapedWhole(token), escapedWhole(token, upper), first])];
  };

  for (const id of ["plain", "odd"]) {
    test(`is made unreadable wherever it stands, however it is written (${id})`, async () => {
      const inbox = c[id];
      for (const [i, form] of forms(inbox.token).entries()) {
        const sent = `{"a":"${form}","b":["before ${form} behind","x",{"api_token":"${form}","c":"${form}${form}"}],"api_token":${JSON.stringify(inbox.token)},"d":${i}.0,"${form}":2, "of ${form}" : 3 }`;
        const { text } = await arrived(inbox, sent);
        // Two names would be the same: that of the second tells them apart.
        const [first, ...rest] = text.split(`,"d":${i}.0,`);
        assert.equal(first, `{"a":${GONE},"b":[${GONE},"x",{"api_token":${GONE},"c":${GONE}}]`, form);
        assert.equal(rest.length, 1);
        assert.ok(!JSON.stringify(JSON.parse(text)).includes(JSON.stringify(inbox.token).slice(1, -1)), text);
      }
    });
  }

  test("is made unreadable where a header carries it, too", async () => {
    const inbox = c["by-header"];
    for (const [i, form] of forms(inbox.token).entries()) {
      const sent = `[ "${form}", {"a" :"x${form}"},${i}.0, "kept" ]`;
      const { text } = await arrived(inbox, sent, { headers: { "X-Token": inbox.token } });
      assert.equal(text, `[ ${GONE}, {"a" :${GONE}},${i}.0, "kept" ]`);
    }
  });

  test("is made unreadable whichever of two it is", async () => {
    const inbox = c.rotating;
    const [one, other] = inbox.tokens;
    for (const [carried, repeated] of [
      [one, other],
      [other, one],
    ]) {
      const { text } = await arrived(
        inbox,
        `{"api_token":"${carried}","a":"${repeated}","b":"${carried}","one":${carried === one}}`,
      );
      assert.equal(text, `{"a":${GONE},"b":${GONE},"one":${carried === one}}`);
    }
  });
});

describe("a delivery", () => {
  test("has its fields and nothing of the sender's", async () => {
    const FIELDS = ["content-type", "webhook-id", "webhook-timestamp", "webhook-signature", "user-agent"];
    // What the runtime adds to whatever is sent.
    const RUNTIME = ["host", "connection", "content-length", "transfer-encoding", "accept-encoding", "cf-worker"];
    // What has it pass caches by, and not as the sender said.
    const CACHES = { "cache-control": "no-cache", pragma: "no-cache" };
    const canary = "of-the-sender";
    const headers = {
      "Content-Type": `text/plain; x=${canary}`,
      "User-Agent": canary,
      Cookie: `a=${canary}`,
      Authorization: `Bearer ${canary}`,
      Referer: `https://${canary}.example/`,
      "X-Forwarded-For": "192.0.2.1",
      "X-Real-IP": "192.0.2.1",
      "CF-Connecting-IP": "192.0.2.1",
      "Accept-Language": canary,
      "Cache-Control": canary,
      Pragma: canary,
      "X-Canary": canary,
      traceparent: canary,
      "webhook-id": canary,
      "webhook-timestamp": "1",
      "webhook-signature": `v1,${canary}`,
      "svix-id": canary,
      "Idempotency-Key": canary,
      Via: `1.1 ${canary}`,
    };
    const { headers: seen, rawHeaders } = await arrived(c.signed, c.signed.event(), {
      headers,
      origin: `https://${canary}.example`,
    });
    assert.deepEqual(
      Object.keys(seen).filter((name) => ![...FIELDS, ...RUNTIME, ...Object.keys(CACHES)].includes(name)),
      [],
    );
    for (const [name, value] of Object.entries(CACHES)) assert.equal(seen[name], value, name);
    for (const name of FIELDS) assert.ok(seen[name], name);
    assert.ok(!/of-the-sender|192\.0\.2\.1/.test(JSON.stringify(rawHeaders)), JSON.stringify(rawHeaders));
  });

  test("goes to the receiver's address with its query", async () => {
    const { target } = await arrived(c.addressed, c.addressed.event());
    assert.equal(target, "/inbox/addressed?source=a%20b&x=1&x=2");
  });

  test("is signed for this body, id and time alone", async () => {
    /** @type {{ body: Buffer, headers: { [name: string]: string } }} */
    const { body, headers } = await arrived(c.signed, c.signed.event());
    const webhook = new Webhook(c.signed.signers[0]);
    webhook.verify(body, headers);
    /** @type {{ [what: string]: [body: Buffer, headers: { [name: string]: string }] }} */
    const forged = {
      "another body": [Buffer.from(`${body} `), headers],
      "another id": [body, { ...headers, "webhook-id": `msg_${"0".repeat(32)}` }],
      "another time": [body, { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) }],
    };
    for (const [what, [text, fields]] of Object.entries(forged))
      assert.throws(() => webhook.verify(text, fields), Error, what);
    assert.throws(() => new Webhook(newSecret()).verify(body, headers));
  });

  test("is signed with each of two secrets, either of which verifies it", async () => {
    /** @type {{ body: Buffer, headers: { [name: string]: string } }} */
    const { body, headers } = await arrived(c["signed-twice"], c["signed-twice"].event());
    const signatures = headers["webhook-signature"].split(" ");
    assert.equal(new Set(signatures).size, 2);
    for (const [i, secret] of c["signed-twice"].signers.entries()) {
      new Webhook(secret).verify(body, headers);
      new Webhook(secret).verify(body, { ...headers, "webhook-signature": signatures[i] });
    }
  });

  test("has an id of its own for each event", async () => {
    const inbox = c.signed;
    const before = inbox.deliveries.length;
    await arrivedOf(
      inbox,
      Array.from({ length: 20 }, () => inbox.event()),
    );
    assert.equal(inbox.deliveries.length, before + 20);
    assert.equal(new Set(inbox.ids).size, inbox.ids.length);
  });

  test("is one line in the log, which holds nothing of the event", async () => {
    const { id } = await arrived(c.signed, c.signed.event());
    const line = await broker.logged((log) => log.event === "webhook" && log.webhook_id === id, {
      what: "the delivery's line",
    });
    const { ms, ...rest } = line;
    assert.deepEqual(rest, {
      event: "webhook",
      connection: "signed",
      webhook_id: id,
      attempt: 1,
      outcome: "delivered",
      status: 204,
    });
    assert.ok(Number.isInteger(ms) && ms >= 0, String(ms));
  });
});

describe("the same event", () => {
  test("ten times at once is accepted ten times and delivered once", async () => {
    for (let round = 1; round <= 5; round += 1) {
      const inbox = c["at-once"];
      const event = inbox.event();
      const agent = new Agent({ keepAlive: true, maxSockets: 10 });
      const answers = await Promise.all(Array.from({ length: 10 }, () => sendEvent(broker, inbox, event, { agent })));
      agent.destroy();
      assert.deepEqual(
        answers.map(({ status }) => status),
        Array(10).fill(inbox.accepted),
      );
      await settled(broker, inbox);
      assert.equal(inbox.deliveries.length, round);
    }
  });

  test("later is accepted and delivered no second time", async () => {
    const events = Array.from({ length: 3 }, () => c.later.event());
    assert.equal((await arrivedOf(c.later, events)).length, 3);
    for (let i = 0; i < 3; i += 1) assert.deepEqual(await arrivedOf(c.later, events), []);
  });

  test("of another connection is another", async () => {
    const event = '{"api_token":@TOKEN@,"n":1}';
    for (const inbox of [c.content, c.twin]) {
      assert.equal((await arrivedOf(inbox, [event.replace("@TOKEN@", JSON.stringify(inbox.token))])).length, 1);
    }
    assert.notEqual(c.content.ids.at(-1), c.twin.ids.at(-1));
  });
});

describe("an event of Guru", () => {
  /** @param {string | null} day */
  const date = (day) => ({ created_at: "2026-10-01T00:00:00-03:00", canceled_at: day });

  test("that reports a change under the same id is another event", async () => {
    const inbox = c.changing;
    const changes = [
      { status: "waiting_payment" },
      { status: "approved" },
      { status: "refunded" },
      { webhook_type: "subscription" },
      { last_status: "active" },
      { last_status: "canceled" },
      { dates: date(null) },
      { dates: date("2026-10-02") },
      { current_invoice: { cycle: 1 } },
      { current_invoice: { cycle: 2 } },
      { transaction: { id: "a" } },
      { transaction: { id: "b" } },
      { status: undefined },
    ];
    const events = changes.map((change) => inbox.event({ id: "one", ...change }));
    assert.equal((await arrivedOf(inbox, events)).length, changes.length);
    assert.deepEqual(await arrivedOf(inbox, events), []);
  });

  test("is another one whatever of it differs", async () => {
    const inbox = c.changing;
    const events = [
      { contact: { phone: "1" } },
      { contact: { phone: "2" } },
      { contact: undefined },
      { shipment: { status: "sent" } },
      { checkout_url: "https://x.example/" },
    ].map((members) => inbox.event({ id: "two", ...members }));
    assert.equal((await arrivedOf(inbox, events)).length, events.length);
    assert.deepEqual(await arrivedOf(inbox, events), []);
  });

  test("is delivered for each change that Guru documents, and once where it is sent again", async () => {
    const inbox = c.changing;
    /** @type {{ case: string, events: object[], deliveries?: number }[]} */
    const cases = JSON.parse(await readFile(new URL("../data/guru-events.json", import.meta.url), "utf8"));
    for (const { case: name, events, deliveries = events.length } of cases) {
      const own = events.map((event) => JSON.stringify({ ...event, api_token: inbox.token }));
      assert.equal((await arrivedOf(inbox, own)).length, deliveries, name);
      assert.deepEqual(await arrivedOf(inbox, own), [], name);
    }
  });

  test("is told by its id alone where the connection says so", async () => {
    const inbox = c["by-id"];
    assert.equal((await arrivedOf(inbox, [inbox.event({ id: "one", status: "approved" })])).length, 1);
    assert.deepEqual(
      await arrivedOf(inbox, [inbox.event({ id: "one", status: "refunded" }), inbox.event({ id: "one", dates: 1 })]),
      [],
    );
    assert.equal((await arrivedOf(inbox, [inbox.event({ id: "two" })])).length, 1);
  });

  test("without a usable id is told by its whole content", async () => {
    const inbox = c["without-id"];
    const events = [undefined, null, true, {}, { a: 1 }, [], ["one"]].flatMap((id) =>
      ["1", "2"].map((phone) => inbox.event({ id, contact: { phone } })),
    );
    assert.equal((await arrivedOf(inbox, events)).length, events.length);
    assert.deepEqual(await arrivedOf(inbox, events), []);
  });

  test("is told by its id exactly", async () => {
    const inbox = c.numbers;
    const ids = [
      "9007199254740992",
      "9007199254740993",
      "9007199254740994",
      "18446744073709551615",
      '"one"',
      '"One"',
      '"one "',
      '""',
    ];
    const events = ids.map((id) => inbox.event({ id: "ID" }).replace('"ID"', id));
    assert.equal((await arrivedOf(inbox, events)).length, events.length);
    assert.deepEqual(await arrivedOf(inbox, events), []);
  });
});

describe("an event whose id is a number larger than any that a program counts with", () => {
  test("is not taken for another", async () => {
    const inbox = c.numbers;
    const ids = [
      "18446744073709551616",
      "18446744073709551617",
      "100000000000000000000000000000001",
      "100000000000000000000000000000002",
    ];
    const events = ids.map((id) => inbox.event({ id: "ID" }).replace('"ID"', id));
    assert.equal((await arrivedOf(inbox, events)).length, events.length);
    assert.deepEqual(await arrivedOf(inbox, events), []);
  });
});

describe("an event of another provider", () => {
  test("is told by its whole content", async () => {
    const inbox = c.content;
    /** @param {string} rest */
    const of = (rest) => `{"api_token":${JSON.stringify(inbox.token)},${rest}}`;
    const events = ['"id":1', '"id":1,"a":1', '"id":1,"a":2', '"id":2', '"id":"1"', '"id":[1]'].map(of);
    assert.equal((await arrivedOf(inbox, events)).length, events.length);
    assert.deepEqual(await arrivedOf(inbox, events), []);
  });

  test("is the same whichever account token it came with", async () => {
    const [one, other] = c.rotating.tokens;
    /** @param {string} token */
    const event = (token) => `{"api_token":"${token}","id":"the same"}`;
    assert.equal((await arrivedOf(c.rotating, [event(one)])).length, 1);
    assert.deepEqual(await arrivedOf(c.rotating, [event(other), event(one)]), []);
  });

  test("is told by the members that the connection names, each for itself", async () => {
    const inbox = c["by-two"];
    /**
     * @param {unknown} a
     * @param {unknown} [b]
     */
    const of = (a, b, more = {}) => JSON.stringify({ api_token: inbox.token, a, b, ...more });
    const events = [
      of("x", "yz"),
      of("xy", "z"),
      of("xyz", ""),
      of("x", "y"),
      of("x,y", "z"),
      of('x","y', "z"),
      of("x"),
      of("x", "null"),
    ];
    assert.equal((await arrivedOf(inbox, events)).length, events.length);
    const again = [
      of("x", "yz", { c: 1 }),
      of("xy", "z", { c: 2 }),
      JSON.stringify({ c: 3, b: "y", a: "x", api_token: inbox.token }),
    ];
    assert.deepEqual(await arrivedOf(inbox, again), []);
  });
});
