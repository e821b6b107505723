//! What an isolate tells a keeper of a static token: that the upstream refuses it, and that it takes it.

use std::cell::RefCell;
use std::fmt;
use std::time::Duration;

use super::bounded::Bounded;
use crate::time::UnixTime;

/// The largest number of connections whose static tokens an isolate knows of.
const MAX_ENTRIES: usize = 2_000;

/// How soon an isolate tells again that a static token is refused.
const REFUSED_FOR: Duration = Duration::from_secs(15);

/// What the isolate told of the static token of a connection: when that it is refused, `None` that it works.
pub(in crate::edge) struct StaticTokens(RefCell<Bounded<String, Option<UnixTime>>>);

impl Default for StaticTokens {
    fn default() -> Self {
        Self(RefCell::new(Bounded::new(MAX_ENTRIES)))
    }
}

impl fmt::Debug for StaticTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticTokens")
    }
}

impl StaticTokens {
    /// Notes whether the upstream takes the static token of `connection`; true where its keeper is to be told:
    /// of a refusal, again while it lasts, and of the next success. Of the first one where `tells_first`.
    pub fn note(&self, connection: &str, works: bool, tells_first: bool, now: UnixTime) -> bool {
        let mut told = self.0.borrow_mut();
        let is_news = match told.get(connection) {
            Some(None) => !works,
            Some(Some(at)) => works || now >= *at + REFUSED_FOR,
            None => !works || tells_first,
        };
        if is_news {
            told.insert(connection.to_owned(), (!works).then_some(now), now, now);
        }
        is_news
    }
}
