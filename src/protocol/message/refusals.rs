//! Messages to a counter of refused sign-ins.

use super::message;
use crate::protocol::envelope::Envelope;
use crate::protocol::refusals::{RefusalsAsk, RefusalsReply};

/// Whether a counter admits a sign-in attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Admission {
    /// The attempt is admitted, under this number.
    Begun(u64),
    /// As [`RefusalsReply::Busy`].
    Busy(u64),
    /// As [`RefusalsReply::Full`].
    Full(u64),
}

/// Asks a counter to admit an attempt.
#[derive(Debug)]
pub struct BeginAttempt<'a> {
    /// The name of the counter's object.
    pub counter: &'a str,
    /// The part of the counter that the attempt belongs to; 0 in an undivided counter.
    pub part: u64,
}

message! {
    BeginAttempt<'_>: RefusalsReply => Admission,
    |self| self.counter.to_owned(),
    Envelope::Refusals { ask: RefusalsAsk::Begin { part: self.part } },
    {
        RefusalsReply::Begun(number) => Admission::Begun(number),
        RefusalsReply::Busy(seconds) => Admission::Busy(seconds),
        RefusalsReply::Full(seconds) => Admission::Full(seconds),
    }
}

/// Reports the outcome of an attempt to its counter.
#[derive(Debug)]
pub struct EndAttempt<'a> {
    /// The name of the counter's object.
    pub counter: &'a str,
    /// The number of the attempt.
    pub attempt: u64,
    /// Whether the provider refused the attempt.
    pub refused: bool,
}

message! {
    EndAttempt<'_>: RefusalsReply => (),
    |self| self.counter.to_owned(),
    Envelope::Refusals { ask: RefusalsAsk::End { attempt: self.attempt, refused: self.refused } },
    {
        RefusalsReply::Noted => (),
    }
}
