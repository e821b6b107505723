//! Lists of keys that authenticate a caller or an operator.

use crate::http::is_field_value;
use crate::secret::{Fingerprint, Place, Secret};

/// The keys of one caller, or of the operators, as fingerprints; several during a rotation.
#[derive(Clone, Debug)]
pub struct Keys(Vec<Fingerprint>);

impl Keys {
    /// Reads keys separated by commas.
    ///
    /// # Errors
    /// The problem, and what to write instead: `too_short` where a key has fewer than `least`
    /// characters.
    pub(super) fn parse(text: &Secret, least: usize, too_short: &'static str) -> Result<Self, &'static str> {
        let mut keys = Vec::new();
        for key in text.expose().split(',').map(|entry| entry.trim_matches(' ')) {
            if key.is_empty() {
                continue;
            }
            if !is_field_value(key) {
                return Err("must be visible ASCII, several keys separated by commas");
            }
            if key.len() < least {
                return Err(too_short);
            }
            let key = Fingerprint::of(&[key]);
            if keys.contains(&key) {
                return Err("must hold each key once");
            }
            keys.push(key);
        }
        if keys.is_empty() { Err("must hold at least one key") } else { Ok(Self(keys)) }
    }

    /// The place of the key whose digest is `sent`. All keys are compared.
    #[must_use]
    pub fn place(&self, sent: Fingerprint) -> Option<Place> {
        Place::find(self.0.iter().copied(), sent)
    }

    /// Whether both lists have a key in common.
    pub(super) fn share(&self, others: &Self) -> bool {
        self.0.iter().any(|key| others.0.contains(key))
    }
}
