//! What an object has of the runtime.

use std::borrow::Cow;
use std::rc::Rc;
use std::result::Result;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use worker::{Env, State};
use zeroize::Zeroizing;

use super::call::{Letter, send_letter, service_name};
use super::{glue, kv, runtime};
use crate::oauth::{MAX_RESPONSE_BYTES, TokenRequest};
use crate::ports::{
    Cache, CacheFailed, Clock, Entropy, KeeperPorts, Log, PostFailure, SessionPorts, StorageFailed,
    TokenAnswer,
};
use crate::protocol::{OperatorAsk, OperatorReply};
use crate::time::UnixTime;

/// The storage key of what the object is, which an alarm does not tell.
pub const ROLE: &str = "role";

/// The storage key of a registration.
const CONNECTION: &str = "connection";

/// Sends a `POST`; the answer's body is read up to `max_bytes`, where it is.
pub async fn post(
    url: &str,
    fields: &str,
    body: &str,
    timeout: Duration,
    max_bytes: Option<usize>,
) -> Result<glue::PostAnswer, PostFailure> {
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
pub struct ObjectPorts {
    state: Rc<State>,
    env: Env,
    /// The storage key of its record.
    key: String,
    /// What the object is, for its alarm.
    role: Rc<str>,
}

impl ObjectPorts {
    /// What the object that is `role` has, its record being stored under `key`.
    pub fn new(state: &Rc<State>, env: &Env, key: &str, role: &str) -> Self {
        Self { state: Rc::clone(state), env: env.clone(), key: key.to_owned(), role: role.into() }
    }

    /// The sealed registration of `connection`, as its keeper has it.
    ///
    /// # Errors
    /// [`StorageFailed`] where it cannot be asked.
    pub async fn registration(&self, connection: &str) -> Result<Option<String>, StorageFailed> {
        let letter =
            Letter::Operator { connection: connection.into(), ask: Cow::Owned(OperatorAsk::Registration) };
        match send_letter(&self.env, &service_name(connection), &letter).await {
            Ok(OperatorReply::Registration(record)) => Ok(record),
            _ => Err(StorageFailed),
        }
    }

    /// Has what was written stored, not merely queued: a token must not be used,
    /// nor an event acknowledged, before it is kept.
    pub async fn sync(&self) -> Result<(), StorageFailed> {
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
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed> {
        kv::read(&self.env, name).await
    }

    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        kv::write(&self.env, name, record, expires_at).await
    }

    async fn delete(&self, name: &str) -> Result<(), CacheFailed> {
        kv::delete(&self.env, name).await
    }
}

impl KeeperPorts for ObjectPorts {
    async fn load(&self) -> Result<Option<String>, StorageFailed> {
        self.state.storage().get(&self.key).await.map_err(|_| StorageFailed)
    }

    async fn load_connection(&self) -> Result<Option<String>, StorageFailed> {
        self.state.storage().get(CONNECTION).await.map_err(|_| StorageFailed)
    }

    async fn store_connection(&self, registration: &str) -> Result<(), StorageFailed> {
        let storage = self.state.storage();
        storage.put_raw(CONNECTION, registration).await.map_err(|_| StorageFailed)?;
        self.sync().await
    }

    async fn clear(&self) -> Result<(), StorageFailed> {
        let storage = self.state.storage();
        storage.delete_all().await.map_err(|_| StorageFailed)?;
        storage.delete_alarm().await.map_err(|_| StorageFailed)?;
        storage.sync().await.map_err(|_| StorageFailed)
    }

    async fn store(&self, state: &str) -> Result<(), StorageFailed> {
        let storage = self.state.storage();
        storage.put_raw(&self.key, state).await.map_err(|_| StorageFailed)?;
        self.sync().await
    }

    async fn set_alarm(&self, at: UnixTime) -> Result<(), StorageFailed> {
        let storage = self.state.storage();
        storage.put_raw(ROLE, &*self.role).await.map_err(|_| StorageFailed)?;
        let from_now = at.since(runtime::now());
        storage.set_alarm(from_now).await.map_err(|_| StorageFailed)
    }

    async fn request_token(
        &self,
        request: &TokenRequest,
        timeout: Duration,
    ) -> Result<TokenAnswer, PostFailure> {
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
}
