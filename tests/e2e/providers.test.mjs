// Every provider of the catalogue: the token request and the call, as its maker documents them in the file's example.

import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import { isUpToDate } from "../../scripts/build.mjs";
import { readCatalogue, readProvider } from "../../scripts/catalogue.mjs";
import { tryProviders } from "../../scripts/double.mjs";
import { toMend } from "../../scripts/provider.mjs";

/** @import { Example } from "../../scripts/catalogue.mjs" */
/** @import { Tried } from "../../scripts/double.mjs" */

const PROVIDERS = readCatalogue();

// The files are in the module: a build of others would pass for them.
before(() => assert.ok(process.env.PORTEIRO_E2E_MAIN || isUpToDate(), "build/ is stale: run `npm run build`"));

describe("a provider of the catalogue", () => {
  /** @type {Map<string, Tried>} */
  const tried = new Map();

  before(async () => {
    for (const one of await tryProviders(PROVIDERS)) tried.set(one.id, one);
  });

  for (const provider of PROVIDERS) {
    test(provider.id, () => {
      const one = tried.get(provider.id) ?? assert.fail("was not tried");
      assert.deepEqual(toMend(provider, one), [], one.answer);
    });
  }
});

describe("what is to be mended", () => {
  /**
   * What is told of the provider `id` if its example was changed.
   *
   * @param {string} id
   * @param {(example: Example) => Partial<Example>} change
   */
  async function told(id, change) {
    const provider = readProvider(id);
    const changed = { ...provider, example: { ...provider.example, ...change(provider.example) } };
    const [tried] = await tryProviders([changed]);
    return toMend(changed, tried);
  }

  /** @type {{ [what: string]: [string, (example: Example) => Partial<Example>, (string | RegExp)[]] }} */
  const CASES = {
    "a field of the connection": [
      "deepl",
      () => ({ fields: { scheme: "two words", colour: "red" } }),
      ["scheme: must be one word, or empty for no scheme at all", "colour: is not a known field"],
    ],
    "a field of the webhook": [
      "stripe",
      () => ({ fields: { webhook: { forward_to: "https://receiver.example/", accepted_status: 302 } } }),
      ["webhook.accepted_status: must be a whole number from 200 to 299 (status)"],
    ],
    "a secret that is not given": [
      "deepl",
      () => ({ secrets: {} }),
      ["example.secrets.TOKEN: is missing: set this secret"],
    ],
    "each part of a call that is another one": [
      "deepl",
      ({ call }) => ({
        call: call.replace("DeepL-Auth-Key 0", "Bearer 0").replace("\n\n", "\nx-a: b\n\n"),
      }),
      [
        "example: call: field authorization: sent DeepL-Auth-Key 00000000-1111-4222-8333-444444444444, documented Bearer 00000000-1111-4222-8333-444444444444",
        "example: call: field x-a: sent nothing, documented b",
      ],
    ],
    "a header field that the maker does not document": [
      "github",
      ({ call }) => ({ call: call.replace(/^x-github-api-version.*\n/im, "") }),
      ["example: call: field x-github-api-version: sent 2022-11-28, documented nothing"],
    ],
    "a parameter of the token request": [
      "spotify",
      ({ token_request = "" }) => ({ token_request: token_request.replace("client_credentials", "password") }),
      ["example: token request: body grant_type: sent client_credentials, documented password"],
    ],
    "a parameter of the authorization request": [
      "btg-empresas",
      ({ authorization_request = "" }) => ({
        authorization_request: authorization_request.replace("prompt=login", "prompt=none"),
      }),
      ["example: authorization request: parameter prompt: sent login, documented none"],
    ],
    "a place of the authorization request that nothing stands for": [
      "mercadopago-oauth",
      ({ authorization_request = "" }) => ({
        authorization_request: authorization_request.replace("<state>", "<nonce>"),
      }),
      [/^example: authorization request: parameter state: sent [\w-]{43}, documented <nonce>$/],
    ],
    "the claims of a signed token": [
      "salesforce-jwt",
      ({ token_request = "" }) => ({ token_request: token_request.replace("api@acme.com", "ann@acme.com") }),
      [
        "example: token request: body assertion: sent <JWT: iss 3MVG9VwZxxW3bBQj, sub api@acme.com, aud https://login.salesforce.com>, documented <JWT: iss 3MVG9VwZxxW3bBQj, sub ann@acme.com, aud https://login.salesforce.com>",
      ],
    ],
    "an answer without a token": [
      "spotify",
      () => ({ token_response: "{}" }),
      [
        "example: call: nothing was sent to https://api.spotify.com/v1/tracks/4cOdK2wGLETKBW3PvgPWqT",
        "example: the caller was answered 502, as shown above",
      ],
    ],
  };
  for (const [what, [id, change, expected]] of Object.entries(CASES)) {
    test(`names ${what}`, async () => {
      const found = await told(id, change);
      assert.equal(found.length, expected.length, found.join("\n"));
      for (const [at, problem] of expected.entries()) {
        if (typeof problem === "string") assert.equal(found[at], problem);
        else assert.match(found[at], problem);
      }
    });
  }
});
