//! What there is one of each, everywhere: the objects that alone write what
//! they keep. Each lives in a Durable Object.
//!
//! An object knows no request, no header and no public error. It takes in other
//! messages while it waits for storage or for a provider: what must be done one
//! at a time is under a lock.

pub mod deliveries;
pub mod index;
pub mod keeper;
mod log;
pub mod refusals;
pub mod session;
