//! The renewal of a token set, from the token request to the stored result.

use std::rc::Rc;
use std::time::Duration;

use super::exchange::ExchangeFailure;
use super::plan::{Means, NextGrant, Reason, next_grant};
use super::wait::Wait;
use super::{Account, Failure, LiveTokenSet, State};
use crate::client::assertions;
use crate::config::{Connection, Grant, TokenEndpoint};
use crate::oauth::{Refusal, RefusedAnswer, TokenRefusal, TokenRequest, TokenResponse};
use crate::objects::log;
use crate::ports::{ObjectPorts, report};
use crate::protocol::Cause;
use crate::time::UnixTime;
use crate::token::{AccessToken, Lifetime, Nonce, TokenSet};

/// One token request of a renewal.
pub(super) struct TokenAttempt {
    /// The request, or why there is none.
    request: Result<TokenRequest, Cause>,
    pub(super) is_refresh: bool,
}

/// How a token request ended.
pub(super) enum GrantOutcome {
    Granted(Box<TokenResponse>),
    /// The token endpoint refused the refresh token: a new grant may succeed.
    RefreshRefused {
        is_dead: bool,
        answer: RefusedAnswer,
    },
    Failed {
        cause: Cause,
        answer: Option<RefusedAnswer>,
        had_no_effect: bool,
        retry_after: Option<Duration>,
    },
}

impl GrantOutcome {
    const fn without_answer(cause: Cause, had_no_effect: bool) -> Self {
        Self::Failed { cause, answer: None, had_no_effect, retry_after: None }
    }
}

impl<P: ObjectPorts> LiveTokenSet<P> {
    /// Renews the token set: by its refresh token, or by a new grant if there is none or it is
    /// refused. It makes at most two token requests.
    pub(super) async fn run_renewal(
        self: &Rc<Self>,
        account: &Account,
        reason: Reason,
    ) -> Result<Rc<AccessToken>, Failure> {
        let before = self.change(|state| state.generation());
        let _guard = self.renewing.lock().await;
        self.load(account).await?;
        // A consent may have brought another token set meanwhile.
        let newer = self.change(|state| {
            let is_newer = before.is_ok_and(|before| before < state.generation());
            state.usable(self.ports.now()).filter(|_| is_newer)
        })?;
        if let Some(newer) = newer {
            return Ok(newer);
        }
        let connection = &*account.connection;
        let Some(endpoint) = connection.grant.endpoint() else { return Err(Failure::Storage) };
        let mut may_refresh = true;
        loop {
            let attempt = self.next_attempt(account, endpoint, may_refresh).await?;
            let sent_at = self.ports.now();
            let outcome = self.send(&attempt, connection, endpoint).await;
            self.log_grant(connection, &attempt, &outcome, sent_at);
            // A write for a concurrent ask may have failed meanwhile, which dropped the state.
            self.load(account).await?;
            match outcome {
                GrantOutcome::Granted(response) => {
                    let until = account.subject_token.as_ref().map(|own| own.expires_at);
                    let set = self.token_set(&response, connection, attempt.is_refresh, (sent_at, until))?;
                    let is_rotated = self.change(|state| state.is_rotated_by(&set))?;
                    let refused = reason == Reason::Refused;
                    let credentials = connection.grant.credentials();
                    let hold = |state: &mut State| {
                        let access = state.hold(set.clone(), refused);
                        if reason == Reason::Alarm {
                            state.note_unasked();
                        }
                        (access, state.note_credentials(credentials))
                    };
                    let (access, are_other) = self.commit(account, hold).await?;
                    let replaced = [("credentials", are_other), ("refresh_token", is_rotated)];
                    for (what, _) in replaced.into_iter().filter(|(_, is_replaced)| *is_replaced) {
                        log::write_rotation(&*self.ports, what, &self.connection);
                    }
                    self.publish(&access, account);
                    return Ok(access);
                }
                GrantOutcome::RefreshRefused { is_dead, answer } => {
                    may_refresh = false;
                    let now = self.ports.now();
                    self.change(|state| {
                        if is_dead {
                            state.drop_refresh_token();
                        }
                        if Means::of(&connection.grant) == Means::Nothing {
                            state.note_refresh_refused(answer, now);
                        }
                    })?;
                }
                GrantOutcome::Failed { cause, answer, had_no_effect, retry_after } => {
                    let [jitter] = self.ports.bytes();
                    let credentials = connection.grant.credentials();
                    let now = self.ports.now();
                    let own = account.subject_token.as_ref();
                    let wait = |state: &mut State| {
                        if had_no_effect && attempt.is_refresh {
                            state.undo_refresh();
                        }
                        state.wait(now, answer, |last| {
                            let wait = Wait::after(last, cause, credentials, retry_after, now, jitter);
                            own.map_or(wait, |own| wait.with_own_token(own.expires_at))
                        })
                    };
                    let until = self.commit(account, wait).await?;
                    return Err(Failure::TokenEndpoint(cause, until));
                }
            }
        }
    }

    /// The next token request. Before a refresh token is sent, that intent is made durable: after
    /// an eviction, the token counts as sent.
    async fn next_attempt(
        &self,
        account: &Account,
        endpoint: &TokenEndpoint,
        may_refresh: bool,
    ) -> Result<TokenAttempt, Failure> {
        let grant = &account.connection.grant;
        let means = Means::of(grant);
        let mut url = None;
        let refresh_token = match self.change(|state| next_grant(state, may_refresh, means))? {
            NextGrant::Refresh => {
                let Some(found) = self.token_url(account).await else {
                    return Ok(TokenAttempt { request: Err(Cause::Unreachable), is_refresh: false });
                };
                url = Some(found);
                self.commit(account, State::begin_refresh).await?
            }
            NextGrant::Acquire => None,
            NextGrant::Reauthorize => {
                // The provider ended the person's sign-in: end it here, too, even if an access
                // token is left.
                if !may_refresh {
                    self.commit(account, State::sign_out).await?;
                }
                return Err(Failure::SignedOut);
            }
        };
        // Nothing could be used that an expired token is exchanged for.
        if account.subject_token.as_ref().is_some_and(|own| own.expires_at <= self.ports.now()) {
            return Err(Failure::SignedOut);
        }
        let is_refresh = refresh_token.is_some();
        let own = Some(grant).filter(|_| !is_refresh);
        let request = match (assertions(&*self.ports, &endpoint.client, own).await, refresh_token) {
            (Ok(own), Some(token)) => {
                let request = TokenRequest::refresh(endpoint, &token, &own);
                Ok(match url {
                    Some(url) => request.at(&url),
                    None => request,
                })
            }
            (Ok(own), None) => {
                let request = match &account.subject_token {
                    Some(subject) => TokenRequest::exchange(grant, &subject.token, &own),
                    None => TokenRequest::acquire(grant, &own),
                };
                Ok(request.ok_or(Failure::Storage)?)
            }
            (Err(_), _) => Err(Cause::KeyUnusable),
        };
        Ok(TokenAttempt { request, is_refresh })
    }

    async fn send(
        &self,
        attempt: &TokenAttempt,
        connection: &Connection,
        endpoint: &TokenEndpoint,
    ) -> GrantOutcome {
        let answered = match &attempt.request {
            Ok(request) => self.exchange(request, endpoint, connection).await,
            Err(cause) => return GrantOutcome::without_answer(*cause, true),
        };
        let (TokenRefusal { refusal, answer }, retry_after) = match answered {
            Ok(response) => return GrantOutcome::Granted(Box::new(response)),
            Err(ExchangeFailure::Refused(refused, retry_after)) => (refused, retry_after),
            Err(ExchangeFailure::Unanswered(failure)) => {
                return GrantOutcome::without_answer(failure.into(), false);
            }
            Err(ExchangeFailure::KeyUnusable) => {
                return GrantOutcome::without_answer(Cause::KeyUnusable, true);
            }
        };
        let means = Means::of(&connection.grant);
        if attempt.is_refresh && ends_refresh(refusal, means) {
            let is_dead = refusal == Refusal::Grant || means == Means::Nothing;
            return GrantOutcome::RefreshRefused { is_dead, answer };
        }
        GrantOutcome::Failed {
            cause: Cause::from(refusal),
            answer: Some(answer),
            had_no_effect: matches!(refusal, Refusal::Busy | Refusal::Client),
            retry_after,
        }
    }

    /// The token set of a token response to a request that was sent at `sent_at`. Its access token
    /// ends at `until` at the latest.
    pub(super) fn token_set(
        &self,
        response: &TokenResponse,
        connection: &Connection,
        is_refresh: bool,
        (sent_at, until): (UnixTime, Option<UnixTime>),
    ) -> Result<TokenSet, Failure> {
        let [jitter] = self.ports.bytes();
        let life = response.expires_in.unwrap_or(connection.default_expires_in);
        let life = until.map_or(life, |until| life.min(until.since(sent_at)));
        let (kept_token, kept_scope) =
            if is_refresh { self.change(|state| state.carried_over())? } else { (None, None) };
        // A client that can always authenticate needs no refresh token (RFC 6749 §4.4.3, RFC 7521 §4.1),
        // and what a caller's token was exchanged for must not outlive it (RFC 8693 §2.2.1).
        let refreshes = !matches!(
            connection.grant,
            Grant::ClientCredentials { .. } | Grant::JwtBearer { .. } | Grant::TokenExchange { .. }
        );
        Ok(TokenSet {
            access: AccessToken {
                generation: self.change(|state| state.next_generation(sent_at))?,
                token: response.access_token.clone(),
                token_type: response.token_type,
                lifetime: Lifetime::new(sent_at, life, connection.expiry_skew, jitter),
            },
            refresh_token: response.refresh_token.clone().or(kept_token).filter(|_| refreshes),
            scope: response.scope.clone().or(kept_scope),
        })
    }

    /// Changes the state in memory only; fails where it was dropped.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, Failure> {
        self.state.borrow_mut().as_mut().map(change).ok_or(Failure::Storage)
    }

    /// Changes the state: durably first, then in memory, so that no call uses a token set that is
    /// not durable. If storage fails, the state in memory is dropped and read again: only storage
    /// is authoritative.
    pub(super) async fn commit<T>(
        &self,
        account: &Account,
        change: impl Fn(&mut State) -> T,
    ) -> Result<T, Failure> {
        // Serialised: each write includes the change before it.
        let _guard = self.writing.lock().await;
        // The write before this one may have failed, which dropped the state.
        self.read(account).await?;
        let mut next = self.state.borrow().clone().ok_or(Failure::Storage)?;
        change(&mut next);
        if let Err(failure) = self.store(&next, account).await {
            report::storage_failed(&*self.ports, &self.record_name());
            self.state.replace(None);
            return Err(failure);
        }
        self.change(change)
    }

    /// Reseals the stored state with the current key: an old key may be removed once all its
    /// records are resealed. If storage fails, the old record remains.
    pub(super) async fn reseal(&self, account: &Account) {
        let _guard = self.writing.lock().await;
        let held = self.state.borrow().clone();
        let Some(state) = held.filter(|_| self.check_current(account).is_ok()) else { return };
        match self.store(&state, account).await {
            Ok(()) => log::write_rotation(&*self.ports, "sealing_key", &self.connection),
            Err(_) => report::storage_failed(&*self.ports, &self.record_name()),
        }
    }

    /// Seals and stores `state`; the caller holds the write lock.
    async fn store(&self, state: &State, account: &Account) -> Result<(), Failure> {
        let (name, nonce) = (self.record_name(), Nonce(self.ports.bytes()));
        let identity = &account.connection.identity;
        let sealed = state.seal(identity, &name, &account.keys, &nonce).map_err(|_| Failure::Storage)?;
        if self.is_cut_off() {
            return Err(Failure::Storage);
        }
        self.set_end(state).await?;
        self.ports.put(&self.key, &sealed).await?;
        self.sealed_with.replace(Some(account.keys.sealing_id().to_owned()));
        Ok(())
    }
}

/// Whether a refusal ends the refresh token, so that a new grant or sign-in follows.
const fn ends_refresh(refusal: Refusal, means: Means) -> bool {
    match means {
        Means::Credentials => matches!(
            refusal,
            Refusal::Grant | Refusal::Setup | Refusal::Denied | Refusal::Request | Refusal::Address
        ),
        // Servers report a dead refresh token by various errors. That the address does not exist
        // says nothing about the token.
        Means::Nothing => {
            matches!(refusal, Refusal::Grant | Refusal::Setup | Refusal::Denied | Refusal::Request)
        }
        Means::FirstRefreshToken => false,
    }
}
