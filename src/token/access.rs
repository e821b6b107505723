//! Token sets and the freshness of their access tokens.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::token_type::TokenType;
use crate::secret::Secret;
use crate::time::UnixTime;

/// An access token and all that is needed to use it.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// Tells this token from those before and after it; it only grows.
    pub generation: u64,
    /// The token.
    pub token: Secret,
    /// How it is used.
    pub token_type: TokenType,
    /// Its life.
    pub lifetime: Lifetime,
}

/// The moments of an access token's life, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lifetime {
    /// Just before the token request was sent.
    pub obtained_at: UnixTime,
    /// From when it is worth having another one ready.
    pub refresh_at: UnixTime,
    /// From when it counts as expired for new calls, where a better one can be had.
    pub stale_at: UnixTime,
    /// When it expires.
    pub expires_at: UnixTime,
}

/// How good an access token is at a moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Freshness {
    /// It has expired.
    Expired,
    /// Valid, but to be used only where no better one can be had.
    Stale,
    /// Good for use, and worth refreshing behind the call.
    Ageing,
    /// Good for use.
    Fresh,
}

impl Lifetime {
    /// The moments of a token that was asked for at `obtained_at` and lives for
    /// `life`. `jitter`, from 0 to 255, spreads the moment from which it is
    /// refreshed: a fifth of its life before the end, at most six hours, give
    /// or take a quarter of that.
    #[must_use]
    pub fn new(obtained_at: UnixTime, life: Duration, skew: Duration, jitter: u8) -> Self {
        let skew = skew.min(life / 10);
        let lead = (life / 5).min(Duration::from_hours(6));
        let lead = lead * 3 / 4 + lead / 2 * u32::from(jitter) / 255;
        let expires_at = obtained_at + life;
        let stale_at = expires_at - skew;
        Self { obtained_at, refresh_at: (expires_at - lead).min(stale_at), stale_at, expires_at }
    }

    /// How good the token is at `now`.
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

/// What one token response yields.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// The access token.
    pub access: AccessToken,
    /// The refresh token, where there is one.
    pub refresh_token: Option<Secret>,
    /// The granted scope, where the response told it.
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
    fn ages_in_steps() {
        let lifetime = Lifetime::new(START, Duration::from_secs(1000), Duration::from_mins(1), 0);
        let at = |seconds| lifetime.freshness(START + Duration::from_secs(seconds));
        assert_eq!([at(0), at(849)], [Freshness::Fresh; 2]);
        assert_eq!([at(850), at(939)], [Freshness::Ageing; 2]);
        assert_eq!([at(940), at(999)], [Freshness::Stale; 2]);
        assert_eq!([at(1000), at(9999)], [Freshness::Expired; 2]);
    }
}
