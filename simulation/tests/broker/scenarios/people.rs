//! Random schedules of everything that can happen to people who sign in.
//!
//! `PORTEIRO_SEEDS=100000 cargo test --release of_people` runs so many;
//! `PORTEIRO_SEED=17 cargo test of_people` runs that one again.

mod schedule;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use schedule::{rage, run};

use porteiro::edge::people::cookie::COOKIE;
use porteiro::time::UnixTime;
use porteiro_simulation::{Answered, Call, Grants, Site, Visit};

use super::rage::{self, Pace};
use super::seeds::{index, number, run_seeds};

/// Seeds run where nothing else is asked for.
const SEEDS: u64 = 500;

/// Every so many seeds, all that was written is searched for secrets.
const SEARCHED: u64 = 8;

/// Seconds that a request may take, at most: the wait for a turn, two token
/// requests that time out, on each of two asks, and what is on the way.
const LONGEST_REQUEST: u64 = 90;

const PEOPLE: [&str; 3] = ["ana", "bia", "caio"];

const CONNECTIONS: [&str; 2] = ["acme", "bolt"];

/// What one schedule does, drawn from its seed.
struct Plan {
    isolates: u64,
    seconds: u64,
    /// Mean milliseconds between bursts.
    pause: u64,
    largest_burst: u64,
    /// How often, per 100,000 steps, an object ends, and an isolate.
    object_ends: u64,
    isolate_ends: u64,
    /// How often, per 1,000 requests, each of them is made; the others are calls.
    sign_ins: u64,
    guesses: u64,
    sign_outs: u64,
    lists: u64,
    /// How often, per 1,000 bursts, each thing happens at the provider.
    revokes: u64,
    outages: u64,
    refusals: u64,
}

impl Plan {
    fn draw(site: &Site) -> Self {
        let world = &site.shared.world;
        let life = [30, 90, 300, 900, 3600][index(world, 5)];
        let refresh_tokens = world.happens(800);
        let rotation = world.happens(700);
        let reuse_detection = rotation && world.happens(600);
        site.shared.provider.grants.set(Grants {
            expires_in: life,
            refresh_tokens,
            rotation,
            reuse_detection,
        });
        let mut variables = Site::variables_for_people();
        let (idle, longest) = ([60, 300, 43_200][index(world, 3)], [600, 3600, 604_800][index(world, 3)]);
        variables["SESSION_IDLE_SECONDS"] = idle.into();
        variables["SESSION_MAX_SECONDS"] = longest.into();
        site.redeploy(&variables);
        site.shared.crowd.limits.set(Some((Duration::from_secs(idle), Duration::from_secs(longest))));
        let sometimes = |per_mille| if world.happens(500) { world.below(per_mille) } else { 0 };
        site.shared.provider.chaos.set(sometimes(200));
        site.shared.provider.slow.set(sometimes(600));
        site.shared.objects.failures.set(sometimes(60));
        site.shared.objects.losses.set(sometimes(60));
        site.shared.objects.instant.set(world.happens(200));
        site.shared.objects.no_alarms.set(!world.happens(700));
        Self {
            isolates: 1 + world.below(3),
            seconds: life.min(900) * (2 + world.below(3)),
            pause: [30, 300, 3000, 30_000][index(world, 4)],
            largest_burst: 1 + world.below(6),
            object_ends: sometimes(600),
            isolate_ends: sometimes(300),
            sign_ins: 50 + world.below(300),
            guesses: sometimes(200),
            sign_outs: world.below(100),
            lists: world.below(100),
            revokes: sometimes(60),
            outages: sometimes(40),
            refusals: sometimes(40),
        }
    }
}

fn username(person: &str) -> String {
    format!("{person}@example.com")
}

fn password(person: &str) -> String {
    format!("{person}'s password")
}

/// A browser: its cookie, and those that it had before.
#[derive(Default)]
struct Browser {
    cookies: RefCell<Vec<String>>,
    has_cookie: Cell<bool>,
}

impl Browser {
    fn jar(&self) -> Option<String> {
        self.cookies.borrow().last().filter(|_| self.has_cookie.get()).cloned()
    }

    /// Takes the cookies of an answer.
    fn take(&self, answered: &Answered) {
        if let Some(cookie) = answered.cookie() {
            self.cookies.borrow_mut().push(cookie.to_owned());
            self.has_cookie.set(true);
        } else if answered.field("set-cookie").is_some() {
            self.has_cookie.set(false);
        }
    }
}

/// What a request is for.
#[derive(Clone, Debug)]
enum Deed {
    Call { connection: &'static str },
    SignIn { connection: &'static str, person: &'static str },
    Guess { guess: String, address: String },
    SignOut,
    List,
}

/// Tells the watch when a request is over, however it ends.
struct Presence {
    site: Rc<Site>,
    visit: Visit,
    since: UnixTime,
    is_answered: bool,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let shared = &self.site.shared;
        shared.crowd.left(&self.visit, self.is_answered, shared.world.now());
    }
}

struct Crowd {
    site: Rc<Site>,
    browsers: Vec<Rc<Browser>>,
    begun: Cell<u64>,
    wrong: Rc<RefCell<Option<String>>>,
}

impl Crowd {
    fn new(seed: u64) -> Self {
        let grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };
        let site = Rc::new(Site::for_people(seed, grants));
        let browsers = (0..3).map(|_| Rc::default()).collect();
        Self { site, browsers, begun: Cell::new(0), wrong: Rc::default() }
    }

    fn broken(&self) -> Option<String> {
        self.site.shared.crowd.broken().or_else(|| self.wrong.borrow().clone())
    }

    /// Somebody does something.
    fn act(&self, plan: &Plan) {
        let world = &self.site.shared.world;
        let browser = Rc::clone(&self.browsers[index(world, self.browsers.len() as u64)]);
        let connection = CONNECTIONS[index(world, 2)];
        let mut drawn = world.below(1000);
        let mut is = |per_mille: u64| {
            let hit = drawn < per_mille;
            drawn = drawn.saturating_sub(per_mille);
            if hit {
                drawn = 1000;
            }
            hit
        };
        let deed = if is(plan.sign_ins) {
            Deed::SignIn { connection, person: PEOPLE[index(world, 3)] }
        } else if is(plan.guesses) {
            let address = format!("192.0.2.{}", 1 + world.below(8));
            Deed::Guess { guess: format!("a guess from {address} number {}", world.unique()), address }
        } else if is(plan.sign_outs) {
            Deed::SignOut
        } else if is(plan.lists) {
            Deed::List
        } else {
            Deed::Call { connection }
        };
        // Some have kept a cookie that is no longer theirs.
        let kept = browser.cookies.borrow().get(index(world, 8)).cloned().filter(|_| world.happens(100));
        let cookie = kept.or_else(|| browser.jar());
        let isolate = 1 + u32::try_from(world.below(plan.isolates)).expect("few isolates");
        self.begin(isolate, &browser, &deed, cookie.as_deref());
    }

    /// The request that `deed` takes.
    fn call(&self, deed: &Deed) -> Call {
        let world = &self.site.shared.world;
        match deed {
            Deed::Call { connection } => Call::from_page("GET", &format!("/api/{connection}/things")),
            Deed::SignIn { connection, person } => {
                Call::sign_in(connection, &username(person), &password(person))
            }
            Deed::Guess { guess, address } => {
                let name = ["ana@example.com", "ANA@example.com ", "nobody@example.com"][index(world, 3)];
                Call::sign_in(CONNECTIONS[index(world, 2)], name, guess).field("cf-connecting-ip", address)
            }
            Deed::SignOut => Call::from_page("POST", "/auth/logout"),
            Deed::List => Call::from_page("GET", "/auth/session"),
        }
    }

    fn begin(&self, isolate: u32, browser: &Rc<Browser>, deed: &Deed, cookie: Option<&str>) {
        let world = &self.site.shared.world;
        let call = self.call(deed).cookie(cookie);
        let header = cookie.map(|value| format!("{COOKIE}={value}"));
        let visit = Visit::new(header.as_deref(), world.now());
        self.site.shared.crowd.came(&visit);
        let mut presence =
            Presence { site: Rc::clone(&self.site), visit, since: world.now(), is_answered: false };
        let (calling, browser, deed) = (self.site.calling(isolate, &call), Rc::clone(browser), deed.clone());
        let wrong = Rc::clone(&self.wrong);
        self.begun.set(self.begun.get() + 1);
        world.spawn(isolate, async move {
            let answered = calling.await;
            presence.is_answered = true;
            if let Some(what) = judge(&presence, &deed, &answered) {
                wrong.borrow_mut().get_or_insert(format!("{what} ({deed:?})"));
            }
            browser.take(&answered);
        });
    }

    /// Does something by itself, and waits for its end.
    fn ask(&self, browser: &Rc<Browser>, deed: &Deed) -> Answered {
        let call = self.call(deed).cookie(browser.jar().as_deref());
        let header = browser.jar().map(|value| format!("{COOKIE}={value}"));
        let now = self.site.shared.world.now();
        let visit = Visit::new(header.as_deref(), now);
        self.site.shared.crowd.came(&visit);
        let answered = self.site.call(1, &call);
        let presence = Presence { site: Rc::clone(&self.site), visit, since: now, is_answered: true };
        if let Some(what) = judge(&presence, deed, &answered) {
            self.wrong.borrow_mut().get_or_insert(format!("{what} ({deed:?})"));
        }
        browser.take(&answered);
        answered
    }
}

/// Tells the watch of an answer; what is wrong with it.
fn judge(presence: &Presence, deed: &Deed, answered: &Answered) -> Option<String> {
    let shared = &presence.site.shared;
    let (crowd, now) = (&shared.crowd, shared.world.now());
    let known: &[u16] = match deed {
        Deed::Call { .. } => &[200, 401, 502, 503, 504],
        Deed::SignIn { .. } => &[200, 429, 502, 503, 504],
        Deed::Guess { .. } => &[401, 429, 502, 503, 504],
        Deed::SignOut => &[204, 503],
        Deed::List => &[200, 401, 503],
    };
    match (deed, answered.status) {
        (Deed::SignIn { connection, person }, 200) => {
            let cookie = answered.cookie().expect("a sign-in gives a cookie");
            crowd.signed_in(&presence.visit, cookie, connection, &username(person), now);
        }
        (Deed::Guess { guess, .. }, 401) => crowd.told(guess),
        (Deed::SignOut, 204) => crowd.signed_out(&presence.visit, now),
        (Deed::List, 200) => {
            let json = answered.json();
            let list = json["connections"].as_array().expect("connections");
            let ids: Vec<String> =
                list.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect();
            crowd.listed(&presence.visit, &ids, now);
        }
        _ => {}
    }
    let took = now.since(presence.since).as_secs();
    if !known.contains(&answered.status) {
        return Some(format!("known-answers: {} {}", answered.status, answered.body));
    }
    (took > LONGEST_REQUEST).then(|| format!("bounded-wait: a request takes {took} s"))
}

#[test]
fn keeps_every_invariant_in_any_schedule_of_people() {
    run_seeds("people", number("PORTEIRO_SEEDS").unwrap_or(SEEDS), run);
}

#[test]
fn runs_the_same_schedule_of_people_for_the_same_seed() {
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
