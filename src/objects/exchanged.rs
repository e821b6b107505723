//! The token set that a caller's own token was exchanged for (RFC 8693).
//!
//! It is a Durable Object, one for each connection, issuer and subject: callers wait for nobody
//! else's exchange, and share no token. Its name is a keyed digest of all three.
//!
//! Invariants:
//! - a caller's own token is used for one token request and not stored;
//! - what was obtained is not used after the end of the token that it was exchanged for;
//! - a record is deleted at its end, whether or not the caller comes back.

use std::rc::Rc;

use super::token_set::{Account, LiveTokenSet};
use crate::config::{Config, Connection};
use crate::ports::{ObjectPorts, ObjectUnreachable, StorageFailed};
use crate::protocol::{ExchangedAsk, ReadRegistration, Registration, SubjectToken, TokenReply};
use crate::token::SealingKeys;

/// The exchanged token set of one caller.
#[allow(missing_debug_implementations, reason = "it holds a token set")]
pub struct Exchanged<P> {
    ports: Rc<P>,
    config: Rc<Config>,
    connection: String,
    name: String,
    tokens: Rc<LiveTokenSet<P>>,
}

impl<P: ObjectPorts> Exchanged<P> {
    /// The token set for `connection` of the caller whose object is called `name`.
    #[must_use]
    pub fn new(ports: Rc<P>, config: Rc<Config>, connection: String, name: String) -> Self {
        let tokens = LiveTokenSet::of_caller(Rc::clone(&ports), connection.clone(), &name);
        Self { ports, config, connection, name, tokens }
    }

    /// Answers one ask for an access token.
    pub async fn answer(&self, ask: &ExchangedAsk) -> TokenReply {
        let Some(keys) = &self.config.sealing_keys else { return TokenReply::Misconfigured };
        let connection = match self.connection(keys).await {
            Ok(Some(connection)) => connection,
            Ok(None) => return TokenReply::Misconfigured,
            Err(ObjectUnreachable) => return TokenReply::Unavailable,
        };
        let Ok(own) = SubjectToken::open(&ask.subject_token, &self.name, keys) else {
            return TokenReply::Unavailable;
        };
        let subject_token = Some(Rc::new(own));
        let account = Account { connection, keys: Rc::clone(keys), epoch: 0, subject_token };
        self.tokens.answer(&account, &ask.ask).await.unwrap_or(TokenReply::Unavailable)
    }

    /// Deletes the token set at its end.
    ///
    /// # Errors
    /// [`StorageFailed`]: the platform retries the alarm.
    pub async fn alarm(&self) -> Result<(), StorageFailed> {
        self.tokens.end().await
    }

    /// The connection, if usable. The registration of a registered one is its keeper's: it is read
    /// for each ask, so that no older one is used.
    async fn connection(&self, keys: &SealingKeys) -> Result<Option<Rc<Connection>>, ObjectUnreachable> {
        let id = &self.connection;
        if let Some(configured) = self.config.connection(id) {
            return Ok(configured.usable().cloned());
        }
        let Some(sealed) = self.ports.ask(ReadRegistration(id)).await? else { return Ok(None) };
        let registration = Registration::open(&sealed, id, keys).map_err(|_| ObjectUnreachable)?;
        Ok(registration.read(id, &self.config).ok().map(|registered| registered.connection))
    }
}
