//! Random schedules of everything that the operator is told of.
//!
//! `PORTEIRO_SEEDS=100000 cargo test --release of_events` runs so many;
//! `PORTEIRO_SEED=17 cargo test of_events` runs that one again.

use std::time::Duration;

use porteiro_simulation::{Call, Event, Grants, Manner, Objects, Site, deliveries, keeper};
use serde_json::Value;

use super::seeds::{number, run_seeds};

/// Seeds run where nothing else is asked for.
const SEEDS: u64 = 400;

const ISOLATES: u64 = 3;

/// What one schedule does, drawn from its seed.
struct Plan {
    rounds: u64,
    /// Mean milliseconds between rounds.
    pause: u64,
    /// How often, per 100,000 steps, an object ends.
    ends: u64,
    failures: u64,
    losses: u64,
}

impl Plan {
    fn draw(site: &Site) -> Self {
        let world = &site.shared.world;
        let sometimes = |most| if world.happens(500) { world.below(most) } else { 0 };
        let index = usize::try_from(world.below(4)).expect("a small number");
        site.shared.objects.instant.set(world.happens(300));
        Self {
            rounds: 3 + world.below(20),
            pause: [500, 20_000, 90_000, 900_000][index],
            ends: sometimes(6_000),
            failures: sometimes(60),
            losses: sometimes(60),
        }
    }

    fn apply(&self, site: &Site) {
        site.shared.objects.failures.set(self.failures);
        site.shared.objects.losses.set(self.losses);
    }
}

fn variables(changes: &[(&str, &str)]) -> Value {
    let mut variables = Site::variables_for_events();
    for (name, value) in changes {
        variables[*name] = (*value).into();
    }
    variables
}

fn call() -> Call {
    Call::get("/api/acme/things")
}

fn admin(method: &'static str, target: &str) -> Call {
    Call::get(target).method(method).field("authorization", &format!("Bearer {}", Site::OPERATOR_KEY))
}

fn site(seed: u64) -> Site {
    let expires_in = if seed.is_multiple_of(2) { 300 } else { 7_200 };
    let grants = Grants { expires_in, refresh_tokens: false, rotation: false, reuse_detection: false };
    let site = Site::with_variables(seed, grants, &variables(&[]));
    site.shared.events.status.set(204);
    site
}

fn run(seed: u64) -> Result<u64, String> {
    let site = site(seed);
    let plan = Plan::draw(&site);
    plan.apply(&site);
    let (shared, world) = (&site.shared, &site.shared.world);
    let mut calls = 0;
    for round in 0..plan.rounds {
        disturb(&site);
        for _ in 0..=world.below(4) {
            let isolate = 1 + u32::try_from(world.below(ISOLATES)).expect("few isolates");
            let calling = site.calling(isolate, &call());
            world.spawn(isolate, async move { drop(calling.await) });
            calls += 1;
        }
        let next = world.now() + Duration::from_millis(world.below(2 * plan.pause));
        while world.step(next) {
            verdict(&site)?;
            if world.below(100_000) < plan.ends {
                let object = match world.below(3) {
                    0 => keeper("acme"),
                    1 => deliveries("acme"),
                    _ => deliveries("(events)"),
                };
                Objects::kill(shared, &object);
            }
        }
        world.run_until(next);
        if round % 4 == 3 {
            settle(&site)?;
            plan.apply(&site);
        }
    }
    recover(&site)?;
    Ok(calls)
}

fn verdict(site: &Site) -> Result<(), String> {
    let broken = site.shared.events.broken();
    broken.or_else(|| site.shared.delivery_watch.broken()).map_or(Ok(()), Err)
}

/// Things that happen to the connection, to its webhooks, and to the operator's receiver.
fn disturb(site: &Site) {
    let (shared, world) = (&site.shared, &site.shared.world);
    let flip = |state: bool| if world.happens(250) { !state } else { state };
    shared.provider.knows_credentials.set(flip(shared.provider.knows_credentials.get()));
    shared.provider.refuses_all.set(flip(shared.provider.refuses_all.get()));
    shared.provider.down.set(world.happens(100));
    if world.happens(200) {
        shared.provider.revoke_access_tokens();
    }
    shared.events.status.set(if world.happens(300) { 500 } else { 204 });
    match world.below(12) {
        0 => site.redeploy(&variables(&[("ACME_PASSWORD", "")])),
        1 => site.redeploy(&variables(&[("ACME_PASSWORD", ""), ("ACME_USERNAME", "")])),
        2 => site.redeploy(&variables(&[("ACME_WEBHOOK_SECRET", "")])),
        3 | 4 => site.redeploy(&variables(&[])),
        5 => drop(site.call(1, &admin("POST", "/admin/connections/acme/refresh"))),
        6 => {
            let gone = world.happens(500);
            shared.receiver.manner.set(Manner::Answers(if gone { 410 } else { 204 }));
            let sending = site.sending(1, &Event::new(world.below(1_000_000)));
            world.spawn(1, async move { drop(sending.await) });
        }
        _ => {}
    }
}

/// The part of a schedule in which nothing is lost: what the operator was told is what is, also where
/// nobody calls any more.
fn settle(site: &Site) -> Result<(), String> {
    let (shared, world) = (&site.shared, &site.shared.world);
    shared.objects.failures.set(0);
    shared.objects.losses.set(0);
    shared.provider.down.set(false);
    // What this call shows is known soon, also where nobody calls any more and the pause of an event lasts.
    site.call(1, &call());
    world.run_for(Duration::from_mins(6));
    is_known(site, &["rejected"])?;
    // An isolate says again after five minutes that a connection is misconfigured.
    site.call(1, &call());
    world.run_for(Duration::from_mins(12));
    is_known(site, ALL)?;
    // Each wait ends by then, and each pause between two events.
    for _ in 0..3 {
        site.call(1, &call());
        world.run_for(Duration::from_mins(2));
    }
    is_known(site, ALL)
}

/// The last event about the connection, but those of its webhooks.
fn last_told(site: &Site) -> String {
    let types = site.shared.events.types("acme");
    types.into_iter().rfind(|kind| kind != "webhook.failed").unwrap_or_default()
}

/// The states that the operator is told of.
const ALL: &[&str] = &["misconfigured", "rejected", "ready"];

/// Demands that the operator was told of the state that the connection is in, if it is one of `states`.
fn is_known(site: &Site, states: &[&str]) -> Result<(), String> {
    verdict(site)?;
    // Whoever asks for the state has the keeper tell it.
    let last = last_told(site);
    let answered = site.call(1, &admin("GET", "/admin/connections/acme"));
    let state = answered.json()["state"].as_str().unwrap_or_default().to_owned();
    let has_problems = answered.json()["problems"].as_array().is_some_and(|problems| !problems.is_empty());
    let refuses_all = site.shared.provider.refuses_all.get();
    let error = answered.json()["last_error"]["code"].as_str().unwrap_or_default().to_owned();
    let holds = match state.as_str() {
        "misconfigured" => last == "connection.misconfigured",
        // A token that is refused is no news while it is not known that others are, too.
        "rejected" if error == "credentials_rejected" => {
            ["connection.rejected", "connection.misconfigured"].contains(&last.as_str())
        }
        // A warm call asks no keeper; the webhooks that come in do, and whoever looks.
        "ready" if has_problems => {
            site.shared.world.run_for(Duration::from_secs(30));
            last_told(site) == "connection.misconfigured"
        }
        "ready" => ["", "connection.recovered"].contains(&last.as_str()) || refuses_all,
        _ => true,
    };
    if holds || !states.contains(&state.as_str()) {
        Ok(())
    } else {
        Err(format!("none-lost: it is {state}, and the operator knows {last:?}, {}", answered.json()))
    }
}

/// The part of a schedule in which nothing goes wrong any more: the connection works, the operator
/// knows, and every event arrives.
fn recover(site: &Site) -> Result<(), String> {
    let (shared, world) = (&site.shared, &site.shared.world);
    shared.provider.knows_credentials.set(true);
    shared.provider.refuses_all.set(false);
    shared.provider.down.set(false);
    shared.events.status.set(204);
    site.redeploy(&variables(&[]));
    // Waits grow to an hour; a token that replaced a refused one is proven by the next one.
    world.run_for(Duration::from_mins(130));
    settle(site)?;
    let last = last_told(site);
    if !["", "connection.recovered"].contains(&last.as_str()) {
        return Err(format!("none-lost: it works, and the operator knows {last:?}"));
    }
    shared.events.demand_failures_told();
    world.run_for(Duration::from_hours(26));
    verdict(site)?;
    let arrivals = shared.events.arrivals.borrow();
    for told in shared.events.told.borrow().iter() {
        if !arrivals.contains(told) {
            return Err(format!("none-lost: {told:?} does not arrive"));
        }
    }
    match site.secret_written() {
        Some(secret) => Err(format!("nothing-secret: {secret} was written")),
        None => Ok(()),
    }
}

#[test]
fn keeps_every_invariant_in_any_schedule_of_events() {
    run_seeds("events", number("PORTEIRO_SEEDS").unwrap_or(SEEDS), run);
}

#[test]
fn tells_something_in_most_schedules() {
    let kinds: std::collections::BTreeSet<String> = (0..30)
        .flat_map(|seed| {
            let site = site(seed);
            let plan = Plan::draw(&site);
            for _ in 0..plan.rounds {
                disturb(&site);
                site.call(1, &call());
                site.shared.world.run_for(Duration::from_mins(3));
            }
            site.shared.events.types("acme")
        })
        .collect();
    let all = ["connection.misconfigured", "connection.recovered", "connection.rejected", "webhook.failed"];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all);
}
