//! Messages to a counter of refused sign-ins, and their replies.

use crate::json::variants;

/// What a counter is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalsAsk {
    /// Admit another attempt.
    Begin {
        /// The part of the counter that the attempt belongs to; 0 in an undivided counter.
        part: u64,
    },
    /// Record the outcome of an attempt.
    End {
        /// The number of the attempt.
        attempt: u64,
        /// Whether the provider refused the attempt.
        refused: bool,
    },
}

variants!(RefusalsAsk { Begin { part }, End { attempt, refused } });

/// A counter's answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RefusalsReply {
    /// The attempt is admitted, under this number.
    Begun(u64),
    /// Attempts in flight use up the limit; the next of them ends within this many seconds.
    Busy(u64),
    /// Refusals use up the limit, for this many seconds, at least 1.
    Full(u64),
    /// The outcome is recorded.
    Noted,
    /// The counter's storage failed.
    Unavailable,
}

variants!(RefusalsReply { Begun(_), Busy(_), Full(_), Noted, Unavailable });
