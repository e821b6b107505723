//! The claims of a token, and the expected ones.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::{Invalid, text};
use crate::json;
use crate::time::UnixTime;

/// The tolerated clock skew of issuers, in both directions (RFC 7519 §4.1.4).
pub const TOLERANCE: Duration = Duration::from_mins(1);

/// The first second after the latest valid date: 10000-01-01T00:00:00Z.
const END_OF_TIME: f64 = 253_402_300_800.0;

/// The claims of a token (RFC 7519 §4).
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// The issuer: `iss`.
    pub issuer: String,
    /// The subject, if present: `sub`.
    pub subject: Option<String>,
    /// The audiences: `aud`.
    pub audience: Vec<String>,
    /// The time of expiry: `exp`.
    pub expires_at: UnixTime,
    /// The start of validity, if present: `nbf`.
    pub not_before: Option<UnixTime>,
    /// The time of issue, if present: `iat`.
    pub issued_at: Option<UnixTime>,
    /// All claims, including those above. Null stands for one with a number that is not kept as the
    /// token writes it: no value equals it.
    pub members: Map<String, Value>,
    /// The length of the JSON text, in bytes.
    length: usize,
}

/// The expected claims of a token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expectation {
    /// The issuer, compared exactly.
    pub issuer: String,
    /// The accepted audiences.
    pub audience: Vec<String>,
    /// Further claims by name, each with its accepted values.
    pub claims: Vec<(String, Vec<Value>)>,
}

impl Claims {
    /// Reads claims: `iss`, `aud` and `exp` are required, and every registered claim must have its
    /// type.
    ///
    /// # Errors
    /// [`Invalid::Claims`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        Self::parse_within(bytes, None)
    }

    /// The same; without `exp`, and with a `life`, they expire that long after `iat`.
    pub(super) fn parse_within(bytes: &[u8], life: Option<Duration>) -> Result<Self, Invalid> {
        let Ok(Value::Object(members)) = json::parse(bytes) else { return Err(Invalid::Claims) };
        let mut claims = Self::read(members, life).ok_or(Invalid::Claims)?;
        claims.length = bytes.len();
        let text = std::str::from_utf8(bytes).map_err(|_| Invalid::Claims)?;
        if !json::has_exact_numbers(text) {
            let written = json::members(text).map_err(|_| Invalid::Claims)?;
            for member in written.iter().filter(|member| !json::has_exact_numbers(member.value)) {
                claims.members.insert(member.name.clone().into_owned(), Value::Null);
            }
        }
        Ok(claims)
    }

    fn read(members: Map<String, Value>, life: Option<Duration>) -> Option<Self> {
        let name = |claim| text(&members, claim).ok();
        let date = |claim| members.get(claim).map(|value| numeric_date(value).ok_or(())).transpose().ok();
        name("jti")?;
        let issued_at = date("iat")?;
        Some(Self {
            issuer: name("iss")??.to_owned(),
            subject: name("sub")?.map(str::to_owned),
            audience: audience(members.get("aud")?)?,
            expires_at: date("exp")?.or_else(|| Some(issued_at? + life?))?,
            not_before: date("nbf")?,
            issued_at,
            members,
            length: 0,
        })
    }

    /// Checks the claims at `now`.
    ///
    /// # Errors
    /// [`Invalid`]: the first claim that is not as expected.
    pub fn meets(&self, expectation: &Expectation, now: UnixTime) -> Result<(), Invalid> {
        let claims = &expectation.claims;
        let checks = [
            (self.issuer == expectation.issuer, Invalid::Issuer),
            (self.audience.iter().any(|name| expectation.audience.contains(name)), Invalid::Audience),
            (self.expires_at + TOLERANCE > now, Invalid::Expired),
            (self.not_before.is_none_or(|start| start <= now + TOLERANCE), Invalid::NotYetValid),
            (self.issued_at.is_none_or(|issued| issued <= now + TOLERANCE), Invalid::IssuedInFuture),
            (claims.iter().all(|(name, values)| has(&self.members, name, values)), Invalid::RequiredClaim),
        ];
        checks.into_iter().find(|(met, _)| !met).map_or(Ok(()), |(_, reason)| Err(reason))
    }

    /// The claims as rules compare them.
    #[must_use]
    pub fn into_own(self) -> OwnClaimSet {
        OwnClaimSet { members: self.members, length: self.length }
    }
}

/// The claims of an authenticated caller, for rules.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct OwnClaimSet {
    members: Map<String, Value>,
    length: usize,
}

impl OwnClaimSet {
    /// Whether a claim equals one of `values`, or as an array contains one.
    #[must_use]
    pub fn has(&self, name: &str, values: &[Value]) -> bool {
        has(&self.members, name, values)
    }

    /// A claim that can fill a template: a text that is not empty and has no control character, a
    /// number that is kept as the token writes it, or a boolean.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| match value {
            Value::String(text) => !text.is_empty() && !text.contains(char::is_control),
            Value::Number(_) | Value::Bool(_) => true,
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        })
    }

    /// The same as a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let value = self.value(name)?;
        Some(value.as_str().map_or_else(|| json::text(value), str::to_owned))
    }

    /// The length of the JSON text that the claims were read from, in bytes.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }
}

impl fmt::Debug for OwnClaimSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnClaimSet(redacted)")
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Claims(redacted)")
    }
}

/// Whether a claim equals one of `values`, or as an array contains one.
fn has(members: &Map<String, Value>, name: &str, values: &[Value]) -> bool {
    let Some(claim) = members.get(name) else { return false };
    values.iter().any(|value| match (claim, value) {
        (Value::Array(items), _) => items.contains(value),
        (Value::String(granted), Value::String(needed)) if name == "scope" => covers(granted, needed),
        _ => claim == value,
    })
}

/// Whether a scope contains every token of another, non-empty one (RFC 8693 §4.2).
fn covers(granted: &str, needed: &str) -> bool {
    let names = |scope| str::split(scope, ' ').filter(|name| !name.is_empty());
    names(needed).next().is_some() && names(needed).all(|name| names(granted).any(|held| held == name))
}

fn audience(claim: &Value) -> Option<Vec<String>> {
    match claim {
        Value::String(name) => Some(vec![name.clone()]),
        Value::Array(names) => names.iter().map(|name| name.as_str().map(str::to_owned)).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// Seconds since the epoch, possibly fractional (RFC 7519 §2), rounded to the millisecond, up to
/// the year 9999.
pub(super) fn numeric_date(claim: &Value) -> Option<UnixTime> {
    let seconds = claim.as_f64().filter(|seconds| *seconds < END_OF_TIME)?;
    let half = Duration::from_micros(500);
    Some(UnixTime::from_millis(0) + (Duration::try_from_secs_f64(seconds).ok()? + half))
}
