//! A message in wire form, and the object it is addressed to.

use super::{
    ConnectService, DeliveriesAsk, ExchangedAsk, IndexAsk, OneTimeAsk, OperatorAsk, PeopleAsk, QuotaAsk,
    RefusalsAsk, SessionAsk, TokenAsk,
};
use crate::json::variants;

/// A message in wire form: the object it is addressed to, and the ask.
#[derive(Clone, Debug)]
pub enum Envelope {
    /// To the keeper of a connection's own token set.
    Service {
        /// The connection.
        connection: String,
        /// The ask.
        ask: TokenAsk,
    },
    /// To the same keeper, from an operator.
    Operator {
        /// The connection.
        connection: String,
        /// The ask.
        ask: OperatorAsk,
    },
    /// To the index of registered connections.
    Index {
        /// The ask.
        ask: IndexAsk,
    },
    /// To a session.
    Session {
        /// The name of its object.
        name: String,
        /// The ask.
        ask: SessionAsk,
    },
    /// To a counter of refused sign-ins.
    Refusals {
        /// The ask.
        ask: RefusalsAsk,
    },
    /// To the delivery queue of a connection's webhooks.
    Deliveries {
        /// The connection.
        connection: String,
        /// The ask.
        ask: DeliveriesAsk,
    },
    /// To the object of a caller's exchanged token set.
    Exchanged {
        /// The connection.
        connection: String,
        /// The name of the object.
        name: String,
        /// The ask.
        ask: ExchangedAsk,
    },
    /// To the same keeper, with a consent.
    Consent {
        /// The connection.
        connection: String,
        /// The ask.
        ask: ConnectService,
    },
    /// To a one-time record.
    OneTime {
        /// The name of the object.
        name: String,
        /// The ask.
        ask: OneTimeAsk,
    },
    /// To the index of one person's sessions.
    People {
        /// The name of the object.
        name: String,
        /// The ask.
        ask: PeopleAsk,
    },
    /// To the same keeper, about requests to the upstream.
    Quota {
        /// The connection.
        connection: String,
        /// The ask.
        ask: QuotaAsk,
    },
}

variants!(Envelope {
    Service { connection, ask },
    Operator { connection, ask },
    Index { ask },
    Session { name, ask },
    Refusals { ask },
    Deliveries { connection, ask },
    Exchanged { connection, name, ask },
    Consent { connection, ask },
    OneTime { name, ask },
    People { name, ask },
    Quota { connection, ask },
});

/// The kind and name of an object, fixed for its life. An object that uses the alarm stores them,
/// since an alarm event does not carry them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ObjectKind {
    /// The keeper of this connection's own token set.
    Service(String),
    /// The session of this name.
    Session(String),
    /// A counter of refused sign-ins.
    Refusals,
    /// The delivery queue of this connection's webhooks.
    Deliveries(String),
    /// The index of registered connections.
    Index,
    /// The exchanged token set of one caller.
    Exchanged {
        /// The connection.
        connection: String,
        /// The name of the object.
        name: String,
    },
    /// The one-time record of this name.
    OneTime(String),
    /// The index of one person's sessions, of this name.
    People(String),
}

variants!(ObjectKind {
    Service(_),
    Session(_),
    Refusals,
    Deliveries(_),
    Index,
    Exchanged { connection, name },
    OneTime(_),
    People(_),
});

impl Envelope {
    /// The object that the message is addressed to.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::Service { connection, .. }
            | Self::Operator { connection, .. }
            | Self::Consent { connection, .. }
            | Self::Quota { connection, .. } => ObjectKind::Service(connection.clone()),
            Self::Index { .. } => ObjectKind::Index,
            Self::Session { name, .. } => ObjectKind::Session(name.clone()),
            Self::Refusals { .. } => ObjectKind::Refusals,
            Self::Deliveries { connection, .. } => ObjectKind::Deliveries(connection.clone()),
            Self::Exchanged { connection, name, .. } => {
                ObjectKind::Exchanged { connection: connection.clone(), name: name.clone() }
            }
            Self::OneTime { name, .. } => ObjectKind::OneTime(name.clone()),
            Self::People { name, .. } => ObjectKind::People(name.clone()),
        }
    }
}
