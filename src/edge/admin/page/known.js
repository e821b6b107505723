// What is known of the connections, and what it means.

/** @import { Entry, Kept, Outcome } from "./types.js" */

import { now } from "./broker.js";
import { instant } from "./words.js";

export const STATES = ["rejected", "misconfigured", "waiting", "cold", "ready"];
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
export const isBad = ({ state }) => ["rejected", "misconfigured", "waiting"].includes(state);

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

/** What to do about it. @param {Entry} entry */
export function advice({ id, source, grant, state, last_error: error, expires_at: expires }) {
  const isRegistered = source === "registry";
  const secret = (/** @type {string} */ name) =>
    isRegistered ? name.toLowerCase() : `${id.toUpperCase().replaceAll("-", "_")}_${name}`;
  const set = (/** @type {string} */ name) => `set ${isRegistered ? "its" : "the"} secret ${secret(name)} anew`;
  const goesOn = instant(expires) > now() ? " Calls go on with the token that is held." : "";
  const waits = `The broker tries again by itself.${goesOn}`;
  if (state === "misconfigured") {
    return isRegistered
      ? "It cannot be used as it is registered. Register it again: the answer names every field that is wrong."
      : "It cannot be used as it is configured. The log names every field that is wrong, in lines configuration_problem.";
  }
  switch (error?.code ?? (state === "rejected" ? "credentials_rejected" : "")) {
    case "credentials_rejected":
      if (grant === "static") return `The provider refuses the token: ${set("TOKEN")}.`;
      if (grant === "refresh_token")
        return `The refresh token may be dead: ${set("REFRESH_TOKEN")}. A changed one is tried at once.${goesOn}`;
      return `Compare its secrets ${isRegistered ? "" : `${secret("…")} `}with what the provider has. A changed one is tried at once.${goesOn}`;
    case "token_endpoint_unreachable":
      return `Look whether the provider is out of order. ${waits}`;
    case "token_endpoint_timeout":
      return `The provider is slow: look whether it is out of order, or raise token_timeout_ms. ${waits}`;
    case "token_response_invalid":
      return `What answers is no token endpoint, or wants another request: check token_url, grant, body, client_auth and scope. ${waits}`;
    case "upstream_unauthorized":
      if (grant === "static") return `The API refuses the token: ${set("TOKEN")}, then press Refresh.`;
      return "The API refuses tokens that were just obtained: check with the provider what the account may do.";
    default:
      return state === "waiting" ? waits : "";
  }
}
