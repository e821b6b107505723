//! The tokens that an isolate has verified.

use std::cell::RefCell;
use std::rc::Rc;

use crate::edge::bounded::Bounded;
use crate::secret::Fingerprint;
use crate::time::UnixTime;

/// The largest number of tokens that an isolate remembers.
const MAX_ENTRIES: usize = 10_000;

/// The callers that a token authenticates.
#[derive(Debug)]
pub(in crate::edge) struct Bearer {
    /// The names of the callers.
    pub callers: Vec<String>,
    /// The digest of the token's issuer and subject, for counting.
    pub subject: Fingerprint,
    /// When the token expires, clock tolerance included.
    pub expires_at: UnixTime,
}

/// The verified tokens, by digest and by the number of the header field that carried them.
#[derive(Debug)]
pub(in crate::edge) struct Bearers(RefCell<Bounded<(Fingerprint, usize), Rc<Bearer>>>);

impl Default for Bearers {
    fn default() -> Self {
        Self(RefCell::new(Bounded::new(MAX_ENTRIES)))
    }
}

impl Bearers {
    pub fn get(&self, token: &(Fingerprint, usize), now: UnixTime) -> Option<Rc<Bearer>> {
        self.0.borrow().get(token).filter(|bearer| now < bearer.expires_at).cloned()
    }

    pub fn insert(&self, token: (Fingerprint, usize), bearer: Rc<Bearer>, now: UnixTime) {
        let until = bearer.expires_at;
        self.0.borrow_mut().insert(token, bearer, until, now);
    }
}
