//! What a keeper knows.

mod doubt;
mod record;

use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::wait::{RefusalRenewals, UpstreamBackoff, Wait};
use crate::protocol::{Cause, TokenAsk};
use crate::secret::{Fingerprint, Secret};
use crate::time::UnixTime;
use crate::token::{AccessToken, Freshness, TokenSet};
use doubt::Doubt;

/// For how long a token counts as just obtained.
const JUST_OBTAINED: Duration = Duration::from_mins(1);

/// What a keeper knows of its token set.
#[derive(Clone, Debug, Default)]
pub struct State {
    held: Option<Held>,
    /// The newest generation ever given out.
    generation: u64,
    wait: Option<Wait>,
    backoff: Option<UpstreamBackoff>,
    refusal_renewals: RefusalRenewals,
    /// When the upstream first refused a static token.
    rejected_at: Option<UnixTime>,
    /// How many token sets were ever obtained.
    grants: u64,
    /// What last went wrong, and when.
    last_error: Option<(Trouble, UnixTime)>,
    /// What the token set held was obtained with.
    credentials: Option<Fingerprint>,
}

/// What went wrong, as far as an operator is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Trouble {
    /// The token endpoint gave no token.
    TokenEndpoint(Cause),
    /// The upstream refused a token that was just obtained, or a static one.
    UpstreamRefuses,
}

impl Trouble {
    /// Its error code, as an operator is told it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::TokenEndpoint(cause) => cause.as_str(),
            Self::UpstreamRefuses => "upstream_unauthorized",
        }
    }
}

#[derive(Clone, Debug)]
struct Held {
    access: Rc<AccessToken>,
    refresh_token: Option<Secret>,
    scope: Option<String>,
    /// How often the refresh token was sent without a known outcome.
    unsettled: u8,
    /// Whether the upstream refused the access token.
    refused: bool,
    /// Whether it was obtained because the upstream refused its predecessor, and
    /// is not known to have worked.
    for_refused: bool,
    /// Whether the upstream is known to have taken it.
    worked: bool,
    doubt: Doubt,
}

impl State {
    /// The access token that may be used: valid, and not refused.
    pub fn usable(&self, now: UnixTime) -> Option<Rc<AccessToken>> {
        self.held.as_ref().filter(|held| !held.refused).and_then(|held| held.valid(now))
    }

    /// The access token that is held, refused or not, where it is valid.
    pub fn current(&self, now: UnixTime) -> Option<Rc<AccessToken>> {
        self.held.as_ref().and_then(|held| held.valid(now))
    }

    /// Notes what an ask tells of the token held; whether that must be durable.
    pub fn note(&mut self, ask: &TokenAsk, now: UnixTime) -> bool {
        if let Some(refused) = ask.refused() {
            // It worked before it was refused.
            if refused.worked {
                self.note_works(refused.generation);
            }
            self.mark_refused(refused.generation, refused.call, now);
        }
        ask.works().is_some_and(|generation| self.note_works(generation))
    }

    /// Whether the token of `generation` is the one held.
    pub fn holds(&self, generation: u64) -> bool {
        self.held.as_ref().is_some_and(|held| held.access.generation == generation)
    }

    /// Whether `ask` tells that the upstream refused the token held.
    pub fn is_refused_by(&self, ask: &TokenAsk) -> bool {
        ask.refused().is_some_and(|refused| self.holds(refused.generation))
    }

    /// Notes that the upstream refused the token of `generation`.
    fn mark_refused(&mut self, generation: u64, call: Option<Fingerprint>, now: UnixTime) {
        match &mut self.held {
            Some(held) if held.access.generation == generation => {
                held.refused = true;
                held.doubt.add(call, now);
            }
            _ => {}
        }
    }

    /// Whether the token held was refused.
    pub fn is_refused(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.refused)
    }

    /// Whether the token held is known to have worked, and several addresses do
    /// not tell that it is dead: that it was refused may be about the call. One
    /// address tells nothing, however often: isolates that the token works for
    /// do not say so.
    pub fn works(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.worked && !held.doubt.is_strong())
    }

    /// Whether the token held is dead, for all that is known: the upstream takes
    /// it for nothing.
    pub fn is_dead(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.refused && held.doubt.is_enough())
    }

    /// The failure that is waited out, and until when.
    pub fn waiting(&self, now: UnixTime) -> Option<(Cause, UnixTime)> {
        self.wait.filter(|wait| now < wait.until).map(|wait| (wait.cause, wait.until))
    }

    /// Whether no other token is to be obtained for one that is refused.
    pub fn backs_off(&self, now: UnixTime) -> bool {
        self.backoff.is_some_and(|backoff| backoff.lasts(now))
    }

    /// Notes that the upstream takes the token of `generation`; whether that is
    /// the one held, and must be durable.
    fn note_works(&mut self, generation: u64) -> bool {
        let Some(held) = self.held.as_mut().filter(|held| held.access.generation == generation) else {
            return false;
        };
        (held.worked, held.refused, held.doubt) = (true, false, Doubt::default());
        std::mem::take(&mut held.for_refused)
    }

    /// Whether a refusal of the token held begins a backoff: it was just
    /// obtained for a refused one, is not known to have worked, and had no
    /// backoff yet.
    pub fn wants_backoff(&self, now: UnixTime) -> bool {
        self.held.as_ref().is_some_and(|held| {
            held.for_refused
                && now < held.access.lifetime.obtained_at + JUST_OBTAINED
                && self.backoff.is_none_or(|backoff| backoff.generation != held.access.generation)
        })
    }

    /// Begins a backoff, where one is wanted still.
    pub fn begin_backoff(&mut self, now: UnixTime) {
        if let Some(held) = self.held.as_ref().filter(|_| self.wants_backoff(now)) {
            self.backoff = Some(UpstreamBackoff::after(self.backoff.as_ref(), held.access.generation, now));
            self.last_error = Some((Trouble::UpstreamRefuses, now));
        }
    }

    /// Notes that the token of `generation` was obtained at `now` because its
    /// predecessor was refused. The third within a minute begins a backoff, and
    /// so does each that follows one.
    fn note_refusal_renewal(&mut self, generation: u64, now: UnixTime) {
        let are_many = self.refusal_renewals.note(now);
        if are_many || self.backoff.is_some_and(|backoff| backoff.goes_on(now)) {
            self.backoff = Some(UpstreamBackoff::after(self.backoff.as_ref(), generation, now));
            self.last_error = Some((Trouble::UpstreamRefuses, now));
        }
    }

    /// Whether there is a refresh token that may be sent: `always`, or where it
    /// was not sent twice yet without a known outcome.
    pub fn has_turn(&self, always: bool) -> bool {
        let in_turn = |held: &Held| always || held.unsettled < 2;
        self.held.as_ref().is_some_and(|held| held.refresh_token.is_some() && in_turn(held))
    }

    /// Whether there is a refresh token.
    pub fn has_refresh_token(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.refresh_token.is_some())
    }

    /// The refresh token, about to be sent: that is noted.
    pub fn take_turn(&mut self) -> Option<Secret> {
        let held = self.held.as_mut()?;
        let token = held.refresh_token.clone()?;
        held.unsettled = held.unsettled.saturating_add(1);
        Some(token)
    }

    /// Notes that the refresh just sent had no effect.
    pub fn undo_turn(&mut self) {
        if let Some(held) = &mut self.held {
            held.unsettled = held.unsettled.saturating_sub(1);
        }
    }

    /// Forgets a refresh token that is dead.
    pub fn drop_refresh_token(&mut self) {
        if let Some(held) = &mut self.held {
            held.refresh_token = None;
        }
    }

    /// Forgets the token set of a person whom the provider signed out.
    pub fn sign_out(&mut self) {
        self.held = None;
    }

    /// Whether `set` brings another refresh token than the one held.
    pub fn is_rotated_by(&self, set: &TokenSet) -> bool {
        let held = self.held.as_ref().and_then(|held| held.refresh_token.as_ref());
        let both = held.zip(set.refresh_token.as_ref());
        both.is_some_and(|(held, other)| held.fingerprint() != other.fingerprint())
    }

    /// The refresh token and the scope held.
    pub fn kept(&self) -> (Option<Secret>, Option<String>) {
        self.held.as_ref().map_or((None, None), |held| (held.refresh_token.clone(), held.scope.clone()))
    }

    /// The generation of the next token. It grows even where the state was
    /// lost, since it is at least the time.
    pub fn next_generation(&self, now: UnixTime) -> u64 {
        self.generation.saturating_add(1).max(now.as_millis())
    }

    /// Holds `set` from now on; `for_refused` tells that its predecessor was
    /// refused.
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
            doubt: Doubt::default(),
        });
        access
    }

    /// Ends what is waited out, so that it is tried again at once.
    pub fn end_waits(&mut self) {
        (self.wait, self.backoff, self.rejected_at) = (None, None, None);
        self.refusal_renewals = RefusalRenewals::default();
    }

    /// Forgets the token set; tells the newest generation that there was.
    pub fn drop_token_set(&mut self) -> u64 {
        self.held = None;
        self.end_waits();
        self.generation
    }

    /// The newest generation ever given out.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// How many token sets were ever obtained.
    pub const fn grants(&self) -> u64 {
        self.grants
    }

    /// What last went wrong, and when.
    pub const fn last_error(&self) -> Option<(Trouble, UnixTime)> {
        self.last_error
    }

    /// Whether the token endpoint refused the credentials when it was last asked.
    pub fn credentials_are_rejected(&self) -> bool {
        self.wait.is_some_and(|wait| wait.cause == Cause::CredentialsRejected)
    }

    /// Whether the upstream refuses even new tokens, or the static one, and until
    /// when no other token is obtained for that.
    pub fn upstream_refuses(&self, now: UnixTime) -> Option<Option<UnixTime>> {
        let backoff =
            self.backoff.filter(|backoff| backoff.lasts(now)).map(|backoff| Some(backoff.ends_at()));
        backoff.or(self.rejected_at.map(|_| None))
    }

    /// Notes that the token set held was obtained with `credentials`; whether it
    /// was other ones before.
    pub fn note_credentials(&mut self, credentials: Fingerprint) -> bool {
        self.credentials.replace(credentials).is_some_and(|before| before != credentials)
    }

    /// Notes that the upstream refuses the static token.
    pub fn reject(&mut self, now: UnixTime) {
        self.rejected_at.get_or_insert(now);
        self.last_error = Some((Trouble::UpstreamRefuses, now));
    }

    /// Whether the upstream refuses the static token.
    pub fn is_rejected(&self) -> bool {
        self.rejected_at.is_some()
    }

    /// Waits after a failure at `now`; tells until when.
    pub fn wait(&mut self, now: UnixTime, wait: impl FnOnce(Option<&Wait>) -> Wait) -> UnixTime {
        let wait = wait(self.wait.as_ref());
        self.wait = Some(wait);
        self.last_error = Some((Trouble::TokenEndpoint(wait.cause), now));
        wait.until
    }
}

impl Held {
    fn valid(&self, now: UnixTime) -> Option<Rc<AccessToken>> {
        (self.access.lifetime.freshness(now) > Freshness::Expired).then(|| Rc::clone(&self.access))
    }
}
