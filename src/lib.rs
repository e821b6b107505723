//! Porteiro ("doorman"): a serverless OAuth token broker.
//!
//! Browser front ends call the broker instead of APIs that forbid calls from a front end. The
//! broker runs the grants, stores tokens sealed, authenticates and authorizes callers, adds the
//! token to each call and streams the response back.
//!
//! # One call
//!
//! ```text
//! page ── fetch ──▶ platform::entry ──▶ edge::answer      (an isolate)
//!                                         │  route, origin, path, caller, rule
//!                                         │  access token: memory │ KV │ message
//!                                         │                              ▼
//!                                         │            objects::keeper, session or exchanged
//!                                         ▼            (a Durable Object)
//!                                       upstream (token added, fields filtered)
//!                                         │  401? the keeper renews, one replay
//!                                         ▼
//! page ◀── streamed body, filtered fields, problem details on every error
//! ```
//!
//! # Where the code runs
//!
//! Dependencies point down, with none between `edge` and `objects` (`tests/architecture.rs`).
//!
//! | part | runs in | contents |
//! |---|---|---|
//! | `platform` | both | the border to JavaScript, compiled for wasm only: it decides nothing. `wire` is the text that crosses it; `shim.js` outlives failures of its module |
//! | [`edge`] | an isolate | the handling of one request: route, caller, rule, token, upstream, answer. An isolate holds copies only |
//! | [`objects`] | a Durable Object | the objects, each once worldwide and the only writer of its data: [keeper](objects::keeper), [session](objects::session), [exchanged token set](objects::exchanged), [counter](objects::refusals), [delivery queue](objects::deliveries), [index](objects::index), [one-time record](objects::one_time), [people](objects::people). Three share [`token_set`](objects::token_set) |
//! | [`client`] | both | requests to providers, and what proves the broker there |
//! | [`discovery`] | both | issuers: metadata, keys, signatures |
//! | [`ports`] | both | the resources that both use: one trait for each |
//! | [`protocol`] | both | the messages between the two, and the stored records: types without behaviour |
//! | [`oauth`] | both | OAuth requests and responses, as pure functions |
//! | [`config`] | both | the operator's variables and secrets as types without invalid combinations, read when needed |
//! | [`token`] | both | token sets, their freshness, sealed records (its page is the storage schema) |
//! | [`jose`] | both | JSON Web Tokens and issuers' keys, without the cryptography |
//! | [`webhook`] | both | an event's proof, its form as delivered, its signature and schedule |
//! | [`http`], [`json`], [`form`], [`secret`], [`time`] | both | values, validated once |
//!
//! `simulation/` is for tests: virtual time, isolates, Durable Objects that end, a provider, a
//! receiver.
//!
//! # Why the hot path does without `worker`
//!
//! The `worker` crate wraps each JavaScript object: each header field and `await` would cross the
//! border, which costs more than all of a warm call's decisions. So a warm call crosses twice, with
//! its head and the upstream's, each one text, without a promise. Bodies do not cross.
//!
//! # Invariants
//!
//! - No code below `platform` uses JavaScript, a clock or entropy directly: the [ports] provide
//!   them, so all of it runs natively.
//! - Grants are run and token sets written by one object: a connection's by its keeper, a person's by
//!   their session, a caller's by an object of its own. Isolates hold copies, never of a person's token.
//! - A flow is used up before its code is exchanged.
//! - A session lives if its object says so, which is asked on every call.
//! - A webhook is stored, without its account token, before it is acknowledged.
//! - An object's locks are taken in one order, checked in every debug build.
//! - Secrets are stored only sealed. A [`secret::Secret`] has no `Display`, no `Serialize` and no
//!   `==`.
//! - No error holds a body. The public errors are one table, [`edge::Code`].
//! - Header fields pass by allow-lists, in both directions.
//! - A call goes to the connection's `base_url` followed by the checked path: the upstream's origin
//!   cannot change.
//! - No input causes a panic: no `unwrap`, no `expect`, no indexing outside tests.

pub mod client;
pub mod config;
pub mod discovery;
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

#[cfg(all(target_arch = "wasm32", feature = "worker"))]
mod platform;
