//! A caller's own token, which is exchanged for one of theirs at the upstream.

use super::{CallerProof, bearer};
use crate::config::{Caller, Connection};
use crate::http::RequestHead;
use crate::ports::{EdgePorts, ObjectUnreachable};
use crate::protocol::{ExchangedAsk, ObtainExchanged, SubjectToken, TokenAsk, TokenReply};
use crate::secret::{Fingerprint, Secret};
use crate::token::{Nonce, SealingKeys};

/// The token of a caller, and whose it is.
#[derive(Debug)]
pub(in crate::edge) struct OwnToken {
    /// The digest of the token's issuer and subject.
    pub subject: Fingerprint,
    /// The token.
    pub token: SubjectToken,
}

impl CallerProof<'_> {
    /// The token by which `caller` is authenticated; `None` where it names nobody.
    pub fn own_token(&self, caller: &str, head: &RequestHead<'_>) -> Option<OwnToken> {
        let Some(Caller::Jwt(jwt)) = self.kind(caller) else { return None };
        let bearer_of = self.bearer(caller).filter(|bearer| bearer.has_subject)?;
        let sent = match jwt.header.as_str() {
            "authorization" => bearer(head),
            name => head.headers.value(name),
        };
        let token = SubjectToken { token: Secret::new(sent?.to_owned()), expires_at: bearer_of.exp() };
        Some(OwnToken { subject: bearer_of.subject, token })
    }
}

impl OwnToken {
    /// The name of the object that has the caller's token set for `connection`. The name reveals
    /// nothing of the caller, and another account of the connection has another one.
    pub fn object(&self, connection: &Connection, keys: &SealingKeys) -> String {
        let (identity, subject) = (connection.identity.to_hex(), self.subject.to_hex());
        format!("exchanged/{}", keys.blind_name(&["exchanged", &connection.id, &identity, &subject]))
    }

    /// Asks the object called `name` for the caller's access token for `connection`.
    pub async fn ask<P: EdgePorts>(
        &self,
        ports: &P,
        (connection, name): (&str, &str),
        keys: &SealingKeys,
        ask: TokenAsk,
    ) -> Result<TokenReply, ObjectUnreachable> {
        let nonce = Nonce(ports.bytes());
        let subject_token = self.token.seal(name, keys, &nonce).map_err(|_| ObjectUnreachable)?;
        ports.ask(ObtainExchanged { connection, name, ask: ExchangedAsk { ask, subject_token } }).await
    }
}
