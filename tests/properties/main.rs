//! Properties that hold for all input, looked for with generated input.
//!
//! `cargo test` runs a few cases of each, the same every time. A long run draws
//! others: `PROPTEST_CASES=1000000 cargo test --release --test properties`.
//! What fails shows its smallest case and the seed of its run;
//! `PROPTEST_RNG_SEED` repeats that run.
#![cfg(not(target_arch = "wasm32"))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking, and shows then what it printed"
)]

mod address;
mod binding;
mod configuration;
mod form;
mod generate;
mod head;
mod lifetime;
mod login;
mod path;
mod pattern;
mod response;
mod retry_after;
mod sealing;
mod web_address;
