//! The words of problems in English.

use super::Code;

/// The detail of a registration that has problems.
pub const WRONG_REGISTRATION: &str =
    "The connection is not registered or changed: problems names each field that is wrong.";

impl Code {
    /// The code's title, detail and advice in English.
    #[expect(clippy::too_many_lines, reason = "it is one table")]
    pub(super) const fn in_english(self) -> [&'static str; 3] {
        match self {
            Self::BadRequest => [
                "Bad request",
                "The request cannot be passed on as it is.",
                "Do not send an access_token parameter, nor one that names another method, nor a control character in a header field, nor a body with GET or HEAD; send a sign-in as JSON with a username and a password; do not load an answer as a script, a style or a worker, nor call the broker through itself.",
            ],
            Self::BadPath => [
                "Bad path",
                "The path has a segment that a server could read as another path.",
                "Remove dot segments, empty segments, backslashes, control characters and encoded slashes from the path, also those that are encoded twice or that Unicode has in their place, and an encoded ? or # before another segment.",
            ],
            Self::CallerUnauthenticated => [
                "Caller not authenticated",
                "The request does not prove who makes it.",
                "Send the caller's credential: a server its key and a person their token as a Bearer token in Authorization, a page of the broker's sessions its cookie. If there was one, sign in again.",
            ],
            Self::NotConnected => [
                "Not connected",
                "Nobody has connected an account here yet, or that consent has ended.",
                "Have the person open the address in the member connect_url, as a navigation of the page; as a cause, the operator connects the account, or sends a link to its owner.",
            ],
            Self::LoginRejected => [
                "Login rejected",
                "The provider refused this user name and password.",
                "Have the person type them again. After five refusals within a minute the broker asks for a pause.",
            ],
            Self::WebhookRejected => [
                "Webhook rejected",
                "The event does not prove who sent it.",
                "The sender's account token is the connection's secret ACCOUNT_TOKEN: it stands where the connection expects it, or is the key of the signature, whose time is near; no member of the event comes twice.",
            ],
            Self::OriginNotAllowed => [
                "Origin not allowed",
                "Pages of this origin may not call the broker.",
                "The operator lists the exact origins of front ends in ALLOWED_ORIGINS.",
            ],
            Self::OperationNotAllowed => [
                "Operation not allowed",
                "No rule allows this caller this method on this path with this data.",
                "Ask for the caller's own data only. The operator allows callers, methods, paths and data in the rules of the connection.",
            ],
            Self::CrossSiteRequest => [
                "Cross-site request",
                "The request comes with a session's cookie, but not provably from a page that may call.",
                "Call with fetch from a page whose origin is in ALLOWED_ORIGINS, or from the broker's own origin.",
            ],
            Self::InsecureTransport => [
                "Insecure transport",
                "The request came over plain http, where others can read the credential in it.",
                "Call the https address, and replace the credential that was sent. The operator has http redirected before the broker.",
            ],
            Self::NotFound => [
                "Not found",
                "There is nothing at this address.",
                "Proxied calls go to /api/{connection}/{path} below the broker's address.",
            ],
            Self::UnknownConnection => [
                "Unknown connection",
                "No connection has this name.",
                "The operator configures connections in CONNECTIONS, or registers them.",
            ],
            Self::MethodNotAllowed => [
                "Method not allowed",
                "This address does not know the method.",
                "Use a method that the Allow header names.",
            ],
            Self::RequestTimeout => [
                "Request timeout",
                "The request's body did not come in time.",
                "Send it again, whole, within 15 seconds.",
            ],
            Self::ConnectionConfigured => [
                "Connection is configured",
                "The connection stands in the configuration, and cannot be changed here.",
                "Change it in wrangler.toml and deploy, or register the connection under another name.",
            ],
            Self::BodyTooLarge => {
                ["Body too large", "The body is larger than this address takes.", "Send less."]
            }
            Self::RateLimited => [
                "Rate limited",
                "There were too many requests of this kind.",
                "Call again after the time in Retry-After.",
            ],
            Self::QuotaExhausted => [
                "Quota exhausted",
                "The connection's budget of requests is used up.",
                "Call again after the time in Retry-After.",
            ],
            Self::UpstreamLimited => [
                "Upstream limited",
                "The API said that it gets too many requests.",
                "Call again after the time in Retry-After.",
            ],
            Self::Internal => [
                "Internal error",
                "Something unforeseen happened inside the broker.",
                "The broker's log has a line with the same request_id.",
            ],
            Self::CredentialsRejected => [
                "Credentials rejected",
                "The provider's token endpoint refused the broker's credentials.",
                "The operator checks the connection's secrets. Until one changes, the next attempt is made a minute later at the earliest.",
            ],
            Self::TokenEndpointUnreachable => [
                "Token endpoint unreachable",
                "The provider's token endpoint could not be reached or is out of order.",
                "Call again after the time in Retry-After.",
            ],
            Self::TokenResponseInvalid => [
                "Token response invalid",
                "The provider's token endpoint did not answer with a token response.",
                "The operator checks the connection's token_url, grant and scope.",
            ],
            Self::UpstreamUnauthorized => [
                "Upstream unauthorized",
                "The provider's API refused the broker's token, or refused it for a body too large to be sent twice.",
                "Call again once. If it persists, the operator checks what the account may do.",
            ],
            Self::UpstreamUnreachable => [
                "Upstream unreachable",
                "The provider's API could not be reached, or it broke off.",
                "A call that changes something may have taken effect: look before you call again.",
            ],
            Self::UpstreamRedirect => [
                "Upstream redirect",
                "The provider's API redirected to a place outside the connection.",
                "The operator checks the connection's base_url.",
            ],
            Self::ConnectionUnavailable => [
                "Connection unavailable",
                "The connection waits after a failure, which the member cause names.",
                "Call again after the time in Retry-After.",
            ],
            Self::Misconfigured => [
                "Misconfigured",
                "The broker or this connection is not configured correctly.",
                "The broker's log lists what is wrong, by the names of variables and fields.",
            ],
            Self::TokenEndpointTimeout => [
                "Token endpoint timeout",
                "The provider's token endpoint took too long.",
                "Call again after the time in Retry-After.",
            ],
            Self::UpstreamTimeout => [
                "Upstream timeout",
                "The provider's API took too long to answer.",
                "A call that changes something may have taken effect: look before you call again.",
            ],
        }
    }
}
