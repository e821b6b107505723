//! Key sets of issuers.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::algorithm::{Algorithm, KeyType};
use super::token::UnverifiedToken;
use super::{decode, text};
use crate::json;

/// The largest number of keys read from a set.
pub const MAX_KEYS: usize = 100;

/// The largest number of keys tried for a token.
pub const MAX_CANDIDATES: usize = 4;

/// The public keys of an issuer (RFC 7517 §5).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeySet(pub(super) Vec<VerifyingKey>);

/// A public key that verifies signatures (RFC 7517 §4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyingKey {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    kind: KeyType,
    /// The public members of the key, re-encoded.
    material: Vec<(&'static str, String)>,
}

impl KeySet {
    /// Reads a JWK set. Unusable keys are skipped (RFC 7517 §5); `None` where the text is no set.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let set = json::parse(json::without_mark(bytes)).ok()?;
        let keys = set.get("keys")?.as_array()?;
        Some(Self(keys.iter().take(MAX_KEYS).filter_map(VerifyingKey::read).collect()))
    }

    /// The set as a JWK set of the usable keys and their used members. [`KeySet::parse`] reads it
    /// back to an equal set.
    #[must_use]
    pub fn to_text(&self) -> String {
        let keys: Vec<Value> = self.0.iter().map(VerifyingKey::to_value).collect();
        json::text(&json::Members(&[("keys", &keys)]))
    }

    /// The keys that may have signed `token`: those with its `kid` if it has one, of the type that
    /// its algorithm uses, and not reserved for another algorithm.
    pub fn candidates(&self, token: &UnverifiedToken<'_>) -> impl Iterator<Item = &VerifyingKey> {
        self.0.iter().filter(|key| key.fits(token)).take(MAX_CANDIDATES)
    }

    /// Whether the set has a key with this `kid`.
    #[must_use]
    pub fn has_kid(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid() == Some(kid))
    }

    /// The number of usable keys.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set has no usable key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl VerifyingKey {
    /// The key's id within the set, if it has one.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithm that the key is reserved for, if any.
    #[must_use]
    pub const fn algorithm(&self) -> Option<Algorithm> {
        self.algorithm
    }

    /// The key's type.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.kind
    }

    /// The key as a JWK of its public members only: `kty` with `n` and `e`, or with `crv`, `x` and,
    /// on a P curve, `y`.
    #[must_use]
    pub fn jwk(&self) -> String {
        json::text(&self.members().collect::<Map<_, _>>())
    }

    fn members(&self) -> impl Iterator<Item = (String, Value)> {
        self.material.iter().map(|(name, value)| ((*name).to_owned(), Value::String(value.clone())))
    }

    fn to_value(&self) -> Value {
        let kid = self.kid().map(|kid| ("kid".to_owned(), Value::from(kid)));
        let algorithm = self.algorithm.map(|algorithm| ("alg".to_owned(), Value::from(algorithm.as_str())));
        Value::Object(self.members().chain(kid).chain(algorithm).collect())
    }

    fn fits(&self, token: &UnverifiedToken<'_>) -> bool {
        token.kid().is_none_or(|kid| self.kid() == Some(kid))
            && self.algorithm.is_none_or(|algorithm| algorithm == token.algorithm())
            && self.kind == token.algorithm().key_type()
    }

    /// Reads a JWK; `None` where its type is unknown, it does not verify signatures, or it is
    /// malformed.
    fn read(jwk: &Value) -> Option<Self> {
        let jwk = jwk.as_object()?;
        // Some servers write absent members as null or empty.
        let jwk: Map<String, Value> = jwk
            .iter()
            .filter(|(_, value)| !value.is_null() && !value.as_array().is_some_and(Vec::is_empty))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let jwk = &jwk;
        let signs = jwk.get("use").is_none_or(|purpose| purpose == "sig");
        if !signs || !jwk.get("key_ops").is_none_or(lets_verify) {
            return None;
        }
        let (kind, material) = read_material(jwk)?;
        let algorithm = match text(jwk, "alg").ok()? {
            None => None,
            Some(name) => Some(Algorithm::parse(name).filter(|known| known.key_type() == kind)?),
        };
        Some(Self { kid: text(jwk, "kid").ok()?.map(str::to_owned), algorithm, kind, material })
    }
}

fn lets_verify(operations: &Value) -> bool {
    operations.as_array().is_some_and(|operations| {
        operations.iter().all(Value::is_string) && operations.iter().any(|operation| operation == "verify")
    })
}

/// Reads the public members of a key (RFC 7518 §6, RFC 8037 §2).
fn read_material(jwk: &Map<String, Value>) -> Option<(KeyType, Vec<(&'static str, String)>)> {
    let member = |name| jwk.get(name).and_then(Value::as_str);
    let bytes = |name| decode(member(name)?);
    let coordinate = |name, length| bytes(name).filter(|bytes| bytes.len() == length).map(encode);
    match (member("kty")?, member("crv")) {
        ("RSA", _) => {
            let modulus = bytes("n").map(without_zeros).filter(|bytes| is_modulus(bytes))?;
            let exponent = bytes("e").map(without_zeros).filter(|bytes| is_exponent(bytes))?;
            let kty = ("kty", "RSA".to_owned());
            Some((KeyType::Rsa, vec![kty, ("n", encode(modulus)), ("e", encode(exponent))]))
        }
        ("EC", Some(curve)) => {
            let (kind, length) = match curve {
                "P-256" => (KeyType::P256, 32),
                "P-384" => (KeyType::P384, 48),
                "P-521" => (KeyType::P521, 66),
                _ => return None,
            };
            let (x, y) = (coordinate("x", length)?, coordinate("y", length)?);
            Some((kind, vec![("kty", "EC".to_owned()), ("crv", curve.to_owned()), ("x", x), ("y", y)]))
        }
        ("OKP", Some("Ed25519")) => {
            let (kty, crv) = (("kty", "OKP".to_owned()), ("crv", "Ed25519".to_owned()));
            Some((KeyType::Ed25519, vec![kty, crv, ("x", coordinate("x", 32)?)]))
        }
        _ => None,
    }
}

/// Whether an RSA modulus has 2048 to 8192 bits (RFC 7518 §3.3).
fn is_modulus(bytes: &[u8]) -> bool {
    match bytes.len() {
        256 => bytes.first().is_some_and(|first| *first >= 0x80),
        length => (257..=1024).contains(&length),
    }
}

/// Whether an RSA exponent is odd, more than one and of at most 32 bits.
fn is_exponent(bytes: &[u8]) -> bool {
    bytes.len() <= 4 && bytes != [1] && bytes.last().is_some_and(|last| last % 2 == 1)
}

/// Strips leading zeros, which some issuers write although RFC 7518 §2 forbids them.
fn without_zeros(mut bytes: Vec<u8>) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    bytes
}

fn encode(bytes: Vec<u8>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
