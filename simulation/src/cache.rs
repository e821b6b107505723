//! A replicated cache that behaves as Workers KV is documented: each location serves what it has
//! read, misses included, for a minute; the last write wins.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use super::world::World;
use porteiro::ports::CacheFailed;
use porteiro::time::UnixTime;

/// How long a location may keep serving what it has read.
const STALE: Duration = Duration::from_mins(1);

/// The cache, across all locations.
pub struct Cache {
    world: World,
    records: RefCell<BTreeMap<String, Record>>,
    seen: RefCell<BTreeMap<(u32, String), Seen>>,
    /// How often a read or a write fails, per mille.
    pub failures: Cell<u64>,
    /// The number of reads.
    pub reads: Cell<u64>,
    /// The number of writes.
    pub writes: Cell<u64>,
}

#[derive(Clone)]
struct Record {
    text: String,
    expires_at: UnixTime,
}

struct Seen {
    record: Option<Record>,
    at: UnixTime,
}

impl Cache {
    /// An empty cache.
    pub fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            records: RefCell::default(),
            seen: RefCell::default(),
            failures: Cell::new(0),
            reads: Cell::new(0),
            writes: Cell::new(0),
        }
    }

    /// Reads from `location`.
    ///
    /// # Errors
    /// [`CacheFailed`], as often as [`failures`](Self::failures) has reads fail.
    pub async fn read(&self, location: u32, name: &str) -> Result<Option<String>, CacheFailed> {
        self.reads.set(self.reads.get() + 1);
        self.world.hop().await;
        if self.world.happens(self.failures.get()) {
            return Err(CacheFailed);
        }
        let now = self.world.now();
        let key = (location, name.to_owned());
        let mut seen = self.seen.borrow_mut();
        if seen.get(&key).is_none_or(|seen| now >= seen.at + STALE) {
            let record = self.records.borrow().get(name).cloned();
            seen.insert(key.clone(), Seen { record, at: now });
        }
        let record = seen[&key].record.as_ref().filter(|record| now < record.expires_at);
        Ok(record.map(|record| record.text.clone()))
    }

    /// Writes a record. A write that fails may still have taken effect.
    ///
    /// # Errors
    /// [`CacheFailed`], as often as [`failures`](Self::failures) has writes fail.
    pub async fn write(&self, name: &str, text: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        self.writes.set(self.writes.get() + 1);
        self.world.hop().await;
        let fails = self.world.happens(self.failures.get());
        if !fails || self.world.happens(500) {
            let shortest = self.world.now() + Duration::from_mins(1);
            let record = Record { text: text.to_owned(), expires_at: expires_at.max(shortest) };
            self.records.borrow_mut().insert(name.to_owned(), record);
        }
        self.world.hop().await;
        if fails { Err(CacheFailed) } else { Ok(()) }
    }

    /// Deletes a record. A deletion that fails may still have taken effect.
    ///
    /// # Errors
    /// [`CacheFailed`], as often as [`failures`](Self::failures) has writes fail.
    pub async fn delete(&self, name: &str) -> Result<(), CacheFailed> {
        self.world.hop().await;
        let fails = self.world.happens(self.failures.get());
        if !fails || self.world.happens(500) {
            self.records.borrow_mut().remove(name);
        }
        self.world.hop().await;
        if fails { Err(CacheFailed) } else { Ok(()) }
    }

    /// The names and texts of all records.
    pub fn dump(&self) -> Vec<(String, String)> {
        self.records.borrow().iter().map(|(name, record)| (name.clone(), record.text.clone())).collect()
    }

    /// Replaces the text of every record.
    pub fn overwrite(&self, text: &str) {
        for record in self.records.borrow_mut().values_mut() {
            text.clone_into(&mut record.text);
        }
    }
}
