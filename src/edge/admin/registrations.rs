//! Registering and removing connections.

use serde_json::Value;

use super::AdminRequest;
use crate::config::{SECRETS, WRONG_ID, is_id};
use crate::edge::answer::{Draft, Refused};
use crate::edge::problem::wrong_registration;
use crate::edge::{Code, connections};
use crate::json;
use crate::ports::{EdgePorts, ObjectUnreachable, Sender};
use crate::protocol::{
    ClearEvents, ReadRegistration, RegisterConnection, Registration, RegistrationOutcome, RemoveConnection,
    field_problems,
};
use crate::token::Nonce;

/// The largest body of a registration, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The message for a body that is no registration.
const WRONG_BODY: &str =
    "must be one JSON object in which no name comes twice, and which nests no deeper than 127 levels";

/// The media type of a merge patch (RFC 7396 §4).
const MERGE_PATCH: &str = "application/merge-patch+json";

impl<P: EdgePorts> AdminRequest<'_, '_, P> {
    /// Registers a connection, replaces its registration, or changes what a merge patch names of it
    /// (RFC 7396).
    pub(in crate::edge) async fn put(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        let is_patch = self.0.head.method == "PATCH";
        let done = self.register(id, is_patch).await;
        let action = if is_patch { "patch_connection" } else { "put_connection" };
        let outcome = match &done {
            Ok(draft) if draft.status == 400 => Err(Code::BadRequest.into()),
            Ok(_) => Ok(()),
            Err(refused) => Err(*refused),
        };
        let _ = self.log_action(action, id, outcome);
        done
    }

    async fn register(&self, id: &str, is_patch: bool) -> Result<Draft<P::Response>, Refused> {
        self.check_registrable(id)?;
        if !is_id(id) {
            if is_patch {
                return Err(Code::UnknownConnection.into());
            }
            return Ok(self.problems(&[("id".to_owned(), WRONG_ID.to_owned())]));
        }
        let registration = match self.read_registration(is_patch).await? {
            Ok(registration) => registration,
            Err((field, message)) => return Ok(self.problems(&[(field.to_owned(), message.to_owned())])),
        };
        let keys = self.0.config().sealing_keys.as_ref().ok_or(Code::Misconfigured)?;
        let nonce = Nonce(self.0.edge.ports.bytes());
        let record = registration.seal(id, keys, &nonce).map_err(|_| Code::Internal)?;
        let ports = &self.0.edge.ports;
        // Events of an earlier connection of this id must not reach this one's receiver.
        if !is_patch && ports.ask(ReadRegistration(id)).await?.is_none() {
            ports.ask(ClearEvents { connection: id }).await?;
        }
        match ports.ask(RegisterConnection { connection: id, record, is_patch }).await?? {
            RegistrationOutcome::Done { is_new } => {
                // The cache may serve the previous registration for a while.
                match connections::reread(self.0.edge, id).await {
                    // A concurrent removal deleted the registration.
                    Err(refused) if refused.code == Code::UnknownConnection => {
                        return Err(ObjectUnreachable.into());
                    }
                    read => drop(read?),
                }
                let entry = self.entry(id).await.ok_or(ObjectUnreachable)?;
                let status = if is_new { 201 } else { 200 };
                Ok(Draft::text(status, "application/json", json::text(&entry)))
            }
            RegistrationOutcome::Problems(problems) => Ok(self.problems(&problems)),
        }
    }

    /// Removes a registered connection, its token set and its secrets.
    pub(in crate::edge) async fn delete(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        let done = self.remove(id).await;
        self.log_action("delete_connection", id, done)
    }

    async fn remove(&self, id: &str) -> Result<Draft<P::Response>, Refused> {
        self.check_registrable(id)?;
        if !is_id(id) {
            return Err(Code::UnknownConnection.into());
        }
        let ports = &self.0.edge.ports;
        if self.registration(id).await.is_some() {
            ports.ask(ClearEvents { connection: id }).await?;
        }
        let removed = ports.ask(RemoveConnection(id)).await?;
        let isolate = &self.0.edge.isolate;
        isolate.connections.forget(id);
        isolate.access_tokens.remove(id);
        removed?;
        Ok(Draft::empty(204))
    }

    /// Fails where `id` is a configured connection.
    fn check_registrable(&self, id: &str) -> Result<(), Code> {
        let is_configured = self.0.config().is_configured(id);
        if is_configured { Err(Code::ConnectionConfigured) } else { Ok(()) }
    }

    /// Reads the registration in the body, a JSON object, or the merge patch; where it is none, what
    /// is wrong, with a message.
    async fn read_registration(
        &self,
        is_patch: bool,
    ) -> Result<Result<Registration, (&'static str, &'static str)>, Refused> {
        let media_type = self.0.head.headers.value("content-type").unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if is_patch && !media_type.eq_ignore_ascii_case(MERGE_PATCH) {
            return Ok(Err(("content-type", "must be application/merge-patch+json")));
        }
        let body = self.0.edge.ports.body(MAX_BODY_BYTES, Sender::Proven).await?;
        let Ok(Value::Object(mut fields)) = json::parse(json::without_mark(&body)) else {
            return Ok(Err(("body", WRONG_BODY)));
        };
        let secrets = match fields.remove("secrets") {
            None => serde_json::Map::new(),
            Some(Value::Object(secrets)) => secrets,
            // Removes each of them.
            Some(Value::Null) if is_patch => {
                SECRETS.iter().map(|name| ((*name).to_owned(), Value::Null)).collect()
            }
            Some(_) => return Ok(Err(("secrets", "must be a table"))),
        };
        Ok(Ok(Registration { version: 0, fields, secrets }))
    }

    /// The answer to a registration with these problems.
    fn problems(&self, problems: &[(String, String)]) -> Draft<P::Response> {
        self.0.note(|line| line.note_code(Code::BadRequest));
        let language = self.0.language();
        let details = Code::BadRequest.details(language, &self.0.address(), self.0.request_id, None, None);
        let mut details: Value = json::parse(details.as_bytes()).unwrap_or_default();
        if let Some(members) = details.as_object_mut() {
            members.insert("detail".to_owned(), wrong_registration(language).into());
            members.insert("problems".to_owned(), field_problems(problems));
        }
        Draft::worded(400, "application/problem+json", json::text(&details), language)
    }
}
