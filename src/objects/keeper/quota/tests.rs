use super::ledger::Ledger;
use crate::json;
use crate::protocol::QuotaAsk;

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
