//! Token sets and the freshness of their access tokens.

use std::time::Duration;

use super::token_type::TokenType;
use crate::json::record;
use crate::secret::Secret;
use crate::time::UnixTime;

/// The least gain of life for which a token is replaced before its end.
const LEAST_GAIN: Duration = Duration::from_secs(30);

/// An access token with its type and lifetime.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// Orders the tokens of a subject; it only increases.
    pub generation: u64,
    /// The token.
    pub token: Secret,
    /// The token's type.
    pub token_type: TokenType,
    /// The token's lifetime.
    pub lifetime: Lifetime,
}

/// The times of an access token's life, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifetime {
    /// Just before the token request was sent.
    pub obtained_at: UnixTime,
    /// From when the token is renewed in advance.
    pub refresh_at: UnixTime,
    /// From when the token counts as expired for new calls, if another one can be obtained.
    pub stale_at: UnixTime,
    /// When the token expires.
    pub expires_at: UnixTime,
}

record!(Lifetime { obtained_at, refresh_at, stale_at, expires_at });

/// The freshness of an access token at a time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Freshness {
    /// The token has expired.
    Expired,
    /// Valid, but used only if no other token can be obtained.
    Stale,
    /// Usable, and due for a renewal in the background.
    Ageing,
    /// Usable.
    Fresh,
}

impl Lifetime {
    /// The lifetime of a token requested at `obtained_at` that lives for `life`. It is renewed a
    /// fifth of its life before the end, at most six hours, plus or minus a quarter of that by
    /// `jitter`, from 0 to 255.
    #[must_use]
    pub fn new(obtained_at: UnixTime, life: Duration, skew: Duration, jitter: u8) -> Self {
        let skew = skew.min(life / 10);
        let lead = (life / 5).min(Duration::from_hours(6));
        let lead = lead * 3 / 4 + lead / 2 * u32::from(jitter) / 255;
        let expires_at = obtained_at + life;
        let stale_at = expires_at - skew;
        Self { obtained_at, refresh_at: (expires_at - lead).min(stale_at), stale_at, expires_at }
    }

    /// Whether a token that ends at `until` lives so much longer that it is worth a token request.
    /// Servers count the life of what they exchange a token for from that token's own end, in whole
    /// seconds.
    #[must_use]
    pub fn is_outlived_by(&self, until: UnixTime) -> bool {
        until > self.expires_at + LEAST_GAIN
    }

    /// The freshness of the token at `now`.
    #[must_use]
    pub fn freshness(&self, now: UnixTime) -> Freshness {
        if now >= self.expires_at {
            Freshness::Expired
        } else if now >= self.stale_at {
            Freshness::Stale
        } else if now >= self.refresh_at {
            Freshness::Ageing
        } else {
            Freshness::Fresh
        }
    }
}

/// The result of one token response.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// The access token.
    pub access: AccessToken,
    /// The refresh token, if the provider issued one.
    pub refresh_token: Option<Secret>,
    /// The granted scope, if the response has it.
    pub scope: Option<String>,
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const START: UnixTime = UnixTime::from_millis(1_000_000);

    #[track_caller]
    fn check(life: u64, skew: u64, jitter: u8, refresh: u64, stale: u64) {
        let lifetime = Lifetime::new(START, Duration::from_secs(life), Duration::from_secs(skew), jitter);
        let after = |at: UnixTime| at.since(START).as_secs();
        assert_eq!((after(lifetime.refresh_at), after(lifetime.stale_at)), (refresh, stale));
        assert_eq!(after(lifetime.expires_at), life);
    }

    #[test]
    fn scales_with_the_life_of_a_token() {
        check(3600, 60, 0, 3060, 3540);
        check(3600, 60, 255, 2700, 3540);
        check(300, 60, 0, 255, 270);
        check(30, 60, 0, 25, 27);
        check(86_400, 60, 0, 86_400 - 12_960, 86_340);
        check(2_592_000, 60, 255, 2_592_000 - 27_000, 2_591_940);
        check(600, 600, 0, 510, 540);
        check(600, 0, 255, 450, 600);
    }

    #[test]
    fn is_outlived_by_what_lives_half_a_minute_longer() {
        let lifetime = Lifetime::new(START, Duration::from_secs(1000), Duration::from_mins(1), 0);
        let by = |seconds| lifetime.is_outlived_by(START + Duration::from_secs(seconds));
        assert_eq!([0, 999, 1000, 1030, 1031, 9999].map(by), [false, false, false, false, true, true]);
    }

    #[test]
    fn ages_in_steps() {
        let lifetime = Lifetime::new(START, Duration::from_secs(1000), Duration::from_mins(1), 0);
        let at = |seconds| lifetime.freshness(START + Duration::from_secs(seconds));
        assert_eq!([at(0), at(849)], [Freshness::Fresh; 2]);
        assert_eq!([at(850), at(939)], [Freshness::Ageing; 2]);
        assert_eq!([at(940), at(999)], [Freshness::Stale; 2]);
        assert_eq!([at(1000), at(9999)], [Freshness::Expired; 2]);
    }
}
