//! One attempt to deliver an event.

use std::rc::Rc;
use std::time::Duration;

use super::Deliveries;
use crate::config::Webhook;
use crate::http::FieldLines;
use crate::oauth;
use crate::ports::{Delivery, DeliveryAnswer, DeliveryPorts, PostFailure, StorageFailed};
use crate::protocol::{DeliveryOutcome, EventRecord, List, event_record};
use crate::time::UnixTime;
use crate::token::SealingKeys;
use crate::webhook::next_attempt;

/// How long a receiver may take to answer.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);

/// The webhook as it is configured now, and what opens its events.
pub(super) struct Configured<'a> {
    pub webhook: Rc<Webhook>,
    pub keys: &'a SealingKeys,
}

impl<P: DeliveryPorts + 'static> Deliveries<P> {
    /// Takes the next event whose time has come. If this life ends before the
    /// attempt does, the next one makes another.
    pub(super) async fn take(&self) -> Result<Option<EventRecord>, StorageFailed> {
        let _turn = self.writing.lock().await;
        let now = self.ports.now();
        let first = self.ports.records(List::Pending, None, 1).await?.pop();
        let Some(first) = first.filter(|record| record.due <= now) else { return Ok(None) };
        let Some(mut record) = self.ports.record(&first.id).await? else { return Ok(None) };
        self.left.set(self.left.get().saturating_sub(1));
        record.attempts = record.attempts.saturating_add(1);
        // How it ended before says nothing now: it may well open.
        (record.outcome, record.status) = (None, None);
        let [jitter] = self.ports.bytes();
        let after = next_attempt(record.attempts, record.since, now, Some(TIMEOUT * 2), jitter);
        record.due = after.unwrap_or(now).max(now + TIMEOUT * 2);
        self.ports.update_record(&record).await?;
        Ok(Some(record))
    }

    pub(super) async fn attempt(
        &self,
        mut record: EventRecord,
        configured: Configured<'_>,
    ) -> Result<(), StorageFailed> {
        let Configured { webhook, keys } = configured;
        let began = self.ports.now();
        let name = event_record(&self.connection, &record.id);
        let event = record.event.as_ref().and_then(|sealed| keys.open(&name, sealed).ok());
        let event = event.as_ref().and_then(|event| std::str::from_utf8(event).ok());
        let (outcome, answer) = match event {
            None => (DeliveryOutcome::Unopened, None),
            Some(event) => match self.deliver(&record.id, event, &webhook, began).await {
                Ok(answer) => (outcome_of(answer.status), Some(answer)),
                Err(PostFailure::Timeout) => (DeliveryOutcome::Timeout, None),
                Err(PostFailure::Unreachable) => (DeliveryOutcome::Unreachable, None),
            },
        };
        let now = self.ports.now();
        record.outcome = Some(outcome);
        record.status = answer.as_ref().map(|answer| answer.status);
        let retry_after = answer.and_then(|answer| answer.retry_after);
        let [jitter] = self.ports.bytes();
        let next = match outcome {
            DeliveryOutcome::Delivered
            | DeliveryOutcome::Gone
            | DeliveryOutcome::Misconfigured
            | DeliveryOutcome::Unknown => None,
            // A sealing key that is missing may come back.
            DeliveryOutcome::Refused
            | DeliveryOutcome::Timeout
            | DeliveryOutcome::Unreachable
            | DeliveryOutcome::Unopened => {
                let wish = retry_after.and_then(|value| oauth::retry_after(&value, now));
                next_attempt(record.attempts, record.since, now, wish, jitter)
            }
        };
        match next {
            _ if outcome == DeliveryOutcome::Delivered => record.delivered(now),
            Some(at) => record.due = at,
            None => record.failed(now),
        }
        self.log(&record, now.since(began));
        // All may have been forgotten meanwhile, and an event of the same id have come.
        let stored = self.ports.record(&record.id).await?;
        if stored.is_none_or(|stored| stored.accepted_at != record.accepted_at) {
            return Ok(());
        }
        // Nobody else changes it before its time: to wait for a turn, behind many
        // others, would let that come.
        self.ports.update_record(&record).await
    }

    async fn deliver(
        &self,
        id: &str,
        event: &str,
        webhook: &Webhook,
        now: UnixTime,
    ) -> Result<DeliveryAnswer, PostFailure> {
        let mut fields = FieldLines::default();
        fields.push("content-type", "application/json");
        fields.push("user-agent", concat!("porteiro/", env!("CARGO_PKG_VERSION")));
        fields.push("webhook-id", id);
        fields.push("webhook-timestamp", &(now.as_millis() / 1000).to_string());
        fields.push("webhook-signature", &webhook.signing_keys.sign(id, now, event));
        let fields = fields.into_text();
        let delivery = Delivery { url: &webhook.forward_to, fields: &fields, body: event, timeout: TIMEOUT };
        self.ports.deliver(&delivery).await
    }
}

const fn outcome_of(status: u16) -> DeliveryOutcome {
    match status {
        200..=299 => DeliveryOutcome::Delivered,
        410 => DeliveryOutcome::Gone,
        _ => DeliveryOutcome::Refused,
    }
}
