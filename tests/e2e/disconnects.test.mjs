// Callers who disconnect while they wait. The tests reset connections to bare workerd: only a reset tells the runtime
// that the caller is gone, and a proxy in front would swallow it.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { ORIGIN, sealingKey, startBroker } from "./support/broker.mjs";
import { call } from "./support/client.mjs";
import { makeKey, startIssuer } from "./support/issuer.mjs";
import { startUpstream } from "./support/upstream.mjs";
import { until } from "./support/until.mjs";

/** @import { Broker } from "./support/broker.mjs" */
/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Issuer } from "./support/issuer.mjs" */
/** @import { Connection, Upstream } from "./support/upstream.mjs" */

/** @type {Upstream} */
let upstream;
/** @type {Connection} */
let people;
/** @type {Connection} */
let plain;
/** @type {Issuer} */
let issuer;
/** @type {Broker} */
let broker;

before(async () => {
  upstream = await startUpstream();
  people = upstream.connection("people", { users: { ann: "right" } });
  plain = upstream.connection("plain", {
    grant: "static",
    fields: { rules: [{ callers: ["staff"], methods: ["GET", "POST"], paths: ["/**"] }] },
  });
  issuer = await startIssuer({ keys: [makeKey("RS256")], audience: "aud" });
  broker = await startBroker({
    vars: {
      ALLOWED_ORIGINS: [ORIGIN],
      CALLERS: { staff: { kind: "jwt", issuer: issuer.issuer, audience: "aud" } },
      CONNECTIONS: upstream.vars,
    },
    secrets: { SEALING_KEYS: sealingKey("k1"), ...upstream.secrets },
  });
});

after(async () => {
  await broker?.stop();
  await issuer?.close();
  await upstream?.close();
});

/**
 * Sends a request and resets the connection as soon as `arrived()`.
 *
 * @param {string} text
 * @param {() => unknown} arrived
 */
async function leave(text, arrived) {
  const socket = connect(Number(new URL(broker.url).port), "127.0.0.1", () => socket.write(text));
  const early = new Promise((_, reject) => {
    socket.on("error", reject);
    socket.on("data", () => reject(new Error("the answer came before the caller left")));
  });
  await Promise.race([early, until(arrived, "the request of the one who leaves")]);
  socket.resetAndDestroy();
}

/** @param {CallOptions} [options] */
const signIn = (options) =>
  call(broker.url, "/auth/people/login", {
    method: "POST",
    key: null,
    origin: ORIGIN,
    json: { username: "ann", password: "right" },
    ...options,
  });

test("the first caller with a token who leaves holds up nobody after them", async () => {
  issuer.delay = 1_000;
  const token = issuer.token();
  await leave(
    `GET ${plain.api("/echo")} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    () => issuer.requests.length,
  );
  const began = Date.now();
  const answer = await call(broker.url, plain.api("/echo"), { key: token });
  const took = Date.now() - began;
  issuer.delay = 0;
  assert.equal(answer.status, 200, answer.text);
  // Given up, the fetch would be waited for in vain for 15 seconds.
  assert.ok(took < 8_000, `${took} ms`);
});

test("right sign-ins that nobody waited for do not count as refused", async () => {
  for (let count = 0; count < 5; count++) people.answerTokenRequest({ delay: 800 });
  const body = JSON.stringify({ username: "ann", password: "right" });
  /** @param {string} address */
  const request = (address) =>
    `POST /auth/people/login HTTP/1.1\r\nHost: localhost\r\nOrigin: ${ORIGIN}\r\nContent-Type: application/json\r\n` +
    `CF-Connecting-IP: ${address}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  await Promise.all(
    [1, 2, 3, 4, 5].map((number) => leave(request(`192.0.2.${number}`), () => people.tokenRequests.length === 5)),
  );
  await until(() => people.tokenRequests.filter(({ outcome }) => outcome === "ok").length === 5, "the five tokens");
  // Each counts until the broker has read its answer; a refusal would count for much longer.
  await until(
    async () => (await signIn({ headers: { "CF-Connecting-IP": "198.51.100.9" } })).status === 200,
    "a sign-in",
    10_000,
  );
  assert.equal(people.tokenRequests.length, 6);
});

/**
 * Has the upstream answer after `ms`; its requests, and which of them ended before.
 *
 * @param {string} path
 * @param {number} ms
 */
function slowUpstream(path, ms) {
  const seen = { begun: 0, left: 0, answered: 0 };
  plain.on(path, (_, response) => {
    seen.begun += 1;
    const timer = setTimeout(() => response.end("{}"), ms);
    response.on("close", () => {
      clearTimeout(timer);
      seen[response.writableFinished ? "answered" : "left"] += 1;
    });
  });
  return seen;
}

test("a call that only reads ends at the upstream with its caller", async () => {
  const token = issuer.token();
  assert.equal((await call(broker.url, plain.api("/echo"), { key: token })).status, 200);
  const seen = slowUpstream("/read", 4_000);
  const request = `GET ${plain.api("/read")} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`;
  // More than the broker keeps before it looks for those that nobody comes back to.
  await Promise.all(Array.from({ length: 100 }, () => leave(request, () => seen.begun === 100)));
  await until(() => seen.left + seen.answered === 100, "the end of the calls");
  assert.deepEqual(seen, { begun: 100, left: 100, answered: 0 });
  assert.equal((await call(broker.url, plain.api("/echo"), { key: token })).status, 200);
});

test("a call that may change something is ended, and logged, though its caller left", async () => {
  const token = issuer.token();
  // The token is known then: nothing else is waited for.
  assert.equal((await call(broker.url, plain.api("/echo"), { key: token })).status, 200);
  const seen = slowUpstream("/write", 1_200);
  const lines = broker.output.length;
  await leave(
    `POST ${plain.api("/write")} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Length: 2\r\n\r\n{}`,
    () => seen.begun,
  );
  await until(() => seen.left + seen.answered === 1, "the end of the call");
  assert.deepEqual(seen, { begun: 1, left: 0, answered: 1 });
  const posts = () => broker.output.slice(lines).filter((line) => line.includes('"method":"POST"'));
  await until(() => posts().length, "its line");
  const logged = posts();
  assert.equal(logged.length, 1, "one line");
  assert.equal(JSON.parse(logged[0]).status, 200);
});
