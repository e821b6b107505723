//! Records that are used once: flows, links, tickets, and the ids of logout tokens.
//!
//! Each is a Durable Object of its own, whose name is a digest of a secret that its user holds. The
//! record is sealed by isolates: the object cannot read it.
//!
//! Invariants:
//! - a record is handed out by at most one take, also where the answer is lost;
//! - a name stays used until the record's end, and the record is deleted then.

use std::cell::Cell;
use std::rc::Rc;

use super::lock::{Lock, Rank};
use crate::json::{self, NotJson};
use crate::ports::{ObjectPorts, StorageFailed, report};
use crate::protocol::{OneTimeAsk, OneTimeRecord, OneTimeReply};
use crate::secret::Fingerprint;

/// The storage key of the record.
const RECORD: &str = "record";

/// One one-time record.
#[allow(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct OneTime<P> {
    ports: Rc<P>,
    /// Held while the record is read and written.
    using: Lock,
    /// Whether a take was begun: if storage fails, the record may or may not be used up.
    is_taken: Cell<bool>,
}

impl<P: ObjectPorts> OneTime<P> {
    /// The record in the storage of `ports`.
    #[must_use]
    pub const fn new(ports: Rc<P>) -> Self {
        Self { ports, using: Lock::new(Rank::UsingOnce), is_taken: Cell::new(false) }
    }

    /// Answers one ask.
    pub async fn answer(&self, ask: &OneTimeAsk) -> OneTimeReply {
        let _guard = self.using.lock().await;
        let answered = match ask {
            OneTimeAsk::Keep { record, proof, ends_at } => {
                let record = OneTimeRecord { record: Some(record.clone()), proof: *proof, ends_at: *ends_at };
                self.keep(&record).await
            }
            OneTimeAsk::Read { proof } => self.find(*proof, false).await,
            OneTimeAsk::Take { proof } => self.find(*proof, true).await,
        };
        answered.unwrap_or_else(|StorageFailed| {
            report::storage_failed(&*self.ports, "one-time");
            OneTimeReply::Unavailable
        })
    }

    /// Deletes the record at its end.
    ///
    /// # Errors
    /// [`StorageFailed`]: the platform retries the alarm.
    pub async fn alarm(&self) -> Result<(), StorageFailed> {
        let _guard = self.using.lock().await;
        match self.read().await? {
            Some(record) if self.ports.now() < record.ends_at => self.ports.set_alarm(record.ends_at).await,
            _ => self.ports.clear().await,
        }
    }

    async fn keep(&self, record: &OneTimeRecord) -> Result<OneTimeReply, StorageFailed> {
        if self.read().await?.is_some() {
            return Ok(OneTimeReply::Known);
        }
        // Set the alarm before anything is stored, so that it is deleted eventually.
        self.ports.set_alarm(record.ends_at).await?;
        self.ports.put(RECORD, &json::text(record)).await?;
        Ok(OneTimeReply::Kept)
    }

    async fn find(&self, proof: Fingerprint, takes: bool) -> Result<OneTimeReply, StorageFailed> {
        let found = self.read().await?.filter(|record| self.ports.now() < record.ends_at);
        let Some(mut kept) = found.filter(|_| !self.is_taken.get()) else { return Ok(OneTimeReply::Absent) };
        let Some(record) = kept.record.take() else { return Ok(OneTimeReply::Absent) };
        if kept.proof != proof {
            return Ok(OneTimeReply::WrongProof);
        }
        if takes {
            self.is_taken.set(true);
            self.ports.put(RECORD, &json::text(&kept)).await?;
        }
        Ok(OneTimeReply::Found(record))
    }

    async fn read(&self) -> Result<Option<OneTimeRecord>, StorageFailed> {
        let stored = self.ports.get(RECORD).await?;
        stored.map(|text| json::read(text.as_bytes()).map_err(|NotJson| StorageFailed)).transpose()
    }
}
