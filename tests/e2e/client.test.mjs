// porteiro/client in a real browser: from pages of the broker's site and of another one.

import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { ended, pageWith, startClientPages, use } from "./support/client-pages.mjs";
import { ABROAD, BESIDE, WWW } from "./support/consent-sites.mjs";

/** @import { Page } from "playwright-core" */

/** @type {Awaited<ReturnType<typeof startClientPages>>} */
let started;

before(async () => (started = await startClientPages()));

afterEach(() => started.provider.verify());

after(() => started?.close());

/** @param {Page} page @param {string} broker @param {string} connection @param {"Allow" | "Deny"} says */
async function connectByRedirect(page, broker, connection, says) {
  await page.evaluate((id) => void (/** @type {any} */ (window).porteiro.connect(id)), connection);
  await page.getByText(says).click();
  await page.waitForURL((url) => url.origin === WWW);
  await page.evaluate((address) => void (/** @type {any} */ (window).make(address)), broker);
}

/** @param {Page} page */
const outcome = (page) => page.evaluate(() => /** @type {any} */ (window).porteiro.outcome);

/** Connects in a window that a click opens; what comes of it is in `window.outcomes`. @param {Page} page @param {string} connection */
async function openPopup(page, connection) {
  await page.evaluate((id) => {
    const seen = /** @type {any} */ (window);
    document.body.innerHTML = "<button>Connect</button>";
    document.querySelector("button")?.addEventListener("click", () => {
      seen.outcomes ??= {};
      seen.outcomes[id] = seen.porteiro.connect(id, { popup: true }).then(
        (/** @type {any} */ session) => ({ subject: session && (session.person?.subject ?? "somebody") }),
        (/** @type {any} */ error) => ({ failed: error.code, status: error.status }),
      );
    });
  }, connection);
  const [popup] = await Promise.all([page.waitForEvent("popup"), page.getByText("Connect").click()]);
  await popup.getByText("Allow").waitFor();
  return popup;
}

/** @param {Page} page @param {string} connection @returns {Promise<unknown>} */
const outcomeOf = (page, connection) => page.evaluate((id) => /** @type {any} */ (window).outcomes[id], connection);

/** @param {Page} page @param {string} connection @param {"Allow" | "Deny" | null} says null closes the window */
async function connectInPopup(page, connection, says) {
  const popup = await openPopup(page, connection);
  if (says) await popup.getByText(says).click();
  else {
    // What is said by another window than the broker's does not count.
    await page.evaluate((id) => {
      window.postMessage({ source: "porteiro", connection: id, outcome: "failed", code: "forged" });
    }, connection);
    await popup.close();
  }
  return outcomeOf(page, connection);
}

for (const [where, broker] of /** @type {const} */ ([
  ["of the broker's site", BESIDE],
  ["of another site", ABROAD],
])) {
  describe(`a page ${where}`, () => {
    test("connects by redirect, and its address keeps nothing of it", () =>
      started.withProfile(async (context) => {
        const page = await pageWith(context, broker, "/back?flag&a=b%20c#here");
        assert.equal(await use(page, "session"), null);
        assert.equal(await ended(page), 0);
        await connectByRedirect(page, broker, "calendar", "Allow");
        assert.equal(page.url(), `${WWW}/back?flag&a=b%20c#here`);
        assert.deepEqual(await outcome(page), { outcome: "connected", code: null, connection: "calendar" });
        const { status, body } = await use(page, "fetch", "/api/calendar/api/me");
        assert.deepEqual([status, body.user], [200, "ana"]);
        const { person, connections } = await use(page, "session");
        assert.deepEqual([person.subject, connections.length], ["ana", 1]);
        assert.equal(await page.evaluate(() => sessionStorage.length), 0);
      }));

    test("connects in a window", () =>
      started.withProfile(async (context) => {
        const page = await pageWith(context, broker);
        assert.deepEqual(await connectInPopup(page, "calendar", "Allow"), { subject: "ana" });
        assert.equal((await use(page, "fetch", "/api/calendar/api/me")).status, 200);
        const missing = await use(page, "fetch", "/api/mail/api/me");
        assert.deepEqual([missing.name, missing.status, missing.code], ["PorteiroError", 401, "not_connected"]);
        assert.equal(missing.connectUrl, `${broker}/auth/mail/connect`);
        assert.match(missing.requestId, /^[\w-]{16,}$/);
      }));

    test("is told of a refusal, and of a window that somebody closed", () =>
      started.withProfile(async (context) => {
        const page = await pageWith(context, broker);
        assert.deepEqual(await connectInPopup(page, "calendar", "Deny"), { failed: "access_denied", status: 0 });
        assert.deepEqual(await connectInPopup(page, "calendar", null), { subject: null });
        await connectByRedirect(page, broker, "calendar", "Deny");
        assert.deepEqual(await outcome(page), { outcome: "failed", code: "access_denied", connection: "calendar" });
        assert.equal(await use(page, "session"), null);
      }));

    test("connects two accounts in two windows at once", () =>
      started.withProfile(async (context) => {
        const page = await pageWith(context, broker);
        // Flows that begin without a session begin one each.
        await connectInPopup(page, "calendar", "Allow");
        const [calendar, mail] = [await openPopup(page, "calendar"), await openPopup(page, "mail")];
        await mail.getByText("Allow").click();
        assert.deepEqual(await outcomeOf(page, "mail"), { subject: "ana" });
        await calendar.getByText("Allow").click();
        assert.deepEqual(await outcomeOf(page, "calendar"), { subject: "ana" });
        const { connections } = await use(page, "session");
        assert.deepEqual(connections.map((/** @type {{ id: string }} */ { id }) => id).sort(), ["calendar", "mail"]);
      }));

    test("leaves for the provider where the browser opens no window, and comes back to where it says", () =>
      started.withProfile(async (context) => {
        const page = await pageWith(context, broker);
        await page.evaluate(() => {
          window.open = () => null;
          void (/** @type {any} */ (window).porteiro.connect("calendar", { popup: true, returnTo: "done?a#b" }));
        });
        await page.getByText("Allow").click();
        await page.waitForURL((url) => url.origin === WWW);
        await page.evaluate((address) => void (/** @type {any} */ (window).make(address)), broker);
        assert.equal(page.url(), `${WWW}/done?a#b`);
        assert.equal((await use(page, "session")).person.subject, "ana");
      }));

    test("whose person goes back before they were led back is as it was", () =>
      started.withProfile(async (context) => {
        const page = await pageWith(context, broker);
        await context.route(`${broker}/auth/calendar/connect?**`, (route) => route.fulfill({ status: 204 }));
        const connected = page.evaluate(async () => {
          const connecting = /** @type {any} */ (window).porteiro.connect("calendar");
          // What a browser does when it shows a page again that it kept.
          setTimeout(() => dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true })), 100);
          return connecting;
        });
        assert.equal(await connected, null);
      }));

    test("takes no ticket that it did not ask for", () =>
      started.withProfile(async (context) => {
        const page = await pageWith(context, broker, "/?porteiro=connected&porteiro_ticket=somebody-elses");
        assert.equal(page.url(), `${WWW}/`);
        started.sites.arrivals.length = 0;
        assert.equal(await use(page, "session"), null);
        const asked = started.sites.arrivals.filter(({ method }) => method !== "OPTIONS");
        assert.deepEqual(
          asked.map(({ method, path }) => [method, path]),
          [["GET", "/broker/auth/session"]],
        );
      }));

    test("signs out at the provider, too, where it has a page for that", () =>
      started.withProfile(async (context) => {
        const page = await pageWith(context, broker);
        await connectInPopup(page, "calendar", "Allow");
        const left = page.waitForURL((url) => url.pathname.endsWith("/end-session"));
        await page.route(`${started.provider.url}/end-session?**`, (route) => route.fulfill({ body: "bye" }));
        await page.evaluate(
          () => void (/** @type {any} */ (window).porteiro.signOut({ provider: true, returnTo: "/bye" })),
        );
        await left;
        assert.equal(new URL(page.url()).searchParams.get("post_logout_redirect_uri"), `${WWW}/bye`);
      }));

    test("that knew nobody is told when who signed in elsewhere leaves", () =>
      started.withProfile(async (context) => {
        const [early, page] = [await pageWith(context, broker, "/early"), await pageWith(context, broker)];
        assert.equal(await use(early, "session"), null);
        await connectInPopup(page, "calendar", "Allow");
        assert.equal((await use(early, "fetch", "/api/calendar/api/me")).status, 200);
        await use(page, "signOut");
        await early.waitForFunction(() => /** @type {any} */ (window).ended === 1);
      }));

    test("disconnects and signs out, and every page of the application knows", () =>
      started.withProfile(async (context) => {
        const page = await pageWith(context, broker);
        await connectInPopup(page, "calendar", "Allow");
        const other = await pageWith(context, broker, "/other");
        assert.equal((await use(other, "session")).person.subject, "ana");
        await use(page, "disconnect", "calendar");
        assert.equal((await use(page, "fetch", "/api/calendar/api/me")).code, "not_connected");
        assert.deepEqual([await ended(page), await ended(other)], [0, 0]);
        await use(page, "signOut");
        await other.waitForFunction(() => /** @type {any} */ (window).ended === 1);
        assert.equal(await ended(page), 1);
        assert.equal((await use(page, "fetch", "/api/calendar/api/me")).code, "caller_unauthenticated");
        // It had ended before.
        assert.equal(await ended(page), 1);
        assert.equal(await use(other, "session"), null);
        assert.equal(await ended(other), 1);
      }));
  });
}
