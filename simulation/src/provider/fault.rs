//! What goes wrong with a token request.

use std::time::Duration;

/// A fault in one token request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The provider gives another answer, without effect.
    Answer {
        /// The status.
        status: u16,
        /// The body.
        body: &'static str,
        /// The value of `Retry-After`, if sent.
        retry_after: Option<&'static str>,
    },
    /// The connection breaks, before or after the request takes effect.
    Reset(Effect),
    /// The provider delays its answer by this long.
    Slow(Duration),
}

/// Whether a request took effect before its connection broke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The request had no effect.
    None,
    /// The request took effect.
    Taken,
}
