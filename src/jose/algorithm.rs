//! Signature algorithms.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::json::{FromJson, ToJson};

/// A signature algorithm of asymmetric keys (RFC 7518 §3.1, RFC 8037 §3.1).
///
/// `none` and the `HS` algorithms have no variant, so no token can select them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// ECDSA on P-521 with SHA-512.
    ES512,
    /// Ed25519.
    EdDSA,
}

impl Algorithm {
    /// Every algorithm.
    pub const ALL: [Self; 10] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::ES512,
        Self::EdDSA,
    ];

    /// Reads the exact name of an algorithm in RFC 7518. Ed25519 has two names (RFC 9864 §2.2).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "Ed25519" => Some(Self::EdDSA),
            _ => Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text),
        }
    }

    /// The algorithm's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::ES512 => "ES512",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The type of key that the algorithm uses.
    #[must_use]
    pub const fn key_type(self) -> KeyType {
        match self {
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => KeyType::Rsa,
            Self::ES256 => KeyType::P256,
            Self::ES384 => KeyType::P384,
            Self::ES512 => KeyType::P521,
            Self::EdDSA => KeyType::Ed25519,
        }
    }

    /// The length of the algorithm's signatures: that of an RSA modulus, or twice a coordinate (RFC
    /// 7518 §3.4, RFC 8032 §5.1.6).
    pub(super) const fn signature_bytes(self) -> RangeInclusive<usize> {
        match self.key_type() {
            KeyType::Rsa => 256..=1024,
            KeyType::P256 | KeyType::Ed25519 => 64..=64,
            KeyType::P384 => 96..=96,
            KeyType::P521 => 132..=132,
        }
    }
}

impl ToJson for Algorithm {
    fn write_json(&self, out: &mut String) {
        self.as_str().write_json(out);
    }
}

impl FromJson for Algorithm {
    fn from_json(value: &mut Value) -> Option<Self> {
        value.as_str().and_then(Self::parse)
    }
}

/// A type of public key: `kty`, and `crv` if it has a curve (RFC 7518 §6.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyType {
    /// RSA, with a modulus of 2048 to 8192 bits.
    Rsa,
    /// The curve P-256.
    P256,
    /// The curve P-384.
    P384,
    /// The curve P-521.
    P521,
    /// Ed25519 (RFC 8037 §2).
    Ed25519,
}
