//! The end of a sign-in or a consent: session and token set are stored as one.

use std::rc::Rc;

use super::state::SessionState;
use super::{Record, SESSION, Session};
use crate::objects::token_set::{Account, LiveTokenSet};
use crate::ports::{ObjectPorts, StorageFailed, report};
use crate::token::{Nonce, seal};

impl<P: ObjectPorts> Session<P> {
    /// Stores the new token set `tokens` and the state `after` the one before, which lives still:
    /// both or none, so that no cookie from before reaches the token set, and nothing else is lost.
    /// `None` where the session ended since it had ended `ends` times.
    pub(super) async fn admit(
        self: &Rc<Self>,
        account: &Account,
        tokens: Rc<LiveTokenSet<P>>,
        ends: u64,
        after: impl FnOnce(Option<&SessionState>) -> SessionState,
    ) -> Result<Option<SessionState>, StorageFailed> {
        let Some(policy) = self.config.session else { return Ok(None) };
        let _guard = self.writing.lock().await;
        let now = self.ports.now();
        // Set the alarm before anything is stored, so that it is deleted eventually.
        let first_alarm = now + policy.idle.min(policy.longest);
        let is_over = || ends != self.ends.get();
        if is_over() {
            return Ok(None);
        }
        self.ports.set_alarm(first_alarm).await?;
        let state = match &*self.record.borrow() {
            Record::Unread => return Err(StorageFailed),
            Record::Absent => after(None),
            Record::Present(state) => {
                after(Some(state).filter(|state| state.lives(state.longest(&policy), &policy, now)))
            }
        };
        let nonce = Nonce(self.ports.bytes());
        let sealed = seal(&state, &self.name, &account.keys, &nonce).map_err(|_| StorageFailed)?;
        let (key, sealed_tokens) = tokens.sealed(account)?;
        // From here on, renewals for the sign-ins that this one replaces write nothing.
        self.cut_off_all_but(&state, tokens.connection());
        let stored = self.ports.put_both([(SESSION, &sealed), (key, &sealed_tokens)]).await;
        // Token sets that were cut off are loaded again from storage, if they are there still.
        self.token_sets.borrow_mut().retain(|tokens| !tokens.is_cut_off());
        if stored.is_err() {
            report::storage_failed(&*self.ports, "session");
            self.record.replace(Record::Unread);
            return Err(StorageFailed);
        }
        self.record.replace(Record::Present(state.clone()));
        self.used_at.set(now);
        self.token_sets.borrow_mut().push(tokens);
        self.ports.set_alarm(state.ends_at(now, &policy)).await?;
        Ok(Some(state))
    }

    /// Cuts the token sets off from storage that `state` has no more, and that of `connection`.
    fn cut_off_all_but(&self, state: &SessionState, connection: &str) {
        for tokens in &*self.token_sets.borrow() {
            let own = tokens.connection();
            if own == connection || !state.connections.iter().any(|known| known == own) {
                tokens.cut_off();
            }
        }
    }
}
