//! The deletion of a caller's exchanged token set, at a known time.

use super::{Failure, LiveTokenSet, State};
use crate::ports::{ObjectPorts, StorageFailed, report};

impl<P: ObjectPorts> LiveTokenSet<P> {
    /// Sets the alarm for the end of `state`, which is about to be stored: nothing is stored without
    /// it. Other token sets than a caller's have no end.
    pub(super) async fn set_end(&self, state: &State) -> Result<(), Failure> {
        let Some(ending) = &self.ending else { return Ok(()) };
        let ends_at = state.ends_at(self.ports.now());
        if ending.alarm_at.get() != Some(ends_at) {
            // Unknown until it is set.
            ending.alarm_at.set(None);
            self.ports.set_alarm(ends_at).await?;
            ending.alarm_at.set(Some(ends_at));
        }
        Ok(())
    }

    /// Handles the alarm: deletes the stored token set. The alarm is set anew with every write, so
    /// it is due only at the end of what was written last.
    ///
    /// # Errors
    /// [`StorageFailed`]: the platform retries the alarm.
    pub async fn end(&self) -> Result<(), StorageFailed> {
        let Some(ending) = &self.ending else { return Ok(()) };
        // A token request or a write in progress may have set another end.
        let _renewals = self.stop_renewals().await;
        let _writes = self.stop_writes().await;
        if let Some(ends_at) = ending.alarm_at.get().filter(|at| self.ports.now() < *at) {
            return self.ports.set_alarm(ends_at).await;
        }
        ending.alarm_at.set(None);
        let cleared = self.ports.clear().await;
        if cleared.is_ok() {
            // In a state that was not read there is nothing to drop.
            let _ = self.change(State::drop_token_set);
        } else {
            report::storage_failed(&*self.ports, &self.record_name());
            self.state.replace(None);
        }
        cleared
    }
}
