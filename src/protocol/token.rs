//! The ask for an access token, and its reply.

use crate::json::{record, variants};
use crate::oauth::Refusal;
use crate::secret::Fingerprint;

/// An ask for an access token.
#[derive(Clone, Debug)]
pub struct TokenAsk {
    identity: Fingerprint,
    refused: Option<RefusedToken>,
    waits_for_renewal: bool,
    works: Option<u64>,
}

record!(TokenAsk { identity, refused, waits_for_renewal, works });

/// A token that the upstream refused.
#[derive(Clone, Copy, Debug)]
pub struct RefusedToken {
    /// The generation of the token.
    pub generation: u64,
    /// Whether the isolate saw the upstream accept the token, and not refuse it since.
    pub worked: bool,
    /// The digest of the method and address that were called: refusals are counted by it.
    pub call: Option<Fingerprint>,
}

record!(RefusedToken { generation, worked, call });

impl TokenAsk {
    /// An ask for a token of the account `identity`.
    #[must_use]
    pub const fn new(identity: &Fingerprint) -> Self {
        Self { identity: *identity, refused: None, waits_for_renewal: false, works: None }
    }

    /// Reports that the upstream refused the token of `generation`; `worked` says that it accepted
    /// that token before, and did not refuse it since.
    #[must_use]
    pub const fn refusing(self, generation: u64, worked: bool) -> Self {
        Self { refused: Some(RefusedToken { generation, worked, call: None }), ..self }
    }

    /// Adds the call whose token was refused.
    #[must_use]
    pub fn calling(self, call: Fingerprint) -> Self {
        Self { refused: self.refused.map(|refused| RefusedToken { call: Some(call), ..refused }), ..self }
    }

    /// Reports that the upstream accepts the token of `generation`, which replaced a refused one or
    /// was refused itself.
    #[must_use]
    pub const fn confirming(self, generation: u64) -> Self {
        Self { works: Some(generation), ..self }
    }

    /// Asks for the renewed token where the held one ages: this ask runs in the background, so no
    /// call waits for it.
    #[must_use]
    pub const fn waiting_for_renewal(self) -> Self {
        Self { waits_for_renewal: true, ..self }
    }

    /// The account whose token is asked for.
    #[must_use]
    pub const fn identity(&self) -> Fingerprint {
        self.identity
    }

    /// The token that the upstream refused, if the ask reports one.
    #[must_use]
    pub const fn refused(&self) -> Option<RefusedToken> {
        self.refused
    }

    /// The generation that the upstream accepts, if the ask reports one.
    #[must_use]
    pub const fn works(&self) -> Option<u64> {
        self.works
    }

    /// Whether the reply waits for the renewal of an ageing token.
    #[must_use]
    pub const fn waits_for_renewal(&self) -> bool {
        self.waits_for_renewal
    }
}

/// The reply to a [`TokenAsk`].
#[derive(Debug, PartialEq, Eq)]
pub enum TokenReply {
    /// An access token.
    Token {
        /// The sealed record.
        record: String,
        /// Whether the reply waited for a grant.
        granted: bool,
        /// Whether the upstream refused the token, and is not known to have accepted it since.
        in_doubt: bool,
    },
    /// The token endpoint was just asked and gave no token.
    Failed {
        /// The cause.
        cause: Cause,
        /// Seconds until the next attempt, at least 1.
        retry_after: u64,
    },
    /// The token set waits after a failure; the token endpoint was not asked.
    Waiting {
        /// The cause of the failure.
        cause: Cause,
        /// Seconds until the next attempt, at least 1.
        retry_after: u64,
    },
    /// The upstream refuses even a token just obtained; no other is obtained during the back-off.
    UpstreamRefuses,
    /// There is no token set and no credential for a grant: the person has to sign in again.
    SignedOut,
    /// The keeper knows the connection with another account, or not at all.
    Misconfigured,
    /// The object's storage failed.
    Unavailable,
}

variants!(TokenReply {
    Token { record, granted, in_doubt = default },
    Failed { cause, retry_after },
    Waiting { cause, retry_after },
    UpstreamRefuses,
    SignedOut,
    Misconfigured,
    Unavailable,
});

/// Why the token endpoint gave no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The token endpoint refused the credentials.
    CredentialsRejected,
    /// The token endpoint could not be reached or is out of order.
    Unreachable,
    /// The token endpoint took too long.
    Timeout,
    /// The token endpoint's answer was no token response.
    ResponseInvalid,
    /// The connection's private key signs nothing, so that the token endpoint was not asked.
    KeyUnusable,
}

variants!(Cause { CredentialsRejected, Unreachable, Timeout, ResponseInvalid, KeyUnusable });

impl Cause {
    /// The cause's error code in logs and in the admin interface.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialsRejected => "credentials_rejected",
            Self::Unreachable => "token_endpoint_unreachable",
            Self::Timeout => "token_endpoint_timeout",
            Self::ResponseInvalid => "token_response_invalid",
            Self::KeyUnusable => "misconfigured",
        }
    }

    /// The reason in logs and in the admin interface, where it is not the token endpoint's answer.
    #[must_use]
    pub fn reason(self) -> Option<&'static str> {
        (self == Self::KeyUnusable).then_some("key_unusable")
    }
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Grant
            | Refusal::Client
            | Refusal::Setup
            | Refusal::Denied
            | Refusal::Request
            | Refusal::Address => Self::CredentialsRejected,
            Refusal::Busy | Refusal::Failed => Self::Unreachable,
            Refusal::Invalid => Self::ResponseInvalid,
        }
    }
}

/// The subject of a connection's own token set.
pub const SERVICE: &str = "service";

/// The name of the record that holds `subject`'s access token for `connection`.
#[must_use]
pub fn access_token_record(subject: &str, connection: &str) -> String {
    format!("access-token/{subject}/{connection}")
}
