//! The state of an isolate.

use std::rc::Rc;

use super::caller::bearers::Bearers;
use super::caller::key_sets::KeySets;
use super::connections::held::HeldConnections;
use super::proxy::memory::AccessTokens;
use super::proxy::rates::Rates;
use crate::config::Config;

/// The state of an isolate: the configuration, and copies of tokens, keys and connections.
#[derive(Debug)]
pub struct Isolate {
    config: Rc<Config>,
    pub(in crate::edge) access_tokens: AccessTokens,
    pub(in crate::edge) key_sets: KeySets,
    pub(in crate::edge) bearers: Bearers,
    pub(in crate::edge) rates: Rates,
    pub(in crate::edge) connections: HeldConnections,
}

impl Isolate {
    /// An isolate that serves `config`.
    #[must_use]
    pub fn new(config: Rc<Config>) -> Self {
        Self {
            config,
            access_tokens: AccessTokens::default(),
            key_sets: KeySets::default(),
            bearers: Bearers::default(),
            rates: Rates::default(),
            connections: HeldConnections::default(),
        }
    }

    /// The configuration that the isolate serves.
    #[must_use]
    pub const fn config(&self) -> &Rc<Config> {
        &self.config
    }
}
