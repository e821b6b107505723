//! An operator's asks to a keeper.

use std::rc::Rc;

use super::Keeper;
use crate::objects::revocation::revoke;
use crate::objects::token_set::{Account, Failure, seconds_left};
use crate::ports::ObjectPorts;
use crate::protocol::{OperatorAsk, OperatorReply, Status, field_problems, status_without_token};

impl<P: ObjectPorts> Keeper<P> {
    /// Answers one ask of an operator.
    pub async fn serve_operator(self: &Rc<Self>, ask: &OperatorAsk) -> OperatorReply {
        match ask {
            OperatorAsk::Registration => return self.registration_reply().await,
            OperatorAsk::Register(record) | OperatorAsk::Patch(record) => {
                return self.register(record, matches!(ask, OperatorAsk::Patch(_))).await;
            }
            OperatorAsk::Remove => return self.remove().await,
            OperatorAsk::Tell | OperatorAsk::Refresh | OperatorAsk::Drop => {}
        }
        let Ok(account) = self.account().await else { return OperatorReply::Unavailable };
        if self.config.sealing_keys.is_none() {
            return OperatorReply::NothingToDo;
        }
        let Some(account) = account else {
            return match (ask, self.is_registered()) {
                (OperatorAsk::Tell, true) => OperatorReply::Told {
                    status: self.misconfigured_status(),
                    takes_webhooks: false,
                    generation: 0,
                },
                (_, true) => OperatorReply::Misconfigured,
                (_, false) => OperatorReply::Unknown,
            };
        };
        if !account.connection.grant.is_shared() && *ask != OperatorAsk::Tell {
            return OperatorReply::NothingToDo;
        }
        let done = match ask {
            OperatorAsk::Refresh => self.tokens.refresh(&account).await,
            OperatorAsk::Drop => match self.tokens.drop_token_set(&account).await {
                Ok((generation, revocable)) => {
                    revoke(&self.ports, revocable);
                    return OperatorReply::Dropped(generation);
                }
                Err(failure) => Err(failure),
            },
            OperatorAsk::Tell
            | OperatorAsk::Registration
            | OperatorAsk::Register(_)
            | OperatorAsk::Patch(_)
            | OperatorAsk::Remove => Ok(()),
        };
        match done {
            Ok(()) => self.status_reply(&account).await,
            Err(Failure::TokenEndpoint(cause, until)) => {
                OperatorReply::Failed { cause, retry_after: seconds_left(until, self.ports.now()) }
            }
            // Somebody has to consent.
            Err(Failure::SignedOut) => OperatorReply::NothingToDo,
            Err(Failure::Storage | Failure::Superseded) => OperatorReply::Unavailable,
        }
    }

    /// The status of a registration that is unusable, with its own labels.
    fn misconfigured_status(&self) -> Status {
        let mut status = status_without_token(None, "misconfigured");
        if let Some(unusable) = self.registered.borrow().unusable() {
            status.insert("problems".to_owned(), field_problems(&unusable.problems));
            if let Some(labels) = &unusable.labels {
                status.insert("labels".to_owned(), labels.clone());
            }
        }
        status
    }

    async fn status_reply(&self, account: &Account) -> OperatorReply {
        let Ok((mut status, generation)) = self.tokens.status(account).await else {
            return OperatorReply::Unavailable;
        };
        if status.get("sealing_key").is_none_or(serde_json::Value::is_null) {
            status.insert("sealing_key".to_owned(), self.registration_sealed_with().into());
        }
        OperatorReply::Told { status, takes_webhooks: self.takes_webhooks(), generation }
    }
}
