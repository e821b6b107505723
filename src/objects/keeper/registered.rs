//! The registration of a connection, as loaded by its keeper.

use crate::config::{Configured, Registered};

/// The registration of a connection, as loaded by its keeper.
#[derive(Default)]
pub enum KnownRegistration {
    /// Not read yet.
    #[default]
    Unread,
    /// The registration, if the connection is registered; broken where this configuration cannot
    /// use it.
    Read(Option<Configured<Registered>>),
}

impl KnownRegistration {
    /// The registration, if usable.
    pub fn usable(&self) -> Option<&Registered> {
        match self {
            Self::Read(Some(registered)) => registered.usable(),
            Self::Read(None) | Self::Unread => None,
        }
    }
}
