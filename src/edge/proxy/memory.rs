//! The access tokens that an isolate holds in memory.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::config::Connection;
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{AccessToken, Freshness};

/// How many connections' tokens an isolate holds.
const MOST: usize = 2_000;

/// How long an isolate leaves an ageing token to a renewal that it asked for.
const BEHIND: Duration = Duration::from_secs(15);

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

/// The access tokens that an isolate holds, by connection.
#[derive(Default)]
pub struct AccessTokens(RefCell<HashMap<String, Entry>>);

/// An isolate's copy of an access token.
#[derive(Debug)]
pub(in crate::edge) struct TokenCopy {
    /// The token.
    pub access: AccessToken,
    worked: Cell<bool>,
    /// Whether the upstream refused it, and is not known to have taken it since.
    in_doubt: Cell<bool>,
}

impl TokenCopy {
    /// A copy that is held nowhere.
    pub fn new(access: AccessToken) -> Rc<Self> {
        Rc::new(Self { access, worked: Cell::new(false), in_doubt: Cell::new(false) })
    }

    /// Notes that the upstream took the token; whether it never did before.
    pub fn note_worked(&self) -> bool {
        !self.worked.replace(true)
    }

    /// Ends the doubt about the token; whether there was one.
    pub fn settle_doubt(&self) -> bool {
        self.in_doubt.replace(false)
    }

    /// Notes that the upstream refused the token; whether it took it before,
    /// and did not refuse it since.
    pub fn note_refused(&self) -> bool {
        !self.in_doubt.replace(true) && self.worked()
    }

    /// Whether the upstream took the token at least once.
    pub fn worked(&self) -> bool {
        self.worked.get()
    }
}

struct Entry {
    /// What the tokens belong to: a connection that is registered anew may have
    /// another account at another place.
    identity: Fingerprint,
    access: Option<Rc<TokenCopy>>,
    /// The oldest generation that the upstream is not known to refuse.
    floor: u64,
    /// When a renewal was last asked for behind a call.
    asked_behind: Option<UnixTime>,
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessTokens")
    }
}

impl Entry {
    const fn of(identity: Fingerprint) -> Self {
        Self { identity, access: None, floor: 0, asked_behind: None }
    }

    fn forget(&mut self, generation: u64) {
        self.floor = self.floor.max(generation.saturating_add(1));
        self.access = self.access.take().filter(|held| held.access.generation > generation);
    }
}

/// The entry of `connection`, without what belongs to another account.
fn entry<'e>(entries: &'e mut HashMap<String, Entry>, connection: &Connection) -> &'e mut Entry {
    make_room(entries, &connection.id);
    let entry = entries.entry(connection.id.clone()).or_insert_with(|| Entry::of(connection.identity));
    if entry.identity != connection.identity {
        *entry = Entry::of(connection.identity);
    }
    entry
}

impl AccessTokens {
    /// The token held for `connection`, good for a new call at `now`.
    pub(in crate::edge) fn held(&self, connection: &Connection, now: UnixTime) -> Option<Rc<TokenCopy>> {
        let entries = self.0.borrow();
        let entry = entries.get(&connection.id).filter(|entry| entry.identity == connection.identity)?;
        let copy = entry.access.as_ref()?;
        (copy.access.lifetime.freshness(now) > Freshness::Stale).then(|| Rc::clone(copy))
    }

    /// Holds `access`, unless one as new is held or the upstream refuses it;
    /// gives the copy to use for this call.
    pub(in crate::edge) fn remember(&self, connection: &Connection, access: AccessToken) -> Rc<TokenCopy> {
        let mut entries = self.0.borrow_mut();
        let entry = entry(&mut entries, connection);
        if let Some(held) = entry.access.as_ref().filter(|held| held.access.generation == access.generation) {
            return Rc::clone(held);
        }
        let newer = entry.access.as_ref().is_none_or(|held| access.generation > held.access.generation);
        let accepted = access.generation >= entry.floor;
        let copy = TokenCopy::new(access);
        if newer && accepted {
            // One that was refused is not taken from the cache any more, now that
            // there is a better one.
            if let Some(refused) = entry.access.take().filter(|held| held.in_doubt.get()) {
                entry.forget(refused.access.generation);
            }
            entry.access = Some(Rc::clone(&copy));
            entry.asked_behind = None;
        }
        copy
    }

    /// Forgets the token of `generation`, which the upstream refused, and all
    /// before it.
    pub(in crate::edge) fn forget(&self, connection: &Connection, generation: u64) {
        entry(&mut self.0.borrow_mut(), connection).forget(generation);
    }

    /// The same where only the name is known of the connection called `id`.
    pub(in crate::edge) fn forget_of(&self, id: &str, generation: u64) {
        if let Some(entry) = self.0.borrow_mut().get_mut(id) {
            entry.forget(generation);
        }
    }

    /// Notes that the upstream refuses a static token; whether that is new.
    pub(in crate::edge) fn notes_refusal(&self, connection: &Connection) -> bool {
        let mut entries = self.0.borrow_mut();
        std::mem::replace(&mut entry(&mut entries, connection).floor, u64::MAX) != u64::MAX
    }

    /// Forgets all that is known of `connection`.
    pub(in crate::edge) fn remove(&self, connection: &str) {
        self.0.borrow_mut().remove(connection);
    }

    /// Notes that a static token may be taken again.
    pub(in crate::edge) fn forgets_refusal(&self, connection: &str) {
        if let Some(entry) = self.0.borrow_mut().get_mut(connection).filter(|entry| entry.floor == u64::MAX) {
            entry.floor = 0;
        }
    }

    pub(in crate::edge) fn accepts(&self, connection: &Connection, access: &AccessToken) -> bool {
        let is_above =
            |entry: &Entry| entry.identity != connection.identity || access.generation >= entry.floor;
        self.0.borrow().get(&connection.id).is_none_or(is_above)
    }

    /// Whether a renewal of the ageing `access` is to be asked for now, behind
    /// the call.
    pub(in crate::edge) fn takes_turn_behind(
        &self,
        connection: &str,
        access: &AccessToken,
        now: UnixTime,
    ) -> bool {
        if access.lifetime.freshness(now) != Freshness::Ageing {
            return false;
        }
        let mut entries = self.0.borrow_mut();
        let Some(entry) = entries.get_mut(connection) else { return false };
        if entry.asked_behind.is_some_and(|asked| now < asked + BEHIND) {
            return false;
        }
        entry.asked_behind = Some(now);
        true
    }
}

/// Makes room for `name`, where there is none, by forgetting any other entry.
pub(in crate::edge) fn make_room<T>(entries: &mut HashMap<String, T>, name: &str) {
    if entries.len() >= MOST
        && !entries.contains_key(name)
        && let Some(other) = entries.keys().next().cloned()
    {
        entries.remove(&other);
    }
}
