//! Random schedules of everything that can happen to a budget.
//!
//! `PORTEIRO_SEEDS=100000 cargo test --release of_budgets` runs so many;
//! `PORTEIRO_SEED=17 cargo test of_budgets` runs that one again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use porteiro_simulation::{Answered, Call, Grants, Objects, Site, keeper};
use serde_json::json;

use super::seeds::{number, run_seeds};

/// Seeds run where nothing else is asked for.
const SEEDS: u64 = 60;

/// What one schedule does, drawn from its seed.
struct Plan {
    requests: u64,
    seconds: u64,
    queue_ms: u64,
    isolates: u64,
    /// Mean milliseconds between bursts of calls.
    pause: u64,
    largest_burst: u64,
    /// How often, per 1,000 bursts, an isolate that had many calls has few, so that it gives back most of what it
    /// leased, and then more come than may leave.
    lulls: u64,
    /// How often, per 100,000 steps, the keeper ends, and an isolate.
    keeper_ends: u64,
    isolate_ends: u64,
    /// How often, per 1,000 bursts, an isolate's clock jumps, and the upstream changes its mind.
    jumps: u64,
    moods: u64,
}

struct Crowd {
    site: Rc<Site>,
    plan: Plan,
    begun: Cell<u64>,
    wrong: Rc<RefCell<Option<String>>>,
}

fn draw(seed: u64) -> Crowd {
    let grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };
    let draws = Site::new(seed, grants);
    let world = &draws.shared.world;
    let sometimes = |per_mille| if world.happens(500) { world.below(per_mille) } else { 0 };
    let seconds = [1, 3, 10, 30][usize::try_from(world.below(4)).expect("a small number")];
    let plan = Plan {
        requests: 1 + world.below(60),
        seconds,
        queue_ms: if world.happens(300) { world.below(2_000) } else { 0 },
        isolates: 1 + world.below(8),
        pause: [20, 200, 1_500][usize::try_from(world.below(3)).expect("a small number")],
        largest_burst: 1 + world.below(20),
        lulls: sometimes(300),
        keeper_ends: sometimes(600),
        isolate_ends: sometimes(300),
        jumps: sometimes(200),
        moods: sometimes(60),
    };
    let mut variables = Site::variables();
    let acme = &mut variables["CONNECTIONS"]["acme"];
    let share = if world.happens(300) { "caller" } else { "none" };
    acme["budget"] = json!({
        "requests": plan.requests, "seconds": plan.seconds, "queue_ms": plan.queue_ms, "share": share,
    });
    acme["cool_down"] = world.happens(300).into();
    acme["retry"] = json!({ "attempts": 1 + world.below(3) });
    acme["timeout_ms"] = 5_000.into();
    let site = Site::with_variables(seed, grants, &variables);
    let window = plan.seconds * 1_000;
    site.shared.budget.budget.set(Some((usize::try_from(plan.requests).expect("few"), window)));
    site.shared.objects.failures.set(sometimes(60));
    site.shared.objects.losses.set(sometimes(200));
    site.shared.objects.repeats.set(sometimes(600));
    site.shared.objects.instant.set(world.happens(200));
    Crowd { site: Rc::new(site), plan, begun: Cell::new(0), wrong: Rc::default() }
}

/// What is wrong with an answer, where the window has so many `seconds`.
fn judge(answered: &Answered, seconds: u64) -> Option<String> {
    let wait = answered.field("retry-after");
    // All is free again a lease's life, and a little, after the window.
    let is_honest = |wait: &str| wait.parse().is_ok_and(|wait| (1..=seconds + 5).contains(&wait));
    match answered.status {
        200 | 502 | 504 => None,
        429 | 503 if answered.field("content-type") != Some("application/problem+json") => None,
        429 if answered.code() == "quota_exhausted" && wait.is_some_and(is_honest) => None,
        503 if answered.code() == "connection_unavailable" && wait.is_some() => None,
        status => Some(format!("known-answers: {status} {wait:?} {}", answered.body)),
    }
}

impl Crowd {
    fn broken(&self) -> Option<String> {
        self.site.shared.budget.broken().or_else(|| self.wrong.borrow().clone())
    }

    fn isolate(&self) -> u32 {
        1 + u32::try_from(self.site.shared.world.below(self.plan.isolates)).expect("few isolates")
    }

    fn act(&self, isolate: u32) {
        let world = &self.site.shared.world;
        let call = Call::get("/api/acme/things").method(if world.happens(800) { "GET" } else { "POST" });
        let calling = self.site.calling(isolate, &call);
        self.begun.set(self.begun.get() + 1);
        let (wrong, seconds) = (Rc::clone(&self.wrong), self.plan.seconds);
        world.spawn(isolate, async move {
            if let Some(what) = judge(&calling.await, seconds) {
                wrong.borrow_mut().get_or_insert(what);
            }
        });
    }

    /// Things that happen to clocks, and at the upstream.
    fn disturb(&self) {
        let (shared, world) = (&self.site.shared, &self.site.shared.world);
        if world.happens(self.plan.jumps) {
            // A clock that goes back by less than the time since somebody looked at it looks as if it went
            // on: whatever goes back here, goes far.
            let jump = if world.happens(300) { world.below(5_000).cast_signed() } else { -100_000 };
            *shared.skews.borrow_mut().entry(self.isolate()).or_default() += jump;
            if world.happens(100) {
                shared.lag.set(shared.lag.get() + world.below(5_000));
            }
        }
        if world.happens(self.plan.moods) {
            let moods = [
                None,
                None,
                Some((429, "retry-after:2")),
                Some((503, "retry-after:-5")),
                Some((502, "ratelimit:x")),
                Some((429, "retry-after:Thu, 01 Jan 1970 00:00:00 GMT")),
            ];
            let mood = moods[usize::try_from(world.below(6)).expect("a small number")];
            *shared.upstream_script.borrow_mut() = mood.map(|(status, fields)| (status, fields.to_owned()));
        }
    }
}

fn run(seed: u64) -> Result<u64, String> {
    let crowd = draw(seed);
    let (site, world, plan) = (&crowd.site, &crowd.site.shared.world, &crowd.plan);
    let end = world.now() + Duration::from_secs(plan.seconds * 5);
    for _ in 0..300 {
        for _ in 0..=world.below(plan.largest_burst) {
            crowd.act(crowd.isolate());
        }
        crowd.disturb();
        let next = world.now() + Duration::from_millis(world.below(2 * plan.pause));
        while world.step(next) {
            if let Some(broken) = crowd.broken() {
                return Err(broken);
            }
            if world.below(100_000) < plan.keeper_ends {
                Objects::kill(&site.shared, &keeper("acme"));
            }
            if world.below(100_000) < plan.isolate_ends {
                site.kill_isolate(crowd.isolate());
            }
        }
        world.run_until(next);
        if world.happens(plan.lulls) {
            let own = crowd.isolate();
            let quiet = plan.seconds * 1_000 + 5_000;
            for (calls, pause) in [(0, quiet), (plan.requests / 3, 1_100), (1, 100), (2, 4_000)] {
                (0..calls).for_each(|_| crowd.act(own));
                world.run_for(Duration::from_millis(pause));
            }
            (0..plan.requests).for_each(|_| crowd.act(crowd.isolate()));
        }
        if world.now() > end {
            break;
        }
    }
    recover(&crowd)?;
    Ok(crowd.begun.get())
}

/// Nothing goes wrong any more: the budget is there again, and nearly all of it can be used.
fn recover(crowd: &Crowd) -> Result<(), String> {
    let (shared, world, plan) = (&crowd.site.shared, &crowd.site.shared.world, &crowd.plan);
    shared.objects.failures.set(0);
    shared.objects.losses.set(0);
    shared.objects.repeats.set(0);
    *shared.upstream_script.borrow_mut() = None;
    // What is under way ends, and so does the pause of an upstream that complained, and what counts.
    world.run_for(Duration::from_mins(20));
    if let Some(broken) = crowd.broken() {
        return Err(broken);
    }
    let before = shared.budget.sent.get();
    let (windows, pause) = (4, (plan.seconds * 1_000 / plan.requests / 2).max(1));
    for _ in 0..windows * plan.seconds * 1_000 / pause {
        crowd.act(crowd.isolate());
        world.run_for(Duration::from_millis(pause));
    }
    world.run_for(Duration::from_mins(2));
    let sent = u64::try_from(shared.budget.sent.get() - before).expect("few");
    // A small budget comes in whole permits, and what several isolates lease is used by one of them.
    if plan.seconds >= 10 && sent * 10 < plan.requests * windows * 7 {
        return Err(format!("recovery: {sent} of {} were used", plan.requests * windows));
    }
    if sent == 0 {
        return Err("recovery: nothing was used".to_owned());
    }
    crowd.broken().map_or(Ok(()), Err)
}

#[test]
fn keeps_every_invariant_in_any_schedule_of_budgets() {
    run_seeds("budgets", number("PORTEIRO_SEEDS").unwrap_or(SEEDS), run);
}
