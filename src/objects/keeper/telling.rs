//! What a keeper tells the operator of its connection.

use std::rc::Rc;

use futures_util::FutureExt as _;

use super::Keeper;
use crate::objects::lock::task;
use crate::objects::telling::{LOOK_AGAIN, MISCONFIGURED, News};
use crate::objects::token_set::Account;
use crate::ports::{ObjectPorts, StorageFailed};
use crate::secret::Fingerprint;

impl<P: ObjectPorts> Keeper<P> {
    /// Tells the operator, in the background, what the last message or alarm has changed. If that fails,
    /// the next one goes on.
    pub(in crate::objects) fn tell(self: &Rc<Self>) {
        if self.telling.is_wanted() {
            let keeper = Rc::clone(self);
            let telling = async move {
                // No call shows that a static token works, or that a misconfigured connection does.
                let is_alone = keeper.tell_changes().await.unwrap_or(true);
                if is_alone {
                    // If this fails, too, the next message has the keeper look again.
                    let _ = keeper.ports.set_alarm(keeper.ports.now() + LOOK_AGAIN).await;
                }
            };
            self.ports.spawn(task(telling).boxed_local());
        }
    }

    /// Tells what has changed; returns whether nobody else makes the keeper look again.
    async fn tell_changes(&self) -> Result<bool, StorageFailed> {
        let epoch = self.tokens.epoch();
        let account = self.account().await?;
        if let Some(account) = &account {
            self.tokens.settle(account).await.map_err(|_| StorageFailed)?;
        }
        // What was read belongs to another registration if the epoch is another one.
        let look = || self.news(account.as_ref()).filter(|_| epoch == self.tokens.epoch());
        self.telling.tell(&look).await?;
        let is_alone = account.is_none_or(|account| account.connection.grant.endpoint().is_none());
        Ok(self.telling.is_pending() || (is_alone && self.telling.is_broken()))
    }

    /// What the operator is to be told of the connection, which has `account` where it is usable; `None`
    /// where that is not known, or there is no connection.
    fn news(&self, account: Option<&Account>) -> Option<News> {
        let registered = self.registered.borrow();
        let problems = match registered.unusable() {
            Some(unusable) => unusable.problems.clone(),
            None => self.config.problems_of(&self.connection),
        };
        let fields: Vec<&str> = problems.iter().map(|(field, _)| field.as_str()).collect();
        let misconfigured = || News::Broken {
            state: [MISCONFIGURED, " ", &Fingerprint::of(&fields).to_hex()].concat(),
            code: "misconfigured".to_owned(),
        };
        match account {
            None => (!fields.is_empty()).then(misconfigured),
            // Its webhook may be misconfigured.
            Some(account) => self.tokens.news(account).map(|news| match news {
                News::Works | News::Usable if !fields.is_empty() => misconfigured(),
                news => news,
            }),
        }
    }
}
