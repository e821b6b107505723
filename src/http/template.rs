//! Values that a rule leaves to the caller.

/// A value of a rule: a text, or the caller's own claim.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Template {
    /// A text that is the same for every caller, such as the connection's id or one of its labels.
    Text(String),
    /// The caller's claim of this name.
    Claim(String),
}

/// Gives the text of a claim of one caller, by its name; `None` where the caller has none that can
/// stand in an address.
pub type OwnClaims<'c> = &'c dyn Fn(&str) -> Option<String>;

impl Template {
    /// The value for one caller.
    #[must_use]
    pub fn fill(&self, claims: OwnClaims<'_>) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Claim(name) => claims(name),
        }
    }
}

/// The text that `raw` encodes (RFC 3986 §2.1); `None` where an escape is none, or the bytes are not
/// UTF-8.
pub(super) fn decoded(raw: &str) -> Option<String> {
    let mut escapes = raw.split('%').skip(1);
    let is_sound = escapes
        .all(|rest| rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)));
    is_sound.then(|| percent_encoding::percent_decode_str(raw).decode_utf8().ok().map(Into::into))?
}
