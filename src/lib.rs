//! Porteiro: a serverless OAuth token broker.

pub mod broker;
pub mod config;
pub mod form;
pub mod http;
pub mod oauth;
pub mod secret;
pub mod time;
pub mod token;

#[cfg(target_arch = "wasm32")]
mod platform;

#[cfg(test)]
mod simulation;
