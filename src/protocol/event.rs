//! What is stored of an event.

use serde::{Deserialize, Serialize};

use crate::time::UnixTime;

/// What an event waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum List {
    /// To be delivered: its time is that of the next attempt.
    Pending,
    /// For the operator: its time is when it is deleted.
    Failed,
    /// For nothing, it was delivered: its time is when it is forgotten.
    Delivered,
}

impl List {
    /// Its name in storage and towards operators.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Failed => "failed",
            Self::Delivered => "delivered",
        }
    }
}

/// One event.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its webhook id.
    pub id: String,
    /// What it waits for.
    pub list: List,
    /// Its time.
    pub due: UnixTime,
    /// When it was accepted.
    pub accepted_at: UnixTime,
    /// When its attempts began.
    pub since: UnixTime,
    /// How many attempts have begun.
    pub attempts: u32,
    /// How the last attempt ended, where one has.
    pub outcome: Option<DeliveryOutcome>,
    /// The status that the receiver answered last, where it did.
    pub status: Option<u16>,
    /// The sealed event (see [`event_record`]); none once it was delivered. It is
    /// stored beside the rest, which is read without it.
    #[serde(skip)]
    pub event: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryOutcome {
    /// The receiver took it.
    Delivered,
    /// The receiver answered something else than a 2xx.
    Refused,
    /// The receiver answered 410: it wants no more of it.
    Gone,
    /// The receiver did not answer in time.
    Timeout,
    /// The receiver could not be reached, or broke off.
    Unreachable,
    /// The stored event does not open under the sealing keys.
    Unopened,
    /// None was made: the webhook was not configured correctly for a day.
    Misconfigured,
    /// Another version of the broker knows.
    #[serde(other)]
    Unknown,
}

impl EventRecord {
    /// An event that was just accepted.
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

/// The name that the event `id` of `connection` is sealed under.
#[must_use]
pub fn event_record(connection: &str, id: &str) -> String {
    format!("webhook/{connection}/{id}")
}
