//! The refresh token of a token set, and when the alarm renews it.

use std::time::Duration;

use super::{Held, LastError, State, Trouble};
use crate::oauth::RefusedAnswer;
use crate::protocol::Cause;
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::token::TokenSet;

/// How often the token set of an unused consent is renewed: providers end refresh tokens that are not
/// used, after 30 days or more, and nobody would know before the next call.
const KEEP_ALIVE: Duration = Duration::from_hours(5 * 24);

impl State {
    /// Records that somebody asked for the held token.
    pub fn note_asked_for(&mut self) {
        if let Some(held) = &mut self.held {
            held.unasked = false;
        }
    }

    /// Records that nobody asked for the token that was just obtained.
    pub fn note_unasked(&mut self) {
        if let Some(held) = &mut self.held {
            held.unasked = true;
        }
    }

    /// When the alarm renews the token set, which may be before `now`: once the token ages, where
    /// somebody asked for it, and after a wait. It renews no token that has expired by then, and none that
    /// it obtained itself, but for a consent.
    pub fn renewal_at(&self, is_consent: bool, now: UnixTime) -> Option<UnixTime> {
        let held = self.held.as_ref().filter(|held| is_consent || !held.unasked)?;
        let lifetime = held.access.lifetime;
        let kept = if held.unasked { lifetime.obtained_at + KEEP_ALIVE } else { lifetime.refresh_at };
        let waits = self.wait.map_or(kept, |wait| wait.until);
        let at = lifetime.refresh_at.max(kept).max(waits);
        let lasts = held.valid(at.max(now)).is_some();
        (lasts || (is_consent && held.refresh_token.is_some())).then_some(at)
    }

    /// Whether a refresh token is held that may be sent: `always`, or unless it was sent twice
    /// without a known outcome.
    pub fn can_refresh(&self, always: bool) -> bool {
        let in_turn = |held: &Held| always || held.unsettled < 2;
        self.held.as_ref().is_some_and(|held| held.refresh_token.is_some() && in_turn(held))
    }

    /// Whether a refresh token is held.
    pub fn has_refresh_token(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.refresh_token.is_some())
    }

    /// Takes the refresh token to send, and counts it as sent.
    pub fn begin_refresh(&mut self) -> Option<Secret> {
        let held = self.held.as_mut()?;
        let token = held.refresh_token.clone()?;
        held.unsettled = held.unsettled.saturating_add(1);
        Some(token)
    }

    /// Uncounts the refresh token just sent: the request had no effect.
    pub fn undo_refresh(&mut self) {
        if let Some(held) = &mut self.held {
            held.unsettled = held.unsettled.saturating_sub(1);
        }
    }

    /// Drops a dead refresh token.
    pub fn drop_refresh_token(&mut self) {
        if let Some(held) = &mut self.held {
            held.refresh_token = None;
        }
    }

    /// Records that the token endpoint refused the only credential.
    pub fn note_refresh_refused(&mut self, answer: RefusedAnswer, now: UnixTime) {
        let trouble = Trouble::TokenEndpoint(Cause::CredentialsRejected);
        self.last_error = Some(LastError { trouble, at: now, answer: Some(answer) });
    }

    /// Drops the token set of a person whom the provider signed out.
    pub fn sign_out(&mut self) {
        self.held = None;
    }

    /// Whether `set` has another refresh token than the held one.
    pub fn is_rotated_by(&self, set: &TokenSet) -> bool {
        let held = self.held.as_ref().and_then(|held| held.refresh_token.as_ref());
        let both = held.zip(set.refresh_token.as_ref());
        both.is_some_and(|(held, other)| held.fingerprint() != other.fingerprint())
    }

    /// The held refresh token and scope, for a response that omits them.
    pub fn carried_over(&self) -> (Option<Secret>, Option<String>) {
        self.held.as_ref().map_or((None, None), |held| (held.refresh_token.clone(), held.scope.clone()))
    }
}
