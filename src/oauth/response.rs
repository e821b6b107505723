//! Token responses and error responses (RFC 6749 §5).

use std::time::Duration;

use serde_json::Value;
use zeroize::Zeroizing;

use super::refusal::{Refusal, RefusalReason, RefusedAnswer, TokenRefusal};
use crate::config::MAX_LIFETIME;
use crate::form;
use crate::http::is_field_value;
use crate::json;
use crate::secret::Secret;
use crate::token::{TokenType, TokenTypes};

/// The largest token response that is read, in bytes.
pub const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// A token response.
#[derive(Debug)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: Secret,
    /// The token's type.
    pub token_type: TokenType,
    /// The token's life, counted from the response; `None` where the response omits it.
    pub expires_in: Option<Duration>,
    /// The refresh token, if the response has one.
    pub refresh_token: Option<Secret>,
    /// The ID token, if the response has one (`OpenID` Connect Core 1.0 §3.1.3.3).
    pub id_token: Option<Secret>,
    /// The granted scope; `None` where it is as requested.
    pub scope: Option<String>,
}

/// Reads the answer of a token endpoint.
///
/// Redirects are invalid: a token endpoint does not move. Unknown members are ignored, even with
/// invalid bytes; an error's text is discarded. A known error code is recognised in any notation
/// and with any status except 408, 425 and 429.
///
/// # Errors
/// [`TokenRefusal`]: why nothing was granted.
pub fn read(status: u16, body: &[u8], types: TokenTypes) -> Result<TokenResponse, TokenRefusal> {
    let refused = |refusal, reason| TokenRefusal { refusal, answer: RefusedAnswer { status, reason } };
    match status {
        200..=299 | 400.. => {}
        300..=399 => return Err(refused(Refusal::Invalid, RefusalReason::Redirect)),
        _ => return Err(refused(Refusal::Invalid, RefusalReason::NoFinalStatus)),
    }
    let is_granted = (200..300).contains(&status);
    if body.len() > MAX_RESPONSE_BYTES {
        return Err(if is_granted {
            refused(Refusal::Invalid, RefusalReason::TooLarge)
        } else {
            refused(by_status(status), RefusalReason::Other)
        });
    }
    let text = Zeroizing::new(String::from_utf8_lossy(body).into_owned());
    // Some servers send a byte order mark, which RFC 8259 §8.1 permits to ignore.
    let text = text.trim_start_matches('\u{feff}');
    let mut parsed = parse(text);
    let granted = match &parsed {
        Some(response) if is_granted => granted(response, types),
        _ => Err(RefusalReason::NotJson),
    };
    let (known, told) = match &granted {
        Ok(_) => (None, None),
        Err(_) => (error(parsed.as_ref(), text, true), error(parsed.as_ref(), text, false)),
    };
    // Some servers answer 200 even to errors.
    let says_error = parsed.as_ref().and_then(|body| body.get("error")).is_some_and(|error| !is_empty(error));
    parsed.iter_mut().for_each(json::wipe);
    let told = told.map_or(RefusalReason::Other, |error| error.reason);
    granted.map_err(|lack| match known.and_then(|error| error.refusal) {
        _ if matches!(status, 408 | 425 | 429) => refused(Refusal::Busy, told),
        Some(refusal) => refused(refusal, told),
        None if is_granted && says_error => refused(Refusal::Request, told),
        None if is_granted => refused(Refusal::Invalid, lack),
        None => refused(by_status(status), told),
    })
}

/// Parses a JSON text; if that fails, once more with two common faults of servers repaired:
/// truncated surrogate pairs and raw control characters.
pub(super) fn parse(text: &str) -> Option<Value> {
    json::parse_last(text.as_bytes()).ok().or_else(|| {
        let mended = Zeroizing::new(mended(text));
        json::parse_last(mended.as_bytes()).ok()
    })
}

/// The text with each control character in a string, and each lone surrogate, replaced by U+FFFD.
fn mended(text: &str) -> String {
    const UNKNOWN: char = '\u{fffd}';
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut out = String::with_capacity(text.len() + 16);
    let (mut at, mut is_within) = (0, false);
    while let Some(character) = text.get(at..).and_then(|rest| rest.chars().next()) {
        let (length, is_sound) = match (character, unit(at)) {
            ('\\', Some(0xD800..=0xDBFF)) if matches!(unit(at + 6), Some(0xDC00..=0xDFFF)) => (12, true),
            ('\\', Some(0xD800..=0xDFFF)) => (6, false),
            ('\\', _) => {
                let escaped = text.get(at + 1..).and_then(|rest| rest.chars().next());
                (1 + escaped.map_or(0, char::len_utf8), true)
            }
            (control, _) if control < ' ' => (1, !is_within),
            _ => (character.len_utf8(), true),
        };
        is_within ^= character == '"';
        match text.get(at..at + length).filter(|_| is_sound) {
            Some(piece) => out.push_str(piece),
            None => out.push(UNKNOWN),
        }
        at += length;
    }
    out
}

fn granted(response: &Value, types: TokenTypes) -> Result<TokenResponse, RefusalReason> {
    if !response.is_object() {
        return Err(RefusalReason::NotObject);
    }
    let text = |name| response.get(name).and_then(Value::as_str);
    // A token with a replaced character is unusable.
    let whole = |name| text(name).filter(|text| !text.is_empty() && !text.contains('\u{fffd}'));
    let access_token = match response.get("access_token") {
        Some(Value::String(token)) if is_field_value(token) => token,
        None | Some(Value::Null) => return Err(RefusalReason::NoAccessToken),
        Some(token) if token == "" => return Err(RefusalReason::NoAccessToken),
        Some(_) => return Err(RefusalReason::UnusableAccessToken),
    };
    match (types, response.get("token_type")) {
        (TokenTypes::Any, _) | (TokenTypes::Bearer, None | Some(Value::Null)) => {}
        (TokenTypes::Bearer, Some(Value::String(name))) if name.eq_ignore_ascii_case("bearer") => {}
        (TokenTypes::Bearer, Some(_)) => return Err(RefusalReason::UnknownTokenType),
    }
    Ok(TokenResponse {
        access_token: Secret::new(access_token.to_owned()),
        token_type: TokenType::Bearer,
        expires_in: response.get("expires_in").and_then(lifetime),
        refresh_token: whole("refresh_token").map(|token| Secret::new(token.to_owned())),
        id_token: whole("id_token").map(|token| Secret::new(token.to_owned())),
        scope: text("scope").filter(|scope| !scope.contains('\u{fffd}')).map(str::to_owned),
    })
}

/// The life in `expires_in`, capped at [`MAX_LIFETIME`]; `None` where it is not a number. Numeric
/// texts are accepted. Less than a second counts as absent: some servers send 0 or -1 for a token
/// that does not expire.
pub(super) fn lifetime(value: &Value) -> Option<Duration> {
    clamped(number(value)?)
}

/// The number in `value`, which may be a text.
pub(super) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => json::parse(text.trim().as_bytes()).ok()?.as_f64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A life of so many seconds, as [`lifetime`] has it.
pub(super) fn clamped(seconds: f64) -> Option<Duration> {
    if seconds.is_nan() || seconds < 1.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds.floor()).unwrap_or(MAX_LIFETIME).min(MAX_LIFETIME))
}

const fn by_status(status: u16) -> Refusal {
    match status {
        408 | 425 | 429 | 503 => Refusal::Busy,
        401 | 403 => Refusal::Denied,
        404..=406 | 410 | 411 | 413..=415 | 421 | 426 | 431 => Refusal::Address,
        400..=499 => Refusal::Request,
        _ => Refusal::Failed,
    }
}

/// An error code that the broker recognises.
pub(super) struct KnownError {
    code: &'static str,
    /// `None` where servers mean various things by the code: the status decides.
    refusal: Option<Refusal>,
    pub(super) reason: RefusalReason,
}

/// The error codes of RFC 6749 §4.1.2.1 and §5.2, RFC 8707 §2 and RFC 8628 §3.5, and GitHub's.
const KNOWN: [KnownError; 12] = {
    const fn known(code: &'static str, refusal: Refusal, reason: RefusalReason) -> KnownError {
        KnownError { code, refusal: Some(refusal), reason }
    }
    [
        known("invalid_grant", Refusal::Grant, RefusalReason::InvalidGrant),
        known("expired_token", Refusal::Grant, RefusalReason::Other),
        known("bad_refresh_token", Refusal::Grant, RefusalReason::Other),
        known("bad_verification_code", Refusal::Grant, RefusalReason::Other),
        known("invalid_client", Refusal::Client, RefusalReason::InvalidClient),
        known("unauthorized_client", Refusal::Client, RefusalReason::UnauthorizedClient),
        known("incorrect_client_credentials", Refusal::Client, RefusalReason::Other),
        known("invalid_scope", Refusal::Setup, RefusalReason::InvalidScope),
        known("invalid_target", Refusal::Setup, RefusalReason::Other),
        known("unsupported_grant_type", Refusal::Setup, RefusalReason::UnsupportedGrantType),
        known("access_denied", Refusal::Denied, RefusalReason::Other),
        KnownError { code: "invalid_request", refusal: None, reason: RefusalReason::InvalidRequest },
    ]
};

/// What `code` means; with `decides`, only if it means one thing.
fn meaning(code: &str, decides: bool) -> Option<&'static KnownError> {
    KNOWN
        .iter()
        .filter(|known| known.refusal.is_some() || !decides)
        .find(|known| code.eq_ignore_ascii_case(known.code))
}

/// The meaning of the error code in an answer: in the member `error`, in a member within it or used
/// instead of it, in a form, or as a word anywhere in the text.
pub(super) fn error(parsed: Option<&Value>, text: &str, decides: bool) -> Option<&'static KnownError> {
    let told = parsed.and_then(|body| within(body, 0, decides)).or_else(|| {
        let in_form = form::parameters(text.trim(), "error").into_iter().next().filter(|_| parsed.is_none());
        in_form.and_then(|code| meaning(code.trim(), decides))
    });
    told.or_else(|| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        text.split(|c| !is_part(c)).find_map(|word| meaning(word, decides))
    })
}

/// The members in which servers send an error's code.
const CODES: [&str; 7] = ["error", "error_code", "errorCode", "code", "errors", "type", "name"];

fn within(value: &Value, depth: u8, decides: bool) -> Option<&'static KnownError> {
    match value {
        Value::String(text) => meaning(text.trim(), decides),
        Value::Array(items) if depth < DEEPEST => {
            items.iter().find_map(|item| within(item, depth + 1, decides))
        }
        Value::Object(members) if depth < DEEPEST => {
            CODES.iter().find_map(|name| within(members.get(*name)?, depth + 1, decides))
        }
        Value::Array(_) | Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

const DEEPEST: u8 = 4;

/// Whether the value of a member `error` means no error.
fn is_empty(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(true) | Value::Object(_) => false,
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
