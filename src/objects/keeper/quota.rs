//! The leases of a connection's budget, and the asks that wait for one.

pub mod ledger;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

use std::cell::{Cell, RefCell};
use std::mem;
use std::time::Duration;

use crate::json;
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
#[derive(Default)]
pub(super) struct Quota {
    /// At least what was handed out; `None` before it is read.
    ledger: RefCell<Option<Ledger>>,
    /// The asks that wait, in their order: the number of each, and its party.
    waiting: RefCell<Vec<(u64, u64)>>,
    last: Cell<u64>,
}

impl Quota {
    /// Answers one ask for a part of the budget, when its turn has come; `None` where the storage failed.
    pub async fn lease(&self, ports: &impl ObjectPorts, ask: &QuotaAsk) -> Option<QuotaReply> {
        let now = || ports.now().as_millis();
        let (began, number) = (now(), self.last.get() + 1);
        self.last.set(number);
        let mut is_new = true;
        let reply = loop {
            let waited = now().saturating_sub(began);
            let is_over = waited >= ask.queue_ms;
            let waiting = &self.waiting;
            let next = waiting.borrow().iter().find(|(_, who)| *who == ask.who).copied();
            let is_next = next.is_none_or(|(next, _)| next == number);
            let mut pause = LOOK;
            if is_new || is_next || is_over {
                // Who waited wants one, since others may have gone by now.
                let want = if is_new { ask.want } else { 1 };
                let Ok(mut reply) = self.count(ports, ask, if is_next { want } else { 0 }, is_new).await
                else {
                    report::storage_failed(ports, QUOTA);
                    break None;
                };
                let is_done = ask.want == 0 || reply.lease > 0 || reply.held_for > 0 || is_over;
                if is_done || (is_new && waiting.borrow().len() >= MAX_WAITING) {
                    // The isolate counts from when it sent the ask.
                    reply.millis += waited;
                    break Some(reply);
                }
                if mem::take(&mut is_new) {
                    waiting.borrow_mut().push((number, ask.who));
                }
                pause = pause.min(reply.frees_in);
            }
            ports.sleep(Duration::from_millis(pause.min(ask.queue_ms - waited).max(1))).await;
        };
        self.waiting.borrow_mut().retain(|(waiting, _)| *waiting != number);
        reply
    }

    /// Writes down what `ask` says, if it `is_new`, and gives it a lease of up to `want` permits; durably
    /// before the reply.
    async fn count(
        &self,
        ports: &impl ObjectPorts,
        ask: &QuotaAsk,
        want: u64,
        is_new: bool,
    ) -> Result<QuotaReply, StorageFailed> {
        if self.ledger.borrow().is_none() {
            let stored = ports.get(QUOTA).await?;
            let read = || stored.and_then(|text| json::read(text.as_bytes()).ok()).unwrap_or_default();
            self.ledger.borrow_mut().get_or_insert_with(read);
        }
        let (mut reply, mut text) = (QuotaReply::default(), None);
        if let Some(ledger) = self.ledger.borrow_mut().as_mut() {
            ledger.advance(ports.now().as_millis());
            if is_new {
                ledger.note(ask);
            }
            reply = ledger.reply(ask, want);
            if reply.lease > 0 || (is_new && ask.limited.is_some()) {
                text = Some(json::text(ledger));
            }
        }
        // Writes keep their order. A lease that cannot be stored is handed out to nobody, and counts.
        if let Some(text) = text {
            ports.put(QUOTA, &text).await?;
        }
        Ok(reply)
    }
}
