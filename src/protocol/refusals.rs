//! What an isolate asks a counter of refused sign-ins, and what that answers.

use serde::{Deserialize, Serialize};

/// What a counter is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RefusalsAsk {
    /// Whether another attempt may begin.
    Begin {
        /// The part of the counter that it belongs to; 0 where there is one only.
        part: u64,
    },
    /// How the attempt of that number ended.
    End {
        /// Its number.
        attempt: u64,
        /// Whether it was refused.
        refused: bool,
    },
}

/// What a counter answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum RefusalsReply {
    /// It may begin; its number.
    Begun(u64),
    /// Perhaps, when those that are on their way have ended, which takes so many
    /// seconds at most.
    Busy(u64),
    /// Not before so many seconds, at least 1.
    Full(u64),
    /// It is noted.
    Noted,
    /// The counter's storage failed.
    Unavailable,
}
