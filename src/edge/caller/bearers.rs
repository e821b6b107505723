//! The tokens that an isolate has verified.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::edge::bounded::Bounded;
use crate::jose::{OwnClaimSet, TOLERANCE};
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// The largest number of tokens that an isolate remembers.
const MAX_ENTRIES: usize = 10_000;

/// How many times the length of its text a claims set takes in memory, roughly.
const CLAIMS_FACTOR: usize = 4;

/// How much memory the claims of remembered tokens take, at most.
const MAX_CLAIMS_BYTES: usize = 24 * 1024 * 1024;

/// The callers that a token authenticates.
pub(in crate::edge) struct Bearer {
    /// The names of the callers.
    pub callers: Vec<String>,
    /// The digest of the token's issuer and subject, in hexadecimal digits.
    pub subject: String,
    /// Whether the token names a subject.
    pub has_subject: bool,
    /// The token's claims, for rules.
    pub claims: OwnClaimSet,
    /// When the token expires, clock tolerance included.
    pub expires_at: UnixTime,
}

// The digest of a subject that can be guessed can be guessed, too.
impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bearer").field("callers", &self.callers).finish_non_exhaustive()
    }
}

impl Bearer {
    /// When the token expires by its own claim.
    pub fn exp(&self) -> UnixTime {
        self.expires_at - TOLERANCE
    }
}

/// The verified tokens, by digest and by the number of the header field that carried them.
#[derive(Debug)]
pub(in crate::edge) struct Bearers {
    entries: RefCell<Bounded<(Fingerprint, usize), Rc<Bearer>>>,
    /// The memory that the claims took of all tokens since the last time that all were forgotten.
    claims_bytes: Cell<usize>,
}

impl Default for Bearers {
    fn default() -> Self {
        Self { entries: RefCell::new(Bounded::new(MAX_ENTRIES)), claims_bytes: Cell::default() }
    }
}

impl Bearers {
    pub fn get(&self, token: &(Fingerprint, usize), now: UnixTime) -> Option<Rc<Bearer>> {
        self.entries.borrow().get(token).filter(|bearer| now < bearer.expires_at).cloned()
    }

    pub fn insert(&self, token: (Fingerprint, usize), bearer: Rc<Bearer>, now: UnixTime) {
        let (until, size) = (bearer.expires_at, CLAIMS_FACTOR * bearer.claims.length());
        let mut entries = self.entries.borrow_mut();
        if self.claims_bytes.get() + size > MAX_CLAIMS_BYTES {
            *entries = Bounded::new(MAX_ENTRIES);
            self.claims_bytes.set(0);
        }
        self.claims_bytes.set(self.claims_bytes.get() + size);
        entries.insert(token, bearer, until, now);
    }
}
