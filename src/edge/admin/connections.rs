//! Connections: their status, and obtaining or dropping their token sets.

use futures_util::FutureExt as _;
use serde_json::Value;

use super::{AdminRequest, READING};
use crate::config::{Configured, is_id};
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::edge::together::together;
use crate::json::{self, Members};
use crate::ports::EdgePorts;
use crate::protocol::{
    ConnectionStatus, CountEvents, Declined, DropTokenSet, ListIndex, ObtainTokenSet, ReadRegistration,
    ReadStatus, Registration, Status, Undelivered, field_problems, label_row, status_without_token,
};

/// The largest number of entries on a page.
const PAGE: usize = 100;

impl<P: EdgePorts> AdminRequest<'_, '_, P> {
    /// A page of all connections.
    pub(in crate::edge) async fn list(&self) -> Result<Draft<P::Response>, Refused> {
        self.check_method(READING)?;
        let limit = match self.parameter("limit").map(|limit| limit.parse::<usize>()) {
            None => PAGE,
            Some(Ok(limit @ 1..=PAGE)) => limit,
            Some(_) => return Err(Code::BadRequest.into()),
        };
        let after = self.parameter("after").unwrap_or_default();
        let part = self.parameter("q").unwrap_or_default();
        let labels = self.parameters("label");
        if labels.len() > 1 {
            return Err(Code::BadRequest.into());
        }
        let label = labels.into_iter().next();
        let label =
            label.as_deref().map(|label| label.split_once(':').ok_or(Code::BadRequest)).transpose()?;
        let mut ids = self.ids(&after, &part, limit + 1, label).await?;
        let more = ids.len() > limit;
        ids.truncate(limit);
        let next = ids.last().filter(|_| more).cloned();
        let entries = together(ids.iter().map(|id| self.entry(id).boxed_local()).collect()).await;
        // The index may have a label that a connection had before.
        let has_label = |entry: &Value| {
            let labels = entry.get("labels").and_then(Value::as_object);
            let is_known = entry.get("provider").is_some_and(Value::is_string)
                || labels.is_some_and(|labels| !labels.is_empty());
            label.is_none_or(|(name, value)| {
                !is_known || labels.and_then(|labels| labels.get(name)).is_some_and(|its| its == value)
            })
        };
        let entries: Vec<Value> = entries.into_iter().flatten().filter(has_label).collect();
        let page = json::text(&Members(&[("connections", &entries), ("next", &next)]));
        Ok(Draft::text(200, "application/json", page))
    }

    /// Up to `most` ids that follow `after` and contain `part`, in byte order, of the connections that
    /// have `label`.
    async fn ids(
        &self,
        after: &str,
        part: &str,
        most: usize,
        label: Option<(&str, &str)>,
    ) -> Result<Vec<String>, Refused> {
        let config = self.0.config();
        let is_labelled = |id: &str| {
            let Some((name, value)) = label else { return true };
            let connection = config.connection(id).and_then(Configured::usable);
            let mut labels = connection.into_iter().flat_map(|connection| &connection.labels);
            labels.any(|(known, its)| known == name && its == value)
        };
        let matches = |id: &&String| id.as_str() > after && id.contains(part) && is_labelled(id);
        let mut ids: Vec<String> = config.ids().filter(matches).take(most).cloned().collect();
        if config.takes_registrations() {
            let after = label.map_or_else(|| after.to_owned(), |(name, value)| label_row(name, value, after));
            let list = ListIndex { after, part: part.to_owned(), most };
            ids.extend(self.0.edge.ports.ask(list).await?);
            ids.sort_unstable();
            ids.dedup();
            ids.truncate(most);
        }
        Ok(ids)
    }

    /// One connection; a registered one with its fields and the names of its secrets.
    pub(in crate::edge) async fn show(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_method("GET, HEAD, PUT, PATCH, DELETE")?;
        let mut entry = self.entry(id).await.ok_or(Code::UnknownConnection)?;
        if let (Some(registration), Some(members)) = (self.registration(id).await, entry.as_object_mut()) {
            members.insert("template".to_owned(), registration.fields.get("template").cloned().into());
            let names: Vec<String> = registration.secrets.keys().cloned().collect();
            members.insert("secrets".to_owned(), names.into());
            members.insert("connection".to_owned(), Value::Object(registration.fields));
        }
        Ok(Draft::text(200, "application/json", json::text(&entry)))
    }

    /// Obtains a token set now.
    pub(in crate::edge) async fn refresh(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_method("POST")?;
        let done = self.refresh_known(id).await;
        self.log_action("refresh", id, done)
    }

    async fn refresh_known(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_known(id)?;
        let ConnectionStatus { status, takes_webhooks, generation } =
            self.0.edge.ports.ask(ObtainTokenSet(id)).await??;
        let access_tokens = &self.0.edge.isolate.access_tokens;
        access_tokens.forget_id(id, generation.saturating_sub(1));
        access_tokens.forget_refusal(id);
        let entry = self.entry_of(id, status, takes_webhooks).await;
        Ok(Draft::text(200, "application/json", json::text(&entry)))
    }

    /// Drops the keeper's token set, and the copies in the cache and in this isolate.
    pub(in crate::edge) async fn drop_token(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_method("DELETE")?;
        let done = self.drop_known(id).await;
        self.log_action("drop_token", id, done)
    }

    async fn drop_known(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_known(id)?;
        let generation = self.0.edge.ports.ask(DropTokenSet(id)).await??;
        let access_tokens = &self.0.edge.isolate.access_tokens;
        access_tokens.forget_id(id, generation);
        access_tokens.forget_refusal(id);
        Ok(Draft::empty(204))
    }

    /// Fails where no connection can have this id, or the configured one is unusable.
    fn check_known(&self, id: &str) -> Result<(), Code> {
        let config = self.0.config();
        match config.connection(id) {
            Some(Configured::Usable(_)) => Ok(()),
            Some(Configured::Broken) => Err(Code::Misconfigured),
            None if config.takes_registrations() && is_id(id) => Ok(()),
            None => Err(Code::UnknownConnection),
        }
    }

    /// The status of the connection called `id`; `None` where no connection has this id.
    pub(in crate::edge) async fn entry(&self, id: &str) -> Option<Value> {
        let config = self.0.config();
        let takes_webhooks = config.webhook(id).is_some();
        let (status, takes_webhooks) = match config.connection(id) {
            Some(Configured::Broken) => (status_without_token(None, "misconfigured"), takes_webhooks),
            Some(Configured::Usable(connection)) if !connection.grant.is_shared() => {
                (status_without_token(Some(connection), "ready"), takes_webhooks)
            }
            None if !is_id(id) => return None,
            Some(Configured::Usable(_)) | None => match self.0.edge.ports.ask(ReadStatus(id)).await {
                Ok(Ok(ConnectionStatus { status, takes_webhooks, .. })) => (status, takes_webhooks),
                Ok(Err(Declined::Unknown)) => return None,
                // The keeper cannot be asked now; the connection may work all the same.
                Ok(Err(_)) | Err(_) => (status_without_token(None, "waiting"), takes_webhooks),
            },
        };
        Some(self.entry_of(id, status, takes_webhooks).await)
    }

    async fn entry_of(&self, id: &str, mut status: Status, takes_webhooks: bool) -> Value {
        let is_configured = self.0.config().is_configured(id);
        let webhooks = if takes_webhooks { self.undelivered(id).await } else { Value::Null };
        let source = if is_configured { "configuration" } else { "registry" };
        status.insert("id".to_owned(), id.into());
        status.insert("source".to_owned(), source.into());
        status.insert("webhooks".to_owned(), webhooks);
        let problems = self.0.config().problems_of(id);
        if !problems.is_empty() {
            status.insert("problems".to_owned(), field_problems(&problems));
        }
        Value::Object(status)
    }

    /// The numbers of undelivered events of the queue called `id`, and its last attempt where it keeps that;
    /// null where the queue cannot be asked.
    pub(in crate::edge) async fn undelivered(&self, id: &str) -> Value {
        let Ok(Undelivered { pending, failed, last }) =
            self.0.edge.ports.ask(CountEvents { connection: id }).await
        else {
            return Value::Null;
        };
        let last = last.map(|last| ("last", last));
        [("failed", failed.into()), ("pending", pending.into())].into_iter().chain(last).collect()
    }

    /// The registration of `id`; `None` where the connection is not registered.
    pub(in crate::edge) async fn registration(&self, id: &str) -> Option<Registration> {
        let config = self.0.config();
        let keys = config.sealing_keys.as_ref().filter(|_| !config.is_configured(id))?;
        let record = self.0.edge.ports.ask(ReadRegistration(id)).await.ok()??;
        Registration::open(&record, id, keys).ok()
    }
}
