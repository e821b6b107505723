//! Log lines about faults that an operator should know of: one JSON object each.

use serde_json::json;

use super::Host;

/// The line of one configuration problem, of a connection if it is one's.
#[must_use]
pub fn configuration_problem(connection: Option<&str>, field: &str, problem: &str) -> String {
    let mut line = json!({
        "event": "configuration_problem",
        "level": "error",
        "field": field,
        "problem": problem,
    });
    if let (Some(connection), Some(members)) = (connection, line.as_object_mut()) {
        members.insert("connection".to_owned(), connection.into());
    }
    line.to_string()
}

/// Reports a sealed record that does not open; the broker treats it as absent.
pub fn unopened_record(host: &impl Host, record: &str) {
    host.log(&json!({ "event": "record_unopened", "level": "warn", "record": record }).to_string());
}

/// Reports that the cache failed to `read`, `write` or `delete`.
pub fn cache_failed(host: &impl Host, act: &str) {
    host.log(&json!({ "event": "cache_failed", "level": "warn", "act": act }).to_string());
}

/// Reports that an object's storage failed to write `record`.
pub fn storage_failed(host: &impl Host, record: &str) {
    host.log(&json!({ "event": "storage_failed", "level": "error", "record": record }).to_string());
}

/// Reports that the upstream refused a static token.
pub fn static_token_refused(host: &impl Host, connection: &str) {
    host.log(
        &json!({ "event": "static_token_refused", "level": "error", "connection": connection }).to_string(),
    );
}

/// Reports that the keys of the issuer of `caller`'s tokens cannot be fetched.
pub fn issuer_unreachable(host: &impl Host, caller: &str) {
    host.log(&json!({ "event": "issuer_unreachable", "level": "error", "caller": caller }).to_string());
}

/// Reports an internal error.
pub fn internal(host: &impl Host, request_id: &str, what: &str) {
    host.log(
        &json!({ "event": "internal", "level": "error", "request_id": request_id, "what": what }).to_string(),
    );
}
