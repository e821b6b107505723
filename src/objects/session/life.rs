//! Whether a session lives: reading, changing and deleting its record.

use std::rc::Rc;

use futures_util::FutureExt as _;

use super::state::State;
use super::{Known, Session};
use crate::objects::keeper::Keeper;
use crate::ports::{SessionPorts, StorageFailed, report};
use crate::secret::Fingerprint;
use crate::token::{Nonce, SealingKeys, open, seal};

impl<P: SessionPorts + 'static> Session<P> {
    /// The session, where it lives and `proof` is its cookie's; with no proof,
    /// where it lives. One whose time has come is ended.
    pub(super) async fn living(&self, proof: Option<Fingerprint>) -> Result<Option<State>, StorageFailed> {
        let (Some(policy), Some(keys)) = (self.config.session, &self.config.sealing_keys) else {
            return Ok(None);
        };
        self.read(keys).await?;
        let state = match &*self.known.borrow() {
            Known::Unread => return Err(StorageFailed),
            Known::Nobody => return Ok(None),
            Known::Somebody(state) => state.clone(),
        };
        let lives = |state: &State| state.lives(self.used_at.get(), &policy, self.ports.now());
        if !lives(&state) {
            self.end(|state| !state.is_some_and(lives)).await?;
            return Ok(None);
        }
        Ok(Some(state).filter(|state| proof.is_none_or(|proof| state.proof == proof)))
    }

    /// Reads the record once. One that does not open is none.
    pub(super) async fn read(&self, keys: &SealingKeys) -> Result<(), StorageFailed> {
        if !matches!(*self.known.borrow(), Known::Unread) {
            return Ok(());
        }
        let stored = self.ports.load().await?;
        let known = match stored.map(|sealed| open::<State>(&sealed, &self.name, keys)) {
            None => Known::Nobody,
            Some(Ok(state)) => Known::Somebody(state),
            Some(Err(_)) => {
                report::unopened_record(&self.ports, "session");
                Known::Nobody
            }
        };
        // Another ask may have read it, and gone on, meanwhile.
        let mut unread = self.known.borrow_mut();
        if matches!(*unread, Known::Unread) {
            *unread = known;
        }
        Ok(())
    }

    /// Notes that the session is in use, durably from time to time.
    pub(super) fn note_use(self: &Rc<Self>, state: &State) {
        let Some(policy) = self.config.session else { return };
        let now = self.ports.now();
        self.used_at.set(now);
        if !state.is_use_news(&policy, now) {
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
            // Where storage fails, the session may be found idle too early.
            let _ = noted.await;
        };
        self.ports.spawn(store.boxed_local());
    }

    /// Forgets the sign-in to `connection` that `keeper` kept, and the session
    /// with the last one; unless the person has signed in again meanwhile.
    pub(super) async fn leave(
        &self,
        connection: &str,
        keeper: &Rc<Keeper<P>>,
        proof: Fingerprint,
    ) -> Result<(), StorageFailed> {
        let Some(keys) = &self.config.sealing_keys else { return Ok(()) };
        for personal in self.keepers.borrow().iter().filter(|personal| Rc::ptr_eq(&personal.keeper, keeper)) {
            personal.cut_off.set(true);
        }
        self.keepers.borrow_mut().retain(|personal| !Rc::ptr_eq(&personal.keeper, keeper));
        let left = self.commit(keys, |state| {
            let mut state = state.filter(|state| state.proof == proof)?.clone();
            state.connections.retain(|known| known != connection);
            Some(state)
        });
        left.await?;
        let has_left = |state: &State| state.proof == proof && state.connections.is_empty();
        self.end(|state| state.is_some_and(has_left)).await
    }

    /// Ends the session where it `is_over`; its token sets go with it.
    pub(super) async fn end(
        &self,
        is_over: impl FnOnce(Option<&State>) -> bool,
    ) -> Result<(), StorageFailed> {
        let _turn = self.writing.lock().await;
        let is_over = match &*self.known.borrow() {
            Known::Unread | Known::Nobody => is_over(None),
            Known::Somebody(state) => is_over(Some(state)),
        };
        if is_over { self.clear().await } else { Ok(()) }
    }

    /// Forgets and deletes everything, in one's turn.
    pub(super) async fn clear(&self) -> Result<(), StorageFailed> {
        for personal in self.keepers.take() {
            personal.cut_off.set(true);
        }
        self.known.replace(Known::Nobody);
        self.ends.set(self.ends.get() + 1);
        self.ports.clear().await.inspect_err(|_| {
            report::storage_failed(&self.ports, "session");
            self.known.replace(Known::Unread);
        })
    }

    /// Changes the session: durably first, then in memory. Where storage fails
    /// what is in memory is forgotten: storage alone is the truth.
    pub(super) async fn commit(
        &self,
        keys: &SealingKeys,
        change: impl FnOnce(Option<&State>) -> Option<State>,
    ) -> Result<Option<State>, StorageFailed> {
        let _turn = self.writing.lock().await;
        let next = match &*self.known.borrow() {
            Known::Unread => return Err(StorageFailed),
            Known::Nobody => change(None),
            Known::Somebody(state) => change(Some(state)),
        };
        let Some(state) = next else { return Ok(None) };
        let nonce = Nonce(self.ports.bytes());
        let sealed = seal(&state, &self.name, keys, &nonce).map_err(|_| StorageFailed)?;
        let stored = self.ports.store(&sealed).await;
        self.known.replace(if stored.is_ok() { Known::Somebody(state.clone()) } else { Known::Unread });
        stored.map(|()| Some(state))
    }
}
