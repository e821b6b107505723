//! What an isolate asks the keeper of a token set, and what that answers.

use serde::{Deserialize, Serialize};

use crate::oauth::Refusal;
use crate::secret::Fingerprint;

/// An ask for an access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TokenAsk {
    identity: Fingerprint,
    refused: Option<RefusedToken>,
    waits_for_renewal: bool,
    works: Option<u64>,
}

/// A token that the upstream refused.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RefusedToken {
    /// The generation of the token.
    pub generation: u64,
    /// Whether the asker saw the upstream take it, and not refuse it since.
    pub worked: bool,
    /// What was called, as far as refusals are told apart by it.
    #[serde(default)]
    pub call: Option<Fingerprint>,
}

impl TokenAsk {
    /// Asks for a token of the account `identity`.
    #[must_use]
    pub const fn new(identity: &Fingerprint) -> Self {
        Self { identity: *identity, refused: None, waits_for_renewal: false, works: None }
    }

    /// Tells that the upstream refused the token of `generation`, and whether
    /// it took that token before, and did not refuse it since.
    #[must_use]
    pub const fn refusing(self, generation: u64, worked: bool) -> Self {
        Self { refused: Some(RefusedToken { generation, worked, call: None }), ..self }
    }

    /// Tells what was called, where a token was refused.
    #[must_use]
    pub fn calling(self, call: Fingerprint) -> Self {
        Self { refused: self.refused.map(|refused| RefusedToken { call: Some(call), ..refused }), ..self }
    }

    /// Tells that the upstream takes the token of `generation`, which replaced a
    /// refused one or was refused itself.
    #[must_use]
    pub const fn confirming(self, generation: u64) -> Self {
        Self { works: Some(generation), ..self }
    }

    /// Asks to have the renewal of an ageing token waited for, since nobody
    /// waits behind this ask.
    #[must_use]
    pub const fn waiting_for_renewal(self) -> Self {
        Self { waits_for_renewal: true, ..self }
    }

    /// The account whose token is asked for.
    #[must_use]
    pub const fn identity(&self) -> Fingerprint {
        self.identity
    }

    /// The token that the upstream refused, where it did.
    #[must_use]
    pub const fn refused(&self) -> Option<RefusedToken> {
        self.refused
    }

    /// The generation that the upstream is known to take, where that is told.
    #[must_use]
    pub const fn works(&self) -> Option<u64> {
        self.works
    }

    /// Whether the renewal of an ageing token is waited for.
    #[must_use]
    pub const fn waits_for_renewal(&self) -> bool {
        self.waits_for_renewal
    }
}

/// What a keeper answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenReply {
    /// An access token.
    Token {
        /// The sealed record.
        record: String,
        /// Whether a grant was waited for.
        granted: bool,
        /// Whether the upstream refused it, and is not known to have taken it
        /// since.
        #[serde(default)]
        in_doubt: bool,
    },
    /// The token endpoint was just asked and gave none.
    Failed {
        /// Why.
        cause: Cause,
        /// When to come again, in seconds, at least 1.
        retry_after: u64,
    },
    /// A failure is being waited out; nobody was asked.
    Waiting {
        /// The failure.
        cause: Cause,
        /// When to come again, in seconds, at least 1.
        retry_after: u64,
    },
    /// The upstream refuses even a token just obtained; there will be no other
    /// for a while.
    UpstreamRefuses,
    /// There is no token set and nothing to make a grant with: the person signs
    /// in again.
    SignedOut,
    /// The keeper does not know the connection as the asker does.
    Misconfigured,
    /// The keeper's own storage failed.
    Unavailable,
}

/// Why the token endpoint gave no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Cause {
    /// It refused the credentials.
    CredentialsRejected,
    /// It could not be reached or is out of order.
    Unreachable,
    /// It took too long.
    Timeout,
    /// Its answer was no token response.
    ResponseInvalid,
}

impl Cause {
    /// Its error code, as logs and operators are told it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialsRejected => "credentials_rejected",
            Self::Unreachable => "token_endpoint_unreachable",
            Self::Timeout => "token_endpoint_timeout",
            Self::ResponseInvalid => "token_response_invalid",
        }
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
