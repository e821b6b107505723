// What `porteiro serve` puts before the broker: which requests the broker sees, and as whose.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { makeFront, networkIn } from "../../scripts/front.js";

const ORIGIN = "https://broker.example.com";
const PROXIES = ["10.0.0.2", "172.18.0.0/16", "2001:db8:1::/48"];

/**
 * What the front makes of a request.
 *
 * @param {{ peer?: string, url?: string, headers?: Record<string, string>, proxies?: string[], origins?: string[], basePath?: string }} sent
 */
function seen({ peer = "10.0.0.2:40000", url = `http://broker.example.com/api/a`, headers = {}, ...place }) {
  const front = makeFront({ origins: [ORIGIN], proxies: PROXIES, basePath: "", ...place });
  // Node.js resolves an address that workerd leaves as it was sent.
  const request = { url, headers: new Headers(headers), cf: { clientIp: peer }, method: "GET", text: async () => "x" };
  return front(/** @type {Request & { cf: { clientIp: string } }} */ (/** @type {unknown} */ (request)));
}

/** @param {Parameters<typeof seen>[0]} sent */
const caller = (sent) => seen(sent).headers.get("CF-Connecting-IP");

/** @param {Parameters<typeof seen>[0]} sent */
function address(sent) {
  const request = seen(sent);
  assert.ok(!(request instanceof Response), `refused with ${/** @type {Response} */ (request).status}`);
  return request.url;
}

/** @param {Parameters<typeof seen>[0]} sent */
const status = (sent) => /** @type {Response} */ (seen(sent)).status;

describe("the caller's address", () => {
  test("is the socket's, whatever a caller writes, where there is no proxy", () => {
    const proxies = /** @type {string[]} */ ([]);
    const forged = {
      "CF-Connecting-IP": "192.0.2.66",
      "X-Forwarded-For": "192.0.2.66",
      "X-Real-IP": "192.0.2.66",
      "True-Client-IP": "192.0.2.66",
      Forwarded: "for=192.0.2.66",
    };
    for (const [peer, own] of [
      ["198.51.100.7:1234", "198.51.100.7"],
      ["[2001:db8::7]:1234", "2001:db8::7"],
    ]) {
      assert.equal(caller({ peer, proxies }), own);
      assert.equal(caller({ peer, proxies, headers: forged }), own);
    }
  });

  test("is the last that no proxy of ours has", () => {
    for (const [forwarded, own] of [
      ["198.51.100.7", "198.51.100.7"],
      ["192.0.2.66, 198.51.100.7", "198.51.100.7"],
      ["192.0.2.66, 198.51.100.7, 172.18.3.4", "198.51.100.7"],
      ["192.0.2.66,198.51.100.7 ,2001:db8:1:2::3,  10.0.0.2", "198.51.100.7"],
      ["192.0.2.66, 2001:db8:2::3", "2001:db8:2::3"],
      ["198.51.100.7, ::ffff:10.0.0.2", "198.51.100.7"],
      ["172.18.3.4, 10.0.0.2", "172.18.3.4"],
    ])
      assert.equal(caller({ headers: { "X-Forwarded-For": forwarded } }), own, forwarded);
  });

  test("is the proxy's where the proxy names none", () => {
    for (const forwarded of ["", "unknown", "_hidden", "198.51.100.7, ", "198.51.100.7, 300.1.1.1", "198.51.100.7:80"])
      assert.equal(caller({ headers: { "X-Forwarded-For": forwarded } }), "10.0.0.2", forwarded);
    assert.equal(caller({ headers: { "CF-Connecting-IP": "192.0.2.66" } }), "10.0.0.2");
  });

  test("is none where the socket has none", () => {
    const headers = { "CF-Connecting-IP": "192.0.2.66" };
    assert.equal(caller({ peer: "", proxies: [], headers }), null);
  });
});

describe("a request", () => {
  test("is seen at the broker's own origin, with its target as it was sent", () => {
    for (const target of ["/", "/api/a/../b?x=/../", "/a//b", "/%2e%2e/a", "/a?url=https://evil.example/", "/a\\b"])
      assert.equal(address({ url: `http://broker.example.com${target}` }), ORIGIN + target);
    assert.equal(address({ url: "http://broker.example.com?x" }), `${ORIGIN}?x`);
  });

  test("is seen as plain where the proxy says so, and only the proxy", () => {
    for (const proto of ["http", "HTTP", "http, https", "https,http"])
      assert.equal(address({ headers: { "X-Forwarded-Proto": proto } }), "http://broker.example.com/api/a", proto);
    for (const proto of ["https", "https, https", ""])
      assert.equal(address({ headers: { "X-Forwarded-Proto": proto } }), `${ORIGIN}/api/a`, proto);
    assert.equal(address({ proxies: [], headers: { "X-Forwarded-Proto": "http" } }), `${ORIGIN}/api/a`);
    const plain = { origins: ["http://localhost:8787"], proxies: [], url: "http://localhost:8787/a" };
    assert.equal(address({ ...plain, headers: { "X-Forwarded-Proto": "https" } }), "http://localhost:8787/a");
  });

  test("may name the port that goes without saying", () => {
    assert.equal(address({ url: "http://broker.example.com:443/a" }), `${ORIGIN}/a`);
    assert.equal(address({ url: "http://BROKER.example.com/a" }), `${ORIGIN}/a`);
  });

  test("for another host is refused", () => {
    for (const host of ["evil.example", "broker.example.com:81", "broker.example.com.evil.example", "127.0.0.1"])
      assert.equal(status({ url: `http://${host}/api/a` }), 421, host);
    assert.equal(status({ url: "http:///" }), 400);
  });

  test("that does not come through the proxy is refused", () => {
    for (const peer of ["10.0.0.3:1", "172.19.0.1:1", "127.0.0.1:1", "[2001:db8:2::1]:1", ""])
      assert.equal(status({ peer, headers: { "X-Forwarded-For": "10.0.0.2" } }), 403, peer);
  });

  test("for its health is seen from anywhere", () => {
    const basePath = "/broker";
    for (const path of ["/healthz", "/broker/healthz"])
      assert.equal(
        address({ peer: "127.0.0.1:1", url: `http://127.0.0.1:8787${path}`, basePath }),
        `${ORIGIN}/broker/healthz`,
      );
    for (const path of ["/healthz/", "/healthz/../api/a", "/api/healthz", "/broker/healthz/x"])
      assert.equal(status({ peer: "127.0.0.1:1", url: `http://127.0.0.1:8787${path}`, basePath }), 403, path);
  });

  test("keeps all else", async () => {
    const request = /** @type {Request} */ (seen({ headers: { "Cf-Access-Jwt-Assertion": "x", Authorization: "y" } }));
    assert.equal(request.method, "GET");
    assert.equal(await request.text(), "x");
    assert.equal(request.headers.get("Cf-Access-Jwt-Assertion"), "x");
    assert.equal(request.headers.get("Authorization"), "y");
  });
});

test("a network is an address or a prefix, and nothing else", () => {
  for (const text of ["10.0.0.0/8", "10.0.0.1", "0.0.0.0/0", "::/0", "::1", "2001:db8::/32", "1:2:3:4:5:6:7:8/128"])
    assert.ok(networkIn(text), text);
  for (const text of [
    "",
    "10.0.0",
    "10.0.0.256",
    "10.0.0.0/33",
    "10.0.0.0/",
    "10.0.0.0/8/8",
    "::/129",
    "a",
    "1:2",
    "x/8",
  ])
    assert.equal(networkIn(text), undefined, text);
  assert.deepEqual(networkIn("1:2::8")?.address.value, 0x00010002000000000000000000000008n);
  assert.deepEqual(networkIn("::ffff:192.0.2.1"), networkIn("192.0.2.1"));
});
