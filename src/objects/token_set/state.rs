//! The state of a token set.

mod caller;
mod doubt;
mod record;
mod refreshing;

use std::rc::Rc;
use std::time::Duration;

use super::wait::{RefusalRenewals, UpstreamBackoff, Wait};
use crate::json::variants;
use crate::oauth::RefusedAnswer;
use crate::objects::telling::LOOK_AGAIN;
use crate::protocol::{Cause, TokenAsk};
use crate::secret::{Fingerprint, Secret};
use crate::time::UnixTime;
use crate::token::{AccessToken, Freshness, TokenSet};
use doubt::Doubt;

/// How long a token counts as just obtained.
const JUST_OBTAINED: Duration = Duration::from_mins(1);

/// How long refusals of a static token come without a success before it counts as dead.
const DEAD_AFTER: Duration = Duration::from_mins(1);

/// The state of a token set.
#[derive(Clone, Debug, Default)]
pub struct State {
    held: Option<Held>,
    /// The newest generation given out.
    generation: u64,
    wait: Option<Wait>,
    backoff: Option<UpstreamBackoff>,
    refusal_renewals: RefusalRenewals,
    /// When the upstream first refused a static token, and has not been seen to take it since.
    rejected_at: Option<UnixTime>,
    /// How many token sets were obtained.
    grants: u64,
    last_error: Option<LastError>,
    /// The credentials that obtained the held token set.
    credentials: Option<Fingerprint>,
}

/// The last error of a token set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastError {
    /// The error.
    pub(super) trouble: Trouble,
    /// When it occurred.
    pub(super) at: UnixTime,
    /// The token endpoint's answer, if it gave one.
    pub(super) answer: Option<RefusedAnswer>,
}

impl LastError {
    const fn upstream_refuses(at: UnixTime) -> Self {
        Self { trouble: Trouble::UpstreamRefuses, at, answer: None }
    }
}

/// An error in a connection's status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// The token endpoint gave no token.
    TokenEndpoint(Cause),
    /// The upstream refused a token that was just obtained, or a static one.
    UpstreamRefuses,
}

variants!(Trouble { TokenEndpoint(_), UpstreamRefuses });

impl Trouble {
    /// The error code in the admin interface.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::TokenEndpoint(cause) => cause.as_str(),
            Self::UpstreamRefuses => "upstream_unauthorized",
        }
    }

    /// The reason in the admin interface, where it is not the token endpoint's answer.
    pub(super) fn reason(self) -> Option<&'static str> {
        match self {
            Self::TokenEndpoint(cause) => cause.reason(),
            Self::UpstreamRefuses => None,
        }
    }
}

#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is known, or not, of its own")]
struct Held {
    access: Rc<AccessToken>,
    refresh_token: Option<Secret>,
    scope: Option<String>,
    /// How many times the refresh token was sent without a known outcome.
    unsettled: u8,
    /// Whether the upstream refused the access token.
    refused: bool,
    /// Whether the token was obtained because the upstream refused its predecessor, and is not
    /// known to have worked.
    for_refused: bool,
    /// Whether the upstream is known to have accepted the token.
    worked: bool,
    /// Whether the alarm obtained the token, and nobody is known to have asked for it.
    unasked: bool,
    doubt: Doubt,
}

impl State {
    /// The state in place of one that does not open: whoever was connected has to connect again.
    pub fn lost() -> Self {
        Self { grants: 1, ..Self::default() }
    }

    /// The held access token, if valid and not refused.
    pub fn usable(&self, now: UnixTime) -> Option<Rc<AccessToken>> {
        self.held.as_ref().filter(|held| !held.refused).and_then(|held| held.valid(now))
    }

    /// The held access token, if valid, refused or not.
    pub fn current(&self, now: UnixTime) -> Option<Rc<AccessToken>> {
        self.held.as_ref().and_then(|held| held.valid(now))
    }

    /// Records what `ask` reports about the held token; true where the change must be durable.
    pub fn note(&mut self, ask: &TokenAsk, now: UnixTime) -> bool {
        if let Some(refused) = ask.refused() {
            // The token worked before it was refused.
            if refused.worked {
                self.note_works(refused.generation);
            }
            self.note_refused(refused.generation, refused.call, now);
        }
        ask.works().is_some_and(|generation| self.note_works(generation))
    }

    /// Whether the held token is of `generation`.
    pub fn holds(&self, generation: u64) -> bool {
        self.held.as_ref().is_some_and(|held| held.access.generation == generation)
    }

    /// Whether `ask` reports that the upstream refused the held token.
    pub fn is_refused_by(&self, ask: &TokenAsk) -> bool {
        ask.refused().is_some_and(|refused| self.holds(refused.generation))
    }

    /// Records that the upstream refused the token of `generation`.
    fn note_refused(&mut self, generation: u64, call: Option<Fingerprint>, now: UnixTime) {
        match &mut self.held {
            Some(held) if held.access.generation == generation => {
                held.refused = true;
                held.doubt.add(call, now);
            }
            _ => {}
        }
    }

    /// Whether the upstream refused the held token.
    pub fn is_refused(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.refused)
    }

    /// Whether the held token was obtained for a refused one, and is not known to have worked. It is taken
    /// to work where nobody has reported its refusal for a while: the report of a success may be lost.
    pub fn is_unproven(&self, now: UnixTime) -> bool {
        let held = self.held.as_ref();
        held.is_some_and(|held| held.for_refused && now < held.access.lifetime.obtained_at + LOOK_AGAIN)
    }

    /// Whether the held token is known to have worked, and refusals from several addresses do not
    /// show that it is dead: a refusal may be about the call. Refusals of a single address show
    /// nothing, however many: isolates do not report every success.
    pub fn works(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.worked && !held.doubt.is_strong())
    }

    /// Whether refusals show that the held token, or the static one, is dead.
    pub fn is_dead(&self) -> bool {
        self.is_static_token_dead()
            || self.held.as_ref().is_some_and(|held| held.refused && held.doubt.is_enough())
    }

    /// The cause and the end of the current wait.
    pub fn waiting(&self, now: UnixTime) -> Option<(Cause, UnixTime)> {
        self.wait.filter(|wait| now < wait.until).map(|wait| (wait.cause, wait.until))
    }

    /// Whether a back-off forbids obtaining another token for a refused one.
    pub fn backs_off(&self, now: UnixTime) -> bool {
        self.backoff.is_some_and(|backoff| backoff.lasts(now))
    }

    /// Records that the upstream accepts the token of `generation`; true where that is the held one
    /// and the change must be durable.
    fn note_works(&mut self, generation: u64) -> bool {
        let Some(held) = self.held.as_mut().filter(|held| held.access.generation == generation) else {
            return false;
        };
        (held.worked, held.refused, held.doubt) = (true, false, Doubt::default());
        std::mem::take(&mut held.for_refused)
    }

    /// Whether a refusal of the held token starts a back-off: the token was just obtained for a
    /// refused one, is not known to have worked, and has had no back-off yet.
    pub fn wants_backoff(&self, now: UnixTime) -> bool {
        self.held.as_ref().is_some_and(|held| {
            held.for_refused
                && now < held.access.lifetime.obtained_at + JUST_OBTAINED
                && self.backoff.is_none_or(|backoff| backoff.generation != held.access.generation)
        })
    }

    /// Starts the back-off of a refusing upstream, if still needed.
    pub fn begin_backoff(&mut self, now: UnixTime) {
        if let Some(held) = self.held.as_ref().filter(|_| self.wants_backoff(now)) {
            self.backoff = Some(UpstreamBackoff::after(self.backoff.as_ref(), held.access.generation, now));
            self.last_error = Some(LastError::upstream_refuses(now));
        }
    }

    /// Records that the token of `generation` was obtained at `now` because its predecessor was
    /// refused. The third such renewal within a minute starts a back-off, and so does each one soon
    /// after a back-off.
    fn note_refusal_renewal(&mut self, generation: u64, now: UnixTime) {
        let are_many = self.refusal_renewals.note(now);
        if are_many || self.backoff.is_some_and(|backoff| backoff.goes_on(now)) {
            self.backoff = Some(UpstreamBackoff::after(self.backoff.as_ref(), generation, now));
            self.last_error = Some(LastError::upstream_refuses(now));
        }
    }

    /// The generation of the next token. It is at least the time, so it increases even after the
    /// state was lost.
    pub fn next_generation(&self, now: UnixTime) -> u64 {
        self.generation.saturating_add(1).max(now.as_millis())
    }

    /// Replaces the held token set by `set`; `for_refused` says that the upstream refused the
    /// predecessor.
    pub fn hold(&mut self, set: TokenSet, for_refused: bool) -> Rc<AccessToken> {
        let access = Rc::new(set.access);
        self.generation = access.generation;
        self.grants = self.grants.saturating_add(1);
        self.wait = None;
        if for_refused {
            self.note_refusal_renewal(access.generation, access.lifetime.obtained_at);
        }
        self.held = Some(Held {
            access: Rc::clone(&access),
            refresh_token: set.refresh_token,
            scope: set.scope,
            unsettled: 0,
            refused: false,
            for_refused,
            worked: false,
            unasked: false,
            doubt: Doubt::default(),
        });
        access
    }

    /// Ends all waits and back-offs.
    pub fn end_waits(&mut self) {
        (self.wait, self.backoff, self.rejected_at) = (None, None, None);
        self.refusal_renewals = RefusalRenewals::default();
    }

    /// Drops the token set; returns the newest generation given out.
    pub fn drop_token_set(&mut self) -> u64 {
        self.held = None;
        self.end_waits();
        self.generation
    }

    /// The newest generation given out.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// How many token sets were obtained.
    pub const fn grants(&self) -> u64 {
        self.grants
    }

    /// The last error.
    pub const fn last_error(&self) -> Option<LastError> {
        self.last_error
    }

    /// Whether the token endpoint refused the credentials in the last request.
    pub fn credentials_are_rejected(&self) -> bool {
        self.wait.is_some_and(|wait| wait.cause == Cause::CredentialsRejected)
    }

    /// Whether the upstream refuses even new tokens, or the static one; with the end of the
    /// back-off, if there is one.
    pub fn upstream_refuses(&self, now: UnixTime) -> Option<Option<UnixTime>> {
        let backoff =
            self.backoff.filter(|backoff| backoff.lasts(now)).map(|backoff| Some(backoff.ends_at()));
        backoff.or(self.rejected_at.map(|_| None))
    }

    /// Records the `credentials` that obtained the held token set; true where they differ from the
    /// previous ones.
    pub fn note_credentials(&mut self, credentials: Fingerprint) -> bool {
        self.credentials.replace(credentials).is_some_and(|before| before != credentials)
    }

    /// Records whether the upstream takes the static token.
    pub fn note_static_token(&mut self, works: bool, now: UnixTime) {
        if works {
            self.rejected_at = None;
        } else {
            self.rejected_at.get_or_insert(now);
            self.last_error = Some(LastError::upstream_refuses(now));
        }
    }

    /// Whether another report that the upstream takes the static token, or refuses it, changes nothing.
    pub fn knows_static_token(&self, works: bool) -> bool {
        if works { self.rejected_at.is_none() } else { self.is_static_token_dead() }
    }

    /// Whether refusals show that the static token is dead: they came over a while, and no success between
    /// them. A single one may be about the call.
    fn is_static_token_dead(&self) -> bool {
        let refused = self.rejected_at.zip(self.last_error);
        refused.is_some_and(|(since, last)| last.at >= since + DEAD_AFTER)
    }

    /// Starts a wait after a failure at `now`, by this answer of the token endpoint if it gave one;
    /// returns the wait's end.
    pub fn wait(
        &mut self,
        now: UnixTime,
        answer: Option<RefusedAnswer>,
        wait: impl FnOnce(Option<&Wait>) -> Wait,
    ) -> UnixTime {
        let wait = wait(self.wait.as_ref());
        self.wait = Some(wait);
        self.last_error = Some(LastError { trouble: Trouble::TokenEndpoint(wait.cause), at: now, answer });
        wait.until
    }
}

impl Held {
    fn valid(&self, now: UnixTime) -> Option<Rc<AccessToken>> {
        (self.access.lifetime.freshness(now) > Freshness::Expired).then(|| Rc::clone(&self.access))
    }
}
