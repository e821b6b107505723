//! The publication of a connection's own access token: a copy in the cache, and an alarm that
//! renews it between calls.
//!
//! An ask sets the alarm for the time at which its token ages. Only another ask sets it again, so
//! an unused connection goes cold, unless somebody consented to it: see [`KEEP_ALIVE`]. An isolate asks when its token ages, but not when it finds a
//! fresh one in the cache: the keeper does not see that use.

use std::rc::Rc;
use std::time::Duration;

use super::plan::Means;
use super::{Account, Failure, LiveTokenSet, Reason};
use crate::objects::telling::LOOK_AGAIN;
use crate::ports::{CacheFailed, ObjectPorts, report};
use crate::protocol::access_token_record;
use crate::time::UnixTime;
use crate::token::{AccessToken, AccessTokenRecord, Freshness, Nonce};

/// The least life of a token that is written to the cache.
const MIN_CACHED_LIFE: Duration = Duration::from_mins(2);

/// The least time between two repeated copies into the cache.
const REPUBLISH_INTERVAL: Duration = Duration::from_mins(10);

/// How often the token set of an unused consent is renewed: providers end refresh tokens that are not
/// used, after 30 days or more, and nobody would know before the next call.
const KEEP_ALIVE: Duration = Duration::from_hours(5 * 24);

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

    /// Sets the alarm for the time at which `token` ages.
    pub(super) fn schedule_renewal(self: &Rc<Self>, token: &AccessToken) {
        let Some(copies) = &self.copies else { return };
        if copies.alarm_for.replace(token.generation) != token.generation {
            let soon = self.ports.now() + Duration::from_secs(1);
            self.set_alarm(token.lifetime.refresh_at.max(soon));
        }
    }

    /// Handles the alarm: renews an ageing token. If that fails and the token stays valid, the
    /// alarm is set again for the end of the wait.
    pub async fn alarm(self: &Rc<Self>, account: &Account) {
        if account.connection.grant.endpoint().is_none() || self.load(account).await.is_err() {
            return;
        }
        if let Some(copies) = &self.copies {
            copies.alarm_for.set(0);
        }
        let now = self.ports.now();
        let is_consent = Means::of(&account.connection.grant) == Means::Nothing;
        let due = self.change(|state| {
            let held = state.current(now);
            let ages = held.as_ref().is_some_and(|held| held.lifetime.freshness(now) <= Freshness::Ageing);
            let is_due = ages || (is_consent && held.is_none() && state.has_refresh_token());
            is_due.then(|| state.waiting(now))
        });
        let Ok(Some(waiting)) = due else {
            // The alarm was set for another purpose.
            if let Ok(Some(held)) = self.change(|state| state.current(now)) {
                self.schedule_renewal(&held);
            }
            return;
        };
        let again = match waiting {
            Some((_, until)) => until,
            None => match self.renew(account, Reason::Age).await {
                Ok(_) if is_consent => now + KEEP_ALIVE,
                Ok(_) | Err(Failure::SignedOut | Failure::Storage | Failure::Superseded) => return,
                Err(Failure::TokenEndpoint(_, until)) => until,
            },
        };
        if is_consent || self.change(|state| state.current(again).is_some()) == Ok(true) {
            self.set_alarm(again);
        }
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
