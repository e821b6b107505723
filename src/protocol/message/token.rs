//! Messages to the keeper of a token set.

use super::Message;
use crate::protocol::envelope::Envelope;
use crate::protocol::token::{SERVICE, TokenAsk, TokenReply};

/// The name of the keeper of `connection`.
pub(super) fn service_object(connection: &str) -> String {
    format!("{SERVICE}/{connection}")
}

/// Asks the keeper of a connection's own token set for an access token.
#[derive(Debug)]
pub struct ObtainToken<'a> {
    /// The connection.
    pub connection: &'a str,
    /// The ask.
    pub ask: TokenAsk,
}

impl Message for ObtainToken<'_> {
    type Answer = TokenReply;
    type Reply = TokenReply;

    fn object(&self) -> String {
        service_object(self.connection)
    }

    fn into_envelope(self) -> Envelope {
        Envelope::Service { connection: self.connection.to_owned(), ask: self.ask }
    }

    fn reply(answer: TokenReply) -> Option<TokenReply> {
        Some(answer)
    }
}
