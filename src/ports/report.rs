//! Log lines about faults that an operator should know of: one JSON object each.

use super::Host;
use crate::json::{Members, ToJson};

/// The line of one configuration problem, of a connection if it is one's.
#[must_use]
pub fn configuration_problem(connection: Option<&str>, field: &str, problem: &str) -> String {
    Members(&[
        ("connection", &connection),
        ("event", &"configuration_problem"),
        ("field", &field),
        ("level", &"error"),
        ("problem", &problem),
    ])
    .lean_text()
}

/// Reports a sealed record that does not open; the broker treats it as absent.
pub fn unopened_record(host: &impl Host, record: &str) {
    host.log(&Members(&[("event", &"record_unopened"), ("level", &"warn"), ("record", &record)]).lean_text());
}

/// Reports that the cache failed to `read`, `write` or `delete`.
pub fn cache_failed(host: &impl Host, act: &str) {
    host.log(&Members(&[("act", &act), ("event", &"cache_failed"), ("level", &"warn")]).lean_text());
}

/// Reports that an object's storage failed to write `record`.
pub fn storage_failed(host: &impl Host, record: &str) {
    host.log(&Members(&[("event", &"storage_failed"), ("level", &"error"), ("record", &record)]).lean_text());
}

/// Reports that the upstream refused a static token.
pub fn static_token_refused(host: &impl Host, connection: &str) {
    of_connection(host, connection, ("event", &"static_token_refused"), "error");
}

/// Reports that more requests leave than a budget has that is only observed.
pub fn budget_exceeded(host: &impl Host, connection: &str) {
    of_connection(host, connection, ("event", &"budget_exceeded"), "warn");
}

#[inline(never)]
fn of_connection(host: &impl Host, connection: &str, event: (&str, &dyn ToJson), level: &str) {
    host.log(&Members(&[("connection", &connection), event, ("level", &level)]).lean_text());
}

/// Reports that the keys of the issuer of `caller`'s tokens cannot be fetched.
pub fn issuer_unreachable(host: &impl Host, caller: &str) {
    host.log(
        &Members(&[("caller", &caller), ("event", &"issuer_unreachable"), ("level", &"error")]).lean_text(),
    );
}

/// Reports an internal error.
pub fn internal(host: &impl Host, request_id: &str, what: &str) {
    host.log(
        &Members(&[
            ("event", &"internal"),
            ("level", &"error"),
            ("request_id", &request_id),
            ("what", &what),
        ])
        .lean_text(),
    );
}
