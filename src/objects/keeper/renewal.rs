//! One renewal of a token set, from the token request to the stored result.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::Keeper;
use super::failure::Failure;
use super::plan::{Means, NextGrant, Reason, next_grant};
use super::state::State;
use super::wait::Wait;
use crate::config::{Connection, Grant, TokenEndpoint};
use crate::oauth::{self, Refusal, TokenRequest, TokenResponse};
use crate::objects::log::{self, GrantLine};
use crate::ports::{Cache as _, Clock as _, Entropy as _, KeeperPorts, PostFailure, report};
use crate::protocol::{Cause, access_token_record};
use crate::time::UnixTime;
use crate::token::{AccessToken, AccessTokenRecord, Lifetime, Nonce, SealingKeys, TokenSet, TokenTypes};

/// Tokens that live shorter than this are not worth a write to the cache.
const CACHED_FROM: Duration = Duration::from_mins(2);

/// How long the cache is left alone after a token was copied into it again.
const REPUBLISHED: Duration = Duration::from_mins(10);

/// One token request of a renewal.
struct Attempt {
    request: TokenRequest,
    is_refresh: bool,
}

/// Why a token request yielded no token response.
pub(super) enum Rejection {
    Refused(Refusal, Option<Duration>),
    Unanswered(PostFailure),
}

/// How a token request ended.
enum Outcome {
    Granted(Box<TokenResponse>),
    /// The refresh token is dead, or not taken now: a new grant may do.
    RefreshRefused {
        is_dead: bool,
    },
    Failed {
        cause: Cause,
        had_no_effect: bool,
        retry_after: Option<Duration>,
    },
}

impl<P: KeeperPorts + 'static> Keeper<P> {
    /// Renews the token set: by its refresh token where it has one, else, or
    /// where that is dead, by a new grant. It makes two token requests at most.
    pub(super) async fn run_renewal(self: Rc<Self>, reason: Reason) -> Result<Rc<AccessToken>, Failure> {
        let _renewing = self.renewing.lock().await;
        let Some((connection, keys)) = self.configured().await? else { return Err(Failure::Storage) };
        let connection = &*connection;
        self.load(connection, keys).await?;
        let Some(endpoint) = connection.grant.endpoint() else { return Err(Failure::Storage) };
        let mut may_refresh = true;
        loop {
            let attempt = self.next_attempt(connection, endpoint, keys, may_refresh).await?;
            let sent_at = self.ports.now();
            let outcome = self.send(&attempt, connection, endpoint).await;
            self.log_grant(connection, &attempt, &outcome, sent_at);
            match outcome {
                Outcome::Granted(response) => {
                    let set = self.token_set(&response, connection, attempt.is_refresh, sent_at)?;
                    let is_rotated = self.change(|state| state.is_rotated_by(&set))?;
                    let refused = reason == Reason::Refused;
                    let credentials = connection.grant.credentials();
                    let hold = |state: &mut State| {
                        (state.hold(set.clone(), refused), state.note_credentials(credentials))
                    };
                    let (access, are_other) = self.commit(connection, keys, hold).await?;
                    let replaced = [("credentials", are_other), ("refresh_token", is_rotated)];
                    for (what, _) in replaced.into_iter().filter(|(_, is_replaced)| *is_replaced) {
                        log::write_rotation(&self.ports, what, &self.connection);
                    }
                    self.publish(&access, connection, keys);
                    return Ok(access);
                }
                Outcome::RefreshRefused { is_dead } => {
                    may_refresh = false;
                    if is_dead {
                        self.change(State::drop_refresh_token)?;
                    }
                }
                Outcome::Failed { cause, had_no_effect, retry_after } => {
                    let [jitter] = self.ports.bytes();
                    let credentials = connection.grant.credentials();
                    let now = self.ports.now();
                    let wait = |state: &mut State| {
                        if had_no_effect && attempt.is_refresh {
                            state.undo_turn();
                        }
                        state
                            .wait(now, |last| Wait::after(last, cause, credentials, retry_after, now, jitter))
                    };
                    let until = self.commit(connection, keys, wait).await?;
                    return Err(Failure::TokenEndpoint(cause, until));
                }
            }
        }
    }

    /// The next token request. That a refresh token is about to be sent is
    /// durable before it is: whatever happens then, it was sent.
    async fn next_attempt(
        &self,
        connection: &Connection,
        endpoint: &TokenEndpoint,
        keys: &SealingKeys,
        may_refresh: bool,
    ) -> Result<Attempt, Failure> {
        let means = Means::of(&connection.grant);
        match self.change(|state| next_grant(state, may_refresh, means))? {
            NextGrant::Refresh => {
                if let Some(token) = self.commit(connection, keys, State::take_turn).await? {
                    return Ok(Attempt {
                        request: TokenRequest::refresh(endpoint, &token),
                        is_refresh: true,
                    });
                }
            }
            NextGrant::Acquire => {}
            NextGrant::Reauthorize => {
                // Who is signed out by the provider is so here, whatever token is left.
                if !may_refresh {
                    self.commit(connection, keys, State::sign_out).await?;
                }
                return Err(Failure::SignedOut);
            }
        }
        let request = TokenRequest::acquire(&connection.grant).ok_or(Failure::Storage)?;
        Ok(Attempt { request, is_refresh: false })
    }

    async fn send(&self, attempt: &Attempt, connection: &Connection, endpoint: &TokenEndpoint) -> Outcome {
        let answered = self.exchange(&attempt.request, endpoint, connection.token_types()).await;
        let (refusal, retry_after) = match answered {
            Ok(response) => return Outcome::Granted(Box::new(response)),
            Err(Rejection::Refused(refusal, retry_after)) => (refusal, retry_after),
            Err(Rejection::Unanswered(failure)) => {
                return Outcome::Failed { cause: failure.into(), had_no_effect: false, retry_after: None };
            }
        };
        let means = Means::of(&connection.grant);
        if attempt.is_refresh && ends_refresh(refusal, means) {
            let is_dead = refusal == Refusal::Grant || means == Means::Nothing;
            return Outcome::RefreshRefused { is_dead };
        }
        Outcome::Failed {
            cause: Cause::from(refusal),
            had_no_effect: matches!(refusal, Refusal::Busy | Refusal::Client),
            retry_after,
        }
    }

    /// Sends one token request and reads its answer.
    pub(super) async fn exchange(
        &self,
        request: &TokenRequest,
        endpoint: &TokenEndpoint,
        types: TokenTypes,
    ) -> Result<TokenResponse, Rejection> {
        let answer =
            self.ports.request_token(request, endpoint.timeout).await.map_err(Rejection::Unanswered)?;
        oauth::read(answer.status, &answer.body, types).map_err(|refusal| {
            let now = self.ports.now();
            let retry_after = answer.retry_after.and_then(|value| oauth::retry_after(&value, now));
            Rejection::Refused(refusal, retry_after)
        })
    }

    /// The token set that a response yields.
    pub(super) fn token_set(
        &self,
        response: &TokenResponse,
        connection: &Connection,
        is_refresh: bool,
        sent_at: UnixTime,
    ) -> Result<TokenSet, Failure> {
        let [jitter] = self.ports.bytes();
        let life = response.expires_in.unwrap_or(connection.default_expires_in);
        let (kept_token, kept_scope) =
            if is_refresh { self.change(|state| state.kept())? } else { (None, None) };
        // A client that can always prove itself needs no refresh token (RFC 6749 §4.4.3).
        let refreshes = !matches!(connection.grant, Grant::ClientCredentials { .. });
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

    /// Changes the state in memory only; fails where it was forgotten.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, Failure> {
        self.state.borrow_mut().as_mut().map(change).ok_or(Failure::Storage)
    }

    /// Changes the state: durably first, then in memory, so that nobody uses a
    /// token set that is not durable. Where storage fails the state in memory is
    /// forgotten: storage alone is the truth.
    pub(super) async fn commit<T>(
        &self,
        connection: &Connection,
        keys: &SealingKeys,
        change: impl Fn(&mut State) -> T,
    ) -> Result<T, Failure> {
        // One at a time: each is written with what the one before it changed.
        let _turn = self.writing.lock().await;
        if !self.serves(connection) {
            return Err(Failure::Storage);
        }
        let mut next = self.state.borrow().clone().ok_or(Failure::Storage)?;
        change(&mut next);
        let nonce = Nonce(self.ports.bytes());
        let sealed = next
            .seal(&connection.identity, &self.record_name(), keys, &nonce)
            .map_err(|_| Failure::Storage)?;
        if self.ports.store(&sealed).await.is_err() {
            report::storage_failed(&self.ports, &self.record_name());
            self.state.replace(None);
            return Err(Failure::Storage);
        }
        self.sealed_with.replace(Some(keys.sealing_id().to_owned()));
        self.change(change)
    }

    /// Seals what is stored with the key that seals now: an old one may go once
    /// all that it sealed is sealed anew. Where storage fails nothing is lost.
    pub(super) async fn seal_anew(&self, connection: &Connection, keys: &SealingKeys) {
        let _turn = self.writing.lock().await;
        if !self.serves(connection) {
            return;
        }
        let (name, nonce) = (self.record_name(), Nonce(self.ports.bytes()));
        let sealed = self.change(|state| state.seal(&connection.identity, &name, keys, &nonce));
        let Ok(Ok(sealed)) = sealed else { return };
        if self.ports.store(&sealed).await.is_err() {
            return report::storage_failed(&self.ports, &name);
        }
        self.sealed_with.replace(Some(keys.sealing_id().to_owned()));
        log::write_rotation(&self.ports, "sealing_key", &self.connection);
    }

    /// Copies the access token into the cache once more: somebody asks who did
    /// not find it there though it should long be seen. That is done at most
    /// every ten minutes.
    pub(super) fn publish_again(
        self: &Rc<Self>,
        access: &Rc<AccessToken>,
        connection: &Connection,
        keys: &SealingKeys,
        now: UnixTime,
    ) {
        let since = self.published_again.get().unwrap_or(access.lifetime.obtained_at);
        let pause = if self.published_again.get().is_some() { REPUBLISHED } else { CACHED_FROM };
        if now >= since + pause {
            self.published_again.set(Some(now));
            self.publish(access, connection, keys);
        }
    }

    /// Copies the access token into the cache, behind the answer.
    fn publish(self: &Rc<Self>, access: &Rc<AccessToken>, connection: &Connection, keys: &SealingKeys) {
        let lifetime = access.lifetime;
        if lifetime.expires_at.since(lifetime.obtained_at) < CACHED_FROM {
            return;
        }
        let name = access_token_record(&self.subject, &self.connection);
        let nonce = Nonce(self.ports.bytes());
        let Ok(record) = AccessTokenRecord::seal(access, &connection.identity, &name, keys, &nonce) else {
            return;
        };
        let (keeper, generation) = (Rc::clone(self), access.generation);
        let write = async move {
            let _turn = keeper.publishing.lock().await;
            // It may have been dropped meanwhile.
            if keeper.change(|state| state.holds(generation)) != Ok(true) {
                return;
            }
            if keeper.ports.write(&name, &record, lifetime.expires_at).await.is_err() {
                report::cache_failed(&keeper.ports, "write");
            }
        };
        self.ports.spawn(write.boxed_local());
    }

    fn log_grant(&self, connection: &Connection, attempt: &Attempt, outcome: &Outcome, sent_at: UnixTime) {
        let asked = connection.grant.endpoint().and_then(|endpoint| endpoint.scope.as_deref());
        let (outcome, narrowed) = match outcome {
            Outcome::Granted(response) => ("granted", is_narrowed(asked, response.scope.as_deref())),
            Outcome::RefreshRefused { .. } => ("refresh_refused", false),
            Outcome::Failed { cause, .. } => (cause.as_str(), false),
        };
        let grant = if attempt.is_refresh { "refresh_token" } else { connection.grant.name() };
        let took = self.ports.now().since(sent_at);
        GrantLine { connection: &connection.id, grant, outcome, took, narrowed }.write(&self.ports);
    }
}

/// Whether a refused refresh is the end of that refresh token, as far as a new
/// grant can be made, or a person can sign in again.
const fn ends_refresh(refusal: Refusal, means: Means) -> bool {
    match means {
        Means::Credentials => matches!(
            refusal,
            Refusal::Grant | Refusal::Setup | Refusal::Denied | Refusal::Request | Refusal::Address
        ),
        // Servers differ in how they word it that a refresh token is dead. That
        // there is nothing at the address is no word about the token.
        Means::Nothing => {
            matches!(refusal, Refusal::Grant | Refusal::Setup | Refusal::Denied | Refusal::Request)
        }
        Means::FirstRefreshToken => false,
    }
}

/// Whether the granted scope lacks something of what was asked for (RFC 6749
/// §3.3); an absent one is as asked (§5.1).
fn is_narrowed(asked: Option<&str>, granted: Option<&str>) -> bool {
    let (Some(asked), Some(granted)) = (asked, granted) else { return false };
    asked.split(' ').any(|wanted| granted.split(' ').all(|scope| scope != wanted))
}
