//! The log lines of objects: one JSON object each. No line holds a token, a secret or a body.

use std::time::Duration;

use crate::json::Members;
use crate::oauth::RefusedAnswer;
use crate::ports::Host;
use crate::protocol::{EventRecord, List, OPERATOR};

/// Writes the line of a rotated secret of `connection`: `what` is `sealing_key`, `credentials` or
/// `refresh_token`.
pub(super) fn write_rotation(host: &impl Host, what: &str, connection: &str) {
    let line =
        Members(&[("audit", &true), ("connection", &connection), ("event", &"rotation"), ("what", &what)]);
    host.log(&line.lean_text());
}

/// The line of one token request.
#[derive(Debug)]
pub(super) struct GrantLine<'a> {
    pub connection: &'a str,
    pub grant: &'static str,
    pub outcome: &'static str,
    /// The answer that granted nothing, if there was one.
    pub refused: Option<RefusedAnswer>,
    /// Why there was no request.
    pub reason: Option<&'static str>,
    pub took: Duration,
    pub narrowed: bool,
}

impl GrantLine<'_> {
    pub fn write(&self, host: &impl Host) {
        let line = Members(&[
            ("audit", &true),
            ("connection", &self.connection),
            ("event", &"grant"),
            ("grant", &self.grant),
            ("grant_ms", &millis(self.took)),
            ("outcome", &self.outcome),
            ("reason", &self.refused.map(|refused| refused.reason.as_str()).or(self.reason)),
            ("scope", &self.narrowed.then_some("narrowed")),
            ("status", &self.refused.map(|refused| refused.status)),
        ]);
        host.log(&line.lean_text());
    }
}

/// Writes the line of an ID token that proves nobody: `reason` is what is wrong with it.
pub(super) fn write_invalid_id_token(host: &impl Host, connection: &str, reason: &str) {
    let line = Members(&[
        ("connection", &connection),
        ("event", &"id_token"),
        ("level", &"warn"),
        ("outcome", &"refused"),
        ("reason", &reason),
    ]);
    host.log(&line.lean_text());
}

/// Writes the line of one request to revoke a token (RFC 7009).
pub(super) fn write_revocation(
    host: &impl Host,
    connection: &str,
    status: Option<u16>,
    is_done: bool,
    took: Duration,
) {
    let line = Members(&[
        ("audit", &true),
        ("connection", &connection),
        ("event", &"revocation"),
        ("ms", &millis(took)),
        ("outcome", &if is_done { "revoked" } else { "failed" }),
        ("status", &status),
    ]);
    host.log(&line.lean_text());
}

/// The line of one attempt to deliver a webhook, or an event of the operator's.
pub(super) struct DeliveryLine<'a> {
    pub connection: &'a str,
    pub record: &'a EventRecord,
    pub took: Duration,
}

impl DeliveryLine<'_> {
    pub fn write(&self, host: &impl Host) {
        let Self { connection, record, took } = self;
        let (is_failed, is_operators) = (record.list == List::Failed, *connection == OPERATOR);
        let line = Members(&[
            ("attempt", &record.attempts),
            ("connection", &(!is_operators).then_some(connection)),
            ("event", &if is_operators { "operator_event" } else { "webhook" }),
            ("failed", &is_failed),
            ("level", &is_failed.then_some("error")),
            ("ms", &millis(*took)),
            ("outcome", &record.outcome),
            ("status", &record.status),
            ("webhook_id", &record.id),
        ]);
        host.log(&line.lean_text());
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
