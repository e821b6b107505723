//! What a keeper tells the operator of its connection.

use std::rc::Rc;

use futures_util::FutureExt as _;

use super::Keeper;
use crate::objects::lock::task;
use crate::objects::telling::{LOOK_AGAIN, MISCONFIGURED, News};
use crate::objects::token_set::Account;
use crate::ports::{ObjectPorts, StorageFailed, report};

impl<P: ObjectPorts> Keeper<P> {
    /// Tells the operator, in the background, what the last message has changed.
    pub(in crate::objects) fn tell_in_background(self: &Rc<Self>) {
        if self.telling.is_wanted() {
            let keeper = Rc::clone(self);
            // If this fails, the next message or alarm goes on.
            let telling = async move { keeper.tell().await.unwrap_or_default() };
            self.ports.spawn(task(telling).boxed_local());
        }
    }

    /// Tells the operator what has changed; if that fails, the alarm is set for another look.
    ///
    /// # Errors
    /// [`StorageFailed`]: nor is the alarm set.
    pub(in crate::objects) async fn tell(&self) -> Result<(), StorageFailed> {
        if !self.telling.is_wanted() || self.tell_changes().await.is_ok() {
            return Ok(());
        }
        report::storage_failed(&*self.ports, "told");
        self.telling.owes.set(true);
        self.ports.set_alarm(self.ports.now() + LOOK_AGAIN).await
    }

    /// Tells what has changed.
    async fn tell_changes(&self) -> Result<(), StorageFailed> {
        let epoch = self.tokens.epoch();
        let account = self.account().await?;
        if let Some(account) = &account {
            self.tokens.settle(account).await.map_err(|_| StorageFailed)?;
        }
        // What was read belongs to another registration if the epoch is another one.
        let look = || self.news(account.as_ref()).filter(|_| epoch == self.tokens.epoch());
        let is_alone = account.as_ref().is_some_and(|account| self.tokens.is_alone(account));
        let renewal = || account.as_ref().and_then(|account| self.tokens.next_renewal(account));
        self.telling.tell(is_alone, &look, &renewal).await
    }

    /// What the operator is to be told of the connection, which has `account` where it is usable; `None`
    /// where that is not known, or there is no connection.
    fn news(&self, account: Option<&Account>) -> Option<News> {
        let registered = self.registered.borrow();
        let wrong = match registered.unusable() {
            Some(unusable) => fields(&unusable.problems),
            None => fields(&self.config.problems_of(&self.connection)),
        };
        let is_wrong = !wrong.is_empty();
        let misconfigured =
            || News::Broken { state: [MISCONFIGURED, &wrong].concat(), code: "misconfigured".to_owned() };
        match account {
            None => is_wrong.then(misconfigured),
            // Its webhook may be misconfigured.
            Some(account) => self.tokens.news(account).map(|news| match news {
                News::Works | News::Usable if is_wrong => misconfigured(),
                news @ (News::Works | News::Usable | News::Broken { .. }) => news,
            }),
        }
    }
}

/// The names of the fields that have problems, each behind a blank.
fn fields(problems: &[(String, String)]) -> String {
    let mut names = String::new();
    for (field, _) in problems {
        names.push(' ');
        names.push_str(field);
    }
    names
}
