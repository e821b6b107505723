//! What a session knows of itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::SessionPolicy;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// A session that lives, as it is sealed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    /// The proof in the browser's cookie.
    pub proof: Fingerprint,
    /// When the person signed in.
    created_at: UnixTime,
    /// When the session was last used, but for a tenth of the idle limit.
    used_at: UnixTime,
    /// The connections that the person is signed in to.
    pub connections: Vec<String>,
}

impl State {
    /// The state after a sign-in to `connection`. The absolute limit counts from
    /// the first one, unless the person proved again all that there was to prove.
    pub fn after_sign_in(before: Option<&Self>, proof: Fingerprint, connection: &str, now: UnixTime) -> Self {
        let mut connections = before.map(|state| state.connections.clone()).unwrap_or_default();
        if !connections.iter().any(|known| known == connection) {
            connections.push(connection.to_owned());
        }
        let goes_on = before.filter(|_| connections.len() > 1);
        Self { proof, created_at: goes_on.map_or(now, |state| state.created_at), used_at: now, connections }
    }

    /// Whether the session lives at `now`, having last been used at `used_at`.
    pub fn lives(&self, used_at: UnixTime, policy: &SessionPolicy, now: UnixTime) -> bool {
        now < self.ends_at(used_at, policy)
    }

    /// When the session ends, if nobody uses it after `used_at`.
    pub fn ends_at(&self, used_at: UnixTime, policy: &SessionPolicy) -> UnixTime {
        (used_at.max(self.used_at) + policy.idle).min(self.longest(policy))
    }

    /// When the session ends at the latest.
    pub fn longest(&self, policy: &SessionPolicy) -> UnixTime {
        self.created_at + policy.longest
    }

    /// Notes that the session is in use; whether that is worth storing.
    pub fn is_use_news(&self, policy: &SessionPolicy, now: UnixTime) -> bool {
        let tenth: Duration = policy.idle / 10;
        now >= self.used_at + tenth
    }

    /// Notes that the session was used at `now`.
    pub fn note_use(&mut self, now: UnixTime) {
        self.used_at = now;
    }
}
