// The pending and failed events as an operator sees them, and the outcome of events that are sent again.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus, list } from "./support/assertions.mjs";
import { KEY, ORIGIN, startBroker } from "./support/broker.mjs";
import { accept, ADMIN_KEY, delivered, listed, operate, sendAgain, settled } from "./support/events.mjs";
import { until } from "./support/until.mjs";
import { startReceiver } from "./support/receiver.mjs";
import { startUpstream } from "./support/upstream.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { Answer, CallOptions } from "./support/client.mjs" */
/** @import { Inbox, Receiver } from "./support/receiver.mjs" */
/** @import { Upstream } from "./support/upstream.mjs" */

const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/;

// What stands in each event of this file.
const PERSONAL = "maria.personal@example.com";

const FAILED = 130;

/** @type {Upstream} */
let upstream;
/** @type {Receiver} */
let receiver;
/** @type {Receiver} */
let shut;
/** @type {Broker} */
let broker;
/** @type {{ [id: string]: Inbox }} */
const c = {};

before(async () => {
  [upstream, receiver, shut] = await Promise.all([startUpstream(), startReceiver(), startReceiver()]);
  upstream.connection("plain", { grant: "static" });
  for (const id of ["empty", "shapes", "many", "once", "all", "fails-again", "guarded", "busy"])
    c[id] = receiver.inbox(id);
  c.closed = shut.inbox("closed");
  await shut.shut();
  broker = await startBroker({
    vars: { CONNECTIONS: { ...upstream.vars, ...receiver.vars, ...shut.vars } },
    secrets: { ADMIN_KEY, ...upstream.secrets, ...receiver.secrets, ...shut.secrets },
  });
});

afterEach(() => {
  upstream.verify();
  receiver.verify();
});

after(async () => {
  await broker?.stop();
  await Promise.all([upstream, receiver, shut].map((one) => one?.close()));
});

/**
 * @param {Inbox} inbox
 * @param {{ [member: string]: unknown }} [members]
 */
const event = (inbox, members) => inbox.event({ contact: { email: PERSONAL }, ...members });

/**
 * Lets `count` events of `inbox` fail, and gives their entries.
 *
 * @param {Inbox} inbox
 */
async function fail(inbox, count = 1) {
  inbox.always = { status: 410 };
  const before = (await listed(broker, inbox.id, "failed")).length;
  await Promise.all(Array.from({ length: count }, () => accept(broker, inbox, event(inbox), { timeout: 60_000 })));
  await settled(broker, inbox);
  inbox.always = { status: 204 };
  const entries = await listed(broker, inbox.id, "failed");
  assert.equal(entries.length, before + count);
  return entries;
}

/**
 * @param {string} target
 * @param {CallOptions} [options]
 */
const get = (target, options) => broker.call(target, { key: null, ...options });
/** @param {string} password */
const basic = (password, user = "operator") => ({
  Authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});

describe("the list", () => {
  test("is empty where nothing failed and nothing waits", async () => {
    for (const query of ["", "?state=failed", "?state=pending"]) {
      const answer = assertStatus(await operate(broker, "empty", query));
      assert.match(answer.headers["content-type"], /^application\/json\b/);
      assert.deepEqual(answer.json(), { webhooks: [], next: null });
      assertEveryAnswer(answer, query);
    }
  });

  test("tells of a failed event when it came, how often it was tried, and what was answered last", async () => {
    const before = Date.now();
    const [entry] = await fail(c.shapes);
    const { accepted_at, ...rest } = entry;
    assert.deepEqual(rest, {
      id: c.shapes.ids[0],
      state: "failed",
      attempts: 1,
      outcome: "gone",
      status: 410,
      next_at: null,
    });
    assert.match(accepted_at, RFC_3339);
    const at = Date.parse(accepted_at);
    assert.ok(at >= before - 1_000 && at <= Date.now() + 1_000, accepted_at);
    assert.deepEqual(await listed(broker, "shapes", "pending"), []);
    assert.deepEqual(assertStatus(await operate(broker, "shapes")).json(), { webhooks: [entry], next: null });
  });

  test("tells of a waiting event when it is tried next", async () => {
    const inbox = c.shapes;
    inbox.answer({ status: 503, headers: { "Retry-After": "3600" }, body: PERSONAL });
    await accept(broker, inbox, event(inbox));
    await delivered(inbox, 2);
    const [entry] = await until(async () => {
      const all = await listed(broker, "shapes", "pending");
      return all[0]?.outcome && all;
    }, "the end of the first attempt");
    const { accepted_at, next_at, ...rest } = entry;
    assert.deepEqual(rest, { id: inbox.ids[1], state: "pending", attempts: 1, outcome: "refused", status: 503 });
    for (const time of [accepted_at, next_at]) assert.match(time, RFC_3339);
    assert.ok(Date.parse(next_at) - Date.parse(accepted_at) >= 3_598_000, `${accepted_at} ${next_at}`);
  });

  test("has no status where none came", async () => {
    await accept(broker, c.closed, event(c.closed));
    const [entry] = await until(async () => {
      const all = await listed(broker, "closed", "pending");
      return all[0]?.outcome && all;
    }, "the end of the first attempt");
    assert.deepEqual([entry.state, entry.outcome, entry.status], ["pending", "unreachable", null]);
  });

  test("has those whose first attempt has not ended, or not begun", async () => {
    /** @type {PromiseWithResolvers<void>} */
    const { promise: hold, resolve: release } = Promise.withResolvers();
    c.busy.always = { status: 204, hold };
    for (let i = 0; i < 7; i += 1) await accept(broker, c.busy, event(c.busy));
    await delivered(c.busy, 1);
    const pending = await listed(broker, "busy", "pending");
    const begun = c.busy.ids;
    assert.equal(pending.length, 7);
    assert.deepEqual(
      pending.map(({ state, outcome, status }) => [state, outcome, status]),
      Array(7).fill(["pending", null, null]),
    );
    assert.ok(pending.filter(({ attempts }) => attempts === 0).length >= 2);
    for (const { id, attempts } of pending)
      assert.ok(attempts <= 1 && (attempts === 1 || !begun.includes(id)), `${id}: ${attempts}`);
    release();
    await settled(broker, c.busy);
  });

  test("comes in pages of a hundred, each event once", async () => {
    await fail(c.many, FAILED);
    const first = assertStatus(await operate(broker, "many")).json();
    assert.equal(first.webhooks.length, 100);
    assert.equal(typeof first.next, "string");
    const second = assertStatus(
      await operate(broker, "many", `?state=failed&after=${encodeURIComponent(first.next)}`),
    ).json();
    assert.deepEqual([second.webhooks.length, second.next], [FAILED - 100, null]);
    const ids = [...first.webhooks, ...second.webhooks].map(({ id }) => id);
    assert.deepEqual(ids.sort(), [...c.many.ids].sort());
    assert.equal(new Set(ids).size, FAILED);
    // A page is the same when it is asked for again.
    assert.deepEqual(assertStatus(await operate(broker, "many", "?state=failed")).json(), first);
  });

  test("of another state or from no cursor is a bad request", async () => {
    for (const query of ["?state=delivered", "?state=", "?state=Failed", "?after=nonsense%20%ff", "?after="]) {
      const answer = await operate(broker, "many", query);
      assert.equal(answer.status, 400, `${query}: ${answer.status} ${answer.text.slice(0, 200)}`);
      assertProblem(answer, 400, "bad_request");
    }
  });

  test("answers HEAD without a body", async () => {
    const answer = assertStatus(await operate(broker, "many", "", { method: "HEAD" }));
    assert.equal(answer.bytes, 0);
  });

  test("holds nothing of any event", async () => {
    for (const id of ["shapes", "many", "closed"]) {
      for (const state of ["failed", "pending"]) {
        const { text } = assertStatus(await operate(broker, id, `?state=${state}`));
        for (const canary of [PERSONAL, "contact", "approved", `"${id}-`, c[id].token])
          assert.ok(!text.includes(canary), `${canary} in ${text}`);
      }
    }
  });
});

describe("sending again", () => {
  test("delivers an event that failed, under its id, and takes it from the list", async () => {
    const inbox = c.once;
    const [one, other] = await fail(inbox, 2);
    const answer = assertStatus(await sendAgain(broker, inbox, one.id), 202);
    assertEveryAnswer(answer, "send");
    await delivered(inbox, 3);
    await settled(broker, inbox);
    assert.equal(inbox.ids[2], one.id);
    const [first] = inbox.deliveries.filter(({ id }) => id === one.id);
    assert.equal(inbox.texts[2], first.text);
    assert.deepEqual(
      (await listed(broker, "once", "failed")).map(({ id }) => id),
      [other.id],
    );
    assert.equal(inbox.deliveries.length, 3);
  });

  test("is for events that failed only", async () => {
    const inbox = c.once;
    const [left] = await listed(broker, "once", "failed");
    const [sent] = inbox.ids.filter((id) => id !== left.id);
    const [waiting] = await listed(broker, "shapes", "pending");
    const elsewhere = (await listed(broker, "many", "failed"))[0].id;
    for (const id of [
      sent,
      elsewhere,
      `msg_${"0".repeat(32)}`,
      "msg_",
      "nonsense",
      "..",
      left.id.toUpperCase(),
      `${left.id}x`,
      left.id.slice(0, -1),
      `${left.id}%20`,
    ]) {
      assertProblem(await sendAgain(broker, inbox, id), 404, "not_found");
    }
    assertProblem(await sendAgain(broker, c.shapes, waiting.id), 404, "not_found");
    await settled(broker, inbox);
    assert.equal(inbox.deliveries.length, 3);
  });

  test("twice at once delivers once", async () => {
    const inbox = c.once;
    const [{ id }] = await listed(broker, "once", "failed");
    const answers = await Promise.all(Array.from({ length: 5 }, () => sendAgain(broker, inbox, id)));
    assert.ok(
      answers.every(({ status }) => status === 202 || status === 404),
      answers.map(({ status }) => status).join(),
    );
    assert.ok(answers.some(({ status }) => status === 202));
    await settled(broker, inbox);
    assert.deepEqual(inbox.ids.slice(3), [id]);
    assert.deepEqual(await listed(broker, "once", "failed"), []);
  });

  test("all delivers all that failed, and nothing else", async () => {
    assertStatus(await sendAgain(broker, c.empty), 202);
    await fail(c.all, 3);
    await accept(broker, c.all, event(c.all));
    await settled(broker, c.all);
    assertStatus(await sendAgain(broker, c.all), 202);
    await delivered(c.all, 7);
    await settled(broker, c.all);
    assert.deepEqual(await listed(broker, "all", "failed"), []);
    assert.deepEqual(c.all.ids.slice(4).sort(), c.all.ids.slice(0, 3).sort());
    // More than a page of them.
    assertStatus(await sendAgain(broker, c.many), 202);
    await delivered(c.many, 2 * FAILED);
    await settled(broker, c.many);
    assert.deepEqual(await listed(broker, "many", "failed"), []);
    assert.equal(c.many.deliveries.length, 2 * FAILED);
  });

  test("what fails again stands in the list again", async () => {
    const inbox = c["fails-again"];
    const [{ id }] = await fail(inbox);
    inbox.always = { status: 410 };
    assertStatus(await sendAgain(broker, inbox, id), 202);
    await delivered(inbox, 2);
    await settled(broker, inbox);
    const [entry, ...more] = await listed(broker, "fails-again", "failed");
    assert.deepEqual([entry.id, entry.state, entry.outcome, entry.status, more], [id, "failed", "gone", 410, []]);
  });
});

describe("whoever is not the operator", () => {
  const LIST = "/admin/connections/guarded/webhooks";
  /** @type {string} */
  let id;

  before(async () => ([{ id }] = await fail(c.guarded)));

  const asks = () => [
    ["GET", LIST],
    ["HEAD", LIST],
    ["POST", `${LIST}/${id}/send`],
    ["POST", `${LIST}/send`],
  ];

  /**
   * Each request as `headers` have it; none has an effect.
   *
   * @param {CallOptions["headers"]} headers
   * @param {number} [status]
   * @param {string} [code]
   * @param {CallOptions} [options]
   */
  async function refused(headers, status = 401, code = "caller_unauthenticated", options) {
    for (const [method, target] of asks()) {
      const answer = await get(target, { method, headers, ...options });
      const said = `${method} with ${JSON.stringify(headers)}: ${answer.status} ${answer.text}`;
      assert.equal(answer.status, status, said);
      if (method !== "HEAD") assertProblem(answer, status, code);
      if (status === 401) assert.ok(answer.headers["www-authenticate"], said);
      assertEveryAnswer(answer, said);
    }
    assert.deepEqual(
      (await listed(broker, "guarded", "failed")).map((entry) => entry.id),
      [id],
    );
  }

  test("is refused without the key", () => refused({}));

  test("is refused with anything but the key", async () => {
    const wrong = [
      ADMIN_KEY.slice(0, -1),
      ADMIN_KEY.slice(1),
      `${ADMIN_KEY}x`,
      ADMIN_KEY.toUpperCase(),
      `"${ADMIN_KEY}"`,
      `${ADMIN_KEY},${ADMIN_KEY}`,
      KEY,
      c.guarded.token,
      c.guarded.signers[0],
      "",
      "undefined",
      "null",
      ADMIN_KEY.split(":")[0],
      ADMIN_KEY.split(":")[1],
    ];
    for (const key of wrong) {
      await refused({ Authorization: `Bearer ${key}` });
      await refused(basic(key));
    }
  });

  test("is refused with the key in another place", async () => {
    for (const headers of /** @type {{ [name: string]: string }[]} */ ([
      { Authorization: ADMIN_KEY },
      { Authorization: `Digest ${ADMIN_KEY}` },
      { Authorization: `Basic ${ADMIN_KEY}` },
      { "X-Api-Key": ADMIN_KEY },
      { ADMIN_KEY },
      { Authorization: `Basic ${Buffer.from(ADMIN_KEY.replace(":", "-")).toString("base64")}` },
      { Cookie: `ADMIN_KEY=${ADMIN_KEY}` },
      basic("", ADMIN_KEY.replace(":", "")),
      { Authorization: `Bearer ${Buffer.from(ADMIN_KEY).toString("base64")}` },
      { Authorization: "Basic" },
      { Authorization: "Basic !" },
      { Authorization: "Bearer" },
      { "Cf-Access-Jwt-Assertion": ADMIN_KEY },
    ]))
      await refused(headers);
    await refused(["Authorization", `Bearer ${ADMIN_KEY}`, "Authorization", "Bearer wrong"]);
    assertProblem(await get(`${LIST}?key=${encodeURIComponent("x")}`), 401, "caller_unauthenticated");
  });

  test("is told of no connection, whether it is there or not", async () => {
    for (const target of ["/admin/connections/none/webhooks", "/admin/connections/plain/webhooks", LIST]) {
      assertProblem(await get(target), 401, "caller_unauthenticated");
    }
  });

  test("is nobody whose key opens anything else: the operator's calls no API", async () => {
    assertProblem(await broker.call("/api/plain/echo", { key: ADMIN_KEY }), 401, "caller_unauthenticated");
  });

  test("is a page of another origin, though the browser knows the password", async () => {
    const crossSite = [
      [ORIGIN, undefined],
      ["https://evil.example", undefined],
      ["null", undefined],
      ["https://evil.example", "same-origin"],
      [undefined, "cross-site"],
      [undefined, "same-site"],
      [ORIGIN, "cross-site"],
      [ORIGIN, "same-origin"],
      [`${broker.url}.evil.example`, undefined],
      [broker.url, "cross-site"],
      [undefined, "nonsense"],
    ];
    for (const [origin, site] of crossSite) {
      await refused({ ...basic(ADMIN_KEY), ...(site ? { "Sec-Fetch-Site": site } : {}) }, 403, "cross_site_request", {
        origin,
      });
    }
  });
});

describe("the operator", () => {
  const LIST = "/admin/connections/guarded/webhooks";

  test("is known by the key as Bearer, and the scheme's case does not matter", async () => {
    for (const scheme of ["Bearer", "bearer", "BEARER"])
      assertStatus(await get(LIST, { headers: { Authorization: `${scheme} ${ADMIN_KEY}` } }));
  });

  test("is known by the key as the password of any user", async () => {
    for (const user of ["operator", "", "admin", "é", ADMIN_KEY.split(":")[0]])
      assertStatus(await get(LIST, { headers: basic(ADMIN_KEY, user) }));
    assertStatus(
      await get(LIST, { headers: { Authorization: basic(ADMIN_KEY).Authorization.replace("Basic", "basic") } }),
    );
  });

  test("may come from the broker's own pages, and by an address that was typed", async () => {
    for (const [origin, site] of [
      [undefined, undefined],
      [undefined, "none"],
      [undefined, "same-origin"],
      [broker.url, undefined],
      [broker.url, "same-origin"],
    ]) {
      const headers = { ...basic(ADMIN_KEY), ...(site ? { "Sec-Fetch-Site": site } : {}) };
      assertStatus(await get(LIST, { origin, headers }));
      assertStatus(await get("/admin/connections/empty/webhooks/send", { method: "POST", origin, headers }), 202);
    }
  });

  test("gets no CORS header, whatever the Origin", async () => {
    for (const origin of [ORIGIN, broker.url, "https://evil.example", "null"]) {
      /** @type {[status: number, answer: Answer][]} */
      const answers = [
        [200, await get(LIST, { origin, headers: { Authorization: `Bearer ${ADMIN_KEY}` } })],
        [
          202,
          await get("/admin/connections/empty/webhooks/send", {
            method: "POST",
            origin,
            headers: { Authorization: `Bearer ${ADMIN_KEY}` },
          }),
        ],
        [401, await get(LIST, { origin })],
        [404, await operate(broker, "none", "", { origin })],
        [405, await operate(broker, "guarded", "", { method: "PUT", origin })],
      ];
      const preflight = {
        method: "OPTIONS",
        origin,
        headers: { "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization" },
      };
      for (const target of [LIST, `${LIST}/send`, `${LIST}/msg_${"0".repeat(32)}/send`]) {
        const answer = await get(target, preflight);
        assert.ok([401, 405].includes(answer.status), `${target}: ${answer.status}`);
        answers.push([answer.status, answer]);
      }
      for (const [status, answer] of answers) {
        assert.equal(answer.status, status, answer.text);
        assert.deepEqual(
          Object.keys(answer.headers).filter((name) => /^access-control-|^timing-allow-origin$/.test(name)),
          [],
          `${origin}: ${status}`,
        );
      }
    }
  });

  test("asks for connections that are there and have a webhook", async () => {
    for (const target of ["", "/send", `/msg_${"0".repeat(32)}/send`]) {
      const options = { method: target ? "POST" : "GET" };
      for (const id of ["none", "GUARDED", "__proto__"])
        assertProblem(await operate(broker, id, target, options), 404, "unknown_connection");
      assertProblem(await operate(broker, "plain", target, options), 404, "not_found");
    }
  });

  test("finds nothing at other addresses", async () => {
    for (const target of [
      "/admin/x",
      "/admin/connections/",
      "/admin/connections/guarded/webhook",
      `${LIST}/`,
      `${LIST}/x`,
      `${LIST}/x/y`,
      `${LIST}/x/send/`,
      `${LIST}/send/send/send`,
      "/Admin/connections/guarded/webhooks",
    ]) {
      for (const method of ["GET", "POST"]) {
        const answer = await broker.call(target, { key: ADMIN_KEY, method });
        assert.equal(answer.status, 404, `${method} ${target}: ${answer.status} ${answer.text}`);
      }
    }
  });

  test("uses the methods that each address knows", async () => {
    const sendOne = `/msg_${"0".repeat(32)}/send`;
    /** @type {[target: string, methods: string[], allowed: string[]][]} */
    const wrong = [
      ["", ["POST", "PUT", "PATCH", "DELETE"], ["get", "head"]],
      ["/send", ["GET", "PUT", "DELETE"], ["post"]],
      [sendOne, ["GET", "PUT", "DELETE"], ["post"]],
    ];
    for (const [target, methods, allowed] of wrong) {
      for (const method of methods) {
        const answer = await operate(broker, "guarded", target, { method });
        assertProblem(answer, 405, "method_not_allowed");
        assert.deepEqual(
          list(answer.headers.allow)
            .filter((name) => name !== "options")
            .sort(),
          allowed,
          `${method} ${target}`,
        );
      }
    }
  });
});

describe("a broker without an operator", () => {
  for (const [what, key] of [
    ["no key", undefined],
    ["an empty key", ""],
    ["a key of 15 characters", "k".repeat(15)],
  ]) {
    test(`(${what}) refuses whoever asks, and takes events all the same`, async () => {
      await broker.restart({ secrets: { ADMIN_KEY: key } });
      for (const given of [ADMIN_KEY, key ?? "undefined", "", "null"]) {
        for (const headers of [{ Authorization: `Bearer ${given}` }, basic(given)]) {
          assertProblem(await get("/admin/connections/empty/webhooks", { headers }), 401, "caller_unauthenticated");
          assertProblem(
            await get("/admin/connections/empty/webhooks/send", { method: "POST", headers }),
            401,
            "caller_unauthenticated",
          );
        }
      }
      assertProblem(await get("/admin/connections/empty/webhooks"), 401, "caller_unauthenticated");
      const count = c.empty.deliveries.length;
      await accept(broker, c.empty);
      await delivered(c.empty, count + 1);
    });
  }

  test("says that its key is too short, and not what it is", async () => {
    await broker.logged(({ field }) => field === "ADMIN_KEY", { what: "a problem of ADMIN_KEY" });
    assert.deepEqual(
      broker.output.filter((line) => line.includes("k".repeat(15))),
      [],
    );
  });
});
