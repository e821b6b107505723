//! The stored forms of tokens, before they are sealed.
//!
//! A [`Secret`] cannot be written as JSON. Only these forms expose one, and only between
//! sealing and opening.

use serde_json::Value;

use super::sealing::Nonce;
use super::token_type::TokenType;
use super::{AccessToken, Lifetime, SealError, SealingKeys, TokenSet};
use crate::json::{self, FromJson, NotJson, ToJson, record};
use crate::secret::{Fingerprint, Secret};

/// The stored form of an [`AccessToken`], with the identity of its account.
#[derive(Debug)]
pub struct AccessTokenRecord {
    identity: Fingerprint,
    generation: u64,
    access_token: Exposed,
    lifetime: Lifetime,
}

record!(AccessTokenRecord { identity, generation, access_token, lifetime });

impl AccessTokenRecord {
    /// Seals `access`, which belongs to `identity`, under `name`.
    ///
    /// # Errors
    /// [`SealError`] where it cannot be sealed.
    pub fn seal(
        access: &AccessToken,
        identity: &Fingerprint,
        name: &str,
        keys: &SealingKeys,
        nonce: &Nonce,
    ) -> Result<String, SealError> {
        seal(&Self::new(access, identity), name, keys, nonce)
    }

    /// Opens a record sealed under `name`; `None` where it belongs to another account than
    /// `identity`.
    ///
    /// # Errors
    /// [`SealError`] where it does not open.
    pub fn open(
        sealed: &str,
        identity: &Fingerprint,
        name: &str,
        keys: &SealingKeys,
    ) -> Result<Option<AccessToken>, SealError> {
        let record: Self = open(sealed, name, keys)?;
        let same = record.identity == *identity;
        Ok(same.then(|| record.into_token()))
    }

    fn new(access: &AccessToken, identity: &Fingerprint) -> Self {
        Self {
            identity: *identity,
            generation: access.generation,
            access_token: Exposed(access.token.clone()),
            lifetime: access.lifetime,
        }
    }

    fn into_token(self) -> AccessToken {
        AccessToken {
            generation: self.generation,
            token: self.access_token.0,
            token_type: TokenType::Bearer,
            lifetime: self.lifetime,
        }
    }
}

/// The stored form of a [`TokenSet`].
#[derive(Debug)]
pub struct TokenSetRecord {
    access: AccessTokenRecord,
    refresh_token: Option<Exposed>,
    scope: Option<String>,
}

record!(TokenSetRecord { access, refresh_token = needed, scope });

impl TokenSetRecord {
    /// The stored form of `set`, which belongs to `identity`.
    #[must_use]
    pub fn new(set: &TokenSet, identity: &Fingerprint) -> Self {
        Self {
            access: AccessTokenRecord::new(&set.access, identity),
            refresh_token: set.refresh_token.clone().map(Exposed),
            scope: set.scope.clone(),
        }
    }

    /// The token set in the record.
    #[must_use]
    pub fn into_token_set(self) -> TokenSet {
        let refresh_token = self.refresh_token.map(|Exposed(token)| token);
        TokenSet { access: self.access.into_token(), refresh_token, scope: self.scope }
    }
}

/// Writes `record` as JSON and seals it under `name`.
///
/// # Errors
/// [`SealError`] where it cannot be sealed.
pub fn seal(record: &dyn ToJson, name: &str, keys: &SealingKeys, nonce: &Nonce) -> Result<String, SealError> {
    let plain = zeroize::Zeroizing::new(json::text(record));
    keys.seal(name, plain.as_bytes(), nonce)
}

/// Opens a record that [`seal`] made under `name`.
///
/// # Errors
/// [`SealError`] where it does not open or is no such record.
pub fn open<T: FromJson>(sealed: &str, name: &str, keys: &SealingKeys) -> Result<T, SealError> {
    let plain = keys.open(name, sealed)?;
    json::read(&plain).map_err(|NotJson| SealError::Format)
}

/// A secret in a record that is sealed.
#[derive(Debug)]
pub(crate) struct Exposed(pub Secret);

impl FromJson for Exposed {
    fn from_json(value: &mut Value) -> Option<Self> {
        String::from_json(value).map(Secret::new).map(Self)
    }
}

impl ToJson for Exposed {
    fn write_json(&self, out: &mut String) {
        self.0.expose().write_json(out);
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::time::UnixTime;

    const NAME: &str = "access-token/service/acme";
    const KEYS: &str = "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    /// What this version makes of the record that another one wrote: its own, changed by `change`.
    fn read(change: impl FnOnce(&mut Value)) -> Result<Option<AccessToken>, SealError> {
        let keys = SealingKeys::parse(&Secret::new(KEYS.to_owned())).unwrap();
        let identity = Fingerprint::of(&["acme"]);
        let lifetime =
            Lifetime::new(UnixTime::from_millis(0), Duration::from_hours(1), Duration::from_mins(1), 0);
        let access = AccessToken {
            generation: 1,
            token: Secret::new("token".to_owned()),
            token_type: TokenType::Bearer,
            lifetime,
        };
        let mut record =
            json::parse(json::text(&AccessTokenRecord::new(&access, &identity)).as_bytes()).unwrap();
        change(&mut record);
        let sealed = seal(&record, NAME, &keys, &Nonce([7; 24])).unwrap();
        AccessTokenRecord::open(&sealed, &identity, NAME, &keys)
    }

    #[test]
    fn reads_a_record_with_a_member_that_it_does_not_know() {
        let access = read(|record| record["later"] = json!({ "x": 1 })).unwrap().unwrap();
        assert_eq!((access.generation, access.token.expose()), (1, "token"));
    }

    #[test]
    fn takes_a_record_without_a_member_that_it_needs_for_none() {
        for member in ["identity", "generation", "access_token", "lifetime"] {
            let opened = read(|record| drop(record.as_object_mut().unwrap().remove(member)));
            assert_eq!(opened.err(), Some(SealError::Format), "{member}");
        }
    }
}
