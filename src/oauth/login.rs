//! Logins at token endpoints that are not OAuth.

use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use zeroize::Zeroizing;

use super::refusal::{Refusal, RefusalReason, RefusedAnswer, TokenRefusal};
use super::response::{MAX_RESPONSE_BYTES, TokenResponse, clamped, error, lifetime, number, parse};
use crate::config::{Login, TokenPlace};
use crate::http::{Headers, is_field_value};
use crate::json;
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::token::TokenType;

/// The answer to a login.
#[allow(missing_debug_implementations, reason = "fields and body may hold tokens")]
pub struct LoginAnswer<'a> {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: Headers<'a>,
    /// The body.
    pub body: &'a [u8],
}

/// Reads the answer to `login`, which was sent at `sent_at`.
///
/// Redirects are invalid, as in OAuth. A 4xx other than 408, 425 and 429 refuses the credentials.
///
/// # Errors
/// [`TokenRefusal`]: why nothing was granted.
pub fn read_login(
    login: &Login,
    answer: &LoginAnswer<'_>,
    sent_at: UnixTime,
) -> Result<TokenResponse, TokenRefusal> {
    let LoginAnswer { status, headers, body } = answer;
    let is_whole = body.len() <= MAX_RESPONSE_BYTES;
    let text = Zeroizing::new(String::from_utf8_lossy(if is_whole { body } else { &[] }).into_owned());
    // RFC 8259 §8.1 permits to ignore a byte order mark.
    let text = text.trim_start_matches('\u{feff}');
    let mut parsed = parse(text);
    let told = || error(parsed.as_ref(), text, false).map_or(RefusalReason::Other, |error| error.reason);
    let is_rejected = login.rejected.iter().any(|sign| sign.is_in(*status, headers, parsed.as_ref()));
    let read = match status {
        _ if is_rejected => Err((Refusal::Denied, told())),
        200..=299 => granted(login, headers, parsed.as_ref(), sent_at).map_err(|lack| {
            let reason = if is_whole { lack } else { RefusalReason::TooLarge };
            (Refusal::Invalid, reason)
        }),
        300..=399 => Err((Refusal::Invalid, RefusalReason::Redirect)),
        408 | 425 | 429 | 503 => Err((Refusal::Busy, told())),
        400..=499 => Err((Refusal::Denied, told())),
        500.. => Err((Refusal::Failed, told())),
        _ => Err((Refusal::Invalid, RefusalReason::NoFinalStatus)),
    };
    parsed.iter_mut().for_each(json::wipe);
    read.map_err(|(refusal, reason)| TokenRefusal {
        refusal,
        answer: RefusedAnswer { status: *status, reason },
    })
}

fn granted(
    login: &Login,
    headers: &Headers<'_>,
    body: Option<&Value>,
    sent_at: UnixTime,
) -> Result<TokenResponse, RefusalReason> {
    let token = match &login.token {
        TokenPlace::Header(name) => headers.value(name.as_str()).unwrap_or_default(),
        TokenPlace::Json(pointer) => match body.ok_or(RefusalReason::NotJson)?.pointer(pointer) {
            None | Some(Value::Null) => "",
            Some(token) => token.as_str().ok_or(RefusalReason::UnusableAccessToken)?,
        },
    };
    if token.is_empty() {
        return Err(RefusalReason::NoAccessToken);
    }
    if !is_field_value(token) {
        return Err(RefusalReason::UnusableAccessToken);
    }
    let find = |pointer: &Option<String>| body?.pointer(pointer.as_deref()?);
    let until_then = |value: &Value| life_until(value, sent_at);
    Ok(TokenResponse {
        access_token: Secret::new(token.to_owned()),
        token_type: TokenType::Bearer,
        expires_in: find(&login.expires_in)
            .and_then(lifetime)
            .or_else(|| find(&login.expires_at).and_then(until_then)),
        refresh_token: None,
        id_token: None,
        scope: None,
    })
}

/// The life from `sent_at` until the time in `value`, clamped as `expires_in` is: a time in RFC 3339,
/// or in Unix seconds or milliseconds, as a number or a text. `None` where it is none of these.
fn life_until(value: &Value, sent_at: UnixTime) -> Option<Duration> {
    /// In seconds the year 5138, in milliseconds 1973.
    const LEAST_MILLIS: f64 = 1e11;
    let until = match number(value) {
        Some(millis) if millis > LEAST_MILLIS => millis / 1000.0,
        Some(seconds) => seconds,
        None => rfc3339(value.as_str()?)?,
    };
    clamped(until - Duration::from_millis(sent_at.as_millis()).as_secs_f64())
}

/// A time in RFC 3339 (§5.6), in Unix seconds. A time without an offset is none: its zone is unknown.
fn rfc3339(text: &str) -> Option<f64> {
    let text = text.trim().to_ascii_uppercase();
    let (local, ahead) = if let Some(utc) = text.strip_suffix('Z') {
        (utc, 0.0)
    } else {
        let (local, offset) = text.split_at_checked(text.len().checked_sub("+00:00".len())?)?;
        let (hours, minutes) = offset.get(1..)?.split_once(':')?;
        let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
        let span = f64::from(hours) * 3600.0 + f64::from(minutes) * 60.0;
        match offset.as_bytes() {
            [b'+', ..] => (local, span),
            [b'-', ..] => (local, -span),
            _ => return None,
        }
    };
    // The parser takes a time without an offset for one in UTC.
    let time = humantime::parse_rfc3339_weak(local).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64() - ahead)
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
