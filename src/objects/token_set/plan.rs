//! The decision about an ask: a pure function of the state and the time.
//!
//! The ask's reports about tokens are recorded in the state beforehand. For each token request,
//! [`next_grant`] decides between a refresh and a new grant.

use std::rc::Rc;

use super::State;
use crate::config::Grant;
use crate::protocol::{Cause, TokenAsk};
use crate::time::UnixTime;
use crate::token::{AccessToken, Freshness};

/// The decision about an ask.
#[derive(Debug)]
pub(super) enum Plan {
    /// Return the held token.
    Use(Rc<AccessToken>),
    /// Return the held token, and renew it in the background.
    UseAndRenew(Rc<AccessToken>),
    /// Renew the token set, or join the renewal in flight.
    Renew(Reason),
    /// Reply that the token set waits after a failure.
    Wait { cause: Cause, until: UnixTime },
    /// Reply that the upstream refuses even a token just obtained.
    UpstreamRefuses,
    /// The same, and store the back-off that begins now.
    BeginBackoff,
}

/// Why a token is renewed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// No token is held, or it ages.
    Age,
    /// The upstream refused the token.
    Refused,
    /// The token ages, and nobody asked.
    Alarm,
}

/// The kind of the next token request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NextGrant {
    /// Send the held refresh token.
    Refresh,
    /// Make the configured grant.
    Acquire,
    /// There is no credential for a grant: the person has to sign in again.
    Reauthorize,
}

/// The credentials for token requests besides a held refresh token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Means {
    /// The credentials of a grant that does not depend on the refresh token.
    Credentials,
    /// A configured first refresh token, used only while none is held. Afterwards the newest one is
    /// sent again after each wait, as the only credential; the configured one may have been rotated
    /// long ago.
    FirstRefreshToken,
    /// None: the person's credentials are not stored.
    Nothing,
}

impl Means {
    /// The credentials of `grant`.
    pub const fn of(grant: &Grant) -> Self {
        match grant {
            Grant::Static { .. }
            | Grant::Basic { .. }
            | Grant::Password { .. }
            | Grant::ClientCredentials { .. }
            | Grant::JwtBearer { .. }
            | Grant::Login { .. }
            | Grant::TokenExchange { .. } => Self::Credentials,
            Grant::RefreshToken { .. } => Self::FirstRefreshToken,
            Grant::SignIn { .. } | Grant::AuthorizationCode { .. } => Self::Nothing,
        }
    }
}

/// Decides the next token request. `may_refresh` is false after a refused refresh.
pub(super) fn next_grant(state: &State, may_refresh: bool, means: Means) -> NextGrant {
    if may_refresh && state.can_refresh(means != Means::Credentials) {
        return NextGrant::Refresh;
    }
    match means {
        Means::Credentials => NextGrant::Acquire,
        Means::FirstRefreshToken if !state.has_refresh_token() => NextGrant::Acquire,
        Means::FirstRefreshToken | Means::Nothing => NextGrant::Reauthorize,
    }
}

/// Decides about `ask` at `now`; `renewing` says whether a renewal is in flight.
pub(super) fn plan(state: &State, ask: &TokenAsk, renewing: bool, now: UnixTime) -> Plan {
    let is_refused = state.is_refused_by(ask);
    if let Some(token) = state.usable(now).filter(|_| !is_refused) {
        let left_alone = state.waiting(now).is_some() || (renewing && !ask.waits_for_renewal());
        match token.lifetime.freshness(now) {
            Freshness::Fresh => return Plan::Use(token),
            Freshness::Ageing if left_alone => return Plan::Use(token),
            Freshness::Ageing => return Plan::UseAndRenew(token),
            Freshness::Stale | Freshness::Expired => {}
        }
    }
    if renewing {
        return Plan::Renew(Reason::Age);
    }
    let (waiting, held) = (state.waiting(now), state.current(now));
    // While no other token can be obtained, use a refused one that is known to work: the refusal
    // may have been about the call.
    let tried = held.clone().filter(|_| !is_refused || state.works());
    if let Some((cause, until)) = waiting {
        return tried.map_or(Plan::Wait { cause, until }, Plan::Use);
    }
    let is_stale = held.is_none_or(|token| token.lifetime.freshness(now) <= Freshness::Stale);
    if is_stale || !(is_refused || state.is_refused()) {
        return Plan::Renew(Reason::Age);
    }
    if state.backs_off(now) {
        return tried.map_or(Plan::UpstreamRefuses, Plan::Use);
    }
    if is_refused && state.wants_backoff(now) {
        return Plan::BeginBackoff;
    }
    Plan::Renew(Reason::Refused)
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::objects::token_set::wait::Wait;
    use crate::secret::{Fingerprint, Secret};
    use crate::token::{Lifetime, TokenSet, TokenType};

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
        state.wait(START, None, |_| {
            Wait::after(None, Cause::Unreachable, Fingerprint::of(&[]), Some(span), START, 0)
        });
        state
    }

    fn ask() -> TokenAsk {
        TokenAsk::new(&Fingerprint::of(&[]))
    }

    #[track_caller]
    fn check(state: &mut State, ask: &TokenAsk, renewing: bool, seconds: u64, expected: &str) {
        state.note(ask, after(seconds));
        let planned = match plan(state, ask, renewing, after(seconds)) {
            Plan::Use(_) => "use",
            Plan::UseAndRenew(_) => "use and renew",
            Plan::Renew(Reason::Age) => "renew",
            Plan::Renew(Reason::Refused | Reason::Alarm) => "renew the refused",
            Plan::Wait { .. } => "wait",
            Plan::UpstreamRefuses => "upstream refuses",
            Plan::BeginBackoff => {
                state.begin_backoff(after(seconds));
                "begin backoff"
            }
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
    }

    #[test]
    fn goes_on_with_a_refused_token_while_no_other_can_be_had() {
        let mut state = waiting(holding(1, false), 500);
        check(&mut state, &ask().refusing(1, true), false, 0, "use");
        check(&mut state, &ask(), false, 0, "use");
        check(&mut state, &ask().refusing(1, false), false, 0, "use");
        check(&mut state, &ask().refusing(1, false), false, 500, "renew the refused");
        let mut never_seen_to_work = waiting(holding(1, false), 500);
        check(&mut never_seen_to_work, &ask().refusing(1, false), false, 0, "wait");
        check(&mut never_seen_to_work, &ask(), false, 0, "use");
        never_seen_to_work.note(&ask().confirming(1), START);
        check(&mut never_seen_to_work, &ask().refusing(1, false), false, 0, "use");
        check(&mut never_seen_to_work, &ask().refusing(1, false), false, 1000, "renew");
    }

    #[test]
    fn takes_a_token_for_dead_that_nothing_was_done_with_for_long() {
        let call = |path: &str| Fingerprint::of(&[path]);
        let mut one_address = waiting(holding(1, false), 500);
        check(&mut one_address, &ask().refusing(1, true).calling(call("/a")), false, 0, "use");
        for seconds in (0..300).step_by(10) {
            check(&mut one_address, &ask().refusing(1, false).calling(call("/a")), false, seconds, "use");
        }
        assert!(!one_address.is_dead());
        let mut alive = one_address.clone();
        check(&mut one_address, &ask().refusing(1, false).calling(call("/a")), false, 300, "use");
        assert!(one_address.is_dead() && !alive.is_dead());
        alive.note(&ask().confirming(1), START);
        check(&mut alive, &ask().refusing(1, false).calling(call("/a")), false, 300, "use");
        assert!(!alive.is_dead());
        let mut three = waiting(holding(1, false), 500);
        for (path, seconds) in [("/a", 0), ("/b", 0), ("/c", 0), ("/d", 14), ("/a", 15), ("/b", 29)] {
            let first = (path, seconds) == ("/a", 0);
            let about = ask().refusing(1, first).calling(call(path));
            check(&mut three, &about, false, seconds, "use");
            assert!(!three.is_dead(), "{path} at {seconds} s");
        }
        check(&mut three, &ask().refusing(1, false).calling(call("/a")), false, 30, "wait");
        assert!(three.is_dead());
        check(&mut three, &ask().refusing(1, true).calling(call("/c")), false, 30, "use");
        // What was refused at once long ago, and once now, may have worked between.
        let mut at_once = waiting(holding(1, false), 500);
        for (count, seconds) in [(20, 0), (1, 400)] {
            for number in 0..count {
                let path = format!("/{number}");
                let about = ask().refusing(1, seconds == 0 && number == 0).calling(call(&path));
                check(&mut at_once, &about, false, seconds, "use");
            }
        }
        assert!(!at_once.is_dead());
    }

    #[test]
    fn renews_for_a_refusal_of_the_token_held_only() {
        check(&mut holding(5, false), &ask().refusing(5, false), false, 0, "renew the refused");
        check(&mut holding(5, false), &ask().refusing(4, true), false, 0, "use");
        check(&mut holding(5, false), &ask().refusing(5, false), true, 0, "renew");
    }

    #[test]
    fn backs_off_where_a_replacement_never_worked() {
        let mut state = holding(5, true);
        check(&mut state, &ask().refusing(5, false), false, 0, "begin backoff");
        check(&mut state, &ask().refusing(5, false), false, 9, "upstream refuses");
        check(&mut state, &ask(), false, 9, "use");
        check(&mut state, &ask().refusing(5, true), false, 9, "use");
        check(&mut state, &ask().refusing(5, false), false, 10, "renew the refused");
        check(&mut holding(5, true), &ask().refusing(5, true), false, 0, "renew the refused");
        check(&mut holding(5, true), &ask().refusing(5, false), false, 60, "renew the refused");
        let mut confirmed = holding(5, true);
        let confirms = |generation| ask().confirming(generation);
        assert!(
            !confirmed.note(&confirms(4), START)
                && confirmed.note(&confirms(5), START)
                && !confirmed.note(&confirms(5), START)
        );
        check(&mut confirmed, &ask().refusing(5, false), false, 0, "renew the refused");
    }

    #[test]
    fn backs_off_from_the_third_renewal_within_a_minute_however_well_each_worked() {
        let mut state = holding(1, false);
        let mut at = 0;
        let mut next = |state: &mut State, generation, seconds| {
            at += seconds;
            check(state, &ask().refusing(generation, true), false, at, "renew the refused");
            renewed(state, generation + 1, at);
            at
        };
        next(&mut state, 1, 1);
        next(&mut state, 2, 1);
        let third = next(&mut state, 3, 1);
        for seconds in [third, third + 9] {
            check(&mut state, &ask().refusing(4, true), false, seconds, "use");
            check(&mut state, &ask(), false, seconds, "use");
        }
        let fourth = next(&mut state, 4, 10);
        check(&mut state, &ask().refusing(5, true), false, fourth + 19, "use");
        let fifth = next(&mut state, 5, 20);
        check(&mut state, &ask().refusing(6, true), false, fifth + 39, "use");
        // Long after the last one it begins anew.
        next(&mut state, 6, 200);
        next(&mut state, 7, 1);
    }

    fn renewed(state: &mut State, generation: u64, seconds: u64) {
        let lifetime = Lifetime::new(after(seconds), Duration::from_secs(1000), Duration::from_mins(1), 0);
        let token = Secret::new("token".to_owned());
        let access = AccessToken { generation, token, token_type: TokenType::Bearer, lifetime };
        state.hold(TokenSet { access, refresh_token: None, scope: None }, true);
    }

    #[test]
    fn refreshes_while_it_may_then_acquires_and_else_has_the_person_sign_in() {
        let mut state = holding(1, false);
        assert_eq!(next_grant(&state, true, Means::Nothing), NextGrant::Reauthorize);
        assert_eq!(next_grant(&state, true, Means::FirstRefreshToken), NextGrant::Acquire);
        assert_eq!(
            next_grant(&state, true, Means::Credentials),
            NextGrant::Acquire,
            "there is no refresh token"
        );
        let lifetime = Lifetime::new(START, Duration::from_secs(1000), Duration::from_mins(1), 0);
        let token = Secret::new("token".to_owned());
        let access = AccessToken { generation: 2, token, token_type: TokenType::Bearer, lifetime };
        let refresh_token = Some(Secret::new("refresh".to_owned()));
        state.hold(TokenSet { access, refresh_token, scope: None }, false);
        assert_eq!(next_grant(&state, true, Means::Credentials), NextGrant::Refresh);
        assert_eq!(next_grant(&state, false, Means::Credentials), NextGrant::Acquire);
        assert_eq!(next_grant(&state, false, Means::FirstRefreshToken), NextGrant::Reauthorize);
        assert_eq!(next_grant(&state, false, Means::Nothing), NextGrant::Reauthorize);
        state.begin_refresh();
        assert_eq!(
            next_grant(&state, true, Means::Credentials),
            NextGrant::Refresh,
            "the one retry after a cut-off"
        );
        state.begin_refresh();
        assert_eq!(next_grant(&state, true, Means::Credentials), NextGrant::Acquire);
        for means in [Means::FirstRefreshToken, Means::Nothing] {
            assert_eq!(next_grant(&state, true, means), NextGrant::Refresh, "there is nothing else");
        }
    }
}
