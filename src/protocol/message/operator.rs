//! An operator's messages to a keeper.

use super::message;
use super::token::service_object;
use crate::protocol::envelope::Envelope;
use crate::protocol::operator::{OperatorAsk, OperatorReply, Status};
use crate::protocol::token::Cause;

/// A connection's status, and what the admin interface needs besides.
#[derive(Debug)]
pub struct ConnectionStatus {
    /// The status as the admin interface shows it.
    pub status: Status,
    /// Whether the connection takes webhooks.
    pub takes_webhooks: bool,
    /// The newest generation of the connection's tokens; 0 before the first.
    pub generation: u64,
}

/// Why a keeper declined an operator's ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Declined {
    /// As [`OperatorReply::Unknown`].
    Unknown,
    /// As [`OperatorReply::Misconfigured`].
    Misconfigured,
    /// As [`OperatorReply::NothingToDo`].
    NothingToDo,
    /// As [`OperatorReply::Failed`].
    Failed {
        /// The cause.
        cause: Cause,
        /// Seconds until the next attempt.
        retry_after: u64,
    },
}

impl OperatorReply {
    const fn declined(&self) -> Option<Declined> {
        match *self {
            Self::Unknown => Some(Declined::Unknown),
            Self::Misconfigured => Some(Declined::Misconfigured),
            Self::NothingToDo => Some(Declined::NothingToDo),
            Self::Failed { cause, retry_after } => Some(Declined::Failed { cause, retry_after }),
            Self::Told { .. }
            | Self::Dropped(_)
            | Self::Registration(_)
            | Self::Registered { .. }
            | Self::Problems(_)
            | Self::Removed
            | Self::Unavailable => None,
        }
    }
}

/// Asks for the status of a connection.
#[derive(Debug)]
pub struct ReadStatus<'a>(pub &'a str);

message! {
    ReadStatus<'_>: OperatorReply => Result<ConnectionStatus, Declined>,
    |self| service_object(self.0),
    Envelope::Operator { connection: self.0.to_owned(), ask: OperatorAsk::Tell },
    {
        OperatorReply::Told { status, takes_webhooks, generation } => {
            Ok(ConnectionStatus { status, takes_webhooks, generation })
        }
    } else |other| other.declined().map(Err)
}

/// Has a token set obtained now, regardless of any wait.
#[derive(Debug)]
pub struct ObtainTokenSet<'a>(pub &'a str);

message! {
    ObtainTokenSet<'_>: OperatorReply => Result<ConnectionStatus, Declined>,
    |self| service_object(self.0),
    Envelope::Operator { connection: self.0.to_owned(), ask: OperatorAsk::Refresh },
    {
        OperatorReply::Told { status, takes_webhooks, generation } => {
            Ok(ConnectionStatus { status, takes_webhooks, generation })
        }
    } else |other| other.declined().map(Err)
}

/// Has the token set dropped; the reply is the newest generation it can have had.
#[derive(Debug)]
pub struct DropTokenSet<'a>(pub &'a str);

message! {
    DropTokenSet<'_>: OperatorReply => Result<u64, Declined>,
    |self| service_object(self.0),
    Envelope::Operator { connection: self.0.to_owned(), ask: OperatorAsk::Drop },
    {
        OperatorReply::Dropped(generation) => Ok(generation),
    } else |other| other.declined().map(Err)
}

/// Asks for the sealed registration of a connection; the reply is `None` where it is not
/// registered.
#[derive(Debug)]
pub struct ReadRegistration<'a>(pub &'a str);

message! {
    ReadRegistration<'_>: OperatorReply => Option<String>,
    |self| service_object(self.0),
    Envelope::Operator { connection: self.0.to_owned(), ask: OperatorAsk::Registration },
    {
        OperatorReply::Registration(record) => record,
    }
}

/// The outcome of a registration.
#[derive(Debug)]
pub enum RegistrationOutcome {
    /// The connection is registered.
    Done {
        /// Whether the connection was unknown before.
        is_new: bool,
    },
    /// The connection is not registered: these fields are wrong, each with a message.
    Problems(Vec<(String, String)>),
}

/// Registers a connection from a sealed record, or changes its registration.
#[derive(Debug)]
pub struct RegisterConnection<'a> {
    /// The connection.
    pub connection: &'a str,
    /// The sealed record.
    pub record: String,
    /// Whether the record is a merge patch of the registration.
    pub is_patch: bool,
}

message! {
    RegisterConnection<'_>: OperatorReply => Result<RegistrationOutcome, Declined>,
    |self| service_object(self.connection),
    Envelope::Operator {
        connection: self.connection.to_owned(),
        ask: if self.is_patch { OperatorAsk::Patch(self.record) } else { OperatorAsk::Register(self.record) },
    },
    {
        OperatorReply::Registered { is_new } => Ok(RegistrationOutcome::Done { is_new }),
        OperatorReply::Problems(problems) => Ok(RegistrationOutcome::Problems(problems)),
    } else |other| other.declined().map(Err)
}

/// Removes a registered connection and all its data.
#[derive(Debug)]
pub struct RemoveConnection<'a>(pub &'a str);

message! {
    RemoveConnection<'_>: OperatorReply => Result<(), Declined>,
    |self| service_object(self.0),
    Envelope::Operator { connection: self.0.to_owned(), ask: OperatorAsk::Remove },
    {
        OperatorReply::Removed => Ok(()),
    } else |other| other.declined().map(Err)
}
