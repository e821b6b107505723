//! Messages to the index of registered connections.

use super::message;
use crate::protocol::envelope::Envelope;
use crate::protocol::index::{IndexAsk, IndexReply};

/// The name of the index object.
const INDEX: &str = "index";

/// Adds an id to the index; the reply is true where the index did not hold it.
#[derive(Debug)]
pub struct AddToIndex<'a>(pub &'a str);

message! {
    AddToIndex<'_>: IndexReply => bool,
    |self| INDEX.to_owned(),
    Envelope::Index { ask: IndexAsk::Add(self.0.to_owned()) },
    {
        IndexReply::Changed(is_news) => is_news,
    }
}

/// Removes an id from the index; the reply is true where the index held it.
#[derive(Debug)]
pub struct RemoveFromIndex<'a>(pub &'a str);

message! {
    RemoveFromIndex<'_>: IndexReply => bool,
    |self| INDEX.to_owned(),
    Envelope::Index { ask: IndexAsk::Remove(self.0.to_owned()) },
    {
        IndexReply::Changed(is_news) => is_news,
    }
}

/// Asks for ids in byte order.
#[derive(Debug)]
pub struct ListIndex {
    /// The id that the page follows, or its [`label_row`](crate::protocol::label_row).
    pub after: String,
    /// The text that each id contains.
    pub part: String,
    /// The largest number of ids.
    pub most: usize,
}

message! {
    ListIndex: IndexReply => Vec<String>,
    |self| INDEX.to_owned(),
    Envelope::Index { ask: IndexAsk::List { after: self.after, part: self.part, most: self.most } },
    {
        IndexReply::Listed(ids) => ids,
    }
}
