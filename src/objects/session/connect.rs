//! Consents of a person, and the end of what they consented to.

use std::rc::Rc;

use super::state::SessionState;
use super::{Record, Session};
use crate::json;
use crate::objects::lock::task;
use crate::objects::revocation::{Revocable, revoke};
use crate::objects::token_set::Account;
use crate::ports::{ObjectPorts, StorageFailed};
use crate::protocol::{
    AddSession, ConnectPerson, Consent, ConsentRefusal, Expulsion, Person, RemoveSession, SessionReply,
    person_indices, sid_indices,
};
use crate::secret::{Fingerprint, Secret};
use crate::time::UnixTime;
use crate::token::SealingKeys;

impl<P: ObjectPorts> Session<P> {
    /// Takes a consent: exchanges its code, once, and stores what came of it.
    pub(super) async fn connect(self: &Rc<Self>, ask: &ConnectPerson) -> Result<SessionReply, StorageFailed> {
        let (Some(policy), Some(keys)) = (self.config.session, &self.config.sealing_keys) else {
            return Ok(SessionReply::Nobody);
        };
        // An isolate of another version may know the connection with another provider.
        let known = Account::configured(&self.config, &ask.connection);
        let Some(account) = known.filter(|account| account.connection.identity == ask.identity) else {
            return Ok(SessionReply::ConsentRefused(ConsentRefusal::Misconfigured));
        };
        // Serialised: each consent sees the one before it, also one of another tab.
        let _guard = self.signing_in.lock().await;
        let before = self.living(None).await?;
        let before = match (before, ask.proof) {
            (Some(state), Some(proof)) if state.is_joined_by(proof, self.ports.now()) => Some(state),
            (_, Some(_)) => return Ok(SessionReply::Nobody),
            // Handles are random and never collide: this consent is not the broker's.
            (Some(_), None) => return Err(StorageFailed),
            (None, None) => None,
        };
        let consent = Consent::open(&ask.consent, &self.name, keys).map_err(|_| StorageFailed)?;
        let tokens = self.new_tokens(&ask.connection);
        let ends = self.ends.get();
        let consented = match tokens.exchange_code(&account, consent).await {
            Ok(consented) => consented,
            Err(refusal) => return Ok(SessionReply::ConsentRefused(refusal)),
        };
        let now = self.ports.now();
        let person = consented.identity.as_ref().map(|identity| Person {
            connection: ask.connection.clone(),
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            sid: identity.sid.clone(),
            since: now,
            claims: json::text(&identity.claims),
        });
        tokens.hold_consent(&account, &consented, None).map_err(|_| StorageFailed)?;
        let brought = tokens.revocable(&account).await;
        // The session is listed before it exists: whoever ends the person's sessions finds it.
        let span = (consented.sent_at, now + policy.longest);
        let kept = match self.list_session(keys, person.as_ref(), span).await {
            Ok(true) => self.kept_refresh_token(&account, before.as_ref(), person.as_ref()).await.map(Some),
            Ok(false) => Ok(None),
            Err(StorageFailed) => Err(StorageFailed),
        };
        match kept {
            Ok(Some(None)) => {}
            Ok(Some(kept)) => tokens.hold_consent(&account, &consented, kept).map_err(|_| StorageFailed)?,
            Ok(None) => {
                revoke(&self.ports, brought);
                return Ok(SessionReply::ConsentRefused(ConsentRefusal::SessionEnded));
            }
            Err(StorageFailed) => {
                revoke(&self.ports, brought);
                return Err(StorageFailed);
            }
        }
        let connection = &ask.connection;
        let after = |before: Option<&SessionState>| {
            SessionState::after_consent(before, ask.next_proof, connection, person, now)
        };
        let Some(state) = self.admit(&account, tokens, ends, after).await? else {
            // The code is used up: it must not come again for a new session.
            revoke(&self.ports, brought);
            return Ok(SessionReply::ConsentRefused(ConsentRefusal::SessionEnded));
        };
        let ends_at = self.expires_at(connection, &state).await?;
        Ok(SessionReply::Connected { expires_at: ends_at.ok_or(StorageFailed)? })
    }

    /// Lists the session in the indices of `person`, until `ends_at` at the latest. False where the
    /// person's sessions were to end after the code was sent, at `since`.
    async fn list_session(
        &self,
        keys: &SealingKeys,
        person: Option<&Person>,
        (since, ends_at): (UnixTime, UnixTime),
    ) -> Result<bool, StorageFailed> {
        for name in person.into_iter().flat_map(|person| indices(keys, person)) {
            let session = &self.name;
            let listed = self.ports.ask(AddSession { name: &name, session, ends_at, since }).await;
            if !listed.map_err(|_| StorageFailed)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The refresh token of the consent before, if that has not ended and both are proven to be of the
    /// same person: some providers send one with the first consent only.
    async fn kept_refresh_token(
        self: &Rc<Self>,
        account: &Account,
        before: Option<&SessionState>,
        person: Option<&Person>,
    ) -> Result<Option<Secret>, StorageFailed> {
        let (Some(before), Some(person)) = (before, person) else { return Ok(None) };
        let known = before.people.iter().find(|known| known.connection == person.connection);
        let is_held = before.connections.contains(&person.connection);
        if !is_held || !known.is_some_and(|known| known.is_same(person)) {
            return Ok(None);
        }
        self.tokens(&person.connection).refresh_token(account).await
    }

    /// Ends the consent for `connection`, and revokes its tokens behind the reply. The person stays
    /// who they are.
    pub(super) async fn disconnect(
        self: &Rc<Self>,
        proof: Fingerprint,
        connection: &str,
    ) -> Result<SessionReply, StorageFailed> {
        let Some(keys) = &self.config.sealing_keys else { return Ok(SessionReply::Nobody) };
        // A consent in flight ends first.
        let _guard = self.signing_in.lock().await;
        let state = self.living(Some(proof)).await?;
        if !state.is_some_and(|state| state.connections.iter().any(|known| known == connection)) {
            return Ok(SessionReply::Nobody);
        }
        let revocable = self.revocable(connection).await;
        let tokens = self.tokens(connection);
        tokens.cut_off();
        let left = self.commit(keys, |known| {
            let mut left = known?.clone();
            left.remove(connection);
            Some(left)
        });
        let left = left.await;
        // Until then, a call in flight finds the token set that was cut off, and loads no other.
        self.token_sets.borrow_mut().retain(|other| !Rc::ptr_eq(other, &tokens));
        left?;
        revoke(&self.ports, revocable);
        Ok(SessionReply::SignedOut)
    }

    /// Ends the session, if it is that of the person.
    pub(super) async fn expel(self: &Rc<Self>, whom: &Expulsion) -> Result<SessionReply, StorageFailed> {
        // A consent in flight ends first: the session may be the person's by it.
        let _guard = self.signing_in.lock().await;
        let Some(state) = self.living(None).await? else { return Ok(SessionReply::Nobody) };
        // An ID token may have no `sid` where the logout token has both: its subject decides.
        let is_meant = |person: &Person| {
            let by_subject = whom.subject.as_ref().map(|subject| person.subject == *subject);
            let by_sid = whom.sid.as_ref().zip(person.sid.as_ref()).map(|(sid, known)| sid == known);
            person.connection == whom.connection
                && by_subject.or(by_sid) == Some(true)
                && by_sid != Some(false)
        };
        if !state.people.iter().any(is_meant) {
            return Ok(SessionReply::Nobody);
        }
        let _writing = self.writing.lock().await;
        self.clear_and_revoke().await?;
        Ok(SessionReply::SignedOut)
    }

    /// Clears the session, and behind the reply revokes its tokens and removes it from the indices;
    /// the caller holds the write lock.
    pub(super) async fn clear_and_revoke(self: &Rc<Self>) -> Result<(), StorageFailed> {
        let state = match &*self.record.borrow() {
            Record::Present(state) => Some(state.clone()),
            Record::Unread | Record::Absent => None,
        };
        let mut revocable = Vec::new();
        for connection in state.iter().flat_map(|state| &state.connections) {
            revocable.extend(self.revocable(connection).await);
        }
        self.clear().await?;
        if let (Some(state), Some(keys)) = (&state, &self.config.sealing_keys) {
            self.unlist(keys, state.people.iter());
        }
        revoke(&self.ports, revocable);
        Ok(())
    }

    /// What can be revoked of the sign-in to `connection`.
    async fn revocable(self: &Rc<Self>, connection: &str) -> Vec<Revocable> {
        let Some(account) = Account::configured(&self.config, connection) else { return Vec::new() };
        // What cannot be read cannot be revoked, and ends all the same.
        self.tokens(connection).revocable(&account).await
    }

    /// Removes the session from the indices of `people`, in the background. One that stays there
    /// names a session that is not theirs, until it ends.
    fn unlist<'p>(self: &Rc<Self>, keys: &SealingKeys, people: impl Iterator<Item = &'p Person>) {
        let names: Vec<String> = people.flat_map(|person| indices(keys, person)).collect();
        if names.is_empty() {
            return;
        }
        let session = Rc::clone(self);
        self.ports.spawn(Box::pin(task(async move {
            for name in names {
                let _ = session.ports.ask(RemoveSession { name: &name, session: &session.name }).await;
            }
        })));
    }
}

/// The names of the indices that list a session of `person`.
fn indices(keys: &SealingKeys, person: &Person) -> impl Iterator<Item = String> {
    let Person { connection, subject, sid, .. } = person;
    let by_sid = sid.as_ref().map(|sid| sid_indices(keys, connection, sid));
    let all = [Some(person_indices(keys, connection, subject)), by_sid];
    all.into_iter().flatten().filter_map(|names| names.into_iter().next())
}
