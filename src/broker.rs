//! What a call means: who may make it, where it goes, and what comes back.
//!
//! Everything here runs over the [`ports`], so that all of it runs natively.

mod access_tokens;
mod answer;
mod call;
mod caller;
mod cors;
mod fields;
pub mod keeper;
mod log;
mod memory;
pub mod ports;
mod problem;
mod proxy;
pub mod report;
mod route;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Body};
pub use call::answer;
pub use memory::AccessTokens;
pub use problem::Code;

use std::rc::Rc;

use crate::config::Config;

/// What an isolate knows: the configuration, and the tokens it has seen.
#[derive(Debug)]
pub struct Broker {
    config: Rc<Config>,
    access_tokens: AccessTokens,
}

impl Broker {
    /// A broker that serves `config`.
    #[must_use]
    pub fn new(config: Rc<Config>) -> Self {
        Self { config, access_tokens: AccessTokens::default() }
    }

    /// What it serves.
    #[must_use]
    pub const fn config(&self) -> &Rc<Config> {
        &self.config
    }
}
