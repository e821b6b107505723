// What to do about a connection.

/** @import { Entry } from "./types.js" */

import { now } from "./broker.js";
import { phrase, words } from "./language.js";
import { instant } from "./words.js";

/** What to do about it. @param {Entry} entry */
export function advice({ id, source, grant, state, last_error: error, expires_at: expires, problems }) {
  const isRegistered = source === "registry";
  const set = (/** @type {string} */ text, /** @type {string} */ name) =>
    phrase(text, {
      secret: isRegistered
        ? `secrets.${name.toLowerCase()} (PATCH)`
        : `${id.toUpperCase().replaceAll("-", "_")}_${name}`,
    });
  const holds = instant(expires) > now() ? words.holds : "";
  const goesOn = words.again + holds;
  if (state === "misconfigured") {
    if (problems?.length) return isRegistered ? words.registeredProblems : words.configuredProblems;
    return isRegistered ? words.registeredWrong : words.configuredWrong;
  }
  if (state === "disconnected") return words.disconnected;
  switch (error?.code ?? (state === "rejected" ? "credentials_rejected" : "")) {
    case "credentials_rejected":
      if (grant === "static") return set(words.staticRejected, "TOKEN");
      if (grant === "refresh_token") return set(words.refreshRejected, "REFRESH_TOKEN") + holds;
      return (isRegistered ? words.registeredRejected : set(words.secretsRejected, "…")) + holds;
    case "token_endpoint_unreachable":
      return words.unreachable + goesOn;
    case "token_endpoint_timeout":
      return words.slow + goesOn;
    case "token_response_invalid":
      return words.noTokenEndpoint + goesOn;
    case "misconfigured":
      return set(words.keyUnusable, "PRIVATE_KEY") + holds;
    case "upstream_unauthorized":
      return grant === "static" ? set(words.staticRefused, "TOKEN") : words.newRefused;
    default:
      return state === "waiting" ? goesOn.trim() : "";
  }
}
