//! How an event proves its sender.

use super::hmac::EventHmac;
use crate::http::HeaderName;

/// How an event proves that its sender knows the account token.
#[derive(Debug)]
pub enum Proof {
    /// This member of the event is the account token.
    Member(String),
    /// This header field is the account token.
    Header(HeaderName),
    /// The account token is the key of a signature.
    Hmac(Box<EventHmac>),
    /// The last segment of the address is the account token.
    Path,
}

/// Why an event is rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventRejection {
    /// The event is not JSON.
    NotJson,
    /// The event does not authenticate its sender, or an object has two members of one name, which
    /// parsers read differently.
    NotProven,
}
