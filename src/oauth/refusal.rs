//! Why a token endpoint granted nothing: for the broker to act upon, and in a word for the operator.

/// The answer of a token endpoint that granted nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenRefusal {
    /// What the broker makes of it.
    pub refusal: Refusal,
    /// What an operator is told of it.
    pub answer: RefusedAnswer,
}

/// What an operator is told of an answer that granted nothing. Invariant: it holds no text of the
/// provider's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefusedAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The reason.
    pub reason: RefusalReason,
}

impl RefusedAnswer {
    /// The answer as a stored record holds it: the status, a blank, and the reason's word.
    #[must_use]
    pub fn to_text(self) -> String {
        [self.status.to_string().as_str(), " ", self.reason.as_str()].concat()
    }

    /// Reads what [`RefusedAnswer::to_text`] wrote; `None` where another version of the broker wrote
    /// a word that this one does not know.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (status, reason) = text.split_once(' ')?;
        Some(Self { status: status.parse().ok()?, reason: RefusalReason::parse(reason)? })
    }
}

/// Why a token endpoint granted nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The grant is invalid: `invalid_grant`.
    Grant,
    /// The client is refused: `invalid_client`, `unauthorized_client`.
    Client,
    /// The request is not permitted to this client: `invalid_scope`, `invalid_target`,
    /// `unsupported_grant_type`.
    Setup,
    /// Access is denied to client or account: `access_denied`, or 401 or 403 without a known error
    /// code.
    Denied,
    /// The request is refused with an unknown or no error code: another 4xx.
    Request,
    /// The address is no token endpoint, or does not accept such requests: 404, 405, 415 and the
    /// like without a known error code.
    Address,
    /// The token endpoint did not process the request: 408, 425, 429 or 503. The request had no
    /// effect.
    Busy,
    /// The token endpoint failed: another 5xx. The request may have had an effect.
    Failed,
    /// The answer is neither a token response nor an error response.
    Invalid,
}

/// The reason in a word: the error code of an error response (RFC 6749 §5.2), or what an answer
/// lacks to be a token response (§5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalReason {
    /// The error code `invalid_request`.
    InvalidRequest,
    /// The error code `invalid_client`.
    InvalidClient,
    /// The error code `invalid_grant`.
    InvalidGrant,
    /// The error code `unauthorized_client`.
    UnauthorizedClient,
    /// The error code `unsupported_grant_type`.
    UnsupportedGrantType,
    /// The error code `invalid_scope`.
    InvalidScope,
    /// Another error code, or none.
    Other,
    /// The answer is a redirect.
    Redirect,
    /// The status is that of no final answer.
    NoFinalStatus,
    /// The answer exceeds [`MAX_RESPONSE_BYTES`](super::MAX_RESPONSE_BYTES).
    TooLarge,
    /// The answer is not JSON.
    NotJson,
    /// The answer is JSON, and no object.
    NotObject,
    /// The answer has no access token.
    NoAccessToken,
    /// The access token is no text that a header field can carry.
    UnusableAccessToken,
    /// The token type is not the one that the connection sends.
    UnknownTokenType,
}

impl RefusalReason {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
        Self::InvalidScope,
        Self::Other,
        Self::Redirect,
        Self::NoFinalStatus,
        Self::TooLarge,
        Self::NotJson,
        Self::NotObject,
        Self::NoAccessToken,
        Self::UnusableAccessToken,
        Self::UnknownTokenType,
    ];

    /// The reason's word in logs, in the admin interface and in stored records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::InvalidScope => "invalid_scope",
            Self::Other => "other",
            Self::Redirect => "redirect",
            Self::NoFinalStatus => "no_final_status",
            Self::TooLarge => "too_large",
            Self::NotJson => "not_json",
            Self::NotObject => "not_an_object",
            Self::NoAccessToken => "no_access_token",
            Self::UnusableAccessToken => "unusable_access_token",
            Self::UnknownTokenType => "unknown_token_type",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}
