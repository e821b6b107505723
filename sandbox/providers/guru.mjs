// Digital Manager Guru: a static user token, created in a person's profile, and events with the account token.

/** @import { Answer, Guru, Settings } from "../types.js" */

import { loadData, startProvider } from "../provider.mjs";
import { eventMaker, KINDS } from "./guru-events.mjs";

/** @type {import("./guru-events.mjs").Data} */
const data = loadData(new URL("./guru.json", import.meta.url));

const PAGE_LIMIT = 100;
const LONGEST_DAYS = 180;
const DAY_MS = 24 * 60 * 60 * 1000;

/** The answer to invalid fields of a query. @param {Record<string, string>} errors */
const invalid = (errors) => ({
  status: 422,
  body: {
    message: "The given data was invalid.",
    errors: Object.fromEntries(Object.entries(errors).map(([name, message]) => [name, [message]])),
  },
});

/** The API gives times as Unix seconds, events give them as texts. @template T @param {T & { dates: Record<string, string | null> }} row */
const inSeconds = (row) => ({
  ...row,
  dates: Object.fromEntries(
    Object.entries(row.dates).map(([name, time]) => [name, time && Math.floor(Date.parse(time) / 1000)]),
  ),
});

/** The times of a transaction by which a query may filter. @type {Record<string, "created_at" | "confirmed_at">} */
const PERIODS = { ordered_at: "created_at", confirmed_at: "confirmed_at" };
/** The other parameters that count as a filter. */
const NAMES = ["contact_id", "contact_email", "id", "product_id", "subscription_id"];

/** @param {URLSearchParams} query */
function search(query) {
  let rows = data.transactions;
  let isFiltered = NAMES.some((name) => query.get(name));
  for (const [name, date] of Object.entries(PERIODS)) {
    const [first, last] = ["ini", "end"].map((end) => query.get(`${name}_${end}`));
    if (first === null && last === null) continue;
    const [from, to] = [first, last].map((day) =>
      day && /^\d{4}-\d\d-\d\d$/.test(day) ? Date.parse(day) : Number.NaN,
    );
    if (!(to >= from)) return invalid({ [`${name}_end`]: `The field ${name}_end must be a day from ${name}_ini on.` });
    if (to - from > LONGEST_DAYS * DAY_MS) {
      return invalid({ [`${name}_end`]: `The period may have ${LONGEST_DAYS} days.` });
    }
    isFiltered = true;
    rows = rows.filter((row) => {
      const day = Date.parse((row.dates[date] ?? "").slice(0, 10));
      return from <= day && day <= to;
    });
  }
  if (!isFiltered) {
    return invalid({ ordered_at_ini: "One of ordered_at_ini, confirmed_at_ini, contact_id or id is required." });
  }
  const [status, id] = ["transaction_status", "id"].map((name) => query.get(name));
  if (status) rows = rows.filter((row) => row.status === status);
  if (id) rows = rows.filter((row) => row.id === id);
  return page(rows.map(inSeconds), query);
}

/** @param {unknown[]} rows @param {URLSearchParams} query */
function page(rows, query) {
  const perPage = Math.min(Math.max(Number.parseInt(query.get("per_page") ?? "", 10) || 10, 1), PAGE_LIMIT);
  const start = offset(query.get("cursor"));
  if (!(start >= 0 && start < Math.max(rows.length, 1))) {
    return { status: 422, body: { message: "The cursor is invalid." } };
  }
  const more = start + perPage < rows.length;
  return {
    body: {
      data: rows.slice(start, start + perPage),
      has_more_pages: more ? 1 : 0,
      next_cursor: more ? cursor(start + perPage) : null,
      on_first_page: start === 0 ? 1 : 0,
      on_last_page: more ? 0 : 1,
      per_page: perPage,
      previous_cursor: start === 0 ? null : cursor(Math.max(start - perPage, 0)),
      ...(start === 0 && { total_rows: rows.length }),
    },
  };
}

/** @param {number} start */
const cursor = (start) => Buffer.from(`offset:${start}`).toString("base64url");
/** The index at which the page begins; NaN if the cursor is invalid. @param {string | null} text */
const offset = (text) =>
  text === null ? 0 : Number(/^offset:(\d+)$/.exec(Buffer.from(text, "base64url").toString())?.[1]);

/** @param {{ id: string, dates: Record<string, string | null> }[]} rows @param {string} id */
const byId = (rows, id) => {
  const row = rows.find((candidate) => candidate.id === id);
  return row && { body: inSeconds(row) };
};

// The address at which the broker is served, if not on another port.
const WEBHOOK_URL = "http://127.0.0.1:8787/webhooks/guru";
const SEND_LIMIT_MS = 10_000;

/** Starts the provider; `webhookUrl` may be set later. @param {Settings} [settings] @returns {Promise<Guru>} */
export async function startGuru(settings) {
  /** @type {{ id: string, name: string, email: string, created_at: string }[]} */
  const contacts = [];
  const makeEvent = eventMaker(data);
  /** The last event sent, by its kind. @type {Record<string, string>} */
  const sent = {};

  /**
   * @param {Record<string, unknown>} told the kind of the event, and whether to send the last event again @returns
   * {Promise<Answer>}
   */
  async function sendEvent({ kind, again }) {
    if (typeof kind !== "string" || !KINDS.includes(kind))
      return { status: 422, body: { message: `The kind must be one of ${KINDS.join(", ")}.` } };
    const { account_token: token } = guru.credentials;
    if (!again || !sent[kind]) sent[kind] = JSON.stringify(makeEvent(kind, token));
    try {
      const response = await fetch(guru.webhookUrl, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: sent[kind],
        signal: AbortSignal.timeout(SEND_LIMIT_MS),
      });
      const answer = { status: response.status, body: await response.text() };
      // The page that shows the event must not get the token.
      return { body: { event: { ...JSON.parse(sent[kind]), api_token: `${token.slice(0, 4)}…` }, answer } };
    } catch {
      return { status: 502, body: { message: "The broker did not answer." } };
    }
  }

  const provider = await startProvider(
    {
      name: "guru",
      prefix: "gu",
      basePath: "/api/v2",
      credentials: {
        token: "gu_ut_7|sandboxOnly0123456789abcdefghijklmnopqrs",
        account_token: "gu_at_sandboxOnly0123456789abcdefghijklm",
      },
      staticToken: ({ token }) => token,
      laravel: true,
      limits: {
        calls: { most: 360, seconds: 60 },
        told: ({ most, left, endsAt }) => ({
          "X-RateLimit-Limit": String(most),
          "X-RateLimit-Remaining": String(Math.max(left, 0)),
          ...(left < 0 && { "X-RateLimit-Reset": String(endsAt) }),
        }),
        refused: { status: 429, body: { message: "Too Many Attempts." } },
        identical: { status: 429, body: { message: "Identical concurrent request avoided." } },
      },
      errors: {
        unauthorized: { message: "Unauthenticated." },
        notFound: { message: "Not found." },
        methodNotAllowed: { message: "Method not allowed." },
        tooLarge: { message: "Payload too large." },
        badBody: { message: "The body must be a JSON object." },
      },
      routes: {
        "GET /api/v2/transactions": ({ query }) => search(query),
        "GET /api/v2/transactions/:id": ({ params }) => byId(data.transactions, params.id),
        "GET /api/v2/subscriptions": ({ query }) => page(data.subscriptions.map(inSeconds), query),
        "GET /api/v2/subscriptions/:id": ({ params }) => byId(data.subscriptions, params.id),
        "POST /api/v2/contacts": ({ json }) => {
          if (typeof json.name !== "string" || typeof json.email !== "string") {
            return { status: 422, body: { message: "The fields name and email are required." } };
          }
          const contact = {
            id: `ct_${String(contacts.length + 1).padStart(6, "0")}`,
            name: json.name,
            email: json.email,
            created_at: new Date().toISOString(),
          };
          contacts.push(contact);
          return { status: 201, body: contact };
        },
        "POST /sandbox/webhooks": ({ json }) => sendEvent(json),
      },
    },
    settings,
  );
  const guru = Object.assign(provider, { webhookUrl: WEBHOOK_URL });
  return guru;
}
