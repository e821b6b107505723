//! Public errors as problem details (RFC 9457): one code for each condition that a caller can act
//! upon.

mod details;
mod english;
mod portuguese;

pub(super) use details::wrong_registration;

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
    /// Nobody has consented yet, or no consent is valid any more.
    NotConnected,
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
    /// The connection's budget is used up.
    QuotaExhausted,
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
    /// The upstream said that there were too many requests.
    UpstreamLimited,
    /// The configuration is broken.
    Misconfigured,
    /// The token endpoint took too long.
    TokenEndpointTimeout,
    /// The upstream took too long.
    UpstreamTimeout,
}

impl Code {
    /// Every code.
    pub const ALL: [Self; 30] = [
        Self::BadRequest,
        Self::BadPath,
        Self::CallerUnauthenticated,
        Self::NotConnected,
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
        Self::QuotaExhausted,
        Self::Internal,
        Self::CredentialsRejected,
        Self::TokenEndpointUnreachable,
        Self::TokenResponseInvalid,
        Self::UpstreamUnauthorized,
        Self::UpstreamUnreachable,
        Self::UpstreamRedirect,
        Self::ConnectionUnavailable,
        Self::UpstreamLimited,
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

    /// The code's status and name.
    const fn entry(self) -> (u16, &'static str) {
        match self {
            Self::BadRequest => (400, "bad_request"),
            Self::BadPath => (400, "bad_path"),
            Self::CallerUnauthenticated => (401, "caller_unauthenticated"),
            Self::NotConnected => (401, "not_connected"),
            Self::LoginRejected => (401, "login_rejected"),
            Self::WebhookRejected => (401, "webhook_rejected"),
            Self::OriginNotAllowed => (403, "origin_not_allowed"),
            Self::OperationNotAllowed => (403, "operation_not_allowed"),
            Self::CrossSiteRequest => (403, "cross_site_request"),
            Self::InsecureTransport => (403, "insecure_transport"),
            Self::NotFound => (404, "not_found"),
            Self::UnknownConnection => (404, "unknown_connection"),
            Self::MethodNotAllowed => (405, "method_not_allowed"),
            Self::RequestTimeout => (408, "request_timeout"),
            Self::ConnectionConfigured => (409, "connection_configured"),
            Self::BodyTooLarge => (413, "body_too_large"),
            Self::RateLimited => (429, "rate_limited"),
            Self::QuotaExhausted => (429, "quota_exhausted"),
            Self::Internal => (500, "internal"),
            Self::CredentialsRejected => (502, "credentials_rejected"),
            Self::TokenEndpointUnreachable => (502, "token_endpoint_unreachable"),
            Self::TokenResponseInvalid => (502, "token_response_invalid"),
            Self::UpstreamUnauthorized => (502, "upstream_unauthorized"),
            Self::UpstreamUnreachable => (502, "upstream_unreachable"),
            Self::UpstreamRedirect => (502, "upstream_redirect"),
            Self::ConnectionUnavailable => (503, "connection_unavailable"),
            Self::UpstreamLimited => (503, "upstream_limited"),
            Self::Misconfigured => (503, "misconfigured"),
            Self::TokenEndpointTimeout => (504, "token_endpoint_timeout"),
            Self::UpstreamTimeout => (504, "upstream_timeout"),
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
            Cause::KeyUnusable => Self::Misconfigured,
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
        }
        assert_eq!(Code::parse("teapot"), None);
    }
}
