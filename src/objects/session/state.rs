//! The stored state of a session.

use std::time::Duration;

use crate::config::SessionPolicy;
use crate::json::record;
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
}

record!(SessionState { proof, created_at, used_at, connections });

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
        Self { proof, created_at: goes_on.map_or(now, |state| state.created_at), used_at: now, connections }
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
