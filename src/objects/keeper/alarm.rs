//! Keeping a connection in use warm.
//!
//! The alarm is set when somebody asks for a token, for the moment from which
//! that token ages; it renews the token then, though nobody calls just now. It
//! is not set again until somebody asks: a connection that nobody uses goes
//! cold. Isolates that hold an ageing token ask, too. One that finds a fresh
//! token in the cache does not: such use is not seen.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::Keeper;
use super::failure::Failure;
use super::plan::Reason;
use crate::ports::{Clock as _, KeeperPorts};
use crate::time::UnixTime;
use crate::token::{AccessToken, Freshness};

impl<P: KeeperPorts + 'static> Keeper<P> {
    /// Renews a token that ages. Where that fails and the token is still
    /// valid, the alarm is set again for the end of the wait.
    pub async fn alarm(self: &Rc<Self>) {
        let Ok(Some((connection, keys))) = self.configured().await else { return };
        if connection.grant.endpoint().is_none() || self.load(&connection, keys).await.is_err() {
            return;
        }
        self.alarm_for.set(0);
        let now = self.ports.now();
        let ageing = self.change(|state| {
            let held = state.current(now);
            let ages = held.is_some_and(|held| held.lifetime.freshness(now) <= Freshness::Ageing);
            ages.then(|| state.waiting(now))
        });
        let Ok(Some(waiting)) = ageing else { return };
        let again = match waiting {
            Some((_, until)) => until,
            None => match self.renew(Reason::Age).await {
                Ok(_) | Err(Failure::SignedOut | Failure::Storage) => return,
                Err(Failure::TokenEndpoint(_, until)) => until,
            },
        };
        if self.change(|state| state.current(again).is_some()) == Ok(true) {
            self.set_alarm(again);
        }
    }

    /// Has `token` renewed when it ages.
    pub(super) fn keep_warm(self: &Rc<Self>, token: &AccessToken) {
        if self.alarm_for.replace(token.generation) != token.generation {
            let soon = self.ports.now() + Duration::from_secs(1);
            self.set_alarm(token.lifetime.refresh_at.max(soon));
        }
    }

    fn set_alarm(self: &Rc<Self>, at: UnixTime) {
        let keeper = Rc::clone(self);
        // Without the alarm the next call renews.
        let set = async move {
            let _ = keeper.ports.set_alarm(at).await;
        };
        self.ports.spawn(set.boxed_local());
    }
}
