//! JSON Web Tokens that callers send (RFC 7515, RFC 7517, RFC 7519, with the
//! advice of RFC 8725).
//!
//! There is no cryptography here. An [`UnverifiedToken`] is read, its issuer's
//! [`KeySet`] offers the [keys](KeySet::candidates) that may have signed it,
//! the platform verifies the signature with one of them, and only then do the
//! [`Claims`] say anything. Keys that a token itself brings or points to
//! (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.

mod algorithm;
mod claims;
mod key_set;
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
mod token;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

pub use algorithm::{Algorithm, KeyType};
pub use claims::{Claims, Expectation, TOLERANCE};
pub use key_set::{Key, KeySet, MAX_CANDIDATES, MAX_KEYS};
pub use token::{MAX_TOKEN_BYTES, UnverifiedToken};

/// Why a token proves nobody. Nothing of the token is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Invalid {
    /// It is not three parts of base64url, or too long.
    Format,
    /// Its header is not one of a signed token, or asks for an extension.
    Header,
    /// Its algorithm is unknown or not allowed.
    Algorithm,
    /// No key of the issuer fits it.
    UnknownKey,
    /// Its signature is wrong.
    Signature,
    /// Its claims are no object, lack a needed one, or have one of a wrong type.
    Claims,
    /// It is of another issuer.
    Issuer,
    /// It is for somebody else.
    Audience,
    /// It has expired.
    Expired,
    /// It is not valid yet.
    NotYetValid,
    /// It was issued in the future.
    IssuedInFuture,
    /// A claim is not as it has to be.
    RequiredClaim,
}

impl Invalid {
    /// The reason as the log writes it.
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

/// A member is there, but is no text.
struct NoText;

/// The text that a member is, where it is there.
fn text<'m>(members: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, NoText> {
    members.get(name).map(|value| value.as_str().ok_or(NoText)).transpose()
}

/// The bytes that a base64url text stands for: no padding, no other alphabet,
/// no bits left over (RFC 7515 §2).
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
