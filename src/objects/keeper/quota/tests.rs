use super::ledger::Ledger;
use crate::json;
use crate::protocol::{QuotaAsk, QuotaReply};

/// A sequence of random numbers (`SplitMix64`).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }
}

/// An isolate that uses its leases as the edge does.
#[derive(Default)]
struct Isolate {
    /// Id, permits, and the end in true time.
    leases: Vec<(u64, u64, u64)>,
    over: Vec<[u64; 2]>,
    asks_at: u64,
}

fn ask(requests: u64, seconds: u64) -> QuotaAsk {
    QuotaAsk { requests, seconds, want: 1, ..QuotaAsk::default() }
}

/// The most requests in any window, and how many there were.
fn most_in_a_window(sent: &[u64], window: u64) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (at, time) in sent.iter().enumerate() {
        while sent[first] + window <= *time {
            first += 1;
        }
        most = most.max(at + 1 - first);
    }
    most
}

#[derive(Clone, Copy)]
struct Course {
    requests: u64,
    seconds: u64,
    isolates: usize,
    /// How often a call comes to each isolate, in milliseconds.
    pace: u64,
    /// How long, in seconds.
    length: u64,
    /// Per mille: of lost messages, kills of isolates and of the keeper, and its clock's going back.
    trouble: u64,
}

/// Runs isolates and a ledger through a random course; the times at which requests left.
fn run(seed: u64, course: Course) -> Vec<u64> {
    let mut chance = Chance(seed);
    let about = ask(course.requests, course.seconds);
    let (mut ledger, mut stored) = (Ledger::default(), json::text(&Ledger::default()));
    let mut isolates: Vec<Isolate> = (0..course.isolates).map(|_| Isolate::default()).collect();
    let mut sent = Vec::new();
    // The keeper's clock is true, but for what it lags behind.
    let mut lag = 0;
    let start = 1_000_000_000;
    for now in start..start + course.length * 1_000 {
        for isolate in &mut isolates {
            if chance.below(course.pace) > 0 {
                continue;
            }
            if course.trouble > 0 && chance.below(20_000) < course.trouble {
                *isolate = Isolate::default();
            }
            let over = &mut isolate.over;
            isolate.leases.retain(|(id, left, end)| {
                let is_held = *left > 0 && now < *end;
                if !is_held {
                    over.push([*id, *left]);
                }
                is_held
            });
            if let Some((_, left, _)) = isolate.leases.first_mut() {
                *left -= 1;
                sent.push(now);
                continue;
            }
            if now < isolate.asks_at {
                continue;
            }
            let asking = QuotaAsk {
                want: 1 + chance.below(60),
                over: std::mem::take(&mut isolate.over),
                ..about.clone()
            };
            if chance.happens(course.trouble) {
                // The ask is lost, or comes twice, or the keeper begins anew from what it stored.
                match chance.below(3) {
                    0 => continue,
                    1 => ledger = json::read(stored.as_bytes()).unwrap(),
                    _ => lag += chance.below(3_000),
                }
            }
            ledger.advance(now - lag);
            ledger.note(&asking);
            if chance.happens(course.trouble) {
                ledger.note(&asking);
            }
            let reply = ledger.reply(&asking, asking.want);
            if reply.lease > 0 {
                stored = json::text(&ledger);
            }
            if chance.happens(course.trouble) {
                continue;
            }
            // The ask took some time to come here.
            let asked_at = now - chance.below(40);
            if reply.lease == 0 {
                isolate.asks_at = now + reply.frees_in.min(500);
            } else if now < asked_at + reply.millis {
                sent.push(now);
                isolate.leases.push((reply.lease, reply.permits - 1, asked_at + reply.millis));
            } else {
                isolate.over.push([reply.lease, reply.permits]);
            }
        }
    }
    sent
}

#[test]
fn exceeds_no_window_whatever_happens() {
    for seed in 0..150 {
        let mut chance = Chance(seed ^ 0xBEEF);
        let course = Course {
            requests: 1 + chance.below(400),
            seconds: [1, 2, 5, 10][usize::try_from(chance.below(4)).unwrap()],
            isolates: 1 + usize::try_from(chance.below(25)).unwrap(),
            pace: 1 + chance.below(80),
            length: 25,
            trouble: [0, 20, 200][usize::try_from(chance.below(3)).unwrap()],
        };
        let sent = run(seed, course);
        let most = most_in_a_window(&sent, course.seconds * 1_000);
        assert!(most as u64 <= course.requests, "seed {seed}: {most} of {}", course.requests);
        assert!(!sent.is_empty(), "seed {seed}");
    }
}

#[test]
fn has_nine_tenths_of_the_budget_used_by_twenty_isolates() {
    for seed in 0..3 {
        let course = Course { requests: 600, seconds: 60, isolates: 20, pace: 300, length: 600, trouble: 0 };
        let sent = run(seed, course);
        assert!(most_in_a_window(&sent, 60_000) <= 600);
        assert!(sent.len() >= 5_400, "{}", sent.len());
        let troubled = run(seed, Course { trouble: 10, ..course });
        assert!(most_in_a_window(&troubled, 60_000) <= 600);
        assert!(troubled.len() >= 5_000, "{}", troubled.len());
    }
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
    assert_eq!((first.lease, first.permits, first.left, first.millis), (1, 2, 8, 500));
    let back = QuotaAsk { want: 0, over: vec![[1, 1]], ..want.clone() };
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
    assert_eq!(give(&mut ledger, &one, 100_000).lease, 1);
    assert_eq!(give(&mut ledger, &one, 40_000).lease, 0);
    assert_eq!(give(&mut ledger, &one, 50_400).lease, 0, "it ended at 40.5");
    assert_eq!(give(&mut ledger, &one, 50_800).lease, 2);
}

#[test]
fn counts_the_same_whoever_asks_with_another_window_or_with_none() {
    let mut ledger = Ledger::default();
    let long = QuotaAsk { want: 4, ..ask(4, 3_600) };
    for now in 1..=4 {
        assert_eq!(give(&mut ledger, &long, 100_000 + now).permits, 1);
    }
    // An isolate that knows no budget yet, and one that knows another, look, and give back.
    let other = QuotaAsk { over: vec![[1, 0]], ..ask(10, 1) };
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
        let ask = QuotaAsk { limited, ..QuotaAsk::default() };
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
    let complaint = QuotaAsk { limited: Some(5_000), ..ask(10, 10) };
    let reply = give(&mut ledger, &complaint, 1_000);
    assert_eq!((reply.lease, reply.held_for), (0, 5_000));
    assert_eq!(give(&mut ledger, &ask(10, 10), 6_000).lease, 1);
}

#[test]
fn stays_small_however_many_leases_there_were() {
    let mut ledger = Ledger::default();
    for now in 0..20_000 {
        let asking = QuotaAsk { who: 1 + now % 7, over: vec![[now, 0]], ..ask(100_000, 60) };
        give(&mut ledger, &asking, now * 3);
    }
    assert!(json::text(&ledger).len() < 100_000, "{}", json::text(&ledger).len());
}

#[test]
fn reads_what_it_wrote() {
    let mut ledger = Ledger::default();
    let asking = QuotaAsk { who: 3, queue_ms: 5, limited: None, over: vec![[1, 2], [3, 4]], ..ask(10, 10) };
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
