//! Messages to a one-time record.

use super::message;
use crate::protocol::envelope::Envelope;
use crate::protocol::one_time::{OneTimeAsk, OneTimeReply};
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// Keeps a record until it is taken; the reply is false where the name was used before.
#[derive(Debug)]
pub struct KeepOnce<'a> {
    /// The name of the object.
    pub name: &'a str,
    /// The record, sealed for the object.
    pub record: String,
    /// What whoever reads or takes it has to prove.
    pub proof: Fingerprint,
    /// When the record ends.
    pub ends_at: UnixTime,
}

message! {
    KeepOnce<'_>: OneTimeReply => bool,
    |self| self.name.to_owned(),
    Envelope::OneTime {
        name: self.name.to_owned(),
        ask: OneTimeAsk::Keep { record: self.record, proof: self.proof, ends_at: self.ends_at },
    },
    { OneTimeReply::Kept => true, OneTimeReply::Known => false }
}

/// What there is of a one-time record.
#[derive(Debug, PartialEq, Eq)]
pub enum OneTimeFound {
    /// The sealed record.
    Record(String),
    /// The record is there, and the proof is another one.
    WrongProof,
    /// There is no record: it is unknown, it was taken, or it has ended.
    Absent,
}

/// Reads a record, and with `takes` uses it up.
#[derive(Debug)]
pub struct ReadOnce<'a> {
    /// The name of the object.
    pub name: &'a str,
    /// The proof.
    pub proof: Fingerprint,
    /// Whether the record is used up.
    pub takes: bool,
}

message! {
    ReadOnce<'_>: OneTimeReply => OneTimeFound,
    |self| self.name.to_owned(),
    Envelope::OneTime {
        name: self.name.to_owned(),
        ask: if self.takes {
            OneTimeAsk::Take { proof: self.proof }
        } else {
            OneTimeAsk::Read { proof: self.proof }
        },
    },
    {
        OneTimeReply::Found(record) => OneTimeFound::Record(record),
        OneTimeReply::WrongProof => OneTimeFound::WrongProof,
        OneTimeReply::Absent => OneTimeFound::Absent,
    }
}
