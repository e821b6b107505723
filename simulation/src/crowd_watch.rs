//! The invariants of people's sessions, checked during the run.
//!
//! The watch derives the expected state of a session from answers alone: which cookie was issued to
//! which person, for which connection, and when the session ended.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use super::provider::{Person, Provider};
use porteiro::edge::people::cookie::{COOKIE, SessionId};
use porteiro::http::Headers;
use porteiro::time::UnixTime;

/// How many refused sign-ins by one user name or from one address may reach the provider in a
/// minute.
const MOST_REFUSALS: usize = 5;

/// How many from all addresses of one network.
const MOST_REFUSALS_OF_NETWORK: usize = 20;

/// How long a session may continue to process an ask after its caller has gone.
const AFTERMATH: Duration = Duration::from_secs(30);

/// What the watch knows of a request at its beginning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Visit {
    cookie: Option<String>,
    /// When the request began.
    pub begun_at: UnixTime,
}

impl Visit {
    /// The request whose `Cookie` field is `cookies`.
    pub fn new(cookies: Option<&str>, begun_at: UnixTime) -> Self {
        let mut pairs = cookies.unwrap_or_default().split("; ");
        let value = pairs.find_map(|pair| pair.strip_prefix(COOKIE)?.strip_prefix('='));
        Self { cookie: value.map(str::to_owned), begun_at }
    }

    /// The value of the session's cookie.
    pub fn cookie(&self) -> Option<&str> {
        self.cookie.as_deref()
    }
}

/// The watch's record of the run, and the first invariant that was broken.
#[derive(Default)]
pub struct CrowdWatch {
    seen: RefCell<Seen>,
    broken: RefCell<Option<String>>,
    /// The idle limit and the absolute limit of a session.
    pub limits: Cell<Option<(Duration, Duration)>>,
    flights: Flights,
}

/// The refreshes in flight from live sessions: the session, the sign-in, and the refresh's own
/// number.
type Flights = Rc<RefCell<BTreeSet<(String, u64, u64)>>>;

#[derive(Default)]
struct Seen {
    /// The cookies that were issued, by value.
    cookies: BTreeMap<String, Cookie>,
    sessions: BTreeMap<String, Session>,
    /// The requests in flight that may use a session, each with that session.
    under_way: Vec<(Visit, String)>,
    /// The access tokens that have been durable at any time.
    durable: BTreeSet<String>,
    /// The sign-ins whose token sets have been durable, by object and connection.
    sign_ins: BTreeMap<String, Vec<u64>>,
    /// The sign-ins whose session was cleared since.
    cleared: BTreeSet<u64>,
    /// The guesses that were answered as wrong.
    told: BTreeSet<String>,
    /// The refresh tokens that have been durable and were replaced by a durable successor.
    replaced: BTreeSet<String>,
    /// The durable refresh token, by object and connection.
    refresh_tokens: BTreeMap<String, String>,
}

struct Cookie {
    session: String,
    /// The cookie's place in the order of issue.
    number: usize,
    ended_at: Option<UnixTime>,
    has_successor: bool,
    /// The user name that signed in, by connection.
    people: BTreeMap<String, String>,
}

struct Session {
    /// The latest time at which the session may have been used last.
    used_at: UnixTime,
    /// The latest time at which the absolute limit may have begun.
    signed_in_at: UnixTime,
}

/// A refresh in flight from a live session.
pub struct Flight(Option<(String, u64, u64)>, Flights);

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(flight) = &self.0 {
            self.1.borrow_mut().remove(flight);
        }
    }
}

impl Seen {
    /// Whether `session` has passed its idle limit when `visit` begins, with no request in flight
    /// that began in time.
    fn is_idle(&self, session: &str, visit: &Visit, limits: Option<(Duration, Duration)>) -> bool {
        let is_late =
            |session: &Session| limits.is_some_and(|(idle, _)| visit.begun_at >= session.used_at + idle);
        self.sessions.get(session).is_some_and(is_late)
            && !self.under_way.iter().any(|(_, other)| other == session)
    }
}

impl CrowdWatch {
    /// The first invariant that was broken.
    pub fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    fn demand(&self, holds: bool, invariant: &str, what: &str) {
        if !holds {
            self.broken.borrow_mut().get_or_insert_with(|| format!("{invariant}: {what}"));
        }
    }

    /// Called when a live session begins a token request.
    pub fn token_request(&self, session: &str, refresh_token: Option<String>, provider: &Provider) -> Flight {
        let Some(refresh_token) = refresh_token else {
            return Flight(None, Rc::clone(&self.flights));
        };
        let replaced = self.seen.borrow().replaced.contains(&refresh_token);
        self.demand(!replaced, "newest-only", "a refresh token is sent whose successor is durable");
        let sign_in = provider.family(&refresh_token).expect("a refresh token that was issued");
        let mut flights = self.flights.borrow_mut();
        let alone = !flights.iter().any(|(other, of, _)| other == session && *of == sign_in);
        self.demand(alone, "one-flight", "two token requests at once for one token set");
        let flight =
            (session.to_owned(), sign_in, flights.iter().map(|(_, _, number)| number + 1).max().unwrap_or(0));
        flights.insert(flight.clone());
        drop(flights);
        Flight(Some(flight), Rc::clone(&self.flights))
    }

    /// Called when the storage failed while a session was being cleared: the session no longer
    /// knows its requests in flight.
    pub fn not_cleared(&self, session: &str) {
        self.flights.borrow_mut().retain(|(other, _, _)| other != session);
    }

    /// Called when a session was cleared.
    pub fn cleared(&self, session: &str) {
        let mut seen = self.seen.borrow_mut();
        let below = format!("keeper/{session}/");
        let sign_ins = std::mem::take(&mut seen.sign_ins);
        let (ended, others): (BTreeMap<_, _>, _) =
            sign_ins.into_iter().partition(|(name, _)| name.starts_with(&below));
        seen.sign_ins = others;
        seen.cleared.extend(ended.into_values().flatten());
    }

    /// Called when the state of a person's token set became durable.
    pub fn stored(&self, name: &str, state: &Value, provider: &Provider) {
        let mut seen = self.seen.borrow_mut();
        let set = &state["held"]["set"];
        if let Some(token) = set["access"]["access_token"].as_str() {
            seen.durable.insert(token.to_owned());
            let sign_in = provider.family(token).expect("a token that was issued");
            let ended = seen.cleared.contains(&sign_in);
            self.demand(!ended, "nothing-after-the-end", "a session's token set is stored after its end");
            let known = seen.sign_ins.entry(name.to_owned()).or_default();
            if known.last() != Some(&sign_in) {
                let is_new = !known.contains(&sign_in);
                self.demand(is_new, "nothing-after-the-end", "a token set is stored over the next one's");
                known.push(sign_in);
            }
        }
        if let Some(token) = set["refresh_token"].as_str() {
            let before = seen.refresh_tokens.insert(name.to_owned(), token.to_owned());
            let of_same =
                |before: &String| before != token && provider.family(before) == provider.family(token);
            seen.replaced.extend(before.filter(of_same));
        }
    }

    /// Called when a guess was answered as wrong.
    pub fn told(&self, guess: &str) {
        self.seen.borrow_mut().told.insert(guess.to_owned());
    }

    /// Called when a person was signed in: the answer to `visit` set `cookie`.
    pub fn signed_in(&self, visit: &Visit, cookie: &str, connection: &str, username: &str, now: UnixTime) {
        let session = session_of(cookie);
        let mut seen = self.seen.borrow_mut();
        self.demand(!seen.cookies.contains_key(cookie), "new-cookie", "a cookie is given out twice");
        let number = seen.cookies.len();
        let mut people = BTreeMap::new();
        let goes_on = visit.cookie.as_ref().and_then(|value| seen.cookies.get_mut(value));
        if let Some(before) = goes_on.filter(|before| before.session == session) {
            let lives = before.ended_at.is_none_or(|at| visit.begun_at <= at);
            self.demand(lives, "dead-stays-dead", "a dead cookie's session goes on");
            self.demand(!before.has_successor, "one-successor", "a cookie is rotated twice");
            before.has_successor = true;
            people.clone_from(&before.people);
        } else {
            self.demand(
                !seen.sessions.contains_key(&session),
                "never-adopted",
                "a session is given to one who did not prove it",
            );
        }
        for other in seen.cookies.values_mut().filter(|other| other.session == session) {
            other.ended_at.get_or_insert(now);
        }
        people.insert(connection.to_owned(), username.to_owned());
        seen.sessions.insert(session.clone(), Session { used_at: now, signed_in_at: now });
        let ended_at = None;
        seen.cookies
            .insert(cookie.to_owned(), Cookie { session, number, ended_at, has_successor: false, people });
    }

    /// Called when a sign-out with the cookie of `visit` was answered.
    pub fn signed_out(&self, visit: &Visit, now: UnixTime) {
        let mut seen = self.seen.borrow_mut();
        let Some(value) = &visit.cookie else { return };
        let Some((session, number)) =
            seen.cookies.get(value).map(|known| (known.session.clone(), known.number))
        else {
            return;
        };
        let dead = |other: &&mut Cookie| other.session == session && other.number <= number;
        for other in seen.cookies.values_mut().filter(dead) {
            other.ended_at.get_or_insert(now);
        }
    }

    /// Called when a request arrives. A session that has not ended is in use until the request
    /// ends.
    pub fn came(&self, visit: &Visit) {
        let mut seen = self.seen.borrow_mut();
        let cookie = visit.cookie.as_ref().and_then(|value| seen.cookies.get(value));
        let Some(session) = cookie.filter(|cookie| cookie.ended_at.is_none()).map(|cookie| &cookie.session)
        else {
            return;
        };
        if !seen.is_idle(session, visit, self.limits.get()) {
            let session = session.clone();
            seen.under_way.push((visit.clone(), session));
        }
    }

    /// Called when a request was answered, or its caller disconnected: the session may have been
    /// used up to `AFTERMATH` later.
    pub fn left(&self, visit: &Visit, served: bool, now: UnixTime) {
        let mut seen = self.seen.borrow_mut();
        if let Some(place) = seen.under_way.iter().position(|(other, _)| other == visit) {
            seen.under_way.swap_remove(place);
        }
        let Some(session) = visit.cookie.as_ref().and_then(|value| seen.cookies.get(value)) else { return };
        let session = session.session.clone();
        if let Some(session) = seen.sessions.get_mut(&session) {
            session.used_at = session.used_at.max(if served { now } else { now + AFTERMATH });
        }
    }

    /// Records that the session of `visit` is used.
    fn served(&self, visit: &Visit, now: UnixTime) -> Option<BTreeMap<String, String>> {
        let seen = self.seen.borrow();
        let cookie = visit.cookie.as_ref().and_then(|value| seen.cookies.get(value));
        self.demand(cookie.is_some(), "known-cookie", "a call is served with a cookie that was never given");
        let cookie = cookie?;
        let lives = cookie.ended_at.is_none_or(|at| visit.begun_at <= at);
        self.demand(lives, "dead-stays-dead", "a call is served with a dead cookie");
        if let (Some((_, longest)), Some(session)) = (self.limits.get(), seen.sessions.get(&cookie.session)) {
            let is_idle = seen.is_idle(&cookie.session, visit, self.limits.get());
            self.demand(!is_idle, "idle-limit", "an idle session is served");
            let ends_at = session.signed_in_at + longest + AFTERMATH;
            self.demand(now < ends_at, "absolute-limit", "a session is served past its end");
        }
        Some(cookie.people.clone())
    }

    /// Called when an answer listed the connections of a session.
    pub fn listed(&self, visit: &Visit, connections: &[String], now: UnixTime) {
        let Some(people) = self.served(visit, now) else { return };
        let known = connections.iter().all(|connection| people.contains_key(connection));
        self.demand(known, "own-token", "a sign-in is told of that nobody made");
    }

    /// Called when a person's call is sent with `token`, which belongs to `person`.
    pub fn sends(&self, visit: &Visit, person: &Person, token: &str, is_valid: bool, now: UnixTime) {
        let Some(people) = self.served(visit, now) else { return };
        let own = people.get(&person.connection) == Some(&person.username);
        self.demand(own, "own-token", "a call carries another person's token");
        self.demand(is_valid, "never-expired", "an expired token is sent");
        let durable = self.seen.borrow().durable.contains(token);
        self.demand(durable, "durable-before-use", "a token is sent that is not durable");
    }

    /// Checks the guesses that the provider refused: each has its time, the user name, the address,
    /// and the guess itself. A guess whose refusal reached no caller counts only for the user name.
    pub fn refusals(&self, refusals: &[(UnixTime, String, String, String)]) {
        let told = &self.seen.borrow().told;
        for (number, (at, name, address, guess)) in refusals.iter().enumerate() {
            let window =
                || refusals[..number].iter().filter(|(before, ..)| *at < *before + Duration::from_mins(1));
            let of_name = window().filter(|(_, other, ..)| other == name).count();
            let of_address = window().filter(|(_, _, other, guess)| other == address && told.contains(guess));
            let is_told = told.contains(guess);
            self.demand(of_name < MOST_REFUSALS, "few-guesses", "a name is tried too often");
            let few = !is_told || of_address.count() < MOST_REFUSALS;
            self.demand(few, "few-guesses", "an address tries too often");
            // All addresses are in one network.
            let of_network = window().filter(|(.., guess)| told.contains(guess));
            let few = !is_told || of_network.count() < MOST_REFUSALS_OF_NETWORK;
            self.demand(few, "few-guesses", "a network tries too often");
        }
    }
}

/// The session that a cookie belongs to.
fn session_of(cookie: &str) -> String {
    let fields = format!("cookie:{COOKIE}={cookie}");
    SessionId::read(&Headers::new(&fields)).expect("a session's cookie").name().to_owned()
}
