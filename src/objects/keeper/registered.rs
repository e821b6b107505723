//! The registration of a connection, as loaded by its keeper.

use serde_json::Value;

use crate::config::Registered;

/// The fields that are wrong, each with a message.
pub type FieldProblems = Vec<(String, String)>;

/// What is known of a registration that this configuration cannot use.
pub struct UnusableRegistration {
    pub problems: FieldProblems,
    /// The labels as registered, where it opens and has any.
    pub labels: Option<Value>,
}

/// The registration of a connection, as loaded by its keeper.
#[derive(Default)]
pub enum KnownRegistration {
    /// Not read yet.
    #[default]
    Unread,
    /// The registration, if the connection is registered.
    Read(Option<Result<Registered, UnusableRegistration>>),
}

impl KnownRegistration {
    /// The registration, if usable.
    pub fn usable(&self) -> Option<&Registered> {
        match self {
            Self::Read(Some(registered)) => registered.as_ref().ok(),
            Self::Read(None) | Self::Unread => None,
        }
    }

    /// The registration, if unusable.
    pub fn unusable(&self) -> Option<&UnusableRegistration> {
        match self {
            Self::Read(Some(Err(unusable))) => Some(unusable),
            Self::Read(_) | Self::Unread => None,
        }
    }
}
