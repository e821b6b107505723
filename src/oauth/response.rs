//! Token responses and error responses (RFC 6749 §5).

use std::time::Duration;

use serde_json::Value;
use zeroize::{Zeroize as _, Zeroizing};

use crate::config::MAX_LIFETIME;
use crate::form;
use crate::http::is_field_value;
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
    /// The granted scope; `None` where it is as requested.
    pub scope: Option<String>,
}

/// Why a token endpoint granted nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// The grant is invalid: `invalid_grant`.
    Grant,
    /// The client is refused: `invalid_client`, `unauthorized_client`.
    Client,
    /// The request is not permitted to this client: `invalid_scope`, `invalid_target`,
    /// `unsupported_grant_type`.
    Setup,
    /// Access is denied to client or account: `access_denied`, or 401 or 403 without a known error
    /// code.
    Denied,
    /// The request is refused with an unknown or no error code: another 4xx.
    Request,
    /// The address is no token endpoint, or does not accept such requests: 404, 405, 415 and the
    /// like without a known error code.
    Address,
    /// The token endpoint did not process the request: 408, 425, 429 or 503. The request had no
    /// effect.
    Busy,
    /// The token endpoint failed: another 5xx. The request may have had an effect.
    Failed,
    /// The answer is neither a token response nor an error response.
    Invalid,
}

/// Reads the answer of a token endpoint.
///
/// Redirects are invalid: a token endpoint does not move. Unknown members are ignored, even with
/// invalid bytes; an error's text is discarded. A known error code is recognised in any notation
/// and with any status except 408, 425 and 429.
///
/// # Errors
/// [`Refusal`]: why nothing was granted.
pub fn read(status: u16, body: &[u8], types: TokenTypes) -> Result<TokenResponse, Refusal> {
    match status {
        408 | 425 | 429 => return Err(Refusal::Busy),
        200..=299 | 400.. => {}
        _ => return Err(Refusal::Invalid),
    }
    let is_granted = (200..300).contains(&status);
    if body.len() > MAX_RESPONSE_BYTES {
        return Err(if is_granted { Refusal::Invalid } else { by_status(status) });
    }
    let text = Zeroizing::new(String::from_utf8_lossy(body).into_owned());
    // Some servers send a byte order mark, which RFC 8259 §8.1 permits to ignore.
    let text = text.trim_start_matches('\u{feff}');
    let mut parsed = parse(text);
    let granted = parsed.as_ref().filter(|_| is_granted).map(|response| granted(response, types));
    let refused = match &granted {
        Some(Ok(_)) => None,
        _ => error(parsed.as_ref(), text),
    };
    // Some servers answer 200 even to errors.
    let says_error = parsed.as_ref().and_then(|body| body.get("error")).is_some_and(|error| !is_empty(error));
    parsed.iter_mut().for_each(wipe);
    match (granted, refused) {
        (Some(Ok(response)), _) => Ok(response),
        (_, Some(refusal)) => Err(refusal),
        _ if is_granted && says_error => Err(Refusal::Request),
        _ if is_granted => Err(Refusal::Invalid),
        _ => Err(by_status(status)),
    }
}

/// Parses a JSON text; if that fails, once more with two common faults of servers repaired:
/// truncated surrogate pairs and raw control characters.
fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().or_else(|| {
        let mended = Zeroizing::new(mended(text));
        serde_json::from_str(&mended).ok()
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

fn granted(response: &Value, types: TokenTypes) -> Result<TokenResponse, Refusal> {
    let text = |name| response.get(name).and_then(Value::as_str);
    // A token with a replaced character is unusable.
    let whole = |name| text(name).filter(|text| !text.is_empty() && !text.contains('\u{fffd}'));
    let access_token = text("access_token").filter(|token| is_field_value(token)).ok_or(Refusal::Invalid)?;
    match (types, response.get("token_type")) {
        (TokenTypes::Any, _) | (TokenTypes::Bearer, None | Some(Value::Null)) => {}
        (TokenTypes::Bearer, Some(Value::String(name))) if name.eq_ignore_ascii_case("bearer") => {}
        (TokenTypes::Bearer, Some(_)) => return Err(Refusal::Invalid),
    }
    Ok(TokenResponse {
        access_token: Secret::new(access_token.to_owned()),
        token_type: TokenType::Bearer,
        expires_in: response.get("expires_in").and_then(lifetime),
        refresh_token: whole("refresh_token").map(|token| Secret::new(token.to_owned())),
        scope: text("scope").filter(|scope| !scope.contains('\u{fffd}')).map(str::to_owned),
    })
}

/// The life in `expires_in`, capped at [`MAX_LIFETIME`]; `None` where it is not a number. Numeric
/// texts are accepted. Less than a second counts as absent: some servers send 0 or -1 for a token
/// that does not expire.
fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse::<f64>().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    if seconds.is_nan() || seconds < 1.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(seconds.floor()).unwrap_or(MAX_LIFETIME).min(MAX_LIFETIME))
}

const fn by_status(status: u16) -> Refusal {
    match status {
        401 | 403 => Refusal::Denied,
        404..=406 | 410 | 411 | 413..=415 | 421 | 426 | 431 => Refusal::Address,
        400..=499 => Refusal::Request,
        503 => Refusal::Busy,
        _ => Refusal::Failed,
    }
}

/// The refusal of an error code: those of RFC 6749 §4.1.2.1 and §5.2, RFC 8707 §2 and RFC 8628
/// §3.5, and GitHub's.
fn meaning(code: &str) -> Option<Refusal> {
    const KNOWN: &[(&str, Refusal)] = &[
        ("invalid_grant", Refusal::Grant),
        ("expired_token", Refusal::Grant),
        ("bad_refresh_token", Refusal::Grant),
        ("bad_verification_code", Refusal::Grant),
        ("invalid_client", Refusal::Client),
        ("unauthorized_client", Refusal::Client),
        ("incorrect_client_credentials", Refusal::Client),
        ("invalid_scope", Refusal::Setup),
        ("invalid_target", Refusal::Setup),
        ("unsupported_grant_type", Refusal::Setup),
        ("access_denied", Refusal::Denied),
    ];
    KNOWN.iter().find(|(known, _)| code.eq_ignore_ascii_case(known)).map(|(_, refusal)| *refusal)
}

/// The refusal of an error code in an answer: in the member `error`, in a member within it or used
/// instead of it, in a form, or as a word anywhere in the text.
fn error(parsed: Option<&Value>, text: &str) -> Option<Refusal> {
    let told = parsed.and_then(|body| within(body, 0)).or_else(|| {
        let in_form = form::parameter(text.trim(), "error").filter(|_| parsed.is_none());
        in_form.and_then(|code| meaning(code.trim()))
    });
    told.or_else(|| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        text.split(|c| !is_part(c)).find_map(meaning)
    })
}

/// The members in which servers send an error's code.
const CODES: [&str; 7] = ["error", "error_code", "errorCode", "code", "errors", "type", "name"];

fn within(value: &Value, depth: u8) -> Option<Refusal> {
    match value {
        Value::String(text) => meaning(text.trim()),
        Value::Array(items) if depth < DEEPEST => items.iter().find_map(|item| within(item, depth + 1)),
        Value::Object(members) if depth < DEEPEST => {
            CODES.iter().find_map(|name| within(members.get(*name)?, depth + 1))
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

/// Overwrites the texts of a parsed response, so that no token remains in freed memory.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
