//! The locks of each task, which detect a lock taken out of order.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::rank::Rank;

thread_local! {
    /// The locks of the task being polled, by number.
    static HELD: RefCell<Vec<(Rank, u64)>> = const { RefCell::new(Vec::new()) };
    /// The number of locks taken so far.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// A held lock, in debug builds.
pub(in crate::objects) struct HeldLock(u64);

impl HeldLock {
    pub fn new(rank: Rank) -> Self {
        let number = COUNT.replace(COUNT.get() + 1);
        HELD.with_borrow_mut(|held| held.push((rank, number)));
        Self(number)
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // A task that is dropped from outside is not the one being polled.
        let _ = HELD.try_with(|held| held.borrow_mut().retain(|(_, number)| *number != self.0));
    }
}

/// A task, and its locks while other tasks are polled.
struct Task<F> {
    future: Pin<Box<F>>,
    held: Vec<(Rank, u64)>,
}

pub(in crate::objects) fn task<F: Future>(future: F) -> impl Future<Output = F::Output> {
    Task { future: Box::pin(future), held: Vec::new() }
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let others = HELD.replace(std::mem::take(&mut self.held));
        let polled = self.future.as_mut().poll(context);
        self.held = HELD.replace(others);
        polled
    }
}

pub(in crate::objects) fn check_order(rank: Rank) {
    HELD.with_borrow(|held| {
        if let Some((last, _)) = held.iter().find(|(last, _)| *last >= rank) {
            debug_assert!(
                false,
                "the lock {rank:?} is taken after {last:?}: see the order in objects/lock.rs"
            );
        }
    });
}
