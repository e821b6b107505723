//! The Worker's entry, for calls.
//!
//! A call is a future, which [`begin`] polls once. Where the call waits for the
//! upstream, `begin` tells `call.js` to fetch and to [`resume`] the call: a warm
//! call crosses the border once for its head and once for the upstream's, and
//! makes no promise here. A call that waits for anything else becomes a promise.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use wasm_bindgen::prelude::wasm_bindgen;

use super::request::CallPorts;
use super::waiting::Waiting;
use super::{glue, isolate, runtime, wire};
use crate::edge::{self, Answer};
use crate::http::RequestHead;
use crate::time::UnixTime;

/// How much later than the upstream's timeout the shim may come back.
const GRACE: Duration = Duration::from_secs(10);

thread_local! {
    static WAITING: RefCell<Waiting<Running>> = const { RefCell::new(Waiting::new()) };
}

/// A call that has not been answered yet.
struct Running {
    answer: LocalBoxFuture<'static, Answer<()>>,
    ports: Rc<CallPorts>,
}

/// The header fields of every answer, as `fields` of [`wire`].
#[wasm_bindgen(js_name = commonFields)]
pub fn common_fields() -> String {
    edge::COMMON_FIELDS.map(|(name, value)| format!("{name}:{value}")).join("\n")
}

/// Begins the call number `id`, a whole number that no other call has, whose
/// head is `head`, a `request` of [`wire`], at `now`, in milliseconds since 1970.
/// Gives what is to be done, a `told`.
#[wasm_bindgen]
pub fn begin(id: f64, call: glue::Call, head: String, now: f64) -> String {
    let ports = Rc::new(CallPorts::new(call));
    let isolate = isolate::current(|| ports.env());
    let own = Rc::clone(&ports);
    let answer = async move {
        let head = RequestHead::new(&head);
        edge::answer(&isolate, &own, &head).await
    };
    advance(id, Running { answer: answer.boxed_local(), ports }, runtime::at(now))
}

/// Goes on with the call number `id` after what came of its fetch, an `upstream`
/// of [`wire`]. Gives what is to be done, a `told`; nothing where the call is not
/// known, because an instance of the module began it that has ended.
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
        return wire::answer(&answer, &ports.take_lines());
    }
    if let Some(request) = ports.take_request() {
        let end = now + request.timeout + GRACE;
        let call = Running { answer, ports };
        WAITING.with_borrow_mut(|waiting| waiting.keep(number(id), call, end, now));
        return request.text;
    }
    let own = Rc::clone(&ports);
    let running = async move {
        let answer = answer.await;
        Ok(wire::answer(&answer, &own.take_lines()).into())
    };
    ports.wait_for(&runtime::promised(running.boxed_local()));
    wire::WAIT.to_owned()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the shim counts from one")]
const fn number(id: f64) -> u64 {
    id as u64
}
