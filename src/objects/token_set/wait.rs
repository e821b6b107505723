//! Waits after failures of a token endpoint, and back-offs of a refusing upstream.

use std::time::Duration;

use serde_json::Value;

use crate::json::{FromJson, ToJson, record};
use crate::protocol::Cause;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

const MINUTE: Duration = Duration::from_mins(1);

/// The wait after failures of the token endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    pub cause: Cause,
    pub until: UnixTime,
    failures: u32,
    /// The credentials that failed; other ones end the wait.
    pub credentials: Fingerprint,
    /// What was refused of a caller, where callers' own tokens are exchanged.
    pub refused: Option<RefusedOwn>,
}

record!(Wait { cause, until, failures, credentials, refused });

/// The own tokens of a caller that were refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RefusedOwn {
    /// The latest expiry of one.
    pub expires_at: UnixTime,
    /// Until when none of them is tried again.
    pub until: UnixTime,
}

record!(RefusedOwn { expires_at, until });

impl Wait {
    /// The wait after a failure at `now`; `last` is the previous wait. Refused credentials wait
    /// from a minute to an hour, so that the provider locks no account; other failures from a
    /// second to five minutes. Waits double, and `jitter`, from 0 to 255, adds up to a quarter. A
    /// longer `Retry-After` takes precedence.
    pub fn after(
        last: Option<&Self>,
        cause: Cause,
        credentials: Fingerprint,
        retry_after: Option<Duration>,
        now: UnixTime,
        jitter: u8,
    ) -> Self {
        let refused = cause == Cause::CredentialsRejected;
        let alike = last.filter(|last| (last.cause == Cause::CredentialsRejected) == refused);
        let failures = alike.map_or(1, |last| last.failures.saturating_add(1));
        let (first, longest) =
            if refused { (MINUTE, 60 * MINUTE) } else { (Duration::from_secs(1), 5 * MINUTE) };
        let wait = doubled(first, failures - 1);
        let wait = wait.saturating_add(wait / 4 * u32::from(jitter) / 255).min(longest);
        let until = now + wait.max(retry_after.unwrap_or_default());
        Self { cause, until, failures, credentials, refused: last.and_then(|last| last.refused) }
    }

    /// The same after a failure with a caller's own token, which expires at `expires_at`.
    pub fn with_own_token(self, expires_at: UnixTime) -> Self {
        if self.cause != Cause::CredentialsRejected {
            return self;
        }
        let expires_at = self.refused.map_or(expires_at, |known| known.expires_at.max(expires_at));
        Self { refused: Some(RefusedOwn { expires_at, until: self.until }), ..self }
    }
}

/// The back-off of an upstream that refuses new tokens: no other token is obtained while it lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpstreamBackoff {
    since: UnixTime,
    span: Duration,
    /// The generation of the token that the upstream refused.
    pub generation: u64,
}

record!(UpstreamBackoff { since, span, generation });

impl UpstreamBackoff {
    /// The back-off that starts at `now`: 10 s, doubling up to 5 min while refusals continue.
    pub fn after(last: Option<&Self>, generation: u64, now: UnixTime) -> Self {
        let goes_on = last.filter(|last| last.goes_on(now));
        let span = goes_on.map_or(Duration::from_secs(10), |last| (last.span * 2).min(5 * MINUTE));
        Self { since: now, span, generation }
    }

    /// Whether a back-off at `now` continues this one, and doubles.
    pub fn goes_on(&self, now: UnixTime) -> bool {
        now < self.since + self.span * 2 + MINUTE
    }

    /// Whether the back-off lasts at `now`.
    pub fn lasts(&self, now: UnixTime) -> bool {
        now < self.ends_at()
    }

    /// The end of the back-off.
    pub fn ends_at(&self) -> UnixTime {
        self.since + self.span
    }
}

/// How many renewals refusals may cause within [`MINUTE`]; the last of them starts a back-off.
const FREE_RENEWALS: usize = 3;

/// The times of recent renewals that refusals caused.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct RefusalRenewals(Vec<UnixTime>);

impl FromJson for RefusalRenewals {
    fn from_json(value: &mut Value) -> Option<Self> {
        Vec::from_json(value).map(Self)
    }
}

impl ToJson for RefusalRenewals {
    fn write_json(&self, out: &mut String) {
        self.0.write_json(out);
    }
}

impl RefusalRenewals {
    /// Records a renewal at `now`; true where a back-off has to start.
    pub fn note(&mut self, now: UnixTime) -> bool {
        self.0.retain(|at| now < *at + MINUTE);
        let most = self.0.len().min(FREE_RENEWALS - 1);
        self.0.drain(..self.0.len() - most);
        self.0.push(now);
        self.0.len() >= FREE_RENEWALS
    }
}

fn doubled(first: Duration, times: u32) -> Duration {
    first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_millis(1_000_000);

    #[track_caller]
    fn check(cause: Cause, jitter: u8, seconds: &[u64]) {
        let mut last = None;
        for expected in seconds {
            let wait = Wait::after(last.as_ref(), cause, Fingerprint::of(&[]), None, START, jitter);
            assert_eq!(wait.until.since(START).as_secs(), *expected);
            last = Some(wait);
        }
    }

    #[test]
    fn grows_from_a_minute_to_an_hour_for_refused_credentials() {
        check(Cause::CredentialsRejected, 0, &[60, 120, 240, 480, 960, 1920, 3600, 3600]);
        check(Cause::CredentialsRejected, 255, &[75]);
    }

    #[test]
    fn grows_from_a_second_to_five_minutes_for_all_else() {
        for cause in [Cause::Unreachable, Cause::Timeout, Cause::ResponseInvalid] {
            check(cause, 0, &[1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        }
    }

    #[test]
    fn honours_a_longer_retry_after() {
        let asked = Some(Duration::from_secs(30));
        let wait = Wait::after(None, Cause::Unreachable, Fingerprint::of(&[]), asked, START, 0);
        assert_eq!(wait.until.since(START).as_secs(), 30);
    }

    #[test]
    fn counts_refusals_and_outages_apart() {
        let outage = Wait::after(None, Cause::Unreachable, Fingerprint::of(&[]), None, START, 0);
        let outage = Wait::after(Some(&outage), Cause::Timeout, Fingerprint::of(&[]), None, START, 0);
        assert_eq!(outage.until.since(START).as_secs(), 2);
        let refused =
            Wait::after(Some(&outage), Cause::CredentialsRejected, Fingerprint::of(&[]), None, START, 0);
        assert_eq!(refused.until.since(START).as_secs(), 60);
    }

    #[test]
    fn backs_off_from_a_refusing_upstream_for_longer_and_longer() {
        let mut now = START;
        let mut backoff = UpstreamBackoff::after(None, 1, now);
        for seconds in [10, 20, 40, 80, 160, 300, 300] {
            assert!(backoff.lasts(now + Duration::from_secs(seconds - 1)), "{seconds}");
            now = now + Duration::from_secs(seconds);
            assert!(!backoff.lasts(now), "{seconds}");
            backoff = UpstreamBackoff::after(Some(&backoff), 1, now);
        }
        let later = now + Duration::from_hours(1);
        assert!(!UpstreamBackoff::after(Some(&backoff), 1, later).lasts(later + Duration::from_secs(10)));
    }

    #[test]
    fn counts_the_renewals_of_a_minute() {
        let mut renewals = RefusalRenewals::default();
        let noted =
            [0, 20, 59, 60, 61, 121, 122, 123].map(|at| renewals.note(START + Duration::from_secs(at)));
        assert_eq!(noted, [false, false, true, true, true, false, false, true]);
    }
}
