//! The registration of a connection, as loaded by its keeper.

use crate::config::Registered;

/// The fields that are wrong, each with a message.
pub type FieldProblems = Vec<(String, String)>;

/// The registration of a connection, as loaded by its keeper.
#[derive(Default)]
pub enum KnownRegistration {
    /// Not read yet.
    #[default]
    Unread,
    /// The registration, if the connection is registered; its problems where this configuration
    /// cannot use it.
    Read(Option<Result<Registered, FieldProblems>>),
}

impl KnownRegistration {
    /// The registration, if usable.
    pub fn usable(&self) -> Option<&Registered> {
        match self {
            Self::Read(Some(registered)) => registered.as_ref().ok(),
            Self::Read(None) | Self::Unread => None,
        }
    }

    /// The problems of a registration that is unusable.
    pub fn problems(&self) -> &[(String, String)] {
        match self {
            Self::Read(Some(Err(problems))) => problems,
            Self::Read(_) | Self::Unread => &[],
        }
    }
}
