//! The invariants of webhooks, checked as things happen.
//!
//! What is to become of an event is known here from what its sender is told,
//! what the receiver gets and answers, and what is durable.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use porteiro::ports::HttpAnswer;
use porteiro::protocol::{DeliveryOutcome, EventRecord, List};
use porteiro::time::UnixTime;

/// How many deliveries may be under way at once for one connection.
const MOST_AT_ONCE: usize = 5;

const DAY: Duration = Duration::from_hours(24);

/// What operations of the storage may take.
const SLACK: Duration = Duration::from_secs(1);

/// How late the last attempt may be: those before it take their time.
const QUEUE: Duration = Duration::from_hours(1);

/// How late the alarm may be where something failed within so long: a fifth of
/// the longest wait, if it is still that from before the attempt.
const LATE: Duration = Duration::from_mins(13);
const AFTERMATH: Duration = Duration::from_mins(70);

/// The least seconds between an attempt and the next one; then an hour's.
const WAITS: [f64; 4] = [4.5, 27.0, 108.0, 540.0];
const LONGEST_WAIT: f64 = 3240.0;

/// What was seen so far, and the first invariant that was broken.
#[derive(Default)]
pub struct DeliveryWatch {
    seen: RefCell<Seen>,
    broken: RefCell<Option<String>>,
    /// By connection: the events that living objects try now.
    flights: Flights,
}

type Flights = RefCell<BTreeMap<String, Vec<String>>>;

#[derive(Default)]
struct Seen {
    /// By what the receiver is to get.
    events: BTreeMap<String, Event>,
    /// By webhook id: the event.
    ids: BTreeMap<String, String>,
    /// When an object ended last, or its storage failed.
    trouble: Option<UnixTime>,
    /// How many attempts were under way at once, at most.
    most_at_once: usize,
}

#[derive(Default)]
struct Event {
    is_acknowledged: bool,
    /// When whoever had it stored, or sent again, was told that it is.
    promised_at: Option<UnixTime>,
    id: Option<String>,
    /// Where it is now, as far as that is durable, and since when.
    list: Option<(List, UnixTime)>,
    /// Whether it did not open when it was tried last.
    is_unopened: bool,
    /// The attempts since it was accepted, or sent again.
    round: Round,
}

#[derive(Default)]
struct Round {
    began_at: Option<UnixTime>,
    attempts: usize,
    last: Option<Attempted>,
    is_taken: bool,
    /// When the answer of the receiver that took it was heard.
    heard_at: Option<UnixTime>,
    /// Whether the receiver's last answer was that it wants no more of it.
    is_gone: bool,
}

struct Attempted {
    began_at: UnixTime,
    /// When the next may begin for the receiver's part, where it was heard.
    ended: Option<(UnixTime, UnixTime)>,
}

/// An attempt that is under way.
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

    /// Notes that an invariant is broken, where it does not hold.
    pub fn demand(&self, holds: bool, invariant: &str, what: &str) {
        if !holds {
            self.broken.borrow_mut().get_or_insert_with(|| format!("{invariant}: {what}"));
        }
    }

    /// How many attempts were under way at once, at most.
    pub fn most_at_once(&self) -> usize {
        self.seen.borrow().most_at_once
    }

    /// An object ends, or its storage fails.
    pub fn trouble(&self, now: UnixTime) {
        self.seen.borrow_mut().trouble = Some(now);
    }

    /// A sender sends the event of which the receiver is to get `body`.
    pub fn sends(&self, body: &str) {
        self.seen.borrow_mut().events.entry(body.to_owned()).or_default();
    }

    /// The sender was told that its event is stored.
    pub fn acknowledged(&self, body: &str) {
        let mut seen = self.seen.borrow_mut();
        let event = seen.events.entry(body.to_owned()).or_default();
        event.is_acknowledged = true;
        self.demand(event.list.is_some(), "durable-before-acknowledged", "an event is not stored");
    }

    /// Whoever had an event stored, or sent again, is told that it is.
    pub fn promised(&self, id: &str, now: UnixTime) {
        if let Some(event) = self.seen.borrow_mut().event(id) {
            event.promised_at.get_or_insert(now);
        }
    }

    /// Whether the event that is called `id` is promised to be delivered.
    pub fn is_promised(&self, id: &str) -> bool {
        self.seen.borrow_mut().event(id).is_some_and(|event| event.promised_at.is_some())
    }

    /// A record became durable; `body` is the event in it, where it opens.
    pub fn stored(&self, record: &EventRecord, body: Option<&str>, now: UnixTime) {
        let mut seen = self.seen.borrow_mut();
        if let Some(body) = body {
            self.name(&mut seen, &record.id, body);
        }
        let Some(event) = seen.event(&record.id) else {
            return self.demand(false, "as-it-came", "a record holds no event that was sent");
        };
        let before = event.list.map(|(list, _)| list);
        // What does not open is stored anew where it comes again.
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

    /// A record was deleted.
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

    /// An attempt begins, from an object that lives.
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

    /// Looks whether an attempt comes too early after the one before it.
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

    /// A delivery reaches the receiver, which takes it or does not.
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

    /// The alarm goes off at `alarm`, and something is to be done at `due`, if it
    /// can be.
    pub fn armed(&self, alarm: Option<UnixTime>, due: UnixTime, can_be: bool, now: UnixTime) {
        let had_trouble = had(self.seen.borrow().trouble, now - AFTERMATH);
        let latest = if had_trouble || !can_be { due.max(now) + LATE } else { due.max(now + SLACK) };
        let late = alarm.map(|at| at.since(latest).as_millis());
        self.demand(late == Some(0), "alarm-in-time", &format!("the alarm is late by {late:?} ms"));
    }

    /// `id` names the event `body`, and does for ever.
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

    /// Looks what has become of all events when all is over.
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
    /// The attempt ends with an answer, or without.
    pub fn ends(self, answer: Option<&HttpAnswer>, now: UnixTime) {
        let mut seen = self.watch.seen.borrow_mut();
        let Some(event) = seen.event(&self.id) else { return };
        let status = answer.map(|answer| answer.status);
        let asked = answer.and_then(|answer| answer.retry_after.as_deref());
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

/// Whether there was trouble since then.
fn had(trouble: Option<UnixTime>, since: UnixTime) -> bool {
    trouble.is_some_and(|at| at >= since)
}

/// Until when a receiver wants a pause that answers at `now`.
fn asked_until(value: &str, now: UnixTime) -> Option<UnixTime> {
    if let Ok(seconds) = value.parse() {
        return Some(now + Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(UnixTime::from_millis(0) + at)
}
