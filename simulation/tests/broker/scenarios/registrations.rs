//! Random schedules of everything that can happen to registered connections.
//!
//! `PORTEIRO_SEEDS=100000 cargo test --release of_registrations` runs so many;
//! `PORTEIRO_SEED=17 cargo test of_registrations` runs that one again.

mod schedule;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use serde_json::{Value, json};

use porteiro::time::UnixTime;
use porteiro_simulation::{Answered, Call, Change, Grants, PROVIDER, Site};

use super::seeds::{index, number, run_seeds};
use schedule::{rage, run};

/// Seeds run where nothing else is asked for.
const SEEDS: u64 = 500;

/// Seconds that a request may take, at most: some messages, each with two token
/// requests at most that time out.
const LONGEST_REQUEST: u64 = 90;

/// The ids, in the order of their bytes: they are not in the order of words.
const IDS: [&str; 8] = ["0", "9x", "B", "Z-1", "a", "a-b", "aB", "a_b"];

/// The connection of the configuration.
const CONFIGURED: &str = "acme";

/// What one schedule does, drawn from its seed.
struct Plan {
    isolates: u64,
    /// How many of the ids are used.
    ids: u64,
    bursts: u64,
    largest_burst: u64,
    /// Mean milliseconds between bursts.
    pause: u64,
    /// How often, per 100,000 steps, an object ends, and an isolate.
    object_ends: u64,
    isolate_ends: u64,
    /// How often, per 1,000 requests, each of them is made; the others are calls.
    registrations: u64,
    removals: u64,
    readings: u64,
}

impl Plan {
    fn draw(site: &Site) -> Self {
        let world = &site.shared.world;
        let sometimes = |per_mille| if world.happens(500) { world.below(per_mille) } else { 0 };
        site.shared.cache.failures.set(sometimes(200));
        site.shared.objects.failures.set(sometimes(100));
        site.shared.objects.losses.set(sometimes(100));
        site.shared.objects.instant.set(world.happens(300));
        Self {
            isolates: 1 + world.below(4),
            ids: 1 + world.below(IDS.len() as u64),
            bursts: 5 + world.below(40),
            largest_burst: 1 + world.below(6),
            pause: [20, 100, 3_000, 30_000][index(world, 4)],
            object_ends: sometimes(3_000),
            isolate_ends: sometimes(2_000),
            registrations: 100 + world.below(300),
            removals: 50 + world.below(300),
            readings: 50 + world.below(150),
        }
    }
}

/// What a request is for.
#[derive(Clone, Debug)]
enum Deed {
    Register { id: &'static str, registration: Value },
    Remove { id: &'static str },
    Call { id: &'static str },
}

impl Deed {
    const fn change(&self) -> Option<(&'static str, Change)> {
        match self {
            Self::Register { id, .. } => Some((id, Change::Register)),
            Self::Remove { id } => Some((id, Change::Remove)),
            Self::Call { .. } => None,
        }
    }

    fn call(&self) -> Call {
        match self {
            Self::Register { id, registration } => {
                admin("PUT", &format!("/{id}")).text(&registration.to_string())
            }
            Self::Remove { id } => admin("DELETE", &format!("/{id}")),
            Self::Call { id } => Call::get(&format!("/api/{id}/things")),
        }
    }

    const fn known_answers(&self) -> &'static [u16] {
        match self {
            Self::Register { .. } => &[200, 201, 503],
            Self::Remove { .. } => &[204, 404, 503],
            Self::Call { .. } => &[200, 404, 502, 503, 504],
        }
    }
}

/// A request of an operator below the list of connections.
fn admin(method: &'static str, below: &str) -> Call {
    let key = format!("Bearer {}", Site::OPERATOR_KEY);
    Call::get(&format!("/admin/connections{below}")).method(method).field("authorization", &key)
}

/// A connection whose address tells its id, and which of those called so it is.
fn registration(id: &str, number: u64) -> Value {
    let mut registration = Site::variables()["CONNECTIONS"][CONFIGURED].clone();
    registration["base_url"] = format!("https://api.acme.example/of/{id}/{number}").into();
    registration["secrets"] = json!({ "username": "ana@example.com", "password": "pass word" });
    registration
}

/// A request that changes a connection; it tells the watch when it is over,
/// however it ends.
struct UnderWay {
    site: Rc<Site>,
    id: &'static str,
    change: Change,
    begun_at: UnixTime,
    /// Whether it was answered, and is done.
    done: Option<bool>,
}

impl UnderWay {
    fn begin(site: &Rc<Site>, id: &'static str, change: Change) -> Self {
        let begun_at = site.shared.world.now();
        site.shared.registry_watch.change_begins(id, change, begun_at);
        Self { site: Rc::clone(site), id, change, begun_at, done: None }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let shared = &self.site.shared;
        shared.registry_watch.change_ends(self.id, self.change, self.begun_at, self.done, shared.world.now());
    }
}

/// A site, and its operators and callers.
struct Office {
    site: Rc<Site>,
    begun: Cell<u64>,
    wrong: Rc<RefCell<Option<String>>>,
}

impl Office {
    fn new(seed: u64) -> Self {
        let grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };
        let mut variables = Site::variables();
        variables["ADMIN_KEY"] = Site::OPERATOR_KEY.into();
        let site = Rc::new(Site::with_variables(seed, grants, &variables));
        Self { site, begun: Cell::new(0), wrong: Rc::default() }
    }

    fn broken(&self) -> Option<String> {
        self.site.shared.registry_watch.broken().or_else(|| self.wrong.borrow().clone())
    }

    fn isolate(&self, plan: &Plan) -> u32 {
        1 + u32::try_from(self.site.shared.world.below(plan.isolates)).expect("few isolates")
    }

    /// An operator or a caller does something.
    fn act(&self, plan: &Plan) {
        let world = &self.site.shared.world;
        let (isolate, id) = (self.isolate(plan), IDS[index(world, plan.ids)]);
        let drawn = world.below(1000);
        if drawn < plan.registrations {
            self.begin(isolate, Deed::Register { id, registration: registration(id, world.unique()) });
        } else if drawn < plan.registrations + plan.removals {
            self.begin(isolate, Deed::Remove { id });
        } else if drawn < plan.registrations + plan.removals + plan.readings {
            self.begin_reading(plan);
        } else {
            self.begin(isolate, Deed::Call { id });
        }
    }

    fn begin(&self, isolate: u32, deed: Deed) {
        self.begun.set(self.begun.get() + 1);
        let under_way = deed.change().map(|(id, change)| UnderWay::begin(&self.site, id, change));
        let calling = self.site.calling(isolate, &deed.call());
        let (site, wrong, since) =
            (Rc::clone(&self.site), Rc::clone(&self.wrong), self.site.shared.world.now());
        self.site.shared.world.spawn(isolate, async move {
            let answered = calling.await;
            if let Some(mut under_way) = under_way {
                under_way.done = Some(is_done(answered.status));
            }
            let took = site.shared.world.now().since(since).as_secs();
            if let Some(what) = what_is_wrong(&deed, &answered, took) {
                wrong.borrow_mut().get_or_insert(what);
            }
        });
    }

    /// Does something by itself, and waits for its end.
    fn ask(&self, isolate: u32, deed: &Deed) -> Answered {
        let under_way = deed.change().map(|(id, change)| UnderWay::begin(&self.site, id, change));
        let answered = self.site.call(isolate, &deed.call());
        if let Some(mut under_way) = under_way {
            under_way.done = Some(is_done(answered.status));
        }
        if let Some(what) = what_is_wrong(deed, &answered, 0) {
            self.wrong.borrow_mut().get_or_insert(what);
        }
        answered
    }

    /// An operator reads all pages of the list, or of those that contain a part.
    fn begin_reading(&self, plan: &Plan) {
        let world = &self.site.shared.world;
        let part = if world.happens(300) { ["a", "-", "B"][index(world, 3)] } else { "" };
        self.begun.set(self.begun.get() + 1);
        let (site, wrong, isolates) = (Rc::clone(&self.site), Rc::clone(&self.wrong), plan.isolates);
        world.spawn(PROVIDER, async move {
            if let Err(what) = read_all(&site, isolates, part).await {
                wrong.borrow_mut().get_or_insert(what);
            }
        });
    }
}

/// Reads all pages, each from an isolate that is drawn, and tells the watch; an
/// error is what is wrong. Whether every page was answered.
async fn read_all(site: &Rc<Site>, isolates: u64, part: &str) -> Result<bool, String> {
    let world = &site.shared.world;
    let (since, limit) = (world.now(), 1 + world.below(5));
    let (mut ids, mut after): (Vec<String>, _) = (Vec::new(), String::new());
    for _ in 0..100 {
        let isolate = 1 + u32::try_from(world.below(isolates)).expect("few isolates");
        let page = admin("GET", &format!("?limit={limit}&after={after}&q={part}"));
        let Some(answered) = in_isolate(site, isolate, &page).await else { return Ok(false) };
        match answered.status {
            200 => {}
            503 => return Ok(false),
            status => return Err(format!("known-answers: a page is answered {status}")),
        }
        let json = answered.json();
        let entries = json["connections"].as_array().expect("connections");
        if entries.len() as u64 > limit {
            return Err(format!("what-was-asked-for: {} entries of {limit}", entries.len()));
        }
        ids.extend(entries.iter().map(|entry| entry["id"].as_str().expect("an id").to_owned()));
        let Some(next) = json["next"].as_str() else {
            let is_configured_told = !CONFIGURED.contains(part) || ids.iter().any(|id| id == CONFIGURED);
            ids.retain(|id| id != CONFIGURED);
            site.shared.registry_watch.read(&ids, part, since);
            let lost = || "pages-lose-none: the configured connection is not told".to_owned();
            return if is_configured_told { Ok(true) } else { Err(lost()) };
        };
        next.clone_into(&mut after);
    }
    Err("pages-end: there are pages without end".to_owned())
}

/// The answer to a call in an isolate; nothing where that ends first.
async fn in_isolate(site: &Rc<Site>, isolate: u32, call: &Call) -> Option<Answered> {
    let (sender, receiver) = futures_channel::oneshot::channel();
    let calling = site.calling(isolate, call);
    site.shared.world.spawn(isolate, async move {
        let _ = sender.send(calling.await);
    });
    receiver.await.ok()
}

/// Whether an operator was told that a change is done: also that there was
/// nothing to be removed.
const fn is_done(status: u16) -> bool {
    matches!(status, 200 | 201 | 204 | 404)
}

fn what_is_wrong(deed: &Deed, answered: &Answered, took: u64) -> Option<String> {
    if !deed.known_answers().contains(&answered.status) {
        return Some(format!("known-answers: {} {} ({deed:?})", answered.status, answered.body));
    }
    (took > LONGEST_REQUEST).then(|| format!("bounded-wait: a request takes {took} s ({deed:?})"))
}

#[test]
fn keeps_every_invariant_in_any_schedule_of_registrations() {
    run_seeds("registrations", number("PORTEIRO_SEEDS").unwrap_or(SEEDS), run);
}

#[test]
fn runs_the_same_schedule_of_registrations_for_the_same_seed() {
    let trace = |seed| {
        let office = Office::new(seed);
        let plan = Plan::draw(&office.site);
        let broken = rage(&office, &plan);
        let shared = &office.site.shared;
        let calls = shared.upstream_calls.borrow().clone();
        (broken, calls, shared.logs.borrow().clone(), shared.objects.written.borrow().clone())
    };
    for seed in 0..10 {
        assert!(trace(seed) == trace(seed), "seed {seed}");
    }
}
