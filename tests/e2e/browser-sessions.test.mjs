// Sessions in a real browser: the access that pages of the broker's origin, of its site and of other sites have, with
// cookies as the browser keeps and sends them.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import { chromium } from "playwright-core";
import { startHubsoft } from "../../sandbox/providers/hubsoft.mjs";
import { ensureChromium } from "../../scripts/chromium.mjs";
import { startBroker } from "./support/broker.mjs";
import { heldBy } from "./support/held.mjs";
import { cannotLook, tryEverything } from "./support/hostile.mjs";
import { COOKIE } from "./support/person.mjs";
import { search } from "./support/search.mjs";
import { startSites } from "./support/sites.mjs";
import { until } from "./support/until.mjs";

/** @import { Browser, BrowserContext, Cookie, Page } from "playwright-core" */
/** @import { Recorded } from "../../sandbox/types.js" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { Arrival } from "./support/sites.mjs" */

// Pages
const WWW = "https://www.app.test";
const SIBLING = "https://user-pages.app.test";
const FRIEND = "https://friend.test";
const EVIL = "https://evil.test";
// Brokers: on the application's own host, beside it, and on another site with SESSION_CROSS_SITE.
const OWN = "https://own.test/broker";
const BESIDE = "https://broker.app.test/broker";
const ABROAD = "https://broker.other.test/broker";

const TICKETS = "/api/hubsoft/api/v1/integracao/atendimento";
const TICKET = {
  id_cliente_servico: 7011,
  nome: "Benedito Alves Quintela",
  telefone: "(00) 90000-1111",
  descricao: "Sem conexão",
};

const secret = () => randomBytes(18).toString("base64url");
const people = ["ana", "bruno", "mallory"].map((name) => ({
  username: `${name}@people.test`,
  password: `${name}-${secret()}`,
}));
// Mallory has an account too, and would like others to use it unawares.
const [ANA, BRUNO, MALLORY] = people;

/** @type {ReturnType<typeof rowsOfTheDocs>} */
let docs;
/** @type {Awaited<ReturnType<typeof startHubsoft>>} */
let hubsoft;
/** @type {Broker} */
let strict;
/** @type {Broker} */
let crossSite;
/** @type {Awaited<ReturnType<typeof startSites>>} */
let sites;
/** @type {Browser} */
let browser;

before(async () => {
  const executablePath = await ensureChromium();
  docs = rowsOfTheDocs(await readFile(new URL("../../docs/guides/people-sign-in.md", import.meta.url), "utf8"));
  hubsoft = await startHubsoft({
    people,
    credentials: { client_secret: secret(), password: secret() },
    peopleClient: { client_secret: secret() },
  });
  const origins = [WWW, FRIEND, ...docs.map(({ page }) => page)];
  [strict, crossSite] = await Promise.all([start([...new Set(origins)], false), start([WWW, FRIEND], true)]);
  /**
   * @param {Broker} broker
   * @param {...string} addresses
   */
  const at = (broker, ...addresses) =>
    Object.fromEntries(addresses.map((address) => [new URL(address).host, broker.url]));
  sites = await startSites({
    ...at(strict, OWN, BESIDE, ...docs.map(({ broker }) => broker)),
    ...at(crossSite, ABROAD),
  });
  const names = [
    "*.test",
    ...docs.flatMap(({ page, broker }) => [page, broker]).map((address) => new URL(address).hostname),
  ];
  browser = await chromium.launch({
    executablePath,
    args: [
      "--no-sandbox",
      "--disable-background-networking",
      "--ignore-certificate-errors",
      // Third-party cookies are refused, unless they are partitioned.
      "--test-third-party-cookie-phaseout",
      `--host-resolver-rules=${[...new Set(names)].map((name) => `MAP ${name} ${sites.address}`).join(", ")}, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`,
    ],
  });
});

after(async () => {
  await browser?.close();
  await sites?.close();
  await Promise.all([strict?.stop(), crossSite?.stop(), hubsoft?.close()]);
});

/**
 * @param {string[]} origins
 * @param {boolean} crossSite
 */
const start = (origins, crossSite) =>
  startBroker({
    https: true,
    vars: {
      ALLOWED_ORIGINS: origins,
      BASE_PATH: "/broker",
      SESSION_CROSS_SITE: crossSite,
      CALLERS: {},
      CONNECTIONS: {
        hubsoft: person("/api/v1/**"),
        limited: {
          ...person(),
          rules: [{ callers: ["session"], methods: ["GET"], paths: ["/**"], rate_limit: { requests: 1, seconds: 60 } }],
        },
      },
    },
    secrets: {
      BACKEND_KEY: undefined,
      ...Object.fromEntries(
        ["HUBSOFT", "LIMITED"].flatMap((name) =>
          Object.entries(hubsoft.peopleClient).map(([field, value]) => [`${name}_${field.toUpperCase()}`, value]),
        ),
      ),
    },
  });

/** @param {...string} paths */
const person = (...paths) => ({
  provider: "hubsoft",
  subject: "user",
  base_url: hubsoft.baseUrl,
  rules: [{ callers: ["session"], methods: ["GET", "POST", "DELETE"], paths }],
});

/**
 * The https rows of the table that says where the broker works.
 *
 * @param {string} text
 */
function rowsOfTheDocs(text) {
  const rows = [...text.matchAll(/^\| `(https:[^`]+)` \| `(https:[^`]+)` \| (?:\*\*)?(yes|no)\b/gm)];
  return rows.map(([, page, broker, works]) => ({
    page,
    broker: `${new URL(broker).origin}/broker`,
    works: works === "yes",
  }));
}

// --- A browser of one's own ---------------------------------------------------

/**
 * What script sees of an answer, or the name of the error that it sees instead.
 *
 * @typedef {{ status?: number, headers?: { [name: string]: string }, text?: string, failed?: string }} Visible
 */

/** @typedef {Pick<RequestInit, "method" | "headers" | "credentials"> & { body?: string, json?: unknown }} CallInit */

/** A fresh browser profile, and what its pages received. */
class Profile {
  /** @type {{ [what: string]: string }} */
  received = {};
  /**
   * Every cookie value that the browser was ever given.
   *
   * @type {Set<string>}
   */
  cookies = new Set();
  /** @type {Page[]} */
  pages = [];

  /** @param {BrowserContext} context */
  constructor(context) {
    this.context = context;
  }

  static async open() {
    const profile = new Profile(await browser.newContext());
    profile.context.on("response", async (response) => {
      const name = `${response.status()} ${response.request().method()} ${response.url()} (${Object.keys(profile.received).length})`;
      const headers = await response.headersArray().catch(() => []);
      profile.received[name] = JSON.stringify(headers.filter((header) => header.name.toLowerCase() !== "set-cookie"));
      profile.received[name] += await response.text().catch(() => "");
    });
    return profile;
  }

  /**
   * A page of `origin`, from which calls are made.
   *
   * @param {string} origin
   */
  async page(origin) {
    const page = await this.context.newPage();
    await page.goto(`${origin}/`);
    this.pages.push(page);
    return page;
  }

  /**
   * Makes a call from `page`, and gives what script can see of the answer.
   *
   * @param {Page} page
   * @param {string} address
   * @param {CallInit} [init]
   */
  async call(page, address, { json, ...init } = {}) {
    /** @type {Visible} */
    const seen = await page.evaluate(
      async ({ address, init }) => {
        try {
          const response = await fetch(address, { credentials: "include", ...init });
          return {
            status: response.status,
            headers: Object.fromEntries(response.headers),
            text: await response.text(),
          };
        } catch (error) {
          return { failed: /** @type {Error} */ (error).name };
        }
      },
      {
        address,
        init: json
          ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(json), ...init }
          : init,
      },
    );
    for (const { value } of await this.jar()) this.cookies.add(value);
    this.received[`script ${address} (${Object.keys(this.received).length})`] = JSON.stringify(seen);
    return { ...seen, json: () => JSON.parse(seen.text ?? "") };
  }

  /**
   * @param {Page} page
   * @param {string} broker
   * @param {{ username: string, password: string }} [credentials]
   * @param {string} [connection]
   */
  signIn = (page, broker, credentials = ANA, connection = "hubsoft") =>
    this.call(page, `${broker}/auth/${connection}/login`, { json: credentials });

  /**
   * @param {Page} page
   * @param {string} broker
   */
  session = (page, broker) => this.call(page, `${broker}/auth/session`);

  /** The broker's cookies that the browser keeps. */
  async jar() {
    return (await this.context.cookies()).filter(({ name }) => name === COOKIE);
  }

  /** Nothing secret is in anything that the pages received or hold. */
  async assertNothingSecret() {
    const places = { ...this.received };
    for (const page of this.pages) {
      for (const [where, text] of Object.entries(await heldBy(page))) places[`${where} of ${page.url()}`] = text;
    }
    assert.ok(this.cookies.size > 0 && hubsoft.issued.length > 1 && Object.keys(places).length > 10);
    /** @type {(name: string, values: string[]) => [name: string, value: string][]} */
    const named = (name, values) => values.map((value, i) => [`${name} ${i + 1}`, value]);
    const secrets = Object.fromEntries([
      ...named("cookie", [...this.cookies]),
      ...named("token", hubsoft.issued),
      ...named("person's password", [ANA.password, BRUNO.password]),
      ...named("credential", [
        hubsoft.peopleClient.client_secret,
        hubsoft.credentials.client_secret,
        hubsoft.credentials.password,
      ]),
    ]);
    assert.deepEqual(search(places, secrets), []);
  }
}

/**
 * Runs `action` in a fresh profile.
 *
 * @param {(profile: Profile) => Promise<void>} action
 */
async function withProfile(action) {
  const profile = await Profile.open();
  try {
    await action(profile);
  } finally {
    await profile.context.close();
  }
}

/** @param {Pick<Arrival, "headers">} arrival */
const cookieSent = ({ headers }) => (headers.cookie ?? "").includes(`${COOKIE}=`);

/**
 * What arrived at the brokers while `action` ran.
 *
 * @param {() => Promise<void>} action
 */
async function arrivalsOf(action) {
  const from = sites.arrivals.length;
  await action();
  return sites.arrivals.slice(from);
}

/**
 * @param {Visible} answer
 * @param {number} status
 * @param {string} code
 */
function problem(answer, status, code) {
  const { status: seen, headers, text } = answer;
  assert.deepEqual([seen, headers?.["content-type"]], [status, "application/problem+json"], JSON.stringify(answer));
  const body = JSON.parse(text ?? "");
  assert.equal(body.code, code);
  assert.ok(body.title && body.detail);
  assert.equal(headers?.["x-request-id"], body.request_id);
  return body;
}

// --- Pages that may -------------------------------------------------------------

const ALLOWED = [
  {
    what: "of the broker's own origin",
    origin: "https://own.test",
    broker: OWN,
    sameSite: "Strict",
    preflights: false,
  },
  { what: "of another origin of the broker's site", origin: WWW, broker: BESIDE, sameSite: "Strict", preflights: true },
  { what: "of another site, with SESSION_CROSS_SITE", origin: WWW, broker: ABROAD, sameSite: "None", preflights: true },
];

for (const { what, origin, broker, sameSite, preflights } of ALLOWED) {
  describe(`an allowed page ${what}`, () => {
    test("signs in, reads, writes and signs out", () =>
      withProfile(async (profile) => {
        const page = await profile.page(origin);
        problem(await profile.session(page, broker), 401, "caller_unauthenticated");

        const signedIn = await profile.signIn(page, broker);
        assert.equal(signedIn.status, 200, JSON.stringify(signedIn));
        const { connection, expires_at: expiresAt } = signedIn.json();
        assert.equal(connection, "hubsoft");
        assert.ok(Date.parse(expiresAt) > Date.now());
        assert.deepEqual((await profile.session(page, broker)).json(), {
          connections: [{ id: "hubsoft", expires_at: expiresAt }],
        });

        const arrivals = await arrivalsOf(async () => {
          const written = await profile.call(page, broker + TICKETS, { json: TICKET });
          assert.equal(written.json().atendimento.usuario_abertura, ANA.username, JSON.stringify(written));
          const read = await profile.call(page, broker + TICKETS);
          assert.ok(
            read
              .json()
              .atendimentos.some(
                (/** @type {{ usuario_abertura: string }} */ { usuario_abertura: by }) => by === ANA.username,
              ),
          );
        });
        const methods = arrivals.map(({ method }) => method);
        assert.deepEqual(methods, preflights ? ["OPTIONS", "POST", "GET"] : ["POST", "GET"]);
        assert.deepEqual(
          arrivals.map(cookieSent),
          methods.map((method) => method !== "OPTIONS"),
        );
        assert.ok(hubsoft.apiRequests.slice(-2).every(({ headers }) => !headers.cookie && !headers.origin));

        const [before] = await profile.jar();
        assert.equal((await profile.call(page, `${broker}/auth/logout`, { method: "POST" })).status, 204);
        assert.deepEqual(await profile.jar(), []);
        problem(await profile.session(page, broker), 401, "caller_unauthenticated");
        // Put back by hand, the cookie is worth nothing.
        await profile.context.addCookies([before]);
        problem(await profile.session(page, broker), 401, "caller_unauthenticated");
        problem(await profile.call(page, broker + TICKETS), 401, "caller_unauthenticated");
        await profile.assertNothingSecret();
      }));

    test("cannot read the cookie, nor put another in its place", () =>
      withProfile(async (profile) => {
        const page = await profile.page(origin);
        await profile.signIn(page, broker);
        const [cookie] = await profile.jar();
        const { name, value, domain, path, httpOnly, secure, sameSite: site, expires } = cookie;
        assert.deepEqual(
          { name, domain, path, httpOnly, secure, site, expires },
          {
            name: COOKIE,
            domain: new URL(broker).hostname,
            path: "/",
            httpOnly: true,
            secure: true,
            site: sameSite,
            expires: -1,
          },
        );
        assert.match(value, /^[\w-]{43}$/);
        const seen = await page.evaluate(
          async ([name, value, host]) => {
            const other = value.split("").reverse().join("");
            for (const more of [
              "",
              `; domain=${host}`,
              `; domain=${location.hostname.split(".").slice(-2).join(".")}`,
              "; max-age=0",
            ]) {
              document.cookie = `${name}=${other}; path=/; secure${more}`;
            }
            return [document.cookie, JSON.stringify(await cookieStore.getAll())];
          },
          [name, value, domain],
        );
        assert.deepEqual(seen, ["", "[]"]);
        assert.deepEqual(await profile.jar(), [cookie]);
        assert.equal((await profile.session(page, broker)).status, 200);
      }));

    test("reads what went wrong, and when to try again", () =>
      withProfile(async (profile) => {
        const page = await profile.page(origin);
        const refused = await profile.signIn(page, broker, { ...ANA, password: "not this one" });
        problem(refused, 401, "login_rejected");
        assert.deepEqual(await profile.jar(), []);
        problem(await profile.signIn(page, broker, ANA, "nowhere"), 404, "unknown_connection");
        problem(
          await profile.call(page, `${broker}/auth/hubsoft/login`, { method: "POST", body: "{}" }),
          400,
          "bad_request",
        );

        await profile.signIn(page, broker, ANA);
        await profile.signIn(page, broker, BRUNO, "limited");
        assert.deepEqual(
          (await profile.session(page, broker))
            .json()
            .connections.map((/** @type {{ id: string }} */ { id }) => id)
            .sort(),
          ["hubsoft", "limited"],
        );
        problem(await profile.call(page, `${broker}/api/hubsoft/other`), 403, "operation_not_allowed");
        const limited = TICKETS.replace("hubsoft", "limited");
        assert.equal((await profile.call(page, broker + limited)).status, 200);
        const late = await profile.call(page, broker + limited);
        problem(late, 429, "rate_limited");
        const seconds = Number(late.headers?.["retry-after"]);
        assert.ok(seconds >= 1 && seconds <= 60, JSON.stringify(late.headers));
        // What the API itself says of a mistake comes through as well.
        const mistaken = await profile.call(page, broker + TICKETS, { json: {} });
        assert.deepEqual([mistaken.status, mistaken.json().status], [200, "error"]);
        await profile.assertNothingSecret();
      }));

    test("learns that the session has ended when the API no longer knows the person", () =>
      withProfile(async (profile) => {
        const page = await profile.page(origin);
        await profile.signIn(page, broker);
        hubsoft.revokeEverything();
        problem(await profile.call(page, broker + TICKETS), 401, "caller_unauthenticated");
        problem(await profile.session(page, broker), 401, "caller_unauthenticated");
      }));
  });
}

describe("what the API sends on the application's own host", () => {
  /**
   * @param {string} type
   * @param {string} body
   */
  const answer = (type, body) =>
    hubsoft.arm({ target: "api", kind: "status", status: 200, headers: { "Content-Type": type }, body });

  test("is never a page that runs script there", () =>
    withProfile(async (profile) => {
      const page = await profile.page("https://own.test");
      await profile.signIn(page, OWN);
      answer(
        "text/html; charset=utf-8",
        "<!doctype html><title>Still</title><script>document.title = 'Ran'</script><form>",
      );
      const shown = await profile.context.newPage();
      await shown.goto(OWN + TICKETS);
      assert.equal(await shown.title(), "Still");
      assert.equal(await shown.evaluate(() => origin), "null");
      answer("text/html; charset=utf-8", "<title>Framed</title>");
      const framed = await page.evaluate(
        (src) =>
          new Promise((resolve) => {
            const frame = Object.assign(document.createElement("iframe"), { src });
            frame.onload = () => resolve(frame.contentDocument?.title ?? null);
            document.body.append(frame);
          }),
        OWN + TICKETS,
      );
      assert.equal(framed, null);
    }));

  test("is never code", () =>
    withProfile(async (profile) => {
      const page = await profile.page("https://own.test");
      await profile.signIn(page, OWN);
      hubsoft.arm({
        target: "api",
        times: 3,
        kind: "status",
        status: 200,
        headers: { "Content-Type": "text/javascript" },
        body: "self.ran = true; self.postMessage?.('ran');",
      });
      const ran = await page
        .evaluate(async (address) => {
          const script = new Promise((resolve) => {
            const node = Object.assign(document.createElement("script"), { src: address });
            node.onload = () => resolve(Reflect.get(self, "ran") ?? false);
            node.onerror = () => resolve(false);
            document.head.append(node);
          });
          const worker = new Promise((resolve) => {
            const started = new Worker(address);
            started.onmessage = () => resolve(true);
            started.onerror = () => resolve(false);
          });
          const serviceWorker = navigator.serviceWorker.register(address).then(
            () => true,
            () => false,
          );
          return { script: await script, worker: await worker, serviceWorker: await serviceWorker };
        }, OWN + TICKETS)
        .finally(() => hubsoft.disarm());
      assert.deepEqual(ran, { script: false, worker: false, serviceWorker: false });
    }));
});

describe("an allowed page that leaves out credentials", () => {
  test("is nobody on another origin", () =>
    withProfile(async (profile) => {
      const page = await profile.page(WWW);
      await profile.signIn(page, BESIDE);
      problem(
        await profile.call(page, BESIDE + TICKETS, { credentials: "same-origin" }),
        401,
        "caller_unauthenticated",
      );
      // Nor is a sign-in kept that was made so.
      await profile.context.clearCookies();
      assert.equal(
        (await profile.call(page, `${BESIDE}/auth/hubsoft/login`, { json: ANA, credentials: "omit" })).status,
        200,
      );
      assert.deepEqual(await profile.jar(), []);
    }));
});

describe("an allowed page of another site", () => {
  test("signs in to no avail where the cookie is strict", () =>
    withProfile(async (profile) => {
      const page = await profile.page(FRIEND);
      assert.equal((await profile.signIn(page, BESIDE)).status, 200);
      assert.deepEqual(await profile.jar(), []);
      problem(await profile.session(page, BESIDE), 401, "caller_unauthenticated");
    }));

  test("shares no session with pages of a third site", () =>
    withProfile(async (profile) => {
      const [www, friend] = [await profile.page(WWW), await profile.page(FRIEND)];
      await profile.signIn(www, ABROAD, ANA);
      problem(await profile.session(friend, ABROAD), 401, "caller_unauthenticated");
      await profile.signIn(friend, ABROAD, BRUNO);
      for (const [page, { username }] of /** @type {[page: Page, person: typeof ANA][]} */ ([
        [www, ANA],
        [friend, BRUNO],
      ])) {
        const written = await profile.call(page, ABROAD + TICKETS, { json: TICKET });
        assert.equal(written.json().atendimento.usuario_abertura, username);
      }
      assert.deepEqual((await profile.jar()).map(({ partitionKey }) => partitionKey).sort(), [
        "https://app.test",
        FRIEND,
      ]);
      await profile.call(www, `${ABROAD}/auth/logout`, { method: "POST" });
      assert.equal((await profile.session(friend, ABROAD)).status, 200);
    }));
});

describe("the documentation of where the broker must be", () => {
  test("is what the browser does", () =>
    withProfile(async (profile) => {
      assert.ok(docs.some(({ works }) => works) && docs.some(({ works }) => !works));
      for (const { page: origin, broker, works } of docs) {
        const page = await profile.page(origin);
        assert.equal((await profile.signIn(page, broker)).status, 200);
        assert.equal((await profile.session(page, broker)).status, works ? 200 : 401, `${origin} with ${broker}`);
      }
    }));
});

// --- Pages that may not -----------------------------------------------------------

const HOSTILE = [
  { what: "of the broker's site", origin: SIBLING, broker: BESIDE, cookie: true },
  { what: "of another site", origin: EVIL, broker: BESIDE, cookie: false },
  // The cookie is kept for the site that the page is on, with all its origins.
  { what: "of the allowed page's site, with SESSION_CROSS_SITE", origin: SIBLING, broker: ABROAD, cookie: true },
  { what: "of a third site, with SESSION_CROSS_SITE", origin: EVIL, broker: ABROAD, cookie: false },
];

const MAKE_A_CHANGE = [
  "form-in-a-frame",
  "form-in-a-window",
  "login-by-form",
  "logout-by-form",
  "beacon",
  "form-without-origin",
  "post-text",
  "login-text",
  "logout",
  "sandboxed",
];
const ASK_FIRST = ["post-json", "delete", "login-json"];
const READ_WITH_ORIGIN = ["fetch", "fetch-session", "event-source", "preload"];
const READ_WITHOUT = ["fetch-no-cors", "img", "script", "stylesheet", "video", "iframe", "object", "embed"];

for (const { what, origin, broker, cookie } of HOSTILE) {
  describe(`a page ${what} that is not allowed`, () => {
    /** @type {Profile} */
    let profile;
    /** @type {Page} */
    let own;
    /** @type {Page} */
    let page;
    /** @type {Awaited<ReturnType<typeof tryEverything>>} */
    let seen;
    /** @type {Arrival[]} */
    let arrived;
    /** @type {Recorded[]} */
    let tokenRequests;
    /** @type {Recorded[]} */
    let apiRequests;
    /** @type {Cookie[]} */
    let jar;

    before(async () => {
      profile = await Profile.open();
      own = await profile.page(WWW);
      assert.equal((await profile.signIn(own, broker)).status, 200);
      jar = await profile.jar();
      const [tokensBefore, callsBefore] = [hubsoft.tokenRequests.length, hubsoft.apiRequests.length];
      page = await profile.page(origin);
      const from = sites.arrivals.length;
      const login = { address: `${broker}/auth/hubsoft/login`, credentials: MALLORY };
      seen = await tryEverything(page, { broker, api: broker + TICKETS, login });
      const expected = [...MAKE_A_CHANGE, ...ASK_FIRST, ...READ_WITH_ORIGIN, ...READ_WITHOUT, "window"];
      const answered = () => sites.arrivals.slice(from).filter(({ status }) => status);
      const missing = () => expected.filter((by) => !answered().some(({ query }) => query.get("by") === by));
      await until(() => missing().length === 0, "the answer to every attempt").catch(() =>
        assert.deepEqual(missing(), []),
      );
      arrived = answered();
      tokenRequests = hubsoft.tokenRequests.slice(tokensBefore);
      apiRequests = hubsoft.apiRequests.slice(callsBefore);
    });
    after(() => profile?.context.close());

    /** @param {...(string | null)} names */
    const by = (...names) => arrived.filter(({ query }) => names.includes(query.get("by")));
    /** @param {Arrival[]} list */
    const told = (list) =>
      list.map(({ query, method, status, code }) => `${query.get("by")}: ${method} ${status} ${code}`);

    test("is sent with the cookie only where the browser has it so", () => {
      const frames = new Set(["iframe", "object", "embed", "sandboxed"]);
      const plain = arrived.filter(({ method, query }) => method !== "OPTIONS" && !frames.has(query.get("by") ?? ""));
      // A window shows the broker's own site: a partitioned cookie is not for that.
      /** @param {Arrival} one */
      const sent = (one) => cookie && !(broker === ABROAD && one.headers["sec-fetch-dest"] === "document");
      assert.deepEqual(
        plain.map((one) => [one.query.get("by"), cookieSent(one)]),
        plain.map((one) => [one.query.get("by"), sent(one)]),
      );
    });

    test("is known by its origin, or by having none, where it sends one", () => {
      const origins = Object.fromEntries(arrived.map(({ query, headers }) => [query.get("by"), headers.origin]));
      const silent = new Set([...READ_WITHOUT, "window"]);
      const none = new Set(["form-without-origin", "sandboxed"]);
      for (const [name, sent] of Object.entries(origins)) {
        assert.equal(sent, silent.has(name) ? undefined : none.has(name) ? "null" : origin, name);
      }
    });

    test("changes nothing", async () => {
      const changing = by(...MAKE_A_CHANGE);
      assert.deepEqual(
        changing.filter(({ status, code }) => status !== 403 || code !== "origin_not_allowed"),
        [],
        told(changing).join("\n"),
      );
      const asking = by(...ASK_FIRST);
      assert.deepEqual(
        asking.filter(({ method, status }) => method !== "OPTIONS" || status !== 403),
        [],
        told(asking).join("\n"),
      );
      assert.deepEqual(
        arrived.filter(({ cookieSet }) => cookieSet),
        [],
      );
      assert.deepEqual(await profile.jar(), jar);
      assert.equal((await profile.session(own, broker)).status, 200);
      assert.deepEqual(tokenRequests, []);
      assert.deepEqual(
        apiRequests.filter(({ method }) => method !== "GET"),
        [],
      );
    });

    test("reads nothing", async () => {
      for (const name of READ_WITH_ORIGIN) {
        assert.deepEqual(
          by(name).map(({ code }) => code),
          by(name).map(() => "origin_not_allowed"),
          name,
        );
      }
      for (const name of [...READ_WITHOUT, ...READ_WITH_ORIGIN, ...ASK_FIRST, ...MAKE_A_CHANGE]) {
        const what = seen[name];
        if (what === undefined || typeof what === "string") continue;
        if ("load" in what) assert.ok(!what.load, `${name}: ${JSON.stringify(what)}`);
        else assert.deepEqual([what.type, what.status, what.text, what.headers], ["opaque", 0, "", []], name);
      }
      assert.deepEqual(
        ["fetch", "fetch-session", "post-json", "delete", "login-json"].map((name) => seen[name]),
        Array(5).fill("TypeError"),
      );
      await cannotLook(page);
    });

    test("has no call made at the API, but one that a person sees for themselves", () => {
      for (const one of by(...READ_WITHOUT)) {
        assert.deepEqual(
          [one.status, one.code],
          cookieSent(one) ? [403, "cross_site_request"] : [401, "caller_unauthenticated"],
          told([one]).join(),
        );
      }
      // A link may lead a person to what is theirs to read. The page that has the link sees nothing of it.
      const [navigation] = by("window");
      assert.equal(navigation.status, cookieSent(navigation) ? 200 : 401);
      assert.equal(apiRequests.length, navigation.status === 200 ? 1 : 0);
    });

    test("receives nothing secret", () => profile.assertNothingSecret());

    test("cannot plant a cookie for the broker", async () => {
      const planted = await page.evaluate((name) => {
        for (const more of ["", "; domain=app.test", "; domain=broker.app.test"])
          document.cookie = `${name}=planted; path=/; secure${more}`;
        return document.cookie;
      }, COOKIE);
      assert.equal(planted, "");
      assert.deepEqual(await profile.jar(), jar);
      assert.equal((await profile.session(own, broker)).status, 200);
    });
  });
}

describe("what a browser fetches ahead for a page that is not allowed", () => {
  test("is not fetched from the API", () =>
    withProfile(async (profile) => {
      const own = await profile.page(WWW);
      await profile.signIn(own, BESIDE);
      const made = hubsoft.apiRequests.length;
      const from = sites.arrivals.length;
      const ahead = () => sites.arrivals.slice(from).filter(({ headers, status }) => headers["sec-purpose"] && status);
      for (const way of ["prefetch", "prerender"]) {
        const page = await profile.page(SIBLING);
        await page.evaluate(
          ([way, address]) => {
            const rules = Object.assign(document.createElement("script"), { type: "speculationrules" });
            rules.textContent = JSON.stringify({ [way]: [{ urls: [address], eagerness: "immediate" }] });
            document.head.append(rules);
          },
          [way, BESIDE + TICKETS],
        );
      }
      await until(() => ahead().length >= 2, "both pages ahead of time");
      // The browser takes it for a wish of the person's own.
      assert.deepEqual(
        ahead().map((one) => [one.headers["sec-fetch-site"], cookieSent(one)]),
        [
          ["none", true],
          ["none", true],
        ],
      );
      assert.deepEqual(
        ahead().map(({ status, code }) => [status, code]),
        Array(2).fill([403, "cross_site_request"]),
      );
      assert.equal(hubsoft.apiRequests.length, made);
    }));
});
