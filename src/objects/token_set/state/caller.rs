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
    /// The state as it is for a caller with the token `own`; `None` where it is as it is for all of
    /// theirs. A refusal is waited out by the tokens that were refused, and by older ones. A later
    /// one need not wait: the issuer has issued it since, perhaps with what the others lacked.
    pub fn seen_with(&self, own: &SubjectToken, now: UnixTime) -> Option<Self> {
        let mut wait = self.wait?;
        let refused = wait.refused?;
        let seen = match (wait.cause == Cause::CredentialsRejected, own.expires_at > refused.expires_at) {
            (true, true) => None,
            // A later token has met an outage since, whose end is not that of the refusal.
            (false, false) if now < refused.until && wait.until < refused.until => {
                (wait.cause, wait.until) = (Cause::CredentialsRejected, refused.until);
                Some(wait)
            }
            (true, false) | (false, _) => return None,
        };
        Some(Self { wait: seen, ..self.clone() })
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
        let refused = self.wait.and_then(|wait| wait.refused).map(|refused| refused.until);
        let backoff = self.backoff.map(|backoff| backoff.ends_at());
        [held, wait, refused, backoff].into_iter().flatten().fold(now, UnixTime::max)
    }
}
