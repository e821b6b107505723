//! Messages to the keeper of a token set.

use super::Message;
use crate::protocol::envelope::Envelope;
use crate::protocol::exchanged::ExchangedAsk;
use crate::protocol::token::{SERVICE, TokenAsk, TokenReply};

/// The name of the keeper of `connection`.
pub(super) fn service_object(connection: &str) -> String {
    format!("{SERVICE}/{connection}")
}

/// Asks the keeper of a connection's own token set for an access token, or the object of a caller's
/// exchanged one.
#[derive(Debug)]
pub struct ObtainToken<'a> {
    /// The connection.
    pub connection: &'a str,
    /// The ask.
    pub ask: TokenAsk,
    /// The name of a caller's object, and the caller's own token, sealed for it.
    pub caller: Option<(&'a str, String)>,
}

impl Message for ObtainToken<'_> {
    type Answer = TokenReply;
    type Reply = TokenReply;

    fn object(&self) -> String {
        self.caller.as_ref().map_or_else(|| service_object(self.connection), |(name, _)| (*name).to_owned())
    }

    fn into_envelope(self) -> Envelope {
        let (connection, ask) = (self.connection.to_owned(), self.ask);
        match self.caller {
            None => Envelope::Service { connection, ask },
            Some((name, subject_token)) => {
                let ask = ExchangedAsk { ask, subject_token };
                Envelope::Exchanged { connection, name: name.to_owned(), ask }
            }
        }
    }

    fn reply(answer: TokenReply) -> Option<TokenReply> {
        Some(answer)
    }
}
