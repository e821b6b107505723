//! The delivery settings of a connection's webhooks.

use std::rc::Rc;
use std::time::Duration;

use crate::config::Webhook;
use crate::token::SealingKeys;

/// The time limit for a receiver's response.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// The webhook as currently configured, and the keys that open its events.
pub struct DeliverySettings {
    pub webhook: Rc<Webhook>,
    pub keys: Rc<SealingKeys>,
}
