//! Answers to callers, and the header fields that each of them has.

use super::Code;
use super::cors::Cors;
use crate::http::{FieldLines, RequestHead};
use crate::ports::BodyFailure;
use crate::secret::Secret;

/// When to send a body again that others crowded out.
const CROWDED_SECONDS: u64 = 5;

/// The header fields of every answer.
pub const COMMON_FIELDS: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    // Whatever an upstream sends, it is data here, never a page of the
    // broker's own origin.
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
    /// A text of the broker's own.
    Text(String),
    /// A part of the broker's own page: a text whose policy takes the place of the
    /// one in [`COMMON_FIELDS`].
    Page(&'static str),
    /// The upstream's, streamed.
    Upstream(R),
    /// The same, but that this token is struck out in the first part of it.
    Veiled(R, Secret),
}

/// What is to be answered, but for the fields that every answer has.
#[derive(Debug)]
pub(super) struct Draft<R> {
    pub status: u16,
    pub fields: FieldLines,
    /// What the answer varies by, besides the origin.
    pub vary: Option<String>,
    pub body: Body<R>,
}

impl<R> Draft<R> {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self { status, fields: FieldLines::default(), vary: None, body: Body::Empty }
    }

    /// An answer with a text of the broker's own.
    pub fn text(status: u16, content_type: &str, text: String) -> Self {
        let mut fields = FieldLines::default();
        fields.push("content-type", content_type);
        Self { status, fields, vary: None, body: Body::Text(text) }
    }

    /// The whole answer to the request that `head` begins.
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
            ("HEAD", Body::Page(_)) => Body::Page(""),
            ("HEAD", _) => Body::Empty,
            (_, body) => body,
        };
        Answer { status, fields: fields.into_text(), body }
    }
}

/// Why a request is not served.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refused {
    pub code: Code,
    /// The failure that a wait follows.
    pub cause: Option<Code>,
    /// Seconds after which to call again.
    pub retry_after: Option<u64>,
    /// Whether a credential was sent that is none.
    pub wrong_credential: bool,
    /// The methods that the address knows, where it does not know this one.
    pub allow: &'static str,
    /// Whether the credential that is missing is the operator's, which a browser
    /// asks for.
    pub is_operators: bool,
}

impl From<Code> for Refused {
    fn from(code: Code) -> Self {
        Self { code, cause: None, retry_after: None, wrong_credential: false, allow: "", is_operators: false }
    }
}

impl From<BodyFailure> for Refused {
    fn from(failure: BodyFailure) -> Self {
        match failure {
            BodyFailure::TooLarge => Code::BodyTooLarge.into(),
            BodyFailure::Gone => Code::BadRequest.into(),
            BodyFailure::Late => Code::RequestTimeout.into(),
            // Others end meanwhile.
            BodyFailure::Crowded => {
                Self { retry_after: Some(CROWDED_SECONDS), ..Self::from(Code::RateLimited) }
            }
        }
    }
}

impl Refused {
    /// Something fails for a while, because of `cause`.
    pub const fn unavailable(cause: Code, retry_after: u64) -> Self {
        Self {
            code: Code::ConnectionUnavailable,
            cause: Some(cause),
            retry_after: Some(retry_after),
            wrong_credential: false,
            allow: "",
            is_operators: false,
        }
    }

    /// Refuses a request whose method is none of `allow`, which `Allow` lists.
    pub fn other_methods(head: &RequestHead<'_>, allow: &'static str) -> Result<(), Self> {
        if allow.split(", ").any(|method| method == head.method) {
            return Ok(());
        }
        Err(Self { allow, ..Self::from(Code::MethodNotAllowed) })
    }

    /// The answer that says so, as problem details.
    pub fn draft<R>(&self, broker: &str, request_id: &str) -> Draft<R> {
        let details = self.code.details(broker, request_id, self.cause);
        let mut draft = Draft::text(self.code.status(), "application/problem+json", details);
        if let Some(seconds) = self.retry_after {
            draft.fields.push("retry-after", &seconds.to_string());
        }
        if self.code.status() == 401 {
            let error = if self.wrong_credential { r#", error="invalid_token""# } else { "" };
            if self.is_operators {
                // Chromium looks at the first challenge of a line only, and the runtime
                // makes one line of both.
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
