//! The invariants of a token's life, checked during the run.
//!
//! Each has a name; `docs/explain/token-life.md` lists them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;

use super::world::Process;
use porteiro::json::FromJson as _;
use porteiro::time::UnixTime;
use porteiro::token::Lifetime;

/// The watch's record of the run, and the first invariant that was broken.
#[derive(Default)]
pub struct Watch {
    seen: RefCell<Seen>,
    broken: RefCell<Option<String>>,
}

#[derive(Default)]
struct Seen {
    /// The access tokens that have been durable at any time.
    durable: BTreeSet<String>,
    /// The newest durable access token, and its lifetime.
    newest: Option<(String, Lifetime)>,
    /// The generation of the newest durable token set.
    generation: u64,
    /// The newest durable refresh token.
    refresh_token: Option<String>,
    /// The tokens that the upstream refused.
    refused: BTreeSet<String>,
    /// The tokens that the upstream refused for themselves, not for the call.
    refused_for_itself: BTreeSet<String>,
    /// When token sets were last requested to replace a token that the upstream refused before its
    /// expiry.
    renewed_for_refusal: Vec<UnixTime>,
    /// The tokens that the upstream refused to each isolate, with whether a later one has worked
    /// since.
    refused_to: BTreeMap<Process, BTreeMap<String, bool>>,
    /// The ids of the assertions in token requests.
    asserted: BTreeSet<String>,
    /// How many times each refresh token was sent with an unknown outcome.
    unsettled: BTreeMap<String, u8>,
    /// When refused credentials were last sent, unless the keeper or its storage failed before the
    /// wait was durable: the keeper could then not know.
    rejected_at: Option<UnixTime>,
    /// Whether the wait after the refusal is durable.
    wait_is_durable: bool,
    /// The token that was granted last, until it is durable, or the keeper or its storage fails.
    granted: Option<String>,
}

impl Watch {
    /// The first invariant that was broken.
    pub fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    fn demand(&self, holds: bool, invariant: &str, what: &str) {
        if !holds {
            self.broken.borrow_mut().get_or_insert_with(|| format!("{invariant}: {what}"));
        }
    }

    /// Called when a token request begins while `others` are in flight.
    pub fn token_request(&self, others: u32, refresh_token: Option<&str>, only_grant: bool, now: UnixTime) {
        self.demand(others == 0, "one-flight", "two token requests at once");
        let mut seen = self.seen.borrow_mut();
        self.demand(
            seen.granted.is_none(),
            "granted-is-kept",
            "a token is requested, and the one granted before is lost",
        );
        if let Some((token, lifetime)) = &seen.newest {
            let justified = now >= lifetime.refresh_at || seen.refused.contains(token);
            self.demand(justified, "no-needless-grant", "a fresh token that nobody refused is replaced");
        }
        if let Some(token) = refresh_token {
            let sent = seen.unsettled.entry(token.to_owned()).or_default();
            *sent = sent.saturating_add(1);
            self.demand(*sent <= 2 || only_grant, "one-retry", "a refresh token is sent a third time");
        }
    }

    /// Called when a token request with an assertion of these `claims` is sent.
    pub fn asserts(&self, claims: &Value, now: UnixTime) {
        let time = |name: &str| UnixTime::from_millis(claims[name].as_u64().expect("a time") * 1000);
        let is_fresh = time("iat") <= now && now.since(time("iat")) < Duration::from_secs(2);
        self.demand(is_fresh && now < time("exp"), "fresh-assertion", "an assertion is not of this moment");
        let is_new = self.seen.borrow_mut().asserted.insert(claims["jti"].to_string());
        self.demand(is_new, "fresh-assertion", "an assertion is sent a second time");
    }

    /// Called when the keeper got the answer to a refresh: its outcome is known.
    pub fn refresh_settled(&self, refresh_token: &str) {
        self.seen.borrow_mut().unsettled.remove(refresh_token);
    }

    /// Called when the keeper's state became durable. `lives` says whether the provider would
    /// accept a refresh token.
    pub fn stored(&self, state: &Value, lives: impl Fn(&str) -> bool) {
        let mut seen = self.seen.borrow_mut();
        let set = &state["held"]["set"];
        let generation = set["access"]["generation"].as_u64().unwrap_or_default();
        self.demand(
            generation >= seen.generation,
            "never-backwards",
            "an older token set is stored over a newer one",
        );
        seen.generation = generation;
        let refresh_token = set["refresh_token"].as_str().map(str::to_owned);
        if let (Some(old), None) = (&seen.refresh_token, &refresh_token) {
            self.demand(!lives(old), "nothing-lost", "a refresh token that lives was forgotten");
        }
        seen.refresh_token = refresh_token;
        seen.wait_is_durable |= state["wait"]["cause"] == "CredentialsRejected";
        if let Some(token) = set["access"]["access_token"].as_str() {
            let lifetime: Lifetime =
                Lifetime::from_json(&mut set["access"]["lifetime"].clone()).expect("a lifetime");
            let at = lifetime.obtained_at;
            if seen.newest.as_ref().is_some_and(|(old, life)| old != token && at < life.refresh_at) {
                seen.renewed_for_refusal.retain(|earlier| at.since(*earlier).as_secs() < 60);
                seen.renewed_for_refusal.push(at);
                let few = seen.renewed_for_refusal.len() <= RENEWALS_A_MINUTE;
                self.demand(few, "bounded-renewals", "refusals cause renewal after renewal");
            }
            seen.granted.take_if(|granted| granted == token);
            seen.durable.insert(token.to_owned());
            seen.newest = Some((token.to_owned(), lifetime));
        }
    }

    /// Called when a record is written to the cache.
    pub fn cached(&self, record: &Value) {
        let token = record["access_token"].as_str().unwrap_or_default();
        let durable = self.seen.borrow().durable.contains(token);
        self.demand(durable, "durable-before-use", "a token is cached that is not durable");
    }

    /// Called when an isolate sends a call with a token that expires at `expires_at`.
    pub fn sends(&self, isolate: Process, token: &str, expires_at: Option<UnixTime>, now: UnixTime) {
        let seen = self.seen.borrow();
        self.demand(expires_at.is_none_or(|at| now < at), "never-expired", "an expired token is sent");
        self.demand(
            seen.durable.contains(token),
            "durable-before-use",
            "a token is sent that is not durable",
        );
        let better = seen.refused_to.get(&isolate).and_then(|refused| refused.get(token));
        self.demand(
            better != Some(&true),
            "never-refused",
            "a refused token is sent, and a better one is held",
        );
    }

    /// The newest durable access token.
    pub fn newest(&self) -> Option<String> {
        self.seen.borrow().newest.as_ref().map(|(token, _)| token.clone())
    }

    /// Called when a call is answered that no token is available. `before` is the newest token when
    /// the call began; `takes` says whether the upstream accepts a token. The upstream accepts a
    /// token for slightly longer than its declared lifetime, which counts from the request for it.
    pub fn told_of_no_token(&self, before: Option<&str>, takes: impl Fn(&str) -> bool, now: UnixTime) {
        let seen = self.seen.borrow();
        let works = seen.newest.as_ref().is_some_and(|(token, lifetime)| {
            Some(token.as_str()) == before
                && now < lifetime.expires_at
                && takes(token)
                && !seen.refused_for_itself.contains(token)
        });
        self.demand(
            !works,
            "use-what-works",
            "a call fails for want of a token, and there is one that works",
        );
    }

    /// Called when the upstream answered an isolate's call; `is_about_call` says that it refuses
    /// the call regardless of the token.
    pub fn answered(&self, isolate: Process, token: &str, refused: bool, is_about_call: bool) {
        let mut seen = self.seen.borrow_mut();
        if refused && !is_about_call {
            seen.refused_for_itself.insert(token.to_owned());
        }
        let refused_to = seen.refused_to.entry(isolate).or_default();
        if refused {
            refused_to.insert(token.to_owned(), false);
            seen.refused.insert(token.to_owned());
        } else {
            for (other, better) in refused_to.iter_mut() {
                *better |= number(token) > number(other);
            }
        }
    }

    /// Called when an isolate ends; its memory is lost.
    pub fn ended(&self, isolate: Process) {
        self.seen.borrow_mut().refused_to.remove(&isolate);
    }

    /// Called when the keeper ends, or its storage fails.
    pub fn keeper_failed(&self) {
        let mut seen = self.seen.borrow_mut();
        if !seen.wait_is_durable {
            seen.rejected_at = None;
        }
    }

    /// Called when the keeper got a token.
    pub fn granted(&self, token: &str) {
        self.seen.borrow_mut().granted = Some(token.to_owned());
    }

    /// Called when the keeper ends, or learns that its storage failed: what it was granted may be lost.
    pub fn grant_unsettled(&self) {
        self.seen.borrow_mut().granted = None;
    }

    /// Called when the provider refused the credentials.
    pub fn rejected(&self, now: UnixTime) {
        let mut seen = self.seen.borrow_mut();
        let apart = seen.rejected_at.is_none_or(|last| now.since(last).as_secs() >= 60);
        self.demand(apart, "one-try-a-wait", "refused credentials are tried twice within a minute");
        seen.rejected_at = Some(now);
        seen.wait_is_durable = false;
    }
}

/// How many renewals refusals may cause in a minute: three, plus those after the first two
/// back-offs.
const RENEWALS_A_MINUTE: usize = 5;

/// The place of a token in the order of issue.
fn number(token: &str) -> u64 {
    token.rsplit('-').next().and_then(|digits| digits.parse().ok()).expect("tokens are numbered")
}
