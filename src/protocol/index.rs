//! Messages to the index of registered connections, and their replies.

use crate::json::variants;

/// What each row begins with that lists a connection by one of its labels: it sorts behind every id.
pub const LABEL_MARK: char = '~';

/// The row that lists the connection called `id` by the label `name` with `value`. The row of an
/// empty id precedes all others of the label.
#[must_use]
pub fn label_row(name: &str, value: &str, id: &str) -> String {
    format!("{LABEL_MARK}{name}:{value}\n{id}")
}

/// What the index is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IndexAsk {
    /// Add an id, or a [`label_row`].
    Add(String),
    /// Remove an id, or a [`label_row`].
    Remove(String),
    /// List up to `most` ids that follow `after` and contain `part`; where `after` is a
    /// [`label_row`], those with this label.
    List {
        /// The id, or the row, that the page follows.
        after: String,
        /// The text that each id contains.
        part: String,
        /// The largest number of ids.
        most: usize,
    },
}

variants!(IndexAsk { Add(_), Remove(_), List { after, part, most } });

/// What the index answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IndexReply {
    /// The id is added or removed; true where that changed the index.
    Changed(bool),
    /// The ids.
    Listed(Vec<String>),
    /// The index's storage failed.
    Unavailable,
}

variants!(IndexReply { Changed(_), Listed(_), Unavailable });
