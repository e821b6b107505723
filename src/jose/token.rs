//! Tokens as they come.

use std::fmt;

use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::claims::Claims;
use super::{Invalid, decode, text};
use crate::json;

/// The longest token that is read.
pub const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// A member that says which others must be understood: none is (RFC 7515
/// §4.1.11). Members that nobody here understands are ignored (§4), among them
/// those of encryption and nesting: what is no signed set of claims is none
/// whatever its header says.
const CRITICAL: &str = "crit";

/// A member that changes what is signed (RFC 7797 §3).
const UNENCODED: &str = "b64";

/// The types of a token that says who calls (RFC 7519 §5.1, RFC 9068 §2.1).
const TYPES: [&str; 4] = ["JWT", "application/jwt", "at+jwt", "application/at+jwt"];

/// A signed token in its compact form (RFC 7515 §7.1) whose signature was not
/// verified: anybody may have written it.
#[derive(Clone)]
pub struct UnverifiedToken<'t> {
    algorithm: Algorithm,
    kid: Option<String>,
    signing_input: &'t str,
    signature: Vec<u8>,
    claims: Claims,
}

impl<'t> UnverifiedToken<'t> {
    /// Reads a token. Whether its algorithm is allowed is for the caller to say.
    ///
    /// # Errors
    /// What is wrong with its form.
    pub fn parse(token: &'t str) -> Result<Self, Invalid> {
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
        let (algorithm, kid) = read_header(header.as_object().ok_or(Invalid::Header)?)?;
        if !algorithm.signature_bytes().contains(&signature.len()) {
            return Err(Invalid::Signature);
        }
        Ok(Self { algorithm, kid, signing_input, signature, claims: Claims::parse(&claims)? })
    }

    /// The algorithm it claims to be signed with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The name of the key it claims to be signed with, where it tells one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What the signature is made over (RFC 7515 §5.2).
    #[must_use]
    pub const fn signing_input(&self) -> &'t str {
        self.signing_input
    }

    /// The signature, as WebCrypto takes it too.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// What the token claims, to find whose keys to verify it with.
    #[must_use]
    pub const fn unproven_claims(&self) -> &Claims {
        &self.claims
    }

    /// What the token claims, for the one who has verified the signature with
    /// one of the issuer's [candidates](super::KeySet::candidates).
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

fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), Invalid> {
    // Some issuers write what they do not use as null.
    let is_there = |name: &&str| header.get(*name).is_some_and(|value| !value.is_null());
    let member = |name| match header.get(name) {
        Some(Value::Null) => Ok(None),
        _ => text(header, name).map_err(|_| Invalid::Header),
    };
    if header.contains_key(CRITICAL) || is_there(&UNENCODED) {
        return Err(Invalid::Header);
    }
    if member("typ")?.is_some_and(|found| !TYPES.iter().any(|known| known.eq_ignore_ascii_case(found))) {
        return Err(Invalid::Header);
    }
    let algorithm = member("alg")?.ok_or(Invalid::Header)?;
    let algorithm = Algorithm::parse(algorithm).ok_or(Invalid::Algorithm)?;
    Ok((algorithm, member("kid")?.map(str::to_owned)))
}
