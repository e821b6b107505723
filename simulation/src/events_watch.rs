//! The operator's receiver of events, and the invariants of what the operator is told, checked during
//! the run.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use super::network::Sent;
use super::world::World;
use porteiro::ports::HttpAnswer;
use porteiro::time::UnixTime;

const RECOVERED: &str = "connection.recovered";

/// The least time between two events of one type about one connection.
const PAUSE: Duration = Duration::from_mins(1);

/// The operator's receiver, the watch's record of the run, and the first invariant that was broken.
#[derive(Default)]
pub struct EventsWatch {
    /// The status that the receiver answers; 0 where it is unreachable.
    pub status: Cell<u16>,
    /// The events that the delivery queue took, in order: the webhook id, and the event.
    pub told: RefCell<Vec<(String, Value)>>,
    /// The events that arrived, in order.
    pub arrivals: RefCell<Vec<(String, Value)>>,
    /// Since when the last event of each type about each connection holds.
    last: RefCell<BTreeMap<(String, String), UnixTime>>,
    /// Its reference count is the number of attempts in flight, plus this one.
    in_flight: Rc<()>,
    /// When webhooks failed.
    failed: RefCell<Vec<UnixTime>>,
    broken: RefCell<Option<String>>,
}

impl EventsWatch {
    /// The receiver's address.
    pub const ADDRESS: &'static str = "https://ops.example/events?key=ops-secret-in-the-query";

    /// The first invariant that was broken.
    pub fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    fn demand(&self, holds: bool, invariant: &str, what: &str) {
        if !holds {
            self.broken.borrow_mut().get_or_insert_with(|| format!("{invariant}: {what}"));
        }
    }

    /// The types of the events about `connection` that the queue took, in order.
    pub fn types(&self, connection: &str) -> Vec<String> {
        let told = self.told.borrow();
        let about = told.iter().filter(|(_, event)| event["data"]["id"] == connection);
        about.map(|(_, event)| text(&event["type"])).collect()
    }

    /// Called when an attempt begins; it lasts until what is returned is dropped.
    pub fn attempt(&self) -> Rc<()> {
        self.demand(Rc::strong_count(&self.in_flight) == 1, "in-order", "two events are sent at once");
        Rc::clone(&self.in_flight)
    }

    /// Called when a webhook failed.
    pub fn webhook_failed(&self, now: UnixTime) {
        self.failed.borrow_mut().push(now);
    }

    /// Demands that the operator was told of every webhook that failed, in its hour or soon after it.
    pub fn demand_failures_told(&self) {
        let told = self.told.borrow();
        let of_webhooks = told.iter().filter(|(_, event)| event["type"] == "webhook.failed");
        let told_at: Vec<String> = of_webhooks.map(|(_, event)| text(&event["data"]["since"])).collect();
        for failed in self.failed.borrow().iter() {
            let hour = |at: UnixTime| at.to_rfc3339()[..13].to_owned();
            let soon = (*failed + Duration::from_mins(12)).to_rfc3339();
            let is_told = told_at
                .iter()
                .any(|at| at.starts_with(&hour(*failed)) || (*at >= failed.to_rfc3339() && *at <= soon));
            self.demand(is_told, "no-failure-lost", &format!("{}: {told_at:?}", failed.to_rfc3339()));
        }
    }

    /// Called when an event became durable in the queue. `record` is the durable record of what the
    /// object told that knows of the change.
    pub fn stored(&self, id: &str, body: &str, record: Option<&str>) {
        let event: Value = serde_json::from_str(body).expect("an event is JSON");
        if let Some((_, known)) = self.told.borrow().iter().find(|(known, _)| known == id) {
            return self.demand(*known == event, "one-id", "two events have one id");
        }
        let (kind, about) = (text(&event["type"]), text(&event["data"]["id"]));
        let members: Vec<&String> = event.as_object().expect("an object").keys().collect();
        let data: Vec<&String> = event["data"].as_object().expect("an object").keys().collect();
        self.demand(
            members == ["data", "timestamp", "type"] && data == ["code", "id", "since"],
            "one-form",
            body,
        );
        let record: Value = record.map(|text| serde_json::from_str(text).expect("JSON")).unwrap_or_default();
        let since = record["recovered_at"].as_u64().or(record["broken_at"].as_u64()).unwrap_or_default();
        let recovered = record["recovered_at"].is_u64();
        let broken = text(&record["broken"]);
        let state = if recovered { RECOVERED } else { broken.split(' ').next().unwrap_or_default() };
        let is_durable = state == kind && event["data"]["since"] == UnixTime::from_millis(since).to_rfc3339();
        self.demand(is_durable, "durable-before-told", &format!("{body} is told, and stored is {record}"));
        let before = self.types(&about).into_iter().rfind(|kind| kind != "webhook.failed");
        match (kind.as_str(), before.as_deref()) {
            ("webhook.failed", _) => {}
            (RECOVERED, before) => {
                let was_broken = before.is_some_and(|before| before != RECOVERED);
                self.demand(was_broken, "recovered-from-broken", "a connection recovers that was not broken");
            }
            // Another set of problems is another state.
            ("connection.misconfigured", _) => {}
            (kind, before) => {
                self.demand(before != Some(kind), "told-once", &format!("{kind} is told twice"));
            }
        }
        if kind == "webhook.failed" {
            let hour = |event: &Value| text(&event["data"]["since"])[..13].to_owned();
            let told = self.told.borrow();
            let mut of_webhooks = told.iter().filter(|(_, known)| known["type"] == event["type"]);
            let is_first = !of_webhooks.any(|(_, known)| hour(known) == hour(&event));
            self.demand(is_first, "hourly", "two events of failed webhooks come in an hour");
            drop(told);
            return self.told.borrow_mut().push((id.to_owned(), event));
        }
        let since = UnixTime::from_millis(since);
        let last = self.last.borrow_mut().insert((about, kind), since);
        let is_late = last.is_none_or(|last| since >= last + PAUSE);
        self.demand(is_late, "no-storm", "two events of one type come within a minute");
        self.told.borrow_mut().push((id.to_owned(), event));
    }

    /// Accepts a delivery from the network.
    pub async fn take(&self, world: &World, post: &Sent) -> Option<HttpAnswer> {
        world.hop().await;
        let id = post.field("webhook-id").unwrap_or_default().to_owned();
        let signed = post.field("webhook-signature").is_some_and(|value| value.starts_with("v1,"));
        self.demand(signed && post.url == Self::ADDRESS, "signed", "an event is not signed");
        let event: Value = serde_json::from_str(&post.body).expect("an event is JSON");
        let is_known = self.told.borrow().contains(&(id.clone(), event.clone()));
        self.demand(is_known, "as-told", "an event arrives that nobody told");
        let status = self.status.get();
        if (200..300).contains(&status) {
            self.arrivals.borrow_mut().push((id, event));
        }
        world.hop().await;
        let answer = HttpAnswer { status, fields: Zeroizing::default(), body: Zeroizing::default() };
        (status > 0).then_some(answer)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
