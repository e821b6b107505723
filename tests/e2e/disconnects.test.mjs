// Callers who go away while they wait. Their connection is reset, in bare workerd: only a reset
// shows the runtime that nobody waits any more, and a proxy in front would swallow it.

import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ORIGIN, sealingKey, startBroker } from "./support/broker.mjs";
import { call } from "./support/client.mjs";
import { makeKey, startIssuer } from "./support/issuer.mjs";
import { startUpstream } from "./support/upstream.mjs";

let upstream, people, plain, issuer, broker;

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

/** Sends a request and resets the connection after `ms`. */
function leave(text, ms) {
  const { port } = new URL(broker.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), "127.0.0.1", () => {
      socket.write(text);
      setTimeout(() => {
        socket.resetAndDestroy();
        resolve();
      }, ms);
    });
    socket.on("error", reject);
    socket.on("data", () => reject(new Error("the answer came before the caller left")));
  });
}

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
  await leave(`GET ${plain.api("/echo")} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer ${token}\r\n\r\n`, 300);
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
  const request = (address) =>
    `POST /auth/people/login HTTP/1.1\r\nHost: b\r\nOrigin: ${ORIGIN}\r\nContent-Type: application/json\r\n` +
    `CF-Connecting-IP: ${address}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  await Promise.all([1, 2, 3, 4, 5].map((number) => leave(request(`192.0.2.${number}`), 400)));
  await sleep(1_500);
  assert.equal(people.tokenRequests.length, 5);
  const answer = await signIn({ headers: { "CF-Connecting-IP": "198.51.100.9" } });
  assert.equal(answer.status, 200, answer.text);
});

/** Has the upstream answer after `ms`; its requests, and which of them ended before. */
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
  const request = `GET ${plain.api("/read")} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer ${token}\r\n\r\n`;
  // More than the broker keeps before it looks for those that nobody comes back to.
  await Promise.all(Array.from({ length: 100 }, () => leave(request, 600)));
  await sleep(1_500);
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
    `POST ${plain.api("/write")} HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer ${token}\r\nContent-Length: 2\r\n\r\n{}`,
    400,
  );
  await sleep(2_500);
  assert.deepEqual(seen, { begun: 1, left: 0, answered: 1 });
  const logged = broker.output.slice(lines).filter((line) => line.includes('"method":"POST"'));
  assert.equal(logged.length, 1, "one line");
  assert.equal(JSON.parse(logged[0]).status, 200);
});
