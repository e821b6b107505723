//! The live token set of one subject: a connection's own, in its keeper, a person's, in their
//! session, or a caller's, in an object of its own.
//!
//! An object accepts further messages while it waits for a token endpoint, so single threading does
//! not serialise renewals; coalescing asks into one renewal in flight does.
//!
//! Invariants:
//! - a token set has at most one token request in flight;
//! - a new refresh token is durable before its access token is used;
//! - a refresh token is sent again at most once, after a request with an unknown outcome, unless
//!   the account has no other credential;
//! - refused credentials are sent once per wait, and once more if the object is evicted before the
//!   wait is durable.

mod account;
mod consent;
mod copies;
mod deletion;
mod ending;
mod exchange;
mod failure;
mod grant_log;
mod operator;
mod plan;
mod publishing;
mod renewal;
mod sign_in;
mod state;
mod wait;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_util::FutureExt as _;
use futures_util::future::{LocalBoxFuture, Shared, WeakShared};

pub use account::Account;
pub use failure::{Failure, seconds_left};
pub use plan::Reason;
pub use state::{State, Trouble};

use super::lock::{Lock, Rank, check_order, task};
use crate::ports::{ObjectPorts, report};
use crate::protocol::{SERVICE, TokenAsk, TokenReply, access_token_record};
use crate::time::UnixTime;
use crate::token::{AccessToken, AccessTokenRecord, Nonce, key_id};
use copies::Copies;
use ending::Ending;
use plan::{Plan, plan};

/// A token set, and what renews it.
#[allow(missing_debug_implementations, reason = "it holds tokens and a running future")]
pub struct LiveTokenSet<P> {
    ports: Rc<P>,
    connection: String,
    /// The subject: `service`, or the name of a session's or caller's object.
    subject: String,
    /// The storage key of the state.
    key: String,
    state: RefCell<Option<State>>,
    /// The id of the key that seals the stored state.
    sealed_with: RefCell<Option<String>>,
    /// The renewal in flight, kept alive by its task and by those that wait for it, not by the
    /// token set.
    renewal: RefCell<Option<WeakShared<Renewing>>>,
    /// Held during token requests, and while their account changes.
    renewing: Lock,
    /// Held while the state is written.
    writing: Lock,
    /// The [`Account::epoch`] of the current account.
    epoch: Cell<u64>,
    /// Whether writes are disabled: the person's session ended, or another sign-in replaced this
    /// one. A renewal still in flight must not store the token set again.
    is_cut_off: Cell<bool>,
    /// The copy in the cache, and the alarm. A person's token set has neither: a sign-out would not
    /// reach the copy.
    copies: Option<Copies>,
    /// The end of a caller's token set.
    ending: Option<Ending>,
}

type Renewing = LocalBoxFuture<'static, Result<Rc<AccessToken>, Failure>>;
type Renewal = Shared<Renewing>;

impl<P: ObjectPorts> LiveTokenSet<P> {
    /// The own token set of `connection`, whose keeper `looks_again` soon for another purpose than its own.
    pub fn of_connection(ports: Rc<P>, connection: String, looks_again: Rc<Cell<bool>>) -> Rc<Self> {
        let copies = Copies { looks_again, ..Copies::default() };
        Self::build(ports, connection, SERVICE, "state".to_owned(), (Some(copies), None))
    }

    /// The token set for `connection` of the person whose session is called
    /// `session`.
    pub fn of_person(ports: Rc<P>, connection: String, session: &str) -> Rc<Self> {
        let key = format!("session/{connection}");
        Self::build(ports, connection, session, key, (None, None))
    }

    /// The token set for `connection` of the caller whose object is called `name`.
    pub fn of_caller(ports: Rc<P>, connection: String, name: &str) -> Rc<Self> {
        Self::build(ports, connection, name, "state".to_owned(), (None, Some(Ending::default())))
    }

    fn build(
        ports: Rc<P>,
        connection: String,
        subject: &str,
        key: String,
        (copies, ending): (Option<Copies>, Option<Ending>),
    ) -> Rc<Self> {
        Rc::new(Self {
            ports,
            connection,
            subject: subject.to_owned(),
            key,
            state: RefCell::default(),
            sealed_with: RefCell::default(),
            renewal: RefCell::default(),
            renewing: Lock::new(Rank::Renewing),
            writing: Lock::new(Rank::WritingTokens),
            epoch: Cell::new(0),
            is_cut_off: Cell::new(false),
            copies,
            ending,
        })
    }

    /// The connection of the token set.
    pub fn connection(&self) -> &str {
        &self.connection
    }

    /// Disables all further writes of the token set.
    pub fn cut_off(&self) {
        self.is_cut_off.set(true);
    }

    /// Whether writes are disabled.
    pub const fn is_cut_off(&self) -> bool {
        self.is_cut_off.get()
    }

    /// The epoch of the current account.
    pub const fn epoch(&self) -> u64 {
        self.epoch.get()
    }

    /// Answers one ask for an access token of `account`.
    ///
    /// # Errors
    /// [`Failure::Superseded`] where the account was replaced meanwhile.
    pub async fn answer(self: &Rc<Self>, account: &Account, ask: &TokenAsk) -> Result<TokenReply, Failure> {
        let answered = self.try_answer(account, ask).await;
        match answered {
            Err(Failure::Storage) => Ok(TokenReply::Unavailable),
            answered => answered,
        }
    }

    async fn try_answer(self: &Rc<Self>, account: &Account, ask: &TokenAsk) -> Result<TokenReply, Failure> {
        if account.connection.identity != ask.identity() {
            return Ok(TokenReply::Misconfigured);
        }
        self.load(account).await?;
        if account.connection.grant.endpoint().is_none() {
            return self.note_static_token(account, ask.works().is_some()).await;
        }
        if self.change(|state| state.note(ask, self.ports.now()))? {
            self.commit(account, |_| ()).await?;
        }
        let now = self.ports.now();
        if let Some(own) = &account.subject_token {
            if let Some(token) = self.change(|state| state.longest(own, ask, now))? {
                return self.token_reply(&token, account, false);
            }
            if own.expires_at <= now {
                return Ok(TokenReply::SignedOut);
            }
        }
        let planned = self.change(|state| {
            let own = account.subject_token.as_deref();
            let other = own.and_then(|own| state.seen_with(own, now));
            plan(other.as_ref().unwrap_or(state), ask, self.is_renewing(), now)
        })?;
        let reason = match planned {
            Plan::Use(token) => {
                if !self.is_in_doubt(&token) {
                    self.publish_again(&token, account, now);
                }
                return self.token_reply(&token, account, false);
            }
            Plan::UseAndRenew(token) => {
                let renewal = self.renew(account, Reason::Age);
                if !ask.waits_for_renewal() {
                    self.spawn(renewal.map(drop));
                    return self.token_reply(&token, account, false);
                }
                Reason::Age
            }
            Plan::Renew(reason) => reason,
            Plan::Wait { cause, until } => {
                return Ok(TokenReply::Waiting { cause, retry_after: seconds_left(until, now) });
            }
            Plan::UpstreamRefuses => return Ok(TokenReply::UpstreamRefuses),
            Plan::BeginBackoff => {
                self.commit(account, |state| state.begin_backoff(now)).await?;
                return Ok(TokenReply::UpstreamRefuses);
            }
        };
        let renewed = self.renew(account, reason).await;
        match renewed {
            Ok(token) => self.token_reply(&token, account, true),
            Err(Failure::Superseded) => Err(Failure::Superseded),
            Err(failure) => match self.token_after_failure(failure, ask, self.ports.now()) {
                Ok(held) => self.token_reply(&held, account, false),
                Err(reply) => Ok(reply),
            },
        }
    }

    /// The token to use after a failed renewal: the held one if it is still valid, unless the
    /// upstream refused the token itself rather than the call.
    fn token_after_failure(
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
            (_, failure) => Err(failure.reply(now)),
        }
    }

    /// Whether `token` is held and refused, and is not known to have worked since.
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

    /// Joins the renewal in flight, or starts one, which runs to completion even if every caller
    /// disconnects.
    fn renew(self: &Rc<Self>, account: &Account, reason: Reason) -> Renewal {
        check_order(Rank::Renewing);
        if let Some(renewal) = self.in_flight() {
            return renewal;
        }
        let (tokens, account) = (Rc::clone(self), account.clone());
        let renewal = task(async move {
            let result = tokens.run_renewal(&account, reason).await;
            tokens.renewal.replace(None);
            result
        });
        let renewal = renewal.boxed_local().shared();
        self.renewal.replace(renewal.downgrade());
        self.spawn(renewal.clone().map(drop));
        renewal
    }

    /// Runs `future` to completion in the background.
    fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.ports.spawn(task(future).boxed_local());
    }

    /// Reads the state, once per instance. A state that does not open, or of another account,
    /// counts as absent.
    async fn load(&self, account: &Account) -> Result<(), Failure> {
        if self.read(account).await? {
            self.reseal(account).await;
        }
        Ok(())
    }

    /// Reads the stored state unless it is in memory. Returns whether an older key sealed it.
    async fn read(&self, account: &Account) -> Result<bool, Failure> {
        if self.state.borrow().is_some() {
            return self.check_current(account).map(|()| false);
        }
        let stored = if self.is_cut_off() { None } else { self.ports.get(&self.key).await? };
        // The connection may have been registered again while storage was read.
        self.check_current(account)?;
        let mut state = State::default();
        let mut is_old = false;
        if let Some(sealed) = &stored {
            if let Ok(opened) = State::open(sealed, &self.record_name(), account) {
                (state, is_old) = (opened, !account.keys.is_current(sealed));
            } else {
                report::unopened_record(&*self.ports, &self.record_name());
                state = State::lost();
            }
        }
        // A concurrent ask may have loaded the state, and changed it, meanwhile.
        if self.state.borrow().is_some() {
            return Ok(false);
        }
        self.sealed_with.replace(stored.as_deref().and_then(key_id).map(str::to_owned));
        self.state.replace(Some(state));
        Ok(is_old)
    }

    /// Fails where `account` is no longer the current one.
    const fn check_current(&self, account: &Account) -> Result<(), Failure> {
        if account.epoch == self.epoch.get() { Ok(()) } else { Err(Failure::Superseded) }
    }

    fn record_name(&self) -> String {
        format!("keeper/{}/{}", self.subject, self.connection)
    }

    /// Records for the operator whether the upstream takes a static token; such a token has no
    /// renewal.
    async fn note_static_token(&self, account: &Account, works: bool) -> Result<TokenReply, Failure> {
        if !self.change(|state| state.knows_static_token(works))? {
            let now = self.ports.now();
            self.commit(account, |state| state.note_static_token(works, now)).await?;
        }
        Ok(TokenReply::UpstreamRefuses)
    }

    fn token_reply(
        self: &Rc<Self>,
        token: &AccessToken,
        account: &Account,
        granted: bool,
    ) -> Result<TokenReply, Failure> {
        self.schedule_renewal(token);
        let name = access_token_record(&self.subject, &self.connection);
        let (identity, nonce) = (&account.connection.identity, Nonce(self.ports.bytes()));
        let record = AccessTokenRecord::seal(token, identity, &name, &account.keys, &nonce)
            .map_err(|_| Failure::Storage)?;
        Ok(TokenReply::Token { record, granted, in_doubt: self.is_in_doubt(token) })
    }
}
