//! When a refused token counts as dead.

use std::time::Duration;

use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// The evidence that a token is dead, rather than that the upstream refuses certain calls:
/// consecutive refusals without a reported success. It is in memory only: a new instance of the
/// object starts without evidence.
#[derive(Clone, Debug, Default)]
pub(super) struct Doubt {
    refusals: u8,
    /// The distinct calls that were refused.
    calls: Vec<Fingerprint>,
    /// The times of refusals that are far enough apart to count.
    moments: Vec<UnixTime>,
    /// Whether many refusals came over a long time.
    is_long: bool,
}

/// Refusals of this many different calls show that a token is dead; the account may lack access to
/// any single address.
const DEAD_AFTER_CALLS: usize = 3;

/// So do this many refusals of a single call, over this long, where the only consequence is that a
/// person signs in again.
const DEAD_AFTER: (u8, Duration) = (10, Duration::from_mins(5));

/// Neither counts before refusals came at this many times, this far apart. A page makes many calls
/// at once, and the successful ones may have begun before the first refusal, so that isolates do
/// not report them; they report the next ones.
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

    /// Whether refusals of several calls show that the token is dead.
    pub fn is_strong(&self) -> bool {
        self.has_lasted() && self.calls.len() >= DEAD_AFTER_CALLS
    }

    /// The same, or many refusals over a long time of the only call made.
    pub fn is_enough(&self) -> bool {
        self.is_strong() || (self.has_lasted() && self.is_long)
    }
}
