//! The broker over simulated surroundings: cases by name, and schedules from seeds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod budget;
mod consents;
mod deliveries;
mod edge;
mod events;
mod exchange;
mod keeper;
mod login;
mod proofs;
mod scenarios;
mod session;
