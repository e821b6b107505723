//! What a call means: who may make it, where it goes, and what comes back.
//!
//! Everything here runs over the [`ports`], so that all of it runs natively.

mod access_tokens;
mod admin;
mod answer;
mod auth;
mod call;
mod caller;
mod cors;
pub mod deliveries;
mod fields;
mod issuer_keys;
mod jwt;
pub mod keeper;
mod log;
mod memory;
mod network;
mod person;
pub mod ports;
mod problem;
mod proxy;
mod rates;
pub mod refusals;
pub mod registry;
pub mod report;
mod route;
pub mod session;
mod transport;
mod webhooks;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

pub use answer::{Answer, Body, COMMON_FIELDS};
pub use call::answer;
pub use memory::AccessTokens;
pub use problem::Code;

use std::rc::Rc;

use crate::config::Config;

/// What an isolate knows: the configuration, and what it has seen.
#[derive(Debug)]
pub struct Broker {
    config: Rc<Config>,
    access_tokens: AccessTokens,
    issuer_keys: issuer_keys::IssuerKeys,
    remembered: jwt::Remembered,
    rates: rates::Rates,
    registry: registry::Registry,
}

impl Broker {
    /// A broker that serves `config`.
    #[must_use]
    pub fn new(config: Rc<Config>) -> Self {
        Self {
            config,
            access_tokens: AccessTokens::default(),
            issuer_keys: issuer_keys::IssuerKeys::default(),
            remembered: jwt::Remembered::default(),
            rates: rates::Rates::default(),
            registry: registry::Registry::default(),
        }
    }

    /// What it serves.
    #[must_use]
    pub const fn config(&self) -> &Rc<Config> {
        &self.config
    }
}
