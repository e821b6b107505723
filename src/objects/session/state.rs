//! The stored state of a session.

use std::time::Duration;

use crate::config::SessionPolicy;
use crate::json::record;
use crate::protocol::Person;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// The sealed record of a session.
#[derive(Clone, Debug)]
pub(super) struct SessionState {
    /// The digest of the browser's cookie.
    pub proof: Fingerprint,
    /// When the absolute limit began.
    created_at: UnixTime,
    /// When the session was last used, to a tenth of the idle limit.
    used_at: UnixTime,
    /// The connections that the person is signed in to.
    pub connections: Vec<String>,
    /// Who signed in by an ID token, in order.
    pub people: Vec<Person>,
    /// The digests of the cookies that consents replaced, each with the end of its use: a flow that
    /// began with one of them joins the session.
    joined: Vec<(Fingerprint, UnixTime)>,
    /// Whether the session outlives its last sign-in, so that the person can connect again.
    pub stays: bool,
}

record!(SessionState {
    proof,
    created_at,
    used_at,
    connections,
    people = default,
    joined = default,
    stays = default,
});

/// How long a flow that began with a cookie may join the session, after another flow replaced it.
const JOINABLE: Duration = Duration::from_mins(10);

impl SessionState {
    /// The state after a sign-in to `connection`. The absolute limit counts from the first sign-in;
    /// it restarts where `connection` is the session's only one, since the person authenticated in
    /// full again.
    pub fn after_sign_in(before: Option<&Self>, proof: Fingerprint, connection: &str, now: UnixTime) -> Self {
        let mut connections = before.map(|state| state.connections.clone()).unwrap_or_default();
        if !connections.iter().any(|known| known == connection) {
            connections.push(connection.to_owned());
        }
        let goes_on = before.filter(|_| connections.len() > 1);
        Self {
            proof,
            created_at: goes_on.map_or(now, |state| state.created_at),
            used_at: now,
            connections,
            people: before.map(|state| state.people.clone()).unwrap_or_default(),
            joined: Vec::new(),
            stays: before.is_some_and(|state| state.stays),
        }
    }

    /// The state after a consent for `connection`, by which `person` signed in if an ID token says
    /// so. Where another person signs in by the connection that the session began with, nothing of
    /// the one before them is left.
    pub fn after_consent(
        before: Option<&Self>,
        proof: Fingerprint,
        connection: &str,
        person: Option<Person>,
        now: UnixTime,
    ) -> Self {
        let is_other = |known: &Person| {
            known.connection == connection && person.as_ref().is_none_or(|person| !person.is_same(known))
        };
        let first = before.and_then(|state| state.people.first());
        let before = before.filter(|_| !first.is_some_and(is_other));
        let mut state = Self::after_sign_in(before, proof, connection, now);
        if let Some(before) = before {
            state.joined = before.joined.iter().filter(|(_, until)| now < *until).copied().collect();
            state.joined.push((before.proof, now + JOINABLE));
        }
        state.stays = true;
        match (state.people.iter().position(|known| known.connection == connection), person) {
            (Some(place), Some(person)) => {
                if let Some(known) = state.people.get_mut(place) {
                    *known = person;
                }
            }
            (Some(place), None) => drop(state.people.remove(place)),
            (None, Some(person)) => state.people.push(person),
            (None, None) => {}
        }
        state
    }

    /// Whether a flow that began with the cookie `proof` may join the session at `now`.
    pub fn is_joined_by(&self, proof: Fingerprint, now: UnixTime) -> bool {
        self.proof == proof || self.joined.iter().any(|(known, until)| *known == proof && now < *until)
    }

    /// Removes the sign-in to `connection`. The person stays who they are.
    pub fn remove(&mut self, connection: &str) {
        self.connections.retain(|known| known != connection);
    }

    /// Whether the session, last used at `used_at`, lives at `now`.
    pub fn lives(&self, used_at: UnixTime, policy: &SessionPolicy, now: UnixTime) -> bool {
        now < self.ends_at(used_at, policy)
    }

    /// When the session ends if it is not used after `used_at`.
    pub fn ends_at(&self, used_at: UnixTime, policy: &SessionPolicy) -> UnixTime {
        (used_at.max(self.used_at) + policy.idle).min(self.longest(policy))
    }

    /// The latest end of the session.
    pub fn longest(&self, policy: &SessionPolicy) -> UnixTime {
        self.created_at + policy.longest
    }

    /// Whether a use at `now` has to be stored.
    pub fn is_use_due(&self, policy: &SessionPolicy, now: UnixTime) -> bool {
        let tenth: Duration = policy.idle / 10;
        now >= self.used_at + tenth
    }

    /// Records a use at `now`.
    pub fn note_use(&mut self, now: UnixTime) {
        self.used_at = now;
    }
}
