//! The life of a session: reading, changing and deleting its record.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::state::SessionState;
use super::{Record, SESSION, Session};
use crate::objects::lock::task;
use crate::objects::token_set::LiveTokenSet;
use crate::ports::{ObjectPorts, StorageFailed, report};
use crate::secret::Fingerprint;
use crate::token::{Nonce, SealingKeys, open, seal};

/// How soon the alarm fires where a session could not be cleared.
const CLEAR_AGAIN: Duration = Duration::from_mins(1);

impl<P: ObjectPorts> Session<P> {
    /// The session's state, if it lives and `proof`, where given, matches its cookie. An expired
    /// session is ended.
    pub(super) async fn living(
        &self,
        proof: Option<Fingerprint>,
    ) -> Result<Option<SessionState>, StorageFailed> {
        let (Some(policy), Some(keys)) = (self.config.session, &self.config.sealing_keys) else {
            return Ok(None);
        };
        self.read(keys).await?;
        let state = match &*self.record.borrow() {
            Record::Unread => return Err(StorageFailed),
            Record::Absent => return Ok(None),
            Record::Present(state) => state.clone(),
        };
        let lives = |state: &SessionState| state.lives(self.used_at.get(), &policy, self.ports.now());
        if !lives(&state) {
            self.end(|state| !state.is_some_and(lives)).await?;
            return Ok(None);
        }
        Ok(Some(state).filter(|state| proof.is_none_or(|proof| state.proof == proof)))
    }

    /// Reads the record, once per instance. A record that does not open counts as absent.
    pub(super) async fn read(&self, keys: &SealingKeys) -> Result<(), StorageFailed> {
        if !matches!(*self.record.borrow(), Record::Unread) {
            return Ok(());
        }
        let stored = self.ports.get(SESSION).await?;
        let record = match stored.map(|sealed| open::<SessionState>(&sealed, &self.name, keys)) {
            None => Record::Absent,
            Some(Ok(state)) => Record::Present(state),
            Some(Err(_)) => {
                report::unopened_record(&*self.ports, "session");
                Record::Absent
            }
        };
        // A concurrent ask may have read the record, and changed it, meanwhile.
        let mut unread = self.record.borrow_mut();
        if matches!(*unread, Record::Unread) {
            *unread = record;
        }
        Ok(())
    }

    /// Records that the session was used; the stored time is updated only now and then.
    pub(super) fn note_use(self: &Rc<Self>, state: &SessionState) {
        let Some(policy) = self.config.session else { return };
        let now = self.ports.now();
        self.used_at.set(now);
        if !state.is_use_due(&policy, now) {
            return;
        }
        let session = Rc::clone(self);
        let store = async move {
            let Some(keys) = &session.config.sealing_keys else { return };
            let noted = session.commit(keys, |state| {
                let mut state = state?.clone();
                state.note_use(now);
                Some(state)
            });
            // If storage fails, the session may count as idle too early.
            let _ = noted.await;
        };
        self.ports.spawn(task(store).boxed_local());
    }

    /// Removes the sign-in of the token set `tokens`, and ends the session with its last sign-in,
    /// unless the person signed in again meanwhile.
    pub(super) async fn remove_sign_in(
        &self,
        tokens: &Rc<LiveTokenSet<P>>,
        proof: Fingerprint,
    ) -> Result<(), StorageFailed> {
        let Some(keys) = &self.config.sealing_keys else { return Ok(()) };
        tokens.cut_off();
        let left = self.commit(keys, |state| {
            let mut state = state.filter(|state| state.proof == proof)?.clone();
            state.remove(tokens.connection());
            Some(state)
        });
        let left = left.await;
        // Until then, a call in flight finds the token set that was cut off, and loads no other.
        self.token_sets.borrow_mut().retain(|other| !Rc::ptr_eq(other, tokens));
        left?;
        let has_left =
            |state: &SessionState| state.proof == proof && state.connections.is_empty() && !state.stays;
        self.end(|state| state.is_some_and(has_left)).await
    }

    /// Ends the session and its token sets if `is_over` says so.
    pub(super) async fn end(
        &self,
        is_over: impl FnOnce(Option<&SessionState>) -> bool,
    ) -> Result<(), StorageFailed> {
        let _guard = self.writing.lock().await;
        let is_over = match &*self.record.borrow() {
            Record::Unread | Record::Absent => is_over(None),
            Record::Present(state) => is_over(Some(state)),
        };
        if is_over { self.clear().await } else { Ok(()) }
    }

    /// Clears memory and storage; the caller holds the write lock.
    pub(super) async fn clear(&self) -> Result<(), StorageFailed> {
        for tokens in self.token_sets.take() {
            tokens.cut_off();
        }
        self.record.replace(Record::Absent);
        self.ends.set(self.ends.get() + 1);
        let cleared = self.ports.clear().await;
        if cleared.is_err() {
            report::storage_failed(&*self.ports, "session");
            self.record.replace(Record::Unread);
            // The alarm may be deleted, and the data not.
            let _ = self.ports.set_alarm(self.ports.now() + CLEAR_AGAIN).await;
        }
        cleared
    }

    /// Changes the session: durably first, then in memory. If storage fails, the state in memory is
    /// dropped and read again: only storage is authoritative.
    pub(super) async fn commit(
        &self,
        keys: &SealingKeys,
        change: impl FnOnce(Option<&SessionState>) -> Option<SessionState>,
    ) -> Result<Option<SessionState>, StorageFailed> {
        let _guard = self.writing.lock().await;
        let next = match &*self.record.borrow() {
            Record::Unread => return Err(StorageFailed),
            Record::Absent => change(None),
            Record::Present(state) => change(Some(state)),
        };
        let Some(state) = next else { return Ok(None) };
        let nonce = Nonce(self.ports.bytes());
        let sealed = seal(&state, &self.name, keys, &nonce).map_err(|_| StorageFailed)?;
        let stored = self.ports.put(SESSION, &sealed).await;
        self.record.replace(if stored.is_ok() { Record::Present(state.clone()) } else { Record::Unread });
        stored.map(|()| Some(state))
    }
}
