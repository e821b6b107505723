//! The account token, which authenticates a sender.

use crate::secret::{Fingerprint, Place, Secret};

/// The length in bytes from which a token does not occur in a text by chance.
const TELLING: usize = 8;

/// The accepted account tokens; several during a rotation.
#[derive(Debug)]
pub struct AccountTokens(Vec<Secret>);

impl AccountTokens {
    /// Reads tokens separated by commas; `None` where the list is empty.
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

    /// No tokens: for events that never carry one.
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    /// The tokens in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Secret> {
        self.0.iter()
    }

    /// The place of the token whose digest is `presented`. All tokens are compared by digest, so
    /// the time does not depend on where they differ.
    #[must_use]
    pub fn place(&self, presented: Fingerprint) -> Option<Place> {
        Place::find(self.0.iter().map(Secret::fingerprint), presented)
    }

    /// Whether `text` contains one of the tokens.
    pub(super) fn stand_in(&self, text: &str) -> bool {
        self.telling().any(|token| text.contains(token))
    }

    /// `text` with every token replaced by a placeholder.
    pub(super) fn taken_out(&self, text: &str) -> String {
        let mut tokens: Vec<&str> = self.telling().collect();
        // A token may be a prefix of another: replace the longest first.
        tokens.sort_unstable_by_key(|token| std::cmp::Reverse(token.len()));
        tokens.into_iter().fold(text.to_owned(), |text, token| text.replace(token, "[account token]"))
    }

    /// The tokens long enough not to occur in a text by chance.
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
