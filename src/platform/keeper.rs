//! The Durable Object in which a keeper lives.

use std::cell::OnceCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use worker::{DurableObject, Env, Request, Response, Result, State, durable_object};
use zeroize::Zeroizing;

use super::call::Letter;
use super::{glue, isolate, kv, runtime};
use crate::broker::keeper;
use crate::broker::ports::{
    Cache, CacheFailed, Clock, Entropy, KeeperPorts, Log, StorageFailed, TokenAnswer, TokenEndpointFailure,
};
use crate::oauth::{MAX_RESPONSE_BYTES, TokenRequest};
use crate::time::UnixTime;

/// The storage key of the sealed state.
const STATE: &str = "state";

/// The storage key of the connection's name, which an alarm does not tell.
const CONNECTION: &str = "connection";

/// The Durable Object of one connection's token set.
#[durable_object(alarm)]
#[allow(missing_debug_implementations, reason = "nothing prints a Durable Object")]
pub struct Keeper {
    state: Rc<State>,
    env: Env,
    // A keeper survives a panic: what it changes, it changes in one step.
    core: AssertUnwindSafe<OnceCell<Rc<keeper::Keeper<ObjectPorts>>>>,
}

impl DurableObject for Keeper {
    fn new(state: State, env: Env) -> Self {
        Self { state: Rc::new(state), env, core: AssertUnwindSafe(OnceCell::new()) }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let letter: Letter = serde_json::from_str(&request.text().await?)?;
        if self.core.get().is_none() {
            self.state.storage().put_raw(CONNECTION, letter.connection.as_str()).await?;
        }
        Response::from_json(&self.keeper(letter.connection).answer(&letter.ask).await)
    }

    async fn alarm(&self) -> Result<Response> {
        let connection: Option<String> = self.state.storage().get(CONNECTION).await?;
        if let Some(connection) = connection {
            self.keeper(connection).alarm().await;
        }
        Response::empty()
    }
}

impl Keeper {
    fn keeper(&self, connection: String) -> &Rc<keeper::Keeper<ObjectPorts>> {
        self.core.get_or_init(|| {
            let ports = ObjectPorts { state: Rc::clone(&self.state), env: self.env.clone() };
            keeper::Keeper::new(ports, Rc::clone(isolate::broker(&self.env).config()), connection)
        })
    }
}

/// The runtime as a keeper sees it.
struct ObjectPorts {
    state: Rc<State>,
    env: Env,
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
        self.state.storage().get(STATE).await.map_err(|_| StorageFailed)
    }

    async fn store(&self, state: &str) -> std::result::Result<(), StorageFailed> {
        let storage = self.state.storage();
        storage.put_raw(STATE, state).await.map_err(|_| StorageFailed)?;
        // Not merely queued: a token must not be used before it is kept.
        storage.sync().await.map_err(|_| StorageFailed)
    }

    async fn set_alarm(&self, at: UnixTime) -> std::result::Result<(), StorageFailed> {
        let from_now = at.since(runtime::now());
        self.state.storage().set_alarm(from_now).await.map_err(|_| StorageFailed)
    }

    async fn request_token(
        &self,
        request: &TokenRequest,
        timeout: Duration,
    ) -> std::result::Result<TokenAnswer, TokenEndpointFailure> {
        #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
        let (timeout, max_bytes) = (timeout.as_millis() as f64, MAX_RESPONSE_BYTES as f64);
        let authorization = request.authorization.as_ref().map(crate::secret::Secret::expose);
        let sent = glue::request_token(
            &request.url,
            request.content_type,
            authorization,
            request.body.expose(),
            timeout,
            max_bytes,
        );
        let answer = JsFuture::from(sent).await.map_err(|error| match error.as_string().as_deref() {
            Some("timeout") => TokenEndpointFailure::Timeout,
            _ => TokenEndpointFailure::Unreachable,
        })?;
        let answer: glue::TokenEndpointAnswer = answer.unchecked_into();
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
