//! What left for an upstream, and what may still leave: pure, over times that are passed in.
//!
//! A lease of n permits that is granted at g and ends at e counts as n requests from g until e and a
//! window: its requests leave between g and e, and every window that has one of them ends before that.
//! So no window has more than the budget, whatever becomes of the isolates, of messages and of this
//! object, which stores a lease before it hands it out. What an isolate gives back counts no more; what
//! it ended earlier counts from then.

use serde_json::Value;

use crate::json::{FromJson, ToJson};
use crate::protocol::{QuotaAsk, QuotaReply};

/// The shortest and the longest life of a lease, in milliseconds. A shorter one would end on the way
/// to an isolate, a longer one would keep too much of the budget from others.
const LIFE: (u64, u64) = (500, 3_000);

/// How long after its end the unused permits of a lease may be given back, in milliseconds.
const GIVING_BACK: u64 = 5_000;

/// How many leases can be given back and tell parties apart, and how many parties keep a part.
const MAX_ENTRIES: usize = 1_000;

/// The shortest and the longest time for which an upstream is spared, in milliseconds.
const SPARED: (u64, u64) = (1_000, 15 * 60_000);

/// After so long without a complaint, in milliseconds, the next one counts as the first.
const FORGIVEN: u64 = 60_000;

/// The requests to one upstream. Times are Unix milliseconds.
#[derive(Default, Debug)]
pub struct Ledger {
    /// The latest time that was seen.
    seen: u64,
    /// The id of the last lease.
    last: u64,
    leases: Vec<Lease>,
    /// Until when the upstream wants no calls.
    held_until: u64,
    /// For how long it was spared last without having said so itself.
    silent: u64,
    /// The parties that asked lately, in the order of their numbers, and until when each keeps its part.
    askers: Vec<(u64, u64)>,
}

/// Permits that count.
#[derive(Clone, Copy, Debug)]
struct Lease {
    /// The id of a lease; 0 where nobody can give anything of it back.
    id: u64,
    permits: u64,
    /// Its end: no request leaves by it from then on.
    end: u64,
    /// The window that it was granted for, in seconds: isolates may know different registrations for a
    /// while. It is kept as long as it counts in that one.
    seconds: u64,
    /// Whose they are; 0 where that does not matter.
    who: u64,
    /// Whether it is one with all that ended with it.
    is_merged: bool,
}

// A row of numbers, which takes the least code.
impl ToJson for Ledger {
    fn write_json(&self, out: &mut String) {
        let mut row = vec![self.seen, self.last, self.held_until, self.silent];
        for Lease { id, permits, end, seconds, who, .. } in &self.leases {
            row.extend_from_slice(&[*id, *permits, *end, *seconds, *who]);
        }
        row.write_json(out);
    }
}

impl FromJson for Ledger {
    fn from_json(value: &mut Value) -> Option<Self> {
        let row = Vec::from_json(value)?;
        let [seen, last, held_until, silent, ref leases @ ..] = *row.as_slice() else { return None };
        let mut ledger = Self { seen, last, held_until, silent, ..Self::default() };
        for &[id, permits, end, seconds, who] in leases.as_chunks().0 {
            ledger.leases.push(Lease { id, permits, end, seconds, who, is_merged: false });
        }
        Some(ledger)
    }
}

/// The life of a lease, in milliseconds: a twentieth of the window.
fn life(ask: &QuotaAsk) -> u64 {
    (ask.seconds * 50).clamp(LIFE.0, LIFE.1)
}

/// What a window of so many seconds is longer by, and what ends are rounded up to, in milliseconds: clocks
/// differ a little, and requests overtake each other on their way.
fn margin(seconds: u64) -> u64 {
    (seconds * 10).max(20)
}

/// How long after its end a lease counts in a window of so many seconds, in milliseconds.
fn counting(seconds: u64) -> u64 {
    seconds * 1_000 + margin(seconds)
}

impl Ledger {
    /// Moves to `now`. If the clock went back, all that counts does so for as long as when it was looked at
    /// last.
    pub fn advance(&mut self, now: u64) {
        if self.seen == 0 {
            // An isolate may still give back leases of a ledger before, whose connection was removed.
            self.last = now;
        }
        let back = self.seen.saturating_sub(now);
        self.seen = now;
        self.held_until = self.held_until.saturating_sub(back);
        for (_, until) in &mut self.askers {
            *until = until.saturating_sub(back);
        }
        self.askers.retain(|(_, until)| now < *until);
        // Where there are too many, the oldest can no more be given back, and are nobody's.
        let crowd = self.leases.len().saturating_sub(MAX_ENTRIES);
        let mut kept: Vec<Lease> = Vec::new();
        for (place, mut lease) in std::mem::take(&mut self.leases).into_iter().enumerate() {
            lease.end = lease.end.saturating_sub(back);
            if now >= lease.end + counting(lease.seconds) || lease.permits == 0 {
                continue;
            }
            let is_crowded = place < crowd && (lease.id > 0 || lease.who > 0);
            let is_over = lease.id == 0 || lease.end + GIVING_BACK <= now;
            if is_crowded || (is_over && !lease.is_merged) {
                let margin = margin(lease.seconds);
                lease.id = 0;
                lease.end = lease.end.div_ceil(margin) * margin;
                lease.is_merged = true;
                if is_crowded {
                    lease.who = 0;
                }
                let key = |lease: &Lease| (lease.is_merged, lease.end, lease.seconds, lease.who);
                if let Some(other) = kept.iter_mut().find(|other| key(other) == key(&lease)) {
                    other.permits += lease.permits;
                    continue;
                }
            }
            kept.push(lease);
        }
        self.leases = kept;
    }

    /// Writes down what `ask` says about the past.
    pub fn note(&mut self, ask: &QuotaAsk) {
        for [id, unused] in &ask.over {
            // A lease ends once: what it gave back is gone with its id.
            if let Some(lease) = self.leases.iter_mut().find(|lease| lease.id == *id && lease.id > 0) {
                lease.id = 0;
                lease.permits = lease.permits.saturating_sub(*unused);
                lease.end = lease.end.min(self.seen);
            }
        }
        if ask.want > 0 && ask.who > 0 {
            let until = self.seen + 4 * life(ask);
            match self.askers.binary_search_by_key(&ask.who, |(who, _)| *who) {
                Ok(place) => {
                    if let Some(asker) = self.askers.get_mut(place) {
                        asker.1 = until;
                    }
                }
                Err(place) if self.askers.len() < MAX_ENTRIES => self.askers.insert(place, (ask.who, until)),
                Err(_) => {}
            }
        }
        match ask.limited {
            Some(0) if self.seen < self.held_until => {
                // It was on its way when the first complaint came.
            }
            Some(0) => {
                let is_first = self.silent == 0 || self.seen > self.held_until + self.silent.max(FORGIVEN);
                self.silent = if is_first { SPARED.0 } else { (self.silent * 2).min(SPARED.1) };
                self.held_until = self.seen + self.silent;
            }
            Some(said) => {
                self.held_until = self.held_until.max(self.seen + said.clamp(SPARED.0, SPARED.1));
            }
            None => {}
        }
    }

    /// The reply to `ask`, with a lease of up to `want` permits, of which one is left at least.
    pub fn reply(&mut self, ask: &QuotaAsk, want: u64) -> QuotaReply {
        let held_for = if ask.cool_down { self.held_until.saturating_sub(self.seen) } else { 0 };
        let (mut left, mut frees_in) = self.left(ask);
        let (mut lease, mut permits, mut millis) = (0, 0, 0);
        if want > 0 && left > 0 && held_for == 0 {
            self.last += 1;
            // A quarter at most: others will ask as well.
            permits = want.min((left / 4).max(1));
            (lease, millis) = (self.last, life(ask));
            left -= permits;
            let end = self.seen + millis;
            frees_in = frees_in.min(millis + counting(ask.seconds));
            self.leases.push(Lease {
                id: lease,
                permits,
                end,
                seconds: ask.seconds,
                who: ask.who,
                is_merged: false,
            });
        }
        if frees_in == u64::MAX {
            // Nothing counts.
            frees_in = 0;
        }
        QuotaReply { lease, permits, millis, left, frees_in, held_for }
    }

    /// How many permits are left for the party of `ask`, and in how many milliseconds the next come free. A
    /// party that asked lately and has had less than an equal part of the budget keeps, up to that part, four
    /// times as much as it had in this window: whoever asks for more leaves that to it. So two that ask alike
    /// get the same, and one that asks for little keeps little from others.
    fn left(&self, ask: &QuotaAsk) -> (u64, u64) {
        let (mut left, mut frees_in) = (ask.requests, u64::MAX);
        let mut had = vec![0; self.askers.len()];
        for lease in &self.leases {
            let counts_until = lease.end + counting(lease.seconds.min(ask.seconds));
            if counts_until > self.seen {
                left = left.saturating_sub(lease.permits);
                frees_in = frees_in.min(counts_until - self.seen);
                let place = self.askers.binary_search_by_key(&lease.who, |(who, _)| *who);
                if let Some(had) = place.ok().and_then(|place| had.get_mut(place)) {
                    *had += lease.permits;
                }
            }
        }
        // Where there are more parties than requests, it is first come, first served.
        let part = ask.requests / (had.len() as u64).max(1);
        let (mut kept, mut kept_for) = (0, u64::MAX);
        for ((who, until), had) in self.askers.iter().zip(had) {
            if ask.who > 0 && *who != ask.who {
                kept += part.saturating_sub(had).min(4 * had.max(1));
                kept_for = kept_for.min(until - self.seen);
            }
        }
        if (1..=kept).contains(&left) {
            frees_in = frees_in.min(kept_for);
        }
        (left.saturating_sub(kept), frees_in)
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
