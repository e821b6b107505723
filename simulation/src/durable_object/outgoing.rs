//! Reports to the watches: an object's durable writes, its failures, and its requests.

use std::rc::Rc;

use super::storage::Write;
use super::{CONNECTION, LifePorts, Mishap, SESSION, STATE, TOLD, deliveries, keeper};
use crate::crowd_watch;
use crate::delivery_watch::Attempt;
use crate::exchange_watch;
use crate::network::{Sent, deliver};
use crate::provider::refuses_login;
use crate::site::{self, Shared};
use porteiro::json;
use porteiro::ports::{Http, HttpAnswer, HttpFailure, HttpRequest};
use porteiro::protocol::{EventRecord, List, OPERATOR, ObjectKind, event_record};

impl LifePorts {
    /// A write begins that will fail.
    pub(super) fn note_failing_write(&self, write: &Write) {
        let is_deletion = matches!(write, Write::Clear | Write::ClearTexts | Write::ClearAlarm);
        match &self.kind {
            ObjectKind::Service(_) if is_deletion || matches!(write, Write::Put { .. }) => {
                self.site.watch.keeper_failed();
            }
            ObjectKind::Session(_) if matches!(write, Write::SetAlarm { .. }) => {
                self.site.consents.not_armed(&self.name);
            }
            ObjectKind::Session(_) if is_deletion => self.site.crowd.not_cleared(&self.name),
            ObjectKind::Exchanged { .. } => self.site.exchanges.troubled(&self.name),
            ObjectKind::Service(_)
            | ObjectKind::Session(_)
            | ObjectKind::Refusals
            | ObjectKind::Deliveries(_)
            | ObjectKind::Index
            | ObjectKind::OneTime(_)
            | ObjectKind::People(_) => {}
        }
    }

    /// An operation of the storage failed, and the object learns of it now.
    pub(super) fn note_failed(&self) {
        match self.kind {
            ObjectKind::Deliveries(_) => self.site.delivery_watch.trouble(self.site.world.now()),
            ObjectKind::Service(_) => self.site.watch.grant_unsettled(),
            ObjectKind::Session(_)
            | ObjectKind::Refusals
            | ObjectKind::Index
            | ObjectKind::Exchanged { .. }
            | ObjectKind::OneTime(_)
            | ObjectKind::People(_) => {}
        }
    }

    /// Reports a durable write to the watch of the object's kind and the key.
    pub(super) fn note_durable(&self, write: &Write) {
        let (site, now) = (&self.site, self.site.world.now());
        if let Write::Put { text, .. } = write {
            site.objects.written.borrow_mut().push(text.clone());
        }
        if let Write::PutRecord(record) | Write::UpdateRecord(record) = write {
            let text = json::text(record);
            site.objects.written.borrow_mut().extend([text, record.event.clone().unwrap_or_default()]);
        }
        match (&self.kind, write) {
            (ObjectKind::Service(connection), Write::Put { key, text })
                if key == STATE && site.consents.is_on.get() =>
            {
                site.note_service_consent(connection, text);
            }
            (ObjectKind::Service(connection), Write::Put { key, text }) if key == STATE => {
                site.note_state(connection, text);
            }
            (ObjectKind::Service(connection), Write::Put { key, text }) if key == CONNECTION => {
                site.note_registration(connection, text);
            }
            (ObjectKind::Service(connection), Write::Clear | Write::ClearTexts) => {
                site.registry_watch.removed(connection, now);
            }
            (ObjectKind::Session(_), Write::Put { key, text }) => {
                self.note_sessions_texts(&[(key.clone(), text.clone())], false);
            }
            (ObjectKind::Session(_), Write::PutBoth(texts)) => {
                site.objects.written.borrow_mut().extend(texts.clone().map(|(_, text)| text));
                self.note_sessions_texts(texts, true);
            }
            (ObjectKind::Session(_), Write::Clear | Write::ClearTexts) => {
                site.crowd.cleared(&self.name);
                site.consents.cleared(&self.name, now, &site.provider);
            }
            (ObjectKind::Deliveries(queue), Write::PutRecord(record) | Write::UpdateRecord(record))
                if queue == OPERATOR =>
            {
                if let Some(body) = body_of(site, OPERATOR, record) {
                    let record_of_told = told_by(site, &body);
                    site.events.stored(&record.id, &body, record_of_told.as_deref());
                }
            }
            (ObjectKind::Deliveries(connection), Write::PutRecord(record) | Write::UpdateRecord(record)) => {
                if record.list == List::Failed {
                    site.events.webhook_failed(now);
                }
                let body = body_of(site, connection, record);
                site.delivery_watch.stored(record, body.as_deref(), now);
            }
            (ObjectKind::Deliveries(_), Write::Forget(ids)) => {
                for id in ids {
                    site.delivery_watch.forgotten(id, now);
                }
            }
            (ObjectKind::Exchanged { connection, name }, Write::Put { text, .. }) => {
                site.note_exchanged(connection, name, text);
            }
            (ObjectKind::Index, Write::AddId(id)) => site.registry_watch.listed(id, now),
            (ObjectKind::Index, Write::RemoveId(id)) => site.registry_watch.unlisted(id, now),
            _ => {}
        }
    }
}

impl LifePorts {
    fn note_sessions_texts(&self, texts: &[(String, String)], with_session: bool) {
        let objects = &self.site.objects;
        let of_session = texts.iter().filter(|(key, _)| key == SESSION).count();
        objects.session_writes.set(objects.session_writes.get() + of_session as u64);
        if self.site.consents.is_on.get() {
            return self.site.note_consents(&self.name, texts, with_session);
        }
        for (key, text) in texts {
            self.site.note_persons_state(&self.name, key, text);
        }
    }
}

/// The event in a record, if it opens.
fn body_of(site: &Shared, connection: &str, record: &EventRecord) -> Option<String> {
    let (name, event) = (event_record(connection, &record.id), record.event.as_ref()?);
    let opened = site.open_with(|keys| keys.open(&name, event).ok())?;
    Some(String::from_utf8(opened.to_vec()).expect("an event is a text"))
}

/// What the object told, durably, that sent the operator's event `body`.
fn told_by(site: &Shared, body: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(body).expect("an event is JSON");
    let id = event["data"]["id"].as_str().expect("an id");
    let object = if event["type"] == "webhook.failed" { deliveries(id) } else { keeper(id) };
    site.objects.text(&object, TOLD)
}

/// A request in flight from a live object.
enum Flight<'a> {
    Token(Option<String>, site::Flight),
    Person(crowd_watch::Flight),
    Delivery(Attempt<'a>),
    Exchange(exchange_watch::Flight),
    Event(Rc<()>),
}

impl<'a> Flight<'a> {
    fn begin(ports: &'a LifePorts, sent: &Sent) -> Self {
        let site = &ports.site;
        match &ports.kind {
            ObjectKind::Service(_) => {
                let refresh_token = sent.refresh_token();
                site.note_token_request(sent);
                let flight = site.enter_token_endpoint(refresh_token.as_deref());
                Self::Token(refresh_token, flight)
            }
            ObjectKind::Session(session) => {
                sent.refresh_token().iter().for_each(|token| site.consents.refreshes(token));
                Self::Person(site.crowd.token_request(session, sent.refresh_token(), &site.provider))
            }
            ObjectKind::Deliveries(queue) if queue == OPERATOR => Self::Event(site.events.attempt()),
            ObjectKind::Deliveries(connection) => {
                let id = sent.field("webhook-id").unwrap_or_default();
                Self::Delivery(site.delivery_watch.attempt(connection, id, site.world.now()))
            }
            ObjectKind::Exchanged { name, .. } => {
                Self::Exchange(site.exchanges.token_request(name, &sent.body, site.world.now()))
            }
            ObjectKind::Refusals | ObjectKind::Index | ObjectKind::OneTime(_) | ObjectKind::People(_) => {
                panic!("{:?} makes no request", ports.kind)
            }
        }
    }

    fn end(self, site: &Shared, answer: Option<&HttpAnswer>) {
        match self {
            Self::Token(refresh_token, flight) => {
                drop(flight);
                note_token_answer(site, refresh_token.as_deref(), answer);
            }
            Self::Person(flight) => drop(flight),
            Self::Event(attempt) => drop(attempt),
            Self::Delivery(attempt) => attempt.ends(answer, site.world.now()),
            Self::Exchange(flight) => site.exchanges.answered(&flight, answer, site.world.now()),
        }
    }
}

/// Called when a keeper gets the token endpoint's answer, or none.
fn note_token_answer(site: &Shared, refresh_token: Option<&str>, answer: Option<&HttpAnswer>) {
    match (refresh_token, answer) {
        (None, Some(answer)) if answer.status == 400 || refuses_login(answer) => {
            site.watch.rejected(site.world.now());
        }
        // A 5xx other than 503, and a malformed answer, leave the effect unknown.
        (Some(refresh_token), Some(answer))
            if matches!(answer.status, 400 | 429 | 503) || answer.body.starts_with(b"{") =>
        {
            site.watch.refresh_settled(refresh_token);
        }
        _ => {}
    }
    let issued = answer.and_then(|answer| site.provider.issued_in(answer));
    if let Some(token) = issued.filter(|_| !site.registry_watch.knows("acme")) {
        site.watch.granted(&token);
    }
}

impl LifePorts {
    /// Sends a request that is for no token: for an issuer's document, or to revoke a token.
    async fn send_aside(&self, sent: Sent, mishap: Option<Mishap>) -> Result<HttpAnswer, HttpFailure> {
        let is_allowed = matches!(self.kind, ObjectKind::Session(_) | ObjectKind::Service(_));
        assert!(is_allowed, "{:?} makes no such request", self.kind);
        match mishap {
            Some(Mishap::EndsBefore) => return self.end().await,
            Some(Mishap::FailsBefore) => return Err(HttpFailure::Unreachable),
            Some(Mishap::FailsAfter | Mishap::EndsAfter) | None => {}
        }
        let answer = deliver(&self.site, sent, async |site, sent| match sent.method {
            "GET" => site.issuers.fetch(&sent).await,
            _ => site.provider.revocation(&sent).await,
        });
        let answer = answer.await;
        match mishap {
            Some(Mishap::EndsAfter) => self.end().await,
            Some(Mishap::FailsAfter) => Err(HttpFailure::Unreachable),
            _ => answer,
        }
    }
}

impl Http for LifePorts {
    /// The server processes the request even if the object ends.
    async fn send(&self, request: &HttpRequest<'_>) -> Result<HttpAnswer, HttpFailure> {
        let (site, mishap) = (&self.site, self.planned_mishap());
        let _busy = self.busy();
        let sent = Sent::new(request);
        if sent.method == "GET" || sent.url.ends_with("/revoke") {
            return self.send_aside(sent, mishap).await;
        }
        let flight = Flight::begin(self, &sent);
        match mishap {
            Some(Mishap::EndsBefore) => return self.end().await,
            Some(Mishap::FailsBefore) => {
                site.world.hop().await;
                flight.end(site, None);
                return Err(HttpFailure::Unreachable);
            }
            Some(Mishap::FailsAfter | Mishap::EndsAfter) | None => {}
        }
        let answer = if self.kind == ObjectKind::Deliveries(OPERATOR.to_owned()) {
            deliver(site, sent, async |site, sent| site.events.take(&site.world, &sent).await).await
        } else if let ObjectKind::Deliveries(_) = self.kind {
            deliver(site, sent, async |site, sent| site.receiver.take(&site.delivery_watch, &sent).await)
                .await
        } else {
            deliver(site, sent, async |site, sent| site.provider.token(&sent).await).await
        };
        let answer = match (answer, mishap) {
            (_, Some(Mishap::EndsAfter)) => return self.end().await,
            (_, Some(Mishap::FailsAfter)) => Err(HttpFailure::Unreachable),
            (answer, _) => answer,
        };
        flight.end(site, answer.as_ref().ok());
        answer
    }
}
