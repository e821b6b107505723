//! What an operator asks of a keeper, and what it answers.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::message::seconds_left;
use super::plan::Reason;
use super::state::Trouble;
use super::{Cause, Failure, Keeper, State, access_token_record};
use crate::broker::ports::{Cache as _, Clock as _, KeeperPorts};
use crate::broker::{Code, report};
use crate::config::Connection;
use crate::time::UnixTime;
use crate::token::SealingKeys;

/// What an operator asks of a keeper.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OperatorAsk {
    /// How the connection is.
    Tell,
    /// To obtain a token set now, whatever is waited out.
    Refresh,
    /// To drop the token set.
    Drop,
    /// The registration, sealed, where the connection is registered.
    Registration,
    /// To register the connection, as this sealed record has it.
    Register(String),
    /// To forget the connection and all that belongs to it.
    Remove,
}

/// What a keeper answers an operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum OperatorReply {
    /// How the connection is.
    Told {
        /// In an operator's words.
        status: Status,
        /// Whether it takes webhooks.
        takes_webhooks: bool,
        /// The newest generation of its tokens; 0 where there was none.
        generation: u64,
    },
    /// No token set could be obtained.
    Failed {
        /// Why.
        cause: Cause,
        /// When to come again, in seconds.
        retry_after: u64,
    },
    /// The token set is gone; its token was of this generation, or an older one.
    Dropped(u64),
    /// The sealed registration, where there is one.
    Registration(Option<String>),
    /// The connection is registered.
    Registered {
        /// Whether it is new.
        is_new: bool,
    },
    /// It is not registered: these fields are wrong.
    Problems(Vec<(String, String)>),
    /// It is forgotten.
    Removed,
    /// There is no such connection.
    Unknown,
    /// It cannot be used as it is registered.
    Misconfigured,
    /// There is nothing to obtain or drop: each person has a token set of their
    /// own. Or it is configured, and cannot be registered or removed.
    NothingToDo,
    /// The keeper's storage, seal or cache failed.
    Unavailable,
}

/// How a connection is, as an operator is told: the members `provider`, `grant`,
/// `subject`, `state`, `obtained_at`, `expires_at`, `grants`, `last_error`,
/// `retry_at` and `sealing_key`.
pub type Status = serde_json::Map<String, Value>;

/// The status of a connection that has no token set, or not of its own.
#[must_use]
pub fn status_without_token(connection: Option<&Connection>, state: &str) -> Status {
    let provider = connection.map(|connection| connection.provider.as_str());
    let grant = connection.map(|connection| connection.grant.name());
    let subject = |connection: &Connection| if connection.grant.is_for_people() { "user" } else { "service" };
    [
        ("provider", json!(provider)),
        ("grant", json!(grant)),
        ("subject", json!(connection.map(subject))),
        ("state", json!(state)),
        ("obtained_at", Value::Null),
        ("expires_at", Value::Null),
        ("grants", json!(0)),
        ("last_error", Value::Null),
        ("retry_at", Value::Null),
        ("sealing_key", Value::Null),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}

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
            let code = match trouble {
                Trouble::TokenEndpoint(cause) => cause.into(),
                Trouble::UpstreamRefuses => Code::UpstreamUnauthorized,
            };
            tell("last_error", json!({ "code": code.as_str(), "at": at.to_rfc3339() }));
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
