//! The access tokens that an isolate holds in memory.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::config::Connection;
use crate::edge::bounded::Bounded;
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{AccessToken, Freshness};

/// The largest number of connections whose tokens an isolate holds, and of callers.
const MAX_ENTRIES: usize = 2_000;

/// How long an isolate waits for a background renewal before it asks for another.
const RENEWAL_PAUSE: Duration = Duration::from_secs(15);

/// Where an access token came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::edge) enum Source {
    Static,
    Memory,
    Cache,
    Keeper,
    Grant,
}

impl Source {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Memory => "memory",
            Self::Cache => "kv",
            Self::Keeper => "keeper",
            Self::Grant => "grant",
        }
    }
}

/// The access tokens that an isolate holds, each under a key: a connection's id, or the key of a
/// caller at a connection.
pub(in crate::edge) struct AccessTokens(RefCell<Bounded<String, TokenEntry>>);

impl Default for AccessTokens {
    fn default() -> Self {
        Self(RefCell::new(Bounded::new(MAX_ENTRIES)))
    }
}

/// An isolate's copy of an access token.
#[derive(Debug)]
pub(in crate::edge) struct TokenCopy {
    /// The token.
    pub access: AccessToken,
    worked: Cell<bool>,
    /// Whether the upstream refused the token, and is not known to have accepted it since.
    in_doubt: Cell<bool>,
}

impl TokenCopy {
    /// A copy that the isolate does not hold.
    pub fn new(access: AccessToken) -> Rc<Self> {
        Rc::new(Self { access, worked: Cell::new(false), in_doubt: Cell::new(false) })
    }

    /// Records that the upstream accepted the token; true the first time.
    pub fn note_worked(&self) -> bool {
        !self.worked.replace(true)
    }

    /// Ends the doubt about the token; true where there was one.
    pub fn settle_doubt(&self) -> bool {
        self.in_doubt.replace(false)
    }

    /// Records that the upstream refused the token; true where it accepted the token before, and
    /// did not refuse it since.
    pub fn note_refused(&self) -> bool {
        !self.in_doubt.replace(true) && self.worked()
    }

    /// Whether the upstream accepted the token at least once.
    pub fn worked(&self) -> bool {
        self.worked.get()
    }
}

struct TokenEntry {
    /// The identity of the tokens' account: a connection that is registered again may have another
    /// account.
    identity: Fingerprint,
    access: Option<Rc<TokenCopy>>,
    /// The oldest generation that the upstream is not known to refuse.
    floor: u64,
    /// When a background renewal was last asked for.
    renewal_asked_at: Option<UnixTime>,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens")
    }
}

impl TokenEntry {
    const fn of(identity: Fingerprint) -> Self {
        Self { identity, access: None, floor: 0, renewal_asked_at: None }
    }

    fn forget(&mut self, generation: u64) {
        self.floor = self.floor.max(generation.saturating_add(1));
        self.access = self.access.take().filter(|held| held.access.generation > generation);
    }
}

/// The entry under `key` at `connection`, to expire at `until`; an entry of another account is
/// replaced.
fn entry<'e>(
    entries: &'e mut Bounded<String, TokenEntry>,
    key: &str,
    connection: &Connection,
    until: UnixTime,
    now: UnixTime,
) -> &'e mut TokenEntry {
    let new = || TokenEntry::of(connection.identity);
    let entry = entries.entry(key.to_owned(), until, now, new);
    if entry.identity != connection.identity {
        *entry = new();
    }
    entry
}

impl AccessTokens {
    /// The token held under `key` for `connection`, if usable for a new call at `now`: also one that
    /// is about to expire, if no other one would live beyond `longest`.
    pub(in crate::edge) fn held(
        &self,
        key: &str,
        connection: &Connection,
        longest: Option<UnixTime>,
        now: UnixTime,
    ) -> Option<Rc<TokenCopy>> {
        let entries = self.0.borrow();
        let entry = entries.get(key).filter(|entry| entry.identity == connection.identity)?;
        let copy = entry.access.as_ref()?;
        let lifetime = &copy.access.lifetime;
        let is_usable = match lifetime.freshness(now) {
            Freshness::Fresh | Freshness::Ageing => true,
            Freshness::Stale => longest.is_some_and(|longest| !lifetime.is_outlived_by(longest)),
            Freshness::Expired => false,
        };
        is_usable.then(|| Rc::clone(copy))
    }

    /// Holds `access`, unless the isolate holds one as new or the upstream refuses it; returns the
    /// copy to use for this call.
    pub(in crate::edge) fn remember(
        &self,
        key: &str,
        connection: &Connection,
        access: AccessToken,
        now: UnixTime,
    ) -> Rc<TokenCopy> {
        let mut entries = self.0.borrow_mut();
        let entry = entry(&mut entries, key, connection, access.lifetime.expires_at, now);
        if let Some(held) = entry.access.as_ref().filter(|held| held.access.generation == access.generation) {
            return Rc::clone(held);
        }
        let newer = entry.access.as_ref().is_none_or(|held| access.generation > held.access.generation);
        let accepted = access.generation >= entry.floor;
        let copy = TokenCopy::new(access);
        if newer && accepted {
            // With a newer token at hand, a refused one is no longer accepted from the cache.
            if let Some(refused) = entry.access.take().filter(|held| held.in_doubt.get()) {
                entry.forget(refused.access.generation);
            }
            entry.access = Some(Rc::clone(&copy));
            entry.renewal_asked_at = None;
        }
        copy
    }

    /// Drops the token of `generation`, which the upstream refused, and all older ones.
    pub(in crate::edge) fn forget(&self, key: &str, connection: &Connection, generation: u64, now: UnixTime) {
        entry(&mut self.0.borrow_mut(), key, connection, now, now).forget(generation);
    }

    /// The same for the connection called `id`, if the isolate holds a token of it.
    pub(in crate::edge) fn forget_id(&self, id: &str, generation: u64) {
        if let Some(entry) = self.0.borrow_mut().get_mut(id) {
            entry.forget(generation);
        }
    }

    /// Records that the upstream refuses a static token; true the first time.
    pub(in crate::edge) fn note_refusal(&self, connection: &Connection, now: UnixTime) -> bool {
        let mut entries = self.0.borrow_mut();
        let entry = entry(&mut entries, &connection.id, connection, now, now);
        std::mem::replace(&mut entry.floor, u64::MAX) != u64::MAX
    }

    /// Drops the entry of `connection`.
    pub(in crate::edge) fn remove(&self, connection: &str) {
        self.0.borrow_mut().remove(connection);
    }

    /// Forgets that the upstream refused a static token.
    pub(in crate::edge) fn forget_refusal(&self, connection: &str) {
        if let Some(entry) = self.0.borrow_mut().get_mut(connection).filter(|entry| entry.floor == u64::MAX) {
            entry.floor = 0;
        }
    }

    pub(in crate::edge) fn accepts(&self, connection: &Connection, access: &AccessToken) -> bool {
        let is_above =
            |entry: &TokenEntry| entry.identity != connection.identity || access.generation >= entry.floor;
        self.0.borrow().get(connection.id.as_str()).is_none_or(is_above)
    }

    /// Claims the background renewal of an ageing `access`; true for the one call that has to ask
    /// for it.
    pub(in crate::edge) fn claim_renewal(&self, key: &str, access: &AccessToken, now: UnixTime) -> bool {
        if access.lifetime.freshness(now) != Freshness::Ageing {
            return false;
        }
        let mut entries = self.0.borrow_mut();
        let Some(entry) = entries.get_mut(key) else { return false };
        if entry.renewal_asked_at.is_some_and(|asked| now < asked + RENEWAL_PAUSE) {
            return false;
        }
        entry.renewal_asked_at = Some(now);
        true
    }
}
