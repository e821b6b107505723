//! The leases of a connection's budget, and the asks that wait for one.

pub mod ledger;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

use std::cell::{Cell, RefCell};
use std::mem;
use std::time::Duration;

use super::Keeper;
use crate::json;
use crate::objects::lock::{Lock, Rank};
use crate::ports::{ObjectPorts, StorageFailed, report};
use crate::protocol::{QuotaAsk, QuotaReply};
use ledger::Ledger;

/// The storage key of the ledger.
const QUOTA: &str = "quota";

/// How often a waiting ask looks whether its turn has come, in milliseconds: permits may be given back
/// before they come free.
const LOOK: u64 = 50;

/// How many asks wait at most.
const MAX_WAITING: usize = 1_000;

/// The budget of one connection.
pub(super) struct Quota {
    /// As stored, but for what was given back since; `None` before it is read.
    ledger: RefCell<Option<Ledger>>,
    /// Held while the ledger changes.
    counting: Lock,
    /// The asks that wait, in their order: the number of each, and its party.
    waiting: RefCell<Vec<(u64, u64)>>,
    last: Cell<u64>,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            ledger: RefCell::default(),
            counting: Lock::new(Rank::Counting),
            waiting: RefCell::default(),
            last: Cell::default(),
        }
    }
}

impl<P: ObjectPorts> Keeper<P> {
    /// Answers one ask for a part of the budget, when its turn has come.
    pub async fn lease(&self, ask: &QuotaAsk) -> QuotaReply {
        let (began, number) = (self.ports.now(), self.quota.last.get() + 1);
        self.quota.last.set(number);
        let queue_ms = ask.queue_ms;
        let mut is_new = true;
        let reply = loop {
            let waited = u64::try_from(self.ports.now().since(began).as_millis()).unwrap_or(u64::MAX);
            let is_next = ask.want > 0 && {
                let waiting = self.quota.waiting.borrow();
                let next = waiting.iter().find(|(_, who)| *who == ask.who);
                next.is_none_or(|(next, _)| *next == number)
            };
            let mut pause = LOOK;
            if is_new || is_next || waited >= queue_ms {
                // Who waited wants one, since others may have gone by now.
                let want = if is_new && is_next { ask.want } else { is_next.into() };
                let reply = self.count(ask, want, is_new).await.unwrap_or_else(|StorageFailed| {
                    report::storage_failed(&*self.ports, QUOTA);
                    QuotaReply { failed: true, ..QuotaReply::default() }
                });
                let is_done = ask.want == 0 || reply.lease > 0 || reply.held_for > 0 || reply.failed;
                if is_done || waited >= queue_ms {
                    // The isolate counts from when it sent the ask.
                    break QuotaReply { millis: reply.millis + waited, ..reply };
                }
                if mem::take(&mut is_new) {
                    let mut waiting = self.quota.waiting.borrow_mut();
                    if waiting.len() >= MAX_WAITING {
                        break reply;
                    }
                    waiting.push((number, ask.who));
                }
                pause = pause.min(reply.frees_in);
            }
            self.ports.sleep(Duration::from_millis(pause.min(queue_ms - waited).max(1))).await;
        };
        self.quota.waiting.borrow_mut().retain(|(waiting, _)| *waiting != number);
        reply
    }

    /// Writes down what `ask` says, if it `is_new`, and gives it a lease of up to `want` permits; durably
    /// before the reply.
    async fn count(&self, ask: &QuotaAsk, want: u64, is_new: bool) -> Result<QuotaReply, StorageFailed> {
        let _guard = self.quota.counting.lock().await;
        // If it cannot be stored, what is stored counts.
        let mut ledger = if let Some(ledger) = self.quota.ledger.take() {
            ledger
        } else {
            let stored = self.ports.get(QUOTA).await?;
            stored.and_then(|text| json::read(text.as_bytes()).ok()).unwrap_or_default()
        };
        ledger.advance(self.ports.now().as_millis(), ask);
        if is_new {
            ledger.note(ask);
        }
        let reply = ledger.reply(ask, want);
        if reply.lease > 0 || (is_new && ask.limited.is_some()) {
            self.ports.put(QUOTA, &json::text(&ledger)).await?;
        }
        self.quota.ledger.replace(Some(ledger));
        Ok(reply)
    }
}
