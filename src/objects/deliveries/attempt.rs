//! One attempt to deliver an event.

use super::settings::{DeliverySettings, TIMEOUT};
use super::{Deliveries, LAST};
use crate::config::Receiver;
use crate::http::FieldLines;
use crate::json::{self, Members};
use crate::oauth;
use crate::ports::{HttpAnswer, HttpFailure, HttpRequest, ObjectPorts, StorageFailed};
use crate::protocol::{DeliveryOutcome, EventRecord, List, ReadRegistration, event_record};
use crate::time::UnixTime;
use crate::webhook::next_attempt;

impl<P: ObjectPorts> Deliveries<P> {
    /// Takes the next due event, and stores the time of its next attempt: if the object is evicted
    /// during this attempt, the next instance makes another.
    pub(super) async fn take_due(&self) -> Result<Option<EventRecord>, StorageFailed> {
        let _guard = self.writing.lock().await;
        let now = self.ports.now();
        let first = self.ports.records(List::Pending, None, 1).await?.pop();
        let Some(first) = first.filter(|record| record.due <= now) else { return Ok(None) };
        let Some(mut record) = self.ports.record(&first.id).await? else { return Ok(None) };
        self.attempts_left.set(self.attempts_left.get().saturating_sub(1));
        record.attempts = record.attempts.saturating_add(1);
        // Clear the previous outcome: the attempt in progress may end otherwise.
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
        settings: DeliverySettings,
    ) -> Result<(), StorageFailed> {
        let DeliverySettings { receiver, keys } = settings;
        let began = self.ports.now();
        let name = event_record(&self.connection, &record.id);
        let event = record.event.as_ref().and_then(|sealed| keys.open(&name, sealed).ok());
        let event = event.as_ref().and_then(|event| std::str::from_utf8(event).ok());
        let (outcome, answer) = match event {
            None => (DeliveryOutcome::Unopened, None),
            Some(event) => match self.deliver(&record.id, event, &receiver, began).await {
                Ok(Some(answer)) => (outcome_of(answer.status), Some(answer)),
                Ok(None) => (DeliveryOutcome::Removed, None),
                Err(HttpFailure::Timeout) => (DeliveryOutcome::Timeout, None),
                Err(HttpFailure::Unreachable) => (DeliveryOutcome::Unreachable, None),
            },
        };
        let now = self.ports.now();
        record.outcome = Some(outcome);
        record.status = answer.as_ref().map(|answer| answer.status);
        let retry_after = answer.as_ref().and_then(HttpAnswer::retry_after);
        let [jitter] = self.ports.bytes();
        let next = match outcome {
            DeliveryOutcome::Delivered
            | DeliveryOutcome::Gone
            | DeliveryOutcome::Misconfigured
            | DeliveryOutcome::Removed
            | DeliveryOutcome::Unknown => None,
            // The operator may restore a missing sealing key.
            DeliveryOutcome::Refused
            | DeliveryOutcome::Timeout
            | DeliveryOutcome::Unreachable
            | DeliveryOutcome::Unopened => {
                let wish = retry_after.and_then(|value| oauth::retry_after(value, now));
                next_attempt(record.attempts, record.since, now, wish, jitter)
            }
        };
        match next {
            _ if matches!(outcome, DeliveryOutcome::Delivered | DeliveryOutcome::Removed) => {
                record.mark_delivered(now);
            }
            Some(at) => record.due = at,
            None => record.mark_failed(now),
        }
        self.log(&record, now.since(began));
        // The queue may have been cleared meanwhile, and have accepted another event of the same
        // id.
        let stored = self.ports.record(&record.id).await?;
        if stored.is_none_or(|stored| stored.accepted_at != record.accepted_at) {
            return Ok(());
        }
        // No lock: no other task changes the record before it is due, and it would become due while
        // this task waited for the lock behind many others.
        self.ports.update_record(&record).await?;
        if self.is_operators() {
            let at = now.to_rfc3339();
            let last = Members(&[("at", &at), ("outcome", &record.outcome), ("status", &record.status)]);
            self.ports.put(LAST, &json::text(&last)).await?;
        }
        Ok(())
    }

    /// Whether there is a connection that `event`, one of the operator's, is about.
    async fn is_about_any(&self, event: &str) -> Result<bool, HttpFailure> {
        let event = json::parse(event.as_bytes()).unwrap_or_default();
        let id = event.get("data").and_then(|data| data.get("id")?.as_str()).unwrap_or_default();
        if self.config.is_configured(id) {
            return Ok(true);
        }
        let registered = self.ports.ask(ReadRegistration(id)).await;
        registered.map(|record| record.is_some()).map_err(|_| HttpFailure::Unreachable)
    }

    /// The receiver's answer; `None` where the operator's event is about a connection that there is no
    /// more.
    async fn deliver(
        &self,
        id: &str,
        event: &str,
        receiver: &Receiver,
        now: UnixTime,
    ) -> Result<Option<HttpAnswer>, HttpFailure> {
        if self.is_operators() && !self.is_about_any(event).await? {
            return Ok(None);
        }
        let mut fields = FieldLines::default();
        fields.push("content-type", "application/json");
        fields.push("user-agent", concat!("porteiro/", env!("CARGO_PKG_VERSION")));
        fields.push("webhook-id", id);
        fields.push("webhook-timestamp", &(now.as_millis() / 1000).to_string());
        fields.push("webhook-signature", &receiver.signing_keys.sign(id, now, event));
        let fields = fields.into_text();
        let request = HttpRequest {
            method: "POST",
            url: &receiver.address,
            fields: &fields,
            body: Some(event),
            timeout: TIMEOUT,
            max_bytes: None,
            certificate: None,
        };
        self.ports.send(&request).await.map(Some)
    }
}

const fn outcome_of(status: u16) -> DeliveryOutcome {
    match status {
        200..=299 => DeliveryOutcome::Delivered,
        410 => DeliveryOutcome::Gone,
        _ => DeliveryOutcome::Refused,
    }
}
