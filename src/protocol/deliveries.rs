//! What an isolate asks the delivery queue of a connection, and what that
//! answers.

use serde::{Deserialize, Serialize};

use super::{EventRecord, List};
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// An ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum DeliveriesAsk {
    /// To deliver an event, unless it is known.
    Accept {
        /// Its webhook id.
        id: String,
        /// The event, sealed under [`event_record`](super::event_record).
        event: String,
        /// The digest of the account token that proved it: who delivers looks
        /// whether that is one of the connection's, as it is known there.
        proof: Fingerprint,
    },
    /// For the events of a list.
    List {
        /// The list.
        list: List,
        /// The time and the id of the last one that is not asked for.
        after: Option<(UnixTime, String)>,
        /// How many at most.
        most: usize,
    },
    /// How many events are not delivered.
    Count,
    /// To forget all events: their connection is removed.
    Clear,
    /// To deliver an event that had failed, or all of them.
    SendAgain {
        /// Its webhook id.
        id: Option<String>,
    },
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum DeliveriesReply {
    /// The event is stored, or was before.
    Accepted,
    /// The account token that proved it is none of the connection's, which was
    /// registered anew meanwhile, or removed: the event is not stored.
    NotProven,
    /// The records of the list, without their events.
    Listed(Vec<EventRecord>),
    /// The numbers of events to be delivered, and of those that failed.
    Counted {
        /// To be delivered.
        pending: u64,
        /// Failed.
        failed: u64,
    },
    /// They are forgotten.
    Cleared,
    /// They will be.
    SentAgain,
    /// There is no such event that had failed.
    Unknown,
    /// The object's storage failed.
    Unavailable,
}
