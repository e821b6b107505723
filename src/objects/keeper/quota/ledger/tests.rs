use super::Ledger;
use crate::json;
use crate::protocol::{QuotaAsk, QuotaReply};

fn ask(requests: u64, seconds: u64) -> QuotaAsk {
    QuotaAsk { requests, seconds, want: 1, ..QuotaAsk::default() }
}

/// A ledger with which `ask` was counted at `now`.
fn give(ledger: &mut Ledger, ask: &QuotaAsk, now: u64) -> QuotaReply {
    ledger.advance(now);
    ledger.note(ask);
    ledger.reply(ask, ask.want)
}

#[test]
fn counts_what_is_given_back_once() {
    let mut ledger = Ledger::default();
    let want = QuotaAsk { want: 10, ..ask(10, 10) };
    let first = give(&mut ledger, &want, 1_000);
    assert_eq!((first.permits, first.left, first.millis), (2, 8, 500));
    let back = QuotaAsk { want: 0, over: vec![[first.lease, 1]], ..want.clone() };
    assert_eq!(give(&mut ledger, &back, 1_100).left, 9);
    assert_eq!(give(&mut ledger, &back, 1_200).left, 9);
    // Nor is more given back than there was.
    let second = give(&mut ledger, &QuotaAsk { want: 1, ..want.clone() }, 1_300);
    let back = QuotaAsk { want: 0, over: vec![[second.lease, 50]], ..want };
    assert_eq!(give(&mut ledger, &back, 1_400).left, 9);
}

#[test]
fn counts_a_lease_until_its_end_and_a_window() {
    let mut ledger = Ledger::default();
    let (one, look) = (ask(1, 10), QuotaAsk { want: 0, ..ask(1, 10) });
    let lease = give(&mut ledger, &one, 1_000);
    assert_eq!((lease.permits, lease.left, lease.millis), (1, 0, 500));
    assert_eq!(give(&mut ledger, &one, 11_499).lease, 0);
    assert_eq!(give(&mut ledger, &look, 11_800).left, 1);
    // If it ended earlier, it counts from there.
    let lease = give(&mut ledger, &one, 20_000);
    let over = QuotaAsk { over: vec![[lease.lease, 0]], ..look.clone() };
    assert_eq!(give(&mut ledger, &over, 20_010).left, 0);
    assert_eq!(give(&mut ledger, &look, 30_005).left, 0);
    assert_eq!(give(&mut ledger, &look, 30_300).left, 1);
}

#[test]
fn keeps_what_it_counted_where_its_clock_goes_back() {
    let mut ledger = Ledger::default();
    let one = ask(1, 10);
    assert!(give(&mut ledger, &one, 100_000).lease > 0);
    assert_eq!(give(&mut ledger, &one, 40_000).lease, 0);
    assert_eq!(give(&mut ledger, &one, 50_400).lease, 0, "it ended at 40.5");
    assert!(give(&mut ledger, &one, 50_800).lease > 0);
}

#[test]
fn counts_the_same_whoever_asks_with_another_window_or_with_none() {
    let mut ledger = Ledger::default();
    let long = QuotaAsk { want: 4, ..ask(4, 3_600) };
    let mut last = 0;
    for now in 1..=4 {
        last = give(&mut ledger, &long, 100_000 + now).lease;
        assert!(last > 0);
    }
    // An isolate that knows no budget yet, and one that knows another, look, and give back.
    let other = QuotaAsk { over: vec![[last, 0]], ..ask(10, 1) };
    for other in [QuotaAsk { want: 0, ..ask(0, 0) }, other.clone(), QuotaAsk { want: 0, ..other }] {
        give(&mut ledger, &other, 110_000);
    }
    assert_eq!(give(&mut ledger, &long, 120_000).lease, 0);
    assert_eq!(give(&mut ledger, &long, 3_600_000).lease, 0);
    // A shorter window has only what left in it.
    assert_eq!(give(&mut ledger, &QuotaAsk { want: 0, ..ask(4, 1) }, 130_000).left, 4);
}

#[test]
fn keeps_what_it_counted_where_its_clock_goes_back_while_another_window_is_asked_for() {
    let mut ledger = Ledger::default();
    give(&mut ledger, &ask(1, 3_600), 100_000_000);
    give(&mut ledger, &QuotaAsk::default(), 90_000_000);
    assert_eq!(give(&mut ledger, &ask(1, 3_600), 93_600_000).lease, 0);
    assert!(give(&mut ledger, &ask(1, 3_600), 93_680_000).lease > 0);
}

#[test]
fn gives_parties_that_ask_alike_the_same_and_keeps_little_for_one_that_asks_little() {
    let mut ledger = Ledger::default();
    let mut had = [0, 0];
    let by = |who, want| QuotaAsk { want, who, ..ask(300, 60) };
    for now in (100_000..103_000).step_by(10) {
        // The first asks for five times as much.
        had[0] += give(&mut ledger, &by(1, 5), now).permits;
        had[1] += give(&mut ledger, &by(2, 1), now).permits;
    }
    assert!(had[0] + had[1] >= 290 && had[1] >= 120, "{had:?}");

    let mut ledger = Ledger::default();
    let mut had = [0, 0];
    for now in (100_000..106_000).step_by(10) {
        had[0] += give(&mut ledger, &by(1, 5), now).permits;
        if now % 2_000 == 0 {
            had[1] += give(&mut ledger, &by(2, 1), now).permits;
        }
    }
    assert!(had[0] >= 280 && had[1] == 3, "{had:?}");
}

#[test]
fn serves_more_parties_than_there_are_requests() {
    let mut ledger = Ledger::default();
    let had = (1..=5).map(|who| give(&mut ledger, &QuotaAsk { who, ..ask(2, 60) }, 100_000 + who).permits);
    assert_eq!(had.sum::<u64>(), 2);
}

#[test]
fn spares_an_upstream_for_what_it_says_and_longer_each_time_where_it_says_nothing() {
    let mut ledger = Ledger::default();
    let mut held = |limited, now| {
        let ask = QuotaAsk { limited, cool_down: true, ..QuotaAsk::default() };
        give(&mut ledger, &ask, now).held_for
    };
    assert_eq!(held(Some(0), 10_000), 1_000);
    assert_eq!(held(Some(0), 10_500), 500, "it was on its way");
    assert_eq!(held(None, 11_000), 0);
    assert_eq!(held(Some(0), 11_100), 2_000);
    assert_eq!(held(Some(0), 14_000), 4_000);
    assert_eq!(held(Some(90_000), 14_500), 90_000);
    assert_eq!(held(Some(5_000), 14_600), 89_900, "the longest counts");
    assert_eq!(held(Some(0), 400_000), 1_000, "it is forgiven");
    assert_eq!(held(Some(u64::MAX), 400_100), 900_000);
    assert_eq!(held(Some(1), 2_000_000), 1_000);
}

#[test]
fn gives_no_lease_while_the_upstream_is_spared() {
    let mut ledger = Ledger::default();
    let one = QuotaAsk { cool_down: true, ..ask(10, 10) };
    let complaint = QuotaAsk { limited: Some(5_000), ..one.clone() };
    let reply = give(&mut ledger, &complaint, 1_000);
    assert_eq!((reply.lease, reply.held_for), (0, 5_000));
    let other = give(&mut ledger, &ask(10, 10), 5_000);
    assert!(other.lease > 0 && other.held_for == 0, "its calls wait for no upstream");
    assert_eq!(give(&mut ledger, &one, 5_999).lease, 0);
    assert!(give(&mut ledger, &one, 6_000).lease > 0);
}

#[test]
fn tells_a_party_when_another_keeps_its_part_no_longer() {
    let mut ledger = Ledger::default();
    let by = |who| QuotaAsk { who, ..ask(10, 3_600) };
    for now in 0..5 {
        assert_eq!(give(&mut ledger, &by(1), 100_000 + now).permits, 1);
    }
    assert_eq!(give(&mut ledger, &by(2), 101_000).permits, 1);
    let refused = give(&mut ledger, &by(1), 102_000);
    assert_eq!((refused.lease, refused.frees_in), (0, 11_000), "four lives after it asked");
    assert_eq!(give(&mut ledger, &by(1), 112_999).lease, 0);
    assert!(give(&mut ledger, &by(1), 113_000).lease > 0);
    // Where nothing is left, it is the oldest lease.
    let mut ledger = Ledger::default();
    for now in 0..10 {
        give(&mut ledger, &by(1), 100_000 + now);
    }
    give(&mut ledger, &by(2), 101_000);
    assert_eq!(give(&mut ledger, &by(1), 102_000).frees_in, 3_637_000);
}

#[test]
fn stays_small_however_many_leases_and_parties_there_are() {
    for (ends, parties) in [(1, 7), (0, 7), (0, 5_000)] {
        let mut ledger = Ledger::default();
        let (mut granted, mut last) = (0, 0);
        for now in 0..20_000 {
            // Each is given back at once, or none ever.
            let over = vec![[last * ends, 0]];
            let asking = QuotaAsk { who: 1 + now % parties, over, ..ask(100_000, 60) };
            let reply = give(&mut ledger, &asking, 1_000_000 + now * 3);
            (granted, last) = (granted + reply.permits, reply.lease);
        }
        assert!(json::text(&ledger).len() < 60_000, "{}", json::text(&ledger).len());
        assert!(format!("{ledger:?}").matches('(').count() <= 1_000, "parties");
        // Nothing is lost, whoever it was.
        let look = QuotaAsk { want: 0, ..ask(100_000, 60) };
        assert_eq!(give(&mut ledger, &look, 1_060_000).left, 100_000 - granted);
    }
}

#[test]
fn takes_nothing_back_that_was_another_ledgers() {
    let one = ask(10, 10);
    let before = give(&mut Ledger::default(), &one, 100_000);
    let mut ledger = Ledger::default();
    assert_eq!(give(&mut ledger, &one, 200_000).left, 9);
    let back = QuotaAsk { want: 0, over: vec![[before.lease, 1]], ..one };
    assert_eq!(give(&mut ledger, &back, 200_100).left, 9);
}

#[test]
fn reads_what_it_wrote() {
    let mut ledger = Ledger::default();
    let asking = QuotaAsk {
        who: 3,
        queue_ms: 5,
        cool_down: true,
        limited: None,
        over: vec![[1, 2], [3, 4]],
        ..ask(10, 10)
    };
    let reply = give(&mut ledger, &asking, 1_000);
    give(&mut ledger, &QuotaAsk { limited: Some(0), ..asking.clone() }, 1_100);
    let text = json::text(&ledger);
    assert_eq!(json::text(&json::read::<Ledger>(text.as_bytes()).unwrap()), text);
    for asking in [asking.clone(), QuotaAsk { limited: Some(0), over: Vec::new(), ..asking }] {
        assert_eq!(json::read(json::text(&asking).as_bytes()), Ok(asking));
    }
    assert_eq!(json::read(json::text(&reply).as_bytes()), Ok(reply));
    for wrong in ["[]", "{}", "[1,2,3]", "[1,2,3,4,5,6,\"7\"]"] {
        assert!(
            json::read::<QuotaAsk>(wrong.as_bytes()).is_err()
                && json::read::<QuotaReply>(wrong.as_bytes()).is_err()
        );
    }
}
