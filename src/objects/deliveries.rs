//! The delivery queue of a connection: it delivers the connection's webhooks to the application's
//! receiver. One more delivers the operator's events, of all connections.
//!
//! One object per connection worldwide deduplicates events that arrive several times, concurrently
//! or later. An event is durable before it is acknowledged; the alarm has it delivered even if the
//! object is evicted meanwhile.
//!
//! Invariants:
//! - the queue knows the webhook id of an event until a week after its delivery;
//! - the time of the next attempt is stored before an attempt is made: if the object is evicted
//!   during the attempt, the event is retried then;
//! - the alarm is never later than the earliest due time, except while the due work is in progress.

mod attempt;
mod receiver;
mod record;
mod settings;
mod telling;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::lock::{Lock, Rank, task};
use super::log::DeliveryLine;
use super::telling::{LOOK_AGAIN, Telling};
use crate::config::{Config, Webhook};
use crate::json;
use crate::ports::{ObjectPorts, StorageFailed, report};
use crate::protocol::{DeliveriesAsk, DeliveriesReply, DeliveryOutcome, EventRecord, List};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::webhook::LONGEST;
use settings::TIMEOUT;

/// The largest number of concurrent deliveries.
const MAX_WORKERS: u32 = 5;

/// How many attempts are made for one message or alarm: on a free plan the platform allows 50
/// requests for each.
const MAX_ATTEMPTS: u32 = 40;

/// How soon the alarm checks on due work in progress.
const PROGRESS_CHECK: Duration = Duration::from_secs(1);

/// How many events are read at once.
const PAGE: usize = 50;

/// The storage key of the last attempt.
const LAST: &str = "last";

/// How soon the alarm is retried after a failure.
const ALARM_RETRY: Duration = Duration::from_mins(1);

/// The delivery queue of one connection's webhooks.
#[allow(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct Deliveries<P> {
    ports: Rc<P>,
    config: Rc<Config>,
    connection: String,
    /// The webhook of a registered connection.
    registered: RefCell<Option<Rc<Webhook>>>,
    /// Held while records are written.
    writing: Lock,
    /// Held while the alarm is set.
    arming: Lock,
    /// The time of the alarm, as far as this instance has set it.
    armed_for: Cell<Option<UnixTime>>,
    /// The number of busy workers.
    workers: Cell<u32>,
    /// How many attempts are left for this message or alarm.
    attempts_left: Cell<u32>,
    /// Tells the operator of webhooks that failed.
    telling: Telling<P>,
}

/// A busy worker; dropping it decrements the count, also after a panic.
struct Worker<'a>(&'a Cell<u32>);

impl<'a> Worker<'a> {
    fn new(workers: &'a Cell<u32>) -> Self {
        workers.set(workers.get() + 1);
        Self(workers)
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl<P: ObjectPorts> Deliveries<P> {
    /// The delivery queue of `connection`, configured by `config`.
    #[must_use]
    pub fn new(ports: Rc<P>, config: Rc<Config>, connection: String) -> Rc<Self> {
        Rc::new(Self {
            telling: Telling::new(Rc::clone(&ports), Rc::clone(&config), connection.clone(), false),
            ports,
            config,
            connection,
            registered: RefCell::default(),
            writing: Lock::new(Rank::WritingEvents),
            arming: Lock::new(Rank::Arming),
            armed_for: Cell::new(None),
            workers: Cell::new(0),
            attempts_left: Cell::new(MAX_ATTEMPTS),
        })
    }

    /// Answers one ask.
    pub async fn answer(self: &Rc<Self>, ask: &DeliveriesAsk) -> DeliveriesReply {
        let answered = match ask {
            DeliveriesAsk::Accept { id, event, proof } => self.accept(id, event, *proof).await,
            DeliveriesAsk::List { list, after, most } => {
                let after = after.as_ref().map(|(at, id)| (*at, id.as_str()));
                self.ports.records(*list, after, *most).await.map(DeliveriesReply::Listed)
            }
            DeliveriesAsk::Count => self.count().await,
            DeliveriesAsk::Clear => {
                let _guard = self.writing.lock().await;
                self.ports.clear_records().await.map(|()| DeliveriesReply::Cleared)
            }
            DeliveriesAsk::SendAgain { id: Some(id) } => self.send_again(id).await,
            DeliveriesAsk::SendAgain { id: None } => self.send_all_again().await,
        };
        // Set the alarm even if this ask changed nothing: an earlier ask may have stored an event
        // and failed to set it.
        self.attempts_left.set(MAX_ATTEMPTS);
        let armed = self.arm().await;
        if matches!(ask, DeliveriesAsk::SendAgain { .. }) {
            // If this fails, the previous registration still applies.
            let _ = self.read_registration().await;
        }
        self.start_worker();
        answered.and_then(|reply| armed.map(|()| reply)).unwrap_or_else(|StorageFailed| {
            report::storage_failed(&*self.ports, "webhooks");
            DeliveriesReply::Unavailable
        })
    }

    /// Starts the attempts that are due, and deletes expired records. The attempts run in the
    /// background: a slow one delays no other.
    ///
    /// # Errors
    /// [`StorageFailed`]: the platform retries the alarm.
    pub async fn alarm(self: &Rc<Self>) -> Result<(), StorageFailed> {
        self.armed_for.set(None);
        self.attempts_left.set(MAX_ATTEMPTS);
        // If the keeper cannot be asked, the previous registration still applies.
        let _ = self.read_registration().await;
        let done = match (self.forget().await, self.settings()) {
            (Ok(()), None) => self.expire_pending().await,
            (forgotten, _) => forgotten.map(|()| true),
        };
        self.start_worker();
        // If this fails, the alarm is set for another look.
        let _ = self.tell_failed().await;
        match done {
            Ok(true) if self.arm().await.is_ok() => return Ok(()),
            Ok(false) => {}
            Ok(true) | Err(StorageFailed) => report::storage_failed(&*self.ports, "webhooks"),
        }
        self.armed_for.set(None);
        self.ports.set_alarm(self.ports.now() + ALARM_RETRY).await
    }

    async fn forget(&self) -> Result<(), StorageFailed> {
        for list in [List::Delivered, List::Failed] {
            self.ports.forget(list, self.ports.now()).await?;
        }
        Ok(())
    }

    /// Fails the events whose time for attempts is over. While the webhook is misconfigured no
    /// attempt is made and no event is lost. True where no event is pending.
    async fn expire_pending(&self) -> Result<bool, StorageFailed> {
        let mut last: Option<(UnixTime, String)> = None;
        let mut is_empty = true;
        loop {
            let _guard = self.writing.lock().await;
            let after = last.as_ref().map(|(at, id)| (*at, id.as_str()));
            let page = self.ports.records(List::Pending, after, PAGE).await?;
            let Some(end) = page.last() else { return Ok(is_empty) };
            last = Some((end.due, end.id.clone()));
            let now = self.ports.now();
            for pending in page {
                if pending.since + LONGEST > now {
                    is_empty = false;
                } else if let Some(mut record) = self.ports.record(&pending.id).await? {
                    (record.outcome, record.status) = (Some(DeliveryOutcome::Misconfigured), None);
                    record.mark_failed(now);
                    self.log(&record, Duration::ZERO);
                    self.ports.update_record(&record).await?;
                }
            }
        }
    }

    fn log(&self, record: &EventRecord, took: Duration) {
        DeliveryLine { connection: &self.connection, record, took }.write(&*self.ports);
    }

    async fn count(&self) -> Result<DeliveriesReply, StorageFailed> {
        let (pending, failed) =
            (self.ports.count(List::Pending).await?, self.ports.count(List::Failed).await?);
        let last = if self.is_operators() { self.ports.get(LAST).await? } else { None };
        let last = last.and_then(|text| json::parse(text.as_bytes()).ok());
        Ok(DeliveriesReply::Counted { pending, failed, last })
    }

    async fn accept(
        &self,
        id: &str,
        event: &str,
        proof: Fingerprint,
    ) -> Result<DeliveriesReply, StorageFailed> {
        let _guard = self.writing.lock().await;
        // The isolate may hold a connection that was removed or registered again meanwhile. An
        // event authenticated for the old registration must not reach the receiver of the new one.
        self.read_registration().await?;
        let counts = |webhook: Rc<Webhook>| webhook.account_tokens.place(proof).is_some();
        let is_proven = self.is_operators() || self.webhook().is_some_and(counts);
        if !is_proven || self.config.sealing_keys.is_none() {
            return Ok(DeliveriesReply::NotProven);
        }
        match self.ports.record(id).await? {
            // The provider sent the event again: retry the failed event, and replace a record that
            // did not open.
            Some(mut known)
                if known.list == List::Failed
                    || (known.list == List::Pending && known.outcome == Some(DeliveryOutcome::Unopened)) =>
            {
                known.event = Some(event.to_owned());
                known.requeue(self.ports.now());
                self.ports.put_record(&known).await?;
            }
            Some(_) => {}
            None => {
                let record = EventRecord::new(id.to_owned(), event.to_owned(), self.ports.now());
                self.ports.put_record(&record).await?;
            }
        }
        Ok(DeliveriesReply::Accepted)
    }

    async fn send_again(&self, id: &str) -> Result<DeliveriesReply, StorageFailed> {
        let _guard = self.writing.lock().await;
        let failed = self.ports.record(id).await?.filter(|record| record.list == List::Failed);
        let Some(mut record) = failed else { return Ok(DeliveriesReply::Unknown) };
        record.requeue(self.ports.now());
        self.ports.put_record(&record).await?;
        Ok(DeliveriesReply::SentAgain)
    }

    async fn send_all_again(&self) -> Result<DeliveriesReply, StorageFailed> {
        let now = self.ports.now();
        let mut last: Option<(UnixTime, String)> = None;
        loop {
            let after = last.as_ref().map(|(at, id)| (*at, id.as_str()));
            let page = self.ports.records(List::Failed, after, PAGE).await?;
            let Some(end) = page.last() else { return Ok(DeliveriesReply::SentAgain) };
            last = Some((end.due, end.id.clone()));
            // Skip events that fail again meanwhile.
            for record in page.iter().filter(|record| record.since < now) {
                self.send_again(&record.id).await?;
            }
            self.arm().await?;
        }
    }

    /// Sets the alarm for the earliest due time, or a little later while due work is in progress;
    /// an earlier alarm is kept. Calls are serialised, so that the alarm set last is from the
    /// latest read.
    async fn arm(&self) -> Result<(), StorageFailed> {
        let _guard = self.arming.lock().await;
        let earliest = self.ports.earliest().await?;
        let now = self.ports.now();
        let look_again = self.telling.owes.get().then(|| now + LOOK_AGAIN);
        let Some(earliest) = earliest.into_iter().chain(look_again).min() else { return Ok(()) };
        // Work that is due now is in progress: the alarm covers an eviction. If all workers are
        // busy, the first to finish takes it.
        let soonest = match self.attempts_left.get() {
            0 => now,
            _ if self.is_busy() => now + TIMEOUT,
            _ => now + PROGRESS_CHECK,
        };
        let at = earliest.max(soonest);
        if self.armed_for.get().is_none_or(|armed_for| armed_for <= now || armed_for > at) {
            self.ports.set_alarm(at).await?;
            self.armed_for.set(Some(at));
        }
        Ok(())
    }

    /// Whether all workers are busy. The operator's events have one: they arrive in order, but for those
    /// that are retried.
    fn is_busy(&self) -> bool {
        self.workers.get() >= if self.is_operators() { 1 } else { MAX_WORKERS }
    }

    /// Starts another worker, unless all are busy.
    fn start_worker(self: &Rc<Self>) {
        if !self.is_busy() && self.attempts_left.get() > 0 && self.settings().is_some() {
            let deliveries = Rc::clone(self);
            self.ports.spawn(task(async move { deliveries.run_worker().await }).boxed_local());
        }
    }

    /// Makes attempts, one after another, while events are due.
    async fn run_worker(self: Rc<Self>) {
        if self.is_busy() {
            return;
        }
        let worker = Worker::new(&self.workers);
        while self.settings().is_some() && self.attempts_left.get() > 0 {
            let attempted = match self.take_due().await {
                Ok(None) => break,
                Ok(Some(record)) => {
                    self.start_worker();
                    // Read the settings again: the connection may have been registered meanwhile.
                    match self.settings() {
                        Some(settings) => self.attempt(record, settings).await,
                        None => break,
                    }
                }
                Err(failed) => Err(failed),
            };
            if attempted.is_err() {
                report::storage_failed(&*self.ports, "webhooks");
                break;
            }
        }
        drop(worker);
        let _ = self.tell_failed().await;
        // If this fails, the alarm already set fires and sets the next one.
        let _ = self.arm().await;
    }
}
