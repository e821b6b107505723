//! Callers that are signed in at the broker.

use serde_json::Value;

use super::jwt;
use super::reader::Reader;
use super::syntax;

/// The field that names the connection of a session.
pub(super) const CONNECTION: &str = "connection";

pub(super) const FIELDS: &[&str] = &["kind", CONNECTION, "claims"];

/// A caller that is a person who is signed in at the broker.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SessionCaller {
    /// The connection that the person must have signed in by, whose ID token has their claims; `None`
    /// for any session, which has no claims.
    pub connection: Option<String>,
    /// The claims that the person must have, each with its accepted values.
    pub claims: Vec<(String, Vec<Value>)>,
}

impl SessionCaller {
    /// Any session.
    pub(super) const ANY: Self = Self { connection: None, claims: Vec::new() };
}

/// Reads a caller of kind `session`.
pub(super) fn read(reader: &mut Reader<'_, '_>) -> SessionCaller {
    let connection = reader.parse(CONNECTION, &syntax::filled);
    if reader.has("claims") && !reader.has(CONNECTION) {
        reader
            .report("claims", "needs connection: who signs in there has claims, any other session has none");
    }
    SessionCaller { connection, claims: jwt::read_claims(reader) }
}
