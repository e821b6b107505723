//! Token sets, the freshness of their access tokens, and the sealing of records at rest.
//!
//! # Storage schema
//!
//! | where | name | content | life |
//! |---|---|---|---|
//! | KV `TOKENS` | `access-token/service/{connection}` | sealed: the [`AccessToken`] | until the token expires |
//! | KV `TOKENS` | `issuer-keys/{digest}` | sealed: the keys of an issuer, of callers' tokens or of people's | 24 hours |
//! | KV `TOKENS` | `issuer-metadata/{digest}` | sealed: the [`Metadata`](crate::discovery::Metadata) of an issuer of people's tokens | 24 hours |
//! | KV `TOKENS` | `connection/{connection}` | sealed: a [`Registration`](crate::protocol::Registration) | 30 days after it was last written |
//! | object `service/{connection}` | `connection` | sealed: the same | until it is removed |
//! | object `service/{connection}` | `state` | sealed: the [`State`](crate::objects::token_set::State) of the connection's own token set | until it is replaced |
//! | the same, and object `deliveries/{connection}` | `told` | not sealed: what the operator was [told](crate::protocol::OPERATOR) last of the connection | until it is removed |
//! | object `deliveries/(events)` | `last` | not sealed: how the last attempt to tell ended | until the next one |
//! | object `session/{digest}` | `session` | sealed: the [session](crate::objects::session)'s own record | until the session ends |
//! | object `session/{digest}` | `session/{connection}` | sealed: the [`State`](crate::objects::token_set::State) of a person's token set | until the session ends |
//! | object `exchanged/{keyed digest}` | `state` | sealed: the [`State`](crate::objects::token_set::State) of a caller's [exchanged](crate::objects::exchanged) token set | until it ends |
//! | object `refusals/{keyed digest}` | `refusals` | not sealed: numbers and times of [refused sign-ins](crate::objects::refusals) | six minutes after the last |
//! | object `index` | a table of `ids` | not sealed: the names of registered connections | until they are removed |
//! | each of these objects that has an alarm | `role` | not sealed: the [kind](crate::protocol::ObjectKind) of the object | as long as the rest |
//!
//! The objects are Durable Objects of the class bound as `KEEPER`. A session's digest is of the
//! handle in its cookie; a counter's is of connection and user name, of a network, or of a known
//! browser, and that of an exchanged token set of connection, account, issuer and subject, both under
//! a key derived from the first sealing key.
//!
//! Associated data binds a record to a name: a KV record to its own, a session's record to that of
//! its object, a token set's state to `keeper/{subject}/{connection}`, and a person's credentials,
//! for transport to the session, to `sign-in/{subject}`; a caller's own token, for transport to the
//! caller's object, to `subject-token/{subject}`. The subject is `service`, or the name of the
//! session's or the caller's object. A record that does not open, or that belongs to another account than the
//! one configured, counts as absent. A refresh token leaves its object only for the token endpoint,
//! and a person's or a caller's access token is never in KV.

mod access;
mod record;
mod sealing;
mod token_type;

pub use access::{AccessToken, Freshness, Lifetime, TokenSet};
pub(crate) use record::Exposed;
pub use record::{AccessTokenRecord, TokenSetRecord, open, seal};
pub use sealing::{Nonce, SealError, SealingKeys, SealingKeysError, key_id};
pub use token_type::{TokenType, TokenTypes};
