//! The functions of `glue.js`.

use js_sys::{Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use worker::Env;
use worker::web_sys::{Request, Response};

#[wasm_bindgen(module = "/src/platform/glue.js")]
extern "C" {
    #[wasm_bindgen(js_name = requestHead)]
    pub fn request_head(request: &Request) -> String;

    #[wasm_bindgen(js_name = responseHead)]
    pub fn response_head(response: &Response) -> String;

    #[wasm_bindgen(catch)]
    pub fn respond(status: u16, fields: &str, text: Option<&str>) -> Result<Response, JsValue>;

    #[wasm_bindgen(catch, js_name = respondWith)]
    pub fn respond_with(upstream: &Response, status: u16, fields: &str) -> Result<Response, JsValue>;

    pub fn discard(response: &Response);

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

    pub type Outgoing;

    #[wasm_bindgen(constructor)]
    pub fn new(request: &Request) -> Outgoing;

    /// Resolves to a [`Response`].
    #[wasm_bindgen(method)]
    pub fn send(
        this: &Outgoing,
        method: &str,
        url: &str,
        fields: &str,
        timeout_ms: f64,
        replay_bytes: f64,
    ) -> Promise;

    /// Resolves to a [`Uint8Array`], or null where the body is too large.
    #[wasm_bindgen(method)]
    pub fn read(this: &Outgoing, max_bytes: f64) -> Promise;

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

    pub fn folded(name: &str) -> String;

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
    pub fn forget(this: &Records, list: &str, until: f64) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, method)]
    pub fn earliest(this: &Records) -> Result<Option<f64>, JsValue>;
}
