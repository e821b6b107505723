//! Why a token set yields no access token, and the reply.

use std::time::Duration;

use crate::ports::StorageFailed;
use crate::protocol::{Cause, TokenReply};
use crate::time::UnixTime;

/// Why no access token can be obtained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// The token endpoint gave no token; it is not asked again before this time.
    TokenEndpoint(Cause, UnixTime),
    /// There is no credential for a grant.
    SignedOut,
    /// The object's own storage or seal failed.
    Storage,
    /// The account was replaced meanwhile.
    Superseded,
}

impl From<StorageFailed> for Failure {
    fn from(_: StorageFailed) -> Self {
        Self::Storage
    }
}

impl Failure {
    /// The reply at `now`.
    pub fn reply(self, now: UnixTime) -> TokenReply {
        match self {
            Self::TokenEndpoint(cause, until) => {
                TokenReply::Failed { cause, retry_after: seconds_left(until, now) }
            }
            Self::SignedOut => TokenReply::SignedOut,
            Self::Storage | Self::Superseded => TokenReply::Unavailable,
        }
    }
}

/// The seconds from `now` until `until`, at least 1.
pub fn seconds_left(until: UnixTime, now: UnixTime) -> u64 {
    (until.since(now) + Duration::from_millis(999)).as_secs().max(1)
}
