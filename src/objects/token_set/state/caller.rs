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

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;
    use crate::objects::token_set::wait::Wait;
    use crate::secret::{Fingerprint, Secret};
    use crate::token::{Lifetime, TokenSet, TokenType};

    const START: UnixTime = UnixTime::from_millis(1_000_000);

    fn after(seconds: u64) -> UnixTime {
        START + Duration::from_secs(seconds)
    }

    fn own(until: u64) -> SubjectToken {
        SubjectToken { token: Secret::new("own".to_owned()), expires_at: after(until) }
    }

    /// Adds a failure at `seconds` with a token that expires at `until`.
    fn fail(state: &mut State, cause: Cause, seconds: u64, until: u64) {
        state.wait(after(seconds), None, |last| {
            let wait = Wait::after(last, cause, Fingerprint::of(&[]), None, after(seconds), 0);
            wait.with_own_token(after(until))
        });
    }

    /// Checks for how long a token that expires at `until` waits at `seconds`; 0 for no wait.
    #[track_caller]
    fn check(state: &State, seconds: u64, until: u64, expected: u64) {
        let seen = state.seen_with(&own(until), after(seconds));
        let waiting = seen.as_ref().unwrap_or(state).waiting(after(seconds));
        let left = waiting.map_or(0, |(_, end)| end.since(after(seconds)).as_secs());
        assert_eq!(left, expected, "{until} at {seconds} s");
    }

    #[test]
    fn a_refusal_is_waited_out_by_what_was_refused_and_by_what_is_older() {
        let mut state = State::default();
        check(&state, 0, 500, 0);
        fail(&mut state, Cause::CredentialsRejected, 0, 500);
        for (until, left) in [(499, 60), (500, 60), (501, 0)] {
            check(&state, 0, until, left);
        }
        check(&state, 60, 500, 0);
        fail(&mut state, Cause::CredentialsRejected, 10, 600);
        for (until, left) in [(500, 120), (600, 120), (601, 0)] {
            check(&state, 10, until, left);
        }
    }

    #[test]
    fn an_outage_is_waited_out_by_all_and_ends_no_refusal() {
        let mut state = State::default();
        fail(&mut state, Cause::Unreachable, 0, 500);
        for until in [1, 500, 999] {
            check(&state, 0, until, 1);
        }
        fail(&mut state, Cause::CredentialsRejected, 1, 500);
        fail(&mut state, Cause::Timeout, 2, 600);
        for (until, left) in [(500, 59), (600, 1)] {
            check(&state, 2, until, left);
        }
        check(&state, 3, 600, 0);
        check(&state, 3, 500, 58);
        check(&state, 61, 500, 0);
        assert_eq!(state.ends_at(after(2)), after(3) + REMEMBERED);
    }

    #[test]
    fn goes_on_with_what_no_exchange_would_outlive() {
        let access = AccessToken {
            generation: 1,
            token: Secret::new("token".to_owned()),
            token_type: TokenType::Bearer,
            lifetime: Lifetime::new(START, Duration::from_secs(1000), Duration::from_mins(1), 0),
        };
        let mut state = State::default();
        let ask = TokenAsk::new(&Fingerprint::of(&[]));
        assert!(state.longest(&own(0), &ask, START).is_none());
        state.hold(TokenSet { access, refresh_token: None, scope: None }, false);
        assert_eq!(state.ends_at(START), after(1000));
        let goes_on = |until, seconds| state.longest(&own(until), &ask, after(seconds)).is_some();
        assert!(goes_on(1000, 0) && goes_on(1030, 999) && goes_on(500, 999));
        assert!(!goes_on(1031, 0) && !goes_on(1000, 1000));
        assert!(state.longest(&own(1000), &ask.clone().refusing(1, true), START).is_none());
    }
}
