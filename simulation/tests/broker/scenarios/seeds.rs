//! Runs schedules by their seeds.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use porteiro_simulation::World;

pub(super) fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs so many schedules, or the one that is asked for. Of those that break an
/// invariant it tells the first, and runs none that come after it.
pub(super) fn run_seeds(scenario: &str, seeds: u64, run: impl Fn(u64) -> Result<u64, String> + Sync) {
    if let Some(seed) = number("PORTEIRO_SEED") {
        run(seed).unwrap_or_else(|broken| panic!("seed {seed}: {broken}"));
        return;
    }
    let (next, calls) = (AtomicU64::new(0), AtomicU64::new(0));
    let first_broken: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Relaxed);
            if seed >= seeds {
                return;
            }
            match run(seed) {
                Ok(made) => {
                    calls.fetch_add(made, Relaxed);
                }
                Err(broken) => {
                    // No seed is begun any more; one before this may be under way.
                    next.store(seeds, Relaxed);
                    let mut first = first_broken.lock().expect("no thread panics with it");
                    if first.as_ref().is_none_or(|(other, _)| seed < *other) {
                        *first = Some((seed, broken));
                    }
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    if let Some((seed, broken)) = first_broken.into_inner().expect("no thread panics with it") {
        panic!("seed {seed}: {broken}; PORTEIRO_SEED={seed} runs it again");
    }
    let calls = calls.into_inner();
    assert!(calls > seeds, "the schedules made calls");
    println!("{scenario}: {seeds} seeds, {calls} calls");
}

/// A number below `bound`, drawn from the seed.
pub(super) fn index(world: &World, bound: u64) -> usize {
    usize::try_from(world.below(bound)).expect("a small number")
}
