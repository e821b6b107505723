//! The Durable Object in which a keeper lives, or a session, a counter of
//! refused sign-ins, or whoever delivers a connection's webhooks.

use std::cell::OnceCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};
use zeroize::Zeroizing;

use super::call::Letter;
use super::records::ObjectRecords;
use super::{glue, isolate, kv, runtime};
use crate::broker::deliveries::Deliveries;
use crate::broker::keeper;
use crate::broker::ports::{
    Cache, CacheFailed, Clock, Entropy, KeeperPorts, Log, PostFailure, SessionPorts, StorageFailed,
    TokenAnswer,
};
use crate::broker::refusals::Refusals;
use crate::broker::session::Session;
use crate::oauth::{MAX_RESPONSE_BYTES, TokenRequest};
use crate::time::UnixTime;

/// The storage key of what the object is, which an alarm does not tell.
const ROLE: &str = "role";

/// How soon the alarm of an object comes again that this version does not know.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// The Durable Object of one token set, one session, one counter, or one
/// connection's webhooks.
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
}

enum Core {
    Service(Rc<keeper::Keeper<ObjectPorts>>),
    Session(Rc<Session<ObjectPorts>>),
    Refusals(Rc<Refusals<ObjectPorts>>),
    Deliveries(Rc<Deliveries<ObjectRecords>>),
}

impl DurableObject for Keeper {
    fn new(state: State, env: Env) -> Self {
        Self { state: Rc::new(state), env, core: AssertUnwindSafe(OnceCell::new()) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let letter = Zeroizing::new(request.text().await?);
        let read = serde_json::from_slice(letter.as_bytes())?;
        // It may be long, and others wait beside it.
        drop(letter);
        match read {
            Letter::Service { connection, ask } => match self.core(Role::Service(connection.into_owned()))? {
                Core::Service(keeper) => Response::from_json(&keeper.answer(&ask).await),
                Core::Session(_) | Core::Refusals(_) | Core::Deliveries(_) => misdelivered(),
            },
            Letter::Session { name, ask } => match self.core(Role::Session(name.into_owned()))? {
                Core::Session(session) => Response::from_json(&session.answer(&ask).await),
                Core::Service(_) | Core::Refusals(_) | Core::Deliveries(_) => misdelivered(),
            },
            Letter::Refusals { ask } => match self.core(Role::Refusals)? {
                Core::Refusals(refusals) => Response::from_json(&refusals.answer(ask).await),
                Core::Service(_) | Core::Session(_) | Core::Deliveries(_) => misdelivered(),
            },
            Letter::Deliveries { connection, ask } => {
                match self.core(Role::Deliveries(connection.into_owned()))? {
                    Core::Deliveries(deliveries) => Response::from_json(&deliveries.answer(&ask).await),
                    Core::Service(_) | Core::Session(_) | Core::Refusals(_) => misdelivered(),
                }
            }
        }
    }

    async fn alarm(&self) -> Result<Response> {
        let role: Option<String> = self.state.storage().get(ROLE).await?;
        let Some(role) = role else { return Response::empty() };
        let Ok(role) = serde_json::from_slice(role.as_bytes()) else {
            // A later version's, which may be deployed again: what it is about stays.
            return self.state.storage().set_alarm(LOOK_AGAIN).await.and_then(|()| Response::empty());
        };
        match self.core(role)? {
            Core::Service(keeper) => keeper.alarm().await,
            // The runtime calls again later where this fails.
            Core::Session(session) => session.alarm().await.map_err(alarm_failed)?,
            Core::Refusals(refusals) => refusals.alarm().await.map_err(alarm_failed)?,
            Core::Deliveries(deliveries) => deliveries.alarm().await.map_err(alarm_failed)?,
        }
        Response::empty()
    }
}

fn alarm_failed(_: StorageFailed) -> worker::Error {
    "the alarm could not be served".into()
}

fn misdelivered() -> Result<Response> {
    Err("a letter for another object".into())
}

impl Keeper {
    fn core(&self, role: Role) -> Result<&Core> {
        if self.core.get().is_none() {
            let core = self.begin(role)?;
            let _ = self.core.set(core);
        }
        self.core.get().ok_or_else(|| "the object did not begin".into())
    }

    fn begin(&self, role: Role) -> Result<Core> {
        let config = Rc::clone(isolate::broker(|| self.env.clone()).config());
        let role = Rc::new(role);
        let ports = |key: &str| ObjectPorts {
            state: Rc::clone(&self.state),
            env: self.env.clone(),
            key: key.to_owned(),
            role: Rc::clone(&role),
        };
        Ok(match &*role {
            Role::Service(connection) => {
                let ports = ports("state");
                Core::Service(keeper::Keeper::new(ports, config, connection.clone(), keeper::SERVICE))
            }
            Role::Session(name) => Core::Session(Session::new(ports("session"), config, name.clone())),
            Role::Refusals => Core::Refusals(Refusals::new(ports("refusals"))),
            Role::Deliveries(connection) => {
                let ports = ObjectRecords::open(ports("records"), self.state.as_raw().as_ref())?;
                Core::Deliveries(Deliveries::new(ports, config, connection.clone()))
            }
        })
    }
}

/// Sends a `POST`; the answer's body is read up to `max_bytes`, where it is.
pub(super) async fn post(
    url: &str,
    fields: &str,
    body: &str,
    timeout: Duration,
    max_bytes: Option<usize>,
) -> std::result::Result<glue::PostAnswer, PostFailure> {
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
    let (timeout, max_bytes) = (timeout.as_millis() as f64, max_bytes.map_or(-1.0, |bytes| bytes as f64));
    let sent = glue::post(url, fields, body, timeout, max_bytes);
    let answer = JsFuture::from(sent).await.map_err(|error| match error.as_string().as_deref() {
        Some("timeout") => PostFailure::Timeout,
        _ => PostFailure::Unreachable,
    })?;
    Ok(answer.unchecked_into())
}

/// The runtime as an object sees it.
pub(super) struct ObjectPorts {
    state: Rc<State>,
    env: Env,
    /// The storage key of its record.
    key: String,
    role: Rc<Role>,
}

impl ObjectPorts {
    /// Has what was written stored, not merely queued: a token must not be used,
    /// nor an event acknowledged, before it is kept.
    pub(super) async fn sync(&self) -> std::result::Result<(), StorageFailed> {
        self.state.storage().sync().await.map_err(|_| StorageFailed)
    }
}

impl Clock for ObjectPorts {
    fn now(&self) -> UnixTime {
        runtime::now()
    }
}

impl Entropy for ObjectPorts {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        runtime::bytes()
    }
}

impl Log for ObjectPorts {
    fn line(&self, line: &str) {
        runtime::log(line);
    }
}

impl Cache for ObjectPorts {
    async fn read(&self, name: &str) -> std::result::Result<Option<String>, CacheFailed> {
        kv::read(&self.env, name).await
    }

    async fn write(
        &self,
        name: &str,
        record: &str,
        expires_at: UnixTime,
    ) -> std::result::Result<(), CacheFailed> {
        kv::write(&self.env, name, record, expires_at).await
    }
}

impl KeeperPorts for ObjectPorts {
    async fn load(&self) -> std::result::Result<Option<String>, StorageFailed> {
        self.state.storage().get(&self.key).await.map_err(|_| StorageFailed)
    }

    async fn store(&self, state: &str) -> std::result::Result<(), StorageFailed> {
        let storage = self.state.storage();
        storage.put_raw(&self.key, state).await.map_err(|_| StorageFailed)?;
        self.sync().await
    }

    async fn set_alarm(&self, at: UnixTime) -> std::result::Result<(), StorageFailed> {
        let role = serde_json::to_string(&*self.role).map_err(|_| StorageFailed)?;
        let storage = self.state.storage();
        storage.put_raw(ROLE, role).await.map_err(|_| StorageFailed)?;
        let from_now = at.since(runtime::now());
        storage.set_alarm(from_now).await.map_err(|_| StorageFailed)
    }

    async fn request_token(
        &self,
        request: &TokenRequest,
        timeout: Duration,
    ) -> std::result::Result<TokenAnswer, PostFailure> {
        let mut fields = Zeroizing::new(format!(
            "content-type:{}\naccept:application/json\nuser-agent:porteiro",
            request.content_type
        ));
        if let Some(authorization) = &request.authorization {
            fields.push_str("\nauthorization:");
            fields.push_str(authorization.expose());
        }
        let max_bytes = Some(MAX_RESPONSE_BYTES);
        let answer = post(&request.url, &fields, request.body.expose(), timeout, max_bytes).await?;
        Ok(TokenAnswer {
            status: answer.status(),
            retry_after: answer.retry_after(),
            body: Zeroizing::new(answer.body().to_vec()),
        })
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.state.wait_until(runtime::contained(task));
    }
}

impl SessionPorts for ObjectPorts {
    fn below(&self, key: &str) -> Self {
        Self {
            state: Rc::clone(&self.state),
            env: self.env.clone(),
            key: format!("{}/{key}", self.key),
            role: Rc::clone(&self.role),
        }
    }

    async fn clear(&self) -> std::result::Result<(), StorageFailed> {
        let storage = self.state.storage();
        storage.delete_all().await.map_err(|_| StorageFailed)?;
        storage.delete_alarm().await.map_err(|_| StorageFailed)?;
        storage.sync().await.map_err(|_| StorageFailed)
    }
}
