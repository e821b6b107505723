// The events that Guru sends about sales and subscriptions, with the fields that Guru documents.
// https://docs.digitalmanager.guru/developers/webhook-para-transacoes
// https://docs.digitalmanager.guru/developers/webhook-para-assinaturas

/**
 * @typedef {{ name: string, email: string }} Contact
 * @typedef {{ method: string, currency: string, total: number, installments: { qty: number } }} Payment
 * @typedef {object} Transaction
 * @property {string} id
 * @property {string} status
 * @property {string} type
 * @property {Contact} contact
 * @property {{ name: string, internal_id: string }} product
 * @property {Payment} payment
 * @property {{ created_at: string, confirmed_at: string | null }} dates
 *
 * @typedef {object} Subscription
 * @property {string} id
 * @property {string} last_status
 * @property {Contact} contact
 * @property {{ name: string }} product
 * @property {string} payment_method
 * @property {number} charged_every_days
 * @property {number} value
 * @property {{ started_at: string, next_cycle_at: string }} dates
 *
 * @typedef {{ transactions: Transaction[], subscriptions: Subscription[] }} Data
 */

import { randomUUID } from "node:crypto";

const STATES = ["waiting_payment", "approved", "refunded"];

/** An abandoned checkout is also a transaction. */
export const KINDS = [...STATES, "abandoned", "subscription"];

const DAY_MS = 24 * 60 * 60 * 1000;

/** @param {Date} at */
const time = (at) => `${at.toISOString().slice(0, 19)}Z`;
/** @param {Date} at */
const day = (at) => at.toISOString().slice(0, 10);

/** @param {{ contact: Contact }} row */
const person = ({ contact }) => ({
  id: randomUUID(),
  ...contact,
  phone_local_code: "55",
  phone_number: "1190000-1111",
  address_city: "São Paulo",
  address_state: "SP",
  address_country: "BR",
});

/** Returns a function that makes the next event of a kind. @param {Data} data */
export function eventMaker({ transactions, subscriptions }) {
  let made = 0;
  /** The current transaction, which passes through states. @type {Sale | undefined} */
  let sale;
  /** @template T @param {T[]} rows */
  const next = (rows) => rows[made++ % rows.length];

  /**
   * A new transaction, with its dates by name.
   * @typedef {ReturnType<typeof begin> & { status?: string }} Sale
   * @param {string} now
   */
  function begin(now) {
    const row = next(transactions);
    /** @type {Record<string, string>} */
    const dates = { ordered_at: now, created_at: now };
    return { row, id: randomUUID(), contact: person(row), dates };
  }

  /**
   * All states of a transaction are sent under one id; a state that it has already passed begins a new transaction.
   * @param {string} status
   * @param {string} now
   */
  function reach(status, now) {
    if (!sale || STATES.indexOf(status) <= STATES.indexOf(sale.status ?? "")) sale = begin(now);
    sale.status = status;
    if (status !== "waiting_payment") sale.dates.confirmed_at ??= now;
    if (status === "refunded") sale.dates.canceled_at = now;
    return sale;
  }

  /** @param {string} status */
  function transaction(status) {
    const now = time(new Date());
    const { row, id, contact, dates } = STATES.includes(status) ? reach(status, now) : begin(now);
    const { method, currency, total, installments } = row.payment;
    const { name, internal_id } = row.product;
    return {
      id,
      status,
      type: row.type,
      checkout_url: `https://checkout.example/${internal_id}`,
      contact,
      dates: { confirmed_at: null, canceled_at: null, ...dates, updated_at: now },
      payment: {
        method: status === "abandoned" ? null : method,
        currency,
        total,
        gross: total,
        net: total,
        discount_value: 0,
        installments: { ...installments, value: total / installments.qty, interest: 0 },
        refund_reason: status === "refunded" ? "Desistência" : "",
        refuse_reason: "",
      },
      product: { id: internal_id, internal_id, name, type: "product", qty: 1, unit_value: total, total_value: total },
      source: { source: "", checkout_source: "", utm_source: "newsletter", utm_campaign: "lancamento" },
      subscription: [],
    };
  }

  function subscription() {
    const now = new Date();
    const row = next(subscriptions.filter(({ last_status }) => last_status === "active"));
    const end = new Date(now.getTime() + row.charged_every_days * DAY_MS);
    return {
      id: row.id,
      subscription_code: row.id,
      last_status: row.last_status,
      name: row.product.name,
      provider: "guru",
      payment_method: row.payment_method,
      charged_every_days: row.charged_every_days,
      charged_times: 1,
      cancel_at_cycle_end: 0,
      cancel_reason: null,
      trial_days: 0,
      dates: {
        started_at: row.dates.started_at,
        cycle_start_date: day(now),
        cycle_end_date: day(end),
        next_cycle_at: day(end),
        last_status_at: time(now),
        canceled_at: null,
      },
      current_invoice: {
        id: randomUUID(),
        status: "paid",
        type: "cycle",
        cycle: 1,
        value: row.value,
        charge_at: day(now),
        period_start: day(now),
        period_end: day(end),
        subscription_id: row.id,
      },
      subscriber: person(row),
      product: { name: row.product.name, offer: { name: row.product.name, value: row.value } },
    };
  }

  return (/** @type {string} */ kind, /** @type {string} */ token) =>
    kind === "subscription"
      ? { webhook_type: kind, api_token: token, ...subscription() }
      : { webhook_type: "transaction", api_token: token, ...transaction(kind) };
}
