//! What an operator asks of a keeper, and what it answers.

use std::rc::Rc;

use serde_json::{Value, json};

use super::failure::{Failure, seconds_left};
use super::plan::Reason;
use super::{Keeper, State};
use crate::config::Connection;
use crate::ports::{Cache as _, Clock as _, KeeperPorts, report};
use crate::protocol::{OperatorAsk, OperatorReply, Status, access_token_record, status_without_token};
use crate::time::UnixTime;
use crate::token::SealingKeys;

impl State {
    /// How `connection` is, whose state this is.
    fn status(&self, connection: &Connection, now: UnixTime) -> Status {
        let works = self.works() && !self.is_dead();
        let usable = self.current(now).filter(|_| !self.is_refused() || works);
        let wait = self.waiting(now);
        let refused = self.upstream_refuses(now);
        let is_static = connection.grant.endpoint().is_none();
        let state = match wait {
            _ if self.credentials_are_rejected() => "rejected",
            Some(_) => "waiting",
            None if (refused.is_some() || self.is_refused()) && !works => "rejected",
            None if is_static || usable.is_some() => "ready",
            None => "cold",
        };
        let mut status = status_without_token(Some(connection), state);
        let mut tell = |name: &str, value: Value| status.insert(name.to_owned(), value);
        tell("grants", json!(self.grants()));
        if let Some(access) = usable {
            tell("obtained_at", json!(access.lifetime.obtained_at.to_rfc3339()));
            tell("expires_at", json!(access.lifetime.expires_at.to_rfc3339()));
        }
        if let Some((trouble, at)) = self.last_error() {
            tell("last_error", json!({ "code": trouble.as_str(), "at": at.to_rfc3339() }));
        }
        if let Some(until) = wait.map(|(_, until)| until).or(refused.flatten()) {
            tell("retry_at", json!(until.to_rfc3339()));
        }
        status
    }
}

impl<P: KeeperPorts + 'static> Keeper<P> {
    /// Answers what an operator asks.
    pub async fn serve_operator(self: &Rc<Self>, ask: &OperatorAsk) -> OperatorReply {
        match ask {
            OperatorAsk::Registration => return self.tell_registration().await,
            OperatorAsk::Register(record) => return self.register(record).await,
            OperatorAsk::Remove => return self.remove().await,
            OperatorAsk::Tell | OperatorAsk::Refresh | OperatorAsk::Drop => {}
        }
        let Ok(connection) = self.connection().await else { return OperatorReply::Unavailable };
        let Some(keys) = &self.config.sealing_keys else { return OperatorReply::NothingToDo };
        let Some(connection) = connection else {
            return match (ask, self.is_registered()) {
                (OperatorAsk::Tell, true) => OperatorReply::Told {
                    status: status_without_token(None, "misconfigured"),
                    takes_webhooks: false,
                    generation: 0,
                },
                (_, true) => OperatorReply::Misconfigured,
                (_, false) => OperatorReply::Unknown,
            };
        };
        if connection.grant.is_for_people() && *ask != OperatorAsk::Tell {
            return OperatorReply::NothingToDo;
        }
        if self.load(&connection, keys).await.is_err() {
            return OperatorReply::Unavailable;
        }
        match ask {
            OperatorAsk::Refresh => self.refresh(&connection, keys).await,
            OperatorAsk::Drop => self.drop_token_set(&connection, keys).await,
            OperatorAsk::Tell
            | OperatorAsk::Registration
            | OperatorAsk::Register(_)
            | OperatorAsk::Remove => self.tell(&connection),
        }
    }

    fn tell(&self, connection: &Connection) -> OperatorReply {
        let now = self.ports.now();
        let told = self.change(|state| (state.status(connection, now), state.generation()));
        let Ok((mut status, generation)) = told else { return OperatorReply::Unavailable };
        let sealed_with = self.sealed_with.borrow().clone().or_else(|| self.registration_sealed_with());
        status.insert("sealing_key".to_owned(), json!(sealed_with));
        OperatorReply::Told { status, takes_webhooks: self.takes_webhooks(), generation }
    }

    /// Obtains a token set, or joins the renewal in flight. What failed before
    /// does not count: whoever asks has changed something.
    async fn refresh(self: &Rc<Self>, connection: &Connection, keys: &SealingKeys) -> OperatorReply {
        if connection.grant.endpoint().is_none() {
            let cleared = self.commit(connection, keys, State::end_waits).await;
            return cleared.map_or(OperatorReply::Unavailable, |()| self.tell(connection));
        }
        if self.change(State::end_waits).is_err() {
            return OperatorReply::Unavailable;
        }
        match self.renew(Reason::Age).await {
            Ok(_) => self.tell(connection),
            Err(Failure::TokenEndpoint(cause, until)) => {
                OperatorReply::Failed { cause, retry_after: seconds_left(until, self.ports.now()) }
            }
            Err(Failure::SignedOut | Failure::Storage) => OperatorReply::Unavailable,
        }
    }

    /// Drops the token set, here and in the cache.
    async fn drop_token_set(&self, connection: &Connection, keys: &SealingKeys) -> OperatorReply {
        // One that is on its way is dropped with the rest.
        let _renewing = self.renewing.lock().await;
        let Ok(generation) = self.commit(connection, keys, State::drop_token_set).await else {
            return OperatorReply::Unavailable;
        };
        let _publishing = self.publishing.lock().await;
        let name = access_token_record(&self.subject, &self.connection);
        if self.ports.delete(&name).await.is_err() {
            report::cache_failed(&self.ports, "delete");
            return OperatorReply::Unavailable;
        }
        OperatorReply::Dropped(generation)
    }
}
