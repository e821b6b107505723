//! The functions of `glue.js`, and the methods of a call in `call.js`.

use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use worker::Env;

use crate::ports::BodyFailure;

/// Why [`Call::read`] gave no body, by the reason that it rejected with.
pub fn body_failure(reason: &JsValue) -> BodyFailure {
    match reason.as_string().as_deref() {
        Some("late") => BodyFailure::Late,
        Some("crowded") => BodyFailure::Crowded,
        _ => BodyFailure::Gone,
    }
}

#[wasm_bindgen(module = "/src/platform/glue.js")]
extern "C" {
    pub fn variable(env: &Env, name: &str) -> Option<String>;

    pub fn text(env: &Env, name: &str) -> Option<String>;

    #[wasm_bindgen(js_name = hasBinding)]
    pub fn has_binding(env: &Env, name: &str) -> bool;

    /// Resolves to a string.
    #[wasm_bindgen(catch)]
    pub fn exchange(env: &Env, name: &str, envelope: &str) -> Result<Promise, JsValue>;

    /// Resolves to a string, or null.
    #[wasm_bindgen(catch, js_name = readRecord)]
    pub fn read_record(env: &Env, name: &str) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = writeRecord)]
    pub fn write_record(env: &Env, name: &str, record: &str, life_seconds: f64) -> Result<Promise, JsValue>;

    #[wasm_bindgen(catch, js_name = deleteRecord)]
    pub fn delete_record(env: &Env, name: &str) -> Result<Promise, JsValue>;

    /// A call as `call.js` has it.
    pub type Call;

    #[wasm_bindgen(method, getter)]
    pub fn env(this: &Call) -> Env;

    #[wasm_bindgen(method)]
    pub fn log(this: &Call, line: &str);

    #[wasm_bindgen(method, js_name = waitFor)]
    pub fn wait_for(this: &Call, answer: &Promise);

    #[wasm_bindgen(method, js_name = waitUntil)]
    pub fn wait_until(this: &Call, promise: &Promise);

    #[wasm_bindgen(method)]
    pub fn discard(this: &Call);

    /// Resolves to a [`Uint8Array`], or null where the answer is not copied.
    #[wasm_bindgen(method)]
    pub fn keep(this: &Call, max_bytes: u32, limit_ms: f64, secrets: &str) -> Promise;

    #[wasm_bindgen(method)]
    pub fn release(this: &Call, flight: u32);

    #[wasm_bindgen(method)]
    pub fn serve(this: &Call, body: &JsValue);

    /// Resolves to a string, an `upstream` of [`wire`](super::wire).
    #[wasm_bindgen(method)]
    pub fn send(this: &Call, told: &str) -> Promise;

    /// Resolves to a [`Uint8Array`], or null where the body is too large. May reject with a
    /// string, the reason.
    #[wasm_bindgen(method)]
    pub fn read(this: &Call, max_bytes: u32, is_proven: bool, is_sent_on: bool) -> Promise;

    /// Resolves to a [`Uint8Array`], or null where the answer's body cannot be looked into.
    #[wasm_bindgen(method, js_name = readAhead)]
    pub fn read_ahead(this: &Call, max_bytes: u32, limit_ms: f64) -> Promise;

    #[wasm_bindgen(method)]
    pub fn folded(this: &Call, name: &str) -> String;

    /// Resolves to a boolean.
    #[wasm_bindgen(js_name = verifySignature)]
    pub fn verify_signature(algorithm: &str, jwk: &str, input: &str, signature: &[u8]) -> Promise;

    /// Resolves to a [`Uint8Array`]; rejects where the key cannot be used.
    pub fn sign(algorithm: &str, format: &str, text: &str, input: &str) -> Promise;

    pub fn sleep(ms: f64) -> Promise;

    /// Resolves to a boolean.
    #[wasm_bindgen(js_name = takeRate)]
    pub fn take_rate(env: &Env, name: &str, who: &str) -> Promise;

    /// Resolves to an [`HttpResponse`]; rejects with "timeout", or something else where the server was not
    /// reached.
    pub fn send(
        method: &str,
        url: &str,
        fields: &str,
        body: Option<&str>,
        timeout_ms: f64,
        max_bytes: f64,
        env: &Env,
        certificate: Option<&str>,
    ) -> Promise;

    pub type HttpResponse;

    #[wasm_bindgen(method, getter)]
    pub fn status(this: &HttpResponse) -> u16;

    #[wasm_bindgen(method, getter)]
    pub fn fields(this: &HttpResponse) -> String;

    #[wasm_bindgen(method, getter)]
    pub fn body(this: &HttpResponse) -> Uint8Array;

    /// The runtime's `SqlStorage`.
    pub type Sql;

    #[wasm_bindgen(catch, method, variadic)]
    pub fn exec(this: &Sql, query: &str, given: &[JsValue]) -> Result<Rows, JsValue>;

    /// The runtime's `SqlStorageCursor`.
    pub type Rows;

    /// The rows, each an object that has the columns by their names.
    #[wasm_bindgen(catch, method, js_name = toArray)]
    pub fn to_array(this: &Rows) -> Result<Vec<JsValue>, JsValue>;
}
