//! The part of a schedule in which things go wrong, as several scenarios have it.

use std::time::Duration;

use porteiro_simulation::{Objects, Site};

use super::seeds::index;

/// How fast a schedule goes, and how often objects and isolates end.
pub(super) struct Pace {
    pub seconds: u64,
    /// The most bursts.
    pub bursts: u32,
    pub largest_burst: u64,
    /// The usual pause between two bursts, in milliseconds.
    pub pause: u64,
    /// In how many of 100,000 steps an object ends.
    pub object_ends: u64,
    pub isolate_ends: u64,
    pub isolates: u64,
    /// How long nobody does anything, now and then, in seconds.
    pub rests: [u64; 3],
}

/// Has somebody `act`, and things happen at the provider that `disturb`, until the time is over or an
/// invariant is `broken`.
pub(super) fn rage(
    site: &Site,
    pace: &Pace,
    act: impl Fn(),
    disturb: impl Fn(),
    broken: impl Fn() -> Option<String>,
) -> Result<(), String> {
    let world = &site.shared.world;
    let end = world.now() + Duration::from_secs(pace.seconds);
    let mut bursts = 0;
    while world.now() < end && bursts < pace.bursts {
        bursts += 1;
        for _ in 0..=world.below(pace.largest_burst) {
            act();
        }
        disturb();
        let next = world.now() + Duration::from_millis(world.below(2 * pace.pause));
        while world.step(next) {
            if let Some(broken) = broken() {
                return Err(broken);
            }
            if world.below(100_000) < pace.object_ends {
                Objects::kill_any(&site.shared);
            }
            if world.below(100_000) < pace.isolate_ends {
                site.kill_isolate(1 + u32::try_from(world.below(pace.isolates)).expect("few isolates"));
            }
        }
        world.run_until(next);
        if world.happens(50) {
            world.run_for(Duration::from_secs(pace.rests[index(world, 3)]));
        }
    }
    broken().map_or(Ok(()), Err)
}
