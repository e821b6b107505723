//! What an ask comes down to: a pure function of the time and what is held.
//!
//! Whether a renewal refreshes or acquires anew is decided when it is made:
//! by the refresh token where there is one that may be sent.

use std::rc::Rc;

use super::message::Ask;
use super::{Cause, State};
use crate::time::UnixTime;
use crate::token::{AccessToken, Freshness};

/// What to do about an ask.
#[derive(Debug)]
pub(super) enum Plan {
    /// Hand out the token held.
    Use(Rc<AccessToken>),
    /// Hand out the token held, and renew it behind the answer.
    UseAndRenew(Rc<AccessToken>),
    /// Renew the token set, or join the renewal in flight.
    Renew(Reason),
    /// Tell that a failure is waited out.
    Wait { cause: Cause, until: UnixTime },
    /// Tell that the upstream refuses even a token just obtained.
    UpstreamRefuses,
    /// The same, known from now on: it is to be stored.
    BeginPeace,
}

/// Why a token is renewed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// There is none, or it ages.
    Age,
    /// The upstream refused it.
    Refused,
}

/// Plans what to do about `ask` at `now`; `renewing` tells whether a renewal
/// is in flight. What the ask tells of a token is noted in `state`.
pub(super) fn plan(state: &mut State, ask: &Ask, renewing: bool, now: UnixTime) -> Plan {
    let refused = ask.refused().filter(|refused| state.mark_refused(refused.generation));
    if let Some(refused) = refused.filter(|refused| refused.worked) {
        state.note_works(refused.generation);
    }
    let usable = state.usable(now);
    if let Some(token) = &usable {
        let left_alone = state.waiting(now).is_some() || (renewing && !ask.waits_for_renewal());
        match token.lifetime.freshness(now) {
            Freshness::Fresh => return Plan::Use(Rc::clone(token)),
            Freshness::Ageing if left_alone => return Plan::Use(Rc::clone(token)),
            Freshness::Ageing => return Plan::UseAndRenew(Rc::clone(token)),
            Freshness::Stale | Freshness::Expired => {}
        }
    }
    if renewing {
        return Plan::Renew(Reason::Age);
    }
    if let Some((cause, until)) = state.waiting(now) {
        return usable.map_or(Plan::Wait { cause, until }, Plan::Use);
    }
    if !state.is_refused() {
        return Plan::Renew(Reason::Age);
    }
    match (refused, state.in_peace(now), state.current(now)) {
        (Some(_), true, _) => Plan::UpstreamRefuses,
        (Some(_), false, _) if state.begin_peace(now) => Plan::BeginPeace,
        (None, true, Some(token)) => Plan::Use(token),
        _ => Plan::Renew(Reason::Refused),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::broker::keeper::wait::Wait;
    use crate::oauth::TokenType;
    use crate::secret::{Fingerprint, Secret};
    use crate::token::{Lifetime, TokenSet};

    const START: UnixTime = UnixTime::from_millis(1_000_000);

    fn after(seconds: u64) -> UnixTime {
        START + Duration::from_secs(seconds)
    }

    /// A state that holds the token of `generation`, which lives for 1,000 s,
    /// ages from 850 and is stale from 940.
    fn holding(generation: u64, for_refused: bool) -> State {
        let lifetime = Lifetime::new(START, Duration::from_secs(1000), Duration::from_mins(1), 0);
        let token = Secret::new("token".to_owned());
        let access = AccessToken { generation, token, token_type: TokenType::Bearer, lifetime };
        let mut state = State::default();
        state.hold(TokenSet { access, refresh_token: None, scope: None }, for_refused);
        state
    }

    fn waiting(mut state: State, until: u64) -> State {
        let span = Duration::from_secs(until);
        state.wait(|_| Wait::after(None, Cause::Unreachable, Fingerprint::of(&[]), Some(span), START, 0));
        state
    }

    fn ask() -> Ask {
        Ask::new(&Fingerprint::of(&[]))
    }

    #[track_caller]
    fn check(state: &mut State, ask: &Ask, renewing: bool, seconds: u64, expected: &str) {
        let planned = match plan(state, ask, renewing, after(seconds)) {
            Plan::Use(_) => "use",
            Plan::UseAndRenew(_) => "use and renew",
            Plan::Renew(Reason::Age) => "renew",
            Plan::Renew(Reason::Refused) => "renew the refused",
            Plan::Wait { .. } => "wait",
            Plan::UpstreamRefuses => "upstream refuses",
            Plan::BeginPeace => "begin peace",
        };
        assert_eq!(planned, expected, "{state:?} at {seconds} s");
    }

    #[test]
    fn follows_the_age_of_the_token() {
        check(&mut State::default(), &ask(), false, 0, "renew");
        for (seconds, expected) in [
            (0, "use"),
            (849, "use"),
            (850, "use and renew"),
            (939, "use and renew"),
            (940, "renew"),
            (1000, "renew"),
        ] {
            check(&mut holding(1, false), &ask(), false, seconds, expected);
        }
    }

    #[test]
    fn leaves_an_ageing_token_to_the_renewal_in_flight() {
        check(&mut holding(1, false), &ask(), true, 900, "use");
        check(&mut holding(1, false), &ask().waiting_for_renewal(), true, 900, "use and renew");
        check(&mut holding(1, false), &ask(), true, 950, "renew");
    }

    #[test]
    fn waits_only_where_no_valid_token_is_held() {
        check(&mut waiting(State::default(), 500), &ask(), false, 499, "wait");
        check(&mut waiting(State::default(), 500), &ask(), false, 500, "renew");
        for seconds in [0, 900, 950, 999] {
            check(&mut waiting(holding(1, false), 2000), &ask(), false, seconds, "use");
        }
        check(&mut waiting(holding(1, false), 2000), &ask(), false, 1000, "wait");
        check(&mut waiting(holding(1, false), 2000), &ask().refusing(1, true), false, 0, "wait");
    }

    #[test]
    fn renews_for_a_refusal_of_the_token_held_only() {
        check(&mut holding(5, false), &ask().refusing(5, false), false, 0, "renew the refused");
        check(&mut holding(5, false), &ask().refusing(4, true), false, 0, "use");
        check(&mut holding(5, false), &ask().refusing(5, false), true, 0, "renew");
    }

    #[test]
    fn begins_a_peace_where_a_replacement_never_worked() {
        let mut state = holding(5, true);
        check(&mut state, &ask().refusing(5, false), false, 0, "begin peace");
        check(&mut state, &ask().refusing(5, true), false, 9, "upstream refuses");
        check(&mut state, &ask(), false, 9, "use");
        check(&mut state, &ask().refusing(5, false), false, 10, "renew the refused");
        check(&mut holding(5, true), &ask().refusing(5, true), false, 0, "renew the refused");
        check(&mut holding(5, true), &ask().refusing(5, false), false, 60, "renew the refused");
        let mut confirmed = holding(5, true);
        assert!(!confirmed.note_works(4) && confirmed.note_works(5) && !confirmed.note_works(5));
        check(&mut confirmed, &ask().refusing(5, false), false, 0, "renew the refused");
    }
}
