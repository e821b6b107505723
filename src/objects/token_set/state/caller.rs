//! What holds for the token set of a caller, which their own tokens are exchanged for.

use std::rc::Rc;
use std::time::Duration;

use super::State;
use crate::protocol::{Cause, SubjectToken, TokenAsk};
use crate::time::UnixTime;
use crate::token::AccessToken;

/// How long a wait is remembered after its end, so that the next one is longer.
const REMEMBERED: Duration = Duration::from_hours(1);

impl State {
    /// Records that the caller has the token `own`. Where a refusal was of tokens that expire
    /// earlier, its wait ends: the issuer has issued a new one since, perhaps with what was lacking.
    pub fn note_own_token(&mut self, own: &SubjectToken, now: UnixTime) {
        if let Some(wait) = &mut self.wait
            && wait.cause == Cause::CredentialsRejected
            && wait.refused_until.is_some_and(|refused| own.expires_at > refused)
        {
            wait.until = wait.until.min(now);
        }
    }

    /// The held token, where an exchange of `own` would yield none that lives longer.
    pub fn longest(&self, own: &SubjectToken, ask: &TokenAsk, now: UnixTime) -> Option<Rc<AccessToken>> {
        let held = self.usable(now).filter(|_| !self.is_refused_by(ask))?;
        (!held.lifetime.is_outlived_by(own.expires_at)).then_some(held)
    }

    /// When the state can be forgotten: the end of the held token, or of what a failure leads to.
    pub fn ends_at(&self, now: UnixTime) -> UnixTime {
        let held = self.held.as_ref().map(|held| held.access.lifetime.expires_at);
        let wait = self.wait.map(|wait| wait.until + REMEMBERED);
        let backoff = self.backoff.map(|backoff| backoff.ends_at());
        [held, wait, backoff].into_iter().flatten().fold(now, UnixTime::max)
    }
}
