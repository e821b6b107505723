//! Webhooks in: what proves an event's sender, and what is handed on of it.
//!
//! The sender puts an account token into every event. It proves that whoever
//! sent the event knows the token, and nothing else: neither that the event is
//! whole nor that it is new.

mod event;
mod proof;
mod schedule;
mod signature;
mod text;

pub use event::{Event, Rejection};
pub use proof::{AccountTokens, Proof};
pub use schedule::{LONGEST, next_attempt};
pub use signature::SigningKeys;
