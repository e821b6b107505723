// What the broker itself answers, as types. What an API answers is that API's to say.

/** What went wrong. Go by this: titles and details are for people. */
export type ProblemCode =
  | "bad_path"
  | "bad_request"
  | "body_too_large"
  | "caller_unauthenticated"
  | "connection_unavailable"
  | "credentials_rejected"
  | "cross_site_request"
  | "insecure_transport"
  | "internal"
  | "login_rejected"
  | "method_not_allowed"
  | "misconfigured"
  | "not_connected"
  | "not_found"
  | "connection_configured"
  | "operation_not_allowed"
  | "origin_not_allowed"
  | "quota_exhausted"
  | "rate_limited"
  | "request_timeout"
  | "token_endpoint_timeout"
  | "token_endpoint_unreachable"
  | "token_response_invalid"
  | "unknown_connection"
  | "upstream_limited"
  | "upstream_redirect"
  | "upstream_timeout"
  | "upstream_unauthorized"
  | "upstream_unreachable"
  | "webhook_rejected";

/** Every error of the broker's own: `application/problem+json` (RFC 9457). */
export interface Problem {
  /** An address that answers with a short explanation. */
  type: string;
  title: string;
  status: number;
  code: ProblemCode;
  detail: string;
  /** Also in the header `X-Request-Id`, and in the broker's log. */
  request_id: string;
  /** With `connection_unavailable`: the failure that the connection waits after. */
  cause?: ProblemCode;
  /** With `not_connected`: where the person connects their account. Send them there with a `return_to`. */
  connect_url?: string;
}

/** What can go wrong between `connect` and the way back, besides the codes above. */
export type FlowCode = "access_denied" | "flow_expired" | "flow_mismatch" | "issuer_mismatch";

/**
 * What came of `GET /auth/{connection}/connect`: as the message of a window opened with `display=popup`, or, without
 * `source` and `connection`, in the address of `return_to` as `porteiro` and `porteiro_code`.
 */
export interface Outcome {
  source: "porteiro";
  connection: string;
  outcome: "connected" | "failed";
  /** Why it failed; null if it did not. */
  code: FlowCode | ProblemCode | null;
}

/** Who signed in, as the provider's ID token says. */
export interface Person {
  issuer: string;
  subject: string;
  /** Those that the connection's `person_claims` name, and that the provider gave. */
  claims: { [name: string]: unknown; name?: string; email?: string };
}

/** `POST /auth/logout?provider=true`: 200 where the provider has a page to sign out; else 204 without a body. */
export interface SignedOut {
  logout_url: string;
}

/** The body of `POST /auth/{connection}/login`. */
export interface Credentials {
  username: string;
  password: string;
}

/** The answer to it: 200. */
export interface SignIn {
  connection: string;
  /** RFC 3339: when the sign-in ends at the latest. */
  expires_at: string;
}

/** `GET /auth/session`: 200. Where nobody is signed in: 401 `caller_unauthenticated`. */
export interface Session {
  connections: { id: string; expires_at: string }[];
  /** Of the first sign-in by OpenID Connect, if there was one. */
  person?: Person;
}
