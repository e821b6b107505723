//! A person who is signed in, as one call sees them.

use std::cell::RefCell;
use std::rc::Rc;

use crate::config::Connection;
use crate::edge::Code;
use crate::edge::answer::Refused;
use crate::edge::people::cookie::SessionId;
use crate::http::RequestHead;
use crate::ports::{KeeperUnreachable, Ports};
use crate::protocol::{SessionAsk, SessionReply, TokenAsk, TokenReply};

/// Whose access token a call uses.
#[derive(Clone, Debug)]
pub(in crate::edge) enum Subject {
    /// The connection's own.
    Service,
    /// A person's.
    Person(Rc<Person>),
}

/// A person who is signed in.
#[derive(Debug)]
pub(in crate::edge) struct Person {
    id: SessionId,
    /// What the keeper of the person's token set answered when the session was
    /// asked whether it lives.
    token: RefCell<Option<TokenReply>>,
}

impl Person {
    /// Asks the session of a request's cookie whether it lives, and for the
    /// person's access token for `connection` where the call `wants_token`.
    ///
    /// # Errors
    /// `connection_unavailable` where the session cannot be asked.
    pub async fn read<P: Ports>(
        ports: &P,
        head: &RequestHead<'_>,
        connection: &Connection,
        wants_token: bool,
    ) -> Result<Option<Rc<Self>>, Refused> {
        let Some(id) = SessionId::read(&head.headers) else { return Ok(None) };
        let token = wants_token.then(|| (connection.id.clone(), TokenAsk::new(&connection.identity)));
        match ports.ask_session(id.name(), &SessionAsk::Use { proof: id.proof(), token }).await {
            Ok(SessionReply::Living { token }) => Ok(Some(Rc::new(Self { id, token: RefCell::new(token) }))),
            Ok(SessionReply::Nobody) => Ok(None),
            Ok(
                SessionReply::SignedIn { .. }
                | SessionReply::Refused(_)
                | SessionReply::Connections(_)
                | SessionReply::SignedOut
                | SessionReply::Unavailable,
            )
            | Err(KeeperUnreachable) => Err(Refused::unavailable(Code::Internal, 1)),
        }
    }

    /// The name of the person's session.
    pub fn session(&self) -> &str {
        self.id.name()
    }

    /// Asks the keeper of the person's token set. The answer that came with the
    /// session's is the first one.
    pub async fn ask<P: Ports>(
        &self,
        ports: &P,
        connection: &Connection,
        ask: TokenAsk,
    ) -> Result<TokenReply, KeeperUnreachable> {
        if let Some(reply) = self.token.take() {
            return Ok(reply);
        }
        let token = Some((connection.id.clone(), ask));
        match ports.ask_session(self.session(), &SessionAsk::Use { proof: self.id.proof(), token }).await? {
            SessionReply::Living { token: Some(reply) } => Ok(reply),
            SessionReply::Nobody => Ok(TokenReply::SignedOut),
            SessionReply::Living { token: None }
            | SessionReply::SignedIn { .. }
            | SessionReply::Refused(_)
            | SessionReply::Connections(_)
            | SessionReply::SignedOut
            | SessionReply::Unavailable => Err(KeeperUnreachable),
        }
    }
}
