//! The issuers' key sets that an isolate holds, and when to fetch them.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::config::KeySource;
use crate::discovery::{FRESH, USABLE};
use crate::jose::KeySet;
use crate::time::UnixTime;

/// How long an issuer is not asked again after a failed fetch, or one for an unknown key id.
const PAUSE: Duration = Duration::from_mins(1);

/// The same after a failed fetch while no keys are known.
const SHORT_PAUSE: Duration = Duration::from_secs(2);

/// A fetch by another request counts as abandoned after this long.
const LONGEST_FETCH: Duration = Duration::from_secs(15);

/// The key sets that an isolate holds, by their source.
#[derive(Debug, Default)]
pub(in crate::edge) struct KeySets(RefCell<Vec<(KeySource, IssuerEntry)>>);

#[derive(Clone, Debug, Default)]
pub(in crate::edge) struct IssuerEntry {
    pub known: Option<KnownKeys>,
    pub looked_in_cache: bool,
    /// When a fetch was last made for an unknown key id.
    searched_at: Option<UnixTime>,
    /// When a fetch last failed.
    failed_at: Option<UnixTime>,
    /// When the fetch in flight began.
    pub fetching_since: Option<UnixTime>,
}

#[derive(Clone, Debug)]
pub(in crate::edge) struct KnownKeys {
    pub keys: Rc<KeySet>,
    pub fetched_at: UnixTime,
}

/// The next step to obtain an issuer's keys.
pub(in crate::edge) enum Step {
    Use(Option<Rc<KeySet>>),
    /// Wait for the fetch of another request.
    Wait,
    LookInCache,
    Fetch,
}

impl IssuerEntry {
    pub fn step(&self, kid: Option<&str>, now: UnixTime) -> Step {
        let (suits, fresh) = (self.suits(kid, now), self.is_fresh(now));
        if suits && fresh {
            return Step::Use(self.usable(now));
        }
        if self.fetching_since.is_some_and(|since| now < since + LONGEST_FETCH) {
            return if suits { Step::Use(self.usable(now)) } else { Step::Wait };
        }
        let knows = self.usable(now).is_some();
        if !knows && !self.looked_in_cache {
            return Step::LookInCache;
        }
        let lately = |at: Option<UnixTime>, pause| at.is_some_and(|at| now < at + pause);
        let failed_lately = lately(self.failed_at, if knows { PAUSE } else { SHORT_PAUSE });
        let searched_lately = fresh && lately(self.searched_at, PAUSE);
        if failed_lately || searched_lately { Step::Use(self.usable(now)) } else { Step::Fetch }
    }

    pub fn usable(&self, now: UnixTime) -> Option<Rc<KeySet>> {
        let known = self.known.as_ref().filter(|known| now < known.fetched_at + USABLE)?;
        Some(Rc::clone(&known.keys))
    }

    pub fn is_fresh(&self, now: UnixTime) -> bool {
        self.known.as_ref().is_some_and(|known| now < known.fetched_at + FRESH)
    }

    pub fn suits(&self, kid: Option<&str>, now: UnixTime) -> bool {
        self.usable(now).is_some_and(|keys| kid.is_none_or(|kid| keys.has_kid(kid)))
    }

    pub fn begin_fetch(&mut self, kid: Option<&str>, now: UnixTime) {
        self.fetching_since = Some(now);
        if self.is_fresh(now) && !self.suits(kid, now) {
            self.searched_at = Some(now);
        }
    }

    /// Stores the result of a fetch that began at `began_at`; returns the keys that are usable now.
    pub fn end_fetch(
        &mut self,
        fetched: Option<Rc<KeySet>>,
        began_at: UnixTime,
        now: UnixTime,
    ) -> Option<Rc<KeySet>> {
        self.fetching_since = None;
        match fetched {
            Some(keys) => self.known = Some(KnownKeys { keys, fetched_at: began_at }),
            None => self.failed_at = Some(now),
        }
        self.usable(now)
    }
}

impl KeySets {
    pub fn change<T>(&self, source: &KeySource, change: impl FnOnce(&mut IssuerEntry) -> T) -> T {
        let mut entries = self.0.borrow_mut();
        if let Some((_, entry)) = entries.iter_mut().find(|(known, _)| known == source) {
            return change(entry);
        }
        let mut entry = IssuerEntry::default();
        let changed = change(&mut entry);
        entries.push((source.clone(), entry));
        changed
    }
}
