//! Issuers: their metadata, their keys, and the verification of what they signed.
//!
//! Metadata (RFC 8414, `OpenID` Connect Discovery 1.0) and keys (RFC 7517) come from the cache, else
//! from the issuer. The cached records are sealed: write access to the cache is not enough to add a
//! key, or to lead people and codes to another address. What an isolate holds of the keys of callers'
//! issuers is its own (`edge`).

mod cached_keys;
mod document;
mod metadata;
mod signature;
mod verification;

pub use cached_keys::{CachedKeys, FRESH, USABLE, cache_keys, cached_keys, fetch_keys, issuer_keys};
pub use metadata::{Metadata, metadata};
pub use signature::check_signature;
pub use verification::{identity, logout, verify};

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;
