//! The invariants of consents, checked during the run.
//!
//! The watch takes from storage which token sets and which cookie a session has, from the provider whose
//! tokens they are, and from the answers of objects what was promised to have ended.

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

    /// Called when a session's own record became durable.
    pub fn session_stored(&self, name: &str, state: &Value, now: UnixTime, provider: &Provider) {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let mut seen = self.seen.borrow_mut();
        let session = seen.sessions.entry(name.to_owned()).or_default();
        let has_ended = session.cleared_at.is_some();
        self.demand(!has_ended, "nothing-after-the-end", "a session is stored after its end");
        let proof = text(&state["proof"]);
        let connections: Vec<String> =
            state["connections"].as_array().expect("a list").iter().map(text).collect();
        let first = state["people"]
            .get(0)
            .map(|person| (text(&person["connection"]), text(&person["issuer"]), text(&person["subject"])));
        let is_other = |one: &(String, String, String), other: &(String, String, String)| {
            one.0 == other.0 && (&one.1, &one.2) != (&other.1, &other.2)
        };
        let switches =
            session.first.as_ref().zip(first.as_ref()).is_some_and(|(one, other)| is_other(one, other));
        if let Some(before) = session.proof.replace(proof.clone()).filter(|before| *before != proof) {
            if switches {
                session.replaced.values_mut().for_each(|(_, joinable)| *joinable = now);
            }
            let until = if switches { now } else { now + JOINABLE };
            session.replaced.insert(before, (now, until));
        }
        if switches {
            let alone = connections.len() == 1;
            self.demand(alone, "own-token", "another person signs in, and gets what the one before had");
        }
        session.stored_at = Some(now);
        for connection in session.connections.iter().filter(|known| !connections.contains(known)) {
            let held = session.held.get(connection).and_then(|held| held.refresh.as_ref());
            let is_lost = !switches
                && !session.asked_to_disconnect.contains(connection)
                && held.is_some_and(|token| provider.would_refresh(token));
            self.demand(!is_lost, "keeps-working", "a session loses a token set that the provider takes");
        }
        let removed: Vec<u64> = (session.connections.iter().filter(|known| !connections.contains(known)))
            .filter_map(|known| session.held.get(known))
            .flat_map(|held| held.families(provider))
            .collect();
        (session.connections, session.first) = (connections, first);
        for family in removed {
            seen.given_up.entry(family).or_insert(now);
        }
    }

    /// Called when a person's token set became durable; `with_session` says that it is of a consent.
    pub fn set_stored(
        &self,
        (name, connection): (&str, &str),
        held: &Held,
        with_session: bool,
        now: UnixTime,
        provider: &Provider,
    ) {
        let families = held.families(provider);
        let mut seen = self.seen.borrow_mut();
        let ended = families.iter().any(|family| seen.given_up.get(family).is_some_and(|at| *at < now));
        self.demand(!ended, "nothing-after-the-end", "a token set is stored after its end");
        let session = seen.sessions.entry(name.to_owned()).or_default();
        let before = session.held.insert(connection.to_owned(), held.clone()).unwrap_or_default();
        let known = before.families(provider);
        if !with_session {
            let goes_on = families.iter().all(|family| known.contains(family));
            self.demand(goes_on, "one-set", "a token set is stored over the next one's");
        }
        let owner = |token: &Option<String>| token.as_ref().and_then(|token| provider.consented(token));
        if let (Some(access), Some(refresh)) = (owner(&held.access), owner(&held.refresh)) {
            let is_own = (&access.connection, &access.subject) == (&refresh.connection, &refresh.subject);
            self.demand(is_own, "own-refresh", "a refresh token of one person is kept for another");
        }
        if let Some(before) = before.refresh.filter(|before| {
            Some(before) != held.refresh.as_ref()
                && held.refresh.as_ref().is_some_and(|next| provider.family(next) == provider.family(before))
        }) {
            seen.replaced.insert(before);
        }
        seen.durable.extend(held.access.clone());
        if let Some(consented) = owner(&held.access).filter(|_| with_session) {
            let is_named = seen.logouts.iter().any(|logout| logout.names(&consented));
            self.demand(!is_named, "logged-out", "a consent is stored that was logged out in flight");
        }
    }

    /// Called when the storage of a session has changed: what it has fits together.
    pub fn check_session(&self, name: &str, provider: &Provider) {
        let seen = self.seen.borrow();
        let Some(session) = seen.sessions.get(name).filter(|session| session.proof.is_some()) else { return };
        let mut browsers = BTreeSet::new();
        for connection in &session.connections {
            let Some(held) = session.held.get(connection) else {
                self.demand(false, "both-or-none", "a session has a connection without a token set");
                continue;
            };
            let Some(consented) = held.access.as_ref().and_then(|token| provider.consented(token)) else {
                continue;
            };
            browsers.insert(consented.browser);
            let (first, subject) = (session.first.as_ref(), &consented.subject);
            let is_own = first.is_none_or(|(own, _, person)| own != connection || person == subject);
            self.demand(is_own, "own-token", "a session has another person's token");
        }
        self.demand(browsers.len() <= 1, "own-token", "a session has tokens of two browsers");
    }

    /// Called when a session's storage was cleared.
    pub fn cleared(&self, name: &str, now: UnixTime, provider: &Provider) {
        let mut seen = self.seen.borrow_mut();
        let Some(session) = seen.sessions.get_mut(name) else { return };
        if session.proof.is_none() && session.held.is_empty() {
            return;
        }
        let is_over = session.is_asked_to_end || session.stored_at.is_none_or(|at| now > at + UNTOUCHED);
        self.demand(is_over, "keeps-working", "a session ends that nobody ended");
        session.cleared_at.get_or_insert(now);
        session.connections.clear();
        let held = std::mem::take(&mut session.held);
        for family in held.values().flat_map(|held| held.families(provider)) {
            seen.given_up.entry(family).or_insert(now);
        }
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

    /// Called when the state of a keeper became durable.
    pub fn keeper_stored(&self, connection: &str, held: &Held, provider: &Provider) {
        let mut seen = self.seen.borrow_mut();
        seen.durable.extend(held.access.clone());
        for family in held.families(provider) {
            let known = seen.of_service.entry(connection.to_owned()).or_default();
            if known.last() != Some(&family) {
                self.demand(!known.contains(&family), "one-set", "a token set is stored over the next one's");
                known.push(family);
            }
        }
    }

    /// Records that the session of `visit` is used.
    pub fn served(&self, visit: &Visit) {
        let seen = self.seen.borrow();
        let id = visit.cookie().and_then(SessionId::parse);
        let is_known = visit.cookie().is_some_and(|cookie| seen.cookies.contains_key(cookie));
        self.demand(is_known, "known-cookie", "a call is served with a cookie that was never given");
        let Some((id, session)) =
            id.and_then(|id| Some((seen.sessions.get(id.name())?, id))).map(|(s, id)| (id, s))
        else {
            return;
        };
        let is_before = |at: &UnixTime| visit.begun_at <= *at + LAG;
        let lives = session.cleared_at.iter().all(is_before)
            && session.ended_at.is_none_or(|at| visit.begun_at <= at);
        self.demand(lives, "dead-stays-dead", "a session is served after its end");
        let replaced = session.replaced.get(&id.proof().to_hex());
        let is_current = replaced.is_none_or(|(at, _)| is_before(at));
        self.demand(is_current, "dead-stays-dead", "a call is served with a replaced cookie");
    }

    /// Called when a person's call to `connection` is sent with `token`.
    pub fn sends(&self, visit: &Visit, connection: &str, token: &str, is_valid: bool, provider: &Provider) {
        self.served(visit);
        let seen = self.seen.borrow();
        let consented = provider.consented(token).expect("a token of a consent");
        let browser = visit.cookie().and_then(|cookie| seen.cookies.get(cookie));
        let is_own = consented.connection == connection && browser == Some(&consented.browser);
        self.demand(is_own, "own-token", "a call carries another person's token");
        self.demand(is_valid, "never-expired", "an expired token is sent");
        self.demand(
            seen.durable.contains(token),
            "durable-before-use",
            "a token is sent that is not durable",
        );
        let given_up = provider.family(token).and_then(|family| seen.given_up.get(&family));
        let lives = given_up.is_none_or(|at| visit.begun_at <= *at + LAG);
        self.demand(lives, "dead-stays-dead", "a call carries a token that was given up");
        let is_named = |logout: &Logout| visit.begun_at > logout.ended_at && logout.names(&consented);
        let is_named = seen.logouts.iter().any(is_named);
        self.demand(!is_named, "logged-out", "a call carries the token of whoever was logged out");
    }

    /// Called when a call of a service is sent.
    pub fn service_sends(&self, connection: &str, token: &str, provider: &Provider) {
        let consented = provider.consented(token).expect("a token of a consent");
        self.demand(consented.connection == connection, "own-token", "a call carries another's token");
        let is_durable = self.seen.borrow().durable.contains(token);
        self.demand(is_durable, "durable-before-use", "a token is sent that is not durable");
    }

    /// Called when a flow that began with the cookie `old` ended in the session of the cookie `new`.
    pub fn connected(&self, old: Option<&str>, new: &str, now: UnixTime) {
        let [old, new] = [old, Some(new)].map(|cookie| cookie.and_then(SessionId::parse));
        let (Some(old), Some(new)) = (old, new) else { return };
        let seen = self.seen.borrow();
        let Some(session) = seen.sessions.get(old.name()) else { return };
        let proof = old.proof().to_hex();
        let is_joinable = session.cleared_at.is_none()
            && (session.proof.as_ref() == Some(&proof)
                || session.replaced.get(&proof).is_some_and(|(_, until)| now < *until));
        let joins = !is_joinable || old.name() == new.name();
        self.demand(joins, "one-session", "a flow did not join the session that it began in");
    }

    /// Whether `cookie` is the one of a session that lives, as far as storage says.
    pub fn lives(&self, cookie: &str) -> bool {
        let Some(id) = SessionId::parse(cookie) else { return false };
        let seen = self.seen.borrow();
        seen.sessions
            .get(id.name())
            .is_some_and(|session| session.cleared_at.is_none() && session.proof == Some(id.proof().to_hex()))
    }
}
