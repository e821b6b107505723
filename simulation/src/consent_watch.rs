//! The invariants of consents, checked during the run.
//!
//! The watch takes from storage which token sets and which cookie a session has, from the provider whose
//! tokens they are, and from the answers of objects what was promised to have ended.

mod served;
mod stored;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::crowd_watch::Visit;
use super::provider::Provider;
use super::provider::consents::Consented;
use porteiro::edge::people::cookie::SessionId;
use porteiro::time::UnixTime;

/// How long a flow that began with a cookie may join its session after another consent.
const JOINABLE: Duration = Duration::from_mins(10);

/// How long an object takes at most from a decision to its answer.
const DECISION: Duration = Duration::from_secs(5);

/// How long it takes from a durable write to the object's own knowledge of it.
const LAG: Duration = Duration::from_millis(500);

/// How long a session may go without a write before it counts as idle: a use is stored every tenth of
/// the idle limit, which is twelve hours.
const UNTOUCHED: Duration = Duration::from_hours(10);

/// The watch's record of the run, and the first invariant that was broken.
#[derive(Default)]
pub struct ConsentWatch {
    /// Whether people consent at this site.
    pub is_on: Cell<bool>,
    seen: RefCell<Seen>,
    broken: RefCell<Option<String>>,
}

#[derive(Default)]
struct Seen {
    /// The end of each one-time record.
    ends: BTreeMap<String, UnixTime>,
    handed_out: BTreeSet<String>,
    /// The browser that each cookie was given to.
    cookies: BTreeMap<String, u64>,
    sessions: BTreeMap<String, Session>,
    /// The access tokens that have been durable at any time.
    durable: BTreeSet<String>,
    /// The refresh tokens with a durable successor.
    replaced: BTreeSet<String>,
    /// The consents that ended, by family.
    given_up: BTreeMap<u64, UnixTime>,
    logouts: Vec<Logout>,
    /// The consents that keepers stored, by connection.
    of_service: BTreeMap<String, Vec<u64>>,
}

/// A session as it is stored.
#[derive(Default)]
struct Session {
    proof: Option<String>,
    connections: Vec<String>,
    /// Connection, issuer and subject of whoever signed in first.
    first: Option<(String, String, String)>,
    held: BTreeMap<String, Held>,
    /// The cookies that were replaced: until when, and until when flows may join by them.
    replaced: BTreeMap<String, (UnixTime, UnixTime)>,
    cleared_at: Option<UnixTime>,
    /// When an answer said that the session has ended.
    ended_at: Option<UnixTime>,
    /// Whether somebody asked for its end.
    is_asked_to_end: bool,
    /// Whether an alarm could not be set.
    is_unarmed: bool,
    /// The connections that somebody asked to disconnect.
    asked_to_disconnect: BTreeSet<String>,
    stored_at: Option<UnixTime>,
}

/// A stored token set.
#[derive(Clone, Default, Debug)]
pub struct Held {
    /// The access token.
    pub access: Option<String>,
    /// The refresh token.
    pub refresh: Option<String>,
}

impl Held {
    /// Reads an opened state.
    pub fn read(state: &Value) -> Self {
        let set = &state["held"]["set"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Self { access: text(&set["access"]["access_token"]), refresh: text(&set["refresh_token"]) }
    }

    fn families(&self, provider: &Provider) -> Vec<u64> {
        self.access.iter().chain(&self.refresh).filter_map(|token| provider.family(token)).collect()
    }
}

/// A logout by the provider or an operator that was answered.
struct Logout {
    connection: String,
    subject: Option<String>,
    sid: Option<String>,
    begun_at: UnixTime,
    ended_at: UnixTime,
}

impl Logout {
    fn names(&self, consented: &Consented) -> bool {
        consented.connection == self.connection
            && self.subject.as_ref().is_none_or(|subject| *subject == consented.subject)
            && self.sid.as_ref().is_none_or(|sid| *sid == consented.sid)
            && consented.since < self.begun_at
    }
}

impl ConsentWatch {
    /// The first invariant that was broken.
    pub fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    /// Records that an invariant is broken unless it `holds`.
    pub fn demand(&self, holds: bool, invariant: &str, what: &str) {
        if !holds {
            self.broken.borrow_mut().get_or_insert_with(|| format!("{invariant}: {what}"));
        }
    }

    /// Called when a one-time record is kept.
    pub fn kept(&self, name: &str, ends_at: UnixTime) {
        self.seen.borrow_mut().ends.insert(name.to_owned(), ends_at);
    }

    /// Called when a one-time record is read, or with `takes` taken.
    pub fn found(&self, name: &str, takes: bool, now: UnixTime) {
        let mut seen = self.seen.borrow_mut();
        let is_used = seen.handed_out.contains(name);
        self.demand(!is_used, "one-use", "a one-time record is handed out after it was taken");
        let is_late = seen.ends.get(name).is_some_and(|ends_at| now >= *ends_at + DECISION);
        self.demand(!is_late, "one-use", "a one-time record is handed out after its end");
        if takes {
            seen.handed_out.insert(name.to_owned());
        }
    }

    /// Called when `browser` got a session's cookie.
    pub fn given(&self, cookie: &str, browser: u64) {
        self.seen.borrow_mut().cookies.insert(cookie.to_owned(), browser);
    }

    /// Called when the alarm of a session could not be set.
    pub fn not_armed(&self, name: &str) {
        self.seen.borrow_mut().sessions.entry(name.to_owned()).or_default().is_unarmed = true;
    }

    /// Whether every alarm of a session could be set.
    pub fn is_armed(&self, name: &str) -> bool {
        self.seen.borrow().sessions.get(name).is_none_or(|session| !session.is_unarmed)
    }

    /// Called when somebody asks for the end of a session, or of one connection of it.
    pub fn asked_to_end(&self, name: &str, connection: Option<&str>) {
        let mut seen = self.seen.borrow_mut();
        let session = seen.sessions.entry(name.to_owned()).or_default();
        match connection {
            Some(connection) => drop(session.asked_to_disconnect.insert(connection.to_owned())),
            None => session.is_asked_to_end = true,
        }
    }

    /// Called when an answer said that a session has ended.
    pub fn ended(&self, name: &str, now: UnixTime) {
        if let Some(session) = self.seen.borrow_mut().sessions.get_mut(name) {
            session.ended_at.get_or_insert(now);
        }
    }

    /// The consents that a session has for a connection.
    pub fn families(&self, name: &str, connection: &str, provider: &Provider) -> Vec<u64> {
        self.held(name, connection).map(|held| held.families(provider)).unwrap_or_default()
    }

    /// The token set that a session has stored for a connection.
    pub fn held(&self, name: &str, connection: &str) -> Option<Held> {
        let seen = self.seen.borrow();
        let session = seen.sessions.get(name)?;
        session
            .held
            .get(connection)
            .filter(|_| session.connections.iter().any(|own| own == connection))
            .cloned()
    }

    /// Called when an answer said that these consents have ended.
    pub fn given_up(&self, families: Vec<u64>, now: UnixTime) {
        let mut seen = self.seen.borrow_mut();
        for family in families {
            seen.given_up.entry(family).or_insert(now);
        }
    }

    /// Called when a logout that began at `begun_at` was answered.
    pub fn logged_out(
        &self,
        connection: &str,
        (subject, sid): (Option<&str>, Option<&str>),
        (begun_at, ended_at): (UnixTime, UnixTime),
    ) {
        let (subject, sid) = (subject.map(str::to_owned), sid.map(str::to_owned));
        let logout = Logout { connection: connection.to_owned(), subject, sid, begun_at, ended_at };
        self.seen.borrow_mut().logouts.push(logout);
    }

    /// Called when a session begins a refresh.
    pub fn refreshes(&self, refresh_token: &str) {
        let is_old = self.seen.borrow().replaced.contains(refresh_token);
        self.demand(!is_old, "newest-only", "a refresh token is sent whose successor is durable");
    }
}
