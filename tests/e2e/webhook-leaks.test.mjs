// No account token leaves the broker, no secret appears anywhere, and no personal data is readable where an event is
// stored, listed or logged.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { startBroker } from "./support/broker.mjs";
import { delivered, listed, settled } from "./support/events.mjs";
import { until } from "./support/until.mjs";
import { undocumented } from "./support/log-lines.mjs";
import { newSecret, startReceiver } from "./support/receiver.mjs";
import { files, search } from "./support/search.mjs";

/** @import { Broker, Secrets } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Inbox, Receiver } from "./support/receiver.mjs" */

/** @param {string} name */
const canary = (name) => `canary-${name}-${randomBytes(12).toString("hex")}`;
/**
 * With what JSON, forms and addresses write in another way.
 *
 * @param {string} name
 */
const oddCanary = (name) => `canary ${name} "+/\\&%é€😀 ${randomBytes(12).toString("hex")}`;

const ADMIN_KEY = canary("admin-key");
const SEALING_KEY = randomBytes(32);

// What an event tells of a person.
const PERSON = { name: oddCanary("name"), email: `${canary("email")}@example.com`, doc: canary("doc") };

const INBOXES = {
  plain: { token: canary("plain-token") },
  odd: { token: oddCanary("odd-token") },
  rotating: { token: `${canary("old-token")},${canary("new-token")}`, secret: `${newSecret()},${newSecret()}` },
  "by-header": { provider: "custom", token: canary("header-token"), webhook: { token_header: "X-Token" } },
  "by-person": {
    provider: "custom",
    token: canary("person-token"),
    webhook: { token_field: "api_token", id_field: ["email", "id"] },
  },
  gone: { token: oddCanary("gone-token") },
  refusing: { token: canary("refusing-token") },
  small: { token: canary("small-token"), webhook: { max_bytes: 600 } },
  broken: { token: canary("broken-token"), webhook: { max_bytes: "many" } },
};

/** @type {Receiver} */
let receiver;
/** @type {Receiver} */
let shut;
/** @type {Broker} */
let broker;
/** @type {Secrets} */
let secrets;
/** @type {{ [id: string]: Inbox }} */
const c = {};
/** @type {{ [what: string]: string }} */
const answers = {};

before(async () => {
  [receiver, shut] = await Promise.all([startReceiver(), startReceiver()]);
  for (const [id, settings] of Object.entries(INBOXES)) c[id] = receiver.inbox(id, settings);
  c.waiting = shut.inbox("waiting", { token: oddCanary("waiting-token") });
  await shut.shut();
  secrets = {
    ADMIN_KEY,
    SEALING_KEYS: `k1:${SEALING_KEY.toString("base64")}`,
    BACKEND_KEY: canary("caller-key"),
    ...receiver.secrets,
    ...shut.secrets,
  };
  broker = await startBroker({ vars: { CONNECTIONS: { ...receiver.vars, ...shut.vars } }, secrets });
});

after(async () => {
  await broker?.stop();
  await Promise.all([receiver, shut].map((one) => one?.close()));
});

/**
 * @param {number} status
 * @param {string} what
 * @param {string} target
 * @param {CallOptions} [options]
 */
async function ask(status, what, target, options) {
  const answer = await broker.call(target, { key: null, ...options });
  const said = `${what}: ${answer.status} ${answer.text}`;
  answers[`${Object.keys(answers).length + 1}: ${what}`] =
    JSON.stringify([answer.status, answer.rawHeaders]) + answer.text;
  assert.equal(answer.status, status, said);
  return answer;
}

/**
 * @param {number} status
 * @param {string} what
 * @param {Inbox} inbox
 * @param {CallOptions["body"]} body
 * @param {CallOptions} [options]
 */
const post = (status, what, inbox, body, options) =>
  ask(status, what, inbox.path, { method: "POST", body, ...options });
/**
 * @param {number} status
 * @param {string} what
 * @param {string} target
 * @param {CallOptions} [options]
 */
const operate = (status, what, target, options) =>
  ask(status, what, `/admin/connections/${target}`, { headers: { Authorization: `Bearer ${ADMIN_KEY}` }, ...options });

/**
 * An event about the person; `members` are changed or added.
 *
 * @param {Inbox} inbox
 * @param {{ [member: string]: unknown }} [members]
 */
const event = (inbox, members) =>
  inbox.event({ ...PERSON, contact: { ...PERSON, all: Object.values(PERSON) }, ...members });

const everySecret = () => {
  const { SEALING_KEYS: _, ...named } = secrets;
  const inboxes = [...Object.values(c)];
  const tokens = inboxes.flatMap(({ id, tokens: all }) =>
    all.map((token, i) => [`account token ${i + 1} of ${id}`, token]),
  );
  const signers = inboxes.flatMap(({ id, signers: all }) =>
    all.flatMap((signer, i) => [
      [`webhook secret ${i + 1} of ${id}`, signer.slice("whsec_".length)],
      [`webhook key ${i + 1} of ${id}`, Buffer.from(signer.slice("whsec_".length), "base64")],
    ]),
  );
  return {
    ...named,
    "the sealing key": SEALING_KEY,
    "the sealing key's text": SEALING_KEY.toString("base64"),
    ...Object.fromEntries([...tokens, ...signers]),
  };
};

const everything = () => ({
  ...everySecret(),
  ...Object.fromEntries(Object.entries(PERSON).map(([what, value]) => [`the person's ${what}`, value])),
});

describe("every path of an event through the broker", () => {
  test("is driven", async () => {
    for (const inbox of [c.plain, c.odd, c["by-person"]]) {
      const one = event(inbox);
      await post(inbox.accepted, "an event", inbox, one);
      await post(inbox.accepted, "the same event", inbox, one);
      const token = JSON.stringify(inbox.token).slice(1, -1);
      const escaped = [...inbox.token]
        .map((char) =>
          char
            .split("")
            .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
            .join(""),
        )
        .join("");
      await post(
        inbox.accepted,
        "the token elsewhere, too",
        inbox,
        event(inbox, { note: `${inbox.token}!`, [inbox.token]: [inbox.token] }),
      );
      await post(
        inbox.accepted,
        "the token elsewhere, with escapes",
        inbox,
        event(inbox, { note: "NOTE" }).replace("NOTE", `x${escaped}`),
      );
      await settled(operator(), inbox);
      await post(
        401,
        "the token twice",
        inbox,
        `{"api_token":"${token}","a":1,"api_token":"${token}","email":"${PERSON.email}"}`,
      );
      await post(401, "another token", inbox, event(inbox, { api_token: `${inbox.token}x`, note: inbox.token }));
      await post(401, "a list of tokens", inbox, event(inbox, { api_token: [inbox.token] }));
      await post(400, "half an event", inbox, event(inbox).slice(0, -1));
      await post(400, "a form", inbox, `api_token=${encodeURIComponent(inbox.token)}&email=${PERSON.email}`);
      await ask(405, "another method", inbox.path, { method: "PUT", body: event(inbox) });
      await ask(404, "no such connection", "/webhooks/none", { method: "POST", body: event(inbox) });
      await post(inbox.accepted, "fields of the sender's", inbox, event(inbox), {
        headers: {
          Authorization: "Bearer x",
          Cookie: `c=${PERSON.doc}`,
          "X-Email": PERSON.email,
          "User-Agent": PERSON.doc,
        },
      });
    }
    for (const token of c.rotating.tokens) {
      await post(
        c.rotating.accepted,
        "each of two tokens",
        c.rotating,
        event(c.rotating, { api_token: token, notes: c.rotating.tokens }),
      );
    }
    const headers = { "X-Token": c["by-header"].token };
    await post(
      c["by-header"].accepted,
      "a token in a header",
      c["by-header"],
      event(c["by-header"], { note: c["by-header"].token }),
      {
        headers,
      },
    );
    await post(401, "a token that is too long in a header", c["by-header"], event(c["by-header"]), {
      headers: { "X-Token": `${headers["X-Token"]}x` },
    });
    await post(413, "an event that is too large", c.small, event(c.small, { padding: "x".repeat(600) }));
    await post(503, "a broken webhook", c.broken, event(c.broken));
  });

  test("is driven where the receiver does not take it", async () => {
    // A careless receiver repeats what it got.
    const echo = {
      headers: { "X-Echo": PERSON.email, Location: `${receiver.url}/${PERSON.doc}` },
      body: JSON.stringify(PERSON),
    };
    c.gone.always = { status: 410, ...echo };
    await post(
      c.gone.accepted,
      "an event that the receiver never takes",
      c.gone,
      event(c.gone, { note: c.gone.token }),
    );
    c.refusing.always = { status: 503, ...echo, headers: { ...echo.headers, "Retry-After": "3600" } };
    await post(
      c.refusing.accepted,
      "an event that the receiver does not take now",
      c.refusing,
      event(c.refusing, { note: c.refusing.token }),
    );
    await post(
      c.waiting.accepted,
      "an event for a receiver that is not there",
      c.waiting,
      event(c.waiting, { note: c.waiting.token }),
    );
    await settled(operator(), c.gone);
    /** @param {Inbox} inbox */
    const ended = async (inbox) => (await listed(operator(), inbox.id, "pending"))[0]?.outcome;
    for (const inbox of [c.refusing, c.waiting]) await until(() => ended(inbox), `the first attempt of ${inbox.id}`);
    for (const id of ["gone", "refusing", "waiting"]) {
      for (const state of ["failed", "pending"])
        await operate(200, `what ${state} at ${id}`, `${id}/webhooks?state=${state}`);
    }
    await operate(401, "a wrong operator", "gone/webhooks", { headers: { Authorization: `Bearer ${ADMIN_KEY}x` } });
    await operate(403, "an operator in another page", "gone/webhooks", {
      origin: "https://evil.example",
      headers: { Authorization: `Basic ${Buffer.from(`x:${ADMIN_KEY}`).toString("base64")}` },
    });
    await operate(404, "another event", `gone/webhooks/msg_${"0".repeat(32)}/send`, {
      method: "POST",
      body: PERSON.doc,
    });
    await operate(202, "what failed once more", "gone/webhooks/send", { method: "POST" });
    await delivered(c.gone, 2);
    await settled(operator(), c.gone);
  });

  test("is driven after a restart", async () => {
    await broker.restart();
    await post(c.plain.accepted, "an event after it", c.plain, event(c.plain));
    await settled(operator(), c.plain);
    const [failed] = await listed(operator(), "gone", "failed");
    await operate(202, "an event that failed before", `gone/webhooks/${failed.id}/send`, { method: "POST" });
    await delivered(c.gone, 3);
    await settled(operator(), c.gone);
    receiver.verify();
  });

  /**
   * The helpers bring an operator's key of their own.
   *
   * @type {() => Pick<Broker, "vars" | "call">}
   */
  const operator = () => ({
    vars: broker.vars,
    call: (target, options) => broker.call(target, { ...options, key: ADMIN_KEY }),
  });
});

test("every line of it is one that docs/reference/logs.md tells of", () => {
  assert.deepEqual(undocumented(broker.logs.filter(({ event: kind }) => kind !== undefined)), []);
});

describe("no secret, and nothing of a person,", () => {
  test("is in any answer", () => {
    assert.ok(Object.keys(answers).length > 45, `${Object.keys(answers).length} answers`);
    assert.deepEqual(search(answers, everything()), []);
  });

  test("is in any line that was printed", () => {
    const kinds = new Set(broker.logs.filter(({ event: kind }) => kind === "webhook").map(({ outcome }) => outcome));
    assert.deepEqual([...kinds].sort(), ["delivered", "gone", "refused", "unreachable"]);
    const lines = Object.fromEntries(broker.output.map((line, i) => [`line ${i + 1}: ${line}`, line]));
    assert.deepEqual(search(lines, everything()), []);
  });

  test("is readable in storage, where events wait and are kept", async () => {
    await broker.kill();
    const stored = await files(broker.persistTo);
    const bytes = Object.values(stored).reduce((sum, { length }) => sum + length, 0);
    assert.ok(bytes > 16_384, `${bytes} bytes`);
    // What an event is known by shows that these are the files.
    for (const inbox of [c.plain, c.gone, c.refusing])
      assert.notDeepEqual(search(stored, { id: inbox.ids[0] }), [], inbox.id);
    assert.deepEqual(search(stored, everything()), []);
  });
});

describe("no secret", () => {
  test("is in anything that the receiver got, though what the events tell is", () => {
    const all = Object.values(c).flatMap(({ id, deliveries }) =>
      deliveries.map((delivery, i) => /** @type {const} */ ([`delivery ${i + 1} of ${id}`, delivery])),
    );
    assert.ok(all.length >= 18, `${all.length} deliveries`);
    const places = Object.fromEntries(
      all.map(([name, { rawHeaders, target, body }]) => [
        name,
        Buffer.concat([Buffer.from(JSON.stringify([target, rawHeaders])), body]),
      ]),
    );
    assert.deepEqual(search(places, everySecret()), []);
    for (const [name, { text }] of all) {
      assert.deepEqual(JSON.parse(text).contact.email, PERSON.email, name);
      // As a reader of JSON has it, whatever it was written with.
      assert.deepEqual(search({ [name]: JSON.stringify(JSON.parse(text)) }, everySecret()), []);
    }
  });
});
