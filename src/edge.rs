//! The handling of requests: authorization, routing, forwarding, and the answer.
//!
//! This module runs in isolates, of which there are many and which may be evicted at any time: an
//! isolate holds copies only. The state of record is in [`objects`](crate::objects), which an
//! isolate reaches by [messages](crate::protocol).

mod admin;
mod answer;
mod bounded;
mod caller;
mod connections;
mod context;
mod cors;
mod isolate;
mod log;
mod network;
pub mod people;
mod problem;
mod proxy;
mod request;
mod route;
mod static_tokens;
mod together;
mod transport;
mod webhooks;

pub use answer::{Answer, Body, COMMON_FIELDS};
pub use isolate::Isolate;
pub use problem::Code;
pub use request::answer;
