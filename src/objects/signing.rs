//! The assertions of a token request.

use crate::config::{ClientAuthentication, Grant};
use crate::oauth::{Assertions, SignatureKind, UnsignedAssertion};
use crate::ports::{Host, Signer};
use crate::secret::Secret;

/// A connection's key signs nothing, and so no request was made.
pub(super) struct KeyUnusable;

/// What proves `client` in the next request, and the `grant` where that is an assertion. Each
/// request has assertions of its own, whose ids are used once.
pub(super) async fn assertions<P: Host + Signer>(
    ports: &P,
    client: &ClientAuthentication,
    grant: Option<&Grant>,
) -> Result<Assertions, KeyUnusable> {
    let now = ports.now();
    let client = UnsignedAssertion::of_client(client, now, ports.bytes());
    let grant = grant.and_then(|grant| UnsignedAssertion::of_grant(grant, now, ports.bytes()));
    Ok(Assertions { client: signed(ports, client).await?, grant: signed(ports, grant).await? })
}

async fn signed<P: Signer>(
    ports: &P,
    assertion: Option<UnsignedAssertion<'_>>,
) -> Result<Option<Secret>, KeyUnusable> {
    let Some(assertion) = assertion else { return Ok(None) };
    let signed = match assertion.signature() {
        SignatureKind::Made(signature) => assertion.signed(signature),
        SignatureKind::Key(key) => {
            let signature = ports.sign(key, assertion.input()).await;
            assertion.signed(&signature.ok_or(KeyUnusable)?)
        }
    };
    Ok(Some(signed))
}
