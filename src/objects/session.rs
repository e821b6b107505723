//! Sessions: people who are signed in here.
//!
//! A session is an object of its own, of which there is one everywhere: its
//! truth is neither in an isolate nor in the replicated cache, so that a
//! sign-out counts everywhere at once. Every call of a session asks it, and the
//! answer brings the access token along: one way there and back.
//!
//! The cookie's 256 random bits are a handle, which names the object, and a
//! proof, which changes with every sign-in. The object knows the cookie by its
//! digest only.
//!
//! Invariants:
//! - a person's user name and password exist for one token request;
//! - a person's tokens are in no isolate's memory and in no cache;
//! - nothing is written for a session that has ended.

mod life;
mod state;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::lock::Mutex;

use super::keeper::{Keeper, SignInFailure};
use crate::config::Config;
use crate::ports::{SessionPorts, StorageFailed};
use crate::protocol::{Credentials, SessionAsk, SessionReply, SignIn, TokenAsk, TokenReply};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use state::State;

/// How soon an alarm comes again that could do nothing.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// One session.
#[allow(missing_debug_implementations, reason = "it holds token sets")]
pub struct Session<P> {
    ports: P,
    config: Rc<Config>,
    name: String,
    known: RefCell<Known>,
    /// When the session was last used; what is stored lags behind.
    used_at: Cell<UnixTime>,
    keepers: RefCell<Vec<Personal<P>>>,
    /// Who may sign in now.
    signing_in: Mutex<()>,
    /// Who may write the record now.
    writing: Mutex<()>,
    /// How often the session ended.
    ends: Cell<u64>,
}

/// What is known of the session's own record.
enum Known {
    /// It has not been read.
    Unread,
    /// There is none.
    Nobody,
    /// There is one.
    Somebody(State),
}

/// The keeper of a person's token set, and what cuts it off.
struct Personal<P> {
    connection: String,
    keeper: Rc<Keeper<P>>,
    cut_off: Rc<Cell<bool>>,
}

impl<P: SessionPorts + 'static> Session<P> {
    /// The session called `name` (see [`super::SessionId::name`]).
    #[must_use]
    pub fn new(ports: P, config: Rc<Config>, name: String) -> Rc<Self> {
        Rc::new(Self {
            ports,
            config,
            name,
            known: RefCell::new(Known::Unread),
            used_at: Cell::new(UnixTime::from_millis(0)),
            keepers: RefCell::new(Vec::new()),
            signing_in: Mutex::new(()),
            writing: Mutex::new(()),
            ends: Cell::new(0),
        })
    }

    /// Answers one ask.
    pub async fn answer(self: &Rc<Self>, ask: &SessionAsk) -> SessionReply {
        let answered = match ask {
            SessionAsk::SignIn(sign_in) => self.sign_in(sign_in).await,
            SessionAsk::Use { proof, token } => self.serve(*proof, token.as_ref()).await,
            SessionAsk::List { proof } => self.list(*proof).await,
            SessionAsk::SignOut { proof } => self.sign_out(*proof).await,
        };
        answered.unwrap_or(SessionReply::Unavailable)
    }

    /// Ends the session where its time has come, or where nobody can use it:
    /// nothing of it stays stored.
    ///
    /// # Errors
    /// [`StorageFailed`]: the alarm is to come again.
    pub async fn alarm(self: &Rc<Self>) -> Result<(), StorageFailed> {
        if self.config.sealing_keys.is_none() {
            // What the keys would open must not be lost with them.
            return self.ports.set_alarm(self.ports.now() + LOOK_AGAIN).await;
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
    ) -> Result<SessionReply, StorageFailed> {
        let Some(state) = self.living(Some(proof)).await? else { return Ok(SessionReply::Nobody) };
        self.note_use(&state);
        let Some((connection, ask)) = token else { return Ok(SessionReply::Living { token: None }) };
        if !state.connections.contains(connection) {
            return Ok(SessionReply::Living { token: Some(TokenReply::SignedOut) });
        }
        let ends = self.ends.get();
        let keeper = self.keeper(connection);
        let reply = keeper.answer(ask).await;
        // While the keeper asked the token endpoint it may have ended, or the
        // person have signed in anew, which cuts this keeper off.
        let has_token = matches!(reply, TokenReply::Token { .. });
        if ends != self.ends.get() || (!has_token && self.living(Some(proof)).await?.is_none()) {
            return Ok(SessionReply::Nobody);
        }
        if reply == TokenReply::SignedOut {
            self.leave(connection, &keeper, proof).await?;
        }
        Ok(SessionReply::Living { token: Some(reply) })
    }

    async fn list(self: &Rc<Self>, proof: Fingerprint) -> Result<SessionReply, StorageFailed> {
        let Some(state) = self.living(Some(proof)).await? else { return Ok(SessionReply::Nobody) };
        let mut connections = Vec::new();
        for connection in &state.connections {
            if let Some(expires_at) = self.expires_at(connection, &state).await? {
                connections.push((connection.clone(), expires_at));
            }
        }
        if connections.is_empty() {
            self.end(|state| state.is_some_and(|state| state.proof == proof)).await?;
            return Ok(SessionReply::Nobody);
        }
        Ok(SessionReply::Connections(connections))
    }

    /// When the sign-in to `connection` ends at the latest; nothing where it has.
    async fn expires_at(
        self: &Rc<Self>,
        connection: &str,
        state: &State,
    ) -> Result<Option<UnixTime>, StorageFailed> {
        let Some(policy) = self.config.session else { return Ok(None) };
        let ends_at = self.keeper(connection).sign_in_ends_at().await?;
        Ok(ends_at.map(|ends_at| ends_at.min(state.longest(&policy))))
    }

    async fn sign_out(&self, proof: Fingerprint) -> Result<SessionReply, StorageFailed> {
        let (Some(policy), Some(keys)) = (self.config.session, &self.config.sealing_keys) else {
            return Ok(SessionReply::Nobody);
        };
        // What another one under way ends may be there still, if that fails.
        let _turn = self.writing.lock().await;
        self.read(keys).await?;
        let is_own = match &*self.known.borrow() {
            Known::Unread => return Err(StorageFailed),
            Known::Nobody => false,
            Known::Somebody(state) => {
                state.proof == proof && state.lives(self.used_at.get(), &policy, self.ports.now())
            }
        };
        if !is_own {
            return Ok(SessionReply::Nobody);
        }
        self.clear().await?;
        Ok(SessionReply::SignedOut)
    }

    async fn sign_in(self: &Rc<Self>, ask: &SignIn) -> Result<SessionReply, StorageFailed> {
        let (Some(policy), Some(keys)) = (self.config.session, &self.config.sealing_keys) else {
            return Ok(SessionReply::Nobody);
        };
        // An isolate of another version may know another provider by that name.
        let known = self.config.connections.get(&ask.connection).and_then(Option::as_ref);
        if known.is_none_or(|connection| connection.identity != ask.identity) {
            return Ok(SignInFailure::Misconfigured.into());
        }
        // One at a time: each finds the cookie that the one before it left.
        let _turn = self.signing_in.lock().await;
        let before = self.living(ask.proof).await?;
        match (&before, ask.proof) {
            (None, Some(_)) => return Ok(SessionReply::Nobody),
            // Two sessions never have one handle: this is no sign-in of the broker's.
            (Some(_), None) => return Err(StorageFailed),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let credentials = Credentials::open(&ask.credentials, &self.name, keys).map_err(|_| StorageFailed)?;
        let personal = self.personal(&ask.connection);
        let ends = self.ends.get();
        let granted = async {
            // The cookie of who was signed in before must not find the next one's
            // token set.
            if before.as_ref().is_some_and(|state| state.connections.contains(&ask.connection)) {
                self.commit(keys, |state| {
                    let mut state = state?.clone();
                    state.connections.retain(|known| *known != ask.connection);
                    Some(state)
                })
                .await?;
            }
            // From here on a renewal for them counts no more. Not before: where
            // storage fails they go on.
            self.cut_off(&ask.connection);
            // Whatever happens to what is stored next, it does not stay for ever.
            self.ports.set_alarm(self.ports.now() + policy.idle.min(policy.longest)).await
        };
        let obtained = personal.keeper.sign_in(&credentials.username, &credentials.password, granted).await;
        drop(credentials);
        if let Err(failure) = obtained {
            // One that was cut off in vain is read anew.
            self.keepers.borrow_mut().retain(|personal| !personal.cut_off.get());
            return Ok(failure.into());
        }
        if ends != self.ends.get() {
            // Somebody signed out meanwhile, and what the keeper stored may be gone.
            personal.cut_off.set(true);
            self.end(|_| true).await?;
            return Ok(SessionReply::Nobody);
        }
        self.keepers.borrow_mut().retain(|personal| personal.connection != ask.connection);
        self.keepers.borrow_mut().push(personal);
        let now = self.ports.now();
        self.used_at.set(now);
        let state = self
            .commit(keys, |before| {
                let before = before.filter(|state| state.lives(state.longest(&policy), &policy, now));
                Some(State::after_sign_in(before, ask.next_proof, &ask.connection, now))
            })
            .await?;
        let state = state.ok_or(StorageFailed)?;
        self.ports.set_alarm(state.ends_at(now, &policy)).await?;
        let expires_at = self.expires_at(&ask.connection, &state).await?.ok_or(StorageFailed)?;
        Ok(SessionReply::SignedIn { expires_at })
    }

    fn keeper(&self, connection: &str) -> Rc<Keeper<P>> {
        let mut keepers = self.keepers.borrow_mut();
        if let Some(personal) = keepers.iter().find(|personal| personal.connection == connection) {
            return Rc::clone(&personal.keeper);
        }
        let personal = self.personal(connection);
        let keeper = Rc::clone(&personal.keeper);
        keepers.push(personal);
        keeper
    }

    fn personal(&self, connection: &str) -> Personal<P> {
        let cut_off = Rc::new(Cell::new(false));
        let (ports, config) = (self.ports.below(connection), Rc::clone(&self.config));
        let keeper = Keeper::of_person(ports, config, connection.to_owned(), &self.name, Rc::clone(&cut_off));
        Personal { connection: connection.to_owned(), keeper, cut_off }
    }

    /// Keeps who was signed in to `connection` from writing anything more.
    fn cut_off(&self, connection: &str) {
        for personal in self.keepers.borrow().iter().filter(|personal| personal.connection == connection) {
            personal.cut_off.set(true);
        }
    }
}
