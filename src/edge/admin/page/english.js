// What the page says in English. portuguese.js has the same keys. A list of two is what is said of one, and of another
// number.

/** What index.html says. The build puts it in. */
export const PAGE = {
  lang: "en",
  title: "Porteiro: connections",
  heading: "connections",
  reload: "Reload",
  search: "Part of an id",
  filters: "State",
  noscript: "This page asks the broker with JavaScript, which is switched off.",
  runbook: "What to do about it:",
  counts: "Calls and failures by the hour, which the broker does not count:",
  docs: "in the source of this broker.",
  cancel: "Cancel",
  hooks: "Webhooks of",
  close: "Close",
  sendAll: "Send all failed again",
  moreFailed: "More failed ones",
  morePending: "More pending ones",
};

/** What the script says. */
export const WORDS = {
  /** @type {Record<string, string>} */
  states: {
    all: "All",
    attention: "Needs attention",
    rejected: "Rejected",
    misconfigured: "Misconfigured",
    waiting: "Waiting",
    cold: "Cold",
    ready: "Ready",
  },
  /** @type {Record<string, string>} */
  codes: {
    credentials_rejected: "Credentials rejected",
    token_endpoint_unreachable: "Token endpoint unreachable",
    token_endpoint_timeout: "Token endpoint timeout",
    token_response_invalid: "Token response invalid",
    upstream_unauthorized: "Upstream unauthorized",
  },
  /** @type {Record<string, string>} */
  reasons: {
    invalid_request: "it takes the request for malformed",
    invalid_client: "the client id or its secret is wrong",
    invalid_grant: "the user name, the password or the refresh token is wrong or no longer valid",
    unauthorized_client: "this client may not use this grant",
    unsupported_grant_type: "it does not have this grant",
    invalid_scope: "it does not give this scope",
    other: "an error code that is not OAuth's",
    not_json: "not JSON, so perhaps no token endpoint",
    no_access_token: "JSON without an access_token",
    redirect: "a redirect, so perhaps no token endpoint",
  },
  answer: " Answer: {answer}.",
  /** @type {Record<string, string>} */
  sources: { configuration: "configured", registry: "registered" },
  people: "for people",

  labels: { refresh: "Refresh", webhooks: "Webhooks", drop: "Drop token", remove: "Remove" },
  ended: { refresh: "Refreshed", drop: "Token dropped", remove: "Removed" },
  endedAt: "{ended} at {time}.",
  failed: { refresh: "Refresh failed.", drop: "The token was not dropped.", remove: "Not removed." },
  dropTitle: "Drop the token of {id}?",
  dropText: "The token set is deleted. The next call obtains a new one, and waits for it.",
  dropRefresh:
    "The token set is deleted, with the newest refresh token. The next call needs the one in the secret, which must still be valid.",
  dropYes: "Drop the token",
  removeTitle: "Remove {id}?",
  removeText:
    "The broker forgets the connection, its secrets and its token. Calls to it are answered 404 from then on. This cannot be undone.",
  removeYes: "Remove the connection",

  late: "The broker does not answer.",
  unreached: "The broker was not reached.",
  signedOut: "You are not signed in, or the key is another one now. Reload the page and sign in.",
  answerWas: "The answer was {status}",
  request: "Request {id}",
  strange: "The answer was not understood.",

  others: "The others",
  connections: "Connections",
  rereading: "asking… ",
  asOf: "as of {time}",
  oldest: ", the oldest of {time}",
  shown: " Shown is the state of {time}.",
  asking: "Asking the broker…",
  noneYet: "There is no connection yet: configure one in CONNECTIONS, or register one.",
  noneHas: "No connection has “{q}” in its id.",
  having: [" with “{q}” in its id", " with “{q}” in their id"],
  loaded: ["{n} connection{having} loaded, and there are more.", "{n} connections{having} loaded, and there are more."],
  between: " They come letter by letter, not number by number: some of the others may belong in between.",
  all: ["The one connection{having} looked through.", "All {n} connections{having} looked through."],
  going: [
    "{n} connection{having} looked through, and going on.",
    "{n} connections{having} looked through, and going on.",
  ],
  paused: [
    "{n} connection{having} looked through; there are more.",
    "{n} connections{having} looked through; there are more.",
  ],
  noneUnder: " None is under “{state}”.",
  noneSoFar: " None so far is under “{state}”.",
  more: "Load more",
  stop: "Stop",
  goOn: "Go on",

  grants: ["{n} grant", "{n} grants"],
  key: " · key {key}",
  hooksNow: "webhooks {failed}, {pending} pending",
  hooksFailed: "{n} failed",
  nextTry: "next try in {left} ({time})",
  nextCall: "next try with the next call",
  age: "{age} of {life}",
  until: "until {time}",
  over: "ended {time}, {ago}",
  obtained: "obtained {time}, {ago}",
  static: "static token",
  each: "each person has their own",
  none: "no token",
  ago: "{span} ago",
  told: "{what} at {time}, {ago}.",
  before: "Before: {told}",
  eventsFailed: ["{n} event failed for good.", "{n} events failed for good."],
  eventsLook: " Look under Webhooks what the receiver answered, and send them again.",
  means: "What the code means",
  runbook: "What to do:",

  registeredWrong:
    "It cannot be used as it is registered. Change it by PATCH or PUT: the answer names every field that is wrong.",
  registeredProblems: "It cannot be used as it is registered. Change by PATCH, or in its template:",
  configuredWrong:
    "It cannot be used as it is configured. The log names every field that is wrong, in lines configuration_problem.",
  configuredProblems: "It cannot be used as it is configured. Change, and deploy:",
  staticRejected: "The provider refuses the token: set the secret {secret} anew.",
  refreshRejected: "The refresh token may be dead: set the secret {secret} anew. A changed one is tried at once.",
  secretsRejected: "Compare the secrets {secret} with what the provider has. A changed one is tried at once.",
  registeredRejected:
    "Compare its secrets with what the provider has, and change the wrong one by PATCH: it is tried at once.",
  unreachable: "Look whether the provider is out of order.",
  slow: "The provider is slow: look whether it is out of order, or raise token_timeout_ms.",
  noTokenEndpoint:
    "What answers is no token endpoint, or wants another request: check token_url, grant, body, client_auth and scope.",
  staticRefused: "The API refuses the token: set the secret {secret} anew, then press Refresh.",
  newRefused: "The API refuses tokens that were just obtained: check with the provider what the account may do.",
  again: " The broker tries again by itself.",
  holds: " Calls go on with the token that is held.",

  /** @type {Record<string, string>} */
  events: { failed: "Failed for good", pending: "Pending" },
  eventsAsking: "{title}: asking…",
  eventsNone: "{title}: none",
  eventsFirst: "{title}: the first {n}",
  /** @type {Record<string, string>} */
  outcomes: {
    refused: "the receiver answered",
    gone: "the receiver answered",
    timeout: "the receiver was too slow",
    unreachable: "the receiver was not reached",
    unopened: "the stored event does not open: its sealing key is gone",
    misconfigured: "the webhook was not configured correctly",
  },
  accepted: ["accepted {time}, {n} attempt", "accepted {time}, {n} attempts"],
  nextAttempt: "; next {time}",
  sendAgain: "Send again",
  sentAgain: "Sent again",
  onItsWay: "Event {id} is on its way again.",
  allOnTheirWay: "All failed events are on their way again.",
  notSent: "Not sent. {why}",
};
