//! The sealed record of a token set's state.

use std::rc::Rc;

use super::{Doubt, Held, LastError, State, Trouble};
use crate::json::record;
use crate::oauth::RefusedAnswer;
use crate::objects::token_set::Account;
use crate::objects::token_set::wait::{RefusalRenewals, UpstreamBackoff, Wait};
use crate::secret::Fingerprint;
use crate::time::UnixTime;
use crate::token::{AccessToken, Nonce, SealError, SealingKeys, TokenSet, TokenSetRecord, open, seal};

struct StateRecord {
    held: Option<HeldRecord>,
    generation: u64,
    wait: Option<Wait>,
    backoff: Option<UpstreamBackoff>,
    refusal_renewals: RefusalRenewals,
    rejected_at: Option<UnixTime>,
    grants: u64,
    last_error: Option<(Trouble, UnixTime)>,
    /// The token endpoint's answer that the last error was: its status, a blank, and the reason's
    /// word.
    last_answer: Option<String>,
    credentials: Option<Fingerprint>,
    identity: Fingerprint,
}

record!(StateRecord {
    held,
    generation,
    wait,
    // Other versions know the field by this name.
    backoff as "peace",
    refusal_renewals = default,
    rejected_at,
    grants = default,
    last_error,
    last_answer,
    credentials,
    identity,
});

#[allow(clippy::struct_excessive_bools, reason = "each is known, or not, of its own")]
struct HeldRecord {
    set: TokenSetRecord,
    unsettled: u8,
    refused: bool,
    for_refused: bool,
    worked: bool,
    unasked: bool,
}

record!(HeldRecord { set, unsettled, refused, for_refused, worked = default, unasked = default });

impl State {
    /// Opens a sealed state. The token set of another account is dropped, but not that there was one; a
    /// change of credentials ends the wait.
    ///
    /// # Errors
    /// [`SealError`] where it does not open.
    pub fn open(sealed: &str, name: &str, account: &Account) -> Result<Self, SealError> {
        let record: StateRecord = open(sealed, name, &account.keys)?;
        let connection = &account.connection;
        if record.identity != connection.identity {
            let (generation, grants) = (record.generation, record.grants);
            return Ok(Self { generation, grants, ..Self::default() });
        }
        let credentials = connection.grant.credentials();
        let same = |wait: &Wait| wait.credentials == credentials;
        let answer = record.last_answer.as_deref().and_then(RefusedAnswer::parse);
        Ok(Self {
            held: record.held.map(HeldRecord::into_held),
            generation: record.generation,
            wait: record.wait.filter(same),
            backoff: record.backoff,
            refusal_renewals: record.refusal_renewals,
            rejected_at: record.rejected_at,
            grants: record.grants,
            last_error: record.last_error.map(|(trouble, at)| LastError { trouble, at, answer }),
            credentials: record.credentials,
        })
    }

    /// Seals the state of the account `identity`.
    ///
    /// # Errors
    /// [`SealError`] where it cannot be sealed.
    pub fn seal(
        &self,
        identity: &Fingerprint,
        name: &str,
        keys: &SealingKeys,
        nonce: &Nonce,
    ) -> Result<String, SealError> {
        let record = StateRecord {
            held: self.held.as_ref().map(|held| held.to_record(identity)),
            generation: self.generation,
            wait: self.wait,
            backoff: self.backoff,
            refusal_renewals: self.refusal_renewals.clone(),
            rejected_at: self.rejected_at,
            grants: self.grants,
            last_error: self.last_error.map(|LastError { trouble, at, .. }| (trouble, at)),
            last_answer: self.last_error.and_then(|last| last.answer).map(RefusedAnswer::to_text),
            credentials: self.credentials,
            identity: *identity,
        };
        seal(&record, name, keys, nonce)
    }
}

impl Held {
    fn to_record(&self, identity: &Fingerprint) -> HeldRecord {
        let set = TokenSet {
            access: AccessToken::clone(&self.access),
            refresh_token: self.refresh_token.clone(),
            scope: self.scope.clone(),
        };
        HeldRecord {
            set: TokenSetRecord::new(&set, identity),
            unsettled: self.unsettled,
            refused: self.refused,
            for_refused: self.for_refused,
            worked: self.worked,
            unasked: self.unasked,
        }
    }
}

impl HeldRecord {
    fn into_held(self) -> Held {
        let set = self.set.into_token_set();
        Held {
            access: Rc::new(set.access),
            refresh_token: set.refresh_token,
            scope: set.scope,
            unsettled: self.unsettled,
            refused: self.refused,
            for_refused: self.for_refused,
            worked: self.worked,
            unasked: self.unasked,
            doubt: Doubt::default(),
        }
    }
}
