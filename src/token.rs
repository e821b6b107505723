//! What the broker keeps: token sets, how long each is good for, and the seal
//! that hides them at rest.
//!
//! # Storage schema
//!
//! | where | name | sealed content | life |
//! |---|---|---|---|
//! | KV `TOKENS` | `access-token/{subject}/{connection}` | [`AccessToken`] | until the token expires |
//! | storage of a `KEEPER` object | `state` | the [`State`](crate::broker::keeper::State) | until it is replaced |
//! | storage of a `KEEPER` object | `connection` | not sealed: the connection's name, for the alarm | as long as the object |
//!
//! The subject is `service`. A KV name is also the associated data of its
//! record; the keeper's state is bound to `keeper/{subject}/{connection}`. A
//! record that does not open, or that belongs to another account than the one
//! configured, counts as absent. The refresh token never leaves the keeper.

mod access;
mod record;
mod sealing;

pub use access::{AccessToken, Freshness, Lifetime, TokenSet};
pub use record::{AccessTokenRecord, TokenSetRecord, open, seal};
pub use sealing::{Nonce, SealError, SealingKeys, SealingKeysError};
