//! What one call has of the runtime.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use js_sys::{Promise, Uint8Array};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::Env;
use zeroize::Zeroizing;

use super::{glue, kv, runtime};
use crate::config::RateLimit;
use crate::ports::{
    BodyFailure, Cache, CacheFailed, Clock, Document, DocumentUnreachable, Entropy, Inbound, Issuers,
    KeeperLink, KeeperUnreachable, Log, Ports, RateLimits, Sender, SignatureCheck, Upstream, UpstreamAnswer,
    UpstreamCall, UpstreamFailure,
};
use crate::protocol::{
    DeliveriesAsk, DeliveriesReply, IndexAsk, IndexReply, OperatorAsk, OperatorReply, RefusalsAsk,
    RefusalsReply, SessionAsk, SessionReply, TokenAsk, TokenReply,
};
use crate::time::UnixTime;

/// The runtime as one call sees it.
pub struct CallPorts {
    call: glue::Call,
    /// The present moment, while the shim polls the call: not in what the call
    /// spawned, and not once it is a promise.
    now: Cell<Option<UnixTime>>,
    /// What the shim is to send to the upstream.
    request: RefCell<Option<RequestText>>,
    /// What came of it.
    response: RefCell<Option<String>>,
    /// The log lines that the shim is to write.
    lines: RefCell<String>,
}

/// What the shim is told to send to the upstream.
pub struct RequestText {
    /// How long the response's head may take.
    pub timeout: Duration,
    /// The request, as [`begin`](super::entry::begin) has it.
    pub text: String,
}

/// An ask, and whom it is for.
#[derive(Serialize, Deserialize)]
pub enum Letter<'a> {
    /// The keeper of a connection's own token set.
    Service {
        /// The connection.
        connection: Cow<'a, str>,
        /// The ask.
        ask: Cow<'a, TokenAsk>,
    },
    /// The same, from an operator.
    Operator {
        /// The connection.
        connection: Cow<'a, str>,
        /// The ask.
        ask: Cow<'a, OperatorAsk>,
    },
    /// The index of registered connections.
    Index {
        /// The ask.
        ask: Cow<'a, IndexAsk>,
    },
    /// A session.
    Session {
        /// Its name.
        name: Cow<'a, str>,
        /// The ask.
        ask: Cow<'a, SessionAsk>,
    },
    /// Whoever counts refused sign-ins.
    Refusals {
        /// The ask.
        ask: RefusalsAsk,
    },
    /// Whoever delivers a connection's webhooks.
    Deliveries {
        /// The connection.
        connection: Cow<'a, str>,
        /// The ask.
        ask: Cow<'a, DeliveriesAsk>,
    },
}

/// How long an issuer may take to send a document.
const DOCUMENT_TIMEOUT_MS: f64 = 5_000.0;

/// The largest document of an issuer, in bytes.
const MAX_DOCUMENT_BYTES: f64 = 524_288.0;

impl CallPorts {
    /// What `call` has of the runtime.
    pub fn new(call: glue::Call) -> Self {
        Self {
            call,
            now: Cell::new(None),
            request: RefCell::default(),
            response: RefCell::default(),
            lines: RefCell::default(),
        }
    }

    /// Notes what came of the request to the upstream.
    pub fn note_response(&self, head: String) {
        self.response.replace(Some(head));
    }

    /// What `poll` gives, the shim polling the call at `now`.
    pub fn in_shim<T>(&self, now: UnixTime, poll: impl FnOnce() -> T) -> T {
        self.now.set(Some(now));
        let polled = poll();
        self.now.set(None);
        polled
    }

    /// What the shim is to send, where that is what the call waits for.
    pub fn take_request(&self) -> Option<RequestText> {
        self.request.take()
    }

    /// The log lines that were not written yet, each with a line break.
    pub fn take_lines(&self) -> String {
        self.lines.take()
    }

    /// Has the shim wait for `answer`.
    pub fn wait_for(&self, answer: &Promise) {
        self.call.wait_for(answer);
    }

    fn env(&self) -> Env {
        self.call.env()
    }

    async fn send_letter<R: DeserializeOwned>(
        &self,
        object: &str,
        letter: &Letter<'_>,
    ) -> Result<R, KeeperUnreachable> {
        send_letter(&self.env(), object, letter).await
    }
}

/// The name of the object that keeps `connection`'s own token set.
pub fn service_name(connection: &str) -> String {
    format!("service/{connection}")
}

/// What the object called `object` answers to `letter`.
///
/// # Errors
/// [`KeeperUnreachable`], also where it answers something else.
pub async fn send_letter<R: DeserializeOwned>(
    env: &Env,
    object: &str,
    letter: &Letter<'_>,
) -> Result<R, KeeperUnreachable> {
    let letter = serde_json::to_string(letter).map_err(|_| KeeperUnreachable)?;
    let answered = glue::ask_object(env, object, &letter).map_err(|_| KeeperUnreachable)?;
    let answer = JsFuture::from(answered).await.map_err(|_| KeeperUnreachable)?;
    let answer = answer.as_string().ok_or(KeeperUnreachable)?;
    serde_json::from_slice(answer.as_bytes()).map_err(|_| KeeperUnreachable)
}

impl Clock for CallPorts {
    fn now(&self) -> UnixTime {
        self.now.get().unwrap_or_else(runtime::now)
    }
}

impl Entropy for CallPorts {
    fn bytes<const N: usize>(&self) -> [u8; N] {
        runtime::bytes()
    }
}

impl Log for CallPorts {
    fn line(&self, line: &str) {
        if self.now.get().is_none() {
            return self.call.log(line);
        }
        let mut lines = self.lines.borrow_mut();
        lines.push_str(line);
        lines.push('\n');
    }
}

impl Cache for CallPorts {
    async fn read(&self, name: &str) -> Result<Option<String>, CacheFailed> {
        kv::read(&self.env(), name).await
    }

    async fn write(&self, name: &str, record: &str, expires_at: UnixTime) -> Result<(), CacheFailed> {
        kv::write(&self.env(), name, record, expires_at).await
    }

    async fn delete(&self, name: &str) -> Result<(), CacheFailed> {
        kv::delete(&self.env(), name).await
    }
}

impl KeeperLink for CallPorts {
    async fn ask(&self, connection: &str, ask: &TokenAsk) -> Result<TokenReply, KeeperUnreachable> {
        let letter = Letter::Service { connection: connection.into(), ask: Cow::Borrowed(ask) };
        self.send_letter(&service_name(connection), &letter).await
    }

    async fn ask_operator(
        &self,
        connection: &str,
        ask: &OperatorAsk,
    ) -> Result<OperatorReply, KeeperUnreachable> {
        let letter = Letter::Operator { connection: connection.into(), ask: Cow::Borrowed(ask) };
        self.send_letter(&service_name(connection), &letter).await
    }

    async fn ask_index(&self, ask: &IndexAsk) -> Result<IndexReply, KeeperUnreachable> {
        self.send_letter("index", &Letter::Index { ask: Cow::Borrowed(ask) }).await
    }

    async fn ask_session(&self, name: &str, ask: &SessionAsk) -> Result<SessionReply, KeeperUnreachable> {
        self.send_letter(name, &Letter::Session { name: name.into(), ask: Cow::Borrowed(ask) }).await
    }

    async fn ask_refusals(&self, name: &str, ask: &RefusalsAsk) -> Result<RefusalsReply, KeeperUnreachable> {
        self.send_letter(name, &Letter::Refusals { ask: *ask }).await
    }

    async fn ask_deliveries(
        &self,
        connection: &str,
        ask: &DeliveriesAsk,
    ) -> Result<DeliveriesReply, KeeperUnreachable> {
        let letter = Letter::Deliveries { connection: connection.into(), ask: Cow::Borrowed(ask) };
        self.send_letter(&format!("deliveries/{connection}"), &letter).await
    }
}

impl Upstream for CallPorts {
    type Response = ();

    async fn send(&self, call: &UpstreamCall<'_>) -> Result<UpstreamAnswer<()>, UpstreamFailure> {
        let UpstreamCall { method, url, fields, timeout, replay_bytes } = *call;
        let mut head = if self.now.get().is_some() {
            let replay_bytes = replay_bytes.map_or("-1".to_owned(), |bytes| bytes.to_string());
            let numbers = (timeout.as_millis().to_string(), replay_bytes);
            let text = ["F", &numbers.0, "\n", &numbers.1, "\n", method, "\n", url, "\n", fields].concat();
            self.request.replace(Some(RequestText { timeout, text }));
            poll_fn(|_| self.response.take().map_or(Poll::Pending, Poll::Ready)).await
        } else {
            #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
            let (timeout, replay_bytes) =
                (timeout.as_millis() as f64, replay_bytes.map_or(-1.0, |bytes| bytes as f64));
            let sent = self.call.send(method, url, fields, timeout, replay_bytes);
            JsFuture::from(sent).await.ok().and_then(|head| head.as_string()).unwrap_or_default()
        };
        let (status, rest) = head.split_once('\n').unwrap_or((&head, ""));
        let status = status.parse().map_err(|_| match status {
            "timeout" => UpstreamFailure::Timeout,
            "gone" => UpstreamFailure::BodyGone,
            _ => UpstreamFailure::Unreachable,
        })?;
        let fields = head.split_off(head.len() - rest.len());
        Ok(UpstreamAnswer { status, fields, response: () })
    }

    fn discard(&self, (): ()) {
        self.call.discard();
    }
}

impl Inbound for CallPorts {
    async fn body(&self, max_bytes: usize, sender: Sender) -> Result<Zeroizing<Vec<u8>>, BodyFailure> {
        let max_bytes = u32::try_from(max_bytes).unwrap_or(u32::MAX);
        let read = self.call.read(max_bytes, sender == Sender::Proven);
        let body = JsFuture::from(read).await.map_err(|reason| glue::body_failure(&reason))?;
        if body.is_null() {
            return Err(BodyFailure::TooLarge);
        }
        Ok(Zeroizing::new(body.unchecked_into::<Uint8Array>().to_vec()))
    }

    fn folded(&self, name: &str) -> String {
        self.call.folded(name)
    }
}

impl Issuers for CallPorts {
    async fn fetch_document(&self, url: &str) -> Result<Document, DocumentUnreachable> {
        let fetched = glue::fetch_document(url, DOCUMENT_TIMEOUT_MS, MAX_DOCUMENT_BYTES);
        let document: glue::DocumentAnswer =
            JsFuture::from(fetched).await.map_err(|_| DocumentUnreachable)?.unchecked_into();
        Ok(Document { status: document.document_status(), body: document.document_body().to_vec() })
    }

    async fn verify(&self, check: &SignatureCheck<'_>) -> bool {
        let verified =
            glue::verify_signature(check.algorithm.as_str(), check.jwk, check.input, check.signature);
        // A key that WebCrypto does not take has signed nothing.
        JsFuture::from(verified).await.is_ok_and(|verified| verified == JsValue::TRUE)
    }

    async fn pause(&self, span: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let paused = glue::pause(span.as_millis() as f64);
        // A timer does not fail.
        let _ = JsFuture::from(paused).await;
    }
}

impl RateLimits for CallPorts {
    async fn take(&self, limit: RateLimit, who: &str) -> bool {
        let name = format!("RATE_{}_{}", limit.requests, limit.seconds);
        // Where the platform's limit fails, the isolate's own still counts.
        let left = JsFuture::from(glue::take_rate(&self.env(), &name, who)).await;
        !left.is_ok_and(|left| left == JsValue::FALSE)
    }
}

impl Ports for CallPorts {
    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.call.wait_until(&wasm_bindgen_futures::future_to_promise(AssertUnwindSafe(async move {
            runtime::contained(task).await;
            Ok(JsValue::UNDEFINED)
        })));
    }
}
