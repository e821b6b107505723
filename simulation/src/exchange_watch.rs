//! The invariants of exchanged tokens, checked during the run.
//!
//! The watch knows from the requests alone whose token was exchanged, and from the provider what for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use url::form_urlencoded;

use super::issuer::Subject;
use porteiro::json::FromJson as _;
use porteiro::ports::HttpAnswer;
use porteiro::time::UnixTime;
use porteiro::token::Lifetime;

/// The shortest wait after a refusal.
const SHORTEST_WAIT: Duration = Duration::from_mins(1);

/// The watch's record of the run, and the first invariant that was broken.
#[derive(Default)]
pub struct ExchangeWatch {
    seen: RefCell<Seen>,
    broken: RefCell<Option<String>>,
    flights: Rc<RefCell<BTreeSet<String>>>,
}

#[derive(Default)]
struct Seen {
    /// Whose exchange each object makes, and for which connection.
    owners: BTreeMap<String, String>,
    /// The access tokens that have been durable at any time: object, connection, and the end of the
    /// token's life as the broker counts it.
    durable: BTreeMap<String, (String, String, UnixTime)>,
    /// The ends of the callers' tokens that were exchanged, by access token.
    exchanged_until: BTreeMap<String, UnixTime>,
    /// The last refusal of each object: when, and the end of the token that was refused. It is not
    /// known to an object that ended, or whose storage failed, before its wait was durable.
    refused: BTreeMap<String, Refusal>,
    /// Who was refused at any time.
    rejected: BTreeSet<String>,
}

struct Refusal {
    at: UnixTime,
    until: UnixTime,
    is_durable: bool,
}

/// A token request in flight from a live object.
pub struct Flight {
    object: String,
    subject: Subject,
    flights: Rc<RefCell<BTreeSet<String>>>,
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.flights.borrow_mut().remove(&self.object);
    }
}

impl ExchangeWatch {
    /// The first invariant that was broken.
    pub fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    fn demand(&self, holds: bool, invariant: &str, what: &str) {
        if !holds {
            self.broken.borrow_mut().get_or_insert_with(|| format!("{invariant}: {what}"));
        }
    }

    /// Called when a live object begins a token request with this body.
    pub fn token_request(&self, object: &str, body: &str, now: UnixTime) -> Flight {
        let mut fields = form_urlencoded::parse(body.as_bytes());
        let token = fields.find(|(name, _)| name == "subject_token").map(|(_, token)| token.into_owned());
        let token = token.expect("an exchange, and no other grant");
        let subject = Subject::of(&token).expect("a token of an issuer");
        let mut seen = self.seen.borrow_mut();
        let owner = seen.owners.entry(object.to_owned()).or_insert_with(|| subject.who());
        self.demand(*owner == subject.who(), "own-object", "an object exchanges the tokens of two callers");
        self.demand(now < subject.expires_at, "never-expired", "an expired token is exchanged");
        if let Some(refusal) = seen.refused.get(object) {
            let is_later = subject.expires_at > refusal.until;
            let apart = now >= refusal.at + SHORTEST_WAIT;
            self.demand(
                apart || is_later,
                "one-try-a-wait",
                "a refused token is tried twice within a minute",
            );
        }
        let alone = self.flights.borrow_mut().insert(object.to_owned());
        self.demand(alone, "one-flight", "two exchanges at once for one caller");
        Flight { object: object.to_owned(), subject, flights: Rc::clone(&self.flights) }
    }

    /// Called when an object gets the token endpoint's answer, or none.
    pub fn answered(&self, flight: &Flight, answer: Option<&HttpAnswer>, now: UnixTime) {
        let Some(answer) = answer else { return };
        let mut seen = self.seen.borrow_mut();
        match answer.status {
            200 => {
                let token = serde_json::from_slice(&answer.body)
                    .ok()
                    .and_then(|response: Value| Some(response["access_token"].as_str()?.to_owned()));
                seen.exchanged_until.extend(token.map(|token| (token, flight.subject.expires_at)));
            }
            400..=404 => {
                let earlier = seen.refused.get(&flight.object).map(|refusal| refusal.until);
                let until = earlier.max(Some(flight.subject.expires_at)).unwrap_or(now);
                let refusal = Refusal { at: now, until, is_durable: false };
                seen.refused.insert(flight.object.clone(), refusal);
                seen.rejected.insert(flight.subject.who());
            }
            _ => {}
        }
    }

    /// Called when an object ends, or its storage fails: it may know nothing of a refusal.
    pub fn troubled(&self, object: &str) {
        let mut seen = self.seen.borrow_mut();
        if seen.refused.get(object).is_some_and(|refusal| !refusal.is_durable) {
            seen.refused.remove(object);
        }
    }

    /// Called when the state of an object became durable.
    pub fn stored(&self, connection: &str, object: &str, state: &Value) {
        let mut seen = self.seen.borrow_mut();
        let set = &state["held"]["set"];
        let no_refresh = set["refresh_token"].is_null();
        self.demand(no_refresh, "no-refresh-token", "a refresh token outlives the caller's own token");
        if state["wait"]["cause"] == "CredentialsRejected"
            && let Some(refusal) = seen.refused.get_mut(object)
        {
            refusal.is_durable = true;
        }
        let Some(token) = set["access"]["access_token"].as_str() else { return };
        let lifetime = Lifetime::from_json(&mut set["access"]["lifetime"].clone()).expect("a lifetime");
        let known = (object.to_owned(), connection.to_owned(), lifetime.expires_at);
        match seen.durable.insert(token.to_owned(), known) {
            Some((other, ..)) => self.demand(other == object, "own-token", "two callers share a token"),
            // What was granted ends the wait.
            None => drop(seen.refused.remove(object)),
        }
    }

    /// Called when a call of `who` is sent to the API of `connection` with an exchanged `token`.
    pub fn sends(
        &self,
        connection: &str,
        who: Option<&Subject>,
        token: &str,
        expires_at: Option<UnixTime>,
        now: UnixTime,
    ) {
        let seen = self.seen.borrow();
        let known = seen.durable.get(token);
        self.demand(known.is_some(), "durable-before-use", "a token is sent that is not durable");
        let Some((object, of, ends_at)) = known else { return };
        let own = who.is_some_and(|who| seen.owners.get(object) == Some(&who.who()));
        self.demand(own, "own-token", "a call carries another caller's token");
        self.demand(of == connection, "own-token", "a token is sent to another connection's API");
        let valid = expires_at.is_none_or(|at| now < at) && now < *ends_at;
        self.demand(valid, "never-expired", "an expired token is sent");
        let within = seen.exchanged_until.get(token).is_some_and(|until| now < *until);
        self.demand(within, "never-outlives", "a token is sent that outlives the one it was exchanged for");
    }

    /// Called when a call of `who` is answered that the credentials were refused.
    pub fn told_of_refusal(&self, who: &str) {
        let own = self.seen.borrow().rejected.contains(who);
        self.demand(own, "alone", "a caller is held up by another one's refusal");
    }
}
