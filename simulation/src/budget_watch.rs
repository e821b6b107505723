//! The invariants of budgets.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use porteiro::time::UnixTime;

/// What the upstream knows of a budget, by its own clock.
#[derive(Default)]
pub struct BudgetWatch {
    /// The number of requests in any window, and its length in milliseconds, if there is a budget.
    pub budget: Cell<Option<(usize, u64)>>,
    /// How many requests left.
    pub sent: Cell<usize>,
    times: RefCell<VecDeque<u64>>,
    broken: RefCell<Option<String>>,
}

impl BudgetWatch {
    /// Called when a request leaves for the upstream.
    pub fn sends(&self, now: UnixTime) {
        let Some((requests, window)) = self.budget.get() else { return };
        let (now, mut times) = (now.as_millis(), self.times.borrow_mut());
        while times.front().is_some_and(|first| first + window <= now) {
            times.pop_front();
        }
        times.push_back(now);
        self.sent.set(self.sent.get() + 1);
        if times.len() > requests {
            let what = format!("budget: {} requests in {window} ms, of {requests}", times.len());
            self.broken.borrow_mut().get_or_insert(what);
        }
    }

    /// The first invariant that was broken.
    pub fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }
}
