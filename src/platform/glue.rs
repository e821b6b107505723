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

    /// Resolves to a [`TokenEndpointAnswer`].
    #[wasm_bindgen(js_name = requestToken)]
    pub fn request_token(
        url: &str,
        content_type: &str,
        authorization: Option<&str>,
        body: &str,
        timeout_ms: f64,
        max_bytes: f64,
    ) -> Promise;

    pub type TokenEndpointAnswer;

    #[wasm_bindgen(method, getter)]
    pub fn status(this: &TokenEndpointAnswer) -> u16;

    #[wasm_bindgen(method, getter, js_name = retryAfter)]
    pub fn retry_after(this: &TokenEndpointAnswer) -> Option<String>;

    #[wasm_bindgen(method, getter)]
    pub fn body(this: &TokenEndpointAnswer) -> Uint8Array;
}
