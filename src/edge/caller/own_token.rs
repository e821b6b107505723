//! A caller's own token, which is exchanged for one of theirs at the upstream.

use std::fmt;

use super::{CallerProof, bearer};
use crate::config::{Caller, Connection};
use crate::http::RequestHead;
use crate::protocol::SubjectToken;
use crate::secret::Secret;
use crate::token::SealingKeys;

/// The token of a caller, and whose it is.
pub(in crate::edge) struct OwnToken {
    /// The connection, and the digest of the token's issuer and subject: the key of what the isolate
    /// holds for the caller.
    pub key: String,
    /// The token.
    pub token: SubjectToken,
}

impl CallerProof<'_> {
    /// The token by which `caller` is authenticated, to be exchanged at `connection`; `None` where it
    /// names nobody.
    pub fn own_token(
        &self,
        caller: &str,
        connection: &Connection,
        head: &RequestHead<'_>,
    ) -> Option<OwnToken> {
        let Some(Caller::Jwt(jwt)) = self.kind(caller) else { return None };
        let proven = self.bearer(caller).filter(|bearer| bearer.has_subject)?;
        let sent = match jwt.header.as_str() {
            "authorization" => bearer(head),
            name => head.headers.value(name),
        };
        let token = SubjectToken { token: Secret::new(sent?.to_owned()), expires_at: proven.exp() };
        Some(OwnToken { key: [&connection.id, "/", &proven.subject].concat(), token })
    }
}

// The digest of a subject that can be guessed can be guessed, too.
impl fmt::Debug for OwnToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnToken(redacted)")
    }
}

impl OwnToken {
    /// The name of the object that has the caller's token set for `connection`. The name reveals
    /// nothing of the caller, and for another account of the connection it is another one.
    pub fn object(&self, connection: &Connection, keys: &SealingKeys) -> String {
        let name = keys.blind_name(&["exchanged", &self.key, &connection.identity.to_hex()]);
        ["exchanged/", &name].concat()
    }
}
