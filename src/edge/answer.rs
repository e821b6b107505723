//! Answers to callers, and the header fields common to all of them.

use std::borrow::Cow;

use super::Code;
use super::cors::Cors;
use crate::http::{FieldLines, Language, RequestHead};
use crate::ports::{BodyFailure, ObjectUnreachable, UpstreamFailure};
use crate::protocol::Declined;
use crate::secret::Secret;

/// `Retry-After` of a body refused because other bodies use up the buffer budget.
const CROWDED_SECONDS: u64 = 5;

/// The header fields of every answer.
pub const COMMON_FIELDS: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    // An upstream's response is data: it must never act as a page of the broker's origin.
    ("content-security-policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("vary", "Origin"),
];

/// An answer, ready to be sent.
#[derive(Debug)]
pub struct Answer<R> {
    /// The status.
    pub status: u16,
    /// The header fields besides [`COMMON_FIELDS`], as
    /// [`Headers`](crate::http::Headers) writes them.
    pub fields: String,
    /// The body.
    pub body: Body<R>,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body<R> {
    /// None.
    Empty,
    /// A text that the broker wrote.
    Text(String),
    /// A page of the broker's own, with a policy of its own instead of the one in
    /// [`COMMON_FIELDS`].
    Page(Cow<'static, str>),
    /// The upstream's, streamed.
    Upstream(R),
    /// The same, with these secrets, one in each line, redacted in the first part of the stream.
    Veiled(R, Secret),
}

/// An answer before the common header fields are added.
#[derive(Debug)]
pub(super) struct Draft<R> {
    pub status: u16,
    pub fields: FieldLines,
    /// The value of `Vary` besides `Origin`.
    pub vary: Option<String>,
    pub body: Body<R>,
}

impl<R> Draft<R> {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, fields: FieldLines::default(), vary: None, body: Body::Empty }
    }

    /// An answer with a text that the broker wrote.
    pub fn text(status: u16, content_type: &str, text: String) -> Self {
        let mut fields = FieldLines::default();
        fields.push("content-type", content_type);
        Self { status, fields, vary: None, body: Body::Text(text) }
    }

    /// An answer with a text in the `language` that the client prefers: it varies by that.
    pub fn worded(status: u16, content_type: &str, text: String, language: Language) -> Self {
        let mut draft = Self::text(status, content_type, text);
        draft.fields.push("content-language", language.tag());
        draft.vary = Some("Accept-Language".to_owned());
        draft
    }

    /// Completes the answer to the request with this `head`.
    pub fn finish(self, head: &RequestHead<'_>, request_id: &str, cors: &Cors<'_>) -> Answer<R> {
        let Self { status, mut fields, vary, body } = self;
        fields.push("x-request-id", request_id);
        cors.add_to(&mut fields);
        if head.url.starts_with("https:") {
            fields.push("strict-transport-security", "max-age=31536000");
        }
        let vary = vary.unwrap_or_default();
        for name in vary.split(',').map(str::trim) {
            if !name.is_empty() && !name.eq_ignore_ascii_case("origin") {
                fields.push("vary", name);
            }
        }
        let body = match (head.method, body) {
            ("HEAD", Body::Page(_)) => Body::Page(Cow::Borrowed("")),
            ("HEAD", _) => Body::Empty,
            (_, body) => body,
        };
        Answer { status, fields: fields.into_text(), body }
    }
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub code: Code,
    /// The failure that the connection backs off from.
    pub cause: Option<Code>,
    /// The value of `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// Whether the request carried an invalid credential.
    pub wrong_credential: bool,
    /// The value of `Allow` where the method is not allowed; else empty.
    pub allow: &'static str,
    /// Whether the operator's key is missing: the answer has the browser ask for it.
    pub needs_operator_key: bool,
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Self {
            code,
            cause: None,
            retry_after: None,
            wrong_credential: false,
            allow: "",
            needs_operator_key: false,
        }
    }
}

impl From<BodyFailure> for Refused {
    fn from(failure: BodyFailure) -> Self {
        match failure {
            BodyFailure::TooLarge => Code::BodyTooLarge.into(),
            BodyFailure::Gone => Code::BadRequest.into(),
            BodyFailure::Late => Code::RequestTimeout.into(),
            // Other bodies end meanwhile and free the buffer budget.
            BodyFailure::Crowded => {
                Self { retry_after: Some(CROWDED_SECONDS), ..Self::from(Code::RateLimited) }
            }
        }
    }
}

impl From<UpstreamFailure> for Refused {
    fn from(failure: UpstreamFailure) -> Self {
        match failure {
            UpstreamFailure::Unreachable => Code::UpstreamUnreachable.into(),
            UpstreamFailure::Timeout => Code::UpstreamTimeout.into(),
            UpstreamFailure::BodyGone => Code::UpstreamUnauthorized.into(),
        }
    }
}

impl From<ObjectUnreachable> for Refused {
    fn from(_: ObjectUnreachable) -> Self {
        Self::unavailable(Code::Internal, 1)
    }
}

/// The public error of an operator's ask that a keeper declined.
impl From<Declined> for Refused {
    fn from(declined: Declined) -> Self {
        match declined {
            Declined::Unknown => Code::UnknownConnection.into(),
            Declined::NothingToDo => Code::BadRequest.into(),
            Declined::Misconfigured => Code::Misconfigured.into(),
            Declined::Failed { cause, retry_after } => {
                Self { retry_after: Some(retry_after), ..Self::from(Code::from(cause)) }
            }
        }
    }
}

impl Refused {
    /// A temporary failure because of `cause`.
    pub const fn unavailable(cause: Code, retry_after: u64) -> Self {
        Self {
            code: Code::ConnectionUnavailable,
            cause: Some(cause),
            retry_after: Some(retry_after),
            wrong_credential: false,
            allow: "",
            needs_operator_key: false,
        }
    }

    /// Refuses a request whose method is not in `allow`, the value of `Allow`.
    pub fn check_method(head: &RequestHead<'_>, allow: &'static str) -> Result<(), Self> {
        if allow.split(", ").any(|method| method == head.method) {
            return Ok(());
        }
        Err(Self { allow, ..Self::from(Code::MethodNotAllowed) })
    }

    /// The answer, as problem details in `language`, to a call of `connection`.
    pub fn draft<R>(
        &self,
        language: Language,
        broker: &str,
        request_id: &str,
        connection: Option<&str>,
    ) -> Draft<R> {
        let details = self.code.details(language, broker, request_id, self.cause, connection);
        let mut draft = Draft::worded(self.code.status(), "application/problem+json", details, language);
        if let Some(seconds) = self.retry_after {
            draft.fields.push("retry-after", &seconds.to_string());
        }
        if self.code.status() == 401 {
            let error = if self.wrong_credential { r#", error="invalid_token""# } else { "" };
            if self.needs_operator_key {
                // Chromium reads only the first challenge of a field line, and the runtime joins
                // both into one line.
                draft.fields.push("www-authenticate", r#"Basic realm="porteiro", charset="UTF-8""#);
            }
            draft.fields.push("www-authenticate", &format!(r#"Bearer realm="porteiro"{error}"#));
        }
        if !self.allow.is_empty() {
            draft.fields.push("allow", self.allow);
        }
        draft
    }
}
