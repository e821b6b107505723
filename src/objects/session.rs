//! Sessions of signed-in persons.
//!
//! A session is an object of its own, once worldwide: neither isolates nor the replicated cache
//! hold a copy, so a sign-out takes effect everywhere at once. Every call asks the session, and its
//! answer includes the access token: one round trip.
//!
//! The cookie's 256 random bits are a handle, which names the object, and a proof, which changes
//! with every sign-in. The object stores only a digest of the cookie.
//!
//! Invariants:
//! - a person's user name and password are used for one token request and not stored;
//! - a person's tokens are neither held in an isolate's memory nor cached;
//! - a session that has ended writes nothing.

mod admission;
mod connect;
mod life;
mod state;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::lock::{Lock, Rank};
use super::token_set::{Account, LiveTokenSet};
use crate::config::Config;
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{Credentials, SessionAsk, SessionReply, SignIn, SignInRefusal, TokenAsk, TokenReply};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use state::SessionState;

/// How soon the alarm fires again while the sealing keys are missing.
const ALARM_RETRY: Duration = Duration::from_hours(1);

/// The storage key of the session's own record.
const SESSION: &str = "session";

/// One session.
#[allow(missing_debug_implementations, reason = "it holds token sets")]
pub struct Session<P> {
    ports: Rc<P>,
    config: Rc<Config>,
    name: String,
    record: RefCell<Record>,
    /// When the session was last used; the stored time lags behind.
    used_at: Cell<UnixTime>,
    token_sets: RefCell<Vec<Rc<LiveTokenSet<P>>>>,
    /// Held while a person signs in.
    signing_in: Lock,
    /// Held while the record is written.
    writing: Lock,
    /// How many times the session has ended.
    ends: Cell<u64>,
}

/// The session's record, as far as loaded.
enum Record {
    /// Not read yet.
    Unread,
    /// No record is stored.
    Absent,
    /// The record.
    Present(SessionState),
}

impl<P: ObjectPorts> Session<P> {
    /// The session whose object is called `name`.
    #[must_use]
    pub fn new(ports: Rc<P>, config: Rc<Config>, name: String) -> Rc<Self> {
        Rc::new(Self {
            ports,
            config,
            name,
            record: RefCell::new(Record::Unread),
            used_at: Cell::new(UnixTime::from_millis(0)),
            token_sets: RefCell::default(),
            signing_in: Lock::new(Rank::SigningIn),
            writing: Lock::new(Rank::WritingSession),
            ends: Cell::new(0),
        })
    }

    /// Answers one ask.
    pub async fn answer(self: &Rc<Self>, ask: &SessionAsk) -> SessionReply {
        let answered = match ask {
            SessionAsk::SignIn(sign_in) => self.sign_in(sign_in).await,
            SessionAsk::Use { proof, token, with_people } => {
                self.serve(*proof, token.as_ref(), *with_people).await
            }
            SessionAsk::List { proof } => self.list(*proof).await,
            SessionAsk::SignOut { proof } => self.sign_out(*proof).await,
            SessionAsk::Connect(ask) => self.connect(ask).await,
            SessionAsk::Disconnect { proof, connection } => self.disconnect(*proof, connection).await,
            SessionAsk::Expel(whom) => self.expel(whom).await,
        };
        answered.unwrap_or(SessionReply::Unavailable)
    }

    /// Ends the session if it has expired or the configuration has no sessions, and deletes its
    /// storage.
    ///
    /// # Errors
    /// [`StorageFailed`]: the platform retries the alarm.
    pub async fn alarm(self: &Rc<Self>) -> Result<(), StorageFailed> {
        if self.config.sealing_keys.is_none() {
            // The operator may restore the keys: do not delete what they open.
            return self.ports.set_alarm(self.ports.now() + ALARM_RETRY).await;
        }
        match (self.living(None).await?, self.config.session) {
            (Some(state), Some(policy)) => {
                self.ports.set_alarm(state.ends_at(self.used_at.get(), &policy)).await
            }
            _ => self.end(|_| true).await,
        }
    }

    async fn serve(
        self: &Rc<Self>,
        proof: Fingerprint,
        token: Option<&(String, TokenAsk)>,
        with_people: bool,
    ) -> Result<SessionReply, StorageFailed> {
        let Some(state) = self.living(Some(proof)).await? else { return Ok(SessionReply::Nobody) };
        self.note_use(&state);
        let people = if with_people { state.people.clone() } else { Vec::new() };
        let Some((connection, ask)) = token else {
            return Ok(SessionReply::Living { token: None, people });
        };
        if !state.connections.contains(connection) {
            return Ok(SessionReply::Living { token: Some(TokenReply::SignedOut), people });
        }
        let ends = self.ends.get();
        let tokens = self.tokens(connection);
        let reply = match Account::configured(&self.config, connection) {
            Some(account) => tokens.answer(&account, ask).await.unwrap_or(TokenReply::Unavailable),
            None => TokenReply::Misconfigured,
        };
        // During the token request the session may have ended, or the person may have signed in
        // again, which cuts this token set off.
        let has_token = matches!(reply, TokenReply::Token { .. });
        if ends != self.ends.get() || (!has_token && self.living(Some(proof)).await?.is_none()) {
            return Ok(SessionReply::Nobody);
        }
        if reply == TokenReply::SignedOut {
            self.remove_sign_in(&tokens, proof).await?;
        }
        Ok(SessionReply::Living { token: Some(reply), people })
    }

    async fn list(self: &Rc<Self>, proof: Fingerprint) -> Result<SessionReply, StorageFailed> {
        let Some(state) = self.living(Some(proof)).await? else { return Ok(SessionReply::Nobody) };
        let mut connections = Vec::new();
        for connection in &state.connections {
            if let Some(expires_at) = self.expires_at(connection, &state).await? {
                connections.push((connection.clone(), expires_at));
            }
        }
        if connections.is_empty() && !state.stays {
            self.end(|state| state.is_some_and(|state| state.proof == proof)).await?;
            return Ok(SessionReply::Nobody);
        }
        // Isolates of an older version know the other reply alone.
        Ok(if state.stays {
            SessionReply::Listed { connections, people: state.people }
        } else {
            SessionReply::Connections(connections)
        })
    }

    /// The latest end of the sign-in to `connection`; `None` where it has ended.
    async fn expires_at(
        self: &Rc<Self>,
        connection: &str,
        state: &SessionState,
    ) -> Result<Option<UnixTime>, StorageFailed> {
        let Some(policy) = self.config.session else { return Ok(None) };
        let Some(account) = Account::configured(&self.config, connection) else { return Ok(None) };
        let longest = state.longest(&policy);
        if account.connection.is_for_signing_in_only {
            return Ok(Some(longest));
        }
        let ends_at = self.tokens(connection).sign_in_ends_at(&account).await?;
        Ok(ends_at.map(|ends_at| ends_at.min(longest)))
    }

    async fn sign_out(self: &Rc<Self>, proof: Fingerprint) -> Result<SessionReply, StorageFailed> {
        let (Some(policy), Some(keys)) = (self.config.session, &self.config.sealing_keys) else {
            return Ok(SessionReply::Nobody);
        };
        // Wait for a concurrent sign-out: if it fails, its record is still stored.
        let _guard = self.writing.lock().await;
        self.read(keys).await?;
        let is_own = match &*self.record.borrow() {
            Record::Unread => return Err(StorageFailed),
            Record::Absent => false,
            Record::Present(state) => {
                state.proof == proof && state.lives(self.used_at.get(), &policy, self.ports.now())
            }
        };
        if !is_own {
            return Ok(SessionReply::Nobody);
        }
        self.clear_and_revoke().await?;
        Ok(SessionReply::SignedOut)
    }

    async fn sign_in(self: &Rc<Self>, ask: &SignIn) -> Result<SessionReply, StorageFailed> {
        let Some(keys) = self.config.sealing_keys.as_ref().filter(|_| self.config.session.is_some()) else {
            return Ok(SessionReply::Nobody);
        };
        // An isolate of another version may know the connection with another provider.
        let known = Account::configured(&self.config, &ask.connection);
        let Some(account) = known.filter(|account| account.connection.identity == ask.identity) else {
            return Ok(SessionReply::Refused(SignInRefusal::Misconfigured));
        };
        // Serialised: each sign-in sees the cookie set by the one before it.
        let _guard = self.signing_in.lock().await;
        let before = self.living(ask.proof).await?;
        match (&before, ask.proof) {
            (None, Some(_)) => return Ok(SessionReply::Nobody),
            // Handles are random and never collide: this sign-in is not the broker's.
            (Some(_), None) => return Err(StorageFailed),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let credentials = Credentials::open(&ask.credentials, &self.name, keys).map_err(|_| StorageFailed)?;
        let tokens = self.new_tokens(&ask.connection);
        let ends = self.ends.get();
        if let Err(failure) = tokens.sign_in(&account, credentials).await {
            return Ok(failure.into());
        }
        let (connection, now) = (&ask.connection, self.ports.now());
        let after = |before: Option<&SessionState>| {
            SessionState::after_sign_in(before, ask.next_proof, connection, now)
        };
        match self.admit(&account, tokens, ends, after).await? {
            Some(state) => {
                let expires_at = self.expires_at(connection, &state).await?.ok_or(StorageFailed)?;
                Ok(SessionReply::SignedIn { expires_at })
            }
            None => Ok(SessionReply::Nobody),
        }
    }

    fn tokens(&self, connection: &str) -> Rc<LiveTokenSet<P>> {
        let mut token_sets = self.token_sets.borrow_mut();
        if let Some(tokens) = token_sets.iter().find(|tokens| tokens.connection() == connection) {
            return Rc::clone(tokens);
        }
        let tokens = self.new_tokens(connection);
        token_sets.push(Rc::clone(&tokens));
        tokens
    }

    fn new_tokens(&self, connection: &str) -> Rc<LiveTokenSet<P>> {
        LiveTokenSet::of_person(Rc::clone(&self.ports), connection.to_owned(), &self.name)
    }
}
