//! The written form of a registered connection, before it is sealed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{Config, Problem, Registered, Variables};
use crate::token::{Nonce, SealError, SealingKeys, open, seal};

/// The fields that tell where secrets are sent.
const DESTINATIONS: [&str; 3] = ["provider", "base_url", "token_url"];

/// A connection as it was registered. It exists only on its way into and out of
/// a seal.
#[derive(Clone, Serialize, Deserialize)]
pub struct Registration {
    /// Tells it from those before it; it only grows.
    pub version: u64,
    /// The fields of the connection.
    pub fields: Variables,
    /// Its secrets, by name.
    pub secrets: Variables,
}

/// The name of the record that holds the registration of `connection`.
#[must_use]
pub fn registration_record(connection: &str) -> String {
    format!("connection/{connection}")
}

impl Registration {
    /// Seals the registration of `connection`.
    ///
    /// # Errors
    /// [`SealError`] where it cannot be sealed.
    pub fn seal(&self, connection: &str, keys: &SealingKeys, nonce: &Nonce) -> Result<String, SealError> {
        seal(self, &registration_record(connection), keys, nonce)
    }

    /// Opens the registration of `connection`.
    ///
    /// # Errors
    /// [`SealError`] where it does not open.
    pub fn open(sealed: &str, connection: &str, keys: &SealingKeys) -> Result<Self, SealError> {
        open(sealed, &registration_record(connection), keys)
    }

    /// The connection called `id`, as `config` lets it be.
    ///
    /// # Errors
    /// Every problem, as [`Config::read_registered`] has them.
    pub fn read(&self, id: &str, config: &Config) -> Result<Registered, Vec<Problem>> {
        config.read_registered(id, &self.fields, &self.secrets)
    }

    /// Takes over the secrets of the registration `before` that this one does not
    /// name, where they are sent to the same place: nobody learns a secret by
    /// naming another address. What is null is none, or empty, but for a client's
    /// secret (RFC 6749 appendix A.2).
    pub fn settle_secrets(&mut self, before: Option<&Self>) {
        let is_same = |before: &&Self| {
            DESTINATIONS.iter().all(|name| self.fields.get(*name) == before.fields.get(*name))
        };
        for (name, secret) in before.filter(is_same).iter().flat_map(|before| &before.secrets) {
            self.secrets.entry(name.clone()).or_insert_with(|| secret.clone());
        }
        self.secrets.retain(|name, secret| !secret.is_null() && (secret != "" || name == "client_secret"));
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("version", &self.version).finish_non_exhaustive()
    }
}
