//! The leases of a connection's budget, and the asks that wait for one.

pub mod ledger;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::mem;
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::json;
use crate::ports::{ObjectPorts, StorageFailed, report};
use crate::protocol::{QuotaAsk, QuotaReply};
use ledger::Ledger;

/// The storage key of the ledger.
const QUOTA: &str = "quota";

/// How often the first ask that waits looks whether its turn has come, in milliseconds: permits may be given
/// back before they come free.
const LOOK: u64 = 50;

/// How many asks wait at most.
const MAX_WAITING: usize = 1_000;

/// The budget of one connection.
#[derive(Default)]
pub(super) struct Quota {
    /// At least what was handed out; `None` before it is read.
    ledger: RefCell<Option<Ledger>>,
    /// The asks that wait, in their order.
    waiting: RefCell<Vec<WaitingAsk>>,
    last: Cell<u64>,
}

/// An ask that waits for its turn.
struct WaitingAsk {
    number: u64,
    /// Its party.
    who: u64,
    /// What wakes it; `None` once that was used.
    waker: Option<Waker>,
}

/// The place of an ask among those that wait, if it waits. Whoever leaves wakes the next of its party: so
/// all whose turn has come are served at once.
struct QueuePlace<'a> {
    waiting: &'a RefCell<Vec<WaitingAsk>>,
    number: u64,
    who: u64,
}

impl QueuePlace<'_> {
    fn is_next(&self) -> bool {
        let waiting = self.waiting.borrow();
        waiting.iter().find(|other| other.who == self.who).is_none_or(|first| first.number == self.number)
    }

    /// Waits until `end`, which is true, or until the ask is woken or `look` ends, which is false.
    async fn wait(&self, mut end: impl Future<Output = ()> + Unpin, look: impl Future<Output = ()>) -> bool {
        let (mut look, mut is_new) = (pin!(look), true);
        poll_fn(|context| {
            if Pin::new(&mut end).poll(context).is_ready() {
                return Poll::Ready(true);
            }
            let mut waiting = self.waiting.borrow_mut();
            let own = waiting.iter_mut().find(|other| other.number == self.number);
            let waker = own.map(|own| own.waker.replace(context.waker().clone()));
            let is_woken = !mem::take(&mut is_new) && waker.is_none_or(|waker| waker.is_none());
            if is_woken || look.as_mut().poll(context).is_ready() {
                return Poll::Ready(false);
            }
            Poll::Pending
        })
        .await
    }
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiting.borrow_mut();
        waiting.retain(|other| other.number != self.number);
        let next = waiting.iter_mut().find(|other| other.who == self.who);
        if let Some(waker) = next.and_then(|next| next.waker.take()) {
            waker.wake();
        }
    }
}

impl Quota {
    /// Answers one ask for a part of the budget, when its turn has come; `None` where the storage failed.
    pub async fn lease(&self, ports: &impl ObjectPorts, ask: &QuotaAsk) -> Option<QuotaReply> {
        let reply = async {
            if self.ledger.borrow().is_none() {
                let stored = ports.get(QUOTA).await?;
                let read = || stored.and_then(|text| json::read(text.as_bytes()).ok()).unwrap_or_default();
                self.ledger.borrow_mut().get_or_insert_with(read);
            }
            let reply = self.turn(ports, ask).await;
            // Durably before the reply, and writes keep their order. A lease that cannot be stored is handed
            // out to nobody, and counts.
            if reply.lease > 0 || ask.limited.is_some() {
                let text =
                    self.ledger.borrow().as_ref().map_or_else(String::new, |ledger| json::text(ledger));
                ports.put(QUOTA, &text).await?;
            }
            Ok(reply)
        };
        reply.await.map_err(|StorageFailed| report::storage_failed(ports, QUOTA)).ok()
    }

    /// Waits until the ask can be answered, by the keeper's timers: its clock may be put back.
    async fn turn(&self, ports: &impl ObjectPorts, ask: &QuotaAsk) -> QuotaReply {
        let now = || ports.now().as_millis();
        let sleep = |millis| ports.sleep(Duration::from_millis(millis));
        let (began, number) = (now(), self.last.get() + 1);
        self.last.set(number);
        let place = QueuePlace { waiting: &self.waiting, number, who: ask.who };
        let mut end = pin!(sleep(ask.queue_ms));
        let is_full = self.waiting.borrow().len() >= MAX_WAITING;
        let (mut is_new, mut is_over) = (true, ask.want == 0 || ask.queue_ms == 0 || is_full);
        loop {
            let is_next = place.is_next();
            // Who waited wants one, since others may have gone by now.
            let want = if is_new { ask.want } else { 1 };
            let mut reply = self.count(now(), ask, if is_next { want } else { 0 }, is_new);
            if is_over || reply.lease > 0 || reply.held_for > 0 {
                // The isolate counts from when it sent the ask.
                reply.millis += now().saturating_sub(began).min(ask.queue_ms);
                return reply;
            }
            if mem::take(&mut is_new) {
                self.waiting.borrow_mut().push(WaitingAsk { number, who: ask.who, waker: None });
            }
            let look = if is_next { reply.frees_in.clamp(1, LOOK) } else { ask.queue_ms };
            is_over = place.wait(end.as_mut(), sleep(look)).await;
        }
    }

    /// Notes what `ask` says, if it `is_new`, and gives it a lease of up to `want` permits.
    fn count(&self, now: u64, ask: &QuotaAsk, want: u64, is_new: bool) -> QuotaReply {
        let mut ledger = self.ledger.borrow_mut();
        let ledger = ledger.get_or_insert_default();
        ledger.advance(now);
        if is_new {
            ledger.note(ask);
        }
        ledger.reply(ask, want)
    }
}
