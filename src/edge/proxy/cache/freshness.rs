//! What the upstream says of copies of its answers.

use crate::config::CacheTerms;
use crate::http::Headers;
use crate::oauth::http_date;
use crate::time::UnixTime;

/// What a copy may be used for, in milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::edge) struct CopyLife {
    /// For how long it is served without asking.
    pub fresh: u64,
    /// For how long after that it is served where the upstream fails.
    pub stale: u64,
    /// How old the answer was when it came.
    pub age: u64,
}

/// What a copy of an answer may be used for, by its fields (RFC 9111 §3, §4.2, §5.2.2) and the `terms`
/// of its rule: for nothing but those who wait, where the answer is an error. `None` where the answer
/// is the caller's alone.
pub(super) fn judge(
    status: u16,
    headers: &Headers<'_>,
    terms: CacheTerms,
    is_shared: bool,
    now: UnixTime,
) -> Option<CopyLife> {
    let mut stale = u64::from(terms.stale_seconds) * 1000;
    // Of several, the least counts.
    let (mut max_age, mut shared_max_age): (Option<u64>, Option<u64>) = (None, None);
    let least = |one: Option<u64>, other| Some(one.map_or(other, |one| one.min(other)));
    for (name, value) in headers.iter() {
        match name {
            "set-cookie" => return None,
            "vary" if value.contains('*') => return None,
            "cache-control" => {
                for directive in value.to_ascii_lowercase().split(',') {
                    let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
                    match name.trim() {
                        "no-store" | "no-cache" => return None,
                        "private" if is_shared => return None,
                        "must-revalidate" | "proxy-revalidate" => stale = 0,
                        "max-age" => max_age = least(max_age, millis(value)),
                        // It says proxy-revalidate, too.
                        "s-maxage" if is_shared => {
                            (shared_max_age, stale) = (least(shared_max_age, millis(value)), 0);
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let age = headers.value("age").and_then(|value| value.split(',').next()).map_or(0, millis);
    let at = |name| headers.value(name).map(|at| http_date(at).map(UnixTime::as_millis));
    // A time that is none has passed; a clock that tells none is ours.
    let date = || at("date").flatten().unwrap_or(now.as_millis());
    let expires = || Some(at("expires")?.unwrap_or(0).saturating_sub(date()));
    let mut fresh = u64::from(terms.seconds) * 1000;
    if let Some(lifetime) = shared_max_age.or(max_age).or_else(expires) {
        fresh = fresh.min(lifetime.saturating_sub(age));
    }
    match status {
        200 | 203 | 301 | 404 | 410 => Some(CopyLife { fresh, stale, age }),
        400.. => Some(CopyLife { fresh: 0, stale: 0, age }),
        _ => None,
    }
}

/// A number of seconds (RFC 9111 §1.2.2), in milliseconds; what is none counts as zero.
fn millis(value: &str) -> u64 {
    let digits = value.trim().trim_matches('"');
    let is_number = digits.bytes().all(|b| b.is_ascii_digit());
    // A number that overflows is a long time.
    let seconds = if is_number { digits.parse().unwrap_or(u32::MAX) } else { 0 };
    u64::from(seconds) * 1000
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    /// 1994-11-06T08:49:37Z.
    const NOW: UnixTime = UnixTime::from_millis(784_111_777_000);

    const TERMS: CacheTerms = CacheTerms { seconds: 100, stale_seconds: 50, shared: true };

    /// The seconds for which an answer with these fields is fresh and then stale, and its age.
    fn check(fields: &str, is_shared: bool, expected: Option<(u64, u64, u64)>) {
        let judged = judge(200, &Headers::new(fields), TERMS, is_shared, NOW);
        let judged = judged.map(|CopyLife { fresh, stale, age }| (fresh / 1000, stale / 1000, age / 1000));
        assert_eq!(judged, expected, "{fields}");
    }

    #[test]
    fn shortens_by_what_the_upstream_says_and_never_lengthens() {
        check("", false, Some((100, 50, 0)));
        check("cache-control:max-age=7", false, Some((7, 50, 0)));
        check("cache-control:MAX-AGE=\"7\"", false, Some((7, 50, 0)));
        check("cache-control:max-age=700", false, Some((100, 50, 0)));
        check("cache-control:max-age=99999999999999999999", false, Some((100, 50, 0)));
        check("cache-control:max-age=7\ncache-control:must-revalidate", false, Some((7, 0, 0)));
        check("cache-control:max-age=-7", false, Some((0, 50, 0)));
        check("cache-control:max-age=7, max-age=9", false, Some((7, 50, 0)));
        check("cache-control:max-age=9\ncache-control:max-age=7", false, Some((7, 50, 0)));
        check("age:30, 60", false, Some((100, 50, 30)));
        check("age:30", false, Some((100, 50, 30)));
        check("cache-control:max-age=120\nage:30", false, Some((90, 50, 30)));
        check("cache-control:max-age=20\nage:30", false, Some((0, 50, 30)));
    }

    #[test]
    fn heeds_what_is_said_to_shared_caches_where_people_share() {
        check("cache-control:s-maxage=7", true, Some((7, 0, 0)));
        check("cache-control:s-maxage=7, max-age=9", true, Some((7, 0, 0)));
        check("cache-control:s-maxage=7, max-age=9", false, Some((9, 50, 0)));
        check("cache-control:private, max-age=9", false, Some((9, 50, 0)));
        check("cache-control:private, max-age=9", true, None);
    }

    #[test]
    fn takes_the_date_of_expiry_by_the_servers_own_clock() {
        let expires = "expires:Sun, 06 Nov 1994 08:50:37 GMT";
        check(expires, false, Some((60, 50, 0)));
        check(&format!("{expires}\ndate:Sun, 06 Nov 1994 08:50:07 GMT"), false, Some((30, 50, 0)));
        check(&format!("{expires}\ndate:Sun, 06 Nov 1994 08:51:07 GMT"), false, Some((0, 50, 0)));
        check(&format!("{expires}\ncache-control:max-age=7"), false, Some((7, 50, 0)));
        check("expires:never", false, Some((0, 50, 0)));
        check(&format!("{expires}\ndate:never"), false, Some((60, 50, 0)));
        check("expires:Sun, 06 Nov 1994 08:48:37 GMT\ndate:never", false, Some((0, 50, 0)));
    }
}
