//! The broker's surroundings, simulated: virtual time, schedules drawn from a
//! seed, and strict fakes of everything behind the ports.
//!
//! One [`Site`] has several isolates, one keeper at a time, sessions and
//! counters, those who deliver webhooks, a replicated cache, a provider, an
//! issuer, a sender of events and their receiver. The same seed gives the same
//! schedule to the last step.

mod cache;
mod call;
mod crowd;
mod crowd_watch;
mod deliveries;
mod delivery_watch;
mod isolate;
mod issuer;
mod object;
mod objects;
mod provider;
mod receiver;
mod scenario;
mod sender;
mod site;
mod watch;
mod webhooks;
mod world;

pub use call::{Answered, Call};
pub use deliveries::{DeliveryObjects, Mishap};
pub use issuer::Key;
pub use objects::Objects;
pub use provider::{Effect, Fault, Grants};
pub use receiver::{Arrival, Manner, Receiver};
pub use sender::Event;
pub use site::{Shared, Site};
