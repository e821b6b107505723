//! The stored forms of tokens, before they are sealed.
//!
//! A [`Secret`] cannot be serialised. Only these forms expose one to serde, and only between
//! sealing and opening.

use serde::{Deserialize, Serialize};

use super::sealing::Nonce;
use super::token_type::TokenType;
use super::{AccessToken, Lifetime, SealError, SealingKeys, TokenSet};
use crate::secret::{Fingerprint, Secret};

/// The stored form of an [`AccessToken`], with the identity of its account.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccessTokenRecord {
    identity: Fingerprint,
    generation: u64,
    #[serde(with = "exposed")]
    access_token: Secret,
    lifetime: Lifetime,
}

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
            access_token: access.token.clone(),
            lifetime: access.lifetime,
        }
    }

    fn into_token(self) -> AccessToken {
        AccessToken {
            generation: self.generation,
            token: self.access_token,
            token_type: TokenType::Bearer,
            lifetime: self.lifetime,
        }
    }
}

/// The stored form of a [`TokenSet`].
#[derive(Debug, Serialize, Deserialize)]
pub struct TokenSetRecord {
    access: AccessTokenRecord,
    #[serde(with = "exposed_option")]
    refresh_token: Option<Secret>,
    scope: Option<String>,
}

impl TokenSetRecord {
    /// The stored form of `set`, which belongs to `identity`.
    #[must_use]
    pub fn new(set: &TokenSet, identity: &Fingerprint) -> Self {
        Self {
            access: AccessTokenRecord::new(&set.access, identity),
            refresh_token: set.refresh_token.clone(),
            scope: set.scope.clone(),
        }
    }

    /// The token set in the record.
    #[must_use]
    pub fn into_token_set(self) -> TokenSet {
        TokenSet { access: self.access.into_token(), refresh_token: self.refresh_token, scope: self.scope }
    }
}

/// Serialises `record` as JSON and seals it under `name`.
///
/// # Errors
/// [`SealError`] where it cannot be serialised or sealed.
pub fn seal<T: Serialize>(
    record: &T,
    name: &str,
    keys: &SealingKeys,
    nonce: &Nonce,
) -> Result<String, SealError> {
    let plain = zeroize::Zeroizing::new(serde_json::to_vec(record).map_err(|_| SealError::Format)?);
    keys.seal(name, &plain, nonce)
}

/// Opens a record that [`seal`] made under `name`.
///
/// # Errors
/// [`SealError`] where it does not open or is no such record.
pub fn open<T: for<'a> Deserialize<'a>>(
    sealed: &str,
    name: &str,
    keys: &SealingKeys,
) -> Result<T, SealError> {
    let plain = keys.open(name, sealed)?;
    serde_json::from_slice(&plain).map_err(|_| SealError::Format)
}

mod exposed {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::secret::Secret;

    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

mod exposed_option {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::secret::Secret;

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub fn serialize<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_some(secret.expose()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
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
        let mut record = serde_json::to_value(AccessTokenRecord::new(&access, &identity)).unwrap();
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
