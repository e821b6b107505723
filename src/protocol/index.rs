//! What an isolate asks the index of registered connections, and what that
//! answers.

use serde::{Deserialize, Serialize};

/// What the index is asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IndexAsk {
    /// To hold an id.
    Add(String),
    /// To hold it no more.
    Remove(String),
    /// For the ids that follow `after` and contain `part`, up to `most`.
    List {
        /// The id before the first.
        after: String,
        /// What each contains.
        part: String,
        /// How many at most.
        most: usize,
    },
}

/// What the index answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IndexReply {
    /// It holds the id, or holds it no more; whether that is news.
    Changed(bool),
    /// The ids.
    Listed(Vec<String>),
    /// Its storage failed.
    Unavailable,
}
