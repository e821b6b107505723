//! Sessions: people who are signed in here.
//!
//! A session is an object of its own, of which there is one everywhere: its
//! truth is neither in an isolate nor in the replicated cache, so that a
//! sign-out counts everywhere at once. Every call of a session asks it, and the
//! answer brings the access token along: one way there and back.
//!
//! The cookie's 256 random bits are a handle, which names the object, and a
//! proof, which changes with every sign-in. The object knows the cookie by its
//! digest only.
//!
//! Invariants:
//! - a person's user name and password exist for one token request;
//! - a person's tokens are in no isolate's memory and in no cache;
//! - nothing is written for a session that has ended.

mod cookie;
mod device;
mod life;
mod message;
mod object;
mod state;

#[cfg(test)]
#[cfg(not(target_arch = "wasm32"))]
mod tests;

pub(super) use cookie::{clear_cookie, has_cookie, has_several_cookies};
pub(super) use device::{Account, Devices};

pub use cookie::{COOKIE, SessionId};
pub use device::DEVICE_COOKIE;
pub use message::{Credentials, Refused, SessionAsk, SessionReply, SignIn};
pub use object::Session;
