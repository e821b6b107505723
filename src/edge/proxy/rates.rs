//! Limits of rules: how many calls each caller may make.
//!
//! An isolate counts for itself, in windows that begin with a caller's first
//! call. Where the platform's rate limit is bound, it is asked besides: it
//! counts for a whole location.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::config::RateLimit;
use crate::edge::answer::Refused;
use crate::edge::network::Network;
use crate::edge::{Broker, Code};
use crate::ports::Ports;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// How many callers of one standing an isolate counts. When there are more,
/// those go whose windows are over, else those whose windows are over first.
const MOST_COUNTED: usize = 10_000;

/// How many of them go at a time, at least.
const MAKES_ROOM_FOR: usize = MOST_COUNTED / 16;

/// How many times a network's calls the network around it has.
const AROUND: u32 = 16;

/// Whose calls are counted. Strangers can be as many as they like: their counts
/// push out none of anybody's who is proven.
#[derive(Debug)]
pub(in crate::edge) enum Standing {
    /// A server of the operator's, by its key.
    Server,
    /// A person, by a token or a session.
    Person,
    /// Anybody, by the network.
    Stranger(Network),
}

/// What an isolate has counted.
#[derive(Debug, Default)]
pub(in crate::edge) struct Rates {
    servers: Windows,
    people: Windows,
    strangers: Windows,
    networks: Windows,
}

#[derive(Debug, Default)]
struct Windows(RefCell<HashMap<Fingerprint, Window>>);

#[derive(Clone, Copy, Debug)]
struct Window {
    ends_at: UnixTime,
    left: u32,
}

impl Windows {
    /// Takes one of the calls that `who` has; where there is none, the time
    /// until there is.
    fn take(&self, who: Fingerprint, limit: RateLimit, now: UnixTime) -> Result<(), Duration> {
        let mut windows = self.0.borrow_mut();
        if windows.len() >= MOST_COUNTED && !windows.contains_key(&who) {
            make_room(&mut windows, now);
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

fn make_room(windows: &mut HashMap<Fingerprint, Window>, now: UnixTime) {
    windows.retain(|_, window| now < window.ends_at);
    let excess = (windows.len() + MAKES_ROOM_FOR).saturating_sub(MOST_COUNTED);
    if excess == 0 {
        return;
    }
    let mut ends: Vec<(UnixTime, Fingerprint)> =
        windows.iter().map(|(who, window)| (window.ends_at, *who)).collect();
    ends.sort_unstable_by_key(|(ends_at, _)| *ends_at);
    for (_, who) in ends.iter().take(excess) {
        windows.remove(who);
    }
}

impl Rates {
    fn take(
        &self,
        who: Fingerprint,
        limit: RateLimit,
        around: Option<Fingerprint>,
        standing: &Standing,
        now: UnixTime,
    ) -> Result<(), Duration> {
        match standing {
            Standing::Server => self.servers.take(who, limit, now),
            Standing::Person => self.people.take(who, limit, now),
            Standing::Stranger(_) => {
                self.strangers.take(who, limit, now)?;
                let limit = RateLimit { requests: limit.requests.saturating_mul(AROUND), ..limit };
                around.map_or(Ok(()), |around| self.networks.take(around, limit, now))
            }
        }
    }
}

/// Takes one of the calls that `limit` gives the caller that `who` is made of,
/// the last of which tells one of the callers of that name from another.
///
/// # Errors
/// `rate_limited` where there is none left.
pub(in crate::edge) async fn take<P: Ports>(
    broker: &Broker,
    ports: &Rc<P>,
    limit: RateLimit,
    who: &[&str],
    standing: &Standing,
) -> Result<(), Refused> {
    let around = match (standing, who.split_last()) {
        (Standing::Stranger(network), Some((_, of))) => {
            Some(Fingerprint::of(&[of, &[network.around.as_str()]].concat()))
        }
        _ => None,
    };
    let who = Fingerprint::of(who);
    let refused = |seconds| Refused { retry_after: Some(seconds), ..Refused::from(Code::RateLimited) };
    broker
        .rates
        .take(who, limit, around, standing, ports.now())
        .map_err(|left| refused((left + Duration::from_millis(999)).as_secs().max(1)))?;
    if ports.take(limit, &who.to_hex()).await { Ok(()) } else { Err(refused(limit.seconds.into())) }
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
        Standing::Stranger(Network { own: String::new(), around: String::new() })
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
        for number in 0..3 * MOST_COUNTED {
            assert_eq!(rates.take(stranger(number), LIMIT, START), Ok(()));
        }
        assert!(rates.0.borrow().len() <= MOST_COUNTED);
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
        for number in 0..2 * MOST_COUNTED {
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
        for number in 0..MOST_COUNTED - 1 {
            assert_eq!(rates.take(stranger(number), LIMIT, START), Ok(()));
        }
        let one = Fingerprint::of(&["one"]);
        used_up(&rates, one);
        for number in 0..MOST_COUNTED / 2 {
            assert_eq!(rates.take(stranger(MOST_COUNTED + number), LIMIT, later), Ok(()));
        }
        assert!(rates.take(one, LIMIT, later).is_err(), "older windows were there");
        let even_later = START + Duration::from_secs(12);
        for number in 0..MOST_COUNTED / 4 {
            assert_eq!(rates.take(stranger(2 * MOST_COUNTED + number), LIMIT, even_later), Ok(()));
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
