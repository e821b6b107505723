// What the tests of consents share: a strict provider, one that wants its requests pushed, one that is hostile, and a
// broker with connections to all of them.

import assert from "node:assert/strict";
import { after, afterEach, before } from "node:test";
import { freePort } from "../../../scripts/processes.mjs";
import { assertStatus } from "./assertions.mjs";
import { EVERYTHING, ORIGIN, startBroker } from "./broker.mjs";
import { Browser } from "./browser.mjs";
import { makeKey } from "./issuer.mjs";
import { startReceiver } from "./receiver.mjs";
import { startProvider } from "./strict-provider.mjs";

/** @import { Broker, LogLine, Secrets, Vars } from "./broker.mjs" */
/** @import { Navigation } from "./browser.mjs" */
/** @import { Answer, CallOptions } from "./client.mjs" */
/** @import { Inbox, Receiver } from "./receiver.mjs" */
/** @import { Decision, Provider } from "./strict-provider.mjs" */

export const ADMIN = "operator-key-0123456789abcdef";

/** Where a page of the front end waits for the outcome. */
export const PAGE = `${ORIGIN}/accounts?tab=1#list`;

/** @type {Broker} */
export let broker;
/** The provider of most connections. @type {Provider} */
export let provider;
/** Wants its requests pushed, and clients proven by their keys. @type {Provider} */
export let pushing;
/** Another provider, whose operator attacks. @type {Provider} */
export let hostile;
/** @type {Receiver} */
export let receiver;
/** The webhook of the registered connection `tenant`. @type {Inbox} */
export let inbox;
/** What registers `tenant`. @type {Vars} */
export let registration;

const key = makeKey("ES256", { kid: "porteiro" });
const RULES = [{ callers: ["session"], methods: ["GET", "POST"], paths: ["/api/**"] }];

/**
 * Starts all of it for the tests of a file.
 *
 * @param {{ vars?: Vars }} [settings]
 */
export function useConsents({ vars = {} } = {}) {
  before(async () => {
    [provider, pushing, hostile] = await Promise.all([
      startProvider(),
      startProvider({ par: true }),
      startProvider({ iss: false }),
    ]);
    receiver = await startReceiver();
    inbox = receiver.inbox("tenant", { provider: "custom", webhook: { token_field: "api_token" } });
    const client = provider.register("porteiro");
    const basic = provider.register("porteiro-basic", { auth: "basic", secret: "a&b=%2B+c d/é:x" });
    const pushed = pushing.register("porteiro", { auth: "private_key_jwt", key });
    const theirs = hostile.register("porteiro");
    /** @param {Provider} at @param {Vars} [fields] */
    const people = (at, fields) => ({
      provider: "custom",
      grant: "authorization_code",
      subject: "user",
      issuer: at.issuer.issuer,
      client_id: "porteiro",
      base_url: at.url,
      rules: RULES,
      ...fields,
    });
    /** @param {Provider} at */
    const plain = (at) => ({
      issuer: undefined,
      authorize_url: `${at.url}/authorize`,
      token_url: `${at.url}/token`,
      revocation_url: `${at.url}/revoke`,
    });
    registration = {
      ...people(provider),
      subject: undefined,
      client_id: "porteiro",
      callback: "crm",
      labels: { name: "Padaria <b>São João</b>" },
      rules: [EVERYTHING],
      webhook: inbox.vars.webhook,
    };
    /** @type {Vars} */
    const CONNECTIONS = {
      calendar: people(provider, {
        scope: "openid events",
        person_claims: ["email", "tier"],
        authorize_params: { prompt: "consent", access_type: "offline" },
      }),
      plain: people(provider, {
        ...plain(provider),
        scope: "events",
        client_id: "porteiro-basic",
        client_auth: "basic",
      }),
      pushed: people(pushing, { scope: "openid events", client_auth: "private_key_jwt", key_id: key.kid }),
      entrance: people(provider, { scope: "openid", base_url: undefined, rules: undefined, person_claims: ["email"] }),
      "club-a": people(provider, { scope: "a", callback: "club" }),
      "club-b": people(provider, { scope: "b", callback: "club" }),
      theirs: people(hostile, { scope: "openid events" }),
      "theirs-plain": people(hostile, { ...plain(hostile), scope: "events" }),
      crm: people(provider, { subject: "service", scope: "crm", rules: [EVERYTHING] }),
      // Its issuer says nothing.
      lost: people(provider, { issuer: `${provider.url}/nowhere`, scope: "openid" }),
      vip: {
        provider: "custom",
        base_url: provider.url,
        grant: "static",
        rules: [
          { callers: ["gold"], methods: ["GET"], paths: ["/api/vip/**"] },
          { callers: ["member"], methods: ["GET"], paths: ["/api/people/{claims.sub}/**"] },
        ],
      },
    };
    broker = await startBroker({
      // The redirect addresses outlive a restart.
      port: await freePort(),
      vars: {
        CALLERS: {
          backend: { kind: "key" },
          member: { kind: "session", connection: "calendar" },
          gold: { kind: "session", connection: "calendar", claims: { tier: "gold" } },
        },
        CONNECTIONS: JSON.parse(JSON.stringify(CONNECTIONS)),
        ...vars,
      },
      secrets: {
        ADMIN_KEY: ADMIN,
        VIP_TOKEN: "a-static-token-of-vip",
        PLAIN_CLIENT_SECRET: basic.secret,
        PUSHED_PRIVATE_KEY: String(key.privateKey.export({ type: "pkcs8", format: "pem" })),
        THEIRS_CLIENT_SECRET: theirs.secret,
        THEIRS_PLAIN_CLIENT_SECRET: theirs.secret,
        ...Object.fromEntries(
          ["CALENDAR", "ENTRANCE", "CLUB_A", "CLUB_B", "CRM", "LOST"].map((id) => [
            `${id}_CLIENT_SECRET`,
            client.secret,
          ]),
        ),
      },
    });
    registration.secrets = {
      client_secret: client.secret,
      account_token: inbox.secrets.TENANT_ACCOUNT_TOKEN,
      webhook_secret: inbox.secrets.TENANT_WEBHOOK_SECRET,
    };
    registration = JSON.parse(JSON.stringify(registration));
    const base = `${broker.url}${broker.vars.BASE_PATH ?? ""}/auth/callback`;
    client.redirectUris.push(...["calendar", "entrance", "club", "crm"].map((name) => `${base}/${name}`));
    basic.redirectUris.push(`${base}/plain`);
    pushed.redirectUris.push(`${base}/pushed`);
    theirs.redirectUris.push(`${base}/theirs`, `${base}/theirs-plain`);
  });

  afterEach(() => {
    for (const each of [provider, pushing, hostile]) each.verify();
  });

  after(async () => {
    await broker?.stop();
    await receiver?.close();
    await Promise.all([provider, pushing, hostile].map((each) => each?.close()));
  });
}

/**
 * Begins a flow: where the browser is sent to.
 *
 * @param {Browser} browser
 * @param {string} id
 * @param {{ [name: string]: string }} [query]
 */
export async function begin(browser, id, query = { return_to: PAGE }) {
  const answer = assertStatus(await browser.begin(id, query), 303);
  return answer.headers.location;
}

/**
 * Comes back from the provider, whose page the person used.
 *
 * @param {Browser} browser
 * @param {string} url
 * @param {Navigation} [options]
 */
export const comeBack = (browser, url, options) => browser.request(url, { site: "cross-site", ...options });

/**
 * Runs a whole flow; gives the answer at its end.
 *
 * @param {Browser} browser
 * @param {string} id
 * @param {{ at?: Provider, decision?: Decision, query?: { [name: string]: string } }} [options]
 */
export async function connect(browser, id, { at = provider, decision, query } = {}) {
  return comeBack(browser, at.decide(await begin(browser, id, query), decision));
}

/**
 * A browser that is connected.
 *
 * @param {string} id
 * @param {Parameters<typeof connect>[2]} [options]
 * @param {Browser} [browser]
 */
export async function connected(id, options, browser = new Browser(broker)) {
  const answer = await connect(browser, id, options);
  assert.deepEqual(outcomeOf(answer), { porteiro: "connected" });
  return browser;
}

/**
 * The outcome that a redirect tells, which must lead to `page`.
 *
 * @param {Answer} answer
 * @param {string} [page]
 */
export function outcomeOf(answer, page = PAGE) {
  assertStatus(answer, 303);
  const url = new URL(answer.headers.location);
  const outcome = Object.fromEntries([...url.searchParams].filter(([name]) => /^porteiro(_|$)/.test(name)));
  for (const name of Object.keys(outcome)) url.searchParams.delete(name);
  assert.equal(url.href, new URL(page).href);
  return outcome;
}

/**
 * Checks that a flow failed with `code`, at `page`.
 *
 * @param {Answer} answer
 * @param {string} code
 * @param {string} [page]
 */
export function assertFailed(answer, code, page) {
  assert.deepEqual(outcomeOf(answer, page), { porteiro: "failed", porteiro_code: code });
  assert.deepEqual(answer.headers["set-cookie"], undefined);
}

/** The broker's own address, where a flow ends that this browser did not begin. */
export const ownPage = () => `${broker.url}/`;

/** @param {Browser} browser @param {string} id @param {string} [path] */
export const callApi = (browser, id, path = "/api/me") => browser.fetch(`/api/${id}${path}`);

/** Requests to the admin interface. @param {string} target @param {CallOptions} [options] */
export const admin = (target, options) => broker.call(`/admin/${target}`, { key: ADMIN, ...options });

/** The line of an operator's list. @param {string} id */
export async function entry(id) {
  const { connections } = assertStatus(await admin("connections")).json();
  return connections.find((/** @type {{ id: string }} */ one) => one.id === id);
}

/**
 * The lines of flows that the request wrote whose answer this is.
 *
 * @param {Answer} answer
 * @returns {Promise<LogLine[]>}
 */
export async function flowLines({ headers }) {
  const id = headers["x-request-id"];
  // The line of the request itself is its last.
  await broker.logged(({ event, request_id }) => event === "call" && request_id === id);
  return broker.logs.filter(({ event, request_id }) => event === "connect" && request_id === id);
}

/**
 * Checks that `act` sends nothing to any token endpoint.
 *
 * @template T
 * @param {() => Promise<T>} act
 */
export async function withoutExchange(act) {
  const all = () => [provider, pushing, hostile].map(({ tokenRequests }) => tokenRequests.length);
  const before = all();
  const result = await act();
  assert.deepEqual(all(), before, "a token request");
  return result;
}

/** @param {string} location */
export const stateOf = (location) => new URL(location).searchParams.get("state") ?? "";

/**
 * `url` with these parameters instead of its own.
 *
 * @param {string} url
 * @param {{ [name: string]: string | null }} params null removes one
 */
export function withParams(url, params) {
  const changed = new URL(url);
  for (const [name, value] of Object.entries(params)) {
    if (value === null) changed.searchParams.delete(name);
    else changed.searchParams.set(name, value);
  }
  return changed.href;
}
