//! The publication of a connection's own access token: a copy in the cache, and an alarm that
//! renews it between calls.
//!
//! An ask sets the alarm for the time at which its token ages. What the alarm then obtains is not renewed
//! before another ask, so an unused connection goes cold, unless somebody consented to it: see
//! [`State::renewal_at`]. An isolate asks when its token ages, but not when it finds a fresh one in the
//! cache: the keeper does not see that use.

use std::rc::Rc;
use std::time::Duration;

use super::plan::Means;
use super::{Account, LiveTokenSet, Reason, State};
use crate::objects::telling::LOOK_AGAIN;
use crate::ports::{CacheFailed, ObjectPorts, report};
use crate::protocol::access_token_record;
use crate::time::UnixTime;
use crate::token::{AccessToken, AccessTokenRecord, Nonce};

/// The least life of a token that is written to the cache.
const MIN_CACHED_LIFE: Duration = Duration::from_mins(2);

/// The least time between two repeated copies into the cache.
const REPUBLISH_INTERVAL: Duration = Duration::from_mins(10);

impl<P: ObjectPorts> LiveTokenSet<P> {
    /// Copies the access token into the cache, in the background.
    pub(super) fn publish(self: &Rc<Self>, access: &AccessToken, account: &Account) {
        let lifetime = access.lifetime;
        if self.copies.is_none() || lifetime.expires_at.since(lifetime.obtained_at) < MIN_CACHED_LIFE {
            return;
        }
        let name = access_token_record(&self.subject, &self.connection);
        let (identity, nonce) = (&account.connection.identity, Nonce(self.ports.bytes()));
        let Ok(record) = AccessTokenRecord::seal(access, identity, &name, &account.keys, &nonce) else {
            return;
        };
        let (tokens, generation) = (Rc::clone(self), access.generation);
        self.spawn(async move {
            let Some(copies) = &tokens.copies else { return };
            let _guard = copies.publishing.lock().await;
            // The token may have been dropped meanwhile.
            if tokens.change(|state| state.holds(generation)) != Ok(true) {
                return;
            }
            if tokens.ports.write(&name, &record, lifetime.expires_at).await.is_err() {
                report::cache_failed(&*tokens.ports, "write");
            }
        });
    }

    /// Copies the access token into the cache again: an isolate missed it there although it should
    /// have been replicated by now. At most every ten minutes.
    pub(super) fn publish_again(self: &Rc<Self>, access: &AccessToken, account: &Account, now: UnixTime) {
        let Some(copies) = &self.copies else { return };
        let last = copies.published_again.get();
        let pause = if last.is_some() { REPUBLISH_INTERVAL } else { MIN_CACHED_LIFE };
        if now >= last.unwrap_or(access.lifetime.obtained_at) + pause {
            copies.published_again.set(Some(now));
            self.publish(access, account);
        }
    }

    /// Deletes the copy in the cache.
    pub(super) async fn withdraw(&self) -> Result<(), CacheFailed> {
        let Some(copies) = &self.copies else { return Ok(()) };
        let _guard = copies.publishing.lock().await;
        self.ports.delete(&access_token_record(&self.subject, &self.connection)).await
    }

    /// Sets the alarm for the time at which `token`, which somebody asked for, ages.
    pub(super) fn schedule_renewal(self: &Rc<Self>, token: &AccessToken) {
        let Some(copies) = &self.copies else { return };
        // Where the state is not in memory, the next ask says so again.
        let _ = self.change(State::note_asked_for);
        if copies.alarm_for.replace(token.generation) != token.generation {
            let soon = self.ports.now() + Duration::from_secs(1);
            self.set_alarm(token.lifetime.refresh_at.max(soon));
        }
    }

    /// Handles the alarm, which may be set for another purpose: renews the token where that is due, and
    /// sets the alarm for the next renewal.
    pub async fn alarm(self: &Rc<Self>, account: &Account) {
        if account.connection.grant.endpoint().is_none() || self.load(account).await.is_err() {
            return;
        }
        if let Some(copies) = &self.copies {
            copies.alarm_for.set(0);
        }
        if self.renewal_at(account).is_some_and(|at| at <= self.ports.now()) {
            // If this fails, it is tried again after the wait.
            let _ = self.renew(account, Reason::Alarm).await;
        }
        if let Some(at) = self.next_renewal(account) {
            self.set_alarm(at);
        }
    }

    /// When the alarm is to renew the account's token next; `None` where that is not to come, or is due.
    pub fn next_renewal(&self, account: &Account) -> Option<UnixTime> {
        self.renewal_at(account).filter(|at| *at > self.ports.now())
    }

    fn renewal_at(&self, account: &Account) -> Option<UnixTime> {
        self.check_current(account).ok()?;
        let is_consent = Means::of(&account.connection.grant) == Means::Nothing;
        self.change(|state| state.renewal_at(is_consent, self.ports.now())).ok()?
    }

    fn set_alarm(self: &Rc<Self>, at: UnixTime) {
        let tokens = Rc::clone(self);
        self.spawn(async move {
            let looks_again = tokens.copies.as_ref().is_some_and(|copies| copies.looks_again.get());
            let at = if looks_again { at.min(tokens.ports.now() + LOOK_AGAIN) } else { at };
            // If this fails, the next call renews the token.
            let _ = tokens.ports.set_alarm(at).await;
        });
    }
}
