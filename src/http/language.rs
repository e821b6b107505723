//! The language that a person reads, from `Accept-Language` (RFC 9110 §12.5.4).

use super::accept::{WHOLE, weight};

/// A language that the broker writes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Language {
    /// English, which is written where a client prefers neither.
    #[default]
    English,
    /// Brazilian Portuguese, for every kind of Portuguese.
    Portuguese,
}

impl Language {
    /// The language of the client that sends this value of `Accept-Language`: the heavier one, of
    /// equal ones the first. A range stands for its primary subtag (RFC 5646 §2.2.1); the range `*`
    /// prefers none.
    #[must_use]
    pub fn preferred(accept_language: &str) -> Self {
        let mut preferred: Option<(Self, u32)> = None;
        for item in accept_language.split(',') {
            let mut parts = item.split(';').map(str::trim);
            let Some(language) = parts.next().and_then(Self::of_range) else { continue };
            let weight = parts.find_map(weight).unwrap_or(WHOLE);
            if weight > 0 && preferred.is_none_or(|(_, most)| weight > most) {
                preferred = Some((language, weight));
            }
        }
        preferred.map(|(language, _)| language).unwrap_or_default()
    }

    fn of_range(range: &str) -> Option<Self> {
        let primary = range.split('-').next().unwrap_or_default();
        [Self::English, Self::Portuguese].into_iter().find(|language| {
            language.tag().split('-').next().is_some_and(|of| of.eq_ignore_ascii_case(primary))
        })
    }

    /// The language's tag (RFC 5646), as `Content-Language` and `lang` have it.
    #[must_use]
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Portuguese => "pt-BR",
        }
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    /// Values of `Accept-Language`, each with the language's tag, for `language.js` as well.
    const CASES: &str = include_str!("../../tests/data/languages.json");

    #[test]
    fn is_the_one_that_the_client_prefers() {
        let cases: Vec<(String, String)> = serde_json::from_str(CASES).unwrap();
        for (accept_language, tag) in cases {
            assert_eq!(Language::preferred(&accept_language).tag(), tag, "{accept_language}");
        }
    }
}
