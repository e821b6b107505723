//! How the record of an event changes.

use std::time::Duration;

use crate::protocol::{EventRecord, List};
use crate::time::UnixTime;

/// For how long the id of a delivered event is known.
const KNOWN: Duration = Duration::from_hours(7 * 24);

/// For how long an event is kept that could not be delivered.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Forgetting is done by the hour: not every event needs an alarm of its own.
const HOUR: u64 = 3_600_000;

impl EventRecord {
    /// Has an event delivered that had failed for good.
    pub(super) const fn send_again(&mut self, now: UnixTime) {
        (self.list, self.due, self.since, self.attempts) = (List::Pending, now, now, 0);
    }

    /// The event was delivered: all that stays is that it was.
    pub(super) fn delivered(&mut self, now: UnixTime) {
        (self.list, self.due) = (List::Delivered, by_the_hour(now + KNOWN));
        self.event = None;
    }

    /// The event is not tried any more.
    pub(super) fn failed(&mut self, now: UnixTime) {
        (self.list, self.due) = (List::Failed, by_the_hour(now + KEPT));
    }
}

const fn by_the_hour(at: UnixTime) -> UnixTime {
    UnixTime::from_millis(at.as_millis().div_ceil(HOUR) * HOUR)
}
