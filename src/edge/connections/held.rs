//! The registered connections that an isolate holds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use crate::config::{Config, Configured, Connection, Webhook};
use crate::edge::bounded::Bounded;
use crate::time::UnixTime;

/// The largest number of connections that an isolate holds.
const MAX_ENTRIES: usize = 2_000;

/// How long a copy is used without a refresh.
const FRESH: Duration = Duration::from_secs(30);

/// How long a copy is used at most.
const USABLE: Duration = Duration::from_mins(1);

/// The least age of a copy that an unauthenticated request may have read again.
const REREAD_AGE: Duration = Duration::from_secs(1);

/// How many keepers an isolate asks per second for ids that the cache does not know: anyone can
/// name connections that do not exist.
const MAX_LOOKUPS: u32 = 200;

/// The connection that a request names.
#[derive(Clone, Debug)]
pub(in crate::edge) struct Found {
    pub id: Rc<str>,
    pub connection: Configured<Rc<Connection>>,
    /// The webhook of a registered connection, if it has one.
    pub webhook: Option<Configured<Rc<Webhook>>>,
    /// The version of the registration; `None` for a configured connection.
    pub version: Option<u64>,
}

impl Found {
    /// The connection's webhook, if it has one; a configured one is read only now.
    pub fn webhook<'f>(&'f self, config: &'f Config) -> Option<&'f Configured<Rc<Webhook>>> {
        self.webhook.as_ref().or_else(|| config.webhook(&self.id))
    }

    /// A registered connection that is unusable.
    pub fn unusable(id: &str, version: Option<u64>) -> Self {
        Self { id: id.into(), connection: Configured::Broken, webhook: Some(Configured::Broken), version }
    }
}

/// The registered connections that an isolate holds.
#[derive(Debug)]
pub(in crate::edge) struct HeldConnections {
    held: RefCell<Bounded<String, HeldConnection>>,
    /// The current second since the epoch, and the number of keepers asked in it.
    asks: Cell<(u64, u32)>,
}

#[derive(Debug)]
struct HeldConnection {
    found: Found,
    read_at: UnixTime,
    is_refreshing: bool,
}

impl Default for HeldConnections {
    fn default() -> Self {
        Self { held: RefCell::new(Bounded::new(MAX_ENTRIES)), asks: Cell::default() }
    }
}

impl HeldConnections {
    /// Drops the copy of `id`.
    pub fn forget(&self, id: &str) {
        self.held.borrow_mut().remove(id);
    }

    /// Records that the refresh of `id` has ended.
    pub fn end_refresh(&self, id: &str) {
        if let Some(entry) = self.held.borrow_mut().get_mut(id) {
            entry.is_refreshing = false;
        }
    }

    /// The copy of `id`, if usable at `now`, and whether the request has to refresh it in the
    /// background.
    pub fn held(&self, id: &str, now: UnixTime) -> Option<(Found, bool)> {
        let mut held = self.held.borrow_mut();
        let entry = held.get_mut(id).filter(|entry| now < entry.read_at + USABLE)?;
        let is_due = now >= entry.read_at + FRESH && !entry.is_refreshing;
        entry.is_refreshing |= is_due;
        Some((entry.found.clone(), is_due))
    }

    /// Holds `found`, unless a newer version is held; returns the newer of the two.
    pub fn hold(&self, found: Found, now: UnixTime) -> Found {
        let mut held = self.held.borrow_mut();
        let newer = held.get(&*found.id).filter(|entry| entry.found.version > found.version);
        let found = newer.map_or(found, |entry| entry.found.clone());
        let entry = HeldConnection { found: found.clone(), read_at: now, is_refreshing: false };
        held.insert(found.id.to_string(), entry, now + USABLE, now);
        found
    }

    /// Whether the copy of `id` is at least `REREAD_AGE` old.
    pub fn is_reread_due(&self, id: &str, now: UnixTime) -> bool {
        self.held.borrow().get(id).is_none_or(|entry| now >= entry.read_at + REREAD_AGE)
    }

    pub fn admit_lookup(&self, now: UnixTime) -> bool {
        let second = now.as_millis() / 1_000;
        let (asked_in, asks) = self.asks.get();
        let asks = if asked_in == second { asks + 1 } else { 1 };
        self.asks.set((second, asks));
        asks <= MAX_LOOKUPS
    }
}
