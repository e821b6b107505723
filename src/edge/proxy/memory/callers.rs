//! The access tokens of callers whose own tokens are exchanged.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::{MAX_ENTRIES, TokenCopy, TokenEntry};
use crate::config::Connection;
use crate::edge::bounded::Bounded;
use crate::edge::caller::own_token::OwnToken;
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{AccessToken, Freshness};

/// How much memory the tokens take, at most: an isolate has 128 MB for everything.
const MAX_TOKEN_BYTES: usize = 16 * 1024 * 1024;

/// A connection, and the digest of a caller's issuer and subject.
type Key = (String, Fingerprint);

/// The access tokens that an isolate holds for callers, each for one issuer and subject.
#[derive(Debug)]
pub(in crate::edge) struct CallersTokens {
    entries: RefCell<Bounded<Key, TokenEntry>>,
    /// The length of all tokens that were held since the last time that all were forgotten.
    token_bytes: Cell<usize>,
}

impl Default for CallersTokens {
    fn default() -> Self {
        Self { entries: RefCell::new(Bounded::new(MAX_ENTRIES)), token_bytes: Cell::default() }
    }
}

fn key(connection: &Connection, own: &OwnToken) -> Key {
    (connection.id.clone(), own.subject)
}

impl CallersTokens {
    /// The token held for the caller, if usable for a new call at `now`: also one that is about to
    /// expire, where an exchange of `own` would yield none that lives longer.
    pub(in crate::edge) fn held(
        &self,
        connection: &Connection,
        own: &OwnToken,
        now: UnixTime,
    ) -> Option<Rc<TokenCopy>> {
        let entries = self.entries.borrow();
        let known = entries.get(&key(connection, own));
        let copy = known.filter(|entry| entry.identity == connection.identity)?.access.as_ref()?;
        let lifetime = &copy.access.lifetime;
        let is_usable = match lifetime.freshness(now) {
            Freshness::Fresh | Freshness::Ageing => true,
            Freshness::Stale => !lifetime.is_outlived_by(own.token.expires_at),
            Freshness::Expired => false,
        };
        is_usable.then(|| Rc::clone(copy))
    }

    /// Claims the background renewal of an ageing `access`, where an exchange of `own` would yield
    /// one that lives longer; true for the one call that has to ask for it.
    pub(in crate::edge) fn claim_renewal(
        &self,
        connection: &Connection,
        own: &OwnToken,
        access: &AccessToken,
        now: UnixTime,
    ) -> bool {
        let lifetime = &access.lifetime;
        lifetime.freshness(now) == Freshness::Ageing
            && lifetime.is_outlived_by(own.token.expires_at)
            && self
                .entries
                .borrow_mut()
                .get_mut(&key(connection, own))
                .is_some_and(|entry| entry.claim_renewal(now))
    }

    /// Holds `access`, unless the isolate holds one as new or the upstream refuses it; returns the
    /// copy to use for this call.
    pub(in crate::edge) fn remember(
        &self,
        connection: &Connection,
        own: &OwnToken,
        access: AccessToken,
        now: UnixTime,
    ) -> Rc<TokenCopy> {
        let size = access.token.expose().len();
        let mut entries = self.entries.borrow_mut();
        if self.token_bytes.get() + size > MAX_TOKEN_BYTES {
            *entries = Bounded::new(MAX_ENTRIES);
            self.token_bytes.set(0);
        }
        self.token_bytes.set(self.token_bytes.get() + size);
        let new = || TokenEntry::of(connection.identity);
        let entry = entries.entry(key(connection, own), access.lifetime.expires_at, now, new);
        if entry.identity != connection.identity {
            *entry = new();
        }
        entry.remember(access)
    }

    /// Drops the caller's token of `generation`, which the upstream refused, and all older ones.
    pub(in crate::edge) fn forget(&self, connection: &Connection, own: &OwnToken, generation: u64) {
        if let Some(entry) = self.entries.borrow_mut().get_mut(&key(connection, own)) {
            entry.forget(generation);
        }
    }
}
