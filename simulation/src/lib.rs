//! The broker's simulated surroundings: virtual time, randomness drawn from a seed, and strict
//! fakes of everything behind the ports.
//!
//! A [`Site`] has several isolates, the Durable Objects, a replicated cache, a provider, issuers, a
//! sender of events and their receiver. Watches check the invariants during the run. A seed
//! determines the run to its last step.
//!
//! The tests are in `tests/broker/`: named cases, and random schedules.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]
#![allow(missing_debug_implementations, reason = "nothing prints the surroundings")]

mod budget_watch;
mod cache;
mod call;
mod consent_watch;
mod crowd_watch;
mod delivery_watch;
mod durable_object;
mod events_watch;
mod exchange_watch;
mod isolate;
mod issuer;
mod network;
mod provider;
mod receiver;
mod registry_watch;
mod sender;
mod site;
mod watch;
mod world;

pub use budget_watch::BudgetWatch;
pub use cache::Cache;
pub use call::{Answered, Call};
pub use consent_watch::{ConsentWatch, Held};
pub use crowd_watch::{CrowdWatch, Visit};
pub use delivery_watch::DeliveryWatch;
pub use durable_object::{Mishap, Objects, STATE, deliveries, keeper};
pub use events_watch::EventsWatch;
pub use exchange_watch::ExchangeWatch;
pub use issuer::{Issuers, Key, Subject};
pub use provider::consents::{Consented, Consenting};
pub use provider::proofs::Proof;
pub use provider::{Effect, Fault, Grants, Person, Provider};
pub use receiver::{Arrival, Manner, Receiver};
pub use registry_watch::{Change, RegistryWatch};
pub use sender::Event;
pub use site::{PROVIDER, Shared, Site};
pub use watch::Watch;
pub use world::{Process, World};
