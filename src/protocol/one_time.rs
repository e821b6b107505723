//! Messages to a record that is used once, and their replies: a flow, a link, a ticket, or the id of
//! a logout token.

use crate::json::{record, variants};
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// What a one-time record is asked to do.
#[derive(Clone, Debug)]
pub enum OneTimeAsk {
    /// Keep a record until it is taken.
    Keep {
        /// The record, sealed for the object.
        record: String,
        /// What whoever reads or takes it has to prove.
        proof: Fingerprint,
        /// When the record ends.
        ends_at: UnixTime,
    },
    /// Read the record.
    Read {
        /// The proof.
        proof: Fingerprint,
    },
    /// Read the record, which nobody can from then on.
    Take {
        /// The proof.
        proof: Fingerprint,
    },
}

variants!(OneTimeAsk { Keep { record, proof, ends_at }, Read { proof }, Take { proof } });

/// The answer of a one-time record.
#[derive(Debug, PartialEq, Eq)]
pub enum OneTimeReply {
    /// The record is kept.
    Kept,
    /// The name was used before: nothing is kept.
    Known,
    /// The sealed record.
    Found(String),
    /// The record is there, and the proof is another one.
    WrongProof,
    /// There is no record: it is unknown, it was taken, or it has ended.
    Absent,
    /// The object's storage failed.
    Unavailable,
}

variants!(OneTimeReply { Kept, Known, Found(_), WrongProof, Absent, Unavailable });

/// The stored form of a one-time record.
#[derive(Clone, Debug)]
pub struct OneTimeRecord {
    /// The sealed record; `None` once it is taken.
    pub record: Option<String>,
    /// What whoever takes it has to prove.
    pub proof: Fingerprint,
    /// When it ends.
    pub ends_at: UnixTime,
}

record!(OneTimeRecord { record, proof, ends_at });

/// The name of the object of a one-time record of the kind `kind`: `flow`, `link` or `ticket`.
#[must_use]
pub fn one_time_name(kind: &str, secret: &str) -> String {
    format!("one-time/{}", Fingerprint::of(&[kind, secret]).to_hex())
}
