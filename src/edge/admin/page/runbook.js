// Where the documentation says what to do. It has no public address: it comes with the source.

export const RUNBOOK = "docs/guides/run.md";

/** The section of each error code, of broken configuration and of failed webhooks. @type {Record<string, string>} */
export const SECTIONS = {
  credentials_rejected: "502-credentials_rejected",
  token_endpoint_unreachable: "a-providers-outage",
  token_endpoint_timeout: "a-providers-outage",
  token_response_invalid: "503-connection_unavailable",
  upstream_unauthorized: "502-upstream_unauthorized",
  misconfigured: "503-misconfigured",
  disconnected: "503-connection_unavailable",
  webhooks: "a-webhook-was-not-delivered",
};
