//! Token responses and error responses (RFC 6749 §5).

use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroize as _;

use crate::config::{MAX_LIFETIME, MIN_LIFETIME};
use crate::http::is_field_value;
use crate::secret::Secret;

/// The longest token response that is read.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// What a token endpoint granted.
#[derive(Debug)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: Secret,
    /// Its type.
    pub token_type: TokenType,
    /// Its life from when the response was made; none where the response does
    /// not tell it.
    pub expires_in: Option<Duration>,
    /// The refresh token, where one came.
    pub refresh_token: Option<Secret>,
    /// The granted scope, where the response tells it; else it is as asked.
    pub scope: Option<String>,
}

/// How an access token is used (RFC 6749 §7.1). Bearer (RFC 6750) is the only
/// type known; it is recognised whatever its case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenType {
    /// Whoever bears the token may use it.
    Bearer,
}

impl TokenType {
    /// The authentication scheme, as RFC 6750 writes it.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
        }
    }
}

/// Why a token endpoint's answer grants nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The grant itself is dead: `invalid_grant`.
    Grant,
    /// The client is refused: `invalid_client`, `unauthorized_client`.
    Client,
    /// Somebody or something is refused: 401 or 403 without a known error code.
    Denied,
    /// The endpoint declined to try: 429 or 503. The request had no effect.
    Busy,
    /// The endpoint failed: another 5xx. Whether the request had an effect is
    /// not known.
    Failed,
    /// The request is not taken for another reason: another 4xx.
    Request,
    /// The answer is neither a token response nor an error response.
    Invalid,
}

/// Reads the answer of a token endpoint.
///
/// Redirects count as invalid: a token endpoint does not move. Unknown members
/// are ignored; nothing of an error's text is kept.
///
/// # Errors
/// Why nothing was granted.
pub fn read(status: u16, body: &[u8]) -> Result<TokenResponse, Refusal> {
    match status {
        429 | 503 => return Err(Refusal::Busy),
        500.. => return Err(Refusal::Failed),
        _ => {}
    }
    if body.len() > MAX_RESPONSE_BYTES {
        return Err(Refusal::Invalid);
    }
    // Some servers write a byte order mark, which RFC 8259 §8.1 lets us ignore.
    let text = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let parsed: Option<Value> = serde_json::from_slice(text).ok();
    match status {
        200..=299 => {
            let mut response = parsed.ok_or(Refusal::Invalid)?;
            let read = granted(&response);
            wipe(&mut response);
            read
        }
        400..=499 => Err(refused(status, parsed.as_ref())),
        _ => Err(Refusal::Invalid),
    }
}

fn granted(response: &Value) -> Result<TokenResponse, Refusal> {
    let text = |name| response.get(name).and_then(Value::as_str);
    let access_token = text("access_token").filter(|token| is_field_value(token)).ok_or(Refusal::Invalid)?;
    match response.get("token_type") {
        None | Some(Value::Null) => {}
        Some(Value::String(name)) if name.eq_ignore_ascii_case("bearer") => {}
        Some(_) => return Err(Refusal::Invalid),
    }
    Ok(TokenResponse {
        access_token: Secret::new(access_token.to_owned()),
        token_type: TokenType::Bearer,
        expires_in: response.get("expires_in").and_then(lifetime),
        refresh_token: text("refresh_token")
            .filter(|token| !token.is_empty())
            .map(|token| Secret::new(token.to_owned())),
        scope: text("scope").map(str::to_owned),
    })
}

/// The life that `expires_in` tells, clamped to what can be true; none where
/// it tells none. Numbers and numeric texts are taken.
fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    if seconds.is_nan() {
        return None;
    }
    if seconds < 1.0 {
        return Some(MIN_LIFETIME);
    }
    Some(Duration::try_from_secs_f64(seconds.floor()).unwrap_or(MAX_LIFETIME).min(MAX_LIFETIME))
}

fn refused(status: u16, response: Option<&Value>) -> Refusal {
    match response.and_then(|body| body.get("error")).and_then(Value::as_str) {
        Some("invalid_grant") => Refusal::Grant,
        Some("invalid_client" | "unauthorized_client") => Refusal::Client,
        _ if matches!(status, 401 | 403) => Refusal::Denied,
        _ => Refusal::Request,
    }
}

/// Overwrites the texts of a parsed response, so that no token stays in
/// memory that was freed.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expires_in(json: &str) -> Option<u64> {
        let body = format!(r#"{{"access_token":"t","token_type":"Bearer","expires_in":{json}}}"#);
        read(200, body.as_bytes()).unwrap().expires_in.map(|life| life.as_secs())
    }

    #[test]
    fn reads_what_the_makers_document() {
        let hubsoft =
            br#"{"token_type":"Bearer","expires_in":2592000,"access_token":"a.b-c","refresh_token":"r"}"#;
        let read = read(200, hubsoft).unwrap();
        assert_eq!(read.access_token.expose(), "a.b-c");
        assert_eq!(read.expires_in, Some(Duration::from_hours(720)));
        assert_eq!(read.refresh_token.unwrap().expose(), "r");
        assert_eq!(read.scope, None);
        let marked = [b"\xEF\xBB\xBF".as_slice(), hubsoft].concat();
        assert!(super::read(200, &marked).is_ok());
    }

    #[test]
    fn reads_a_life_however_it_is_written_and_clamps_nonsense() {
        assert_eq!(expires_in("3600"), Some(3600));
        assert_eq!(expires_in("\"3600\""), Some(3600));
        assert_eq!(expires_in("3600.9"), Some(3600));
        assert_eq!(expires_in("30"), Some(30));
        for nonsense in ["0", "-1", "0.5", "-1e300", "\"-5\""] {
            assert_eq!(expires_in(nonsense), Some(MIN_LIFETIME.as_secs()), "{nonsense}");
        }
        for endless in ["1e12", "1e300", "18446744073709551615", "\"inf\""] {
            assert_eq!(expires_in(endless), Some(MAX_LIFETIME.as_secs()), "{endless}");
        }
        for untold in ["null", "\"soon\"", "true", "{}", "[]", "\"\"", "\"NaN\""] {
            assert_eq!(expires_in(untold), None, "{untold}");
        }
    }

    #[test]
    fn knows_bearer_in_any_case_and_nothing_else() {
        for known in [r#","token_type":"bEaReR""#, r#","token_type":null"#, ""] {
            assert!(read(200, format!(r#"{{"access_token":"t"{known}}}"#).as_bytes()).is_ok(), "{known}");
        }
        for unknown in [r#","token_type":"mac""#, r#","token_type":"""#, r#","token_type":1"#] {
            let body = format!(r#"{{"access_token":"t"{unknown}}}"#);
            assert_eq!(read(200, body.as_bytes()).unwrap_err(), Refusal::Invalid, "{unknown}");
        }
    }

    #[test]
    fn takes_no_token_that_could_end_a_header_field() {
        for token in ["", " t", "t\\nX: 1", "t\\u0000", "é"] {
            let body = format!(r#"{{"access_token":"{token}"}}"#);
            assert_eq!(read(200, body.as_bytes()).unwrap_err(), Refusal::Invalid, "{token:?}");
        }
        let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(8 * 1024));
        assert!(read(200, long.as_bytes()).is_ok());
    }

    #[test]
    fn tells_refusals_apart() {
        for (status, body, why) in [
            (400, r#"{"error":"invalid_grant"}"#, Refusal::Grant),
            (401, r#"{"error":"invalid_grant"}"#, Refusal::Grant),
            (401, r#"{"error":"invalid_client"}"#, Refusal::Client),
            (400, r#"{"error":"invalid_client","error_description":"x"}"#, Refusal::Client),
            (400, r#"{"error":"unauthorized_client"}"#, Refusal::Client),
            (401, "", Refusal::Denied),
            (403, "<html>", Refusal::Denied),
            (400, r#"{"error":"invalid_scope"}"#, Refusal::Request),
            (404, "not here", Refusal::Request),
            (400, "[1]", Refusal::Request),
            (429, "", Refusal::Busy),
            (500, "<html>", Refusal::Failed),
            (503, r#"{"error":"invalid_client"}"#, Refusal::Busy),
            (302, "", Refusal::Invalid),
            (307, r#"{"access_token":"t"}"#, Refusal::Invalid),
            (200, "", Refusal::Invalid),
            (200, "<html>", Refusal::Invalid),
            (200, "{}", Refusal::Invalid),
            (200, r#"[{"access_token":"t"}]"#, Refusal::Invalid),
            (200, r#"{"access_token":1}"#, Refusal::Invalid),
            (204, "", Refusal::Invalid),
        ] {
            assert_eq!(read(status, body.as_bytes()).unwrap_err(), why, "{status} {body}");
        }
    }

    #[test]
    fn reads_no_endless_response() {
        let long = format!(r#"{{"access_token":"t","x":"{}"}}"#, "a".repeat(MAX_RESPONSE_BYTES));
        assert_eq!(read(200, long.as_bytes()).unwrap_err(), Refusal::Invalid);
    }
}
