//! Messages to the delivery queue of a connection.

use serde_json::Value;

use super::message;
use crate::protocol::deliveries::{DeliveriesAsk, DeliveriesReply};
use crate::protocol::envelope::Envelope;
use crate::protocol::event::{EventRecord, List};
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// The name of the delivery queue of `connection`.
fn deliveries_object(connection: &str) -> String {
    format!("deliveries/{connection}")
}

/// Has an event stored and delivered, unless the queue already knows it; the reply is false where
/// the account token is none of the connection's.
#[derive(Debug)]
pub struct AcceptEvent<'a> {
    /// The connection.
    pub connection: &'a str,
    /// The event's webhook id.
    pub id: String,
    /// The event, sealed under [`event_record`](crate::protocol::event_record).
    pub event: String,
    /// The digest of the account token that authenticated the event.
    pub proof: Fingerprint,
}

message! {
    AcceptEvent<'_>: DeliveriesReply => bool,
    |self| deliveries_object(self.connection),
    Envelope::Deliveries {
            connection: self.connection.to_owned(),
            ask: DeliveriesAsk::Accept { id: self.id, event: self.event, proof: self.proof },
        },
    {
        DeliveriesReply::Accepted => true,
        DeliveriesReply::NotProven => false,
    }
}

/// Asks for the events of a list, without their contents.
#[derive(Debug)]
pub struct ListEvents<'a> {
    /// The connection.
    pub connection: &'a str,
    /// The list.
    pub list: List,
    /// The time and the id that the page follows.
    pub after: Option<(UnixTime, String)>,
    /// The largest number of events.
    pub most: usize,
}

message! {
    ListEvents<'_>: DeliveriesReply => Vec<EventRecord>,
    |self| deliveries_object(self.connection),
    Envelope::Deliveries {
            connection: self.connection.to_owned(),
            ask: DeliveriesAsk::List { list: self.list, after: self.after, most: self.most },
        },
    {
        DeliveriesReply::Listed(records) => records,
    }
}

/// The numbers of undelivered events.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Undelivered {
    /// Events still to be delivered.
    pub pending: u64,
    /// Events that failed for good.
    pub failed: u64,
    /// The last attempt as the admin interface shows it, which the queue of the operator's events keeps.
    pub last: Option<Value>,
}

/// Asks for the numbers of undelivered events.
#[derive(Debug)]
pub struct CountEvents<'a> {
    /// The connection.
    pub connection: &'a str,
}

message! {
    CountEvents<'_>: DeliveriesReply => Undelivered,
    |self| deliveries_object(self.connection),
    Envelope::Deliveries { connection: self.connection.to_owned(), ask: DeliveriesAsk::Count },
    {
        DeliveriesReply::Counted { pending, failed, last } => Undelivered { pending, failed, last },
    }
}

/// Deletes all events: their connection is removed.
#[derive(Debug)]
pub struct ClearEvents<'a> {
    /// The connection.
    pub connection: &'a str,
}

message! {
    ClearEvents<'_>: DeliveriesReply => (),
    |self| deliveries_object(self.connection),
    Envelope::Deliveries { connection: self.connection.to_owned(), ask: DeliveriesAsk::Clear },
    {
        DeliveriesReply::Cleared => (),
    }
}

/// Has a failed event delivered again, or without an id all of them; the reply is false where no
/// failed event has this id.
#[derive(Debug)]
pub struct SendAgain<'a> {
    /// The connection.
    pub connection: &'a str,
    /// The event's webhook id.
    pub id: Option<String>,
}

message! {
    SendAgain<'_>: DeliveriesReply => bool,
    |self| deliveries_object(self.connection),
    Envelope::Deliveries {
            connection: self.connection.to_owned(),
            ask: DeliveriesAsk::SendAgain { id: self.id },
        },
    {
        DeliveriesReply::SentAgain => true,
        DeliveriesReply::Unknown => false,
    }
}
