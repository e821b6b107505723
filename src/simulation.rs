//! The broker's surroundings, simulated: virtual time, schedules drawn from a
//! seed, and strict fakes of everything behind the ports.
//!
//! One [`Site`] has several isolates, one keeper at a time, a replicated cache
//! and a provider. The same seed gives the same schedule to the last step.

mod cache;
mod call;
mod isolate;
mod object;
mod provider;
mod scenario;
mod site;
mod watch;
mod world;

pub use call::{Answered, Call};
pub use provider::{Effect, Fault, Grants};
pub use site::Site;
