//! The account of a token set.

use std::rc::Rc;

use crate::config::{Config, Connection};
use crate::protocol::SubjectToken;
use crate::token::SealingKeys;

/// The connection whose account a token set is for, and the keys that seal it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The connection.
    pub connection: Rc<Connection>,
    /// The sealing keys.
    pub keys: Rc<SealingKeys>,
    /// Changes when the connection is registered again, so that work for the previous account is
    /// recognised.
    pub epoch: u64,
    /// The caller's own token, where that is exchanged.
    pub subject_token: Option<Rc<SubjectToken>>,
}

impl Account {
    /// The account of the configured `connection`; `None` where it is unusable.
    pub fn configured(config: &Config, connection: &str) -> Option<Self> {
        let connection = Rc::clone(config.connection(connection)?.usable()?);
        let keys = config.sealing_keys.clone()?;
        Some(Self { connection, keys, epoch: 0, subject_token: None })
    }
}
