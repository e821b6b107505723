// The receivers of docs/guides/webhooks.md, behind a real broker: the tests run the page's code unchanged.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Webhook } from "standardwebhooks";
import { startGuru } from "../../sandbox/providers/guru.mjs";
import { EVERYTHING, KEY, startBroker } from "./support/broker.mjs";
import { call } from "./support/client.mjs";
import { documented, startReceiver } from "./support/documented.mjs";
import { closeServer, listening } from "./support/servers.mjs";

/** @import { Guru } from "../../sandbox/types.js" */
/** @import { Broker, Secrets, Vars } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Receiver } from "./support/documented.mjs" */

const secret = () => `whsec_${randomBytes(32).toString("base64")}`;

const LANGUAGES = ["js", "python"];

/** @type {{ [language: string]: Line }} */
const lines = {};
/** @type {Broker} */
let broker;

class Line {
  accountToken = randomBytes(20).toString("hex");
  secret = secret();
  #sent = 0;
  /** @type {Receiver | undefined} */
  #receiver;

  /**
   * @param {string} language
   * @param {Guru} guru
   * @param {Relay} relay
   */
  constructor(language, guru, relay) {
    this.language = language;
    this.id = `guru-${language}`;
    this.guru = guru;
    this.relay = relay;
  }

  /** @param {string} language */
  static async open(language) {
    return new Line(language, ...(await Promise.all([startGuru({ port: 0 }), startRelay()])));
  }

  get receiver() {
    assert.ok(this.#receiver);
    return this.#receiver;
  }

  set receiver(receiver) {
    this.#receiver = receiver;
    this.relay.target = receiver.url;
  }

  async close() {
    await Promise.all([this.#receiver?.stop(), this.relay.close(), this.guru.close()]);
  }

  /**
   * Sends the broker an event about a transaction, which claims more than is so.
   *
   * @param {string} id
   */
  async send(id) {
    const json = {
      webhook_type: "transaction",
      api_token: this.accountToken,
      id,
      status: "invented",
      n: (this.#sent += 1),
    };
    const answer = await broker.call(`/webhooks/${this.id}`, { method: "POST", key: null, json });
    assert.ok(answer.status >= 200 && answer.status < 300, `${answer.status} ${answer.text}`);
  }

  /**
   * Has the broker deliver an event, and gives the delivery once the receiver acted on it.
   *
   * @param {string} id
   */
  async deliver(id) {
    await this.send(id);
    await this.receiver.hasActedOn(id);
    const delivery = this.relay.deliveries.find(({ body }) => JSON.parse(body).id === id);
    assert.ok(delivery);
    return delivery;
  }

  /**
   * Posts to the receiver as it is, and gives the status.
   *
   * @param {Pick<CallOptions, "headers" | "body">} delivery
   */
  async post({ headers, body }) {
    const answer = await call(this.receiver.url, "/", { method: "POST", key: null, headers, body });
    return answer.status;
  }

  /**
   * A delivery that somebody who knows `key` could make.
   *
   * @param {{ key?: string, at?: number, webhookId?: string, transaction?: unknown }} [settings]
   */
  forge({
    key = this.secret,
    at = Date.now(),
    webhookId = `msg_${randomBytes(16).toString("hex")}`,
    transaction = "tr_100482",
  } = {}) {
    const time = new Date(Math.floor(at / 1000) * 1000);
    const body = JSON.stringify({ webhook_type: "transaction", id: transaction });
    const headers = {
      "content-type": "application/json",
      "webhook-id": webhookId,
      "webhook-timestamp": String(time.getTime() / 1000),
      "webhook-signature": new Webhook(key).sign(webhookId, time, body),
    };
    return { headers, body };
  }

  /** Nothing that came before is still to be acted on: the receiver takes one after the other. */
  async settled() {
    const last = this.forge();
    assert.equal(await this.post(last), 204);
    await this.receiver.hasActedOn(last.headers["webhook-id"]);
  }

  /**
   * The calls that the API got about a transaction.
   *
   * @param {string} id
   */
  readsOf(id) {
    return this.guru.apiRequests.filter(({ path }) => path === `/api/v2/transactions/${id}`);
  }
}

/** @typedef {{ headers: { [name: string]: string }, body: string, status: number }} Passed */

/** @typedef {Awaited<ReturnType<typeof startRelay>>} Relay */

/** Passes deliveries on as they are, and keeps them. */
async function startRelay() {
  /** @type {Passed[]} */
  const deliveries = [];
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    const headers = /** @type {{ [name: string]: string }} */ (
      Object.fromEntries(Object.entries(request.headers).filter(([name]) => /^(webhook-|content-type$)/.test(name)))
    );
    const { status } = await call(relay.target, "/", { method: "POST", key: null, headers, body }).catch(() => ({
      status: 502,
    }));
    deliveries.push({ headers, body, status });
    response.writeHead(status).end();
  });
  const url = `${await listening(server)}/hooks`;
  const relay = { deliveries, url, target: "", close: () => closeServer(server) };
  return relay;
}

// One connection for each: the sender's API, what lies between broker and receiver, and the receiver.
before(async () => {
  /** @type {Vars} */
  const vars = {};
  /** @type {Secrets} */
  const secrets = {};
  for (const language of LANGUAGES) {
    const line = await Line.open(language);
    lines[language] = line;
    vars[line.id] = {
      provider: "guru",
      base_url: line.guru.baseUrl,
      webhook: { forward_to: line.relay.url },
      rules: [{ ...EVERYTHING, methods: ["GET"], paths: ["/transactions/*"] }],
    };
    const prefix = line.id.toUpperCase().replaceAll("-", "_");
    secrets[`${prefix}_TOKEN`] = line.guru.credentials.token;
    secrets[`${prefix}_ACCOUNT_TOKEN`] = line.accountToken;
    // As during a change: the receiver knows the second one only.
    secrets[`${prefix}_WEBHOOK_SECRET`] = `${secret()},${line.secret}`;
  }
  broker = await startBroker({ vars: { CONNECTIONS: vars }, secrets });
  for (const line of Object.values(lines)) {
    line.receiver = await startReceiver(line.language, {
      WEBHOOK_SECRET: line.secret,
      API: `${broker.url}/api/${line.id}`,
      API_KEY: KEY,
    });
  }
});

after(async () => {
  await broker?.stop();
  await Promise.all(Object.values(lines).map((line) => line.close()));
});

describe("the documented receiver", { concurrency: true }, () => {
  for (const language of LANGUAGES) {
    describe(`in ${language}`, { concurrency: false }, () => {
      /** @type {Line} */
      let line;
      before(() => (line = lines[language]));

      test("takes an event that the broker delivers, and reads the state through it", async () => {
        const { headers, body, status } = await line.deliver("tr_100667");
        assert.equal(status, 204);
        assert.equal(JSON.parse(body).api_token, undefined);
        const acted = line.receiver.acted.filter(({ transaction }) => transaction === "tr_100667");
        assert.deepEqual(acted, [{ webhook: headers["webhook-id"], transaction: "tr_100667", status: "refunded" }]);
        const [read, ...more] = line.readsOf("tr_100667");
        assert.equal(read.headers.authorization, `Bearer ${line.guru.credentials.token}`);
        assert.equal(more.length, 0);
      });

      test("refuses a signature that is forged or missing", async () => {
        const { headers, body } = line.forge({ transaction: "tr_100519" });
        const { headers: forged } = line.forge({ key: secret() });
        const { "webhook-signature": signature, ...unsigned } = headers;
        const others = [
          "",
          "v1",
          "v1,",
          "v1,AAAA",
          "v2,AAAA",
          signature.replace("v1,", "v1a,"),
          signature.slice(3),
          forged["webhook-signature"],
        ];
        for (const other of others) {
          assert.equal(await line.post({ headers: { ...unsigned, "webhook-signature": other }, body }), 401, other);
        }
        assert.equal(await line.post({ headers: unsigned, body }), 401);
        // It is the signature alone: with its own the same is taken.
        assert.equal(await line.post({ headers, body }), 204);
        await line.receiver.hasActedOn("tr_100519");
      });

      test("refuses a stale timestamp, and one of the future", async () => {
        for (const minutes of [-6, 6]) {
          assert.equal(
            await line.post(line.forge({ at: Date.now() + minutes * 60_000, transaction: "tr_100556" })),
            401,
          );
        }
        await line.settled();
        assert.deepEqual(line.readsOf("tr_100556"), []);
      });

      test("refuses what is not as it was signed", async () => {
        const { headers, body } = await line.deliver("tr_100593");
        const before = line.receiver.acted.length;
        const changes = [
          { headers, body: body.replace("tr_100593", "tr_100630") },
          { headers, body: `${body} ` },
          { headers, body: JSON.stringify(JSON.parse(body), undefined, 1) },
          { headers: { ...headers, "webhook-id": `msg_${"0".repeat(32)}` }, body },
          { headers: { ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) + 1) }, body },
        ];
        for (const change of changes) assert.equal(await line.post(change), 401, JSON.stringify(change));
        await line.settled();
        assert.equal(line.receiver.acted.length, before + 1);
        assert.deepEqual(line.readsOf("tr_100630"), []);
      });

      test("refuses what is larger than the broker delivers", async () => {
        const { headers } = line.forge();
        assert.equal(await line.post({ headers, body: Buffer.alloc(1024 * 1024 + 1, " ") }), 413);
      });

      test("acts once on a webhook id, however often it comes, and over a restart", async () => {
        const delivery = await line.deliver("tr_100741");
        const again = () => Promise.all(Array.from({ length: 5 }, () => line.post(delivery)));
        assert.deepEqual(await again(), Array(5).fill(204));
        await line.receiver.restart();
        assert.deepEqual(await again(), Array(5).fill(204));
        await line.settled();
        assert.equal(line.receiver.acted.filter(({ webhook }) => webhook === delivery.headers["webhook-id"]).length, 1);
        assert.equal(line.readsOf("tr_100741").length, 1);
      });

      test("acts after a crash on what it had taken before", async () => {
        line.guru.arm({ target: "api", kind: "status", status: 500 });
        const { headers, body } = line.forge({ transaction: "tr_100704" });
        assert.equal(await line.post({ headers, body }), 204);
        await line.receiver.until(({ complaints }) => complaints.some((said) => said.includes(headers["webhook-id"])));
        assert.ok(!line.receiver.acted.some(({ transaction }) => transaction === "tr_100704"));
        await line.receiver.restart();
        await line.receiver.hasActedOn("tr_100704");
      });

      test("does nothing for what the API does not know, or it cannot read", async () => {
        await line.settled();
        const before = line.receiver.acted.length;
        for (const transaction of [
          "tr_none",
          "..",
          "a/b",
          "tr_1?x=1",
          "",
          7,
          null,
          ["tr_100482"],
          { id: "tr_100482" },
        ]) {
          assert.equal(await line.post(line.forge({ transaction })), 204);
        }
        const calls = line.guru.apiRequests.length;
        await line.settled();
        assert.equal(line.receiver.acted.length, before + 1);
        assert.equal(line.readsOf("tr_none").length, 1);
        // One for the transaction that is not there, and one for the last.
        assert.ok(line.guru.apiRequests.length - calls <= 2);
      });
    });
  }
});

test("the documented command makes a webhook secret", async () => {
  const command = (await documented("sh")).find((block) => block.includes("whsec_") && block.startsWith("node -e"));
  assert.ok(command);
  const { stdout } = await promisify(execFile)("sh", ["-c", command]);
  assert.match(stdout, /^whsec_[A-Za-z0-9+/]{43}=\n$/);
  assert.doesNotThrow(() => new Webhook(stdout.trim()));
});
