//! A consent for all callers of a connection, for its keeper.

use super::message;
use super::token::service_object;
use crate::protocol::consent::{ConnectService, ConsentRefusal, ConsentReply};
use crate::protocol::envelope::Envelope;

/// Hands a consent to the keeper of `connection`; the reply is the generation of the new token.
#[derive(Debug)]
pub struct AcceptConsent<'a> {
    /// The connection.
    pub connection: &'a str,
    /// The consent.
    pub ask: ConnectService,
}

message! {
    AcceptConsent<'_>: ConsentReply => Result<u64, ConsentRefusal>,
    |self| service_object(self.connection),
    Envelope::Consent { connection: self.connection.to_owned(), ask: self.ask },
    {
        ConsentReply::Connected { generation } => Ok(generation),
        ConsentReply::Refused(refusal) => Err(refusal),
    }
}
