//! Messages to the index of registered connections, and their replies.

use serde::{Deserialize, Serialize};

/// What the index is asked to do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IndexAsk {
    /// Add an id.
    Add(String),
    /// Remove an id.
    Remove(String),
    /// List up to `most` ids that follow `after` and contain `part`.
    List {
        /// The id that the page follows.
        after: String,
        /// The text that each id contains.
        part: String,
        /// The largest number of ids.
        most: usize,
    },
}

/// What the index answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum IndexReply {
    /// The id is added or removed; true where that changed the index.
    Changed(bool),
    /// The ids.
    Listed(Vec<String>),
    /// The index's storage failed.
    Unavailable,
}
