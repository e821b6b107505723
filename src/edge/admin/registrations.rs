//! Registering connections, and removing them.

use serde_json::{Value, json};

use super::Asked;
use super::connections::refusal;
use crate::config::{WRONG_ID, is_id};
use crate::edge::answer::{Draft, Refused};
use crate::edge::{Code, connections};
use crate::json;
use crate::ports::{Ports, Sender};
use crate::protocol::{
    DeliveriesAsk, DeliveriesReply, IndexAsk, IndexReply, OperatorAsk, OperatorReply, Registration,
};
use crate::token::Nonce;

/// The largest body of a registration, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

impl<P: Ports> Asked<'_, '_, P> {
    /// Registers a connection, or replaces one that is registered.
    pub(in crate::edge) async fn put(&mut self, id: &str) -> Result<Draft<P::Response>, Refused> {
        let done = self.register(id).await;
        let outcome = match &done {
            Ok(draft) if draft.status == 400 => Err(Code::BadRequest.into()),
            Ok(_) => Ok(()),
            Err(refused) => Err(*refused),
        };
        let _ = self.note("put_connection", id, outcome);
        done
    }

    async fn register(&mut self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_registrable(id)?;
        if !is_id(id) {
            return Ok(self.problems(&[("id".to_owned(), WRONG_ID.to_owned())]));
        }
        let registration = self.read_registration().await?;
        let keys = self.broker.config().sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
        let nonce = Nonce(self.ports.bytes());
        let record = registration.seal(id, keys, &nonce).map_err(|_| Code::Internal)?;
        // It is listed before it can be used: nothing is used that is not listed.
        let unavailable = || Refused::unavailable(Code::Internal, 1);
        let listed = self.ports.ask_index(&IndexAsk::Add(id.to_owned())).await;
        let Ok(IndexReply::Changed(is_news)) = listed else { return Err(unavailable()) };
        // What came for another one of that name is not for this one's receiver.
        if is_news || !self.is_registered(id).await? {
            self.forget_events(id).await?;
        }
        match self.ports.ask_operator(id, &OperatorAsk::Register(record)).await {
            Ok(OperatorReply::Registered { is_new }) => {
                // Somebody may have removed it meanwhile, and with it the entry.
                let listed = self.ports.ask_index(&IndexAsk::Add(id.to_owned())).await;
                if !matches!(listed, Ok(IndexReply::Changed(_))) {
                    return Err(unavailable());
                }
                // The cache may show for a while what was there before.
                connections::read_anew(self.broker, &**self.ports, id).await?;
                let entry = self.entry(id).await.ok_or_else(unavailable)?;
                let status = if is_new { 201 } else { 200 };
                Ok(Draft::text(status, "application/json", entry.to_string()))
            }
            Ok(OperatorReply::Problems(problems)) => {
                if is_news {
                    // Where this fails there is nothing to be shown of it.
                    let _ = self.unlist(id).await;
                }
                Ok(self.problems(&problems))
            }
            answered => Err(refusal(answered.ok().as_ref())),
        }
    }

    /// Removes a registered connection, its token set and its secrets.
    pub(in crate::edge) async fn delete(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        let done = self.remove(id).await;
        self.note("delete_connection", id, done)
    }

    async fn remove(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_registrable(id)?;
        if !is_id(id) {
            return Err(Code::UnknownConnection.into());
        }
        if self.registration(id).await.is_some() {
            self.forget_events(id).await?;
        }
        let removed = match self.ports.ask_operator(id, &OperatorAsk::Remove).await {
            Ok(OperatorReply::Removed) => true,
            Ok(OperatorReply::Unknown) => false,
            answered => return Err(refusal(answered.ok().as_ref())),
        };
        self.broker.registry.forget(id);
        self.broker.access_tokens.remove(id);
        let was_listed = self.unlist(id).await?;
        if removed || was_listed { Ok(Draft::empty(204)) } else { Err(Code::UnknownConnection.into()) }
    }

    /// Whether a connection is registered so.
    async fn is_registered(&self, id: &str) -> Result<bool, Refused> {
        match self.ports.ask_operator(id, &OperatorAsk::Registration).await {
            Ok(OperatorReply::Registration(record)) => Ok(record.is_some()),
            _ => Err(Refused::unavailable(Code::Internal, 1)),
        }
    }

    async fn forget_events(&self, id: &str) -> Result<(), Refused> {
        match self.ports.ask_deliveries(id, &DeliveriesAsk::Clear).await {
            Ok(DeliveriesReply::Cleared) => Ok(()),
            _ => Err(Refused::unavailable(Code::Internal, 1)),
        }
    }

    /// Takes `id` out of the index, unless it was registered meanwhile; whether it
    /// was there.
    async fn unlist(&self, id: &str) -> Result<bool, Refused> {
        let unavailable = || Refused::unavailable(Code::Internal, 1);
        let Ok(IndexReply::Changed(was_listed)) =
            self.ports.ask_index(&IndexAsk::Remove(id.to_owned())).await
        else {
            return Err(unavailable());
        };
        if self.registration(id).await.is_some() {
            let listed = self.ports.ask_index(&IndexAsk::Add(id.to_owned())).await;
            return if matches!(listed, Ok(IndexReply::Changed(_))) { Ok(false) } else { Err(unavailable()) };
        }
        Ok(was_listed)
    }

    /// Fails where `id` is a configured connection.
    fn check_registrable(&self, id: &str) -> Result<(), Code> {
        let is_configured = self.broker.config().connections.contains_key(id);
        if is_configured { Err(Code::ConnectionConfigured) } else { Ok(()) }
    }

    /// The registration in the body: a JSON object.
    async fn read_registration(&self) -> Result<Registration, Refused> {
        let body = self.ports.body(MAX_BODY_BYTES, Sender::Proven).await?;
        let Ok(Value::Object(mut fields)) = json::parse(json::without_mark(&body)) else {
            return Err(Code::BadRequest.into());
        };
        let secrets = match fields.remove("secrets") {
            None => serde_json::Map::new(),
            Some(Value::Object(secrets)) => secrets,
            Some(_) => return Err(Code::BadRequest.into()),
        };
        Ok(Registration { version: 0, fields, secrets })
    }

    /// The answer that tells what is wrong with a registration.
    fn problems(&mut self, problems: &[(String, String)]) -> Draft<P::Response> {
        self.line.note_code(Code::BadRequest);
        let address = format!("{}{}", self.head.own_origin(), self.broker.config().base_path);
        let details = Code::BadRequest.details(&address, self.line.request_id, None);
        let mut details: Value = serde_json::from_slice(details.as_bytes()).unwrap_or_default();
        if let Some(members) = details.as_object_mut() {
            let told = |(field, message): &(String, String)| json!({ "field": field, "message": message });
            members.insert("problems".to_owned(), problems.iter().map(told).collect());
        }
        Draft::text(400, "application/problem+json", details.to_string())
    }
}
