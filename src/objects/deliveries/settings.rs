//! The delivery settings of a queue's events.

use std::rc::Rc;
use std::time::Duration;

use crate::config::Receiver;
use crate::token::SealingKeys;

/// The time limit for a receiver's response.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The receiver as currently configured, and the keys that open its events.
pub struct DeliverySettings {
    pub receiver: Rc<Receiver>,
    pub keys: Rc<SealingKeys>,
}
