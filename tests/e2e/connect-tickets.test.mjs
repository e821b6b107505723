// Consents where the session's cookie goes to pages of other sites: the page that began a flow gets it for a ticket.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { assertEveryAnswer, assertProblem, assertStatus } from "./support/assertions.mjs";
import { ORIGIN } from "./support/broker.mjs";
import { Browser } from "./support/browser.mjs";
import {
  begin,
  broker,
  callApi,
  comeBack,
  connect,
  outcomeOf,
  PAGE,
  provider,
  useConsents,
} from "./support/consents.mjs";
import { CROSS_SITE, sessionIdOf, setCookies } from "./support/person.mjs";
import { search } from "./support/search.mjs";

/** @import { CallOptions } from "./support/client.mjs" */
/** @import { Decision } from "./support/strict-provider.mjs" */

const OTHER = "https://other.example.com";

useConsents({ vars: { SESSION_CROSS_SITE: true, ALLOWED_ORIGINS: [ORIGIN, OTHER] } });

const newVerifier = () => randomBytes(32).toString("base64url");
const challengeOf = (/** @type {string} */ verifier) => createHash("sha256").update(verifier).digest("base64url");

/**
 * Runs a flow of the page's; gives the ticket that comes of it.
 *
 * @param {Browser} browser
 * @param {string} verifier
 * @param {Decision} [decision]
 */
async function ticketFor(browser, verifier, decision) {
  const query = { return_to: PAGE, ticket_challenge: challengeOf(verifier) };
  const answer = await connect(browser, "calendar", { query, decision });
  const { porteiro, porteiro_ticket: ticket, ...rest } = outcomeOf(answer);
  assert.deepEqual([porteiro, rest], ["connected", {}]);
  assert.match(ticket, /^[A-Za-z0-9_-]{43}$/);
  return { ticket, answer };
}

/**
 * Exchanges a ticket, from a page of another site.
 *
 * @param {Browser} browser
 * @param {unknown} json
 * @param {Omit<CallOptions, "headers">} [options]
 */
const redeem = (browser, json, options) =>
  browser.fetch("/auth/session", { method: "POST", json, site: "cross-site", ...options });

describe("a ticket", () => {
  test("brings the page that began the flow the cookie of its session", async () => {
    const verifier = newVerifier();
    const top = new Browser(broker);
    const { ticket, answer } = await ticketFor(top, verifier);
    const session = sessionIdOf(answer, CROSS_SITE);
    // The page's cookies are others than those of the window in which the flow was.
    const page = new Browser(broker);
    const redeemed = assertStatus(await redeem(page, { ticket, verifier }));
    assertEveryAnswer(redeemed, "ticket");
    assert.equal(sessionIdOf(redeemed, CROSS_SITE), session);
    assert.equal(redeemed.headers["access-control-allow-origin"], ORIGIN);
    const { person, connections } = redeemed.json();
    assert.deepEqual([person.subject, connections.length], ["ana", 1]);
    assert.deepEqual(redeemed.json(), assertStatus(await page.fetch("/auth/session", { site: "cross-site" })).json());
    assertStatus(await callApi(page, "calendar"));
  });

  test("is good once, of ten at once", async () => {
    const verifier = newVerifier();
    const { ticket } = await ticketFor(new Browser(broker), verifier);
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => redeem(new Browser(broker), { ticket, verifier })),
    );
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(9).fill(401)]);
    for (const answer of answers.filter(({ status }) => status === 401)) {
      assertProblem(answer, 401, "caller_unauthenticated");
      assert.deepEqual(setCookies(answer), []);
    }
  });

  test("is good with its verifier alone: who steals it from the address has nothing", async () => {
    const verifier = newVerifier();
    const { ticket } = await ticketFor(new Browser(broker), verifier);
    for (const wrong of [newVerifier(), challengeOf(verifier), `${verifier}A`, verifier.slice(1), "A".repeat(43)]) {
      assertProblem(await redeem(new Browser(broker), { ticket, verifier: wrong }), 401, "caller_unauthenticated");
    }
    assertProblem(
      await redeem(new Browser(broker), { ticket: newVerifier(), verifier }),
      401,
      "caller_unauthenticated",
    );
    // None of that used it up.
    assertStatus(await redeem(new Browser(broker), { ticket, verifier }));
  });

  test("of another person signs nobody in at a page that did not begin that flow", async () => {
    const [own, theirs] = [newVerifier(), newVerifier()];
    const { ticket } = await ticketFor(new Browser(broker), theirs, { sub: "mallory" });
    const victim = new Browser(broker);
    await begin(victim, "calendar", { return_to: PAGE, ticket_challenge: challengeOf(own) });
    assertProblem(await redeem(victim, { ticket, verifier: own }), 401, "caller_unauthenticated");
    assert.equal(victim.session, undefined);
  });

  test("is for the origin of return_to alone", async () => {
    for (const [origin, status] of /** @type {const} */ ([
      [OTHER, 401],
      ["https://evil.example", 403],
      ["null", 403],
      [undefined, 403],
    ])) {
      const verifier = newVerifier();
      const { ticket } = await ticketFor(new Browser(broker), verifier);
      const answer = await redeem(new Browser(broker), { ticket, verifier }, { origin });
      assert.equal(answer.status, status, `${origin}: ${answer.text}`);
      assert.deepEqual(setCookies(answer), []);
    }
  });

  test("comes as JSON, which no form sends without a preflight", async () => {
    const verifier = newVerifier();
    const { ticket } = await ticketFor(new Browser(broker), verifier);
    const body = JSON.stringify({ ticket, verifier });
    for (const type of ["text/plain", "application/x-www-form-urlencoded", ""]) {
      const answer = await new Browser(broker).fetch("/auth/session", {
        method: "POST",
        body,
        site: "cross-site",
        headers: type ? { "Content-Type": type } : {},
      });
      assertProblem(answer, 400, "bad_request");
    }
    for (const json of [{}, [], { ticket }, { verifier }, { ticket, verifier: 7 }, { ticket: "", verifier }, "x"]) {
      assertProblem(await redeem(new Browser(broker), json), 400, "bad_request");
    }
    assertProblem(
      await redeem(new Browser(broker), { ticket, verifier, more: "x".repeat(9000) }),
      413,
      "body_too_large",
    );
    assertStatus(await redeem(new Browser(broker), { ticket, verifier }));
  });

  test("is worth nothing once its session has ended", async () => {
    const verifier = newVerifier();
    const top = new Browser(broker);
    const { ticket } = await ticketFor(top, verifier);
    assertStatus(await top.fetch("/auth/logout", { method: "POST" }), 204);
    assertProblem(await redeem(new Browser(broker), { ticket, verifier }), 401, "caller_unauthenticated");
  });

  test("is in no log", async () => {
    const verifier = newVerifier();
    const { ticket } = await ticketFor(new Browser(broker), verifier);
    const answer = await redeem(new Browser(broker), { ticket, verifier });
    await broker.logged(({ request_id }) => request_id === answer.headers["x-request-id"]);
    assert.deepEqual(search({ log: broker.output.join("\n") }, { ticket, verifier }), []);
    assert.deepEqual(
      search(
        { answer: JSON.stringify(answer.rawHeaders.filter(([name]) => !/set-cookie/i.test(name))) + answer.text },
        { ticket, verifier },
      ),
      [],
    );
  });
});

describe("a flow", () => {
  test("of a page of another origin needs one challenge of the right form", async () => {
    const browser = new Browser(broker);
    const challenge = challengeOf(newVerifier());
    for (const query of [
      "",
      "&ticket_challenge=",
      "&ticket_challenge=short",
      `&ticket_challenge=${challenge}A`,
      `&ticket_challenge=${challenge}&ticket_challenge=${challenge}`,
      `&ticket_challenge=${challenge.slice(1)}%2B`,
    ]) {
      const answer = await browser.request(
        `${broker.url}/auth/calendar/connect?return_to=${encodeURIComponent(PAGE)}${query}`,
      );
      assertProblem(answer, 400, "bad_request");
      assert.deepEqual(setCookies(answer), []);
    }
  });

  test("of the broker's own page needs none, and gives none", async () => {
    const browser = new Browser(broker);
    const answer = await connect(browser, "calendar", { query: {} });
    assert.equal(answer.headers.location, `${broker.url}/?porteiro=connected`);
    sessionIdOf(answer, CROSS_SITE);
  });

  test("that fails gives no ticket, and takes out one that the address had", async () => {
    const page = `${ORIGIN}/?porteiro_ticket=planted`;
    const query = { return_to: page, ticket_challenge: challengeOf(newVerifier()) };
    const answer = await connect(new Browser(broker), "calendar", { query, decision: { error: "access_denied" } });
    assert.equal(answer.headers.location, `${ORIGIN}/?porteiro=failed&porteiro_code=access_denied`);
    const location = await begin(new Browser(broker), "calendar", query);
    const strange = await comeBack(new Browser(broker), provider.decide(location));
    assert.equal(strange.headers.location, `${broker.url}/?porteiro=failed&porteiro_code=flow_mismatch`);
  });

  test("in a popup gives its ticket to the opener with the outcome", async () => {
    const verifier = newVerifier();
    const query = { return_to: PAGE, display: "popup", ticket_challenge: challengeOf(verifier) };
    const { text } = assertStatus(await connect(new Browser(broker), "calendar", { query }));
    const [, message, origin] = /postMessage\((\{.*?\}),("[^"]*")\)/.exec(text) ?? [];
    const { ticket, ...rest } = JSON.parse(message);
    assert.deepEqual(
      [rest, JSON.parse(origin)],
      [{ source: "porteiro", connection: "calendar", outcome: "connected", code: null }, ORIGIN],
    );
    assertStatus(await redeem(new Browser(broker), { ticket, verifier }));
    const failed = await connect(new Browser(broker), "calendar", { query, decision: { error: "access_denied" } });
    assert.ok(!failed.text.includes("ticket"));
  });
});
