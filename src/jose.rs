//! JSON Web Tokens that callers send (RFC 7515, RFC 7517, RFC 7519, with the
//! advice of RFC 8725), ID tokens and logout tokens.
//!
//! The cryptography is the platform's. An [`UnverifiedToken`] is parsed, its issuer's [`KeySet`]
//! offers the [candidate keys](KeySet::candidates), the platform verifies the signature with one of
//! them, and only then are the [`Claims`] trusted. Keys in the token itself or referenced by it
//! (`jwk`, `jku`, `x5c`, `x5u`) are ignored.

mod algorithm;
mod audience;
mod claims;
mod identity;
mod key_set;
mod logout;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
mod token;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

pub use algorithm::{Algorithm, KeyType};
pub use claims::{Claims, Expectation, OwnClaimSet, TOLERANCE};
pub use identity::{Identity, IdentityExpectation};
pub use key_set::{KeySet, MAX_CANDIDATES, MAX_KEYS, VerifyingKey};
pub use logout::LogoutToken;
pub use token::{MAX_TOKEN_BYTES, UnverifiedToken};

/// Why a token is invalid. The reason holds no part of the token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalid {
    /// The token is not three parts of base64url, or too long.
    Format,
    /// The header is not that of a signed token, or requires an extension.
    Header,
    /// The algorithm is unknown or not allowed.
    Algorithm,
    /// No key of the issuer matches the token.
    UnknownKey,
    /// The signature is wrong.
    Signature,
    /// The claims are no object, lack a required claim, or have one of a wrong type.
    Claims,
    /// The token is of another issuer.
    Issuer,
    /// The token is for another audience.
    Audience,
    /// The token has expired.
    Expired,
    /// The token is not valid yet.
    NotYetValid,
    /// The token was issued in the future.
    IssuedInFuture,
    /// A required claim is missing or has another value.
    RequiredClaim,
}

impl Invalid {
    /// The reason in log lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Header => "header",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Claims => "claims",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::IssuedInFuture => "issued_in_future",
            Self::RequiredClaim => "required_claim",
        }
    }
}

/// A member is not a text.
struct NoText;

/// The text of a member, if present.
fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, NoText> {
    members.get(name).map(|value| value.as_str().ok_or(NoText)).transpose()
}

/// Decodes base64url strictly: no padding, no other alphabet, no trailing bits (RFC 7515 §2).
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
