// The broker's own errors, as problem details, in English alone.

const PROBLEMS = {
  bad_request: [400, "Bad request", "The request cannot be passed on as it is."],
  bad_path: [400, "Bad path", "The path has a segment that a server could read as another path."],
  caller_unauthenticated: [401, "Caller not authenticated", "The request does not prove who makes it."],
  origin_not_allowed: [403, "Origin not allowed", "Pages of this origin may not call the broker."],
  operation_not_allowed: [
    403,
    "Operation not allowed",
    "No rule allows this caller this method on this path with this data.",
  ],
  cross_site_request: [
    403,
    "Cross-site request",
    "The request comes with a session's cookie, but not provably from a page that may call.",
  ],
  not_found: [404, "Not found", "There is nothing at this address."],
  unknown_connection: [404, "Unknown connection", "No connection has this name."],
  upstream_unauthorized: [
    502,
    "Upstream unauthorized",
    "The provider's API refused the broker's token, or refused it for a body too large to be sent twice.",
  ],
  upstream_unreachable: [502, "Upstream unreachable", "The provider's API could not be reached, or it broke off."],
  upstream_redirect: [502, "Upstream redirect", "The provider's API redirected to a place outside the connection."],
  connection_unavailable: [
    503,
    "Connection unavailable",
    "The connection waits after a failure, which the member cause names.",
  ],
  upstream_timeout: [504, "Upstream timeout", "The provider's API took too long to answer."],
};

export class Problem extends Error {
  constructor(code, { wrongCredential = false } = {}) {
    super(code);
    Object.assign(this, { code, wrongCredential });
  }

  answer(address, requestId) {
    const { code, wrongCredential } = this;
    const [status, title, detail] = PROBLEMS[code];
    const body = JSON.stringify({
      type: `${address}/problems/${code}`,
      title,
      status,
      code,
      detail,
      request_id: requestId,
    });
    const headers = new Headers({ "content-type": "application/problem+json", "content-language": "en" });
    if (status === 401)
      headers.set("www-authenticate", `Bearer realm="porteiro"${wrongCredential ? ', error="invalid_token"' : ""}`);
    return { status, headers, vary: "Accept-Language", body };
  }
}
