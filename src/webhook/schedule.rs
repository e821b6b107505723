//! The schedule of delivery attempts.

use std::time::Duration;

use crate::time::UnixTime;

/// How long deliveries of one event are retried.
pub const LONGEST: Duration = Duration::from_hours(24);

/// The waits after the first attempts; later waits equal the last one.
const WAITS: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_mins(2),
    Duration::from_mins(10),
    Duration::from_hours(1),
];

/// The time of the next attempt after `attempts` failed ones since `since`; `None` after
/// [`LONGEST`]. `jitter` varies a wait by a tenth each way. The receiver's `retry_after` only
/// lengthens a wait, and not beyond [`LONGEST`].
#[must_use]
pub fn next_attempt(
    attempts: u32,
    since: UnixTime,
    now: UnixTime,
    retry_after: Option<Duration>,
    jitter: u8,
) -> Option<UnixTime> {
    let end = since + LONGEST;
    if now >= end {
        return None;
    }
    let at = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX).min(WAITS.len() - 1);
    let wait = WAITS.get(at).copied().unwrap_or(LONGEST);
    let varied = wait * 9 / 10 + wait / 5 * u32::from(jitter) / 255;
    Some((now + varied.max(retry_after.unwrap_or_default())).min(end))
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_millis(1_000_000_000);

    fn wait(attempts: u32, jitter: u8) -> Duration {
        next_attempt(attempts, START, START, None, jitter).unwrap().since(START)
    }

    #[test]
    fn waits_longer_after_each_attempt_and_an_hour_at_most() {
        let waits = [(1, 5), (2, 30), (3, 120), (4, 600), (5, 3_600), (6, 3_600), (u32::MAX, 3_600)];
        for (attempts, seconds) in waits {
            let about = Duration::from_secs(seconds);
            assert_eq!(wait(attempts, 0), about * 9 / 10);
            assert_eq!(wait(attempts, 255), about * 11 / 10);
            assert!(wait(attempts, 100) < wait(attempts, 101));
        }
    }

    #[test]
    fn waits_as_long_as_the_receiver_asks() {
        let after = |seconds| next_attempt(1, START, START, Some(Duration::from_secs(seconds)), 0).unwrap();
        assert_eq!(after(60), START + Duration::from_mins(1));
        assert_eq!(after(1), START + Duration::from_millis(4_500));
    }

    #[test]
    fn tries_a_last_time_when_a_day_is_over() {
        let end = START + LONGEST;
        let late = end - Duration::from_secs(1);
        assert_eq!(next_attempt(30, START, late, None, 0), Some(end));
        assert_eq!(next_attempt(1, START, START, Some(Duration::from_hours(90)), 0), Some(end));
        assert_eq!(next_attempt(30, START, end, None, 0), None);
    }
}
