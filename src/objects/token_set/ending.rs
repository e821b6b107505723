//! The end of a caller's exchanged token set.

use std::cell::Cell;

use crate::time::UnixTime;

/// The end of a token set, as this instance last set the alarm for it.
#[derive(Default)]
pub(super) struct Ending {
    pub(super) alarm_at: Cell<Option<UnixTime>>,
}
