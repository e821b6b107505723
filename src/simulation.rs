//! The broker's surroundings, simulated: virtual time, schedules drawn from a
//! seed, and strict fakes of everything behind the ports.
//!
//! One [`Site`] has several isolates, one keeper at a time, sessions and
//! counters, a replicated cache, a provider and an issuer. The same seed gives the same schedule to the last step.

mod cache;
mod call;
mod crowd;
mod crowd_watch;
mod isolate;
mod issuer;
mod object;
mod objects;
mod provider;
mod scenario;
mod site;
mod watch;
mod world;

pub use call::{Answered, Call};
pub use issuer::Key;
pub use objects::Objects;
pub use provider::{Effect, Fault, Grants};
pub use site::Site;
