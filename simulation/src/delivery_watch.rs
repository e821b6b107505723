//! The invariants of webhooks, checked during the run.
//!
//! The watch derives the expected state of an event from the answers to its sender, from the
//! deliveries and the receiver's answers, and from what is durable.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use porteiro::ports::HttpAnswer;
use porteiro::protocol::{DeliveryOutcome, EventRecord, List};
use porteiro::time::UnixTime;

/// The largest number of concurrent deliveries for one connection.
const MOST_AT_ONCE: usize = 5;

const DAY: Duration = Duration::from_hours(24);

/// How long storage operations may take.
const SLACK: Duration = Duration::from_secs(1);

/// How late the last attempt may be, since the attempts before it take time.
const QUEUE: Duration = Duration::from_hours(1);

/// How late the alarm may be if a failure occurred within [`AFTERMATH`]: a fifth of the longest
/// wait, in case the alarm is still the one set before the attempt.
const LATE: Duration = Duration::from_mins(13);
const AFTERMATH: Duration = Duration::from_mins(70);

/// The least seconds between an attempt and the next one; after these, [`LONGEST_WAIT`].
const WAITS: [f64; 4] = [4.5, 27.0, 108.0, 540.0];
const LONGEST_WAIT: f64 = 3240.0;

/// The watch's record of the run, and the first invariant that was broken.
#[derive(Default)]
pub struct DeliveryWatch {
    seen: RefCell<Seen>,
    broken: RefCell<Option<String>>,
    /// The events that live objects are attempting to deliver, by connection.
    flights: Flights,
}

type Flights = RefCell<BTreeMap<String, Vec<String>>>;

#[derive(Default)]
struct Seen {
    /// The events, by the body that the receiver is to get.
    events: BTreeMap<String, Event>,
    /// The body of the event, by webhook id.
    ids: BTreeMap<String, String>,
    /// When an object last ended or its storage last failed.
    trouble: Option<UnixTime>,
    /// The largest number of concurrent attempts so far.
    most_at_once: usize,
}

#[derive(Default)]
struct Event {
    is_acknowledged: bool,
    /// When the sender was told that the event is stored, or the operator that it is sent again.
    promised_at: Option<UnixTime>,
    id: Option<String>,
    /// The event's durable list, and since when.
    list: Option<(List, UnixTime)>,
    /// Whether the event failed to open in the last attempt.
    is_unopened: bool,
    /// The attempts since the event was accepted, or sent again.
    round: Round,
}

#[derive(Default)]
struct Round {
    began_at: Option<UnixTime>,
    attempts: usize,
    last: Option<Attempted>,
    is_taken: bool,
    /// When the queue got the answer of the receiver that took the event.
    heard_at: Option<UnixTime>,
    /// Whether the receiver's last answer asked for no further deliveries.
    is_gone: bool,
}

struct Attempted {
    began_at: UnixTime,
    /// When the attempt ended, and when the receiver allows the next one, if the queue got its
    /// answer.
    ended: Option<(UnixTime, UnixTime)>,
}

/// An attempt in flight.
pub struct Attempt<'a> {
    watch: &'a DeliveryWatch,
    connection: String,
    id: String,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(tried) = self.watch.flights.borrow_mut().get_mut(&self.connection) {
            tried.retain(|id| *id != self.id);
        }
    }
}

impl DeliveryWatch {
    /// The first invariant that was broken.
    pub fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    /// Records a broken invariant if `holds` is false.
    pub fn demand(&self, holds: bool, invariant: &str, what: &str) {
        if !holds {
            self.broken.borrow_mut().get_or_insert_with(|| format!("{invariant}: {what}"));
        }
    }

    /// The largest number of concurrent attempts so far.
    pub fn most_at_once(&self) -> usize {
        self.seen.borrow().most_at_once
    }

    /// Called when an object ends, or its storage fails.
    pub fn trouble(&self, now: UnixTime) {
        self.seen.borrow_mut().trouble = Some(now);
    }

    /// Called when a sender sends the event for which the receiver is to get `body`.
    pub fn sends(&self, body: &str) {
        self.seen.borrow_mut().events.entry(body.to_owned()).or_default();
    }

    /// Called when the sender was told that its event is stored.
    pub fn acknowledged(&self, body: &str) {
        let mut seen = self.seen.borrow_mut();
        let event = seen.events.entry(body.to_owned()).or_default();
        event.is_acknowledged = true;
        self.demand(event.list.is_some(), "durable-before-acknowledged", "an event is not stored");
    }

    /// Called when the sender was told that the event is stored, or the operator that it is sent
    /// again.
    pub fn promised(&self, id: &str, now: UnixTime) {
        if let Some(event) = self.seen.borrow_mut().event(id) {
            event.promised_at.get_or_insert(now);
        }
    }

    /// Whether delivery of the event `id` was promised.
    pub fn is_promised(&self, id: &str) -> bool {
        self.seen.borrow_mut().event(id).is_some_and(|event| event.promised_at.is_some())
    }

    /// Called when a record became durable; `body` is the event in it, if it opens.
    pub fn stored(&self, record: &EventRecord, body: Option<&str>, now: UnixTime) {
        let mut seen = self.seen.borrow_mut();
        if let Some(body) = body {
            self.name(&mut seen, &record.id, body);
        }
        let Some(event) = seen.event(&record.id) else {
            return self.demand(false, "as-it-came", "a record holds no event that was sent");
        };
        let before = event.list.map(|(list, _)| list);
        // An event that does not open is stored anew when it arrives again.
        let is_anew = event.is_unopened && record.attempts == 0;
        event.is_unopened = record.outcome == Some(DeliveryOutcome::Unopened);
        match (before, record.list) {
            (None | Some(List::Failed), List::Pending) => {
                event.round = Round { began_at: Some(now), ..Round::default() };
                event.promised_at = None;
            }
            (Some(List::Delivered), List::Pending) => {
                self.demand(false, "delivered-once", "an event that was delivered is to be delivered again");
            }
            (_, List::Failed) => {
                let is_over = event.round.began_at.is_some_and(|at| now + SLACK >= at + DAY);
                let reason = is_over || event.round.is_gone;
                self.demand(reason, "tried-for-a-day", "an event is given up before its day is over");
            }
            (_, List::Delivered) => {
                self.demand(
                    event.round.is_taken,
                    "delivered-means-taken",
                    "an event counts as delivered that is not",
                );
                self.demand(record.event.is_none(), "nothing-left", "a delivered event stays in storage");
            }
            (Some(List::Pending), List::Pending) if is_anew => {
                event.round = Round { began_at: Some(now), ..Round::default() };
            }
            (Some(List::Pending), List::Pending) => {}
        }
        if before != Some(record.list) {
            event.list = Some((record.list, now));
        }
    }

    /// Called when a record was deleted.
    pub fn forgotten(&self, id: &str, now: UnixTime) {
        let mut seen = self.seen.borrow_mut();
        let Some(event) = seen.event(id) else { return };
        let (days, since) = match event.list {
            Some((List::Delivered, since)) => (7, since),
            Some((List::Failed, since)) => (30, since),
            _ => return self.demand(false, "kept-for-its-time", "a pending event is deleted"),
        };
        let is_over = now + SLACK >= since + DAY * days;
        self.demand(is_over, "kept-for-its-time", &format!("an event is deleted within {days} days"));
        (event.list, event.is_acknowledged) = (None, false);
    }

    /// Called when a live object begins an attempt.
    pub fn attempt(&self, connection: &str, id: &str, now: UnixTime) -> Attempt<'_> {
        let at_once = {
            let mut flights = self.flights.borrow_mut();
            let tried = flights.entry(connection.to_owned()).or_default();
            let is_tried = tried.iter().any(|tried| tried == id);
            self.demand(!is_tried, "one-at-a-time", "an event is tried that is being tried");
            tried.push(id.to_owned());
            tried.len()
        };
        self.demand(at_once <= MOST_AT_ONCE, "five-at-once", &format!("{at_once} deliveries at once"));
        let attempt = Attempt { watch: self, connection: connection.to_owned(), id: id.to_owned() };
        let mut seen = self.seen.borrow_mut();
        seen.most_at_once = seen.most_at_once.max(at_once);
        let trouble = seen.trouble;
        let Some(event) = seen.event(id) else {
            self.demand(false, "one-id", "a delivery has an unknown id");
            return attempt;
        };
        let list = event.list.map(|(list, _)| list);
        self.demand(list == Some(List::Pending), "delivered-once", "an event is tried that is not pending");
        let deadline =
            event.promised_at.zip(event.round.began_at).map(|(at, began_at)| at.max(began_at + DAY));
        let in_time = deadline.is_none_or(|deadline| now <= deadline + QUEUE) || had(trouble, now - QUEUE);
        self.demand(in_time, "tried-for-a-day", "an event is tried after its day is over");
        self.check_pause(&event.round, trouble, now);
        let is_wanted = !event.round.is_gone || had(trouble, now - AFTERMATH);
        self.demand(is_wanted, "gone-is-gone", "the receiver gets again what it wants no more of");
        event.round.attempts += 1;
        event.round.last = Some(Attempted { began_at: now, ended: None });
        attempt
    }

    /// Checks that an attempt does not follow the one before it too early.
    fn check_pause(&self, round: &Round, trouble: Option<UnixTime>, now: UnixTime) {
        let (Some(began_at), Some(last)) = (round.began_at, &round.last) else { return };
        let seconds = WAITS.get(round.attempts - 1).copied().unwrap_or(LONGEST_WAIT);
        let wait = Duration::from_secs_f64(seconds);
        let from = match last.ended {
            Some((ended_at, asked_until)) if !had(trouble, last.began_at) => {
                (ended_at + wait).max(asked_until)
            }
            _ => last.began_at + wait - SLACK,
        };
        let late_enough = now >= from || now + SLACK >= began_at + DAY;
        let (number, early) = (round.attempts + 1, from.since(now).as_millis());
        self.demand(late_enough, "not-too-early", &format!("attempt {number} comes {early} ms too early"));
    }

    /// Called when a delivery reaches the receiver; `is_taken` says whether the receiver accepts
    /// it.
    pub fn arrived(&self, id: &str, body: &str, is_taken: bool) {
        let mut seen = self.seen.borrow_mut();
        self.name(&mut seen, id, body);
        let trouble = seen.trouble;
        let Some(event) = seen.event(id) else { return };
        if event.round.is_taken {
            let excused = event.round.heard_at.is_none_or(|at| had(trouble, at));
            self.demand(excused, "delivered-once", "an event is delivered again without need");
        }
        if is_taken {
            (event.round.is_taken, event.round.heard_at) = (true, None);
        }
    }

    /// Checks that the alarm, set for `alarm`, is not later than `due`, the earliest due time;
    /// `can_be` says whether the configuration allows deliveries.
    pub fn armed(&self, alarm: Option<UnixTime>, due: UnixTime, can_be: bool, now: UnixTime) {
        let had_trouble = had(self.seen.borrow().trouble, now - AFTERMATH);
        let latest = if had_trouble || !can_be { due.max(now) + LATE } else { due.max(now + SLACK) };
        let late = alarm.map(|at| at.since(latest).as_millis());
        self.demand(late == Some(0), "alarm-in-time", &format!("the alarm is late by {late:?} ms"));
    }

    /// Checks that the webhook id `id` never names two events, nor an event two ids.
    fn name(&self, seen: &mut Seen, id: &str, body: &str) {
        let digits = id.strip_prefix("msg_").unwrap_or_default();
        let in_form = digits.len() == 32 && digits.bytes().all(|b| b"0123456789abcdef".contains(&b));
        self.demand(in_form, "one-id", "a webhook id has another form");
        let Some(event) = seen.events.get_mut(body) else {
            return self.demand(false, "as-it-came", "an event is delivered that nobody sent");
        };
        let same = event.id.get_or_insert_with(|| id.to_owned()) == id;
        self.demand(same, "one-id", "an event has two webhook ids");
        let same = seen.ids.entry(id.to_owned()).or_insert_with(|| body.to_owned()) == body;
        self.demand(same, "one-id", "two events have one webhook id");
    }

    /// Checks every event at the end of the run.
    pub fn check_end(&self) {
        for event in self.seen.borrow().events.values().filter(|event| event.is_acknowledged) {
            let list = event.list.map(|(list, _)| list);
            let done = matches!(list, Some(List::Delivered | List::Failed));
            self.demand(done, "nothing-pending-for-ever", "an event is neither delivered nor given up");
        }
    }
}

impl Seen {
    fn event(&mut self, id: &str) -> Option<&mut Event> {
        self.events.get_mut(self.ids.get(id)?)
    }
}

impl Attempt<'_> {
    /// Called when the attempt ends, with an answer or without.
    pub fn ends(self, answer: Option<&HttpAnswer>, now: UnixTime) {
        let mut seen = self.watch.seen.borrow_mut();
        let Some(event) = seen.event(&self.id) else { return };
        let status = answer.map(|answer| answer.status);
        let asked = answer.and_then(HttpAnswer::retry_after);
        let asked_until = asked.and_then(|value| asked_until(value, now)).unwrap_or(now);
        if let Some(last) = &mut event.round.last {
            last.ended = Some((now, asked_until));
        }
        event.round.is_gone = status == Some(410);
        if matches!(status, Some(200..=299)) && event.round.is_taken {
            event.round.heard_at.get_or_insert(now);
        }
    }
}

/// Whether an object ended or its storage failed after `since`.
fn had(trouble: Option<UnixTime>, since: UnixTime) -> bool {
    trouble.is_some_and(|at| at >= since)
}

/// The end of the pause that a receiver's `Retry-After` asks for in an answer at `now`.
fn asked_until(value: &str, now: UnixTime) -> Option<UnixTime> {
    if let Ok(seconds) = value.parse() {
        return Some(now + Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(UnixTime::from_millis(0) + at)
}
