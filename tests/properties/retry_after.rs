use std::time::{Duration, UNIX_EPOCH};

use porteiro::oauth::retry_after;
use porteiro::time::UnixTime;
use proptest::prelude::*;

use super::generate;

const DAY: Duration = Duration::from_hours(24);

/// The last second that an HTTP date can tell, 9999-12-31T23:59:59Z.
const LAST: u64 = 253_402_300_799;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const PIECES: &[&str] = &[
    "Sun, ", "Mon", "day, ", "06 ", "-", "Nov", " Feb ", "29", "30", "1994", "2028", "0000", "9999", " ",
    "08", ":", "49", "60", "24", " GMT", "0", "1", "99999999", ".", "+",
];

fn now() -> impl Strategy<Value = UnixTime> {
    prop_oneof![0..=LAST * 1000, any::<u64>()].prop_map(UnixTime::from_millis)
}

proptest! {
    #![proptest_config(generate::run(2_000))]

    #[test]
    fn waits_a_day_at_most_whatever_the_text(value in generate::text(PIECES), now in now()) {
        prop_assert!(retry_after(&value, now).is_none_or(|wait| wait <= DAY));
    }

    #[test]
    fn survives_any_numbers_in_the_places_of_a_date(
        (day, month, year) in (0..100_u8, 0..12_usize, 0..10_000_u16),
        (hour, minute, second) in (0..100_u8, 0..100_u8, 0..100_u8),
        form in 0..3_u8,
        now in now(),
    ) {
        let month = MONTHS[month];
        let time = format!("{hour:02}:{minute:02}:{second:02}");
        let value = match form {
            0 => format!("Sun, {day:02} {month} {year:04} {time} GMT"),
            1 => format!("Sunday, {day:02}-{month}-{:02} {time} GMT", year % 100),
            _ => format!("Sun {month} {day:2} {time} {year:04}"),
        };
        prop_assert!(retry_after(&value, now).is_none_or(|wait| wait <= DAY));
    }

    #[test]
    fn waits_as_many_seconds_as_are_told(seconds in any::<u64>(), near in 0..4000_u64, now in now()) {
        for seconds in [seconds, near] {
            let wait = Some(Duration::from_secs(seconds.min(86_400)));
            prop_assert_eq!(retry_after(&seconds.to_string(), now), wait);
            prop_assert_eq!(retry_after(&format!(" {seconds:05}\t"), now), wait);
        }
    }

    #[test]
    fn waits_a_day_where_more_seconds_are_told_than_a_number_holds(
        digits in "[1-9][0-9]{20,40}",
        now in now(),
    ) {
        prop_assert_eq!(retry_after(&digits, now), Some(DAY));
    }

    #[test]
    fn waits_until_the_date_that_is_told(at in 86_400..=LAST, before in 0..=86_400_000_u64) {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(at));
        let now = UnixTime::from_millis(at * 1000 - before);
        prop_assert_eq!(retry_after(&date, now), Some(Duration::from_millis(before)));
        let late = UnixTime::from_millis(at * 1000 + before);
        prop_assert_eq!(retry_after(&date, late), Some(Duration::ZERO));
    }
}
