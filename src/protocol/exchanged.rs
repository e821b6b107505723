//! The ask for the access token that a caller's own token is exchanged for.

use super::TokenAsk;
use crate::json::record;
use crate::secret::Secret;
use crate::time::UnixTime;
use crate::token::{Exposed, Nonce, SealError, SealingKeys, open, seal};

/// An ask for the access token of a caller, and what it can be obtained with.
#[derive(Clone, Debug)]
pub struct ExchangedAsk {
    /// The ask.
    pub ask: TokenAsk,
    /// The sealed [`SubjectToken`].
    pub subject_token: String,
}

record!(ExchangedAsk { ask, subject_token });

/// The token of a caller, by which they were authenticated: the subject token of an exchange
/// (RFC 8693 §2.1). It is never stored.
#[derive(Clone, Debug)]
pub struct SubjectToken {
    /// The token.
    pub token: Secret,
    /// When the token expires: `exp`.
    pub expires_at: UnixTime,
}

struct SubjectTokenRecord {
    token: Exposed,
    expires_at: UnixTime,
}

record!(SubjectTokenRecord { token, expires_at });

impl SubjectToken {
    /// Seals the token for the object called `object`.
    ///
    /// # Errors
    /// [`SealError`] where it cannot be sealed.
    pub fn seal(&self, object: &str, keys: &SealingKeys, nonce: &Nonce) -> Result<String, SealError> {
        let record = SubjectTokenRecord { token: Exposed(self.token.clone()), expires_at: self.expires_at };
        seal(&record, &record_name(object), keys, nonce)
    }

    /// Opens a token that was sealed for the object called `object`.
    ///
    /// # Errors
    /// [`SealError`] where it does not open.
    pub fn open(sealed: &str, object: &str, keys: &SealingKeys) -> Result<Self, SealError> {
        let record: SubjectTokenRecord = open(sealed, &record_name(object), keys)?;
        Ok(Self { token: record.token.0, expires_at: record.expires_at })
    }
}

fn record_name(object: &str) -> String {
    format!("subject-token/{object}")
}
