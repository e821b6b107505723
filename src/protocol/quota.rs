//! The ask for a part of a connection's budget, and its reply: each a row of numbers, which takes the
//! least code.

use serde_json::Value;

use crate::json::{FromJson, ToJson};

/// An ask of an isolate about the requests to a connection's upstream. Whatever has no meaning for it
/// is 0.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct QuotaAsk {
    /// The budget: the number of requests in any window.
    pub requests: u64,
    /// The length of the window, in seconds.
    pub seconds: u64,
    /// How many permits the isolate could use soon; 0 where it only looks.
    pub want: u64,
    /// How long the ask waits for its turn, in milliseconds.
    pub queue_ms: u64,
    /// The party that the permits are for, where parties share the budget.
    pub who: u64,
    /// Whether the ask's calls leave the upstream alone while it wants none.
    pub cool_down: bool,
    /// The upstream said that there were too many requests, and for how many milliseconds; 0 where it
    /// did not say.
    pub limited: Option<u64>,
    /// The leases that the isolate uses no more: the id of each, and its unused permits.
    pub over: Vec<[u64; 2]>,
}

impl ToJson for QuotaAsk {
    fn write_json(&self, out: &mut String) {
        let limited = self.limited.map_or(0, |said| said.saturating_add(1));
        let cool_down = u64::from(self.cool_down);
        let mut row =
            vec![self.requests, self.seconds, self.want, self.queue_ms, self.who, cool_down, limited];
        row.extend_from_slice(self.over.as_flattened());
        row.write_json(out);
    }
}

impl FromJson for QuotaAsk {
    fn from_json(value: &mut Value) -> Option<Self> {
        let row = Vec::from_json(value)?;
        let [requests, seconds, want, queue_ms, who, cool_down, limited, ref over @ ..] = *row.as_slice()
        else {
            return None;
        };
        let over = over.as_chunks().0.to_vec();
        let limited: Option<u64> = u64::checked_sub(limited, 1);
        Some(Self { requests, seconds, want, queue_ms, who, cool_down: cool_down > 0, limited, over })
    }
}

/// The reply to a [`QuotaAsk`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct QuotaReply {
    /// The id of the lease; 0 where there is none.
    pub lease: u64,
    /// How many requests may leave by the lease.
    pub permits: u64,
    /// The end of the lease, in milliseconds after the ask was sent.
    pub millis: u64,
    /// How many permits are left for this party besides.
    pub left: u64,
    /// When the next permits come free, in milliseconds.
    pub frees_in: u64,
    /// How long the upstream wants no calls, in milliseconds.
    pub held_for: u64,
}

impl ToJson for QuotaReply {
    fn write_json(&self, out: &mut String) {
        let Self { lease, permits, millis, left, frees_in, held_for } = *self;
        vec![lease, permits, millis, left, frees_in, held_for].write_json(out);
    }
}

impl FromJson for QuotaReply {
    fn from_json(value: &mut Value) -> Option<Self> {
        let row = Vec::from_json(value)?;
        let [lease, permits, millis, left, frees_in, held_for] = *row.as_slice() else { return None };
        Some(Self { lease, permits, millis, left, frees_in, held_for })
    }
}
