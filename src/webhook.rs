//! Webhooks: the authentication of an event's sender, the event without its account token, and the
//! schedule and signature of deliveries.
//!
//! The provider puts an account token into every event. It proves only that the sender knows the
//! token: neither the integrity nor the freshness of the event.

mod event;
mod proof;
mod schedule;
mod signature;
mod text;

pub use event::Event;
pub use proof::{AccountTokens, EventRejection, Proof};
pub use schedule::{LONGEST, next_attempt};
pub use signature::SigningKeys;
