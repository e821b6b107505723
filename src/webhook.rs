//! Webhooks: the authentication of an event's sender, the event without its account token, and the
//! schedule and signature of deliveries.
//!
//! Most providers put an account token into every event. It proves only that the sender knows the
//! token: neither the integrity nor the freshness of the event. Others sign their events by it.

mod account_tokens;
mod event;
mod handshake;
mod hmac;
mod proof;
mod schedule;
mod signature;
mod text;

pub use account_tokens::AccountTokens;
pub use event::Event;
pub use handshake::Handshake;
pub use hmac::{EventHmac, HmacAlgorithm, HmacEncoding, Presented, Signed, SigningTime, TimePlace};
pub use proof::{EventRejection, Proof};
pub use schedule::{LONGEST, next_attempt};
pub use signature::SigningKeys;
