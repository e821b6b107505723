//! The ports of one call.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::Env;
use zeroize::Zeroizing;

use super::{crypto, glue, http, kv, runtime, stub, wire};
use crate::config::{RateLimit, SigningKey};
use crate::ports::{
    BodyFailure, Cache, CacheFailed, Host, Http, HttpAnswer, HttpFailure, HttpRequest, Inbound, KeptBody,
    ObjectUnreachable, Objects, RateLimits, Sender, SignatureCheck, Signer, Upstream, UpstreamAnswer,
    UpstreamCall, UpstreamFailure, Verifier,
};
use crate::time::UnixTime;

/// The runtime as one call sees it.
pub struct CallPorts {
    call: glue::Call,
    /// The present moment, while the shim polls the call; none in tasks that the
    /// call spawned, and once the call is a promise.
    now: Cell<Option<UnixTime>>,
    /// The request that the shim is to send to the upstream.
    request: RefCell<Option<RequestText>>,
    /// What came of that request.
    response: RefCell<Option<String>>,
    /// The log lines that the shim is to write.
    lines: RefCell<String>,
}

/// A request that the shim is to send to the upstream.
pub struct RequestText {
    /// How long the upstream may take to send its head.
    pub timeout: Duration,
    /// The request, as [`wire::fetch`] writes it.
    pub text: String,
}

impl CallPorts {
    /// The ports of `call`.
    pub fn new(call: glue::Call) -> Self {
        Self {
            call,
            now: Cell::new(None),
            request: RefCell::default(),
            response: RefCell::default(),
            lines: RefCell::default(),
        }
    }

    /// Notes what came of the request to the upstream, for the next poll.
    pub fn note_response(&self, head: String) {
        self.response.replace(Some(head));
    }

    /// Polls the call by `poll`, for the shim, at `now`.
    pub fn in_shim<T>(&self, now: UnixTime, poll: impl FnOnce() -> T) -> T {
        self.now.set(Some(now));
        let polled = poll();
        self.now.set(None);
        polled
    }

    /// The request that the shim is to send, where the call waits for one.
    pub fn take_request(&self) -> Option<RequestText> {
        self.request.take()
    }

    /// The log lines that the shim has not written yet, each with a line break.
    pub fn take_lines(&self) -> String {
        self.lines.take()
    }

    /// Has the shim wait for `answer`, which resolves to an answer of [`wire`].
    pub fn wait_for(&self, answer: &Promise) {
        self.call.wait_for(answer);
    }

    /// Reads the body, and keeps it for the upstream where it is `sent_on`.
    async fn read(
        &self,
        max_bytes: usize,
        sender: Sender,
        sent_on: bool,
    ) -> Result<Zeroizing<Vec<u8>>, BodyFailure> {
        let max_bytes = u32::try_from(max_bytes).unwrap_or(u32::MAX);
        let read = self.call.read(max_bytes, sender == Sender::Proven, sent_on);
        let body = JsFuture::from(read).await.map_err(|reason| glue::body_failure(&reason))?;
        if body.is_null() {
            return Err(BodyFailure::TooLarge);
        }
        Ok(Zeroizing::new(body.unchecked_into::<Uint8Array>().to_vec()))
    }

    /// The bindings, variables and secrets of the Worker.
    pub fn env(&self) -> Env {
        self.call.env()
    }
}

impl Host for CallPorts {
    fn now(&self) -> UnixTime {
        self.now.get().unwrap_or_else(runtime::now)
    }

    fn bytes<const N: usize>(&self) -> [u8; N] {
        runtime::bytes()
    }

    fn log(&self, line: &str) {
        if self.now.get().is_none() {
            return self.call.log(line);
        }
        let mut lines = self.lines.borrow_mut();
        lines.push_str(line);
        lines.push('\n');
    }

    fn spawn(&self, task: LocalBoxFuture<'static, ()>) {
        self.call.wait_until(&wasm_bindgen_futures::future_to_promise(AssertUnwindSafe(async move {
            task.await;
            Ok(JsValue::UNDEFINED)
        })));
    }

    async fn sleep(&self, span: Duration) {
        runtime::sleep(span).await;
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

impl Http for CallPorts {
    async fn send(&self, request: &HttpRequest<'_>) -> Result<HttpAnswer, HttpFailure> {
        http::send(&self.env(), request).await
    }
}

impl Objects for CallPorts {
    async fn exchange(&self, name: &str, envelope: &str) -> Result<String, ObjectUnreachable> {
        stub::exchange(&self.env(), name, envelope).await
    }
}

impl Upstream for CallPorts {
    type Response = ();

    async fn pass_on(&self, call: &UpstreamCall<'_>) -> Result<UpstreamAnswer<()>, UpstreamFailure> {
        let text = wire::fetch(call);
        let head = if self.now.get().is_some() {
            self.request.replace(Some(RequestText { timeout: call.timeout, text }));
            poll_fn(|_| self.response.take().map_or(Poll::Pending, Poll::Ready)).await
        } else {
            let sent = self.call.send(&text);
            JsFuture::from(sent).await.ok().and_then(|head| head.as_string()).unwrap_or_default()
        };
        wire::upstream(head)
    }

    fn keep(
        &self,
        (): (),
        max_bytes: usize,
        limit: Duration,
        secrets: &str,
        done: Box<dyn FnOnce(Option<KeptBody>)>,
    ) {
        let max_bytes = u32::try_from(max_bytes).unwrap_or(u32::MAX);
        let kept = self.call.keep(max_bytes, runtime::millis(limit), secrets);
        self.spawn(Box::pin(async move {
            let kept = JsFuture::from(kept).await.ok().filter(|bytes| !bytes.is_null()).map(|bytes| {
                let size = bytes.unchecked_ref::<Uint8Array>().length();
                (Rc::new(bytes) as Rc<dyn Any>, usize::try_from(size).unwrap_or(usize::MAX))
            });
            done(kept);
        }));
    }

    fn serve(&self, copy: &Rc<dyn Any>) {
        if let Some(bytes) = copy.downcast_ref::<JsValue>() {
            self.call.serve(bytes);
        }
    }

    fn release(&self, flight: u32) {
        self.call.release(flight);
    }

    async fn read_ahead(&self, (): &(), max_bytes: usize, limit: Duration) -> Option<Zeroizing<Vec<u8>>> {
        let max_bytes = u32::try_from(max_bytes).unwrap_or(u32::MAX);
        let read = self.call.read_ahead(max_bytes, limit.as_secs_f64() * 1000.0);
        let body = JsFuture::from(read).await.ok().filter(|body| !body.is_null())?;
        Some(Zeroizing::new(body.unchecked_into::<Uint8Array>().to_vec()))
    }

    fn discard(&self, (): ()) {
        self.call.discard();
    }
}

impl Inbound for CallPorts {
    async fn body(&self, max_bytes: usize, sender: Sender) -> Result<Zeroizing<Vec<u8>>, BodyFailure> {
        self.read(max_bytes, sender, false).await
    }

    async fn peek(&self, max_bytes: usize, sender: Sender) -> Result<Zeroizing<Vec<u8>>, BodyFailure> {
        self.read(max_bytes, sender, true).await
    }

    fn folded(&self, name: &str) -> String {
        self.call.folded(name)
    }
}

impl Verifier for CallPorts {
    async fn verify(&self, check: &SignatureCheck<'_>) -> bool {
        crypto::verify(check).await
    }
}

impl Signer for CallPorts {
    async fn sign(&self, key: &SigningKey, input: &str) -> Option<Vec<u8>> {
        crypto::sign(key, input).await
    }
}

impl RateLimits for CallPorts {
    async fn take(&self, limit: RateLimit, who: &str) -> bool {
        let name = format!("RATE_{}_{}", limit.requests, limit.seconds);
        // If the platform's limit fails, the isolate's own still counts.
        let left = JsFuture::from(glue::take_rate(&self.env(), &name, who)).await;
        !left.is_ok_and(|left| left == JsValue::FALSE)
    }
}
