//! The keeper of a connection: the only writer of the connection's own token set and of its
//! registration.
//!
//! It is a Durable Object, one per connection worldwide.

mod consent;
mod operator;
pub mod quota;
mod registered;
mod registration;
mod telling;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::lock::{Lock, Rank};
use super::telling::Telling;
use super::token_set::{Account, Failure, LiveTokenSet};
use crate::config::Config;
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{QuotaAsk, QuotaReply, TokenAsk, TokenReply};
use crate::time::UnixTime;
use quota::Quota;
use registered::KnownRegistration;

/// The keeper of one connection.
#[allow(missing_debug_implementations, reason = "it holds a token set")]
pub struct Keeper<P> {
    ports: Rc<P>,
    config: Rc<Config>,
    connection: String,
    tokens: Rc<LiveTokenSet<P>>,
    registered: RefCell<KnownRegistration>,
    /// When the registration was last copied into the cache.
    registration_published_at: Cell<Option<UnixTime>>,
    quota: Quota,
    /// Held while the registration changes.
    registering: Lock,
    /// Held while the registration is read for the first time.
    reading: Lock,
    /// Tells the operator of the connection.
    telling: Telling<P>,
}

impl<P: ObjectPorts> Keeper<P> {
    /// The keeper of `connection`, which is configured by `config` or registered.
    #[must_use]
    pub fn new(ports: Rc<P>, config: Rc<Config>, connection: String) -> Rc<Self> {
        let telling = Telling::new(Rc::clone(&ports), Rc::clone(&config), connection.clone(), true);
        let looks_again = Rc::clone(&telling.owes);
        Rc::new(Self {
            tokens: LiveTokenSet::of_connection(Rc::clone(&ports), connection.clone(), looks_again),
            telling,
            ports,
            config,
            connection,
            registered: RefCell::default(),
            quota: Quota::default(),
            registration_published_at: Cell::new(None),
            registering: Lock::new(Rank::Registering),
            reading: Lock::new(Rank::ReadingRegistration),
        })
    }

    /// Answers one ask for a part of the budget.
    pub async fn lease(&self, ask: &QuotaAsk) -> Option<QuotaReply> {
        self.quota.lease(&*self.ports, ask).await
    }

    /// Answers one ask for an access token.
    pub async fn answer(self: &Rc<Self>, ask: &TokenAsk) -> TokenReply {
        // Retry once if the connection was registered again meanwhile.
        for _ in 0..2 {
            let account = match self.account().await {
                Ok(Some(account)) => account,
                Ok(None) => return TokenReply::Misconfigured,
                Err(StorageFailed) => return TokenReply::Unavailable,
            };
            match self.tokens.answer(&account, ask).await {
                Ok(reply) => return reply,
                Err(Failure::Superseded) => {}
                Err(failure) => return failure.reply(self.ports.now()),
            }
        }
        TokenReply::Unavailable
    }

    /// Renews an ageing token: see [`LiveTokenSet::alarm`].
    pub async fn alarm(&self) {
        if let Ok(Some(account)) = self.account().await {
            self.tokens.alarm(&account).await;
        }
    }

    /// The connection and the keys; `None` unless both are usable.
    async fn account(&self) -> Result<Option<Account>, StorageFailed> {
        let connection = self.connection().await?;
        let epoch = self.tokens.epoch();
        let account = |(connection, keys): (_, &Rc<_>)| Account {
            connection,
            keys: Rc::clone(keys),
            epoch,
            subject_token: None,
        };
        Ok(connection.zip(self.config.sealing_keys.as_ref()).map(account))
    }
}
