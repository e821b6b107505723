//! The border to JavaScript: it translates, and decides nothing.
//!
//! | file | what it has |
//! |---|---|
//! | `entry` | what the shim calls: the beginning and the rest of one call |
//! | `wire` | the texts that cross the border, on both sides: `wire.rs`, `wire.js` |
//! | `request`, `waiting`, `isolate` | the ports of one call, the calls that wait for their upstreams, what an isolate keeps |
//! | `durable_object`, `storage`, `table`, `sql` | the Durable Object, and the ports of the object that lives in it |
//! | `kv`, `http`, `crypto`, `stub`, `runtime` | what both have: KV, requests of the broker's own, signatures, the way to an object, clock, entropy, log, timers |
//! | `glue` | the JavaScript functions that Rust calls |
//!
//! `shim.js` is the Worker's entry, `call.js` the other side of one call.

mod crypto;
mod durable_object;
mod entry;
mod glue;
mod http;
mod isolate;
mod kv;
mod request;
mod runtime;
mod sql;
mod storage;
mod stub;
mod table;
mod waiting;
mod wire;

#[cfg(test)]
mod tests;
