//! The stored record of an event.

use crate::json::{record, variants};
use crate::time::UnixTime;

/// The name of the delivery queue of the operator's events, in place of a connection's id, which it
/// cannot be.
pub const OPERATOR: &str = "(events)";

/// The state of an event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum List {
    /// To be delivered; the event's time is that of the next attempt.
    Pending,
    /// Failed for good, kept for the operator; the event's time is when it is deleted.
    Failed,
    /// Delivered; the event's time is when its id is deleted.
    Delivered,
}

variants!(List { Pending as "pending", Failed as "failed", Delivered as "delivered" });

impl List {
    /// The list's name in storage and in the admin interface.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
        }
    }
}

/// The record of one event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventRecord {
    /// The event's webhook id.
    pub id: String,
    /// The list that the event is in.
    pub list: List,
    /// The event's time, whose meaning depends on the list.
    pub due: UnixTime,
    /// When the broker accepted the event.
    pub accepted_at: UnixTime,
    /// When the current series of attempts began.
    pub since: UnixTime,
    /// How many attempts were started.
    pub attempts: u32,
    /// The outcome of the last attempt, if any has ended.
    pub outcome: Option<DeliveryOutcome>,
    /// The HTTP status of the last attempt, if the receiver responded.
    pub status: Option<u16>,
    /// The sealed event (see [`event_record`]); `None` once delivered. It has a column of its own,
    /// so that lists are read without it.
    pub event: Option<String>,
}

record!(EventRecord { id, list, due, accepted_at, since, attempts, outcome, status; event });

/// The outcome of an attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DeliveryOutcome {
    /// The receiver answered 2xx.
    Delivered,
    /// The receiver answered neither 2xx nor 410.
    Refused,
    /// The receiver answered 410: the event is not sent again.
    Gone,
    /// The receiver did not answer in time.
    Timeout,
    /// The receiver could not be reached, or closed the connection early.
    Unreachable,
    /// The stored event does not open under the sealing keys.
    Unopened,
    /// No attempt was made: the webhook was misconfigured for a day.
    Misconfigured,
    /// No attempt was made: the event is about a connection that was removed.
    Removed,
    /// An outcome of another version of the broker.
    Unknown,
}

variants!(DeliveryOutcome {
    Delivered as "delivered",
    Refused as "refused",
    Gone as "gone",
    Timeout as "timeout",
    Unreachable as "unreachable",
    Unopened as "unopened",
    Misconfigured as "misconfigured",
    Removed as "removed",
    Unknown as "unknown",
} else Unknown);

impl EventRecord {
    /// The record of an event accepted at `now`.
    #[must_use]
    pub const fn new(id: String, event: String, now: UnixTime) -> Self {
        Self {
            id,
            list: List::Pending,
            due: now,
            accepted_at: now,
            since: now,
            attempts: 0,
            outcome: None,
            status: None,
            event: Some(event),
        }
    }
}

/// The record name under which the event `id` of `connection` is sealed.
#[must_use]
pub fn event_record(connection: &str, id: &str) -> String {
    format!("webhook/{connection}/{id}")
}
