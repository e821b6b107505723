//! The record of a registered connection, before it is sealed.

use std::{fmt, mem};

use serde_json::Value;

use super::label_row;
use crate::config::{Config, Problem, Registered, SECRETS, Variables};
use crate::json::{self, record};
use crate::token::{Nonce, SealError, SealingKeys, open, seal};

/// The fields that determine where secrets are sent.
const DESTINATIONS: [&str; 3] = ["provider", "base_url", "token_url"];

/// A connection as registered. It exists in memory only to be sealed or used; stored, it is sealed.
#[derive(Clone)]
pub struct Registration {
    /// Orders the registrations of one connection; it only increases.
    pub version: u64,
    /// The fields of the connection.
    pub fields: Variables,
    /// The connection's secrets, by name.
    pub secrets: Variables,
}

record!(Registration { version, fields, secrets });

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
    /// destination is unchanged: a registration cannot have a kept secret sent to another address,
    /// nor by another template. A secret that is null or empty counts as absent; only a client's
    /// secret may be empty (RFC 6749 appendix A.2). An unknown one stays, to be reported.
    pub fn inherit_secrets(&mut self, before: Option<&Self>, config: &Config) {
        let next = config.with_template(&self.fields);
        let is_same = |before: &&Self| {
            let before = config.with_template(&before.fields);
            next.as_ref().zip(before).is_some_and(|(next, before)| {
                DESTINATIONS.iter().all(|name| next.get(*name) == before.get(*name))
            })
        };
        for (name, secret) in before.filter(is_same).iter().flat_map(|before| &before.secrets) {
            self.secrets.entry(name.clone()).or_insert_with(|| secret.clone());
        }
        let may_be_empty = |name: &str| name == "client_secret" || !SECRETS.contains(&name);
        self.secrets.retain(|name, secret| !secret.is_null() && (secret != "" || may_be_empty(name)));
    }

    /// Makes of this merge patch the registration that it changes `before` to (RFC 7396 §2). Of the
    /// secrets, only those that the patch names: [`Registration::inherit_secrets`] adds the others.
    pub fn patch(&mut self, before: &Self) {
        let patch = mem::replace(&mut self.fields, before.fields.clone());
        merge(&mut self.fields, patch);
    }

    /// The number of bytes as JSON.
    #[must_use]
    pub fn size(&self) -> usize {
        json::text(self).len()
    }

    /// The rows by which the index lists the connection called `id`, besides its id: one for each
    /// label. Labels are never a template's.
    #[must_use]
    pub fn label_rows(&self, id: &str) -> Vec<String> {
        let labels = self.fields.get("labels").and_then(Value::as_object).into_iter().flatten();
        labels.filter_map(|(name, value)| Some(label_row(name, value.as_str()?, id))).collect()
    }
}

/// Applies a merge patch to an object (RFC 7396 §2): null removes a member, an object changes the
/// members of one, and any other value takes the place of what was there.
fn merge(target: &mut Variables, patch: Variables) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.remove(&name);
            }
            Value::Object(patch) => {
                let below = target.entry(name).or_insert(Value::Null);
                if !below.is_object() {
                    *below = Value::Object(Variables::new());
                }
                if let Some(below) = below.as_object_mut() {
                    merge(below, patch);
                }
            }
            value @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => {
                target.insert(name, value);
            }
        }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("version", &self.version).finish_non_exhaustive()
    }
}
