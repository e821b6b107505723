//! The changes of an event's record.

use std::time::Duration;

use crate::protocol::{EventRecord, List};
use crate::time::UnixTime;

/// How long the id of a delivered event is stored.
const ID_RETENTION: Duration = Duration::from_hours(7 * 24);

/// How long a failed event is stored.
const FAILED_RETENTION: Duration = Duration::from_hours(30 * 24);

/// Deletion times are rounded up to the hour, so that events share alarms.
const HOUR: u64 = 3_600_000;

impl EventRecord {
    /// Queues a failed event again, with a new series of attempts.
    pub(super) const fn requeue(&mut self, now: UnixTime) {
        (self.list, self.due, self.since, self.attempts) = (List::Pending, now, now, 0);
    }

    /// Marks the event as delivered and deletes its content.
    pub(super) fn mark_delivered(&mut self, now: UnixTime) {
        (self.list, self.due) = (List::Delivered, round_up_to_hour(now + ID_RETENTION));
        self.event = None;
    }

    /// Marks the event as failed for good.
    pub(super) fn mark_failed(&mut self, now: UnixTime) {
        (self.list, self.due) = (List::Failed, deleted_at(now));
    }
}

/// When an event is deleted that fails at `now`.
pub(super) fn deleted_at(now: UnixTime) -> UnixTime {
    round_up_to_hour(now + FAILED_RETENTION)
}

const fn round_up_to_hour(at: UnixTime) -> UnixTime {
    UnixTime::from_millis(at.as_millis().div_ceil(HOUR) * HOUR)
}
