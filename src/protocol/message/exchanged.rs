//! Messages to the object of a caller's exchanged token set.

use super::Message;
use crate::protocol::envelope::Envelope;
use crate::protocol::exchanged::ExchangedAsk;
use crate::protocol::token::TokenReply;

/// Asks for a caller's access token for a connection.
#[derive(Debug)]
pub struct ObtainExchanged<'a> {
    /// The connection.
    pub connection: &'a str,
    /// The name of the object.
    pub name: &'a str,
    /// The ask.
    pub ask: ExchangedAsk,
}

impl Message for ObtainExchanged<'_> {
    type Answer = TokenReply;
    type Reply = TokenReply;

    fn object(&self) -> String {
        self.name.to_owned()
    }

    fn into_envelope(self) -> Envelope {
        let (connection, name) = (self.connection.to_owned(), self.name.to_owned());
        Envelope::Exchanged { connection, name, ask: self.ask }
    }

    fn reply(answer: TokenReply) -> Option<TokenReply> {
        Some(answer)
    }
}
