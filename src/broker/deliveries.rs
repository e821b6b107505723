//! Delivering a connection's webhooks to the application's receiver.
//!
//! There is one object for each connection everywhere, so that an event that
//! comes several times, at once or later, is delivered once. It stores an event
//! durably before that is acknowledged, and delivers it by alarm, whatever ends
//! meanwhile.
//!
//! Invariants:
//! - an event is known by its webhook id until a week after it was delivered;
//! - before an attempt is made, the time of the next one is stored: where the
//!   object ends in between, the event is tried again then;
//! - the alarm is never later than the earliest thing to do, but for the moment
//!   in which it is being done.

mod attempt;
mod message;
mod object;
mod record;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

pub use message::{DeliveriesAsk, DeliveriesReply};
pub use object::Deliveries;
pub use record::{List, Outcome, Record, event_record};
