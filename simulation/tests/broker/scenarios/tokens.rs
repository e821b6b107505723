//! Random schedules of everything that can happen to a token set.
//!
//! `PORTEIRO_SEEDS=100000 cargo test --release any_schedule` runs so many;
//! `PORTEIRO_SEED=17 cargo test any_schedule` runs that one again.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use porteiro::time::UnixTime;
use porteiro_simulation::{Answered, Call, Grants, Proof, Site};
use serde_json::json;

use super::seeds::{number, run_seeds};

/// Seeds run of each kind of connection, where nothing else is asked for.
const SEEDS: u64 = 2000;
const SEEDS_OF_OTHERS: u64 = 1000;

/// Token requests that recovery may take after all faults have ended: a refresh
/// that is refused and the grant after it, each of them once for a token that
/// ages meanwhile.
const RECOVERY: u64 = 4;

/// Seconds that a call may take, at most: two token requests that time out, on
/// each of two asks, and what is on the way.
const LONGEST_CALL: u64 = 60;

/// What the connection is. Each kind has schedules of its own, so that what is
/// added to one takes no schedule from the other.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// One with passwords or client credentials, whose upstream refuses by the status.
    Usual,
    /// One that proves its client by a signature, signs in with a login, or
    /// whose upstream refuses in the body of a 200: each now and then. Its
    /// storage fails, and its tokens are revoked, more often.
    Other,
}

/// The calls that have not ended: by number, the isolate and the beginning.
type Open = Rc<RefCell<BTreeMap<u64, (u32, UnixTime)>>>;

/// What one schedule does, drawn from its seed.
struct Plan {
    isolates: u64,
    seconds: u64,
    /// Mean milliseconds between bursts of calls.
    pause: u64,
    largest_burst: u64,
    /// How often, per 100,000 steps, the keeper ends, and an isolate.
    keeper_ends: u64,
    isolate_ends: u64,
    /// How often, per 1,000 bursts, each thing happens at the provider.
    revokes: u64,
    outages: u64,
    lockouts: u64,
    refusals: u64,
    /// How often, per 1,000 calls, one is made that the account may not make.
    forbidden: u64,
}

impl Plan {
    fn draw(site: &Site, kind: Kind) -> Self {
        let world = &site.shared.world;
        let life = [30, 90, 300, 900, 3600][usize::try_from(world.below(5)).expect("a small number")];
        let refresh_tokens = world.happens(800);
        let rotation = world.happens(700);
        let reuse_detection = rotation && world.happens(600);
        site.shared.provider.grants.set(Grants {
            expires_in: life,
            refresh_tokens,
            rotation,
            reuse_detection,
        });
        // What such a connection loses is lost: nothing may take effect unseen.
        let refresh_token_only = refresh_tokens && world.happens(200);
        if refresh_token_only {
            site.redeploy_with_refresh_token_only();
            site.shared.provider.harmless.set(true);
        }
        // A login brings no refresh token.
        if kind == Kind::Other && !refresh_tokens && world.happens(500) {
            site.redeploy_with_login();
        }
        let sometimes = |per_mille| if world.happens(500) { world.below(per_mille) } else { 0 };
        // A write that fails while a token request is in flight is seen where both are frequent.
        let (largest_failures, largest_revokes) = if kind == Kind::Usual { (60, 60) } else { (500, 600) };
        site.shared.provider.chaos.set(sometimes(300));
        site.shared.cache.failures.set(sometimes(200));
        site.shared.objects.failures.set(if refresh_token_only { 0 } else { sometimes(largest_failures) });
        site.shared.objects.losses.set(sometimes(60));
        site.shared.objects.instant.set(world.happens(200));
        site.shared.objects.no_alarms.set(!world.happens(700));
        let flaky = if world.happens(200) {
            [20, 100, 500][usize::try_from(world.below(3)).expect("a small number")]
        } else {
            0
        };
        site.shared.provider.flaky.set(flaky);
        site.shared.provider.refuses_by.set(if world.happens(300) { 403 } else { 401 });
        Self {
            isolates: 1 + world.below(5),
            seconds: life * (3 + world.below(5)),
            pause: life * 1000 / (2 + world.below(24)),
            largest_burst: 1 + world.below(10),
            keeper_ends: if refresh_token_only { 0 } else { sometimes(400) },
            isolate_ends: sometimes(400),
            revokes: if refresh_token_only { 0 } else { sometimes(largest_revokes) },
            outages: sometimes(60),
            lockouts: sometimes(80),
            refusals: sometimes(20),
            forbidden: sometimes(300),
        }
    }
}

fn call() -> Call {
    Call::get("/api/acme/things")
}

/// The site of a schedule of `kind`, and what happens to it.
fn prepare(seed: u64, kind: Kind) -> (Site, Plan) {
    let grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };
    if kind == Kind::Usual {
        let site = Site::new(seed, grants);
        let plan = Plan::draw(&site, kind);
        return (site, plan);
    }
    let proofs = [Proof::PrivateKeyJwt, Proof::ClientSecretJwt, Proof::JwtBearer];
    let proof = usize::try_from(seed % 4).ok().and_then(|at| proofs.get(at).copied());
    let says_it_in_bodies = seed.is_multiple_of(3);
    let site = Site::proving_with(seed, grants, proof.unwrap_or_default(), |connection| {
        if says_it_in_bodies {
            let sign = json!({ "status": 200, "json": "/errcode", "in": [40001] });
            connection["dead_token"] = json!([sign]);
        }
    });
    let plan = Plan::draw(&site, kind);
    if says_it_in_bodies && !site.shared.refresh_token_only.get() {
        site.shared.provider.refuses_by.set(200);
        site.shared.provider.refusal_body.set(r#"{"errcode":40001}"#);
    }
    (site, plan)
}

/// Runs one schedule to its end, or to the first broken invariant.
fn run(seed: u64, kind: Kind) -> Result<u64, String> {
    let (site, plan) = prepare(seed, kind);
    let calls = rage(&site, &plan)?;
    // What was broken before is why it does not recover.
    recover(&site).map_err(|missed| site.shared.watch.broken().unwrap_or(missed))?;
    Ok(calls)
}

/// The part of a schedule in which things go wrong.
fn rage(site: &Site, plan: &Plan) -> Result<u64, String> {
    let world = &site.shared.world;
    let end = world.now() + Duration::from_secs(plan.seconds);
    let ended: Rc<RefCell<Vec<Answered>>> = Rc::default();
    let open: Open = Rc::default();
    let mut begun = 0;
    while world.now() < end {
        for _ in 0..=world.below(plan.largest_burst) {
            let isolate = 1 + u32::try_from(world.below(plan.isolates)).expect("few isolates");
            let is_forbidden = world.happens(plan.forbidden);
            let call = if is_forbidden { Call::get("/api/acme/things/forbidden") } else { call() };
            let calling = site.calling(isolate, &call);
            let (shared, newest) = (Rc::clone(&site.shared), site.shared.watch.newest());
            let (ended, still_open) = (Rc::clone(&ended), Rc::clone(&open));
            begun += 1;
            open.borrow_mut().insert(begun, (isolate, world.now()));
            world.spawn(isolate, async move {
                let answered = calling.await;
                still_open.borrow_mut().remove(&begun);
                let wants_token = answered.status >= 502
                    && answered.code() != "upstream_unauthorized"
                    && answered.json()["cause"] != "internal";
                if wants_token && !is_forbidden {
                    let takes = |token: &str| shared.provider.takes(token);
                    shared.watch.told_of_no_token(newest.as_deref(), takes, shared.world.now());
                }
                ended.borrow_mut().push(answered);
            });
        }
        disturb(site, plan);
        let next = world.now() + Duration::from_millis(world.below(2 * plan.pause));
        while world.step(next) {
            if let Some(broken) = site.shared.watch.broken() {
                return Err(broken);
            }
            if world.below(100_000) < plan.keeper_ends {
                site.shared.kill_keeper();
            }
            if world.below(100_000) < plan.isolate_ends {
                let isolate = 1 + u32::try_from(world.below(plan.isolates)).expect("few isolates");
                site.kill_isolate(isolate);
                open.borrow_mut().retain(|_, (of, _)| *of != isolate);
            }
        }
        world.run_until(next);
        let oldest = open.borrow().values().map(|(_, since)| world.now().since(*since).as_secs()).max();
        if let Some(seconds) = oldest.filter(|seconds| *seconds > LONGEST_CALL) {
            return Err(format!("bounded-wait: a call takes {seconds} s"));
        }
    }
    for answered in ended.borrow().iter() {
        if ![200, 502, 503, 504].contains(&answered.status) {
            return Err(format!("known-answers: {}", answered.status));
        }
    }
    Ok(begun)
}

/// Things that happen at the provider.
fn disturb(site: &Site, plan: &Plan) {
    let (world, provider) = (&site.shared.world, &site.shared.provider);
    let flip = |state: bool, per_mille| {
        if world.happens(if state { 300 } else { per_mille }) { !state } else { state }
    };
    if world.happens(plan.revokes) {
        if world.happens(500) { provider.revoke_access_tokens() } else { provider.revoke_everything() }
    }
    provider.down.set(flip(provider.down.get(), plan.outages));
    provider.refuses_all.set(flip(provider.refuses_all.get(), plan.refusals));
    provider.knows_credentials.set(!flip(!provider.knows_credentials.get(), plan.lockouts));
}

/// The part of a schedule in which nothing goes wrong any more: the connection
/// serves again, with few token requests, and goes on serving.
fn recover(site: &Site) -> Result<(), String> {
    let (shared, world) = (&site.shared, &site.shared.world);
    shared.provider.chaos.set(0);
    shared.provider.down.set(false);
    shared.provider.refuses_all.set(false);
    shared.provider.flaky.set(0);
    shared.provider.knows_credentials.set(true);
    shared.cache.failures.set(0);
    shared.objects.failures.set(0);
    shared.objects.losses.set(0);
    // What is under way ends.
    world.run_for(Duration::from_mins(1));
    let before = shared.provider.requests.borrow().len();
    let mut serves = false;
    for _ in 0..80 {
        if site.call(1, &call()).status == 200 {
            serves = true;
            break;
        }
        world.run_for(Duration::from_mins(1));
    }
    if !serves {
        return Err("recovery: it does not serve again".to_owned());
    }
    let requests = (shared.provider.requests.borrow().len() - before) as u64;
    if requests > RECOVERY {
        return Err(format!("recovery: it took {requests} token requests"));
    }
    let answers = site.storm(4, 20, &call());
    if answers.iter().any(|answer| answer.status != 200) {
        return Err("recovery: it serves, but not every call".to_owned());
    }
    shared.watch.broken().map_or(Ok(()), Err)
}

#[test]
fn keeps_every_invariant_in_any_schedule() {
    let seeds = number("PORTEIRO_SEEDS").unwrap_or(SEEDS);
    run_seeds("tokens", seeds, |seed| run(seed, Kind::Usual));
}

#[test]
fn keeps_every_invariant_in_any_schedule_of_other_grants() {
    let seeds = number("PORTEIRO_SEEDS").unwrap_or(SEEDS_OF_OTHERS);
    run_seeds("grants", seeds, |seed| run(seed, Kind::Other));
}

#[test]
fn runs_the_same_schedule_for_the_same_seed() {
    let trace = |seed, kind| {
        let (site, plan) = prepare(seed, kind);
        let calls = rage(&site, &plan);
        let requests = site.shared.provider.requests.borrow().clone();
        (calls, requests, site.shared.logs.borrow().clone())
    };
    for kind in [Kind::Usual, Kind::Other] {
        for seed in 0..20 {
            assert_eq!(trace(seed, kind), trace(seed, kind), "seed {seed}");
        }
    }
}
