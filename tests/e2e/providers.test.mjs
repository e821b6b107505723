// Every provider of the catalogue: the token request and the call, as its maker documents them in the file's example.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { readCatalogue } from "../../scripts/catalogue.mjs";
import { requestOf, tryProviders } from "../../scripts/double.mjs";

/** @import { Sent, Tried } from "../../scripts/double.mjs" */

const PROVIDERS = readCatalogue();

/** What the runtime and the broker put on each request; an example shows them only where its maker asks for them. */
const USUAL = new Set([
  "accept",
  "accept-encoding",
  "accept-language",
  "cache-control",
  "content-length",
  "host",
  "pragma",
  "traceparent",
  "user-agent",
  "via",
]);

/** The type of a call without a body: the caller's own. */
const TYPE = "content-type";

describe("a provider of the catalogue", () => {
  /** @type {Map<string, Tried>} */
  const tried = new Map();

  before(async () => {
    for (const one of await tryProviders(PROVIDERS)) tried.set(one.id, one);
  });

  for (const { id, example } of PROVIDERS) {
    test(id, () => {
      const one = tried.get(id);
      assert.ok(one?.status === 200, `the caller was answered ${one?.status}: ${one?.answer}`);
      if (example.token_request) check(one.tokenRequest, requestOf(example.token_request));
      else assert.equal(one.tokenRequest, undefined);
      check(one.call, requestOf(example.call));
    });
  }
});

/**
 * Asserts that `sent` is the `documented` request: method, address, body, and every header field that is not usual.
 *
 * @param {Sent | undefined} sent
 * @param {Sent} documented
 */
function check(sent, documented) {
  assert.ok(sent, `nothing was sent to ${documented.url}`);
  assert.equal(sent.method, documented.method);
  assert.deepEqual(addressOf(sent.url), addressOf(documented.url));
  const expected = Object.fromEntries(documented.fields);
  const found = Object.fromEntries(
    sent.fields.filter(([name]) => name in expected || !(USUAL.has(name) || (name === TYPE && !documented.body))),
  );
  assert.deepEqual(found, expected);
  assert.deepEqual(bodyOf(sent.body, expected[TYPE]), bodyOf(documented.body, expected[TYPE], sent.body));
}

/**
 * An address, with the parameters in the order of their names: no maker documents an order.
 *
 * @param {string} url
 */
function addressOf(url) {
  const { origin, pathname, searchParams } = new URL(url);
  return { origin, pathname, query: [...searchParams].sort() };
}

/**
 * A body as values, in any order of its members. Where an example has a token that is signed anew each time,
 * `<JWT: claims>`, the token that was sent stands for it if it says the same.
 *
 * @param {string} body
 * @param {string} [type]
 * @param {string} [sent]
 */
function bodyOf(body, type = "", sent) {
  const filled = sent ? body.replace(/<JWT: ([^>]*)>/g, (_, claims) => signed(sent, claims)) : body;
  if (!filled) return undefined;
  return type.includes("json") ? JSON.parse(filled) : [...new URLSearchParams(filled)].sort();
}

/**
 * The token in `sent`, whose claims have to be those that an example tells: `name value, name value`.
 *
 * @param {string} sent
 * @param {string} claims
 */
function signed(sent, claims) {
  const token = /eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/.exec(sent)?.[0];
  assert.ok(token, `no signed token was sent: ${sent}`);
  const said = JSON.parse(Buffer.from(token.split(".")[1], "base64url").toString());
  for (const [, name, value] of claims.matchAll(/(\w+) ([^,]+)/g)) assert.equal(String(said[name]), value.trim(), name);
  return token;
}
