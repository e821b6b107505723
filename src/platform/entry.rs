//! The Worker's entry, for calls.
//!
//! A call is a future. It is polled as far as it goes without waiting; where
//! what it waits for is the upstream, that is told to `call.js`, which fetches
//! and comes back, so that a warm call crosses the border once for its head
//! and once for the upstream's, and makes no promise here. A call that waits
//! for anything else becomes a promise.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use super::call::CallPorts;
use super::waiting::Waiting;
use super::{glue, isolate, runtime};
use crate::edge::{self, Answer, Body};
use crate::http::RequestHead;
use crate::time::UnixTime;

/// How much later than it has to the shim may come back.
const GRACE: Duration = Duration::from_secs(10);

thread_local! {
    static WAITING: RefCell<Waiting<Running>> = const { RefCell::new(Waiting::new()) };
}

/// A call on its way.
struct Running {
    answer: LocalBoxFuture<'static, Answer<()>>,
    ports: Rc<CallPorts>,
}

/// The header fields of every answer, a line each.
#[wasm_bindgen(js_name = commonFields)]
pub fn common_fields() -> String {
    edge::COMMON_FIELDS.map(|(name, value)| format!("{name}:{value}")).join("\n")
}

/// Begins the call number `id`, a whole number that no other call has, whose
/// head is `head`, at `now`, in milliseconds since 1970.
///
/// What is to be done comes back: `F`, a timeout in milliseconds, the largest
/// body to be kept for a second send, the method, the address and the fields
/// of a request to the upstream, a line each, after which [`resume`] is called;
/// `W`, to wait for the promise that `call` was told; or the answer. This is
/// `U` with the upstream's body, `V` with the same but for what the text says,
/// `T` with a text, `P` with one whose policy is its own, or `E` with none, log
/// lines, the status, the fields besides the common ones, an empty line, and the
/// text.
#[wasm_bindgen]
pub fn begin(id: f64, call: glue::Call, head: String, now: f64) -> String {
    let broker = isolate::broker(|| call.env());
    let ports = Rc::new(CallPorts::new(call));
    let own = Rc::clone(&ports);
    let answer = async move {
        let head = RequestHead::new(&head);
        edge::answer(&broker, &own, &head).await
    };
    advance(id, Running { answer: answer.boxed_local(), ports }, runtime::at(now))
}

/// Goes on with the call number `id`, whose upstream answered with the status
/// and the fields in `head`, or did not, for the reason there. Nothing where
/// the call is not known: it was begun by an instance that has ended.
#[wasm_bindgen]
pub fn resume(id: f64, head: String, now: f64) -> Option<String> {
    let call = WAITING.with_borrow_mut(|waiting| waiting.take(number(id)))?;
    call.ports.note_response(head);
    Some(advance(id, call, runtime::at(now)))
}

fn advance(id: f64, call: Running, now: UnixTime) -> String {
    let Running { mut answer, ports } = call;
    let polled = ports.in_shim(now, || answer.as_mut().poll(&mut Context::from_waker(Waker::noop())));
    if let Poll::Ready(answer) = polled {
        return written(&answer, &ports);
    }
    if let Some(request) = ports.take_request() {
        let end = now + request.timeout + GRACE;
        let call = Running { answer, ports };
        WAITING.with_borrow_mut(|waiting| waiting.keep(number(id), call, end, now));
        return request.text;
    }
    let own = Rc::clone(&ports);
    let running = async move { Ok(JsValue::from_str(&written(&answer.await, &own))) };
    ports.wait_for(&wasm_bindgen_futures::future_to_promise(AssertUnwindSafe(running)));
    "W".to_owned()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the shim counts from one")]
const fn number(id: f64) -> u64 {
    id as u64
}

fn written(answer: &Answer<()>, ports: &CallPorts) -> String {
    let (kind, text) = match &answer.body {
        Body::Empty => ("E", ""),
        Body::Text(text) => ("T", text.as_str()),
        Body::Page(text) => ("P", *text),
        Body::Upstream(()) => ("U", ""),
        Body::Veiled((), token) => ("V", token.expose()),
    };
    [kind, &ports.take_lines(), &answer.status.to_string(), "\n", &answer.fields, "\n\n", text].concat()
}
