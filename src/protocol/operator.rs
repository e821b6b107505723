//! An operator's messages to a keeper, and their replies.

use serde_json::Value;

use super::Cause;
use crate::config::Connection;
use crate::json::variants;

/// What an operator asks a keeper to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OperatorAsk {
    /// The status of the connection.
    Tell,
    /// Obtain a token set now, regardless of any wait.
    Refresh,
    /// Drop the token set.
    Drop,
    /// Read the sealed registration.
    Registration,
    /// Register the connection from this sealed record.
    Register(String),
    /// Remove the connection and all its data.
    Remove,
    /// Change the registration by the merge patch in this sealed record.
    Patch(String),
}

variants!(OperatorAsk {
    Tell,
    Refresh,
    Drop,
    Registration,
    Register(_),
    Remove,
    Patch(_),
});

/// A keeper's answer to an operator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OperatorReply {
    /// The status of the connection.
    Told {
        /// The status as the admin interface shows it.
        status: Status,
        /// Whether the connection takes webhooks.
        takes_webhooks: bool,
        /// The newest generation of the connection's tokens; 0 before the first.
        generation: u64,
    },
    /// The token endpoint gave no token set.
    Failed {
        /// The cause.
        cause: Cause,
        /// Seconds until the next attempt.
        retry_after: u64,
    },
    /// The token set is dropped; this is the newest generation it can have had.
    Dropped(u64),
    /// The sealed registration; `None` where the connection is not registered.
    Registration(Option<String>),
    /// The connection is registered.
    Registered {
        /// Whether the connection was unknown before.
        is_new: bool,
    },
    /// The connection is not registered: these fields are wrong, each with a message.
    Problems(Vec<(String, String)>),
    /// The connection is removed.
    Removed,
    /// The keeper knows no such connection.
    Unknown,
    /// The registration is unusable under this configuration.
    Misconfigured,
    /// The ask does not apply: the connection's token sets belong to persons, or the connection is
    /// configured and cannot be registered or removed.
    NothingToDo,
    /// The keeper's storage, seal or cache failed.
    Unavailable,
}

variants!(OperatorReply {
    Told { status, takes_webhooks, generation },
    Failed { cause, retry_after },
    Dropped(_),
    Registration(_),
    Registered { is_new },
    Problems(_),
    Removed,
    Unknown,
    Misconfigured,
    NothingToDo,
    Unavailable,
});

/// The status of a connection in the admin interface, a JSON object with the members `provider`,
/// `grant`, `subject`, `labels`, `state`, `obtained_at`, `expires_at`, `grants`, `last_error`,
/// `retry_at` and `sealing_key`; and `problems`, as [`field_problems`] writes them, if it is
/// misconfigured. Members may be added: an isolate hands on those that it does not know.
pub type Status = serde_json::Map<String, Value>;

/// Fields that are wrong, each with a message, as the admin interface shows them.
#[must_use]
pub fn field_problems(problems: &[(String, String)]) -> Value {
    let problem = |(field, message): &(String, String)| -> Value {
        [("field", field.as_str()), ("message", message.as_str())].into_iter().collect()
    };
    problems.iter().map(problem).collect()
}

/// The status of a connection that has no token set of its own.
#[must_use]
pub fn status_without_token(connection: Option<&Connection>, state: &str) -> Status {
    let provider = connection.map(|connection| connection.provider.as_str());
    let grant = connection.map(|connection| connection.grant.name());
    let subject = |connection: &Connection| connection.grant.subject();
    let labels = connection.map(|connection| connection.labels.iter().cloned()).into_iter().flatten();
    [
        ("labels", labels.map(|(name, value)| (name, Value::String(value))).collect()),
        ("provider", provider.into()),
        ("grant", grant.into()),
        ("subject", connection.map(subject).into()),
        ("state", state.into()),
        ("obtained_at", Value::Null),
        ("expires_at", Value::Null),
        ("grants", 0.into()),
        ("last_error", Value::Null),
        ("retry_at", Value::Null),
        ("sealing_key", Value::Null),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}
