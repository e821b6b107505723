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

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const URN: &str = "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c";

    fn refusal(status: u16, body: &str) -> Option<Refusal> {
        read_pushed(status, body.as_bytes()).err().map(|refused| refused.refusal)
    }

    #[test]
    fn reads_the_answer_of_the_standard() {
        // RFC 9126 §2.2.
        let body = format!(r#"{{"request_uri":"{URN}","expires_in":60,"x":[]}}"#);
        let pushed = PushedRequest { request_uri: URN.to_owned(), expires_in: Duration::from_mins(1) };
        assert_eq!(read_pushed(201, body.as_bytes()), Ok(pushed));
        for status in [200, 204, 302, 100] {
            assert_eq!(refusal(status, &body), Some(Refusal::Invalid), "{status}");
        }
    }

    #[test]
    fn refuses_answers_that_are_none() {
        let uri = |uri: &str| refusal(201, &format!(r#"{{"request_uri":"{uri}","expires_in":60}}"#));
        for good in [URN, "https://as.example/r/1?x=%20", "x:y"] {
            assert_eq!(uri(good), None, "{good}");
        }
        let long = format!("urn:{}", "a".repeat(2045));
        for bad in
            ["", "urn", ":a", "1a:b", "urn:", "urn:a b", "urn:é", "urn:a\\n", "urn:a#b", "a/b:c", &long]
        {
            assert_eq!(uri(bad), Some(Refusal::Invalid), "{bad}");
        }
        for expires_in in ["0", "-1", "1.5", "\"60\"", "null", "true"] {
            let body = format!(r#"{{"request_uri":"{URN}","expires_in":{expires_in}}}"#);
            assert_eq!(refusal(201, &body), Some(Refusal::Invalid), "{expires_in}");
        }
        let doubled = format!(r#"{{"request_uri":"{URN}","request_uri":"{URN}","expires_in":60}}"#);
        let endless =
            format!(r#"{{"request_uri":"{URN}","expires_in":60}}{}"#, " ".repeat(MAX_RESPONSE_BYTES));
        for body in ["", "[]", "{}", "null", "<html>", r#"{"expires_in":60}"#, &doubled, &endless] {
            assert_eq!(refusal(201, body), Some(Refusal::Invalid), "{body:.80}");
        }
    }

    #[test]
    fn tells_refusals_as_of_a_token_endpoint() {
        for (status, body, refused) in [
            (400, r#"{"error":"invalid_request"}"#, Refusal::Request),
            (401, r#"{"error":"invalid_client"}"#, Refusal::Client),
            (400, r#"{"error":"invalid_scope"}"#, Refusal::Setup),
            (404, "", Refusal::Address),
            (429, "", Refusal::Busy),
            (503, "", Refusal::Busy),
            (500, "", Refusal::Failed),
        ] {
            assert_eq!(refusal(status, body), Some(refused), "{status}");
        }
    }
}
