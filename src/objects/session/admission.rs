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
        // From here on, renewals for the sign-ins that this one replaces write nothing, and whoever
        // comes with a cookie reads from storage whether it is still good.
        self.drop_replaced(&state, tokens.connection());
        self.record.replace(Record::Unread);
        let stored = self.ports.put_both([(SESSION, &sealed), (key, &sealed_tokens)]).await;
        // Meanwhile a token set may have been loaded that is not sure to be there.
        self.drop_replaced(&state, tokens.connection());
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

    /// Cuts the token sets off from storage, and drops them, that `state` has no more, and that of
    /// `connection`: the next use loads them.
    fn drop_replaced(&self, state: &SessionState, connection: &str) {
        self.token_sets.borrow_mut().retain(|tokens| {
            let own = tokens.connection();
            let stays = own != connection && state.connections.iter().any(|known| known == own);
            if !stays {
                tokens.cut_off();
            }
            stays
        });
    }
}
