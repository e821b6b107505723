//! Why a keeper has no access token, and how it says so.

use std::time::Duration;

use crate::ports::StorageFailed;
use crate::protocol::{Cause, TokenReply};
use crate::time::UnixTime;

/// Why no access token can be had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// The token endpoint gave none; it is left alone until then.
    TokenEndpoint(Cause, UnixTime),
    /// There is nothing to make a grant with.
    SignedOut,
    /// The keeper's own storage or seal failed.
    Storage,
}

impl From<StorageFailed> for Failure {
    fn from(_: StorageFailed) -> Self {
        Self::Storage
    }
}

impl TokenReply {
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
