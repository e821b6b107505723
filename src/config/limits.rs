//! Bounds of configured and received numbers.

use std::time::Duration;

/// The longest accepted life of a token.
pub const MAX_LIFETIME: Duration = Duration::from_hours(366 * 24);

/// The bounds of a configured number.
pub(super) struct Bounds {
    pub least: u64,
    pub most: u64,
    /// The value of an absent field.
    pub default: u64,
    /// The message for a value out of bounds.
    pub what: &'static str,
}

/// Seconds of `default_expires_in`.
pub(super) const DEFAULT_EXPIRES_IN: Bounds = Bounds {
    least: 1,
    most: MAX_LIFETIME.as_secs(),
    default: 3_600,
    what: "must be a whole number from 1 to 31622400 (seconds)",
};

/// Seconds of `expiry_skew`.
pub(super) const EXPIRY_SKEW: Bounds =
    Bounds { least: 0, most: 86_400, default: 60, what: "must be a whole number from 0 to 86400 (seconds)" };

/// Milliseconds of `timeout_ms`.
pub(super) const TIMEOUT_MS: Bounds = Bounds {
    least: 1,
    most: 600_000,
    default: 30_000,
    what: "must be a whole number from 1 to 600000 (milliseconds)",
};

/// Milliseconds of `token_timeout_ms`.
pub(super) const TOKEN_TIMEOUT_MS: Bounds = Bounds {
    least: 1,
    most: 120_000,
    default: 10_000,
    what: "must be a whole number from 1 to 120000 (milliseconds)",
};

/// Seconds of an assertion's `lifetime`.
pub(super) const ASSERTION_LIFETIME: Bounds =
    Bounds { least: 30, most: 3600, default: 300, what: "must be a whole number from 30 to 3600 (seconds)" };

/// Bytes of `replay_bytes`.
pub(super) const REPLAY_BYTES: Bounds = Bounds {
    least: 0,
    most: 10 * 1024 * 1024,
    default: 1024 * 1024,
    what: "must be a whole number from 0 to 10485760 (bytes)",
};

/// Bytes of a webhook: limited by what an object's record can hold once sealed.
pub(super) const WEBHOOK_BYTES: Bounds = Bounds {
    least: 1,
    most: 1024 * 1024,
    default: 256 * 1024,
    what: "must be a whole number from 1 to 1048576 (bytes)",
};

/// The status of `accepted_status`.
pub(super) const ACCEPTED_STATUS: Bounds =
    Bounds { least: 200, most: 299, default: 202, what: "must be a whole number from 200 to 299 (status)" };

/// Seconds of `tolerance_seconds`.
pub(super) const TOLERANCE_SECONDS: Bounds =
    Bounds { least: 1, most: 86_400, default: 300, what: "must be a whole number from 1 to 86400 (seconds)" };
/// The status of an answer in which a sign is looked for.
pub(super) const ANSWER_STATUS: Bounds =
    Bounds { least: 200, most: 599, default: 200, what: "must be a whole number from 200 to 599 (status)" };

/// Seconds of `SESSION_IDLE_SECONDS`.
pub(super) const SESSION_IDLE: Bounds = Bounds {
    least: 1,
    most: 31_536_000,
    default: 12 * 3_600,
    what: "must be a whole number from 1 to 31536000 (seconds)",
};

/// Seconds of `SESSION_MAX_SECONDS`.
pub(super) const SESSION_MAX: Bounds = Bounds {
    least: 1,
    most: 31_536_000,
    default: 7 * 86_400,
    what: "must be a whole number from 1 to 31536000 (seconds)",
};

/// Milliseconds of a budget's `queue_ms`.
pub(super) const BUDGET_QUEUE_MS: Bounds = Bounds {
    least: 0,
    most: 60_000,
    default: 0,
    what: "must be a whole number from 0 to 60000 (milliseconds)",
};

/// Times of `retry`'s `attempts`.
pub(super) const RETRY_ATTEMPTS: Bounds =
    Bounds { least: 1, most: 5, default: 1, what: "must be a whole number from 1 to 5 (attempts)" };

/// Requests of a `rate_limit`, and of a `budget`.
pub(super) const RATE_REQUESTS: Bounds = Bounds {
    least: 1,
    most: 1_000_000,
    default: 0,
    what: "must be a whole number from 1 to 1000000 (requests)",
};

/// Seconds of a `rate_limit`, and of a `budget`.
pub(super) const RATE_SECONDS: Bounds =
    Bounds { least: 1, most: 86_400, default: 0, what: "must be a whole number from 1 to 86400 (seconds)" };

/// Seconds of a `cache`.
pub(super) const CACHE_SECONDS: Bounds =
    Bounds { least: 1, most: 86_400, default: 0, what: "must be a whole number from 1 to 86400 (seconds)" };

/// Seconds of its `stale_seconds`.
pub(super) const STALE_SECONDS: Bounds =
    Bounds { least: 0, most: 86_400, default: 0, what: "must be a whole number from 0 to 86400 (seconds)" };

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn says_the_bounds_that_it_keeps() {
        let with_default = [
            DEFAULT_EXPIRES_IN,
            EXPIRY_SKEW,
            TIMEOUT_MS,
            TOKEN_TIMEOUT_MS,
            REPLAY_BYTES,
            WEBHOOK_BYTES,
            ACCEPTED_STATUS,
            TOLERANCE_SECONDS,
            ANSWER_STATUS,
            SESSION_IDLE,
            SESSION_MAX,
            STALE_SECONDS,
            ASSERTION_LIFETIME,
            BUDGET_QUEUE_MS,
            RETRY_ATTEMPTS,
        ];
        for bounds in with_default {
            let said = format!("must be a whole number from {} to {} (", bounds.least, bounds.most);
            assert!(bounds.what.starts_with(&said), "{}", bounds.what);
            assert!((bounds.least..=bounds.most).contains(&bounds.default), "{}", bounds.what);
        }
    }
}
