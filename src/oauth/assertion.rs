//! The assertions of token requests: JSON Web Tokens (RFC 7523) in compact form (RFC 7515 §7.1).
//!
//! The claims and the signing input are made here, and signatures with a client's secret. Whoever has
//! a [port](crate::ports::Signer) for it signs with a private key.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::config::{ClientAuthentication, Grant, SigningKey};
use crate::json::{self, Members, ToJson};
use crate::secret::Secret;
use crate::time::UnixTime;

/// The type of a client's assertion (RFC 7523 §2.2).
pub(super) const CLIENT_ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The grant of an assertion (RFC 7523 §2.1).
pub(super) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Seconds that a client's assertion is valid.
const CLIENT_LIFETIME: u64 = 60;

/// The assertions of one token request. Each request has its own: their ids are used once.
#[derive(Default, Debug)]
pub struct Assertions {
    /// The proof of the client, if it authenticates by one.
    pub client: Option<Secret>,
    /// The grant, if it is one.
    pub grant: Option<Secret>,
}

/// An assertion without its signature.
pub struct UnsignedAssertion<'a> {
    input: String,
    signature: SignatureKind<'a>,
}

/// What makes the signature of an assertion.
pub enum SignatureKind<'a> {
    /// This key does, elsewhere.
    Key(&'a SigningKey),
    /// This is the signature.
    Made(Vec<u8>),
}

/// The random bytes of an assertion's `jti`, fresh for each (RFC 7523 §3).
pub type AssertionId = [u8; 16];

impl<'a> UnsignedAssertion<'a> {
    /// The proof of `client` at `now` (RFC 7523 §2.2, OpenID Connect Core 1.0 §9), if it is an assertion.
    #[must_use]
    pub fn of_client(client: &'a ClientAuthentication, now: UnixTime, id: AssertionId) -> Option<Self> {
        let (client_id, audience, proof) = match client {
            ClientAuthentication::PrivateKeyJwt { client_id, key, audience } => (client_id, audience, Ok(&**key)),
            ClientAuthentication::ClientSecretJwt { client_id, client_secret, audience } => {
                (client_id, audience, Err(client_secret))
            }
            ClientAuthentication::None { .. }
            | ClientAuthentication::Post { .. }
            | ClientAuthentication::Basic { .. }
            | ClientAuthentication::Tls { .. } => return None,
        };
        let issued_at = seconds(now);
        let claims = Members(&[
            ("iss", client_id),
            ("sub", client_id),
            ("aud", audience),
            ("iat", &issued_at),
            ("exp", &(issued_at + CLIENT_LIFETIME)),
            ("jti", &jti(id)),
        ]);
        Some(match proof {
            Ok(key) => Self::with_key(key, &claims),
            Err(secret) => Self::with_secret(secret, &claims),
        })
    }

    /// The assertion that `grant` consists of at `now`, if it does.
    #[must_use]
    pub fn of_grant(grant: &'a Grant, now: UnixTime, id: AssertionId) -> Option<Self> {
        let assertion = match grant {
            Grant::JwtBearer { assertion, .. } => assertion,
            Grant::Static { .. }
            | Grant::Basic { .. }
            | Grant::Password { .. }
            | Grant::SignIn { .. }
            | Grant::ClientCredentials { .. }
            | Grant::RefreshToken { .. } => return None,
        };
        let issued_at = seconds(now);
        let mut claims: Map<String, Value> = assertion.claims.clone();
        claims.insert("iat".to_owned(), issued_at.into());
        claims.insert("exp".to_owned(), (issued_at + assertion.lifetime.as_secs()).into());
        if assertion.has_id {
            claims.insert("jti".to_owned(), jti(id).into());
        }
        Some(Self::with_key(&assertion.key, &claims))
    }

    fn with_key(key: &'a SigningKey, claims: &dyn ToJson) -> Self {
        let input = input(key.algorithm.as_str(), key.id.as_deref(), claims);
        Self { input, signature: SignatureKind::Key(key) }
    }

    fn with_secret(secret: &Secret, claims: &dyn ToJson) -> Self {
        let input = input("HS256", None, claims);
        let signature = SignatureKind::Made(hs256(secret.expose().as_bytes(), &input));
        Self { input, signature }
    }

    /// The signing input (RFC 7515 §5.1).
    #[must_use]
    pub fn input(&self) -> &str {
        &self.input
    }

    /// What makes the signature.
    #[must_use]
    pub const fn signature(&self) -> &SignatureKind<'a> {
        &self.signature
    }

    /// The assertion with its `signature`, as RFC 7518 §3 has it.
    #[must_use]
    pub fn signed(&self, signature: &[u8]) -> Secret {
        Secret::new([&self.input, ".", &URL_SAFE_NO_PAD.encode(signature)].concat())
    }
}

impl fmt::Debug for UnsignedAssertion<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnsignedAssertion(redacted)")
    }
}

impl fmt::Debug for SignatureKind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignatureKind(redacted)")
    }
}

fn input(algorithm: &str, key_id: Option<&str>, claims: &dyn ToJson) -> String {
    let header = Members(&[("alg", &algorithm), ("kid", &key_id), ("typ", &"JWT")]).lean_text();
    [&URL_SAFE_NO_PAD.encode(header), ".", &URL_SAFE_NO_PAD.encode(json::text(claims))].concat()
}

/// HMAC with SHA-256 (RFC 7518 §3.2).
fn hs256(key: &[u8], input: &str) -> Vec<u8> {
    // It takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(input.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Whole seconds since 1970 (RFC 7519 §2).
const fn seconds(time: UnixTime) -> u64 {
    time.as_millis() / 1000
}

fn jti(id: AssertionId) -> String {
    URL_SAFE_NO_PAD.encode(id)
}
