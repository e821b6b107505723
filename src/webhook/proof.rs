//! The account token, by which a sender is recognised.

use crate::http::HeaderName;
use crate::secret::{Fingerprint, Place, Secret};

/// From how many bytes a text is no word that stands somewhere by chance.
const TELLING: usize = 8;

/// Where an event carries its account token.
#[derive(Debug)]
pub enum Proof {
    /// In this member of the event.
    Member(String),
    /// In this header field.
    Header(HeaderName),
}

/// The account tokens that count: several while one follows another.
#[derive(Debug)]
pub struct AccountTokens(Vec<Secret>);

impl AccountTokens {
    /// Reads tokens separated by commas; nothing where there is none.
    #[must_use]
    pub fn parse(text: &Secret) -> Option<Self> {
        let tokens: Vec<Secret> = text
            .expose()
            .split(',')
            .map(str::trim)
            .filter(|token| !token.is_empty())
            .map(|token| Secret::new(token.to_owned()))
            .collect();
        (!tokens.is_empty()).then_some(Self(tokens))
    }

    /// The place among them of the one whose digest is `presented`. All are
    /// compared, by digests of one length: the time tells nothing of where they
    /// differ.
    #[must_use]
    pub fn place(&self, presented: Fingerprint) -> Option<Place> {
        Place::find(self.0.iter().map(Secret::fingerprint), presented)
    }

    /// Whether one of them stands in `text`.
    pub(super) fn stand_in(&self, text: &str) -> bool {
        self.telling().any(|token| text.contains(token))
    }

    /// `text` with each of them replaced by what stands for any.
    pub(super) fn taken_out(&self, text: &str) -> String {
        let mut tokens: Vec<&str> = self.telling().collect();
        // One may be the beginning of another.
        tokens.sort_unstable_by_key(|token| std::cmp::Reverse(token.len()));
        tokens.into_iter().fold(text.to_owned(), |text, token| text.replace(token, "[account token]"))
    }

    /// Those that are no text which may stand anywhere by chance.
    fn telling(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Secret::expose).filter(|token| token.len() >= TELLING)
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn accepts_each_of_several_and_nothing_like_them() {
        let tokens = AccountTokens::parse(&secret(" old-token ,, new-token")).unwrap();
        let number = |token: &str| tokens.place(secret(token).fingerprint()).and_then(Place::number);
        assert_eq!(["old-token", "new-token"].map(number), [Some(1), Some(2)]);
        for wrong in
            ["", "old-toke", "old-token1", "OLD-TOKEN", " old-token", "old-token,new-token", "new-token\0"]
        {
            assert_eq!(tokens.place(secret(wrong).fingerprint()), None, "{wrong:?}");
        }
    }

    #[test]
    fn takes_no_list_without_a_token() {
        for text in ["", " ", ",", " , ,"] {
            assert!(AccountTokens::parse(&secret(text)).is_none(), "{text:?}");
        }
    }
}
