//! The session itself: the one that knows whether it lives.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_util::FutureExt as _;
use futures_util::lock::Mutex;

use super::message::{Credentials, SessionAsk, SessionReply, SignIn};
use super::state::State;
use crate::broker::keeper::{Ask, Keeper, Reply};
use crate::broker::ports::{SessionPorts, StorageFailed};
use crate::broker::report;
use crate::config::Config;
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{Nonce, SealingKeys, open, seal};

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
            SessionAsk::SignOut { proof } => match self.living(Some(*proof)).await {
                Ok(Some(_)) => self.end().await.map(|()| SessionReply::SignedOut),
                Ok(None) => Ok(SessionReply::Nobody),
                Err(failed) => Err(failed),
            },
        };
        answered.unwrap_or(SessionReply::Unavailable)
    }

    /// Ends the session where its time has come.
    pub async fn alarm(self: &Rc<Self>) {
        let Some(policy) = self.config.session else { return };
        // Where storage fails, the next call finds that the time has come.
        if let Ok(Some(state)) = self.living(None).await {
            let _ = self.ports.set_alarm(state.ends_at(self.used_at.get(), &policy)).await;
        }
    }

    async fn serve(
        self: &Rc<Self>,
        proof: Fingerprint,
        token: Option<&(String, Ask)>,
    ) -> Result<SessionReply, StorageFailed> {
        let Some(state) = self.living(Some(proof)).await? else { return Ok(SessionReply::Nobody) };
        self.note_use(&state);
        let Some((connection, ask)) = token else { return Ok(SessionReply::Living { token: None }) };
        if !state.connections.contains(connection) {
            return Ok(SessionReply::Living { token: Some(Reply::SignedOut) });
        }
        let reply = self.keeper(connection).answer(ask).await;
        // It may have ended while the keeper asked the token endpoint.
        if self.living(Some(proof)).await?.is_none() {
            return Ok(SessionReply::Nobody);
        }
        if reply == Reply::SignedOut {
            self.leave(connection).await?;
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
            self.end().await?;
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

    async fn sign_in(self: &Rc<Self>, ask: &SignIn) -> Result<SessionReply, StorageFailed> {
        let (Some(policy), Some(keys)) = (self.config.session, &self.config.sealing_keys) else {
            return Ok(SessionReply::Nobody);
        };
        let before = self.living(ask.proof).await?;
        match (&before, ask.proof) {
            (None, Some(_)) => return Ok(SessionReply::Nobody),
            // Two sessions never have one handle: this is no sign-in of the broker's.
            (Some(_), None) => return Err(StorageFailed),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let credentials = Credentials::open(&ask.credentials, &self.name, keys).map_err(|_| StorageFailed)?;
        let personal = self.personal(&ask.connection);
        // From here on a renewal for who was signed in before counts no more.
        let granted = || self.cut_off(&ask.connection);
        let obtained = personal.keeper.sign_in(&credentials.username, &credentials.password, granted).await;
        drop(credentials);
        if let Err(failure) = obtained {
            return Ok(failure.into());
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
        // Somebody signed out meanwhile.
        let Some(state) = state else { return Ok(SessionReply::Nobody) };
        self.ports.set_alarm(state.ends_at(now, &policy)).await?;
        let expires_at = self.expires_at(&ask.connection, &state).await?.ok_or(StorageFailed)?;
        Ok(SessionReply::SignedIn { expires_at })
    }

    /// The session, where it lives and `proof` is its cookie's; with no proof,
    /// where it lives. One whose time has come is ended.
    async fn living(&self, proof: Option<Fingerprint>) -> Result<Option<State>, StorageFailed> {
        let (Some(policy), Some(keys)) = (self.config.session, &self.config.sealing_keys) else {
            return Ok(None);
        };
        self.read(keys).await?;
        let state = match &*self.known.borrow() {
            Known::Unread => return Err(StorageFailed),
            Known::Nobody => return Ok(None),
            Known::Somebody(state) => state.clone(),
        };
        if !state.lives(self.used_at.get(), &policy, self.ports.now()) {
            self.end().await?;
            return Ok(None);
        }
        Ok(Some(state).filter(|state| proof.is_none_or(|proof| state.proof == proof)))
    }

    /// Reads the record once. One that does not open is none.
    async fn read(&self, keys: &SealingKeys) -> Result<(), StorageFailed> {
        if !matches!(*self.known.borrow(), Known::Unread) {
            return Ok(());
        }
        let stored = self.ports.load().await?;
        let known = match stored.map(|sealed| open::<State>(&sealed, &self.name, keys)) {
            None => Known::Nobody,
            Some(Ok(state)) => Known::Somebody(state),
            Some(Err(_)) => {
                report::unopened_record(&self.ports, "session");
                Known::Nobody
            }
        };
        // Another ask may have read it, and gone on, meanwhile.
        let mut unread = self.known.borrow_mut();
        if matches!(*unread, Known::Unread) {
            *unread = known;
        }
        Ok(())
    }

    /// Notes that the session is in use, durably from time to time.
    fn note_use(self: &Rc<Self>, state: &State) {
        let Some(policy) = self.config.session else { return };
        let now = self.ports.now();
        self.used_at.set(now);
        if !state.is_use_news(&policy, now) {
            return;
        }
        let session = Rc::clone(self);
        let store = async move {
            let Some(keys) = &session.config.sealing_keys else { return };
            let noted = session.commit(keys, |state| {
                let mut state = state?.clone();
                state.note_use(now);
                Some(state)
            });
            // Where storage fails, the session may be found idle too early.
            let _ = noted.await;
        };
        self.ports.spawn(store.boxed_local());
    }

    /// Forgets the sign-in to `connection`, and the session with the last one.
    async fn leave(&self, connection: &str) -> Result<(), StorageFailed> {
        let Some(keys) = &self.config.sealing_keys else { return Ok(()) };
        self.cut_off(connection);
        self.keepers.borrow_mut().retain(|personal| personal.connection != connection);
        let left = self.commit(keys, |state| {
            let mut state = state?.clone();
            state.connections.retain(|known| known != connection);
            Some(state)
        });
        match left.await? {
            Some(state) if state.connections.is_empty() => self.end().await,
            Some(_) | None => Ok(()),
        }
    }

    /// Ends the session here and now; its token sets go with it.
    async fn end(&self) -> Result<(), StorageFailed> {
        self.forget_all();
        let _turn = self.writing.lock().await;
        // Whatever was written while this waited goes, too.
        self.forget_all();
        self.ports.clear().await.inspect_err(|_| {
            report::storage_failed(&self.ports, "session");
            self.known.replace(Known::Unread);
        })
    }

    fn forget_all(&self) {
        for personal in self.keepers.take() {
            personal.cut_off.set(true);
        }
        self.known.replace(Known::Nobody);
        self.ends.set(self.ends.get() + 1);
    }

    /// Changes the session: durably first, then in memory. Where storage fails
    /// what is in memory is forgotten: storage alone is the truth.
    async fn commit(
        &self,
        keys: &SealingKeys,
        change: impl FnOnce(Option<&State>) -> Option<State>,
    ) -> Result<Option<State>, StorageFailed> {
        let _turn = self.writing.lock().await;
        let ends = self.ends.get();
        let next = match &*self.known.borrow() {
            Known::Unread => return Err(StorageFailed),
            Known::Nobody => change(None),
            Known::Somebody(state) => change(Some(state)),
        };
        let Some(state) = next else { return Ok(None) };
        let nonce = Nonce(self.ports.bytes());
        let sealed = seal(&state, &self.name, keys, &nonce).map_err(|_| StorageFailed)?;
        let stored = self.ports.store(&sealed).await;
        if ends != self.ends.get() {
            return Ok(None);
        }
        self.known.replace(if stored.is_ok() { Known::Somebody(state.clone()) } else { Known::Unread });
        stored.map(|()| Some(state))
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
