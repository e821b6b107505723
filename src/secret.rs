//! Secret texts: passwords, keys, tokens.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::json::{FromJson, ToJson};

/// A secret text, wiped when dropped.
///
/// It cannot be printed, serialised or compared by accident:
///
/// ```compile_fail
/// println!("{}", porteiro::secret::Secret::new("x".to_owned()));
/// ```
/// ```compile_fail
/// serde_json::to_string(&porteiro::secret::Secret::new("x".to_owned()));
/// ```
/// ```compile_fail
/// let a = porteiro::secret::Secret::new("x".to_owned());
/// let b = porteiro::secret::Secret::new("x".to_owned());
/// assert!(a == b);
/// ```
/// ```compile_fail
/// let a: &str = &porteiro::secret::Secret::new("x".to_owned());
/// ```
/// ```compile_fail
/// let a = porteiro::secret::Secret::new("x".to_owned());
/// let b: &str = a.as_ref();
/// ```
/// These uses are allowed:
///
/// ```
/// let secret = porteiro::secret::Secret::new("hunter2".to_owned());
/// assert_eq!(secret.expose(), "hunter2");
/// assert_eq!(format!("{secret:?}"), "Secret(redacted)");
/// ```
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret text, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest by which this secret is compared.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&[self.expose()])
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// A SHA-256 digest that stands for one or more secret texts.
///
/// Equality takes constant time. The digest of a guessable text can be guessed, too: it stays in
/// memory or sealed.
///
/// Serialised, a digest is 64 hexadecimal digits.
#[derive(Clone, Copy)]
pub struct Fingerprint([u8; 32]);

/// The text is not a digest in hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotHex;

impl fmt::Display for NotHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no digest")
    }
}

impl ToJson for Fingerprint {
    fn write_json(&self, out: &mut String) {
        self.to_hex().write_json(out);
    }
}

impl FromJson for Fingerprint {
    fn from_json(value: &mut Value) -> Option<Self> {
        String::from_json(value)?.try_into().ok()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = NotHex;

    fn try_from(hex: String) -> Result<Self, NotHex> {
        let mut digest = [0; 32];
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        if pairs.len() != digest.len() || !rest.is_empty() {
            return Err(NotHex);
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = digit(*high).ok_or(NotHex)? << 4 | digit(*low).ok_or(NotHex)?;
        }
        Ok(Self(digest))
    }
}

impl Fingerprint {
    /// The digest of `parts`, each preceded by its length, so that the digest depends on the
    /// boundaries between parts.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        Self(hash.finalize().into())
    }
}

impl Fingerprint {
    /// Wraps an existing digest.
    #[must_use]
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest as 64 hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }
}

/// `bytes` as hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The place of a secret in the list of accepted ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    number: usize,
    of: usize,
}

impl Place {
    /// The place of `presented` among `known`. All are compared, so the time does not depend on the
    /// match.
    pub fn find(known: impl ExactSizeIterator<Item = Fingerprint>, presented: Fingerprint) -> Option<Self> {
        let of = known.len();
        let mut found = None;
        for (at, known) in known.enumerate() {
            if known == presented {
                found = Some(Self { number: at + 1, of });
            }
        }
        found
    }

    /// The number in the list, from 1; `None` in a list of one.
    #[must_use]
    pub fn number(self) -> Option<usize> {
        (self.of > 1).then_some(self.number)
    }
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Fingerprint {}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint(redacted)")
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn shows_nothing_of_itself_when_debugged() {
        let secret = Secret::new("s3cr3t".to_owned());
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
        assert_eq!(format!("{:?}", secret.fingerprint()), "Fingerprint(redacted)");
    }

    #[test]
    fn reads_back_the_digest_that_it_wrote() {
        let fingerprint = Fingerprint::of(&["a"]);
        assert_eq!(Fingerprint::try_from(fingerprint.to_hex()), Ok(fingerprint));
        for bad in [String::new(), "0".repeat(63), "0".repeat(65), "g".repeat(64), "+1".repeat(32)] {
            assert_eq!(Fingerprint::try_from(bad), Err(NotHex));
        }
    }

    /// `tests/wasm_core.rs` holds WebAssembly to the same digest.
    #[test]
    fn digests_as_it_always_did() {
        let digest = "3c9d591045bc8876f9d0399bbfb05c6a412096e906f73278f98406cd5dca86df";
        assert_eq!(Fingerprint::of(&["a", "b"]).to_hex(), digest);
    }

    #[test]
    fn tells_which_of_several_it_is() {
        let [one, two, three] = ["1", "2", "3"].map(|text| Fingerprint::of(&[text]));
        let number =
            |known: &[Fingerprint], sent| Place::find(known.iter().copied(), sent).map(Place::number);
        assert_eq!(number(&[one], one), Some(None));
        assert_eq!([one, two].map(|sent| number(&[one, two], sent)), [Some(Some(1)), Some(Some(2))]);
        assert_eq!((number(&[one, two], three), number(&[], one)), (None, None));
    }

    #[test]
    fn tells_the_borders_between_parts() {
        assert_ne!(Fingerprint::of(&["ab", "c"]), Fingerprint::of(&["a", "bc"]));
        assert_ne!(Fingerprint::of(&["ab"]), Fingerprint::of(&["ab", ""]));
    }
}
