//! Things by their ids.

use std::fmt;
use std::ops::Index;

/// Things by their ids, in the order of the ids. A list needs a fraction of a map's code, and each kind
/// of thing has code of its own.
#[derive(Clone)]
pub struct Entries<T>(Vec<(String, T)>);

impl<T> Entries<T> {
    /// No things.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Where `id` is, or where it belongs.
    fn place(&self, id: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(id))
    }

    /// The id as it is kept, and its thing.
    #[must_use]
    pub fn get_key_value(&self, id: &str) -> Option<(&String, &T)> {
        self.place(id).ok().and_then(|at| self.0.get(at)).map(|(id, thing)| (id, thing))
    }

    /// The thing called `id`.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&T> {
        self.get_key_value(id).map(|(_, thing)| thing)
    }

    /// Whether there is a thing called `id`.
    #[must_use]
    pub fn contains_key(&self, id: &str) -> bool {
        self.place(id).is_ok()
    }

    /// Adds a thing, in the place of the one that has its id.
    pub fn insert(&mut self, id: String, thing: T) {
        let (Ok(at) | Err(at)) = self.place(&id);
        let old = self.0.get_mut(at).filter(|(known, _)| *known == id);
        match old {
            Some((_, old)) => *old = thing,
            None => self.0.insert(at, (id, thing)),
        }
    }

    /// Removes the thing called `id`.
    pub fn remove(&mut self, id: &str) -> Option<T> {
        self.place(id).ok().map(|at| self.0.remove(at).1)
    }

    /// Keeps the things that `is_kept`.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&String, &mut T) -> bool) {
        self.0.retain_mut(|(id, thing)| is_kept(id, thing));
    }

    /// The number of things.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no things.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ids and their things.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&String, &T)> {
        self.0.iter().map(|(id, thing)| (id, thing))
    }

    /// The same, to change the things.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut T)> {
        self.0.iter_mut().map(|(id, thing)| (&*id, thing))
    }

    /// The ids.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.iter().map(|(id, _)| id)
    }

    /// The things.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.iter().map(|(_, thing)| thing)
    }
}

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// For tests: there is a thing of this id.
impl<T> Index<&str> for Entries<T> {
    type Output = T;

    fn index(&self, id: &str) -> &T {
        self.get(id).unwrap_or_else(|| unreachable!("nothing is called {id}"))
    }
}

impl<T: fmt::Debug> fmt::Debug for Entries<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests {
    use super::*;

    #[test]
    fn keeps_things_in_the_order_of_their_ids() {
        let mut entries = Entries::new();
        for (id, thing) in [("b", 1), ("a", 2), ("c", 3), ("b", 4), ("", 5)] {
            entries.insert(id.to_owned(), thing);
        }
        assert_eq!(format!("{entries:?}"), r#"{"": 5, "a": 2, "b": 4, "c": 3}"#);
        assert_eq!((entries.get("b"), entries.get("d"), entries["c"]), (Some(&4), None, 3));
        assert_eq!((entries.remove("a"), entries.remove("a"), entries.len()), (Some(2), None, 3));
        assert!(entries.contains_key("") && !entries.contains_key("a"));
        entries.retain(|id, thing| !id.is_empty() && *thing < 4);
        assert_eq!(entries.keys().collect::<Vec<_>>(), ["c"]);
    }
}
