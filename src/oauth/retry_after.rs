//! `Retry-After` (RFC 9110 §10.2.3): seconds, or an HTTP date.

use std::time::{Duration, UNIX_EPOCH};

use crate::time::UnixTime;

/// The longest accepted wait.
const LONGEST: Duration = Duration::from_hours(24);

/// The wait from `now` in the value of a `Retry-After` field, at most a day; `None` where the value
/// is invalid. Of several values, joined by commas, the longest counts.
#[must_use]
pub fn retry_after(value: &str, now: UnixTime) -> Option<Duration> {
    let parts: Vec<&str> = value.split(',').collect();
    // An HTTP date contains a comma.
    let pairs = value.match_indices(',').zip(&parts).filter_map(|((comma, _), first)| {
        let second = value.get(comma + 1..)?.split(',').next()?;
        value.get(comma - first.len()..comma + 1 + second.len())
    });
    parts.iter().copied().chain(pairs).filter_map(|text| wait(text.trim(), now)).max()
}

fn wait(value: &str, now: UnixTime) -> Option<Duration> {
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // A number that overflows is a long wait.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        http_date(value)?.since(now)
    };
    Some(wait.min(LONGEST))
}

/// The instant of an HTTP date (RFC 9110 §5.6.7).
#[must_use]
pub fn http_date(text: &str) -> Option<UnixTime> {
    let since_epoch = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(UnixTime::from_millis(0) + since_epoch)
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    /// 1994-11-06T08:49:37Z.
    const NOW: UnixTime = UnixTime::from_millis(784_111_777_000);

    fn check(value: &str, seconds: Option<u64>) {
        assert_eq!(retry_after(value, NOW), seconds.map(Duration::from_secs), "{value:?}");
    }

    #[test]
    fn reads_seconds() {
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("999999", Some(86_400));
        check("99999999999999999999999", Some(86_400));
    }

    #[test]
    fn reads_dates() {
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(0));
        check("Sun, 06 Nov 1994 08:51:37 GMT", Some(120));
        check("Mon, 07 Nov 1994 08:49:37 GMT", Some(86_400));
        check("Tue, 29 Feb 2028 00:00:00 GMT", Some(86_400));
        check("Sat, 05 Nov 1994 08:49:37 GMT", Some(0));
    }

    #[test]
    fn takes_the_longest_of_several() {
        check("5, 120", Some(120));
        check("120,5", Some(120));
        check("120, 120, 60", Some(120));
        check("soon, 30", Some(30));
        check("Sun, 06 Nov 1994 08:51:37 GMT, 60", Some(120));
        check("60, Sun, 06 Nov 1994 08:51:37 GMT", Some(120));
        check("300, Sun, 06 Nov 1994 08:51:37 GMT, 7", Some(300));
        check("Sun, 06 Nov 1994 08:50:37 GMT, Sun, 06 Nov 1994 08:51:37 GMT", Some(120));
        check("Sunday, 06-Nov-94 08:51:37 GMT, Sun Nov  6 08:52:37 1994", Some(180));
        check(", ,30,", Some(30));
    }

    #[test]
    fn ignores_what_is_neither() {
        for value in [
            "",
            "-1",
            "1.5",
            "soon",
            "Sun, 06 Nov 1994",
            "Sun, 06 Nov 1994 25:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 32 Nov 1994 08:49:37 GMT",
        ] {
            check(value, None);
        }
    }
}
