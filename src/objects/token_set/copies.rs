//! The copies of a connection's own access token.

use std::cell::Cell;
use std::rc::Rc;

use crate::objects::lock::{Lock, Rank};
use crate::time::UnixTime;

/// The state of the copy in the cache, and of the alarm.
pub(super) struct Copies {
    /// Held while the access token is written to the cache, or deleted there.
    pub publishing: Lock,
    /// When the access token was last copied into the cache again.
    pub published_again: Cell<Option<UnixTime>>,
    /// The generation for which this instance set the alarm.
    pub alarm_for: Cell<u64>,
    /// Whether the object has another purpose for the alarm, soon: no renewal sets it later than that.
    pub looks_again: Rc<Cell<bool>>,
}

impl Default for Copies {
    fn default() -> Self {
        Self {
            publishing: Lock::new(Rank::Publishing),
            published_again: Cell::new(None),
            alarm_for: Cell::new(0),
            looks_again: Rc::default(),
        }
    }
}
