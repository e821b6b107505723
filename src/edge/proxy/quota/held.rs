//! What an isolate holds of connections' budgets: pure, over times that are passed in, which are
//! milliseconds on the isolate's clock.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;

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
/// list drops the one that was used longest ago, and its leases.
const MAX_HELD: usize = 1_000;

/// What an isolate holds of budgets, by connection and party: what was used last is last.
#[derive(Default, Debug)]
pub(in crate::edge) struct Quotas(RefCell<Vec<HeldEntry>>);

type HeldEntry = (String, u64, Rc<RefCell<HeldQuota>>);

impl Quotas {
    /// What it holds for one connection and one party.
    pub fn of(&self, connection: &str, party: u64) -> Rc<RefCell<HeldQuota>> {
        let mut all = self.0.borrow_mut();
        let place = all.iter().rposition(|(id, who, _)| *who == party && id == connection);
        let entry = match place {
            Some(place) => all.remove(place),
            None => (connection.to_owned(), party, Rc::default()),
        };
        if all.len() >= MAX_HELD {
            all.remove(0);
        }
        let held = Rc::clone(&entry.2);
        all.push(entry);
        held
    }
}

/// What an isolate holds of one connection's budget, or of one party's part of it.
#[derive(Default, Debug)]
pub(in crate::edge) struct HeldQuota {
    /// The latest time that was seen.
    seen: u64,
    /// How often the clock went back.
    jumps: u64,
    leases: Vec<HeldLease>,
    /// The leases to give back: their ids, and their unused permits.
    over: Vec<[u64; 2]>,
    /// The complaint that the keeper is to be told of, as [`QuotaAsk::limited`].
    limited: Option<u64>,
    /// How many permits were left besides, as the keeper last said.
    left: u64,
    known: Known,
}

/// What is known until the clock goes back.
#[derive(Clone, Copy, Default, Debug)]
struct Known {
    /// When the last ask was sent that the keeper answered.
    at: u64,
    /// When the isolate last looked in the background.
    looked_at: u64,
    held_until: u64,
    used_up_until: u64,
    /// When the next permits come free, as the keeper last said.
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

/// When an ask began, and what it told.
#[derive(Clone, Debug)]
pub(in crate::edge) struct Began {
    at: u64,
    jumps: u64,
    over: Vec<[u64; 2]>,
    limited: Option<u64>,
}

/// What a call does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::edge) enum NextStep {
    /// It leaves.
    Leave,
    /// It leaves, and the isolate asks in the background whether somebody complained.
    Look,
    /// It waits for the keeper's reply to an ask for so many permits.
    Ask(u64),
    /// The upstream wants no calls for so many milliseconds.
    Held(u64),
    /// The budget is used up for so many milliseconds.
    UsedUp(u64),
}

impl HeldQuota {
    /// Moves to `now`. A clock that went back says nothing of how old a lease is: it has ended, and
    /// what is known is unknown.
    fn advance(&mut self, now: u64) {
        if now < self.seen {
            self.jumps += 1;
            self.known = Known::default();
            for lease in &mut self.leases {
                lease.ends_at = 0;
            }
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

    /// What a call does at `now`, which may have asked already.
    pub fn step(&mut self, guard: &Guard, now: u64, has_asked: bool) -> NextStep {
        self.advance(now);
        let known = &mut self.known;
        let age = now - known.at;
        if guard.cool_down && now < known.held_until {
            return NextStep::Held(known.held_until - now);
        }
        let mut leave = NextStep::Leave;
        if guard.cool_down {
            // What asks for permits looks as well.
            if age >= WAIT_AFTER && (guard.budget.is_none() || !self.leases.is_empty()) {
                return NextStep::Ask(0);
            }
            if age >= LOOK_AFTER && now - known.looked_at >= LOOK_AFTER {
                known.looked_at = now;
                leave = NextStep::Look;
            }
        }
        let Some(budget) = guard.budget else { return leave };
        if now - known.since >= COUNTING {
            known.calls_before = if now - known.since < 2 * COUNTING { known.calls } else { 0 };
            (known.since, known.calls, known.wanted) = (now, 0, 0);
        }
        known.calls += u64::from(!has_asked);
        if let Some(lease) = self.leases.first_mut() {
            lease.left -= 1;
            return leave;
        }
        if now < known.used_up_until {
            if budget.observe {
                return leave;
            }
            if has_asked || budget.queue_ms == 0 {
                return NextStep::UsedUp(known.frees_at.saturating_sub(now));
            }
        }
        let want = known.calls.max(known.calls_before).saturating_sub(known.wanted).max(1);
        known.wanted += want;
        NextStep::Ask(want)
    }

    /// Puts the leases to give back into `ask`, which begins at `now`, and the complaint: how much of its
    /// pause is left.
    pub fn begin(&mut self, ask: &mut QuotaAsk, now: u64) -> Began {
        self.advance(now);
        ask.over = mem::take(&mut self.over);
        let limited = self.limited.take();
        let rest = self.known.held_until.saturating_sub(now);
        ask.limited = limited.map(|said| if said == 0 { 0 } else { rest.clamp(1, said) });
        Began { at: now, jumps: self.jumps, over: ask.over.clone(), limited }
    }

    /// Notes the reply at `now` to an ask for `want` permits, or that there was none. In how many
    /// milliseconds the lease ends that it brought, if it has more than the call's own permit.
    ///
    /// If nobody replied, what the ask told is told again: it may have arrived, but the keeper knows a lease
    /// by its id, and one pause is no longer than the other.
    pub fn note(&mut self, want: u64, reply: Option<QuotaReply>, began: &Began, now: u64) -> Option<u64> {
        self.advance(now);
        let (is_same_clock, known) = (began.jumps == self.jumps, &mut self.known);
        known.wanted = known.wanted.saturating_sub(want);
        let Some(QuotaReply { lease, permits, millis, left, frees_in, held_for }) = reply else {
            self.over.extend_from_slice(&began.over);
            self.limited = self.limited.max(began.limited);
            if want == 0 {
                // The next call goes on without knowing whether somebody complained.
                known.at = now;
            }
            return None;
        };
        if is_same_clock {
            known.at = known.at.max(began.at);
        }
        known.held_until = known.held_until.max(now + held_for);
        (self.left, known.frees_at) = (left, now + frees_in);
        known.used_up_until = 0;
        if lease == 0 {
            if want > 0 && held_for == 0 {
                known.used_up_until = now + frees_in.min(USED_UP);
            }
            return None;
        }
        let ends_at = if is_same_clock { began.at + millis } else { 0 };
        self.leases.push(HeldLease { id: lease, left: permits, ends_at });
        ends_at.checked_sub(now).filter(|rest| permits > 1 && *rest > 0)
    }

    /// Ends the lease called `id`; true if there is something to give back.
    pub fn end(&mut self, id: u64) -> bool {
        for lease in self.leases.iter_mut().filter(|lease| lease.id == id) {
            lease.ends_at = 0;
        }
        self.advance(self.seen);
        self.over.iter().any(|[_, unused]| *unused > 0)
    }

    /// Whether a complaint is still to be told.
    pub const fn owes(&self) -> bool {
        self.limited.is_some()
    }

    /// Spares the upstream, which wants no calls for `said` milliseconds; 0 where it did not say.
    pub fn spare(&mut self, said: u64, now: u64) {
        self.limited = self.limited.max(Some(said));
        self.known.held_until = self.known.held_until.max(now + said.clamp(SPARED.0, SPARED.1));
    }

    /// Whether the upstream wants no calls at `now`.
    pub const fn spares(&self, now: u64) -> bool {
        now < self.known.held_until
    }

    /// How many requests may leave, as far as the isolate knows, and in how many milliseconds the next
    /// permits come free.
    pub fn left(&self, now: u64) -> (u64, u64) {
        let own: u64 = self.leases.iter().map(|lease| lease.left).sum();
        (self.left + own, self.known.frees_at.saturating_sub(now))
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
