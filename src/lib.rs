//! Porteiro ("doorman"): a serverless OAuth token broker.
//!
//! Browser front ends call it instead of APIs whose makers forbid calling
//! them from a front end. It runs the grants, keeps the tokens sealed, checks
//! who calls and what they may do, puts the token on the call and streams the
//! answer back.
//!
//! This page is the map.
//!
//! # One call
//!
//! ```text
//! page ── fetch ──▶ platform::entry ──▶ edge::answer
//!                                         │  route, origin, path, caller, rule
//!                                         │  access token: memory │ KV │ keeper,
//!                                         │  a person's: their session
//!                                         ▼
//!                                       upstream (token put on, fields filtered)
//!                                         │  401? the keeper renews, one replay
//!                                         ▼
//! page ◀── streamed body, filtered fields, problem details on every error
//! ```
//!
//! # Code map
//!
//! Dependencies point down; `tests/architecture.rs` keeps it so.
//!
//! | part | what it knows |
//! |---|---|
//! | `platform` | Workers: entry points, fetch, KV, the Durable Object, environment, clock, entropy, log.  `shim.js`, the entry, outlives its module's failures. |
//! | [`edge`] | what a call means, in an isolate: route, caller, rule, access token, proxy decisions, public errors. It remembers copies only |
//! | [`objects`] | what there is one of each, everywhere: the [keeper](objects::keeper), the one writer of a token set, the [session](objects::session) of a person, the counter of [refused sign-ins](objects::refusals), the [deliveries](objects::deliveries) of webhooks, the [index](objects::index) of registered connections |
//! | [`ports`] | what both want from outside |
//! | [`protocol`] | what they say to each other, and what is stored |
//! | [`config`] | the operator's variables and secrets as types that cannot hold a wrong mix; every problem at once, by name |
//! | [`jose`] | callers' JSON Web Tokens and their issuers' keys, but for the cryptography |
//! | [`oauth`] | token requests and token responses as pure pairs |
//! | [`token`] | what is kept: token sets, their freshness, sealed records (its doc is the storage schema) |
//! | [`webhook`] | what proves an event's sender, what is handed on, its signature |
//! | [`http`] | methods, origins, addresses, paths, heads, traces, each validated once |
//! | [`json`], [`form`], [`secret`], [`time`] | JSON without doubled members; the form encoding; texts never to be seen; instants |
//!
//! `simulation`, compiled for tests only, is everything around the broker:
//! virtual time, isolates, storage, a provider, a receiver.
//!
//! # Invariants
//!
//! - Nothing below `platform` knows JavaScript, a clock or entropy: they come in
//!   through the [ports](ports), so that all of it runs natively.
//! - Heads cross to JavaScript as one text each; proxied bodies never.
//! - Only the keeper runs grants, and only the keeper writes a token set or a
//!   registration. An isolate copies, but for a person's.
//! - A session lives where its object says so, asked on every call.
//! - A webhook is stored, without its proof, before it is acknowledged.
//! - Nothing secret is written but under a seal. A [`secret::Secret`] has no
//!   `Display`, no `Serialize` and no `==`.
//! - No error holds a body. Public errors are one table, [`edge::Code`].
//! - Header fields pass by allow-list, both ways.
//! - The address that a call goes to is the connection's `base_url` with the
//!   checked path behind it: the upstream's origin cannot change.
//! - Nothing panics on input: no `unwrap`, no `expect`, no indexing outside
//!   tests.

pub mod config;
pub mod edge;
pub mod form;
pub mod http;
pub mod jose;
pub mod json;
pub mod oauth;
pub mod objects;
pub mod ports;
pub mod protocol;
pub mod secret;
pub mod time;
pub mod token;
pub mod webhook;

#[cfg(target_arch = "wasm32")]
mod platform;

// Tests are compiled natively alone, but for the platform's: it is compiling them that takes time.
#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod simulation;
