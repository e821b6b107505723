//! One schedule, from its seed to its verdict.

use std::time::Duration;

use super::*;
use porteiro_simulation::Objects;

/// Runs one schedule to its end, or to the first broken invariant.
pub(super) fn run(seed: u64) -> Result<u64, String> {
    let office = Office::new(seed);
    let plan = Plan::draw(&office.site);
    rage(&office, &plan)?;
    // What was broken before is why something is not as it must be.
    recover(&office).map_err(|missed| office.broken().unwrap_or(missed))?;
    Ok(office.begun.get())
}

/// The part of a schedule in which things go wrong.
pub(super) fn rage(office: &Office, plan: &Plan) -> Result<(), String> {
    let (site, world) = (&office.site, &office.site.shared.world);
    for _ in 0..plan.bursts {
        for _ in 0..=world.below(plan.largest_burst) {
            office.act(plan);
        }
        let next = world.now() + Duration::from_millis(world.below(2 * plan.pause));
        while world.step(next) {
            if let Some(broken) = office.broken() {
                return Err(broken);
            }
            if world.below(100_000) < plan.object_ends {
                Objects::kill_any(&site.shared);
            }
            if world.below(100_000) < plan.isolate_ends {
                site.kill_isolate(office.isolate(plan));
            }
        }
        world.run_until(next);
    }
    Ok(())
}

/// The part of a schedule in which nothing goes wrong any more: what is
/// registered is listed and served everywhere; what is removed is neither; and
/// every id can be registered and removed.
fn recover(office: &Office) -> Result<(), String> {
    let shared = &office.site.shared;
    shared.cache.failures.set(0);
    shared.objects.failures.set(0);
    shared.objects.losses.set(0);
    // What is under way ends, and what isolates and locations know grows old.
    shared.world.run_for(Duration::from_mins(5));
    let registered = shared.registry_watch.all_registered();
    let listed = shared.objects.ids();
    if let Some(id) = registered.iter().find(|id| !listed.contains(id)) {
        return Err(format!("registered-is-listed: {id} is not"));
    }
    check(office, &registered)?;
    // An operator whose removal was not answered well removes once more.
    for id in IDS {
        if !registered.iter().any(|known| known == id) {
            office.ask(1, &Deed::Remove { id });
        }
    }
    if shared.objects.ids() != registered {
        return Err(format!("removed-is-not-listed: {:?} are", shared.objects.ids()));
    }
    for id in IDS {
        let is_registered = registered.iter().any(|known| known == id);
        let status = if shared.world.happens(500) {
            office.ask(1, &Deed::Remove { id }).status == if is_registered { 204 } else { 404 }
        } else {
            let registration = registration(id, shared.world.unique());
            let status = office.ask(1, &Deed::Register { id, registration }).status;
            status == if is_registered { 200 } else { 201 }
        };
        if !status {
            return Err(format!("recovery: {id} can be neither registered nor removed"));
        }
    }
    shared.world.run_for(Duration::from_mins(3));
    let registered = shared.registry_watch.all_registered();
    if shared.objects.ids() != registered {
        return Err(format!("listed-is-registered: {:?} are listed", shared.objects.ids()));
    }
    check(office, &registered)?;
    office.broken().map_or(Ok(()), Err)
}

/// Looks whether what is registered is served and told, and nothing else is.
fn check(office: &Office, registered: &[String]) -> Result<(), String> {
    let (site, isolate) = (Rc::clone(&office.site), 1);
    let reading = async move { read_all(&site, 3, "").await };
    if !office.site.shared.world.block_on(PROVIDER, reading)? {
        return Err("recovery: a page is not answered".to_owned());
    }
    for id in IDS {
        let is_registered = registered.iter().any(|known| known == id);
        let status = office.ask(isolate, &Deed::Call { id }).status;
        if status != if is_registered { 200 } else { 404 } {
            return Err(format!("recovery: {id} is registered: {is_registered}, and answers {status}"));
        }
    }
    Ok(())
}
