//! Bounded maps, for what an isolate remembers.

use std::borrow::Borrow;
use std::collections::{HashMap, hash_map};
use std::fmt;
use std::hash::Hash;

use crate::time::UnixTime;

/// A map with a capacity and an expiry for each entry. A full map evicts the expired entries; if
/// none is expired, the sixteenth of its capacity that expires first.
pub(in crate::edge) struct Bounded<K, V> {
    most: usize,
    entries: HashMap<K, Kept<V>>,
}

struct Kept<V> {
    value: V,
    until: UnixTime,
}

impl<K: Eq + Hash + Clone, V> Bounded<K, V> {
    /// An empty map with room for `most` entries.
    pub fn new(most: usize) -> Self {
        Self { most, entries: HashMap::new() }
    }

    /// The value under `key`, expired or not.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The same, mutable.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        self.entries.get_mut(key).map(|entry| &mut entry.value)
    }

    /// Stores `value` under `key`, to expire at `until`.
    pub fn insert(&mut self, key: K, value: V, until: UnixTime, now: UnixTime) -> &mut V {
        self.make_room(&key, now);
        let new = Kept { value, until };
        match self.entries.entry(key) {
            hash_map::Entry::Occupied(mut known) => {
                known.insert(new);
                &mut known.into_mut().value
            }
            hash_map::Entry::Vacant(room) => &mut room.insert(new).value,
        }
    }

    /// The number of entries.
    #[cfg(test)]
    #[cfg(not(target_arch = "wasm32"))]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The value under `key`, else `new`; the entry expires at `until`, or at its previous expiry
    /// if that is later.
    pub fn entry(&mut self, key: K, until: UnixTime, now: UnixTime, new: impl FnOnce() -> V) -> &mut V {
        self.make_room(&key, now);
        let entry = self.entries.entry(key).or_insert_with(|| Kept { value: new(), until });
        entry.until = entry.until.max(until);
        &mut entry.value
    }

    /// Removes the entry under `key`.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.entries.remove(key);
    }

    fn make_room(&mut self, key: &K, now: UnixTime) {
        if self.entries.len() < self.most || self.entries.contains_key(key) {
            return;
        }
        self.entries.retain(|_, entry| now < entry.until);
        let excess = (self.entries.len() + self.most / 16 + 1).saturating_sub(self.most);
        if excess == 0 {
            return;
        }
        let mut ends: Vec<(UnixTime, K)> =
            self.entries.iter().map(|(key, entry)| (entry.until, key.clone())).collect();
        ends.sort_unstable_by_key(|(until, _)| *until);
        for (_, key) in ends.into_iter().take(excess) {
            self.entries.remove(&key);
        }
    }
}

impl<K, V> fmt::Debug for Bounded<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounded").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    const fn at(millis: u64) -> UnixTime {
        UnixTime::from_millis(millis)
    }

    #[test]
    fn holds_no_more_than_it_may() {
        let mut map = Bounded::new(100);
        for number in 0..1_000 {
            map.insert(number, (), at(5_000), at(0));
            assert!(map.entries.len() <= 100);
            assert!(map.get(&number).is_some(), "{number}");
        }
    }

    #[test]
    fn forgets_first_what_is_over_and_then_what_is_over_first() {
        let mut map = Bounded::new(4);
        for (key, until) in [(1, 10), (2, 40), (3, 30), (4, 20)] {
            map.insert(key, key, at(until), at(0));
        }
        map.insert(5, 5, at(50), at(15));
        assert_eq!([1, 2, 3, 4, 5].map(|key| map.get(&key).is_some()), [false, true, true, true, true]);
        map.insert(6, 6, at(60), at(15));
        assert_eq!([2, 3, 4, 5, 6].map(|key| map.get(&key).is_some()), [true, true, false, true, true]);
    }

    #[test]
    fn keeps_an_entry_that_is_used_as_long_as_it_was_ever_worth_keeping() {
        let mut map = Bounded::new(2);
        *map.entry(1, at(50), at(0), || 0) += 1;
        *map.entry(1, at(10), at(0), || 0) += 1;
        assert_eq!(map.get(&1), Some(&2));
        map.insert(2, 0, at(40), at(0));
        map.insert(3, 0, at(30), at(0));
        assert_eq!([1, 2, 3].map(|key| map.get(&key).is_some()), [true, false, true]);
    }
}
