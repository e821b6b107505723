//! When a token that is refused counts as dead.

use std::time::Duration;

use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// What tells that a token is dead rather than that the upstream refused calls:
/// refusals in a row without its being known to have worked since. It is in
/// memory only: a keeper that begins anew gives the benefit of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    refusals: u8,
    /// The calls that were refused, each once.
    calls: Vec<Fingerprint>,
    /// When calls were refused, as far apart as counts.
    moments: Vec<UnixTime>,
    /// Whether there were many refusals over long.
    is_long: bool,
}

/// So many calls of different addresses that are refused tell that a token is
/// dead: one address may be one that the account may not use.
const DEAD_AFTER_CALLS: usize = 3;

/// So do so many refusals of one address, over so long, where nothing but a
/// person's sign-in depends on it.
const DEAD_AFTER: (u8, Duration) = (10, Duration::from_mins(5));

/// Neither tells it before refusals came at so many moments, so far apart. A
/// page calls much at once, and what works of that may have been begun before
/// there was a doubt, so that nobody tells of it: it is told the next time.
const DEAD_AFTER_MOMENTS: (usize, Duration) = (3, Duration::from_secs(15));

impl Doubt {
    pub fn add(&mut self, call: Option<Fingerprint>, now: UnixTime) {
        self.refusals = self.refusals.saturating_add(1);
        let is_news = |call: &Fingerprint| self.calls.len() < DEAD_AFTER_CALLS && !self.calls.contains(call);
        if let Some(call) = call.filter(is_news) {
            self.calls.push(call);
        }
        let (moments, apart) = DEAD_AFTER_MOMENTS;
        if self.moments.len() < moments && self.moments.last().is_none_or(|last| now >= *last + apart) {
            self.moments.push(now);
        }
        let (refusals, span) = DEAD_AFTER;
        let lasts_long = self.moments.first().is_some_and(|first| now >= *first + span);
        self.is_long |= self.refusals >= refusals && lasts_long;
    }

    fn has_lasted(&self) -> bool {
        self.moments.len() >= DEAD_AFTER_MOMENTS.0
    }

    /// Whether several addresses tell that the token is dead.
    pub fn is_strong(&self) -> bool {
        self.has_lasted() && self.calls.len() >= DEAD_AFTER_CALLS
    }

    /// Whether they do, or a single one that nothing else was called beside.
    pub fn is_enough(&self) -> bool {
        self.is_strong() || (self.has_lasted() && self.is_long)
    }
}
