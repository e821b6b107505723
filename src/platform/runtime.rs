//! Clock, timers, entropy and log of the runtime.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use js_sys::Promise;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, future_to_promise};

use super::glue;
use crate::time::UnixTime;

/// The present moment. The runtime's clock moves only with I/O.
pub fn now() -> UnixTime {
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    at(js_sys::Date::now())
}

/// The moment that JavaScript calls `millis`.
pub fn at(millis: f64) -> UnixTime {
    // Milliseconds since 1970 fit: negative ones and fractions do not occur.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive whole number")]
    UnixTime::from_millis(millis as u64)
}

/// What JavaScript calls `span`: its milliseconds.
pub fn millis(span: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let millis = span.as_millis() as f64;
    millis
}

/// Runs `work`, and promises what comes of it. It is the only code that does, since each kind of future
/// would have a copy.
pub fn promised(work: LocalBoxFuture<'static, Result<JsValue, &'static str>>) -> Promise {
    future_to_promise(AssertUnwindSafe(async { work.await.map_err(JsValue::from_str) }))
}

/// Waits for `span`.
pub async fn sleep(span: Duration) {
    // A timer does not fail.
    let _ = JsFuture::from(glue::sleep(millis(span))).await;
}

/// Random bytes from the platform's cryptographic generator. Many are drawn at
/// a time, since each draw crosses the border.
pub fn bytes<const N: usize>() -> [u8; N] {
    const { assert!(N <= DRAWN) };
    POOL.with_borrow_mut(|pool| {
        if pool.left < N {
            #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
            let filled = getrandom::fill(&mut pool.bytes);
            if filled.is_err() {
                wasm_bindgen::throw_str("the runtime gave no random bytes");
            }
            pool.left = DRAWN;
        }
        pool.left -= N;
        let mut bytes = [0; N];
        // Bytes that were given out are kept nowhere.
        if let Some(drawn) = pool.bytes.get_mut(pool.left..pool.left + N) {
            bytes.swap_with_slice(drawn);
        }
        bytes
    })
}

/// How many random bytes are drawn at once.
const DRAWN: usize = 1024;

struct Pool {
    bytes: [u8; DRAWN],
    /// How many of the bytes, from the first, were not given out yet.
    left: usize,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; DRAWN], left: 0 }) };
}

/// Writes one line to the Worker's log.
pub fn log(line: &str) {
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    worker::web_sys::console::log_1(&line.into());
}
