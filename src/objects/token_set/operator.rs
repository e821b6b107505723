//! The operator's view of a token set, and actions on it.

use std::rc::Rc;

use serde_json::Value;

use super::plan::Means;
use super::state::LastError;
use super::{Account, Failure, LiveTokenSet, Reason, State, Trouble};
use crate::config::Connection;
use crate::objects::lock::LockGuard;
use crate::objects::revocation::Revocable;
use crate::objects::telling::{DISCONNECTED, News, REJECTED};
use crate::ports::{ObjectPorts, report};
use crate::protocol::{Cause, Status, status_without_token};
use crate::time::UnixTime;

impl State {
    /// The state of `connection`, as the admin interface names it.
    fn name(&self, connection: &Connection, now: UnixTime) -> &'static str {
        let works = self.works() && !self.is_dead();
        let is_usable = self.current(now).is_some() && (!self.is_refused() || works);
        let refused = self.upstream_refuses(now);
        // What each caller has of their own is not known here.
        let is_static = connection.grant.endpoint().is_none() || !connection.grant.is_shared();
        match self.waiting(now) {
            _ if self.credentials_are_rejected() => "rejected",
            Some(_) => "waiting",
            None if (refused.is_some() || self.is_refused()) && !works => "rejected",
            None if is_static || is_usable => "ready",
            None if Means::of(&connection.grant) == Means::Nothing && !self.has_refresh_token() => {
                "disconnected"
            }
            None => "cold",
        }
    }

    /// What the operator is to be told of `connection`. A token that is refused while another one is
    /// obtained is no news, and one that was obtained for a refused one has yet to work.
    pub fn news(&self, connection: &Connection, now: UnixTime) -> News {
        let broken =
            |state: &str, code: &str| News::Broken { state: state.to_owned(), code: code.to_owned() };
        if self.credentials_are_rejected() {
            return broken(REJECTED, Cause::CredentialsRejected.as_str());
        }
        match self.name(connection, now) {
            "rejected" if self.backs_off(now) || self.is_dead() => {
                broken(REJECTED, Trouble::UpstreamRefuses.as_str())
            }
            // Nobody is told that nobody has connected yet.
            "disconnected" if self.grants() > 0 => broken(DISCONNECTED, "not_connected"),
            "ready" if !self.is_unproven(now) => News::Works,
            _ => News::Usable,
        }
    }

    /// The status of `connection`, from its state.
    fn status(&self, connection: &Connection, now: UnixTime) -> Status {
        let works = self.works() && !self.is_dead();
        let usable = self.current(now).filter(|_| !self.is_refused() || works);
        let (wait, refused) = (self.waiting(now), self.upstream_refuses(now));
        let mut status = status_without_token(Some(connection), self.name(connection, now));
        let mut tell = |name: &str, value: Value| status.insert(name.to_owned(), value);
        tell("grants", self.grants().into());
        if let Some(access) = usable {
            tell("obtained_at", access.lifetime.obtained_at.to_rfc3339().into());
            tell("expires_at", access.lifetime.expires_at.to_rfc3339().into());
        }
        if let Some(LastError { trouble, at, answer }) = self.last_error() {
            let error: [(&str, Value); 4] = [
                ("code", trouble.as_str().into()),
                ("at", at.to_rfc3339().into()),
                ("reason", answer.map(|answer| answer.reason.as_str()).or(trouble.reason()).into()),
                ("status", answer.map(|answer| answer.status).into()),
            ];
            tell("last_error", error.into_iter().collect());
        }
        if let Some(until) = wait.map(|(_, until)| until).or(refused.flatten()) {
            tell("retry_at", until.to_rfc3339().into());
        }
        status
    }
}

impl<P: ObjectPorts> LiveTokenSet<P> {
    /// The status of the account's connection, and the newest generation of its tokens.
    ///
    /// # Errors
    /// [`Failure::Storage`] where the state cannot be read.
    pub async fn status(&self, account: &Account) -> Result<(Status, u64), Failure> {
        self.load(account).await?;
        let now = self.ports.now();
        let (mut status, generation) =
            self.change(|state| (state.status(&account.connection, now), state.generation()))?;
        if let Some(key) = &*self.sealed_with.borrow() {
            status.insert("sealing_key".to_owned(), key.as_str().into());
        }
        Ok((status, generation))
    }

    /// Obtains a token set, or joins the renewal in flight. It ends all waits, since the operator
    /// may have fixed their cause; a refused static token is accepted again.
    ///
    /// # Errors
    /// [`Failure`]: why no token set can be obtained.
    pub async fn refresh(self: &Rc<Self>, account: &Account) -> Result<(), Failure> {
        self.load(account).await?;
        if account.connection.grant.endpoint().is_none() {
            return self.commit(account, State::end_waits).await;
        }
        self.change(State::end_waits)?;
        self.renew(account, Reason::Age).await.map(drop)
    }

    /// Drops the token set, here and in the cache; returns the newest generation given out, and what
    /// can be revoked.
    ///
    /// # Errors
    /// [`Failure::Storage`] where the token or its copy may still exist.
    pub async fn drop_token_set(&self, account: &Account) -> Result<(u64, Vec<Revocable>), Failure> {
        self.load(account).await?;
        // Wait for the renewal in flight, to drop its result as well.
        let _guard = self.renewing.lock().await;
        let revocable = self.revocable(account).await;
        let generation = self.commit(account, State::drop_token_set).await?;
        self.withdraw_copy().await?;
        Ok((generation, revocable))
    }

    /// Waits for the renewal in flight, and reads the state.
    ///
    /// # Errors
    /// [`Failure`]: the state cannot be read, or is another account's.
    pub async fn settle(&self, account: &Account) -> Result<(), Failure> {
        if let Some(renewal) = self.in_flight() {
            // Its failure is in the state.
            let _ = renewal.await;
        }
        self.load(account).await
    }

    /// Whether no call shows that the account's connection works again: that of a static token, or one
    /// whose new token is not known to work.
    pub fn is_alone(&self, account: &Account) -> bool {
        let is_unproven = self.change(|state| state.is_unproven(self.ports.now()));
        account.connection.grant.endpoint().is_none() || is_unproven == Ok(true)
    }

    /// What the operator is to be told of the account's connection; `None` where the state is not in
    /// memory, or is another account's.
    pub fn news(&self, account: &Account) -> Option<News> {
        self.check_current(account).ok()?;
        self.change(|state| state.news(&account.connection, self.ports.now())).ok()
    }

    /// Waits for the token request in flight, and blocks new ones until the guard is dropped.
    pub(in crate::objects) async fn stop_renewals(&self) -> LockGuard<'_> {
        self.renewing.lock().await
    }

    /// Waits for the write in progress, and blocks new ones until the guard is dropped.
    pub(in crate::objects) async fn stop_writes(&self) -> LockGuard<'_> {
        self.writing.lock().await
    }

    /// Drops the state in memory and begins a new epoch: from now on storage may belong to another
    /// account.
    pub fn forget(&self) {
        self.state.replace(None);
        self.epoch.set(self.epoch.get() + 1);
    }

    /// Deletes the copy of the access token in the cache.
    ///
    /// # Errors
    /// [`Failure::Storage`] where the token or its copy may still exist.
    pub async fn withdraw_copy(&self) -> Result<(), Failure> {
        self.withdraw().await.map_err(|_| {
            report::cache_failed(&*self.ports, "delete");
            Failure::Storage
        })
    }
}
