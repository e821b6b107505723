//! The log lines of requests: one JSON object each. No line holds a token, a secret, a body, a
//! query or a concrete path.

use std::borrow::Cow;
use std::time::Duration;

use super::Code;
use super::proxy::memory::Source;
use crate::http::{Origin, shown_origin};
use crate::json::Members;
use crate::ports::Host;

/// The largest number of allowed origins in a line.
const MAX_ORIGINS: usize = 32;

/// The line of one request.
#[derive(Debug)]
pub(super) struct CallLine<'a> {
    /// Whether the line belongs to the audit (401, 403, 429).
    audit: bool,
    pub request_id: &'a str,
    /// The caller's trace id.
    pub trace_id: Option<&'a str>,
    pub connection: Option<&'a str>,
    /// The caller of the rule that allowed the call; of a call that no rule allowed, every caller
    /// that it proves.
    pub caller: Option<Cow<'a, str>>,
    /// The number of the key that was sent, if the caller has several.
    pub key: Option<usize>,
    pub method: &'a str,
    /// The path pattern of the rule that allowed the call; of a call that no rule allowed, the
    /// pattern that its path fits.
    pub path: Option<&'a str>,
    pub status: u16,
    code: Option<&'static str>,
    /// The origin that is not allowed.
    origin: Option<&'a str>,
    /// Those that are, beside it.
    allowed_origins: Option<Vec<&'a str>>,
    /// Why a token in the request is invalid.
    pub reason: Option<&'static str>,
    pub token: Option<&'static str>,
    pub token_ms: Option<u64>,
    pub upstream_ms: Option<u64>,
    /// The number of the account token that authenticated an event, if there are several.
    pub account_token: Option<usize>,
    /// The webhook id of an accepted event.
    pub webhook_id: Option<String>,
    /// Of a call that has a budget: its requests and seconds; what is left, and in how many seconds more is.
    pub quota: Option<[[u64; 2]; 2]>,
    /// How the rule's cache took part.
    pub cache: Option<&'static str>,
    /// Whether the call was replayed after the upstream refused the token.
    pub replayed: bool,
}

impl<'a> CallLine<'a> {
    /// The line of a new request.
    pub const fn new(request_id: &'a str, method: &'a str) -> Self {
        Self {
            audit: false,
            request_id,
            trace_id: None,
            connection: None,
            caller: None,
            key: None,
            method,
            path: None,
            status: 0,
            code: None,
            origin: None,
            allowed_origins: None,
            reason: None,
            token: None,
            token_ms: None,
            upstream_ms: None,
            account_token: None,
            webhook_id: None,
            quota: None,
            cache: None,
            replayed: false,
        }
    }

    /// Records the error code of the answer. A refusal makes the line part of the audit.
    pub const fn note_code(&mut self, code: Code) {
        self.code = Some(code.as_str());
        self.audit = matches!(code.status(), 401 | 403 | 429);
    }

    /// Records the `Origin` that is not allowed, and those that are.
    pub fn note_origin(&mut self, sent: &'a str, allowed: &'a [Origin]) {
        self.origin = Some(shown_origin(sent));
        self.allowed_origins = Some(allowed.iter().take(MAX_ORIGINS).map(Origin::as_str).collect());
    }

    /// Records where the token came from, and how long obtaining it took.
    pub fn note_token(&mut self, source: Source, took: Duration) {
        self.token = Some(source.as_str());
        self.token_ms = Some(self.token_ms.unwrap_or_default().saturating_add(millis(took)));
    }

    /// Records how long the upstream took to send response headers.
    pub fn note_upstream(&mut self, took: Duration) {
        self.upstream_ms = Some(self.upstream_ms.unwrap_or_default().saturating_add(millis(took)));
    }

    /// The value of `Server-Timing`, if the call used a token or a copy.
    pub fn server_timing(&self) -> Option<String> {
        let cache = self.cache.map(|cache| [r#"cache;desc=""#, cache, "\""].concat());
        let Some(token) = self.token else { return cache };
        let mut timing = format!(r#"token;desc="{token}";dur={}"#, self.token_ms.unwrap_or_default());
        if let Some(upstream) = self.upstream_ms {
            timing.push_str(", upstream;dur=");
            timing.push_str(&upstream.to_string());
        }
        if let Some(cache) = cache {
            timing.push_str(", ");
            timing.push_str(&cache);
        }
        Some(timing)
    }

    pub fn write(&self, host: &impl Host) {
        let line = Members(&[
            ("event", &"call"),
            ("audit", &self.audit),
            ("request_id", &self.request_id),
            ("trace_id", &self.trace_id),
            ("connection", &self.connection),
            ("caller", &self.caller.as_deref()),
            ("key", &self.key),
            ("method", &self.method),
            ("path", &self.path),
            ("status", &self.status),
            ("code", &self.code),
            ("origin", &self.origin),
            ("allowed_origins", &self.allowed_origins),
            ("reason", &self.reason),
            ("token", &self.token),
            ("token_ms", &self.token_ms),
            ("upstream_ms", &self.upstream_ms),
            ("account_token", &self.account_token),
            ("webhook_id", &self.webhook_id),
            ("cache", &self.cache),
            ("replayed", &self.replayed),
        ]);
        host.log(&line.lean_text());
    }
}

/// Writes the line of one sign-in: `outcome` is `granted`, or the error code.
pub(super) fn write_sign_in(host: &impl Host, request_id: &str, connection: &str, outcome: &str) {
    let line = Members(&[
        ("audit", &true),
        ("connection", &connection),
        ("event", &"sign_in"),
        ("outcome", &outcome),
        ("request_id", &request_id),
    ]);
    host.log(&line.lean_text());
}

/// Writes the line of a flow that ended: `outcome` is `connected`, or the code that the page gets, and
/// `reason` says more of a failure.
pub(super) fn write_connect(
    host: &impl Host,
    request_id: &str,
    connection: Option<&str>,
    outcome: &str,
    reason: Option<&str>,
) {
    let line = Members(&[
        ("audit", &true),
        ("connection", &connection),
        ("event", &"connect"),
        ("outcome", &outcome),
        ("reason", &reason),
        ("request_id", &request_id),
    ]);
    host.log(&line.lean_text());
}

/// Writes the line of the sessions of a person that the provider or an operator ended: `outcome` is
/// `ended`, or the error code, and `reason` why a logout token is invalid.
pub(super) fn write_expulsion(
    host: &impl Host,
    request_id: &str,
    connection: &str,
    outcome: &str,
    (ended, reason): (Option<usize>, Option<&str>),
) {
    let line = Members(&[
        ("audit", &true),
        ("connection", &connection),
        ("ended", &ended),
        ("event", &"expulsion"),
        ("outcome", &outcome),
        ("reason", &reason),
        ("request_id", &request_id),
    ]);
    host.log(&line.lean_text());
}

/// Writes the line of a sign-out that ended a session, or the sign-in to `connection` alone.
pub(super) fn write_sign_out(host: &impl Host, request_id: &str, connection: Option<&str>) {
    let line = Members(&[
        ("audit", &true),
        ("connection", &connection),
        ("event", &"sign_out"),
        ("outcome", &"ended"),
        ("request_id", &request_id),
    ]);
    host.log(&line.lean_text());
}

/// Writes the line of one action of the operator: `outcome` is `done`, or the error code.
pub(super) fn write_admin(
    host: &impl Host,
    request_id: &str,
    action: &str,
    connection: Option<&str>,
    outcome: &str,
) {
    let line = Members(&[
        ("action", &action),
        ("audit", &true),
        ("connection", &connection),
        ("event", &"admin"),
        ("outcome", &outcome),
        ("request_id", &request_id),
    ]);
    host.log(&line.lean_text());
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
