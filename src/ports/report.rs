//! Log lines that tell an operator what is wrong: one JSON object each.

use serde_json::json;

use super::Log;

/// Reports a problem of the configuration.
pub fn configuration_problem(log: &impl Log, field: &str, problem: &str) {
    let line = json!({
        "event": "configuration_problem",
        "level": "error",
        "field": field,
        "problem": problem,
    });
    log.line(&line.to_string());
}

/// Reports a record that does not open, and so counts as absent.
pub fn unopened_record(log: &impl Log, record: &str) {
    log.line(&json!({ "event": "record_unopened", "level": "warn", "record": record }).to_string());
}

/// Reports that the cache failed to `act`.
pub fn cache_failed(log: &impl Log, act: &str) {
    log.line(&json!({ "event": "cache_failed", "level": "warn", "act": act }).to_string());
}

/// Reports that the keeper's storage did not take `record`.
pub fn storage_failed(log: &impl Log, record: &str) {
    log.line(&json!({ "event": "storage_failed", "level": "error", "record": record }).to_string());
}

/// Reports that the upstream refused a static token.
pub fn static_token_refused(log: &impl Log, connection: &str) {
    log.line(
        &json!({ "event": "static_token_refused", "level": "error", "connection": connection }).to_string(),
    );
}

/// Reports that the keys of the issuer of `caller`'s tokens cannot be had.
pub fn issuer_unreachable(log: &impl Log, caller: &str) {
    log.line(&json!({ "event": "issuer_unreachable", "level": "error", "caller": caller }).to_string());
}

/// Reports something unforeseen.
pub fn internal(log: &impl Log, request_id: &str, what: &str) {
    log.line(
        &json!({ "event": "internal", "level": "error", "request_id": request_id, "what": what }).to_string(),
    );
}
