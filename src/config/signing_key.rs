//! Keys that sign assertions, as operators set them: a PEM of PKCS#8 (RFC 5958, RFC 7468 §10), a JWK
//! (RFC 7517 §4), or the JSON file of a service account.

use std::fmt;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use zeroize::Zeroizing;

use super::pasted;
use super::reader::Reader;
use super::secrets::Secrets;
use super::{Variables, syntax};
use crate::http::EndpointUrl;
use crate::jose::{Algorithm, KeyType};
use crate::json::{self, Members, NotJson, ToJson};
use crate::secret::{Fingerprint, Secret};

/// The field with the assertion, and its own fields.
pub(super) const ASSERTION: &str = "assertion";

/// The secret with the key.
pub(super) const PRIVATE_KEY: &str = "PRIVATE_KEY";

/// The secret with the file of a service account, which has a key.
pub(super) const SERVICE_ACCOUNT: &str = "SERVICE_ACCOUNT";

const BEGIN: &str = "-----BEGIN ";
const LABEL: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END ";

const WHICH_ALGORITHM: &str =
    "must be RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512 or EdDSA";
const NO_KEY: &str = "must be a private key: a PEM that begins with -----BEGIN PRIVATE KEY-----, or a JWK";
const OTHER_PEM: &str = "must be a private key in PKCS#8: set what \
    `openssl pkcs8 -topk8 -nocrypt -in key.pem` makes of this one";
const ENCRYPTED: &str = "must not be encrypted: set what \
    `openssl pkcs8 -topk8 -nocrypt -in key.pem` makes of it";
const OPENSSH: &str = "must be a private key in PKCS#8: set what `ssh-keygen -p -m PKCS8 -f copy.pem` makes \
    of a copy of this file";
const PUBLIC: &str = "must be the private key: this is a certificate or a public key";
const DAMAGED: &str = "is damaged or cut off: set the whole file again, from -----BEGIN to the last dash";
const NOT_BASE64: &str = "is damaged or cut off: a member of the JWK is not base64url";
const DAMAGED_JWK: &str = "must be a whole JWK, with all members of a private key of its kind";
const UNKNOWN_KIND: &str = "must be a key for RSA, P-256, P-384, P-521 or Ed25519";
const IN_ACCOUNT: &str =
    "is the file of a service account: set it as the secret that ends in _SERVICE_ACCOUNT";
const OTHER_KIND: &str = "is a key of another kind than algorithm: RS and PS want RSA, ES256 P-256, \
    ES384 P-384, ES512 P-521, EdDSA Ed25519";
const NO_ACCOUNT: &str = "must be the JSON file of a service account, as it was handed out";
const ACCOUNT_KEY: &str = "must be the JSON file of a service account with its private_key, a PEM of PKCS#8";
const ACCOUNT_ADDRESS: &str =
    "must be the JSON file of a service account, whose token_uri is an https address";
const ACCOUNT_TOO: &str = "must not be set beside the secret that ends in _PRIVATE_KEY: remove one of them";
const MISSING: &str = "is missing: set this secret to a private key, a PEM of PKCS#8 or a JWK";
const ACCOUNT_MISSING: &str = "is missing: set this secret to the JSON file of the service account; \
    or write assertion.issuer, and set the secret that ends in _PRIVATE_KEY";

/// A private key, the algorithm that it signs with, and its id.
pub struct SigningKey {
    /// The form of `text`.
    pub format: KeyFormat,
    /// The key in base64 or as a JWK.
    pub text: Secret,
    /// The algorithm.
    pub algorithm: Algorithm,
    /// The id by which the verifier finds the public key: `kid` (RFC 7515 §4.1.4).
    pub id: Option<String>,
}

/// The form of a private key, as WebCrypto names it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyFormat {
    /// PKCS#8 in DER, written in base64.
    Pkcs8,
    /// A JWK with the members of its kind alone.
    Jwk,
}

impl KeyFormat {
    /// The name in WebCrypto.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pkcs8 => "pkcs8",
            Self::Jwk => "jwk",
        }
    }
}

impl SigningKey {
    /// The digest of the key, its algorithm and its id.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let id = self.id.as_deref().unwrap_or_default();
        Fingerprint::of(&[self.text.expose(), self.algorithm.as_str(), id])
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Reads the connection's key, with the fields `algorithm` and `key_id`. By default the algorithm is
/// that of the JWK, else the usual one of the key's kind.
pub(super) fn read(reader: &mut Reader<'_, '_>, secrets: &Secrets<'_>) -> Option<Rc<SigningKey>> {
    let algorithm = reader.parse("algorithm", &|name| Algorithm::parse(name).ok_or(WHICH_ALGORITHM));
    let is_wrong = algorithm.is_none() && reader.has("algorithm");
    let id = reader.parse("key_id", &syntax::copied);
    let name = if secrets.has(SERVICE_ACCOUNT) { SERVICE_ACCOUNT } else { PRIVATE_KEY };
    let found = if name == SERVICE_ACCOUNT {
        let account = secrets.required(name, reader)?;
        if secrets.has(PRIVATE_KEY) {
            Err(ACCOUNT_TOO)
        } else {
            ServiceAccount::parse(account.expose()).map(|account| account.key)
        }
    } else if wants_account(reader, secrets) {
        reader.report_missing_secret(secrets.variable(SERVICE_ACCOUNT), ACCOUNT_MISSING);
        return None;
    } else {
        parse(secrets.multiline(name, MISSING, reader)?.expose())
    };
    let fitting = found.and_then(|key| {
        let algorithm = algorithm.unwrap_or_else(|| key.usual_algorithm());
        if algorithm.key_type() == key.kind || is_wrong { Ok((key, algorithm)) } else { Err(OTHER_KIND) }
    });
    match fitting {
        Ok((ParsedKey { format, text, id: own, .. }, algorithm)) => {
            Some(Rc::new(SigningKey { format, text, algorithm, id: id.or(own) }))
        }
        Err(message) => {
            reader.report_variable(secrets.variable(name), message);
            None
        }
    }
}

/// Whether a connection that signs its grant is to have all of it from a service account: its file is
/// set, or neither a key nor an issuer is.
pub(super) fn wants_account(reader: &Reader<'_, '_>, secrets: &Secrets<'_>) -> bool {
    let grant = reader.value("grant").and_then(Value::as_str);
    let has_issuer = reader.value("assertion").is_some_and(|assertion| assertion.get("issuer").is_some());
    secrets.has(SERVICE_ACCOUNT) || (grant == Some("jwt_bearer") && !has_issuer && !secrets.has(PRIVATE_KEY))
}

/// The file of a service account, as Google hands it out.
pub(super) struct ServiceAccount {
    /// `client_email`.
    pub issuer: String,
    /// `token_uri`, if the file has it.
    pub token_url: Option<EndpointUrl>,
    key: ParsedKey,
}

impl ServiceAccount {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// The problem, and what to set.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let file = json::parse(text.trim().as_bytes()).map_err(|NotJson| NO_ACCOUNT)?;
        let member = |name: &str| file.get(name).and_then(Value::as_str);
        let mut key = parse_pem(member("private_key").ok_or(ACCOUNT_KEY)?).map_err(|_| ACCOUNT_KEY)?;
        key.id = member("private_key_id").map(str::to_owned);
        let token_url = member("token_uri").map(EndpointUrl::parse).transpose();
        Ok(Self {
            issuer: member("client_email").ok_or(NO_ACCOUNT)?.to_owned(),
            token_url: token_url.map_err(|_| ACCOUNT_ADDRESS)?,
            key,
        })
    }
}

/// A private key as it was set.
struct ParsedKey {
    format: KeyFormat,
    text: Secret,
    kind: KeyType,
    algorithm: Option<Algorithm>,
    id: Option<String>,
}

impl ParsedKey {
    /// The algorithm that the key names, else the usual one of its kind.
    fn usual_algorithm(&self) -> Algorithm {
        self.algorithm.unwrap_or(match self.kind {
            KeyType::Rsa => Algorithm::RS256,
            KeyType::P256 => Algorithm::ES256,
            KeyType::P384 => Algorithm::ES384,
            KeyType::P521 => Algorithm::ES512,
            KeyType::Ed25519 => Algorithm::EdDSA,
        })
    }
}

fn parse(text: &str) -> Result<ParsedKey, &'static str> {
    pasted::check_password(text.trim())?;
    if !text.trim_start().starts_with('{') {
        return parse_pem(text);
    }
    let value = json::parse(text.trim().as_bytes()).map_err(|NotJson| NO_KEY)?;
    value.as_object().ok_or(NO_KEY).and_then(parse_jwk)
}

/// Reads a PEM, which may hold other things besides the key, as tools write them. Its line breaks may
/// be written `\n`, or be blanks.
fn parse_pem(text: &str) -> Result<ParsedKey, &'static str> {
    let text = Zeroizing::new(text.replace("\\n", "\n").replace("\\r", ""));
    let Some((_, rest)) = text.split_once(LABEL) else {
        let has = |label: &str| text.contains(&format!("{BEGIN}{label}"));
        return Err(match () {
            () if has("ENCRYPTED") || text.contains("ENCRYPTED\n") => ENCRYPTED,
            () if has("OPENSSH") => OPENSSH,
            () if has("RSA PRIVATE") || has("EC PRIVATE") => OTHER_PEM,
            () if has("") => PUBLIC,
            () => NO_KEY,
        });
    };
    let body = rest.split_once(END).ok_or(DAMAGED)?.0;
    let body = Zeroizing::new(body.split_ascii_whitespace().collect::<String>());
    let der = Zeroizing::new(STANDARD.decode(body.as_bytes()).map_err(|_| DAMAGED)?);
    let kind = kind_of_der(&der).ok_or(UNKNOWN_KIND)?;
    let text = Secret::new(STANDARD.encode(&*der));
    Ok(ParsedKey { format: KeyFormat::Pkcs8, text, kind, algorithm: None, id: None })
}

/// The kind of a key in PKCS#8: its `AlgorithmIdentifier` stands behind the head of the sequence and
/// the version (RFC 5958 §2), and is one of these (RFC 8017 appendix A.1, RFC 5480 §2.1.1, RFC 8410
/// §3).
fn kind_of_der(der: &[u8]) -> Option<KeyType> {
    const KINDS: [(KeyType, &[u8]); 5] = [
        (KeyType::Rsa, b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"),
        (
            KeyType::P256,
            b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
        ),
        (KeyType::P384, b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"),
        (KeyType::P521, b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23"),
        (KeyType::Ed25519, b"\x30\x05\x06\x03\x2b\x65\x70"),
    ];
    let head = match der.get(1)? {
        0x82 => 4,
        0x81 => 3,
        _ => 2,
    };
    let rest = der.get(head..)?;
    let rest = [0, 1].iter().find_map(|version| rest.strip_prefix(&[0x02, 0x01, *version]))?;
    KINDS.into_iter().find(|(_, identifier)| rest.starts_with(identifier)).map(|(kind, _)| kind)
}

/// Reads a JWK (RFC 7518 §6.2.2, §6.3.2, RFC 8037 §2), and keeps the members of its kind: others could
/// forbid WebCrypto to sign.
fn parse_jwk(jwk: &Variables) -> Result<ParsedKey, &'static str> {
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    let (kind, names): (_, &[&str]) = match (member("kty"), member("crv")) {
        (Some("RSA"), _) => (KeyType::Rsa, &["n", "e", "d", "p", "q", "dp", "dq", "qi"]),
        (Some("EC"), Some("P-256")) => (KeyType::P256, &["x", "y", "d"]),
        (Some("EC"), Some("P-384")) => (KeyType::P384, &["x", "y", "d"]),
        (Some("EC"), Some("P-521")) => (KeyType::P521, &["x", "y", "d"]),
        (Some("OKP"), Some("Ed25519")) => (KeyType::Ed25519, &["x", "d"]),
        (None, _) if jwk.contains_key("private_key") => return Err(IN_ACCOUNT),
        (None, _) => return Err(NO_KEY),
        _ => return Err(UNKNOWN_KIND),
    };
    if member("d").is_none() {
        return Err(PUBLIC);
    }
    let values: Vec<&str> =
        names.iter().map(|name| member(name)).collect::<Option<_>>().ok_or(DAMAGED_JWK)?;
    if values.iter().any(|value| URL_SAFE_NO_PAD.decode(value).is_err()) {
        return Err(NOT_BASE64);
    }
    let [kty, crv] = ["kty", "crv"].map(member);
    let mut members: Vec<(&str, &dyn ToJson)> = vec![("kty", &kty), ("crv", &crv)];
    members.extend(names.iter().zip(&values).map(|(name, value)| (*name, value as &dyn ToJson)));
    Ok(ParsedKey {
        format: KeyFormat::Jwk,
        text: Secret::new(Members(&members).lean_text()),
        kind,
        algorithm: member("alg").and_then(Algorithm::parse).filter(|algorithm| algorithm.key_type() == kind),
        id: member("kid").map(str::to_owned),
    })
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
