//! Connections: how they are, obtaining a token now, dropping one.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Asked, READING};
use crate::config::is_id;
use crate::edge::Code;
use crate::edge::answer::{Draft, Refused};
use crate::ports::Ports;
use crate::protocol::{
    DeliveriesAsk, DeliveriesReply, IndexAsk, IndexReply, OperatorAsk, OperatorReply, Registration, Status,
    status_without_token,
};

/// How many entries a page of a list has at most.
const PAGE: usize = 100;

impl<P: Ports> Asked<'_, '_, P> {
    /// A page of all connections.
    pub(in crate::edge) async fn list(&self) -> Result<Draft<P::Response>, Refused> {
        self.allow(READING)?;
        let limit = match self.parameter("limit").map(|limit| limit.parse::<usize>()) {
            None => PAGE,
            Some(Ok(limit @ 1..=PAGE)) => limit,
            Some(_) => return Err(Code::BadRequest.into()),
        };
        let after = self.parameter("after").unwrap_or_default();
        let part = self.parameter("q").unwrap_or_default();
        let mut ids = self.ids(&after, &part, limit + 1).await?;
        let more = ids.len() > limit;
        ids.truncate(limit);
        let next = ids.last().filter(|_| more).cloned();
        let entries = join_all(ids.iter().map(|id| self.entry(id))).await;
        let entries: Vec<Value> = entries.into_iter().flatten().collect();
        let page = json!({ "connections": entries, "next": next });
        Ok(Draft::text(200, "application/json", page.to_string()))
    }

    /// The first ids that follow `after` and contain `part`, in the order of
    /// their bytes.
    async fn ids(&self, after: &str, part: &str, most: usize) -> Result<Vec<String>, Refused> {
        let config = self.broker.config();
        let matches = |id: &&String| id.as_str() > after && id.contains(part);
        let mut ids: Vec<String> = config.connections.keys().filter(matches).take(most).cloned().collect();
        if config.takes_registrations() {
            let ask = IndexAsk::List { after: after.to_owned(), part: part.to_owned(), most };
            let Ok(IndexReply::Listed(registered)) = self.ports.ask_index(&ask).await else {
                return Err(Refused::unavailable(Code::Internal, 1));
            };
            ids.extend(registered);
            ids.sort_unstable();
            ids.dedup();
            ids.truncate(most);
        }
        Ok(ids)
    }

    /// One connection; of a registered one its fields, too, and the names of its
    /// secrets.
    pub(in crate::edge) async fn show(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.allow("GET, HEAD, PUT, DELETE")?;
        let mut entry = self.entry(id).await.ok_or(Code::UnknownConnection)?;
        if let (Some(registration), Some(members)) = (self.registration(id).await, entry.as_object_mut()) {
            let names: Vec<&String> = registration.secrets.keys().collect();
            members.insert("secrets".to_owned(), json!(names));
            members.insert("connection".to_owned(), Value::Object(registration.fields));
        }
        Ok(Draft::text(200, "application/json", entry.to_string()))
    }

    /// Obtains a token set now.
    pub(in crate::edge) async fn refresh(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.allow("POST")?;
        let done = self.refresh_known(id).await;
        self.note("refresh", id, done)
    }

    async fn refresh_known(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_known(id)?;
        match self.ports.ask_operator(id, &OperatorAsk::Refresh).await {
            Ok(OperatorReply::Told { status, takes_webhooks, generation }) => {
                self.broker.access_tokens.forget_of(id, generation.saturating_sub(1));
                self.broker.access_tokens.forgets_refusal(id);
                let entry = self.entry_of(id, status, takes_webhooks).await;
                Ok(Draft::text(200, "application/json", entry.to_string()))
            }
            Ok(OperatorReply::Failed { cause, retry_after }) => {
                Err(Refused { retry_after: Some(retry_after), ..Refused::from(Code::from(cause)) })
            }
            answered => Err(refusal(answered.ok().as_ref())),
        }
    }

    /// Drops the token set: the keeper's, the cache's, and this isolate's copy.
    pub(in crate::edge) async fn drop_token(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.allow("DELETE")?;
        let done = self.drop_known(id).await;
        self.note("drop_token", id, done)
    }

    async fn drop_known(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_known(id)?;
        match self.ports.ask_operator(id, &OperatorAsk::Drop).await {
            Ok(OperatorReply::Dropped(generation)) => {
                self.broker.access_tokens.forget_of(id, generation);
                self.broker.access_tokens.forgets_refusal(id);
                Ok(Draft::empty(204))
            }
            answered => Err(refusal(answered.ok().as_ref())),
        }
    }

    /// Fails where no connection can be called so, or the one that is cannot be
    /// used.
    fn check_known(&self, id: &str) -> Result<(), Code> {
        let config = self.broker.config();
        match config.connections.get(id) {
            Some(Some(_)) => Ok(()),
            Some(None) => Err(Code::Misconfigured),
            None if config.takes_registrations() && is_id(id) => Ok(()),
            None => Err(Code::UnknownConnection),
        }
    }

    /// How the connection called `id` is; nothing where there is none.
    pub(in crate::edge) async fn entry(&self, id: &str) -> Option<Value> {
        let config = self.broker.config();
        let takes_webhooks = config.webhooks.contains_key(id);
        let (status, takes_webhooks) = match config.connections.get(id) {
            Some(None) => (status_without_token(None, "misconfigured"), takes_webhooks),
            Some(Some(connection)) if connection.grant.is_for_people() => {
                (status_without_token(Some(connection), "ready"), takes_webhooks)
            }
            None if !is_id(id) => return None,
            Some(Some(_)) | None => match self.ports.ask_operator(id, &OperatorAsk::Tell).await {
                Ok(OperatorReply::Told { status, takes_webhooks, .. }) => (status, takes_webhooks),
                Ok(OperatorReply::Unknown) => return None,
                // It may be well: that cannot be known now.
                _ => (status_without_token(None, "waiting"), takes_webhooks),
            },
        };
        Some(self.entry_of(id, status, takes_webhooks).await)
    }

    async fn entry_of(&self, id: &str, mut status: Status, takes_webhooks: bool) -> Value {
        let is_configured = self.broker.config().connections.contains_key(id);
        let webhooks = if takes_webhooks { self.undelivered(id).await } else { Value::Null };
        let source = if is_configured { "configuration" } else { "registry" };
        status.insert("id".to_owned(), json!(id));
        status.insert("source".to_owned(), json!(source));
        status.insert("webhooks".to_owned(), webhooks);
        Value::Object(status)
    }

    async fn undelivered(&self, id: &str) -> Value {
        match self.ports.ask_deliveries(id, &DeliveriesAsk::Count).await {
            Ok(DeliveriesReply::Counted { pending, failed }) => {
                json!({ "pending": pending, "failed": failed })
            }
            _ => Value::Null,
        }
    }

    /// The registration of `id`, where it is registered.
    pub(in crate::edge) async fn registration(&self, id: &str) -> Option<Registration> {
        let config = self.broker.config();
        let keys = config.sealing_keys.as_ref().filter(|_| !config.connections.contains_key(id))?;
        match self.ports.ask_operator(id, &OperatorAsk::Registration).await {
            Ok(OperatorReply::Registration(record)) => Registration::open(&record?, id, keys).ok(),
            _ => None,
        }
    }
}

/// Why the keeper did not do what it was asked.
pub(in crate::edge) fn refusal(reply: Option<&OperatorReply>) -> Refused {
    match reply {
        Some(OperatorReply::Unknown) => Code::UnknownConnection.into(),
        Some(OperatorReply::NothingToDo) => Code::BadRequest.into(),
        Some(OperatorReply::Misconfigured) => Code::Misconfigured.into(),
        _ => Refused::unavailable(Code::Internal, 1),
    }
}
