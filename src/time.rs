//! Instants on the Unix clock, passed in by the platform.
//!
//! Only the platform reads a clock: everywhere else the time is an argument. Spans are
//! [`std::time::Duration`].

use std::ops::{Add, Sub};
use std::time::Duration;

use serde_json::Value;

use crate::json::{FromJson, ToJson};

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnixTime(u64);

impl FromJson for UnixTime {
    fn from_json(value: &mut Value) -> Option<Self> {
        u64::from_json(value).map(Self)
    }
}

impl ToJson for UnixTime {
    fn write_json(&self, out: &mut String) {
        self.0.write_json(out);
    }
}

impl UnixTime {
    /// The instant `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The instant in RFC 3339 format, to the second.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let time = std::time::UNIX_EPOCH + Duration::from_millis(self.0);
        humantime::format_rfc3339_seconds(time).to_string()
    }

    /// The span from `earlier` to this instant; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }
}

impl Sub<Duration> for UnixTime {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn adds_and_subtracts_without_wrapping() {
        let start = UnixTime::from_millis(1_000);
        assert_eq!((start + Duration::from_secs(2)).as_millis(), 3_000);
        assert_eq!((start - Duration::from_secs(2)).as_millis(), 0);
        assert_eq!((start + Duration::MAX).as_millis(), u64::MAX);
    }

    #[test]
    fn counts_no_span_backwards() {
        let (early, late) = (UnixTime::from_millis(1), UnixTime::from_millis(5));
        assert_eq!(late.since(early), Duration::from_millis(4));
        assert_eq!(early.since(late), Duration::ZERO);
    }
}
