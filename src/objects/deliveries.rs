//! Delivering a connection's webhooks to the application's receiver.
//!
//! There is one object for each connection everywhere, so that an event that
//! comes several times, at once or later, is delivered once. It stores an event
//! durably before that is acknowledged, and delivers it by alarm, whatever ends
//! meanwhile.
//!
//! Invariants:
//! - an event is known by its webhook id until a week after it was delivered;
//! - before an attempt is made, the time of the next one is stored: where the
//!   object ends in between, the event is tried again then;
//! - the alarm is never later than the earliest thing to do, but for the moment
//!   in which it is being done.

mod attempt;
mod record;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::lock::Mutex;

use super::log::DeliveryLine;
use crate::config::{Config, Webhook};
use crate::ports::{DeliveryPorts, StorageFailed, report};
use crate::protocol::{DeliveriesAsk, DeliveriesReply, DeliveryOutcome, EventRecord, List, Registration};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::webhook::LONGEST;
use attempt::{Configured, TIMEOUT};

/// How many deliveries are on their way at once.
const MOST_AT_ONCE: u32 = 5;

/// How many attempts are made between two events of the object: on a free plan
/// it may make 50 requests for each.
const MOST_ATTEMPTS: u32 = 40;

/// How soon the alarm looks after what is being done at this moment.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// How many events are read at once when all are sent again.
const PAGE: usize = 50;

/// How soon the alarm comes again that could not do its work.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Whoever delivers the webhooks of one connection.
#[allow(missing_debug_implementations, reason = "its ports have none")]
pub struct Deliveries<P> {
    ports: P,
    config: Rc<Config>,
    connection: String,
    /// How the webhooks of a registered connection come in.
    registered: RefCell<Option<Rc<Webhook>>>,
    /// Who may change what is stored now.
    writing: Mutex<()>,
    /// Who may set the alarm now.
    arming: Mutex<()>,
    /// When the alarm comes, as far as this life knows.
    armed_for: Cell<Option<UnixTime>>,
    /// How many hands deliver now.
    hands: Cell<u32>,
    /// How many attempts they may still make before the next event.
    left: Cell<u32>,
}

/// A hand at work; it counts until it is dropped, however it ends.
struct Hand<'a>(&'a Cell<u32>);

impl<'a> Hand<'a> {
    fn new(hands: &'a Cell<u32>) -> Self {
        hands.set(hands.get() + 1);
        Self(hands)
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl<P: DeliveryPorts + 'static> Deliveries<P> {
    /// Whoever delivers the webhooks of `connection`, as `config` has it.
    #[must_use]
    pub fn new(ports: P, config: Rc<Config>, connection: String) -> Rc<Self> {
        Rc::new(Self {
            ports,
            config,
            connection,
            registered: RefCell::default(),
            writing: Mutex::new(()),
            arming: Mutex::new(()),
            armed_for: Cell::new(None),
            hands: Cell::new(0),
            left: Cell::new(MOST_ATTEMPTS),
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
                let _turn = self.writing.lock().await;
                self.ports.clear().await.map(|()| DeliveriesReply::Cleared)
            }
            DeliveriesAsk::SendAgain { id: Some(id) } => self.send_again(id).await,
            DeliveriesAsk::SendAgain { id: None } => self.send_all_again().await,
        };
        // Also where nothing changed, or not all of it: somebody may have stored
        // something before, and have failed at this.
        self.left.set(MOST_ATTEMPTS);
        let armed = self.arm().await;
        if matches!(ask, DeliveriesAsk::SendAgain { .. }) {
            // What was read before is good still.
            let _ = self.read_registration().await;
        }
        self.begin();
        answered.and_then(|reply| armed.map(|()| reply)).unwrap_or_else(|StorageFailed| {
            report::storage_failed(&self.ports, "webhooks");
            DeliveriesReply::Unavailable
        })
    }

    /// Begins the attempts whose time has come, and forgets what may be. They go
    /// on behind it: one that takes long holds up no other.
    ///
    /// # Errors
    /// [`StorageFailed`]: the alarm is to come again.
    pub async fn alarm(self: &Rc<Self>) -> Result<(), StorageFailed> {
        self.armed_for.set(None);
        self.left.set(MOST_ATTEMPTS);
        // Where its keeper cannot be asked, what was read before is good still.
        let _ = self.read_registration().await;
        let done = match (self.forget().await, self.configured()) {
            (Ok(()), None) => self.wait_for_configuration().await,
            (forgotten, _) => forgotten.map(|()| true),
        };
        self.begin();
        match done {
            Ok(true) if self.arm().await.is_ok() => return Ok(()),
            Ok(false) => {}
            Ok(true) | Err(StorageFailed) => report::storage_failed(&self.ports, "webhooks"),
        }
        self.armed_for.set(None);
        self.ports.set_alarm(self.ports.now() + LOOK_AGAIN).await
    }

    async fn forget(&self) -> Result<(), StorageFailed> {
        for list in [List::Delivered, List::Failed] {
            self.ports.forget(list, self.ports.now()).await?;
        }
        Ok(())
    }

    /// Until the webhook is configured again nothing is tried, and nothing is
    /// lost: when its time is over an event is the operator's. Whether none is
    /// left to be delivered.
    async fn wait_for_configuration(&self) -> Result<bool, StorageFailed> {
        let mut last: Option<(UnixTime, String)> = None;
        let mut is_empty = true;
        loop {
            let _turn = self.writing.lock().await;
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
                    record.failed(now);
                    self.log(&record, Duration::ZERO);
                    self.ports.update_record(&record).await?;
                }
            }
        }
    }

    fn log(&self, record: &EventRecord, took: Duration) {
        DeliveryLine { connection: &self.connection, record, took }.write(&self.ports);
    }

    fn configured(&self) -> Option<Configured<'_>> {
        let webhook = match self.config.webhooks.get(&self.connection) {
            Some(configured) => Rc::clone(configured.as_ref()?),
            None => self.registered.borrow().clone()?,
        };
        Some(Configured { webhook, keys: self.config.sealing_keys.as_ref()? })
    }

    /// Reads how the webhooks of a registered connection come in.
    async fn read_registration(&self) -> Result<(), StorageFailed> {
        let is_configured = self.config.connections.contains_key(&self.connection);
        let Some(keys) =
            self.config.sealing_keys.as_ref().filter(|_| !is_configured && self.config.takes_registrations())
        else {
            return Ok(());
        };
        let record = self.ports.registration().await?;
        let registration = record.and_then(|record| Registration::open(&record, &self.connection, keys).ok());
        let read =
            registration.and_then(|registration| registration.read(&self.connection, &self.config).ok());
        self.registered.replace(read.and_then(|read| read.webhook));
        Ok(())
    }

    async fn count(&self) -> Result<DeliveriesReply, StorageFailed> {
        let (pending, failed) =
            (self.ports.count(List::Pending).await?, self.ports.count(List::Failed).await?);
        Ok(DeliveriesReply::Counted { pending, failed })
    }

    async fn accept(
        &self,
        id: &str,
        event: &str,
        proof: Fingerprint,
    ) -> Result<DeliveriesReply, StorageFailed> {
        let _turn = self.writing.lock().await;
        // Whoever proved it may hold a connection that was removed or registered anew
        // meanwhile. What is proven to one is not for the receiver of the next.
        self.read_registration().await?;
        let counts = |configured: Configured<'_>| configured.webhook.account_tokens.place(proof).is_some();
        if !self.configured().is_some_and(counts) {
            return Ok(DeliveriesReply::NotProven);
        }
        match self.ports.record(id).await? {
            // Whoever sends it once more wants it delivered, and brings anew what
            // may not have opened.
            Some(mut known)
                if known.list == List::Failed
                    || (known.list == List::Pending && known.outcome == Some(DeliveryOutcome::Unopened)) =>
            {
                known.event = Some(event.to_owned());
                known.send_again(self.ports.now());
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
        let _turn = self.writing.lock().await;
        let failed = self.ports.record(id).await?.filter(|record| record.list == List::Failed);
        let Some(mut record) = failed else { return Ok(DeliveriesReply::Unknown) };
        record.send_again(self.ports.now());
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
            // One that fails again meanwhile is let be.
            for record in page.iter().filter(|record| record.since < now) {
                self.send_again(&record.id).await?;
            }
            self.arm().await?;
        }
    }

    /// Sets the alarm for the earliest thing to do, or a little before. One at a
    /// time: the last one to read is the last one to set.
    async fn arm(&self) -> Result<(), StorageFailed> {
        let _turn = self.arming.lock().await;
        let Some(earliest) = self.ports.earliest().await? else { return Ok(()) };
        let now = self.ports.now();
        // What is to be done now is being done: the alarm is for where that ends.
        // Where no hand is free, the next one that is comes to it.
        let soonest = match (self.left.get(), self.hands.get()) {
            (0, _) => now,
            (_, MOST_AT_ONCE..) => now + TIMEOUT,
            _ => now + LOOK_AFTER,
        };
        let at = earliest.max(soonest);
        if self.armed_for.get().is_none_or(|armed_for| armed_for <= now || armed_for > at) {
            self.ports.set_alarm(at).await?;
            self.armed_for.set(Some(at));
        }
        Ok(())
    }

    /// Has another hand deliver, where one is free.
    fn begin(self: &Rc<Self>) {
        if self.hands.get() < MOST_AT_ONCE && self.left.get() > 0 && self.configured().is_some() {
            let deliveries = Rc::clone(self);
            self.ports.spawn(async move { deliveries.deliver_all().await }.boxed_local());
        }
    }

    /// Makes one attempt after the other while there are any to make.
    async fn deliver_all(self: Rc<Self>) {
        if self.hands.get() >= MOST_AT_ONCE {
            return;
        }
        let hand = Hand::new(&self.hands);
        while self.configured().is_some() && self.left.get() > 0 {
            let attempted = match self.take().await {
                Ok(None) => break,
                Ok(Some(record)) => {
                    self.begin();
                    // As it is by now: the event may be of one that was registered since.
                    match self.configured() {
                        Some(configured) => self.attempt(record, configured).await,
                        None => break,
                    }
                }
                Err(failed) => Err(failed),
            };
            if attempted.is_err() {
                report::storage_failed(&self.ports, "webhooks");
                break;
            }
        }
        drop(hand);
        // Where this fails, the alarm that is set comes, and sets the next one.
        let _ = self.arm().await;
    }
}
