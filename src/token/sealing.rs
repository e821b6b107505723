//! Authenticated encryption at rest.
//!
//! A sealed text is `{version}.{key id}.{data}`, where the version is `1` and the data is base64url
//! (no padding) of a 24-byte nonce and the XChaCha20-Poly1305 ciphertext with its 16-byte tag. The
//! associated data are the record's name, the version and the key id, so a record moved to another
//! name does not open. The nonce is long enough to be random for any number of records
//! (draft-irtf-cfrg-xchacha §2.1).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::secret::{Fingerprint, Secret};

const VERSION: &str = "1";
const NONCE_BYTES: usize = 24;

/// Fresh random bytes for one record; never used twice.
#[derive(Debug)]
pub struct Nonce(pub [u8; NONCE_BYTES]);

/// The keys of records: the first one seals, all of them open.
pub struct SealingKeys {
    first: SealingKey,
    others: Vec<SealingKey>,
}

struct SealingKey {
    id: String,
    cipher: XChaCha20Poly1305,
    names: Hmac<Sha256>,
}

/// Why a text is not a list of sealing keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealingKeysError {
    /// The list is empty.
    Empty,
    /// An entry is not `id:base64`, the id being 1 to 32 letters, digits, `-` or `_`.
    NotAKey,
    /// A key is not 32 bytes of base64.
    WrongLength,
    /// Two keys have the same id.
    DuplicateId,
}

/// Why a record could not be sealed or opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealError {
    /// The text is not a sealed record of a known version.
    Format,
    /// The record was sealed with an unknown key.
    UnknownKey,
    /// The record was modified, moved from another name, or sealed with another key of the same id.
    Forged,
}

impl SealingKey {
    fn blind_name(&self, parts: &[&str]) -> String {
        let mut mac = self.names.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        Fingerprint::from_digest(mac.finalize().into_bytes().into()).to_hex()
    }
}

impl SealingKeys {
    /// Reads `id:base64-of-32-bytes`, comma-separated.
    ///
    /// # Errors
    /// [`SealingKeysError`]: why the list is refused.
    pub fn parse(text: &Secret) -> Result<Self, SealingKeysError> {
        let mut keys: Vec<SealingKey> = Vec::new();
        for entry in text.expose().split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (id, encoded) = entry.split_once(':').ok_or(SealingKeysError::NotAKey)?;
            let valid = (1..=32).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            if !valid {
                return Err(SealingKeysError::NotAKey);
            }
            if keys.iter().any(|key| key.id == id) {
                return Err(SealingKeysError::DuplicateId);
            }
            let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| SealingKeysError::WrongLength)?);
            let cipher =
                XChaCha20Poly1305::new_from_slice(&bytes).map_err(|_| SealingKeysError::WrongLength)?;
            let names = name_key(&bytes).ok_or(SealingKeysError::WrongLength)?;
            keys.push(SealingKey { id: id.to_owned(), cipher, names });
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(SealingKeysError::Empty)?;
        Ok(Self { first, others: keys.collect() })
    }

    /// Seals `plain` under the first key, bound to `name`.
    ///
    /// # Errors
    /// [`SealError::Format`] where the text is too long for the cipher.
    pub fn seal(&self, name: &str, plain: &[u8], nonce: &Nonce) -> Result<String, SealError> {
        let key = &self.first;
        let aad = associated_data(name, &key.id);
        let payload = Payload { msg: plain, aad: aad.as_bytes() };
        let sealed =
            key.cipher.encrypt(XNonce::from_slice(&nonce.0), payload).map_err(|_| SealError::Format)?;
        let mut data = nonce.0.to_vec();
        data.extend_from_slice(&sealed);
        Ok(format!("{VERSION}.{}.{}", key.id, URL_SAFE_NO_PAD.encode(data)))
    }

    /// The id of the sealing key.
    #[must_use]
    pub fn sealing_id(&self) -> &str {
        &self.first.id
    }

    /// Whether `sealed` was sealed with the current key.
    #[must_use]
    pub fn is_current(&self, sealed: &str) -> bool {
        key_id(sealed) == Some(self.sealing_id())
    }

    /// A keyed digest of `parts` under the first key, as 64 hexadecimal digits: a name that does
    /// not reveal its parts, such as a user name. Without the key the parts cannot be guessed.
    #[must_use]
    pub fn blind_name(&self, parts: &[&str]) -> String {
        self.first.blind_name(parts)
    }

    /// The same under each key, the first one first: what was named before a rotation has the name of a
    /// later one.
    #[must_use]
    pub fn blind_names(&self, parts: &[&str]) -> Vec<String> {
        std::iter::once(&self.first).chain(&self.others).map(|key| key.blind_name(parts)).collect()
    }

    /// Opens a record that was sealed under `name` with any of the keys.
    ///
    /// # Errors
    /// [`SealError`]; such a record counts as absent.
    pub fn open(&self, name: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (version, rest) = sealed.split_once('.').ok_or(SealError::Format)?;
        let (id, encoded) = rest.split_once('.').ok_or(SealError::Format)?;
        if version != VERSION {
            return Err(SealError::Format);
        }
        let data = URL_SAFE_NO_PAD.decode(encoded).map_err(|_| SealError::Format)?;
        let (nonce, sealed) = data.split_at_checked(NONCE_BYTES).ok_or(SealError::Format)?;
        let key = std::iter::once(&self.first)
            .chain(&self.others)
            .find(|key| key.id == id)
            .ok_or(SealError::UnknownKey)?;
        let aad = associated_data(name, id);
        let payload = Payload { msg: sealed, aad: aad.as_bytes() };
        let plain = key.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| SealError::Forged)?;
        Ok(Zeroizing::new(plain))
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> =
            std::iter::once(&self.first).chain(&self.others).map(|key| key.id.as_str()).collect();
        f.debug_tuple("SealingKeys").field(&ids).finish()
    }
}

/// The key id in a sealed record.
#[must_use]
pub fn key_id(sealed: &str) -> Option<&str> {
    sealed.split('.').nth(1)
}

/// Derives the key of blind names from a sealing key.
fn name_key(sealing_key: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(sealing_key).ok()?;
    mac.update(b"porteiro.blind-names");
    <Hmac<Sha256> as Mac>::new_from_slice(&mac.finalize().into_bytes()).ok()
}

fn associated_data(name: &str, key_id: &str) -> String {
    format!("porteiro.{VERSION}.{key_id}.{name}")
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const OLD: &str = "old:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const NEW: &str = "new:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    fn keys(text: &str) -> SealingKeys {
        SealingKeys::parse(&Secret::new(text.to_owned())).unwrap()
    }

    fn nonce(fill: u8) -> Nonce {
        Nonce([fill; NONCE_BYTES])
    }

    #[test]
    fn opens_what_it_sealed_for_the_same_name_only() {
        let keys = keys(OLD);
        let sealed = keys.seal("a", b"token", &nonce(7)).unwrap();
        assert!(sealed.starts_with("1.old.") && !sealed.contains("token"));
        assert_eq!(keys.open("a", &sealed).unwrap().as_slice(), b"token");
        assert_eq!(keys.open("b", &sealed), Err(SealError::Forged));
    }

    #[test]
    fn seals_with_the_first_key_and_opens_with_all() {
        let sealed = keys(OLD).seal("a", b"token", &nonce(7)).unwrap();
        let rotated = keys(&format!("{NEW}, {OLD}"));
        assert_eq!(rotated.open("a", &sealed).unwrap().as_slice(), b"token");
        assert!(rotated.seal("a", b"token", &nonce(8)).unwrap().starts_with("1.new."));
        assert_eq!(keys(NEW).open("a", &sealed), Err(SealError::UnknownKey));
    }

    #[test]
    fn names_things_blindly() {
        let keys = keys(OLD);
        let name = keys.blind_name(&["ann", "x"]);
        assert_eq!(name, keys.blind_name(&["ann", "x"]));
        assert_eq!(name.len(), 64);
        assert_ne!(name, keys.blind_name(&["an", "nx"]));
        assert_ne!(name, self::keys(NEW).blind_name(&["ann", "x"]));
        assert_ne!(name, Fingerprint::of(&["ann", "x"]).to_hex());
    }

    #[test]
    fn writes_the_form_that_is_documented() {
        let sealed = keys("k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
            .seal("name", b"token", &nonce(7))
            .unwrap();
        assert_eq!(sealed, "1.k1.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHPOxdx0fP6hJ0rIC-cK6Rrmj-biBU");
    }

    #[test]
    fn opens_nothing_that_was_changed() {
        let keys = keys(OLD);
        let sealed = keys.seal("a", b"token", &nonce(7)).unwrap();
        for at in 0..sealed.len() {
            for bit in 0..7 {
                let mut bytes = sealed.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                assert!(keys.open("a", &changed).is_err(), "byte {at}, bit {bit}");
            }
        }
        for broken in ["", "1", "1.old", "1.old.", "2.old.AAAA", "1.old.!!!!"] {
            assert!(keys.open("a", broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn never_opens_under_another_key_of_the_same_id() {
        let sealed = keys(OLD).seal("a", b"token", &nonce(7)).unwrap();
        let impostor = keys(&NEW.replace("new:", "old:"));
        assert_eq!(impostor.open("a", &sealed), Err(SealError::Forged));
    }

    #[test]
    fn says_what_is_wrong_with_a_list_of_keys() {
        for (text, why) in [
            ("", SealingKeysError::Empty),
            (" , ", SealingKeysError::Empty),
            ("AAAA", SealingKeysError::NotAKey),
            (":AAAA", SealingKeysError::NotAKey),
            ("a.b:AAAA", SealingKeysError::NotAKey),
            ("a:AAAA", SealingKeysError::WrongLength),
            ("a:!!", SealingKeysError::WrongLength),
        ] {
            assert_eq!(SealingKeys::parse(&Secret::new(text.to_owned())).unwrap_err(), why, "{text:?}");
        }
        let twice = Secret::new(format!("{OLD},{OLD}"));
        assert_eq!(SealingKeys::parse(&twice).unwrap_err(), SealingKeysError::DuplicateId);
    }

    #[test]
    fn shows_ids_and_no_keys_when_debugged() {
        assert_eq!(format!("{:?}", keys(&format!("{NEW},{OLD}"))), r#"SealingKeys(["new", "old"])"#);
    }
}
