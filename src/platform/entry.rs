//! The Worker's entry.
#![expect(clippy::disallowed_macros, reason = "what #[event] expands to names one")]

use std::rc::Rc;

use wasm_bindgen::JsValue;
use worker::web_sys::{Request, Response};
use worker::{Context, Env, event};

use super::call::CallPorts;
use super::{glue, isolate};
use crate::broker::{self, Answer, Body};
use crate::http::RequestHead;

#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    let broker = isolate::broker(&env);
    let text = glue::request_head(&request);
    let head = RequestHead::new(&text);
    let ports = Rc::new(CallPorts::new(&request, env, context));
    let answer = broker::answer(&broker, &ports, &head).await;
    // What the runtime says of a response that it does not take may quote it.
    respond(&answer).map_err(|_| "the runtime took no response".into())
}

fn respond(answer: &Answer<Response>) -> Result<Response, JsValue> {
    match &answer.body {
        Body::Empty => glue::respond(answer.status, &answer.fields, None),
        Body::Text(text) => glue::respond(answer.status, &answer.fields, Some(text)),
        Body::Upstream(upstream) => glue::respond_with(upstream, answer.status, &answer.fields),
    }
}
