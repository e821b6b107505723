//! The message about requests to an upstream.

use super::message;
use super::token::service_object;
use crate::protocol::envelope::Envelope;
use crate::protocol::quota::{QuotaAsk, QuotaReply};

/// Asks the keeper of a connection for a part of its budget.
#[derive(Debug)]
pub struct AskQuota<'a> {
    /// The connection.
    pub connection: &'a str,
    /// The ask.
    pub ask: QuotaAsk,
}

message! {
    AskQuota<'_>: Option<QuotaReply> => QuotaReply,
    |self| service_object(self.connection),
    Envelope::Quota { connection: self.connection.to_owned(), ask: self.ask },
    {
        Some(reply) => reply,
    }
}
