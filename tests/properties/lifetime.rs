use std::time::Duration;

use porteiro::time::UnixTime;
use porteiro::token::{Freshness, Lifetime};
use proptest::prelude::*;

use super::generate;

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..40_000_000_000_u64).prop_map(Duration::from_millis),
        (0..100_u64).prop_map(Duration::from_secs),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(seconds, nanos)| Duration::new(seconds, nanos)),
    ]
}

fn instant() -> impl Strategy<Value = UnixTime> {
    prop_oneof![0..1_u64 << 53, any::<u64>()].prop_map(UnixTime::from_millis)
}

proptest! {
    #![proptest_config(generate::run(4_000))]

    #[test]
    fn keeps_its_moments_in_order(
        obtained_at in instant(),
        (life, skew) in (span(), span()),
        jitter in any::<u8>(),
    ) {
        let lifetime = Lifetime::new(obtained_at, life, skew, jitter);
        let Lifetime { refresh_at, stale_at, expires_at, .. } = lifetime;
        prop_assert_eq!(lifetime.obtained_at, obtained_at);
        prop_assert!(refresh_at <= stale_at && stale_at <= expires_at, "{lifetime:?}");
        prop_assert!(obtained_at <= expires_at, "{lifetime:?}");
        // Where the clock can count to its end, as it can for ages.
        if life.as_millis() <= u128::from(u64::MAX - obtained_at.as_millis()) {
            prop_assert!(obtained_at <= refresh_at, "{lifetime:?}");
            prop_assert_eq!(u128::from(expires_at.as_millis() - obtained_at.as_millis()), life.as_millis());
            prop_assert!(expires_at.since(stale_at) <= skew.min(life / 10));
            prop_assert!(expires_at.since(refresh_at) <= (life / 4).max(skew.min(life / 10)));
        }
    }

    #[test]
    fn only_gets_worse_with_time(
        obtained_at in instant(),
        (life, skew) in (span(), span()),
        jitter in any::<u8>(),
        moments in any::<(u64, u64)>(),
        spans in (span(), span()),
    ) {
        let lifetime = Lifetime::new(obtained_at, life, skew, jitter);
        let at = |moment: UnixTime| lifetime.freshness(moment);
        let far = (UnixTime::from_millis(moments.0), UnixTime::from_millis(moments.1));
        let near = (obtained_at + spans.0, obtained_at + spans.1);
        for (one, other) in [far, near, (far.0, near.0)] {
            let (early, late) = (one.min(other), one.max(other));
            prop_assert!(at(early) >= at(late));
            prop_assert_eq!(at(early) == Freshness::Expired, early >= lifetime.expires_at);
            prop_assert_eq!(at(early) <= Freshness::Stale, early >= lifetime.stale_at);
            prop_assert_eq!(at(early) <= Freshness::Ageing, early >= lifetime.refresh_at);
        }
    }
}
