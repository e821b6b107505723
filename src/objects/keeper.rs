//! The keeper: the one writer of a connection's token set.
//!
//! It runs inside a Durable Object, of which there is one for each connection
//! everywhere. That object takes in other events while it waits for a token
//! endpoint, so single threading does not serialise renewals: one shared
//! renewal in flight does.
//!
//! Invariants:
//! - never two token requests in flight for one token set;
//! - a new refresh token is durable before its access token is used;
//! - a refresh token is sent a second time only once, after a request whose
//!   outcome is not known, unless it is all that the connection has;
//! - refused credentials are tried once for each wait, and once more where the
//!   keeper ends before the wait is durable.

mod alarm;
mod failure;
mod guard;
mod operator;
mod plan;
mod registration;
mod renewal;
mod sign_in;
mod state;
mod wait;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared, WeakShared};
use futures_util::lock::Mutex;

pub use sign_in::SignInFailure;
pub use state::{State, Trouble};

use crate::config::{Config, Connection};
use crate::ports::{Clock as _, Entropy as _, KeeperPorts, StorageFailed, report};
use crate::protocol::{TokenAsk, TokenReply, access_token_record};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{AccessToken, AccessTokenRecord, Nonce, SealingKeys, key_id};
use failure::Failure;
use guard::Guarded;
use plan::{Plan, Reason, plan};

/// The keeper of one connection's token set.
#[allow(missing_debug_implementations, reason = "it holds token sets and a running future")]
pub struct Keeper<P> {
    ports: Guarded<P>,
    config: Rc<Config>,
    connection: String,
    /// Whose token set it is: `service`, or a session's name.
    subject: String,
    state: RefCell<Option<State>>,
    /// The renewal in flight. The task that runs it and those that wait for it
    /// keep it alive, not the keeper.
    renewal: RefCell<Option<WeakShared<Renewing>>>,
    /// The generation that the alarm was set for in this life.
    alarm_for: Cell<u64>,
    /// When the access token was last copied into the cache once more.
    published_again: Cell<Option<UnixTime>>,
    /// Who may write the state now.
    writing: Mutex<()>,
    /// The id of the key that the stored state is sealed with.
    sealed_with: RefCell<Option<String>>,
    registered: RefCell<registration::Known>,
    /// When the registration was last copied into the cache.
    registration_published_at: Cell<Option<UnixTime>>,
    /// Who may make token requests now, or change what they are made for.
    renewing: Mutex<()>,
    /// Who may write the access token to the cache now, or delete it there.
    publishing: Mutex<()>,
    /// Who may change the registration now.
    registering: Mutex<()>,
    /// Who may read it for the first time now.
    reading: Mutex<()>,
}

type Renewing = LocalBoxFuture<'static, Result<Rc<AccessToken>, Failure>>;
type Renewal = Shared<Renewing>;

impl<P: KeeperPorts + 'static> Keeper<P> {
    /// The keeper of `subject`'s token set for `connection`, as `config` has it.
    #[must_use]
    pub fn new(ports: P, config: Rc<Config>, connection: String, subject: &str) -> Rc<Self> {
        Self::build(Guarded::new(ports, None), config, connection, subject)
    }

    /// The same for the token set of a person, in whose session it stands; it
    /// writes nothing from when `cut_off` is true.
    #[must_use]
    pub fn of_person(
        ports: P,
        config: Rc<Config>,
        connection: String,
        session: &str,
        cut_off: Rc<Cell<bool>>,
    ) -> Rc<Self> {
        Self::build(Guarded::new(ports, Some(cut_off)), config, connection, session)
    }

    fn build(ports: Guarded<P>, config: Rc<Config>, connection: String, subject: &str) -> Rc<Self> {
        Rc::new(Self {
            ports,
            config,
            connection,
            subject: subject.to_owned(),
            state: RefCell::new(None),
            renewal: RefCell::new(None),
            alarm_for: Cell::new(0),
            published_again: Cell::new(None),
            writing: Mutex::new(()),
            sealed_with: RefCell::default(),
            registered: RefCell::default(),
            registration_published_at: Cell::new(None),
            renewing: Mutex::new(()),
            publishing: Mutex::new(()),
            registering: Mutex::new(()),
            reading: Mutex::new(()),
        })
    }

    /// Answers one ask for an access token.
    pub async fn answer(self: &Rc<Self>, ask: &TokenAsk) -> TokenReply {
        let (connection, keys) = match self.configured().await {
            Ok(Some(configured)) => configured,
            Ok(None) => return TokenReply::Misconfigured,
            Err(StorageFailed) => return TokenReply::Unavailable,
        };
        let connection = &*connection;
        let identity = connection.identity;
        if identity != ask.identity() {
            return TokenReply::Misconfigured;
        }
        if self.load(connection, keys).await.is_err() {
            return TokenReply::Unavailable;
        }
        if connection.grant.endpoint().is_none() {
            return self.note_static_token_refused(connection, keys).await;
        }
        let noted = self.change(|state| state.note(ask, self.ports.now()));
        if noted == Ok(true) && self.commit(connection, keys, |_| ()).await.is_err() {
            return TokenReply::Unavailable;
        }
        let now = self.ports.now();
        let Ok(plan) = self.change(|state| plan(state, ask, self.is_renewing(), now)) else {
            return TokenReply::Unavailable;
        };
        let reason = match plan {
            Plan::Use(token) => {
                if !self.is_in_doubt(&token) {
                    self.publish_again(&token, connection, keys, now);
                }
                return self.token_reply(&token, &identity, keys, false);
            }
            Plan::UseAndRenew(token) => {
                let renewal = self.renew(Reason::Age);
                if !ask.waits_for_renewal() {
                    self.ports.spawn(renewal.map(drop).boxed_local());
                    return self.token_reply(&token, &identity, keys, false);
                }
                Reason::Age
            }
            Plan::Renew(reason) => reason,
            Plan::Wait { cause, until } => return TokenReply::waiting(cause, until, now),
            Plan::UpstreamRefuses => return TokenReply::UpstreamRefuses,
            Plan::BeginBackoff => {
                let stored = self.commit(connection, keys, |state| state.begin_backoff(now)).await;
                return stored.map_or(TokenReply::Unavailable, |()| TokenReply::UpstreamRefuses);
            }
        };
        let renewed = self.renew(reason).await;
        let now = self.ports.now();
        match renewed {
            Ok(token) => self.token_reply(&token, &identity, keys, true),
            Err(failure) => match self.left_after(failure, ask, now) {
                Ok(held) => self.token_reply(&held, &identity, keys, false),
                Err(reply) => reply,
            },
        }
    }

    /// The token that goes on being used after a renewal failed: what is still
    /// valid, unless it was refused, for all that is known, for what it is and
    /// not for what was called.
    fn left_after(
        &self,
        failure: Failure,
        ask: &TokenAsk,
        now: UnixTime,
    ) -> Result<Rc<AccessToken>, TokenReply> {
        let state = self.state.borrow();
        let held = state.as_ref().and_then(|state| Some((state, state.current(now)?)));
        match (held, failure) {
            (Some((state, _)), Failure::SignedOut) if state.is_dead() => Err(TokenReply::SignedOut),
            (Some((state, held)), _) if !state.is_refused_by(ask) || state.works() => Ok(held),
            (Some(_), Failure::SignedOut) => Err(TokenReply::UpstreamRefuses),
            (_, failure) => Err(TokenReply::failed(failure, now)),
        }
    }

    /// The connection and the keys, where both are configured.
    async fn configured(&self) -> Result<Option<(Rc<Connection>, &SealingKeys)>, StorageFailed> {
        Ok(self.connection().await?.zip(self.config.sealing_keys.as_ref()))
    }

    /// Whether `token` is held, was refused, and is not known to have worked since.
    fn is_in_doubt(&self, token: &AccessToken) -> bool {
        let state = self.state.borrow();
        state.as_ref().is_some_and(|state| state.is_refused() && state.holds(token.generation))
    }

    fn in_flight(&self) -> Option<Renewal> {
        self.renewal.borrow().as_ref().and_then(WeakShared::upgrade)
    }

    fn is_renewing(&self) -> bool {
        self.in_flight().is_some()
    }

    /// Joins the renewal in flight, or starts one that goes on whoever leaves.
    fn renew(self: &Rc<Self>, reason: Reason) -> Renewal {
        if let Some(renewal) = self.in_flight() {
            return renewal;
        }
        let keeper = Rc::clone(self);
        let renewal = async move {
            // A panic must not leave behind a renewal that never ends.
            let run = AssertUnwindSafe(Rc::clone(&keeper).run_renewal(reason)).catch_unwind();
            let result = run.await.unwrap_or(Err(Failure::Storage));
            keeper.renewal.replace(None);
            result
        };
        let renewal = renewal.boxed_local().shared();
        self.renewal.replace(renewal.downgrade());
        self.ports.spawn(renewal.clone().map(drop).boxed_local());
        renewal
    }

    /// Reads the state once; what does not open or belongs to another account
    /// counts as absent.
    async fn load(&self, connection: &Connection, keys: &SealingKeys) -> Result<(), StorageFailed> {
        if self.state.borrow().is_some() {
            return Ok(());
        }
        let stored = self.ports.load().await?;
        // What is stored may belong to what was registered meanwhile.
        if !self.serves(connection) {
            return Err(StorageFailed);
        }
        let mut state = State::default();
        let mut is_old = false;
        if let Some(sealed) = &stored {
            match State::open(sealed, &self.record_name(), keys, connection) {
                Ok(opened) => (state, is_old) = (opened, !keys.is_current(sealed)),
                Err(_) => report::unopened_record(&self.ports, &self.record_name()),
            }
        }
        // Another ask may have loaded it, and gone on, meanwhile.
        if self.state.borrow().is_none() {
            self.sealed_with.replace(stored.as_deref().and_then(key_id).map(str::to_owned));
            self.state.replace(Some(state));
            if is_old {
                self.seal_anew(connection, keys).await;
            }
        }
        Ok(())
    }

    fn record_name(&self) -> String {
        format!("keeper/{}/{}", self.subject, self.connection)
    }

    /// A static token needs no keeper but to remember, for the operator, that
    /// the upstream refuses it.
    async fn note_static_token_refused(&self, connection: &Connection, keys: &SealingKeys) -> TokenReply {
        let known = self.state.borrow().as_ref().is_some_and(State::is_rejected);
        if !known {
            let now = self.ports.now();
            if self.commit(connection, keys, |state| state.reject(now)).await.is_err() {
                return TokenReply::Unavailable;
            }
        }
        TokenReply::UpstreamRefuses
    }

    fn token_reply(
        self: &Rc<Self>,
        token: &AccessToken,
        identity: &Fingerprint,
        keys: &SealingKeys,
        granted: bool,
    ) -> TokenReply {
        self.keep_warm(token);
        let name = access_token_record(&self.subject, &self.connection);
        let nonce = Nonce(self.ports.bytes());
        match AccessTokenRecord::seal(token, identity, &name, keys, &nonce) {
            Ok(record) => TokenReply::Token { record, granted, in_doubt: self.is_in_doubt(token) },
            Err(_) => TokenReply::Unavailable,
        }
    }
}
