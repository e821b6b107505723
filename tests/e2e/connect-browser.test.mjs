// Consents in a real browser: by redirect and in a popup, from pages of the broker's site and of others, and by a link.

import assert from "node:assert/strict";
import { request as httpsRequest } from "node:https";
import { after, afterEach, before, describe, test } from "node:test";
import { FLOW_COOKIE } from "./support/browser.mjs";
import { ABROAD, ADMIN, BESIDE, EVIL, FRIEND, WWW, startConsentSites } from "./support/consent-sites.mjs";
import { heldBy } from "./support/held.mjs";
import { COOKIE } from "./support/person.mjs";
import { search } from "./support/search.mjs";
import { until } from "./support/until.mjs";

/** @import { Browser, BrowserContext, Page } from "playwright-core" */
/** @import { startSites } from "./support/sites.mjs" */
/** @import { Broker } from "./support/broker.mjs" */
/** @import { Provider } from "./support/strict-provider.mjs" */

/** @type {Awaited<ReturnType<typeof startConsentSites>>} */
let started;
/** @type {Provider} */
let provider;
/** @type {Broker} */
let strict;
/** @type {Awaited<ReturnType<typeof startSites>>} */
let sites;
/** @type {Browser} */
let browser;

before(async () => {
  started = await startConsentSites();
  ({ provider, strict, sites, browser } = started);
});

afterEach(() => provider.verify());

after(() => started?.close());

/**
 * Runs `action` in a fresh profile of the browser.
 *
 * @param {(context: BrowserContext) => Promise<void>} action
 * @param {Parameters<Browser["newContext"]>[0]} [options]
 */
async function withProfile(action, options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(15_000);
  try {
    await action(context);
  } finally {
    await context.close();
  }
}

/** @param {BrowserContext} context @param {string} origin */
async function pageOf(context, origin) {
  const page = await context.newPage();
  await page.goto(`${origin}/`);
  return page;
}

/**
 * What script of `page` sees of an answer.
 *
 * @param {Page} page
 * @param {string} address
 * @param {{ method?: string, json?: unknown }} [init]
 * @returns {Promise<{ status?: number, body?: any, failed?: string }>}
 */
const call = (page, address, { method = "GET", json } = {}) =>
  page.evaluate(
    async ({ address, method, body }) => {
      try {
        const headers = body ? { "Content-Type": "application/json" } : undefined;
        const response = await fetch(address, { method, headers, body, credentials: "include" });
        const text = await response.text();
        return { status: response.status, body: text ? JSON.parse(text) : undefined };
      } catch (error) {
        return { failed: /** @type {Error} */ (error).name };
      }
    },
    { address, method, body: json === undefined ? undefined : JSON.stringify(json) },
  );

/** @param {string} base @param {string} id @param {{ [name: string]: string }} query */
const connectUrl = (base, id, query) => `${base}/auth/${id}/connect?${new URLSearchParams(query)}`;

/** Leads the page there as a link would. @param {Page} page @param {string} url */
const lead = (page, url) =>
  Promise.all([
    page.waitForURL((now) => now.href.startsWith(provider.url)),
    page.evaluate((to) => void location.assign(to), url),
  ]);

/**
 * Connects by redirect, and allows it at the provider.
 *
 * @param {Page} page
 * @param {string} base
 * @param {string} id
 * @param {{ [name: string]: string }} [query]
 */
async function connect(page, base, id, query = {}) {
  await lead(page, connectUrl(base, id, { return_to: `${WWW}/back#here`, ...query }));
  await page.getByText("Allow").click();
  await page.waitForURL((url) => url.origin === WWW);
  return new URL(page.url());
}

/** The last request that a broker got at a path that ends so. @param {string} end */
const lastArrival = (end) => {
  const found = sites.arrivals.findLast(({ path }) => path.endsWith(end));
  assert.ok(found, end);
  return found;
};

/** Makes a verifier in the page, and keeps it there. @param {Page} page @returns {Promise<string>} the challenge */
const makeChallenge = (page) =>
  page.evaluate(async () => {
    /** @param {Uint8Array} bytes */
    const encode = (bytes) =>
      btoa(String.fromCharCode(...bytes))
        .replaceAll("+", "-")
        .replaceAll("/", "_")
        .replaceAll("=", "");
    const verifier = encode(crypto.getRandomValues(new Uint8Array(32)));
    sessionStorage.setItem("verifier", verifier);
    return encode(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
  });

/** @param {Page} page @returns {Promise<string>} */
const verifierOf = (page) => page.evaluate(() => sessionStorage.getItem("verifier") ?? "");

/**
 * Opens a popup by a click, as browsers demand, and waits for its message.
 *
 * @param {Page} page
 * @param {string} url
 * @param {"Allow" | "Deny"} says
 */
async function connectInPopup(page, url, says) {
  await page.evaluate((to) => {
    document.body.innerHTML = "<button>Connect</button>";
    const seen = /** @type {any} */ (window);
    seen.messages = [];
    addEventListener("message", ({ data, origin }) => seen.messages.push({ data, origin }));
    document.querySelector("button")?.addEventListener("click", () => {
      seen.popup = open(to, "connect", "popup,width=400,height=500");
    });
  }, url);
  const [popup] = await Promise.all([page.waitForEvent("popup"), page.getByText("Connect").click()]);
  const closed = popup.waitForEvent("close");
  await popup.getByText(says).click();
  await closed;
  await page.waitForFunction(() => /** @type {any} */ (window).messages.length > 0);
  /** @type {{ data: any, origin: string }[]} */
  const messages = await page.evaluate(() => /** @type {any} */ (window).messages);
  assert.equal(messages.length, 1);
  return messages[0];
}

describe("a page of the broker's site", () => {
  test("connects by redirect, knows the outcome, and may call", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      assert.equal((await call(page, `${BESIDE}/api/calendar/api/me`)).status, 401);
      const url = await connect(page, BESIDE, "calendar");
      assert.equal(url.href, `${WWW}/back?porteiro=connected#here`);
      const { status, body } = await call(page, `${BESIDE}/auth/session`);
      assert.deepEqual([status, body.person.subject], [200, "ana"]);
      assert.deepEqual(await call(page, `${BESIDE}/api/calendar/api/me`), {
        status: 200,
        body: { user: "ana", path: "/api/me" },
      });
      const [cookie] = (await context.cookies()).filter(({ name }) => name === COOKIE);
      assert.deepEqual([cookie.httpOnly, cookie.secure, cookie.sameSite], [true, true, "Strict"]);
      const flow = (await context.cookies()).find(({ name }) => name.startsWith(FLOW_COOKIE));
      assert.deepEqual([flow?.httpOnly, flow?.secure, flow?.sameSite, flow?.path], [true, true, "Lax", "/"]);
    }));

  test("is told of a refusal", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      await lead(page, connectUrl(BESIDE, "calendar", { return_to: `${WWW}/back` }));
      await page.getByText("Deny").click();
      await page.waitForURL((url) => url.origin === WWW);
      assert.equal(page.url(), `${WWW}/back?porteiro=failed&porteiro_code=access_denied`);
      assert.equal((await call(page, `${BESIDE}/auth/session`)).status, 401);
    }));

  test("keeps its session with a second account, though the Strict cookie does not come with the callback", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      await connect(page, BESIDE, "calendar");
      await connect(page, BESIDE, "mail");
      const begun = lastArrival("/auth/mail/connect");
      const ended = lastArrival("/auth/callback/mail");
      assert.ok(begun.headers.cookie?.includes(`${COOKIE}=`));
      assert.ok(!ended.headers.cookie?.includes(`${COOKIE}=`), ended.headers.cookie);
      assert.ok(ended.headers.cookie?.includes(FLOW_COOKIE));
      assert.equal(ended.headers["sec-fetch-site"], "cross-site");
      const { body } = await call(page, `${BESIDE}/auth/session`);
      assert.deepEqual(
        body.connections.map((/** @type {{ id: string }} */ { id }) => id),
        ["calendar", "mail"],
      );
    }));

  test("connects in a popup, which tells it and closes", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      const url = connectUrl(BESIDE, "calendar", { return_to: `${WWW}/`, display: "popup" });
      assert.deepEqual(await connectInPopup(page, url, "Allow"), {
        data: { source: "porteiro", connection: "calendar", outcome: "connected", code: null },
        origin: new URL(BESIDE).origin,
      });
      assert.equal((await call(page, `${BESIDE}/api/calendar/api/me`)).status, 200);
    }));

  test("is told of a refusal in a popup", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      const url = connectUrl(BESIDE, "calendar", { return_to: `${WWW}/`, display: "popup" });
      const { data } = await connectInPopup(page, url, "Deny");
      assert.deepEqual(data, { source: "porteiro", connection: "calendar", outcome: "failed", code: "access_denied" });
    }));

  test("whose popup belongs to another page gets no message: it goes to the origin of return_to alone", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, EVIL);
      await page.evaluate(
        (to) => {
          document.body.innerHTML = "<button>Connect</button>";
          const seen = /** @type {any} */ (window);
          seen.messages = [];
          addEventListener("message", ({ data }) => seen.messages.push(data));
          document.querySelector("button")?.addEventListener("click", () => open(to, "connect", "popup"));
        },
        connectUrl(BESIDE, "calendar", { return_to: `${WWW}/`, display: "popup" }),
      );
      const [popup] = await Promise.all([page.waitForEvent("popup"), page.getByText("Connect").click()]);
      const closed = popup.waitForEvent("close");
      await popup.getByText("Allow").click();
      await closed;
      assert.deepEqual(await page.evaluate(() => /** @type {any} */ (window).messages), []);
    }));

  test("begins no flow in a frame, by script or ahead of a click", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      const url = connectUrl(BESIDE, "calendar", { return_to: `${WWW}/` });
      const from = sites.arrivals.length;
      await page.evaluate(async (to) => {
        document.head.insertAdjacentHTML("beforeend", `<link rel="prefetch" href="${to}&n=prefetch">`);
        const rules = document.createElement("script");
        rules.type = "speculationrules";
        rules.textContent = JSON.stringify({
          prefetch: [{ source: "list", urls: [`${to}&n=speculation`], eagerness: "immediate" }],
        });
        document.head.append(rules);
        document.body.insertAdjacentHTML("beforeend", `<iframe src="${to}&n=frame"></iframe><img src="${to}&n=image">`);
        await fetch(`${to}&n=fetch`, { mode: "no-cors", credentials: "include" }).catch(() => {});
      }, url);
      const some = () => sites.arrivals.slice(from).filter(({ status }) => status !== undefined);
      await until(() => some().length >= 4, "the requests");
      for (const { status, query, cookieSet } of some()) {
        assert.deepEqual([status, cookieSet], [400, undefined], query.get("n") ?? "");
      }
      assert.deepEqual(await context.cookies(), []);
    }));

  test("finds no token, code or session id in anything that it holds", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      await connect(page, BESIDE, "calendar");
      await call(page, `${BESIDE}/api/calendar/api/me`);
      const secrets = Object.fromEntries(provider.issued.slice(-5).map((one, i) => [`issued ${i}`, one]));
      for (const { name, value } of await context.cookies()) secrets[name] = value;
      assert.deepEqual(search({ ...(await heldBy(page)), url: page.url() }, secrets), []);
    }));
});

describe("a page of another site", () => {
  test("connects by redirect, and gets its cookie for a ticket", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      const url = await connect(page, ABROAD, "calendar", { ticket_challenge: await makeChallenge(page) });
      const ticket = url.searchParams.get("porteiro_ticket");
      assert.equal(url.searchParams.get("porteiro"), "connected");
      assert.match(ticket ?? "", /^[A-Za-z0-9_-]{43}$/);
      assert.equal((await call(page, `${ABROAD}/auth/session`)).status, 401);
      const verifier = await verifierOf(page);
      const redeemed = await call(page, `${ABROAD}/auth/session`, { method: "POST", json: { ticket, verifier } });
      assert.deepEqual([redeemed.status, redeemed.body.person.subject], [200, "ana"]);
      assert.match(lastArrival("/auth/session").cookieSet ?? "", /SameSite=None; Partitioned/);
      assert.equal((await call(page, `${ABROAD}/api/calendar/api/me`)).status, 200);
      // Once.
      const again = await call(page, `${ABROAD}/auth/session`, { method: "POST", json: { ticket, verifier } });
      assert.equal(again.status, 401);
      // The cookie is of this site's pages alone.
      const friend = await pageOf(context, FRIEND);
      assert.equal((await call(friend, `${ABROAD}/auth/session`)).status, 401);
    }));

  test("connects in a popup, and gets its cookie for a ticket", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      const query = { return_to: `${WWW}/`, display: "popup", ticket_challenge: await makeChallenge(page) };
      const { data, origin } = await connectInPopup(page, connectUrl(ABROAD, "calendar", query), "Allow");
      const { ticket, ...rest } = data;
      assert.deepEqual(rest, { source: "porteiro", connection: "calendar", outcome: "connected", code: null });
      assert.equal(origin, new URL(ABROAD).origin);
      const json = { ticket, verifier: await verifierOf(page) };
      assert.equal((await call(page, `${ABROAD}/auth/session`, { method: "POST", json })).status, 200);
      assert.equal((await call(page, `${ABROAD}/api/calendar/api/me`)).status, 200);
    }));

  test("adds a second account to the session that it has", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      for (const id of ["calendar", "mail"]) {
        const url = await connect(page, ABROAD, id, { ticket_challenge: await makeChallenge(page) });
        const json = { ticket: url.searchParams.get("porteiro_ticket"), verifier: await verifierOf(page) };
        assert.equal((await call(page, `${ABROAD}/auth/session`, { method: "POST", json })).status, 200);
      }
      const { body } = await call(page, `${ABROAD}/auth/session`);
      assert.deepEqual(
        body.connections.map((/** @type {{ id: string }} */ { id }) => id),
        ["calendar", "mail"],
      );
    }));

  test("that did not begin the flow can use its ticket for nothing", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      const url = await connect(page, ABROAD, "calendar", { ticket_challenge: await makeChallenge(page) });
      const ticket = url.searchParams.get("porteiro_ticket");
      const verifier = await verifierOf(page);
      const friend = await pageOf(context, FRIEND);
      for (const json of [
        { ticket, verifier: "A".repeat(43) },
        { ticket: "A".repeat(43), verifier },
      ]) {
        assert.equal((await call(friend, `${ABROAD}/auth/session`, { method: "POST", json })).status, 401);
      }
      const evil = await pageOf(context, EVIL);
      const json = { ticket, verifier };
      assert.deepEqual(await call(evil, `${ABROAD}/auth/session`, { method: "POST", json }), { failed: "TypeError" });
      // None of this used it up.
      assert.equal((await call(page, `${ABROAD}/auth/session`, { method: "POST", json })).status, 200);
    }));

  test("must have a challenge for its ticket", () =>
    withProfile(async (context) => {
      const page = await pageOf(context, WWW);
      for (const challenge of [undefined, "short", "A".repeat(44)]) {
        const query = { return_to: `${WWW}/`, ...(challenge ? { ticket_challenge: challenge } : {}) };
        const answer = await page.goto(connectUrl(ABROAD, "calendar", query));
        assert.equal(answer?.status(), 400, challenge);
      }
    }));
});

describe("a link", () => {
  /** @returns {Promise<string>} */
  const newLink = async () => {
    const { host } = new URL(BESIDE);
    const answer = await new Promise((resolve, reject) => {
      const headers = { Host: host, Authorization: `Bearer ${ADMIN}` };
      const target = `${strict.url}/broker/admin/connections/crm/connect-link`;
      const sent = httpsRequest(target, { method: "POST", headers, rejectUnauthorized: false }, (response) => {
        let text = "";
        response.on("data", (chunk) => (text += chunk));
        response.once("end", () => resolve(JSON.parse(text)));
      });
      sent.once("error", reject);
      sent.end();
    });
    assert.ok(answer.url.startsWith(`${BESIDE}/auth/crm/link/`), JSON.stringify(answer));
    return answer.url;
  };

  for (const [locale, explains, button, done, over] of [
    ["pt-BR", "Alguém enviou este link", "Ir para o provedor", "A conta está conectada", "Este link não vale mais"],
    ["en-GB", "Somebody sent you this link", "Go to the provider", "The account is connected", "no longer valid"],
  ]) {
    test(`leads whoever gets it through the consent, in the language of their browser (${locale})`, () =>
      withProfile(
        async (context) => {
          /** @type {string[]} */
          const errors = [];
          const page = await context.newPage();
          page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
          const url = await newLink();
          await page.goto(url);
          await page.getByText(explains).waitFor();
          assert.equal(await page.locator("html").getAttribute("lang"), locale.startsWith("pt") ? "pt-BR" : "en");
          await page.getByRole("button", { name: button }).click();
          await page.getByText("Allow").click();
          await page.getByText(done).waitFor();
          assert.deepEqual(errors, []);
          assert.equal((await context.cookies()).filter(({ name }) => name === COOKIE).length, 0);
          const again = await page.goto(url);
          assert.equal(again?.status(), 404);
          await page.getByText(over).waitFor();
        },
        { locale },
      ));
  }

  test("needs no script", () =>
    withProfile(
      async (context) => {
        const page = await context.newPage();
        await page.goto(await newLink());
        await page.getByRole("button").click();
        await page.getByText("Allow").click();
        await page.getByText("The account is connected").waitFor();
      },
      { javaScriptEnabled: false, locale: "en" },
    ));

  test("is not used up by a browser or a preview that looks ahead", () =>
    withProfile(
      async (context) => {
        const url = await newLink();
        const page = await pageOf(context, WWW);
        const from = sites.arrivals.length;
        await page.evaluate((to) => {
          document.head.insertAdjacentHTML("beforeend", `<link rel="prefetch" href="${to}">`);
          const rules = document.createElement("script");
          rules.type = "speculationrules";
          rules.textContent = JSON.stringify({ prefetch: [{ source: "list", urls: [to], eagerness: "immediate" }] });
          document.head.append(rules);
        }, url);
        await until(() => sites.arrivals.length > from, "a request ahead");
        for (let i = 0; i < 2; i += 1) {
          const shown = await context.newPage();
          await shown.goto(url);
          await shown.getByRole("button", { name: "Go to the provider" }).waitFor();
          if (i === 0) continue;
          await shown.getByRole("button").click();
          await shown.getByText("Allow").click();
          await shown.getByText("The account is connected").waitFor();
        }
      },
      { locale: "en" },
    ));
});
