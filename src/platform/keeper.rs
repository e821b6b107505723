//! The Durable Object in which a keeper lives, or a session, a counter of
//! refused sign-ins, whoever delivers a connection's webhooks, or the index of
//! registered connections.

use std::cell::OnceCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};
use zeroize::Zeroizing;

use super::call::Letter;
use super::ids::ObjectIds;
use super::isolate;
use super::object::{ObjectPorts, ROLE};
use super::records::ObjectRecords;
use crate::objects::deliveries::Deliveries;
use crate::objects::index::Index;
use crate::objects::keeper;
use crate::objects::refusals::Refusals;
use crate::objects::session::Session;
use crate::ports::StorageFailed;
use crate::protocol::SERVICE;

/// How soon the alarm of an object comes again that this version does not know.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// The Durable Object of one token set, one session, one counter, one
/// connection's webhooks, or the index of registered connections.
#[durable_object(alarm)]
#[allow(missing_debug_implementations, reason = "nothing prints a Durable Object")]
pub struct Keeper {
    state: Rc<State>,
    env: Env,
    // A keeper survives a panic: what it changes, it changes in one step.
    core: AssertUnwindSafe<OnceCell<Core>>,
}

/// What an object is; it never changes.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Role {
    /// The keeper of a connection's own token set.
    Service(String),
    /// The session of this name.
    Session(String),
    /// A counter of refused sign-ins.
    Refusals,
    /// Whoever delivers a connection's webhooks.
    Deliveries(String),
    /// The index of registered connections.
    Index,
}

impl Role {
    /// Whom `letter` is for.
    fn of(letter: &Letter<'_>) -> Self {
        match letter {
            Letter::Service { connection, .. } | Letter::Operator { connection, .. } => {
                Self::Service(connection.to_string())
            }
            Letter::Index { .. } => Self::Index,
            Letter::Session { name, .. } => Self::Session(name.to_string()),
            Letter::Refusals { .. } => Self::Refusals,
            Letter::Deliveries { connection, .. } => Self::Deliveries(connection.to_string()),
        }
    }
}

enum Core {
    Service(Rc<keeper::Keeper<ObjectPorts>>),
    Session(Rc<Session<ObjectPorts>>),
    Refusals(Rc<Refusals<ObjectPorts>>),
    Deliveries(Rc<Deliveries<ObjectRecords>>),
    Index(Index<ObjectIds>),
}

impl DurableObject for Keeper {
    fn new(state: State, env: Env) -> Self {
        Self { state: Rc::new(state), env, core: AssertUnwindSafe(OnceCell::new()) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let letter = Zeroizing::new(request.text().await?);
        let read: Letter<'_> = serde_json::from_slice(letter.as_bytes())?;
        // It may be long, and others wait beside it.
        drop(letter);
        match (&read, self.core(&Role::of(&read))?) {
            (Letter::Service { ask, .. }, Core::Service(keeper)) => {
                Response::from_json(&keeper.answer(ask).await)
            }
            (Letter::Operator { ask, .. }, Core::Service(keeper)) => {
                Response::from_json(&keeper.serve_operator(ask).await)
            }
            (Letter::Index { ask }, Core::Index(index)) => Response::from_json(&index.answer(ask).await),
            (Letter::Session { ask, .. }, Core::Session(session)) => {
                Response::from_json(&session.answer(ask).await)
            }
            (Letter::Refusals { ask }, Core::Refusals(refusals)) => {
                Response::from_json(&refusals.answer(*ask).await)
            }
            (Letter::Deliveries { ask, .. }, Core::Deliveries(deliveries)) => {
                Response::from_json(&deliveries.answer(ask).await)
            }
            _ => Err("a letter for another object".into()),
        }
    }

    async fn alarm(&self) -> Result<Response> {
        let role: Option<String> = self.state.storage().get(ROLE).await?;
        let Some(role) = role else { return Response::empty() };
        let Ok(role) = serde_json::from_slice(role.as_bytes()) else {
            // A later version's, which may be deployed again: what it is about stays.
            return self.state.storage().set_alarm(LOOK_AGAIN).await.and_then(|()| Response::empty());
        };
        match self.core(&role)? {
            Core::Service(keeper) => keeper.alarm().await,
            // The runtime calls again later where this fails.
            Core::Session(session) => session.alarm().await.map_err(alarm_failed)?,
            Core::Refusals(refusals) => refusals.alarm().await.map_err(alarm_failed)?,
            Core::Deliveries(deliveries) => deliveries.alarm().await.map_err(alarm_failed)?,
            Core::Index(_) => {}
        }
        Response::empty()
    }
}

fn alarm_failed(_: StorageFailed) -> worker::Error {
    "the alarm could not be served".into()
}

impl Keeper {
    fn core(&self, role: &Role) -> Result<&Core> {
        if self.core.get().is_none() {
            let core = self.begin(role)?;
            let _ = self.core.set(core);
        }
        self.core.get().ok_or_else(|| "the object did not begin".into())
    }

    fn begin(&self, role: &Role) -> Result<Core> {
        let config = Rc::clone(isolate::broker(|| self.env.clone()).config());
        let kept = serde_json::to_string(role)?;
        let ports = |key: &str| ObjectPorts::new(&self.state, &self.env, key, &kept);
        Ok(match role {
            Role::Service(connection) => {
                let ports = ports("state");
                Core::Service(keeper::Keeper::new(ports, config, connection.clone(), SERVICE))
            }
            Role::Session(name) => Core::Session(Session::new(ports("session"), config, name.clone())),
            Role::Refusals => Core::Refusals(Refusals::new(ports("refusals"))),
            Role::Deliveries(connection) => {
                let storage = self.state.as_raw().as_ref();
                let ports = ObjectRecords::open(ports("records"), connection.clone(), storage)?;
                Core::Deliveries(Deliveries::new(ports, config, connection.clone()))
            }
            Role::Index => {
                Core::Index(Index::new(ObjectIds::open(ports("ids"), self.state.as_raw().as_ref())?))
            }
        })
    }
}
