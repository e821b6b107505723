//! The locks of an object, and the order in which a task may take them.
//!
//! An object accepts further messages while it waits, so locks serialise what must not interleave.
//! Two tasks that take two locks in opposite orders may deadlock, perhaps in one of a million
//! schedules; in debug builds a lock taken out of order panics at once, in every schedule.

#[cfg(debug_assertions)]
mod order;
mod rank;

use futures_util::lock::{Mutex, MutexGuard};

pub(super) use rank::Rank;

/// A lock with a rank.
#[derive(Debug)]
pub(super) struct Lock {
    rank: Rank,
    mutex: Mutex<()>,
}

/// A held lock, released on drop.
pub(super) struct LockGuard<'a> {
    _guard: MutexGuard<'a, ()>,
    #[cfg(debug_assertions)]
    _held: order::HeldLock,
}

impl Lock {
    pub const fn new(rank: Rank) -> Self {
        Self { rank, mutex: Mutex::new(()) }
    }

    /// Waits for the lock and takes it.
    pub async fn lock(&self) -> LockGuard<'_> {
        check_order(self.rank);
        let guard = self.mutex.lock().await;
        LockGuard {
            _guard: guard,
            #[cfg(debug_assertions)]
            _held: order::HeldLock::new(self.rank),
        }
    }
}

/// Runs `future` as a task, which begins without locks: the handling of one message or alarm, or a
/// background task of either.
#[cfg(not(debug_assertions))]
pub(super) fn task<F: Future>(future: F) -> impl Future<Output = F::Output> {
    future
}

/// Panics in debug builds if the task already holds the lock of `rank` or a later one. Called
/// before the task takes that lock, or waits for another task that takes it.
#[cfg(not(debug_assertions))]
pub(super) const fn check_order(_: Rank) {}

#[cfg(debug_assertions)]
pub(super) use order::{check_order, task};

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn run(first: Rank, second: Rank) {
        let (first, second) = (Lock::new(first), Lock::new(second));
        let ended = task(async {
            let _first = first.lock().await;
            let _second = second.lock().await;
        });
        ended.now_or_never().unwrap();
    }

    #[test]
    fn lets_locks_be_held_in_their_order() {
        run(Rank::Renewing, Rank::WritingTokens);
        run(Rank::WritingTokens, Rank::Publishing);
    }

    #[test]
    #[should_panic(expected = "the lock Renewing is taken after WritingTokens")]
    fn panics_where_a_lock_is_held_out_of_order() {
        run(Rank::WritingTokens, Rank::Renewing);
    }

    #[test]
    #[should_panic(expected = "the lock Renewing is taken after Renewing")]
    fn panics_where_a_task_takes_a_lock_twice() {
        run(Rank::Renewing, Rank::Renewing);
    }

    #[test]
    fn tells_tasks_apart() {
        let (outer, inner) = (Lock::new(Rank::Publishing), Lock::new(Rank::Renewing));
        let waiting = task(async {
            let _guard = outer.lock().await;
            std::future::pending::<()>().await;
        });
        let mut waiting = Box::pin(waiting);
        assert!(waiting.as_mut().now_or_never().is_none());
        task(async { drop(inner.lock().await) }).now_or_never().unwrap();
    }
}
