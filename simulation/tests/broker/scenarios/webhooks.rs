//! Random schedules of everything that can happen to webhooks.
//!
//! `PORTEIRO_SEEDS=100000 cargo test --release of_webhooks` runs so many;
//! `PORTEIRO_SEED=17 cargo test of_webhooks` runs that one again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use porteiro::protocol::List;
use serde_json::Value;

use porteiro_simulation::{Call, Event, Manner, Objects, PROVIDER, Site, deliveries};

use super::seeds::{index, number, run_seeds};

/// Seeds run where nothing else is asked for.
const SEEDS: u64 = 300;

const ISOLATES: u32 = 3;

/// What recovery may take: the longest pause that a receiver may ask for, and
/// some attempts.
const RECOVERY: Duration = Duration::from_hours(26);

const OLD_KEY: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const NEW_KEY: &str = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

/// What one schedule does, drawn from its seed.
struct Plan {
    bursts: u64,
    largest_burst: u64,
    /// Mean milliseconds between bursts.
    pause: u64,
    /// How often, per 1,000 bursts, hours pass in which nobody sends anything.
    long_pauses: u64,
    /// How often, per 1,000 events, one comes that came before.
    duplicates: u64,
    /// How often, per 100,000 steps, an object ends, and an isolate.
    object_ends: u64,
    isolate_ends: u64,
    /// How often, per 1,000 bursts, each thing happens.
    outages: u64,
    misconfigurations: u64,
    operators: u64,
}

impl Plan {
    fn draw(site: &Site) -> Self {
        let world = &site.shared.world;
        let sometimes = |per_mille| if world.happens(500) { world.below(per_mille) } else { 0 };
        site.shared.receiver.chaos.set(sometimes(500));
        site.shared.objects.failures.set(sometimes(60));
        site.shared.objects.losses.set(sometimes(60));
        site.shared.objects.instant.set(world.happens(300));
        Self {
            bursts: 2 + world.below(14),
            largest_burst: [1, 3, 8, 60][index(world, 4)],
            pause: [100, 5_000, 60_000, 1_800_000][index(world, 4)],
            long_pauses: sometimes(200),
            duplicates: world.below(500),
            object_ends: sometimes(2_000),
            isolate_ends: sometimes(500),
            outages: sometimes(400),
            misconfigurations: sometimes(100),
            operators: sometimes(300),
        }
    }
}

/// A site, and all that were there to send it something.
struct Traffic {
    site: Rc<Site>,
    /// Whether the sender signs its events, and puts no account token into them.
    is_signed: bool,
    /// How many events there are.
    events: Cell<u64>,
    begun: Cell<u64>,
    wrong: Rc<RefCell<Option<String>>>,
}

impl Traffic {
    fn new(seed: u64) -> Self {
        let (site, is_signed) = (Rc::new(Site::for_webhooks(seed)), seed % 3 == 2);
        let traffic =
            Self { site, is_signed, events: Cell::new(0), begun: Cell::new(0), wrong: Rc::default() };
        traffic.site.redeploy(&traffic.variables());
        traffic
    }

    fn variables(&self) -> Value {
        if self.is_signed { Site::variables_for_signed_webhooks() } else { Site::variables_for_webhooks() }
    }

    fn event(&self, number: u64) -> Event {
        let event = Event::new(number);
        if self.is_signed { event.without_token() } else { event }
    }

    fn broken(&self) -> Option<String> {
        self.site.shared.delivery_watch.broken().or_else(|| self.wrong.borrow().clone())
    }

    fn verdict(&self) -> Result<(), String> {
        self.broken().map_or(Ok(()), Err)
    }

    /// Somebody sends an event, and perhaps again where it is not acknowledged.
    fn send(&self, plan: &Plan) {
        let world = &self.site.shared.world;
        let known = self.events.get();
        let number = if known > 0 && world.happens(plan.duplicates) {
            world.below(known)
        } else {
            self.events.set(known + 1);
            known
        };
        self.begun.set(self.begun.get() + 1);
        let (event, patience) = (self.event(number), world.below(4));
        let (site, wrong) = (Rc::clone(&self.site), Rc::clone(&self.wrong));
        world.spawn(PROVIDER, async move {
            for _ in 0..=patience {
                let world = &site.shared.world;
                let isolate = 1 + u32::try_from(world.below(ISOLATES.into())).expect("few isolates");
                match arriving(&site, isolate, &event).await {
                    Some(202) => return,
                    Some(503) | None => {}
                    Some(status) => {
                        wrong.borrow_mut().get_or_insert(format!("known-answers: an event gets {status}"));
                    }
                }
                world.sleep(Duration::from_secs(world.below(90))).await;
            }
        });
    }

    /// The operator looks, or has one or all sent again that failed.
    fn operate(&self) {
        let world = &self.site.shared.world;
        let failed = self.site.shared.objects.records("acme", List::Failed);
        let any = failed.get(index(world, failed.len() as u64)).map(|record| record.id.clone());
        let (method, below, known) = match (world.below(3), any) {
            (0, _) => ("GET", String::new(), [200, 503, 503]),
            (1, Some(id)) => ("POST", format!("/{id}/send"), [202, 404, 503]),
            _ => ("POST", "/send".to_owned(), [202, 503, 503]),
        };
        let (calling, wrong) =
            (self.site.calling(1, &Call::operator(method, &below)), Rc::clone(&self.wrong));
        world.spawn(1, async move {
            let status = calling.await.status;
            if !known.contains(&status) {
                wrong.borrow_mut().get_or_insert(format!("known-answers: an operator gets {status}"));
            }
        });
    }

    /// Things that happen to the receiver, and to the configuration.
    fn disturb(&self, plan: &Plan) {
        let (world, receiver) = (&self.site.shared.world, &self.site.shared.receiver);
        let is_up = receiver.manner.get() == Manner::Answers(204);
        if world.happens(if is_up { plan.outages } else { 300 }) {
            let down = [
                Manner::Unreachable,
                Manner::Answers(500),
                Manner::Silent,
                Manner::Lost,
                Manner::Slow(Duration::from_secs(20)),
            ];
            receiver.manner.set(if is_up { down[index(world, 5)] } else { Manner::Answers(204) });
        }
        if world.happens(plan.misconfigurations) {
            let changes = [
                ("ACME_WEBHOOK_SECRET", ""),
                ("SEALING_KEYS", ""),
                ("SEALING_KEYS", NEW_KEY),
                ("SEALING_KEYS", OLD_KEY),
            ];
            self.deploy(&[changes[index(world, 4)]]);
        } else if plan.misconfigurations > 0 && world.happens(300) {
            self.deploy(&[]);
        }
    }

    fn deploy(&self, changes: &[(&str, &str)]) {
        let mut variables = self.variables();
        variables["SEALING_KEYS"] = format!("{NEW_KEY},{OLD_KEY}").into();
        for (name, value) in changes {
            variables[*name] = (*value).into();
        }
        self.site.redeploy(&variables);
    }
}

/// The status that an event is answered; nothing where the isolate ends first.
async fn arriving(site: &Rc<Site>, isolate: u32, event: &Event) -> Option<u16> {
    let (sender, receiver) = futures_channel::oneshot::channel();
    let sending = site.sending(isolate, event);
    site.shared.world.spawn(isolate, async move {
        let _ = sender.send(sending.await.status);
    });
    receiver.await.ok()
}

/// Runs one schedule to its end, or to the first broken invariant.
fn run(seed: u64) -> Result<u64, String> {
    let traffic = Traffic::new(seed);
    let plan = Plan::draw(&traffic.site);
    rage(&traffic, &plan)?;
    // What was broken before is why an event is not delivered.
    recover(&traffic).map_err(|missed| traffic.broken().unwrap_or(missed))?;
    Ok(traffic.begun.get())
}

/// The part of a schedule in which things go wrong.
fn rage(traffic: &Traffic, plan: &Plan) -> Result<(), String> {
    let (site, world) = (&traffic.site, &traffic.site.shared.world);
    for _ in 0..plan.bursts {
        for _ in 0..=world.below(plan.largest_burst) {
            traffic.send(plan);
        }
        if world.happens(plan.operators) {
            traffic.operate();
        }
        traffic.disturb(plan);
        let hours = if world.happens(plan.long_pauses) { 1 + world.below(30) } else { 0 };
        let pause = Duration::from_millis(world.below(2 * plan.pause)) + Duration::from_hours(hours);
        let next = world.now() + pause;
        while world.step(next) {
            traffic.verdict()?;
            if world.below(100_000) < plan.object_ends {
                Objects::kill(&site.shared, &deliveries("acme"));
            }
            if world.below(100_000) < plan.isolate_ends {
                site.kill_isolate(1 + u32::try_from(world.below(ISOLATES.into())).expect("few isolates"));
            }
        }
        world.run_until(next);
        Objects::check_alarm(&site.shared, "acme");
    }
    traffic.verdict()
}

/// The part of a schedule in which nothing goes wrong any more: every event is
/// delivered, or was given up for a reason and is delivered when it is sent
/// again; and nothing is delivered twice.
fn recover(traffic: &Traffic) -> Result<(), String> {
    let (site, shared) = (&traffic.site, &traffic.site.shared);
    shared.receiver.chaos.set(0);
    shared.receiver.manner.set(Manner::Answers(204));
    shared.objects.failures.set(0);
    shared.objects.losses.set(0);
    traffic.deploy(&[]);
    // What is under way ends.
    shared.world.run_for(Duration::from_mins(10));
    let another = traffic.event(traffic.events.get());
    let answered = site.send(1, &another);
    if answered.status != 202 {
        return Err(format!("recovery: an event is answered {}", answered.status));
    }
    shared.world.run_for(RECOVERY);
    traffic.verdict()?;
    let count = |list| shared.objects.records("acme", list).len();
    if count(List::Pending) > 0 {
        return Err(format!("nothing-pending-for-ever: {} events are", count(List::Pending)));
    }
    shared.delivery_watch.check_end();
    let status = site.call(1, &Call::operator("POST", "/send")).status;
    shared.world.run_for(Duration::from_mins(10));
    if status != 202 || count(List::Pending) + count(List::Failed) > 0 {
        return Err(format!("recovery: sending all again is answered {status}"));
    }
    // All that is delivered comes once more, and is not delivered once more.
    let arrivals = shared.receiver.arrivals.borrow().len();
    for record in 0..traffic.events.get() {
        let answered = site.send(1, &traffic.event(record));
        if answered.status != 202 {
            return Err(format!("recovery: a duplicate is answered {}", answered.status));
        }
    }
    shared.world.run_for(Duration::from_mins(10));
    let new = shared.receiver.arrivals.borrow().len() - arrivals;
    // Those that were never acknowledged may have been lost.
    let lost = traffic.events.get() + 1 - (count(List::Delivered) - new) as u64;
    if new as u64 != lost {
        return Err(format!("delivered-once: {new} duplicates are delivered, {lost} events were lost"));
    }
    if let Some(secret) = site.secret_written() {
        return Err(format!("nothing-secret: {secret} was written"));
    }
    traffic.verdict()
}

#[test]
fn keeps_every_invariant_in_any_schedule_of_webhooks() {
    run_seeds("webhooks", number("PORTEIRO_SEEDS").unwrap_or(SEEDS), run);
}

#[test]
fn runs_the_same_schedule_of_webhooks_for_the_same_seed() {
    let trace = |seed| {
        let traffic = Traffic::new(seed);
        let plan = Plan::draw(&traffic.site);
        let broken = rage(&traffic, &plan);
        let shared = &traffic.site.shared;
        let arrivals = shared.receiver.arrivals.borrow().clone();
        (broken, arrivals, shared.logs.borrow().clone(), shared.objects.written.borrow().clone())
    };
    for seed in 0..10 {
        assert!(trace(seed) == trace(seed), "seed {seed}");
    }
}
