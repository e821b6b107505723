//! Public errors as problem details (RFC 9457): one code for each condition that a caller can act
//! upon.

mod details;

use crate::protocol::Cause;

/// A public error code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// The request is malformed, or cannot be forwarded as it is.
    BadRequest,
    /// A server could read the path as another one.
    BadPath,
    /// The request authenticates no caller.
    CallerUnauthenticated,
    /// The provider refused the person's credentials.
    LoginRejected,
    /// The event does not authenticate its sender.
    WebhookRejected,
    /// The page's origin is not allowed.
    OriginNotAllowed,
    /// No rule allows the call.
    OperationNotAllowed,
    /// Another site may have caused the browser to send the request.
    CrossSiteRequest,
    /// The request carried a credential over plain `http`.
    InsecureTransport,
    /// The address does not exist.
    NotFound,
    /// The connection does not exist.
    UnknownConnection,
    /// The address does not allow this method.
    MethodNotAllowed,
    /// The connection is configured, and cannot be registered.
    ConnectionConfigured,
    /// The request body was not complete in time.
    RequestTimeout,
    /// The request body exceeds the limit.
    BodyTooLarge,
    /// The request exceeds a rate limit.
    RateLimited,
    /// An internal error.
    Internal,
    /// The provider refused the credentials.
    CredentialsRejected,
    /// The token endpoint could not be reached or is out of order.
    TokenEndpointUnreachable,
    /// The token endpoint's answer was no token response.
    TokenResponseInvalid,
    /// The upstream refused the token.
    UpstreamUnauthorized,
    /// The upstream could not be reached.
    UpstreamUnreachable,
    /// The upstream redirected outside the connection.
    UpstreamRedirect,
    /// The connection backs off after a failure.
    ConnectionUnavailable,
    /// The configuration is broken.
    Misconfigured,
    /// The token endpoint took too long.
    TokenEndpointTimeout,
    /// The upstream took too long.
    UpstreamTimeout,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 27] = [
        Self::BadRequest,
        Self::BadPath,
        Self::CallerUnauthenticated,
        Self::LoginRejected,
        Self::WebhookRejected,
        Self::OriginNotAllowed,
        Self::OperationNotAllowed,
        Self::CrossSiteRequest,
        Self::InsecureTransport,
        Self::NotFound,
        Self::UnknownConnection,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::ConnectionConfigured,
        Self::BodyTooLarge,
        Self::RateLimited,
        Self::Internal,
        Self::CredentialsRejected,
        Self::TokenEndpointUnreachable,
        Self::TokenResponseInvalid,
        Self::UpstreamUnauthorized,
        Self::UpstreamUnreachable,
        Self::UpstreamRedirect,
        Self::ConnectionUnavailable,
        Self::Misconfigured,
        Self::TokenEndpointTimeout,
        Self::UpstreamTimeout,
    ];

    /// The code in wire form.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.entry().1
    }

    /// The code's HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.entry().0
    }

    /// The code whose wire form is `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The text behind the problem's `type` address: what happened and what to do.
    #[must_use]
    pub fn page(self) -> String {
        let (status, code, title, detail, advice) = self.entry();
        format!("{code} (HTTP {status}): {title}.\n\n{detail}\n\n{advice}\n")
    }

    /// The code's status, name, title, detail and advice.
    #[expect(clippy::too_many_lines, reason = "it is one table")]
    const fn entry(self) -> (u16, &'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::BadRequest => (
                400,
                "bad_request",
                "Bad request",
                "The request cannot be passed on as it is.",
                "Do not send an access_token parameter, nor one that names another method, nor a control character in a header field, nor a body with GET or HEAD; send a sign-in as JSON with a username and a password; do not load an answer as a script, a style or a worker, nor call the broker through itself.",
            ),
            Self::BadPath => (
                400,
                "bad_path",
                "Bad path",
                "The path has a segment that a server could read as another path.",
                "Remove dot segments, empty segments, backslashes, control characters and encoded slashes from the path, also those that are encoded twice or that Unicode has in their place, and an encoded ? or # before another segment.",
            ),
            Self::CallerUnauthenticated => (
                401,
                "caller_unauthenticated",
                "Caller not authenticated",
                "The request does not prove who makes it.",
                "Send the caller's credential: a server its key and a person their token as a Bearer token in Authorization, a page of the broker's sessions its cookie. If there was one, sign in again.",
            ),
            Self::LoginRejected => (
                401,
                "login_rejected",
                "Login rejected",
                "The provider refused this user name and password.",
                "Have the person type them again. After five refusals within a minute the broker asks for a pause.",
            ),
            Self::WebhookRejected => (
                401,
                "webhook_rejected",
                "Webhook rejected",
                "The event does not prove who sent it.",
                "The sender's account token is the connection's secret ACCOUNT_TOKEN, a text in the member or header field that the connection names; no member of the event comes twice.",
            ),
            Self::OriginNotAllowed => (
                403,
                "origin_not_allowed",
                "Origin not allowed",
                "Pages of this origin may not call the broker.",
                "The operator lists the exact origins of front ends in ALLOWED_ORIGINS.",
            ),
            Self::OperationNotAllowed => (
                403,
                "operation_not_allowed",
                "Operation not allowed",
                "No rule allows this caller this method on this path.",
                "The operator allows callers, methods and paths in the rules of the connection.",
            ),
            Self::CrossSiteRequest => (
                403,
                "cross_site_request",
                "Cross-site request",
                "The request comes with a session's cookie, but not provably from a page that may call.",
                "Call with fetch from a page whose origin is in ALLOWED_ORIGINS, or from the broker's own origin.",
            ),
            Self::InsecureTransport => (
                403,
                "insecure_transport",
                "Insecure transport",
                "The request came over plain http, where others can read the credential in it.",
                "Call the https address, and replace the credential that was sent. The operator has http redirected before the broker.",
            ),
            Self::NotFound => (
                404,
                "not_found",
                "Not found",
                "There is nothing at this address.",
                "Proxied calls go to /api/{connection}/{path} below the broker's address.",
            ),
            Self::UnknownConnection => (
                404,
                "unknown_connection",
                "Unknown connection",
                "No connection has this name.",
                "The operator configures connections in CONNECTIONS.",
            ),
            Self::MethodNotAllowed => (
                405,
                "method_not_allowed",
                "Method not allowed",
                "This address does not know the method.",
                "Use a method that the Allow header names.",
            ),
            Self::RequestTimeout => (
                408,
                "request_timeout",
                "Request timeout",
                "The request's body did not come in time.",
                "Send it again, whole, within 15 seconds.",
            ),
            Self::ConnectionConfigured => (
                409,
                "connection_configured",
                "Connection is configured",
                "The connection stands in the configuration, and cannot be changed here.",
                "Change it in wrangler.toml and deploy, or register the connection under another name.",
            ),
            Self::BodyTooLarge => (
                413,
                "body_too_large",
                "Body too large",
                "The body is larger than this address takes.",
                "Send less.",
            ),
            Self::RateLimited => (
                429,
                "rate_limited",
                "Rate limited",
                "There were too many requests of this kind.",
                "Call again after the time in Retry-After.",
            ),
            Self::Internal => (
                500,
                "internal",
                "Internal error",
                "Something unforeseen happened inside the broker.",
                "The broker's log has a line with the same request_id.",
            ),
            Self::CredentialsRejected => (
                502,
                "credentials_rejected",
                "Credentials rejected",
                "The provider's token endpoint refused the broker's credentials.",
                "The operator checks the connection's secrets. Until one changes, the next attempt is made a minute later at the earliest.",
            ),
            Self::TokenEndpointUnreachable => (
                502,
                "token_endpoint_unreachable",
                "Token endpoint unreachable",
                "The provider's token endpoint could not be reached or is out of order.",
                "Call again after the time in Retry-After.",
            ),
            Self::TokenResponseInvalid => (
                502,
                "token_response_invalid",
                "Token response invalid",
                "The provider's token endpoint did not answer with a token response.",
                "The operator checks the connection's token_url, grant and scope.",
            ),
            Self::UpstreamUnauthorized => (
                502,
                "upstream_unauthorized",
                "Upstream unauthorized",
                "The provider's API refused the broker's token, or refused it for a body too large to be sent twice.",
                "Call again once. If it persists, the operator checks what the account may do.",
            ),
            Self::UpstreamUnreachable => (
                502,
                "upstream_unreachable",
                "Upstream unreachable",
                "The provider's API could not be reached, or it broke off.",
                "A call that changes something may have taken effect: look before you call again.",
            ),
            Self::UpstreamRedirect => (
                502,
                "upstream_redirect",
                "Upstream redirect",
                "The provider's API redirected to a place outside the connection.",
                "The operator checks the connection's base_url.",
            ),
            Self::ConnectionUnavailable => (
                503,
                "connection_unavailable",
                "Connection unavailable",
                "The connection waits after a failure, which the member cause names.",
                "Call again after the time in Retry-After.",
            ),
            Self::Misconfigured => (
                503,
                "misconfigured",
                "Misconfigured",
                "The broker or this connection is not configured correctly.",
                "The broker's log lists what is wrong, by the names of variables and fields.",
            ),
            Self::TokenEndpointTimeout => (
                504,
                "token_endpoint_timeout",
                "Token endpoint timeout",
                "The provider's token endpoint took too long.",
                "Call again after the time in Retry-After.",
            ),
            Self::UpstreamTimeout => (
                504,
                "upstream_timeout",
                "Upstream timeout",
                "The provider's API took too long to answer.",
                "A call that changes something may have taken effect: look before you call again.",
            ),
        }
    }
}

impl From<Cause> for Code {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::CredentialsRejected => Self::CredentialsRejected,
            Cause::Unreachable => Self::TokenEndpointUnreachable,
            Cause::Timeout => Self::TokenEndpointTimeout,
            Cause::ResponseInvalid => Self::TokenResponseInvalid,
        }
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn knows_every_code_by_its_name() {
        for code in Code::ALL {
            assert_eq!(Code::parse(code.as_str()), Some(code));
            assert!(code.page().contains(code.as_str()));
        }
        assert_eq!(Code::parse("teapot"), None);
    }

    #[test]
    fn tells_a_problem_in_full() {
        let details = Code::ConnectionUnavailable.details(
            "https://broker.example/b",
            "r1",
            Some(Code::CredentialsRejected),
        );
        let details: serde_json::Value = serde_json::from_str(&details).unwrap();
        assert_eq!(details["type"], "https://broker.example/b/problems/connection_unavailable");
        assert_eq!(details["status"], 503);
        assert_eq!(details["code"], "connection_unavailable");
        assert_eq!(details["request_id"], "r1");
        assert_eq!(details["cause"], "credentials_rejected");
        assert!(details["title"].is_string() && details["detail"].is_string());
    }
}
