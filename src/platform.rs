//! The Worker's shell: the only part that knows JavaScript.

mod call;
mod entropy;
mod glue;
mod isolate;
mod keeper;
mod kv;

use std::rc::Rc;

use worker::{Context, Env, event, web_sys};

use crate::broker::{self, Body};
use crate::http::RequestHead;
use call::CallPorts;

#[event(fetch)]
async fn fetch(request: web_sys::Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    let broker = isolate::broker(&env);
    let text = glue::request_head(&request);
    let head = RequestHead::new(&text);
    let ports = Rc::new(CallPorts::new(&request, env, context));
    let answer = broker::answer(&broker, &ports, &head).await;
    Ok(match answer.body {
        Body::Empty => glue::respond(answer.status, &answer.fields, None),
        Body::Text(text) => glue::respond(answer.status, &answer.fields, Some(&text)),
        Body::Upstream(upstream) => glue::respond_with(&upstream, answer.status, &answer.fields),
    }?)
}
