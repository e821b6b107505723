//! The log lines of objects: one JSON object each. No line holds a token, a secret or a body.

use std::time::Duration;

use serde_json::json;

use crate::oauth::RefusedAnswer;
use crate::ports::Host;
use crate::protocol::{EventRecord, List};

/// Writes the line of a rotated secret of `connection`: `what` is `sealing_key`, `credentials` or
/// `refresh_token`.
pub(super) fn write_rotation(host: &impl Host, what: &str, connection: &str) {
    let line = json!({ "event": "rotation", "audit": true, "connection": connection, "what": what });
    host.log(&line.to_string());
}

/// The line of one token request.
#[derive(Debug)]
pub(super) struct GrantLine<'a> {
    pub connection: &'a str,
    pub grant: &'static str,
    pub outcome: &'static str,
    /// The answer that granted nothing, if there was one.
    pub refused: Option<RefusedAnswer>,
    pub took: Duration,
    pub narrowed: bool,
}

impl GrantLine<'_> {
    pub fn write(&self, host: &impl Host) {
        let mut line = json!({
            "event": "grant",
            "audit": true,
            "connection": self.connection,
            "grant": self.grant,
            "outcome": self.outcome,
            "grant_ms": millis(self.took),
        });
        if let Some(members) = line.as_object_mut() {
            if let Some(RefusedAnswer { status, reason }) = self.refused {
                members.insert("status".to_owned(), status.into());
                members.insert("reason".to_owned(), reason.as_str().into());
            }
            if self.narrowed {
                members.insert("scope".to_owned(), "narrowed".into());
            }
        }
        host.log(&line.to_string());
    }
}

/// The line of one attempt to deliver a webhook.
pub(super) struct DeliveryLine<'a> {
    pub connection: &'a str,
    pub record: &'a EventRecord,
    pub took: Duration,
}

impl DeliveryLine<'_> {
    pub fn write(&self, host: &impl Host) {
        let Self { connection, record, took } = self;
        let mut line = json!({
            "event": "webhook",
            "connection": connection,
            "webhook_id": record.id,
            "attempt": record.attempts,
            "outcome": record.outcome,
            "ms": millis(*took),
        });
        if let Some(members) = line.as_object_mut() {
            if let Some(status) = record.status {
                members.insert("status".to_owned(), status.into());
            }
            if record.list == List::Failed {
                members.insert("level".to_owned(), "error".into());
                members.insert("failed".to_owned(), true.into());
            }
        }
        host.log(&line.to_string());
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
