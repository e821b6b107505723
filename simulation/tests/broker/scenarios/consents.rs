//! Random schedules of everything that can happen to people who consent at the provider, and to
//! connections that somebody connects for all callers.
//!
//! `PORTEIRO_SEEDS=100000 cargo test --release of_consents` runs so many;
//! `PORTEIRO_SEED=17 cargo test of_consents` runs that one again.

mod browser;
mod flow;
mod recovery;
mod schedule;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_channel::oneshot;
use serde_json::json;

use browser::Browser;
use recovery::{recover, search};
use schedule::{Plan, rage};

use porteiro::time::UnixTime;
use porteiro_simulation::{Answered, Call, Grants, Site, World};

use super::rage::{self, Pace};
use super::seeds::{index, number, run_seeds};

/// Seeds run where nothing else is asked for.
const SEEDS: u64 = 500;

/// Every so many seeds, all that was written is searched for secrets.
const SEARCHED: u64 = 8;

/// Seconds that a request may take, at most.
const LONGEST_REQUEST: u64 = 120;

const PEOPLE: [&str; 3] = ["ana-of-the-provider", "bia-of-the-provider", "caio-of-the-provider"];

/// The connections of people: the last one has no ID tokens.
const CONNECTIONS: [&str; 3] = ["acme", "bolt", "cargo"];

/// The connection that somebody connects for all callers.
const SERVICE: &str = "depot";

struct Crowd {
    site: Rc<Site>,
    browsers: Vec<Rc<Browser>>,
    isolates: Cell<u64>,
    begun: Cell<u64>,
    wrong: RefCell<Option<String>>,
    /// The secrets of links.
    links: RefCell<Vec<String>>,
}

impl Crowd {
    fn new(seed: u64) -> Rc<Self> {
        let grants = Grants { expires_in: 3600, refresh_tokens: true, rotation: true, reuse_detection: true };
        let site = Rc::new(Site::for_consents(seed, grants));
        let browsers = (0..4).map(|number| Rc::new(Browser::new(number))).collect();
        let (begun, wrong, links) = (Cell::new(0), RefCell::default(), RefCell::default());
        Rc::new(Self { site, browsers, isolates: Cell::new(1), begun, wrong, links })
    }

    fn world(&self) -> &World {
        &self.site.shared.world
    }

    fn broken(&self) -> Option<String> {
        let shared = &self.site.shared;
        let violation = || shared.provider.consents.violation.borrow().clone();
        let wrong = || self.wrong.borrow().clone();
        shared.consents.broken().or_else(|| shared.crowd.broken()).or_else(violation).or_else(wrong)
    }

    fn fail(&self, what: &str) {
        self.wrong.borrow_mut().get_or_insert_with(|| what.to_owned());
    }

    /// Sends a request to some isolate; `None` where that isolate ends meanwhile.
    async fn request(&self, call: Call) -> Option<Answered> {
        let world = self.world();
        let isolate = 1 + u32::try_from(world.below(self.isolates.get())).expect("few isolates");
        let calling = self.site.calling(isolate, &call);
        let (sender, receiver) = oneshot::channel();
        self.begun.set(self.begun.get() + 1);
        let since = world.now();
        world.spawn(isolate, async move {
            let _ = sender.send(calling.await);
        });
        let answered = receiver.await.ok()?;
        let took = world.now().since(since).as_secs();
        if took > LONGEST_REQUEST {
            self.fail(&format!("bounded-wait: {} {} takes {took} s", call.method, call.target));
        }
        Some(answered)
    }

    /// Fails unless the status is one of `known`.
    fn expect(&self, call: &str, answered: &Answered, known: &[u16]) {
        if !known.contains(&answered.status) {
            self.fail(&format!("known-answers: {call}: {} {}", answered.status, answered.body));
        }
    }

    /// A person's call.
    async fn call(&self, browser: &Browser, connection: &str) -> Option<Answered> {
        let call = browser.page("GET", &format!("/api/{connection}/things"));
        let answered = self.request(call).await?;
        self.expect("a call", &answered, &[200, 401, 502, 503, 504]);
        Some(answered)
    }

    async fn list(&self, browser: &Browser) -> Option<Answered> {
        let answered = self.request(browser.page("GET", "/auth/session")).await?;
        self.expect("a list", &answered, &[200, 401, 503]);
        Some(answered)
    }

    async fn disconnect(&self, browser: &Browser, connection: &str) -> Option<Answered> {
        let answered = self.request(browser.page("DELETE", &format!("/auth/{connection}"))).await?;
        self.expect("a disconnection", &answered, &[204, 503]);
        Some(answered)
    }

    async fn sign_out(&self, browser: &Browser) -> Option<Answered> {
        let answered = self.request(browser.page("POST", "/auth/logout")).await?;
        self.expect("a sign-out", &answered, &[204, 503]);
        browser.take(&self.site, &answered);
        Some(answered)
    }

    /// A logout by the provider, of a person everywhere or of their session there.
    async fn log_out(&self, connection: &str, subject: Option<&str>, sid: Option<&str>) -> Option<Answered> {
        let (shared, begun_at) = (&self.site.shared, self.world().now());
        let token = shared.provider.logout_token(connection, subject, sid);
        let call = Call::get(&format!("/auth/{connection}/backchannel-logout"))
            .method("POST")
            .field("authorization", "")
            .field("content-type", "application/x-www-form-urlencoded")
            .text(&format!("logout_token={token}"));
        let answered = self.request(call).await?;
        // Without the keys of its issuer, no logout token is valid.
        self.expect("a logout", &answered, &[200, 400, 503]);
        self.note_logout(&answered, connection, (subject, sid), begun_at);
        Some(answered)
    }

    /// An operator's sign-out of a person.
    async fn expel(&self, connection: &str, subject: &str) -> Option<Answered> {
        let begun_at = self.world().now();
        let body = json!({ "connection": connection, "subject": subject }).to_string();
        let call = operator("/admin/people/sign-out").text(&body);
        let answered = self.request(call).await?;
        self.expect("an operator's sign-out", &answered, &[200, 503]);
        self.note_logout(&answered, connection, (Some(subject), None), begun_at);
        Some(answered)
    }

    fn note_logout(
        &self,
        answered: &Answered,
        connection: &str,
        whom: (Option<&str>, Option<&str>),
        begun_at: UnixTime,
    ) {
        if answered.status == 200 {
            let span = (begun_at, self.world().now());
            self.site.shared.consents.logged_out(connection, whom, span);
        }
    }

    /// A call of the service's caller.
    async fn serve(&self) -> Option<Answered> {
        let answered = self.request(Call::get(&format!("/api/{SERVICE}/things"))).await?;
        self.expect("a service's call", &answered, &[200, 502, 503, 504]);
        Some(answered)
    }
}

fn operator(target: &str) -> Call {
    Call::get(target)
        .method("POST")
        .field("authorization", &format!("Bearer {}", Site::OPERATOR_KEY))
        .field("content-type", "application/json")
}

/// Runs one schedule to its end, or to the first broken invariant.
fn run(seed: u64) -> Result<u64, String> {
    let crowd = Crowd::new(seed);
    let plan = Plan::draw(&crowd);
    rage(&crowd, &plan)?;
    // What was broken before is why somebody is not served.
    recover(&crowd).map_err(|missed| crowd.broken().unwrap_or(missed))?;
    if seed.is_multiple_of(SEARCHED) {
        search(&crowd)?;
    }
    Ok(crowd.begun.get())
}

#[test]
fn keeps_every_invariant_in_any_schedule_of_consents() {
    run_seeds("consents", number("PORTEIRO_SEEDS").unwrap_or(SEEDS), run);
}

#[test]
fn runs_the_same_schedule_of_consents_for_the_same_seed() {
    let trace = |seed| {
        let crowd = Crowd::new(seed);
        let plan = Plan::draw(&crowd);
        let broken = rage(&crowd, &plan);
        let shared = &crowd.site.shared;
        let requests = shared.provider.requests.borrow().clone();
        (broken, requests, shared.logs.borrow().clone(), shared.objects.written.borrow().clone())
    };
    for seed in 0..10 {
        assert!(trace(seed) == trace(seed), "seed {seed}");
    }
}
