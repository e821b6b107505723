//! The index of one person's sessions, by which a provider or an operator ends them.
//!
//! It is a Durable Object, one for each connection and subject, and one for each session at the
//! provider. Its name is a keyed digest. A session is listed before it is stored; one that is listed
//! and does not exist is none of the person's. A consent whose code was sent before the person's
//! sessions were last to end is not listed, and its session takes nothing.

use std::rc::Rc;
use std::time::Duration;

use super::lock::{Lock, Rank};
use crate::json::{self, NotJson};
use crate::ports::{ObjectPorts, StorageFailed, report};
use crate::protocol::{PeopleAsk, PeopleRecord, PeopleReply};
use crate::time::UnixTime;

/// The storage key of the index.
const SESSIONS: &str = "sessions";

/// How long it is known that the sessions were to end: longer than the exchange of a code takes.
const MEMORY: Duration = Duration::from_mins(10);

/// The largest number of sessions that are listed: the oldest give way.
const MOST: usize = 500;

/// The index of one person's sessions.
#[allow(missing_debug_implementations, reason = "the ports have no Debug")]
pub struct People<P> {
    ports: Rc<P>,
    /// Held while the index is read and written.
    listing: Lock,
}

impl<P: ObjectPorts> People<P> {
    /// The index over the storage in `ports`.
    #[must_use]
    pub const fn new(ports: Rc<P>) -> Self {
        Self { ports, listing: Lock::new(Rank::ListingPeople) }
    }

    /// Answers one ask.
    pub async fn answer(&self, ask: &PeopleAsk) -> PeopleReply {
        let _guard = self.listing.lock().await;
        let answered = match ask {
            PeopleAsk::Add { session, ends_at, since } => self.add(session, *ends_at, *since).await,
            PeopleAsk::Remove { session } => self.remove(session).await,
            PeopleAsk::List => self.list().await,
        };
        answered.unwrap_or_else(|StorageFailed| {
            report::storage_failed(&*self.ports, "people");
            PeopleReply::Unavailable
        })
    }

    async fn add(
        &self,
        session: &str,
        ends_at: UnixTime,
        since: UnixTime,
    ) -> Result<PeopleReply, StorageFailed> {
        let mut record = self.read().await?;
        if record.ended_at.is_some_and(|ended_at| since <= ended_at) {
            return Ok(PeopleReply::Ended);
        }
        record.sessions.retain(|(known, _)| known != session);
        record.sessions.push((session.to_owned(), ends_at));
        let excess = record.sessions.len().saturating_sub(MOST);
        record.sessions.drain(..excess);
        self.store(record).await
    }

    async fn remove(&self, session: &str) -> Result<PeopleReply, StorageFailed> {
        let mut record = self.read().await?;
        record.sessions.retain(|(known, _)| known != session);
        self.store(record).await
    }

    async fn list(&self) -> Result<PeopleReply, StorageFailed> {
        let mut record = self.read().await?;
        let sessions = record.sessions.clone();
        record.ended_at = Some(self.ports.now());
        self.store(record).await?;
        Ok(PeopleReply::Sessions(sessions.into_iter().map(|(name, _)| name).collect()))
    }

    /// Removes the sessions that have ended.
    ///
    /// # Errors
    /// [`StorageFailed`]: the platform retries the alarm.
    pub async fn alarm(&self) -> Result<(), StorageFailed> {
        let _guard = self.listing.lock().await;
        let record = self.read().await?;
        self.store(record).await.map(drop)
    }

    /// Stores the index without the sessions that have ended; an empty one is deleted.
    async fn store(&self, mut record: PeopleRecord) -> Result<PeopleReply, StorageFailed> {
        let now = self.ports.now();
        record.sessions.retain(|(_, ends_at)| now < *ends_at);
        record.ended_at = record.ended_at.filter(|ended_at| now < *ended_at + MEMORY);
        let ends = record.sessions.iter().map(|(_, ends_at)| *ends_at);
        let Some(ends_at) = ends.chain(record.ended_at.map(|ended_at| ended_at + MEMORY)).min() else {
            self.ports.clear().await?;
            return Ok(PeopleReply::Done);
        };
        // Set the alarm before anything is stored, so that it is deleted eventually.
        self.ports.set_alarm(ends_at).await?;
        self.ports.put(SESSIONS, &json::text(&record)).await?;
        Ok(PeopleReply::Done)
    }

    async fn read(&self) -> Result<PeopleRecord, StorageFailed> {
        let stored = self.ports.get(SESSIONS).await?;
        let record =
            stored.map(|text| json::read(text.as_bytes()).map_err(|NotJson| StorageFailed)).transpose()?;
        Ok(record.unwrap_or_default())
    }
}
