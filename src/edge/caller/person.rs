//! The signed-in person behind a call.

use std::cell::RefCell;
use std::rc::Rc;

use crate::config::Connection;
use crate::edge::people::cookie::SessionId;
use crate::http::RequestHead;
use crate::ports::{EdgePorts, ObjectUnreachable};
use crate::protocol::{LivingSession, TokenAsk, TokenReply, UseSession};

/// A signed-in person.
#[derive(Debug)]
pub(in crate::edge) struct SignedInPerson {
    id: SessionId,
    /// The token reply that came with the session's first answer.
    token: RefCell<Option<TokenReply>>,
}

impl SignedInPerson {
    /// Asks the session named by the request's cookie whether it lives, and for the person's access
    /// token for `connection` if the call `wants_token`.
    ///
    /// # Errors
    /// [`ObjectUnreachable`] where the session cannot be reached.
    pub async fn read<P: EdgePorts>(
        ports: &P,
        head: &RequestHead<'_>,
        connection: &Connection,
        wants_token: bool,
    ) -> Result<Option<Rc<Self>>, ObjectUnreachable> {
        let Some(id) = SessionId::read(&head.headers) else { return Ok(None) };
        let token = wants_token.then(|| (connection.id.clone(), TokenAsk::new(&connection.identity)));
        let used = UseSession { session: id.name(), proof: id.proof(), token, with_people: false };
        let living = ports.ask(used).await?;
        Ok(living.map(|LivingSession { token, .. }| Rc::new(Self { id, token: RefCell::new(token) })))
    }

    /// The name of the person's session.
    pub fn session(&self) -> &str {
        self.id.name()
    }

    /// Asks for the person's access token for `connection`; `None` where the session has ended. The
    /// first call returns the reply that came with the session's answer.
    pub async fn ask<P: EdgePorts>(
        &self,
        ports: &P,
        connection: &str,
        ask: TokenAsk,
    ) -> Result<Option<TokenReply>, ObjectUnreachable> {
        if let Some(reply) = self.token.take() {
            return Ok(Some(reply));
        }
        let token = Some((connection.to_owned(), ask));
        let used = UseSession { session: self.session(), proof: self.id.proof(), token, with_people: false };
        match ports.ask(used).await? {
            Some(LivingSession { token, .. }) => token.ok_or(ObjectUnreachable).map(Some),
            None => Ok(None),
        }
    }
}
