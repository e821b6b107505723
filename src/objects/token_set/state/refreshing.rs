//! The refresh token of a token set.

use super::{Held, LastError, State, Trouble};
use crate::oauth::RefusedAnswer;
use crate::protocol::Cause;
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::token::TokenSet;

impl State {
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
