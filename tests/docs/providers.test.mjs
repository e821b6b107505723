// Checks the files of providers/ as `npm run provider` does before it builds, and the page that is made from them.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, describe, test } from "node:test";
import { countryOf, pageOfProviders, readCatalogue, readProvider } from "../../scripts/catalogue.mjs";
import { inRoot } from "../../scripts/lib.mjs";
import { problemsOf } from "../../scripts/provider-file.mjs";

/** @import { Provider } from "../../scripts/catalogue.mjs" */

/** @typedef {{ description?: string, $ref?: string, properties?: { [key: string]: Schema }, items?: Schema }} Schema */

/** @type {Schema & { properties: { [key: string]: Schema }, $defs: { [name: string]: Schema } }} */
const schema = JSON.parse(readFileSync(inRoot("docs/reference/provider.schema.json"), "utf8"));

describe("the catalogue", () => {
  const providers = readCatalogue();

  test("has the providers that it promises", () => {
    assert.ok(providers.length >= 40, `${providers.length}`);
    assert.ok(providers.filter(({ country }) => country === "BR").length >= 20);
  });

  for (const provider of providers) {
    test(`has nothing wrong in ${provider.id}`, () => assert.deepEqual(problemsOf(provider), []));
  }

  test("knows each key that the build knows, and no other", () => {
    const build = readFileSync(inRoot("build.rs"), "utf8");
    const lists = ["FOR_PEOPLE", "FIELDS"].flatMap((name) => {
      const list = new RegExp(`const ${name}: &\\[&str\\] = &\\[([^\\]]*)\\]`).exec(build)?.[1] ?? assert.fail(name);
      return [...list.matchAll(/"(\w+)"/g)].map(([, key]) => key);
    });
    assert.deepEqual([...lists, "needs"].sort(), Object.keys(schema.properties).sort());
  });

  test("explains each key in its schema", () => {
    /** @type {(schema: Schema, at: string) => string[]} */
    const bare = ({ properties = {}, items = {} }, at) => [
      ...Object.entries(properties).flatMap(([key, value]) => [
        ...(value.description ? [] : [`${at}${key}`]),
        ...bare(value, `${at}${key}.`),
      ]),
      ...(items.properties ? bare(items, at) : []),
    ];
    assert.deepEqual([...bare(schema, ""), ...bare(schema.$defs.signs, "signs.")], []);
  });

  test("is on its page as it is in its files", () => {
    const page = readFileSync(inRoot("docs/reference/providers.md"), "utf8");
    assert.equal(page, pageOfProviders(), "node scripts/catalogue.mjs writes it");
  });

  test("is on its page by country, Brazil first and then by name", () => {
    const found = [...pageOfProviders().matchAll(/^### (.+)$/gm)].map(([, name]) => name);
    const [first, ...others] = found;
    assert.equal(first, "Brazil");
    assert.deepEqual(others, [...others].sort());
  });

  test("knows the countries of ISO 3166, and nothing else for one", () => {
    const letters = [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"];
    const codes = letters.flatMap((one) => letters.map((other) => one + other));
    assert.equal(codes.filter(countryOf).length, 249);
    assert.deepEqual(["BR", "US", "GB"].map(countryOf), ["Brazil", "United States", "United Kingdom"]);
    for (const code of ["ZZ", "EU", "UK", "SU", "AN", "XK", "br", "BRA", "", "B"]) {
      assert.equal(countryOf(code), undefined, code);
    }
  });
});

describe("a provider file", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "porteiro-provider-"));
  after(() => rmSync(folder, { recursive: true, force: true }));

  /**
   * The file of `id` with each of `changes`, read from a folder of its own.
   *
   * @param {string} id
   * @param {[from: string | RegExp, to: string][]} changes
   * @returns {Provider}
   */
  function changed(id, ...changes) {
    const file = readFileSync(inRoot("providers", `${id}.toml`), "utf8");
    const text = changes.reduce((text, [from, to]) => {
      const made = text.replace(from, to);
      assert.notEqual(made, text, `${from}`);
      return made;
    }, file);
    writeFileSync(path.join(folder, `${id}.toml`), text);
    return readProvider(id, folder);
  }

  /** What is wrong in each changed file, by the key that is named. @type {[string, [string | RegExp, string], string[]][]} */
  const WRONG = [
    ["deepl", [/^grant = .*/m, 'grant = "magic"'], ["grant: must be one of static, basic, password, "]],
    ["deepl", [/^grant = .*\n/m, ""], ["grant: is missing"]],
    ["deepl", [/^grant/m, "grants"], ["grant: is missing", "grants: is not a known key"]],
    ["deepl", [/^probe = .*/m, 'probe = "me"'], ['probe: must match pattern "^/": The path of a harmless GET']],
    ["deepl", [/^TOKEN = "An.*/m, 'TOKEN = ""'], ["needs.TOKEN: must match pattern"]],
    [
      "stripe",
      ["hmac = { header", "hmac = { heeder"],
      ["webhook.hmac.header: is missing", "webhook.hmac.heeder: is not"],
    ],
    ["deepl", ['"DE"', '"ZZ"'], ["country: ZZ is no country"]],
    ["deepl", [/^TOKEN = "An/m, 'KEY = "An'], ["needs.TOKEN: is missing: the grant static", "needs.KEY: nothing uses"]],
    ["deepl", ["[needs]", '[needs]\nKEY = "A key."'], ["needs.KEY: nothing uses this secret: write {key} where it"]],
    ["vtex", ["{app_key}", "{app_id}"], ["needs.APP_ID: is missing: headers uses", "needs.APP_KEY: nothing uses"]],
    ["openweathermap", ["{token}", "none"], ["needs.TOKEN: nothing uses"]],
    ["tableau", ["{site}", "{place}"], ["needs.PLACE: is missing: login uses", "needs.SITE: nothing uses"]],
    ["zoom", ["{basic}", "none"], ["needs.USERNAME: nothing uses", "needs.PASSWORD: nothing uses"]],
    ["serpro", [/^CLIENT_SECRET = "The.*\n/m, ""], ["needs.CLIENT_SECRET: is missing: client_auth basic uses"]],
    ["bling", [/^CLIENT_ID = "The.*\n/m, ""], ["needs.CLIENT_ID: is missing: the grant authorization_code uses"]],
    [
      "tiny",
      [/^grant = .*/m, 'grant = "refresh_token"'],
      ["needs.REFRESH_TOKEN: is missing: the grant refresh_token uses"],
    ],
    [
      "bling",
      [/^authorization_request = """\n.*\n"""\n/m, ""],
      ["example.authorization_request: is missing: the grant authorization_code sends people there to consent"],
    ],
    ["bling", ["&code=", "&kode="], ["example.token_request: must have a code: the grant authorization_code"]],
    [
      "mercadopago-oauth",
      ['"code":', '"kode":'],
      ["example.token_request: must have a code: the grant authorization_code"],
    ],
    ["bling", ["oauth/authorize?", "oauth/consent?"], ["example.authorization_request: must go to authorize_url, "]],
    [
      "serpro",
      ["[example]", '[example]\nauthorization_request = "GET https://a.example"'],
      ["example.authorization_request: has no meaning: the grant client_credentials asks nobody to consent"],
    ],
    ["google-sheets", [/^SERVICE_ACCOUNT = "The.*\n/m, ""], ["needs.PRIVATE_KEY: is missing: the grant jwt_bearer"]],
    ["guru", [/^ACCOUNT_TOKEN = "For.*\n/m, ""], ["needs.ACCOUNT_TOKEN: is missing: webhook uses"]],
    ["asana", ["[needs]", '[needs]\nACCOUNT_TOKEN = "A key."'], ["needs.ACCOUNT_TOKEN: nothing uses"]],
    ["deepl", [/^TOKEN = "0.*\n/m, ""], ["example.secrets.TOKEN: is missing"]],
    ["deepl", ["[example.secrets]", '[example.secrets]\nKEY = "a"'], ["example.secrets.KEY: is not in needs"]],
    ["salesforce-jwt", [/^subject = .*\n/m, ""], ["example.secrets.assertion.subject: is missing"]],
    ["serpro", [/^token_response = .*\n/m, ""], ["example.token_response: is missing: the grant client_credentials"]],
    ["deepl", ["[example]", '[example]\ntoken_response = "{}"'], ["example.token_response: has no meaning: the grant"]],
    [
      "deepl",
      ["POST https://api.", "POST https://api-free."],
      ["example.call: must go to base_url, https://api.deepl"],
    ],
    ["deepl", ["POST https://api.deepl.com", ""], ["example.call: must begin with a method and an address"]],
    ["serpro", [/gov.br\/token"/, 'gov.br/tokens"'], ["example.token_request: must go to token_url, https://gat"]],
    ["hubsoft", [/^base_url = "[A-Z].*\n/m, ""], ["example.secrets.base_url: is not in needs"]],
    ["guru", [/^base_url = .*\n/m, ""], ["base_url: is missing: write it, or name it in needs"]],
  ];
  for (const [id, change, expected] of WRONG) {
    test(`${id} with ${change.join(" as ").replace(/\s+/g, " ")} is told its keys`, () => {
      const found = problemsOf(changed(id, change));
      assert.equal(found.length, expected.length, found.join("\n"));
      for (const start of expected)
        assert.ok(
          found.some((problem) => problem.startsWith(start)),
          found.join("\n"),
        );
    });
  }

  test("may do without a secret that it has another way, and give one that is not needed always", () => {
    /** @type {[string, [string | RegExp, string][]][]} */
    const right = [
      [
        "v8",
        [
          [/^(CLIENT_ID = "The.*\n)/m, ""],
          [/^CLIENT_ID = .*\n/m, ""],
        ],
      ],
      [
        "serpro",
        [
          [/^CLIENT_ID = "The/m, 'client_id = "The'],
          [/^CLIENT_ID/m, "client_id"],
        ],
      ],
      [
        "pagarme",
        [
          ["[needs]", '[needs]\nPASSWORD = "A word."'],
          [/$/, 'PASSWORD = "a"\n'],
        ],
      ],
    ];
    for (const [id, changes] of right) assert.deepEqual(problemsOf(changed(id, ...changes)), [], id);
  });

  test("that is not TOML is told in one line, with the line and column", () => {
    assert.throws(() => changed("deepl", [/^scheme = .*/m, "scheme = DeepL"]), {
      message: "providers/deepl.toml:10:10: is not TOML: invalid value",
    });
    assert.throws(() => readProvider("nowhere", folder), { message: "There is no providers/nowhere.toml." });
  });

  test("is looked at before anything is built", () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [inRoot("scripts", "provider.mjs"), "nowhere"]);
    assert.deepEqual([status, `${stdout}`, `${stderr}`], [1, "", "\nerror: There is no providers/nowhere.toml.\n"]);
  });
});
