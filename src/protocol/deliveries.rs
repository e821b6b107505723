//! Messages to the delivery queue of a connection, and their replies.

use serde_json::Value;

use super::{EventRecord, List};
use crate::json::variants;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// What the delivery queue is asked to do.
#[derive(Clone, Debug)]
pub enum DeliveriesAsk {
    /// Store and deliver an event, unless the queue already knows it.
    Accept {
        /// The event's webhook id.
        id: String,
        /// The event, sealed under [`event_record`](super::event_record).
        event: String,
        /// The digest of the account token that authenticated the event: the queue checks it
        /// against the account tokens of the connection as the queue knows it. The operator's
        /// events, which only objects send, have none.
        proof: Fingerprint,
    },
    /// List a page of events.
    List {
        /// The list.
        list: List,
        /// The time and the id that the page follows.
        after: Option<(UnixTime, String)>,
        /// The largest number of events.
        most: usize,
    },
    /// The numbers of undelivered events.
    Count,
    /// Delete all events: their connection is removed.
    Clear,
    /// Deliver a failed event again; without an id, all of them.
    SendAgain {
        /// The event's webhook id.
        id: Option<String>,
    },
}

variants!(DeliveriesAsk {
    Accept { id, event, proof },
    List { list, after, most },
    Count,
    Clear,
    SendAgain { id },
});

/// What the delivery queue answers.
#[derive(Clone, Debug)]
pub enum DeliveriesReply {
    /// The event is stored, now or from before.
    Accepted,
    /// The account token is none of the connection's, which was registered again or removed
    /// meanwhile: the event is not stored.
    NotProven,
    /// The records of the list, without their events.
    Listed(Vec<EventRecord>),
    /// The numbers of undelivered events, by list.
    Counted {
        /// Events still to be delivered.
        pending: u64,
        /// Events that failed for good.
        failed: u64,
        /// The last attempt as the admin interface shows it, which the queue of the operator's events
        /// keeps.
        last: Option<Value>,
    },
    /// All events are deleted.
    Cleared,
    /// The events are queued again.
    SentAgain,
    /// No failed event has this id.
    Unknown,
    /// The delivery queue's storage failed.
    Unavailable,
}

variants!(DeliveriesReply {
    Accepted,
    NotProven,
    Listed(_),
    Counted { pending, failed, last },
    Cleared,
    SentAgain,
    Unknown,
    Unavailable,
});
