//! Unverified tokens.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::claims::Claims;
use super::{Invalid, decode, text};
use crate::json;

/// The largest token that is read, in bytes.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The member that lists critical extensions; the broker supports none (RFC 7515 §4.1.11). Other
/// unknown members are ignored (§4), including those of encryption and nesting: the claims are
/// checked regardless of the header.
const CRITICAL: &str = "crit";

/// The member that changes the signing input (RFC 7797 §3).
const UNENCODED: &str = "b64";

/// The accepted types of a caller's token (RFC 7519 §5.1, RFC 9068 §2.1).
const TYPES: [&str; 4] = ["JWT", "application/jwt", "at+jwt", "application/at+jwt"];

/// The accepted types of an ID token: that of an access token is none (RFC 9068 §4).
const IDENTITY_TYPES: [&str; 2] = ["JWT", "application/jwt"];

/// The accepted types of a logout token (`OpenID` Connect Back-Channel Logout 1.0 §2.4).
const LOGOUT_TYPES: [&str; 4] = ["JWT", "application/jwt", "logout+jwt", "application/logout+jwt"];

/// How long a logout token without `exp` is valid from its `iat`, as its issuer should have written
/// (`OpenID` Connect Back-Channel Logout 1.0 §2.4).
const LOGOUT_LIFE: Duration = Duration::from_mins(2);

/// A signed token in compact form (RFC 7515 §7.1) whose signature is not verified: it may be
/// forged.
#[derive(Clone)]
pub struct UnverifiedToken<'t> {
    algorithm: Algorithm,
    kid: Option<String>,
    signing_input: &'t str,
    signature: Vec<u8>,
    claims: Claims,
}

impl<'t> UnverifiedToken<'t> {
    /// Reads a caller's token. It does not check whether the algorithm is allowed.
    ///
    /// # Errors
    /// [`Invalid`]: the fault of its form.
    pub fn parse(token: &'t str) -> Result<Self, Invalid> {
        Self::parse_as(token, &TYPES, None)
    }

    /// Reads an ID token (`OpenID` Connect Core 1.0 §2), otherwise as [`UnverifiedToken::parse`].
    ///
    /// # Errors
    /// [`Invalid`]: the fault of its form.
    pub fn parse_identity(token: &'t str) -> Result<Self, Invalid> {
        Self::parse_as(token, &IDENTITY_TYPES, None)
    }

    /// Reads a logout token (`OpenID` Connect Back-Channel Logout 1.0 §2.4), otherwise as
    /// [`UnverifiedToken::parse`]. One without `exp` expires two minutes after its `iat`.
    ///
    /// # Errors
    /// [`Invalid`]: the fault of its form.
    pub fn parse_logout(token: &'t str) -> Result<Self, Invalid> {
        Self::parse_as(token, &LOGOUT_TYPES, Some(LOGOUT_LIFE))
    }

    fn parse_as(token: &'t str, types: &[&str], life: Option<Duration>) -> Result<Self, Invalid> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Invalid::Format);
        }
        let (signing_input, signature) = token.rsplit_once('.').ok_or(Invalid::Format)?;
        let (header, claims) = signing_input.split_once('.').ok_or(Invalid::Format)?;
        let [header, claims, signature] = [header, claims, signature].map(decode);
        let header = json::parse(&header.ok_or(Invalid::Format)?);
        let claims = claims.ok_or(Invalid::Format)?;
        let signature = signature.ok_or(Invalid::Format)?;

        let header = header.map_err(|_| Invalid::Header)?;
        let (algorithm, kid) = read_header(header.as_object().ok_or(Invalid::Header)?, types)?;
        if !algorithm.signature_bytes().contains(&signature.len()) {
            return Err(Invalid::Signature);
        }
        Ok(Self { algorithm, kid, signing_input, signature, claims: Claims::parse_within(&claims, life)? })
    }

    /// The algorithm in the header.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key id in the header, if any.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The signing input (RFC 7515 §5.2).
    #[must_use]
    pub const fn signing_input(&self) -> &'t str {
        self.signing_input
    }

    /// The signature, in the format of WebCrypto.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The unverified claims, which select the issuer's keys.
    #[must_use]
    pub const fn unproven_claims(&self) -> &Claims {
        &self.claims
    }

    /// The claims. Call this only after the signature was verified with one of the issuer's
    /// [candidate keys](super::KeySet::candidates).
    #[must_use]
    pub fn into_proven_claims(self) -> Claims {
        self.claims
    }
}

impl fmt::Debug for UnverifiedToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnverifiedToken(redacted)")
    }
}

fn read_header(header: &Map<String, Value>, types: &[&str]) -> Result<(Algorithm, Option<String>), Invalid> {
    // Some issuers write unused members as null.
    let is_there = |name: &&str| header.get(*name).is_some_and(|value| !value.is_null());
    let member = |name| match header.get(name) {
        Some(Value::Null) => Ok(None),
        _ => text(header, name).map_err(|_| Invalid::Header),
    };
    if header.contains_key(CRITICAL) || is_there(&UNENCODED) {
        return Err(Invalid::Header);
    }
    if member("typ")?.is_some_and(|found| !types.iter().any(|known| known.eq_ignore_ascii_case(found))) {
        return Err(Invalid::Header);
    }
    let algorithm = member("alg")?.ok_or(Invalid::Header)?;
    let algorithm = Algorithm::parse(algorithm).ok_or(Invalid::Algorithm)?;
    Ok((algorithm, member("kid")?.map(str::to_owned)))
}
