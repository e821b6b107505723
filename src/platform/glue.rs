//! The functions of `glue.js`, and what `call.js` does for a call.

use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use worker::Env;

use crate::ports::BodyFailure;

/// Why [`Call::read`] gave no body, by what it rejected with.
pub fn body_failure(reason: &JsValue) -> BodyFailure {
    match reason.as_string().as_deref() {
        Some("late") => BodyFailure::Late,
        Some("crowded") => BodyFailure::Crowded,
        _ => BodyFailure::Gone,
    }
}

#[wasm_bindgen(module = "/src/platform/glue.js")]
extern "C" {
    pub fn variables(env: &Env) -> String;

    #[wasm_bindgen(js_name = hasBinding)]
    pub fn has_binding(env: &Env, name: &str) -> bool;

    /// Resolves to a string.
    #[wasm_bindgen(catch, js_name = askObject)]
    pub fn ask_object(env: &Env, name: &str, letter: &str) -> Result<Promise, JsValue>;

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

    /// Resolves to a string: the head, or why there is none.
    #[wasm_bindgen(method)]
    pub fn send(
        this: &Call,
        method: &str,
        url: &str,
        fields: &str,
        timeout_ms: f64,
        replay_bytes: f64,
    ) -> Promise;

    /// Resolves to a [`Uint8Array`], or null where the body is too large. May reject with a
    /// string, the reason.
    #[wasm_bindgen(method)]
    pub fn read(this: &Call, max_bytes: u32, is_proven: bool) -> Promise;

    #[wasm_bindgen(method)]
    pub fn folded(this: &Call, name: &str) -> String;

    /// Resolves to a [`DocumentAnswer`].
    #[wasm_bindgen(js_name = fetchDocument)]
    pub fn fetch_document(url: &str, timeout_ms: f64, max_bytes: f64) -> Promise;

    pub type DocumentAnswer;

    #[wasm_bindgen(method, getter, js_name = status)]
    pub fn document_status(this: &DocumentAnswer) -> u16;

    #[wasm_bindgen(method, getter, js_name = body)]
    pub fn document_body(this: &DocumentAnswer) -> Uint8Array;

    /// Resolves to a boolean.
    #[wasm_bindgen(js_name = verifySignature)]
    pub fn verify_signature(algorithm: &str, jwk: &str, input: &str, signature: &[u8]) -> Promise;

    pub fn pause(ms: f64) -> Promise;

    /// Resolves to a boolean.
    #[wasm_bindgen(js_name = takeRate)]
    pub fn take_rate(env: &Env, name: &str, who: &str) -> Promise;

    /// Resolves to a [`PostAnswer`].
    pub fn post(url: &str, fields: &str, body: &str, timeout_ms: f64, max_bytes: f64) -> Promise;

    pub type PostAnswer;

    #[wasm_bindgen(method, getter)]
    pub fn status(this: &PostAnswer) -> u16;

    #[wasm_bindgen(method, getter, js_name = retryAfter)]
    pub fn retry_after(this: &PostAnswer) -> Option<String>;

    #[wasm_bindgen(method, getter)]
    pub fn body(this: &PostAnswer) -> Uint8Array;

    pub type Records;

    #[wasm_bindgen(catch, constructor)]
    pub fn open(state: &JsValue) -> Result<Records, JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn find(this: &Records, id: &str) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn put(
        this: &Records,
        id: &str,
        list: &str,
        due: f64,
        row: &str,
        event: Option<&str>,
    ) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn update(
        this: &Records,
        id: &str,
        list: &str,
        due: f64,
        row: &str,
        keeps_event: bool,
    ) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn list(this: &Records, list: &str, due: f64, id: &str, most: u32) -> Result<String, JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn clear(this: &Records) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn count(this: &Records, list: &str) -> Result<f64, JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn forget(this: &Records, list: &str, until: f64) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn earliest(this: &Records) -> Result<Option<f64>, JsValue>;

    pub type Ids;

    #[wasm_bindgen(catch, constructor)]
    pub fn open(state: &JsValue) -> Result<Ids, JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn add(this: &Ids, id: &str) -> Result<bool, JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn remove(this: &Ids, id: &str) -> Result<bool, JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn list(this: &Ids, after: &str, most: u32) -> Result<String, JsValue>;
}
