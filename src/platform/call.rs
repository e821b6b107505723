//! What one call has of the runtime.

use futures_util::future::LocalBoxFuture;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::web_sys::{Request, Response};
use worker::{Context, Env, Method, RequestInit};

use super::{glue, kv, runtime};
use crate::broker::keeper::{Ask, Reply};
use crate::broker::ports::{
    Cache, CacheFailed, Clock, Entropy, KeeperLink, KeeperUnreachable, Log, Ports, Upstream, UpstreamAnswer,
    UpstreamCall, UpstreamFailure,
};
use crate::time::UnixTime;

/// The runtime as one call sees it.
pub struct CallPorts {
    outgoing: glue::Outgoing,
    env: Env,
    context: Context,
}

/// An ask, and whom it is for.
#[derive(Serialize, Deserialize)]
pub struct Letter {
    /// The connection.
    pub connection: String,
    /// The ask.
    pub ask: Ask,
}

impl CallPorts {
    /// What the call that `request` makes has of the runtime.
    pub fn new(request: &Request, env: Env, context: Context) -> Self {
        Self { outgoing: glue::Outgoing::new(request), env, context }
    }

    async fn send_letter(&self, connection: &str, letter: &str) -> worker::Result<Reply> {
        let stub = self.env.durable_object("KEEPER")?.get_by_name(&format!("service/{connection}"))?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(letter.into()));
        let request = worker::Request::new_with_init("https://keeper/", &init)?;
        let mut response = stub.fetch_with_request(request).await?;
        Ok(serde_json::from_str(&response.text().await?)?)
    }
}

impl Clock for CallPorts {
    fn now(&self) -> UnixTime {
        runtime::now()
    }
}

impl Entropy for CallPorts {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        runtime::bytes()
    }
}

impl Log for CallPorts {
    fn line(&self, line: &str) {
        runtime::log(line);
    }
}

impl Cache for CallPorts {
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed> {
        kv::read(&self.env, name).await
    }

    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        kv::write(&self.env, name, record, expires_at).await
    }
}

impl KeeperLink for CallPorts {
    async fn ask(&self, connection: &str, ask: &Ask) -> Result<Reply, KeeperUnreachable> {
        let letter = Letter { connection: connection.to_owned(), ask: ask.clone() };
        let letter = serde_json::to_string(&letter).map_err(|_| KeeperUnreachable)?;
        self.send_letter(connection, &letter).await.map_err(|_| KeeperUnreachable)
    }
}

impl Upstream for CallPorts {
    type Response = Response;

    async fn send(&self, call: &UpstreamCall<'_>) -> Result<UpstreamAnswer<Response>, UpstreamFailure> {
        #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
        let (timeout, replay_bytes) =
            (call.timeout.as_millis() as f64, call.replay_bytes.map_or(-1.0, |bytes| bytes as f64));
        let sent = self.outgoing.send(call.method, call.url, call.fields, timeout, replay_bytes);
        let response: Response =
            JsFuture::from(sent).await.map_err(|error| failure(&error))?.unchecked_into();
        let head = glue::response_head(&response);
        let (status, fields) = head.split_once('\n').unwrap_or((&head, ""));
        let status = status.parse().map_err(|_| UpstreamFailure::Unreachable)?;
        Ok(UpstreamAnswer { status, fields: fields.to_owned(), response })
    }

    fn discard(&self, response: Response) {
        glue::discard(&response);
    }
}

impl Ports for CallPorts {
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.context.wait_until(runtime::contained(task));
    }
}

fn failure(error: &JsValue) -> UpstreamFailure {
    match error.as_string().as_deref() {
        Some("timeout") => UpstreamFailure::Timeout,
        Some("gone") => UpstreamFailure::BodyGone,
        _ => UpstreamFailure::Unreachable,
    }
}
