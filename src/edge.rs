//! What a call means: who may make it, where it goes, and what comes back.
//!
//! Everything here runs over the [`ports`], so that all of it runs natively.

mod admin;
mod answer;
mod caller;
mod connections;
mod cors;
mod log;
mod network;
pub mod people;
mod problem;
mod proxy;
mod request;
mod route;
mod transport;
mod webhooks;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

pub use answer::{Answer, Body, COMMON_FIELDS};
pub use problem::Code;
pub use proxy::memory::AccessTokens;
pub use request::answer;

use std::rc::Rc;

use crate::config::Config;

/// What an isolate knows: the configuration, and what it has seen.
#[derive(Debug)]
pub struct Broker {
    config: Rc<Config>,
    access_tokens: AccessTokens,
    issuer_keys: caller::issuer_keys::IssuerKeys,
    remembered: caller::jwt::Remembered,
    rates: proxy::rates::Rates,
    registry: connections::Registry,
}

impl Broker {
    /// A broker that serves `config`.
    #[must_use]
    pub fn new(config: Rc<Config>) -> Self {
        Self {
            config,
            access_tokens: AccessTokens::default(),
            issuer_keys: caller::issuer_keys::IssuerKeys::default(),
            remembered: caller::jwt::Remembered::default(),
            rates: proxy::rates::Rates::default(),
            registry: connections::Registry::default(),
        }
    }

    /// What it serves.
    #[must_use]
    pub const fn config(&self) -> &Rc<Config> {
        &self.config
    }
}
