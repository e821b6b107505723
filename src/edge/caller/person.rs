//! The signed-in person behind a call.

use std::cell::RefCell;
use std::rc::Rc;

use crate::config::{Connection, SessionCaller};
use crate::edge::people::cookie::SessionId;
use crate::http::RequestHead;
use crate::jose::{Claims, OwnClaimSet};
use crate::ports::{EdgePorts, ObjectUnreachable};
use crate::protocol::{LivingSession, TokenAsk, TokenReply, UseSession};

/// A signed-in person.
#[derive(Debug)]
pub(in crate::edge) struct SignedInPerson {
    id: SessionId,
    /// The connections by which somebody signed in with an ID token, each with its claims.
    people: Vec<(String, OwnClaimSet)>,
    /// The token reply that came with the session's first answer.
    token: RefCell<Option<TokenReply>>,
}

impl SignedInPerson {
    /// Asks the session named by the request's cookie whether it lives, and for the person's access
    /// token for `connection` if the call `wants_token`; with `wants_people`, also who signed in.
    ///
    /// # Errors
    /// [`ObjectUnreachable`] where the session cannot be reached.
    pub async fn read<P: EdgePorts>(
        ports: &P,
        head: &RequestHead<'_>,
        connection: &Connection,
        (wants_token, with_people): (bool, bool),
    ) -> Result<Option<Rc<Self>>, ObjectUnreachable> {
        let Some(id) = SessionId::read(&head.headers) else { return Ok(None) };
        let token = wants_token.then(|| (connection.id.clone(), TokenAsk::new(&connection.identity)));
        let used = UseSession { session: id.name(), proof: id.proof(), token, with_people };
        let Some(LivingSession { token, people }) = ports.ask(used).await? else { return Ok(None) };
        let people = people.into_iter().filter_map(|person| {
            let claims = Claims::parse(person.claims.as_bytes()).ok()?;
            Some((person.connection, claims.into_own()))
        });
        Ok(Some(Rc::new(Self { id, people: people.collect(), token: RefCell::new(token) })))
    }

    /// The claims of who signed in by `connection`, if they were asked for.
    pub fn claims(&self, connection: &str) -> Option<&OwnClaimSet> {
        self.people.iter().find(|(own, _)| own == connection).map(|(_, claims)| claims)
    }

    /// Whether the session is that `caller`: any, or one of somebody with these claims.
    pub fn is(&self, caller: &SessionCaller) -> bool {
        let Some(connection) = &caller.connection else { return true };
        let own = self.claims(connection);
        own.is_some_and(|own| caller.claims.iter().all(|(name, values)| own.has(name, values)))
    }

    /// The name of the person's session.
    pub fn session(&self) -> &str {
        self.id.name()
    }

    /// The session, as it is since the person last signed in: each sign-in gives another account
    /// another cookie. `None` where the session has no token set of the connection any more.
    pub fn identity(&self) -> Option<&str> {
        let is_over = matches!(&*self.token.borrow(), Some(TokenReply::SignedOut));
        (!is_over).then(|| self.id.value().expose())
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
