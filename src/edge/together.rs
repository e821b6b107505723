//! Futures that run at the same time.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use futures_util::future::{LocalBoxFuture, maybe_done};

/// What `tasks` give, in their order, when all have ended. Each is polled whenever one of them goes on,
/// which suits some dozens; the library's way for any number is more code.
pub(in crate::edge) async fn together<T>(tasks: Vec<LocalBoxFuture<'_, T>>) -> Vec<T> {
    let mut tasks: Vec<_> = tasks.into_iter().map(maybe_done).collect();
    poll_fn(|context| {
        let mut ended = Poll::Ready(());
        for task in &mut tasks {
            if Pin::new(task).poll(context).is_pending() {
                ended = Poll::Pending;
            }
        }
        ended
    })
    .await;
    tasks.iter_mut().filter_map(|task| Pin::new(task).take_output()).collect()
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use futures_util::FutureExt as _;

    use super::*;

    fn all<T>(tasks: Vec<LocalBoxFuture<'_, T>>) -> Vec<T> {
        let mut ended = pin!(together(tasks));
        loop {
            if let Poll::Ready(given) = ended.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return given;
            }
        }
    }

    #[test]
    fn runs_all_at_once_and_gives_what_they_give_in_their_order() {
        const TASKS: usize = 100;
        let begun = &Cell::new(0);
        let tasks = (0..TASKS).map(|number| {
            async move {
                begun.set(begun.get() + 1);
                // Each goes on once all have begun, and the last one ends first.
                let mut left = TASKS - number;
                poll_fn(|_| {
                    left -= usize::from(begun.get() == TASKS);
                    if left == 0 { Poll::Ready(number) } else { Poll::Pending }
                })
                .await
            }
            .boxed_local()
        });
        assert_eq!(all(tasks.collect()), (0..TASKS).collect::<Vec<_>>());
        assert_eq!(all::<u8>(Vec::new()), Vec::<u8>::new());
    }
}
