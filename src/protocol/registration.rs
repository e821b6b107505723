//! The record of a registered connection, before it is sealed.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{Config, Problem, Registered, Variables};
use crate::token::{Nonce, SealError, SealingKeys, open, seal};

/// The fields that determine where secrets are sent.
const DESTINATIONS: [&str; 3] = ["provider", "base_url", "token_url"];

/// A connection as registered. It exists in memory only to be sealed or used; stored, it is sealed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Registration {
    /// Orders the registrations of one connection; it only increases.
    pub version: u64,
    /// The fields of the connection.
    pub fields: Variables,
    /// The connection's secrets, by name.
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

    /// Reads the registration as the connection called `id`, under the rules of `config`.
    ///
    /// # Errors
    /// Every problem, as [`Config::read_registered`] reports them.
    pub fn read(&self, id: &str, config: &Config) -> Result<Registered, Vec<Problem>> {
        config.read_registered(id, &self.fields, &self.secrets)
    }

    /// Inherits from the registration `before` the secrets that this one does not name, if every
    /// destination is unchanged: a registration cannot have a kept secret sent to another address.
    /// A secret that is null or empty counts as absent; only a client's secret may be empty (RFC
    /// 6749 appendix A.2).
    pub fn inherit_secrets(&mut self, before: Option<&Self>) {
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
