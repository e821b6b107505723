// Digital Manager Guru: a static user token, created in a person's profile, and events
// that carry the token of the account.

/** @import { Answer, Guru, Settings } from "../types.js" */

import { loadData, startProvider } from "../provider.mjs";
import { eventMaker, KINDS } from "./guru-events.mjs";

/** @type {import("./guru-events.mjs").Data} */
const data = loadData(new URL("./guru.json", import.meta.url));

const PAGE_LIMIT = 50;

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
      total_rows: rows.length,
    },
  };
}

/** @param {number} start */
const cursor = (start) => Buffer.from(`offset:${start}`).toString("base64url");
/** Where the page begins; NaN where the cursor is none. @param {string | null} text */
const offset = (text) =>
  text === null ? 0 : Number(/^offset:(\d+)$/.exec(Buffer.from(text, "base64url").toString())?.[1]);

/** @param {{ id: string }[]} rows @param {string} id */
const byId = (rows, id) => {
  const row = rows.find((candidate) => candidate.id === id);
  return row && { body: row };
};

// Where `npm start` serves the broker.
const WEBHOOK_URL = "http://127.0.0.1:8787/webhooks/guru";
const SEND_LIMIT_MS = 10_000;

/** Starts it; `webhookUrl` may be set later. @param {Settings} [settings] @returns {Promise<Guru>} */
export async function startGuru(settings) {
  /** @type {{ id: string, name: string, email: string, created_at: string }[]} */
  const contacts = [];
  const makeEvent = eventMaker(data);
  /** What was sent last, by its kind. @type {Record<string, string>} */
  const sent = {};

  /** @param {Record<string, unknown>} told a kind, and whether the same is to be sent again @returns {Promise<Answer>} */
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
      // The page that shows it must not hold the token.
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
      errors: {
        unauthorized: { message: "Unauthenticated." },
        notFound: { message: "Not found." },
        methodNotAllowed: { message: "Method not allowed." },
        tooLarge: { message: "Payload too large." },
        badBody: { message: "The body must be a JSON object." },
      },
      routes: {
        "GET /api/v2/transactions": ({ query }) => {
          const status = query.get("transaction_status");
          return page(status ? data.transactions.filter((row) => row.status === status) : data.transactions, query);
        },
        "GET /api/v2/transactions/:id": ({ params }) => byId(data.transactions, params.id),
        "GET /api/v2/subscriptions": ({ query }) => page(data.subscriptions, query),
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
