//! The rate limits of rules, per caller.
//!
//! Each isolate counts by itself, in windows that begin with a caller's first call. A bound rate
//! limit of the platform is asked in addition: it counts per location.

use std::cell::RefCell;
use std::time::Duration;

use crate::config::RateLimit;
use crate::edge::bounded::Bounded;
use crate::edge::network::Network;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// The largest number of callers of one standing that an isolate counts. A full map evicts the
/// windows that have ended, else those that end first.
const MAX_COUNTERS: usize = 10_000;

/// The limit of a surrounding network, as a multiple of one network's.
const SURROUNDING_FACTOR: u32 = 16;

/// The class of a caller, by its authentication. Each class has maps of its own: anonymous callers,
/// of which there can be any number, never evict the counts of authenticated ones.
#[derive(Debug)]
pub(in crate::edge) enum Standing {
    /// A server, by its key.
    Server,
    /// A person, by a token or a session.
    Person,
    /// An anonymous caller, by its network.
    Anonymous(Network),
}

/// The counts of an isolate.
#[derive(Debug, Default)]
pub(in crate::edge) struct Rates {
    servers: Windows,
    people: Windows,
    anonymous: Windows,
    networks: Windows,
}

#[derive(Debug)]
struct Windows(RefCell<Bounded<Fingerprint, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_at: UnixTime,
    left: u32,
}

impl Default for Windows {
    fn default() -> Self {
        Self(RefCell::new(Bounded::new(MAX_COUNTERS)))
    }
}

impl Windows {
    /// Counts one call of `key`; where the limit is used up, the error is the time until the window
    /// ends.
    fn take(&self, key: Fingerprint, limit: RateLimit, now: UnixTime) -> Result<(), Duration> {
        let mut windows = self.0.borrow_mut();
        let ends_at = now + Duration::from_secs(limit.seconds.into());
        let whole = Window { ends_at, left: limit.requests };
        let window = match windows.get_mut(&key).filter(|window| now < window.ends_at) {
            Some(window) => window,
            None => windows.insert(key, whole, ends_at, now),
        };
        window.left = window.left.checked_sub(1).ok_or_else(|| window.ends_at.since(now))?;
        Ok(())
    }
}

impl Rates {
    /// Counts one call of `key` against `limit`; where the limit is used up, the error is the time
    /// until the window ends. `around` is the surrounding network of an anonymous caller.
    pub fn take(
        &self,
        key: Fingerprint,
        limit: RateLimit,
        around: Option<Fingerprint>,
        standing: &Standing,
        now: UnixTime,
    ) -> Result<(), Duration> {
        match standing {
            Standing::Server => self.servers.take(key, limit, now),
            Standing::Person => self.people.take(key, limit, now),
            Standing::Anonymous(_) => {
                self.anonymous.take(key, limit, now)?;
                let limit =
                    RateLimit { requests: limit.requests.saturating_mul(SURROUNDING_FACTOR), ..limit };
                around.map_or(Ok(()), |around| self.networks.take(around, limit, now))
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_millis(1_000_000);
    const LIMIT: RateLimit = RateLimit { requests: 2, seconds: 10 };

    fn stranger(number: usize) -> Fingerprint {
        Fingerprint::of(&["stranger", &number.to_string()])
    }

    fn network() -> Standing {
        Standing::Anonymous(Network { own: String::new(), around: String::new() })
    }

    #[test]
    fn lets_as_many_calls_through_as_there_are_in_a_window() {
        let rates = Windows::default();
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
        let rates = Windows::default();
        for number in 0..3 * MAX_COUNTERS {
            assert_eq!(rates.take(stranger(number), LIMIT, START), Ok(()));
        }
        assert!(rates.0.borrow().len() <= MAX_COUNTERS);
    }

    #[test]
    fn forgets_nobody_who_is_proven_however_many_strangers_come() {
        let rates = Rates::default();
        let proven = [Standing::Server, Standing::Person];
        for standing in &proven {
            for expected in [true, true, false] {
                let taken = rates.take(Fingerprint::of(&["proven"]), LIMIT, None, standing, START);
                assert_eq!(taken.is_ok(), expected, "{standing:?}");
            }
        }
        for number in 0..2 * MAX_COUNTERS {
            let around = Some(stranger(number));
            assert_eq!(rates.take(stranger(number), LIMIT, around, &network(), START), Ok(()));
        }
        for standing in &proven {
            assert!(rates.take(Fingerprint::of(&["proven"]), LIMIT, None, standing, START).is_err());
        }
    }

    #[test]
    fn forgets_first_whose_window_is_over_and_then_whose_is_over_first() {
        let rates = Windows::default();
        let later = START + Duration::from_secs(5);
        let used_up = |rates: &Windows, who| {
            while rates.take(who, LIMIT, later).is_ok() {}
        };
        for number in 0..MAX_COUNTERS - 1 {
            assert_eq!(rates.take(stranger(number), LIMIT, START), Ok(()));
        }
        let one = Fingerprint::of(&["one"]);
        used_up(&rates, one);
        for number in 0..MAX_COUNTERS / 2 {
            assert_eq!(rates.take(stranger(MAX_COUNTERS + number), LIMIT, later), Ok(()));
        }
        assert!(rates.take(one, LIMIT, later).is_err(), "older windows were there");
        let even_later = START + Duration::from_secs(12);
        for number in 0..MAX_COUNTERS / 4 {
            assert_eq!(rates.take(stranger(2 * MAX_COUNTERS + number), LIMIT, even_later), Ok(()));
        }
        assert!(rates.take(one, LIMIT, even_later).is_err(), "windows that were over were there");
    }

    #[test]
    fn gives_the_networks_of_one_owner_no_more_than_sixteen_times_one_networks_calls() {
        let rates = Rates::default();
        let around = Some(Fingerprint::of(&["around"]));
        let taken = (0..1_000)
            .filter(|number| rates.take(stranger(*number), LIMIT, around, &network(), START).is_ok());
        assert_eq!(taken.count(), 32);
        let elsewhere = Some(Fingerprint::of(&["elsewhere"]));
        assert_eq!(rates.take(stranger(1_000), LIMIT, elsewhere, &network(), START), Ok(()));
    }
}
