//! What goes wrong with a token request.

use std::time::Duration;

use super::Provider;

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

impl Provider {
    /// A fault, as often as there are to be any.
    pub(super) fn draw_fault(&self) -> Option<Fault> {
        if self.world.happens(self.slow.get()) {
            return Some(Fault::Slow(Duration::from_millis(self.world.below(8_000))));
        }
        if !self.world.happens(self.chaos.get()) {
            return None;
        }
        Some(match self.world.below(if self.harmless.get() { 5 } else { 8 }) {
            0 => Fault::Answer { status: 503, body: "", retry_after: Some("2") },
            1 => Fault::Answer { status: 429, body: "", retry_after: None },
            2 => Fault::Answer { status: 200, body: "<html>", retry_after: None },
            3 => Fault::Reset(Effect::None),
            // A sign-in that is answered with 404 counts as refused.
            4 if self.passwords.borrow().is_empty() => {
                Fault::Answer { status: 404, body: "not here", retry_after: None }
            }
            4 => Fault::Answer { status: 408, body: "too late", retry_after: None },
            5 => Fault::Reset(Effect::Taken),
            6 => Fault::Slow(Duration::from_secs(20)),
            _ => Fault::Answer { status: 500, body: "<html>", retry_after: None },
        })
    }
}
