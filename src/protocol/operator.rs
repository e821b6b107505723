//! What an operator asks of a keeper, and what it answers.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Cause;
use crate::config::Connection;

/// What an operator asks of a keeper.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OperatorAsk {
    /// How the connection is.
    Tell,
    /// To obtain a token set now, whatever is waited out.
    Refresh,
    /// To drop the token set.
    Drop,
    /// The registration, sealed, where the connection is registered.
    Registration,
    /// To register the connection, as this sealed record has it.
    Register(String),
    /// To forget the connection and all that belongs to it.
    Remove,
}

/// What a keeper answers an operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OperatorReply {
    /// How the connection is.
    Told {
        /// In an operator's words.
        status: Status,
        /// Whether it takes webhooks.
        takes_webhooks: bool,
        /// The newest generation of its tokens; 0 where there was none.
        generation: u64,
    },
    /// No token set could be obtained.
    Failed {
        /// Why.
        cause: Cause,
        /// When to come again, in seconds.
        retry_after: u64,
    },
    /// The token set is gone; its token was of this generation, or an older one.
    Dropped(u64),
    /// The sealed registration, where there is one.
    Registration(Option<String>),
    /// The connection is registered.
    Registered {
        /// Whether it is new.
        is_new: bool,
    },
    /// It is not registered: these fields are wrong.
    Problems(Vec<(String, String)>),
    /// It is forgotten.
    Removed,
    /// There is no such connection.
    Unknown,
    /// It cannot be used as it is registered.
    Misconfigured,
    /// There is nothing to obtain or drop: each person has a token set of their
    /// own. Or it is configured, and cannot be registered or removed.
    NothingToDo,
    /// The keeper's storage, seal or cache failed.
    Unavailable,
}

/// How a connection is, as an operator is told: the members `provider`, `grant`,
/// `subject`, `state`, `obtained_at`, `expires_at`, `grants`, `last_error`,
/// `retry_at` and `sealing_key`.
pub type Status = serde_json::Map<String, Value>;

/// The status of a connection that has no token set, or not of its own.
#[must_use]
pub fn status_without_token(connection: Option<&Connection>, state: &str) -> Status {
    let provider = connection.map(|connection| connection.provider.as_str());
    let grant = connection.map(|connection| connection.grant.name());
    let subject = |connection: &Connection| if connection.grant.is_for_people() { "user" } else { "service" };
    [
        ("provider", json!(provider)),
        ("grant", json!(grant)),
        ("subject", json!(connection.map(subject))),
        ("state", json!(state)),
        ("obtained_at", Value::Null),
        ("expires_at", Value::Null),
        ("grants", json!(0)),
        ("last_error", Value::Null),
        ("retry_at", Value::Null),
        ("sealing_key", Value::Null),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}
