//! The state of an isolate.

use std::cell::{Cell, LazyCell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use super::caller::bearers::Bearers;
use super::caller::key_sets::KeySets;
use super::connections::held::HeldConnections;
use super::proxy::cache::copies::AnswerCopies;
use super::proxy::memory::AccessTokens;
use super::proxy::quota::held::Quotas;
use super::proxy::rates::Rates;
use super::static_tokens::StaticTokens;
use crate::config::Config;
use crate::time::UnixTime;

/// What reads the configuration.
type ReadConfig = Box<dyn FnOnce() -> Rc<Config>>;

/// How much of the configuration's problems is reported.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Reported {
    Nothing,
    WhatIsRead,
    All,
}

/// The state of an isolate: the configuration, and copies of tokens, keys and connections.
#[derive(Debug)]
pub struct Isolate {
    base_path: String,
    config: LazyCell<Rc<Config>, ReadConfig>,
    /// How much of the configuration's problems is reported.
    reported: Cell<Reported>,
    pub(in crate::edge) access_tokens: AccessTokens,
    /// Those of callers whose own tokens are exchanged.
    pub(in crate::edge) callers_tokens: AccessTokens,
    pub(in crate::edge) static_tokens: StaticTokens,
    pub(in crate::edge) key_sets: KeySets,
    pub(in crate::edge) bearers: Bearers,
    pub(in crate::edge) rates: Rates,
    pub(in crate::edge) quotas: Quotas,
    pub(in crate::edge) connections: HeldConnections,
    pub(in crate::edge) copies: AnswerCopies,
    /// The misconfigured connections whose keepers were told, and until when that holds.
    told: RefCell<Vec<(String, UnixTime)>>,
}

/// The largest number of connections that an isolate tells the keepers of.
const MAX_TOLD: usize = 1_000;

/// How soon an isolate tells a keeper again: the keeper may have been evicted before it told anybody.
const TOLD_FOR: Duration = Duration::from_mins(5);

impl Isolate {
    /// An isolate that serves what `read` reads, once a request needs it: a health check does not, and a
    /// cold isolate answers it sooner. The broker is mounted at `base_path`.
    #[must_use]
    pub fn new(base_path: String, read: ReadConfig) -> Self {
        Self {
            base_path,
            config: LazyCell::new(read),
            reported: Cell::new(Reported::Nothing),
            access_tokens: AccessTokens::default(),
            callers_tokens: AccessTokens::default(),
            static_tokens: StaticTokens::default(),
            key_sets: KeySets::default(),
            bearers: Bearers::default(),
            rates: Rates::default(),
            quotas: Quotas::default(),
            connections: HeldConnections::default(),
            copies: AnswerCopies::default(),
            told: RefCell::default(),
        }
    }

    /// The configuration that the isolate serves.
    #[must_use]
    pub fn config(&self) -> &Rc<Config> {
        if self.reported.get() == Reported::Nothing {
            self.reported.set(Reported::WhatIsRead);
        }
        &self.config
    }

    /// Whether problems of the configuration may be left that nobody was told of. True once: whoever
    /// asks reports them all.
    pub(in crate::edge) fn owes_report(&self) -> bool {
        let owes = self.reported.get() == Reported::WhatIsRead;
        if owes {
            self.reported.set(Reported::All);
        }
        owes
    }

    /// Records that `connection` proved misconfigured; true once in a while, for whoever tells its keeper.
    pub(in crate::edge) fn owes_telling(&self, connection: &str, now: UnixTime) -> bool {
        let mut told = self.told.borrow_mut();
        told.retain(|(_, until)| now < *until);
        let owes = told.len() < MAX_TOLD && !told.iter().any(|(known, _)| known == connection);
        if owes {
            told.push((connection.to_owned(), now + TOLD_FOR));
        }
        owes
    }

    /// The path that the broker is mounted at, as in [`Config::base_path`].
    pub(in crate::edge) fn base_path(&self) -> &str {
        &self.base_path
    }
}
