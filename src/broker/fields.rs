//! Which header fields pass, both ways: allow-lists, never lists of exceptions.

use crate::config::Connection;
use crate::http::{HeaderName, Headers, TRACEPARENT, leaves_open};

/// Header fields of a message to come, a line each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct FieldLines(String);

impl FieldLines {
    /// None yet, with room for a usual head.
    pub fn with_room() -> Self {
        Self(String::with_capacity(1024))
    }

    /// Adds a field. A line break in the value would be another field: such a
    /// field is left out.
    pub fn push(&mut self, name: &str, value: &str) {
        let is_sound = value.bytes().all(|b| !matches!(b, b'\r' | b'\n'));
        debug_assert!(is_sound, "a field value has no line break");
        if !is_sound {
            return;
        }
        self.push_sound(name, &[value]);
    }

    /// Adds a field whose value, in parts, has no line break.
    fn push_sound(&mut self, name: &str, value: &[&str]) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0.push_str(name);
        self.0.push(':');
        for part in value {
            self.0.push_str(part);
        }
    }

    /// The fields.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(&self.0)
    }

    /// The lines.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The lines.
    pub fn into_text(self) -> String {
        self.0
    }
}

/// Whether the request field `name` goes to the upstream.
pub(super) fn goes_upstream(name: &str, further: &[HeaderName]) -> bool {
    matches!(
        name,
        "accept"
            | "accept-language"
            | "content-type"
            | "content-language"
            // Without it a compressed body would arrive unlabelled.
            | "content-encoding"
            | "range"
            | "prefer"
            | "idempotency-key"
    ) || name.starts_with("if-")
        || is_among(name, further)
}

/// Whether the response field `name` comes back as it is. `Location` and
/// `Vary` come back changed.
fn comes_back(name: &str, further: &[HeaderName]) -> bool {
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
    ) || name.starts_with("ratelimit")
        || name.starts_with("x-ratelimit-")
        || is_among(name, further)
}

/// The fields of the request to the upstream: those of the caller that may
/// pass and that `Connection` does not name (RFC 9110 §7.6.1), the token, and
/// the broker's own.
/// `callers` are the fields that callers' own tokens come in, `traceparent` is
/// the value of that field in parts.
pub(super) fn upstream_fields(
    headers: &Headers<'_>,
    connection: &Connection,
    callers: &[HeaderName],
    token: &str,
    traceparent: &[&str],
) -> FieldLines {
    let mut lines = FieldLines::with_room();
    let hop_by_hop = headers.value("connection").unwrap_or_default();
    let own = connection.token_header.name.as_str();
    let mut default_accept = connection.default_accept.as_deref();
    for (name, value) in headers.iter() {
        let passes = goes_upstream(name, &connection.request_headers)
            && name != own
            && !is_among(name, callers)
            && !hop_by_hop.split(',').any(|named| named.trim().eq_ignore_ascii_case(name));
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
    lines.push(own, token);
    lines.push_sound(TRACEPARENT, traceparent);
    lines.push("via", "1.1 porteiro");
    lines.push("user-agent", concat!("porteiro/", env!("CARGO_PKG_VERSION")));
    lines
}

/// The fields of the upstream's response that the caller gets, but for
/// `Location` and `Vary`.
pub(super) fn caller_fields(headers: &Headers<'_>, connection: &Connection) -> FieldLines {
    let mut lines = FieldLines::with_room();
    for (name, value) in headers.iter() {
        if comes_back(name, &connection.response_headers) {
            lines.push(name, value);
        }
    }
    lines
}

/// Whether a request that can have no body comes with one (RFC 9110 §9.3.1):
/// the runtime sends none.
pub(super) fn has_stray_body(method: &str, headers: &Headers<'_>) -> bool {
    let length = headers.value("content-length").unwrap_or("0");
    matches!(method, "GET" | "HEAD") && (length != "0" || headers.value("transfer-encoding").is_some())
}

/// Whether the request already went through a broker (RFC 9110 §7.6.3).
pub(super) fn is_loop(headers: &Headers<'_>) -> bool {
    headers
        .value("via")
        .is_some_and(|via| via.split(',').any(|hop| hop.split_whitespace().nth(1) == Some("porteiro")))
}

fn is_among(name: &str, further: &[HeaderName]) -> bool {
    further.iter().any(|known| known.as_str() == name)
}
