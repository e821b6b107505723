//! The answer to a pushed authorization request (RFC 9126 §2.2).

use std::time::Duration;

use crate::config::MAX_LIFETIME;
use crate::json;
use crate::oauth::refusal::{Refusal, RefusalReason, RefusedAnswer, TokenRefusal};
use crate::oauth::response::{MAX_RESPONSE_BYTES, read};
use crate::token::TokenTypes;

/// The longest reference to a request, in bytes.
const MAX_URI_BYTES: usize = 2048;

/// An authorization request that the server holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PushedRequest {
    /// The reference to the request.
    pub request_uri: String,
    /// How long it is good, from the answer on.
    pub expires_in: Duration,
}

/// Reads the answer to a pushed authorization request.
///
/// # Errors
/// [`TokenRefusal`]: why the server holds no request, as of a token endpoint (RFC 9126 §2.3).
pub fn read_pushed(status: u16, body: &[u8]) -> Result<PushedRequest, TokenRefusal> {
    if status == 201
        && body.len() <= MAX_RESPONSE_BYTES
        && let Some(pushed) = created(body)
    {
        return Ok(pushed);
    }
    match read(status, body, TokenTypes::Any) {
        Err(refused) if refused.refusal != Refusal::Invalid => Err(refused),
        Ok(_) | Err(_) => {
            let answer = RefusedAnswer { status, reason: RefusalReason::Other };
            Err(TokenRefusal { refusal: Refusal::Invalid, answer })
        }
    }
}

fn created(body: &[u8]) -> Option<PushedRequest> {
    let answer = json::parse(json::without_mark(body)).ok()?;
    let request_uri = answer.get("request_uri")?.as_str().filter(|uri| is_uri(uri))?.to_owned();
    let seconds = answer.get("expires_in")?.as_u64().filter(|seconds| *seconds > 0)?;
    Some(PushedRequest { request_uri, expires_in: Duration::from_secs(seconds).min(MAX_LIFETIME) })
}

/// Whether a text is an absolute URI (RFC 3986 §4.3), by its characters.
fn is_uri(text: &str) -> bool {
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
    };
    text.len() <= MAX_URI_BYTES
        && text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.is_empty())
        && text.bytes().all(|b| b.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&b))
}
