//! The invariants of the registry, checked as things happen: of the index, and
//! of the registrations that keepers hold.
//!
//! What is registered and what is listed is known here from what is durable.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use porteiro::time::UnixTime;

/// How long isolates may go on with a connection after it was removed: a minute
/// by what a location has read of the cache, and a minute from memory.
const LAG: Duration = Duration::from_mins(2);

/// How long a write may take.
const WRITING: Duration = Duration::from_secs(1);

/// How long messages may go on being answered after their sender ended.
const AFTERMATH: Duration = Duration::from_secs(30);

/// What was seen so far, and the first invariant that was broken.
#[derive(Default)]
pub struct RegistryWatch {
    seen: RefCell<BTreeMap<String, Known>>,
    broken: RefCell<Option<String>>,
}

/// What is known of the connections that are called so.
#[derive(Default)]
struct Known {
    registered: Span,
    listed: Span,
    /// The newest version that is registered.
    version: u64,
    requests: Vec<Request>,
    /// When it was last to be listed: that may be read, and lost with the index.
    added_at: Option<UnixTime>,
}

/// Since when something is so, or until when it was.
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

    /// Whether it is so, and was at `at`.
    fn is_since(&self, at: UnixTime) -> bool {
        self.since.is_some_and(|since| since <= at)
    }

    /// Whether it is so, or was so at `at` or later.
    fn was_after(&self, at: UnixTime) -> bool {
        self.is() || self.until.is_some_and(|until| until >= at)
    }
}

/// The requests of operators that change a connection, registrations and
/// removals apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// One is registered, or replaced.
    Register,
    /// One is removed.
    Remove,
}

/// A request of an operator.
struct Request {
    change: Change,
    begun_at: UnixTime,
    /// When it ended, or what it sent did at the latest.
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
    /// Whether such a change is under way, or was at `since` or later.
    fn was_under_way(&self, change: Change, since: UnixTime) -> bool {
        self.requests.iter().any(|request| request.change == change && request.was_under_way(since))
    }

    /// Whether it is registered and listed, has been since `since`, and all that
    /// was asked for has come to its end: a registration is told of when it is
    /// answered, and what is being removed is there again where that fails.
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

    /// A registration became durable.
    pub fn registered(&self, id: &str, version: u64, now: UnixTime) {
        self.known(id, |known| {
            let grows = !known.registered.is() || version >= known.version;
            self.demand(grows, "never-backwards", || format!("an older registration of {id} is stored"));
            self.demand(known.listed.is(), "listed-first", || format!("{id} is registered and not listed"));
            known.version = version;
            known.registered.begin(now);
        });
    }

    /// A registration was deleted, durably.
    pub fn removed(&self, id: &str, now: UnixTime) {
        self.known(id, |known| known.registered.end(now));
    }

    /// The index is to hold `id`, which is not durable yet.
    pub fn added(&self, id: &str, now: UnixTime) {
        self.known(id, |known| known.added_at = Some(now));
    }

    /// The index holds `id`, durably.
    pub fn listed(&self, id: &str, now: UnixTime) {
        self.known(id, |known| known.listed.begin(now));
    }

    /// The index holds `id` no more, durably.
    pub fn unlisted(&self, id: &str, now: UnixTime) {
        self.known(id, |known| {
            let may_go = !known.registered.is();
            self.demand(may_go, "listed-while-registered", || format!("{id} is registered and taken out"));
            known.listed.end(now);
        });
    }

    /// A call that began at `begun_at` is sent to the address of the connection
    /// `id`.
    pub fn served(&self, id: &str, begun_at: UnixTime) {
        let since = begun_at - LAG;
        self.known(id, |known| {
            let (was_registered, was_listed) =
                (known.registered.was_after(since), known.listed.was_after(since));
            self.demand(was_registered, "served-is-registered", || format!("{id} is served, and is none"));
            self.demand(was_listed, "served-is-listed", || format!("{id} is served and not listed"));
        });
    }

    /// An operator's request to change `id` begins.
    pub fn change_begins(&self, id: &str, change: Change, now: UnixTime) {
        self.known(id, |known| known.requests.push(Request { change, begun_at: now, ended_at: None }));
    }

    /// An operator's request to change `id` that began at `begun_at` ends; it is
    /// `done` where the operator was told that it is.
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

    /// All ids were read, in pages, since `since`, of which each contains `part`.
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

    /// The connections that are registered.
    pub fn all_registered(&self) -> Vec<String> {
        let seen = self.seen.borrow();
        seen.iter().filter(|(_, known)| known.registered.is()).map(|(id, _)| id.clone()).collect()
    }
}
