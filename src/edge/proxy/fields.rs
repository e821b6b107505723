//! The header fields that pass in each direction: allow-lists, never deny-lists.

use std::borrow::Cow;

use super::sent::Sent;
use crate::config::{Additions, Connection};
use crate::http::{
    FieldLines, HeaderName, Headers, TRACEPARENT, each_address, has_control, leaves_open, without_parameters,
};
use crate::secret::Secret;

/// Whether the request field `name` is forwarded to the upstream.
pub(in crate::edge) fn goes_upstream(name: &str, further: &[HeaderName]) -> bool {
    matches!(
        name,
        "accept"
            | "accept-language"
            | "content-type"
            | "content-language"
            // Without this field a compressed body would arrive unlabelled.
            | "content-encoding"
            | "range"
            | "prefer"
            | "idempotency-key"
    ) || name.starts_with("if-")
        || is_among(name, further)
}

/// Whether the response field `name` is forwarded unchanged to the caller. `Location` and `Vary`
/// are rewritten.
fn goes_downstream(name: &str, further: &[HeaderName]) -> bool {
    matches!(
        name,
        "content-type"
            | "content-length"
            | "content-encoding"
            | "content-language"
            | "content-disposition"
            | "content-range"
            | "content-location"
            | "etag"
            | "last-modified"
            | "retry-after"
            | "link"
            | "accept-ranges"
            | "date"
            // Response fields of `Prefer`, and of methods that are forwarded.
            | "preference-applied"
            | "allow"
            | "accept-patch"
            | "accept-post"
    ) || name.starts_with("ratelimit")
        || name.starts_with("x-ratelimit-")
        || is_among(name, further)
}

/// The fields of the request to the upstream: the caller's allowed fields that `Connection` does
/// not name (RFC 9110 §7.6.1), the token, what the connection adds, and the broker's own. `callers`
/// are the fields that carry callers' tokens; `value` is that of the token's own field, where it has
/// one; `traceparent` is that field's value in parts.
pub(in crate::edge) fn upstream_fields(
    headers: &Headers<'_>,
    connection: &Connection,
    callers: &[HeaderName],
    token: &Secret,
    value: Option<&Secret>,
    traceparent: &[&str],
) -> FieldLines {
    let mut lines = FieldLines::with_room();
    let hop_by_hop = headers.value("connection").unwrap_or_default();
    let own = connection.token_header.as_ref().map_or("", |header| header.name.as_str());
    let mut default_accept = connection.default_accept.as_deref();
    for (name, value) in headers.iter() {
        let passes = goes_upstream(name, &connection.request_headers)
            && name != own
            && !is_among(name, callers)
            && !is_named(hop_by_hop, name);
        if !passes {
            continue;
        }
        if name == "accept"
            && let Some(default) = default_accept
        {
            if leaves_open(value, default) {
                continue;
            }
            default_accept = None;
        }
        lines.push(name, value);
    }
    if let Some(accept) = default_accept {
        lines.push("accept", accept);
    }
    if let Some(value) = value {
        lines.push(own, value.expose());
    }
    for (name, value) in connection.additions.iter().flat_map(|added| added.fields(token.expose())) {
        lines.push(name.as_str(), value.expose());
    }
    lines.push_sound(TRACEPARENT, traceparent);
    lines.push("via", "1.1 porteiro");
    lines.push("user-agent", concat!("porteiro/", env!("CARGO_PKG_VERSION")));
    lines
}

/// Whether the value of a field `Connection` names the field `name` (RFC 9110 §7.6.1).
pub(super) fn is_named(hop_by_hop: &str, name: &str) -> bool {
    hop_by_hop.split(',').any(|named| named.trim().eq_ignore_ascii_case(name))
}

/// The fields of the upstream's response that are forwarded to the caller, except `Location` and
/// `Vary`. A field that discloses what was `sent` is dropped, and so is an address that is not UTF-8.
/// Addresses come without the parameters that the connection adds.
pub(in crate::edge) fn caller_fields(
    headers: &Headers<'_>,
    connection: &Connection,
    sent: &Sent,
) -> FieldLines {
    let mut lines = FieldLines::with_room();
    let adding = connection.additions.as_deref().filter(|added| added.has_query());
    // The broker tells of its own budget in place of the upstream's.
    let budget = connection.guard.as_ref().and_then(|guard| guard.budget);
    let has_budget = budget.is_some_and(|budget| !budget.observe);
    for (name, value) in headers.iter() {
        let is_limit = has_budget && (name.starts_with("ratelimit") || name.starts_with("x-ratelimit-"));
        if is_limit || !goes_downstream(name, &connection.response_headers) {
            continue;
        }
        let is_address = matches!(name, "link" | "content-location");
        let value = match adding.filter(|_| is_address) {
            Some(added) => Cow::Owned(without_added(name, value, added)),
            None => Cow::Borrowed(value),
        };
        let is_unfit = sent.is_disclosed(&value) || (is_address && is_mangled(&value));
        if !is_unfit {
            lines.push(name, &value);
        }
    }
    lines
}

/// The value of a `Link` or another field of one address, without the parameters in `added`.
fn without_added(name: &str, value: &str, added: &Additions) -> String {
    let without = |address: &str| without_parameters(address, |parameter| added.has_parameter(parameter));
    if name == "link" { each_address(value, without) } else { without(value) }
}

/// Whether `value` was not UTF-8: the runtime replaces such bytes by U+FFFD.
pub(in crate::edge) fn is_mangled(value: &str) -> bool {
    value.contains(char::REPLACEMENT_CHARACTER)
}

/// Whether a field to be forwarded has a control character, which servers interpret differently.
pub(in crate::edge) fn has_stray_control(headers: &Headers<'_>, connection: &Connection) -> bool {
    headers.iter().any(|(name, value)| has_control(value) && goes_upstream(name, &connection.request_headers))
}

/// Whether a response may be a debug page that discloses what was sent: an error status with a
/// textual or absent media type.
pub(in crate::edge) fn may_disclose(status: u16, headers: &Headers<'_>) -> bool {
    if status < 400 {
        return false;
    }
    let media_type = headers.value("content-type").unwrap_or_default().to_ascii_lowercase();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    media_type.is_empty()
        || media_type.starts_with("text/")
        || ["json", "html", "xml", "yaml", "javascript", "urlencoded"]
            .iter()
            .any(|text| media_type.contains(text))
}

/// Whether the caller sends a field that the connection adds. `Authorization` is the caller's own
/// credential, which the broker consumes.
pub(in crate::edge) fn has_added(headers: &Headers<'_>, added: &Additions) -> bool {
    headers.iter().any(|(name, _)| name != "authorization" && added.has_field(name))
}

/// Whether a GET or HEAD request has a body (RFC 9110 §9.3.1), which the runtime would not forward.
pub(in crate::edge) fn has_stray_body(method: &str, headers: &Headers<'_>) -> bool {
    let length = headers.value("content-length").unwrap_or("0");
    matches!(method, "GET" | "HEAD") && (length != "0" || headers.value("transfer-encoding").is_some())
}

/// Whether the request already passed through a broker (RFC 9110 §7.6.3).
pub(in crate::edge) fn is_loop(headers: &Headers<'_>) -> bool {
    headers
        .value("via")
        .is_some_and(|via| via.split(',').any(|hop| hop.split_whitespace().nth(1) == Some("porteiro")))
}

fn is_among(name: &str, further: &[HeaderName]) -> bool {
    further.iter().any(|known| known.as_str() == name)
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn looks_at_texts_of_errors_only() {
        let looks = |status, media_type: &str| {
            may_disclose(status, &Headers::new(&format!("content-type:{media_type}")))
        };
        for text in [
            "text/html; charset=utf-8",
            "text/plain",
            "application/json",
            "Application/Problem+JSON",
            "application/xhtml+xml",
            "application/xml",
            "application/x-www-form-urlencoded",
            "",
        ] {
            assert!(looks(400, text) && looks(599, text) && !looks(200, text) && !looks(302, text), "{text}");
        }
        for other in ["image/png", "application/octet-stream", "application/pdf", "video/mp4"] {
            assert!(!looks(500, other), "{other}");
        }
        assert!(may_disclose(500, &Headers::new("")));
    }
}
