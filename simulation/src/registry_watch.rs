//! The invariants of the registry, checked during the run: of the index, and of the registrations
//! in the keepers.
//!
//! The watch derives which connections are registered and listed from what is durable.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use porteiro::time::UnixTime;

/// How long isolates may use a connection after its removal: a minute for the cache's copy in their
/// location, and a minute for the copy in memory.
const LAG: Duration = Duration::from_mins(2);

/// The longest duration of a write.
const WRITING: Duration = Duration::from_secs(1);

/// How long messages may still be answered after their sender ended.
const AFTERMATH: Duration = Duration::from_secs(30);

/// The watch's record of the run, and the first invariant that was broken.
#[derive(Default)]
pub struct RegistryWatch {
    seen: RefCell<BTreeMap<String, Known>>,
    broken: RefCell<Option<String>>,
}

/// What the watch knows of the connections of one id.
#[derive(Default)]
struct Known {
    registered: Span,
    listed: Span,
    /// The newest registered version.
    version: u64,
    requests: Vec<Request>,
    /// When the index was last asked to add the id: until that is durable, the id may be read, and
    /// lost with the index.
    added_at: Option<UnixTime>,
}

/// Since when a state holds, or until when it held.
#[derive(Clone, Copy, Default)]
struct Span {
    since: Option<UnixTime>,
    until: Option<UnixTime>,
}

impl Span {
    fn begin(&mut self, now: UnixTime) {
        self.since.get_or_insert(now);
    }

    fn end(&mut self, now: UnixTime) {
        if self.since.take().is_some() {
            self.until = Some(now);
        }
    }

    const fn is(&self) -> bool {
        self.since.is_some()
    }

    /// Whether the state holds, and held at `at`.
    fn is_since(&self, at: UnixTime) -> bool {
        self.since.is_some_and(|since| since <= at)
    }

    /// Whether the state holds, or held at `at` or later.
    fn was_after(&self, at: UnixTime) -> bool {
        self.is() || self.until.is_some_and(|until| until >= at)
    }
}

/// The changes that an operator requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// A connection is registered, or its registration replaced.
    Register,
    /// A connection is removed.
    Remove,
}

/// An operator's request.
struct Request {
    change: Change,
    begun_at: UnixTime,
    /// When the request ended: the latest time at which its messages may take effect.
    ended_at: Option<UnixTime>,
}

impl Request {
    fn was_under_way(&self, since: UnixTime) -> bool {
        self.ended_at.is_none_or(|at| at >= since)
    }
}

impl Change {
    const fn opposite(self) -> Self {
        match self {
            Self::Register => Self::Remove,
            Self::Remove => Self::Register,
        }
    }
}

impl Known {
    /// Whether a request for `change` is in flight, or was at `since` or later.
    fn was_under_way(&self, change: Change, since: UnixTime) -> bool {
        self.requests.iter().any(|request| request.change == change && request.was_under_way(since))
    }

    /// Whether the connection has been registered and listed since `since`, with no request in
    /// flight that may undo it: a registration is confirmed only by its answer, and a removal that
    /// fails leaves the connection registered.
    fn is_steady(&self, since: UnixTime) -> bool {
        let registered_at = self.registered.since;
        let may_be_of = |request: &Request| {
            request.change == Change::Register
                && request.was_under_way(since)
                && Some(request.begun_at) <= registered_at
        };
        self.registered.is_since(since)
            && self.listed.is_since(since)
            && !self.was_under_way(Change::Remove, since)
            && !self.requests.iter().any(may_be_of)
    }
}

impl RegistryWatch {
    /// The first invariant that was broken.
    pub fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    fn demand(&self, holds: bool, invariant: &str, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.borrow_mut().get_or_insert_with(|| format!("{invariant}: {}", what()));
        }
    }

    fn known<T>(&self, id: &str, see: impl FnOnce(&mut Known) -> T) -> T {
        see(self.seen.borrow_mut().entry(id.to_owned()).or_default())
    }

    /// Whether a connection of this id was registered at any time.
    pub fn knows(&self, id: &str) -> bool {
        self.seen.borrow().contains_key(id)
    }

    /// Called when a registration became durable.
    pub fn registered(&self, id: &str, version: u64, now: UnixTime) {
        self.known(id, |known| {
            let grows = !known.registered.is() || version >= known.version;
            self.demand(grows, "never-backwards", || format!("an older registration of {id} is stored"));
            self.demand(known.listed.is(), "listed-first", || format!("{id} is registered and not listed"));
            known.version = version;
            known.registered.begin(now);
        });
    }

    /// Called when the deletion of a registration became durable.
    pub fn removed(&self, id: &str, now: UnixTime) {
        self.known(id, |known| known.registered.end(now));
    }

    /// Called when the index adds `id`, not yet durably.
    pub fn added(&self, id: &str, now: UnixTime) {
        self.known(id, |known| known.added_at = Some(now));
    }

    /// Called when the index holds `id` durably.
    pub fn listed(&self, id: &str, now: UnixTime) {
        self.known(id, |known| known.listed.begin(now));
    }

    /// Called when the removal of `id` from the index became durable.
    pub fn unlisted(&self, id: &str, now: UnixTime) {
        self.known(id, |known| {
            let may_go = !known.registered.is();
            self.demand(may_go, "listed-while-registered", || format!("{id} is registered and taken out"));
            known.listed.end(now);
        });
    }

    /// Called when a call that began at `begun_at` is sent to the address of the connection `id`.
    pub fn served(&self, id: &str, begun_at: UnixTime) {
        let since = begun_at - LAG;
        self.known(id, |known| {
            let (was_registered, was_listed) =
                (known.registered.was_after(since), known.listed.was_after(since));
            self.demand(was_registered, "served-is-registered", || format!("{id} is served, and is none"));
            self.demand(was_listed, "served-is-listed", || format!("{id} is served and not listed"));
        });
    }

    /// Called when an operator's request to change `id` begins.
    pub fn change_begins(&self, id: &str, change: Change, now: UnixTime) {
        self.known(id, |known| known.requests.push(Request { change, begun_at: now, ended_at: None }));
    }

    /// Called when an operator's request to change `id`, begun at `begun_at`, ends; `done` says
    /// whether the answer confirmed the change.
    pub fn change_ends(
        &self,
        id: &str,
        change: Change,
        begun_at: UnixTime,
        done: Option<bool>,
        now: UnixTime,
    ) {
        self.known(id, |known| {
            let is_it = |request: &&mut Request| {
                request.change == change && request.begun_at == begun_at && request.ended_at.is_none()
            };
            let request = known.requests.iter_mut().find(is_it).expect("it began");
            request.ended_at = Some(if done.is_some() { now } else { now + AFTERMATH });
            if done != Some(true) || known.was_under_way(change.opposite(), begun_at) {
                return;
            }
            let is = (known.registered.is(), known.listed.is());
            let expected = change == Change::Register;
            self.demand(is == (expected, expected), "done-means-done", || {
                format!("{change:?} of {id} was answered, registered and listed: {is:?}")
            });
        });
    }

    /// Called when all ids that contain `part` were read, in pages, the first at `since`.
    pub fn read(&self, ids: &[String], part: &str, since: UnixTime) {
        let in_order = ids.windows(2).all(|pair| pair[0].as_bytes() < pair[1].as_bytes());
        self.demand(in_order, "in-order", || format!("the ids are not in their order, or twice: {ids:?}"));
        let own = ids.iter().all(|id| id.contains(part));
        self.demand(own, "what-was-asked-for", || format!("not every id contains {part}: {ids:?}"));
        let seen = self.seen.borrow();
        for id in ids {
            let was_listed = seen.get(id).is_some_and(|known| {
                known.listed.was_after(since) || known.added_at.is_some_and(|at| at + WRITING >= since)
            });
            self.demand(was_listed, "nothing-made-up", || format!("{id} is told, and is not listed"));
        }
        for (id, known) in seen.iter().filter(|(id, _)| id.contains(part)) {
            let is_told = !known.is_steady(since) || ids.contains(id);
            self.demand(is_told, "pages-lose-none", || format!("{id} is registered, and not told: {ids:?}"));
        }
    }

    /// The ids of the registered connections.
    pub fn all_registered(&self) -> Vec<String> {
        let seen = self.seen.borrow();
        seen.iter().filter(|(_, known)| known.registered.is()).map(|(id, _)| id.clone()).collect()
    }
}
