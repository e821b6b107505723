//! What an isolate holds of connections' budgets: pure, over times that are passed in, which are
//! milliseconds on the isolate's clock.

use std::cell::{RefCell, RefMut};
use std::mem;

use crate::config::Guard;
use crate::protocol::{QuotaAsk, QuotaReply};

/// How old the isolate's knowledge of the upstream's complaints may be before it looks in the
/// background, and before a call waits for it. A complaint is with every isolate within a second: it
/// takes a message's time to the keeper, and no isolate goes by what is older than the second span.
/// An isolate in use asks twice a second at most, and its calls wait for nothing; one that was not in
/// use has its next call wait for one message.
const LOOK_AFTER: u64 = 500;
const WAIT_AFTER: u64 = 850;

/// The span over which calls are counted, to guess how many come next.
const COUNTING: u64 = 1_000;

/// How long the isolate remembers that the budget is used up: others may give back some of it.
const USED_UP: u64 = 500;

/// The shortest and the longest time for which an upstream is spared.
const SPARED: (u64, u64) = (1_000, 15 * 60_000);

/// The largest number of budgets, and of parties that share one, that an isolate has a part of. A full
/// list drops one of them, and its leases.
const MAX_HELD: usize = 1_000;

/// What an isolate holds of budgets: of the one that was used last, and of others.
#[derive(Default, Debug)]
pub(in crate::edge) struct Quotas(RefCell<(HeldQuota, Vec<HeldQuota>)>);

impl Quotas {
    /// What it holds for one connection and one party.
    #[inline(never)]
    pub fn of(&self, id: &str, who: u64) -> RefMut<'_, HeldQuota> {
        RefMut::map(self.0.borrow_mut(), |(current, others)| {
            let is_own = |held: &HeldQuota| held.who == who && held.id == id;
            if !is_own(current) {
                match others.iter_mut().find(|other| is_own(other)) {
                    Some(own) => mem::swap(current, own),
                    None => others.push(mem::replace(current, HeldQuota::of(id, who))),
                }
                if others.len() > MAX_HELD {
                    others.swap_remove(0);
                }
            }
            current
        })
    }
}

/// What an isolate holds of one connection's budget, or of one party's part of it.
#[derive(Default, Debug)]
pub(in crate::edge) struct HeldQuota {
    /// The connection, and the party.
    id: String,
    who: u64,
    /// The latest time that was seen.
    seen: u64,
    /// How often the clock went back.
    jumps: u64,
    leases: Vec<HeldLease>,
    /// The leases to give back: their ids, and their unused permits.
    over: Vec<[u64; 2]>,
    /// When the last ask was sent that the keeper answered.
    known_at: u64,
    /// When the isolate last looked in the background.
    looked_at: u64,
    held_until: u64,
    used_up_until: u64,
    /// What the keeper last said: how many permits were left besides, and when the next come free.
    left: u64,
    frees_at: u64,
    /// Since when calls are counted, how many there were, and how many in the span before.
    since: u64,
    calls: u64,
    calls_before: u64,
    /// How many permits the isolate has asked for meanwhile.
    wanted: u64,
}

#[derive(Debug)]
struct HeldLease {
    id: u64,
    left: u64,
    ends_at: u64,
}

/// When an ask began.
#[derive(Clone, Copy, Debug)]
pub(in crate::edge) struct Began {
    at: u64,
    jumps: u64,
}

/// What a call does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::edge) enum Step {
    /// It leaves.
    Leave,
    /// It leaves, and the isolate asks for so many permits in the background, the call's own among
    /// them if there are any.
    LeaveAndAsk(u64),
    /// It waits for the keeper's reply to an ask for so many permits.
    Ask(u64),
    /// The upstream wants no calls for so many milliseconds.
    Held(u64),
    /// The budget is used up for so many milliseconds.
    UsedUp(u64),
}

impl HeldQuota {
    /// Nothing yet.
    fn of(id: &str, who: u64) -> Self {
        Self { id: id.to_owned(), who, ..Self::default() }
    }

    /// Moves to `now`. A clock that went back says nothing of how old a lease is: it has ended, and
    /// what is known is unknown.
    fn advance(&mut self, now: u64) {
        if now < self.seen {
            let left = self.left;
            let mut over = mem::take(&mut self.over);
            over.extend(self.leases.iter().map(|lease| [lease.id, lease.left]));
            let id = mem::take(&mut self.id);
            *self = Self { id, who: self.who, over, left, jumps: self.jumps + 1, ..Self::default() };
        }
        self.seen = now;
        let over = &mut self.over;
        self.leases.retain(|lease| {
            let is_held = now < lease.ends_at && lease.left > 0;
            if !is_held {
                over.push([lease.id, lease.left]);
            }
            is_held
        });
    }

    /// What the next call does at `now`.
    pub fn step(&mut self, guard: &Guard, now: u64) -> Step {
        self.advance(now);
        let age = now - self.known_at;
        if guard.cool_down && now < self.held_until {
            return Step::Held(self.held_until - now);
        }
        let must_look = guard.cool_down && age >= WAIT_AFTER;
        let should_look = guard.cool_down && age >= LOOK_AFTER && now - self.looked_at >= LOOK_AFTER;
        let Some(budget) = guard.budget else {
            if must_look {
                return Step::Ask(0);
            }
            return if should_look { self.look(now, 0) } else { Step::Leave };
        };
        if now - self.since >= COUNTING {
            self.calls_before = if now - self.since < 2 * COUNTING { self.calls } else { 0 };
            (self.since, self.calls, self.wanted) = (now, 0, 0);
        }
        self.calls += 1;
        // What is looked at in vain costs nothing; a permit that was taken would be lost.
        if must_look && !self.leases.is_empty() {
            self.calls -= 1;
            return Step::Ask(0);
        }
        if let Some(lease) = self.leases.first_mut() {
            lease.left -= 1;
            return if should_look { self.look(now, 0) } else { Step::Leave };
        }
        let is_used_up = now < self.used_up_until;
        if is_used_up && budget.observe {
            return if must_look { Step::Ask(0) } else { Step::Leave };
        }
        if is_used_up && budget.queue_ms == 0 {
            return Step::UsedUp(self.frees_at.saturating_sub(now));
        }
        let want = self.calls.max(self.calls_before).saturating_sub(self.wanted).max(1);
        self.wanted += want;
        if budget.observe && !must_look { self.look(now, want) } else { Step::Ask(want) }
    }

    fn look(&mut self, now: u64, want: u64) -> Step {
        self.looked_at = now;
        Step::LeaveAndAsk(want)
    }

    /// Puts the leases to give back into `ask`, which begins at `now`.
    pub fn begin(&mut self, ask: &mut QuotaAsk, now: u64) -> Began {
        self.advance(now);
        ask.over = mem::take(&mut self.over);
        Began { at: now, jumps: self.jumps }
    }

    /// Notes the reply to `ask`, and takes a permit for one call at `now`. True if there was one, and in
    /// how many milliseconds the rest of the lease ends, if there is a rest.
    pub fn note(&mut self, ask: &QuotaAsk, reply: QuotaReply, began: Began, now: u64) -> (bool, Option<u64>) {
        self.advance(now);
        self.wanted = self.wanted.saturating_sub(ask.want);
        let ends_at = began.at + reply.millis;
        let is_alive = reply.lease > 0 && began.jumps == self.jumps && now < ends_at;
        if is_alive {
            let left = reply.permits.saturating_sub(1);
            self.leases.push(HeldLease { id: reply.lease, left, ends_at });
            self.used_up_until = 0;
        } else if reply.lease > 0 {
            self.over.push([reply.lease, reply.permits]);
        } else if ask.want > 0 && reply.held_for == 0 {
            self.used_up_until = now + reply.frees_in.min(USED_UP);
        }
        if began.jumps == self.jumps {
            self.known_at = self.known_at.max(began.at);
        }
        if reply.held_for > 0 {
            self.held_until = self.held_until.max(now + reply.held_for);
        }
        if ask.requests > 0 {
            (self.left, self.frees_at) = (reply.left, now + reply.frees_in);
        }
        (is_alive, (is_alive && reply.permits > 1).then_some(ends_at.saturating_sub(now)))
    }

    /// Takes back what `ask`, which had no reply, was to give back. Where it wanted nothing else, the
    /// next call goes on without knowing whether somebody complained.
    pub fn forgive(&mut self, ask: &QuotaAsk, now: u64) {
        self.wanted = self.wanted.saturating_sub(ask.want);
        self.over.extend_from_slice(&ask.over);
        if ask.want == 0 {
            self.known_at = now;
        }
    }

    /// Ends the lease called `id`; true if there is something to give back.
    pub fn end(&mut self, id: u64) -> bool {
        for lease in self.leases.iter_mut().filter(|lease| lease.id == id) {
            lease.ends_at = 0;
        }
        self.advance(self.seen);
        self.over.iter().any(|[_, unused]| *unused > 0)
    }

    /// Spares the upstream, which wants no calls for `said` milliseconds; 0 where it did not say.
    pub fn spare(&mut self, said: u64, now: u64) {
        self.held_until = self.held_until.max(now + said.clamp(SPARED.0, SPARED.1));
    }

    /// How many requests may leave, as far as the isolate knows, and in how many milliseconds the next
    /// permits come free.
    pub fn left(&self, now: u64) -> (u64, u64) {
        let own: u64 = self.leases.iter().map(|lease| lease.left).sum();
        (self.left + own, self.frees_at.saturating_sub(now))
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
