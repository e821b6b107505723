// The connections of a fictitious company: one of each kind that an operator meets.

import { entryOf, eventOf, NOON, rfc3339 } from "./operators.mjs";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** @param {number} ms from noon */
const at = (ms) => rfc3339(NOON + ms);
/** @type {(age: number, length: number) => { obtained_at: string, expires_at: string }} */
const life = (age, length) => ({ obtained_at: at(-age), expires_at: at(length - age) });
const NONE = { obtained_at: null, expires_at: null };
/** @typedef {{ reason?: string, status?: number }} Answered what the token endpoint answered */
/** @type {(code: string, age: number, answered?: Answered) => { last_error: { code: string, at: string } & Answered }} */
const failed = (code, age, answered = {}) => ({ last_error: { code, at: at(-age), ...answered } });

export const house = () => [
  entryOf("guru", {
    provider: "guru",
    grant: "static",
    ...NONE,
    grants: 0,
    sealing_key: null,
    webhooks: { pending: 1, failed: 2 },
  }),
  entryOf("hubsoft", {
    provider: "hubsoft",
    grant: "password",
    ...life(12 * DAY, 30 * DAY),
    grants: 9,
    ...failed("token_endpoint_timeout", 12 * DAY + 3 * MINUTE),
  }),
  entryOf("hubsoft-north", {
    provider: "hubsoft",
    grant: "password",
    state: "rejected",
    ...NONE,
    grants: 41,
    retry_at: at(22 * MINUTE + 5 * SECOND),
    ...failed("credentials_rejected", 38 * MINUTE, { reason: "invalid_grant", status: 400 }),
  }),
  entryOf("hubsoft-people", {
    provider: "hubsoft",
    grant: "password",
    subject: "user",
    ...NONE,
    grants: 0,
    sealing_key: null,
  }),
  entryOf("ledger", {
    ...life(12 * MINUTE, HOUR),
    grants: 1_204,
    sealing_key: "k2",
    webhooks: { pending: 0, failed: 0 },
  }),
  entryOf("mapping", {
    grant: "refresh_token",
    source: "registry",
    ...life(52 * MINUTE, HOUR),
    grants: 311,
    sealing_key: "k2",
  }),
  entryOf("stock", {
    state: "waiting",
    ...life(47 * MINUTE, HOUR),
    grants: 96,
    retry_at: at(42 * SECOND),
    ...failed("token_endpoint_unreachable", 18 * SECOND, { status: 503 }),
  }),
  entryOf("tenant-acme", { source: "registry", ...life(3 * MINUTE, 15 * MINUTE), grants: 18, sealing_key: "k2" }),
  entryOf("tenant-borealis", { source: "registry", state: "cold", ...NONE, grants: 0, sealing_key: null }),
  entryOf("tenant-cedro", {
    source: "registry",
    provider: null,
    grant: null,
    subject: null,
    state: "misconfigured",
    ...NONE,
    grants: 7,
    sealing_key: "k1",
    problems: [
      { field: "rules[0].paths[1]", message: "must begin with /" },
      { field: "secrets.client_secret", message: "is missing: set this secret" },
    ],
  }),
  entryOf("v8", { provider: "v8", grant: "password", ...life(20 * HOUR, DAY), grants: 63 }),
];

export const houseEvents = () => ({
  guru: [
    eventOf(1, { id: "msg_5f0c2b7e9a1d4c3f8e6b0a9d7c5e3f1b" }),
    eventOf(2, { id: "msg_0d9c8b7a6f5e4d3c2b1a0f9e8d7c6b5a", attempts: 1, outcome: "gone", status: 410 }),
    eventOf(3, {
      id: "msg_7a6b5c4d3e2f1a0b9c8d7e6f5a4b3c2d",
      state: "pending",
      accepted_at: at(-9 * MINUTE),
      attempts: 4,
      outcome: "timeout",
      status: null,
      next_at: at(5 * MINUTE),
    }),
  ],
});
