// What is known of the connections.

/** @import { Entry, Kept, Outcome } from "./types.js" */

import { instant } from "./words.js";

export const STATES = ["rejected", "misconfigured", "disconnected", "waiting", "cold", "ready"];
export const FILTERS = ["all", "attention", ...STATES];

/** Entries by id. @type {Map<string, Kept>} */
export const entries = new Map();
/** When something was last done to a connection: what was asked for before is old. @type {Map<string, number>} */
export const done = new Map();
/** What is being done to which connection. @type {Map<string, string>} */
export const doing = new Map();
/** How the last action on a connection ended. @type {Map<string, Outcome>} */
export const outcomes = new Map();

/** What is looked at, and how far it was read. */
export const view = {
  filter: "all",
  q: "",
  /** The `after` of each page that was loaded. @type {string[]} */
  starts: [],
  /** The `after` of the next one; null where there is none, undefined before the first. @type {string | null | undefined} */
  next: undefined,
  isStopped: false,
  /** Why what is shown may be old. @type {{ message: string, status?: number } | undefined} */
  trouble: undefined,
  /** The reading that is under way. @type {AbortController | undefined} */
  reading: undefined,
  readAt: 0,
};

/** Whether calls fail, or will. @param {Entry} entry */
export const isBad = ({ state }) => ["rejected", "misconfigured", "disconnected", "waiting"].includes(state);

/** Whether the last error still counts: nothing was obtained since. @param {Entry} entry */
export const isCurrent = (entry) =>
  entry.last_error !== null &&
  (entry.state === "ready"
    ? instant(entry.last_error.at) > instant(entry.obtained_at)
    : isBad(entry) && entry.state !== "misconfigured");

/** @param {Entry} entry */
export const needsYou = (entry) => isBad(entry) || (entry.webhooks?.failed ?? 0) > 0 || isCurrent(entry);

/** The filters that an entry stands under. @param {Entry} entry */
export const placesOf = (entry) => [entry.state, ...(needsYou(entry) ? ["attention"] : [])];
