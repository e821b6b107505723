//! What the broker and a keeper say to each other. No token stands in it but
//! under seal.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::broker::Code;
use crate::broker::ports::PostFailure;
use crate::oauth::Refusal;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// An ask for an access token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ask {
    identity: Fingerprint,
    refused: Option<Refused>,
    waits_for_renewal: bool,
    works: Option<u64>,
}

/// A token that the upstream refused.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Refused {
    pub generation: u64,
    /// Whether the asker saw the upstream take it, and not refuse it since.
    pub worked: bool,
    /// What was called, as far as refusals are told apart by it.
    #[serde(default)]
    pub call: Option<Fingerprint>,
}

impl Ask {
    /// Asks for a token of the account `identity`.
    #[must_use]
    pub const fn new(identity: &Fingerprint) -> Self {
        Self { identity: *identity, refused: None, waits_for_renewal: false, works: None }
    }

    /// Tells that the upstream refused the token of `generation`, and whether
    /// it took that token before, and did not refuse it since.
    #[must_use]
    pub const fn refusing(self, generation: u64, worked: bool) -> Self {
        Self { refused: Some(Refused { generation, worked, call: None }), ..self }
    }

    /// Tells what was called, where a token was refused.
    #[must_use]
    pub fn calling(self, call: Fingerprint) -> Self {
        Self { refused: self.refused.map(|refused| Refused { call: Some(call), ..refused }), ..self }
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

    pub(super) const fn identity(&self) -> Fingerprint {
        self.identity
    }

    pub(super) const fn refused(&self) -> Option<Refused> {
        self.refused
    }

    pub(super) const fn works(&self) -> Option<u64> {
        self.works
    }

    pub(super) const fn waits_for_renewal(&self) -> bool {
        self.waits_for_renewal
    }
}

/// What a keeper answers.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
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

impl Reply {
    pub(super) fn waiting(cause: Cause, until: UnixTime, now: UnixTime) -> Self {
        Self::Waiting { cause, retry_after: seconds_left(until, now) }
    }

    pub(super) fn failed(failure: Failure, now: UnixTime) -> Self {
        match failure {
            Failure::TokenEndpoint(cause, until) => {
                Self::Failed { cause, retry_after: seconds_left(until, now) }
            }
            Failure::SignedOut => Self::SignedOut,
            Failure::Storage => Self::Unavailable,
        }
    }
}

/// The seconds from `now` until `until`, at least 1.
pub(super) fn seconds_left(until: UnixTime, now: UnixTime) -> u64 {
    (until.since(now) + Duration::from_millis(999)).as_secs().max(1)
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

impl From<PostFailure> for Cause {
    fn from(failure: PostFailure) -> Self {
        match failure {
            PostFailure::Unreachable => Self::Unreachable,
            PostFailure::Timeout => Self::Timeout,
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
