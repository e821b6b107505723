//! ID tokens (`OpenID` Connect Core 1.0 §2, §3.1.3.7).

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::algorithm::Algorithm;
use super::audience::{is_for_client, is_subject, sid};
use super::claims::{Claims, TOLERANCE, numeric_date};
use super::{Invalid, text};
use crate::time::UnixTime;

/// Who signed in, as a valid ID token says.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// The issuer: `iss`.
    pub issuer: String,
    /// The subject: `sub`.
    pub subject: String,
    /// The provider's session, if the token names it: `sid`.
    pub sid: Option<String>,
    /// All claims, as [`Claims`] has them.
    pub claims: Map<String, Value>,
}

/// What an ID token must say.
#[derive(Clone, Copy)]
pub struct IdentityExpectation<'e> {
    /// The issuer, compared exactly.
    pub issuer: &'e str,
    /// The client's id.
    pub client_id: &'e str,
    /// The nonce of the authorization request.
    pub nonce: &'e str,
    /// The `max_age` of the authorization request, if it had one: how long ago the person may have
    /// authenticated.
    pub max_age: Option<Duration>,
    /// The access token of the same response, which `at_hash` is compared with.
    pub access_token: Option<&'e str>,
}

impl Identity {
    /// Reads the `claims` of an ID token that was signed by `algorithm`. Call this also before the
    /// signature is verified: the keys of an issuer need not be fetched for a token that is not as
    /// expected.
    ///
    /// # Errors
    /// [`Invalid`]: the first claim that is not as expected.
    pub fn read(
        claims: &Claims,
        algorithm: Algorithm,
        expectation: &IdentityExpectation<'_>,
        now: UnixTime,
    ) -> Result<Self, Invalid> {
        let IdentityExpectation { issuer, client_id, nonce, max_age, access_token } = *expectation;
        is_for_client(claims, issuer, client_id, now)?;
        let member = |name| text(&claims.members, name).map_err(|_| Invalid::Claims);
        if nonce.is_empty() || member("nonce")? != Some(nonce) {
            return Err(Invalid::RequiredClaim);
        }
        if let Some(max_age) = max_age {
            let since = claims.members.get("auth_time").ok_or(Invalid::RequiredClaim)?;
            let since = numeric_date(since).ok_or(Invalid::Claims)?;
            if since > now + TOLERANCE || since + max_age + TOLERANCE < now {
                return Err(Invalid::RequiredClaim);
            }
        }
        if let Some(hash) = member("at_hash")?
            && access_token.is_some_and(|token| hash != half_hash(algorithm, token))
        {
            return Err(Invalid::RequiredClaim);
        }
        let subject = claims.subject.clone().filter(|subject| is_subject(subject)).ok_or(Invalid::Claims)?;
        Ok(Self {
            issuer: claims.issuer.clone(),
            subject,
            sid: sid(claims)?.map(str::to_owned),
            claims: claims.members.clone(),
        })
    }
}

/// The left half of the digest of `token` (`OpenID` Connect Core 1.0 §3.1.3.6), by the hash of the ID
/// token's algorithm: with Ed25519 that is SHA-512 (RFC 8032 §5.1).
fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let digest = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => Sha256::digest(token).to_vec(),
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => Sha384::digest(token).to_vec(),
        Algorithm::RS512 | Algorithm::PS512 | Algorithm::ES512 | Algorithm::EdDSA => {
            Sha512::digest(token).to_vec()
        }
    };
    URL_SAFE_NO_PAD.encode(digest.get(..digest.len() / 2).unwrap_or_default())
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(redacted)")
    }
}

impl fmt::Debug for IdentityExpectation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityExpectation(redacted)")
    }
}
