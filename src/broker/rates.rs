//! Limits of rules: how many calls each caller may make.
//!
//! An isolate counts for itself, in windows that begin with a caller's first
//! call. Where the platform's rate limit is bound, it is asked besides: it
//! counts for a whole location.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use super::answer::Refused;
use super::ports::Ports;
use super::{Broker, Code};
use crate::config::RateLimit;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// How many callers an isolate counts. When there are more, those whose window
/// is over go; where none is, all go.
const MOST_COUNTED: usize = 10_000;

/// What an isolate has counted.
#[derive(Debug, Default)]
pub(super) struct Rates(RefCell<HashMap<Fingerprint, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_at: UnixTime,
    left: u32,
}

impl Rates {
    /// Takes one of the calls that `who` has; where there is none, the time
    /// until there is.
    fn take(&self, who: Fingerprint, limit: RateLimit, now: UnixTime) -> Result<(), Duration> {
        let mut windows = self.0.borrow_mut();
        if windows.len() >= MOST_COUNTED && !windows.contains_key(&who) {
            windows.retain(|_, window| now < window.ends_at);
            if windows.len() >= MOST_COUNTED {
                windows.clear();
            }
        }
        let ends_at = now + Duration::from_secs(limit.seconds.into());
        let window = windows.entry(who).or_insert(Window { ends_at, left: limit.requests });
        if now >= window.ends_at {
            *window = Window { ends_at, left: limit.requests };
        }
        window.left = window.left.checked_sub(1).ok_or_else(|| window.ends_at.since(now))?;
        Ok(())
    }
}

/// Takes one of the calls that `limit` gives the caller that `who` is made of.
///
/// # Errors
/// `rate_limited` where there is none left.
pub(super) async fn take<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    limit: RateLimit,
    who: &[&str],
) -> Result<(), Refused> {
    let who = Fingerprint::of(who);
    let refused = |seconds| Refused { retry_after: Some(seconds), ..Refused::from(Code::RateLimited) };
    broker
        .rates
        .take(who, limit, ports.now())
        .map_err(|left| refused((left + Duration::from_millis(999)).as_secs().max(1)))?;
    if ports.take(limit, &who.to_hex()).await { Ok(()) } else { Err(refused(limit.seconds.into())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_millis(1_000_000);
    const LIMIT: RateLimit = RateLimit { requests: 2, seconds: 10 };

    #[test]
    fn lets_as_many_calls_through_as_there_are_in_a_window() {
        let rates = Rates::default();
        let (one, other) = (Fingerprint::of(&["one"]), Fingerprint::of(&["other"]));
        let take = |who, millis| rates.take(who, LIMIT, START + Duration::from_millis(millis));
        assert_eq!([take(one, 0), take(one, 1)], [Ok(()); 2]);
        assert_eq!(take(one, 4_000), Err(Duration::from_secs(6)));
        assert_eq!(take(one, 9_999), Err(Duration::from_millis(1)));
        assert_eq!(take(other, 9_999), Ok(()));
        assert_eq!([take(one, 10_000), take(one, 19_999)], [Ok(()); 2]);
        assert_eq!(take(one, 19_999), Err(Duration::from_millis(1)));
    }

    #[test]
    fn counts_no_more_callers_than_it_may() {
        let rates = Rates::default();
        for number in 0..MOST_COUNTED + 5 {
            assert_eq!(rates.take(Fingerprint::of(&[&number.to_string()]), LIMIT, START), Ok(()));
        }
        assert!(rates.0.borrow().len() <= MOST_COUNTED);
    }
}
