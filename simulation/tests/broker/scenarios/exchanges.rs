//! Random schedules of everything that can happen to callers whose tokens are exchanged.
//!
//! `PORTEIRO_SEEDS=100000 cargo test --release of_exchanges` runs so many;
//! `PORTEIRO_SEED=17 cargo test of_exchanges` runs that one again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;

use porteiro::time::UnixTime;
use porteiro_simulation::{Answered, Call, Grants, Site, Subject};

use super::rage::{self, Pace};
use super::seeds::{index, number, run_seeds};

/// Seeds run where nothing else is asked for.
const SEEDS: u64 = 500;

/// Every so many seeds, all that was written is searched for secrets.
const SEARCHED: u64 = 8;

/// Seconds that a call may take, at most: two token requests that time out, on each of two asks, and
/// what is on the way.
const LONGEST_CALL: u64 = 60;

/// The callers: the number of the issuer, and a name. Two of them have the same name.
const CALLERS: [(usize, &str); 4] = [(0, "ana"), (1, "ana"), (0, "bia"), (1, "caio")];

const CONNECTIONS: [&str; 2] = ["acme", "bolt"];

/// What one schedule does, drawn from its seed.
struct Plan {
    isolates: u64,
    seconds: u64,
    /// Mean milliseconds between bursts.
    pause: u64,
    largest_burst: u64,
    /// The seconds that a caller's own token lives.
    own_life: u64,
    /// How often, per 100,000 steps, an object ends, and an isolate.
    object_ends: u64,
    isolate_ends: u64,
    /// How often, per 1,000 bursts, each thing happens at the provider.
    revokes: u64,
    outages: u64,
    refusals: u64,
    denials: u64,
    /// How often, per 1,000 calls, one comes with a token that the caller had before, and how often
    /// the caller gets a new one before the end of theirs.
    old_tokens: u64,
    new_tokens: u64,
}

impl Plan {
    fn draw(site: &Site) -> Self {
        let world = &site.shared.world;
        let life = [30, 90, 300, 900, 3600][index(world, 5)];
        // Nothing may be made of a refresh token.
        let refresh_tokens = world.happens(500);
        let grants = Grants { expires_in: life, refresh_tokens, rotation: true, reuse_detection: true };
        site.shared.provider.grants.set(grants);
        let sometimes = |per_mille| if world.happens(500) { world.below(per_mille) } else { 0 };
        site.shared.provider.chaos.set(sometimes(200));
        site.shared.provider.slow.set(sometimes(400));
        site.shared.objects.failures.set(sometimes(60));
        site.shared.objects.losses.set(sometimes(60));
        site.shared.objects.instant.set(world.happens(200));
        let own_life = [45, 120, 300, 900, 3600][index(world, 5)];
        Self {
            isolates: 1 + world.below(3),
            seconds: life.min(own_life).min(900) * (2 + world.below(4)),
            pause: [30, 300, 3000, 30_000][index(world, 4)],
            largest_burst: 1 + world.below(8),
            own_life,
            object_ends: sometimes(600),
            isolate_ends: sometimes(300),
            revokes: sometimes(60),
            outages: sometimes(40),
            refusals: sometimes(40),
            denials: sometimes(100),
            old_tokens: sometimes(300),
            new_tokens: sometimes(200),
        }
    }
}

fn who((issuer, name): (usize, &str)) -> String {
    format!("{} {name}", Site::ISSUERS[issuer])
}

struct Crowd {
    site: Rc<Site>,
    /// The tokens of each caller, in the order of issue.
    tokens: [RefCell<Vec<String>>; 4],
    begun: Cell<u64>,
    wrong: Rc<RefCell<Option<String>>>,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };
        let site = Rc::new(Site::for_exchanges(seed, grants));
        Self { site, tokens: Default::default(), begun: Cell::new(0), wrong: Rc::default() }
    }

    fn broken(&self) -> Option<String> {
        self.site.shared.exchanges.broken().or_else(|| self.wrong.borrow().clone())
    }

    /// Has the caller's issuer issue a token that lives for so many seconds.
    fn issue(&self, caller: usize, life: u64) -> String {
        let world = &self.site.shared.world;
        let (issuer, name) = CALLERS[caller];
        let token = Site::ISSUER_KEY.sign(&json!({
            "iss": Site::ISSUERS[issuer],
            "aud": "porteiro",
            "sub": name,
            "exp": world.now().as_millis() / 1000 + life,
            "jti": world.unique().to_string(),
        }));
        self.tokens[caller].borrow_mut().push(token.clone());
        token
    }

    /// The token that a page of the caller sends.
    fn token(&self, caller: usize, plan: &Plan) -> String {
        let world = &self.site.shared.world;
        let (kept, newest) = {
            let tokens = self.tokens[caller].borrow();
            (tokens.get(index(world, tokens.len() as u64)).cloned(), tokens.last().cloned())
        };
        if let Some(kept) = kept.filter(|_| world.happens(plan.old_tokens)) {
            return kept;
        }
        let lives = |token: &String| Subject::of(token).is_some_and(|own| world.now() < own.expires_at);
        newest
            .filter(lives)
            .filter(|_| !world.happens(plan.new_tokens))
            .unwrap_or_else(|| self.issue(caller, 1 + world.below(2 * plan.own_life)))
    }

    /// Some caller calls.
    fn act(&self, plan: &Plan) {
        let world = &self.site.shared.world;
        let caller = index(world, CALLERS.len() as u64);
        let token = self.token(caller, plan);
        let isolate = 1 + u32::try_from(world.below(plan.isolates)).expect("few isolates");
        let target = format!("/api/{}/things", CONNECTIONS[index(world, 2)]);
        let calling = self.site.calling(isolate, &Call::with_token(&target, &token));
        let (site, wrong, since) = (Rc::clone(&self.site), Rc::clone(&self.wrong), world.now());
        self.begun.set(self.begun.get() + 1);
        world.spawn(isolate, async move {
            let answered = calling.await;
            if let Some(what) = judge(&site, CALLERS[caller], &token, since, &answered) {
                wrong.borrow_mut().get_or_insert(what);
            }
        });
    }

    /// Calls once, and waits for the answer.
    fn ask(&self, caller: usize, connection: &str, token: &str) -> Answered {
        let since = self.site.shared.world.now();
        let answered = self.site.call(1, &Call::with_token(&format!("/api/{connection}/things"), token));
        if let Some(what) = judge(&self.site, CALLERS[caller], token, since, &answered) {
            self.wrong.borrow_mut().get_or_insert(what);
        }
        answered
    }
}

/// What is wrong with an answer to a call with `token`.
fn judge(
    site: &Site,
    caller: (usize, &str),
    token: &str,
    since: UnixTime,
    answered: &Answered,
) -> Option<String> {
    let (shared, now) = (&site.shared, site.shared.world.now());
    let own = Subject::of(token).expect("a token of an issuer");
    if answered.status >= 400 {
        let problem = answered.json();
        if [&problem["code"], &problem["cause"]].iter().any(|code| **code == "credentials_rejected") {
            shared.exchanges.told_of_refusal(&who(caller));
        }
    }
    let took = now.since(since).as_secs();
    match answered.status {
        200 if answered.body != format!("answer 200 for {}", caller.1) => {
            Some(format!("own-token: {} is answered {}", caller.1, answered.body))
        }
        401 if now < own.expires_at => Some("known-answers: a token that lives is answered 401".to_owned()),
        200 | 401 | 502..=504 if took <= LONGEST_CALL => None,
        200 | 401 | 502..=504 => Some(format!("bounded-wait: a call takes {took} s")),
        status => Some(format!("known-answers: {status} {}", answered.body)),
    }
}

/// Runs one schedule to its end, or to the first broken invariant.
fn run(seed: u64) -> Result<u64, String> {
    let crowd = Crowd::new(seed);
    let plan = Plan::draw(&crowd.site);
    rage(&crowd, &plan)?;
    // What was broken before is why somebody is not served.
    recover(&crowd).map_err(|missed| crowd.broken().unwrap_or(missed))?;
    if seed.is_multiple_of(SEARCHED) {
        search(&crowd)?;
    }
    Ok(crowd.begun.get())
}

/// The part of a schedule in which things go wrong.
fn rage(crowd: &Crowd, plan: &Plan) -> Result<(), String> {
    let pace = Pace {
        seconds: plan.seconds,
        bursts: 150,
        largest_burst: plan.largest_burst,
        pause: plan.pause,
        object_ends: plan.object_ends,
        isolate_ends: plan.isolate_ends,
        isolates: plan.isolates,
        rests: [40, 290, 4000],
    };
    rage::rage(&crowd.site, &pace, || crowd.act(plan), || disturb(crowd, plan), || crowd.broken())
}

/// Things that happen at the provider.
fn disturb(crowd: &Crowd, plan: &Plan) {
    let (world, provider) = (&crowd.site.shared.world, &crowd.site.shared.provider);
    if world.happens(plan.revokes) {
        provider.revoke_access_tokens();
    }
    let flip = |state: bool, per_mille| {
        if world.happens(if state { 300 } else { per_mille }) { !state } else { state }
    };
    provider.down.set(flip(provider.down.get(), plan.outages));
    provider.refuses_all.set(flip(provider.refuses_all.get(), plan.refusals));
    let caller = index(world, CALLERS.len() as u64);
    if world.happens(plan.denials) {
        if world.happens(500) {
            provider.denied.borrow_mut().insert(who(CALLERS[caller]));
        } else {
            provider.refused_tokens.borrow_mut().extend(crowd.tokens[caller].borrow().last().cloned());
        }
    } else if world.happens(100) {
        provider.denied.borrow_mut().remove(&who(CALLERS[caller]));
    }
}

/// The part of a schedule in which nothing goes wrong any more: whoever has a new token is served as
/// who they are, and when nobody comes any more, nothing is kept.
fn recover(crowd: &Crowd) -> Result<(), String> {
    let (shared, world) = (&crowd.site.shared, &crowd.site.shared.world);
    shared.provider.chaos.set(0);
    shared.provider.slow.set(0);
    shared.provider.down.set(false);
    shared.provider.refuses_all.set(false);
    shared.provider.denied.borrow_mut().clear();
    shared.objects.failures.set(0);
    shared.objects.losses.set(0);
    // What is under way ends, and so do the waits of outages.
    world.run_for(Duration::from_mins(10));
    for (caller, of) in CALLERS.into_iter().enumerate() {
        for connection in CONNECTIONS {
            // A token that was issued later than what was refused is tried at once.
            let life = 3 * 3600 + world.unique();
            let token = crowd.issue(caller, life);
            let answers = [(); 3].map(|()| crowd.ask(caller, connection, &token).status);
            if answers != [200; 3] {
                return Err(format!("recovery: {} is answered {answers:?}", who(of)));
            }
        }
    }
    world.run_for(Duration::from_hours(6));
    for name in shared.objects.names("exchanged/") {
        if !shared.objects.texts(&name).is_empty() || shared.objects.alarm(&name).is_some() {
            return Err(format!("nothing-kept: {name} is kept after its end"));
        }
    }
    crowd.broken().map_or(Ok(()), Err)
}

/// Searches all that was written for what nobody may see.
fn search(crowd: &Crowd) -> Result<(), String> {
    let shared = &crowd.site.shared;
    let mut seen = shared.logs.borrow().join("\n");
    seen.push_str(&shared.objects.written.borrow().join("\n"));
    seen.push_str(&shared.objects.names("").join("\n"));
    for (name, record) in shared.cache.dump() {
        assert!(name.starts_with("issuer-keys/"), "nothing of a caller is cached: {name}");
        seen.extend([name, record]);
    }
    let mut secrets = shared.provider.issued.borrow().clone();
    secrets.extend(crowd.tokens.iter().flat_map(|tokens| tokens.borrow().clone()));
    secrets.extend(CALLERS.map(|(_, name)| format!("\"{name}\"")));
    match secrets.iter().find(|secret| seen.contains(secret.as_str())) {
        Some(secret) => Err(format!("nothing-secret: {secret} was written")),
        None => Ok(()),
    }
}

#[test]
fn keeps_every_invariant_in_any_schedule_of_exchanges() {
    run_seeds("exchanges", number("PORTEIRO_SEEDS").unwrap_or(SEEDS), run);
}

#[test]
fn runs_the_same_schedule_of_exchanges_for_the_same_seed() {
    let trace = |seed| {
        let crowd = Crowd::new(seed);
        let plan = Plan::draw(&crowd.site);
        let broken = rage(&crowd, &plan);
        let shared = &crowd.site.shared;
        let requests = shared.provider.requests.borrow().clone();
        (broken, requests, shared.logs.borrow().clone(), shared.objects.written.borrow().clone())
    };
    for seed in 0..10 {
        assert!(trace(seed) == trace(seed), "seed {seed}");
    }
}
